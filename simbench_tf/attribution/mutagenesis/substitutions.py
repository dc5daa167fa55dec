"""All single substitutions at once, by a layer that knows what each would give.

Such a layer has a method ``single_substitutions(inputs, targets)``: from its inputs, (n, L, 4), and numbers of its
outputs, (T,), to what these outputs would be if row l of the input were base c, (T, n, L, 4). A likelihood that is
linear in each row knows it, from its gradient. Here such a layer is found in a model, and what follows it is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Forward, Network
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]


def substitutions_of(network: Network) -> Callable[[Array], Array] | None:
    """The function from one_hot (n, L, 4) to the explained outputs after each substitution, float32 (T, n, L, 4).

    None for a model that does not begin with such a layer, or in which something else than a sigmoid follows it.
    """
    from simbench_tf.attribution.ending import changes_nothing, is_sigmoid
    from simbench_tf.attribution.model_graph import read_calls

    try:
        first, *others = read_calls(network.graph).calls
    except (InputError, ValueError):  # it shows no layers, or has none
        return None
    knows = getattr(first.node.operation, "single_substitutions", None)
    if knows is None or not all(changes_nothing(call.node) or is_sigmoid(call.node.operation) for call in others):
        return None
    compiled = network.compiled(_all_substitutions, network.graph)
    return lambda one_hot: network.all_targets(compiled, one_hot)


def _all_substitutions(_: Forward, graph: Any) -> Callable[..., Any]:
    """Compile the outputs after all substitutions, (n, L, 4) and targets (T,) -> (T, n, L, 4)."""
    import tensorflow as tf

    from simbench_tf.attribution.model_graph import read_calls

    first, *others = read_calls(graph).calls

    @tf.function(autograph=False, reduce_retracing=True)
    def outputs(x: Any, targets: Any) -> Any:
        values = first.node.operation.single_substitutions(x, targets)
        flat = tf.reshape(values, (-1, 1))
        for call in others:
            flat = tf.reshape(call.node.operation(flat), (-1, 1))
        return tf.cast(tf.reshape(flat, tf.shape(values)), tf.float32)

    return outputs
