"""Forms of DNA turn into each other without loss; shuffles are exactly uniform and keep what they promise."""

import itertools
import subprocess
import sys
import warnings
from collections import Counter, defaultdict

import numba as nb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from simbench_tf import dna
from simbench_tf.dna import euler_trails as _euler_trails
from simbench_tf.random_streams import next_below, next_uint32, open_stream, stream_key

IUPAC = "ACGTRYKMSWBDHVNacgtrykmswbdhvn"
iupac_texts = st.text(IUPAC, max_size=40)
#: Few letters, long runs and Ns: what a shuffle may stumble over.
sequences = st.one_of(
    st.text("ACGT", min_size=1, max_size=60),
    st.text("ACGTN", min_size=1, max_size=60),
    st.text("AC", min_size=1, max_size=30),
    st.lists(st.sampled_from(["N", "NNN", "AAAA", "ACACAC", "GAT", "T"]), min_size=1, max_size=8).map("".join),
)


def quiet_shuffle(bases, *args, **kwargs):
    """The shuffle without its warning of sequences that have no other arrangement."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return dna.dinucleotide_shuffle(bases, *args, **kwargs)


SHUFFLES = pytest.mark.parametrize("shuffle", [quiet_shuffle, dna.mononucleotide_shuffle])


def arrangements(text):
    """Every sequence with the ends and the dinucleotides of `text`, by trying all ways on from each base."""

    def extend(trail, left):
        if not left:
            yield trail
        for pair in left:
            if pair[0] == trail[-1]:
                yield from extend(trail + pair[1], left - Counter([pair]))

    return set(extend(text[0], Counter(map("".join, itertools.pairwise(text)))))


def plain_below(n, word, stream):
    product = word * n
    return next_below(stream, n) if product % 2**32 < (2**32 - n) % n else product >> 32


def plain_trail(run, stream):
    """An Euler trail by lists of edges, consuming the stream as the compiled version does."""
    edges = defaultdict(list)
    for a, b in itertools.pairwise(run):
        edges[a].append(b)
    exits = {}
    in_tree = {run[-1]}
    for start in range(4):
        base = start
        if not set(edges[start]) - {start}:
            continue
        while base not in in_tree:
            others = sorted(b for b in edges[base] if b != base)
            exits[base] = others[next_below(stream, len(others))]
            base = exits[base]
        base = start
        while base not in in_tree:
            in_tree.add(base)
            base = exits[base]
    for base, exit_ in exits.items():
        if base != run[-1]:
            edges[base].remove(exit_)
    words = iter(whole_blocks(stream, len(run) - 1))
    lists = []
    for base in range(4):
        lists.append(plain_order(sorted(edges[base]), words, stream))
        if base in exits and base != run[-1]:
            lists[base].append(exits[base])
            next(words)
    trail = [run[0]]
    for _ in run[1:]:
        trail.append(lists[trail[-1]].pop(0))
    return trail


def whole_blocks(stream, n):
    """The next n draws from whole blocks of the stream, nothing left of the last one."""
    stream[10] = 4
    words = [int(next_uint32(stream)) for _ in range(n)]
    stream[10] = 4
    return words


def plain_order(left, words, stream):
    return [left.pop(plain_below(len(left), next(words), stream)) for _ in range(len(left))]


def plain_dinucleotide_shuffle(bases, random_state, index, replicate):
    stream = open_stream(stream_key(random_state, "dinucleotide_shuffle"), index, replicate)
    shuffled = []
    for is_n, group in itertools.groupby(bases, lambda base: base == 4):
        run = list(group)
        shuffled += run if is_n else plain_trail(run, stream)
    return shuffled


def plain_mononucleotide_shuffle(bases, random_state, index, replicate):
    stream = open_stream(stream_key(random_state, "mononucleotide_shuffle"), index, replicate)
    left = sorted(base for base in bases if base < 4)
    order = iter(plain_order(left, iter(whole_blocks(stream, len(left))), stream))
    return [4 if base == 4 else next(order) for base in bases]


@given(iupac_texts)
def test_text_bases_and_one_hot_turn_into_each_other(text):
    upper = "".join(letter if letter in "ACGT" else "N" for letter in text.upper())
    bases = dna.encode(text)
    assert bases.dtype == np.uint8
    assert bases.tolist() == [["ACGTN".index(letter) for letter in upper]]
    assert dna.decode(bases) == [upper]
    hot = dna.one_hot(text)
    assert hot.dtype == np.float32
    assert hot.tolist() == [[[float(letter == channel) for channel in "ACGT"] for letter in upper]]
    np.testing.assert_array_equal(dna.one_hot(bases), hot)
    np.testing.assert_array_equal(dna.one_hot([text]), hot)
    np.testing.assert_array_equal(dna.bases_of_one_hot(hot), bases)


def test_several_sequences_stay_apart():
    texts = ["ACGT", "nnac", "T-É*"]
    assert dna.decode(dna.encode(texts)) == ["ACGT", "NNAC", "TNNN"]
    assert dna.decode(dna.bases_of_one_hot(dna.one_hot(texts).astype(np.int8))) == ["ACGT", "NNAC", "TNNN"]
    assert dna.encode([]).shape == (0, 0)
    assert dna.decode(dna.encode(["", ""])) == ["", ""]


@given(iupac_texts)
def test_reverse_complement_is_the_same_in_all_forms(text):
    other = dna.reverse_complement(text)
    assert dna.reverse_complement(other) == text
    np.testing.assert_array_equal(dna.reverse_complement(dna.encode(text)), dna.encode(other))
    np.testing.assert_array_equal(dna.reverse_complement(dna.one_hot(text)), dna.one_hot(other))


def test_reverse_complement_by_hand():
    assert dna.reverse_complement("AACGTRYKMSWBDHVNacgtn") == "nacgtNBDHVWSKMRYACGTT"
    numbers = np.arange(8.0).reshape(1, 2, 4)
    assert dna.reverse_complement(numbers).tolist() == [[[7, 6, 5, 4], [3, 2, 1, 0]]]


@given(st.lists(st.text("ACGTN", min_size=12, max_size=12), min_size=1, max_size=3))
def test_dinucleotide_counts_equal_a_count_by_hand(texts):
    counts = dna.dinucleotide_counts(dna.encode(texts))
    for text, table in zip(texts, counts, strict=True):
        pairs = Counter(itertools.pairwise(text))
        assert table.tolist() == [[pairs[a, b] for b in "ACGT"] for a in "ACGT"]


@given(sequences, st.integers(0, 2**63 - 1))
def test_dinucleotide_shuffle_keeps_counts_ends_and_n(text, random_state):
    bases = dna.encode(text)
    shuffled = quiet_shuffle(bases, 4, random_state)[0]
    np.testing.assert_array_equal(dna.dinucleotide_counts(shuffled), dna.dinucleotide_counts(bases).repeat(4, axis=0))
    # the neighbours of an N, and of the ends of the sequence, are the ends of its runs
    padded = np.pad(bases[0], 1, constant_values=4)
    fixed = (padded[:-2] == 4) | (padded[1:-1] == 4) | (padded[2:] == 4)
    np.testing.assert_array_equal(shuffled[:, fixed], bases[:, fixed].repeat(4, axis=0))
    np.testing.assert_array_equal(shuffled == 4, (bases == 4).repeat(4, axis=0))


@given(sequences, st.integers(0, 2**40))
def test_shuffles_equal_the_plain_ones(text, index):
    bases = dna.encode(text)
    for shuffle, plain in [
        (quiet_shuffle, plain_dinucleotide_shuffle),
        (dna.mononucleotide_shuffle, plain_mononucleotide_shuffle),
    ]:
        shuffled = shuffle(bases, 3, 17, [index])[0]
        assert shuffled.tolist() == [plain(bases[0].tolist(), 17, index, replicate) for replicate in range(3)]


def chi_square(shuffled, expected):
    """P of the counts of the rows of `shuffled` (R, L) if each of the `expected` texts is equally likely."""
    counts = Counter(dna.decode(shuffled))
    assert set(counts) == set(expected)
    return stats.chisquare(list(counts.values())).pvalue


@pytest.mark.parametrize(
    ("text", "n_trails"),
    [
        ("ACCCACGATGATG", 27),
        ("AACAGATTAA", 60),  # ends where it begins, with loops
        ("GGGGAGGCGGG", 56),  # loops at the root
        ("CATAGTACTTG", 54),
    ],
)
def test_every_trail_is_drawn_equally_often(text, n_trails):
    # the numbers of trails follow from the BEST theorem as well.
    # 100,000 draws: frequencies that are 5% off on average (either way) raise the statistic by 250, some 23 to 35
    # standard deviations; what pins the last edges of `text` misses trails altogether
    trails = arrangements(text)
    assert len(trails) == n_trails
    shuffled = dna.dinucleotide_shuffle(dna.encode(text), 100_000, random_state=1)[0]
    assert chi_square(shuffled, trails) > 0.001


def test_trails_are_drawn_equally_often_over_sequences_too():
    text = "ACCCACGATGATG"
    shuffled = dna.dinucleotide_shuffle(dna.encode([text] * 50_000), 1, random_state=2)[:, 0]
    assert chi_square(shuffled, arrangements(text)) > 0.001


def test_runs_between_ns_are_shuffled_independently():
    left, right = "ACAGATA", "GTGCGG"
    expected = [f"N{a}NN{b}" for a in arrangements(left) for b in arrangements(right)]
    assert len(expected) == 6 * 6
    shuffled = dna.dinucleotide_shuffle(dna.encode(f"N{left}NN{right}"), 100_000, random_state=3)[0]
    assert chi_square(shuffled, expected) > 0.001


def test_mononucleotide_orders_are_drawn_equally_often():
    expected = {f"{''.join(order[:2])}N{''.join(order[2:])}" for order in itertools.permutations("AACGT")}
    assert len(expected) == 60
    shuffled = dna.mononucleotide_shuffle(dna.encode("AANCGT"), 100_000, random_state=4)[0]
    assert chi_square(shuffled, expected) > 0.001


def test_a_biased_draw_is_not_taken():
    # as for the stream's own draws: kept all, values divisible by 3 would come half the time
    n = np.int64(3 * 2**30)

    @nb.njit
    def draw_many(stream, draws):
        for i in range(draws.size):
            draws[i] = _euler_trails._redrawn(next_uint32(stream), np.uint64(n), stream)

    draws = np.empty(30_000, np.int64)
    draw_many(open_stream(stream_key(2, "test"), 0, 0), draws)
    assert draws.max() < n
    assert stats.chisquare(np.bincount(draws % 3)).pvalue > 0.001
    stream, plain_stream = (open_stream(stream_key(2, "test"), 0, 0) for _ in range(2))
    draw_many(stream, draws[:100])
    assert draws[:100].tolist() == [
        plain_below(int(n), int(next_uint32(plain_stream)), plain_stream) for _ in range(100)
    ]


@given(st.text("ACGT", min_size=1, max_size=12))
@settings(max_examples=300)
@example("ACTGACTGACTG")
@example("AACC")
@example("ACCACC")
@example("ACAGAC")
def test_only_trails_are_those_without_another_arrangement(text):
    run = dna.encode(text)[0]
    room = np.empty((4, 4), np.int64), np.empty(4, np.int64)
    assert _euler_trails._is_only_trail(run, *room) == (len(arrangements(text)) == 1)


def test_a_sequence_with_a_single_trail_comes_back_and_warns_once():
    texts = ["ACCCACGATGATG", "ACTGACTGACTGA", "NACGTNNACGTNN", "NNNNNNNNNNNNN"]
    with pytest.warns(UserWarning, match=r"^3 of 4 sequences \(the first is row 1\)") as caught:
        shuffled = dna.dinucleotide_shuffle(dna.encode(texts), 5)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for row in (1, 2, 3):
        assert dna.decode(shuffled[row]) == [texts[row]] * 5
    assert len(set(dna.decode(shuffled[0]))) > 1


@SHUFFLES
def test_shuffles_are_the_same_in_any_chunks_counts_and_threads(shuffle):
    bases = np.random.default_rng(5).integers(0, 5, (23, 90)).astype(np.uint8)
    whole = shuffle(bases, 6, 8)
    for size in (1, 7):
        chunks = [np.arange(start, min(start + size, 23)) for start in range(0, 23, size)]
        parts = [shuffle(bases[chunk], 6, 8, chunk) for chunk in chunks]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(shuffle(bases[::-1], 6, 8, np.arange(23)[::-1]), whole[::-1])
    np.testing.assert_array_equal(shuffle(bases, 2, 8), whole[:, :2])
    threads = nb.get_num_threads()
    try:
        nb.set_num_threads(1)
        np.testing.assert_array_equal(shuffle(bases, 6, 8), whole)
    finally:
        nb.set_num_threads(threads)


@SHUFFLES
def test_seed_sequence_number_and_shuffle_number_all_count(shuffle):
    bases = dna.encode(["ACGTTGCATCAGGCATTACGGACTTAGCCATGACGTATGC"] * 3)
    texts = [text for seed in (0, 1) for row in shuffle(bases, 5, seed) for text in dna.decode(row)]
    assert len(set(texts)) == 2 * 3 * 5


@SHUFFLES
def test_empty_input_gives_empty_output(shuffle):
    assert shuffle(np.empty((0, 7), np.uint8), 3).shape == (0, 3, 7)
    assert shuffle(np.empty((2, 0), np.uint8), 3).shape == (2, 3, 0)


def test_a_long_walk_between_two_bases_ends():
    # A and C lead to each other 50,000 times before G: the random walk towards the root is long, and must not be lost
    text = "AC" * 50_000 + "AACG"
    shuffled = dna.dinucleotide_shuffle(dna.encode(text), 2)[0]
    np.testing.assert_array_equal(dna.dinucleotide_counts(shuffled)[1], dna.dinucleotide_counts(dna.encode(text))[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dna.encode(["ACG", "AC"]), "sequence 1 has 2 letters, sequence 0 has 3"),
        (lambda: dna.decode(np.zeros(3, np.uint8)), r"uint8 array of shape \(N, L\), not uint8 of shape \(3,\)"),
        (lambda: dna.one_hot(np.zeros((1, 3), np.int64)), "not int64"),
        (lambda: dna.one_hot(np.full((1, 3), 5, np.uint8)), "0-4, not reach 5"),
        (lambda: dna.bases_of_one_hot(np.zeros((3, 4))), r"shape \(N, L, 4\), not \(3, 4\)"),
        (lambda: dna.bases_of_one_hot(np.full((1, 1, 4), 0.25)), r"one_hot\[0, 0\] = .* is neither"),
        (lambda: dna.bases_of_one_hot(np.array([[[0, 2, 0, 0]]])), "neither one-hot nor zero"),
        (lambda: dna.reverse_complement(np.zeros(4, np.uint8)), "shape"),
        (lambda: dna.dinucleotide_counts(np.zeros((1, 3))), "not float64"),
        (lambda: dna.dinucleotide_shuffle(np.zeros(9, np.uint8)), "shape"),
        (lambda: dna.dinucleotide_shuffle(dna.encode("ACG"), 0), "n_shuffles must be 1 or more"),
        (lambda: dna.dinucleotide_shuffle(dna.encode("ACG"), 1, 0, [0, 1]), "1 integers of 0 or more"),
        (lambda: dna.mononucleotide_shuffle(dna.encode("ACG"), 1, 0, [-1]), "1 integers of 0 or more"),
        (lambda: dna.mononucleotide_shuffle(dna.encode("ACG"), 1, 0, [0.5]), "1 integers of 0 or more"),
    ],
)
def test_misuse_is_said_plainly(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_where_compiled_code_cannot_be_kept_it_works_without_and_says_so_once():
    code = (
        "import logging; logging.basicConfig(format='%(message)s')\n"
        "from numba.core import caching\n"
        "for locator in vars(caching).values():\n"  # as where neither the package's folder nor the home can be written
        "    if hasattr(locator, 'from_function'): locator.from_function = classmethod(lambda *_: None)\n"
        "from simbench_tf import caches; caches.private_folder = lambda: None\n"  # nor a temporary folder
        "from simbench_tf import dna\n"
        "from simbench_tf.compiled import njit\n"
        "print(njit()(lambda x: 2 * x)(4))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "8\n"
    (said,) = ran.stderr.splitlines()
    assert said.startswith("code is compiled anew at each start")
    assert said.endswith("set NUMBA_CACHE_DIR to a folder that can")
