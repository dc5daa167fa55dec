"""RUN/models/MODEL of a model that is taken from Kipoi instead of being trained: measured on the test split, no more.

kipoi.json says where it came from and which of its outputs stands for which task. A Keras model underneath is saved as
model.keras, and every method works on it; any other model stays where it is and is only asked for predictions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from simbench_tf.dataset import Dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.kipoi_entry import KipoiModel, load_kipoi_model

_TOGETHER = 500


class ModelOfRun(NamedTuple):
    """Where a run keeps a model, and the number of the output that stands for each task."""

    file: Path
    outputs: dict[str, int]


def adopt(source: str, dataset: Dataset, folder: Path) -> list[Path]:
    """Write RUN/models/MODEL of a Kipoi model; returns its files.

    Parameters
    ----------
    source : str
        The folder of an entry, or SOURCE/NAME.
    dataset : Dataset
        Its tasks are looked for among the names of the model's outputs; with as many outputs as tasks, and none of
        them named so, they are taken in order.
    folder : path
        RUN/models/MODEL.

    Raises
    ------
    InputError
        There is no such model, it cannot be loaded, or its input or outputs do not fit the data set.
    """
    from simbench_tf.train import split_metrics, write_metrics

    entry = load_kipoi_model(source)
    if entry.seq_length != dataset.seq_length:
        what = f"takes {entry.seq_length} bases, the data set has {dataset.seq_length}"
        raise InputError(source, what, "simulate sequences of the model's length")
    outputs = _outputs_of_tasks(source, entry, dataset.tasks)
    bases = dataset.bases("test")
    parts = [
        np.asarray(entry.model(one_hot(bases[first : first + _TOGETHER])), np.float32)[:, list(outputs.values())]
        for first in range(0, len(bases), _TOGETHER)
    ]
    probabilities = np.concatenate([np.empty((0, len(outputs)), np.float32), *parts])
    record = {"source": source, "files": files_of(source), "is_keras": entry.is_keras, "outputs": outputs}

    files = [folder / name for name in ("kipoi.json", "history.csv", "metrics.json")]
    with whole_file(files[0]) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    with whole_file(files[1]) as partial:
        pd.DataFrame(columns=["batch", "loss"]).to_csv(partial, index=False)
    if entry.is_keras:
        files.append(folder / "model.keras")
        with whole_file(files[-1]) as partial:
            entry.model.save(partial)
    write_metrics(files[2], split_metrics(dataset.labels("test"), probabilities, dataset.tasks))
    return files


def files_of(source: str) -> dict[str, str]:
    """Checksums of an entry's own files, by path; of a model in a source of Kipoi nothing is known but its name."""
    folder = Path(source)
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    made = {"__pycache__", "downloaded"}
    return {
        path.relative_to(folder).as_posix(): checksum(path)
        for path in paths
        if not made.intersection(path.parts) and path.suffix != ".fai"
    }


def adopted_model(folder: Path) -> ModelOfRun:
    """Where RUN/models/MODEL keeps what `adopt` took.

    Raises
    ------
    InputError
        Nothing was taken yet.
    """
    path = folder / "kipoi.json"
    if not path.is_file():
        raise InputError(path, "is missing", "take the model with `simbench train`")
    record = json.loads(path.read_text(encoding="utf-8"))
    return ModelOfRun(folder / "model.keras" if record["is_keras"] else path, record["outputs"])


def load_model_of_run(path: Path) -> Any:
    """Load the Keras model of a `ModelOfRun`; one that only predicts where there is no other."""
    if path.name == "kipoi.json":
        return load_kipoi_model(json.loads(path.read_text(encoding="utf-8"))["source"]).model
    from simbench_tf.own_models import load_trained

    return load_trained(path)


def _outputs_of_tasks(source: str, entry: KipoiModel, tasks: list[str]) -> dict[str, int]:
    names = entry.task_names
    if set(tasks) <= set(names):
        return {task: names.index(task) for task in tasks}
    if len(tasks) == len(names) and not set(tasks) & set(names):
        return {task: number for number, task in enumerate(tasks)}
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise InputError(
        source, f"has the outputs {shown}, the data set the tasks {', '.join(tasks)}", "name the tasks as the outputs"
    )
