"""Layers that make a user's model plain: inputs and channels that are held at a value, and two classes as one logit.

Each is rebuilt from its settings alone, values included, so that a model with them can be saved, loaded and cloned.
"""

from __future__ import annotations

import base64
from typing import Any

import keras
import numpy as np
import numpy.typing as npt


@keras.saving.register_keras_serializable("simbench_tf")
class HeldValue(keras.layers.Layer):
    """The same value for each sequence of a batch: what an input or a channel that is not explained is held at.

    Parameters
    ----------
    value : array, or its `get_config` form
        Of one sequence, without the batch axis; the layer gives it as (N, ...) in its own dtype.

    Examples
    --------
    >>> HeldValue(np.float32([1, 2]))(np.zeros((2, 5, 4))).numpy().tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    #: Says to methods that read layers: what comes out does not depend on the sequence.
    gives_constant = True

    def __init__(self, value: npt.ArrayLike | dict[str, Any], **settings: Any) -> None:
        settings.pop("dtype", None)  # the value has its own, whatever precision the model computes in
        super().__init__(**settings, dtype="float32")
        self.value = _from_text(value) if isinstance(value, dict) else np.asarray(value)
        self.trainable = False
        self.built = True

    def call(self, sequences: Any) -> Any:
        """Repeat the value for each row of `sequences`: (N, ...) -> (N, *value.shape)."""
        rows = keras.ops.shape(sequences)[0]
        return keras.ops.broadcast_to(keras.ops.convert_to_tensor(self.value), (rows, *self.value.shape))

    def compute_output_spec(self, sequences: Any) -> Any:
        """Shape and dtype of what `call` gives."""
        return keras.KerasTensor((sequences.shape[0], *self.value.shape), dtype=str(self.value.dtype))

    def get_config(self) -> dict[str, Any]:
        """Settings, the value as text among them."""
        return {**super().get_config(), "value": _as_text(self.value)}


@keras.saving.register_keras_serializable("simbench_tf")
class ClassContrast(keras.initializers.Initializer):
    """Weights that turn the two inputs of a softmax into log-odds: (2, 2) of each class, (2, 1) of class 1 alone.

    Examples
    --------
    >>> ClassContrast()((2, 1)).numpy().tolist()
    [[-1.0], [1.0]]
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Weights of a shape."""
        both = np.array([[1, -1], [-1, 1]], np.float32)
        return keras.ops.convert_to_tensor(both[:, -shape[1] :], dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """No settings."""
        return {}


def class_contrast(n_classes: int, name: str) -> keras.layers.Layer:
    """A Dense layer from the two inputs of a softmax to log-odds: of both classes (2), or of class 1 alone (1)."""
    return keras.layers.Dense(
        n_classes, use_bias=False, kernel_initializer=ClassContrast(), trainable=False, dtype="float32", name=name
    )


def _as_text(value: npt.NDArray[Any]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
    return {"dtype": value.dtype.str, "shape": list(value.shape), "base64": data}


def _from_text(text: dict[str, Any]) -> npt.NDArray[Any]:
    values = np.frombuffer(base64.b64decode(text["base64"]), np.dtype(text["dtype"]))
    return values.reshape(text["shape"])
