"""What a run tells about a model it trained, in the words of a Kipoi entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from simbench_tf.config import Config, GrammarSimulation, Replicate, TextSimulation, load_config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.models.custom import load_trained

_ARCHITECTURES = {
    "basset": "Basset (Kelley et al. 2016, https://doi.org/10.1101/gr.200535.115)",
    "beluga": "DeepSEA Beluga (Zhou et al. 2018, https://doi.org/10.1038/s41588-018-0160-6)",
}
_SIMULATION = (
    "Prakash, Shrikumar and Kundaje, Towards More Realistic Simulated Datasets for Benchmarking Deep Learning Models "
    "in Regulatory Genomics, PMLR 165:58-77 (2021), https://proceedings.mlr.press/v165/prakash22a.html"
)


#: On so many test sequences the change by float16 is measured.
_SEQUENCES = 1000


class Trained(NamedTuple):
    """A model of a run, test sequences of its data, and what is to be said of it."""

    model: Any
    task_names: list[str]
    sequences: npt.NDArray[np.uint8]
    dataset_name: str
    doc: str
    cite_as: str
    trained_on: str
    training_procedure: str


def read_trained(run: Path, name: str) -> Trained:
    """Load RUN/models/NAME and describe it.

    Raises
    ------
    InputError
        The run, its data set or the model is missing.
    """
    folder = run / "models" / name
    if not (run / "config.yaml").is_file():
        raise InputError(run, "is not a run: it has no config.yaml", "begin it with `simbench simulate`")
    if not (folder / "model.keras").is_file():
        known = ", ".join(sorted(path.parent.name for path in run.glob("models/*/model.keras"))) or "none"
        raise InputError(folder, "holds no trained model", f"trained are: {known}")
    config, dataset = load_config(run / "config.yaml"), open_dataset(run / "dataset")
    replicate = _replicate_of(config, name)
    architecture = _ARCHITECTURES.get(replicate.model.architecture or "", "a Keras model of the user's own")
    width = f", width {replicate.model.width:g}" if replicate.model.architecture else ""
    return Trained(
        model=load_trained(folder / "model.keras"),
        task_names=dataset.tasks,
        sequences=dataset.bases("test")[:_SEQUENCES],
        dataset_name=dataset.name,
        doc=f"{architecture}{width}, trained on simulated DNA whose motifs are known. "
        f"From {dataset.seq_length} bases it predicts the probability of each label. {_metrics(folder)}",
        cite_as=f"{_SIMULATION}; architecture: {architecture}",
        trained_on=_trained_on(config, dataset, run),
        training_procedure=_procedure(config, replicate.seed),
    )


def _replicate_of(config: Config, name: str) -> Replicate:
    for replicate in config.replicates:
        if name == replicate.name:
            return replicate
    raise InputError(f"models/{name}", "is no model of the run's configuration", "name one of its models")


def _metrics(folder: Path) -> str:
    path = folder / "metrics.json"
    if not path.is_file():
        raise InputError(path, "is missing", "train the model again with `simbench train`")
    metrics = json.loads(path.read_text(encoding="utf-8"))
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
    if isinstance(simulation, GrammarSimulation):
        source = f"drawn from a motif grammar of {len(simulation.elements)} elements"
    elif isinstance(simulation, TextSimulation):
        source = f"simulated elsewhere, their sites told ({', '.join(simulation.positives)})"
    else:
        source = f"of dinucleotide-shuffled peaks with their motif hits put back ({', '.join(simulation.peaks)})"
    recorded = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")).get("versions", {})
    counts = ", ".join(f"{n:,} {split}" for split, n in dataset.counts.items())
    motifs = " (JASPAR 2022, CC BY 4.0)" if simulation.motifs in ("default", "jaspar:2022") else ""
    version = recorded.get("simbench_tf", "of unknown version")
    return (
        f"Data set {dataset.name}: sequences of {dataset.seq_length} bases {source}{motifs}; {counts}; "
        f"simulated by simbench_tf {version} with seed {config.seed}."
    )


def _procedure(config: Config, seed: int) -> str:
    training = config.training
    return (
        f"Adam, learning rate {training.learning_rate:g}, batches of {training.batch_size}, binary cross-entropy, "
        f"at most {training.max_batches:,} batches, early stopping on the validation split with patience "
        f"{training.patience}; seed {seed}."
    )
