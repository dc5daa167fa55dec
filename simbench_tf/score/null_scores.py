"""Null scores: attributions that know no model, from positions and short words of the training sequences alone.

A method that scores no better than these has found nothing of the model: where true sites lie in the sequence, and
which letters they hold, are known without one. (`simbench_tf.motifs.scan_scores` knows the true motifs, too.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit

Bases = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]


def position_scores(train_mask: Bools, n_sequences: int) -> Scores:
    """P(true | position), the share of training sequences whose base there is true, the same for every sequence.

    Parameters
    ----------
    train_mask : bool, shape (N, L)
        True bases of the training sequences.
    n_sequences : int
        M, how many sequences to score.

    Returns
    -------
    float32, shape (M, L)

    Examples
    --------
    >>> position_scores(np.array([[False, True, True], [False, False, True]]), 2).tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]
    """
    if train_mask.ndim != 2 or not len(train_mask):
        raise ValueError(f"need the mask (N, L) of some training sequences, not one of shape {train_mask.shape}")
    share = train_mask.mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.tile(share, (n_sequences, 1))


def kmer_scores(train_bases: Bases, train_mask: Bools, bases: Bases, k: int = 3) -> Scores:
    """P(true | k-mer about a base): how often the middle base of that word is true in the training sequences.

    One more of each word, true as often as any base, is added, so that a rare word is near the average. A base whose
    word leaves the sequence or holds an N has the average.

    Parameters
    ----------
    train_bases : uint8, shape (N, L)
        Training sequences, 0-3 for A, C, G, T and 4 for N.
    train_mask : bool, shape (N, L)
        Their true bases.
    bases : uint8, shape (M, L')
        Sequences to score.
    k : int, default 3
        Odd; the base is the middle one of its word.

    Returns
    -------
    float32, shape (M, L')

    Examples
    --------
    In CAC the A is true, in GAG it is not; of all 6 bases one is true:

    >>> train_bases, train_mask = np.array([[1, 0, 1], [2, 0, 2]], np.uint8), np.zeros((2, 3), bool)
    >>> train_mask[0, 1] = True
    >>> kmer_scores(train_bases, train_mask, np.array([[1, 0, 1, 1]], np.uint8)).astype(float).round(3).tolist()
    [[0.167, 0.583, 0.167, 0.167]]
    """
    if k < 1 or k % 2 == 0:
        raise ValueError(f"k must be odd, so that a word has a middle base, not {k}")
    if train_bases.shape != train_mask.shape or not train_bases.size:
        raise ValueError(f"need training bases and mask of one shape, not {train_bases.shape} and {train_mask.shape}")
    average = float(train_mask.mean(dtype=np.float64))
    words = word_numbers(train_bases, k).ravel()
    seen = np.bincount(words, minlength=4**k + 1)[:-1]
    true = np.bincount(words, train_mask.ravel(), minlength=4**k + 1)[:-1]
    share = np.append((true + average) / (seen + 1), average)
    return share.astype(np.float32)[word_numbers(bases, k)]


def kmer_position_scores(train_bases: Bases, train_mask: Bools, bases: Bases, k: int = 3) -> Scores:
    """P(true | k-mer) x P(true | position): the best guess from where a base lies and which letters are beside it.

    Parameters and errors are those of `kmer_scores`; all sequences have one length. ``k=3`` and ``k=5`` are the usual
    nulls.

    Returns
    -------
    float32, shape (M, L)
    """
    if bases.shape[1:] != train_mask.shape[1:]:
        raise ValueError(f"training sequences have {train_mask.shape[1]} bases, those to score {bases.shape[1]}")
    return kmer_scores(train_bases, train_mask, bases, k) * position_scores(train_mask, len(bases))


@njit()
def word_numbers(bases: Bases, k: int) -> npt.NDArray[np.int64]:
    """Number of the word about each base, 4 ** k where it leaves the sequence or holds an N, int64 (M, L).

    Of an even k the base is the first of the word's second half.
    """
    words = np.full(bases.shape, 4**k, np.int64)
    for row in range(bases.shape[0]):
        word, known = 0, 0
        for position in range(bases.shape[1]):
            known = known + 1 if bases[row, position] < 4 else 0
            word = (word * 4 + (bases[row, position] & 3)) % 4**k
            if known >= k:
                words[row, position - k // 2] = word
    return words
