"""Interacting pairs of bases: does a dependency map rank the pairs that a rule ties together above all others?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.score.metrics import areas

Bools = npt.NDArray[np.bool_]


class PairTruth(NamedTuple):
    """The pairs of bases of a window: bool (W, W), the upper triangle.

    Attributes
    ----------
    true : bool (W, W)
        Pairs that interact.
    counted : bool (W, W)
        These, and those that do not; what is left is left out of account.
    """

    true: Bools
    counted: Bools


class PairScore(NamedTuple):
    """How well a map ranks the pairs of one sequence; NaN where it has no true pair, or no other.

    Attributes
    ----------
    average_precision : float
        Of the true pairs among those that count, from the strongest down.
    chance : float
        Share of true pairs.
    true_strength, other_strength : float
        Mean strength of true pairs, and of the others.
    """

    average_precision: float
    chance: float
    true_strength: float
    other_strength: float


def pair_truth(
    starts: npt.ArrayLike,
    ends: npt.ArrayLike,
    elements: Sequence[str],
    interacting: Collection[tuple[str, str]],
    window: tuple[int, int],
) -> PairTruth:
    """Work out which pairs of a window's bases interact, by the sites of a sequence.

    A pair is true where its bases lie in sites of two elements that interact. Left out of account are pairs within one
    site, in sites that overlap, and in sites of one element: the halves of a spaced pair, and copies that stand in for
    each other, do depend on each other, though no rule names them twice. All other pairs count as not interacting.

    Parameters
    ----------
    starts, ends : int, shape (S,)
        All sites of the sequence, half-open.
    elements : sequence of S str
        The element that each is of.
    interacting : collection of (str, str)
        Elements that interact, in either order.
    window : (int, int)
        Its first base and the one after its last.

    Examples
    --------
    >>> truth = pair_truth([0, 3], [2, 4], ["A", "B"], {("B", "A")}, (0, 5))
    >>> np.argwhere(truth.true).tolist(), int(truth.counted.sum())  # of 10 pairs, one within a site
    ([[0, 3], [1, 3]], 9)
    """
    first, last = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    bases = np.arange(*window)
    inside = ((bases >= first[:, None]) & (bases < last[:, None])).astype(np.int32)
    overlap = (first[:, None] < last) & (first < last[:, None])
    of_one, named = np.zeros_like(overlap), np.zeros_like(overlap)
    for (i, one), (j, other) in itertools.product(enumerate(elements), repeat=2):
        of_one[i, j] = one == other
        named[i, j] = (one, other) in interacting or (other, one) in interacting
    left_out = inside.T @ (of_one | overlap).astype(np.int32) @ inside > 0
    counted = np.triu(~left_out, 1)
    return PairTruth(counted & (inside.T @ named.astype(np.int32) @ inside > 0), counted)


def pair_score(strengths: npt.NDArray[np.floating], truth: PairTruth) -> PairScore:
    """Measure how well the strengths of pairs, (W, W) and symmetric, rank the true ones; ties are one threshold.

    Raises
    ------
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> truth = pair_truth([0, 2], [1, 3], ["A", "B"], {("A", "B")}, (0, 3))
    >>> strengths = np.array([[0., 1., 3.], [1., 0., 2.], [3., 2., 0.]])
    >>> tuple(round(value, 3) for value in pair_score(strengths, truth))
    (1.0, 0.333, 3.0, 1.5)
    """
    if strengths.shape != truth.true.shape:
        raise ValueError(f"strengths have shape {strengths.shape}, the truth {truth.true.shape}")
    values, true = strengths[truth.counted].astype(np.float64), truth.true[truth.counted]
    if true.all() or not true.any():
        return PairScore(math.nan, math.nan, math.nan, math.nan)
    order = np.argsort(-values, kind="stable")
    _, average_precision = areas(values[order], true[order])
    return PairScore(average_precision, float(true.mean()), float(values[true].mean()), float(values[~true].mean()))


def mean_pair_score(scores: Sequence[PairScore]) -> dict[str, float]:
    """Means over the sequences that have a true pair and another.

    Returns
    -------
    dict
        `n_sequences`, `average_precision` and its standard error `average_precision_se`, `chance`, and
        `strength_ratio`, the mean strength of true pairs over that of the others (sequences count the same in both).
        NaN where there is no such sequence; the error, where there is one; the ratio, where all others have none.

    Examples
    --------
    >>> mean_pair_score([PairScore(1.0, .25, 3.0, 1.0), PairScore(.5, .25, 1.0, 1.0)])
    {'n_sequences': 2, 'average_precision': 0.75, 'average_precision_se': 0.25, 'chance': 0.25, 'strength_ratio': 2.0}
    """
    values = np.array(scores, np.float64).reshape(-1, len(PairScore._fields))
    values = values[~np.isnan(values[:, 0])]
    n = len(values)
    precision, chance, true, other = values.mean(axis=0).tolist() if n else [math.nan] * 4
    error = float(values[:, 0].std(ddof=1) / np.sqrt(n)) if n > 1 else math.nan
    return {
        "n_sequences": n,
        "average_precision": precision,
        "average_precision_se": error,
        "chance": chance,
        "strength_ratio": true / other if other else math.nan,
    }
