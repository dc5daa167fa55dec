"""The gapped k-mer kernel and what follows from it, held against plain enumeration."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simbench_tf.dna import reverse_complement
from simbench_tf.models import gapped_kmers as gk

#: Words, bases that count, mismatches at most.
KERNELS = st.sampled_from([(3, 2, 1), (4, 2, 2), (4, 3, 1), (5, 3, 2), (6, 4, 2)])


def drawn(seed, n=5, length=14, with_n=False):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5 if with_n else 4, (n, length)).astype(np.uint8)


def values(l, k, d):  # noqa: E741
    """Of the plain kernel: in how many choices of k places two words agree."""
    return np.array([math.comb(l - m, k) for m in range(d + 1)], float)


def gapped(sequence, l, k):  # noqa: E741
    """How often each gapped k-mer, places and letters, stands in a sequence."""
    words = [sequence[i : i + l] for i in range(len(sequence) - l + 1)]
    places = list(itertools.combinations(range(l), k))
    return Counter((at, tuple(word[place] for place in at)) for word in words for at in places)


def products(one, other, l, k):  # noqa: E741
    found = gapped(one.tolist(), l, k)
    return sum(
        found[each] * count
        for strand in (other, reverse_complement(other[None])[0])
        for each, count in gapped(strand.tolist(), l, k).items()
    )


@settings(max_examples=15)
@given(st.integers(0, 10**6), KERNELS)
def test_kernels_are_those_of_counted_gapped_kmers(seed, kernel):
    l, k, d = kernel  # noqa: E741
    bases = drawn(seed)
    counted = np.array([[products(one, other, l, k) for other in bases] for one in bases])
    root = np.sqrt(np.diag(counted))
    found = gk.gram_matrix(bases, np.ones(bases.shape[1] - l + 1), values(l, k, d), l)
    np.testing.assert_allclose(found, counted / (root[:, None] * root), atol=1e-6)
    np.testing.assert_allclose(gk.norms(bases, np.ones(bases.shape[1] - l + 1), values(l, k, d), l), root)


def pairs(sequence, other, l):  # noqa: E741
    """Words of a sequence with those of another and its reverse complement: places, mismatches; none that hold an N."""
    complement = np.where(other < 4, 3 - other, other)[::-1]
    n = len(sequence) - l + 1
    for i in range(n):
        for strand, places in ((other, range(n)), (complement, range(n - 1, -1, -1))):
            for j, place in enumerate(places):
                one, two = sequence[i : i + l], strand[j : j + l]
                if max(one) < 4 and max(two) < 4:
                    yield i, place, one, two, int((one != two).sum())


def plain_kernel(sequence, other, weights, h, l):  # noqa: E741
    return sum(weights[i] * weights[j] * h[m] for i, j, _, _, m in pairs(sequence, other, l) if m < len(h))


def machine(seed, l, d, kernel, with_n):  # noqa: E741
    rng = np.random.default_rng(seed)
    bases, support = drawn(seed, 3, with_n=with_n), drawn(seed + 1, 4)
    weights = gk.place_weights(bases.shape[1] - l + 1, kernel, 50, 4.0)
    return bases, support, rng.normal(size=4), weights, rng.random(d + 1)


def weighed(support, coefficients, weights, h, l):  # noqa: E741
    """The sums over all words, from a machine."""
    roots = gk.norms(support, weights, h, l)
    each = ((coefficients / roots)[:, None] * weights).ravel()
    words = [strand.ravel() for strand in gk.both_strands(support, l)]
    return gk.mismatch_sums(np.concatenate(words), np.tile(each, 2), l, len(h) - 1)


def plain_decision(sequence, support, coefficients, weights, h, l):  # noqa: E741
    def root(each):
        return math.sqrt(plain_kernel(each, each, weights, h, l))

    return sum(
        coefficient * plain_kernel(sequence, each, weights, h, l) / (root(sequence) * root(each))
        for each, coefficient in zip(support, coefficients, strict=True)
    )


@settings(max_examples=12)
@given(st.integers(0, 10**6), KERNELS, st.sampled_from(["gkm", "wgkm"]))
def test_decisions_are_sums_of_kernels_also_after_each_substitution(seed, kernel, which):
    l, _, d = kernel  # noqa: E741
    bases, support, coefficients, weights, h = machine(seed, l, d, which, with_n=False)
    table = (weighed(support, coefficients, weights, h, l) @ h)[None]
    expected = [plain_decision(each, support, coefficients, weights, h, l) for each in bases]
    np.testing.assert_allclose(gk.decisions(bases, table, weights, h, l)[0], expected, atol=1e-9)
    mutants = np.repeat(bases[:1], 4 * bases.shape[1], axis=0)
    mutants[np.arange(len(mutants)), np.arange(len(mutants)) // 4] = np.arange(len(mutants)) % 4
    found = gk.substituted_decisions(bases[:1], table, weights, h, l)[0, 0]
    np.testing.assert_allclose(found.ravel(), gk.decisions(mutants, table, weights, h, l)[0], atol=1e-9)


@settings(max_examples=12)
@given(st.integers(0, 10**6), KERNELS, st.sampled_from(["gkm", "wgkm"]), st.booleans())
def test_bases_share_the_kernel_of_each_pair_of_words_alike(seed, kernel, which, with_n):
    l, _, d = kernel  # noqa: E741
    bases, support, coefficients, weights, h = machine(seed, l, d, which, with_n)
    roots = gk.norms(bases, weights, h, l)
    found = gk.explained_lmers(bases, weighed(support, coefficients, weights, h, l), weights, roots, h, l)
    expected = np.zeros(found.shape)
    for row, sequence in enumerate(bases):
        for each, coefficient in zip(support, coefficients, strict=True):
            root = math.sqrt(plain_kernel(each, each, weights, h, l)) * roots[row]
            for i, j, one, two, m in pairs(sequence, each, l):
                for place in range(l) if m <= d else ():
                    # the base of the other word: there now, or had it stood there
                    alike = m if one[place] == two[place] else m - 1
                    value = coefficient * weights[i] * weights[j] * h[alike] / (l - alike) / root
                    expected[row, i + place, two[place]] += value
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_words_with_an_unknown_base_count_for_nothing():
    h, weights = values(4, 2, 2), np.ones(9)
    bases = drawn(3, 1, length=12)
    bases[0, 4:] = 4  # AAAA is left
    bases[0, :4] = 0
    assert gk.norms(bases, weights, h, 4)[0] == pytest.approx(math.sqrt(h[0]))
    table = (gk.mismatch_sums(np.array([0], np.int32), np.ones(1), 4, 2) @ h)[None]
    assert gk.decisions(bases, table, weights, h, 4)[0, 0] == pytest.approx(math.sqrt(h[0]))
    assert gk.decisions(np.full((1, 12), 4, np.uint8), table, weights, h, 4).tolist() == [[0.0]]


def test_sequences_shorter_than_a_word_are_refused():
    with pytest.raises(ValueError, match="sequences have 3 bases, l is 4"):
        gk.lmers(np.zeros((1, 3), np.uint8), 4)
