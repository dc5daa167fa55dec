"""Readers of attribution files that other tools wrote: NumPy and HDF5 arrays, ChromBPNet's, bigWig at given loci."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import text_lines
from simbench_tf.hdf5 import MOST_ARRAY_BYTES, read_array
from simbench_tf.interchange import bigwig_values, chrombpnet

#: Names of arrays, in order of preference; ``arr_0`` is NumPy's own name, and tfmodisco-lite's.
ARRAYS = ("scores", "contributions", "hypothetical", "arr_0")
#: Names of the array that holds the rows' ids, in order of preference.
ID_ARRAYS = ("seq_id", "seq_ids", "ids", "names")
#: Arrays that a message lists at most.
_MAX_LISTED = 8
#: How long the reading of a bigWig may take, at least, and the bases that it reads a second, at the very least.
_BIGWIG_SECONDS, _BIGWIG_BASES_PER_SECOND = 60, 20_000


class OtherArray(NamedTuple):
    """An array of attributions as a file holds it.

    Attributes
    ----------
    name : str
        Of the array in the file.
    values : array
        Of any type, as the file holds it.
    seq_ids : list of str or None
        Of the rows, where the file has them.
    is_ordered : bool
        Whether the rows are the explained sequences in order, as those read at their loci are.
    bases : uint8 array, shape (N, L), or None
        The sequences of the rows, where the file has them.
    """

    name: str
    values: npt.NDArray[Any]
    seq_ids: list[str] | None = None
    is_ordered: bool = False
    bases: npt.NDArray[np.uint8] | None = None


def read_attribution_file(path: Path, loci: pd.DataFrame | None) -> OtherArray:
    """Read a file by the reader of its suffix in `READERS`.

    Parameters
    ----------
    path : Path
    loci : DataFrame or None
        Columns chrom, start and end, 0-based and half-open, of the explained sequences, in order; None where they have
        no place in a genome.

    Raises
    ------
    InputError
        The file is missing, has another suffix, cannot be read or has no array of `ARRAYS`.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise InputError(path, "is no attribution file that is read here", f"give a file of {' or '.join(READERS)}")
    return reader(path, loci)


def read_npz(path: Path, _loci: pd.DataFrame | None = None) -> OtherArray:
    """Read the attributions of a NumPy archive."""
    with file_errors(path), np.load(path, allow_pickle=False) as arrays:
        for member in arrays.zip.infolist():
            if member.file_size > MOST_ARRAY_BYTES:
                gigabytes = f"{member.file_size / 1e9:,.0f} GB, {MOST_ARRAY_BYTES / 1e9:.0f} GB are the most"
                what = f"holds {member.filename} of {gigabytes}"
                raise InputError(path, what, "give fewer sequences at a time")
        return _chosen(path, arrays, arrays.files)


def read_npy(path: Path, _loci: pd.DataFrame | None = None) -> OtherArray:
    """Read the attributions of a NumPy file of one array."""
    with file_errors(path):
        # mapped, so that a header of terabytes is held against the file's size
        return OtherArray("arr_0", np.array(np.load(path, allow_pickle=False, mmap_mode="r")))


def read_hdf5(path: Path, _loci: pd.DataFrame | None = None) -> OtherArray:
    """Read the attributions of an HDF5 file; one of ChromBPNet's layout has its sequences, too."""
    with file_errors(path), h5py.File(path) as h5:
        names: list[str] = []
        h5.visititems(lambda name, each: names.append(name) if isinstance(each, h5py.Dataset) else None)
        if chrombpnet.has_layout(names):
            read = chrombpnet.read_contributions(h5)
            return OtherArray(read.name, read.values, bases=read.bases)
        return _chosen(path, h5, names)


#: What NumPy, zipfile, the parser of NumPy's headers and h5py raise for damaged files.
_UNREADABLE = (
    OSError, ValueError, KeyError, RuntimeError, EOFError, SyntaxError, AttributeError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Report what NumPy and h5py say of a file as bad input."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(path, "is missing", "name a file that exists") from error
    except MemoryError as error:
        raise InputError(path, "holds, or says so, more than fits the memory", "give fewer sequences") from error
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, f"cannot be read: {error}", "write it again, with plain arrays only") from error


def _chosen(path: Path, arrays: Any, names: Sequence[str]) -> OtherArray:
    """The attributions among the named arrays of a file, and the ids of their rows."""
    name = next((name for name in ARRAYS if name in names), None)
    if name is None:
        listed = [f"{each} {arrays[each].shape}" for each in names[:_MAX_LISTED]]
        listed += ["..."] if len(names) > _MAX_LISTED else []
        found = f"it holds {', '.join(listed)}" if listed else "it holds none"
        mend = "name one scores (N, L), contributions or hypothetical (N, L, 4)"
        raise InputError(path, f"has no array {', '.join(ARRAYS[:-1])} or {ARRAYS[-1]} ({found})", mend)
    ids = next((name for name in ID_ARRAYS if name in names), None)
    read = read_array if isinstance(arrays, h5py.File) else _of_archive
    return OtherArray(name, read(arrays, name), None if ids is None else as_text(read(arrays, ids)))


def _of_archive(arrays: Any, name: str) -> npt.NDArray[Any]:
    return np.asarray(arrays[name])


def as_text(seq_ids: npt.NDArray[Any]) -> list[str]:
    """Ids as text, from bytes, text or numbers."""
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.ravel(seq_ids).tolist()]


def read_seq_ids(path: Path) -> list[str]:
    r"""Ids of rows from a text file, plain or gzip.

    One per line; of a table the first column. Of BED it is the name, as in regions.bed of `export-attributions`, or
    chrom:start-end where there is none. Comments (``#``), blank lines, ``track`` and ``browser`` lines and a header
    (``seq_id``, ``chrom``) are skipped.

    Raises
    ------
    InputError
        The file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "ids")
    >>> _ = path.write_text("#chrom\tstart\tend\nchr1\t5\t9\nchr2\t0\t4\tmine\n")
    >>> read_seq_ids(path)
    ['chr1:5-9', 'mine']
    """
    lines = (line for _, line in text_lines(path, "give a text file with one seq_id per line"))
    columns = [line.split("\t") for line in lines if line.strip() and not line.startswith(("#", "track ", "browser "))]
    if columns and columns[0][0] in (*ID_ARRAYS, "chrom"):
        del columns[0]
    return [_id_of(fields) for fields in columns]


def _id_of(fields: list[str]) -> str:
    """The id that a line of a text file or BED names."""
    is_bed = len(fields) > 2 and fields[1].isdecimal() and fields[2].isdecimal()
    if not is_bed:
        return fields[0]
    return fields[3] if len(fields) > 3 and fields[3] not in ("", ".") else f"{fields[0]}:{fields[1]}-{fields[2]}"


def scores_of(path: Path, array: OtherArray, bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Score of each observed base, float32 (N, L), from an array (N, L), (N, L, 4) or (N, 4, L).

    The observed base's score is the sum over channels of `contributions`; of hypothetical ones (also `arr_0` of
    tfmodisco-lite and ``shap/seq`` of ChromBPNet) it is the value of the base that stands there.

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
        # N has no channel, so its score from hypothetical values is 0
        weights = np.ones(1) if array.name == "contributions" else one_hot(bases)
        return (values * weights).sum(axis=-1).astype(np.float32)
    mend = f"give ({n}, {length}) or ({n}, {length}, 4)"
    raise InputError(where, f"has the shape {values.shape} for {n} sequences of {length} bases", mend)


def read_bigwig(path: Path, loci: pd.DataFrame | None) -> OtherArray:
    """Read the values of a bigWig file at loci of the genome, float32 (N, L); NaN where it has none.

    Parameters
    ----------
    path : Path
    loci : DataFrame or None
        Columns chrom, start and end, 0-based and half-open, of N sequences of one length.

    Raises
    ------
    InputError
        There are no loci, pyBigWig is not installed, the file is no bigWig or lacks a chromosome or its end, or it is
        damaged so that pyBigWig crashes or does not end.
    """
    if loci is None:
        others = " or ".join(suffix for suffix, reader in READERS.items() if reader is not read_bigwig)
        what = "is a bigWig, but the sequences have no place in a genome"
        raise InputError(path, what, f"give {others}, or use data of kind peaks")
    if find_spec("pyBigWig") is None:
        what = "needs pyBigWig to be read, which is not installed"
        raise InputError(path, what, "pip install 'simbench_tf[bigwig]'")
    if not path.is_file():  # pyBigWig would take an address of the web, or wait at a pipe
        raise InputError(path, *_NO_BIGWIG)
    places = list(zip(loci["chrom"], loci["start"].tolist(), loci["end"].tolist(), strict=True))
    values = np.frombuffer(_bigwig_values(path, places), np.float32)
    return OtherArray("values", values.reshape(len(places), -1), is_ordered=True)


_NO_BIGWIG = ("is missing or no bigWig", "give a bigWig file")


def _bigwig_values(path: Path, places: list[tuple[str, int, int]]) -> bytes:
    """What `bigwig_values` prints; a crash of it, or no end, is one line as other errors are."""
    # -P: modules beside the program are none of its
    command = [sys.executable, "-P", bigwig_values.__file__, str(path.resolve())]
    n_bases = sum(end - start for _, start, end in places)
    seconds = _BIGWIG_SECONDS + n_bases / _BIGWIG_BASES_PER_SECOND
    damaged = "it may be damaged: write it again"
    try:
        done = subprocess.run(
            command,
            input=json.dumps(places).encode(),
            capture_output=True,
            timeout=seconds,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # its threads reserve memory, which is bounded there
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(path, f"was not read within {seconds:.0f} s", damaged) from error
    if done.returncode == bigwig_values.NO_BIGWIG:
        raise InputError(path, *_NO_BIGWIG)
    if done.returncode == bigwig_values.NO_LOCUS:
        locus = done.stderr.decode(errors="replace").splitlines()[-1]
        raise InputError(path, f"has no {locus}", "write it for the genome of the data set")
    if done.returncode or len(done.stdout) != 4 * n_bases:
        raise InputError(path, "cannot be read by pyBigWig", damaged)
    return done.stdout


#: The reader of each suffix. A reader takes a path and the loci of the explained sequences (None without a genome).
READERS: dict[str, Callable[[Path, pd.DataFrame | None], OtherArray]] = {
    ".npz": read_npz,
    ".npy": read_npy,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".bw": read_bigwig,
    ".bigwig": read_bigwig,
    ".bigWig": read_bigwig,
}
