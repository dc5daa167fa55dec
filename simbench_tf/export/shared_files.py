"""Files beside a shared model: config.json, run.yaml, and example sequences with the model's predictions."""

from __future__ import annotations

import csv
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf import dna
from simbench_tf.config.yaml_text import format_yaml
from simbench_tf.export.describe_run import DescribedModel
from simbench_tf.export.entry_files import example_of, write_json

#: What goes in, for people; config.json has the parts for programs.
INPUT = "one-hot DNA, float32 (N, L, 4), channels A, C, G, T; a row of zeros for N and any other letter"
OUTPUT = "the probability of each task's label, float32 (N, T), in the order of `tasks` in `config.json`"

#: What each of the files is.
CONTENTS = {
    "config.json": "architecture, tasks, length and encoding of the input, metrics; for programs",
    "run.yaml": "every setting of data, model and training, for `simbench run`",
    "example.fa": "sequences of the test split",
    "example_predictions.csv": "what the model says of them, a column a task",
}


def packages() -> list[str]:
    """What a shared model was made with, as pip takes it."""
    return [f"{name}=={metadata.version(name)}" for name in ("keras", "tensorflow")]


def write_beside(folder: Path, described: DescribedModel, model: Any) -> None:
    """Write the files of `CONTENTS` for a model as it was read back from its file."""
    write_json(folder / "config.json", _config(described))
    configuration = "# data and model again: simbench run run.yaml --out run\n" + format_yaml(described.configuration)
    (folder / "run.yaml").write_text(configuration, encoding="utf-8")
    example = example_of(described.sequences)
    _write_fasta(folder / "example.fa", example)
    probabilities = np.asarray(model(dna.one_hot(example), training=False))
    _write_predictions(folder / "example_predictions.csv", described.task_names, probabilities)


def _config(described: DescribedModel) -> dict[str, Any]:
    return {
        "library_name": "keras",
        "architecture": described.architecture,
        "tasks": described.task_names,
        "seq_length": described.sequences.shape[1],
        "alphabet": "ACGT",
        "encoding": INPUT,
        "output": OUTPUT,
        "dataset": described.dataset_name,
        "metrics": described.metrics,
        "packages": packages(),
    }


def _write_fasta(path: Path, example: npt.NDArray[np.uint8]) -> None:
    lines = (f">sequence{number}\n{text}\n" for number, text in enumerate(dna.decode(example), start=1))
    path.write_text("".join(lines), encoding="ascii")


def _write_predictions(path: Path, tasks: list[str], probabilities: npt.NDArray[np.float32]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["sequence", *tasks])
        rows.writerows([f"sequence{number}", *row] for number, row in enumerate(probabilities.tolist(), start=1))
