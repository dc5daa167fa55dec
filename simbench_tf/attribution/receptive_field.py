"""Receptive fields: which bases each unit of a layer can see.

Fields are read from kernels, strides, dilations, pools and paddings, so they are exact: a base that falls between the
taps of a dilated kernel does not belong to the field. Where layers run side by side and are added or concatenated, a
unit sees what either of them sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import (
    DOING_NOTHING,
    UnsupportedModelError,
    check_positionwise,
    checked_activation,
    geometry_of,
)
from simbench_tf.attribution.model_graph import CONVOLUTIONS, Call, leading_to
from simbench_tf.errors import InputError

Field = npt.NDArray[np.bool_]
_POOLS = ("MaxPooling1D", "AveragePooling1D")
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


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
            raise InputError(f"layer {call.name!r}", why, "choose a layer nearer to the input") from error
    return fields[call.outputs[0]]


def _field_after(call: Call, fields: list[Field]) -> Field:
    layer, kind = call.node.operation, call.kind
    if kind == "Concatenate" and len(call.node.output_tensors[0].shape) == 3 and layer.axis in (-1, 2):
        return np.any(fields, axis=0)
    if kind in _MERGES and len({len(field) for field in fields}) == 1:
        return np.any(fields, axis=0)
    if len(fields) != 1:
        raise UnsupportedModelError(f"{kind} {call.name!r} joins inputs of unlike positions")
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
