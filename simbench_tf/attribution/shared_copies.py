"""Copies of a model with the very same weights, among them one in float32 of a model that computes in half precision.

Attributions are differences of outputs: in bfloat16, whose numbers have eight bits, they would hardly be told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from simbench_tf.attribution.layer_geometry import is_quantized

_HALF = ("float16", "bfloat16")
#: What Keras raises for a layer that cannot be made anew; the last where it has no `get_config` of its own.
NOT_COPIED = (ValueError, TypeError, NotImplementedError)


class InFloat32(NamedTuple):
    """A model in float32, and pairs of its weights and those that they were converted from, of another dtype."""

    model: Any
    converted: list[tuple[Any, Any]]


def computes_in_half(model: Any) -> bool:
    """Whether a layer of a model computes in float16 or bfloat16.

    Examples
    --------
    >>> computes_in_half(keras.Sequential([keras.layers.Dense(1, dtype="mixed_bfloat16")]))
    True
    """
    return any(_is_half(layer) for layer in model._flatten_layers())


def in_float32(model: Any) -> InFloat32:
    """Copy a functional model, nested models too; the copy computes in float32, with the model's own variables.

    Where weights are stored in half precision (Keras' policies "float16" and "bfloat16", without "mixed") they are
    converted, and are those of now.

    Raises
    ------
    NOT_COPIED
        From Keras, for a layer that cannot be made anew from its `get_config`.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(2, dtype="mixed_bfloat16")])
    >>> copy = in_float32(model).model
    >>> _ = model.layers[0].bias.assign([1, 2])
    >>> copy.layers[0].compute_dtype, copy.get_weights()[1].tolist()
    ('float32', [1.0, 2.0])
    """

    def in_single(copy: Any) -> None:
        for layer in copy._flatten_layers():
            if _is_half(layer):
                layer.dtype_policy = "float32"

    copy = _copied(model, in_single)
    return InFloat32(copy, share_variables(copy, model))


def shared_copy(model: Any) -> Any:
    """Copy a functional model's layers, which may then be called otherwise; the variables are the model's own.

    Raises
    ------
    NOT_COPIED
        From Keras, for a layer that cannot be made anew from its `get_config`.
    """
    copy = _copied(model)
    share_variables(copy, model)
    return copy


def _copied(model: Any, change: Callable[[Any], None] | None = None) -> Any:
    def copied(operation: Any) -> Any:
        copy = type(operation).from_config(operation.get_config())
        if change is not None and isinstance(copy, keras.layers.Layer):  # not a + b and the like
            change(copy)
        return copy

    return keras.models.clone_model(model, clone_function=copied, recursive=True)


def share_variables(copy: Any, original: Any) -> list[tuple[Any, Any]]:
    """Give a copy of a layer or model the original's own variables; return pairs that differ in dtype, converted."""
    converted = []
    for mine, theirs in zip(copy.variables, original.variables, strict=True):
        if mine.dtype == theirs.dtype:
            mine._value = theirs._value
        else:
            mine.assign(theirs)
            converted.append((mine, theirs))
    return converted


def _is_half(layer: Any) -> bool:
    return layer.compute_dtype in _HALF and not is_quantized(layer)
