"""RUN/attributions: which sequences are explained, by which methods, in which file, and how such a file is read."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf.adopted import ModelOfRun, adopted_model, load_model_of_run
from simbench_tf.config import Config, Method, Model
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.random_streams import uniforms
from simbench_tf.workers import MapInOrder

#: Sequences in one piece of work; a constant, so no result depends on the workers.
EXPLAINED_TOGETHER = 16


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
    for model in config.models:
        model_file, outputs = model_of_run(model, config.tasks, folder)
        for task in config.attribution.tasks or config.tasks:
            for method in config.attribution.methods:
                key = method_key(method.method, method.references, method.settings)
                path = folder / "attributions" / model.name / task / f"{key}.h5"
                files.append(Explained(model.name, task, outputs[task], method, key, path, model_file))
    return files


def model_of_run(model: Model, tasks: list[str], folder: Path) -> ModelOfRun:
    """Where a run keeps a model, and the number of the output that stands for each task.

    Raises
    ------
    InputError
        A model from Kipoi was not taken yet.
    """
    place = folder / "models" / model.name
    if model.kipoi is not None:
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
    file: Explained, config: Config, dataset: Dataset, map_in_order: MapInOrder, advance: Callable[[int], None]
) -> float:
    """Attribute the chosen sequences, chunk by chunk, and write `file.path`: scores (N, L), seq_id, arrays asked for.

    Returns
    -------
    float
        Seconds a sequence: the median over chunks, so that what is compiled at the first one does not count.

    Raises
    ------
    InputError
        The method does not give an array that the configuration asks to keep.
    """
    rows = explained_rows(dataset, config, file.task)
    split = config.attribution.split
    arrays, seconds = explain_bases(
        file, config, dataset.bases(split)[rows], ["scores", *config.attribution.arrays], map_in_order, advance
    )
    with whole_file(file.path) as partial, h5py.File(partial, "w") as h5:
        for name, values in arrays.items():
            h5.create_dataset(name, data=values, compression="gzip")
        h5.create_dataset("seq_id", data=np.asarray(dataset.seq_ids(split))[rows].astype("S"))
        h5.attrs.update(model=file.model, task=file.task, key=file.key, method=file.method.method)
    return seconds


def explain_bases(
    file: Explained,
    config: Config,
    bases: npt.NDArray[np.uint8],
    names: list[str],
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> tuple[dict[str, npt.NDArray[np.float32]], float]:
    """Attribute sequences, uint8 (N, L), chunk by chunk: the arrays asked for, and the median of seconds a sequence.

    Raises
    ------
    InputError
        The method does not give an array that is asked for.
    """
    chunks = [bases[first : first + EXPLAINED_TOGETHER] for first in range(0, len(bases), EXPLAINED_TOGETHER)]
    output, version = config.attribution.output, checksum(file.model_file)
    explain = functools.partial(_explain, str(file.model_file), version, file.target, file.method, output, config.seed)
    arrays: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in names}
    seconds = []
    for chunk, (result, took) in zip(chunks, map_in_order(explain, chunks), strict=True):
        seconds.append(took / len(chunk))
        for name, parts in arrays.items():
            part = result[name]
            if part is None:
                raise InputError("attribution.arrays", f"{file.method.method} gives no {name}", "leave it out")
            parts.append(part)
        advance(len(chunk))
    return {name: np.concatenate(parts) for name, parts in arrays.items()}, float(np.median(seconds))


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
    bases: npt.NDArray[np.uint8],
) -> tuple[dict[str, npt.NDArray[np.float32] | None], float]:
    """Attributions of a chunk of sequences, and the seconds it took; a worker keeps the model it loaded."""
    from simbench_tf.attribution import attribute
    from simbench_tf.dna import one_hot

    model = _loaded(model_file, version)
    start = time.perf_counter()
    result = attribute(
        model,
        one_hot(bases),
        method=method.method,
        target=target,
        references=method.references,
        random_state=seed,
        output=output,
        **method.settings,
    )
    return result._asdict(), time.perf_counter() - start


@functools.lru_cache(maxsize=4)
def _loaded(model_file: str, version: str) -> Any:  # noqa: ARG001 - a file trained anew is another model
    return load_model_of_run(Path(model_file))
