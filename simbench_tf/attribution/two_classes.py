"""Softmax over two classes as log-odds: the logit of a class is the difference of the two inputs of the softmax."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from simbench_tf.attribution.ending import changes_nothing
from simbench_tf.attribution.held_values import class_contrast
from simbench_tf.attribution.layer_geometry import is_quantized, kind_of
from simbench_tf.attribution.model_graph import is_graph
from simbench_tf.attribution.shared_copies import share_variables

_SOFTMAX = (keras.activations.softmax, keras.ops.softmax, tf.nn.softmax)


def log_odds(tensor: Any, n_classes: int) -> Any | None:
    """Log-odds behind an output that a softmax over two classes gives.

    Parameters
    ----------
    tensor : KerasTensor, shape (N, 2) or (N, T, 2)
        An output of a functional model; layers that change nothing may follow the softmax.
    n_classes : {1, 2}
        Those of class 1 against class 0 alone, or of each class against the other.

    Returns
    -------
    KerasTensor, shape (N, n_classes) or (N, T, n_classes), or None
        None where no softmax over two classes gives the output.

    Examples
    --------
    >>> x = keras.Input((2,))
    >>> model = keras.Model(x, log_odds(keras.layers.Softmax()(x), n_classes=1))
    >>> model(keras.ops.array([[1.0, 3.0]])).numpy().tolist()
    [[2.0]]
    """
    inputs = _into_softmax(tensor)
    if inputs is None:
        return None
    odds = class_contrast(n_classes, "simbench_tf_log_odds")(inputs)
    shape = (*tensor.shape[1:-1], n_classes)
    return odds if tuple(odds.shape[1:]) == shape else keras.layers.Reshape(shape, dtype=odds.dtype)(odds)


def _into_softmax(tensor: Any) -> Any | None:
    """What goes into the softmax over two classes that a tensor comes out of, in nested models too."""
    history = tensor._keras_history
    last = history.operation
    node = last._inbound_nodes[history.node_index]
    if node.is_input:
        return None
    if is_graph(last) and not changes_nothing(node):
        inner = _into_softmax(last.outputs[history.tensor_index])
        return None if inner is None else keras.Model(last.inputs, inner)(list(node.input_tensors))
    if len(node.input_tensors) != 1:
        return None
    (given,) = node.input_tensors
    if changes_nothing(node):
        return _into_softmax(given)
    if tensor.shape[-1] != 2 or not _is_softmax(last, len(tensor.shape)):
        return None
    return _linear(last, given) if kind_of(last) == "Dense" else given


def _is_softmax(operation: Any, n_axes: int) -> bool:
    """Whether a layer or operation ends in a softmax over the last axis."""
    kind = kind_of(operation)
    if kind == "Softmax":
        return operation.axis in (-1, n_axes - 1)
    return kind in ("Activation", "Dense") and operation.activation in _SOFTMAX and not is_quantized(operation)


def _linear(dense: Any, given: Any) -> Any:
    """What a Dense layer gives before its activation, by another layer with the very same weights."""
    # names in a Keras model must differ
    changed = {"activation": "linear", "name": f"simbench_tf_softmax_of_{dense.name}"}
    linear = keras.layers.Dense.from_config({**dense.get_config(), **changed})
    linear.build(given.shape)
    share_variables(linear, dense)
    return linear(given)
