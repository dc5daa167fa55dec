"""A user's own Keras models, from a file or from a Python function, made plain and checked against the data set.

Whoever loads a trained model later must know its layers: the name of the function that built it (`user_functions`)
stays beside the model, and its module is imported first.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from simbench_tf.attribution.ending import is_linear, is_sigmoid, last_operation
from simbench_tf.attribution.form_settings import Form
from simbench_tf.attribution.layer_geometry import kind_of
from simbench_tf.attribution.model_forms import made_plain
from simbench_tf.attribution.model_graph import is_graph
from simbench_tf.attribution.model_heads import positive_class
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.models.layers import lambda_layer, lambda_refused
from simbench_tf.models.model_files import NOT_LOADED, load_model_file
from simbench_tf.models.saved_function import saved_function, saved_functions_allowed
from simbench_tf.models.user_functions import called, function_of, import_function
from simbench_tf.plugins import checked_settings, load_named
from simbench_tf.random_streams import uniforms

#: Beside a model that a Python function built: the name of that function.
FUNCTION_FILE = "python.json"
#: Beside a model whose architecture another package brings: its name.
ARCHITECTURE_FILE = "architecture.json"
#: Beside a model that was given as a SavedModel folder: that folder. Its code is in the model.
SAVED_MODEL_FILE = "saved_model.json"
#: A model whose inputs and outputs need no words.
PLAIN = Form()
_REGISTER = "give layers of your own a get_config, and decorate them with @keras.saving.register_keras_serializable()"


class GivenModel(NamedTuple):
    """A model as it is explained, and whether its file holds just that."""

    model: keras.Model
    is_file: bool


def load_own_model(path: Path, seq_length: int, n_tasks: int, form: Form = PLAIN) -> keras.Model:
    """Load a model from its file, to be trained, uncompiled, made plain, and ending in probabilities.

    Raises
    ------
    InputError
        The file is no Keras model, or its input, output or last activation does not fit.
    """
    model = load_model_file(path)
    if saved_function(model):
        mend = "add `trained: true`, or save the model as NAME.keras"
        raise InputError(path, "is a SavedModel, which shows no layers to train", mend)
    model = _fitted(model, str(path), seq_length, n_tasks, form)
    check_form(model, str(path), seq_length, n_tasks)
    return model


def load_given_model(
    path: Path,
    seq_length: int,
    tasks: Sequence[str],
    outputs: Mapping[str, int] | None,
    where: str,
    form: Form = PLAIN,
) -> GivenModel:
    """Load a trained model from its file or folder, to be explained as it is, uncompiled.

    Parameters
    ----------
    path : path
    seq_length : int
    tasks : sequence of str
        Of the data set.
    outputs : mapping of str to int, optional
        The number of the output that predicts each task; without it the model has an output for each task, in order,
        or ends in a softmax of two classes, of which class 1 is the one task.
    where : str
        The model's key in the configuration, for errors.
    form : Form, optional
        Which output, what is held, and so on.

    Returns
    -------
    GivenModel
        Input (N, seq_length, 4), output (N, number of outputs), of any range.

    Raises
    ------
    InputError
        The file is no Keras model, its input has another form, or an output is beyond its last.
    """
    loaded = load_model_file(path)
    model = _plain(loaded, str(path), seq_length, form)
    _check_input(model, str(path), seq_length)
    if outputs is None and len(tasks) == 1:
        model = positive_class(model)
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise InputError(path, f"has the output {shape}, not (N, number of outputs)", "give a model with one output")
    if outputs is None and shape[1] != len(tasks):
        what = f"has {_counted(shape[1], 'output')}, the data set {_counted(len(tasks), 'task')}"
        raise InputError(path, what, f"say which is which with outputs: {{{tasks[0]}: 0, ...}}")
    for task, number in (outputs or {}).items():
        if number >= shape[1]:
            what = f"is {number}, but {path} has {_counted(shape[1], 'output')}"
            raise InputError(f"{where}.outputs.{task}", what, f"give a number from 0 to {shape[1] - 1}")
    return GivenModel(model, model is loaded and path.suffix == ".keras")


def _plain(model: Any, where: str, seq_length: int, form: Form) -> Any:
    """A model made plain; what is no functional model is left to `_check_input`."""
    if not isinstance(model, keras.Model) or not is_graph(model):
        return model
    try:
        return made_plain(model, seq_length, form)
    except InputError as error:
        key = "" if error.where == "model" else f", {error.where}"
        what = error.what
        if not key and (what.startswith("takes ") or "held" in error.mend):  # as of a plain model that does not fit
            what = f"has the input {model.input_shape}, the data set needs (N, {seq_length}, 4)"
        elif not key and len(model.outputs) > 1:
            what = f"has the output {model.output_shape}, by name {what.partition('outputs, ')[2]}"
        raise InputError(f"{where}{key}", what, error.mend) from error


def _fitted(model: Any, where: str, seq_length: int, n_tasks: int, form: Form) -> Any:
    """A model to be trained, made plain, that ends in probabilities where it gave logits or two classes of one task."""
    model = _plain(model, where, seq_length, form)
    if not isinstance(model, keras.Model) or not is_graph(model):
        return model
    if n_tasks == 1:
        model = positive_class(model)
    last = last_operation(model)
    if last is None or not is_linear(last):
        return model
    # float32 even where the layers before compute in less
    probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="simbench_tf_probabilities")
    return keras.Model(model.inputs[0], probabilities(model.outputs[0]))


def build_own_model(
    function: str,
    settings: Mapping[str, Any],
    seq_length: int,
    n_tasks: int,
    seed: int,
    where: str,
    form: Form = PLAIN,
) -> keras.Model:
    """Build a model by the user's function.

    Keras' own seeds are set first (`keras.utils.set_random_seed`), so that initial weights follow from `seed` also
    where the function does not ask for it.

    Parameters
    ----------
    function : str
        ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``.
    settings : mapping
        Further keyword arguments.
    seq_length, n_tasks, seed : int
        Passed on to a function that accepts them.
    where : str
        The key of the configuration that errors name.
    form : Form, optional
        Which output, what is held, and so on.

    Returns
    -------
    keras.Model
        Input (N, seq_length, 4), output (N, n_tasks), probabilities, also where the function's model gives logits; it
        can be saved and loaded again.

    Raises
    ------
    InputError
        There is no such function, it does not take the settings, it raises, or what it returns does not fit.
    """
    with function_of(function, where) as build:
        return _built(build, settings, (seq_length, n_tasks, seed), where, function, form)


def build_plugged_model(
    architecture: str, settings: Mapping[str, Any], seq_length: int, n_tasks: int, seed: int, where: str
) -> keras.Model:
    """Build a model by the function that another package brings as an architecture; else as `build_own_model`."""
    build = load_named("architecture", architecture)
    checked = checked_settings(build, settings, f"{where}.settings")
    return _built(build, checked, (seq_length, n_tasks, seed), where, f"architecture {architecture}")


def _built(
    build: Callable[..., Any],
    settings: Mapping[str, Any],
    ours: tuple[int, int, int],
    where: str,
    name: str,
    form: Form = PLAIN,
) -> keras.Model:
    """What a function builds with seq_length, n_tasks and seed, and its settings, checked."""
    seq_length, n_tasks, seed = ours
    keras.utils.set_random_seed(seed % 2**32)
    model = called(build, settings, ours, where, name)
    model = _fitted(model, f"{where}: {name}", seq_length, n_tasks, form)
    check_form(model, f"{where}: {name}", seq_length, n_tasks)
    _check_loads_again(model, f"{where}: {name}")
    return model


def write_architecture(folder: Path, architecture: str) -> Path:
    """Write down, beside a model, which architecture of another package it has; returns the file."""
    with whole_file(folder / ARCHITECTURE_FILE) as partial:
        partial.write_text(json.dumps({"architecture": architecture}) + "\n", encoding="utf-8")
    return folder / ARCHITECTURE_FILE


def write_function(folder: Path, function: str) -> Path:
    """Write down, beside a model, which function built it; returns the file."""
    with whole_file(folder / FUNCTION_FILE) as partial:
        partial.write_text(json.dumps({"python": function}) + "\n", encoding="utf-8")
    return folder / FUNCTION_FILE


def write_saved_model(folder: Path, source: Path) -> Path:
    """Write down, beside a model, which SavedModel it holds; returns the file."""
    with whole_file(folder / SAVED_MODEL_FILE) as partial:
        partial.write_text(json.dumps({"source": str(source)}) + "\n", encoding="utf-8")
    return folder / SAVED_MODEL_FILE


def load_trained(path: Path) -> keras.Model:
    """Load RUN/models/MODEL/model.keras, uncompiled; the function or the package that built it is imported before.

    Raises
    ------
    InputError
        That module is gone, or Keras cannot load the model.
    """
    function_file = path.with_name(FUNCTION_FILE)
    if function_file.is_file():
        function = json.loads(function_file.read_text(encoding="utf-8"))["python"]
        import_function(function, str(path))
    architecture_file = path.with_name(ARCHITECTURE_FILE)
    if architecture_file.is_file():  # its package knows the layers
        load_named("architecture", json.loads(architecture_file.read_text(encoding="utf-8"))["architecture"])
    is_saved_model = path.with_name(SAVED_MODEL_FILE).is_file()
    try:
        with saved_functions_allowed() if is_saved_model else nullcontext(), warnings.catch_warnings():
            if is_saved_model:  # Keras looks for weights of the layer, which come with the SavedModel
                warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
            return keras.saving.load_model(path, compile=False)
    except NOT_LOADED as error:
        raise InputError(path, f"cannot be loaded: {error}", _REGISTER) from error


def check_form(model: Any, where: str, seq_length: int, n_tasks: int) -> None:
    """Check a model against a data set: input (N, seq_length, 4), output (N, n_tasks), probabilities.

    Raises
    ------
    InputError
        Naming `where`, and which of these does not fit.
    """
    _check_input(model, where, seq_length)
    if model.output_shape != (None, n_tasks):
        what = f"has the output {model.output_shape}, the data set {n_tasks} tasks"
        raise InputError(where, what, "give the model one output for each task")
    _check_probabilities(model, where, seq_length)


def _check_input(model: Any, where: str, seq_length: int) -> None:
    """Check that a model is a Keras model whose layers show, with the input (N, seq_length, 4)."""
    if not isinstance(model, keras.Model):
        raise InputError(where, f"is a {type(model).__name__}, not a Keras model", "give a keras.Model")
    if not getattr(model, "inputs", None):
        what = "shows no layers (subclassed, or not built yet)"
        raise InputError(where, what, "give a functional or Sequential model that begins with keras.Input")
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 3 or shape[1] not in (None, seq_length) or shape[2] != 4:
        what = f"has the input {shape}, the data set needs (N, {seq_length}, 4)"
        raise InputError(where, what, "change one or the other")


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _check_probabilities(model: keras.Model, where: str, seq_length: int) -> None:
    mend = (
        "let it end in a sigmoid: it is trained on probabilities, as "
        "keras.Sequential([model, keras.layers.Activation('sigmoid')])"
    )
    last = last_operation(model) if is_graph(model) else None
    if last is not None and is_linear(last):
        raise InputError(where, "gives logits", mend)
    activation = getattr(last, "activation", None)
    softmax = isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax
    hard_sigmoid = activation is keras.activations.hard_sigmoid
    if softmax or (kind_of(last) and activation is not None and not is_sigmoid(last) and not hard_sigmoid):
        name = "softmax" if softmax else getattr(activation, "__name__", activation)
        raise InputError(where, f"ends in {name}", "let it end in a sigmoid: each task is a label of its own")
    # where the activation is unknown, a few random sequences show the range
    bases = (4 * uniforms(0, "trial", range(4), seq_length)).astype(np.uint8)
    values = np.asarray(model(one_hot(bases), training=False), np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise InputError(where, f"gives values from {values.min():.3g} to {values.max():.3g}", mend)


def _check_loads_again(model: keras.Model, where: str) -> None:
    """Save and load: better now than when a worker wants the trained model."""
    name = lambda_layer(model)
    if name is not None:
        what, mend = lambda_refused(name)
        raise InputError(where, f"cannot be saved and loaded again: it {what}", mend)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            keras.saving.load_model(path, compile=False)
    except NOT_LOADED as error:
        raise InputError(where, f"cannot be saved and loaded again: {error}", _REGISTER) from error
