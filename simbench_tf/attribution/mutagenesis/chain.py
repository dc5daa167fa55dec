"""Read a Keras model as a chain of stages along the sequence, for methods that follow a change through its layers.

A stage is one linear layer with a kernel, then functions of single positions, then one pooling at most. A model whose
layers are of another kind, or not in a row, is refused by `UnsupportedModelError`, which says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from simbench_tf.attribution.layer_geometry import (
    Geometry,
    Op,
    UnsupportedModelError,
    _check_channels_last,
    _kind,
    _linear,
    _named,
    checked_activation,
    checked_pointwise,
    geometry_of,
)

Head = Literal["dense", "average", "max"]
_DROPOUTS = ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Identity")
_POOLS: dict[str, Literal["max", "average"]] = {"MaxPooling1D": "max", "AveragePooling1D": "average"}
_GLOBAL_POOLS: dict[str, Literal["max", "average"]] = {
    "GlobalMaxPooling1D": "max",
    "GlobalAveragePooling1D": "average",
}


class Pooling(NamedTuple):
    """A pooling layer."""

    kind: Literal["max", "average"]
    geometry: Geometry


class Stage(NamedTuple):
    """A linear layer (None: each position as it is), functions of single positions, a pooling.

    Attributes
    ----------
    linear : keras layer, or None
        Conv1D, or a Dense that acts on each position.
    geometry : Geometry
        Of the linear layer.
    groups : int
        Of the convolution.
    pointwise : tuple of callables
        The linear layer's own activation is the first of them where it has one.
    pooling : Pooling or None
    multiplications : int
        Of one output position of the linear layer.
    """

    linear: Any | None
    geometry: Geometry
    groups: int = 1
    pointwise: tuple[Op, ...] = ()
    pooling: Pooling | None = None
    multiplications: int = 0

    @property
    def length(self) -> int:
        """Positions of the stage's output."""
        return self.geometry.length if self.pooling is None else self.pooling.geometry.length


class Product(NamedTuple):
    """A Dense layer on (N, units) without its activation."""

    layer: Any


class Chain(NamedTuple):
    """A model as stages along the sequence, what ends them, and the layers after it.

    Attributes
    ----------
    stages : tuple of Stage
    head : {"dense", "average", "max"}
        A Dense layer over the flattened sequence, or a global pooling.
    dense : keras layer
        None for a global pooling.
    tail : tuple of Product and callables
        What comes after, on (N, units); the activation of a Dense layer stands by itself.
    multiplications : tuple of int
        Of the head and of the tail, for one sequence.
    """

    stages: tuple[Stage, ...]
    head: Head
    dense: Any
    tail: tuple[Op | Product, ...]
    multiplications: tuple[int, int]


def read_chain(model: Any, seq_length: int) -> Chain:
    """Read a functional model as a chain.

    Raises
    ------
    UnsupportedModelError
        It branches, or a layer that acts along the sequence is of another kind.
    """
    layers = list(_in_a_row(model))
    stages = [_bare(seq_length)]
    while layers and _kind(layers[0]) not in ("Flatten", "Reshape", *_GLOBAL_POOLS):
        stages = _with_layer(stages, layers.pop(0))
    if not layers:
        raise UnsupportedModelError("the model has no layer that joins the positions of the sequence")
    ending = layers.pop(0)
    _check_channels_last(ending)
    tail, multiplications = _tail(layers)
    if _kind(ending) in _GLOBAL_POOLS:
        if ending.keepdims:
            raise UnsupportedModelError(f"{_named(ending)} keeps the positions")
        return Chain(tuple(stages), _GLOBAL_POOLS[_kind(ending)], None, tail, multiplications)
    # Keras' operation of the same name does not tell its shape like this
    if _kind(ending) == "Reshape" and len(getattr(ending, "target_shape", ())) != 1:
        raise UnsupportedModelError(f"{_named(ending)} does not flatten the sequence")
    if not tail or not isinstance(tail[0], Product):
        raise UnsupportedModelError(f"{_named(ending)} is not followed by a Dense layer")
    dense = tail[0].layer
    head = int(np.prod(dense.kernel.shape))
    return Chain(tuple(stages), "dense", dense, tail[1:], (head, multiplications[1] - head))


def _tail(layers: list[Any]) -> tuple[tuple[Op | Product, ...], tuple[int, int]]:
    """Layers on (N, units) as products and functions, and multiplications, none of them in a head."""
    tail: list[Op | Product] = []
    for layer in layers:
        if _kind(layer) in (*_DROPOUTS, "Flatten"):
            continue  # there is nothing left to flatten
        # a layer that stands for the linear part of a Dense one says so
        dense = layer if _kind(layer) == "Dense" else getattr(layer, "linear_part_of", None)
        if dense is None:
            tail.append(checked_pointwise(layer))
            continue
        tail.append(Product(dense))
        if dense is layer and dense.activation is not _linear():
            tail.append(dense.activation)
    return tuple(tail), (0, sum(int(np.prod(part.layer.kernel.shape)) for part in tail if isinstance(part, Product)))


def _in_a_row(model: Any) -> Iterator[Any]:
    """Layers and operations from input to output, those of nested models in their place."""
    import keras

    backwards: list[Any] = []
    tensor = model.outputs[0]
    while tensor is not model.inputs[0]:
        history = tensor._keras_history
        layer = history.operation
        node = layer._inbound_nodes[history.node_index]
        _check_call(layer, node)
        backwards.append(layer)
        tensor = node.input_tensors[0]
    for layer in reversed(backwards):
        # the layers of a subclassed model can't be seen
        if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
            yield from _in_a_row(layer)
        else:
            yield layer


def _check_call(layer: Any, node: Any) -> None:
    """Refuse a call that is more than a function, in float32, of one tensor."""
    if len(node.input_tensors) != 1:
        raise UnsupportedModelError(f"{_named(layer)} joins {len(node.input_tensors)} branches")
    if len(node.arguments.args) != 1 or any(node.arguments.kwargs.values()):
        raise UnsupportedModelError(f"{_named(layer)} is called with more than a tensor")
    if getattr(layer, "compute_dtype", "float32") != "float32" or getattr(layer, "quantization_mode", None):
        raise UnsupportedModelError(f"{_named(layer)} computes in {layer.dtype_policy.name}")


def _with_layer(stages: list[Stage], layer: Any) -> list[Stage]:
    """Stages with one more layer."""
    name, last = _kind(layer), stages[-1]
    length = last.length
    if name in _DROPOUTS:
        return stages
    if name in ("Conv1D", "Dense"):
        stage = _linear_stage(layer, length)
        # the first convolution takes the place of the bases as they are, if each output sees all four of them
        return [stage] if stages == [_bare(length)] and stage.groups == 1 else [*stages, stage]
    if last.pooling is not None:
        last = _bare(length)
        stages = [*stages, last]
    if name in _POOLS:
        _check_channels_last(layer)
        size, stride = layer.pool_size[0], layer.strides[0]
        pooling = Pooling(_POOLS[name], geometry_of(length, size, stride, 1, layer.padding))
        return [*stages[:-1], last._replace(pooling=pooling)]
    return [*stages[:-1], last._replace(pointwise=(*last.pointwise, checked_pointwise(layer)))]


def _bare(length: int) -> Stage:
    """The stage that does nothing."""
    return Stage(None, Geometry(1, 1, 1, 0, length, length))


def _linear_stage(layer: Any, length: int) -> Stage:
    if _kind(layer) == "Dense":
        geometry, groups = Geometry(1, 1, 1, 0, length, length), 1
    else:
        _check_channels_last(layer)
        size, stride, dilation = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
        geometry, groups = geometry_of(length, size, stride, dilation, layer.padding), layer.groups
    pointwise = () if layer.activation is _linear() else (checked_activation(layer, layer.activation),)
    return Stage(layer, geometry, groups, pointwise, None, int(np.prod(layer.kernel.shape)))
