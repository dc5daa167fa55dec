"""Describe a run's trained model, for whoever gets it: architecture, data, training procedure, metrics, citation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from simbench_tf.config import Config, Replicate, Training, config_dict
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.export.papers import ARCHITECTURES, SIMULATION, Paper
from simbench_tf.plugins import version_of
from simbench_tf.run.folder import config_of
from simbench_tf.run.results import Metrics, read_ceilings, read_metrics, with_ceilings

#: Test sequences on which the change by float16 is measured.
_MEASURED_SEQUENCES = 1000


class DescribedModel(NamedTuple):
    """A model of a run, test sequences of its data, and its description.

    Attributes
    ----------
    model : keras.Model
    name : str
        Of its folder in RUN/models.
    task_names : list of str
    sequences : uint8 array, shape (N, L)
        Of the test split, 0-3 for A, C, G, T.
    dataset_name, kind : str
        Of the data set: its name, and whether a grammar, peaks or text gave it.
    architecture : str
        In words, with its width.
    papers : tuple of Paper
        Of the simulation and, where it is a published one, of the architecture.
    metrics : dict
        For each task auroc, auprc, positive_fraction on the test split; where the exact posterior is known, what that
        reaches: oracle_auroc, oracle_auprc.
    summary : str
        What it is and predicts, in two sentences.
    doc, cite_as, trained_on, training_procedure : str
        As a Kipoi entry has them; `doc` is the summary and the metrics.
    configuration : dict
        What `simbench run` takes to make data and model again, without the folders of its files.
    """

    model: Any
    name: str
    task_names: list[str]
    sequences: npt.NDArray[np.uint8]
    dataset_name: str
    kind: str
    architecture: str
    papers: tuple[Paper, ...]
    metrics: Metrics
    summary: str
    doc: str
    cite_as: str
    trained_on: str
    training_procedure: str
    configuration: dict[str, Any]


def describe_model(run: Path, name: str) -> DescribedModel:
    """Load RUN/models/NAME and describe it.

    Raises
    ------
    InputError
        The run, its data set or the model is missing.
    """
    from simbench_tf.models.custom import load_trained

    folder = run / "models" / name
    config = config_of(run)
    if not (folder / "model.keras").is_file():
        known = ", ".join(sorted(path.parent.name for path in run.glob("models/*/model.keras"))) or "none"
        raise InputError(folder, "holds no trained model", f"trained are: {known}")
    dataset = open_dataset(run / "dataset")
    replicate = _replicate_of(config, name)
    if replicate.model.is_gkmsvm:
        raise InputError(
            folder, "is a gkm-SVM, no Keras network for a zoo", "share its TASK.lsgkm.txt, LS-GKM's own form"
        )
    title, *of_architecture = ARCHITECTURES.get(
        replicate.model.architecture or "", ("a Keras model of the user's own",)
    )
    if replicate.model.is_plugged:
        package = version_of("architecture", str(replicate.model.architecture)).get("plugin", "another package")
        title = f"{replicate.model.architecture} of {package}"
    papers = (SIMULATION, *(each for each in of_architecture if isinstance(each, Paper)))
    named = "".join(f" ({paper.short}, {paper.url})" for paper in papers[1:])
    width = f", width {replicate.model.width:g}" if of_architecture else ""
    metrics = with_ceilings(read_metrics(run, name), read_ceilings(run))
    summary = (
        f"{title}{named}{width}, trained on simulated DNA whose motifs are known. From {dataset.seq_length} bases "
        "it predicts the probability of each label."
    )
    return DescribedModel(
        model=load_trained(folder / "model.keras"),
        name=name,
        task_names=dataset.tasks,
        sequences=dataset.bases("test")[:_MEASURED_SEQUENCES],
        dataset_name=dataset.name,
        kind=config.simulation.kind,
        architecture=f"{title}{width}",
        papers=papers,
        metrics=metrics,
        summary=summary,
        doc=f"{summary} {metrics_in_words(metrics)}",
        cite_as=papers[-1].url,
        trained_on=_trained_on(config, dataset, run),
        training_procedure=_procedure(config.training_for(replicate.model), replicate.seed),
        configuration=_configuration(config, replicate) | {"versions": _versions(run)},
    )


def _replicate_of(config: Config, name: str) -> Replicate:
    for replicate in config.replicates:
        if name == replicate.name:
            return replicate
    raise InputError(f"models/{name}", "is no model of the run's configuration", "name one of its models")


def metrics_in_words(metrics: Metrics) -> str:
    """What a model reaches on the test split, and where that is known what can be reached.

    Examples
    --------
    >>> values = {"auroc": 0.8, "auprc": 0.5, "positive_fraction": 0.1, "oracle_auroc": 0.9, "oracle_auprc": 0.6}
    >>> metrics_in_words({"K562": values})
    'On the test split: K562 auROC 0.800 (ceiling: 0.900), auPRC 0.500 (ceiling: 0.600; positives: 0.100).'
    """
    parts = []
    for task, one in metrics.items():
        auroc, auprc = (f"ceiling: {number(one[f'oracle_{name}'])}" if f"oracle_{name}" in one else ""
                        for name in ("auroc", "auprc"))  # fmt: skip
        beside = "; ".join(each for each in (auprc, f"positives: {number(one['positive_fraction'])}") if each)
        auroc = f" ({auroc})" if auroc else ""
        parts.append(f"{task} auROC {number(one['auroc'])}{auroc}, auPRC {number(one['auprc'])} ({beside})")
    return f"On the test split: {'; '.join(parts)}."


def number(value: float | None) -> str:
    """A measure with three digits, or that it is undefined."""
    return "undefined" if value is None else f"{value:.3f}"


def share(one: dict[str, float | None]) -> float | None:
    """How far a model's auROC is on the way from .5 to the ceiling; None where either is unknown.

    Examples
    --------
    >>> share({"auroc": 0.75, "oracle_auroc": 1.0})
    0.5
    """
    reached, ceiling = one["auroc"], one.get("oracle_auroc")
    return None if reached is None or ceiling is None or ceiling <= 0.5 else (reached - 0.5) / (ceiling - 0.5)


def _trained_on(config: Config, dataset: Dataset, run: Path) -> str:
    simulation = config.simulation
    source = _SOURCES.get(simulation.kind, _plugged_source)(simulation)
    counts = ", ".join(f"{n:,} {split}" for split, n in dataset.counts.items())
    motifs = " (JASPAR 2022, CC BY 4.0)" if simulation.motifs in ("default", "jaspar:2022") else ""
    version = _versions(run).get("simbench_tf", "of unknown version")
    return (
        f"Data set {dataset.name}: sequences of {dataset.seq_length} bases {source}{motifs}; {counts}; "
        f"simulated by simbench_tf {version} with seed {config.seed}. "
        f"The simulation: {SIMULATION.short}, {SIMULATION.url}."
    )


def _versions(run: Path) -> dict[str, str]:
    """Of the packages that made the run."""
    recorded = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return dict(recorded.get("versions") or {})


#: Where the sequences come from, by the kind of simulation.
_SOURCES: dict[str, Callable[[Any], str]] = {
    "grammar": lambda simulation: f"drawn from a motif grammar of {len(simulation.elements)} elements",
    "text": lambda simulation: f"simulated elsewhere, their sites told ({', '.join(simulation.positives)})",
    "peaks": lambda simulation: (
        f"of dinucleotide-shuffled peaks with their motif hits put back ({', '.join(simulation.peaks)})"
    ),
}


def _plugged_source(simulation: Any) -> str:
    package = version_of("simulator", simulation.kind).get("plugin", "another package")
    return f"drawn by {package} (kind {simulation.kind})"


def _procedure(training: Training, seed: int) -> str:
    """How a model was trained, in words: the recipe, then every other setting that bears on it.

    Examples
    --------
    >>> _procedure(Training(max_batches=500, l2=0.01, class_weight={"K562": 2}), seed=7)  # doctest: +ELLIPSIS
    'Adam, learning rate 0.001, ... at most 500 batches, ... class_weight K562 2.0; ... l2 0.01; ... seed 7.'
    """
    recipe = (
        f"Adam, learning rate {training.learning_rate:g}, batches of {training.batch_size}, binary cross-entropy, "
        f"at most {training.max_batches:,} batches, early stopping on the validation split with patience "
        f"{training.patience}"
    )
    others = training.model_dump(exclude=_IN_RECIPE | _NO_EFFECT)
    return "; ".join([recipe, *(f"{name} {_as_text(value)}" for name, value in others.items()), f"seed {seed}."])


#: Settings of training that the recipe names, and those that do not change the trained model.
_IN_RECIPE = {"learning_rate", "batch_size", "max_batches", "patience"}
_NO_EFFECT = {"checkpoint_interval", "tensorboard", "steps_per_execution"}


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return "none" if value is None else str(value)


def _configuration(config: Config, replicate: Replicate) -> dict[str, Any]:
    """The settings of data and model, as `simbench run` takes them; of files their names alone."""
    model = replicate.model
    own = {"keras": model.keras and Path(model.keras.name), "python": model.python and model.python.rpartition("/")[2]}
    simulation = config.simulation
    changed = {
        "simulation": simulation.model_copy(update=simulation.with_files(lambda path, _: Path(path.name))),
        "models": [model.model_copy(update=own)],
    }
    whole = config_dict(config.model_copy(update=changed))
    return {name: whole[name] for name in ("name", "seed", "simulation", "models", "training")}
