"""The attribute stage: RUN/attributions/MODEL/TASK/KEY.h5, one file per model, task and method."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.devices import device
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.hdf5 import whole_h5
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.run.attributions import (
    AttributionFile,
    attributed_rows,
    files_of_members,
    null_files,
    seq_id_bytes,
)
from simbench_tf.run.jobs import Job, files_of_job
from simbench_tf.run.manifest import fingerprint, fresh_files
from simbench_tf.run.parts import PartsFolder, discard_parts, join_parts, parts_of, seconds_of
from simbench_tf.run.references import n_shuffles, read_references, references_file, write_references
from simbench_tf.stages import ensembles, knockouts
from simbench_tf.stages.attribute_chunks import (
    CHUNK_SEQUENCES,
    attribute_bases,
    chunk_sequences,
    job_of,
    seconds_per_sequence,
)
from simbench_tf.stages.knockouts import knock_outs_of
from simbench_tf.stages.method_checks import say_not_taken
from simbench_tf.stages.step import Made, dataset_checksums, step

#: Sequences that an untrained network is attributed on, at most: its mean needs no more (.013 its standard error), and
#: whole chunks need nothing compiled for them.
NULL_SEQUENCES = 2 * CHUNK_SEQUENCES
#: What is kept of methods of pairs, whatever arrays are asked for.
OF_PAIRS = ("dependency_maps", "window_start")
_ALL = Job()


def attribute(
    config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent, job: Job = _ALL
) -> None:
    """Write RUN/attributions/MODEL/TASK/KEY.h5 for every model, task and method of the configuration.

    And RUN/knockouts/MODEL/TASK/KEY.h5 for tasks whose label depends on how elements stand together (not of methods of
    pairs, whose strengths have no sign that could follow a rule, and which would take three times as long), and
    RUN/nulls/MODEL/TASK/KEY.h5, what the methods say of a network that was never trained. A `job` does its part of it.

    Raises
    ------
    InputError
        There is no data set, a model is missing, the split has no positive of a task, or the run has no such job.
    """
    from simbench_tf.attribution import find_method

    if not config.models:
        return
    say_not_taken(config)
    dataset, common = open_dataset(folder / "dataset"), common_inputs(config, folder)
    knock_outs = knock_outs_of(config, dataset, folder)
    references = _references(config, folder, dataset, common)
    files = files_of_job(config, folder, job)
    for file in files:
        if not file.model_file.is_file():
            raise InputError(file.model_file, "is missing", "train it with `simbench train`")
        made_from, members = inputs(file, common), files_of_members(file, folder)
        key = fingerprint("attribute", made_from)
        make = functools.partial(write, file, config, dataset, references, key, map_in_order, track)
        if members and all(_is_there(folder, inputs(each, common)) for each in members):
            make = functools.partial(_write_mean, file, members, folder)
        step(folder, {"attribute": key}, make)
        mine = [each for each in knock_outs if each.interaction.task == file.task]
        if mine and not find_method(file.method.method).is_of_pairs:
            key = fingerprint("attribute", knockouts.inputs(config, made_from))
            make = functools.partial(knockouts.write, file, config, folder, mine, key, map_in_order, track)
            of_members = [knockouts.inputs(config, inputs(each, common)) for each in members]
            if members and all(_is_there(folder, each) for each in of_members):
                make = functools.partial(_write_mean_knockouts, file, members, folder)
            step(folder, {"attribute": key}, make)
    for file in null_files(config, folder, files):
        key = fingerprint("attribute", {**inputs(file, common), "untrained": NULL_SEQUENCES})
        step(
            folder,
            {"attribute": key},
            functools.partial(write, file, config, dataset, references, key, map_in_order, track, untrained=True),
        )
    for results in ("attributions", "knockouts", "nulls"):
        if job == _ALL:
            discard_parts(folder / results)
        for file in files if job != _ALL else ():  # others are at work beside
            discard_parts(folder / results / file.model / file.task, file.key)


def _is_there(folder: Path, made_from: dict[str, Any]) -> bool:
    return bool(fresh_files(folder, fingerprint("attribute", made_from)))


def _write_mean(file: AttributionFile, members: list[AttributionFile], folder: Path) -> Made:
    """Write an ensemble's attributions, the mean of its members', which are there."""
    named = {"model": file.model, "task": file.task, "key": file.key, "method": file.method.method}
    ensembles.mean_of_files([each.path for each in members], file.path, **named)
    seconds = ensembles.seconds_of_members(folder, members)
    return Made({"attribute": [file.path]}, device(), {"seconds_per_sequence": seconds})


def _write_mean_knockouts(file: AttributionFile, members: list[AttributionFile], folder: Path) -> Made:
    path = knockouts.knock_outs_file(file, folder)
    ensembles.mean_of_files([knockouts.knock_outs_file(each, folder) for each in members], path)
    return Made({"attribute": [path]}, device())


def common_inputs(config: Config, folder: Path) -> dict[str, Any]:
    """What every attribution file depends on: the data set, and which sequences and arrays are asked for."""
    return {
        "dataset": dataset_checksums(folder),
        "seed": config.seed,
        **config.attribution.model_dump(mode="json", include={"n_sequences", "split", "output", "arrays"}),
    }


def inputs(file: AttributionFile, common: dict[str, Any]) -> dict[str, Any]:
    """What an attribution file depends on: the `common_inputs`, its model, task and method.

    A model that is missing, as a member that is still trained beside, gives what no file was made of.
    """
    method = file.method.model_dump(mode="json")
    chosen = {} if file.chosen_output is None else {"target": file.chosen_output}
    return {**common, "model": _version(file), "task": file.task, "method": method, **chosen}


def _version(file: AttributionFile) -> str | None:
    return checksum(file.model_file) if file.model_file.is_file() else None


def write(
    file: AttributionFile,
    config: Config,
    dataset: Dataset,
    references: Path,
    key: str,
    map_in_order: MapInOrder,
    track: Track,
    *,
    untrained: bool = False,
) -> Made:
    """Attribute the chosen sequences and write `file.path`: scores (N, L), seq_id, and the arrays asked for.

    An array that the method does not define is left out; those `OF_PAIRS` are always kept. Rows that a killed call
    finished under the same fingerprint `key` are kept, in the folder of parts, which stays until the caller has
    recorded the file. Its record holds the seconds a sequence took, the median over chunks in which nothing was loaded
    or compiled.
    """
    rows = attributed_rows(dataset, config, file.task)[: NULL_SEQUENCES if untrained else None]
    split = config.attribution.split
    seq_ids, n = np.asarray(dataset.seq_ids(split))[rows], n_shuffles(file.method)
    shuffles = read_references(references, seq_ids, n) if n else None
    names = ["scores", *([] if untrained else [*config.attribution.arrays, *OF_PAIRS])]
    bases = dataset.bases(split)[rows]
    parts_folder = PartsFolder(parts_of(file.path), key)
    job = job_of(file, config, untrained=untrained)
    with track(f"{file.model} {file.task} {file.key}{' untrained' if untrained else ''}", len(rows)) as advance:
        parts = attribute_bases(job, bases, shuffles, names, parts_folder, map_in_order, advance)
        with whole_h5(file.path, most_bytes=sum(part.path.stat().st_size for part in parts)) as h5:
            join_parts(parts, h5, chunk_sequences(file.method.method))
            h5.create_dataset("seq_id", data=seq_id_bytes(seq_ids))
            h5.attrs.update(model=file.model, task=file.task, key=file.key, method=file.method.method)
    seconds = seconds_of(parts)
    if np.isnan(seconds):
        seconds = seconds_per_sequence(job, bases, shuffles)
    return Made({"attribute": [file.path]}, device(), {"seconds_per_sequence": seconds})


def _references(config: Config, folder: Path, dataset: Dataset, common: dict[str, Any]) -> Path:
    """Write the shuffles that methods compare with, where any does; return their file."""
    path = references_file(folder)
    most = max(n_shuffles(method) for method in config.attribution.methods)
    tasks = config.attribution.tasks or config.tasks

    def make() -> Made:
        rows = [attributed_rows(dataset, config, task) for task in tasks]
        write_references(config, dataset, np.unique(np.concatenate(rows)), path)
        return Made({"attribute": [path]})

    if most:
        step(folder, {"attribute": fingerprint("attribute", {**common, "shuffles": most, "tasks": tasks})}, make)
    return path
