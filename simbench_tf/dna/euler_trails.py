"""Uniform Euler trails through the graph of a sequence's dinucleotides: the compiled kernels of `dna.shuffles`.

Nothing is checked here. `bases` are uint8 with 0-3 for A, C, G, T and 4 for N; counts are int64, (4, 4), rows from,
columns to. The caller passes scratch arrays, so that a shuffle allocates nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.random_streams import Stream, fill_uint32, next_below, open_stream

Bases = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Firsts = npt.NDArray[np.uint64]


class Scratch(NamedTuple):
    """Scratch arrays for one sequence at a time, so that a shuffle allocates nothing.

    Attributes
    ----------
    counts : int64 array, shape (4, 4)
        Pairs of neighbours.
    exits : int64 array, shape (4,)
        The base that follows the last visit of each base.
    words : uint32 array, shape (L,)
        Random draws.
    successors : uint8 array, shape (L,)
        What comes after each visit of A, then of C, G and T.
    firsts : uint64 array, shape (4,)
        Where the list of each base begins there.
    """

    counts: Counts
    exits: npt.NDArray[np.int64]
    firsts: Firsts
    words: Words
    successors: Bases


Room = Scratch  # its earlier name: numba can't read, and so replace, a cache in which it stands without it


@njit()
def _make_scratch(length: int) -> Scratch:
    return Scratch(
        np.empty((4, 4), np.int64),
        np.empty(4, np.int64),
        np.empty(4, np.uint64),
        np.empty(length, np.uint32),
        np.empty(length, np.uint8),
    )


#: What stands for anything that is not A, C, G or T in `bases`.
N_BASE = 4


@njit()
def _redrawn(word: np.uint32, n: np.uint64, stream: Stream) -> np.uint64:
    """A uniform integer in [0, n) made of `word`, or of further draws where that would be biased (Lemire 2019)."""
    product = np.uint64(word) * n
    if np.uint64(np.uint32(product)) < (np.uint64(0x100000000) - n) % n:
        return np.uint64(next_below(stream, n))
    return product >> np.uint64(32)


@njit()
def _draw_order(counts: npt.NDArray[np.int64], words: Words, stream: Stream, order: Bases) -> None:
    """Draw into `order` a uniformly random order of as many A, C, G and T as `counts` says, one word per letter.

    Letters of one kind are alike, so to draw one of those left is Fisher and Yates' shuffle of them all. In a list
    sorted by letter the As come before number to_c, the Cs before to_g, the Gs before to_t, the Ts before the end: two
    words hold these in halves of 32 bits, so that all four are compared and lowered at once.
    """
    top, one, half = np.uint64(0x8000000080000000), np.uint64(0x0000000100000001), np.uint64(32)
    to_c = np.uint64(counts[0])
    to_g = to_c + np.uint64(counts[1])
    to_t = to_g + np.uint64(counts[2])
    bounds0, bounds1 = to_c | to_g << half, to_t | (to_t + np.uint64(counts[3])) << half
    for rank in range(order.size):
        left = np.uint64(order.size - rank)
        product = np.uint64(words[rank]) * left
        draw = product >> half
        if np.uint64(np.uint32(product)) < left:
            draw = _redrawn(words[rank], left, stream)
        both = draw * one | top
        # the top bit of a half stays where the draw is not below the bound
        reached0 = ((both - bounds0) & top) >> np.uint64(31)
        reached1 = ((both - bounds1) & top) >> np.uint64(31)
        bounds0 -= one - reached0
        bounds1 -= one - reached1
        reached = reached0 + reached1
        order[rank] = (reached + (reached >> half)) & np.uint64(3)


@njit(inline="always")
def _kind(counts: Counts, a: np.int64, draw: np.int64) -> np.int64:
    """The end of edge number `draw` out of `a`, its edges being ordered by their ends."""
    to_c = counts[a, 0]
    to_g = to_c + counts[a, 1]
    to_t = to_g + counts[a, 2]
    return np.int64(draw >= to_c) + np.int64(draw >= to_g) + np.int64(draw >= to_t)


@njit()
def _last_exits(counts: Counts, root: np.int64, stream: Stream, exits: Counts) -> None:
    """Draw into `exits` a spanning arborescence into `root`, uniform over the edges of a multigraph (Wilson 1996)."""
    in_tree = 1 << root
    for start in range(4):
        # a base without an edge to another one is not in the graph, or is the root
        degree = counts[start].sum() - counts[start, start]
        if degree == 0:
            continue
        base = np.int64(start)
        while not in_tree >> base & 1:
            # loops cannot be last exits, and stepping along them would only cost time
            draw = np.int64(next_below(stream, counts[base].sum() - counts[base, base]))
            if draw >= counts[base, :base].sum():
                draw += counts[base, base]
            # a later visit overwrites the exit of an earlier one: that erases the loop between them
            exits[base] = _kind(counts, base, draw)
            base = exits[base]
        base = np.int64(start)
        while not in_tree >> base & 1:
            in_tree |= 1 << base
            base = exits[base]


@njit()
def _count_pairs(bases: Bases, counts: Counts) -> None:
    """Count into `counts`, (4, 4), the pairs of neighbours of one sequence, (L,), that hold no N."""
    counts[:] = 0
    for position in range(bases.size - 1):
        if bases[position] < N_BASE and bases[position + 1] < N_BASE:
            counts[bases[position], bases[position + 1]] += 1


@njit(parallel=True)
def count_dinucleotides(bases: Bases, counts: Counts) -> None:
    """Count the dinucleotides of each row of bases (N, L) into counts (N, 4, 4)."""
    for row in nb.prange(len(bases)):
        _count_pairs(bases[row], counts[row])


@njit()
def _draw_successors(last: np.int64, stream: Stream, scratch: Scratch) -> None:
    """Draw into `scratch.successors` what comes after each visit of A, then of C, G and T.

    Edges with the same ends are alike, so their number stands for their list, and one at random among those left is
    the next of the list shuffled; each base's last exit ends its list.
    """
    counts, exits, firsts, words, successors = scratch
    _last_exits(counts, last, stream, exits)
    # drawn ahead of their use, the rounds of the generator do not wait for what they feed
    fill_uint32(stream, words[: counts.sum()])
    first = 0
    for a in range(4):
        firsts[a] = first
        left = counts[a].sum()
        end = first + left
        if a != last and left:
            left -= 1
            counts[a, exits[a]] -= 1
            successors[end - 1] = exits[a]
        _draw_order(counts[a], words[first : first + left], stream, successors[first : first + left])
        first = end


@njit()
def _draw_trail(run: Bases, stream: Stream, scratch: Scratch, shuffled: Bases) -> None:
    """Draw into `shuffled` an Euler trail with the ends and the pairs of `run`."""
    firsts, successors = scratch.firsts, scratch.successors
    _count_pairs(run, scratch.counts)
    _draw_successors(np.int64(run[-1]), stream, scratch)
    # how far each list is used up: two numbers per word, in registers, since a step waits for the one before it
    low, high = firsts[0] | firsts[1] << np.uint64(32), firsts[2] | firsts[3] << np.uint64(32)
    base = np.uint64(run[0])
    shuffled[0] = base
    for position in range(1, run.size):
        in_high, shift = base >> np.uint64(1), (base & np.uint64(1)) << np.uint64(5)
        used = low ^ ((low ^ high) & (np.uint64(0) - in_high))
        base = np.uint64(successors[(used >> shift) & np.uint64(0xFFFFFFFF)])
        step = np.uint64(1) << shift
        low += step * (np.uint64(1) - in_high)
        high += step * in_high
        shuffled[position] = base


@njit()
def _is_only_trail(run: Bases, counts: Counts, exits: Counts) -> bool:
    """Whether no other sequence has the ends and the pairs of `run`; `counts` and `exits` are scratch arrays.

    The run's own last exits form one arborescence. There is no other trail if and only if all other edges out of a
    base end alike, and none of these can take the place of the base's last exit without closing a circle. (Were
    there another arborescence, then the base nearest the root among those whose exits differ could change its alone.)
    """
    _count_pairs(run, counts)
    last = np.int64(run[-1])
    for position in range(run.size - 1):
        exits[run[position]] = run[position + 1]
    for base in range(4):
        if base != last and counts[base].sum():
            counts[base, exits[base]] -= 1
    for base in range(4):
        if np.count_nonzero(counts[base]) > 1:
            return False
        if base != last and counts[base].any():
            other = counts[base].argmax()
            if other != exits[base]:
                while other != last and other != base:
                    other = exits[other]
                if other == last:
                    return False
    return True


@njit()
def _run_end(bases: Bases, start: int) -> int:
    """End of the run of ACGT that starts at `start`, where an N may stand (then it is `start`)."""
    end = start
    while end < bases.size and bases[end] < N_BASE:
        end += 1
    return end


@njit(parallel=True)
def shuffle_dinucleotides(
    bases: Bases, key: np.uint64, indices: Counts, shuffled: Bases, fixed: npt.NDArray[np.bool_]
) -> None:
    """Shuffle each row of bases (N, L) into shuffled (N, n_shuffles, L); `fixed` marks those with no other."""
    for row in nb.prange(len(bases)):
        fixed[row] = _shuffle_one(bases[row], key, indices[row], shuffled[row])


@njit()
def _shuffle_one(sequence: Bases, key: np.uint64, index: np.int64, shuffled: Bases) -> bool:
    """Shuffle one sequence, (L,), into `shuffled`, (n_shuffles, L); True where it has no other arrangement."""
    length = sequence.size
    scratch = _make_scratch(length)
    fixed, start = True, 0
    while start < length:
        end = _run_end(sequence, start)
        fixed = fixed and (end == start or _is_only_trail(sequence[start:end], scratch.counts, scratch.exits))
        start = end + 1
    for replicate in range(len(shuffled)):
        stream = open_stream(key, index, replicate)
        start = 0
        while start < length:
            end = _run_end(sequence, start)
            if end > start:
                _draw_trail(sequence[start:end], stream, scratch, shuffled[replicate, start:end])
            if end < length:
                shuffled[replicate, end] = N_BASE
            start = end + 1
    return fixed


@njit(parallel=True)
def shuffle_mononucleotides(bases: Bases, key: np.uint64, indices: Counts, shuffled: Bases) -> None:
    """Shuffle the known bases of each row of bases (N, L) into shuffled (N, n_shuffles, L)."""
    for row in nb.prange(len(bases)):
        scratch = _make_scratch(bases.shape[1])
        counts = scratch.counts[0]
        for kind in range(4):
            counts[kind] = np.count_nonzero(bases[row] == kind)
        n_known = counts.sum()
        order, words = scratch.successors[:n_known], scratch.words[:n_known]
        for replicate in range(shuffled.shape[1]):
            stream = open_stream(key, indices[row], replicate)
            fill_uint32(stream, words)
            _draw_order(counts, words, stream, order)
            n_placed = 0
            for position in range(bases.shape[1]):
                known = bases[row, position] < N_BASE
                shuffled[row, replicate, position] = order[n_placed] if known else np.uint8(N_BASE)
                n_placed += known
