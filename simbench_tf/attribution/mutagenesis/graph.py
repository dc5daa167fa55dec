"""Read a Keras model as a graph of units, for methods that follow a change of one base through its layers.

A unit is a stage (one linear layer with a kernel, then functions of single positions, then one pooling at most), a
merge of tensors position by position, a move of positions (cropping, padding, repeating), a layer that joins all
positions, a gate (one factor for each channel at all positions), alone or with the convolution of what it gives, or any
other call, which is run as it is on whole tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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

if TYPE_CHECKING:
    from simbench_tf.attribution.model_graph import Call

Kind = Literal[
    "stage", "merge", "move", "average", "max", "flatten", "dense", "gate", "gated", "same", "constant", "other"
]
_POOLS: dict[str, Literal["max", "average"]] = {"MaxPooling1D": "max", "AveragePooling1D": "average"}
_JOINS: dict[str, Kind] = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "average"}
#: Merges whose change is a sum over those of the inputs, and the others.
LINEAR_MERGES = ("Add", "Subtract", "Average")
_MERGES = (*LINEAR_MERGES, "Concatenate", "Multiply", "Maximum", "Minimum")
_CONVOLUTIONS = ("Conv1D", "DepthwiseConv1D", "SeparableConv1D")
# operations of Keras by which a number is added to, or multiplied with, one tensor
_WITH_A_NUMBER = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Power")


class Pooling(NamedTuple):
    """A pooling layer."""

    kind: Literal["max", "average"]
    geometry: Geometry


class Stage(NamedTuple):
    """A linear layer (None: each position as it is), functions of single positions, a pooling.

    Attributes
    ----------
    linear : keras layer, or None
        A convolution, or a Dense that acts on each position.
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

    @property
    def stride(self) -> int:
        """Positions of the input for one of the output."""
        return self.geometry.stride * (1 if self.pooling is None else self.pooling.geometry.stride)

    @property
    def sees_bases(self) -> bool:
        """Whether each output of the linear layer is a sum over all four bases, by the rows of its kernel."""
        return self.linear is None or (self.groups == 1 and kind_of(self.linear) in ("Conv1D", "Dense"))


class Move(NamedTuple):
    """Positions repeated `size` times each, then `before` and `after` of them added (cut, where negative)."""

    size: int
    before: int
    after: int

    def length(self, length: int) -> int:
        """Positions of what comes out."""
        return length * self.size + self.before + self.after


class Unit(NamedTuple):
    """One or more calls as one thing to follow; tensors go by number, 0 being the model's input.

    Attributes
    ----------
    kind : str
        "same" gives its input as it is; "dense" is a Dense layer on (N, units), or on a flattened sequence; "gated" is
        a stage that sees the product of its first input, (N, L, C), and its second, (N, 1, C).
    inputs, outputs : tuple of int
    call : Call
        The last of the calls.
    stage : Stage or None
    move : Move or None
    multiplications : int
        Of one sequence.
    reason : str
        Why a call of the kind "other" is not followed.
    """

    kind: Kind
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    call: Call
    stage: Stage | None = None
    move: Move | None = None
    multiplications: int = 0
    reason: str = ""

    @property
    def output(self) -> int:
        """The first output, of most the only one."""
        return self.outputs[0]


class Graph(NamedTuple):
    """A model's units in an order in which they can be computed, and the number of its output."""

    units: tuple[Unit, ...]
    output: int
    seq_length: int


def read_graph(model: Any, seq_length: int) -> Graph:
    """Read a functional model of one input and one output.

    Raises
    ------
    UnsupportedModelError
        A layer runs as in training, where sequences of a batch act on each other.
    """
    from simbench_tf.attribution.model_graph import read_calls  # it loads Keras, and listing methods must not

    calls = read_calls(model)
    used = [number for call in calls.calls for number in call.inputs] + [calls.output]
    units: list[Unit] = []
    lengths: dict[int, int] = {0: seq_length}
    for call in calls.calls:
        if call.node.arguments.kwargs.get("training"):
            raise UnsupportedModelError(f"{named(call.node.operation)} is called as in training")
        last = next((unit for unit in reversed(units) if unit.outputs == call.inputs), None)
        alone = last is not None and last.kind in ("stage", "gate", "gated") and used.count(last.output) == 1
        unit = _unit(call, lengths)
        joined = _joined(last, unit) if alone and last is not None else None
        if last is not None and joined is not None:
            units.remove(last)
            unit = joined
        units.append(unit)
        length = _length_after(unit, lengths)
        if length is not None:
            lengths[unit.output] = length
    return Graph(tuple(units), calls.output, seq_length)


def _length_after(unit: Unit, lengths: dict[int, int]) -> int | None:
    """Positions of a unit's output; None once these are joined, or not known."""
    if unit.stage is not None:
        return unit.stage.length
    before = [lengths[number] for number in unit.inputs if number in lengths]
    if not before or unit.kind not in ("same", "merge", "move", "gate"):
        return None
    return before[0] if unit.move is None else unit.move.length(before[0])


def _joined(stage: Unit, unit: Unit) -> Unit | None:
    """A stage or gate with what alone follows it and belongs to it, or None where this begins a new one."""
    first, then = stage.stage, unit.stage
    if unit.kind == "same":
        return stage._replace(outputs=unit.outputs)
    if first is None:
        return _gated(stage, unit)
    if then is None or then.linear is not None or first.pooling is not None:
        return None
    both = first._replace(pointwise=(*first.pointwise, *then.pointwise), pooling=then.pooling)
    return stage._replace(outputs=unit.outputs, call=unit.call, stage=both)


def _gated(gate: Unit, unit: Unit) -> Unit | None:
    """A gate with the convolution of what it gives, if that has anything to gain: several taps, and no strides."""
    stage = unit.stage
    if stage is None or kind_of(stage.linear) != "Conv1D" or stage.groups > 1:
        return None
    if stage.geometry.size == 1 or stage.geometry.stride > 1:
        return None
    inputs = sorted(gate.inputs, key=lambda number: number in _factors(gate))
    return unit._replace(kind="gated", inputs=tuple(inputs), reason=gate.reason)


def _factors(unit: Unit) -> list[int]:
    """Inputs of a product that have one position."""
    pairs = zip(unit.inputs, unit.call.node.input_tensors, strict=True)
    return [number for number, tensor in pairs if len(tensor.shape) == 3 and tensor.shape[1] == 1]


def _unit(call: Call, lengths: dict[int, int]) -> Unit:
    layer = call.node.operation
    unit = Unit("other", call.inputs, call.outputs, call, multiplications=_multiplications(call))
    if getattr(layer, "gives_constant", False):
        return unit._replace(kind="constant", multiplications=0)
    if not call.inputs:
        return unit
    try:
        _check_call(call)
        return _known(unit, layer, lengths)
    except UnsupportedModelError as error:
        return unit._replace(reason=str(error))


def _check_call(call: Call) -> None:
    """Refuse a call that does more than a function of tensors, in float32."""
    layer = call.node.operation
    if getattr(layer, "compute_dtype", "float32") != "float32" or is_quantized(layer):
        raise UnsupportedModelError(f"{named(layer)} computes in {layer.dtype_policy.name}")
    arguments = call.node.arguments
    extra = [value for key, value in arguments.kwargs.items() if key != "training" and value is not None]
    if len(call.outputs) != 1 or ((len(arguments.args) != 1 or extra) and call.kind not in _WITH_A_NUMBER):
        raise UnsupportedModelError(f"{named(layer)} is called with more than a tensor")


def _known(unit: Unit, layer: Any, lengths: dict[int, int]) -> Unit:
    """The unit of one call that can be followed."""
    kind, call = unit.call.kind, unit.call
    if kind in DOING_NOTHING:
        return unit._replace(kind="same", multiplications=0)
    if kind in _MERGES and len(unit.inputs) > 1:
        if _is_gate(unit, lengths):
            return unit._replace(kind="gate", reason=f"{named(layer)} joins tensors of unlike positions")
        return _merge(unit, layer, lengths)
    if len(unit.inputs) != 1:
        raise UnsupportedModelError(f"{named(layer)} is not known to join {len(unit.inputs)} tensors")
    length = lengths.get(unit.inputs[0])
    if kind == "Dense" or hasattr(layer, "linear_part_of"):
        rank = len(call.node.input_tensors[0].shape)
        if rank == 2:
            return unit._replace(kind="dense")
    if length is None:
        # whatever it does, it is done on whole tensors
        return unit
    check_channels_last(layer)
    if kind in _JOINS:
        return unit._replace(kind=_JOINS[kind])
    if kind == "Flatten" or (kind == "Reshape" and len(getattr(layer, "target_shape", ())) == 1):
        return unit._replace(kind="flatten")
    if kind in ("Cropping1D", "ZeroPadding1D", "UpSampling1D"):
        return unit._replace(kind="move", move=_move(layer))
    return unit._replace(kind="stage", stage=_stage(call, layer, length))


def _is_gate(unit: Unit, lengths: dict[int, int]) -> bool:
    """Whether a call multiplies each channel of a tensor, at all positions, by one number."""
    shapes = [tensor.shape for tensor in unit.call.node.input_tensors]
    if unit.call.kind != "Multiply" or [len(shape) for shape in shapes] != [3, 3] or shapes[0][2] != shapes[1][2]:
        return False
    factors = _factors(unit)
    return len(factors) == 1 and factors[0] not in lengths and any(number in lengths for number in unit.inputs)


def _merge(unit: Unit, layer: Any, lengths: dict[int, int]) -> Unit:
    """A merge of tensors of the same positions, or of tensors that have none any more."""
    inputs = [tensor.shape for tensor in unit.call.node.input_tensors]
    ranks = {len(shape) for shape in inputs}
    if ranks == {2}:
        return unit._replace(kind="merge")
    along = {lengths[number] for number in unit.inputs if number in lengths}
    alike = unit.call.kind == "Concatenate" or len({shape[-1] for shape in inputs}) == 1
    if ranks != {3} or len(along) > 1 or not alike or any(shape[1] == 1 for shape in inputs if along != {1}):
        raise UnsupportedModelError(f"{named(layer)} joins tensors of unlike positions")
    # Keras' operation of the same name takes another axis by default
    if unit.call.kind == "Concatenate" and getattr(layer, "axis", None) not in (-1, 2):
        raise UnsupportedModelError(f"{named(layer)} puts positions one after the other")
    return unit._replace(kind="merge")


def _move(layer: Any) -> Move:
    if kind_of(layer) == "UpSampling1D":
        return Move(int(layer.size), 0, 0)
    if kind_of(layer) == "Cropping1D":
        before, after = layer.cropping
        return Move(1, -before, -after)
    before, after = layer.padding
    return Move(1, before, after)


def bare_stage(length: int) -> Stage:
    """The stage that does nothing."""
    return Stage(None, Geometry(1, 1, 1, 0, length, length))


def _stage(call: Call, layer: Any, length: int) -> Stage:
    kind, bare = call.kind, bare_stage(length)
    if kind in _POOLS:
        return bare._replace(pooling=Pooling(_POOLS[kind], geometry_of(layer, length)))
    if kind == "Dense" or kind in _CONVOLUTIONS:
        return _linear_stage(layer, bare.geometry if kind == "Dense" else geometry_of(layer, length))
    if kind in _WITH_A_NUMBER:
        return bare._replace(pointwise=(_with_number(call),))
    return bare._replace(pointwise=(checked_pointwise(layer),))


def _linear_stage(layer: Any, geometry: Geometry) -> Stage:
    pointwise = () if layer.activation is linear_activation() else (checked_activation(layer, layer.activation),)
    return Stage(layer, geometry, getattr(layer, "groups", 1), pointwise, None, _weights_used(layer))


def _with_number(call: Call) -> Op:
    """An operation on a tensor and a number as a function of the tensor."""
    node = call.node
    others = [value for value in node.arguments.args if value is not node.input_tensors[0]]
    if node.arguments.kwargs or not all(isinstance(value, (int, float)) for value in others):
        raise UnsupportedModelError(f"{named(node.operation)} is called with more than a tensor")

    def function(x: Any) -> Any:
        return node.operation(*node.arguments.fill_in({id(node.input_tensors[0]): x})[0])

    return function


def _weights_used(layer: Any) -> int:
    """Multiplications of one output position: each weight of a kernel once."""
    kernels = [weight.shape for weight in layer.weights if len(weight.shape) > 1]
    return sum(int(np.prod(shape)) for shape in kernels)


def _multiplications(call: Call) -> int:
    """Multiplications with weights for one sequence, about: those of each kernel, at each position of the output."""
    layer = call.node.operation
    if not hasattr(layer, "weights") or not call.outputs:
        return 0
    shape = call.node.output_tensors[0].shape[1:-1]
    return _weights_used(layer) * int(np.prod([size or 1 for size in shape]))
