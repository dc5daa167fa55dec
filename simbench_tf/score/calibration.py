"""Calibration of attributions: from a base's score to the probability that it lies in a true site.

Fitted where the truth is known, by isotonic regression (Zadrozny & Elkan 2002): the probability never falls as the
score rises, and no other form is assumed. It holds for scores of the same method and of models that are as good, on
sequences like those it was fitted on; how far that carries over, `reliability` tells where there is truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from simbench_tf.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A step-free rising function from scores to probabilities.

    Attributes
    ----------
    scores : float64 array, shape (K,)
        Rising; |score| unless `sign` is "signed".
    probabilities : float64 array, shape (K,)
        At each of them; between two it is a straight line, beyond the ends it is level.
    sign : {"absolute", "signed"}
    """

    scores: Floats
    probabilities: Floats
    sign: Literal["absolute", "signed"] = "absolute"

    def predict(self, scores: npt.ArrayLike) -> Floats:
        """Probability that each base lies in a true site: float array of any shape -> float64 of that shape.

        NaN where a score is NaN.
        """
        return np.interp(_ranked(np.asarray(scores, np.float64), self.sign), self.scores, self.probabilities)


def calibrate(
    scores: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    sign: Literal["absolute", "signed"] = "absolute",
    min_group: int = 1,
) -> Calibration:
    """Fit probabilities of a true base to attributions where the truth is known.

    Parameters
    ----------
    scores : float array, shape (N, L)
        Or of any other shape; bases that are NaN are left out.
    mask : bool array of the same shape
        True where a base lies in a site.
    sign : {"absolute", "signed"}, default "absolute"
        Whether |attribution| tells, or the attribution with its sign.
    min_group : int, default 1
        Scores are taken in groups of so many, from the highest down, and no probability rests on fewer. Else the few
        highest scores of all, which happen to be right, promise that the next as high will be.

    Returns
    -------
    calibration : Calibration
        Its `predict(scores)` gives probabilities.

    Raises
    ------
    InputError
        The shapes differ, no base has a score, or `min_group` is below 1.

    Examples
    --------
    >>> calibration = calibrate([[0.0, 1.0, -1.0, 5.0]], [[False, True, False, True]])
    >>> calibration.predict([0.0, 1.0, -9.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    from sklearn.isotonic import IsotonicRegression

    scores, mask = np.asarray(scores, np.float64), np.asarray(mask, np.bool_)
    if scores.shape != mask.shape:
        raise InputError("mask", f"has shape {mask.shape}, the scores {scores.shape}", "give both for the same bases")
    if sign not in ("absolute", "signed"):
        raise InputError("sign", f"{sign!r} is not known", 'write "absolute" or "signed"')
    if min_group < 1:
        raise InputError("min_group", f"is {min_group}", "write 1 or more")
    known = ~np.isnan(scores)
    if not known.any():
        raise InputError("scores", "holds no number", "give attributions of at least one sequence")
    grouped = _groups(_ranked(scores[known], sign), mask[known], min_group)
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(*grouped)
    return Calibration(np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64), sign)


def reliability(
    probabilities: npt.ArrayLike,
    mask: npt.ArrayLike,
    n_bins: int = 10,
    *,
    sequences: npt.ArrayLike | None = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Hold stated probabilities against how often they are right, in bins of as many bases each.

    Parameters
    ----------
    probabilities : float array, shape (N, L)
        Bases that are NaN are left out.
    mask : bool array of the same shape
    n_bins : int, default 10
        Bases of one probability stay together, so there may be fewer.
    sequences : int array, optional
        Number of each base's sequence, of the same shape or one that broadcasts to it, as ``np.arange(N)[:, None]``.
        Bases of one site are true together: with it the interval is over resampled sequences.
    random_state : int, default 0
        Seed of the resampling.

    Returns
    -------
    pandas.DataFrame
        `predicted`, the mean probability of a bin, `observed`, the share of true bases, `low` and `high`, its 95%
        interval, and `n`, how many there are. Without `sequences` it is Wilson's, for bases that are independent: of a
        set of sites it is too narrow.

    Examples
    --------
    >>> table = reliability([0.1] * 10 + [0.9] * 10, [False] * 9 + [True] * 10 + [False], n_bins=2)
    >>> table[["predicted", "observed", "n"]].round(6).to_numpy().tolist()
    [[0.1, 0.1, 10.0], [0.9, 0.9, 10.0]]
    """
    stated, right = np.asarray(probabilities, np.float64), np.asarray(mask, np.bool_)
    known = ~np.isnan(stated)
    of_sequence = None if sequences is None else np.broadcast_to(np.asarray(sequences), stated.shape)[known]
    stated, right = stated[known], right[known]
    edges = np.zeros(0)
    if len(stated):
        edges = np.unique(np.quantile(stated, np.linspace(0, 1, n_bins + 1)[1:-1]))
    bins = np.searchsorted(edges, stated, side="left")
    table = pd.DataFrame({"bin": bins, "predicted": stated, "observed": right.astype(np.float64)})
    grouped = table.groupby("bin")
    found = grouped.mean().assign(n=grouped.size())
    if of_sequence is None:
        tests = [binomtest(round(row.observed * row.n), int(row.n)) for row in found.itertuples()]
        intervals = [test.proportion_ci(method="wilson") for test in tests]
        found = found.assign(low=[each.low for each in intervals], high=[each.high for each in intervals])
    else:
        low, high = zip(
            *(share_interval(right[bins == each], of_sequence[bins == each], random_state) for each in found.index),
            strict=True,
        )
        found = found.assign(low=low, high=high)
    return found[["predicted", "observed", "low", "high", "n"]].reset_index(drop=True)


def share_interval(right: npt.ArrayLike, sequences: npt.ArrayLike, random_state: int = 0) -> tuple[float, float]:
    """95% interval of a share, where what is counted comes in sequences: these are resampled, 1,000 times.

    Parameters
    ----------
    right : bool array, shape (n,)
    sequences : int array, shape (n,)
        Which sequence each is of.
    random_state : int

    Returns
    -------
    low, high : float
        NaN where there is nothing. Where all or none are right it is Wilson's, of as many as there are sequences.

    Examples
    --------
    >>> low, high = share_interval([True, True, False, False] * 50, np.repeat(np.arange(100), 2))
    >>> 0.39 < low < 0.42 and 0.58 < high < 0.61
    True
    """
    held, number = np.asarray(right, np.bool_), np.unique(np.asarray(sequences), return_inverse=True)[1]
    if not len(held):
        return np.nan, np.nan
    counts = np.bincount(number)
    if held.all() or not held.any():
        found = binomtest(len(counts) if held.all() else 0, len(counts)).proportion_ci(method="wilson")
        return float(found.low), float(found.high)
    weights = np.random.default_rng(random_state).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), 1000)
    shares = weights @ np.bincount(number, held) / (weights @ counts)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def _groups(
    scores: Floats, mask: npt.NDArray[np.bool_], min_group: int
) -> tuple[Floats, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean score, share of true bases and number of each group, from the highest score down; the last has the rest."""
    if min_group == 1:
        return scores, mask.astype(np.float64), np.ones(len(scores))
    order = np.argsort(-scores, kind="stable")
    n_groups = max(1, len(scores) // min_group)
    group = np.minimum(np.arange(len(scores)) // min_group, n_groups - 1)
    n = np.bincount(group).astype(np.float64)
    return np.bincount(group, scores[order]) / n, np.bincount(group, mask[order]) / n, n


def _ranked(scores: Floats, sign: str) -> Floats:
    return np.abs(scores) if sign == "absolute" else scores
