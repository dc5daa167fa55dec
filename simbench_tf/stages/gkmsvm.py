"""gkm-SVMs in the train stage: RUN/models/MODEL of `architecture: gkmsvm`, a machine for each task."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench_tf.config import GkmSvmSettings, Replicate
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.parallel import Track

_log = logging.getLogger(__name__)


def settings_of(replicate: Replicate) -> GkmSvmSettings:
    """The settings of a gkm-SVM, defaults filled in."""
    return GkmSvmSettings.model_validate(replicate.model.settings)


def inputs(replicate: Replicate) -> dict[str, Any]:
    """What a gkm-SVM depends on beside the data set, as plain values."""
    return {
        "model": {"name": replicate.name, "architecture": replicate.model.architecture},
        "settings": settings_of(replicate).model_dump(mode="json"),
        "seed": replicate.seed,
    }


def check_settings(replicate: Replicate, seq_length: int) -> None:
    """See that a gkm-SVM can be trained on sequences of a length: gkmsvm-lite is there, and words fit.

    Raises
    ------
    InputError
        It is not, or they do not.
    """
    from simbench_tf.models.gkmsvm import mismatch_values

    kernel, _ = _kernel(replicate)
    try:
        mismatch_values(kernel)
        kernel.weights(seq_length)
    except InputError as error:
        raise InputError(f"models.{replicate.model.name}", f"{error.where} {error.what}", error.mend) from error


def _kernel(replicate: Replicate) -> tuple[Any, dict[str, Any]]:
    """The kernel, and the settings that are not the kernel's."""
    from simbench_tf.models.gkmsvm import Kernel

    settings = settings_of(replicate).model_dump()
    return Kernel(**{name: settings.pop(name) for name in Kernel._fields}), settings


def train_machines(replicate: Replicate, dataset: Dataset, folder: Path, track: Track) -> list[Path]:
    """Train, and write RUN/models/MODEL; returns its files, the measures last.

    Raises
    ------
    InputError
        gkmsvm-lite is not installed, words are longer than sequences, or a task has one class.
    """
    from simbench_tf.models.custom import write_function
    from simbench_tf.models.gkmsvm import decision_layer, gkmsvm, write_lsgkm
    from simbench_tf.training import predict, split_metrics, write_metrics

    kernel, settings = _kernel(replicate)
    bases, labels = dataset.bases("train"), dataset.labels("train")
    rows = sum(min(settings["max_sequences"], int((column <= 1).sum())) for column in labels.T)
    _log.info("training %s: a gkm-SVM a task, on %d sequences in all", replicate.name, rows)
    with track(f"train {replicate.name}", rows) as advance:
        try:
            model = gkmsvm(bases, labels, kernel, seed=replicate.seed, progress=advance, **settings)
        except InputError as error:
            raise InputError(f"models.{replicate.model.name}", f"{error.where} {error.what}", error.mend) from error
    files = [folder / "model.keras"]
    with whole_file(files[0]) as partial:
        model.save(partial)
    files.append(write_function(folder, "simbench_tf.models.gkmsvm:gkmsvm"))
    for task, machine in zip(dataset.tasks, decision_layer(model).machines, strict=True):
        if kernel.kernel == "gkm":
            files.append(folder / f"{task}.lsgkm.txt")
            with whole_file(files[-1]) as partial:
                write_lsgkm(machine, kernel, partial)
    files += [folder / "history.csv", folder / "metrics.json"]
    with whole_file(files[-2]) as partial:
        _history(model, dataset, rows).to_csv(partial, index=False)
    predicted = predict(model, dataset.bases("test"))
    write_metrics(files[-1], split_metrics(dataset.labels("test"), predicted, dataset.tasks))
    return files


def _history(model: Any, dataset: Dataset, rows: int) -> pd.DataFrame:
    """One row: there are no rounds. What it would say of the loss a machine does not have."""
    from simbench_tf.training.evaluate import validation_metrics, validation_set

    validation = validation_set(dataset, dataset.counts["valid"])
    measured = {} if validation is None else validation_metrics(model, validation, dataset.tasks)
    return pd.DataFrame([{"batch": 1, "n_sequences_seen": rows, "loss": np.nan, **measured}])
