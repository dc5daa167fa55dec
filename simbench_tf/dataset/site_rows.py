"""Sites of a data set read a row group at a time, so that a million sequences' fit a small memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simbench_tf.dataset.files import MAKE_AGAIN, UNREADABLE
from simbench_tf.errors import InputError
from simbench_tf.intervals import covered_bases

_COLUMNS = ["seq_id", "element", "motif", "start", "end", "strand"]


def sites_of_sequences(path: Path, seq_ids: npt.NDArray[np.str_], elements: Collection[str] | None) -> pd.DataFrame:
    """Read the sites of some sequences, and of some elements where these are named, in the order of the file.

    Parameters
    ----------
    path : Path
        sites.parquet.
    seq_ids : str array, shape (N,)
    elements : collection of str, optional

    Returns
    -------
    DataFrame
        Columns row (of the N sequences), motif, start, end and strand.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    wanted = pa.array(seq_ids.tolist(), pa.string())
    tables = [_of_sequences(table, wanted, elements) for table in _row_groups(path, _COLUMNS)]
    return pd.concat(tables, ignore_index=True)


def elements_of_motifs(path: Path) -> dict[str, set[str]]:
    """For each motif of sites.parquet, the elements that put its sites in.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    found: dict[str, set[str]] = {}
    for table in _row_groups(path, ["motif", "element"]):
        names = [pc.cast(table[column], pa.string()) for column in ("motif", "element")]
        for pair in pa.table(names, ["motif", "element"]).group_by(["motif", "element"]).aggregate([]).to_pylist():
            found.setdefault(pair["motif"], set()).add(pair["element"])
    return found


def _row_groups(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for number in range(max(file.num_row_groups, 1)):
                yield file.read_row_group(number, columns) if file.num_row_groups else file.read(columns)
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, f"cannot be read: {error}", MAKE_AGAIN) from error


def _of_sequences(table: pa.Table, wanted: pa.Array, elements: Collection[str] | None) -> pd.DataFrame:
    if elements is not None:
        table = table.filter(pc.is_in(pc.cast(table["element"], pa.string()), pa.array(sorted(elements), pa.string())))
    row = pc.index_in(pc.cast(table["seq_id"], pa.string()), wanted)
    there = pc.is_valid(row)
    sites = table.filter(there).select(["motif", "start", "end", "strand"]).to_pandas()
    sites.insert(0, "row", np.asarray(row.filter(there)).astype(np.int64))
    return sites


def covered(sites: pd.DataFrame, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Bases that lie in a site, bool of `shape`.

    Parameters
    ----------
    sites : DataFrame
        Columns row, start and end.
    shape : (int, int)
        N sequences and L bases.

    Examples
    --------
    >>> covered(pd.DataFrame({"row": [0, 0], "start": [1, 2], "end": [3, 4]}), (1, 5)).tolist()
    [[False, True, True, True, False]]
    """
    return covered_bases(sites["row"], sites["start"], sites["end"], shape)
