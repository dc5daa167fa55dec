"""Intervals on sequences, 0-based and half-open: which bases they cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def covered_bases(
    rows: npt.ArrayLike, starts: npt.ArrayLike, ends: npt.ArrayLike, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Bases that lie in an interval, bool of `shape`; no more memory is taken than that and the intervals.

    Parameters
    ----------
    rows, starts, ends : int, shape (n,)
        Row, first base, and the base after the last, of each interval; ``0 <= start <= end <= L``.
    shape : (int, int)
        N sequences and L bases.

    Raises
    ------
    IndexError
        An interval lies beyond its sequence.

    Examples
    --------
    >>> covered_bases([0, 0], [1, 2], [3, 4], (1, 5)).tolist()
    [[False, True, True, True, False]]
    """
    rows, starts, ends = (np.asarray(each, np.int64) for each in (rows, starts, ends))
    covered = np.zeros(shape, np.bool_)
    if rows.size and (starts.min() < 0 or (ends > shape[1]).any()):
        raise IndexError(f"an interval lies beyond the {shape[1]} bases of a sequence")
    flat, first, widths = covered.reshape(-1), rows * shape[1] + starts, ends - starts
    for base in range(int(widths.max(initial=0))):  # the first base of each interval, the second, ...
        first, widths = first[widths > base], widths[widths > base]
        flat[first + base] = True
    return covered
