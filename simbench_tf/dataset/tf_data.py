"""A tf.data pipeline of batches, for Keras' fit: some made ahead of the device, as bases or one-hot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import cpu_count
from typing import TYPE_CHECKING

from simbench_tf.dataset.at_exit import until_exit
from simbench_tf.dataset.batches import Arrays

if TYPE_CHECKING:
    import tensorflow as tf

#: Batches that are made before they are asked for.
_AHEAD = 8


def as_tf_data(
    one_epoch: Callable[[], Iterator[Arrays]],
    seq_length: int,
    n_tasks: int,
    n_batches: int | None,
    as_bases: bool = False,
) -> tf.data.Dataset:
    """Batches for Keras, with their number set.

    Parameters
    ----------
    one_epoch : callable
        Returns the batches of the next epoch: bases, uint8 (B, L), and labels, uint8 (B, T).
    seq_length, n_tasks : int
        L and T.
    n_batches : int or None
        Batches of the one epoch that is shown; None: epoch after epoch, without end.
    as_bases : bool
        Return the arrays as they are, for a model that encodes them on the device; by default one-hot, float32
        (B, L, 4) with rows of zeros for N, and labels, float32 (B, T).
    """
    import tensorflow as tf

    def encoded(bases: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # 4, an N, is beyond the depth: a row of zeros
        return tf.one_hot(bases, 4, dtype=tf.float32), tf.cast(labels, tf.float32)

    signature = tf.TensorSpec((None, seq_length), tf.uint8), tf.TensorSpec((None, n_tasks), tf.uint8)
    data = tf.data.Dataset.from_generator(until_exit(one_epoch), output_signature=signature)
    if n_batches is None:
        data = data.repeat()
    cardinality = tf.data.INFINITE_CARDINALITY if n_batches is None else n_batches
    data = data.apply(tf.data.experimental.assert_cardinality(cardinality))
    if not as_bases:
        data = data.map(encoded, num_parallel_calls=cpu_count() or 1, deterministic=True)
    return made_ahead(data)


def made_ahead(data: tf.data.Dataset) -> tf.data.Dataset:
    """The batches of a pipeline, a few of them made before they are asked for, in a thread of TensorFlow's.

    Without its autotuning: the thread that tunes looks at the pipeline less and less often, at last once a minute, and
    whoever deletes an iterator waits until it has looked once more.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return data.prefetch(_AHEAD).with_options(options)
