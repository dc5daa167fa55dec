"""A Keras model over one-hot DNA as Kipoi's model class: predictions, input gradients, activations of layers.

An own class, since with Keras 3 kipoi.model.KerasModel fails on weights by url (a download lacks the suffix that Keras
goes by), on output as .h5 and on gradients.

It holds nothing of the entry it lies in, so that it works for every entry, whichever copy of it Python finds first.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# TensorFlow reads it once, when it is first imported: its start-up notes are no news of the model's
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from kipoi.model import BaseModel, GradientMixin, LayerActivationMixin

_BARE_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
)


class KerasSequenceModel(BaseModel, GradientMixin, LayerActivationMixin):
    """A model stored as one .keras file; input float32 (N, L, 4), channels A, C, G, T, zeros for N.

    Parameters
    ----------
    weights : str
        Path of the .keras file, under any name.
    """

    MODEL_PACKAGE = "keras"

    def __init__(self, weights: str) -> None:
        self.model = _load(weights)
        self._predict = _compiled(self.model, self.model.outputs[0])
        self._parts: dict[tuple[str | int, bool], Any] = {}

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Predictions for a batch: float32 (N, L, 4) -> float32 (N, tasks)."""
        return self._predict(_batch(x)).numpy()

    def predict_activation_on_batch(self, x: Any, layer: str | int, pre_nonlinearity: bool = False) -> np.ndarray:
        """Outputs of a layer, by its name or its number (the input is 0), as an array with the batch first."""
        return self._part(layer, pre_nonlinearity)(_batch(x)).numpy()

    def input_grad(
        self,
        x: Any,
        filter_idx: Any = None,
        avg_func: str | None = None,
        layer: str | int | None = None,
        final_layer: bool = True,
        selected_fwd_node: None = None,
        pre_nonlinearity: bool = False,
    ) -> np.ndarray:
        """Gradients of chosen units of a layer with regard to the input: (N, L, 4) -> float32 (N, L, 4).

        Parameters
        ----------
        x : array (N, L, 4)
        filter_idx : int, slice or tuple, optional
            Which units: an index on the first axis after the batch, or a tuple of indices with the batch's first.
            The gradient is of their sum.
        avg_func : {"sum", "max", "min", "absmax"}, optional
            How the chosen units of a sequence make one number before the gradient is taken.
        layer : str or int, optional
            With ``final_layer=False``.
        final_layer : bool
            Take the model's output.
        selected_fwd_node : None
            Not supported.
        pre_nonlinearity : bool
            Take what goes into the layer's activation.
        """
        if selected_fwd_node is not None:
            raise ValueError("selected_fwd_node is not supported by Keras models")
        if final_layer and layer is not None:
            raise ValueError("give a layer with final_layer=False, or no layer for the model's output")
        if final_layer:
            layer = self.model.layers[-1].name
        elif layer is None:
            raise ValueError("final_layer=False needs a layer")
        if avg_func is not None and avg_func not in self.allowed_functions:
            raise ValueError(f"avg_func must be one of {self.allowed_functions}, not {avg_func!r}")
        part = self._part(layer, pre_nonlinearity)
        x = tf.convert_to_tensor(_batch(x))
        with tf.GradientTape() as tape:
            tape.watch(x)
            units = _chosen(part(x), filter_idx)
            if filter_idx is None and avg_func is None and units.shape[1:].num_elements() != 1:
                raise ValueError("choose units of the layer with filter_idx, or join them with avg_func")
            joined = _joined(units, avg_func)
        return tape.gradient(joined, x, unconnected_gradients=tf.UnconnectedGradients.ZERO).numpy()

    def _part(self, layer: str | int, pre_nonlinearity: bool) -> Any:
        """The model up to a layer as a function of a batch, made once."""
        key = (layer, bool(pre_nonlinearity))
        if key not in self._parts:
            found = _find_layer(self.model, layer)
            end = _before_activation(found) if pre_nonlinearity else found.output
            self._parts[key] = _compiled(self.model, end)
        return self._parts[key]


def _load(weights: str) -> keras.Model:
    """Load the model; Keras goes by the suffix, which a downloaded file lacks."""
    if Path(weights).suffix == ".keras":
        return keras.saving.load_model(weights, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.keras")
        shutil.copyfile(weights, copy)
        return keras.saving.load_model(copy, compile=False)


def _compiled(model: keras.Model, end: Any) -> Any:
    """The model up to a tensor as a function traced once for batches of any size.

    Keras' own function traces again for each, and warns of it; and it warns of an array where a model lists its inputs.
    AutoGraph, which would translate Python's branches and loops, has nothing to do here; it warns where it finds no
    source, as in a program that was started from a script.
    """
    part = keras.Model(model.inputs[0], end)
    signature = [tf.TensorSpec(model.inputs[0].shape, tf.float32)]
    return tf.function(lambda x: part(x, training=False), input_signature=signature, autograph=False)


def _batch(x: Any) -> np.ndarray:
    return np.asarray(x["seq"] if isinstance(x, dict) else x, np.float32)


def _find_layer(model: keras.Model, layer: str | int) -> keras.Layer:
    # the command line gives a number as text
    number = int(layer) if str(layer).isdigit() else None
    if number is not None and str(layer) not in [known.name for known in model.layers]:
        return model.get_layer(index=number)
    return model.get_layer(name=layer)


def _before_activation(layer: keras.Layer) -> Any:
    if isinstance(layer, _BARE_ACTIVATIONS):
        return layer.input
    if getattr(layer, "activation", keras.activations.linear) is keras.activations.linear:
        return layer.output
    config = layer.get_config()
    linear = type(layer).from_config({**config, "activation": "linear", "name": f"{layer.name}_before_activation"})
    output = linear(layer.input)
    linear.set_weights(layer.get_weights())
    return output


def _chosen(units: Any, filter_idx: Any) -> Any:
    if filter_idx is None:
        return units
    if not isinstance(filter_idx, (tuple, list)):
        filter_idx = (filter_idx,)
    if len(filter_idx) == 1:
        filter_idx = (slice(None), *filter_idx)
    return units[tuple(filter_idx)]


def _joined(units: Any, avg_func: str | None) -> Any:
    """One number a sequence; sequences do not act on each other, so the gradient of the sum holds that of each."""
    units = tf.reshape(units, (tf.shape(units)[0], -1))
    if avg_func == "max":
        return tf.reduce_max(units, axis=1)
    if avg_func == "min":
        return tf.reduce_min(units, axis=1)
    if avg_func == "absmax":
        return tf.reduce_max(tf.abs(units), axis=1)
    return tf.reduce_sum(units, axis=1)
