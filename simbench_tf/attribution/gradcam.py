"""Grad-CAM and related methods: a layer's activations, weighted by gradients and spread over the bases that units see.

All read a tensor of P positions and K channels, A, and the gradient G of the target with regard to it. `layer` selects
it: "first" or "last" is that convolution *after* the batch normalisation and activation that follow it, so that A
are rectified maps as in the paper, whose authors read relu5_3. Where branches leave open which convolution that is, an
error names the candidates. The name of a layer is that layer's own output, as tf-keras-vis reads it, with an activation
of its own (``Conv1D(..., activation="relu")``) and without those of later layers.

A position's value is given to all bases that its units can see, and a base gets the *mean* over the positions that see
it, as in the paper of these simulations (Prakash et al. 2021). With a sum, bases near the ends would get less for no
other reason than that fewer units see them. Bases that no unit sees, as those that valid pooling leaves over, get 0.
The value stands at the observed base; other bases get nothing, so there are no hypothetical contributions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Forward, Network, target_gradients
from simbench_tf.attribution.registry import Parts, register_method

Array = npt.NDArray[np.float32]


@register_method("gradcam", title="Grad-CAM", source="Selvaraju et al. 2017", needs="feature_maps")
def gradcam(
    network: Network,
    one_hot: Array,
    *,
    layer: str = "last",
    pooling: Literal["mean", "max"] = "mean",
    relu: bool = True,
) -> Parts:
    """Grad-CAM: a layer's channels weighed by their gradients pooled over positions, spread over receptive fields.

    The weight of a channel is the mean, or with ``pooling="max"`` the largest, of its gradient over positions; a
    position has the value ReLU(sum_k weight_k A_k), equations 1 and 2 of the paper; ``relu=False`` keeps what is
    negative.
    """
    return _spread(network, one_hot, layer, pooling, relu)


@register_method("gradcam_channel", title="Grad-CAM over channels", source="Prakash et al. 2021", needs="feature_maps")
def gradcam_channel(network: Network, one_hot: Array, *, layer: str = "last", relu: bool = True) -> Parts:
    """Grad-CAM with the gradient averaged over channels: each position has a weight of its own.

    A position has the value ReLU(mean_k G_k sum_k A_k). This is what the program of the paper computes under the name
    of Grad-CAM.
    """
    return _spread(network, one_hot, layer, "channel", relu)


@register_method("grad_x_activation", title="gradient × activation", source="Prakash et al. 2021", needs="feature_maps")
def grad_x_activation(network: Network, one_hot: Array, *, layer: str = "last") -> Parts:
    """Gradient times activation at a layer: sum_k G_k A_k of each position, without pooling and without ReLU."""
    return _spread(network, one_hot, layer, "product", relu=False)


def _spread(network: Network, one_hot: Array, layer: str, weighting: str, relu: bool) -> Parts:
    # first, since it refuses layers that have no positions
    shares = _shares(network, layer, one_hot.shape[1])
    maps = layer_maps(network, one_hot, layer, weighting)
    if relu:
        maps = np.maximum(maps, 0)
    return Parts((maps @ shares)[..., None] * one_hot)


def layer_maps(network: Network, one_hot: Array, layer: str, weighting: str) -> Array:
    """Values of a layer's positions for each target, float32 (T, n, P); `weighting` is a key of `_WEIGHTED`."""
    if network.torch_module is not None:
        return _torch_maps(network, one_hot, layer, weighting)
    return network.all_targets(network.compiled(_maps, network.graph, layer, weighting), one_hot)


def _torch_maps(network: Network, one_hot: Array, layer: str, weighting: str) -> Array:
    """As `layer_maps`, of a module of a PyTorch module."""
    from simbench_tf.attribution.torch_model import FeatureMaps

    maps = FeatureMaps(network.torch_module, layer, one_hot.shape[1])
    parts = []
    for first in range(0, max(len(one_hot), 1), network.batch_size):
        values, gradients = maps.read(one_hot[first : first + network.batch_size], np.array(network.targets))
        parts.append(_WEIGHTED[weighting](gradients, values).numpy())
    return np.concatenate(parts, axis=1)


def _shares(network: Network, layer: str, seq_length: int) -> Array:
    """What a base gets of each position, float32 (P, L): one over the number of positions that see it."""
    from simbench_tf.attribution.model_graph import find_output, read_calls
    from simbench_tf.attribution.receptive_field import receptive_field

    if network.torch_module is not None:
        return _spread_over(network.compiled(_torch_field, layer, seq_length)())
    calls, _ = read_calls(network.graph)
    return _spread_over(receptive_field(calls, find_output(calls, layer), seq_length))


def _spread_over(field: npt.NDArray[np.bool_]) -> Array:
    return field.astype(np.float32) / np.maximum(field.sum(axis=0, dtype=np.float32), 1)


def _torch_field(forward: Any, layer: str, seq_length: int) -> Callable[[], npt.NDArray[np.bool_]]:
    """The receptive field of a module, (P, L), traced when it is first asked for: it depends on no weight."""
    from simbench_tf.attribution.torch_model import FeatureMaps

    return functools.cache(lambda: FeatureMaps(forward.module(), layer, seq_length).receptive_field())


# values of positions, from gradients (T, n, P, K) and activations (n, P, K)


def _pooled(pool: str) -> Callable[[Any, Any], Any]:
    def weighted(gradients: Any, activations: Any) -> Any:
        import tensorflow as tf

        reduce = tf.reduce_max if pool == "max" else tf.reduce_mean
        return tf.reduce_sum(reduce(gradients, axis=2, keepdims=True) * activations, axis=-1)

    return weighted


def _channel_mean(gradients: Any, activations: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(gradients, axis=-1) * tf.reduce_sum(activations, axis=-1)


def _product(gradients: Any, activations: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(gradients * activations, axis=-1)


_WEIGHTED: dict[str, Callable[[Any, Any], Any]] = {
    "mean": _pooled("mean"),
    "max": _pooled("max"),
    "channel": _channel_mean,
    "product": _product,
}


def _maps(forward: Forward, graph: Any, layer: str, weighting: str) -> Callable[..., Any]:  # noqa: ARG001
    """Compile the values of a layer's positions: x (n, L, 4) and targets (T,) -> (T, n, P)."""
    import tensorflow as tf

    from simbench_tf.attribution.model_graph import find_output, read_calls, run_calls

    calls, output = read_calls(graph)
    (read,) = find_output(calls, layer).outputs

    @tf.function(autograph=False, reduce_retracing=True)
    def maps(x: Any, targets: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = run_calls(calls, x)
            outputs = tf.cast(values[output], tf.float32)
        gradients = target_gradients(tape, outputs, values[read], targets)
        return _WEIGHTED[weighting](tf.cast(gradients, tf.float32), tf.cast(values[read], tf.float32))

    return maps
