"""Kinds of stretches along sequences by their composition: a hidden Markov model fitted by EM, both strands together.

Composition changes within a sequence, as in CpG islands, repeats and runs of A or T. The kind of stretch is hidden, and
a base depends on it and on those before, as in `GrammarSimulation.stretches`. The start is by composition of short
pieces, so that nothing is left to chance.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.simulate.grammar.background import Backgrounds

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# bases of the pieces that are sorted at the start, and of a stretch then
_PIECE, _FIRST_LENGTH = 50, 100
_MAX_PASSES = 200
# kinds are learnt from so many bases at most, of sequences at even distances
_MOST_BASES = 4_000_000
# passes end when the mean log-likelihood of a base gains less than this
_LEAST_GAIN = 1e-6
# bases before that kinds are told apart by, whatever the order of their backgrounds
_TOLD_BY = 2
# a stretch is no longer than so many sequences, on average
_MOST_SEQUENCES = 10
# words of a context that a shorter context stands for
_PRIOR = 20.0
# sums are of blocks of sequences, in their order: the same on any number of threads
_BLOCKS = 64


class _Counts(NamedTuple):
    """Expected numbers over all sequences: words of each kind, steps within a stretch, from one on, and into one."""

    words: Floats  # (Z, 4 ** (k + 1))
    kept: Floats  # (Z,)
    left: Floats  # (Z,)
    begun: Floats  # (Z,)


def fitted_stretches(bases: Bases, n_kinds: int, order: int) -> Backgrounds:
    """The kinds of stretches under which sequences are likeliest, sites and all.

    Parameters
    ----------
    bases : uint8 (N, L)
        A, C, G, T as 0-3.
    n_kinds : int
        2 or more.
    order : int
        How many bases before it a base depends on.

    Returns
    -------
    Backgrounds
        The most frequent kind first.

    Notes
    -----
    EM of a hidden Markov model (Baum et al. 1970; of the composition of DNA Churchill 1989) whose next kind does not
    depend on the last. The first bases of a sequence, which have fewer than `order` before them, tell nothing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> is_rich = (np.arange(400) // 100 + np.arange(200)[:, None]) % 2
    >>> bases = np.where(rng.random((200, 400)) < np.where(is_rich, 0.8, 0.2), rng.choice([1, 2], (200, 400)),
    ...                  rng.choice([0, 3], (200, 400))).astype(np.uint8)
    >>> found = fitted_stretches(bases, 2, 0)
    >>> found.tables[:, 0, 1:3].sum(axis=1).round(1).tolist(), found.start.round(1).tolist()
    ([0.2, 0.8], [0.5, 0.5])

    Half of the next stretches are of the same kind again, so that 100 bases of one kind are two stretches:

    >>> (1 / (1 - found.stay)).round(-1).tolist()
    [60.0, 60.0]
    """
    some = _both_strands(bases[:: -(-bases.size // _MOST_BASES)])
    low = min(order, _TOLD_BY)
    tables = np.stack([table_of_words(each) for each in _first_words(some, n_kinds, low)])
    found = Backgrounds(tables, np.full(n_kinds, 1 / n_kinds), np.full(n_kinds, 1 - 1 / _FIRST_LENGTH))
    before = -np.inf
    for _ in range(_MAX_PASSES):
        counts, log_likelihood = _expected(found, some, low)
        after = log_likelihood / some.size
        if after - before < _LEAST_GAIN:
            break
        before, found = after, _likeliest(counts, bases.shape[1])
    words = _expected(found, _both_strands(bases), order)[0].words
    found = found._replace(tables=np.stack([table_of_words(each) for each in words]))
    by_share = np.argsort(-found.start, kind="stable")
    return Backgrounds(*(each[by_share] for each in found))


def _both_strands(bases: Bases) -> Bases:
    return np.concatenate([bases, 3 - bases[:, ::-1]])


def stretch_posterior(backgrounds: Backgrounds, bases: Bases) -> npt.NDArray[np.float32]:
    """P(kind of stretch at each base | sequence), float32 (N, L, Z), as if there were no sites."""
    posterior = np.empty((*bases.shape, len(backgrounds.weights)), np.float32)
    _fill_posterior(*_arrays(backgrounds), bases, posterior)
    return posterior


def _first_words(bases: Bases, n_kinds: int, order: int) -> Floats:
    """Words of each kind, where pieces are sorted by GC content, and those of one content by their purines."""
    n_pieces = max(1, bases.shape[1] // _PIECE)
    pieces = bases[:, : bases.shape[1] // n_pieces * n_pieces].reshape(len(bases) * n_pieces, -1)
    by_gc = _ranks(np.isin(pieces, (1, 2)).sum(axis=1))
    n_levels = -(-n_kinds // 2)
    level = by_gc * n_levels // len(pieces)
    purines = np.isin(pieces, (0, 2)).sum(axis=1)
    kind = np.zeros(len(pieces), np.int64)
    for number in range(n_levels):
        own = level == number
        kind[own] = np.minimum(2 * number + (_ranks(purines[own]) * 2 // max(own.sum(), 1)), n_kinds - 1)
    return np.stack([_words(pieces[kind == number], order) for number in range(n_kinds)])


def _ranks(values: Integers) -> Integers:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _words(pieces: Bases, order: int) -> Floats:
    stretch = pieces.shape[1] - order
    codes = np.zeros((len(pieces), stretch), np.int64)
    for offset in range(order + 1):
        codes = 4 * codes + pieces[:, offset : offset + stretch]
    return np.bincount(codes.ravel(), minlength=4 ** (order + 1)).astype(np.float64)


def table_of_words(words: Floats) -> Floats:
    """P(base | the k bases before) from counts of words of k + 1 bases on one strand, float64 (4 ** k, 4).

    Few words of a context say little: to each context's are added `_PRIOR` words as after one base less (MacKay & Peto
    1995).

    Examples
    --------
    >>> table_of_words(np.array([60.0, 20, 20, 0]))[0].tolist()
    [0.5416666666666666, 0.20833333333333334, 0.20833333333333334, 0.041666666666666664]
    """
    if words.size == 4:
        shorter = np.full((1, 4), 0.25)
    else:
        shorter = np.tile(table_of_words(words.reshape(4, -1).sum(axis=0)), (4, 1))
    counts = words.reshape(-1, 4) + _PRIOR * shorter
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _likeliest(counts: _Counts, length: int) -> Backgrounds:
    steps = counts.kept + counts.left
    ends = np.divide(counts.left, steps, where=steps > 0, out=np.ones_like(steps))
    weights = counts.begun + 1e-6 * counts.begun.sum()
    return Backgrounds(
        np.stack([table_of_words(each) for each in counts.words]),
        weights / weights.sum(),
        1 - ends.clip(1 / (_MOST_SEQUENCES * length), 1.0),
    )


def _arrays(backgrounds: Backgrounds) -> tuple[Floats, Floats, Floats, Floats]:
    return (
        np.ascontiguousarray(np.moveaxis(backgrounds.tables, 0, 2)),  # (4 ** k, 4, Z)
        backgrounds.weights,
        backgrounds.stay,
        backgrounds.start,
    )


def _expected(backgrounds: Backgrounds, bases: Bases, order: int) -> tuple[_Counts, float]:
    """Posterior expectations over all sequences, of words of `order` + 1 bases, and their log-likelihood."""
    n_kinds = len(backgrounds.weights)
    words = np.zeros((_BLOCKS, n_kinds, 4 ** (order + 1)))
    steps = np.zeros((_BLOCKS, 3, n_kinds))
    log_likelihood = np.zeros(_BLOCKS)
    _count(*_arrays(backgrounds), bases, words, steps, log_likelihood)
    return _Counts(words.sum(axis=0), *steps.sum(axis=0)), float(log_likelihood.sum())


@njit(parallel=True)
def _count(
    tables: Floats,
    weights: Floats,
    stay: Floats,
    start: Floats,
    bases: Bases,
    words: Floats,
    steps: Floats,
    log_likelihood: Floats,
) -> None:
    n, length = bases.shape
    n_kinds, n_words = weights.size, words.shape[2]
    order = _order_of_rows(n_words // 4)
    for block in nb.prange(_BLOCKS):
        forward, backward = np.empty((length, n_kinds)), np.empty((length, n_kinds))
        odds, scale = np.empty((length, n_kinds)), np.empty(length)
        for row in range(block * n // _BLOCKS, (block + 1) * n // _BLOCKS):
            _go(tables, weights, stay, start, bases[row], odds, scale, forward, backward)
            word = 0
            for i in range(length):
                log_likelihood[block] += np.log(scale[i])
                word = (4 * word + bases[row, i]) % n_words
                if i >= order:
                    for kind in range(n_kinds):
                        words[block, kind, word] += forward[i, kind] * backward[i, kind]
                if i + 1 < length:
                    ended = 0.0
                    for kind in range(n_kinds):
                        ended += forward[i, kind] * (1 - stay[kind])
                    entered = 0.0
                    for kind in range(n_kinds):
                        after = odds[i + 1, kind] * backward[i + 1, kind] / scale[i + 1]
                        steps[block, 0, kind] += forward[i, kind] * stay[kind] * after
                        steps[block, 2, kind] += ended * weights[kind] * after
                        entered += weights[kind] * after
                    for kind in range(n_kinds):
                        steps[block, 1, kind] += forward[i, kind] * (1 - stay[kind]) * entered


@njit(parallel=True)
def _fill_posterior(
    tables: Floats, weights: Floats, stay: Floats, start: Floats, bases: Bases, posterior: npt.NDArray[np.float32]
) -> None:
    n, length = bases.shape
    n_kinds = weights.size
    for block in nb.prange(_BLOCKS):
        forward, backward = np.empty((length, n_kinds)), np.empty((length, n_kinds))
        odds, scale = np.empty((length, n_kinds)), np.empty(length)
        for row in range(block * n // _BLOCKS, (block + 1) * n // _BLOCKS):
            _go(tables, weights, stay, start, bases[row], odds, scale, forward, backward)
            for i in range(length):
                for kind in range(n_kinds):
                    posterior[row, i, kind] = forward[i, kind] * backward[i, kind]


@njit()
def _order_of_rows(n_rows: int) -> int:
    """k of tables of 4 ** k rows."""
    order = 0
    while 4**order < n_rows:
        order += 1
    return order


@njit()
def _go(
    tables: Floats,
    weights: Floats,
    stay: Floats,
    start: Floats,
    bases: Bases,
    odds: Floats,
    scale: Floats,
    forward: Floats,
    backward: Floats,
) -> None:
    """Forward and backward along one sequence; their product at a base is the posterior of its kind."""
    length, n_kinds = forward.shape
    n_rows = tables.shape[0]
    order, context = _order_of_rows(n_rows), 0
    for i in range(length):
        # fewer bases before than a table asks for tell nothing
        odds[i] = tables[context, bases[i]] if i >= order else np.ones(n_kinds)
        context = (4 * context + bases[i]) % n_rows
        if i == 0:
            forward[i] = start * odds[i]
        else:
            ended = (forward[i - 1] * (1 - stay)).sum()
            forward[i] = (forward[i - 1] * stay + ended * weights) * odds[i]
        scale[i] = forward[i].sum()
        forward[i] /= scale[i]
    backward[length - 1] = 1.0
    for i in range(length - 2, -1, -1):
        after = odds[i + 1] * backward[i + 1] / scale[i + 1]
        backward[i] = stay * after + (1 - stay) * (weights * after).sum()
