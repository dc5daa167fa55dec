"""SavedModel folders as Keras models: a function of TensorFlow's with its weights, which shows no layers.

Predictions and gradients work; what goes into its last sigmoid cannot be seen. A SavedModel is a program: those that a
run of others names are executed on this user's word alone, as Python functions are.
"""

from __future__ import annotations

import contextlib
import contextvars
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from simbench_tf.errors import InputError

_ALLOWED = contextvars.ContextVar("saved functions may be loaded", default=False)
_DEFAULT = "serving_default"


@contextlib.contextmanager
def saved_functions_allowed() -> Iterator[None]:
    """Let files with a `SavedFunction` be loaded, whose code the user has named."""
    token = _ALLOWED.set(True)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


@keras.saving.register_keras_serializable("simbench_tf")
class SavedFunction(keras.layers.Layer):
    """The function that a SavedModel serves. A .keras file with this layer holds the whole SavedModel.

    Parameters
    ----------
    outputs : mapping of str to (shape, dtype)
        What it returns, by name.
    folder : path, optional
        The SavedModel; without it, it comes from the .keras file.
    signature : str
    """

    def __init__(
        self,
        outputs: Mapping[str, Any],
        folder: str | Path | None = None,
        signature: str = _DEFAULT,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.outputs_by_name, self.signature = {name: list(each) for name, each in outputs.items()}, signature
        self.built = True
        if folder is not None:
            self._take(Path(folder))

    def _take(self, folder: Path) -> None:
        # kept, to be saved again, as long as the layer lives
        self._folder = tempfile.mkdtemp(prefix="simbench_saved_model_")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        shutil.copytree(folder, self._folder, dirs_exist_ok=True)
        loaded = tf.saved_model.load(self._folder)
        self._functions = lambda: loaded  # Keras would take what it tracks for parts of the layer
        self._function = loaded.signatures[self.signature]

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """What the function returns for its inputs by name: a tensor, or several by name."""
        made = self._function(**inputs)
        return made if len(made) > 1 else next(iter(made.values()))

    def compute_output_spec(self, inputs: Mapping[str, Any]) -> Any:  # noqa: ARG002 - what Keras hands on
        """Shapes and dtypes of what `call` returns."""
        made = {name: keras.KerasTensor(tuple(shape), dtype) for name, (shape, dtype) in self.outputs_by_name.items()}
        return made if len(made) > 1 else next(iter(made.values()))

    def get_config(self) -> dict[str, Any]:
        """Settings, but for the SavedModel, which is an asset of the file."""
        return {**super().get_config(), "outputs": self.outputs_by_name, "signature": self.signature}

    def save_assets(self, folder: str) -> None:
        """Put the SavedModel into a .keras file."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def load_assets(self, folder: str) -> None:
        """Take the SavedModel out of a .keras file."""
        if not _ALLOWED.get():
            what = "holds a SavedModel, which is code of its author's"
            raise InputError("model", what, "load it by a run that you trust (--trust-code)")
        self._take(Path(folder))


def load_saved_function(folder: Path) -> keras.Model:
    """Load a SavedModel folder, of any Keras or of TensorFlow, as a functional model of one layer.

    Raises
    ------
    InputError
        The folder is no SavedModel, or serves no function of tensors with known shapes.
    """
    if not (folder / "saved_model.pb").is_file():
        raise InputError(folder, "is a folder without a saved_model.pb", "give a .keras or .h5 file, or a SavedModel")
    try:
        signatures = tf.saved_model.load(str(folder)).signatures
    except (ValueError, OSError, RuntimeError, KeyError, tf.errors.OpError) as error:
        what = f"is no SavedModel that TensorFlow can load: {error}"
        raise InputError(folder, what, "save it again with `model.export(FOLDER)`") from error
    name = _DEFAULT if _DEFAULT in signatures else next(iter(signatures)) if len(signatures) == 1 else None
    if name is None:
        has = f"the functions {', '.join(signatures)}" if signatures else "no function"
        raise InputError(folder, f"serves {has}, not {_DEFAULT}", "save it again with `model.export(FOLDER)`")
    function = signatures[name]
    specs = function.structured_input_signature[1]
    for argument, spec in specs.items():
        if spec.shape.rank is None or spec.shape.rank < 1 or spec.shape[0] is not None:
            what = f"serves a function of {argument} {spec.shape}, which takes no batch of any size"
            raise InputError(folder, what, "save it again with `model.export(FOLDER)`")
    inputs = {each: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=each) for each, spec in specs.items()}
    outputs = {
        each: (tuple(spec.shape) if spec.shape.rank is not None else None, spec.dtype.name)
        for each, spec in function.structured_outputs.items()
    }
    unknown = [each for each, (shape, _) in outputs.items() if shape is None]
    if unknown:
        raise InputError(folder, f"has the output {unknown[0]} of unknown shape", "save it again with a set shape")
    made = SavedFunction(outputs, folder, name, name="saved_model", dtype="float32")(inputs)
    return keras.Model(inputs if len(inputs) > 1 else next(iter(inputs.values())), made)


def saved_function(model: keras.Model) -> bool:
    """Whether a model holds a `SavedFunction`."""
    return any(isinstance(layer, SavedFunction) for layer in model._flatten_layers())
