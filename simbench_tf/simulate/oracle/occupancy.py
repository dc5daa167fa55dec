"""Which bases lie in sites: the posterior starts of elements, spread over the bases of their motifs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.simulate.oracle.forward_backward import CHUNK_SEQUENCES, Scratch, new_scratch, posterior_starts
from simbench_tf.simulate.oracle.layout import OracleLayout

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class PosteriorRows(NamedTuple):
    """What `explain_rows` fills: likelihoods by the forward and by the backward pass, and occupancies."""

    log_likelihood: Floats  # (N, P)
    backward_log_likelihood: Floats  # (N, P)
    possible: npt.NDArray[np.bool_]  # (N,) whether any pattern that fits the labels can give the sequence
    occupancy: Floats  # (N, L)
    task_occupancy: Floats  # (T, N, L)
    part_occupancy: Floats  # (N, L, E) or (N, L, M); (0, 0, 0) where not requested


def explain_rows(
    layout: OracleLayout, bases: Bases, known: Integers, labels: Integers, by: Literal["element", "motif"] | None
) -> PosteriorRows:
    """Forward and backward over every sequence.

    Parameters
    ----------
    layout : OracleLayout
    bases : uint8 (N, L)
    known, labels : int64 (N,)
        Occupancies are those of the patterns p with ``p & known == labels``, weighted by their posterior.
    by : {"element", "motif"} or None
        What `part_occupancy` has a column for.
    """
    n, length = bases.shape
    n_patterns, n_tasks = len(layout.prior), len(layout.task_elements)
    n_parts = {"element": layout.profile.shape[1], "motif": layout.n_motifs, None: 0}[by]
    explained = PosteriorRows(
        log_likelihood=np.empty((n, n_patterns)),
        backward_log_likelihood=np.empty((n, n_patterns)),
        possible=np.empty(n, np.bool_),
        occupancy=np.empty((n, length)),
        task_occupancy=np.empty((n_tasks, n, length)),
        part_occupancy=np.empty((n, length, n_parts) if by else (0, 0, 0)),
    )
    _explain_rows(layout, bases, known, labels, by == "motif", explained)
    return explained


@njit(parallel=True)
def _explain_rows(
    layout: OracleLayout, bases: Bases, known: Integers, labels: Integers, by_motif: bool, explained: PosteriorRows
) -> None:
    n = bases.shape[0]
    for block in nb.prange((n + CHUNK_SEQUENCES - 1) // CHUNK_SEQUENCES):
        scratch = new_scratch(layout, max(layout.profile.shape[1], layout.n_motifs))
        for row in range(block * CHUNK_SEQUENCES, min(n, (block + 1) * CHUNK_SEQUENCES)):
            # written in a function of its own: numba's parallel pass drops writes to the arrays of a named tuple
            _explain_row(layout, bases[row], known[row], labels[row], by_motif, scratch, explained, row)


@njit()
def _explain_row(
    layout: OracleLayout,
    bases: Bases,
    known: int,
    labels: int,
    by_motif: bool,
    scratch: Scratch,
    explained: PosteriorRows,
    row: int,
) -> None:
    likelihood, backward = explained.log_likelihood[row], explained.backward_log_likelihood[row]
    explained.possible[row] = posterior_starts(layout, bases, known, labels, scratch, likelihood, backward)
    covered = scratch.covered[: layout.profile.shape[1]]
    _cover(layout, scratch.weights, covered, False)
    _collect(layout, covered, explained, row)
    if explained.part_occupancy.size > 0:
        if by_motif:
            covered = scratch.covered[: layout.n_motifs]
            _cover(layout, scratch.weights, covered, True)
        explained.part_occupancy[row] = covered.T


@njit()
def _cover(layout: OracleLayout, starts: Floats, covered: Floats, by_motif: bool) -> None:
    """Spread starts over the bases of the motifs: sums alone, since differences would blur small probabilities."""
    covered[:] = 0.0
    for i in range(starts.shape[0]):
        for footprint in range(starts.shape[1]):
            probability = starts[i, footprint]
            if probability > 0:
                part = layout.first_motif[footprint] if by_motif else layout.element[footprint]
                row = covered[part]
                for position in range(i, i + layout.first_width[footprint]):
                    row[position] += probability
                if layout.second_motif[footprint] >= 0:
                    part = layout.second_motif[footprint] if by_motif else layout.element[footprint]
                    row = covered[part]
                    for position in range(i + layout.second_start[footprint], i + layout.width[footprint]):
                        row[position] += probability


@njit()
def _collect(layout: OracleLayout, covered: Floats, explained: PosteriorRows, row: int) -> None:
    """Elements never overlap, so that the probability of lying in any of several is the sum of theirs."""
    n_elements, length = covered.shape
    everywhere = explained.occupancy[row]
    everywhere[:] = 0.0
    for element in range(n_elements):
        for i in range(length):
            everywhere[i] += covered[element, i]
    np.minimum(everywhere, 1.0, everywhere)
    for task in range(layout.task_elements.shape[0]):
        occupancy = explained.task_occupancy[task, row]
        occupancy[:] = 0.0
        for element in range(n_elements):
            if layout.task_elements[task, element]:
                for i in range(length):
                    occupancy[i] += covered[element, i]
        np.minimum(occupancy, 1.0, occupancy)
