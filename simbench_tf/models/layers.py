"""Layers that the networks share: convolutions, seeded initialisers, dropout, norms, the output layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from simbench_tf.random_streams import stream_key


class _Convolution(NamedTuple):
    """One convolution, and the max-pooling after it (1 for none)."""

    channels: int
    kernel_size: int
    pool_size: int


def _check(seq_length: int, n_tasks: int, width: float, padding: str, convolutions: Sequence[_Convolution]) -> None:
    if padding not in ("valid", "same"):
        raise ValueError(f'padding must be "valid" or "same", not {padding!r}')
    if n_tasks < 1 or not width > 0:
        raise ValueError(f"need at least one task and a width above 0, not {n_tasks} and {width}")
    if convolutions[0].kernel_size < 1:
        raise ValueError(f"kernel_size must be at least 1, not {convolutions[0].kernel_size}")
    least = _least_length(convolutions, padding)
    if seq_length < least:
        raise ValueError(f"seq_length {seq_length} is too short for the layers, the least that works is {least}")


def _with_first_kernel(convolutions: Sequence[_Convolution], kernel_size: int) -> list[_Convolution]:
    return [convolutions[0]._replace(kernel_size=kernel_size), *convolutions[1:]]


def _least_length(convolutions: Sequence[_Convolution], padding: str) -> int:
    """The shortest input that leaves one position after the last layer, found from the end."""
    length = 1
    for layer in reversed(convolutions):
        length *= layer.pool_size
        if padding == "valid":
            length += layer.kernel_size - 1
    return length


def _scaled(size: int, width: float) -> int:
    return max(1, round(size * width))


def _layer_seed(seed: int | None, layer: str) -> int | None:
    # one stream a layer: layers of the same shape must not start alike
    return None if seed is None else int(stream_key(seed, f"layer {layer}")) % 2**31


def _glorot(seed: int | None, layer: str) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=_layer_seed(seed, layer))


def _dropout(rate: float, seed: int | None, name: str) -> keras.layers.Layer:
    return keras.layers.Dropout(rate, seed=_layer_seed(seed, name), name=name)


def _batch_norm(layer: str) -> keras.layers.Layer:
    # Torch's constants, with which Basset was trained; Keras' slower momentum would need 500 batches to settle
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{layer}_bn")


def _norm_at_most(max_norm: float | None, axis: int | list[int]) -> keras.constraints.Constraint | None:
    """Bound the norm of the weights into each unit: over all axes but the last, which counts the units."""
    return None if max_norm is None else keras.constraints.MaxNorm(max_norm, axis=axis)


def _outputs(x: Any, n_tasks: int, seed: int | None, constraint: keras.constraints.Constraint | None) -> Any:
    logits = keras.layers.Dense(
        n_tasks, kernel_initializer=_glorot(seed, "logits"), kernel_constraint=constraint, name="logits"
    )(x)
    # float32 even where the layers before compute in less: a probability near 1 needs the digits
    return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits)
