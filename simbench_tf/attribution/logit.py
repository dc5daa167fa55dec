"""The logit of a functional Keras model: the tensor that goes into its final sigmoid, or its softmax of two classes."""

from __future__ import annotations

from typing import Any

import keras

from simbench_tf.attribution.ending import changes_nothing, is_linear, is_no_activation, is_sigmoid
from simbench_tf.attribution.layer_geometry import is_quantized, kind_of, named
from simbench_tf.attribution.model_graph import is_graph
from simbench_tf.attribution.two_classes import log_odds
from simbench_tf.errors import InputError

AS_IT_IS = 'explain what the model returns, as it is, with output="probability"'
# names in a Keras model must differ
_NEW_NAME = "simbench_tf_logits_of_"


def logit_of(model: Any) -> Any:
    """The tensor that goes into the final sigmoid of a functional model; the output where the ending is linear."""
    end = model.outputs[0]
    if (odds := log_odds(end, n_classes=2)) is not None:
        return odds
    logit = _into_sigmoid(end)
    if logit is None:
        return end
    if logit.shape == end.shape:
        return logit
    return keras.layers.Reshape(end.shape[1:], dtype=logit.dtype, name=_NEW_NAME + "shape")(logit)


def _into_sigmoid(tensor: Any, said_linear: bool = False) -> Any | None:
    """What goes into the sigmoid that a tensor comes out of, looking through what changes nothing; None for logits.

    `said_linear`: a linear activation follows, so that what any operation but an activation gives is taken for logits.
    """
    history = tensor._keras_history
    last = history.operation
    node = last._inbound_nodes[history.node_index]
    if node.is_input:
        raise InputError("model", "returns its input as it is, so no logit can be told", AS_IT_IS)
    if changes_nothing(node):
        return _into_sigmoid(node.input_tensors[0], said_linear or kind_of(last) == "Activation")
    if is_graph(last):
        inner = _into_sigmoid(last.outputs[history.tensor_index], said_linear)
        if inner is None:
            return None
        return keras.Model(last.inputs, inner, name=_NEW_NAME + last.name)(list(node.input_tensors))
    if is_linear(last) or (said_linear and is_no_activation(last)):
        return None
    if is_sigmoid(last):
        return node.input_tensors[0] if kind_of(last) != "Dense" else _without_activation(last)(node.input_tensors[0])
    activation = getattr(last, "activation", None)
    ending = named(last) if kind_of(last) else f"{named(last)}, a class that is not Keras' own"
    if activation is not None:
        ending += f" with activation {getattr(activation, '__name__', activation)}"
    raise InputError("model", f"ends in {ending}, neither a sigmoid nor a linear layer", AS_IT_IS)


def _without_activation(dense: Any) -> Any:
    """A layer that does what `dense` does before its activation, with the very same weights."""
    if is_quantized(dense):
        what = f"{named(dense)} computes in {dense.quantization_mode}, so what goes into its sigmoid cannot be read"
        raise InputError("model", what, AS_IT_IS)

    class Linear(keras.layers.Layer):
        linear_part_of = dense  # for methods that look at layers

        def call(self, inputs: Any) -> Any:
            product = keras.ops.matmul(inputs, dense.kernel)
            return product if dense.bias is None else keras.ops.add(product, dense.bias)

    return Linear(dtype=dense.dtype_policy, name=_NEW_NAME + dense.name)
