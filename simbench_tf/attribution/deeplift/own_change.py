"""The change of a model's output, f(input) - mean f(reference), that DeepLIFT's contributions have to add up to.

It is the model's own, not what its layers are read as, so that a layer misread is seen. Where an output changes by so
little that float32 rounds off more of it than contributions lack, the layers compute it again in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Forward, Network

Array = npt.NDArray[Any]
# by which share of the outputs two orders of summation may differ; float32 keeps seven digits
_ROUNDING = 1e-4
# the last digit of an output, as a share of the contributions' sizes: rounding is a few of these
_COARSE = 5e-7
_LAST_DIGITS = 16


def own_change(
    network: Network,
    one_hot: Array,
    references: Array,
    *,
    as_read: Array,
    sizes: Array,
    n_measured: int,
) -> Array:
    """Measure by how much each target of a model differs between sequences and their references.

    Parameters
    ----------
    network : Network
        Of T targets.
    one_hot : array of float32, shape (n, L, 4)
    references : array of float32, shape (n, R, L, 4)
    as_read : array, shape (T, n)
        The change by the model's layers as DeepLIFT reads them, float32 or float64.
    sizes : array of float64, shape (T, n)
        Sums of the contributions' sizes.
    n_measured : int
        Of how many sequences the model is asked. Where it agrees with `as_read`, that stands for the others, since all
        of them would cost nearly half as much again; else it is asked for all.

    Returns
    -------
    change : array, shape (T, n)
        f(input) - mean f(reference).
    """
    outputs = network.outputs if as_read.dtype == np.float32 else functools.partial(_told_in_float64, network)
    own, scale = _measured(outputs, one_hot[:n_measured], references[:n_measured])
    if np.abs(own - as_read[:, :n_measured]).max(initial=0) > _ROUNDING * scale:
        return own if len(one_hot) <= n_measured else _measured(outputs, one_hot, references)[0]
    change = np.concatenate([own, as_read[:, n_measured:]], axis=1, dtype=np.float64)
    coarse = np.flatnonzero((np.spacing(scale) > _COARSE * sizes).any(axis=0))
    if as_read.dtype == np.float32 and len(coarse):
        told, exact = (
            _measured(each, one_hot[coarse], references[coarse])[0]
            for each in (outputs, functools.partial(_computed_in_float64, network))
        )
        # what the layers give stands for the model only where the model gives the same, to its last digits
        same = np.abs(exact - told) <= _LAST_DIGITS * np.spacing(scale)
        change[:, coarse] = np.where(same, exact, told)
    return change


def _measured(outputs: Callable[[Array], Array], one_hot: Array, references: Array) -> tuple[Array, np.floating[Any]]:
    """Change of each target, (T, n), and the largest output of a reference."""
    n, n_references, length, _ = references.shape
    at_x = outputs(one_hot)
    at_references = outputs(references.reshape(-1, length, 4)).reshape(len(at_x), n, n_references)
    return at_x - at_references.mean(axis=2), np.abs(at_references).max(initial=0)


def _told_in_float64(network: Network, one_hot: Array) -> Array:
    """Outputs of a model that computes in float64, (T, n); others are told in float32."""
    call = network.compiled(_float64_outputs, network.graph)
    return np.ascontiguousarray(network.in_batches(call, one_hot).T[list(network.targets)])


def _float64_outputs(forward: Forward, graph: Any) -> Callable[..., Any]:  # noqa: ARG001
    import tensorflow as tf

    return tf.function(lambda x: tf.cast(graph(x, training=False), tf.float64), autograph=False, reduce_retracing=True)


def _computed_in_float64(network: Network, one_hot: Array) -> Array:
    """Outputs of a model of float32, (T, n), by its layers as they are read, computed in float64."""

    def call(batch: Any) -> Any:
        return network.compiled(_layers_in_float64, network.graph, *batch.shape[:2])(batch)

    return np.ascontiguousarray(network.in_batches(call, one_hot).T[list(network.targets)])


def _layers_in_float64(forward: Forward, graph: Any, n: int, length: int) -> Callable[..., Any]:  # noqa: ARG001
    import tensorflow as tf

    from simbench_tf.attribution.deeplift.read_model import read_steps
    from simbench_tf.attribution.deeplift.steps import values_of

    steps = read_steps(graph, "rescale", "rescale", length, tf.float64)

    @tf.function(autograph=False)
    def outputs(x: Any) -> Any:
        return values_of(steps, tf.cast(x, tf.float64))[steps[-1].output]

    if tf.config.functions_run_eagerly():
        return outputs
    # as DeepLIFT's own passes, a concrete function, of which TensorFlow counts no traces
    return outputs.get_concrete_function(tf.TensorSpec((n, length, 4), tf.float32))
