"""Training batches: the order of a data set's sequences, which follows from seed and epoch, read in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.dna import reverse_complement as reverse_complement_of
from simbench_tf.random_streams import permutation, uniforms

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
Rows = npt.NDArray[np.int64]


# while parts are joined there are, at most, the group before, the parts, the joined group, and it with the rest before
_COPIES_OF_A_GROUP = 4


class BatchOrder(NamedTuple):
    """What the order of the batches follows from, beside the sequences themselves.

    Attributes
    ----------
    batch_size : int
        Sequences in a batch.
    seed : int
        Of every random order.
    shuffle : bool
        In a new order each epoch, or as the parts lie on disk.
    reverse_complement : bool
        Show every second sequence from its other strand, drawn anew each epoch.
    first_batch : int
        Where to begin, counted over epochs; the batches are those that would have come then.
    epoch_length : int
        Batches of an epoch, for `first_batch`.
    """

    batch_size: int
    seed: int
    shuffle: bool
    reverse_complement: bool = False
    first_batch: int = 0
    epoch_length: int = 1


def n_batches(n_sequences: int, batch_size: int) -> int:
    """Batches in an epoch, the last of which may be smaller."""
    return -(-n_sequences // batch_size)


def epoch_batches(
    read_part: Callable[[int], Arrays],
    part_bytes: Sequence[int],
    order: BatchOrder,
    memory: int,
) -> Callable[[], Iterator[Arrays]]:
    """A function that returns the batches of one epoch, those of the next epoch at each call.

    Parameters
    ----------
    read_part : callable
        Number of a part -> its bases, uint8 (n, L), and labels, uint8 (n, T).
    part_bytes : sequence of int
        Size of each part; empty ones are never read.
    order : BatchOrder
    memory : int
        Bytes. What fits is read once and shuffled whole. Otherwise groups of parts that fit together are read, shuffled
        and returned one after the other, their parts drawn in a new order each epoch.

    Examples
    --------
    >>> column = np.arange(4, dtype=np.uint8)[:, None]
    >>> one_epoch = epoch_batches(lambda part: (column, column), [8, 8], BatchOrder(3, seed=0, shuffle=False), 100)
    >>> [bases.ravel().tolist() for bases, labels in one_epoch()]
    [[0, 1, 2], [3, 0, 1], [2, 3]]
    """
    parts = [number for number, size in enumerate(part_bytes) if size]
    fits = sum(part_bytes) <= memory
    kept: list[Arrays] = []
    first_epoch, skipped = divmod(order.first_batch, order.epoch_length) if order.first_batch else (0, 0)
    epochs = itertools.count(first_epoch)

    def groups(epoch: int) -> Iterator[Arrays]:
        if fits:
            if not kept:
                kept.append(_joined([read_part(number) for number in parts]))
            yield kept[0]
            return
        shuffled = permutation(order.seed, f"epoch {epoch} parts", len(parts)) if order.shuffle else range(len(parts))
        for group in _fitting([parts[number] for number in shuffled], part_bytes, memory // _COPIES_OF_A_GROUP):
            yield _joined([read_part(number) for number in group])

    def rows_of(group: Arrays, epoch: int, number: int) -> Rows:
        n = len(group[0])
        return permutation(order.seed, f"epoch {epoch} group {number}", n) if order.shuffle else np.arange(n)

    def one_epoch() -> Iterator[Arrays]:
        epoch = next(epochs)
        ordered = ((group, rows_of(group, epoch, number)) for number, group in enumerate(groups(epoch)))
        first = skipped if epoch == first_epoch else 0
        batches = itertools.islice(_cut(ordered, order.batch_size), first, None)
        if not order.reverse_complement:
            return batches
        return _of_either_strand(batches, first * order.batch_size, order.seed, epoch)

    return one_epoch


def _of_either_strand(batches: Iterator[Arrays], first: int, seed: int, epoch: int) -> Iterator[Arrays]:
    """Sequences, each on the strand drawn for its number in the epoch; `first` is the number of the first one."""
    for bases, labels in batches:
        other = uniforms(seed, f"epoch {epoch} strand", np.arange(first, first + len(bases)))[:, :1] < 0.5
        first += len(bases)
        yield np.where(other, reverse_complement_of(bases), bases), labels


def _fitting(parts: Sequence[int], part_bytes: Sequence[int], memory: int) -> Iterator[list[int]]:
    """Runs of parts whose sizes sum to `memory` at most, or single larger ones."""
    group: list[int] = []
    for number in parts:
        if group and sum(part_bytes[other] for other in group) + part_bytes[number] > memory:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _joined(arrays: Sequence[Arrays]) -> Arrays:
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([bases for bases, _ in arrays]), np.concatenate([labels for _, labels in arrays])


def _cut(groups: Iterator[tuple[Arrays, Rows]], batch_size: int) -> Iterator[Arrays]:
    """Batches of full size; what is left of a group joins the next one, and the last batch takes the rest."""
    rest: Arrays | None = None
    for group, order in groups:
        if rest is not None and len(rest[0]):
            group, order = _joined([rest, group]), np.concatenate([np.arange(len(rest[0])), order + len(rest[0])])
        bases, labels = group
        whole = len(order) - len(order) % batch_size
        for first in range(0, whole, batch_size):
            rows = order[first : first + batch_size]
            yield bases[rows], labels[rows]
        rest = bases[order[whole:]], labels[order[whole:]]
    if rest is not None and len(rest[0]):
        yield rest
