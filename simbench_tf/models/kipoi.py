"""Any Kipoi model over one-hot DNA as a Keras model: the one underneath, or else one that can only predict.

With a Keras model underneath every attribution method works on it. Other models are called for predictions, batch by
batch, so methods that only predict (ism, with ``output="probability"``) work, and others are refused with the reason.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError

# TensorFlow and Keras are imported where they are used, so that importing this module does not wait for them.

_log = logging.getLogger(__name__)
Array = npt.NDArray[np.float32]


class KipoiModel(NamedTuple):
    """A Kipoi model, ready to be explained.

    Attributes
    ----------
    name : str
        The last part of its name in the zoo.
    model : keras.Model
        Input float32 (N, L, 4), output float32 (N, T).
    is_keras : bool
        Whether `model` is the network itself; else it only predicts.
    seq_length : int
    task_names : list of str
        The T outputs, as the entry names them, else by number.
    """

    name: str
    model: Any
    is_keras: bool
    seq_length: int
    task_names: list[str]


def load_kipoi_model(source: str | os.PathLike[str]) -> KipoiModel:
    """Load a model from a folder or from a Kipoi source.

    Parameters
    ----------
    source : str or path
        The folder of an entry (or of a group and the model's name, as ``zoo/group/model``), or SOURCE/NAME, as
        ``kipoi/Basset``, with a source that kipoi's configuration knows.

    Returns
    -------
    KipoiModel

    Raises
    ------
    InputError
        There is no such entry, it cannot be loaded here, or it does not take one-hot DNA (L, 4).
    """
    kipoi_model = _get_model(str(source))
    seq_length, task_names = _form(str(source), kipoi_model.schema)
    network = _network(kipoi_model, seq_length)
    if network is not None:
        if task_names is None:
            task_names = [str(number) for number in range(network.output_shape[1])]
        return KipoiModel(_name(source), network, True, seq_length, task_names)
    example = np.eye(4, dtype=np.float32)[np.arange(seq_length) % 4][None]
    n_tasks = _predictions(kipoi_model.predict_on_batch(example), 1).shape[1]
    network = prediction_only(kipoi_model.predict_on_batch, seq_length, n_tasks, _name(source))
    names = task_names if task_names is not None and len(task_names) == n_tasks else [str(k) for k in range(n_tasks)]
    return KipoiModel(_name(source), network, False, seq_length, names)


def prediction_only(predict_on_batch: Callable[[Array], Any], seq_length: int, n_tasks: int, name: str) -> Any:
    """A Keras model that calls a function for its predictions and has no gradient.

    Parameters
    ----------
    predict_on_batch : callable
        float32 (N, L, 4) -> array (N, T), (N,) or (N, T, 1).
    seq_length, n_tasks : int
        L and T.
    name : str
        For messages.

    Returns
    -------
    keras.Model
        A subclassed one; asking for its gradient raises InputError.

    Examples
    --------
    >>> model = prediction_only(lambda x: x[:, :, 0].sum(axis=1), seq_length=3, n_tasks=1, name="count of A")
    >>> model(np.eye(4, dtype=np.float32)[[[0, 0, 1]]]).numpy().tolist()
    [[2.0]]
    """
    import keras
    import tensorflow as tf

    def predict(x: Array) -> Array:
        return _predictions(predict_on_batch(x), len(x))

    @tf.custom_gradient
    def predicted(x: Any) -> Any:
        def gradient(*_upstream: Any) -> Any:
            raise InputError(
                name, "is no Keras model underneath, so it has no gradients", 'use ism with output="probability"'
            )

        return tf.numpy_function(predict, [x], tf.float32), gradient

    class PredictionOnly(keras.Model):
        def call(self, x: Any, training: bool = False) -> Any:  # noqa: ARG002 - Keras hands it on
            values = predicted(tf.cast(x, tf.float32))
            values.set_shape((x.shape[0], n_tasks))
            return values

    model = PredictionOnly()
    model(np.zeros((1, seq_length, 4), np.float32))
    return model


def _get_model(source: str) -> Any:
    path = Path(source).absolute()
    zoo = _zoo(path)
    kind, _, name = source.partition("/")
    if zoo is None and not (kind and name):
        raise InputError(source, "is no Kipoi entry", "give a folder with a model.yaml, or SOURCE/NAME")
    try:
        import kipoi
    except ImportError as error:
        what = f"needs kipoi, which cannot be imported: {error}"
        raise InputError(source, what, "pip install 'simbench_tf[kipoi]'") from error

    _log.info("%s: code of this Kipoi entry is executed%s", source, _shown_code(path))
    if zoo is not None:
        name, where = str(path.relative_to(zoo)), kipoi.sources.LocalSource(str(zoo))
    elif kind in kipoi.config.model_sources() and kind != "dir":
        where = kind
    else:
        known = ", ".join(each for each in kipoi.config.model_sources() if each != "dir")
        raise InputError(source, "is no Kipoi entry", f"no such folder, and {kind} is no source of kipoi ({known})")
    try:
        return kipoi.get_model(name, source=where, with_dataloader=False)
    except Exception as error:  # an entry's own code may raise anything
        raise InputError(source, f"kipoi cannot load it: {type(error).__name__}: {error}", "fix the entry") from error


def _shown_code(path: Path) -> str:
    """The Python files of an entry's folder, to be named."""
    names = sorted(each.name for each in path.glob("*.py")) if path.is_dir() else []
    return f": {', '.join(names)}" if names else ""


def _zoo(path: Path) -> Path | None:
    """The folder of which an entry, or a group with the entry, is a part; None where `path` is no entry."""
    for suffix in ("yaml", "yml"):
        if (path / f"model.{suffix}").is_file():
            return path.parent
        if (path.parent / f"model-template.{suffix}").is_file():
            return path.parent.parent
    return None


def _name(source: str | os.PathLike[str]) -> str:
    return str(source).rstrip("/").rpartition("/")[2]


def _form(source: str, schema: Any) -> tuple[int, list[str] | None]:
    """Length of the input and names of the outputs, as the entry describes them."""
    shape = getattr(schema.inputs, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != 4 or shape[0] is None:
        raise InputError(
            source,
            f"takes {'several inputs' if shape is None else f'input of shape {tuple(shape)}'}",
            "only models of one-hot DNA of a fixed length, shape (L, 4), can be used",
        )
    labels = getattr(schema.targets, "column_labels", None)
    return int(shape[0]), None if labels is None else [str(label) for label in labels]


def _network(kipoi_model: Any, seq_length: int) -> Any | None:
    """The functional Keras model underneath, where there is one of the right form."""
    import keras

    network = getattr(kipoi_model, "model", None)
    if not isinstance(network, keras.Model) or not getattr(network, "outputs", None):
        return None
    inputs, outputs = network.inputs, network.outputs
    fits = len(inputs) == len(outputs) == 1 and tuple(inputs[0].shape[1:]) in ((seq_length, 4), (None, 4))
    return network if fits and len(outputs[0].shape) == 2 else None


def _predictions(values: Any, n: int) -> Array:
    """Predictions of any model as float32 (n, T)."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, (list, tuple)):
        values = np.concatenate([np.reshape(value, (n, -1)) for value in values], axis=1)
    return np.ascontiguousarray(np.reshape(values, (n, -1)), np.float32)
