"""The sampler of a semi-Markov grammar: the next start by one draw, bases by one draw each, sequences in parallel.

Sequence i reads two streams of its own. The one of its elements is read as they are needed, so that placement can be
run twice, once to count the sites and once to fill in; of the other, draw p decides the base at position p.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.random_streams import Stream, fill_uint32, next_uniform, open_stream
from simbench_tf.simulate._semi_markov import SemiMarkov

Integers = npt.NDArray[np.int64]
Letters = npt.NDArray[np.uint8]
Draws = npt.NDArray[np.uint32]

# the row of SemiMarkov.background_steps for a base that has none before it
NO_BASE = 4

_ACGT = np.frombuffer(b"ACGT", np.uint8)


@nb.njit(cache=True)
def _next_start(hmm: SemiMarkov, pattern: int, position: int, stream: Stream) -> int:
    """Where the first element at or after decision point `position` starts; L for none.

    P(no start before j) = exp(-(H(j) - H(position))), H being the cumulative hazard: inverted by binary search.
    """
    cumulative = hmm.cumulative_hazard[pattern]
    target = cumulative[position] - np.log1p(-next_uniform(stream))
    return np.searchsorted(cumulative, target, side="right") - 1


@nb.njit(cache=True)
def _next_variant(hmm: SemiMarkov, pattern: int, start: int, stream: Stream) -> tuple[int, int]:
    """Which element starts at `start`, and as which of its variants: one draw each."""
    element = _choose(hmm.rates[pattern] * hmm.profile[start], stream)
    first, last = hmm.element_variant[element], hmm.element_variant[element + 1]
    return element, first + _choose(hmm.variant_probability[first:last], stream)


@nb.njit(cache=True)
def _choose(weights: npt.NDArray[np.float64], stream: Stream) -> int:
    """An index with probability in proportion to its weight."""
    left = next_uniform(stream) * weights.sum()
    chosen = 0
    for index in range(weights.size):
        # round-off may leave a rest after the last weight: that goes to the last one above zero
        if weights[index] > 0:
            chosen = index
            left -= weights[index]
            if left < 0:
                break
    return chosen


@nb.njit(cache=True)
def _base(steps: Integers, row: int, draw: np.uint32) -> int:
    # int64 throughout: of mixed types the compiler makes branches, which no processor predicts
    value = np.int64(draw)
    return int(value >= steps[row, 0]) + int(value >= steps[row, 1]) + int(value >= steps[row, 2])


@nb.njit(cache=True)
def _successors(steps: Integers, draws: Draws) -> npt.NDArray[np.uint8]:
    """What each draw would put after an A, a C, a G and a T, (L,): two bits each, from the lowest.

    This needs no base before, so that it runs on many positions at once; the walk that does is left with a shift.
    """
    successors = np.empty(draws.size, np.uint8)
    for position in range(draws.size):
        packed = 0
        for before in range(4):
            packed |= _base(steps, before, draws[position]) << (2 * before)
        successors[position] = packed
    return successors


@nb.njit(cache=True)
def _emit_background(letters: Letters, start: int, end: int, before: int, successors: npt.NDArray[np.uint8]) -> int:
    """Write background bases after the base `before`, and return the last one."""
    for position in range(start, end):
        before = int((np.int64(successors[position]) >> (2 * before)) & 3)
        letters[position] = _ACGT[before]
    return before


@nb.njit(cache=True)
def _emit_segment(hmm: SemiMarkov, letters: Letters, start: int, segment: int, draws: Draws) -> int:
    """Write a segment's bases and return the last one."""
    row = hmm.segment_row[segment]
    base = NO_BASE
    for offset in range(hmm.segment_width[segment]):
        base = _base(hmm.ppm_steps, row + offset, draws[start + offset])
        letters[start + offset] = _ACGT[base]
    return base


@nb.njit(cache=True, parallel=True)
def count_sites(hmm: SemiMarkov, elements_key: np.uint64, patterns: Integers, first: int) -> Integers:
    """Number of sites of each sequence, (N,): sequence ``first + row`` has label pattern ``patterns[row]``."""
    counts = np.zeros(patterns.size, np.int64)
    length = hmm.profile.shape[0]
    for row in nb.prange(patterns.size):
        stream = open_stream(elements_key, first + row, 0)
        position = 0
        while position < length:
            start = _next_start(hmm, patterns[row], position, stream)
            if start == length:
                break
            _, variant = _next_variant(hmm, patterns[row], start, stream)
            counts[row] += 1 if hmm.variant_second[variant] < 0 else 2
            position = start + hmm.variant_width[variant]
    return counts


@nb.njit(cache=True, parallel=True)
def fill(
    hmm: SemiMarkov,
    elements_key: np.uint64,
    bases_key: np.uint64,
    patterns: Integers,
    first: int,
    offsets: Integers,
    letters: Letters,
    sites: Integers,
) -> None:
    """Write the sequences as ASCII, uint8 (N, L), and the sites, int64 (M, 4), columns row, start, segment, element.

    The sites of row i are ``offsets[i]`` up to ``offsets[i + 1]``, by :func:`count_sites`.
    """
    length = hmm.profile.shape[0]
    for row in nb.prange(patterns.size):
        stream = open_stream(elements_key, first + row, 0)
        draws = np.empty(length, np.uint32)
        fill_uint32(open_stream(bases_key, first + row, 0), draws)
        successors = _successors(hmm.background_steps, draws)
        # no base comes before the first: it is drawn from the stationary row, and read as if it followed an A
        successors[0] = _base(hmm.background_steps, NO_BASE, draws[0])
        site, position, base = offsets[row], 0, 0
        while position < length:
            start = _next_start(hmm, patterns[row], position, stream)
            base = _emit_background(letters[row], position, start, base, successors)
            if start == length:
                break
            element, variant = _next_variant(hmm, patterns[row], start, stream)
            position = start
            for segment in (hmm.variant_first[variant], hmm.variant_second[variant]):
                if segment >= 0:
                    if position > start:
                        after_gap = position + hmm.variant_gap[variant]
                        base = _emit_background(letters[row], position, after_gap, base, successors)
                        position = after_gap
                    base = _emit_segment(hmm, letters[row], position, segment, draws)
                    sites[site, 0], sites[site, 1], sites[site, 2], sites[site, 3] = row, position, segment, element
                    position += hmm.segment_width[segment]
                    site += 1


@nb.njit(cache=True)
def cut_out(letters: Letters, rows: Integers, starts: Integers, offsets: Integers) -> Letters:
    """The letters of all sites one after the other: site m is ``offsets[m]`` up to ``offsets[m + 1]``."""
    matched = np.empty(offsets[-1], np.uint8)
    for site in range(rows.size):
        for offset in range(offsets[site + 1] - offsets[site]):
            matched[offsets[site] + offset] = letters[rows[site], starts[site] + offset]
    return matched
