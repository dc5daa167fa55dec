"""The gapped k-mer kernel of gkm-SVM: kernels of sequences, and the weight of each l-mer to a trained machine.

The kernel of two sequences is the sum, over every l-mer of the one and every l-mer of the other and of its reverse
complement, of a value h(m) of their m mismatches, which is 0 beyond d of them (Ghandi et al. 2014; Lee 2016). An l-mer
is a number of 2 l bits, and a mismatch a pair of bits of ``a ^ b`` that is not 0: so all l-mers with up to d mismatches
are ``a ^ mask`` for masks that are the same for every l-mer. All is exact; no pair of sequences is ever compared l-mer
by l-mer, but for a sequence and itself.
"""

from __future__ import annotations

import itertools
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import prange

from simbench_tf.compiled import njit
from simbench_tf.dna import N_BASE

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
#: In place of an l-mer that holds an N: it is like no other.
NO_LMER = -1


def lmers(bases: npt.NDArray[np.uint8], l: int) -> Codes:  # noqa: E741 - the field's letter
    """The l-mers of sequences as numbers, uint8 (N, L) -> int32 (N, L - l + 1); `NO_LMER` where one holds an N.

    The first base is in the lowest two bits.

    Examples
    --------
    >>> lmers(np.array([[0, 1, 0, 4]], np.uint8), 2).tolist()
    [[4, 1, -1]]
    """
    n, length = bases.shape
    if length < l:
        raise ValueError(f"sequences have {length} bases, l is {l}")
    codes = np.zeros((n, length - l + 1), np.int32)
    unknown = np.zeros(codes.shape, bool)
    for place in range(l):
        here = bases[:, place : place + codes.shape[1]]
        codes |= (here & 3).astype(np.int32) << (2 * place)
        unknown |= here >= N_BASE
    codes[unknown] = NO_LMER
    return codes


def masks(l: int, d: int) -> tuple[Codes, npt.NDArray[np.int64]]:  # noqa: E741
    """What makes of an l-mer those with up to d mismatches by ``^``, ascending, and the mismatches of each.

    Examples
    --------
    >>> [array.tolist() for array in masks(2, 1)]
    [[0, 1, 2, 3, 4, 8, 12], [0, 1, 1, 1, 1, 1, 1]]
    """
    found = [
        (sum(change << (2 * place) for place, change in zip(places, changes, strict=True)), m)
        for m in range(d + 1)
        for places in itertools.combinations(range(l), m)
        for changes in itertools.product((1, 2, 3), repeat=m)
    ]
    found.sort()
    return np.array([mask for mask, _ in found], np.int32), np.array([m for _, m in found], np.int64)


def place_weights(n_lmers: int, kernel: str, most: int, half: float) -> Floats:
    """What an l-mer counts by its place in the sequence: 1 each, or, of wgkm, more in the middle.

    wgkm as LS-GKM states it: ``min(M, floor(M exp(-ln(2) D / H) + 1))`` with D the distance to the middle, M = `most`
    and H = `half`; here divided by M, which the normalised kernel does not see.

    Examples
    --------
    >>> place_weights(5, "wgkm", 50, 1.0).tolist()
    [0.26, 0.52, 1.0, 0.52, 0.26]
    """
    if kernel == "gkm":
        return np.ones(n_lmers)
    distance = np.abs(np.arange(n_lmers) - (n_lmers - 1) / 2)
    weights: Floats = np.minimum(most, np.floor(most * 2 ** (-distance / half) + 1)) / most
    return weights


def norms(bases: npt.NDArray[np.uint8], weights: Floats, h: Floats, l: int) -> Floats:  # noqa: E741
    """Square roots of the kernel of each sequence and itself, (N,)."""
    forward, reverse = both_strands(bases, l)
    return np.sqrt(_self_kernels(forward, reverse, weights, h))


def both_strands(bases: npt.NDArray[np.uint8], l: int) -> tuple[Codes, Codes]:  # noqa: E741
    """L-mers of each sequence, and at the same places their reverse complements, int32 (N, W) each."""
    complement = np.where(bases < N_BASE, 3 - bases, bases).astype(np.uint8)
    return lmers(bases, l), np.ascontiguousarray(lmers(complement[:, ::-1], l)[:, ::-1])


def gram_matrix(
    bases: npt.NDArray[np.uint8],
    weights: Floats,
    h: Floats,
    l: int,  # noqa: E741
    progress: Any = None,
) -> Floats:
    """Normalised kernels of every two sequences, (N, N): 1 on the diagonal.

    The l-mers with up to d mismatches of one sequence are laid out as a table of all 4^l, in which the others' are
    looked up: some 20 ms a sequence at l = 11, d = 3 and 400 bases, in place of .1 ms a pair.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
    weights : float64 array, shape (L - l + 1,)
        By place, from `place_weights`.
    h : float64 array, shape (d + 1,)
        The value of a pair of l-mers by its mismatches.
    l : int
    progress : callable, optional
        Called with the number of sequences just done.
    """
    forward, reverse = both_strands(bases, l)
    root = np.sqrt(_self_kernels(forward, reverse, weights, h))
    n, shown = len(bases), max(1, len(bases) // 50)
    steps, mismatches = masks(l, len(h) - 1)
    values = h[mismatches].astype(np.float32)
    gram = np.zeros((n, n))
    for first in range(0, n, shown):
        rows = np.arange(first, min(first + shown, n))
        _gram_rows(gram, rows, forward, reverse, weights, steps, values, l, nb.get_num_threads())
        if progress is not None:
            progress(len(rows))
    gram /= root[:, None] * root
    upper = np.triu_indices(n, 1)
    gram[upper[1], upper[0]] = gram[upper]
    np.fill_diagonal(gram, 1.0)
    return gram


@njit(parallel=True)
def _gram_rows(gram, rows, forward, reverse, weights, steps, values, l, n_threads):  # type: ignore[no-untyped-def] # noqa: E741
    """Kernels of some sequences with all after them, into the rows of `gram`; a table for each thread."""
    n, n_lmers = forward.shape
    for thread in prange(n_threads):
        table = np.zeros(1 << (2 * l), np.float32)
        for number in range(thread, len(rows), n_threads):
            row = rows[number]
            table[:] = 0
            for i in range(n_lmers):
                weight = np.float32(weights[i])
                for code in (forward[row, i], reverse[row, i]):
                    if code >= 0:
                        for k in range(len(steps)):
                            table[code ^ steps[k]] += weight * values[k]
            for other in range(row + 1, n):
                total = 0.0
                for i in range(n_lmers):
                    code = forward[other, i]
                    if code >= 0:
                        total += weights[i] * table[code]
                gram[row, other] = total


@njit()
def _mismatches(a, b):  # type: ignore[no-untyped-def]
    """In how many places two l-mers differ."""
    differing = a ^ b
    differing = (differing | (differing >> 1)) & 0x55555555
    differing = (differing & 0x33333333) + ((differing >> 2) & 0x33333333)
    differing = (differing + (differing >> 4)) & 0x0F0F0F0F
    return ((differing * 0x01010101) >> 24) & 0xFF


@njit()
def _self_kernels(forward, reverse, weights, h):  # type: ignore[no-untyped-def]
    """The kernel of each sequence and itself, (N,), not normalised."""
    n, n_lmers = forward.shape
    found = np.zeros(n)
    for row in range(n):
        total = 0.0
        for i in range(n_lmers):
            code = forward[row, i]
            if code < 0:
                continue
            for j in range(n_lmers):
                other = forward[row, j]
                if other >= 0:
                    m = _mismatches(code, other)
                    if m < len(h):
                        total += weights[i] * weights[j] * h[m]
                    m = _mismatches(code, reverse[row, j])
                    if m < len(h):
                        total += weights[i] * weights[j] * h[m]
        found[row] = total
    return found


def mismatch_sums(codes: Codes, coefficients: Floats, l: int, d: int) -> Floats:  # noqa: E741
    """For each of all 4^l l-mers, the sum of the coefficients of those in `codes` at m = 0 .. d mismatches: (4^l, d+1).

    Place by place, from those of l-mers that may differ in the places before: ``N_m(b) += sum of N_(m-1) at the three
    other bases``; l steps in place of comparing all with all.

    Examples
    --------
    >>> sums = mismatch_sums(np.array([0], np.int32), np.array([2.0]), l=2, d=2)
    >>> sums[[0, 1, 5]].tolist()  # AA itself, CA and CC
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    """
    sums = np.zeros((4**l, d + 1))
    known = codes >= 0
    np.add.at(sums[:, 0], codes[known], coefficients[known])
    for place in range(l):
        _spread(sums, 1 << (2 * place))
    return sums


@njit()
def _spread(sums, stride):  # type: ignore[no-untyped-def]
    """Let l-mers differ in one more place, whose bases are `stride` apart."""
    n, n_sums = sums.shape
    for begin in range(0, n, 4 * stride):
        for first in range(begin, begin + stride):
            for m in range(n_sums - 1, 0, -1):
                total = 0.0
                for b in range(4):
                    total += sums[first + b * stride, m - 1]
                for b in range(4):
                    sums[first + b * stride, m] += total - sums[first + b * stride, m - 1]


def decisions(bases: npt.NDArray[np.uint8], lmer_weights: Floats, weights: Floats, h: Floats, l: int) -> Floats:  # noqa: E741
    """Decision values without their bias, (N, L) -> (T, N), from the weight of each l-mer, (T, 4^l)."""
    codes = lmers(bases, l)
    placed = np.where(codes >= 0, weights, 0.0)
    sums = np.stack([(table[codes] * placed).sum(axis=1) for table in lmer_weights])
    root = norms(bases, weights, h, l)
    return np.divide(sums, root, out=np.zeros_like(sums), where=root > 0)


@njit()
def substituted_decisions(bases, lmer_weights, weights, h, l):  # type: ignore[no-untyped-def] # noqa: E741
    """Decision values, without bias, after each substitution: uint8 (N, L) -> (T, N, L, 4).

    Of the sums and of the kernel of the sequence and itself only what the l-mers over the base change is computed
    again. A base that is N is taken for the base put in its place.
    """
    n, length = bases.shape
    n_targets, n_lmers = len(lmer_weights), length - l + 1
    found = np.zeros((n_targets, n, length, 4))
    codes, reverse = np.zeros(n_lmers, np.int32), np.zeros(n_lmers, np.int32)
    sums = np.zeros(n_targets)
    for row in range(n):
        sequence = bases[row].copy()
        _fill(sequence, codes, reverse, 0, n_lmers, l)
        whole = _kernel_of(codes, reverse, weights, h, 0, n_lmers)
        sums[:] = 0
        _add_sums(sums, codes, lmer_weights, weights, 0, n_lmers, 1.0)
        for place in range(length):
            begin, end = max(0, place - l + 1), min(n_lmers, place + 1)
            rest = whole - _kernel_of(codes, reverse, weights, h, begin, end)
            before = sequence[place]
            _add_sums(sums, codes, lmer_weights, weights, begin, end, -1.0)
            for base in range(4):
                sequence[place] = base
                _fill(sequence, codes, reverse, begin, end, l)
                root = np.sqrt(max(0.0, rest + _kernel_of(codes, reverse, weights, h, begin, end)))
                for target in range(n_targets):
                    total = sums[target]
                    for i in range(begin, end):
                        if codes[i] >= 0:
                            total += weights[i] * lmer_weights[target, codes[i]]
                    found[target, row, place, base] = total / root if root > 0 else 0.0
            sequence[place] = before
            _fill(sequence, codes, reverse, begin, end, l)
            _add_sums(sums, codes, lmer_weights, weights, begin, end, 1.0)
    return found


@njit()
def _fill(sequence, codes, reverse, begin, end, l):  # type: ignore[no-untyped-def] # noqa: E741
    """Write the l-mers of places `begin` to `end`, and their reverse complements."""
    for i in range(begin, end):
        code, other = 0, 0
        for k in range(l):
            base = sequence[i + k]
            if base >= 4:
                code = -1
                break
            code |= base << (2 * k)
            other |= (3 - base) << (2 * (l - 1 - k))
        codes[i], reverse[i] = code, -1 if code < 0 else other


@njit()
def _add_sums(sums, codes, lmer_weights, weights, begin, end, sign):  # type: ignore[no-untyped-def]
    """Add to each target's sum the weights of the l-mers at places `begin` to `end`."""
    for target in range(len(sums)):
        for i in range(begin, end):
            if codes[i] >= 0:
                sums[target] += sign * weights[i] * lmer_weights[target, codes[i]]


@njit()
def _kernel_of(codes, reverse, weights, h, begin, end):  # type: ignore[no-untyped-def]
    """What pairs that have an l-mer of places `begin` to `end` add to the kernel of the sequence and itself."""
    total = 0.0
    for i in range(begin, end):
        if codes[i] < 0:
            continue
        for j in range(len(codes)):
            if codes[j] < 0:
                continue
            # pairs with one of them within count from both sides, those with both within once from each
            twice = 1.0 if begin <= j < end else 2.0
            m = _mismatches(codes[i], codes[j])
            if m < len(h):
                total += twice * weights[i] * weights[j] * h[m]
            m = _mismatches(codes[i], reverse[j])
            if m < len(h):
                total += twice * weights[i] * weights[j] * h[m]
    return total


@njit()
def explained_lmers(bases, sums, weights, roots, h, l):  # type: ignore[no-untyped-def] # noqa: E741
    """What each base is given by gkmexplain, hypothetical bases too: uint8 (N, L), sums (4^l, d + 1) -> (N, L, 4).

    A pair of l-mers with m mismatches is worth coefficient * h(m), which its l - m matching bases share alike
    (Shrikumar, Prakash & Kundaje 2019). G_b(m), the coefficients of l-mers that have base b at a place and m mismatches
    elsewhere, follow from the sums over all: N_m at base b is G_b(m) and the G_c(m - 1) of the three other bases.
    """
    n, length = bases.shape
    n_sums, n_lmers = len(h), length - l + 1
    found = np.zeros((n, length, 4))
    matching = np.zeros((4, n_sums))
    for row in range(n):
        for i in range(n_lmers):
            code = 0
            for k in range(l):
                base = bases[row, i + k]
                if base >= 4:
                    code = -1
                    break
                code |= base << (2 * k)
            if code < 0:
                continue
            for k in range(l):
                observed = bases[row, i + k]
                without = code ^ (observed << (2 * k))
                before = 0.0
                for m in range(n_sums):
                    total = 0.0
                    for b in range(4):
                        total += sums[without | (b << (2 * k)), m]
                    for b in range(4):
                        matching[b, m] = sums[without | (b << (2 * k)), m]
                        if m > 0:
                            matching[b, m] += matching[b, m - 1] - before
                    before = total - 3 * before
                for b in range(4):
                    # another base makes one mismatch more of what there is now, and beyond d nothing is looked at
                    most = n_sums if b == observed else n_sums - 1
                    value = 0.0
                    for m in range(most):
                        value += matching[b, m] * h[m] / (l - m)
                    found[row, i + k, b] += weights[i] * value
        if roots[row] > 0:
            found[row] /= roots[row]
    return found
