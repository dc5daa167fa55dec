"""RUN/attributions: which sequences are explained, by which methods, in which file, and how such a file is read."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf._explained_parts import Part, join_parts, parts_of, read_parts, seconds_of, write_part
from simbench_tf._explained_references import n_shuffles, read_references
from simbench_tf.adopted import ModelOfRun, adopted_model, load_model_of_run
from simbench_tf.config import Config, Method, Replicate
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.random_streams import uniforms
from simbench_tf.workers import MapInOrder

#: Sequences in one piece of work; a constant, so no result depends on the workers.
EXPLAINED_TOGETHER = 16
#: Seconds after which what is done is written, so that a killed job loses no more than these and one chunk.
WRITE_EVERY = 5.0

#: Bases of sequences, uint8 (n, L), and of their shuffles, uint8 (n, R, L), or None.
Chunk = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]


class Explained(NamedTuple):
    """One file of attributions: of a model's output for a task, by a method."""

    model: str
    task: str
    target: int
    method: Method
    key: str
    path: Path
    model_file: Path


def explained(config: Config, folder: Path) -> list[Explained]:
    """List the attribution files that a configuration asks for, in order: model, task, method.

    Raises
    ------
    InputError
        A method or one of its settings is unknown, or a model from Kipoi was not taken yet.
    """
    from simbench_tf.attribution import method_key

    files = []
    for model in config.replicates:
        model_file, outputs = model_of_run(model, config.tasks, folder)
        for task in config.attribution.tasks or config.tasks:
            for method in config.attribution.methods:
                key = method_key(method.method, method.references, method.settings)
                path = folder / "attributions" / model.name / task / f"{key}.h5"
                files.append(Explained(model.name, task, outputs[task], method, key, path, model_file))
    return files


def model_of_run(model: Replicate, tasks: list[str], folder: Path) -> ModelOfRun:
    """Where a run keeps a model, and the number of the output that stands for each task.

    Raises
    ------
    InputError
        A model from Kipoi was not taken yet.
    """
    place = folder / "models" / model.name
    if model.model.kipoi is not None:
        return adopted_model(place)
    return ModelOfRun(place / "model.keras", {task: number for number, task in enumerate(tasks)})


def explained_rows(dataset: Dataset, config: Config, task: str) -> npt.NDArray[np.int64]:
    """Rows of the split that are explained for a task: at most n_sequences of its positives, drawn by the seed.

    Raises
    ------
    InputError
        The split holds no positive of the task.
    """
    split = config.attribution.split
    positives = np.flatnonzero(dataset.labels(split)[:, dataset.tasks.index(task)])
    if not positives.size:
        raise InputError("attribution.split", f"{split} holds no positive of {task}", "choose another split or task")
    draws = uniforms(config.seed, f"explained {task}", positives)[:, 0]
    return np.sort(positives[np.argsort(draws, kind="stable")[: config.attribution.n_sequences]])


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


def explain_bases(
    file: Explained,
    config: Config,
    bases: npt.NDArray[np.uint8],
    shuffles: npt.NDArray[np.uint8] | None,
    names: list[str],
    folder: Path,
    key: str,
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> list[Part]:
    """Attribute sequences, chunk by chunk, and write what is done to parts in `folder` every few seconds.

    Parameters
    ----------
    file : Explained
    config : Config
    bases : uint8, shape (N, L)
    shuffles : uint8, shape (N, R, L), optional
        References that were made before; without them, the method's references are made here.
    names : list of str
        Arrays to keep, "scores" among them; those that the method does not define are left out.
    folder, key : path, str
        Where parts are, and the fingerprint of those that can be gone on from.
    map_in_order, advance : callable

    Returns
    -------
    list of Part
    """
    parts = read_parts(folder, key)
    done = parts[-1].stop if parts else 0
    advance(done)
    output, version = config.attribution.output, checksum(file.model_file)
    explain = functools.partial(_explain, str(file.model_file), version, file.target, file.method, output, config.seed)
    waiting: list[dict[str, npt.NDArray[np.float32]]] = []
    written_at = time.monotonic()
    for result, took in map_in_order(explain, _chunks(bases, shuffles, done)):
        kept = {name: values for name in names if (values := result[name]) is not None}
        waiting.append({**kept, "seconds": np.array([took / len(kept["scores"])], np.float32)})
        done += len(kept["scores"])
        if done == len(bases) or time.monotonic() - written_at >= WRITE_EVERY:
            first = parts[-1].stop if parts else 0
            joined = {name: np.concatenate([each[name] for each in waiting]) for name in waiting[0]}
            parts.append(write_part(folder, key, first, joined))
            waiting, written_at = [], time.monotonic()
        advance(len(kept["scores"]))
    return parts


def _chunks(bases: npt.NDArray[np.uint8], shuffles: npt.NDArray[np.uint8] | None, done: int) -> Iterator[Chunk]:
    for first in range(done, len(bases), EXPLAINED_TOGETHER):
        rows = slice(first, first + EXPLAINED_TOGETHER)
        yield bases[rows], None if shuffles is None else shuffles[rows]


def answers_of(file: Explained, config: Config, bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the model itself says, float32 (N,): the output that is explained, for sequences uint8 (N, L)."""
    from simbench_tf.attribution.network import open_network
    from simbench_tf.dna import one_hot

    model = _loaded(str(file.model_file), checksum(file.model_file))
    network = open_network(model, bases.shape[1], file.target, config.attribution.output)
    parts = [network.outputs(one_hot(bases[first : first + 4096]))[0] for first in range(0, len(bases), 4096)]
    return np.concatenate(parts)


def read_explained(path: Path) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Read scores, float32 (N, L), and the N seq_id of an attribution file."""
    with h5py.File(path) as h5:
        return h5["scores"][:], list(h5["seq_id"].asstr()[:])


def _explain(
    model_file: str,
    version: str,
    target: int,
    method: Method,
    output: Literal["logit", "probability"],
    seed: int,
    chunk: Chunk,
) -> tuple[dict[str, npt.NDArray[np.float32] | None], float]:
    """Attributions of a chunk of sequences, and the seconds it took; a worker keeps the model it loaded."""
    from simbench_tf.attribution import attribute
    from simbench_tf.attribution.references import sequences_as_references
    from simbench_tf.dna import one_hot

    model = _loaded(model_file, version)
    bases, shuffles = chunk
    start = time.perf_counter()
    result = attribute(
        model,
        one_hot(bases),
        method=method.method,
        target=target,
        references=method.references if shuffles is None else sequences_as_references(shuffles),
        random_state=seed,
        output=output,
        **method.settings,
    )
    return result._asdict(), time.perf_counter() - start


@functools.lru_cache(maxsize=4)
def _loaded(model_file: str, version: str) -> Any:  # noqa: ARG001 - a file trained anew is another model
    return load_model_of_run(Path(model_file))
