"""Intervals on sequences, 0-based and half-open: which bases they cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def covered_bases(
    rows: npt.ArrayLike, starts: npt.ArrayLike, ends: npt.ArrayLike, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Bases that lie in an interval, bool of `shape`: where more intervals have begun than have ended.

    Parameters
    ----------
    rows, starts, ends : int, shape (n,)
        Row, first base, and the base after the last, of each interval; ``0 <= start <= end <= L``.
    shape : (int, int)
        N sequences and L bases.

    Examples
    --------
    >>> covered_bases([0, 0], [1, 2], [3, 4], (1, 5)).tolist()
    [[False, True, True, True, False]]
    """
    steps = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(steps, (np.asarray(rows, np.int64), np.asarray(starts, np.int64)), 1)
    np.add.at(steps, (np.asarray(rows, np.int64), np.asarray(ends, np.int64)), -1)
    return np.asarray(steps[:, :-1].cumsum(axis=1) > 0)
