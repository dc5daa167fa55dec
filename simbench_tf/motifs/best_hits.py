"""The best match of any motif over each base: a score that knows the true motifs and no model."""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.motifs.files import UNIFORM, Motif
from simbench_tf.motifs.scanning import pwm

Bases = npt.NDArray[np.uint8]


def scan_scores(
    bases: Bases,
    motifs: Sequence[Motif],
    background: Sequence[float] | npt.NDArray[np.float64] = UNIFORM,
) -> npt.NDArray[np.float32]:
    """Score each base by the best match that covers it, of any motif on either strand: ``log2(1 + odds)``.

    The odds are those of the PWM (`pwm`) over the background, 2 to the power of the log-odds. The order of the bases is
    that of the log-odds, and no score is negative, as scores that are ranked by size need to be.

    Parameters
    ----------
    bases : uint8, shape (N, L)
        0-3 for A, C, G, T and 4 for N; a match with an N counts for nothing.
    motifs : sequence of Motif
    background : 4 floats
        Base frequencies A, C, G, T.

    Returns
    -------
    float32, shape (N, L)
        0 where no window that fits covers the base.

    Examples
    --------
    >>> motif = Motif("m", "m", np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]), 1e6)
    >>> scan_scores(np.array([[3, 0, 1, 3, 3]], np.uint8), [motif]).round(2)  # AC is 4 x 4 times as likely
    array([[0.  , 4.09, 4.09, 0.  , 0.  ]], dtype=float32)
    """
    if bases.ndim != 2 or bases.dtype != np.uint8:
        raise ValueError(f"bases must be uint8 (N, L), not {bases.dtype} {bases.shape}")
    best = np.full(bases.shape, -np.inf, np.float32)
    frequencies = np.asarray(background, np.float64)
    for motif in motifs:
        # read along the minus strand, bases are complements: A is as frequent there as T is here
        for matrix in (pwm(motif, frequencies), pwm(motif, frequencies[::-1])[::-1, ::-1]):
            _raise_to_best(bases, np.ascontiguousarray(matrix), best)
    return np.logaddexp2(np.float32(0), best)


@njit(parallel=True)
def _raise_to_best(bases: Bases, matrix: npt.NDArray[np.float32], best: npt.NDArray[np.float32]) -> None:
    """Raise `best` to the score of each window of a matrix, over all bases that the window covers."""
    width = len(matrix)
    for row in nb.prange(bases.shape[0]):
        for start in range(bases.shape[1] - width + 1):
            score = np.float32(0)
            for offset in range(width):
                base = bases[row, start + offset]
                score += matrix[offset, base] if base < 4 else np.float32(-np.inf)
            for position in range(start, start + width):
                best[row, position] = max(best[row, position], score)
