"""Jobs of an array: a stage in parts, by model or by model, task and method, that processes side by side can do."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simbench_tf.config import Config, Replicate
from simbench_tf.errors import InputError, nearest
from simbench_tf.run.attributions import AttributionFile, attribution_files, taken_methods


class Job(NamedTuple):
    """A part of a stage; what is None is not chosen: all of it.

    Attributes
    ----------
    model : str or None
        NAME of a model, for all of its seeds and their ensemble, or NAME-seedK, or NAME-ensemble.
    task : str or None
    method : str or None
        NAME of a method, for all of its settings, or the key of one of them, as deeplift_rescale@shuffle5.
    """

    model: str | None = None
    task: str | None = None
    method: str | None = None


def replicates_of(config: Config, job: Job) -> list[Replicate]:
    """The models of a job, by seed.

    Raises
    ------
    InputError
        The run has no such model.
    """
    if job.model is None:
        return list(config.replicates)
    chosen = [each for each in config.replicates if job.model in (each.name, each.model.name)]
    if not chosen:
        known = dict.fromkeys(name for each in config.replicates for name in (each.model.name, each.name))
        raise InputError("--model", f"{job.model!r} is no model of the run{nearest(job.model, known)}")
    return chosen


def files_of_job(config: Config, folder: Path, job: Job) -> list[AttributionFile]:
    """The attribution files of a job.

    Raises
    ------
    InputError
        The run has no such model, task or method, or the job's model does not take its method.
    """
    names = {each.name for each in replicates_of(config, job)}
    if job.task is not None and job.task not in config.attributed_tasks:
        mend = nearest(job.task, config.attributed_tasks)
        raise InputError("--task", f"{job.task!r} is no task that the run explains{mend}")
    files = attribution_files(config, folder, names)
    of_method = [file for file in files if job.method in (None, file.key, file.method.method)]
    if not of_method:
        known = dict.fromkeys(name for file in files for name in (file.method.method, file.key))
        raise InputError(
            "--method", f"{job.method!r} is no method of the run and that model{nearest(str(job.method), known)}"
        )
    return [file for file in of_method if job.task in (None, file.task)]


def parts_of_job(config: Config, folder: Path, stage: str, job: Job) -> list[str]:
    """What a job writes, as paths below the run, to be held while it does; nothing for all of a stage."""
    if job == Job():
        return []
    if stage == "train":
        return [f"models/{each.name}" for each in replicates_of(config, job)]
    return [file.path.relative_to(folder).with_suffix("").as_posix() for file in files_of_job(config, folder, job)]


def job_commands(config: Config, folder: Path, stage: str) -> Iterator[str]:
    """Yield the commands that together do a stage, in any order and side by side; each is a line of a shell.

    To train there is none for an ensemble: it is measured by whichever of its members' jobs is the last.
    """
    from simbench_tf.attribution import method_key

    for replicate in config.replicates:
        if stage == "train" and replicate.members:
            continue
        of_model = ["simbench", stage, str(folder), "--model", replicate.name]
        if stage == "train":
            yield shlex.join(of_model)
            continue
        keys = [
            method_key(each.method, each.references, each.settings) for each in taken_methods(config, replicate.model)
        ]
        for task, key in itertools.product(config.attributed_tasks, keys):
            yield shlex.join([*of_model, "--task", task, "--method", key])
