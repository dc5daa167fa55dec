"""Intervals of a genome as one-hot DNA for Kipoi: BED and FASTA in, float32 (L, 4) out, one sample per interval.

An own class, since kipoiseq's loaders need pybedtools, which it does not declare, and stop at a BED of four columns.

Everything that can be wrong with the files is found before the first batch, so that a failing prediction leaves
no output behind.
"""

import atexit
import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyfaidx
from kipoi.data import Dataset
from kipoi.metadata import GenomicRanges

# Kipoi's HDF5 writer uses the names that they had before numpy 2
for _former, _type in (("string_", np.bytes_), ("unicode_", np.str_)):
    if not hasattr(np, _former):
        setattr(np, _former, _type)

_ONE_HOT = np.zeros((256, 4), np.float32)
for _channel, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"Tt")):
    _ONE_HOT[list(_letters), _channel] = 1


class SequenceIntervals(Dataset):
    """One sample per interval, in the order of the file.

    Parameters
    ----------
    fasta_file : str
        Genome, plain or bgzip; it is indexed beside the file, or in a temporary folder where that can't be written.
    intervals_file : str
        BED of 3 to 6 columns (later ones are ignored), plain or gzip. Intervals on the minus strand are read as
        the reverse complement.
    resize : bool
        Take as many bases as the model needs around the middle of each interval; else every interval must have them.
    targets_file : str, optional
        Labels to train on or to compare with, one row per interval in the same order: numbers with tabs between them,
        one column per task, plain or gzip; a first line that is no numbers names the columns. Without it samples
        have no targets.
    """

    def __init__(
        self, fasta_file: str, intervals_file: str, resize: bool | str = False, targets_file: str | None = None
    ) -> None:
        entry = getattr(self, "source_dir", None)
        fasta, bed = _existing(fasta_file, "fasta_file", entry), _existing(intervals_file, "intervals_file", entry)
        self._fasta = (fasta, _index(fasta))
        self._reader: pyfaidx.Faidx | None = None
        self._reader_process = -1
        lengths = {name: record.rlen for name, record in self._faidx().index.items()}
        seq_length = self.get_output_schema().inputs.shape[0]
        self.intervals = _read_intervals(bed, lengths, seq_length, _flag(resize, "resize"))
        self.targets: np.ndarray | None = None
        if targets_file:
            self.targets = _read_targets(_existing(targets_file, "targets_file", entry), len(self.intervals))

    def __len__(self) -> int:
        return len(self.intervals)

    def __getitem__(self, index: int) -> dict[str, Any]:
        chrom, start, end, name, strand = self.intervals[index]
        text = self._faidx().fetch(chrom, start + 1, end)  # pyfaidx counts from 1, both ends within
        if len(text) != end - start:
            raise ValueError(f"{self._fasta[0]}: gives {len(text)} bases at {chrom}:{start}-{end}; its index is stale")
        one_hot = _ONE_HOT[np.frombuffer(text.encode("ascii", "replace"), np.uint8)]
        if strand == "-":
            one_hot = one_hot[::-1, ::-1]
        ranges = GenomicRanges(chr=chrom, start=start, end=end, id=name, strand=strand)
        sample = {"inputs": np.ascontiguousarray(one_hot), "metadata": {"ranges": ranges}}
        return sample if self.targets is None else {**sample, "targets": self.targets[index]}

    def _faidx(self) -> pyfaidx.Faidx:
        # an open file is shared with forked workers, and their reads would move each other's place in it
        if self._reader_process != os.getpid():
            self._reader, self._reader_process = _open(*self._fasta), os.getpid()
        return self._reader


def _existing(path: str, argument: str, entry: str | None) -> Path:
    if not Path(path).is_file() and entry and Path(entry, path).is_file():
        path = str(Path(entry, path))  # one of the entry's own examples, as `kipoi get-example` names them
    if not Path(path).is_file():
        raise FileNotFoundError(f"{argument}: no such file: {path}")
    # kipoi reads the example's files after it has left the folder they are relative to
    return Path(path).absolute()


def _flag(value: bool | str, argument: str) -> bool:
    """True or false, also as text: JSON writers quote them, and any quoted word would count as true."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if value not in (True, False):
        raise ValueError(f"{argument}: must be true or false, not {value!r}")
    return bool(value)


def _index(fasta: Path) -> Path:
    """Path of the .fai to use: beside the FASTA, or in a folder that goes when this process ends."""
    beside = fasta.with_name(fasta.name + ".fai")
    # root may write anywhere; a folder without a write bit is meant to stay as it is all the same
    writable = os.access(fasta.parent, os.W_OK) and fasta.parent.stat().st_mode & 0o222
    if writable or (beside.is_file() and beside.stat().st_mtime >= fasta.stat().st_mtime):
        return beside
    temporary = tempfile.mkdtemp(prefix="kipoi_index_")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary, beside.name)


def _open(fasta: Path, index: Path) -> pyfaidx.Faidx:
    try:
        return pyfaidx.Faidx(str(fasta), str(index), as_raw=True, gzi_indexname=str(index.with_suffix(".gzi")))
    except (pyfaidx.FastaIndexingError, pyfaidx.UnsupportedCompressionFormat, ValueError) as error:
        raise ValueError(f"fasta_file: {fasta} is no FASTA file that can be indexed: {error}") from error


Interval = tuple[str, int, int, str, str]


def _read_intervals(path: Path, lengths: dict[str, int], seq_length: int, resize: bool) -> list[Interval]:
    """Read and check a BED file: a list of (chrom, start, end, name, strand), each of seq_length bases."""
    intervals = []
    for number, line in _lines(path):
        if line.startswith(("track ", "track\t", "browser ", "browser\t")):
            continue
        try:
            intervals.append(_interval(line, lengths, seq_length, resize))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
    if not intervals:
        raise ValueError(f"{path}:1: the file holds no interval")
    return intervals


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file with their numbers from 1, without comments, blank lines and a byte order mark."""
    opened: Any = gzip.open if path.suffix in (".gz", ".bgz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip() and not line.startswith("#"):
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no UTF-8 text: {error.reason}; save it as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked: {error}") from None


def _read_targets(path: Path, n_intervals: int) -> np.ndarray:
    """Read and check a table of labels: float32 (N, T)."""
    rows: list[list[float]] = []
    width, is_first = 0, True
    for number, line in _lines(path):
        fields = line.split("\t")
        try:
            row = [float(field) for field in fields]
        except ValueError:
            if is_first:  # a head
                width, is_first = len(fields), False
                continue
            raise ValueError(f"{path}:{number}: targets must be numbers with tabs between them: {line!r}") from None
        is_first, width = False, width or len(row)
        if len(row) != width or not np.isfinite(row).all():
            raise ValueError(f"{path}:{number}: needs {width} finite numbers, as the line above: {line!r}")
        rows.append(row)
    if len(rows) != n_intervals:
        raise ValueError(f"{path}: holds {len(rows)} rows of targets, the intervals are {n_intervals}")
    return np.array(rows, np.float32)


def _interval(line: str, lengths: dict[str, int], seq_length: int, resize: bool) -> Interval:
    fields = line.split("\t")
    if len(fields) < 3:
        raise ValueError(f"needs chrom, start and end with tabs between them, has {len(fields)} column(s): {line!r}")
    chrom, start, end = fields[0], _position(fields[1]), _position(fields[2])
    name = fields[3] if len(fields) > 3 else "."
    strand = fields[5] if len(fields) > 5 else "."
    if strand not in ("+", "-", "."):
        raise ValueError(f"strand must be +, - or a dot, not {strand!r}")
    if chrom not in lengths:
        known = ", ".join(list(lengths)[:3]) + (", ..." if len(lengths) > 3 else "")
        raise ValueError(f"unknown chromosome {chrom!r}; the FASTA has {known}")
    if start >= end:
        raise ValueError(f"start {start} is not below end {end}")
    _check_inside(chrom, start, end, lengths)
    if end - start != seq_length:
        if not resize:
            reason = f"the interval has {end - start} bases, the model takes {seq_length}"
            raise ValueError(f'{reason}; give "resize": true to take them around its middle')
        start = (start + end) // 2 - seq_length // 2
        end = start + seq_length
        _check_inside(chrom, start, end, lengths)
    return chrom, start, end, name, strand


def _position(field: str) -> int:
    if not field.strip().removeprefix("-").isdecimal():
        raise ValueError(f"start and end must be whole numbers, not {field!r}")
    return int(field)


def _check_inside(chrom: str, start: int, end: int, lengths: dict[str, int]) -> None:
    if start < 0:
        raise ValueError(f"start {start} is negative")
    if end > lengths[chrom]:
        raise ValueError(f"end {end} is past the end of {chrom}, which has {lengths[chrom]} bases")
