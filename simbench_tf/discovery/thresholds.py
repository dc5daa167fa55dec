"""Where to cut a list of scored calls: the threshold at which F1 is highest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.matching import best_matching
from simbench_tf.errors import InputError


class BestF1(NamedTuple):
    """The calls at or above a score have the highest F1.

    Attributes
    ----------
    threshold : float
        The lowest score that is kept; infinite where there is no call to keep, or none is right.
    f1 : float
        Of the calls kept: ``2 matched / (calls + sites)``; NaN where there is neither call nor site.
    """

    threshold: float
    f1: float


def best_f1(called: pd.DataFrame, sites: pd.DataFrame, overlap: float = 0.5) -> BestF1:
    """Find the threshold of the score at which calls have the highest F1.

    Parameters
    ----------
    called : DataFrame
        As in `score_instances`, with a score for each call (higher is surer).
    sites : DataFrame
        The true sites, as in `score_instances`.
    overlap : float, default .5
        As in `score_instances`.

    Returns
    -------
    BestF1
        Exact: each threshold's F1 is that of a maximum matching of the calls that it keeps. One matching of all calls
        tells them all, since it takes those of highest score first (see `matching`). Of thresholds that are as good the
        highest, which keeps the fewest calls.

    Raises
    ------
    InputError
        A call has no score.
    ValueError
        The tables are not as they should be.

    Examples
    --------
    >>> sites = pd.DataFrame({"row": [0, 0], "start": [10, 40], "end": [20, 50]})
    >>> called = pd.DataFrame({"row": 0, "start": [11, 60, 41], "end": [21, 70, 51], "score": [.9, .8, .7]})
    >>> best_f1(called, sites)
    BestF1(threshold=0.7, f1=0.8)
    """
    called, sites = checked_tables(called, sites)
    if called["score"].isna().any():
        raise InputError("called", "has calls without a score", "give each a number in a column score")
    right = np.zeros(len(called), bool)
    right[best_matching(called, sites, overlap).call] = True
    return best_threshold(called["score"].to_numpy(np.float64), right, len(sites))


def best_threshold(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], n_sites: int) -> BestF1:
    """The threshold of highest F1, from the score of each call and whether the best matching of all has it.

    Examples
    --------
    >>> best_threshold(np.array([.9, .8, .7]), np.array([True, False, True]), n_sites=2)
    BestF1(threshold=0.7, f1=0.8)
    """
    if not len(scores) + n_sites:
        return BestF1(np.inf, np.nan)
    if not right.any():
        return BestF1(np.inf, 0.0)
    order = np.argsort(-scores, kind="stable")
    ordered, matched = scores[order], np.cumsum(right[order])
    # calls of equal score are kept or dropped together
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    f1 = 2 * matched[last] / (last + 1 + n_sites)
    best = int(f1.argmax())
    return BestF1(float(ordered[last[best]]), float(f1[best]))


def f1_error(called: pd.DataFrame, sites: pd.DataFrame, right: npt.NDArray[np.bool_]) -> float:
    """Standard error of the F1 of some calls, for other sequences than these; NaN for less than two.

    F1 is a ratio of two sums over sequences, 2 x matched and calls + sites, so its error follows from how far each
    sequence's numerator is from its denominator's share (the delta method).

    Parameters
    ----------
    called, sites : DataFrame
        With row, as `calls.checked_tables` gives them; the calls that are kept.
    right : bool array, shape (number of calls,)

    References
    ----------
    Cochran, Sampling Techniques (1977), section 2.11.

    Examples
    --------
    >>> sites = pd.DataFrame({"row": [0, 1]})
    >>> f1_error(sites, sites, np.array([True, True])), f1_error(sites, sites, np.array([True, False]))
    (0.0, 0.5)
    """
    rows = np.concatenate([called["row"], sites["row"]])
    known, place = np.unique(rows, return_inverse=True)
    if len(known) < 2:
        return np.nan
    size = np.bincount(place)
    matched = np.bincount(place[: len(called)][right], minlength=len(known))
    ratio = 2 * matched.sum() / size.sum()
    apart = 2 * matched - ratio * size
    return float(np.sqrt((apart**2).sum() * len(known) / (len(known) - 1)) / size.sum())
