"""Where to cut a list of scored calls: the threshold at which F1 is highest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
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
    if not len(called) + len(sites):
        return BestF1(np.inf, np.nan)
    right = np.zeros(len(called), bool)
    right[best_matching(called, sites, overlap).call] = True
    if not right.any():
        return BestF1(np.inf, 0.0)
    order = np.argsort(-called["score"].to_numpy(np.float64), kind="stable")
    scores, matched = called["score"].to_numpy(np.float64)[order], np.cumsum(right[order])
    # calls of equal score are kept or dropped together
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    f1 = 2 * matched[last] / (last + 1 + len(sites))
    best = int(f1.argmax())
    return BestF1(float(scores[last[best]]), float(f1[best]))
