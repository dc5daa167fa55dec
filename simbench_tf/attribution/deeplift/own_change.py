"""The change of a model's output, f(input) - mean f(reference), that DeepLIFT's contributions have to add up to.

It is asked of the model itself, not of what its layers are read as, so that a layer misread is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Forward, Network

Array = npt.NDArray[Any]
Outputs = Callable[[Array], Array]
# by which share of the outputs two orders of summation may differ; float32 keeps seven digits
_ROUNDING = 1e-4


def own_change(
    outputs: Outputs, one_hot: Array, references: Array, as_read: Array, n_asked: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Measure by how much each target of a model differs between sequences and their references.

    Parameters
    ----------
    outputs : callable
        The model: one-hot (N, L, 4) to its T targets, (T, N).
    one_hot : array of float32, shape (n, L, 4)
    references : array of float32, shape (n, R, L, 4)
    as_read : array, shape (T, n)
        The change by the model's layers as DeepLIFT reads them.
    n_asked : int
        Of how many sequences the model is asked. Where it agrees with `as_read`, that stands for the others, since all
        of them would cost nearly half as much again; else it is asked for all.

    Returns
    -------
    change : float64 (T, n)
    last_digit : float64 (T, 1)
        By how much the next number of float32 is larger than the largest output of a reference.
    """
    own, largest = _asked(outputs, one_hot[:n_asked], references[:n_asked])
    if len(one_hot) > n_asked:
        if (np.abs(own - as_read[:, :n_asked]) > _ROUNDING * largest).any():
            own, largest = _asked(outputs, one_hot, references)
        else:
            own = np.concatenate([own, as_read[:, n_asked:]], axis=1)
    return own.astype(np.float64), np.spacing(largest.astype(np.float32)).astype(np.float64)


def _asked(outputs: Outputs, one_hot: Array, references: Array) -> tuple[Array, Array]:
    """Change of each target, (T, n), and the largest output of a reference, (T, 1)."""
    n, n_references, length, _ = references.shape
    at_x = outputs(one_hot)
    at_references = outputs(references.reshape(-1, length, 4))
    largest = np.abs(at_references).max(axis=1, keepdims=True, initial=0)
    return at_x - at_references.reshape(len(at_x), n, n_references).mean(axis=2), largest


def outputs_in_float64(network: Network, one_hot: Array) -> npt.NDArray[np.float64]:
    """Outputs of a model that computes in float64, (T, n); `Network.outputs` tells them in float32."""
    call = network.compiled(_float64_outputs, network.graph)
    return np.ascontiguousarray(network.in_batches(call, one_hot).T[list(network.targets)])


def _float64_outputs(forward: Forward, graph: Any) -> Callable[..., Any]:  # noqa: ARG001
    import tensorflow as tf

    return tf.function(lambda x: tf.cast(graph(x, training=False), tf.float64), autograph=False, reduce_retracing=True)
