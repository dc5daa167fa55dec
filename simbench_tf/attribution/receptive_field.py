"""A model's layers as a list of calls, and receptive fields: which bases each unit of a layer can see.

Fields are read from kernels, strides, dilations, pools and paddings, so they are exact: a base that falls between the
taps of a dilated kernel does not belong to the field. Where layers run side by side and are added or concatenated, a
unit sees what either of them sees.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from simbench_tf.attribution._chain import UnsupportedModelError, checked_activation, checked_pointwise, geometry_of
from simbench_tf.config_messages import nearest
from simbench_tf.errors import InputError

Field = npt.NDArray[np.bool_]

_CONVOLUTIONS = ("Conv1D", "SeparableConv1D", "DepthwiseConv1D")
_POOLS = ("MaxPooling1D", "AveragePooling1D")
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_AS_IT_IS = (
    "Dropout",
    "SpatialDropout1D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
)


class Call(NamedTuple):
    """One call of a layer or operation; tensors go by number, 0 being the model's input."""

    node: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The class of what is called."""
        return type(self.node.operation).__name__

    @property
    def name(self) -> str:
        """The name it has in the user's model, where a Dense layer may have an activation that is left out here."""
        layer = self.node.operation
        name: str = getattr(layer, "linear_part_of", layer).name
        return name


class Calls(NamedTuple):
    """What a model computes, in an order in which it can be computed, and the number of its output."""

    calls: list[Call]
    output: int


def read_calls(model: Any) -> Calls:
    """Read a functional model of one input and one output; nested models are unfolded in their place."""
    calls: list[Call] = []
    (output,) = _read(model, [0], calls, itertools.count(1))
    return Calls(calls, output)


def _read(model: Any, inputs: Sequence[int], calls: list[Call], new: Iterator[int]) -> list[int]:
    """Add the calls of a model whose inputs have these numbers; give the numbers of its outputs."""
    model = model._functional if isinstance(model, keras.Sequential) else model
    numbers = dict(zip(map(id, model.inputs), inputs, strict=True))
    for node in _nodes(model):
        given = [numbers[id(tensor)] for tensor in node.input_tensors]
        if isinstance(node.operation, keras.Model) and getattr(node.operation, "outputs", None):
            made = _read(node.operation, given, calls, new)
        else:
            made = [next(new) for _ in node.output_tensors]
            calls.append(Call(node, tuple(given), tuple(made)))
        numbers.update(zip(map(id, node.output_tensors), made, strict=True))
    return [numbers[id(tensor)] for tensor in model.outputs]


def _nodes(model: Any) -> Iterator[Any]:
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def run_calls(calls: Sequence[Call], x: Any) -> dict[int, Any]:
    """Compute all tensors, by number, as the model does when it predicts."""
    values = {0: x}
    for call in calls:
        operation = call.node.operation
        given = {id(tensor): values[n] for tensor, n in zip(call.node.input_tensors, call.inputs, strict=True)}
        arguments, settings = call.node.arguments.fill_in(given)
        if "training" in inspect.signature(operation.call).parameters:
            settings = {**settings, "training": False}
        made = keras.tree.flatten(operation(*arguments, **settings))
        values.update(zip(call.outputs, made, strict=True))
    return values


def find_output(calls: Sequence[Call], layer: str) -> Call:
    """Find the call whose output `layer` stands for.

    Parameters
    ----------
    calls : sequence of Call
    layer : str
        "first" or "last": that convolution, with the batch normalisation and the activation that alone follow it. Else
        the name of a layer, of which the very output is meant.

    Raises
    ------
    InputError
        There is no convolution, no layer of that name, or it is called more than once.
    """
    if layer in ("first", "last"):
        convolutions = [call for call in calls if call.kind in _CONVOLUTIONS]
        if not convolutions:
            raise InputError("layer", "the model has no one-dimensional convolution", "name the layer to read")
        return _end_of_block(calls, _only_call(calls, convolutions[0 if layer == "first" else -1]))
    named = [call for call in calls if call.name == layer]
    if not named:
        known = nearest(layer, ["first", "last", *(call.name for call in calls)])
        raise InputError("layer", f"the model has no layer {layer!r}{known}")
    return _only_call(calls, named[0])


def _only_call(calls: Sequence[Call], call: Call) -> Call:
    """Refuse a layer that is called again elsewhere, as on both strands: one of its outputs is not the whole."""
    times = sum(other.node.operation is call.node.operation for other in calls)
    if times > 1:
        raise InputError("layer", f"{call.name!r} is called {times} times", "name one that is called once")
    return call


def _end_of_block(calls: Sequence[Call], convolution: Call) -> Call:
    """The last of: a convolution, the normalisation after it, the activation after that."""
    end = convolution
    activated = convolution.node.operation.activation is not keras.activations.linear
    while not activated:
        users = [call for call in calls if end.outputs[0] in call.inputs]
        if len(users) != 1 or not _is_pointwise(users[0].node.operation):
            break
        end = users[0]
        activated = not end.kind.endswith("Normalization")
    return end


def _is_pointwise(layer: Any) -> bool:
    try:
        _check_pointwise(layer)
    except UnsupportedModelError:
        return False
    return True


def _check_pointwise(layer: Any) -> None:
    # its slopes may differ by position, which says nothing of what a position sees
    if type(layer).__name__ != "PReLU":
        checked_pointwise(layer)


# fields


def receptive_field(calls: Sequence[Call], call: Call, seq_length: int) -> Field:
    """Say which bases each unit of a layer can see.

    Parameters
    ----------
    calls : sequence of Call
        Of the whole model.
    call : Call
        The one whose output is asked for.
    seq_length : int
        L, bases of the input.

    Returns
    -------
    field : bool array, shape (P, L)
        P is the layer's number of positions; channels of a position see the same.

    Raises
    ------
    InputError
        A layer on the way from the input to the one asked for is none whose field can be told; it is named.

    Examples
    --------
    >>> from keras import Input, Sequential, layers
    >>> model = Sequential([Input((6, 4)), layers.Conv1D(1, 2, dilation_rate=2), layers.AveragePooling1D(2)])
    >>> calls = read_calls(model).calls
    >>> receptive_field(calls, calls[-1], 6).astype(int).tolist()
    [[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]]
    """
    fields = {0: np.eye(seq_length, dtype=bool)}
    for step in _leading_to(calls, call):
        try:
            fields[step.outputs[0]] = _field_after(step, [fields[number] for number in step.inputs])
        except UnsupportedModelError as error:
            why = f"no receptive field can be told: {error}"
            raise InputError(f"layer {call.name!r}", why, "choose a layer nearer to the input") from error
    return fields[call.outputs[0]]


def _leading_to(calls: Sequence[Call], end: Call) -> list[Call]:
    """The calls that the output of one depends on, itself the last."""
    wanted, kept = set(end.outputs), []
    for call in reversed(calls):
        if wanted.intersection(call.outputs):
            kept.append(call)
            wanted.update(call.inputs)
    return kept[::-1]


def _field_after(call: Call, fields: list[Field]) -> Field:
    layer, kind = call.node.operation, call.kind
    if kind == "Concatenate" and len(call.node.output_tensors[0].shape) == 3 and layer.axis in (-1, 2):
        return np.any(fields, axis=0)
    if kind in _MERGES and len({len(field) for field in fields}) == 1:
        return np.any(fields, axis=0)
    if len(fields) != 1:
        raise UnsupportedModelError(f"{kind} {call.name!r} joins what has not the same positions")
    field = fields[0]
    if kind in _AS_IT_IS:
        return field
    if kind in ("Dense", *_CONVOLUTIONS):
        # one's own activation might look along the sequence
        checked_activation(layer, layer.activation)
        return field if kind == "Dense" else _seen(field, _taps(layer, layer.kernel_size[0], len(field)))
    if kind in _POOLS:
        return _seen(field, _taps(layer, layer.pool_size[0], len(field)))
    if kind in ("Cropping1D", "ZeroPadding1D", "UpSampling1D"):
        return _seen(field, _moved(layer, len(field))[:, None])
    _check_pointwise(layer)
    return field


def _seen(field: Field, taps: npt.NDArray[np.int64]) -> Field:
    """The field of units that read the positions `taps`, (P, size); -1 stands for a position that is not there."""
    nothing = np.zeros((1, field.shape[1]), bool)
    padded = np.concatenate([field, nothing])
    seen = np.zeros((len(taps), field.shape[1]), bool)
    for tap in taps.T:
        seen |= padded[tap]
    return seen


def _taps(layer: Any, size: int, length: int) -> npt.NDArray[np.int64]:
    """Positions that each output of a convolution or pooling reads, (P, size)."""
    if layer.data_format != "channels_last":
        raise UnsupportedModelError(f"{type(layer).__name__} {layer.name!r} has channels first")
    dilation = getattr(layer, "dilation_rate", (1,))[0]
    geometry = geometry_of(length, size, layer.strides[0], dilation, layer.padding)
    first = np.arange(geometry.length) * geometry.stride - geometry.left
    taps = first[:, None] + np.arange(size) * dilation
    return np.where((taps >= 0) & (taps < length), taps, -1)


def _moved(layer: Any, length: int) -> npt.NDArray[np.int64]:
    """The position that each output of a layer that only moves positions comes from, (P,)."""
    positions = np.arange(length)
    if type(layer).__name__ == "UpSampling1D":
        return np.repeat(positions, layer.size)
    if type(layer).__name__ == "Cropping1D":
        before, after = layer.cropping
        return positions[before : length - after]
    return np.pad(positions, layer.padding, constant_values=-1)
