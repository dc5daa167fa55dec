"""Training batches: the order of a data set's sequences, which follows from seed and epoch, read in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.dna import N_BASE
from simbench_tf.dna import reverse_complement as reverse_complement_of
from simbench_tf.dna.euler_trails import shuffle_dinucleotides
from simbench_tf.random_streams import permutation, stream_key, uniforms

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
Rows = npt.NDArray[np.int64]


#: What is added to the code of a base that lies in a site, so that a new background leaves it.
SITE_FLAG = 8


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
    shift : int
        Move each sequence by up to so many bases, drawn anew each epoch.
    new_background : bool
        Shuffle the background of each sequence anew each epoch; what is read has its sites flagged (`SITE_FLAG`).
    shuffled_labels : bool
        Give each sequence the labels of another one of its part, the same in all epochs.
    first_batch : int
        Where to begin, counted over epochs; the batches are those that would have come then.
    epoch_length : int
        Batches of an epoch, for `first_batch`.
    """

    batch_size: int
    seed: int
    shuffle: bool
    reverse_complement: bool = False
    shift: int = 0
    new_background: bool = False
    shuffled_labels: bool = False
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

    def read(number: int) -> Arrays:
        bases, labels = read_part(number)
        return bases, with_shuffled_labels(labels, order.seed, f"part {number}") if order.shuffled_labels else labels

    def groups(epoch: int) -> Iterator[Arrays]:
        if fits:
            if not kept:
                kept.append(_joined([read(number) for number in parts]))
            yield kept[0]
            return
        shuffled = permutation(order.seed, f"epoch {epoch} parts", len(parts)) if order.shuffle else range(len(parts))
        for group in _fitting([parts[number] for number in shuffled], part_bytes, memory // _COPIES_OF_A_GROUP):
            yield _joined([read(number) for number in group])

    def rows_of(group: Arrays, epoch: int, number: int) -> Rows:
        n = len(group[0])
        return permutation(order.seed, f"epoch {epoch} group {number}", n) if order.shuffle else np.arange(n)

    def one_epoch() -> Iterator[Arrays]:
        epoch = next(epochs)
        ordered = ((group, rows_of(group, epoch, number)) for number, group in enumerate(groups(epoch)))
        first = skipped if epoch == first_epoch else 0
        at = first * order.batch_size
        for bases, labels in itertools.islice(_cut(ordered, order.batch_size), first, None):
            purpose = f"epoch {epoch}"
            changed = with_new_background(bases, order.seed, purpose, at) if order.new_background else bases
            yield augmented(changed, order.seed, purpose, at, order.reverse_complement, order.shift), labels
            at += len(bases)

    return one_epoch


def with_shuffled_labels(labels: npt.NDArray[np.uint8], seed: int, purpose: str) -> npt.NDArray[np.uint8]:
    """The rows of labels (N, T) in another order: each sequence gets those of another one, all tasks together.

    Examples
    --------
    >>> with_shuffled_labels(np.array([[0, 1], [1, 0], [1, 1]], np.uint8), 2, "part 0").tolist()
    [[1, 0], [1, 1], [0, 1]]
    """
    return labels[permutation(seed, f"labels of {purpose}", len(labels))]


def with_new_background(flagged: npt.NDArray[np.uint8], seed: int, purpose: str, first: int) -> npt.NDArray[np.uint8]:
    """Sequences whose bases outside sites are shuffled again, each stretch between sites by itself.

    A stretch keeps its first and last base and how often each base follows each other one. Where the background was
    such a shuffle before the sites were put in, as in peaks data, all that can come out is as likely as what is there.

    Parameters
    ----------
    flagged : uint8 (N, L)
        0-3 for A, C, G, T and 4 for N, with `SITE_FLAG` added to bases of sites.
    seed, purpose, first
        As for `augmented`.

    Returns
    -------
    uint8 (N, L)
        0-4.

    Examples
    --------
    >>> flagged = np.array([[0, 0, 1, 2, 0, 1, 0, 8, 9, 0, 1]], np.uint8)
    >>> with_new_background(flagged, 1, "epoch 0", 0).tolist()
    [[0, 1, 2, 0, 0, 1, 0, 0, 1, 0, 1]]
    """
    is_free = flagged < SITE_FLAG
    free = np.where(is_free, flagged, np.uint8(N_BASE))
    shuffled, unchanged = np.empty((len(free), 1, free.shape[1]), np.uint8), np.empty(len(free), np.bool_)
    numbers = np.arange(first, first + len(free))
    shuffle_dinucleotides(free, stream_key(seed, f"{purpose} background"), numbers, shuffled, unchanged)
    return np.where(is_free, shuffled[:, 0], flagged & np.uint8(SITE_FLAG - 1))


def augmented(
    bases: npt.NDArray[np.uint8], seed: int, purpose: str, first: int, reverse_complement: bool, shift: int
) -> npt.NDArray[np.uint8]:
    """Sequences, each from the strand and at the shift that are drawn for its number.

    Parameters
    ----------
    bases : uint8 (N, L)
    seed : int
    purpose : str
        Which random numbers of the seed, such as "epoch 3".
    first : int
        Number of the first sequence.
    reverse_complement : bool
        Show every second one from its other strand.
    shift : int
        Then move each by -shift to shift bases, all as likely, less than L. Bases moved beyond an end are lost, those
        left open at the other end are N, which the network sees as zeros.

    Examples
    --------
    >>> augmented(np.arange(4, dtype=np.uint8)[None].repeat(4, axis=0), 2, "epoch 0", 0, False, shift=1).tolist()
    [[0, 1, 2, 3], [4, 0, 1, 2], [1, 2, 3, 4], [4, 0, 1, 2]]
    """
    numbers = np.arange(first, first + len(bases))
    if reverse_complement:
        other = uniforms(seed, f"{purpose} strand", numbers)[:, :1] < 0.5
        bases = np.where(other, reverse_complement_of(bases), bases)
    if shift:
        moved = (uniforms(seed, f"{purpose} shift", numbers)[:, :1] * (2 * shift + 1)).astype(np.int64)
        padded = np.pad(bases, ((0, 0), (shift, shift)), constant_values=N_BASE)
        bases = np.take_along_axis(padded, moved + np.arange(bases.shape[1]), axis=1)
    return bases


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
