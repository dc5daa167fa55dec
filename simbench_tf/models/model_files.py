"""A trained Keras model from the file or folder that holds it: .keras, .h5 of Keras 3, 2 and 1, or a SavedModel."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from simbench_tf.errors import InputError
from simbench_tf.models.keras2_files import NOT_LOADED as NOT_LOADED_H5
from simbench_tf.models.keras2_files import load_h5
from simbench_tf.models.layers import lambda_refused
from simbench_tf.models.saved_function import load_saved_function

#: What Keras raises for a file that it cannot load, or a model that it cannot save.
NOT_LOADED = (*NOT_LOADED_H5, ImportError, EOFError, RecursionError, zipfile.BadZipFile, zlib.error)
_HDF5 = (".h5", ".hdf5")
_SAVE = "save it with `model.save('NAME.keras')`"


def load_model_file(path: str | os.PathLike[str]) -> Any:
    """Load a Keras model of any origin, uncompiled.

    Parameters
    ----------
    path : path
        A .keras or .h5 file, or a SavedModel folder, of which a functional model is made that calls its function.

    Returns
    -------
    keras.Model

    Raises
    ------
    InputError
        It holds no model that can be loaded here; the line says what to do.
    """
    path = Path(path)
    if path.is_dir() and path.suffix not in (".keras", *_HDF5):
        return load_saved_function(path)
    if not path.is_file():
        raise InputError(path, "is no file", "give a model saved with `model.save('NAME.keras')`")
    try:
        return load_h5(path) if path.suffix in _HDF5 else keras.saving.load_model(path, compile=False)
    except InputError:
        raise
    except NOT_LOADED as error:
        lambdas = lambda_layers(path)
        if lambdas:
            what, mend = lambda_refused(lambdas[0])
            raise InputError(path, f"is no model that Keras can load: it {what}", mend) from error
        raise InputError(path, f"is no model that Keras can load: {error}", _SAVE) from error


def lambda_layers(path: Path) -> list[str]:
    """Names of the Lambda layers in a .keras file."""

    def found(config: Any) -> Iterator[str]:
        if isinstance(config, dict):
            if config.get("class_name") == "Lambda":
                yield str(config.get("config", {}).get("name"))
            config = list(config.values())
        for each in config if isinstance(config, list) else ():
            yield from found(each)

    try:
        with zipfile.ZipFile(path) as archive:
            return list(found(json.loads(archive.read("config.json"))))
    except NOT_LOADED:
        return []
