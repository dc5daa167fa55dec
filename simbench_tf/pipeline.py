"""The stages of a run, in order: simulate, train, dynamics, attribute, oracle, score, report. What is up to date stays.

Every result is recorded in RUN/manifest.json under a fingerprint of what it was made from, so a run that was killed
goes on where it stopped, and a changed setting repeats exactly what depends on it.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simbench_tf._explained_parts import discard_parts
from simbench_tf._explained_references import n_shuffles, references_file, write_references
from simbench_tf.begun import begin
from simbench_tf.ceilings import n_explained_by_oracle, note_ceilings, read_ceilings, write_oracle
from simbench_tf.config import Config, Replicate
from simbench_tf.dataset import Dataset, finish_dataset, open_dataset, write_part
from simbench_tf.devices import device, is_chief
from simbench_tf.errors import InputError
from simbench_tf.explained import Explained, explained, explained_rows, write_explained
from simbench_tf.files import checksum
from simbench_tf.learnt import Step, steps_of, write_dynamics
from simbench_tf.manifest import (
    amend_record,
    discard_stale,
    fingerprint,
    fresh_files,
    read_manifest,
    stage_checksums,
    write_records,
)
from simbench_tf.others import all_explained
from simbench_tf.probed import Probes, probed_file, probes_of, write_probed
from simbench_tf.reported import write_run_report
from simbench_tf.scored import write_scores
from simbench_tf.simulated import by_content, prepare
from simbench_tf.trained import snapshots_of, trained_from, write_trained
from simbench_tf.workers import MapInOrder, Track, silent

#: Sequences in a part file of the data set and in one file of work; constants, so no result depends on the workers.
PART_SEQUENCES = 50_000

#: Stages in order; `dynamics` only where it is asked for, as `export`, which is one more.
STAGES = ("simulate", "train", "dynamics", "attribute", "oracle", "score", "report")


def run(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> Path:
    """Run every stage that is not up to date; return the path of the report.

    Parameters
    ----------
    config : Config
        From `simbench_tf.config.load_config`.
    folder : path
        The run directory, made where missing.
    map_in_order : callable
        From `simbench_tf.workers.workers`.
    track : callable
        ``track(description, total)`` is a context manager that yields ``advance(n)``.

    Raises
    ------
    InputError
        Anything wrong with the configuration, its files or the output folder.
    """
    begin(config, folder)
    simulate(config, folder, map_in_order, track)
    train(config, folder, track)
    if config.dynamics is not None:
        dynamics(config, folder, map_in_order, track)
    else:  # the report would take those of an earlier configuration
        shutil.rmtree(folder / "dynamics", ignore_errors=True)
    attribute(config, folder, map_in_order, track)
    if config.simulation.kind == "grammar":
        oracle(config, folder, map_in_order, track)
    score(config, folder, track)
    path = report(config, folder)
    if config.export.kipoi:
        export(config, folder)
    return path


def _step(
    folder: Path,
    stage: str,
    made_from: dict[str, Any],
    make: Callable[[], tuple[list[Path], dict[str, float]]],
    device: Callable[[], str] = lambda: "cpu",
) -> None:
    """Make the files of a step, and record them with the timings `make` gives, unless those on disk are fresh."""
    key = fingerprint(stage, made_from)
    if not fresh_files(folder, key):
        start = time.perf_counter()
        files, timings = make()
        write_records(folder, files, stage, key, time.perf_counter() - start, device(), **timings)


# simulate


def simulate(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> None:
    """Write RUN/dataset; parts that an earlier, interrupted call finished are kept."""
    key = fingerprint("simulate", {"simulation": by_content(config), "seed": config.seed, "name": config.name})
    discard_stale(folder, "simulate", key)
    if fresh_files(folder, key):
        return
    start = time.perf_counter()

    def record(files: list[Path], part: str = "") -> None:
        write_records(folder, files, "simulate", key + part, time.perf_counter() - start, "cpu")

    simulation = prepare(config, folder, map_in_order)
    n = simulation.n_sequences
    ranges = [(first, min(first + PART_SEQUENCES, n)) for first in range(0, n, PART_SEQUENCES)]
    wanted = [number for number in range(len(ranges)) if not fresh_files(folder, f"{key}:{number}")]
    with track("simulate", len(ranges)) as advance:
        advance(len(ranges) - len(wanted))
        drawn = simulation.parts([ranges[number] for number in wanted])
        for number, (sequences, sites) in zip(wanted, drawn, strict=True):
            record(write_part(folder / "dataset", number, sequences, sites), f":{number}")
            advance(1)
    record(
        finish_dataset(
            folder / "dataset",
            name=config.name,
            n_parts=len(ranges),
            kind=config.simulation.kind,
            tasks=config.tasks,
            motifs=simulation.motifs,
            notes=simulation.notes,
            motif_log=simulation.motif_log,
        )
    )


# train


def train(config: Config, folder: Path, track: Track = silent) -> None:
    """Write RUN/models/MODEL for every model of the configuration, or model and seed.

    With `dynamics` also the snapshots of its weights, which are that stage's: without it, none is missed.
    """
    dataset = _dataset_checksums(folder)
    for replicate in config.replicates:
        made_from = {"dataset": dataset, **trained_from(config, replicate)}
        keys = {"train": fingerprint("train", made_from)}
        if config.dynamics is not None and replicate.model.kipoi is None:
            keys["dynamics"] = fingerprint("snapshots", {**made_from, "checkpoints": config.dynamics.checkpoints})
        if not all(fresh_files(folder, key) for key in keys.values()):
            start = time.perf_counter()
            written = write_trained(config, folder, replicate, "+".join(keys.values()), track)
            seconds = time.perf_counter() - start
            for stage, key in keys.items() if written.files else ():
                write_records(folder, written.files[stage], stage, key, seconds, written.device, **written.how)
    if is_chief():
        _note_ceilings(config, folder)


def _dataset_checksums(folder: Path) -> dict[str, str]:
    if not (folder / "dataset" / "dataset.json").is_file():
        raise InputError(folder, "has no finished data set", "make it with `simbench simulate`")
    return stage_checksums(folder, "simulate")


# dynamics


def dynamics(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> Path:
    """Write RUN/dynamics/MODEL: which motif each trained model had learnt by which batch; return RUN/dynamics.

    Raises
    ------
    InputError
        The configuration asks for none, or a model was trained without snapshots of its weights.
    """
    if config.dynamics is None:
        mend = "add `dynamics: {}` to the configuration, or `--set dynamics={}` to `simbench run`, and train with it"
        raise InputError(folder, "was not asked for learning dynamics", mend)
    dataset, target = open_dataset(folder / "dataset"), folder / "dynamics"

    def make(replicate: Replicate, steps: list[Step]) -> tuple[list[Path], dict[str, float]]:
        model_file = folder / "models" / replicate.name / "model.keras"
        with track(f"dynamics {replicate.name}", len(steps)) as advance:
            return write_dynamics(
                config, dataset, model_file, steps, target / replicate.name, map_in_order, advance
            ), {}

    for replicate in (replicate for replicate in config.replicates if replicate.model.kipoi is None):
        steps = steps_of(folder / "models" / replicate.name / "model.keras", snapshots_of(folder, replicate.name))
        made_from = {
            "model": replicate.name,
            "dataset": _dataset_checksums(folder),
            "dynamics": config.dynamics.model_dump(mode="json"),
            "seed": config.seed,
            "weights": [(batch, checksum(Path(path))) for batch, path in steps],
        }
        _step(folder, "dynamics", made_from, functools.partial(make, replicate, steps), device)
    return target


# attribute


def attribute(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> None:
    """Write RUN/attributions/MODEL/TASK/KEY.h5 for every model, task and method of the configuration.

    And RUN/knockouts/MODEL/TASK/KEY.h5 for tasks whose label depends on how elements stand together.
    """
    made_from = {
        "dataset": _dataset_checksums(folder),
        "seed": config.seed,
        **config.attribution.model_dump(mode="json", include={"n_sequences", "split", "output", "arrays"}),
    }
    dataset = open_dataset(folder / "dataset")
    probes = probes_of(config, dataset, folder)
    references = _references(config, folder, dataset, made_from)

    def make(file: Explained, key: str) -> tuple[list[Path], dict[str, float]]:
        n_sequences = len(explained_rows(dataset, config, file.task))
        with track(f"{file.model} {file.task} {file.key}", n_sequences) as advance:
            seconds = write_explained(file, config, dataset, references, key, map_in_order, advance)
        return [file.path], {"seconds_per_sequence": seconds}

    def probe(file: Explained, mine: list[Probes], key: str) -> tuple[list[Path], dict[str, float]]:
        with track(f"{file.model} {file.task} {file.key} knock-outs", 3 * sum(len(p.rows) for p in mine)) as advance:
            return [write_probed(file, config, folder, mine, key, map_in_order, advance)], {}

    for file in explained(config, folder):
        if not file.model_file.is_file():
            raise InputError(file.model_file, "is missing", "train it with `simbench train`")
        method = file.method.model_dump(mode="json")
        step = {**made_from, "model": checksum(file.model_file), "task": file.task, "method": method}
        _step(folder, "attribute", step, functools.partial(make, file, fingerprint("attribute", step)), device)
        mine = [each for each in probes if each.interaction.task == file.task]
        if mine:
            step = {**step, "simulation": by_content(config), "probes": "knocked out"}
            key = fingerprint("attribute", step)
            _step(folder, "attribute", step, functools.partial(probe, file, mine, key), device)
    for results in ("attributions", "knockouts"):
        discard_parts(folder / results)


def _references(config: Config, folder: Path, dataset: Dataset, made_from: dict[str, Any]) -> Path:
    """Write the shuffles that methods compare with, where any does; return their file."""
    path = references_file(folder)
    most = max(n_shuffles(method) for method in config.attribution.methods)
    tasks = config.attribution.tasks or config.tasks
    if most:

        def make() -> tuple[list[Path], dict[str, float]]:
            rows = [explained_rows(dataset, config, task) for task in tasks]
            write_references(config, dataset, np.unique(np.concatenate(rows)), path)
            return [path], {}

        _step(folder, "attribute", {**made_from, "shuffles": most, "tasks": tasks}, make)
    return path


# oracle


def oracle(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> Path:
    """Write RUN/oracle for grammar data, and the ceilings into each model's metrics.json; return ceilings.csv.

    Raises
    ------
    InputError
        There is no data set, or it is not a grammar's.
    """
    key = _oracle_key(config, folder)
    discard_stale(folder, "oracle", key)
    if not fresh_files(folder, key):
        start = time.perf_counter()
        dataset = open_dataset(folder / "dataset")
        with track("oracle", n_explained_by_oracle(config, dataset)) as advance:
            files = write_oracle(config, dataset, folder, map_in_order, advance)
        write_records(folder, files, "oracle", key, time.perf_counter() - start, "cpu")
    _note_ceilings(config, folder)
    return folder / "oracle" / "ceilings.csv"


def _oracle_key(config: Config, folder: Path) -> str:
    made_from = {
        "dataset": _dataset_checksums(folder),
        "seed": config.seed,
        "motifs": config.scoring.motifs,
        **config.attribution.model_dump(mode="json", include={"n_sequences", "split", "tasks", "output"}),
    }
    return fingerprint("oracle", made_from)


def _note_ceilings(config: Config, folder: Path) -> None:
    """Write the ceilings into each model's metrics.json, where both are there; the record follows the file."""
    if not fresh_files(folder, _oracle_key(config, folder)):
        return
    records = read_manifest(folder)
    for replicate in config.replicates:
        path = folder / "models" / replicate.name / "metrics.json"
        record = records.get(path.relative_to(folder).as_posix())
        if record is not None and note_ceilings(path, read_ceilings(folder)):
            amend_record(folder, path)


# score


def score(config: Config, folder: Path, track: Track = silent) -> Path:
    """Write RUN/scores, `scored.write_scores`; return the path of summary.csv."""
    files = all_explained(config, folder)
    for file in files:
        if not file.path.is_file():
            raise InputError(file.path, "is missing", "make it with `simbench attribute`")
    made = [path for file in files for path in (file.path, probed_file(file, folder))]

    def make() -> tuple[list[Path], dict[str, float]]:
        with track("score", len(files)) as advance:
            return write_scores(config, folder, files, advance), {}

    _step(
        folder,
        "score",
        {
            "dataset": _dataset_checksums(folder),
            "attributions": {str(path.relative_to(folder)): checksum(path) for path in made if path.is_file()},
            "oracle": stage_checksums(folder, "oracle"),
            "scoring": config.scoring.model_dump(mode="json"),
        },
        make,
    )
    return folder / "scores" / "summary.csv"


# report


def report(config: Config, folder: Path) -> Path:
    """Write RUN/report.html and return its path.

    Raises
    ------
    InputError
        The run was not scored.
    """
    target = folder / "report.html"
    if not (folder / "scores" / "summary.csv").is_file():
        raise InputError(folder, "has no scores", "make them with `simbench score`")
    made_from = {stage: stage_checksums(folder, stage) for stage in STAGES[:-1]}
    _step(
        folder,
        "report",
        {**made_from, "config": config.model_dump(mode="json")},
        lambda: ([write_run_report(config, folder, target)], {}),
    )
    return target


# export


def export(config: Config, folder: Path) -> list[Path]:
    """Write RUN/kipoi/MODEL, a Kipoi entry of every model of the run; return the entries' folders."""
    entries = []
    for name in (each.name for each in config.replicates if each.model.kipoi is None):  # the others are entries
        target = folder / "kipoi" / name
        _step(
            folder,
            "export",
            {"train": stage_checksums(folder, "train"), "model": name},
            functools.partial(_export_one, folder, name, target),
        )
        entries.append(target)
    return entries


def _export_one(folder: Path, model: str, target: Path) -> tuple[list[Path], dict[str, float]]:
    from simbench_tf.export import export_run

    export_run(folder, model, target, overwrite=True)
    return [path for path in sorted(target.rglob("*")) if path.is_file()], {}
