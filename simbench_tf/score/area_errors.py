"""Standard errors of areas under ROC and precision-recall curves: how far another sample would give other values."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from simbench_tf.compiled import njit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class AreaErrors(NamedTuple):
    """Standard errors of the area under the ROC curve and of average precision; NaN where they are not defined."""

    auroc_se: float
    auprc_se: float


def area_errors(values: npt.ArrayLike, truth: Bools, n_resamples: int = 500, random_state: int = 0) -> AreaErrors:
    """Standard errors of auROC and average precision of independent values, such as predictions of sequences.

    Parameters
    ----------
    values : float array, shape (n,)
        Higher for what is likelier to be true.
    truth : bool array, shape (n,)
    n_resamples : int, default 500
        Of the bootstrap, for average precision.
    random_state : int, default 0
        The same seed and values give the same errors.

    Returns
    -------
    AreaErrors
        NaN where fewer than two values are true, or fewer than two are not.

    Notes
    -----
    That of auROC is DeLong's: it is the mean over (true, false) pairs of which is higher, and each value's share in
    that is one observation. Average precision has no such form: its error is the standard deviation over resamples of
    the values with replacement.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson, Biometrics 44:837 (1988).

    Examples
    --------
    >>> errors = area_errors([.1, .4, .35, .8], np.array([False, False, True, True]))
    >>> round(errors.auroc_se, 3)
    0.354
    """
    values = np.asarray(values, np.float64)
    if values.shape != truth.shape or values.ndim != 1:
        raise ValueError(f"need values and truth of one shape (n,), not {values.shape} and {truth.shape}")
    if min(truth.sum(), (~truth).sum()) < 2:
        return AreaErrors(math.nan, math.nan)
    _, auprc_se = _bootstrap_errors(values, truth, np.arange(len(values)), n_resamples, random_state)
    return AreaErrors(_delong_error(values, truth), auprc_se)


def pooled_errors(
    scores: npt.NDArray[np.floating],
    mask: Bools,
    n_resamples: int = 500,
    random_state: int = 0,
    signed: bool = False,
) -> dict[str, float]:
    """Standard errors of `pooled_scores`, with the sequence as what is drawn at random.

    Parameters
    ----------
    scores : float array, shape (N, L)
    mask : bool array, shape (N, L)
        As in `score_attributions`.
    n_resamples : int, default 500
        Of the bootstrap over sequences.
    random_state : int, default 0
    signed : bool, default False
        Rank bases by the attribution itself, and not by |attribution|.

    Returns
    -------
    errors : dict
        `pooled_auroc_se` and `pooled_auprc_se`; NaN for fewer than two sequences, or where the mask is all true or all
        false.

    Examples
    --------
    >>> mask = np.array([[True, False]] * 3)
    >>> pooled_errors(np.array([[2., 1.], [2., 1.], [2., 1.]]), mask)["pooled_auroc_se"]
    0.0
    """
    if scores.shape != mask.shape or scores.ndim != 2:
        raise ValueError(f"scores and mask must have one shape (N, L), not {scores.shape} and {mask.shape}")
    if len(scores) < 2 or mask.all() or not mask.any():
        return {"pooled_auroc_se": math.nan, "pooled_auprc_se": math.nan}
    sequences = np.repeat(np.arange(len(scores)), scores.shape[1])
    values = np.asarray(scores, np.float64).ravel()
    auroc_se, auprc_se = _bootstrap_errors(
        values if signed else np.abs(values), mask.ravel(), sequences, n_resamples, random_state
    )
    return {"pooled_auroc_se": auroc_se, "pooled_auprc_se": auprc_se}


def _delong_error(values: Floats, truth: Bools) -> float:
    """Each value's placement among those of the other class has the variance of auROC in it."""
    n_true, n_false = int(truth.sum()), int((~truth).sum())
    ranks = rankdata(values)
    # how many of the other class are below, ties counting half
    below_true = (ranks[truth] - rankdata(values[truth])) / n_false
    below_false = (ranks[~truth] - rankdata(values[~truth])) / n_true
    return math.sqrt(below_true.var(ddof=1) / n_true + below_false.var(ddof=1) / n_false)


def _bootstrap_errors(
    values: Floats, truth: Bools, clusters: npt.NDArray[np.int64], n_resamples: int, random_state: int
) -> tuple[float, float]:
    """Standard deviations of both areas over resamples of the clusters, those of one class left out."""
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.inf) != 0)
    sorted_truth, sorted_clusters = truth[order], clusters[order]
    n_clusters = int(clusters.max()) + 1
    rng = np.random.default_rng(random_state)
    areas = np.empty((n_resamples, 2))
    for resample in range(n_resamples):
        counts = np.bincount(rng.integers(n_clusters, size=n_clusters), minlength=n_clusters)
        areas[resample] = weighted_areas(sorted_truth, starts, counts[sorted_clusters])
    defined = areas[~np.isnan(areas[:, 0])]
    if len(defined) < 2:
        return math.nan, math.nan
    auroc_se, auprc_se = defined.std(axis=0, ddof=1)
    return float(auroc_se), float(auprc_se)


@njit()
def weighted_areas(truth: Bools, starts: npt.NDArray[np.int64], weights: npt.NDArray[np.int64]) -> tuple[float, float]:
    """As `metrics.areas` of sorted values, of which each occurs as often as its weight says.

    Parameters
    ----------
    truth : bool array, shape (n,)
        From the highest value down.
    starts : int64 array
        Where each group of equal values starts, from 0.
    weights : int64 array, shape (n,)

    Examples
    --------
    >>> weighted_areas(np.array([True, False, True]), np.arange(3), np.array([1, 1, 1]))
    (0.5, 0.8333333333333333)
    """
    n_true = n_all = np.int64(0)
    for number in range(truth.size):
        n_all += weights[number]
        n_true += weights[number] * truth[number]
    n_false = n_all - n_true
    if n_true == 0 or n_false == 0:
        return np.nan, np.nan
    found = taken = pairs = np.int64(0)
    average_precision = 0.0
    for group in range(starts.size):
        past = starts[group + 1] if group + 1 < starts.size else truth.size
        new = others = np.int64(0)
        for number in range(starts[group], past):
            if truth[number]:
                new += weights[number]
            else:
                others += weights[number]
        pairs += new * (2 * (n_false - (taken - found) - others) + others)
        found += new
        taken += new + others
        if taken > 0:
            average_precision += new * (found / taken)
    return pairs / (2.0 * n_true * n_false), average_precision / n_true
