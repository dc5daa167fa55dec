"""The stages of a run, in order: simulate, train, attribute, score, report. A stage that is up to date is skipped.

Every result is recorded in RUN/manifest.json under a fingerprint of what it was made from, so a run that was killed
goes on where it stopped, and a changed setting repeats exactly what depends on it.
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import (
    Config,
    Model,
    config_dict,
    load_config,
    versions,
    write_config,
)
from simbench_tf.dataset import Dataset, finish_dataset, open_dataset, write_part
from simbench_tf.errors import InputError
from simbench_tf.explained import Explained, explained, explained_rows, read_explained, write_explained
from simbench_tf.files import TEMPORARY_PREFIX, checksum, whole_file
from simbench_tf.manifest import discard_stale, fingerprint, fresh_files, read_manifest, stage_checksums, write_records
from simbench_tf.score import pooled_scores, score_attributions, summarise
from simbench_tf.simulated import by_content, checksum_named, prepare
from simbench_tf.workers import MapInOrder

#: Sequences in a part file of the data set and in one file of work; constants, so no result depends on the workers.
PART_SEQUENCES = 50_000
#: Sequences drawn as logos in the report.
EXAMPLES = 6

if TYPE_CHECKING:
    from simbench_tf.report import Example

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
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
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
    """Write RUN/models/MODEL for every model of the configuration."""
    made_from = {"dataset": _dataset_checksums(folder), "training": config.training.model_dump(mode="json")}
    for model in config.models:
        settings = model.model_dump(mode="json")
        if model.keras is not None:
            settings["keras"] = checksum_named(model.keras, f"models.{model.name}.keras")
        _step(
            folder,
            "train",
            {**made_from, "model": settings, "seed": config.seed},
            functools.partial(_train_one, config, folder, model, track),
            _device,
        )


def _train_one(config: Config, folder: Path, model: Model, track: Track) -> tuple[list[Path], dict[str, float]]:
    from simbench_tf.train import build_model
    from simbench_tf.train import train as fit

    dataset = open_dataset(folder / "dataset")
    network = build_model(model, dataset.seq_length, len(dataset.tasks), config.seed)
    target = folder / "models" / model.name
    with track(f"train {model.name}", config.training.max_batches) as advance:
        fit(network, dataset, config.training, seed=config.seed, folder=target, progress=advance)
    return [target / name for name in ("model.keras", "history.csv", "metrics.json")], {}


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

    def make(file: Explained) -> tuple[list[Path], dict[str, float]]:
        n_sequences = len(explained_rows(dataset, config, file.task))
        with track(f"{file.model} {file.task} {file.key}", n_sequences) as advance:
            seconds = write_explained(file, config, dataset, map_in_order, advance)
        return [file.path], {"seconds_per_sequence": seconds}

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


def _score_all(
    config: Config, folder: Path, files: list[Explained], track: Track
) -> tuple[list[Path], dict[str, float]]:
    dataset = open_dataset(folder / "dataset")
    records = read_manifest(folder)
    per_sequence, summary = [], []
    with track("score", len(files)) as advance:
        for file in files:
            rows, line = _score_one(config, dataset, file)
            record = records[file.path.relative_to(folder).as_posix()]
            line["seconds_per_sequence"] = record["seconds_per_sequence"]
            per_sequence.append(rows)
            summary.append(line)
            advance(1)
    target = folder / "scores"
    with whole_file(target / "per_sequence.parquet") as partial:
        pd.concat(per_sequence, ignore_index=True).to_parquet(partial, index=False)
    with whole_file(target / "summary.csv") as partial:
        pd.DataFrame(summary).reindex(columns=list(tables.SUMMARY_COLUMNS)).to_csv(partial, index=False)
    return [target / "per_sequence.parquet", target / "summary.csv"], {}


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
    stages = ("simulate", "train", "attribute", "score")
    made_from = {stage: stage_checksums(folder, stage) for stage in stages}
    _step(
        folder,
        "report",
        {**made_from, "config": config.model_dump(mode="json")},
        functools.partial(_report, config, folder, target),
    )
    return target


def _report(config: Config, folder: Path, target: Path) -> tuple[list[Path], dict[str, float]]:
    from simbench_tf.attribution import methods
    from simbench_tf.report import write_report

    models = {model.name: folder / "models" / model.name for model in config.models}
    motif_log = folder / "dataset" / "motif_log.csv"
    write_report(
        target,
        config=config_dict(config),
        versions=versions(),
        dataset_info=json.loads((folder / "dataset" / "dataset.json").read_text(encoding="utf-8")),
        summary=pd.read_csv(folder / "scores" / "summary.csv", keep_default_na=False, na_values=[""]),
        per_sequence=pd.read_parquet(folder / "scores" / "per_sequence.parquet"),
        metrics={name: json.loads((path / "metrics.json").read_text("utf-8")) for name, path in models.items()},
        histories={name: pd.read_csv(path / "history.csv") for name, path in models.items()},
        examples=_examples(config, folder),
        motif_log=pd.read_csv(motif_log) if motif_log.exists() else None,
        method_descriptions={name: method.description for name, method in methods().items()},
    )
    return [target], {}


def _examples(config: Config, folder: Path) -> list[Example]:
    """Six explained sequences with every method's attributions, the models and tasks taking turns."""
    from simbench_tf.dna import one_hot
    from simbench_tf.report import Example

    dataset = open_dataset(folder / "dataset")
    split = config.attribution.split
    rows = pd.Index(dataset.seq_ids(split))
    groups: dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]] = {}
    ids: dict[tuple[str, str], list[str]] = {}
    for file in explained(config, folder):
        scores, ids[file.model, file.task] = read_explained(file.path)
        groups.setdefault((file.model, file.task), {})[file.key] = scores
    turns = [(group, number) for number in range(EXAMPLES) for group in groups if number < len(ids[group])]
    examples = []
    for (model, task), number in turns[:EXAMPLES]:
        seq_id = ids[model, task][number]
        bases = dataset.bases(split)[[rows.get_loc(seq_id)]]
        sites = dataset.sites[dataset.sites["seq_id"] == seq_id]
        attributions = {key: scores[number] for key, scores in groups[model, task].items()}
        examples.append(Example(model, task, seq_id, one_hot(bases)[0], sites, attributions))
    return examples
