"""Calibration of callers: the false discovery rate that they state against the true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import false_discovery_control

from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.matching import best_matching
from simbench_tf.score.significance import mean_and_error

#: Stated rates at which the true one is looked up.
STATED = (0.01, 0.05, 0.1, 0.2, 0.5)


def stated_fdr(called: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """The false discovery rate at which a caller would still make each call; None where it states none.

    Parameters
    ----------
    called : DataFrame
        With a column qvalue, which is taken as it is; or pvalue, from which Benjamini and Hochberg's q-values follow.
        Of a table that holds only what passed a threshold these are too low, since the tests that failed are not known.

    Returns
    -------
    float array, shape (number of calls,), or None

    Raises
    ------
    ValueError
        A value is missing or not between 0 and 1.

    Examples
    --------
    >>> stated_fdr(pd.DataFrame({"pvalue": [.01, .04, .03, .9]})).round(3).tolist()
    [0.04, 0.053, 0.053, 0.9]
    """
    name = next((each for each in ("qvalue", "pvalue") if each in called), None)
    if name is None:
        return None
    values = called[name].to_numpy(np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"the column {name} must hold numbers between 0 and 1")
    if name == "qvalue":
        return values
    return np.asarray(false_discovery_control(values))


def fdr_curve(
    called: pd.DataFrame, sites: pd.DataFrame, stated: Sequence[float] = STATED, *, overlap: float = 0.5
) -> pd.DataFrame:
    """True false discovery rate of the calls at or below each stated one.

    Parameters
    ----------
    called, sites : DataFrame
        As in `score_instances`; `called` with a column qvalue or pvalue (`stated_fdr`).
    stated : sequence of float
        Thresholds.
    overlap : float, default .5
        As in `score_instances`.

    Returns
    -------
    DataFrame
        Columns stated; n_called, the calls at or below it; true_fdr, the share of them that match no site, NaN where
        there is no call; true_fdr_se, its standard error with the sequence as what is drawn at random.

    Raises
    ------
    ValueError
        The caller states no rate, or the tables are not as they should be.

    Examples
    --------
    >>> sites = pd.DataFrame({"row": [0, 1, 2], "start": 5, "end": 15})
    >>> called = pd.DataFrame({"row": [0, 1, 2], "start": [5, 5, 40], "end": [15, 15, 50], "qvalue": [.01, .04, .2]})
    >>> fdr_curve(called, sites, [.05, .2])[["stated", "n_called", "true_fdr"]].round(2).values.tolist()
    [[0.05, 2.0, 0.0], [0.2, 3.0, 0.33]]
    """
    checked, true = checked_tables(called, sites)
    rates = stated_fdr(checked)
    if rates is None:
        raise ValueError("called has no column qvalue or pvalue")
    lines = []
    for rate in stated:
        kept = checked[rates <= rate].reset_index(drop=True)
        wrong = np.ones(len(kept))
        wrong[best_matching(kept, true, overlap).call] = 0
        share, error = mean_and_error(wrong, kept["row"].to_numpy()) if len(kept) else (np.nan, np.nan)
        lines.append((rate, len(kept), share, error))
    return pd.DataFrame(lines, columns=["stated", "n_called", "true_fdr", "true_fdr_se"])
