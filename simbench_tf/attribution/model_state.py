"""The state of a Keras model beyond its weights' values, by which it is noticed that it was edited in place.

Compiled functions see new values of weights, and nothing else that is set after they were made: another activation
(``model.layers[-1].activation = keras.activations.linear``), a number that a layer of the user's holds, quantized
weights, a layer added to a Sequential model.
"""

from __future__ import annotations

import functools
import hashlib
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from simbench_tf.attribution.layer_geometry import kind_of

# what compile, fit, evaluate and predict leave on a model
_OF_TRAINING = {
    "_compile_config",
    "_compiled_trainable_state",
    "_eval_epoch_iterator",
    "history",
    "optimizer",
    "predict_function",
    "stop_evaluating",
    "stop_predicting",
    "stop_training",
    "test_function",
    "train_function",
}


def state_of(model: Any) -> Hashable:
    """What a model computes apart from its weights' values; equal as long as it is not edited.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    state : hashable
        Holds no layer or weight alive.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(2, "sigmoid")])
    >>> before = state_of(model)
    >>> model.layers[-1].activation = keras.activations.linear
    >>> state_of(model) == before
    False
    """
    return tuple(_of_layer(layer) for layer in model._flatten_layers())


def _of_layer(layer: Any) -> Hashable:
    policy = (layer.dtype_policy.name, getattr(layer, "quantization_mode", None))
    parts = [*(getattr(layer, "outputs", None) or ()), *layer.variables]
    return (_Same(layer), policy, tuple(map(_Same, parts)), _of_settings(layer))


def _of_settings(layer: Any) -> Hashable:
    """What an object's attributes say: plain values, and which other objects they hold."""
    left_out = _of_every_layer() | _OF_TRAINING
    own = not kind_of(layer)
    settings = []
    for name, value in sorted(vars(layer).items()):
        # Keras' own classes compute with their public attributes; in private ones they note what was called, and
        # TensorFlow what was saved
        if name not in left_out and not name.startswith("_self_") and (own or not name.startswith("_")):
            settings.append((name, _of_value(value, only_plain=name.startswith("_"))))
    return tuple(settings)


def _of_value(value: Any, only_plain: bool = False) -> Hashable:
    if isinstance(value, (bool, int, float, complex, str, bytes)):
        return (type(value).__name__, repr(value))
    if isinstance(value, (np.ndarray, np.generic)):
        return (value.shape, value.dtype.str, hashlib.blake2b(np.ascontiguousarray(value).tobytes()).hexdigest())
    if isinstance(value, (list, tuple)):
        return tuple(_of_value(each, only_plain) for each in value)
    if isinstance(value, Mapping):
        return tuple((repr(key), _of_value(each, only_plain)) for key, each in value.items())
    return None if only_plain else _Same(value)


@functools.cache
def _of_every_layer() -> frozenset[str]:
    """Attributes that Keras gives every layer and model: what they note does not say what is computed."""
    import keras

    class Bare(keras.Model):
        pass

    return frozenset(vars(keras.layers.Layer())) | frozenset(vars(Bare()))


class _Same:
    """Equal for the very same object only, which it does not keep alive."""

    def __init__(self, thing: Any) -> None:
        self._id = id(thing)
        self._thing: Callable[[], Any]
        try:
            self._thing = weakref.ref(thing)
        except TypeError:  # None, functions written in C, ...
            kind = type(thing)
            self._thing = lambda: kind

    def __eq__(self, other: object) -> bool:
        # another object may have come to stand where a dead one stood
        return isinstance(other, _Same) and self._id == other._id and self._thing() is other._thing() is not None

    def __hash__(self) -> int:
        return self._id
