"""Truth-free metrics: signs of an attribution's quality that need no true sites, so that they run on real data.

None of them knows where the motifs are; whether they tell who finds these is a question of its own (docs/scoring.md).
Here are the formulas, over arrays; `attribution.truth_free` asks the model for what they need. Each gives one number a
sequence, NaN where it says nothing; `TRUTH_FREE` says which way is better.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]


class TruthFreeMetric(NamedTuple):
    """The name, meaning and direction of a truth-free metric.

    Attributes
    ----------
    title : str
        A heading.
    description : str
        What it says, in one sentence.
    higher_is_better : bool
    source : str
        Where it is defined.
    """

    title: str
    description: str
    higher_is_better: bool
    source: str


#: Every truth-free metric, in the order of tables.
TRUTH_FREE: dict[str, TruthFreeMetric] = {
    "deletion": TruthFreeMetric(
        "deletion",
        "how far the output falls, on average, while the highest bases are replaced by those of shuffles",
        True,
        "Petsiuk et al. 2018; Samek et al. 2017",
    ),
    "insertion": TruthFreeMetric(
        "insertion",
        "how far the output of shuffles rises, on average, while the highest bases are put into them",
        True,
        "Petsiuk et al. 2018",
    ),
    "infidelity": TruthFreeMetric(
        "infidelity",
        "what the attributions of replaced bases, summed and scaled once, leave unexplained of the output's changes",
        False,
        "Yeh et al. 2019",
    ),
    "shift_sensitivity": TruthFreeMetric(
        "sensitivity to shifts",
        "the largest relative change of the attributions when the sequence moves by a base or a few",
        False,
        "maximum sensitivity, Yeh et al. 2019; Ghorbani et al. 2019",
    ),
    "strand_consistency": TruthFreeMetric(
        "consistency over strands",
        "the rank correlation of |attribution| with that of the reverse complement, turned back",
        True,
        "Shrikumar et al. 2017 (bioRxiv 103663)",
    ),
    "seed_consistency": TruthFreeMetric(
        "consistency over seeds",
        "the mean rank correlation of |attribution| with that of networks trained from other seeds",
        True,
        "Fel et al. 2022",
    ),
    "weight_randomisation": TruthFreeMetric(
        "randomised weights",
        "the mean rank correlation of |attribution| with that of the network with its upper layers drawn anew",
        False,
        "MPRT, Adebayo et al. 2018",
    ),
    "label_randomisation": TruthFreeMetric(
        "randomised labels",
        "the rank correlation of |attribution| with that of a network trained on shuffled labels",
        False,
        "Adebayo et al. 2018",
    ),
    "sparsity": TruthFreeMetric(
        "sparsity",
        "the Gini index of |attribution|: 0 where all bases have the same, near 1 where one has all",
        True,
        "Chalasani et al. 2020",
    ),
    "complexity": TruthFreeMetric(
        "complexity",
        "the entropy of the shares of |attribution|, in units of the most there can be",
        False,
        "Bhatt et al. 2020",
    ),
    "agreement": TruthFreeMetric(
        "agreement with other methods",
        "the mean rank correlation of |attribution| with that of other methods",
        True,
        "Krishna et al. 2022",
    ),
    "decoys": TruthFreeMetric(
        "planted decoys",
        "auPRC of the bases of a motif's consensus that was planted in a shuffle of the sequence",
        True,
        "Yang & Kim 2019; Zhou et al. 2022",
    ),
}


def sparsity(scores: npt.ArrayLike) -> Floats:
    """Gini index of the |attributions| of each sequence.

    Parameters
    ----------
    scores : float array, shape (N, L)

    Returns
    -------
    float64 array, shape (N,)
        From 0, all alike, to 1 - 1 / L, one base alone; NaN where all are zero.

    Examples
    --------
    >>> sparsity([[0.0, 0.0, -3.0, 0.0], [1.0, 1.0, 1.0, 1.0]]).tolist()
    [0.75, 0.0]
    """
    rising = np.sort(np.abs(np.asarray(scores, np.float64)), axis=1)
    length = rising.shape[1]
    total = _nan_for_zero(rising.sum(axis=1))
    weights = (2 * np.arange(1, length + 1) - length - 1) / length
    return (rising @ weights) / total


def complexity(scores: npt.ArrayLike) -> Floats:
    """Entropy of the shares of |attribution| of each sequence, over log L.

    Parameters
    ----------
    scores : float array, shape (N, L)

    Returns
    -------
    float64 array, shape (N,)
        From 0, one base alone, to 1, all alike; NaN where all are zero.

    Examples
    --------
    >>> complexity([[0.0, 0.0, -3.0, 0.0], [1.0, 1.0, 1.0, 1.0]]).tolist()
    [0.0, 1.0]
    """
    sizes = np.abs(np.asarray(scores, np.float64))
    shares = sizes / _nan_for_zero(sizes.sum(axis=1))[:, None]
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    return np.abs(entropy) / math.log(sizes.shape[1])


def infidelity(credit: npt.ArrayLike, change: npt.ArrayLike) -> Floats:
    """What credit leaves unexplained of the changes of an output, when scaled as well as can be.

    Yeh et al. (2019) take the mean of (credit - change)^2 over perturbations. A method's unit is its own, so that the
    credit of a sequence is scaled by the one factor that fits it best, and the mean is divided by that of change^2.

    Parameters
    ----------
    credit : float array, shape (N, M)
        Sum of the attributions of the bases that each of M perturbations replaced.
    change : float array, shape (N, M)
        Output of the sequence less that of the perturbed one.

    Returns
    -------
    float64 array, shape (N,)
        0 where credit is change in other units, 1 where it says nothing; NaN where no output changes.

    Examples
    --------
    >>> infidelity([[1.0, 2.0, 3.0], [1.0, -1.0, 0.0]], [[2.0, 4.0, 6.0], [1.0, 1.0, 1.0]]).round(6).tolist()
    [0.0, 1.0]
    """
    credit, change = np.asarray(credit, np.float64), np.asarray(change, np.float64)
    size = (credit**2).sum(axis=1)
    explained = (credit * change).sum(axis=1) ** 2 / np.where(size > 0, size, 1.0)
    total = (change**2).sum(axis=1)
    return np.clip(1 - explained / _nan_for_zero(total), 0, 1)


def relative_change(scores: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
    """Distance of each sequence's attributions from others, over their own length (Euclidean norms).

    Parameters
    ----------
    scores, others : float array, shape (N, L)
        Bases that are NaN in either are left out.

    Examples
    --------
    >>> relative_change([[3.0, 4.0, 9.0]], [[3.0, 9.0, float("nan")]]).tolist()
    [1.0]
    """
    scores, others = np.asarray(scores, np.float64), np.asarray(others, np.float64)
    known = ~(np.isnan(scores) | np.isnan(others))
    own = np.sqrt((np.where(known, scores, 0.0) ** 2).sum(axis=1))
    return np.sqrt((np.where(known, scores - others, 0.0) ** 2).sum(axis=1)) / _nan_for_zero(own)


def size_correlation(scores: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
    """Spearman's correlation of the |attributions| of each sequence with those of others.

    Parameters
    ----------
    scores, others : float array, shape (N, L)

    Returns
    -------
    float64 array, shape (N,)
        NaN where either has the same size at every base.

    Examples
    --------
    >>> size_correlation([[0.1, -3.0, 2.0]], [[1.0, 5.0, 2.0]]).tolist()
    [1.0]
    """
    ranks = [rankdata(np.abs(np.asarray(each, np.float64)), axis=1) for each in (scores, others)]
    first, second = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    norms = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return (first * second).sum(axis=1) / _nan_for_zero(norms)


def highest_bases(scores: npt.ArrayLike, shares: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """The highest bases of each sequence, with their sign: bool (N, S, L) for S shares of L, one base at least.

    Of bases with the same attribution the first come first.

    Examples
    --------
    >>> highest_bases([[0.5, -2.0, 3.0, 1.0]], [0.25, 0.5])[0].astype(int).tolist()
    [[0, 0, 1, 0], [0, 0, 1, 1]]
    """
    scores = np.asarray(scores, np.float64)
    length = scores.shape[1]
    place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
    counts = np.maximum(1, np.rint(np.asarray(shares, np.float64) * length)).astype(np.int64)
    return place[:, None, :] < counts[:, None]


def _nan_for_zero(values: Floats) -> Floats:
    return np.where(values == 0, np.nan, values)
