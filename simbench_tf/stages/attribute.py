"""The attribute stage: RUN/attributions/MODEL/TASK/KEY.h5."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.devices import device
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.run.attributions import Explained, explained, explained_rows
from simbench_tf.run.manifest import fingerprint
from simbench_tf.run.parts import discard_parts, join_parts, parts_of, seconds_of
from simbench_tf.run.references import n_shuffles, read_references, references_file, write_references
from simbench_tf.stages.attribute_chunks import EXPLAINED_TOGETHER, explain_bases
from simbench_tf.stages.knockouts import Probes, probes_of, write_probed
from simbench_tf.stages.simulate import by_content
from simbench_tf.stages.step import _dataset_checksums, _step


def write_explained(
    file: Explained,
    config: Config,
    dataset: Dataset,
    references: Path,
    key: str,
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> float:
    """Attribute the chosen sequences and write `file.path`: scores (N, L), seq_id, and the arrays asked for.

    An array that the method does not define is left out. Rows that a killed call finished under the same fingerprint
    `key` are kept, in the folder of parts, which stays until the caller has recorded the file.

    Returns
    -------
    float
        Seconds a sequence: the median over chunks, so that what is compiled at the first one does not count.
    """
    rows = explained_rows(dataset, config, file.task)
    split = config.attribution.split
    seq_ids, n = np.asarray(dataset.seq_ids(split))[rows], n_shuffles(file.method)
    shuffles = read_references(references, seq_ids, n) if n else None
    names = ["scores", *config.attribution.arrays]
    bases = dataset.bases(split)[rows]
    parts = explain_bases(file, config, bases, shuffles, names, parts_of(file.path), key, map_in_order, advance)
    with whole_file(file.path) as partial, h5py.File(partial, "w") as h5:
        join_parts(parts, h5, EXPLAINED_TOGETHER)
        h5.create_dataset("seq_id", data=seq_ids.astype("S"))
        h5.attrs.update(model=file.model, task=file.task, key=file.key, method=file.method.method)
    return seconds_of(parts)


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
