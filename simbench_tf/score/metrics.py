"""Metrics of one sequence's attributions against its true bases: what each promises, and the code that computes it.

The promise of every metric in `METRICS`: it compares attributions with a truth mask, base by base; higher is better;
the truth itself reaches the highest value; the values lie between 0 and 1; attributions that know nothing reach
`chance` on average; bases that share a value share their rank, as if ties were broken by a fair coin; attributions that
are the same everywhere prefer no base; and it is NaN for a sequence whose bases are all true or all false, since
nothing can be found there.

A new metric is an entry of `METRICS`, its column's name below that, and the line of `_metric_rows` that computes it.

Metrics take |attribution|, since a base can matter by lowering the output, or (`signed`) the attribution itself:
does a base that the label needs get positive credit? With the sign "signed", all of them take the attribution itself.
NumPy and numba only: TensorFlow is never imported.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


#: What bases are ranked by: |attribution|, the attribution, or whichever the truth calls for (`takes_sign`).
Sign = Literal["absolute", "signed", "auto"]


#: `top_k` looks at this share of a sequence's bases.
TOP_SHARE = 0.05


class Metric(NamedTuple):
    """The name, meaning and chance level of a metric.

    Attributes
    ----------
    title : str
        A heading.
    description : str
        What it says, in one sentence.
    chance : float or str
        What attributions that know nothing reach on average: a number, or the column that holds it for each sequence.
    rank_based : bool
        Whether only the order of the bases counts, so that any increasing transformation of what is ranked (of
        |attribution|, or of the attribution where `signed`) keeps it.
    signed : bool
        Whether it takes the attribution with its sign, or |attribution|.
    source : str
        Where it is defined.
    """

    title: str
    description: str
    chance: float | str
    rank_based: bool
    signed: bool
    source: str


def _metric(
    title: str, description: str, source: str, *, chance: float | str = "chance_auprc", rank: bool, signed: bool = False
) -> Metric:
    return Metric(title, description, chance, rank, signed, source)


#: Every metric of a sequence, in the order of `sequence_metrics` and of the columns of tables.
METRICS: dict[str, Metric] = {
    "auroc": _metric(
        "auROC",
        "the probability that a random true base is ranked above a random other base, ties counting half",
        "Hanley & McNeil 1982; scikit-learn roc_auc_score",
        chance=0.5,
        rank=True,
    ),
    "auprc": _metric(
        "auPRC",
        "average precision: the sum over thresholds of precision times the step in recall",
        "Davis & Goadrich 2006; scikit-learn average_precision_score",
        rank=True,
    ),
    "mass_fraction": _metric(
        "mass on true bases",
        "the share of the sum of |attribution| that lies on true bases",
        "relevance mass accuracy, Arras et al. 2022",
        rank=False,
    ),
    "rank_accuracy": _metric(
        "rank accuracy",
        "the share of the k highest bases that are true, k being the number of true bases",
        "relevance rank accuracy, Arras et al. 2022",
        rank=True,
    ),
    "pointing_game": _metric(
        "pointing game",
        "whether the highest base is true",
        "Zhang et al. 2018, without their tolerance of some pixels",
        rank=True,
    ),
    "top_k": _metric(
        "top-k intersection",
        "the share of the k highest bases that are true, k being a twentieth of all bases, or the number of true "
        "bases where that is smaller",
        "Theiner et al. 2022; with k = the number of true bases it would be rank accuracy",
        rank=True,
    ),
    "signed_auroc": _metric(
        "signed auROC",
        "auROC of the attributions with their sign, so that negative credit of a true base counts against a method",
        "as auROC",
        chance=0.5,
        rank=True,
        signed=True,
    ),
    "signed_auprc": _metric(
        "signed auPRC",
        "auPRC of the attributions with their sign, so that negative credit of a true base counts against a method",
        "as auPRC",
        rank=True,
        signed=True,
    ),
    "positive_mass_fraction": _metric(
        "positive mass on true bases",
        "the share of all positive attribution that lies on true bases",
        "relevance mass accuracy with positive relevance alone, Arras et al. 2022",
        rank=False,
        signed=True,
    ),
}


#: Columns of the table of metrics, by name, so that a metric cannot be written into another one's column.
_AUROC, _AUPRC, _MASS_FRACTION, _RANK_ACCURACY, _POINTING_GAME, _TOP_K = (
    list(METRICS).index(name) for name in ("auroc", "auprc", "mass_fraction", "rank_accuracy", "pointing_game", "top_k")
)
_SIGNED_AUROC, _SIGNED_AUPRC, _POSITIVE_MASS_FRACTION = (
    list(METRICS).index(name) for name in ("signed_auroc", "signed_auprc", "positive_mass_fraction")
)


def takes_sign(sign: Sign, only_raises: bool = False) -> bool:
    """Whether bases are ranked by the attribution itself, and not by its size.

    Parameters
    ----------
    sign : {"absolute", "signed", "auto"}
        "auto" is "signed" where every element of the truth only raises the label (each has more starts with it, and no
        rule counts against one), so that negative credit on a true base is a mistake; and "absolute" otherwise.
    only_raises : bool, default False
        Which of these holds, for "auto": only the caller knows the model that the truth was drawn from.

    Raises
    ------
    ValueError
        `sign` is none of the three.

    Examples
    --------
    >>> takes_sign("auto", only_raises=True), takes_sign("auto"), takes_sign("signed")
    (True, False, True)
    """
    if sign not in ("absolute", "signed", "auto"):
        raise ValueError(f'sign must be "absolute", "signed" or "auto", not {sign!r}')
    return sign == "signed" or (sign == "auto" and only_raises)


def sequence_metrics(scores: npt.NDArray[np.floating], mask: Bools, signed: bool = False) -> Floats:
    """Compute every metric of each sequence.

    Parameters
    ----------
    scores : float array, shape (N, L)
        One finite attribution for each base.
    mask : bool array, shape (N, L)
        True where a base lies in a true site.
    signed : bool, default False
        Whether every metric takes the attribution with its sign, or only those that say so (`Metric.signed`).

    Returns
    -------
    float64 array, shape (N, len(METRICS))
        One column per metric, in the order of `METRICS`; NaN where a row of `mask` is all true or all false.
        `scores` that are zero everywhere give .5 to areas under ROC curves and the share of true bases to all others;
        so does a sequence without positive attribution in `positive_mass_fraction`.

    Examples
    --------
    >>> values = sequence_metrics(np.array([[.1, -.6, .2, .1]]), np.array([[False, True, True, False]]))
    >>> dict(zip(METRICS, values[0].round(2).tolist()))
    {'auroc': 1.0, 'auprc': 1.0, 'mass_fraction': 0.8, 'rank_accuracy': 1.0, 'pointing_game': 1.0, 'top_k': 1.0,
     'signed_auroc': 0.5, 'signed_auprc': 0.75, 'positive_mass_fraction': 0.5}
    """
    top = max(1, round(TOP_SHARE * scores.shape[1]))
    values = np.ascontiguousarray(scores, np.float64)
    return _metric_rows(values, np.ascontiguousarray(mask), top, signed, len(METRICS))


@njit()
def areas(values: Floats, truth: Bools) -> tuple[float, float]:
    """Areas under the ROC and precision-recall curves of bases sorted from the highest value down.

    Parameters
    ----------
    values : float64 array, shape (L,)
        Descending; equal ones are one threshold.
    truth : bool array, shape (L,)
        Which of them are true.

    Returns
    -------
    auroc, auprc : float
        The latter is the average precision. NaN where all or none are true.

    Examples
    --------
    >>> areas(np.array([3., 2., 1.]), np.array([True, False, True]))
    (0.5, 0.8333333333333333)
    """
    n_true = np.int64(truth.sum())
    n_false = truth.size - n_true
    if n_true == 0 or n_false == 0:
        return np.nan, np.nan
    found = taken = np.int64(0)
    # twice the number of (true, false) pairs in the right order, ties counting one: an integer, so exact
    pairs = np.int64(0)
    average_precision = 0.0
    first = 0
    while first < values.size:
        past = first + 1
        new = np.int64(truth[first])
        while past < values.size and values[past] == values[first]:
            new += np.int64(truth[past])
            past += 1
        others = past - first - new
        false_below = n_false - (taken - found) - others
        pairs += new * (2 * false_below + others)
        found += new
        taken = np.int64(past)
        average_precision += new * (found / taken)
        first = past
    return pairs / (2.0 * n_true * n_false), average_precision / n_true


@njit()
def _true_share_of_top(values: Floats, truth: Bools, k: int) -> float:
    """Share of true among the `k` highest of descending `values`; its expectation where ties straddle the k-th."""
    threshold = values[k - 1]
    above = true_above = level = true_level = 0
    for rank in range(values.size):
        if values[rank] > threshold:
            above += 1
            true_above += truth[rank]
        elif values[rank] == threshold:
            level += 1
            true_level += truth[rank]
        else:
            break
    return (true_above + (k - above) * true_level / level) / k


@njit()
def _true_share_of_mass(values: Floats, truth: Bools) -> float:
    """Share of the sum of what is positive in `values` that lies on true bases; that of true bases where none is."""
    largest = values.max()
    if largest <= 0:
        return truth.sum() / truth.size
    on_true = total = 0.0
    for position in range(values.size):
        if values[position] > 0:
            # a scale first, so that neither tiny nor huge attributions under- or overflow in the sums
            share = values[position] / largest
            total += share
            if truth[position]:
                on_true += share
    return on_true / total


@njit()
def _by_size(values: Floats, truth: Bools) -> tuple[Floats, Bools]:
    """Sort by |value|, descending, what is sorted by value: both ends of the list are walked to the middle."""
    size, sorted_truth = np.empty_like(values), np.empty_like(truth)
    first, last = 0, values.size - 1
    for rank in range(values.size):
        if abs(values[first]) >= abs(values[last]):
            size[rank], sorted_truth[rank] = abs(values[first]), truth[first]
            first += 1
        else:
            size[rank], sorted_truth[rank] = abs(values[last]), truth[last]
            last -= 1
    return size, sorted_truth


@njit(parallel=True)
def _metric_rows(scores: Floats, mask: Bools, top: int, signed: bool, n_metrics: int) -> Floats:
    columns = np.full((scores.shape[0], n_metrics), np.nan)
    for row in nb.prange(scores.shape[0]):
        n_true = np.int64(mask[row].sum())
        if n_true == 0 or n_true == mask.shape[1]:
            continue
        order = np.argsort(scores[row])[::-1]
        values, truth = scores[row][order], mask[row][order]
        size, truth_by_size = (values, truth) if signed else _by_size(values, truth)
        columns[row, _AUROC], columns[row, _AUPRC] = areas(size, truth_by_size)
        # sums go along the sequence, so that they do not depend on how ties were sorted
        columns[row, _MASS_FRACTION] = _true_share_of_mass(scores[row] if signed else np.abs(scores[row]), mask[row])
        columns[row, _RANK_ACCURACY] = _true_share_of_top(size, truth_by_size, n_true)
        columns[row, _POINTING_GAME] = _true_share_of_top(size, truth_by_size, 1)
        columns[row, _TOP_K] = _true_share_of_top(size, truth_by_size, min(top, n_true))
        columns[row, _SIGNED_AUROC], columns[row, _SIGNED_AUPRC] = areas(values, truth)
        columns[row, _POSITIVE_MASS_FRACTION] = _true_share_of_mass(scores[row], mask[row])
    return columns
