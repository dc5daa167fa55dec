"""A classifier of k-mer counts: what is known of labels by who counts short words and knows no network.

Where no exact posterior is known, a network that does no better has learnt little that methods could explain.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simbench_tf.score.null_scores import word_numbers

Bases = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer]

#: Inverse strength of the ridge penalty on standardised counts: a word's weight is some .03, that of all 512 some .7.
_C = 0.001
#: Sequences counted at once.
_PIECE = 2_000


def kmer_counts(bases: Bases, k: int) -> npt.NDArray[np.float32]:
    """Count words of k bases, each together with its reverse complement.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
        0-3 for A, C, G, T and 4 for N; words with an N do not count.
    k : int
        Not above 8.

    Returns
    -------
    float32 array, shape (N, W)
        A column for each word that is not above its reverse complement, in alphabetical order: 512 of 5 bases.

    Examples
    --------
    AA and TT are one word, as are AC and GT; the others of AATC are AT, its own, and TC with GA:

    >>> kmer_counts(np.array([[0, 0, 3, 1]], np.uint8), 2).tolist()  # AA AC AG AT CA CC CG GA GC TA
    [[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    """
    column, n_words = _columns(k)
    counts = np.zeros((len(bases), n_words), np.float32)
    for first in range(0, len(bases), _PIECE):
        words = word_numbers(np.ascontiguousarray(bases[first : first + _PIECE]), k)
        rows, places = np.nonzero(words < 4**k)
        cells = rows * n_words + column[words[rows, places]]
        counts[first : first + _PIECE] = np.bincount(cells, minlength=len(words) * n_words).reshape(-1, n_words)
    return counts


def kmer_auroc(train: Bases, train_labels: Labels, test: Bases, test_labels: Labels, k: int) -> float:
    """The auROC on test sequences of a logistic regression on k-mer counts, trained on others.

    Parameters
    ----------
    train, test : uint8 array, shape (N, L) and (M, L)
        As in `kmer_counts`.
    train_labels, test_labels : int array, shape (N,) and (M,)
        0 or 1.
    k : int

    Returns
    -------
    float
        NaN where the training or the test sequences have fewer than two classes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bases, labels = rng.integers(4, size=(400, 50)).astype(np.uint8), np.arange(400) % 2
    >>> bases[labels == 1, 20:24] = [2, 0, 3, 0]  # GATA
    >>> kmer_auroc(bases[:200], labels[:200], bases[200:], labels[200:], 4) > .8
    True
    """
    if len(np.unique(train_labels)) < 2 or len(np.unique(test_labels)) < 2:
        return math.nan
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_C, max_iter=1_000))
    model.fit(kmer_counts(train, k).astype(np.float64), train_labels)
    return float(roc_auc_score(test_labels, model.decision_function(kmer_counts(test, k).astype(np.float64))))


def _columns(k: int) -> tuple[npt.NDArray[np.int64], int]:
    """The column of each of the 4^k words, and how many columns there are."""
    words, reverse = np.arange(4**k), np.zeros(4**k, np.int64)
    for place in range(k):
        reverse = 4 * reverse + (3 - words // 4**place % 4)
    kept, column = np.unique(np.minimum(words, reverse), return_inverse=True)
    return column.astype(np.int64), len(kept)
