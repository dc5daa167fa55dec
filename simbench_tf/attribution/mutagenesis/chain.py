"""Read a Keras model as a chain of stages along the sequence, for methods that follow a change through its layers.

A stage is one linear layer with a kernel, then functions of single positions, then one pooling at most. A model whose
layers are of another kind, or not in a row, is refused by `UnsupportedModelError`, with the reason.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from simbench_tf.attribution.layer_geometry import (
    DOING_NOTHING,
    Geometry,
    Op,
    UnsupportedModelError,
    check_channels_last,
    checked_activation,
    checked_pointwise,
    geometry_of,
    is_quantized,
    kind_of,
    linear_activation,
    named,
)

Head = Literal["dense", "average", "max"]
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
    layers = _in_a_row(model)
    stages = [_bare(seq_length)]
    while layers and kind_of(layers[0]) not in ("Flatten", "Reshape", *_GLOBAL_POOLS):
        stages = _with_layer(stages, layers.pop(0))
    if not layers:
        raise UnsupportedModelError("the model has no layer that joins the positions of the sequence")
    ending = layers.pop(0)
    check_channels_last(ending)
    tail, multiplications = _tail(layers)
    if kind_of(ending) in _GLOBAL_POOLS:
        if ending.keepdims:
            raise UnsupportedModelError(f"{named(ending)} keeps the positions")
        return Chain(tuple(stages), _GLOBAL_POOLS[kind_of(ending)], None, tail, multiplications)
    # Keras' operation of the same name has its shape elsewhere
    if kind_of(ending) == "Reshape" and len(getattr(ending, "target_shape", ())) != 1:
        raise UnsupportedModelError(f"{named(ending)} does not flatten the sequence")
    if not tail or not isinstance(tail[0], Product):
        raise UnsupportedModelError(f"{named(ending)} is not followed by a Dense layer")
    dense = tail[0].layer
    head = int(np.prod(dense.kernel.shape))
    return Chain(tuple(stages), "dense", dense, tail[1:], (head, multiplications[1] - head))


def _tail(layers: list[Any]) -> tuple[tuple[Op | Product, ...], tuple[int, int]]:
    """Layers on (N, units) as products and functions, and multiplications, none of them in a head."""
    tail: list[Op | Product] = []
    for layer in layers:
        if kind_of(layer) in (*DOING_NOTHING, "Flatten"):
            continue  # there is nothing left to flatten
        # what `network` makes of the linear part of a Dense layer is marked so
        dense = layer if kind_of(layer) == "Dense" else getattr(layer, "linear_part_of", None)
        if dense is None:
            tail.append(checked_pointwise(layer))
            continue
        tail.append(Product(dense))
        if dense is layer and dense.activation is not linear_activation():
            tail.append(dense.activation)
    return tuple(tail), (0, sum(int(np.prod(part.layer.kernel.shape)) for part in tail if isinstance(part, Product)))


def _in_a_row(model: Any) -> list[Any]:
    """Layers and operations from input to output, those of nested models in their place."""
    from simbench_tf.attribution.model_graph import read_calls

    in_a_row = read_calls(model).calls
    # from the output back: the branches that come together last are named
    for call in reversed(in_a_row):
        _check_call(call.node)
    return [call.node.operation for call in in_a_row]


def _check_call(node: Any) -> None:
    """Refuse a call that is more than a function, in float32, of one tensor."""
    layer = node.operation
    if len(node.input_tensors) != 1:
        raise UnsupportedModelError(f"{named(layer)} joins {len(node.input_tensors)} branches")
    if len(node.arguments.args) != 1 or any(node.arguments.kwargs.values()):
        raise UnsupportedModelError(f"{named(layer)} is called with more than a tensor")
    if getattr(layer, "compute_dtype", "float32") != "float32" or is_quantized(layer):
        raise UnsupportedModelError(f"{named(layer)} computes in {layer.dtype_policy.name}")


def _with_layer(stages: list[Stage], layer: Any) -> list[Stage]:
    """Stages with one more layer."""
    name, last = kind_of(layer), stages[-1]
    length = last.length
    if name in DOING_NOTHING:
        return stages
    if name in ("Conv1D", "Dense"):
        stage = _linear_stage(layer, length)
        # the first convolution takes the place of the bases as they are, if each output sees all four of them
        return [stage] if stages == [_bare(length)] and stage.groups == 1 else [*stages, stage]
    if last.pooling is not None:
        last = _bare(length)
        stages = [*stages, last]
    if name in _POOLS:
        pooling = Pooling(_POOLS[name], geometry_of(layer, length))
        return [*stages[:-1], last._replace(pooling=pooling)]
    return [*stages[:-1], last._replace(pointwise=(*last.pointwise, checked_pointwise(layer)))]


def _bare(length: int) -> Stage:
    """The stage that does nothing."""
    return Stage(None, Geometry(1, 1, 1, 0, length, length))


def _linear_stage(layer: Any, length: int) -> Stage:
    if kind_of(layer) == "Dense":
        geometry, groups = Geometry(1, 1, 1, 0, length, length), 1
    else:
        geometry, groups = geometry_of(layer, length), layer.groups
    pointwise = () if layer.activation is linear_activation() else (checked_activation(layer, layer.activation),)
    return Stage(layer, geometry, groups, pointwise, None, int(np.prod(layer.kernel.shape)))
