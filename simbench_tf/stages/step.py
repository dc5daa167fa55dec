"""A step of a stage: made unless its files on disk are fresh, and recorded with its fingerprint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simbench_tf.errors import InputError
from simbench_tf.run.manifest import fingerprint, fresh_files, stage_checksums, write_records

#: Stages in order; `dynamics` only where it is asked for, as `export`, which is one more.
STAGES = ("simulate", "train", "dynamics", "attribute", "oracle", "score", "report")


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


def _dataset_checksums(folder: Path) -> dict[str, str]:
    if not (folder / "dataset" / "dataset.json").is_file():
        raise InputError(folder, "has no finished data set", "make it with `simbench simulate`")
    return stage_checksums(folder, "simulate")
