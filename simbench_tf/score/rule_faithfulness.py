"""Faithfulness to rules: does the credit of one motif follow when the motif it depends on is knocked out?"""

from __future__ import annotations

import math

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
    measured["agreement"] = rank_correlation(change, values["interaction"])
    measured["oracle_agreement"] = rank_correlation(change, values["oracle_interaction"])
    return measured
