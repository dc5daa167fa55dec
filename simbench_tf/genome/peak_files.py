"""Peak files: narrowPeak and BED, plain or gzip; every fault is reported with its line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from simbench_tf.errors import InputError
from simbench_tf.files import is_utf8, text_lines

_log = logging.getLogger(__name__)
PEAK_COLUMNS = ("chrom", "start", "end", "summit", "line")


#: Far beyond any genome, far below where sums of int64 overflow.
LARGEST_COORDINATE = 2**40


#: narrowPeak's columns, its column of summits counted from 0, and the last column that tells layouts apart.
_NARROWPEAK_COLUMNS = 10
_SUMMIT = 9
_LAST_COLUMN_READ = 12


def read_peaks(path: str | os.PathLike[str]) -> pd.DataFrame:
    r"""Read a narrowPeak or BED file, plain or gzip.

    Column 10 holds summits, counted from the start of the peak, where the columns before it are narrowPeak's: 6 a
    strand, 7-9 numbers. Further columns may follow, as IDR and annotation programs add them. BED9, BED12 and joined
    intervals (`bedtools intersect -wo`) are recognised by what their columns hold, and have no summits. Where there
    is no summit (-1), the middle of the peak is taken. What was taken is logged.

    Comments, ``track`` and ``browser`` lines and blank lines are skipped; any line ends are accepted.

    Parameters
    ----------
    path : str or path
        The file; gzip is recognised by its content, not by its name.

    Returns
    -------
    DataFrame
        Columns chrom (str), start, end, summit (int64, bases from the chromosome's start) and line (int64, counted
        from 1), in the file's order.

    Raises
    ------
    InputError
        Naming file and line: too few columns, text for a number, a negative start, start >= end, a summit outside
        the peak, a gzip file cut short, a file without peaks.

    Examples
    --------
    >>> import tempfile
    >>> bed = Path(tempfile.mkdtemp()) / "a.bed"
    >>> _ = bed.write_text("track name=a\nchr1\t100\t201\n")
    >>> read_peaks(bed).to_dict("records")
    [{'chrom': 'chr1', 'start': 100, 'end': 201, 'summit': 150, 'line': 2}]
    """
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise InputError(path, "holds no peaks", "give a narrowPeak or BED file with at least one")
    has_summits = _has_summits(path, [row for row in rows if len(row.fields) >= _NARROWPEAK_COLUMNS])
    offsets = [_summit_offset(path, row) if has_summits else -1 for row in rows]
    n_summits = len(offsets) - offsets.count(-1)
    _log.info("%s: %s", path, _taken(n_summits, len(rows)))
    peaks = [
        (row.chrom, row.start, row.end, (row.start + row.end) // 2 if offset == -1 else row.start + offset, row.line)
        for row, offset in zip(rows, offsets, strict=True)
    ]
    return pd.DataFrame(peaks, columns=list(PEAK_COLUMNS))


def _taken(n_summits: int, n_peaks: int) -> str:
    if not n_summits:
        return f"{n_peaks} peaks without summits, their middles are taken"
    rest = f", and the middles of the {n_peaks - n_summits} without one" if n_summits < n_peaks else ""
    return f"{n_peaks} peaks with summits from column 10 (narrowPeak){rest}"


#: More than those of any coordinate, and fewer than Python refuses to read.
_MOST_DIGITS = 1000


class _Row(NamedTuple):
    line: int
    chrom: str
    start: int
    end: int
    fields: list[str]


def _rows(path: Path) -> Iterator[_Row]:
    name, n_columns = str(path), 0
    for number, line in text_lines(path, "give a narrowPeak or BED file", other_encodings=True):
        if line.startswith("#") or line.split(None, 1)[:1] in ([], ["track"], ["browser"]):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        n_columns = n_columns or len(fields)  # what the file's first line has
        where = f"{name}:{number}"
        if len(fields) < max(3, n_columns):
            what = f"has {len(fields)} columns, needs {max(3, n_columns)}"
            raise InputError(where, what, "give tab-separated narrowPeak or BED")
        if not is_utf8(fields[0]):
            raise InputError(where, f"column 1 is {fields[0]!r}, not text", "give narrowPeak or BED")
        start, end = _number(fields[1], 2, where), _number(fields[2], 3, where)
        if start < 0:
            raise InputError(where, f"start {start} is negative", "coordinates are 0-based; drop or correct the line")
        if start >= end:
            raise InputError(where, f"start {start} is not below end {end}", "swap them or drop the line")
        yield _Row(number, fields[0], start, end, fields[:_LAST_COLUMN_READ])


def _has_summits(path: Path, rows: list[_Row]) -> bool:
    """Whether column 10 holds narrowPeak's summits, judged by all rows that have it."""
    if not rows or re.search(r"\.broadPeak(\.gz)?$", path.name, re.IGNORECASE):
        return False
    if not all(row.fields[5] in ("+", "-", ".") and all(map(_is_number, row.fields[6:9])) for row in rows):
        return False
    if all(map(_is_bed9, rows)) or all(map(_is_bed12, rows)):
        return False
    # another interval after BED6, or after broadPeak's nine columns; what follows it may be the overlap of the two
    if any(all(_is_joined(row, first) for row in rows) for first in (6, 9)):
        return False
    # exactly ten columns are narrowPeak, so that a bad summit is an error; of more, column 10 may be anything
    return any(len(row.fields) == _NARROWPEAK_COLUMNS or _is_offset(row) for row in rows)


def _is_bed9(row: _Row) -> bool:
    """Columns 7-9 are thickStart, thickEnd and itemRgb; only a colour of 0 can be taken for a number."""
    thick = _integers(row.fields[6:8])
    return row.fields[8] == "0" and thick is not None and row.start <= thick[0] <= thick[1] <= row.end


def _is_bed12(row: _Row) -> bool:
    """Columns 10-12 are the number of blocks, and a list of as many sizes and of as many starts."""
    count = _integers(row.fields[9:10])
    lists = [_integers(text.rstrip(",").split(",")) for text in row.fields[10:12]]
    return count is not None and len(lists) == 2 and all(each is not None and len(each) == count[0] for each in lists)


def _is_joined(row: _Row, first: int) -> bool:
    """From column `first` on stands another interval; chromosomes called 1, 2, ... are numbers too."""
    other = _integers(row.fields[first + 1 : first + 3])
    return row.fields[first] == row.chrom and other is not None and len(other) == 2 and 0 <= other[0] < other[1]


def _is_offset(row: _Row) -> bool:
    offset = _integers(row.fields[_SUMMIT : _SUMMIT + 1])
    return offset is not None and -1 <= offset[0] < row.end - row.start


def _integers(texts: list[str]) -> list[int] | None:
    if all(text.removeprefix("-").isdigit() and text.isascii() and len(text) < _MOST_DIGITS for text in texts):
        return [int(text) for text in texts]
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _summit_offset(path: Path, row: _Row) -> int:
    """The summit's distance from the start of the peak, -1 where it has none."""
    if len(row.fields) < _NARROWPEAK_COLUMNS:
        return -1
    where = f"{path}:{row.line}"
    offset = _number(row.fields[_SUMMIT], _SUMMIT + 1, where)
    if offset < -1 or offset >= row.end - row.start:
        raise InputError(
            where,
            f"summit {offset} (column 10) lies outside the peak of {row.end - row.start} bases",
            "it counts from start; write -1 where there is none",
        )
    return offset


def _number(text: str, column: int, where: str) -> int:
    # int() alone would take "1_000" and digits of other scripts
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise InputError(where, f"column {column} is {text!r}, not a whole number", "give narrowPeak or BED")
    # Python reads no number of thousands of digits
    value = int(text) if len(digits) < _MOST_DIGITS else LARGEST_COORDINATE + 1
    if abs(value) > LARGEST_COORDINATE:
        raise InputError(where, f"column {column} is {text}, beyond any genome", "correct the line")
    return value
