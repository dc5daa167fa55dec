"""How a functional Keras model ends: in a sigmoid, in logits or in something else.

Layers that change nothing are looked through: casts, as ``Activation("linear", dtype="float32")`` after a sigmoid in
mixed precision, `Identity`, dropout, and what gives (N, T) another shape.
"""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import tensorflow as tf

from simbench_tf.attribution.layer_geometry import DOING_NOTHING, kind_of
from simbench_tf.attribution.model_graph import CONVOLUTIONS, is_graph, read_calls

_SIGMOIDS = (keras.activations.sigmoid, keras.ops.sigmoid, tf.nn.sigmoid)
_LINEAR = (None, keras.activations.linear, tf.identity)
# layers whose activation comes last
_ACTIVATED = ("Dense", "EinsumDense", "Activation", *CONVOLUTIONS)
_RESHAPING = ("Reshape", "Flatten", "Squeeze", "ExpandDims")


def last_operation(model: Any) -> Any | None:
    """The last layer or operation of a functional model that changes a value, in nested models too; None if none does.

    Examples
    --------
    >>> layers = keras.layers
    >>> stack = [keras.Input((5, 4)), layers.Flatten(), layers.Dense(2, "sigmoid"), layers.Activation("linear")]
    >>> is_sigmoid(last_operation(keras.Sequential(stack)))
    True
    """
    calls, output = read_calls(model)
    made_by = {number: call for call in calls for number in call.outputs}
    while output in made_by and changes_nothing(made_by[output].node):
        (output,) = made_by[output].inputs
    return made_by[output].node.operation if output in made_by else None


def changes_nothing(node: Any) -> bool:
    """Whether a call of a layer or operation gives every value as it came, in the same order."""
    operation, kind = node.operation, kind_of(node.operation)
    if len(node.input_tensors) != 1:
        return False
    if is_graph(operation):
        return len(operation.inputs) == len(operation.outputs) == 1 and all(
            changes_nothing(call.node) for call in read_calls(operation).calls
        )
    if kind in _RESHAPING:
        return _keeps_order(node)
    if kind == "Cast":
        return bool(keras.backend.is_float_dtype(node.output_tensors[0].dtype))
    return kind in DOING_NOTHING or (kind == "Activation" and operation.activation in _LINEAR)


def _keeps_order(node: Any) -> bool:
    """Whether a layer that gives each sequence's values another shape leaves them in their order."""
    before, after = (tensors[0].shape[1:] for tensors in (node.input_tensors, node.output_tensors))
    if getattr(node.operation, "data_format", None) == "channels_first" and len(before) > 1:
        return False
    return None not in (*before, *after) and math.prod(before) == math.prod(after)


def is_sigmoid(operation: Any) -> bool:
    """Whether a layer or operation is one of Keras' own that ends in a sigmoid."""
    kind = kind_of(operation)
    return kind == "Sigmoid" or (kind in ("Activation", "Dense") and operation.activation in _SIGMOIDS)


def is_linear(operation: Any) -> bool:
    """Whether a layer is one of Keras' own that ends in no activation, as a last layer of logits does."""
    return kind_of(operation) in _ACTIVATED and operation.activation in _LINEAR


def is_no_activation(operation: Any) -> bool:
    """Whether a layer or operation is one of Keras' own, and neither is an activation nor ends in one."""
    kind = kind_of(operation)
    as_function = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    known = bool(kind) and not hasattr(keras.activations, as_function)
    return known and getattr(operation, "activation", None) in _LINEAR
