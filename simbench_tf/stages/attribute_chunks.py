"""Attribution of a file's sequences chunk by chunk, on this process or on workers, with parts kept on disk."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config, MethodSettings
from simbench_tf.files import checksum
from simbench_tf.parallel import MapInOrder
from simbench_tf.run.attributions import AttributionFile
from simbench_tf.run.models import member_files
from simbench_tf.run.parts import Part, PartsFolder, read_parts, write_part
from simbench_tf.stages.resident_models import IN_USE, WantedModel, compiled_for, resident_model

if TYPE_CHECKING:  # methods wait until something is explained
    from simbench_tf.attribution import Attribution

#: Sequences in one piece of work; a constant, so no result depends on the workers. See `chunk_sequences`.
CHUNK_SEQUENCES = 16
#: Sequences predicted in one call.
PREDICTED_SEQUENCES = 4096
#: Seconds after which what is done is written, so that a killed job loses no more than these and one chunk.
WRITE_INTERVAL_SECONDS = 5.0

#: Bases of sequences, uint8 (n, L), and of their shuffles, uint8 (n, R, L), or None.
Chunk = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]


class Job(NamedTuple):
    """What every chunk of an attribution file has in common: the model, or an ensemble's members; output, method."""

    models: tuple[WantedModel, ...]
    target: int
    method: MethodSettings
    output: Literal["logit", "probability"]
    seed: int


def job_of(file: AttributionFile, config: Config, *, untrained: bool = False) -> Job:
    """The job of an attribution file; a model that is trained again makes it another job.

    With `untrained`, weights drawn anew take the place of the model's own.
    """
    drawn = config.seed if untrained else None
    models = tuple(
        WantedModel(str(path.absolute()), checksum(path), drawn)  # a worker may have begun in another folder
        for path in member_files(file.model_file)
    )
    return Job(models, file.target, file.method, config.attribution.output, config.seed)


def chunk_sequences(method: str) -> int:
    """Sequences in one piece of a method's work: one where it measures pairs of bases, which may take minutes."""
    from simbench_tf.attribution import find_method

    return 1 if find_method(method).is_of_pairs else CHUNK_SEQUENCES


def attribute_bases(
    job: Job,
    bases: npt.NDArray[np.uint8],
    shuffles: npt.NDArray[np.uint8] | None,
    names: list[str],
    parts_folder: PartsFolder,
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> list[Part]:
    """Attribute sequences, chunk by chunk, and write what is done to parts every few seconds.

    Parameters
    ----------
    job : Job
    bases : uint8, shape (N, L)
    shuffles : uint8, shape (N, R, L), optional
        References that were made before; without them, the method's references are made here.
    names : list of str
        Arrays to keep, "scores" among them; those that the method does not define are left out.
    parts_folder : PartsFolder
        Where parts are, and the fingerprint of those that can be resumed.
    map_in_order, advance : callable

    Returns
    -------
    list of Part
    """
    parts = read_parts(parts_folder)
    done = parts[-1].stop if parts else 0
    advance(done)
    waiting: list[dict[str, npt.NDArray[Any]]] = []
    written_at = time.monotonic()
    for result, took in map_in_order(functools.partial(_attribute, job), _chunks(job, bases, shuffles, done)):
        kept = {name: values for name in names if (values := result[name]) is not None}
        waiting.append({**kept, "seconds": np.array([took / len(kept["scores"])], np.float32)})
        done += len(kept["scores"])
        if done == len(bases) or time.monotonic() - written_at >= WRITE_INTERVAL_SECONDS:
            first = parts[-1].stop if parts else 0
            joined = {name: np.concatenate([each[name] for each in waiting]) for name in waiting[0]}
            parts.append(write_part(parts_folder, first, joined))
            waiting, written_at = [], time.monotonic()
        advance(len(kept["scores"]))
    return parts


def _chunks(
    job: Job, bases: npt.NDArray[np.uint8], shuffles: npt.NDArray[np.uint8] | None, done: int
) -> Iterator[Chunk]:
    size = chunk_sequences(job.method.method)
    for first in range(done, len(bases), size):
        rows = slice(first, first + size)
        yield bases[rows], None if shuffles is None else shuffles[rows]


def predictions_of(job: Job, bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Predict the output that is attributed, float32 (N,), for sequences, uint8 (N, L)."""
    return mean_outputs(job.models, bases, [job.target], job.output)[0]


def mean_outputs(
    models: Sequence[WantedModel],
    bases: npt.NDArray[np.uint8],
    targets: list[int],
    output: Literal["logit", "probability"],
) -> npt.NDArray[np.float32]:
    """Outputs of a model, or their mean over several, float32 (T, N), for sequences, uint8 (N, L)."""
    from simbench_tf.attribution.network import open_network
    from simbench_tf.dna import one_hot

    total = np.zeros((len(targets), len(bases)))
    for wanted in models:
        with IN_USE:
            network = open_network(resident_model(wanted), bases.shape[1], targets, output)
            for first in range(0, len(bases), PREDICTED_SEQUENCES):
                rows = slice(first, first + PREDICTED_SEQUENCES)
                total[:, rows] += network.outputs(one_hot(bases[rows]))
    return (total / len(models)).astype(np.float32)


def seconds_per_sequence(job: Job, bases: npt.NDArray[np.uint8], shuffles: npt.NDArray[np.uint8] | None) -> float:
    """Time the first chunk of some sequences, for jobs too short to have one in which nothing was compiled."""
    chunk = next(_chunks(job, bases, shuffles, 0))
    _attribute(job, chunk)
    _, took = _attribute(job, chunk)
    return took / len(chunk[0])


#: What this process has compiled: for which architecture, method, output, and shape of a chunk.
_WARM: set[Hashable] = set()


def _attribute(job: Job, chunk: Chunk) -> tuple[dict[str, npt.NDArray[Any] | None], float]:
    """Attributions of a chunk of sequences, and the seconds it took; a worker keeps the model it loaded.

    Of several models, of which one after the other is in memory, the mean. The seconds are NaN where this process
    compiled what chunks of this shape need.
    """
    from simbench_tf.attribution.averaged import mean_of

    found, took = zip(*(_attribute_by(wanted, job, chunk) for wanted in job.models), strict=True)
    return mean_of(found)._asdict(), float(np.sum(took))


def _attribute_by(wanted: WantedModel, job: Job, chunk: Chunk) -> tuple[Attribution, float]:
    """Attributions of a chunk by one model."""
    from simbench_tf.attribution import attribute
    from simbench_tf.attribution.references import sequences_as_references
    from simbench_tf.dna import one_hot

    bases, shuffles = chunk
    with IN_USE:
        model = resident_model(wanted)
        start = time.perf_counter()
        result = attribute(
            model,
            one_hot(bases),
            method=job.method.method,
            target=job.target,
            references=job.method.references if shuffles is None else sequences_as_references(shuffles),
            random_state=job.seed,
            output=job.output,
            **job.method.settings,
        )
        took = time.perf_counter() - start
        compiled = compiled_for(wanted)
    what = (compiled, repr(job.method), job.output, job.target, bases.shape)
    cold = what not in _WARM
    _WARM.add(what)
    return result, np.nan if cold else took
