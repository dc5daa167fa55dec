"""Philox against its published answers and a plain version of it; draws without bias, whatever their order."""

import numba as nb
import numpy as np
import pytest
from scipy import stats

from simbench_tf.random_streams import (
    choose_rows,
    fill_uint32,
    next_below,
    next_uint32,
    next_uniform,
    open_stream,
    permutation,
    philox,
    stream_key,
    uniforms,
)

MASK = 0xFFFFFFFF


def plain_philox(counter, key):
    """Philox4x32-10 in Python's own integers."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = second >> 32 ^ c1 ^ k0, second & MASK, first >> 32 ^ c3 ^ k1, first & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


def plain_draws(key, index, replicate, n_draws):
    blocks = range(-(-n_draws // 4))
    words = ((block, replicate, index & MASK, index >> 32) for block in blocks)
    return [draw for word in words for draw in plain_philox(word, (key & MASK, key >> 32))][:n_draws]


@nb.njit
def many_below(stream, n, n_draws):
    draws = np.empty(n_draws, np.int64)
    for i in range(n_draws):
        draws[i] = next_below(stream, n)
    return draws


# Random123's kat_vectors for philox4x32, ten rounds: counter, key, answer
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([MASK] * 4, [MASK] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter, key, answer):
    stream = np.array([*counter, *key, 0, 0, 0, 0, 4], np.uint32)
    philox(stream)
    assert stream[6:10].tolist() == answer
    assert plain_philox(counter, key) == answer


@pytest.mark.parametrize(("index", "replicate"), [(0, 0), (5, 7), (2**32 + 3, 1), (2**40 - 1, 2**32 - 1)])
def test_a_stream_equals_plain_philox(index, replicate):
    key = stream_key(11, "anything")
    stream = open_stream(key, index, replicate)
    assert [int(next_uint32(stream)) for _ in range(21)] == plain_draws(int(key), index, replicate, 21)


def test_streams_differ_in_key_index_and_replicate():
    keys = [stream_key(seed, purpose) for seed in (0, 1, -1) for purpose in ("shuffle", "grammar")]
    firsts = {
        int(next_uint32(open_stream(key, index, replicate)))
        for key in keys
        for index in (0, 1, 2**32)
        for replicate in (0, 1)
    }
    assert len(firsts) == 6 * 3 * 2


def test_next_below_redraws_what_would_be_biased():
    # 2^32 words on 3 x 2^30 values: kept all, the values divisible by 3 would come half the time, not a third
    draws = many_below(open_stream(stream_key(2, "test"), 0, 0), 3 * 2**30, 30_000)
    assert draws.min() >= 0
    assert draws.max() < 3 * 2**30
    assert stats.chisquare(np.bincount(draws % 3)).pvalue > 0.001


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
def test_next_below_is_uniform(n):
    # 100,000 draws: odds that lean 5% to either side on average are found in more than 99% of seeds
    draws = many_below(open_stream(stream_key(3, "test"), n, 0), n, 100_000)
    counts = np.bincount(draws, minlength=n)
    assert len(counts) == n
    assert n == 1 or stats.chisquare(counts).pvalue > 0.001


def test_next_uniform_holds_53_bits_of_two_draws():
    high, low = plain_draws(int(stream_key(4, "test")), 9, 2, 2)
    expected = ((high >> 5) * 2**26 + (low >> 6)) / 2**53
    assert next_uniform(open_stream(stream_key(4, "test"), 9, 2)) == expected


def test_uniforms_are_uniform_and_independent_of_neighbours():
    draws = uniforms(5, "test", np.arange(20_000), 2)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.001
    # the standard error of a correlation of 20,000 pairs is .007
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.03
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.03


def test_uniforms_do_not_depend_on_order_or_company():
    indices = np.array([8, 2, 2**33, 0])
    whole = uniforms(6, "test", indices, 5)
    np.testing.assert_array_equal(uniforms(6, "test", indices[::-1], 5), whole[::-1])
    np.testing.assert_array_equal(uniforms(6, "test", indices[2:3], 3), whole[2:3, :3])
    assert not np.isin(uniforms(7, "test", indices, 5), whole).any()
    assert not np.isin(uniforms(6, "other", indices, 5), whole).any()


def test_rows_are_chosen_by_the_smallest_draws_whatever_rows_are_beside_them():
    rows = np.array([40, 3, 2**33, 7, 12])
    draws = uniforms(8, "which", rows)[:, 0]
    for n in range(7):
        expected = sorted(row for _, row in sorted(zip(draws, rows, strict=True))[:n])
        assert choose_rows(8, "which", rows, n).tolist() == expected
    assert permutation(8, "order", 500).tolist() == np.argsort(uniforms(8, "order", np.arange(500))[:, 0]).tolist()


@pytest.mark.parametrize("index", [0, 7, 2**32 + 5])
@pytest.mark.parametrize("n_draws", [0, 1, 4, 41])
def test_draws_made_together_are_those_made_one_by_one(index, n_draws):
    key = stream_key(1, "any")
    stream = open_stream(key, index, 3)
    one_by_one = [next_uint32(stream) for _ in range(48)]
    stream, draws = open_stream(key, index, 3), np.empty(n_draws, np.uint32)
    fill_uint32(stream, draws)
    assert draws.tolist() == one_by_one[:n_draws]
    # the stream goes on at the next whole block
    assert next_uint32(stream) == one_by_one[-(-n_draws // 4) * 4]
