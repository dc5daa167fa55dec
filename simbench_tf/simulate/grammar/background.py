"""The random background of a grammar: each base drawn given the k before it, k being 0 to 5, in kinds of stretches.

Rows of tables over contexts are numbered by the context as digits of base 4, the oldest base first. A background is
one table, or one for each kind of stretch that a sequence may consist of.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, eye_array, vstack
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from simbench_tf.compiled import njit
from simbench_tf.config import HUMAN_BACKGROUND, GrammarSimulation, SequenceClass, Stretch
from simbench_tf.errors import InputError
from simbench_tf.genome import fetch, open_genome

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
MAX_ORDER = 5


class Backgrounds(NamedTuple):
    """Kinds of stretches of background, Z of them; without stretches one kind that never ends.

    Attributes
    ----------
    tables : float64 (Z, 4 ** k, 4)
        P(column base | the k bases before) in a stretch of each kind.
    weights : float64 (Z,)
        P(a next stretch is of a kind).
    stay : float64 (Z,)
        P(a stretch goes on after a base of it); 1 less this is the inverse of its mean length.
    """

    tables: Floats
    weights: Floats
    stay: Floats

    @property
    def start(self) -> Floats:
        """P(kind of stretch that a sequence begins in), float64 (Z,): the long run, as in an endless background."""
        if len(self.weights) == 1:
            return np.ones(1)
        reached = self.weights / (1 - self.stay)
        return np.asarray(reached / reached.sum())


def backgrounds_of(
    settings: GrammarSimulation | SequenceClass, index_dir: str | PathLike[str] | None, key: str = "simulation"
) -> Backgrounds:
    """The background of a grammar or a class of it, or its stretches; `key` as of :func:`background_of`.

    Raises
    ------
    InputError
        As of :func:`background_of`, or stretches differ in order.
    """
    if not settings.stretches:
        return one_background(background_of(settings, index_dir, key))
    keys = [f"{key}.stretches.{number}" for number in range(len(settings.stretches))]
    tables = [background_of(each, index_dir, key) for each, key in zip(settings.stretches, keys, strict=True)]
    for key, table in zip(keys, tables, strict=True):
        if len(table) != len(tables[0]):
            what = f"depends on {order_of(table)} bases before, that of the first kind on {order_of(tables[0])}"
            raise InputError(f"{key}.background", what, "give all kinds tables of one order")
    weights = np.array([each.weight for each in settings.stretches])
    lengths = np.array([each.length for each in settings.stretches])
    return Backgrounds(np.stack(tables), weights / weights.sum(), 1 - 1 / lengths)


def one_background(table: Floats) -> Backgrounds:
    """A background that is the same all along a sequence, from its table (4 ** k, 4)."""
    return Backgrounds(table[None], np.ones(1), np.ones(1))


def background_of(
    settings: GrammarSimulation | SequenceClass | Stretch,
    index_dir: str | PathLike[str] | None,
    key: str = "simulation",
) -> Floats:
    """The background table of a grammar, a class of it or a kind of stretch, float64 (4 ** k, 4).

    P(column base | the k bases before). `key` is the configuration's key of `settings`, for errors.

    Raises
    ------
    InputError
        It is no such table or file, its order contradicts `background_order`, or a base never comes back in it.
    """
    source, order = settings.background, settings.background_order
    if isinstance(source, Path):
        where, table = str(source), _counted_in(source, 1 if order is None else order, index_dir)
    else:
        rows = HUMAN_BACKGROUND if source is None or isinstance(source, str) else source
        where, table = f"{key}.background", _given(rows, order, key)
    frequencies = context_frequencies(table)
    if frequencies is None or not (frequencies @ table > 0).all():
        raise InputError(where, "some base never comes back in this background", "make more of its steps possible")
    return table


def order_of(table: Floats) -> int:
    """k of a table of 4 ** k rows."""
    return (len(table).bit_length() - 1) // 2


def with_lower_orders(table: Floats) -> Floats:
    """Tables of order 0 to k, one below the other: row ``(4 ** j - 1) / 3 + context`` for the j bases at a start.

    A sequence is a stretch of an endless background, so that its first bases follow the table's long run.

    Examples
    --------
    >>> with_lower_orders(np.full((4, 4), 0.25)).shape
    (5, 4)
    """
    frequencies = context_frequencies(table)
    if frequencies is None:
        raise ValueError("the table has no single long run")
    # P(k bases and the next one): sums over the oldest bases leave those of fewer
    joint = frequencies[:, None] * table
    tables = [table]
    for j in range(order_of(table) - 1, -1, -1):
        joint = joint.reshape(4, 4**j, 4).sum(axis=0)
        total = joint.sum(axis=1, keepdims=True)
        # a context that the background never has can still be made by a motif
        shorter = np.divide(joint, total, where=total > 0, out=np.full(joint.shape, 0.25))
        tables.insert(0, shorter)
    return np.concatenate(tables)


def context_frequencies(table: Floats) -> Floats | None:
    """Long-run frequency of each context of a background, float64 (4 ** k,); None where it depends on the start."""
    n = len(table)
    before, base = np.divmod(np.arange(4 * n), 4)
    steps = csr_array((table.ravel(), (before, (4 * before + base) % n)), shape=(n, n))
    steps.eliminate_zeros()
    n_classes, member = connected_components(steps, directed=True, connection="strong")
    start, end = steps.nonzero()
    closed = set(range(n_classes)) - set(member[start[member[start] != member[end]]].tolist())
    if len(closed) != 1:
        return None
    # only there does the background stay; stationarity, one of whose equations is redundant, and sum 1 in its place
    stays = np.flatnonzero(member == closed.pop())
    stationarity = (steps[stays][:, stays].T - eye_array(len(stays))).tocsr()
    equations = vstack([stationarity[:-1], csr_array(np.ones((1, len(stays))))], format="csc")
    frequencies = np.zeros(n)
    frequencies[stays] = spsolve(equations, np.eye(len(stays))[-1]).clip(0)
    return frequencies / frequencies.sum()


def _given(rows: tuple[tuple[float, ...], ...], order: int | None, key: str) -> Floats:
    allowed = [4**k for k in range(MAX_ORDER + 1)]
    if len(rows) not in allowed or {len(row) for row in rows} != {4}:
        raise InputError(
            f"{key}.background", "is no table of 4 ** k rows of 4", "give P(column base | row base) for A, C, G, T"
        )
    table = np.array(rows, np.float64)
    if order not in (None, order_of(table)):
        raise InputError(f"{key}.background_order", f"is {order}, the table's is {order_of(table)}", "leave it out")
    if not (np.abs(table.sum(axis=1) - 1) <= 1e-3).all() or (table < 0).any():
        raise InputError(
            f"{key}.background", "holds a row that is not four probabilities with sum 1", "correct the row"
        )
    return table / table.sum(axis=1, keepdims=True)


def _counted_in(fasta: Path, order: int, index_dir: str | PathLike[str] | None) -> Floats:
    """P(base | bases before) in a FASTA file, both strands together."""
    genome = open_genome(fasta, index_dir)
    counts = np.zeros(4 ** (order + 1), np.int64)
    for chrom, length in genome.lengths.items():
        if length > 0:
            contig = pd.DataFrame({"chrom": [chrom], "start": [0], "end": [length]})
            _count_words(fetch(genome, contig)[0], order + 1, counts)
    counts += counts[_reverse_complements(order + 1)]
    table = counts.reshape(-1, 4)
    if not table.sum(axis=1).all():
        mend = "give a longer FASTA file" + (" or a lower background_order" if order > 1 else "")
        raise InputError(fasta, "holds too few bases to estimate a background from", mend)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


@njit()
def _count_words(bases: npt.NDArray[np.uint8], width: int, counts: Integers) -> None:
    """Add the words of `width` bases without N to `counts`, (4 ** width,)."""
    word, known = 0, 0
    for base in bases:
        if base > 3:
            known = 0
            continue
        word = (word * 4 + base) % counts.size
        known += 1
        if known >= width:
            counts[word] += 1


def _reverse_complements(width: int) -> Integers:
    """The code of each word's reverse complement."""
    codes = np.arange(4**width)
    reversed_ = np.zeros_like(codes)
    for _ in range(width):
        reversed_ = 4 * reversed_ + 3 - codes % 4
        codes //= 4
    return reversed_
