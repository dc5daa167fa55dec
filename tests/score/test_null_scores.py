"""Scores that know no model: by plain loops, by hand, and on sequences with planted sites."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from simbench_tf.dna import encode
from simbench_tf.motifs import Motif, scan, scan_scores
from simbench_tf.score import kmer_position_scores, kmer_scores, pooled_scores, position_scores


def plain_kmer_scores(train_bases, train_mask, bases, k):
    half, average = k // 2, train_mask.mean()
    words = {}
    for row, mask in zip(train_bases.tolist(), train_mask, strict=True):
        for at in range(half, len(row) - half):
            words.setdefault(tuple(row[at - half : at + half + 1]), []).append(mask[at])
    scores = np.full(bases.shape, average)
    for number, row in enumerate(bases.tolist()):
        for at in range(half, len(row) - half):
            word = tuple(row[at - half : at + half + 1])
            if 4 not in word:
                there = words.get(word, [])
                scores[number, at] = (sum(there) + average) / (len(there) + 1)
    return scores


@settings(max_examples=60)
@given(st.data(), st.sampled_from([1, 3, 5]))
def test_word_scores_equal_a_plain_loop(data, k):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 12)))
    train_bases = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 4)))
    train_mask = data.draw(arrays.arrays(np.bool_, shape))
    bases = data.draw(arrays.arrays(np.uint8, (3, shape[1]), elements=st.integers(0, 4)))
    expected = plain_kmer_scores(train_bases, train_mask, bases, k)
    np.testing.assert_allclose(kmer_scores(train_bases, train_mask, bases, k), expected, rtol=1e-6)
    together = kmer_position_scores(train_bases, train_mask, bases, k)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, expected * train_mask.mean(axis=0), rtol=1e-6, atol=1e-12)


def test_positions_by_hand():
    mask = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0]], bool)
    assert position_scores(mask, 2).tolist() == [[1, 0.5, 0, 0.5]] * 2


def planted(rng, n, words, length=60):
    """Random bases; each sequence holds a word with its first base between 20 and 30. And the mask of the words."""
    bases, mask = rng.integers(4, size=(n, length)).astype(np.uint8), np.zeros((n, length), bool)
    for row in range(n):
        start, word = rng.integers(20, 31), words[rng.integers(len(words))]
        bases[row, start : start + len(word)] = encode(word)[0]
        mask[row, start : start + len(word)] = True
    return bases, mask


def test_what_each_null_knows_of_planted_sites():
    rng = np.random.default_rng(1)
    words = ["TGACTCAT", "GGGCGGGG"]
    (train_bases, train_mask), (bases, mask) = planted(rng, 3000, words), planted(rng, 1000, words)
    auprc = {
        "chance": mask.mean(),
        "position": pooled_scores(position_scores(train_mask, 1000), mask)["pooled_auprc"],
        "3-mer": pooled_scores(kmer_position_scores(train_bases, train_mask, bases), mask)["pooled_auprc"],
        "5-mer": pooled_scores(kmer_position_scores(train_bases, train_mask, bases, k=5), mask)["pooled_auprc"],
        "scan": pooled_scores(
            scan_scores(bases, [Motif(word, word, np.eye(4)[encode(word)[0]], 100.0) for word in words]), mask
        )["pooled_auprc"],
    }
    # each knows more than the one before: where sites are, their letters, more of their letters, the whole site
    values = list(auprc.values())
    assert all(right > left + 0.005 for left, right in itertools.pairwise(values)), auprc
    assert auprc["scan"] > 0.98
    # sites start at 20 to 30: a base at position p is true if a start lies in p - 7 ... p
    p = np.arange(60)
    starts = np.maximum(0, np.minimum(p, 30) - np.maximum(p - 7, 20) + 1)
    np.testing.assert_allclose(position_scores(train_mask, 1)[0], starts / 11, atol=0.04)


def test_the_best_hit_of_a_base_is_that_of_a_full_scan():
    rng = np.random.default_rng(2)
    bases = rng.integers(5, size=(6, 40)).astype(np.uint8)
    bases[rng.random(bases.shape) < 0.8] %= 4
    motifs = [Motif(f"M{width}", "T", rng.dirichlet([0.3] * 4, size=width), 50.0) for width in (4, 6)]
    background = [0.3, 0.2, 0.1, 0.4]
    best = np.full(bases.shape, -np.inf)
    for hit in scan(bases, motifs, 1.0, background).itertuples():
        best[hit.row, hit.start : hit.end] = np.maximum(best[hit.row, hit.start : hit.end], hit.score)
    assert np.isfinite(best).any()
    assert np.isinf(best).any()
    np.testing.assert_allclose(scan_scores(bases, motifs, background), np.log2(1 + 2.0**best), rtol=1e-5)
    assert (scan_scores(bases[:, :3], motifs) == 0).all(), "no window fits"


def test_misuse_is_told():
    mask, bases = np.zeros((2, 4), bool), np.zeros((2, 4), np.uint8)
    with pytest.raises(ValueError, match="k must be odd"):
        kmer_scores(bases, mask, bases, k=4)
    with pytest.raises(ValueError, match="of one shape"):
        kmer_scores(bases, mask[:, 1:], bases)
    with pytest.raises(ValueError, match="have 4 bases, those to score 3"):
        kmer_position_scores(bases, mask, bases[:, 1:])
    with pytest.raises(ValueError, match="some training sequences"):
        position_scores(mask[:0], 1)
    with pytest.raises(ValueError, match="bases must be uint8"):
        scan_scores(bases.astype(int), [])
