"""Perfect models in the train stage: what the grammar of the data makes, with nothing trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from simbench_tf.config import Config, GrammarSimulation, Model, SequenceClass, Stretch
from simbench_tf.dataset import Dataset
from simbench_tf.dataset_grammar import grammar_of
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.motifs import load_motifs
from simbench_tf.simulate.grammar import Grammar, build_grammar

_Settings = TypeVar("_Settings", GrammarSimulation, SequenceClass, Stretch)
_Backgrounds = TypeVar("_Backgrounds", GrammarSimulation, SequenceClass)
_log = logging.getLogger(__name__)


def build_before_data(model: Model, config: Config) -> Any:
    """The model as the data that are not drawn yet will make it, to check it; a background's file is not read.

    Raises
    ------
    InputError
        A setting does not fit the grammar.
    """
    simulation = config.simulation
    assert isinstance(simulation, GrammarSimulation)
    classes = [_without_files(each) for each in simulation.classes]
    simulation = _without_files(simulation).model_copy(update={"classes": classes})
    return _built(model, build_grammar(simulation, load_motifs(simulation.motifs)))


def _without_files(settings: _Backgrounds) -> _Backgrounds:
    """Without the FASTA files of a background and of stretches."""
    stretches = [_without_file(each) for each in settings.stretches]
    return _without_file(settings).model_copy(update={"stretches": stretches})


def _without_file(settings: _Settings) -> _Settings:
    """Without the FASTA file of a background."""
    if not isinstance(settings.background, Path):
        return settings
    return settings.model_copy(update={"background": "human", "background_order": None})


def make_from_data(model: Model, dataset: Dataset, folder: Path, config: Config) -> list[Path]:
    """Write RUN/models/MODEL of a model that the grammar of the data makes; returns its files.

    Raises
    ------
    InputError
        The configuration draws other sequences than the data set holds, or a setting does not fit its grammar.
    """
    from simbench_tf.models.custom import write_function
    from simbench_tf.perfect.build import MODULES
    from simbench_tf.training import predict, split_metrics, write_metrics

    _log.warning("models.%s is made from the grammar of the data as it is: nothing is trained", model.name)
    grammar = grammar_of(dataset, config, f"models.{model.name}", "leave the model out")
    network = _built(model, grammar)
    files = [folder / name for name in ("model.keras", "history.csv", "metrics.json")]
    with whole_file(files[0]) as partial:
        network.save(partial)
    if (module := MODULES.get(str(model.architecture))) is not None:
        files.append(write_function(folder, module))
    write_empty_history(files[1])
    predicted = predict(network, dataset.bases("test"))
    write_metrics(files[2], split_metrics(dataset.labels("test"), predicted, dataset.tasks))
    return files


def _built(model: Model, grammar: Grammar) -> Any:
    from simbench_tf.perfect.build import build_from_data

    try:
        return build_from_data(model, grammar)
    except InputError as error:
        raise InputError(f"models.{model.name}.settings.{error.where}", error.what, error.mend) from error


def write_empty_history(path: Path) -> None:
    """Of a model that the run did not train, the head alone."""
    with whole_file(path) as partial:
        pd.DataFrame(columns=["batch", "n_sequences_seen", "loss"]).to_csv(partial, index=False)
