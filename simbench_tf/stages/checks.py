"""Checks ahead: what can be known to be wrong with a run is said before anything is computed."""

from __future__ import annotations

from pathlib import Path

from simbench_tf.config import Config
from simbench_tf.run.manifest import read_manifest
from simbench_tf.stages.simulate import check_files
from simbench_tf.stages.train import check_models, inputs


def check_ahead(config: Config, folder: Path) -> None:
    """Check the files, functions and entries that a configuration names, and every model against the data.

    Models that the run holds already are not built again; where only the data say how long the sequences are, models
    are checked when the data are there, before the first is trained.

    Raises
    ------
    InputError
        A file, function or entry is missing; a model cannot be built, or its input or outputs do not fit.
    """
    check_files(config)
    for replicate in config.replicates:
        inputs(config, replicate)
    records, length = read_manifest(folder), config.simulation.length
    missing = [each for each in config.replicates if f"models/{each.name}/metrics.json" not in records]
    if missing and length is not None:
        check_models(missing, length, config.tasks, config.attribution.output)
