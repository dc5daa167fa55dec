"""Statistics of comparing methods: errors, bootstrap intervals, paired tests, mean ranks and sources of spread.

All methods attribute the same sequences, so they are compared sequence by sequence. Of one network, as here, the
sequence is what is drawn at random; where a model was trained from several seeds the training is, too
(`score.between_models`). A *table* here is a DataFrame of one metric, higher is better: one row per sequence, one
column per method. Sequences without a value for some method are left out, so that all pairs of methods are compared on
the same ones.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata, studentized_range, wilcoxon

Floats = npt.NDArray[np.float64]


#: The signed-rank test needs 6 sequences: of 5, the most extreme outcome has p = 2 / 32.
MIN_SEQUENCES = 6


def mean_and_error(
    values: npt.ArrayLike, clusters: npt.NDArray[np.int64], groups: npt.NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Mean of the means of each group, and its standard error with the cluster as the unit observed.

    What lies in one cluster (the sites of a sequence, or a sequence attributed for several models) is one observation,
    not several. With every value a cluster of its own, this is the usual standard error of the mean, s / sqrt(n).

    Parameters
    ----------
    values : float array, shape (n,)
        NaN is skipped.
    clusters, groups : int array, shape (n,)
        Number, from 0, of the cluster and of the group of each value; without `groups`, all are one group.

    Returns
    -------
    mean, error : float
        The error is NaN where a group has one value, or there is one cluster.

    References
    ----------
    Cameron & Miller, A practitioner's guide to cluster-robust inference, J. Human Resources 50:317 (2015).

    Examples
    --------
    >>> mean_and_error([1., 2., 3.], np.arange(3))
    (2.0, 0.5773502691896257)
    """
    numbers = np.asarray(values, np.float64)
    there = ~np.isnan(numbers)
    if not there.any():
        return math.nan, math.nan
    numbers, clusters = numbers[there], clusters[there]
    _, group = np.unique(np.zeros_like(clusters) if groups is None else groups[there], return_inverse=True)
    sizes = np.bincount(group)
    means = np.bincount(group, numbers) / sizes
    mean = float(means.mean())
    if sizes.min() < 2 or (clusters == clusters[0]).all():
        return mean, math.nan
    size = sizes[group]
    # each value's pull on the mean; within a group the squares then sum to var(ddof=1) / n
    pulls = (numbers - means[group]) * np.sqrt(size / (size - 1)) / (size * len(sizes))
    return mean, float(np.sqrt((np.bincount(clusters, pulls) ** 2).sum()))


def bootstrap_interval(
    values: npt.ArrayLike, level: float = 0.95, n_resamples: int = 2000, random_state: int = 0
) -> tuple[float, float]:
    """Confidence interval of a mean over sequences, by the bias-corrected and accelerated bootstrap.

    Parameters
    ----------
    values : float array, shape (n,)
        One value per sequence; NaN is left out.
    level : float, default .95
    n_resamples : int, default 2000
    random_state : int, default 0
        The same seed and values give the same interval.

    Returns
    -------
    low, high : float
        NaN for fewer than two values; the value itself where all are the same.

    References
    ----------
    Efron, Better bootstrap confidence intervals, JASA 82:171 (1987).

    Examples
    --------
    >>> low, high = bootstrap_interval(np.linspace(0, 1, 101))
    >>> round(low, 2), round(high, 2)
    (0.44, 0.56)
    """
    column = np.asarray(values, np.float64)
    low, high = _bootstrap_bounds(column[~np.isnan(column), None], level, n_resamples, random_state)
    return float(low[0]), float(high[0])


def _bootstrap_bounds(values: Floats, level: float, n_resamples: int, random_state: int) -> tuple[Floats, Floats]:
    """Intervals of the means of the columns of `values`, (n, k), from the same resamples of its rows.

    As `scipy.stats.bootstrap` gives them from the same draws, but for constant columns, where it gives NaN. Its
    jackknife takes time and memory with n squared; of a mean the acceleration is known without one.
    """
    n, n_columns = values.shape
    if n < 2:
        return np.full(n_columns, np.nan), np.full(n_columns, np.nan)
    center = values.mean(axis=0)
    deviations = values - center
    rng = np.random.default_rng(random_state)
    together = max(1, 2**22 // n)  # resamples at a time, so that memory stays small
    parts = []
    for first in range(0, n_resamples, together):
        rows = min(together, n_resamples - first)
        picks = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        parts.append(np.bincount(picks.ravel(), minlength=rows * n).reshape(rows, n) @ deviations / n)
    means = np.concatenate(parts)
    # where the resamples lie about the mean, ties counting half; and how the error grows with the mean
    below = ((means < 0).mean(axis=0) + (means <= 0).mean(axis=0)) / 2
    bias = ndtri(np.clip(below, 0.5 / n_resamples, 1 - 0.5 / n_resamples))
    spread = deviations.std(axis=0)
    skewness = ((deviations / np.where(spread > 0, spread, 1.0)) ** 3).mean(axis=0)
    acceleration = skewness / (6 * math.sqrt(n))
    bounds = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        reach = bias + ndtri(tail)
        shares = ndtr(bias + reach / (1 - acceleration * reach))
        bounds.append(center + [np.quantile(column, share) for column, share in zip(means.T, shares, strict=True)])
    return bounds[0], bounds[1]


def paired_comparisons(table: pd.DataFrame, random_state: int = 0) -> pd.DataFrame:
    """Compare every two methods on the same sequences.

    Parameters
    ----------
    table : DataFrame
        Sequences x methods, values of one metric.
    random_state : int, default 0
        Of the bootstrap.

    Returns
    -------
    DataFrame
        One row per pair, in the order of the columns: first, second; n_sequences; difference, the mean of first -
        second, with its 95% bootstrap interval low, high (`bootstrap_interval`); effect_size, the matched-pairs
        rank-biserial correlation: of the ranks of |difference|, the share in favour of first minus the share in favour
        of second, -1 to 1; p_value of the two-sided Wilcoxon signed-rank test; p_holm, corrected for the number of
        pairs in this table; n_needed (`n_needed`). Where two methods never differ, the effect is 0 and p is 1.

    References
    ----------
    Wilcoxon, Biometrics Bulletin 1:80 (1945); Kerby, Comprehensive Psychology 3:1 (2014); Holm, Scand. J. Statist. 6:65
    (1979).

    Examples
    --------
    >>> table = pd.DataFrame({"a": [.5, .6, .7, .8, .9, .95], "b": [.4, .4, .6, .5, .5, .9]})
    >>> paired_comparisons(table).round(3)[["first", "second", "difference", "effect_size", "p_value", "n_needed"]]
      first second  difference  effect_size  p_value  n_needed
    0     a      b       0.192          1.0    0.031       7.0
    """
    values = table.dropna().to_numpy(np.float64)
    pairs = list(itertools.combinations(range(table.shape[1]), 2))
    first, second = (np.array([pair[side] for pair in pairs], np.intp) for side in (0, 1))
    differences = values[:, first] - values[:, second]
    low, high = _bootstrap_bounds(differences, 0.95, 2000, random_state)
    tests = [signed_rank(column) for column in differences.T]
    p_values = np.array([p for _, p in tests])
    return pd.DataFrame(
        {
            "first": table.columns[first],
            "second": table.columns[second],
            "n_sequences": len(values),
            "difference": differences.mean(axis=0) if len(values) else np.full(len(pairs), np.nan),
            "low": low,
            "high": high,
            "effect_size": [effect for effect, _ in tests],
            "p_value": p_values,
            "p_holm": holm(p_values),
            "n_needed": [n_needed(standardised(column)) for column in differences.T],
        }
    )


def signed_rank(differences: Floats) -> tuple[float, float]:
    """Rank-biserial correlation and p-value of paired differences; those of zero are left out."""
    if not differences.size:
        return math.nan, math.nan
    there = differences[differences != 0]
    if not there.size:
        return 0.0, 1.0
    ranks = rankdata(np.abs(there))
    effect = float((ranks * np.sign(there)).sum() / ranks.sum())
    return effect, float(wilcoxon(there).pvalue)


def standardised(differences: Floats) -> float:
    """Cohen's d of paired differences: their mean over their standard deviation."""
    if differences.size < 2:
        return math.nan
    mean, spread = differences.mean(), differences.std(ddof=1)
    if spread > 0:
        return float(mean / spread)
    return math.copysign(math.inf, mean) if mean else 0.0


def holm(p_values: npt.ArrayLike) -> Floats:
    """Correct p-values for their number by Holm's step-down method; the family-wise error rate is then kept.

    Examples
    --------
    >>> holm([.01, .04, .03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def n_needed(effect: float, power: float = 0.8, level: float = 0.05) -> float:
    """Return how many sequences the signed-rank test needs to find two methods different.

    That is the number for the paired t-test, by the normal approximation with Guenther's correction, divided by the
    test's asymptotic efficiency against it, 3 / pi where differences are normal; where their tails are heavier fewer
    are needed.

    Parameters
    ----------
    effect : float
        Cohen's d of the paired differences: mean over standard deviation.
    power : float, default .8
        Probability to find the difference.
    level : float, default .05
        Of the two-sided test.

    Returns
    -------
    float
        A whole number; infinity for an effect of zero, NaN for NaN. At .05 at least 6: fewer cannot reach p < .05.

    References
    ----------
    Guenther, The American Statistician 35:243 (1981); Hodges & Lehmann, Ann. Math. Statist. 27:324 (1956).

    Examples
    --------
    >>> n_needed(.5), n_needed(.1)
    (35.0, 824.0)
    """
    if math.isnan(effect):
        return math.nan
    if effect == 0:
        return math.inf
    at_level = ndtri(1 - level / 2)
    for_t_test = ((at_level + ndtri(power)) / effect) ** 2 + at_level**2 / 2
    return float(max(MIN_SEQUENCES, math.ceil(for_t_test * math.pi / 3)))


def mean_ranks(table: pd.DataFrame) -> pd.Series:
    """Mean rank of each method over sequences, 1 the best, ties sharing the mean of their ranks; from the best down.

    Examples
    --------
    >>> mean_ranks(pd.DataFrame({"a": [.5, .6, .7], "b": [.6, .9, .7]})).to_dict()
    {'b': 1.1666666666666667, 'a': 1.8333333333333333}
    """
    return table.dropna().rank(axis=1, ascending=False).mean().sort_values(kind="stable")


def critical_difference(n_methods: int, n_sequences: int, level: float = 0.05) -> float:
    """Nemenyi's critical difference: mean ranks of two methods that lie further apart differ, all pairs considered.

    ``q sqrt(k (k + 1) / (6 n))``, with q the quantile of the studentised range over sqrt(2).

    Parameters
    ----------
    n_methods : int
        k, at least 2.
    n_sequences : int
        n, those without a missing value.
    level : float, default .05

    References
    ----------
    Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7:1 (2006), eq. 6 and table 5.

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)  # the paper's example
    1.25
    """
    q = studentized_range.ppf(1 - level, n_methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_sequences)))


def pareto_front(cost: npt.ArrayLike, quality: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """The methods that no other one beats: none is as cheap and better, or as good and cheaper.

    Parameters
    ----------
    cost, quality : float array, shape (n,)
        Lower and higher is better. Methods with NaN in either are not on the front.

    Returns
    -------
    bool array, shape (n,)

    Examples
    --------
    >>> pareto_front([1., 2., 3.], [.5, .4, .9]).tolist()
    [True, False, True]
    """
    cost, quality = np.asarray(cost, np.float64), np.asarray(quality, np.float64)
    no_worse = (cost <= cost[:, None]) & (quality >= quality[:, None])
    better = (cost < cost[:, None]) | (quality > quality[:, None])
    return ~(no_worse & better).any(axis=1) & ~np.isnan(cost) & ~np.isnan(quality)


class VarianceComponents(NamedTuple):
    """Where the spread of a metric comes from.

    Attributes
    ----------
    mean : float
        Over all models and sequences.
    sd_models, sd_sequences, sd_residual : float
        Standard deviations between models (trained alike from different seeds), between sequences, and of what
        neither explains: which sequences suit which model.
    n_models, n_sequences : int
    """

    mean: float
    sd_models: float
    sd_sequences: float
    sd_residual: float
    n_models: int
    n_sequences: int


def variance_components(values: npt.ArrayLike) -> VarianceComponents:
    """Separate the variance between models of several seeds from the variance between sequences.

    Every model is applied to every sequence, so the two are crossed random effects, ``y = mean + model + sequence +
    residual``; their variances are estimated from the mean squares of the two-way analysis of variance. An estimate
    below zero is returned as zero.

    Parameters
    ----------
    values : float array, shape (M, N)
        One value per model and sequence. Sequences with NaN for some model are left out.

    Returns
    -------
    VarianceComponents
        Standard deviations are NaN for fewer than two models or sequences.

    References
    ----------
    Searle, Casella & McCulloch, Variance Components (1992), section 4.3.

    Examples
    --------
    >>> parts = variance_components([[.1, .5, .9], [.2, .6, 1.]])
    >>> round(parts.sd_models, 3), round(parts.sd_sequences, 3), round(parts.sd_residual, 3)
    (0.071, 0.4, 0.0)
    """
    table = np.asarray(values, np.float64)
    table = table[:, ~np.isnan(table).any(axis=0)]
    n_models, n_sequences = table.shape
    if not table.size:
        return VarianceComponents(math.nan, math.nan, math.nan, math.nan, n_models, n_sequences)
    mean = float(table.mean())
    if n_models < 2 or n_sequences < 2:
        return VarianceComponents(mean, math.nan, math.nan, math.nan, n_models, n_sequences)
    models, sequences = table.mean(axis=1), table.mean(axis=0)
    residual = table - models[:, None] - sequences + mean
    within = (residual**2).sum() / ((n_models - 1) * (n_sequences - 1))
    sd_models = math.sqrt(max(0.0, models.var(ddof=1) - within / n_sequences))
    sd_sequences = math.sqrt(max(0.0, sequences.var(ddof=1) - within / n_models))
    return VarianceComponents(mean, sd_models, sd_sequences, math.sqrt(within), n_models, n_sequences)
