"""The classifier of k-mers: counts by a plain loop, an auROC worked out apart, and what it can and cannot know."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from simbench_tf.score.kmer_classifier import kmer_auroc, kmer_counts

LETTERS = "ACGTN"


def plain_counts(texts, k):
    words = ["".join(word) for word in itertools.product("ACGT", repeat=k)]
    turned = {word: word[::-1].translate(str.maketrans("ACGT", "TGCA")) for word in words}
    kept = [word for word in words if word <= turned[word]]
    return [
        [sum(text[i : i + k] in (word, turned[word]) for i in range(len(text) - k + 1)) for word in kept]
        for text in texts
    ]


@given(st.lists(st.text(LETTERS, min_size=9, max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_counts_are_those_of_a_plain_loop_and_of_either_strand(texts, k):
    bases = np.array([[LETTERS.index(letter) for letter in text] for text in texts], np.uint8)
    assert kmer_counts(bases, k).tolist() == plain_counts(texts, k)
    other = np.where(bases < 4, 3 - bases.astype(int), 4).astype(np.uint8)[:, ::-1]
    np.testing.assert_array_equal(kmer_counts(other, k), kmer_counts(bases, k))


def test_of_many_sequences_pieces_are_put_together_and_short_ones_have_no_word():
    bases = np.random.default_rng(0).integers(5, size=(4_100, 12)).astype(np.uint8)
    counts = kmer_counts(bases, 5)
    assert counts.shape == (4_100, 512)
    for row in (0, 1_999, 2_000, 4_099):
        np.testing.assert_array_equal(counts[row], kmer_counts(bases[row : row + 1], 5)[0])
    assert kmer_counts(bases[:3, :4], 5).sum() == 0


def planted(rng, n, word, share):
    """Random sequences of 100 bases; a share of those with the label holds the word, on either strand."""
    bases, labels = rng.integers(4, size=(n, 100)).astype(np.uint8), np.arange(n) % 2
    for row in np.flatnonzero((labels == 1) & (rng.random(n) < share)):
        at = rng.integers(100 - len(word))
        bases[row, at : at + len(word)] = word if row % 4 == 1 else [3 - base for base in word[::-1]]
    return bases, labels


def test_its_auroc_is_that_of_a_ridge_logistic_regression():
    rng = np.random.default_rng(1)
    train, test = planted(rng, 600, [2, 0, 3, 0, 0], 0.8), planted(rng, 300, [2, 0, 3, 0, 0], 0.8)
    known, new = (kmer_counts(bases, 3).astype(float) for bases, _ in (train, test))
    centre, spread = known.mean(axis=0), known.std(axis=0)
    model = LogisticRegression(C=0.001, max_iter=5_000, tol=1e-8).fit((known - centre) / spread, train[1])
    right = roc_auc_score(test[1], (new - centre) @ (model.coef_[0] / spread))
    assert kmer_auroc(*train, *test, 3) == pytest.approx(right, abs=0.002)
    assert kmer_auroc(*train, *test, 3) == kmer_auroc(*train, *test, 3)


def test_it_finds_words_of_its_length_and_nothing_in_labels_by_chance():
    rng = np.random.default_rng(2)
    # of 4,000: a word in 60% of positives and by chance in 17% of all is found in part
    found = kmer_auroc(*planted(rng, 4_000, [1, 0, 2, 2, 3], 0.6), *planted(rng, 2_000, [1, 0, 2, 2, 3], 0.6), 5)
    assert 0.68 < found < 0.8
    # the standard error is .013: three of them
    nothing = kmer_auroc(*planted(rng, 4_000, [1, 0, 2, 2, 3], 0), *planted(rng, 2_000, [1, 0, 2, 2, 3], 0), 5)
    assert abs(nothing - 0.5) < 0.039


def test_one_class_has_no_auroc():
    bases, labels = planted(np.random.default_rng(3), 20, [0], 0)
    for train, test in ((labels * 0, labels), (labels, labels * 0 + 1), (labels[:0], labels)):
        assert np.isnan(kmer_auroc(bases[: len(train)], train, bases, test, 2))


@pytest.mark.slow
def test_of_as_many_sequences_as_it_takes_it_needs_seconds():
    rng = np.random.default_rng(4)
    bases, labels = rng.integers(4, size=(20_000, 400)).astype(np.uint8), np.arange(20_000) % 2
    start = time.process_time()
    kmer_auroc(bases, labels, bases[:5_000], labels[:5_000], 5)
    assert time.process_time() - start < 60
