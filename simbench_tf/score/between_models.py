"""Comparing methods over trainings: models of several seeds and sequences as crossed random effects.

A network is one training of its base model, and another training may rank methods otherwise. So where a base model has
several networks, both they and the sequences are a sample, and errors, tests and intervals are for new ones of both.
How far a mean may lie from the truth, in errors, is Student's t or, from ten networks on, a bootstrap over both.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from simbench_tf.score.resampled_models import ENOUGH_MODELS, N_RESAMPLES, resampled_t
from simbench_tf.score.significance import holm, n_needed, signed_rank, standardised

Floats = npt.NDArray[np.float64]


class MeanOverModels(NamedTuple):
    """A mean, with trainings and sequences as random effects.

    Attributes
    ----------
    mean, error : float
        The error is NaN where a group has fewer than two sequences.
    df : float
        Satterthwaite's degrees of freedom of the error.
    n_models, n_sequences : int
        Networks and distinct sequences with a value.
    resampled : float array, optional
        Sizes of t over resamples of networks and sequences, from the largest down (`resampled_models`); None where a
        base has fewer than ten networks, and Student's t stands for them.
    """

    mean: float
    error: float
    df: float
    n_models: int
    n_sequences: int
    resampled: Floats | None = None

    @property
    def p_value(self) -> float:
        """Of the two-sided test that the mean is zero, by the bootstrap or Student's t; NaN without an error."""
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 0.0 if self.mean else 1.0
        size = abs(self.mean) / self.error
        if self.resampled is not None:
            return float((1 + np.count_nonzero(self.resampled >= size)) / (1 + len(self.resampled)))
        return float(2 * student.sf(size, self.df))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of the mean, which holds zero exactly where p is 1 - level or more."""
        if not self.error > 0:
            return self.mean + 0 * self.error, self.mean + 0 * self.error
        reach = self._reach(1 - level) * self.error
        return self.mean - reach, self.mean + reach

    def _reach(self, alpha: float) -> float:
        """The size of t at which p is alpha, infinite where the resamples are too few for that."""
        if self.resampled is None:
            return float(student.isf(alpha / 2, self.df))
        # rounding apart, so many resamples at that size or above it make p as large as alpha
        above = math.ceil(alpha * (1 + len(self.resampled)) - 1e-9) - 1
        return float(self.resampled[above - 1]) if above > 0 else math.inf


def mean_over_models(
    values: npt.ArrayLike,
    models: npt.ArrayLike,
    sequences: npt.ArrayLike,
    bases: npt.ArrayLike | None = None,
    tasks: npt.ArrayLike | None = None,
    n_resamples: int = N_RESAMPLES,
) -> MeanOverModels:
    """Mean of values by network and sequence, with an error for other trainings and other sequences.

    ``y = mean + model + sequence + residual``, both effects random and crossed, as readers and cases are where
    radiologists are compared; docs/scoring.md has the formulas. Networks of the same base are a sample of its
    trainings. A base of one network adds no variance between trainings: what is said then holds for that network
    alone, and of one network in all this is the paired t-test over sequences.

    Parameters
    ----------
    values : float array, shape (n,)
        One value per network, task and sequence. Of a base and task, sequences with NaN for one of its networks are
        left out.
    models, sequences : array, shape (n,)
        Which network and sequence each value is of.
    bases, tasks : array, shape (n,), optional
        Which base and task; each base and task counts the same. Without, all are one.
    n_resamples : int, default 9999
        Of the bootstrap, where every base has ten networks or more; 0 for Student's t whatever their number.

    References
    ----------
    Hillis, A comparison of denominator degrees of freedom methods for multiple observer ROC analysis, Statistics in
    Medicine 26:596 (2007); Satterthwaite, Biometrics Bulletin 2:110 (1946).

    Examples
    --------
    >>> found = mean_over_models([1., 2., 3., 3., 4., 8.], list("aaabbb"), [0, 1, 2] * 2)
    >>> round(found.mean, 2), round(found.error**2, 3), round(found.df, 3)
    (3.5, 3.083, 1.757)
    """
    numbers = np.asarray(values, np.float64)
    one = np.zeros(len(numbers), np.int64)
    codes = (models, sequences, one if bases is None else bases, one if tasks is None else tasks)
    model, sequence, base, task = (pd.factorize(np.asarray(each))[0] for each in codes)
    groups = [
        (number, *_complete(numbers[rows], model[rows], sequence[rows]))
        for number in np.unique(base)
        for which in np.unique(task[base == number])
        for rows in [(base == number) & (task == which)]
    ]
    groups = [group for group in groups if group[1].size]
    if not groups:
        return MeanOverModels(math.nan, math.nan, math.nan, 0, 0)
    mean = float(np.mean([table.mean() for _, table, _, _ in groups]))
    networks = np.unique(np.concatenate([rows for _, _, rows, _ in groups]))
    used = np.unique(np.concatenate([columns for _, _, _, columns in groups]))
    n = len(used)
    if min(table.shape[1] for _, table, _, _ in groups) < 2:
        return MeanOverModels(mean, math.nan, math.nan, len(networks), n)
    # what each network and sequence adds to the mean, times their numbers: with one group, its deviations
    pulls: dict[int, dict[int, Floats]] = {}
    for number, table, rows, columns in groups:
        size = table.shape[1]
        scale = n / (size * len(groups)) * math.sqrt(size / (size - 1) * (n - 1) / n)
        for row, line in zip(rows, (table - table.mean()) * scale, strict=True):
            pull = pulls.setdefault(int(number), {}).setdefault(int(row), np.zeros(n))
            pull[np.searchsorted(used, columns)] += line
    tables = [np.stack(list(each.values())) for each in pulls.values()]
    error, df = _crossed_error(tables)
    resample = n_resamples > 0 and error > 0 and min(map(len, tables)) >= ENOUGH_MODELS
    resampled = resampled_t(tables, n_resamples) if resample else None
    return MeanOverModels(mean, error, df, len(networks), n, resampled)


def _complete(
    values: Floats, models: npt.NDArray[np.int64], sequences: npt.NDArray[np.int64]
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Values as networks x sequences, without incomplete sequences; and the numbers of rows and columns."""
    rows, row = np.unique(models, return_inverse=True)
    columns, column = np.unique(sequences, return_inverse=True)
    table = np.full((len(rows), len(columns)), np.nan)
    table[row, column] = values
    there = ~np.isnan(table).any(axis=0)
    return table[:, there], rows, columns[there]


def _crossed_error(bases: list[Floats]) -> tuple[float, float]:
    """Error of the sum of the means of tables of networks x the same sequences, and its degrees of freedom."""
    n = bases[0].shape[1]
    sequences = float(sum((table.mean(axis=0) for table in bases), np.zeros(n)).var(ddof=1)) / n
    trainings, squares = 0.0, 0.0
    for table in bases:
        m = len(table)
        if m < 2:
            continue
        mine = float(table.mean(axis=1).var(ddof=1)) / m
        trainings += mine
        squares += mine**2 / (m - 1)
        rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
        # the variance between networks holds the residual's already
        sequences -= float((rest**2).sum()) / ((m - 1) * (n - 1)) / (m * n)
    sequences = max(0.0, sequences)
    squares += sequences**2 / (n - 1)
    variance = trainings + sequences
    return math.sqrt(variance), variance**2 / squares if squares > 0 else math.inf


def estimated(values: pd.Series, n_resamples: int = N_RESAMPLES) -> MeanOverModels:
    """`mean_over_models` of values by base, model, task and seq_id."""
    models, sequences, bases, tasks = (
        values.index.get_level_values(name).to_numpy() for name in ("model", "seq_id", "base", "task")
    )
    return mean_over_models(values.to_numpy(np.float64), models, sequences, bases, tasks, n_resamples)


def comparisons_over_models(table: pd.DataFrame) -> pd.DataFrame:
    """Compare every two methods on networks and sequences: the one rule of significance of a report.

    Parameters
    ----------
    table : DataFrame
        Columns are methods, values of one metric; the index has the levels base, model, task and seq_id.

    Returns
    -------
    DataFrame
        One row per pair, with the columns of `paired_comparisons`: difference with its 95% interval low, high and
        p_value from `mean_over_models`; effect_size of the sequences' mean differences; n_needed, NaN where there is
        more than one network, for which more sequences are no substitute. Also error, df, and low_holm, high_holm: the
        interval at the level that Holm's correction sets for the pair, which holds zero exactly where p_holm is .05 or
        more.
    """
    lines, found = [], []
    names = list(table.index.names)
    # numbers for names, once and not for each pair
    numbered = [pd.factorize(table.index.get_level_values(name))[0] for name in names]
    table = table.set_axis(pd.MultiIndex.from_arrays(numbered, names=names))
    for first, second in itertools.combinations(table.columns, 2):
        differences = (table[first] - table[second]).dropna()
        estimate = estimated(differences)
        low, high = estimate.interval()
        means = differences.groupby("seq_id").mean().to_numpy(np.float64)
        found.append(estimate)
        lines.append(
            {
                "first": first,
                "second": second,
                "n_sequences": estimate.n_sequences,
                "difference": estimate.mean,
                "error": estimate.error,
                "df": estimate.df,
                "low": low,
                "high": high,
                "effect_size": signed_rank(means)[0],
                "p_value": estimate.p_value,
                "n_needed": n_needed(standardised(means)) if estimate.n_models == 1 else math.nan,
            }
        )
    columns = ["first", "second", "n_sequences", "difference", "error", "df", "low", "high", "effect_size", "p_value"]
    pairs = pd.DataFrame(lines, columns=[*columns, "n_needed"])
    p_values = pairs["p_value"].to_numpy(np.float64)
    pairs["p_holm"], tested = np.nan, ~np.isnan(p_values)
    pairs.loc[tested, "p_holm"] = holm(p_values[tested])
    levels = [1 - 0.05 * (p / corrected if p else 1 / len(pairs))
              for p, corrected in zip(p_values, pairs["p_holm"], strict=True)]  # fmt: skip
    bounds = [estimate.interval(level) for estimate, level in zip(found, levels, strict=True)]
    pairs["low_holm"], pairs["high_holm"] = (np.array([each[side] for each in bounds], np.float64) for side in (0, 1))
    return pairs
