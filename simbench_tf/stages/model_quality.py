"""Models of a run by their quality (auROC): its trained ones and snapshots of their training; those nearest another.

What a method finds depends on how good the model is, so that what is fitted to one model speaks of others as good. And
on its training: those of one model from several seeds stand together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.models import find_model, load_model, metrics_file, snapshots_of
from simbench_tf.stages.dynamics import checkpoints_of
from simbench_tf.tables import UNLABELLED

#: Sequences of the test split that a snapshot's auROC is measured on, at most.
N_MEASURED = 2_000


class Training(NamedTuple):
    """A model of a run, as it was kept or after some batches of its training, and what it reaches of a task."""

    model: str
    auroc: float
    model_file: Path
    target: int
    weights: Path | None = None
    batch: int | None = None

    def load(self) -> Any:
        """The model with these weights."""
        model = load_model(self.model_file)
        if self.weights is not None:
            model.load_weights(str(self.weights))
        return model


class Quality(NamedTuple):
    """Trainings of a model from several seeds, or one, after as many batches: they are about as good."""

    name: str
    trainings: tuple[Training, ...]

    @property
    def auroc(self) -> float:
        """The mean of the trainings'."""
        return float(np.mean([each.auroc for each in self.trainings]))


def qualities(config: Config, folder: Path, dataset: Dataset, task: str) -> list[Quality]:
    """Trained models of a run and snapshots of them, as far as their auROC is known or can be measured."""
    found: dict[str, list[Training]] = {}
    for replicate in config.replicates:
        # what is made of the grammar has no like among models of real regions; a gkm-SVM has methods of its own
        if replicate.model.is_from_data or replicate.model.is_gkmsvm:
            continue
        model_file, outputs = find_model(replicate, config.tasks, folder)
        auroc = auroc_beside(metrics_file(folder, replicate.name), task)
        if auroc is None:
            continue
        kept = Training(replicate.name, auroc, model_file, outputs[task])
        # an ensemble is another model than its members
        name = replicate.name if replicate.members else replicate.model.name
        for each in (*_snapshots(kept, folder, dataset, config.seed, task), kept):
            found.setdefault(name if each.batch is None else f"{name} after {each.batch} batches", []).append(each)
    return [Quality(name, tuple(trainings)) for name, trainings in found.items()]


def auroc_beside(path: Path, task: str) -> float | None:
    """The auROC of a task in a metrics.json; None where there is none."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get(task, {}).get("auroc")
    except (ValueError, AttributeError) as error:
        raise InputError(path, "is no metrics.json of a run", "give --auroc") from error
    return None if value is None else float(value)


def nearest(found: list[Quality], auroc: float | None) -> Quality:
    """The quality that is nearest an auROC; of one alone that one, whatever it is.

    Raises
    ------
    InputError
        There is none, or there are several and the auROC is not known.

    Examples
    --------
    >>> of = lambda name, *aurocs: Quality(name, tuple(Training(name, each, Path("f"), 0) for each in aurocs))
    >>> nearest([of("a", .6), of("b", .66, .76), of("c", .8)], .72).name
    'b'
    """
    if not found:
        raise InputError("RUN", "has no trained model whose auROC is known", "finish it with `simbench run`")
    if len(found) == 1:
        return found[0]
    if auroc is None:
        what = "is not known: no metrics.json stands beside --model, and RUN has models of several qualities"
        raise InputError("--auroc", what, "give what the model reaches on held-out regions, e.g. --auroc 0.65")
    return min(found, key=lambda each: abs(each.auroc - auroc))


def _snapshots(kept: Training, folder: Path, dataset: Dataset, seed: int, task: str) -> list[Training]:
    """Snapshots of a model up to the round that was kept, but for the untrained one."""
    place = snapshots_of(folder, kept.model)
    if kept.model_file.suffix != ".keras" or not place.is_dir():
        return []
    labels = dataset.labels("test")[:, dataset.tasks.index(task)]
    rows = np.sort(choose_rows(seed, f"quality {task}", np.flatnonzero(labels != UNLABELLED), N_MEASURED))
    bases, model, found = dataset.bases("test")[rows], load_model(kept.model_file), []
    for batch, path in checkpoints_of(kept.model_file, place)[:-1]:
        if batch:
            model.load_weights(path)
            auroc = _auroc(model, bases, labels[rows], kept.target)
            found.append(kept._replace(auroc=auroc, weights=Path(path), batch=batch))
    return found


def _auroc(model: Any, bases: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], target: int) -> float:
    from simbench_tf.training.evaluate import predict

    return float(roc_auc_score(labels, predict(model, bases)[:, target]))
