"""Peak files: narrowPeak and BED, plain or gzip; every fault is reported with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from simbench_tf.errors import InputError
from simbench_tf.files import text_lines

PEAK_COLUMNS = ("chrom", "start", "end", "summit", "line")


#: Far beyond any genome, far below where sums of int64 overflow.
LARGEST_COORDINATE = 2**40
_NARROWPEAK_COLUMNS = 10


def read_peaks(path: str | os.PathLike[str]) -> pd.DataFrame:
    r"""Read a narrowPeak or BED file, plain or gzip.

    A line of exactly ten columns is narrowPeak, and its summit is start + column 10; where that is -1, and for BED,
    the summit is the middle. Comments, ``track`` and ``browser`` lines and blank lines are skipped; CRLF ends are
    accepted.

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
    n_columns = 0
    peaks = []
    for number, line in text_lines(path, "give a narrowPeak or BED file"):
        if line.startswith("#") or line.split(None, 1)[:1] in ([], ["track"], ["browser"]):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        n_columns = n_columns or len(fields)
        peaks.append((*_peak(fields, n_columns, f"{path}:{number}"), number))
    if not peaks:
        raise InputError(path, "holds no peaks", "give a narrowPeak or BED file with at least one")
    return pd.DataFrame(peaks, columns=list(PEAK_COLUMNS))


def _peak(fields: list[str], n_columns: int, where: str) -> tuple[str, int, int, int]:
    """One line's chrom, start, end and summit; `n_columns` is what the file's first line had."""
    if len(fields) < max(3, n_columns):
        raise InputError(
            where, f"has {len(fields)} columns, needs {max(3, n_columns)}", "give tab-separated narrowPeak or BED"
        )
    chrom = fields[0]
    start, end = (_number(fields[column], column + 1, where) for column in (1, 2))
    if start < 0:
        raise InputError(where, f"start {start} is negative", "coordinates are 0-based; drop or correct the line")
    if start >= end:
        raise InputError(where, f"start {start} is not below end {end}", "swap them or drop the line")
    offset = _number(fields[9], 10, where) if len(fields) == _NARROWPEAK_COLUMNS else -1
    if offset < -1 or offset >= end - start:
        raise InputError(
            where,
            f"summit {offset} (column 10) lies outside the peak of {end - start} bases",
            "it counts from start; write -1 where there is none",
        )
    return chrom, start, end, (start + end) // 2 if offset == -1 else start + offset


def _number(text: str, column: int, where: str) -> int:
    # int() alone would take "1_000" and digits of other scripts
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise InputError(where, f"column {column} is {text!r}, not a whole number", "give narrowPeak or BED")
    value = int(text)
    if abs(value) > LARGEST_COORDINATE:
        raise InputError(where, f"column {column} is {text}, beyond any genome", "correct the line")
    return value
