"""The files of a data set: their paths, their description (dataset.json), and the checks made when it is opened.

dataset.json is written last, as the sign that the rest is complete; while parts are written it is absent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simbench_tf import tables
from simbench_tf.errors import InputError
from simbench_tf.files import bytes_checksum, known_checksum

#: What a data set whose simulator scans nothing is re-scanned with: FIMO's threshold, uniform bases.
DEFAULT_SCAN: dict[str, Any] = {"background": [0.25, 0.25, 0.25, 0.25], "scan_pvalue": 1e-4}


#: Keys of dataset.json that every data set has.
DESCRIPTION: dict[str, type] = {
    "name": str,
    "kind": str,
    "tasks": list,
    "seq_length": int,
    "counts": dict,
    "positive_fraction": dict,
    "parts": list,
}
#: Keys of dataset.json that guard the rest: the checksum of each other file, and last that of what stands before it.
CHECKSUMS, OWN_CHECKSUM = "checksums", "checksum"
#: What pyarrow raises for a damaged file.
UNREADABLE = (OSError, ValueError, KeyError, NotImplementedError, pa.lib.ArrowException)
MAKE_AGAIN = "make the data set again with `simbench simulate`"


def part_path(folder: Path, number: int) -> Path:
    """Path of a part of the sequences."""
    return folder / "sequences" / f"part-{number:05d}.parquet"


def read_description(folder: Path) -> dict[str, Any]:
    """dataset.json of a data set, with every key of `DESCRIPTION` and of `DEFAULT_SCAN`.

    Raises
    ------
    InputError
        There is no such file, or it is not what `finish_dataset` writes.
    """
    path = folder / "dataset.json"
    if not folder.is_dir():
        raise InputError(folder, "is no folder", "give the `dataset` folder of a run")
    if not path.is_file():
        half = (folder / "sequences").exists()
        what = "is a half-written data set" if half else "holds no data set: it has no dataset.json"
        raise InputError(folder, what, MAKE_AGAIN if half else "give the `dataset` folder of a run")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(path, "is not JSON", MAKE_AGAIN) from error
    for key, kind in DESCRIPTION.items():
        if not isinstance(description, dict) or not isinstance(description.get(key), kind):
            raise InputError(path, f"lacks the key {key}, or it is of the wrong kind", MAKE_AGAIN)
    counts, tasks, parts = (description[key] for key in ("counts", "tasks", "parts"))
    whole = [*(counts.get(split) for split in tables.SPLITS), *parts]
    if not all(type(each) is int and each >= 0 for each in whole) or not all(isinstance(each, str) for each in tasks):
        raise InputError(path, "has no whole numbers in counts or parts, or no names in tasks", MAKE_AGAIN)
    own = description.pop(OWN_CHECKSUM, None)  # earlier versions wrote none
    if own is not None and own != description_checksum(description):
        raise InputError(path, "is not what was written, its checksum differs", MAKE_AGAIN)
    return {**DEFAULT_SCAN, **description}


def description_checksum(description: Mapping[str, Any]) -> str:
    """Checksum of the content of dataset.json, but for this checksum itself."""
    return bytes_checksum(json.dumps(description, allow_nan=False).encode())


def check_files(folder: Path, description: Mapping[str, Any]) -> None:
    """Check the files of a data set against its description: by their footers, and their checksums where it has them.

    Raises
    ------
    InputError
        A file is missing or damaged, was changed since, or holds other columns or another number of rows.
    """
    for name in ("sites.parquet", "motifs.meme"):
        if not (folder / name).is_file():
            raise InputError(folder / name, "is missing", MAKE_AGAIN)
    expected = tables.sequence_schema(description["tasks"])
    paths = sorted(folder.glob("sequences/part-*.parquet"))
    wanted = [part_path(folder, number) for number in range(len(description["parts"]))]
    for path in sorted(set(paths) ^ set(wanted)):
        raise InputError(path, "is missing" if path in wanted else "belongs to no part of the data set", MAKE_AGAIN)
    for path, rows in zip(wanted, description["parts"], strict=True):
        metadata, schema = _footer(path)
        if schema.names != expected.names or schema.types != expected.types:
            raise InputError(path, f"has the columns {schema.names}, not those of dataset.json", MAKE_AGAIN)
        if metadata.num_rows != rows:
            raise InputError(path, f"has {metadata.num_rows} rows, dataset.json says {rows}", MAKE_AGAIN)
    _, schema = _footer(folder / "sites.parquet")
    if schema.names != tables.SITES_SCHEMA.names:
        raise InputError(folder / "sites.parquet", f"has the columns {schema.names}", MAKE_AGAIN)
    _check_checksums(folder, description)


def _check_checksums(folder: Path, description: Mapping[str, Any]) -> None:
    """Check each file of a data set against the checksum in its description, where it has one."""
    recorded = description.get(CHECKSUMS, {})  # earlier versions wrote none
    if not isinstance(recorded, dict):
        raise InputError(folder / "dataset.json", f"holds {CHECKSUMS} that are no mapping", MAKE_AGAIN)
    parts = [part_path(folder, number) for number in range(len(description["parts"]))]
    for path in (*parts, folder / "sites.parquet", folder / "motifs.meme", folder / "motif_log.csv"):
        checksum = recorded.get(path.relative_to(folder).as_posix())
        if checksum is None:
            continue
        if not path.is_file():
            raise InputError(path, "is missing", MAKE_AGAIN)
        if known_checksum(path) != checksum:
            raise InputError(path, "is not what was written, its checksum differs", MAKE_AGAIN)


def read_table(path: Path, columns: list[str] | None = None, split: str | None = None) -> pa.Table:
    """Columns (default: all) of a Parquet file, of the rows of a split (default: all).

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    try:
        return pq.read_table(path, columns=columns, filters=None if split is None else pc.field("split") == split)
    except UNREADABLE as error:
        raise InputError(path, f"cannot be read: {error}", MAKE_AGAIN) from error


def read_loci(folder: Path, n_parts: int) -> pd.DataFrame | None:
    """Columns chrom, start and end of a data set's sequences, by seq_id; None where they lie in no genome."""
    columns = ["seq_id", "chrom", "start", "end"]
    parts = pa.concat_tables([read_table(part_path(folder, number), columns) for number in range(n_parts)])
    return None if any(parts[column].null_count for column in columns) else parts.to_pandas().set_index("seq_id")


def label_matrix(table: pa.Table, tasks: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Label columns as uint8 (N, T)."""
    return np.stack([np.asarray(table[task]) for task in tasks], axis=1)


def _footer(path: Path) -> tuple[pq.FileMetaData, pa.Schema]:
    try:
        with pq.ParquetFile(path) as file:
            return file.metadata, file.schema_arrow
    except UNREADABLE as error:
        raise InputError(path, f"cannot be read: {error}", MAKE_AGAIN) from error
