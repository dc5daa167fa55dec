"""Receptive fields: which bases each unit of a layer can see, and which of them reach a model's output.

Fields are read from kernels, strides, dilations, pools and paddings, so they are exact: a base that falls between the
taps of a dilated kernel does not belong to the field. Where layers run side by side and are added or concatenated, a
unit sees what either of them sees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import (
    DOING_NOTHING,
    UnsupportedModelError,
    check_positionwise,
    checked_activation,
    geometry_of,
    named,
)
from simbench_tf.attribution.model_graph import CONVOLUTIONS, Call, Calls, is_graph, leading_to, read_calls
from simbench_tf.attribution.network import Forward, Network, open_network
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms

Bools = npt.NDArray[np.bool_]
Field = npt.NDArray[np.bool_]
_POOLS = ("MaxPooling1D", "AveragePooling1D")
# layers after which every unit sees what any position saw, and those that may follow them
_JOINING = ("Flatten", "Reshape", "GlobalMaxPooling1D", "GlobalAveragePooling1D")
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_JOINED = ("Dense", "Concatenate", *_MERGES, *DOING_NOTHING)
# random sequences on which bases are tried, and the share of an output that is rounding
_TRIED = 8
_ROUNDING = 1e-5


def receptive_field(calls: Sequence[Call], call: Call, seq_length: int) -> Field:
    """Find which bases each unit of a layer can see.

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
        A layer on the way from the input to the one asked for has no known field; it is named.

    Examples
    --------
    >>> from simbench_tf.attribution.model_graph import read_calls
    >>> from keras import Input, Sequential, layers
    >>> model = Sequential([Input((6, 4)), layers.Conv1D(1, 2, dilation_rate=2), layers.AveragePooling1D(2)])
    >>> calls = read_calls(model).calls
    >>> receptive_field(calls, calls[-1], 6).astype(int).tolist()
    [[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1]]
    """
    fields = {0: np.eye(seq_length, dtype=bool)}
    for before in leading_to(calls, call.outputs[0]):
        try:
            fields[before.outputs[0]] = _field_after(before, [fields[number] for number in before.inputs])
        except UnsupportedModelError as error:
            why = f"the receptive field is unknown: {error}"
            mend = "choose a layer before that one, or a method that reads no layers, as integrated_gradients"
            raise InputError(f"layer {call.name!r}", why, mend) from error
    return fields[call.outputs[0]]


def visible_bases(model: Any, seq_length: int) -> Bools:
    """Find which bases of the input a model's output can depend on.

    A base that valid convolutions and pooling leave over at the end, or that strides skip, changes nothing, whatever
    the weights are: no attribution can be right or wrong there.

    Parameters
    ----------
    model : keras.Model, torch.nn.Module or callable
        Input (N, L, 4), output (N, n_outputs). Fields are followed through the layers where all of them are known;
        else bases are tried on random sequences: whether the gradient is other than 0, or a substitution changes an
        output. In a PyTorch module each base in turn is not a number, which spreads to all that depends on it. A
        function may depend on any base.
    seq_length : int
        L, bases of the input.

    Returns
    -------
    visible : bool array, shape (L,)

    Raises
    ------
    InputError
        The model has another form, or takes another number of bases.

    Examples
    --------
    >>> from keras import Input, Sequential, layers
    >>> stack = [layers.Conv1D(1, 2), layers.MaxPooling1D(2), layers.Flatten(), layers.Dense(1)]
    >>> visible_bases(Sequential([Input((6, 4)), *stack]), 6).tolist()  # 5 positions, of which pooling takes 4
    [True, True, True, True, True, False]
    """
    try:
        network = open_network(model, seq_length)
    except InputError:
        network = open_network(model, seq_length, output="probability")
    if network.is_outside:
        traced = network.torch_module
        return np.ones(seq_length, bool) if traced is None else _seen_by_torch(traced, seq_length)
    if is_graph(model):
        with suppress(UnsupportedModelError):
            return _seen_by_output(read_calls(model), seq_length)
    return _tried_bases(network, seq_length)


def _seen_by_torch(explained: Any, seq_length: int) -> Bools:
    from simbench_tf.attribution.torch_model import traced_bases

    seen: Bools = traced_bases(lambda x: explained(x)[:, :, None], explained, seq_length)[0]
    return seen


def _seen_by_output(graph: Calls, seq_length: int) -> Bools:
    """Bases that the output's field holds; UnsupportedModelError where a layer is not known."""
    # of tensors with positions (P, L); once these are joined, (1, L)
    fields, joined = {0: np.eye(seq_length, dtype=bool)}, {0: False}
    for call in graph.calls:
        if len(call.outputs) > 1 or (call.kind in _MERGES and len(call.inputs) == 1):
            raise UnsupportedModelError("it is not known what of a tensor is used, or what a constant hides")
        given, output = [fields[number] for number in call.inputs], call.outputs[0]
        joins = getattr(call.node.operation, "joins_positions", False)  # a layer that says so itself
        joined[output] = joins or call.kind in _JOINING or any(joined[number] for number in call.inputs)
        if not joined[output]:
            fields[output] = _field_after(call, given)
            continue
        if not joins and call.kind not in (*_JOINING, *_JOINED) and not hasattr(call.node.operation, "linear_part_of"):
            check_positionwise(call.node.operation)
        fields[output] = np.any(np.concatenate(given), axis=0, keepdims=True)
    visible: Bools = np.any(fields[graph.output], axis=0)
    return visible


def _tried_bases(network: Network, seq_length: int) -> Bools:
    """Bases to which the outputs for a few random sequences react."""
    network = dataclasses.replace(network, targets=tuple(range(network.n_outputs)))
    bases = (4 * uniforms(0, "visible bases", range(_TRIED), seq_length)).astype(np.uint8)
    visible: Bools = np.zeros(seq_length, bool)
    with suppress(InputError):  # a model that can only predict has no gradient
        gradients = network.in_batches(network.compiled(_gradient_of_any), one_hot(bases))
        visible |= np.any(gradients != 0, axis=(0, 2))
    for sequence in bases:
        mutants = np.repeat(sequence[None], seq_length + 1, axis=0)
        place = np.arange(seq_length)
        mutants[place, place] = (sequence + 1) % 4
        *changed, unchanged = network.outputs(one_hot(mutants)).T
        # the same sequence elsewhere in a batch may differ by rounding
        tolerance = _ROUNDING * np.abs(unchanged).max()
        visible |= (np.abs(np.array(changed) - unchanged) > tolerance).any(axis=1)
    return visible


def _gradient_of_any(forward: Forward) -> Callable[[Any], Any]:
    """Compile the gradient of all outputs at once, each with a weight of its own: x (n, L, 4) -> (n, L, 4)."""
    import tensorflow as tf

    @tf.function(autograph=False, reduce_retracing=True)
    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = forward(x)
            # weights that add up to nothing by no accident
            weighted = outputs * tf.sqrt(tf.range(2.0, outputs.shape[1] + 2.0))
        return tape.gradient(weighted, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return gradient


def _field_after(call: Call, fields: list[Field]) -> Field:
    layer, kind = call.node.operation, call.kind
    if kind == "Concatenate" and len(call.node.output_tensors[0].shape) == 3 and layer.axis in (-1, 2):
        return np.any(fields, axis=0)
    if kind in _MERGES and len({len(field) for field in fields}) == 1:
        return np.any(fields, axis=0)
    if len(fields) != 1:
        why = "joins inputs of unlike positions" if kind else "is not a layer whose windows are known"
        raise UnsupportedModelError(f"{named(layer)} {why}")
    field = fields[0]
    if kind in DOING_NOTHING:
        return field
    if kind in ("Dense", *CONVOLUTIONS):
        # one's own activation might look along the sequence
        checked_activation(layer, layer.activation)
        return field if kind == "Dense" else _seen(field, _taps(layer, len(field)))
    if kind in _POOLS:
        return _seen(field, _taps(layer, len(field)))
    if kind in ("Cropping1D", "ZeroPadding1D", "UpSampling1D"):
        return _seen(field, _moved(layer, len(field))[:, None])
    check_positionwise(layer)
    return field


def _seen(field: Field, taps: npt.NDArray[np.int64]) -> Field:
    """The field of units that read the positions `taps`, (P, size); -1 stands for a position that is not there."""
    nothing = np.zeros((1, field.shape[1]), bool)
    padded = np.concatenate([field, nothing])
    seen = np.zeros((len(taps), field.shape[1]), bool)
    for tap in taps.T:
        seen |= padded[tap]
    return seen


def _taps(layer: Any, length: int) -> npt.NDArray[np.int64]:
    """Positions that each output of a convolution or pooling reads, (P, size); -1 where it reads a zero."""
    geometry = geometry_of(layer, length)
    first = np.arange(geometry.length) * geometry.stride - geometry.left
    taps = first[:, None] + np.arange(geometry.size) * geometry.dilation
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
