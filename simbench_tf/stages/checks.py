"""Checks ahead: what can be known to be wrong with a run is said before anything is computed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from simbench_tf.config import Config
from simbench_tf.run.folder import check_requests
from simbench_tf.run.manifest import read_manifest
from simbench_tf.stages.simulate import check_files
from simbench_tf.stages.train import check_models, inputs

_log = logging.getLogger(__name__)


def check_ahead(config: Config, folder: Path) -> None:
    """Check the files, functions and entries that a configuration names, every model against the data, and
    every method against the models.

    Models that the run holds already are not built again; where only the data say how long the sequences are, models
    are checked when the data are there, before the first is trained.

    Raises
    ------
    InputError
        A method or setting is unknown; a file, function or entry is missing; a model cannot be built, or its
        input or outputs do not fit; a method has no rule for one of its layers.
    """
    check_requests(config)
    check_files(config)
    for replicate in config.replicates:
        inputs(config, replicate)
    records, length = read_manifest(folder), config.simulation.length
    missing = [each for each in config.replicates if f"models/{each.name}/metrics.json" not in records]
    if missing and length is not None:
        for name, network in check_models(missing, length, config.tasks, config.attribution.output).items():
            check_methods(config, network, length)
            say_unseen(name, network, length)


def say_unseen(name: str, network: Any, seq_length: int) -> None:
    """Say in a note which bases a network cannot see, whatever it learns."""
    from simbench_tf.attribution.receptive_field import visible_bases

    unseen = np.flatnonzero(~visible_bases(network, seq_length))
    if unseen.size:
        where = f"{unseen.size} of {seq_length} bases, from {unseen[0]} to {unseen[-1]}"
        _log.warning("models.%s cannot see %s, and is not scored there; `padding: same` sees all", name, where)


def check_methods(config: Config, network: Any, seq_length: int) -> None:
    """Attribute two random sequences by every method but mutagenesis, which takes any model and long.

    Raises
    ------
    InputError
        A method has no rule for a layer of the model, or finds no layer to look at.
    """
    from simbench_tf.attribution import attribute, methods
    from simbench_tf.dna import one_hot

    x = one_hot(np.random.default_rng(0).integers(0, 4, (2, seq_length), np.uint8))
    asked = [*config.attribution.methods, *([config.dynamics.method] if config.dynamics is not None else [])]
    for method in asked:
        known, settings = methods()[method.method], dict(method.settings)
        if known.function.__module__.startswith("simbench_tf.attribution.mutagenesis"):
            continue
        if "n_steps" in known.settings:
            settings["n_steps"] = 1  # more of the same
        few = "shuffle:1" if (method.references or "").startswith("shuffle") else method.references
        attribute(network, x, method.method, references=few, output=config.attribution.output, **settings)
