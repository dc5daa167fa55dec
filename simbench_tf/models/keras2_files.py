"""Models in HDF5 files (.h5) as Keras 2 and Keras 1 wrote them: settings that Keras 3 no longer takes are put right.

Only settings that change nothing are dropped, as one group of channels; what Keras 3 lacks is told in a line.
"""

from __future__ import annotations

import inspect
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from simbench_tf.errors import InputError

#: What Keras raises for a file that it cannot load.
NOT_LOADED = (ValueError, TypeError, OSError, KeyError, AttributeError, NotImplementedError, RuntimeError, IndexError)
#: Settings that Keras 3 does not take and that say nothing, whatever their value (None), or with this one.
_NOTHING: dict[str, Any] = {
    "groups": 1,
    "trainable": True,
    "query_shape": None,
    "key_shape": None,
    "value_shape": None,
    "implementation": None,
}
#: Settings left at their default that Keras 3 reads from HDF5 files as the function of that name.
_MISREAD = {"Attention": {"score_mode": "dot"}}
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
_OF_EVERY_LAYER = {
    "name", "trainable", "dtype", "autocast", "activity_regularizer", "input_shape", "input_dtype", "input_dim",
    "batch_input_shape", "batch_size", "weights",
}  # fmt: skip


def load_h5(path: Path) -> keras.Model:
    """Load a whole model from an HDF5 file, uncompiled.

    Raises
    ------
    InputError
        The file holds weights alone, or what Keras 3 has no layer for; the line says what to do.
    ValueError, TypeError, ...
        From Keras, for a file that is damaged otherwise.
    """
    config = _config(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of settings that have another name by now
        try:
            return keras.saving.load_model(path, compile=False)
        except NOT_LOADED as error:
            put_right = mended(config)
            lacking = sorted(_lacking(config))
            if lacking:
                raise InputError(path, *_told(lacking)) from error
            if put_right == config:
                raise
            return _loaded_with(path, put_right)


def _loaded_with(path: Path, config: dict[str, Any]) -> keras.Model:
    """Load a copy of the file with other settings of its layers."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        copy.chmod(0o600)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
        return keras.saving.load_model(copy, compile=False)


def _config(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        text = file.attrs.get("model_config")
        is_weights = text is None and ("layer_names" in file.attrs or "layers" in file)
    if is_weights:
        what = "holds weights alone, without the layers that they belong to"
        mend = "build the model, load them into it (`model.load_weights(FILE)`), and save it as NAME.keras"
        raise InputError(path, what, mend)
    if text is None:
        raise ValueError("an HDF5 file without a model_config")
    config: dict[str, Any] = json.loads(text)
    return config


def mended(config: Any) -> Any:
    """Settings of layers, nested models too, without what Keras 3 no longer takes and what says nothing.

    Examples
    --------
    >>> mended({"class_name": "SeparableConv1D", "config": {"filters": 3, "kernel_size": [5], "groups": 1}})
    {'class_name': 'SeparableConv1D', 'config': {'filters': 3, 'kernel_size': [5]}}
    """
    if isinstance(config, list):
        return [mended(each) for each in config]
    if not isinstance(config, dict):
        return config
    config = {key: mended(value) for key, value in config.items()}
    name, settings = config.get("class_name"), config.get("config")
    layer = getattr(keras.layers, name, None) if isinstance(name, str) else None
    if not isinstance(settings, dict) or layer is None:
        return config
    renamed = _RENAMED.get(str(name), {})
    settings = {renamed.get(key, key): value for key, value in settings.items()}
    parameters = inspect.signature(layer.__init__).parameters
    takes = set(parameters) | (_OF_EVERY_LAYER if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) else set())
    kept = {key: value for key, value in settings.items() if key in takes or not _says_nothing(key, value)}
    misread = _MISREAD.get(str(name), {}).items()
    kept = {key: value for key, value in kept.items() if (key, value) not in misread}
    if isinstance(kept.get("dtype"), dict):  # a policy, as Keras 2 wrote it
        kept["dtype"] = kept["dtype"].get("config", {}).get("name", "float32")
    calls = {"inbound_nodes": [_call(node) for node in config["inbound_nodes"]]} if config.get("inbound_nodes") else {}
    return {**config, "config": kept, **calls}


def _call(node: Any) -> Any:
    """One call of a layer; Keras 3 follows tensors given by keyword, as attention's value, in its own form alone."""
    if not isinstance(node, list) or not all(isinstance(each, list) and len(each) == 4 for each in node):
        return node
    keywords = node[-1][3]
    if not any(_is_tensor(value) for value in keywords.values()):
        return node
    given = [_tensor(*each[:3]) for each in node]
    named = {key: _tensor(*value) if _is_tensor(value) else value for key, value in keywords.items()}
    return {"args": given if len(given) == 1 else [given], "kwargs": named}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, list) and [type(each) for each in value] == [str, int, int]


def _tensor(layer: str, call: int, output: int) -> dict[str, Any]:
    # its shape is that of the layer's output, whatever is written here
    settings = {"shape": [None], "dtype": "float32", "keras_history": [layer, call, output]}
    return {"class_name": "__keras_tensor__", "config": settings}


def _says_nothing(key: str, value: Any) -> bool:
    # how weights began, and how they were trained, is over once they are loaded
    is_over = key.endswith(("_initializer", "_regularizer", "_constraint"))
    return value is None or value is False or is_over or (key in _NOTHING and _NOTHING[key] in (None, value))


def _lacking(config: Any) -> Iterator[str]:
    """Layers that Keras 3 lacks, as (class, what it computes)."""
    if isinstance(config, list):
        for each in config:
            yield from _lacking(each)
    if isinstance(config, dict):
        for each in config.get("layers", ()) if isinstance(config.get("layers"), list) else ():
            name, settings = each.get("class_name", ""), each.get("config", {})
            if name in ("TFOpLambda", "SlicingOpLambda"):
                yield f"{name} {settings.get('function', settings.get('name'))}"
            elif name == "Lambda":
                yield f"Lambda {settings.get('name')}"
            elif not (
                hasattr(keras.layers, name) or name in ("Functional", "Sequential", "Model") or _registered(name)
            ):
                yield name
        for value in config.values():
            yield from _lacking(value)


def _registered(name: str) -> bool:
    return (
        name == "Functional"
        or keras.saving.get_registered_object(name) is not None
        or any(known.endswith(f">{name}") for known in keras.saving.get_custom_objects())
    )


def _told(lacking: list[str]) -> tuple[str, str]:
    """What is wrong with a file of layers that Keras 3 lacks, and what to do."""
    shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    mend = (
        "build the same model of Keras' layers (Add for +, Cropping1D for slices, ...), load the weights into it "
        "(`model.load_weights(FILE)`), and save it as NAME.keras"
    )
    return f"was saved by Keras 2 with what Keras 3 lacks: {shown}", mend
