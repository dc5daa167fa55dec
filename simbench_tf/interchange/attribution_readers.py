"""Attributions that other tools wrote, read: NumPy and HDF5 files of arrays, and bigWig at the sequences' places."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

#: Arrays that are looked for, the first that is there is taken; ``arr_0`` is numpy's own name, and tfmodisco-lite's.
ARRAYS = ("scores", "contributions", "hypothetical", "arr_0")


class OtherArray(NamedTuple):
    """An array of attributions as a file holds it, its name there, and the ids of its rows where the file has them."""

    name: str
    values: npt.NDArray[Any]
    seq_ids: list[str] | None


def read_array(path: Path) -> OtherArray:
    """Read the attributions of an .npz or HDF5 file (.h5, .hdf5).

    Raises
    ------
    InputError
        The file is missing, is neither, or has no array of `ARRAYS`.
    """
    if path.suffix not in (".npz", ".h5", ".hdf5"):
        raise InputError(path, "is no attribution file that is read here", "give an .npz, .h5 or (peaks data) .bw file")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return _chosen(path, {name: arrays[name] for name in (*ARRAYS, "seq_id") if name in arrays})
        with h5py.File(path) as h5:
            here = [name for name in (*ARRAYS, "seq_id") if isinstance(h5.get(name), h5py.Dataset)]
            return _chosen(path, {name: h5[name][()] for name in here})
    except FileNotFoundError as error:
        raise InputError(path, "is missing", "name a file that is there") from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, f"cannot be read: {error}", "write it anew, with plain arrays only") from error


def _chosen(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> OtherArray:
    name = next((name for name in ARRAYS if name in arrays), None)
    if name is None:
        mend = "name one scores (N, L), contributions or hypothetical (N, L, 4)"
        raise InputError(path, f"has no array {', '.join(ARRAYS[:-1])} or {ARRAYS[-1]}", mend)
    seq_ids = arrays.get("seq_id")
    return OtherArray(name, np.asarray(arrays[name]), None if seq_ids is None else as_text(seq_ids))


def as_text(seq_ids: npt.NDArray[Any]) -> list[str]:
    """Ids as files hold them, bytes or text or numbers, as text."""
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.ravel(seq_ids).tolist()]


def read_seq_ids(path: Path) -> list[str]:
    """Ids of rows: a line each; of BED (regions.bed as `export-attributions` writes it) the fourth column.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}", "give a text file with a seq_id a line") from error
    columns = [line.split("\t") for line in lines if line]
    return [fields[3] if len(fields) > 3 else fields[0] for fields in columns]


def scores_of(path: Path, array: OtherArray, bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Score of each observed base, float32 (N, L), from an array (N, L), (N, L, 4) or (N, 4, L).

    The observed base's score is the sum over channels of `contributions`, and of hypothetical ones (`arr_0` of
    tfmodisco-lite, too) the value of the base that stands there.

    Raises
    ------
    InputError
        The array is not of numbers or does not have the shape of the sequences, uint8 (N, L).
    """
    values, (n, length) = array.values, bases.shape
    where = f"{path}: {array.name}"
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise InputError(where, f"holds {values.dtype}, not numbers", "write float32")
    if values.shape == (n, 4, length):
        values = values.transpose(0, 2, 1)
    if values.shape == (n, length):
        return values.astype(np.float32)
    if values.shape == (n, length, 4):
        # N has no channel, so that hypothetical values give it nothing
        weights = np.ones(1) if array.name == "contributions" else one_hot(bases)
        return (values * weights).sum(axis=-1).astype(np.float32)
    mend = f"give ({n}, {length}) or ({n}, {length}, 4)"
    raise InputError(where, f"has the shape {values.shape} for {n} sequences of {length} bases", mend)


def read_bigwig(path: Path, places: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Read the values of a bigWig file at places in the genome, float32 (N, L); NaN where it has none.

    Parameters
    ----------
    path : Path
    places : DataFrame
        Columns chrom, start and end, 0-based and half-open, of N sequences of one length.

    Raises
    ------
    InputError
        pyBigWig is not installed, or the file is no bigWig or lacks a chromosome or its end.
    """
    try:
        import pyBigWig
    except ImportError as error:
        what = "needs pyBigWig to be read, which is not installed"
        raise InputError(path, what, "pip install 'simbench_tf[bigwig]'") from error
    try:
        bigwig = pyBigWig.open(str(path))
    except RuntimeError as error:
        raise InputError(path, "is missing or no bigWig", "give a bigWig file") from error
    rows = []
    try:
        sizes = bigwig.chroms()
        for place in places.itertuples():
            if place.end > sizes.get(place.chrom, 0):
                here = f"{place.chrom}:{place.start}-{place.end}"
                raise InputError(path, f"has no {here}", "write it for the genome of the data set")
            rows.append(np.asarray(bigwig.values(place.chrom, place.start, place.end), np.float32))
    finally:
        bigwig.close()
    return np.stack(rows)
