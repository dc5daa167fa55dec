"""RUN/models/MODEL: where the files of a model are, and how it is loaded.

A model that the run trained is model.keras, as is one that was given trained (trained.json says which of its outputs
predicts which task). For one that was taken from Kipoi, kipoi.json says where it came from and
which of its outputs predicts which task; a Keras model underneath is saved as model.keras, and any other model stays
where it is and only gives predictions. Of a PyTorch module torch.json says which function builds it, and weights.pt is
a copy of its weights; of an ONNX file onnx.json says how model.onnx beside it is read. An ensemble has no weights:
ensemble.json names its members, with their files' checksums, and the output whose mean it is.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from simbench_tf.config import Model, Replicate
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.run.manifest import fingerprint, fresh_files, stage_checksums

#: Files that describe models of other frameworks, which lie beside them.
OUTSIDE = ("torch.json", "onnx.json")
#: In RUN/models/MODEL of an ensemble.
ENSEMBLE = "ensemble.json"


class ModelOfRun(NamedTuple):
    """Where a run keeps a model, and the number of the output that predicts each task."""

    file: Path
    outputs: dict[str, int]


def kipoi_model_of_run(folder: Path) -> ModelOfRun:
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


def lacking_of(model: Model) -> dict[str, str]:
    """What a model cannot give to attribution methods, and why, for what it is or what it computes."""
    from simbench_tf.attribution.lacking import LACKING

    of_kind = LACKING["torch" if model.torch else "function" if model.onnx else "keras"]
    return {need: why for need, why in of_kind.items() if need != "gapped_kmers" or not model.is_gkmsvm} | model.lacking


def is_held(path: Path) -> bool:
    """Whether the file of a `ModelOfRun` is there, with the model itself in the run's folder."""
    return path.is_file() and (path.suffix == ".keras" or path.name in (*OUTSIDE, ENSEMBLE))


def member_files(path: Path) -> list[Path]:
    """Files of the models that the file of a `ModelOfRun` stands for: of an ensemble its members', else its own.

    Raises
    ------
    InputError
        A member is missing, or was made again since the ensemble was measured.
    """
    if path.name != ENSEMBLE:
        return [path]
    members = json.loads(path.read_text(encoding="utf-8"))["members"]
    files = []
    for name, recorded in members.items():
        file = path.parent.parent / name / "model.keras"
        if not file.is_file() or checksum(file) != recorded:
            what = "is missing" if not file.is_file() else "is not what the ensemble beside it was made of"
            raise InputError(file, what, "make it again with `simbench train`")
        files.append(file)
    return files


def load_model(path: Path, untrained_seed: int | None = None) -> Any:
    """Load the model of a `ModelOfRun`: a Keras model, one that only predicts where there is no other.

    Or a PyTorch module (N, 4, L), with `untrained_seed` as its function builds it; or an ONNX file as a function. Of an
    ensemble a list, its members.
    """
    if path.name == ENSEMBLE:
        return [load_model(file) for file in member_files(path)]
    if path.name in OUTSIDE:
        from simbench_tf.models.outside import load_outside

        return load_outside(path, untrained_seed)
    if path.name == "kipoi.json":
        from simbench_tf.models.kipoi import load_kipoi_model

        return load_kipoi_model(json.loads(path.read_text(encoding="utf-8"))["source"]).model
    from simbench_tf.models.custom import load_trained

    return load_trained(path)


def find_model(model: Replicate, tasks: list[str], folder: Path) -> ModelOfRun:
    """Where a run keeps a model, and the number of the output that predicts each task.

    Raises
    ------
    InputError
        A model from Kipoi was not taken yet.
    """
    place = folder / "models" / model.name
    if model.members:
        return ModelOfRun(place / ENSEMBLE, outputs_of_tasks(model.model, tasks))
    if model.model.kipoi is not None:
        return kipoi_model_of_run(place)
    if model.model.is_outside:
        file = "torch.json" if model.model.torch else "onnx.json"
        return ModelOfRun(place / file, outputs_of_tasks(model.model, tasks))
    return ModelOfRun(place / "model.keras", outputs_of_tasks(model.model, tasks))


def outputs_of_tasks(model: Model, tasks: list[str]) -> dict[str, int]:
    """The number of the output that predicts each task: as configured, else the tasks in order."""
    return {task: number for number, task in enumerate(tasks)} if model.outputs is None else dict(model.outputs)


def metrics_file(folder: Path, model: str) -> Path:
    """Where a run keeps what a model reaches on the test split."""
    return folder / "models" / model / "metrics.json"


def predictions_fingerprint(folder: Path, model: str) -> str:
    """Hash of what decides which sequences an outside model predicts, and of where its metrics are kept."""
    made_from = {"dataset": stage_checksums(folder, "simulate"), "model": model}
    return fingerprint("predictions", made_from)


def is_measured(folder: Path, model: str) -> bool:
    """Whether a run holds metrics of an outside model; those of an earlier data set do not count, with a warning."""
    if fresh_files(folder, predictions_fingerprint(folder, model)):
        return True
    if (path := metrics_file(folder, model)).is_file():
        mend = f"take it again with `simbench score RUN --predictions FILE --model-name {model}`, or delete it"
        warnings.warn(f"{path}: left out, it is not of the test split as it is now; {mend}", stacklevel=2)
    return False


def snapshots_of(folder: Path, model: str) -> Path:
    """Where a run keeps the snapshots of a model."""
    return folder / "models" / model / "snapshots"
