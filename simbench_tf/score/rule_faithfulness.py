"""Faithfulness to rules and their satisfiability: does credit follow when a motif that it depends on is knocked out?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simbench_tf.score.correlation import rank_correlation


def faithfulness(
    scores: npt.NDArray[np.floating],
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    answers: npt.NDArray[np.floating],
    oracle: npt.NDArray[np.floating],
) -> dict[str, float]:
    """Measure whether attributions follow an interaction: does the credit of one part fall when the other is destroyed?

    Where a label depends on ``A and B``, A counts for less once B is gone, and so should its credit: by the model's own
    *interaction*, f(A, B) - f(B) - f(A) + f(neither), if credit is what the loss of a part costs. Where the parts lie
    plays no role.

    Parameters
    ----------
    scores : float array, shape (N, 3, L)
        Attributions of each sequence as it is, without the first part, and without the second.
    first, second : bool array, shape (N, L)
        The bases of each part.
    answers : float array, shape (N, 4)
        The attributed output of each sequence as it is, without the first, without the second, and without both.
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
    credits = _credits(scores, first, second)
    n = len(scores)
    if not answers.shape == oracle.shape == (n, 4):
        raise ValueError(f"need answers ({n}, 4), not {answers.shape} and {oracle.shape}")
    values: dict[str, npt.NDArray[np.float64]] = {}
    changes = []
    for name, without in (("first", 1), ("second", 2)):
        changes.append(credits[f"{name}_beside"] - credits[f"{name}_alone"])
        values |= {
            f"{name}_credit": credits[f"{name}_beside"],
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
    measured["agreement"] = rank_correlation(change, values["interaction"])
    measured["oracle_agreement"] = rank_correlation(change, values["oracle_interaction"])
    return measured


def _credits(
    scores: npt.NDArray[np.floating], first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.float64]]:
    """The sum of attributions of each part beside the other one and without it, each float64 (N,)."""
    n, n_versions, length = scores.shape
    if n_versions != 3 or not first.shape == second.shape == (n, length):
        raise ValueError(f"need scores (N, 3, L) and parts (N, L), not {scores.shape}, {first.shape}, {second.shape}")
    found: dict[str, npt.NDArray[np.float64]] = {}
    for name, part, other in (("first", first, 2), ("second", second, 1)):
        credit = np.einsum("nvl,nl->nv", scores, part, dtype=np.float64)
        found |= {f"{name}_beside": credit[:, 0], f"{name}_alone": credit[:, other]}
    return found


def satisfiability(
    scores: npt.NDArray[np.floating],
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    truth: Sequence[float],
) -> dict[str, float]:
    """Measure whether signed credit stands in the order of a rule's truth table, part by part, knock-out by knock-out.

    By the table, what a part is worth is f(with it) - f(without it), beside the other part and alone: four worths, and
    nothing, which is worth 0. Of each two of these five that differ, the credits must differ in the same direction. So
    for ``A and B`` either part must get more beside the other than alone, and more than nothing; for ``A without B``
    A alone must get more than beside B, and B beside A less than nothing. No threshold is chosen, and no unit.

    Parameters
    ----------
    scores : float array, shape (N, 3, L)
        Attributions of each sequence as it is, without the first part, and without the second.
    first, second : bool array, shape (N, L)
        The bases of each part.
    truth : sequence of 4 floats
        What the rule says of a sequence as it is, without the first, without the second, and without both.

    Returns
    -------
    satisfiability : dict
        `satisfied`, the mean over sequences of the share of pairs in the right order (equal credits count for half) and
        its standard error `satisfied_se`: 1 where credit is what the rule gives, .5 on average for random numbers of
        either sign, and for none. `wholly_satisfied`, the share of sequences in which every pair is.

    Raises
    ------
    ValueError
        The shapes do not fit, or the rule depends on neither part.

    Notes
    -----
    That signed attributions should satisfy the Boolean logic of the grammar is the idea of the Grammar Satisfiability
    Score ("Beyond Motif Localization: Probing Rule-Level Signals in Synthetic Genomic Grammars", a workshop paper at
    ICLR 2026); the measure is ours.

    Examples
    --------
    >>> scores = np.array([[[2., 2.], [0., 0.], [0., 0.]], [[1., 3.], [0., 4.], [0., 0.]]])
    >>> first, second = np.array([[True, False]] * 2), np.array([[False, True]] * 2)
    >>> measured = satisfiability(scores, first, second, [1, 0, 0, 0])  # A and B
    >>> round(measured["satisfied"], 3), measured["wholly_satisfied"]  # of the second sequence, 4 of 6 pairs
    (0.833, 0.5)
    """
    both, without_first, without_second, neither = truth
    worth = {
        "first_beside": both - without_first,
        "first_alone": without_second - neither,
        "second_beside": both - without_second,
        "second_alone": without_first - neither,
        "nothing": 0.0,
    }
    credits = _credits(scores, first, second) | {"nothing": np.zeros(len(scores))}
    in_order = [
        (1 + np.sign(worth[one] - worth[other]) * np.sign(credits[one] - credits[other])) / 2
        for one, other in itertools.combinations(worth, 2)
        if worth[one] != worth[other]
    ]
    if not in_order:
        raise ValueError(f"a rule that says {tuple(truth)} depends on neither part")
    satisfied = np.mean(in_order, axis=0)
    n = len(satisfied)
    return {
        "satisfied": float(satisfied.mean()),
        "satisfied_se": float(satisfied.std(ddof=1) / np.sqrt(n)) if n > 1 else math.nan,
        "wholly_satisfied": float((satisfied == 1).mean()),
    }
