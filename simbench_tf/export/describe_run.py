"""Describe a run's trained model in the fields of a Kipoi entry: doc, data, training procedure, citation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from simbench_tf.config import Config, Replicate, Training
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.models.custom import load_trained
from simbench_tf.run.folder import config_of
from simbench_tf.run.results import read_metrics

_ARCHITECTURES = {
    "basset": "Basset (Kelley et al. 2016, https://doi.org/10.1101/gr.200535.115)",
    "beluga": "DeepSEA Beluga (Zhou et al. 2018, https://doi.org/10.1038/s41588-018-0160-6)",
}
_SIMULATION = (
    "Prakash, Shrikumar and Kundaje, Towards More Realistic Simulated Datasets for Benchmarking Deep Learning Models "
    "in Regulatory Genomics, PMLR 165:58-77 (2021), https://proceedings.mlr.press/v165/prakash22a.html"
)


#: Test sequences on which the change by float16 is measured.
_MEASURED_SEQUENCES = 1000


class DescribedModel(NamedTuple):
    """A model of a run, test sequences of its data, and its description."""

    model: Any
    task_names: list[str]
    sequences: npt.NDArray[np.uint8]
    dataset_name: str
    doc: str
    cite_as: str
    trained_on: str
    training_procedure: str


def describe_model(run: Path, name: str) -> DescribedModel:
    """Load RUN/models/NAME and describe it.

    Raises
    ------
    InputError
        The run, its data set or the model is missing.
    """
    folder = run / "models" / name
    config = config_of(run)
    if not (folder / "model.keras").is_file():
        known = ", ".join(sorted(path.parent.name for path in run.glob("models/*/model.keras"))) or "none"
        raise InputError(folder, "holds no trained model", f"trained are: {known}")
    dataset = open_dataset(run / "dataset")
    replicate = _replicate_of(config, name)
    architecture = _ARCHITECTURES.get(replicate.model.architecture or "", "a Keras model of the user's own")
    width = f", width {replicate.model.width:g}" if replicate.model.architecture else ""
    return DescribedModel(
        model=load_trained(folder / "model.keras"),
        task_names=dataset.tasks,
        sequences=dataset.bases("test")[:_MEASURED_SEQUENCES],
        dataset_name=dataset.name,
        doc=f"{architecture}{width}, trained on simulated DNA whose motifs are known. "
        f"From {dataset.seq_length} bases it predicts the probability of each label. {_metrics(run, name)}",
        cite_as=f"{_SIMULATION}; architecture: {architecture}",
        trained_on=_trained_on(config, dataset, run),
        training_procedure=_procedure(config.training_for(replicate.model), replicate.seed),
    )


def _replicate_of(config: Config, name: str) -> Replicate:
    for replicate in config.replicates:
        if name == replicate.name:
            return replicate
    raise InputError(f"models/{name}", "is no model of the run's configuration", "name one of its models")


def _metrics(run: Path, model: str) -> str:
    metrics = read_metrics(run, model)
    parts = [
        f"{task} auROC {_number(one['auroc'])}, auPRC {_number(one['auprc'])} "
        f"(positives: {_number(one['positive_fraction'])})"
        for task, one in metrics.items()
    ]
    return f"On the test split: {'; '.join(parts)}."


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _trained_on(config: Config, dataset: Dataset, run: Path) -> str:
    simulation = config.simulation
    source = _SOURCES[simulation.kind](simulation)
    recorded = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")).get("versions", {})
    counts = ", ".join(f"{n:,} {split}" for split, n in dataset.counts.items())
    motifs = " (JASPAR 2022, CC BY 4.0)" if simulation.motifs in ("default", "jaspar:2022") else ""
    version = recorded.get("simbench_tf", "of unknown version")
    return (
        f"Data set {dataset.name}: sequences of {dataset.seq_length} bases {source}{motifs}; {counts}; "
        f"simulated by simbench_tf {version} with seed {config.seed}."
    )


#: Where the sequences come from, by the kind of simulation.
_SOURCES: dict[str, Callable[[Any], str]] = {
    "grammar": lambda simulation: f"drawn from a motif grammar of {len(simulation.elements)} elements",
    "text": lambda simulation: f"simulated elsewhere, their sites told ({', '.join(simulation.positives)})",
    "peaks": lambda simulation: (
        f"of dinucleotide-shuffled peaks with their motif hits put back ({', '.join(simulation.peaks)})"
    ),
}


def _procedure(training: Training, seed: int) -> str:
    """How a model was trained, in words: the recipe, then every other setting that is not the default.

    Examples
    --------
    >>> _procedure(Training(max_batches=500, l2=0.01, class_weight={"K562": 2}), seed=7)  # doctest: +ELLIPSIS
    'Adam, learning rate 0.001, ... at most 500 batches, ... patience 3; class_weight K562 2.0; l2 0.01; seed 7.'
    """
    recipe = (
        f"Adam, learning rate {training.learning_rate:g}, batches of {training.batch_size}, binary cross-entropy, "
        f"at most {training.max_batches:,} batches, early stopping on the validation split with patience "
        f"{training.patience}"
    )
    changed = training.model_dump(exclude_defaults=True, exclude=_IN_RECIPE | _NO_EFFECT)
    return "; ".join([recipe, *(f"{name} {_as_text(value)}" for name, value in changed.items()), f"seed {seed}."])


#: Settings of training that the recipe names, and those that do not change the trained model.
_IN_RECIPE = {"learning_rate", "batch_size", "max_batches", "patience"}
_NO_EFFECT = {"checkpoint_interval", "tensorboard", "steps_per_execution"}


def _as_text(value: Any) -> str:
    return ", ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else str(value)
