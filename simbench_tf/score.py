"""How well attributions find the true sites: one row of metrics a sequence, and their means over sequences.

And, where a label depends on how sites stand together, whether attributions honour that: `faithfulness`.

The promise of every metric in `METRICS`: it compares |attribution| of each base (or the signed value, with
``use="signed"``) with a truth mask, higher is better, and it is NaN for a sequence whose bases are all true or all
false, since nothing can be ranked there. NumPy and numba only: TensorFlow is never imported.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

Use = Literal["abs", "signed"]


class Metric(NamedTuple):
    """What a reader needs to know of a metric.

    Attributes
    ----------
    title : str
        A heading.
    description : str
        What it says, in one sentence.
    direction : {"higher"}
        Which way is better.
    range : (float, float)
        Lowest and highest possible value.
    chance : float or str
        What attributions that know nothing reach on average: a number, or the column that holds it a sequence.
    rank_based : bool
        Whether only the order of the bases counts, so that any increasing transformation of the scores keeps it.
    source : str
        Where it is defined.
    """

    title: str
    description: str
    direction: Literal["higher"]
    range: tuple[float, float]
    chance: float | str
    rank_based: bool
    source: str


METRICS: dict[str, Metric] = {
    "auroc": Metric(
        title="auROC",
        description="the probability that a random true base is ranked above a random other base, ties counting half",
        direction="higher",
        range=(0.0, 1.0),
        chance=0.5,
        rank_based=True,
        source="Hanley & McNeil 1982; scikit-learn roc_auc_score",
    ),
    "auprc": Metric(
        title="auPRC",
        description="average precision: the sum over thresholds of precision times the step in recall",
        direction="higher",
        range=(0.0, 1.0),
        chance="chance_auprc",
        rank_based=True,
        source="Davis & Goadrich 2006; scikit-learn average_precision_score",
    ),
    "mass_fraction": Metric(
        title="mass on true bases",
        description="the share of the sum of |attribution| that lies on true bases",
        direction="higher",
        range=(0.0, 1.0),
        chance="chance_auprc",
        rank_based=False,
        source="relevance mass accuracy, Arras et al. 2022",
    ),
}


def score_attributions(scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], use: Use = "abs") -> pd.DataFrame:
    """Score the attributions of each sequence against its true bases.

    Parameters
    ----------
    scores : float array, shape (N, L)
        One attribution a base, as ``attribute(...).scores``.
    mask : bool array, shape (N, L)
        True where a base lies in a true site, as ``dataset.mask(split)``.
    use : {"abs", "signed"}, default "abs"
        Rank bases by |attribution|, or by the attribution itself. `mass_fraction` always takes |attribution|.

    Returns
    -------
    table : DataFrame
        One row a sequence, index 0 .. N-1 = row of the input. Columns: the metrics of `METRICS`; `chance_auprc`, the
        share of true bases, which is what `mass_fraction` is at chance, and `auprc` but for a little (on average it
        is some .01 above in noise of 400 bases); `n_true`, their number (int).
        Sequences without a true base, or without any other, have NaN in all but `n_true`. Attributions that are zero
        everywhere prefer no base: auroc .5, auprc and mass_fraction at `chance_auprc`.

    Raises
    ------
    ValueError
        The shapes differ, `mask` is not bool, scores are NaN or infinite, or `use` is unknown.

    Examples
    --------
    >>> mask = np.array([[False, True, True, False], [False] * 4])
    >>> score_attributions(np.array([[.1, -.6, .2, .1], [1., 2., 3., 4.]]), mask).round(2)
       auroc  auprc  mass_fraction  chance_auprc  n_true
    0    1.0    1.0            0.8           0.5       2
    1    NaN    NaN            NaN           NaN       0
    """
    ranked, size = _checked(scores, mask, use)
    columns = _score_rows(ranked, size, np.ascontiguousarray(mask))
    table = pd.DataFrame(columns, columns=["auroc", "auprc", "mass_fraction", "chance_auprc"])
    return table.assign(n_true=mask.sum(axis=1, dtype=np.int64))


def pooled_scores(scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], use: Use = "abs") -> dict[str, float]:
    """`auroc` and `auprc` over the bases of all sequences together, each base counting the same.

    Parameters
    ----------
    scores, mask, use
        As in `score_attributions`.

    Returns
    -------
    pooled : dict
        `pooled_auroc` and `pooled_auprc`; NaN where the mask is all true or all false.

    Raises
    ------
    ValueError
        As in `score_attributions`.

    Examples
    --------
    >>> pooled_scores(np.array([[1., 4.], [2., 3.]]), np.array([[False, True], [True, False]]))["pooled_auroc"]
    0.75
    """
    ranked, _ = _checked(scores, mask, use)
    values = ranked.ravel()
    auroc, auprc = _areas(values, mask.ravel(), np.argsort(values))
    return {"pooled_auroc": auroc, "pooled_auprc": auprc}


def summarise(per_sequence: pd.DataFrame) -> dict[str, float]:
    """Means over sequences, and their standard errors.

    Parameters
    ----------
    per_sequence : DataFrame
        What `score_attributions` gives; sequences with NaN are left out.

    Returns
    -------
    summary : dict
        Each metric's mean under its name, its standard error (standard deviation with n - 1, over the square root of
        n) under the name and ``_se``, and the mean `chance_auprc`. NaN where there are too few sequences.

    Examples
    --------
    >>> mask = np.array([[True, False]] * 3)
    >>> summary = summarise(score_attributions(np.array([[2., 1.], [2., 1.], [1., 2.]]), mask))
    >>> round(summary["auroc"], 3), round(summary["auroc_se"], 3), summary["chance_auprc"]
    (0.667, 0.333, 0.5)
    """
    summary = {}
    for name in METRICS:
        summary[name] = float(per_sequence[name].mean())
        summary[f"{name}_se"] = float(per_sequence[name].sem(ddof=1))
    return {**summary, "chance_auprc": float(per_sequence["chance_auprc"].mean())}


def faithfulness(
    scores: npt.NDArray[np.floating],
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    answers: npt.NDArray[np.floating],
    oracle: npt.NDArray[np.floating],
) -> dict[str, float]:
    """Say whether attributions honour an interaction: does the credit of one part follow when the other is destroyed?

    Where a label asks for ``A and B``, A counts for less once B is gone, and so should its credit: by the model's own
    *interaction*, f(A, B) - f(B) - f(A) + f(neither), if credit is what a part's loss costs. Place says nothing of it.

    Parameters
    ----------
    scores : float array, shape (N, 3, L)
        Attributions of each sequence as it is, without the first part, and without the second.
    first, second : bool array, shape (N, L)
        The bases of either part.
    answers : float array, shape (N, 4)
        The explained output of each sequence as it is, without the first, without the second, and without both.
    oracle : float array, shape (N, 4)
        The exact answers to the same sequences.

    Returns
    -------
    faithfulness : dict
        Means over sequences, each with its standard error under the name and ``_se``: of either part, `*_credit` (the
        sum of its attributions), `*_effect` (what the model loses with it) and `*_oracle_effect`, and `*_change`, what
        its credit loses when the other part is gone; `interaction` and `oracle_interaction`. Without error,
        `agreement` and `oracle_agreement`: Spearman's correlation over sequences of the mean of both changes with the
        model's and with the oracle's interaction; NaN where one of them is the same for all.

    Raises
    ------
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> scores = np.array([[[2., 2.], [0., 0.], [0., 0.]], [[1., 3.], [0., 0.], [0., 0.]]])
    >>> first, second = np.array([[True, False]] * 2), np.array([[False, True]] * 2)
    >>> answers = np.array([[4., 1., 1., 1.], [4., 1., 1., 1.]])  # y = 1 + 3 (A and B)
    >>> measured = faithfulness(scores, first, second, answers, answers)
    >>> measured["first_credit"], measured["first_effect"], measured["second_change"], measured["interaction"]
    (1.5, 3.0, 2.5, 3.0)
    """
    n, _, length = scores.shape
    if scores.shape[1] != 3 or not first.shape == second.shape == (n, length):
        raise ValueError(f"need scores (N, 3, L) and parts (N, L), not {scores.shape}, {first.shape}, {second.shape}")
    if not answers.shape == oracle.shape == (n, 4):
        raise ValueError(f"need answers ({n}, 4), not {answers.shape} and {oracle.shape}")
    values: dict[str, npt.NDArray[np.float64]] = {}
    changes = []
    for name, part, without, other in (("first", first, 1, 2), ("second", second, 2, 1)):
        credit = np.einsum("nvl,nl->nv", scores, part, dtype=np.float64)
        changes.append(credit[:, 0] - credit[:, other])
        values |= {
            f"{name}_credit": credit[:, 0],
            f"{name}_effect": answers[:, 0] - answers[:, without],
            f"{name}_oracle_effect": oracle[:, 0] - oracle[:, without],
            f"{name}_change": changes[-1],
        }
    signs = np.array([1.0, -1.0, -1.0, 1.0])
    values |= {"interaction": answers @ signs, "oracle_interaction": oracle @ signs}
    measured = {}
    for name, each in values.items():
        measured[name] = float(each.mean())
        measured[f"{name}_se"] = float(each.std(ddof=1) / np.sqrt(n)) if n > 1 else math.nan
    change = (changes[0] + changes[1]) / 2
    measured["agreement"] = _rank_correlation(change, values["interaction"])
    measured["oracle_agreement"] = _rank_correlation(change, values["oracle_interaction"])
    return measured


def _rank_correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(spearmanr(one, other).statistic)


def _checked(
    scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], use: Use
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what bases are ranked by, and |attribution|: float64, shape (N, L)."""
    if scores.ndim != 2 or scores.shape != mask.shape:
        raise ValueError(f"scores and mask must have one shape (N, L), not {scores.shape} and {mask.shape}")
    if mask.dtype != np.bool_:
        raise ValueError(f"mask must be bool, not {mask.dtype}")
    if use not in ("abs", "signed"):
        raise ValueError(f'use must be "abs" or "signed", not {use!r}')
    values = np.ascontiguousarray(scores, np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row, position = np.argwhere(~finite)[0]
        raise ValueError(f"scores[{row}, {position}] is {values[row, position]}; attributions must be finite")
    size = np.abs(values)
    return (size if use == "abs" else values), size


@nb.njit(cache=True)
def _areas(
    values: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_], ascending: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Areas under the ROC and precision-recall curves; `ascending` sorts `values`, equal ones are one threshold."""
    n_true = np.int64(truth.sum())
    n_false = truth.size - n_true
    if n_true == 0 or n_false == 0:
        return np.nan, np.nan
    found = taken = np.int64(0)
    # twice the number of (true, false) pairs in the right order, ties counting one: an integer, so exact
    pairs = np.int64(0)
    average_precision = 0.0
    last = truth.size - 1
    while last >= 0:
        first = last
        new = np.int64(truth[ascending[last]])
        while first > 0 and values[ascending[first - 1]] == values[ascending[last]]:
            first -= 1
            new += np.int64(truth[ascending[first]])
        others = last - first + 1 - new
        false_below = n_false - (taken - found) - others
        pairs += new * (2 * false_below + others)
        found += new
        taken += last - first + 1
        average_precision += new * (found / taken)
        last = first - 1
    return pairs / (2.0 * n_true * n_false), average_precision / n_true


@nb.njit(cache=True, parallel=True)
def _score_rows(
    ranked: npt.NDArray[np.float64], size: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    columns = np.full((ranked.shape[0], 4), np.nan)
    for row in nb.prange(ranked.shape[0]):
        truth = mask[row]
        n_true = truth.sum()
        if n_true == 0 or n_true == truth.size:
            continue
        auroc, auprc = _areas(ranked[row], truth, np.argsort(ranked[row]))
        chance = n_true / truth.size
        # a scale first, so that neither tiny nor huge attributions under- or overflow in the sums
        largest = size[row].max()
        mass_fraction = chance
        if largest > 0:
            on_true = total = 0.0
            for position in range(truth.size):
                share = size[row, position] / largest
                total += share
                if truth[position]:
                    on_true += share
            mass_fraction = on_true / total
        columns[row, 0], columns[row, 1], columns[row, 2], columns[row, 3] = auroc, auprc, mass_fraction, chance
    return columns
