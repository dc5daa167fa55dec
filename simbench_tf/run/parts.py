"""RUN/attributions/MODEL/TASK/KEY.parts: rows of an attribution file that are done, so that a killed job is resumed.

A part is an HDF5 file of its own, named by its rows and its checksum and written whole: an HDF5 file that grows can be
lost as a whole when its writer is killed. Each carries the fingerprint of what it was made from. When all rows are
there they are joined in the order of the rows, a fixed number at a time, so that where a job was cut plays no part in
the bytes.
"""

from __future__ import annotations

import glob
import io
import itertools
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf.files import bytes_checksum, checksum, whole_file

_log = logging.getLogger(__name__)
#: How a part is named: by its first row, the one after its last, and its checksum, which earlier versions left out.
_NAME = re.compile(r"(?P<first>\d{9})-(?P<stop>\d{9})(-(?P<checksum>[0-9a-f]{32}))?\.h5")


class PartsFolder(NamedTuple):
    """Where the parts of an attribution file are, and the fingerprint of what they are made from."""

    path: Path
    key: str


class Part(NamedTuple):
    """Rows `first` to `stop` of the attributed sequences, in a file of their own."""

    first: int
    stop: int
    path: Path


def parts_of(path: Path) -> Path:
    """The folder of the parts of an attribution file."""
    return path.with_name(f"{path.name.removesuffix('.h5')}.parts")


def read_parts(folder: PartsFolder) -> list[Part]:
    """The parts that are done, one after the other from row 0; damaged ones and those of others are deleted."""
    parts: list[Part] = []
    for path in sorted(folder.path.glob("*.h5")):
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        first, stop = int(name["first"]), int(name["stop"])
        is_next = first == (parts[-1].stop if parts else 0)
        if is_next and _is_whole(path, name["checksum"]) and _fingerprint_of(path) == folder.key:
            parts.append(Part(first, stop, path))
        else:
            path.unlink()
    return parts


def _is_whole(path: Path, recorded: str | None) -> bool:
    if recorded == checksum(path):
        return True
    _log.warning("%s: is not what was written; its rows are made again", path)
    return False


def _fingerprint_of(path: Path) -> str:
    with h5py.File(path) as h5:
        return str(h5.attrs["fingerprint"])


def write_part(folder: PartsFolder, first: int, arrays: Mapping[str, npt.NDArray[Any]]) -> Part:
    """Write rows from `first` on."""
    stop = first + len(arrays["scores"])
    content = io.BytesIO()  # in memory, since its name holds its checksum
    with h5py.File(content, "w") as h5:
        for name, values in arrays.items():
            h5.create_dataset(name, data=values)
        h5.attrs["fingerprint"] = folder.key
    path = folder.path / f"{first:09d}-{stop:09d}-{bytes_checksum(content.getbuffer())}.h5"
    with whole_file(path) as partial:
        partial.write_bytes(content.getbuffer())
    return Part(first, stop, path)


def join_parts(parts: list[Part], target: h5py.Group, rows_together: int) -> None:
    """Write the arrays of all parts, rows in order, into a file or group; only `rows_together` are held at a time.

    All parts but the last have a multiple of `rows_together` rows.
    """
    n = parts[-1].stop
    for part in parts:
        with h5py.File(part.path) as h5:
            names = sorted(set(h5) - {"seconds"}, key=lambda name: (name != "scores", name))
            for name, first in itertools.product(names, range(0, part.stop - part.first, rows_together)):
                rows = h5[name][first : first + rows_together]
                if name not in target:
                    block = (min(rows_together, n), *rows.shape[1:])
                    target.create_dataset(name, (n, *rows.shape[1:]), rows.dtype, chunks=block, compression="gzip")
                target[name][part.first + first : part.first + first + len(rows)] = rows


def read_scores(parts: list[Part]) -> npt.NDArray[np.float32]:
    """Scores of all parts, (N, L)."""
    scores = []
    for part in parts:
        with h5py.File(part.path) as h5:
            scores.append(h5["scores"][:])
    return np.concatenate(scores)


def seconds_of(parts: list[Part]) -> float:
    """Median over chunks of the seconds a sequence took, without those that compiled; NaN where all did."""
    seconds = []
    for part in parts:
        with h5py.File(part.path) as h5:
            seconds.append(h5["seconds"][:])
    timed = np.concatenate(seconds)
    timed = timed[~np.isnan(timed)]
    return float(np.median(timed)) if timed.size else float("nan")


def discard_parts(folder: Path, key: str | None = None) -> None:
    """Delete every part under a folder, of one method or of all, and the folders that hold nothing else."""
    name = "*" if key is None else glob.escape(key)
    for place in sorted(folder.rglob(f"{name}.parts/**/"), reverse=True):  # the inner ones first
        for path in place.iterdir():
            if _NAME.fullmatch(path.name):
                path.unlink()
        if not any(place.iterdir()):
            place.rmdir()
