"""Attribution of a file's sequences chunk by chunk, on this process or on workers, with parts kept on disk."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config, Method
from simbench_tf.files import checksum
from simbench_tf.parallel import MapInOrder
from simbench_tf.run.attributions import Explained
from simbench_tf.run.models import load_model_of_run
from simbench_tf.run.parts import Part, read_parts, write_part

#: Sequences in one piece of work; a constant, so no result depends on the workers.
EXPLAINED_TOGETHER = 16


#: Seconds after which what is done is written, so that a killed job loses no more than these and one chunk.
WRITE_EVERY = 5.0


#: Bases of sequences, uint8 (n, L), and of their shuffles, uint8 (n, R, L), or None.
Chunk = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]


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
