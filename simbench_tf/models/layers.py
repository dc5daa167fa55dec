"""Layers that the networks share, seeded initialisers among them; and a copy of any model with other layer settings."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.shared_copies import NOT_COPIED as NOT_COPIED
from simbench_tf.random_streams import stream_key


class Convolution(NamedTuple):
    """One convolution, and the max-pooling after it (1 for none)."""

    channels: int
    kernel_size: int
    pool_size: int


def copied_model(model: keras.Model, changed: Callable[[keras.layers.Layer], Mapping[str, Any]]) -> keras.Model:
    """Copy a functional model, nested models too, with the same weights and other settings of its layers.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential.
    changed : callable
        Settings (keys of `get_config`) in which the copy of a layer differs, as ``{"dtype": "float32"}``.

    Returns
    -------
    keras.Model
        Uncompiled.

    Raises
    ------
    NOT_COPIED
        From Keras, for a layer that cannot be made anew from its `get_config`.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(2)])
    >>> copied_model(model, lambda layer: {"dtype": "float64"}).layers[0].compute_dtype
    'float64'
    """

    def copied(operation: Any) -> Any:
        # `a + b` and the like are no layers: they have no precision of their own
        differing = changed(operation) if isinstance(operation, keras.layers.Layer) else {}
        return type(operation).from_config({**operation.get_config(), **differing})

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def lambda_layer(model: keras.Model) -> str | None:
    """The name of a Lambda layer of a nameless function, whose code Keras does not load from files, if there is one."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Lambda) and getattr(layer.function, "__name__", "") == "<lambda>":
            return str(layer.name)
    return None


def lambda_refused(name: str) -> tuple[str, str]:
    """What is wrong with a Lambda layer, and how to fix it."""
    return f"has a Lambda layer, {name!r}, whose code cannot be loaded from a file", "build it of Keras' layers"


def check_arguments(
    seq_length: int, n_tasks: int, width: float, padding: str, convolutions: Sequence[Convolution]
) -> None:
    """Raise ValueError for arguments out of range, or a length that is too short for the convolutions."""
    if padding not in ("valid", "same"):
        raise ValueError(f'padding must be "valid" or "same", not {padding!r}')
    if n_tasks < 1 or not width > 0:
        raise ValueError(f"need at least one task and a width above 0, not {n_tasks} and {width}")
    if convolutions[0].kernel_size < 1:
        raise ValueError(f"kernel_size must be at least 1, not {convolutions[0].kernel_size}")
    least = _least_length(convolutions, padding)
    if seq_length < least:
        raise ValueError(f"seq_length {seq_length} is too short for the layers, the least that works is {least}")


def with_first_kernel(convolutions: Sequence[Convolution], kernel_size: int) -> list[Convolution]:
    """The same convolutions, the first with another kernel size."""
    return [convolutions[0]._replace(kernel_size=kernel_size), *convolutions[1:]]


def _least_length(convolutions: Sequence[Convolution], padding: str) -> int:
    """The shortest input that leaves one position after the last layer, found from the end."""
    length = 1
    for layer in reversed(convolutions):
        length *= layer.pool_size
        if padding == "valid":
            length += layer.kernel_size - 1
    return length


def scaled(size: int, width: float) -> int:
    """Channels or units times `width`, at least 1."""
    return max(1, round(size * width))


def _layer_seed(seed: int | None, layer: str) -> int | None:
    # one stream for each layer: layers of the same shape must not start alike
    return None if seed is None else int(stream_key(seed, f"layer {layer}")) % 2**31


def glorot(seed: int | None, layer: str) -> keras.initializers.Initializer:
    """Glorot's uniform initialiser, seeded for the layer of that name."""
    return keras.initializers.GlorotUniform(seed=_layer_seed(seed, layer))


def dropout(rate: float, seed: int | None, name: str) -> keras.layers.Layer:
    """A seeded dropout layer."""
    return keras.layers.Dropout(rate, seed=_layer_seed(seed, name), name=name)


def batch_norm(layer: str) -> keras.layers.Layer:
    """The batch normalisation after the layer of that name."""
    # Torch's constants, with which Basset was trained; Keras' slower momentum would need 500 batches to settle
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{layer}_bn")


def norm_at_most(max_norm: float | None, axis: int | list[int]) -> keras.constraints.Constraint | None:
    """Bound the norm of the weights into each unit: over all axes but the last, which counts the units."""
    return None if max_norm is None else keras.constraints.MaxNorm(max_norm, axis=axis)


def sigmoid_outputs(x: Any, n_tasks: int, seed: int | None, constraint: keras.constraints.Constraint | None) -> Any:
    """A dense layer of logits and the sigmoid after it."""
    logits = keras.layers.Dense(
        n_tasks, kernel_initializer=glorot(seed, "logits"), kernel_constraint=constraint, name="logits"
    )(x)
    # float32 even where the layers before compute in less: a probability near 1 needs the digits
    return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits)


def written_array(array: npt.NDArray[Any]) -> dict[str, Any]:
    """An array as text without loss, for the configuration of a layer; `read_array` reads it.

    Examples
    --------
    >>> read_array(written_array(np.array([[1.5, 2.0]]))).tolist()
    [[1.5, 2.0]]
    """
    content = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode("ascii")
    return {"shape": list(array.shape), "dtype": array.dtype.str, "content": content}


def read_array(written: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The array that `written_array` wrote."""
    content = zlib.decompress(base64.b64decode(written["content"]))
    return np.frombuffer(content, written["dtype"]).reshape(written["shape"])
