"""Uniform Euler trails through the graph of a sequence's dinucleotides, compiled: what `dna` shuffles with.

Nothing is checked here. `bases` are uint8 with 0-3 for A, C, G, T and 4 for N; counts are int64, (4, 4), rows from,
columns to. Room to work in is handed down, so that a shuffle allocates nothing.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.random_streams import Stream, next_below, next_uint32, open_stream

Bases = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

#: What stands for anything that is not A, C, G or T in `bases`.
N_BASE = 4


@nb.njit(cache=True)
def _draw_words(stream: Stream, words: Words) -> None:
    # drawn ahead of their use, the rounds of the generator do not wait for the walk they feed
    for position in range(words.size):
        words[position] = next_uint32(stream)


@nb.njit(cache=True, inline="always")
def _below(n: np.int64, word: np.uint32, stream: Stream) -> np.int64:
    """A uniform integer in [0, n) made of `word` or, where that would be biased (Lemire 2019), of further draws."""
    product = np.uint64(word) * np.uint64(n)
    low = np.int64(np.uint32(product))
    if low < n and low < (np.int64(0x100000000) - n) % n:
        return np.int64(next_below(stream, n))
    return np.int64(product >> np.uint64(32))


@nb.njit(cache=True, inline="always")
def _kind(counts: Counts, a: np.int64, draw: np.int64) -> np.int64:
    """The end of edge number `draw` out of `a`, its edges being ordered by their ends."""
    to_c = counts[a, 0]
    to_g = to_c + counts[a, 1]
    to_t = to_g + counts[a, 2]
    return np.int64(draw >= to_c) + np.int64(draw >= to_g) + np.int64(draw >= to_t)


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def _count_pairs(bases: Bases, counts: Counts) -> None:
    """Count into `counts`, (4, 4), the pairs of neighbours of one sequence, (L,), that hold no N."""
    counts[:] = 0
    for position in range(bases.size - 1):
        if bases[position] < N_BASE and bases[position + 1] < N_BASE:
            counts[bases[position], bases[position + 1]] += 1


@nb.njit(cache=True, parallel=True)
def count_dinucleotides(bases: Bases, counts: Counts) -> None:
    for row in nb.prange(len(bases)):
        _count_pairs(bases[row], counts[row])


@nb.njit(cache=True)
def _draw_trail(
    run: Bases, stream: Stream, counts: Counts, left: Counts, exits: Counts, words: Words, shuffled: Bases
) -> None:
    """Draw into `shuffled` an Euler trail with the ends and the pairs of `run`; counts .. words are room to work in."""
    _count_pairs(run, counts)
    last = np.int64(run[-1])
    _last_exits(counts, last, stream, exits)
    for a in range(4):
        left[a] = counts[a].sum()
        if a != last and left[a]:
            left[a] -= 1
            counts[a, exits[a]] -= 1
    _draw_words(stream, words)
    base = np.int64(run[0])
    shuffled[0] = base
    for position in range(1, run.size):
        if left[base]:
            # edges with the same ends are alike, so their number stands for their list, and one at random among
            # those left is the next of the list shuffled
            to = _kind(counts, base, _below(left[base], words[position - 1], stream))
            counts[base, to] -= 1
            left[base] -= 1
        else:
            to = exits[base]
        shuffled[position] = to
        base = to


@nb.njit(cache=True)
def _is_only_trail(run: Bases, counts: Counts, exits: Counts) -> bool:
    """Whether no other sequence has the ends and the pairs of `run`; `counts` and `exits` are room to work in.

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


@nb.njit(cache=True)
def _run_end(bases: Bases, start: int) -> int:
    """End of the run of ACGT that starts at `start`, where an N may stand (then it is `start`)."""
    end = start
    while end < bases.size and bases[end] < N_BASE:
        end += 1
    return end


@nb.njit(cache=True, parallel=True)
def shuffle_dinucleotides(
    bases: Bases, key: np.uint64, indices: Counts, shuffled: Bases, fixed: npt.NDArray[np.bool_]
) -> None:
    n, n_shuffles, length = shuffled.shape
    for row in nb.prange(n):
        counts = np.empty((4, 4), np.int64)
        left = np.empty(4, np.int64)
        exits = np.empty(4, np.int64)
        words = np.empty(length, np.uint32)
        sequence = bases[row]
        fixed[row] = True
        start = 0
        while start < length:
            end = _run_end(sequence, start)
            fixed[row] = fixed[row] and (end == start or _is_only_trail(sequence[start:end], counts, exits))
            start = end + 1
        for replicate in range(n_shuffles):
            stream = open_stream(key, indices[row], replicate)
            start = 0
            while start < length:
                end = _run_end(sequence, start)
                if end > start:
                    run, trail = sequence[start:end], shuffled[row, replicate, start:end]
                    _draw_trail(run, stream, counts, left, exits, words[: end - start - 1], trail)
                if end < length:
                    shuffled[row, replicate, end] = N_BASE
                start = end + 1


@nb.njit(cache=True, parallel=True)
def shuffle_mononucleotides(bases: Bases, key: np.uint64, indices: Counts, shuffled: Bases) -> None:
    n, n_shuffles, length = shuffled.shape
    for row in nb.prange(n):
        counts = np.empty((1, 4), np.int64)
        words = np.empty(length, np.uint32)
        for replicate in range(n_shuffles):
            stream = open_stream(key, indices[row], replicate)
            for kind in range(4):
                counts[0, kind] = np.count_nonzero(bases[row] == kind)
            left = np.int64(counts.sum())
            _draw_words(stream, words)
            for position in range(length):
                base = np.int64(N_BASE)
                if bases[row, position] < N_BASE:
                    # bases of one kind are alike: to draw one of those left is Fisher and Yates' shuffle of them all
                    base = _kind(counts, np.int64(0), _below(left, words[position], stream))
                    counts[0, base] -= 1
                    left -= 1
                shuffled[row, replicate, position] = base
