"""Fresh training batches: sequences drawn anew from the grammar of a data set, without end, ahead of the device.

Sequence i of a training seed is the same whatever the batch size, the threads and where drawing begins. Its random
numbers are those of another purpose than a data set's (`random_streams`), so that no data set holds it but by chance.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.dataset.batches import augmented, with_shuffled_labels
from simbench_tf.dataset.tf_data import as_tf_data
from simbench_tf.dataset_grammar import grammar_of
from simbench_tf.errors import InputError
from simbench_tf.simulate.grammar import Grammar, draw_bases

if TYPE_CHECKING:
    import tensorflow as tf

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

#: What the random numbers of fresh sequences are drawn for; those of a data set are for "grammar".
PURPOSE = "fresh"
# one thread draws more than a GPU takes; more would only compete with the training step for a CPU's cores
_MAX_THREADS = 2


def source_of(dataset: Dataset, config: Config | None = None) -> Grammar | None:
    """What fresh sequences come from: the data set's grammar, or None for new backgrounds of its own sequences.

    Raises
    ------
    InputError
        The data were read from text, or are peaks whose background was cleared of chance hits; or as
        `dataset_grammar.grammar_of`.
    """
    if dataset.kind == "grammar":
        return grammar_of(dataset, config)
    mend = "leave it out; training.augment.shift varies the sequences it has"
    if dataset.kind != "peaks":
        what = f"{dataset.path} holds {dataset.kind} data, and how these were drawn is not known"
        raise InputError("training.fresh", what, mend)
    if dataset.notes.get("clean_background"):
        what = f"new backgrounds would bring back the chance hits that {dataset.path} was cleared of"
        raise InputError("training.fresh", what, mend)
    return None


def fresh_batches(
    grammar: Grammar,
    batch_size: int,
    seed: int,
    first_batch: int = 0,
    reverse_complement: bool = False,
    shift: int = 0,
    shuffled_labels: bool = False,
    n_threads: int | None = None,
) -> Iterator[Arrays]:
    """Draw batches without end; threads draw the next ones meanwhile.

    Parameters
    ----------
    grammar : Grammar
    batch_size : int
        Batch b holds the sequences b * batch_size up to (b + 1) * batch_size of the seed.
    seed : int
        Of training: another one draws other sequences.
    first_batch : int
        Where to begin: training that was interrupted resumes with the batches it had not seen.
    reverse_complement, shift
        As in `dataset.batches.augmented`.
    shuffled_labels : bool
        Give each sequence the labels of another one of its batch.
    n_threads : int, optional
        Default: 2, or 1 where there is one core.

    Yields
    ------
    bases : uint8 (batch_size, L)
    labels : uint8 (batch_size, T)

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> grammar = build_grammar(GrammarSimulation(kind="grammar"), load_motifs("default"))
    >>> first, second = itertools.islice(fresh_batches(grammar, 3, seed=1), 2)
    >>> first[0].shape, first[1].shape, bool((next(fresh_batches(grammar, 3, 1, first_batch=1))[0] == second[0]).all())
    ((3, 400), (3, 2), True)
    """

    def batch(number: int) -> Arrays:
        start = number * batch_size
        bases, labels = draw_bases(grammar, seed, start, start + batch_size, PURPOSE)
        if shuffled_labels:
            labels = with_shuffled_labels(labels, seed, f"batch {number}")
        return augmented(bases, seed, PURPOSE, start, reverse_complement, shift), labels

    n_threads = n_threads or min(_MAX_THREADS, os.cpu_count() or 1)
    numbers = itertools.count(first_batch)
    with ThreadPoolExecutor(n_threads, thread_name_prefix="fresh") as pool:
        pending = deque(pool.submit(batch, number) for number in itertools.islice(numbers, 2 * n_threads))
        while True:
            pending.append(pool.submit(batch, next(numbers)))
            yield pending.popleft().result()


def fresh_data(
    grammar: Grammar,
    batch_size: int,
    seed: int,
    first_batch: int = 0,
    reverse_complement: bool = False,
    shift: int = 0,
    shuffled_labels: bool = False,
) -> tf.data.Dataset:
    """The batches of `fresh_batches` for Keras: (bases uint8 (B, L), labels uint8 (B, T)), without end."""

    def batches() -> Iterator[Arrays]:
        return fresh_batches(grammar, batch_size, seed, first_batch, reverse_complement, shift, shuffled_labels)

    return as_tf_data(batches, grammar.seq_length, len(grammar.tasks), None, as_bases=True)
