"""Spearman's rank correlation, where there is one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike, min_values: int = 2) -> float:
    """Spearman's correlation of two columns; NaN for fewer than `min_values`, or where one column never varies.

    Examples
    --------
    >>> rank_correlation([1.0, 2.0, 5.0], [0.1, 0.4, 0.2]), rank_correlation([1.0, 2.0], [3.0, 3.0])
    (0.5, nan)
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(first) < min_values or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(spearmanr(first, second).statistic)
