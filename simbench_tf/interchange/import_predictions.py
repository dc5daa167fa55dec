"""Import of an outside model's predictions: RUN/models/MODEL/metrics.json, how good the network is.

For runs without models, which know such a model by name alone. What is measured is what is measured of a trained model:
auROC and auPRC of each task on the test split. Predictions of an earlier data set are left out, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError, nearest
from simbench_tf.interchange.attribution_readers import ID_ARRAYS, as_text, file_errors
from simbench_tf.interchange.import_attributions import check_model_name
from simbench_tf.run.lock import locked
from simbench_tf.run.manifest import write_records
from simbench_tf.run.models import metrics_file, predictions_fingerprint

#: Names of the array of an archive, in order of preference; ``arr_0`` is NumPy's own name.
ARRAYS = ("predictions", "probabilities", "arr_0")


class Predictions(NamedTuple):
    """Predictions as a file holds them.

    Attributes
    ----------
    values : array, shape (N,) or (N, T)
        Of any type, as the file holds it.
    tasks : list of T str or None
        Of the columns; None where they are the tasks of the data set in order.
    seq_ids : list of N str or None
        Of the rows; None where they are the test split in order.
    """

    values: npt.NDArray[Any]
    tasks: list[str] | None = None
    seq_ids: list[str] | None = None


def take_predictions(config: Config, folder: Path, file: Path, *, model_name: str | None) -> Path:
    """Measure an outside model by its predictions for the test split; the report then says how good it is.

    Parameters
    ----------
    config : Config
        Of the run, which has no models.
    folder : path
        RUN.
    file : path
        Probabilities, by its suffix one of `READERS`: a table (.csv, .tsv, .parquet) with a column for each task, or
        for some of them; or an array (N, T), or (N,) of a single task, of the tasks in order: .npy, or .npz with
        `predictions`, `probabilities` or ``arr_0``. A column or array ``seq_id`` (or ``seq_ids``, ``ids``, ``names``)
        says which rows are which sequences; without it they are the test split in order.
    model_name : str
        What to call the model, as for its attributions.

    Returns
    -------
    path
        RUN/models/MODEL/metrics.json; an earlier one is replaced.

    Raises
    ------
    InputError
        The run has models or no data set; the name is missing or unsafe; the file cannot be read, has other tasks or
        sequences, or values that are no probabilities.
    """
    if config.models:
        shown = ", ".join(each.name for each in config.replicates)
        what = f"is of runs without models, this one has {shown}, and measures it itself"
        raise InputError("--predictions", what, "leave it out, or set models: [] in another run")
    name = check_model_name(model_name)
    dataset = open_dataset(folder / "dataset")
    tasks, probabilities = _matched(file, read_predictions(file), dataset)
    from simbench_tf.training import split_metrics, write_metrics  # TensorFlow waits until the file is known to fit

    labels = dataset.labels("test")[:, [dataset.tasks.index(task) for task in tasks]]
    target = metrics_file(folder, name)
    with locked(folder):
        write_metrics(target, split_metrics(labels, probabilities, tasks))
        write_records(folder, [target], "train", predictions_fingerprint(folder, name), 0.0, "another tool")
    return target


def read_predictions(path: Path) -> Predictions:
    """Read a file by the reader of its suffix in `READERS`.

    Raises
    ------
    InputError
        The file is missing, has another suffix or cannot be read.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise InputError(path, "is no file of predictions that is read here", f"give one of {' or '.join(READERS)}")
    with file_errors(path):
        return reader(path)


def _read_npy(path: Path) -> Predictions:
    return Predictions(np.load(path, allow_pickle=False))


def _read_npz(path: Path) -> Predictions:
    with np.load(path, allow_pickle=False) as arrays:
        name = next((name for name in ARRAYS if name in arrays.files), None)
        if name is None:
            what = (
                f"has no array {', '.join(ARRAYS[:-1])} or {ARRAYS[-1]} (it holds {', '.join(arrays.files) or 'none'})"
            )
            raise InputError(path, what, f"name it {ARRAYS[0]}, (N, T)")
        ids = next((name for name in ID_ARRAYS if name in arrays.files), None)
        return Predictions(arrays[name], None, None if ids is None else as_text(arrays[ids]))


def _read_text(path: Path) -> Predictions:
    separator = "\t" if path.suffix == ".tsv" else ","
    return _of_table(pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"))


def _read_parquet(path: Path) -> Predictions:
    return _of_table(pd.read_parquet(path))


def _of_table(table: pd.DataFrame) -> Predictions:
    names = [str(name) for name in table.columns]
    table = table.set_axis(names, axis=1)
    ids = next((name for name in ID_ARRAYS if name in names), None)
    tasks = [name for name in names if name != ids]
    columns = [pd.to_numeric(table[task], errors="coerce").to_numpy(np.float64, na_value=np.nan) for task in tasks]
    values = np.stack(columns, axis=1) if columns else np.empty((len(table), 0))
    return Predictions(values, tasks, None if ids is None else as_text(table[ids].to_numpy()))


#: The reader of each suffix.
READERS: dict[str, Callable[[Path], Predictions]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_text,
    ".tsv": _read_text,
    ".parquet": _read_parquet,
}


def _matched(file: Path, given: Predictions, dataset: Dataset) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Tasks, and their probabilities for the test split in order, float32 (N, T)."""
    tasks = dataset.tasks if given.tasks is None else given.tasks
    for task in tasks:
        if task not in dataset.tasks:
            what = f"has a column {task!r}, which is no task of the run{nearest(task, dataset.tasks)}"
            raise InputError(file, what, f"name the columns seq_id and {', '.join(dataset.tasks)}")
    if not tasks:
        raise InputError(file, "has no column of a task", f"add {', '.join(dataset.tasks)}")
    values, known = given.values, dataset.seq_ids("test")
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise InputError(file, f"holds {values.dtype}, not numbers", "write float32")
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != len(tasks):
        what = f"has the shape {given.values.shape} for the tasks {', '.join(tasks)}"
        raise InputError(file, what, f"give ({len(known)}, {len(tasks)})")
    values = values[_rows(file, len(values), given.seq_ids, known)]
    faulty = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(faulty):
        row, column = faulty[0]
        what = f"holds {values[row, column]:.6g} for {tasks[column]} of {known[row]}, which is no probability"
        raise InputError(file, what, "give values from 0 to 1, of logits their sigmoid")
    return tasks, values.astype(np.float32)


def _rows(file: Path, n: int, seq_ids: list[str] | None, known: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Numbers of the rows of a file of `n` that are the sequences of the test split, in its order."""
    if seq_ids is None:
        if n != len(known):
            what = f"has {n} rows without ids, the test split {len(known)} sequences"
            raise InputError(file, what, "predict the whole split in order, or add seq_id")
        return np.arange(n)
    if len(seq_ids) != n:
        raise InputError(file, f"names {len(seq_ids)} sequences, but has {n} rows", "give one id per row")
    index, split = pd.Index(seq_ids), pd.Index(known)
    if index.has_duplicates:
        raise InputError(file, f"names {index[index.duplicated()][0]!r} twice", "give each sequence once")
    if len(others := index.difference(split, sort=False)):
        raise InputError(file, f"names {others[0]!r}, which is no sequence of the test split", "leave it out")
    if len(missing := split.difference(index, sort=False)):
        what = f"lacks {len(missing)} of the {len(split)} sequences of the test split, {str(missing[0])!r} the first"
        raise InputError(file, what, "predict all of them")
    return np.asarray(index.get_indexer(split), np.int64)
