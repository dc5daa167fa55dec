"""What a layer does along the sequence: its kind, kernel, strides, padding and pointwise operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Op = Callable[[Any], Any]
_POINTWISE = ("ReLU", "LeakyReLU", "ELU", "Softmax", "BatchNormalization", "LayerNormalization")
_OPERATIONS = ("Relu", "Relu6", "Sigmoid", "Tanh", "Softplus", "Gelu", "Silu", "Elu", "Selu", "LeakyRelu", "Exp")


class UnsupportedModelError(Exception):
    """The model is no such chain; the message says where it is not."""


class Geometry(NamedTuple):
    """How the outputs of a convolution or pooling lie over its inputs: output o reads from o x stride - left on."""

    size: int
    stride: int
    dilation: int
    left: int
    length_in: int
    length: int

    @property
    def reach(self) -> int:
        """Distance from the first to the last input of one output."""
        return (self.size - 1) * self.dilation

    @property
    def right(self) -> int:
        """Positions that the last output lacks on the right; negative where inputs are left over."""
        return (self.length - 1) * self.stride - self.left + self.reach + 1 - self.length_in

    @property
    def pads(self) -> bool:
        """Whether an output reads positions that are not there."""
        return self.left > 0 or self.right > 0


def geometry_of(length: int, size: int, stride: int, dilation: int, padding: str) -> Geometry:
    """Geometry of a kernel or pool of `size` over `length` positions, as Keras pads it."""
    reach = (size - 1) * dilation
    if padding == "valid":
        return Geometry(size, stride, dilation, 0, length, (length - reach - 1) // stride + 1)
    n_outputs = -(-length // stride)
    if padding == "causal":
        return Geometry(size, stride, dilation, reach, length, n_outputs)
    missing = max((n_outputs - 1) * stride + reach + 1 - length, 0)
    return Geometry(size, stride, dilation, missing // 2, length, n_outputs)


def checked_pointwise(layer: Any) -> Op:
    """Return the operation of a layer that treats each position by itself, or raise UnsupportedModelError."""
    name = _kind(layer)
    if name == "Activation":
        return checked_activation(layer, layer.activation)
    last_axis = getattr(layer, "axis", -1) in (-1, 2, [-1], [2], (-1,), (2,))
    if name in (*_POINTWISE, *_OPERATIONS) and last_axis:
        return layer
    raise UnsupportedModelError(f"{_named(layer)} is not a layer whose windows are known")


def checked_activation(layer: Any, activation: Any) -> Any:
    """Return an activation that is one of Keras' own, or raise UnsupportedModelError."""
    import keras

    # a function of one's own might look at other positions
    known = getattr(activation, "__name__", None)
    if known is None or getattr(keras.activations, known, None) is not activation:
        raise UnsupportedModelError(f"{_named(layer)} has an activation of its own, {activation}")
    return activation


def _check_channels_last(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedModelError(f"{_named(layer)} has channels first")


def _kind(layer: Any) -> str:
    """The class of one of Keras' own layers and operations; what others do is not known."""
    return type(layer).__name__ if type(layer).__module__.startswith("keras.") else ""


def _linear() -> Any:
    import keras

    return keras.activations.linear


def _named(layer: Any) -> str:
    return f"{type(layer).__name__} {layer.name!r}"
