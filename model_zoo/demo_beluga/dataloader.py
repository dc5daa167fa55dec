"""Intervals of a genome as one-hot DNA for Kipoi: BED and FASTA in, float32 (L, 4) out, one sample per interval.

Everything that can be wrong with the two files is found before the first batch, so that a failing prediction leaves
no output behind.
"""

import atexit
import gzip
import os
import shutil
import tempfile
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
    """

    def __init__(self, fasta_file: str, intervals_file: str, resize: bool | str = False) -> None:
        entry = getattr(self, "source_dir", None)
        fasta, bed = _existing(fasta_file, "fasta_file", entry), _existing(intervals_file, "intervals_file", entry)
        self._fasta = (fasta, _index(fasta))
        self._reader: pyfaidx.Faidx | None = None
        self._reader_process = -1
        lengths = {name: record.rlen for name, record in self._faidx().index.items()}
        seq_length = self.get_output_schema().inputs.shape[0]
        self.intervals = _read_intervals(bed, lengths, seq_length, _flag(resize, "resize"))

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
        return {"inputs": np.ascontiguousarray(one_hot), "metadata": {"ranges": ranges}}

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
    opened: Any = gzip.open if path.suffix in (".gz", ".bgz") else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n")
            if not line.strip() or line.startswith(("#", "track ", "track\t", "browser ", "browser\t")):
                continue
            try:
                intervals.append(_interval(line, lengths, seq_length, resize))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    if not intervals:
        raise ValueError(f"{path}:1: the file holds no interval")
    return intervals


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
