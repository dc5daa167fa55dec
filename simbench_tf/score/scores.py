"""How well attributions find the true sites: a table of metrics, a row a sequence, and their means over sequences.

The metrics themselves are in `simbench_tf.metrics`. And, where a label depends on how sites stand together, whether
attributions honour that: `faithfulness`. NumPy, numba, pandas and SciPy only: TensorFlow is never imported.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

from simbench_tf.metrics import METRICS, areas, sequence_metrics

Use = Literal["abs", "signed"]


def score_attributions(scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Score the attributions of each sequence against its true bases.

    Parameters
    ----------
    scores : float array, shape (N, L)
        One attribution a base, as ``attribute(...).scores``.
    mask : bool array, shape (N, L)
        True where a base lies in a true site, as ``dataset.mask(split)``.

    Returns
    -------
    table : DataFrame
        One row a sequence, index 0 .. N-1 = row of the input. Columns: `auroc`, `auprc` and `mass_fraction`;
        `chance_auprc`, the share of true bases, which is chance for every metric but areas under ROC curves (`auprc`
        is a little above it: on average some .01 in noise of 400 bases); the other metrics of `METRICS`, in its order;
        `n_true`, the number of true bases (int).
        Sequences without a true base, or without any other, have NaN in all but `n_true`. Attributions that are zero
        everywhere prefer no base: .5 for areas under ROC curves, `chance_auprc` for all else.

    Raises
    ------
    ValueError
        The shapes differ, `mask` is not bool, or scores are NaN or infinite.

    Examples
    --------
    >>> mask = np.array([[False, True, True, False], [False] * 4])
    >>> table = score_attributions(np.array([[.1, -.6, .2, .1], [1., 2., 3., 4.]]), mask)
    >>> table[["auroc", "mass_fraction", "chance_auprc", "signed_auprc", "n_true"]].round(2)
       auroc  mass_fraction  chance_auprc  signed_auprc  n_true
    0    1.0            0.8           0.5          0.75       2
    1    NaN            NaN           NaN           NaN       0
    """
    values = _checked(scores, mask)
    table = pd.DataFrame(sequence_metrics(values, mask), columns=list(METRICS))
    n_true = mask.sum(axis=1, dtype=np.int64)
    chance = np.where(table["auprc"].isna(), np.nan, n_true / max(1, mask.shape[1]))
    table.insert(list(METRICS).index("mass_fraction") + 1, "chance_auprc", chance)
    return table.assign(n_true=n_true)


def pooled_scores(scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], use: Use = "abs") -> dict[str, float]:
    """`auroc` and `auprc` over the bases of all sequences together, each base counting the same.

    Parameters
    ----------
    scores, mask
        As in `score_attributions`.
    use : {"abs", "signed"}, default "abs"
        Rank bases by |attribution|, or by the attribution itself.

    Returns
    -------
    pooled : dict
        `pooled_auroc` and `pooled_auprc`; NaN where the mask is all true or all false.

    Raises
    ------
    ValueError
        As in `score_attributions`, or `use` is unknown.

    Examples
    --------
    >>> pooled_scores(np.array([[1., 4.], [2., 3.]]), np.array([[False, True], [True, False]]))["pooled_auroc"]
    0.75
    """
    if use not in ("abs", "signed"):
        raise ValueError(f'use must be "abs" or "signed", not {use!r}')
    values = _checked(scores, mask).ravel()
    if use == "abs":
        values = np.abs(values)
    order = np.argsort(values)[::-1]
    auroc, auprc = areas(values[order], mask.ravel()[order])
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


def _checked(scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the scores as float64, shape (N, L)."""
    if scores.ndim != 2 or scores.shape != mask.shape:
        raise ValueError(f"scores and mask must have one shape (N, L), not {scores.shape} and {mask.shape}")
    if mask.dtype != np.bool_:
        raise ValueError(f"mask must be bool, not {mask.dtype}")
    values = np.ascontiguousarray(scores, np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row, position = np.argwhere(~finite)[0]
        raise ValueError(f"scores[{row}, {position}] is {values[row, position]}; attributions must be finite")
    return values
