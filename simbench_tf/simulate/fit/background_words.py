"""The background of a fit, counted in words: those of the sequences that no site covers, in each kind of stretch.

Without stretches words of both strands are added up, so that a background is its own reverse complement. With them both
strands are read, since the kind that a stretch is of, as one rich in A, may be another on the other strand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simbench_tf.simulate.fit.stretches import stretch_posterior, table_of_words
from simbench_tf.simulate.grammar.background import Backgrounds, one_background

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def background_words(bases: Bases, order: int, occupancy: Floats, stretches: Backgrounds | None = None) -> Floats:
    """Expected words of which no base lies in a site.

    Parameters
    ----------
    bases : uint8 (N, L)
    order : int
        Of the background.
    occupancy : float64 (N, L)
        P(base lies in a site).
    stretches : Backgrounds, optional
        The kinds by which stretches are told apart, Z of them.

    Returns
    -------
    words : float64 (Z x 4 ** (order + 1),)
        Words of `order` + 1 bases, numbered as digits of base 4, of one kind after the other; without stretches Z = 1.
    """
    codes, free = _outside(bases, order, occupancy)
    n_words = 4 ** (order + 1)
    if stretches is None:
        return np.bincount(codes.ravel(), free.ravel(), minlength=n_words).astype(np.float64)
    counts = np.zeros((len(stretches.weights), n_words))
    other = 3 - bases[:, ::-1]
    both = [(bases, codes, free), (other, *_outside(other, order, occupancy[:, ::-1]))]
    for strand, words, outside in both:
        # of the kind that the word's last base is of
        of_kind = stretch_posterior(stretches, strand)[:, order:]
        for kind in range(len(counts)):
            weights = (outside * of_kind[..., kind]).ravel()
            counts[kind] += np.bincount(words.ravel(), weights, minlength=n_words)
    return counts.ravel()


def backgrounds_of_words(words: Floats, stretches: Backgrounds | None = None) -> Backgrounds:
    """The background that words of `background_words` are of."""
    if stretches is None:
        return one_background(counted_background(words))
    of_kinds = words.reshape(len(stretches.weights), -1)
    return stretches._replace(tables=np.stack([table_of_words(each) for each in of_kinds]))


def counted_background(words: Floats) -> Floats:
    """P(base | the k bases before) from counts of words of k + 1 bases, both strands together, float64 (4 ** k, 4).

    One word of each kind is added, so that none is impossible.

    Examples
    --------
    Four times AA on one strand are four times TT on the other:

    >>> counted_background(np.array([4.0] + [0] * 15))[[0, 3]].tolist()
    [[0.625, 0.125, 0.125, 0.125], [0.125, 0.125, 0.125, 0.625]]
    """
    by_base = words.reshape((4,) * (words.size.bit_length() // 2))
    # the complement of every base, in the other order
    counts = (by_base + np.flip(by_base).T + 1).reshape(-1, 4)
    return counts / counts.sum(axis=1, keepdims=True)


def _outside(bases: Bases, order: int, occupancy: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Each word's code and P(no base of it lies in a site), (N, L - order).

    Of neighbours, the one that is most often covered is nearly always covered when another one is.
    """
    stretch = bases.shape[1] - order
    codes, covered = np.zeros((len(bases), stretch), np.int64), np.zeros((len(bases), stretch))
    for offset in range(order + 1):
        codes = 4 * codes + bases[:, offset : offset + stretch]
        covered = np.maximum(covered, occupancy[:, offset : offset + stretch])
    return codes, 1 - covered
