"""Calibration of attributions: from a base's score to the probability that it lies in a true site.

Fitted where the truth is known, by isotonic regression (Zadrozny & Elkan 2002): the probability never falls as the
score rises, and no other form is assumed. It holds for scores of the same method and of models that are as good, on
sequences like those it was fitted on; how far that carries over, `reliability` tells where there is truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from simbench_tf.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A step-free rising function from scores to probabilities.

    Attributes
    ----------
    scores : float64 array, shape (K,)
        Rising; |score| unless `sign` is "signed".
    probabilities : float64 array, shape (K,)
        At each of them; between two it is a straight line, beyond the ends it is level.
    sign : {"absolute", "signed"}
    """

    scores: Floats
    probabilities: Floats
    sign: Literal["absolute", "signed"] = "absolute"

    def predict(self, scores: npt.ArrayLike) -> Floats:
        """Probability that each base lies in a true site: float array of any shape -> float64 of that shape.

        NaN where a score is NaN.
        """
        return np.interp(_ranked(np.asarray(scores, np.float64), self.sign), self.scores, self.probabilities)


def calibrate(
    scores: npt.ArrayLike, mask: npt.ArrayLike, *, sign: Literal["absolute", "signed"] = "absolute"
) -> Calibration:
    """Fit probabilities of a true base to attributions where the truth is known.

    Parameters
    ----------
    scores : float array, shape (N, L)
        Or of any other shape; bases that are NaN are left out.
    mask : bool array of the same shape
        True where a base lies in a site.
    sign : {"absolute", "signed"}, default "absolute"
        Whether |attribution| tells, or the attribution with its sign.

    Returns
    -------
    calibration : Calibration
        Its `predict(scores)` gives probabilities.

    Raises
    ------
    InputError
        The shapes differ, or no base has a score.

    Examples
    --------
    >>> calibration = calibrate([[0.0, 1.0, -1.0, 5.0]], [[False, True, False, True]])
    >>> calibration.predict([0.0, 1.0, -9.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    from sklearn.isotonic import IsotonicRegression

    scores, mask = np.asarray(scores, np.float64), np.asarray(mask, np.bool_)
    if scores.shape != mask.shape:
        raise InputError("mask", f"has shape {mask.shape}, the scores {scores.shape}", "give both for the same bases")
    if sign not in ("absolute", "signed"):
        raise InputError("sign", f"{sign!r} is not known", 'write "absolute" or "signed"')
    known = ~np.isnan(scores)
    if not known.any():
        raise InputError("scores", "holds no number", "give attributions of at least one sequence")
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(_ranked(scores[known], sign), mask[known])
    return Calibration(np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64), sign)


def reliability(probabilities: npt.ArrayLike, mask: npt.ArrayLike, n_bins: int = 10) -> pd.DataFrame:
    """Hold stated probabilities against how often they are right, in bins of as many bases each.

    Parameters
    ----------
    probabilities : float array, shape (N, L)
        Bases that are NaN are left out.
    mask : bool array of the same shape
    n_bins : int, default 10
        Bases of one probability stay together, so there may be fewer.

    Returns
    -------
    pandas.DataFrame
        `predicted`, the mean probability of a bin, `observed`, the share of true bases, `low` and `high`, its 95%
        Wilson interval for bases that are independent, and `n`, how many there are. Bases of one site are not: of a
        set of sites the interval is too narrow.

    Examples
    --------
    >>> table = reliability([0.1] * 10 + [0.9] * 10, [False] * 9 + [True] * 10 + [False], n_bins=2)
    >>> table[["predicted", "observed", "n"]].round(6).to_numpy().tolist()
    [[0.1, 0.1, 10.0], [0.9, 0.9, 10.0]]
    """
    probabilities, mask = np.asarray(probabilities, np.float64).ravel(), np.asarray(mask, np.bool_).ravel()
    known = ~np.isnan(probabilities)
    probabilities, mask = probabilities[known], mask[known]
    edges = np.zeros(0)
    if len(probabilities):
        edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, n_bins + 1)[1:-1]))
    bins = np.searchsorted(edges, probabilities, side="left")
    table = pd.DataFrame({"bin": bins, "predicted": probabilities, "observed": mask.astype(np.float64)})
    grouped = table.groupby("bin")
    found = grouped.mean().assign(n=grouped.size())
    tests = [binomtest(round(row.observed * row.n), int(row.n)) for row in found.itertuples()]
    intervals = [test.proportion_ci(method="wilson") for test in tests]
    found = found.assign(low=[each.low for each in intervals], high=[each.high for each in intervals])
    return found[["predicted", "observed", "low", "high", "n"]].reset_index(drop=True)


def _ranked(scores: Floats, sign: str) -> Floats:
    return np.abs(scores) if sign == "absolute" else scores
