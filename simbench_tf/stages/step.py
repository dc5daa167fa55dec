"""A step of a stage: files that are made unless they are fresh, and recorded under what they were made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simbench_tf.errors import InputError
from simbench_tf.run.lock import locked
from simbench_tf.run.logs import log_kept, log_made
from simbench_tf.run.manifest import check_whole, fresh_files, stage_checksums, tell_of_damage, write_records

#: Stages in order; `dynamics` and `motifs` only where they are asked for, as `export`, which is one more.
STAGES = ("simulate", "train", "dynamics", "attribute", "oracle", "score", "motifs", "report")


#: Where the sites of a data set's parts are until they are joined.
SITE_PARTS = "dataset/sites/"


class Made(NamedTuple):
    """What a step made.

    Attributes
    ----------
    files : dict of str to list of path
        For each stage whose files they are; stages left out get no record.
    device : str
        Where it was computed.
    details : dict
        What the records hold beside: timings, how a model was trained.
    """

    files: Mapping[str, list[Path]]
    device: str = "cpu"
    details: Mapping[str, Any] = {}


def step(folder: Path, keys: Mapping[str, str], make: Callable[[], Made], *, again: bool = False) -> None:
    """Make the files of a step and record them, unless those on disk are fresh.

    Parameters
    ----------
    folder : path
        The run.
    keys : dict of str to str
        For each stage that the files belong to, mostly one, the fingerprint of what they are made from.
    make : callable
        Writes the files and returns them.
    again : bool, default False
        Make them even if they are fresh.
    """
    if not again and all(fresh_files(folder, key) for key in keys.values()):
        for stage in keys:
            log_kept(folder, stage)
        return
    mended = {stage: tell_of_damage(folder, key) for stage, key in keys.items()}
    with locked(folder):
        start = time.perf_counter()
        made = make()
        seconds = time.perf_counter() - start
        for stage, files in made.files.items():
            write_records(folder, files, stage, keys[stage], seconds, made.device, **made.details)
            names = [file.relative_to(folder).as_posix() for file in files]
            log_made(folder, stage, names, seconds, made.device, mended.get(stage, ()), **made.details)


def check_earlier(folder: Path, stage: str) -> None:
    """Check that the configuration and what the stages before `stage` wrote are as they were written.

    Raises
    ------
    InputError
        A file is missing or was changed since.
    """
    check_whole(folder, STAGES[: STAGES.index(stage)])


def dataset_checksums(folder: Path) -> dict[str, str]:
    """Checksums of the finished data set's files, which every later stage depends on.

    Raises
    ------
    InputError
        There is no finished data set.
    """
    if not (folder / "dataset" / "dataset.json").is_file():
        raise InputError(folder, "has no finished data set", "make it with `simbench simulate`")
    made = stage_checksums(folder, "simulate")
    return {name: checksum for name, checksum in made.items() if not name.startswith(SITE_PARTS)}
