"""Store a model to be shared as one .keras file, and the stored file's predictions for a Kipoi entry's example."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf import dna
from simbench_tf.errors import InputError
from simbench_tf.export.entry_files import example_of, example_one_hot, write_predictions

Bases = npt.NDArray[np.uint8]


class Stored(NamedTuple):
    """A model in an entry's folder: input length, doc, and the largest change of a prediction by storage."""

    seq_length: int
    doc: str
    largest_change: float


class Written(NamedTuple):
    """A model in a file, as it is read back.

    Attributes
    ----------
    model : keras.Model
    doc : str
        With what float16 changed.
    largest_change : float
        Of any prediction by float16; 0 with float32.
    """

    model: Any
    doc: str
    largest_change: float


def store_model(
    model: Any,
    folder: Path,
    weights_name: str,
    predictions_name: str,
    task_names: Sequence[str],
    bases: Bases,
    doc: str,
    float16: bool,
) -> Stored:
    """Write the weights, read them back, and write the predictions for the example."""
    path = folder / "model_files" / f"{weights_name}.keras"
    path.parent.mkdir(exist_ok=True)
    written = write_model(model, path, task_names, bases, doc, float16)
    example = example_of(bases)
    (folder / "example_files").mkdir(exist_ok=True)
    write_predictions(folder / "example_files" / f"{predictions_name}.h5", example, example_predictions(written, bases))
    return Stored(bases.shape[1], written.doc, written.largest_change)


def example_predictions(written: Written, bases: Bases) -> npt.NDArray[np.float32]:
    """What the stored model says of the example's intervals, (n, T)."""
    return np.asarray(written.model(example_one_hot(example_of(bases)), training=False))


def write_model(model: Any, path: Path, task_names: Sequence[str], bases: Bases, doc: str, float16: bool) -> Written:
    """Write a model that computes in float32 and needs no code of anybody's; the same model gives the same bytes.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, T).
    path : Path
        The .keras file.
    task_names : sequence of T str
    bases : uint8 array, shape (N, L)
        What the change by float16 is measured on.
    doc : str
        The model's, to which that change is added.
    float16 : bool

    Raises
    ------
    InputError
        The model has another form, or layers that are not Keras' own.
    """
    import keras

    check_names("task_names", task_names)
    _check_form(model, len(task_names), bases.shape[1])
    exact = in_float32(model)
    exact.save(path)
    _check_known_layers(path)
    _rewrite(path, halved=float16)
    stored = keras.saving.load_model(path, compile=False)
    if not float16:
        return Written(stored, doc, 0.0)
    one_hot = dna.one_hot(bases)
    before, after = (np.asarray(each.predict(one_hot, batch_size=128, verbose=0)) for each in (exact, stored))
    change = float(np.abs(before - after).max())
    return Written(stored, f"{doc.rstrip('. ')}. {_float16_note(len(bases), change)}", change)


def _float16_note(n_sequences: int, change: float) -> str:
    return f"Weights are stored as float16: of {n_sequences} sequences no prediction changed by more than {change:.2g}."


def in_float32(model: Any) -> Any:
    """A copy of a functional Keras model that computes in float32, uncompiled, with the same weights.

    Mixed precision serves training; predictions in bfloat16 would differ from one machine to the next.

    Raises
    ------
    InputError
        A layer cannot be made anew elsewhere.
    """
    import keras

    from simbench_tf.models.layers import NOT_COPIED, copied_model, lambda_layer, lambda_refused

    name = lambda_layer(model)
    if name is not None:
        raise InputError("model", *lambda_refused(name))
    try:
        copy = copied_model(model, lambda _: {"dtype": "float32"})
    except NOT_COPIED as error:
        what = f"cannot be copied: {' '.join(str(error).split())}"
        raise InputError("model", what, "build it of Keras' layers to export it") from error
    # a model that lists its one input would warn of every array it is given
    return keras.Model(copy.inputs[0], copy.outputs[0], name=model.name)


def _check_known_layers(path: Path) -> None:
    """Refuse layers that are not Keras' own: an entry holds no code for them."""
    with zipfile.ZipFile(path) as archive:
        foreign = sorted(set(_foreign_classes(json.loads(archive.read("config.json")))))
    if foreign:
        what = f"holds what is not Keras' own ({', '.join(foreign)}), and a Kipoi entry carries no code of yours"
        raise InputError("model", what, "build it of Keras' layers to export it")


def _foreign_classes(config: Any) -> Iterator[str]:
    """Names of the classes and functions in a saved model's configuration that come from elsewhere."""
    if isinstance(config, list):
        for each in config:
            yield from _foreign_classes(each)
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            module = str(config.get("module") or "")
            registered = config.get("registered_name") or ""
            own = module.split(".")[0] in ("keras", "builtins") or (not module and ">" not in registered)
            if not own:
                yield str(config["config"] if config["class_name"] == "function" else config["class_name"])
        for each in config.values():
            yield from _foreign_classes(each)


def _rewrite(path: Path, halved: bool) -> None:
    """Write a .keras file anew without the date, by which every export would have another checksum.

    With `halved`, float32 weights are stored as float16; Keras reads them back into float32 variables.

    Raises
    ------
    InputError
        A weight is beyond float16's range.
    """
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({"keras_version": about["keras_version"]}).encode()
    if halved:
        members["model.weights.h5"] = _halved(members["model.weights.h5"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def _halved(h5_bytes: bytes) -> bytes:
    result = io.BytesIO()
    with h5py.File(io.BytesIO(h5_bytes), "r") as source, h5py.File(result, "w") as target:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                values = item[()]
                if values.dtype == np.float32:
                    with np.errstate(over="ignore"):
                        values = values.astype(np.float16)
                    if not np.isfinite(values).all():
                        raise InputError("float16", f"weights {name} exceed its range of 65504", "store float32")
                target[name] = values
            else:
                target.require_group(name)
            target[name].attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return result.getvalue()


def check_names(key: str, names: Sequence[str]) -> None:
    """Refuse names that a Kipoi entry cannot hold.

    Raises
    ------
    InputError
        With `key`.
    """
    # models.tsv joins tasks by commas; kipoi joins columns by slashes and reads # as a comment
    for name in names:
        if not name.strip() or set(name) & set(",/#\t\n\"'{}"):
            raise InputError(key, f"{name!r} cannot be a name in a Kipoi entry", "use letters, digits, . _ -")
    if len(set(names)) < len(names) or not names:
        raise InputError(key, f"{list(names)} must be one or more names, each once", "rename them")


def _check_form(model: Any, n_tasks: int, seq_length: int) -> None:
    outputs = getattr(model, "outputs", None)
    if not outputs or len(model.inputs) != 1 or len(outputs) != 1:
        raise InputError("model", "must be functional or Sequential with one input and one output", "rebuild it so")
    length, channels = tuple(model.inputs[0].shape)[1:] if len(model.inputs[0].shape) == 3 else (None, None)
    if channels != 4 or length not in (None, seq_length):
        shape, wanted = tuple(model.inputs[0].shape), f"(N, {seq_length}, 4)"
        raise InputError("model", f"takes input of shape {shape}, the sequences are {wanted}", "match them")
    if tuple(outputs[0].shape)[1:] != (n_tasks,):
        raise InputError("task_names", f"{n_tasks} names for output of shape {tuple(outputs[0].shape)}", "match them")
