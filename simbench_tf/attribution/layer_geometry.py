"""What a Keras layer does along the sequence: how a kernel or pool lies over its input, and which layers do nothing,
or treat each position by itself.

One place for all methods that read layers: receptive fields, DeepLIFT and fast in-silico mutagenesis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Op = Callable[[Any], Any]
#: Layers that change nothing after training.
DOING_NOTHING = (
    "Dropout",
    "SpatialDropout1D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
)
_POINTWISE = ("ReLU", "LeakyReLU", "ELU", "Softmax", "BatchNormalization", "LayerNormalization")
_OPERATIONS = (
    "Relu",
    "Relu6",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Gelu",
    "Silu",
    "Elu",
    "Selu",
    "LeakyRelu",
    "Exp",
    "Log1p",
)


class UnsupportedModelError(Exception):
    """A method cannot follow a layer of the model; the message names it and says why."""


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

    @property
    def padding(self) -> tuple[int, int]:
        """Positions that are added before and after the input."""
        return self.left, max(self.right, 0)


def geometry_of(layer: Any, length: int) -> Geometry:
    """Geometry of a convolution or pooling layer over `length` positions.

    Raises
    ------
    UnsupportedModelError
        The layer takes channels first.
    """
    check_channels_last(layer)
    (size,) = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    dilation = getattr(layer, "dilation_rate", (1,))[0]
    return padded_geometry(length, size, layer.strides[0], dilation, layer.padding)


def padded_geometry(length: int, size: int, stride: int, dilation: int, padding: str) -> Geometry:
    """Geometry of a kernel or pool of `size` over `length` positions, padded as Keras pads it.

    Examples
    --------
    >>> padded_geometry(10, 3, 2, 1, "same").padding, padded_geometry(10, 3, 1, 2, "causal").padding
    ((0, 1), (4, 0))
    """
    reach = (size - 1) * dilation
    if padding == "valid":
        return Geometry(size, stride, dilation, 0, length, (length - reach - 1) // stride + 1)
    n_outputs = -(-length // stride)
    if padding == "causal":
        return Geometry(size, stride, dilation, reach, length, n_outputs)
    missing = max((n_outputs - 1) * stride + reach + 1 - length, 0)
    return Geometry(size, stride, dilation, missing // 2, length, n_outputs)


def checked_pointwise(layer: Any) -> Op:
    """Return what a layer does that treats each position by itself and alike, or raise UnsupportedModelError."""
    name = kind_of(layer)
    if name == "Activation":
        return checked_activation(layer, layer.activation)
    last_axis = getattr(layer, "axis", -1) in (-1, 2, [-1], [2], (-1,), (2,))
    if name in (*_POINTWISE, *_OPERATIONS) and last_axis:
        return layer
    raise UnsupportedModelError(f"{named(layer)} is not a layer whose windows are known")


def check_positionwise(layer: Any) -> None:
    """Refuse a layer that is not known to treat each position by itself.

    Other than with `checked_pointwise`, positions may be treated differently.

    Raises
    ------
    UnsupportedModelError
    """
    # the slopes of PReLU may differ by position
    if kind_of(layer) != "PReLU":
        checked_pointwise(layer)


def checked_activation(layer: Any, activation: Any) -> Any:
    """Return an activation that is one of Keras' own, or raise UnsupportedModelError."""
    import keras

    # a function of one's own might look at other positions
    known = getattr(activation, "__name__", None)
    if known is None or getattr(keras.activations, known, None) is not activation:
        raise UnsupportedModelError(f"{named(layer)} has an activation of its own, {activation}")
    return activation


def check_channels_last(layer: Any) -> None:
    """Raise UnsupportedModelError for a layer that takes (N, channels, positions)."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedModelError(f"{named(layer)} has channels first")


def kind_of(layer: Any) -> str:
    """The name of the class of one of Keras' own layers and operations; "" for others, which may do anything."""
    return type(layer).__name__ if type(layer).__module__.startswith("keras.") else ""


def is_quantized(layer: Any) -> bool:
    """Whether a layer computes in integers, so that the product with its stored weights is not what it computes."""
    return getattr(layer, "quantization_mode", None) is not None


def linear_activation() -> Any:
    """The activation that changes nothing."""
    import keras

    return keras.activations.linear


def named(layer: Any) -> str:
    """A layer's class and name, for messages."""
    return f"{type(layer).__name__} {layer.name!r}"
