"""The order in which a data set's sequences are trained on: a function of the seed and the epoch, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from simbench_tf.dna import reverse_complement as reverse_complement_of
from simbench_tf.random_streams import uniforms

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
Order = npt.NDArray[np.int64]


# while parts are joined there are, at most, the group before, the parts, the joined group, and it with the rest before
_COPIES_OF_A_GROUP = 4


def n_batches(n_sequences: int, batch_size: int) -> int:
    """Batches in an epoch, the last of which may be smaller."""
    return -(-n_sequences // batch_size)


def epoch_batches(
    read_part: Callable[[int], Arrays],
    part_bytes: Sequence[int],
    batch_size: int,
    seed: int,
    shuffle: bool,
    memory: int,
    first_batch: int = 0,
    epoch_length: int = 1,
    reverse_complement: bool = False,
) -> Callable[[], Iterator[Arrays]]:
    """A function that gives the batches of one epoch, of the next one at each call.

    Parameters
    ----------
    read_part : callable
        Number of a part -> its bases, uint8 (n, L), and labels, uint8 (n, T).
    part_bytes : sequence of int
        Size of each part; empty ones are never read.
    batch_size, seed : int
    shuffle : bool
        In a new order each epoch, or as the parts stand.
    memory : int
        Bytes. What fits is read once and shuffled whole. Else groups of parts that fit together are read, shuffled
        and handed out one after the other, their parts drawn in a new order each epoch.
    first_batch : int
        Where to begin, counted over epochs; the batches are those that would have come then.
    epoch_length : int
        Batches of an epoch, for `first_batch`.
    reverse_complement : bool
        Show every second sequence from its other strand, drawn anew each epoch.

    Examples
    --------
    >>> column = np.arange(4, dtype=np.uint8)[:, None]
    >>> one_epoch = epoch_batches(lambda part: (column, column), [8, 8], 3, seed=0, shuffle=False, memory=100)
    >>> [bases.ravel().tolist() for bases, labels in one_epoch()]
    [[0, 1, 2], [3, 0, 1], [2, 3]]
    """
    parts = [number for number, size in enumerate(part_bytes) if size]
    fits = sum(part_bytes) <= memory
    kept: list[Arrays] = []
    first_epoch, skipped = divmod(first_batch, epoch_length) if first_batch else (0, 0)
    epochs = itertools.count(first_epoch)

    def groups(epoch: int) -> Iterator[Arrays]:
        if fits:
            if not kept:
                kept.append(_joined([read_part(number) for number in parts]))
            yield kept[0]
            return
        order = [parts[place] for place in _permutation(len(parts), seed, epoch, "parts")] if shuffle else parts
        for group in _fitting(order, part_bytes, memory // _COPIES_OF_A_GROUP):
            yield _joined([read_part(number) for number in group])

    def one_epoch() -> Iterator[Arrays]:
        epoch = next(epochs)
        ordered = (
            (
                group,
                _permutation(len(group[0]), seed, epoch, f"group {number}") if shuffle else np.arange(len(group[0])),
            )
            for number, group in enumerate(groups(epoch))
        )
        first = skipped if epoch == first_epoch else 0
        batches = itertools.islice(_cut(ordered, batch_size), first, None)
        return _of_either_strand(batches, first * batch_size, seed, epoch) if reverse_complement else batches

    return one_epoch


def _of_either_strand(batches: Iterator[Arrays], place: int, seed: int, epoch: int) -> Iterator[Arrays]:
    """Sequences from a strand that follows from their place in the epoch, the first of which is given."""
    for bases, labels in batches:
        other = uniforms(seed, f"epoch {epoch} strand", np.arange(place, place + len(bases)))[:, :1] < 0.5
        place += len(bases)
        yield np.where(other, reverse_complement_of(bases), bases), labels


def _permutation(n: int, seed: int, epoch: int, what: str) -> Order:
    return np.argsort(uniforms(seed, f"epoch {epoch} {what}", np.arange(n))[:, 0], kind="stable")


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


def _cut(groups: Iterator[tuple[Arrays, Order]], batch_size: int) -> Iterator[Arrays]:
    """Batches of full size; what is left of a group goes before the next one, and the last batch takes the rest."""
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
