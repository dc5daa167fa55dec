"""The sampler of a semi-Markov grammar: one draw per start, one draw per base, sequences in parallel.

Sequence i reads three streams of its own. The one of its elements is read as they are needed, so that placement can be
run twice, once to count the sites and once to fill in; of another, draw p decides the base at position p; the third is
that of its stretches.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.dna.encoding import LETTERS
from simbench_tf.random_streams import Stream, fill_uint32, next_uniform, open_stream
from simbench_tf.simulate.grammar.semi_markov import SemiMarkov

Integers = npt.NDArray[np.int64]
Letters = npt.NDArray[np.uint8]
Draws = npt.NDArray[np.uint32]


@njit()
def _next_start(hmm: SemiMarkov, pattern: int, position: int, stream: Stream) -> int:
    """Where the first element at or after decision point `position` starts; L for none.

    P(no start before j) = exp(-(H(j) - H(position))), H being the cumulative hazard: inverted by binary search.
    """
    cumulative = hmm.cumulative_hazard[pattern]
    target = cumulative[position] - np.log1p(-next_uniform(stream))
    return np.searchsorted(cumulative, target, side="right") - 1


@njit()
def _next_form(hmm: SemiMarkov, pattern: int, start: int, stream: Stream) -> tuple[int, int]:
    """Which element starts at `start`, and as which of its forms: one draw each."""
    element = _choose(hmm.rates[pattern] * hmm.profile[start], stream)
    first, last = hmm.element_form[element], hmm.element_form[element + 1]
    return element, first + _choose(hmm.form_probability[first:last], stream)


@njit()
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


@njit()
def _base(steps: Integers, row: int, draw: np.uint32) -> int:
    # int64 throughout: of mixed types the compiler makes branches, which no processor predicts
    value = np.int64(draw)
    return int(value >= steps[row, 0]) + int(value >= steps[row, 1]) + int(value >= steps[row, 2])


@njit()
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


@njit()
def _kinds_along(hmm: SemiMarkov, placed: Integers, key: np.uint64, index: int) -> Letters:
    """The kind of stretch at each position, uint8 (L,): one stretch after another, and none ends within an element.

    Without stretches it has no items.
    """
    if hmm.stretch_weight.size == 1:
        return np.empty(0, np.uint8)
    kinds, stream = np.empty(hmm.profile.shape[0], np.uint8), open_stream(key, index, 1)
    kind = _choose(hmm.stretch_start, stream)
    left, number, position = _stretch_length(hmm, kind, stream), 0, 0
    while position < kinds.size:
        if number < len(placed) and placed[number, 0] == position:
            end = position + hmm.form_width[placed[number, 2]]
            kinds[position:end] = kind
            position, number = end, number + 1
            continue
        kinds[position] = kind
        position, left = position + 1, left - 1
        if left == 0:
            kind = _choose(hmm.stretch_weight, stream)
            left = _stretch_length(hmm, kind, stream)
    return kinds


@njit()
def _stretch_length(hmm: SemiMarkov, kind: int, stream: Stream) -> int:
    """Background bases up to the end of a stretch: 1 or more, each the last with the same probability."""
    length = np.log1p(-next_uniform(stream)) / np.log(hmm.stretch_stay[kind])
    return 1 + int(min(length, hmm.profile.shape[0]))


@njit()
def _emit_background(
    hmm: SemiMarkov,
    letters: Letters,
    start: int,
    end: int,
    context: int,
    draws: Draws,
    successors: Letters,
    kinds: Letters,
) -> int:
    """Write background bases after `context`, the code of up to k bases before, and return that of the last ones."""
    if successors.size > 0:
        for position in range(start, end):
            context = int((np.int64(successors[position]) >> (2 * context)) & 3)
            letters[position] = LETTERS[context]
        return context
    for position in range(start, end):
        # fewer than k bases precede the first ones: blocks of 1, 4, 16, ... rows
        row = (4 ** min(position, hmm.order) - 1) // 3 + context
        if kinds.size > 0:
            row += kinds[position] * (hmm.background_steps.shape[0] // hmm.stretch_weight.size)
        base = _base(hmm.background_steps, row, draws[position])
        letters[position] = LETTERS[base]
        context = _follow(hmm, context, base)
    return context


@njit()
def _follow(hmm: SemiMarkov, context: int, base: int) -> int:
    return (4 * context + base) & (4**hmm.order - 1)


@njit()
def _emit_segment(hmm: SemiMarkov, letters: Letters, start: int, segment: int, context: int, draws: Draws) -> int:
    """Write a segment's bases and return the context after it."""
    row = hmm.segment_row[segment]
    for offset in range(hmm.segment_width[segment]):
        base = _base(hmm.ppm_steps, row + offset, draws[start + offset])
        letters[start + offset] = LETTERS[base]
        context = _follow(hmm, context, base)
    return context


@njit()
def _place(hmm: SemiMarkov, pattern: int, stream: Stream, placed: Integers) -> int:
    """Draw placements until the rules keep one; fill `placed`, columns start, element, form; return how many."""
    length = hmm.profile.shape[0]
    weight = hmm.presence_weight[pattern]
    while True:
        n_placed, position, presence = 0, 0, 0
        while position < length:
            start = _next_start(hmm, pattern, position, stream)
            if start == length:
                break
            element, form = _next_form(hmm, pattern, start, stream)
            placed[n_placed, 0], placed[n_placed, 1], placed[n_placed, 2] = start, element, form
            n_placed += 1
            presence |= hmm.element_bit[element]
            position = start + hmm.form_width[form]
        # without rules there is one presence, and no draw
        if weight.size == 1 or next_uniform(stream) * weight.max() < weight[presence]:
            return n_placed


@njit()
def _empty_placements(hmm: SemiMarkov) -> Integers:
    """Return space for the most elements that a sequence holds."""
    return np.empty((hmm.profile.shape[0] // hmm.form_width.min() + 1, 3), np.int64)


@njit(parallel=True)
def count_sites(hmm: SemiMarkov, elements_key: np.uint64, patterns: Integers, indices: Integers) -> Integers:
    """Number of sites of each sequence, (N,): sequence ``indices[row]`` has label pattern ``patterns[row]``."""
    counts = np.zeros(patterns.size, np.int64)
    for row in nb.prange(patterns.size):
        placed = _empty_placements(hmm)
        n_placed = _place(hmm, patterns[row], open_stream(elements_key, indices[row], 0), placed)
        for number in range(n_placed):
            counts[row] += 1 if hmm.form_second[placed[number, 2]] < 0 else 2
    return counts


@njit(parallel=True)
def fill(
    hmm: SemiMarkov,
    elements_key: np.uint64,
    bases_key: np.uint64,
    patterns: Integers,
    indices: Integers,
    offsets: Integers,
    letters: Letters,
    sites: Integers,
) -> None:
    """Write the sequences as ASCII, uint8 (N, L), and the sites, int64 (M, 4), columns row, start, segment, element.

    The sites of row i are ``offsets[i]`` up to ``offsets[i + 1]``, by :func:`count_sites`.
    """
    for row in nb.prange(patterns.size):
        placed = _empty_placements(hmm)
        n_placed = _place(hmm, patterns[row], open_stream(elements_key, indices[row], 0), placed)
        own = sites[offsets[row] : offsets[row + 1]]
        own[:, 0] = row
        kinds = _kinds_along(hmm, placed[:n_placed], bases_key, indices[row])
        _write(hmm, placed[:n_placed], open_stream(bases_key, indices[row], 0), kinds, letters[row], own)


@njit(nogil=True)
def fill_letters(
    hmm: SemiMarkov,
    elements_key: np.uint64,
    bases_key: np.uint64,
    patterns: Integers,
    indices: Integers,
    letters: Letters,
) -> None:
    """Write the sequences of :func:`fill` without their sites, one after the other, while other Python threads run.

    Not in parallel: numba's own threads may be asked by one thread at a time, and here several ask at once.
    """
    placed = _empty_placements(hmm)
    unread = np.empty((2 * len(placed), 4), np.int64)
    for row in range(patterns.size):
        n_placed = _place(hmm, patterns[row], open_stream(elements_key, indices[row], 0), placed)
        kinds = _kinds_along(hmm, placed[:n_placed], bases_key, indices[row])
        _write(hmm, placed[:n_placed], open_stream(bases_key, indices[row], 0), kinds, letters[row], unread)


@njit(parallel=True)
def background_letters(hmm: SemiMarkov, key: np.uint64, indices: Integers) -> Letters:
    """Random background without any element, ASCII, uint8 (N, L): one sequence for each index."""
    letters = np.empty((indices.size, hmm.profile.shape[0]), np.uint8)
    for row in nb.prange(indices.size):
        nothing = np.empty((0, 3), np.int64)
        kinds = _kinds_along(hmm, nothing, key, indices[row])
        _write(hmm, nothing, open_stream(key, indices[row], 0), kinds, letters[row], nothing)
    return letters


@njit()
def _write(
    hmm: SemiMarkov, placed: Integers, stream: Stream, kinds: Letters, letters: Letters, sites: Integers
) -> None:
    """Write one sequence's letters, and start, segment and element of its sites."""
    draws = np.empty(letters.size, np.uint32)
    fill_uint32(stream, draws)
    is_short = hmm.order == 1 and kinds.size == 0
    successors = _successors(hmm.background_steps[1:5], draws) if is_short else draws[:0].astype(np.uint8)
    if is_short:
        # no base comes before the first: it is drawn from the long run, and read as if it followed an A
        successors[0] = _base(hmm.background_steps, 0, draws[0])
    site, position, context = 0, 0, 0
    for number in range(len(placed)):
        start, element, form = placed[number]
        context = _emit_background(hmm, letters, position, start, context, draws, successors, kinds)
        position = start
        for segment in (hmm.form_first[form], hmm.form_second[form]):
            if segment >= 0:
                if position > start:
                    after_gap = position + hmm.form_gap[form]
                    context = _emit_background(hmm, letters, position, after_gap, context, draws, successors, kinds)
                    position = after_gap
                context = _emit_segment(hmm, letters, position, segment, context, draws)
                sites[site, 1], sites[site, 2], sites[site, 3] = position, segment, element
                position += hmm.segment_width[segment]
                site += 1
    _emit_background(hmm, letters, position, letters.size, context, draws, successors, kinds)


@njit()
def cut_out(letters: Letters, rows: Integers, starts: Integers, offsets: Integers) -> Letters:
    """The letters of all sites one after the other: site m is ``offsets[m]`` up to ``offsets[m + 1]``."""
    matched = np.empty(offsets[-1], np.uint8)
    for site in range(rows.size):
        for offset in range(offsets[site + 1] - offsets[site]):
            matched[offsets[site] + offset] = letters[rows[site], starts[site] + offset]
    return matched
