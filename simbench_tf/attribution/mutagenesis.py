"""In-silico mutagenesis: what the model says when single bases are replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Forward, Network, padded_size
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.dna import N_BASE, bases_of_one_hot

Array = npt.NDArray[np.float32]


@register_method("ism", source="Zhou & Troyanskaya 2015", chunk=16)
def ism(network: Network, one_hot: Array) -> Parts:
    """In-silico mutagenesis: minus the mean change of the output over the three other bases.

    With change[l, c] = f(sequence with base c at position l) - f(sequence), `hypothetical` at [l, c] is change[l, c]
    less the mean change of the three other bases: what base c would have been given had it stood there. The four
    values of a position add up to zero, and at the observed base the value is the importance, which is all that
    `contributions` hold. Positions that are N are left alone and given zeros. 3 L + 1 passes a sequence.
    """
    change = _changes(network, one_hot)
    hypothetical = (change - change.mean(axis=-1, keepdims=True)) * np.float32(4 / 3)
    return Parts(hypothetical * one_hot, hypothetical)


def _changes(network: Network, one_hot: Array) -> Array:
    """Change of each target when each base takes the place of the observed one, (T, n, L, 4); 0 at N."""
    import tensorflow as tf

    bases = bases_of_one_hot(one_hot)
    n, length = bases.shape
    total = n * length * 3
    if total == 0:
        return np.zeros((len(network.targets), n, length, 4), np.float32)
    values = network.compiled(_mutant_values, padded_size(total, network.batch_size))
    mutants = values(tf.constant(bases, tf.int32), tf.constant(network.targets)).numpy()[:total]
    change = mutants.T.reshape(-1, n, length, 3) - network.outputs(one_hot)[:, :, None, None]
    # mutant k of a base is the base k + 1 further on, going round
    further = (np.arange(4) - bases[:, :, None]) % 4
    observed_or_unknown = (further == 0) | (bases == N_BASE)[:, :, None]
    spread = np.take_along_axis(
        change, np.broadcast_to(np.maximum(further - 1, 0), (len(change), n, length, 4)), axis=3
    )
    return np.where(observed_or_unknown, np.float32(0), spread)


def _mutant_values(forward: Forward, batch_size: int) -> Callable[..., Any]:
    """Compile outputs of all 3 L single mutants of n sequences: bases int32 (n, L), targets (T,) -> (>= n L 3, T).

    Mutants are made on the device, a batch at a time; the last batch repeats the last mutant.
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def mutant_values(bases: Any, targets: Any) -> Any:
        length = bases.shape[1]
        total = tf.size(bases) * 3
        n_batches = (total + batch_size - 1) // batch_size

        def batch(number: Any) -> Any:
            mutant = tf.minimum(number * batch_size + tf.range(batch_size), total - 1)
            row, position, further = mutant // (3 * length), mutant // 3 % length, mutant % 3 + 1
            originals = tf.gather(bases, row)
            here = tf.range(length)[None, :] == position[:, None]
            x = tf.one_hot(tf.where(here, (originals + further[:, None]) % 4, originals), 4)
            return tf.gather(forward(x), targets, axis=1)

        def step(number: Any, values: Any) -> Any:
            return number + 1, values.write(number, batch(number))

        values = tf.TensorArray(tf.float32, n_batches, element_shape=(batch_size, None))
        _, values = tf.while_loop(lambda number, _: number < n_batches, step, (0, values), parallel_iterations=1)
        return values.concat()

    return mutant_values
