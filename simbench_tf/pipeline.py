"""The order of the stages: simulate, train, dynamics, attribute, oracle, score, motifs, report.

A stage that is up to date is skipped. Every result is recorded in RUN/manifest.json under a fingerprint of what it was
made from, so a run that was killed is resumed where it stopped, and a changed setting repeats exactly what depends on
it.
"""

from __future__ import annotations

from pathlib import Path

from simbench_tf.config import Config
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.run.attributions import all_attribution_files
from simbench_tf.run.folder import begin, check_folder
from simbench_tf.run.lock import locked
from simbench_tf.run.manifest import discard, forget_damaged, read_manifest
from simbench_tf.stages.attribute import attribute
from simbench_tf.stages.checks import check_ahead
from simbench_tf.stages.dynamics import dynamics, unwatched
from simbench_tf.stages.export import export
from simbench_tf.stages.motifs import forget, motifs
from simbench_tf.stages.oracle import oracle
from simbench_tf.stages.overwritten import check_overwrites
from simbench_tf.stages.report import report
from simbench_tf.stages.score import score
from simbench_tf.stages.simulate import simulate
from simbench_tf.stages.step import STAGES as STAGES
from simbench_tf.stages.train import train


def run(
    config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent, *, overwrite: bool = True
) -> Path:
    """Run every stage that is not up to date; return the path of the report.

    Without models, and without attributions of other tools, there is nothing to score: the data set is returned.

    Parameters
    ----------
    config : Config
        From `simbench_tf.config.load_config`.
    folder : path
        The run directory, made where missing.
    map_in_order : callable
        From `simbench_tf.parallel.workers`.
    track : callable
        ``track(description, total)`` is a context manager that yields ``advance(n)``.
    overwrite : bool, default True
        Make again what the configuration changes of a run that is there; False refuses where results would be lost.

    Raises
    ------
    InputError
        Anything wrong with the configuration, its files or the output folder; results would be lost; or another process
        is writing into the folder.
    """
    check_folder(folder)
    if not overwrite:
        check_overwrites(config, folder)
    check_ahead(config, folder)
    with locked(folder):
        return _run_stages(config, folder, map_in_order, track)


def _run_stages(config: Config, folder: Path, map_in_order: MapInOrder, track: Track) -> Path:
    begin(config, folder)
    simulate(config, folder, map_in_order, track)
    train(config, folder, track)
    discard(folder, unwatched(config, read_manifest(folder)))  # the report would take those of an earlier configuration
    if config.dynamics is not None:
        dynamics(config, folder, map_in_order, track)
    attribute(config, folder, map_in_order, track)
    if config.simulation.has_oracle:
        oracle(config, folder, map_in_order, track)
    if not config.models and not all_attribution_files(config, folder):
        forget_damaged(folder, STAGES[:-1])
        return folder / "dataset"
    score(config, folder, track, map_in_order)
    if config.discovery is not None:
        motifs(config, folder, map_in_order, track)
    else:
        forget(config, folder)
    forget_damaged(folder, STAGES[:-1])
    path = report(config, folder)
    if config.export.kipoi:
        export(config, folder)
    return path
