"""Scores of attributions against the true sites: one row of metrics per sequence, and their means over sequences.

The metrics themselves are in `score.metrics`. NumPy, numba, pandas and SciPy only: TensorFlow is never imported.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.score.metrics import METRICS, Sign, areas, sequence_metrics, takes_sign
from simbench_tf.score.plugged_metrics import Asked, plugged_metric

Use = Literal["abs", "signed"]


def score_attributions(
    scores: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    sign: Sign = "absolute",
    only_raises: bool = False,
    metrics: Asked | Sequence[str] = (),
) -> pd.DataFrame:
    """Score the attributions of each sequence against its true bases.

    Parameters
    ----------
    scores : float array, shape (N, L)
        One attribution for each base, as ``attribute(...).scores``.
    mask : bool array, shape (N, L)
        True where a base lies in a true site, as ``dataset.mask(split)``.
    sign : {"absolute", "signed", "auto"}, default "absolute"
        Rank bases, and share out mass, by |attribution|; by the attribution itself; or as `takes_sign` says for "auto":
        signed where every element of the truth only raises the label, absolute otherwise. The metrics whose names say
        signed or positive are the same either way.
    only_raises : bool, default False
        For "auto": whether every element of the truth only raises the label, which the caller knows.
    metrics : sequence of str, or mapping, default ()
        Metrics that other packages bring (plug-ins), by name, or with their settings as ``{name: {setting: value}}``.

    Returns
    -------
    table : DataFrame
        One row per sequence, index 0 .. N-1 = row of the input. Columns: `auroc`, `auprc` and `mass_fraction`;
        `chance_auprc`, the share of true bases, which is chance for every metric but areas under ROC curves (`auprc`
        is a little above it: on average some .01 in noise of 400 bases); the other metrics of `METRICS`, in its order;
        `n_true`, the number of true bases (int); then a column for each of `metrics`.
        Sequences without a true base, or without any other, have NaN in all but `n_true`. Attributions that are zero
        everywhere prefer no base: .5 for areas under ROC curves, `chance_auprc` for all else.

    Raises
    ------
    ValueError
        The shapes differ, `mask` is not bool, scores are NaN or infinite, or `sign` is unknown.
    InputError
        One of `metrics` is not installed, or fails.

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
    table = pd.DataFrame(sequence_metrics(values, mask, takes_sign(sign, only_raises)), columns=list(METRICS))
    n_true = mask.sum(axis=1, dtype=np.int64)
    chance = np.where(table["auprc"].isna(), np.nan, n_true / max(1, mask.shape[1]))
    table.insert(list(METRICS).index("mass_fraction") + 1, "chance_auprc", chance)
    asked = metrics if isinstance(metrics, Mapping) else {name: {} for name in metrics}
    others = {name: plugged_metric(name, settings, values, mask) for name, settings in asked.items()}
    return table.assign(n_true=n_true, **others)


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


def summarise(per_sequence: pd.DataFrame, metrics: Iterable[str] = ()) -> dict[str, float]:
    """Means over sequences, and their standard errors.

    Parameters
    ----------
    per_sequence : DataFrame
        What `score_attributions` returns, whatever its `sign`; sequences with NaN are left out.
    metrics : iterable of str, default ()
        Its columns that metrics of other packages made.

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
    for name in (*METRICS, *metrics):
        summary[name] = float(per_sequence[name].mean())
        summary[f"{name}_se"] = float(per_sequence[name].sem(ddof=1))
    return {**summary, "chance_auprc": float(per_sequence["chance_auprc"].mean())}


def summary_columns() -> tuple[str, ...]:
    """Names of the columns of RUN/scores/summary.csv that hold measurements, in the order of the file.

    Every metric of `METRICS` is among them with its standard error; the first two also have their pooled value and the
    bounds of a bootstrap interval.

    Examples
    --------
    >>> summary_columns()[:6]
    ('auroc', 'auroc_se', 'auprc', 'auprc_se', 'pooled_auroc', 'pooled_auprc')
    """
    with_error = {name: (name, f"{name}_se") for name in METRICS}
    areas_of, mass = ("auroc", "auprc"), "mass_fraction"
    others = [name for name in METRICS if name not in (*areas_of, mass)]
    return (
        *itertools.chain.from_iterable(with_error[name] for name in areas_of),
        *(f"pooled_{name}" for name in areas_of),
        *with_error[mass],
        *("chance_auprc", "oracle_auprc", "seconds_per_sequence"),
        *itertools.chain.from_iterable(with_error[name] for name in others),
        *(f"{name}_{bound}" for name in areas_of for bound in ("low", "high")),
        *("scan_auprc", "absolute_auprc", "auprc_all_bases", "oracle_auprc_se"),
    )


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
