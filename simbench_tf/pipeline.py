"""The stages of a run, in order: simulate, train, attribute, score, report. A stage that is up to date is skipped.

Every result is recorded in RUN/manifest.json under a fingerprint of what it was made from, so a run that was killed
goes on where it stopped, and a changed setting repeats exactly what depends on it.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from simbench_tf import tables
from simbench_tf.config import (
    Config,
    GrammarSimulation,
    Model,
    PeaksSimulation,
    load_config,
    write_config,
)
from simbench_tf.dataset import Dataset, finish_dataset, open_dataset, write_part
from simbench_tf.errors import InputError
from simbench_tf.explained import Explained, explained, explained_rows, read_explained, write_explained
from simbench_tf.files import TEMPORARY_PREFIX, checksum, whole_file
from simbench_tf.manifest import discard_stale, fingerprint, fresh_files, read_manifest, stage_checksums, write_records
from simbench_tf.motifs import Motif, load_motifs
from simbench_tf.score import pooled_scores, score_attributions, summarise
from simbench_tf.workers import MapInOrder

#: Sequences in a part file of the data set and in one file of work; constants, so no result depends on the workers.
PART_SEQUENCES = 50_000

Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def silent(_description: str, _total: int) -> Iterator[Callable[[int], None]]:
    """Track progress without showing it."""
    yield lambda _n: None


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
    attribute(config, folder, map_in_order, track)
    score(config, folder, track)
    return report(config, folder)


def begin(config: Config, folder: Path) -> None:
    """Check the methods, make the run directory and write the resolved configuration into it.

    Raises
    ------
    InputError
        A method or setting is unknown, or the folder cannot be written or is not a run's.
    """
    from simbench_tf.attribution import method_key

    for method in config.attribution.methods:
        method_key(method.method, method.references, method.settings)
    path = folder / "config.yaml"
    if (
        path.exists()
        and not (folder / "manifest.json").exists()
        and "versions:" not in path.read_text(encoding="utf-8")
    ):
        raise InputError(folder, "holds a config.yaml that no run wrote", "choose another folder for the run")
    for leftover in folder.rglob(f"{TEMPORARY_PREFIX}*"):  # of a call that was killed
        leftover.unlink()
    write_config(config, path)


def config_of(folder: Path) -> Config:
    """Read the configuration of a run that was begun.

    Raises
    ------
    InputError
        The folder is not a run's.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(folder, "is not a run: it has no config.yaml", "begin it with `simbench simulate`")
    return load_config(path)


def _step(
    folder: Path,
    stage: str,
    made_from: dict[str, Any],
    make: Callable[[], list[Path]],
    device: Callable[[], str] = lambda: "cpu",
) -> list[Path]:
    """Files of a step: those on disk when they are fresh, else made and recorded."""
    key = fingerprint(stage, made_from)
    files = fresh_files(folder, key)
    if not files:
        start = time.perf_counter()
        files = make()
        write_records(folder, files, stage, key, time.perf_counter() - start, device())
    return files


# simulate


class _Simulation(NamedTuple):
    """A simulation ready to be drawn: `parts` gives (sequences, sites) of the ranges asked for, in order."""

    n_sequences: int
    parts: Callable[[list[tuple[int, int]]], Iterator[tuple[Any, Any]]]
    motifs: list[Motif]
    notes: dict[str, Any]
    motif_log: pd.DataFrame | None


def simulate(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> None:
    """Write RUN/dataset; parts that an earlier, interrupted call finished are kept."""
    key = fingerprint("simulate", {"simulation": _by_content(config), "seed": config.seed, "name": config.name})
    discard_stale(folder, "simulate", key)
    if fresh_files(folder, key):
        return
    start = time.perf_counter()

    def record(files: list[Path], part: str = "") -> None:
        write_records(folder, files, "simulate", key + part, time.perf_counter() - start, "cpu")

    if isinstance(config.simulation, PeaksSimulation):
        simulation = _prepare_peaks(config.simulation, config.seed, folder, map_in_order)
    else:
        simulation = _prepare_grammar(config.simulation, config.seed, map_in_order)
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
            kind=config.simulation.kind,
            tasks=config.tasks,
            motifs=simulation.motifs,
            notes=simulation.notes,
            motif_log=simulation.motif_log,
        )
    )


def _by_content(config: Config) -> dict[str, Any]:
    """The simulation's settings with every file's checksum in place of its path: moving a file changes nothing."""
    simulation = config.simulation
    settings = simulation.model_dump(mode="json")
    if simulation.motifs != "default" and not simulation.motifs.startswith("jaspar:"):
        settings["motifs"] = _file_checksum(Path(simulation.motifs), "simulation.motifs")
    if isinstance(simulation.background, Path):
        settings["background"] = _file_checksum(simulation.background, "simulation.background")
    if isinstance(simulation, PeaksSimulation):
        settings["genome"] = _file_checksum(simulation.genome, "simulation.genome")
        files = simulation.peaks.items()
        settings["peaks"] = {task: _file_checksum(file, f"simulation.peaks.{task}") for task, file in files}
    return settings


def _file_checksum(path: Path, key: str) -> str:
    if not path.is_file():
        raise InputError(
            path, f"is no file, but {key} names it", "mend the path; it is taken from the configuration's folder"
        )
    return checksum(path)


def _prepare_grammar(settings: GrammarSimulation, seed: int, map_in_order: MapInOrder) -> _Simulation:
    from simbench_tf.simulate import grammar as simulator

    grammar = simulator.build_grammar(settings, load_motifs(settings.motifs))
    draw = functools.partial(_draw_range, grammar, seed)
    return _Simulation(
        n_sequences=settings.n_sequences,
        parts=lambda ranges: map_in_order(draw, ranges),
        motifs=simulator.used_motifs(grammar),
        notes={
            "elements": simulator.element_tasks(grammar),
            "background": list(simulator.zero_order_background(grammar)),
        },
        motif_log=None,
    )


def _draw_range(grammar: Any, seed: int, bounds: tuple[int, int]) -> tuple[Any, Any]:
    from simbench_tf.simulate.grammar import draw

    return draw(grammar, seed, *bounds)


def _prepare_peaks(settings: PeaksSimulation, seed: int, folder: Path, map_in_order: MapInOrder) -> _Simulation:
    from simbench_tf.simulate.peaks import implant_part, plan_peaks, take_part

    plan = plan_peaks(settings, seed, index_dir=folder / "genome", map_chunks=map_in_order)
    return _Simulation(
        n_sequences=plan.n_sequences,
        parts=lambda ranges: map_in_order(implant_part, (take_part(plan, *bounds) for bounds in ranges)),
        motifs=plan.motifs,
        notes={
            "lost": plan.lost.to_dict("records"),
            "background": plan.background.tolist(),
            "scan_pvalue": plan.scan_pvalue,
        },
        motif_log=plan.motif_log,
    )


# train


def train(config: Config, folder: Path, track: Track = silent) -> None:
    """Write RUN/models/MODEL for every model of the configuration."""
    made_from = {"dataset": _dataset_checksums(folder), "training": config.training.model_dump(mode="json")}
    for model in config.models:
        settings = model.model_dump(mode="json")
        if model.keras is not None:
            settings["keras"] = _file_checksum(model.keras, f"models.{model.name}.keras")
        _step(
            folder,
            "train",
            {**made_from, "model": settings, "seed": config.seed},
            functools.partial(_train_one, config, folder, model, track),
            _device,
        )


def _train_one(config: Config, folder: Path, model: Model, track: Track) -> list[Path]:
    from simbench_tf.train import build_model
    from simbench_tf.train import train as fit

    dataset = open_dataset(folder / "dataset")
    network = build_model(model, dataset.seq_length, len(dataset.tasks), config.seed)
    target = folder / "models" / model.name
    with track(f"train {model.name}", config.training.max_batches) as advance:
        fit(network, dataset, config.training, seed=config.seed, folder=target, progress=advance)
    return [target / name for name in ("model.keras", "history.csv", "metrics.json")]


def _device() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else "cpu"


def _dataset_checksums(folder: Path) -> dict[str, str]:
    if not (folder / "dataset" / "dataset.json").is_file():
        raise InputError(folder, "has no finished data set", "make it with `simbench simulate`")
    return stage_checksums(folder, "simulate")


# attribute


def attribute(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> None:
    """Write RUN/attributions/MODEL/TASK/KEY.h5 for every model, task and method of the configuration."""
    made_from = {
        "dataset": _dataset_checksums(folder),
        "seed": config.seed,
        **config.attribution.model_dump(mode="json", include={"n_sequences", "split", "output", "arrays"}),
    }
    dataset = open_dataset(folder / "dataset")

    def make(file: Explained) -> list[Path]:
        n_sequences = len(explained_rows(dataset, config, file.task))
        with track(f"{file.model} {file.task} {file.key}", n_sequences) as advance:
            write_explained(file, config, dataset, map_in_order, advance)
        return [file.path]

    for file in explained(config, folder):
        if not file.model_file.is_file():
            raise InputError(file.model_file, "is missing", "train it with `simbench train`")
        method = file.method.model_dump(mode="json")
        step = {**made_from, "model": checksum(file.model_file), "task": file.task, "method": method}
        _step(folder, "attribute", step, functools.partial(make, file), _device)


# score


def score(config: Config, folder: Path, track: Track = silent) -> Path:
    """Write RUN/scores: per_sequence.parquet and summary.csv; return the path of the latter."""
    files = explained(config, folder)
    for file in files:
        if not file.path.is_file():
            raise InputError(file.path, "is missing", "make it with `simbench attribute`")
    _step(
        folder,
        "score",
        {
            "dataset": _dataset_checksums(folder),
            "attributions": {str(file.path.relative_to(folder)): checksum(file.path) for file in files},
            "metrics": stage_checksums(folder, "train"),
            "scoring": config.scoring.model_dump(mode="json"),
        },
        functools.partial(_score_all, config, folder, files, track),
    )
    return folder / "scores" / "summary.csv"


def _score_all(config: Config, folder: Path, files: list[Explained], track: Track) -> list[Path]:
    dataset = open_dataset(folder / "dataset")
    seconds = {path: record["seconds"] for path, record in read_manifest(folder).items()}
    per_sequence, summary = [], []
    with track("score", len(files)) as advance:
        for file in files:
            rows, line = _score_one(config, dataset, file)
            line["seconds_per_sequence"] = seconds[file.path.relative_to(folder).as_posix()] / len(rows)
            per_sequence.append(rows)
            summary.append(line)
            advance(1)
    target = folder / "scores"
    with whole_file(target / "per_sequence.parquet") as partial:
        pd.concat(per_sequence, ignore_index=True).to_parquet(partial, index=False)
    with whole_file(target / "summary.csv") as partial:
        pd.DataFrame(summary).reindex(columns=list(tables.SUMMARY_COLUMNS)).to_csv(partial, index=False)
    return [target / "per_sequence.parquet", target / "summary.csv"]


def _score_one(config: Config, dataset: Dataset, file: Explained) -> tuple[pd.DataFrame, dict[str, Any]]:
    from simbench_tf.attribution import methods

    scores, seq_ids = read_explained(file.path)
    split = config.attribution.split
    rows = pd.Index(dataset.seq_ids(split)).get_indexer(pd.Index(seq_ids))
    # for peaks every site bears on every task
    which = config.scoring.motifs if dataset.kind == "grammar" else "all"
    mask = dataset.mask(split, task=file.task, motifs=which, truth=config.scoring.truth)[rows]
    table = score_attributions(scores, mask)
    keys = {
        "model": file.model,
        "task": file.task,
        "key": file.key,
        "method": file.method.method,
        "references": file.method.references or methods()[file.method.method].references or "none",
        "settings": json.dumps(file.method.settings, sort_keys=True),
    }
    line = {
        **keys,
        "truth": f"{config.scoring.truth}:{which}",
        "n_sequences": len(table),
        **summarise(table),
        **pooled_scores(scores, mask),
    }
    table = table.assign(**keys, seq_id=seq_ids)
    return table[[*tables.PER_SEQUENCE_KEYS, *(c for c in table if c not in tables.PER_SEQUENCE_KEYS)]], line
