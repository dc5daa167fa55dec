"""VCF files: header and records with their line numbers, and records written again with further INFO fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simbench_tf.errors import InputError
from simbench_tf.files import is_formula, text_lines

_N_FIXED_COLUMNS = 8
_EXPECTED = "give a VCF, plain or gzip"


class Record(NamedTuple):
    """One line of a VCF.

    Attributes
    ----------
    line : int
        Its number in the file, from 1.
    fields : list of str
        As they are in the file.
    chrom : str
    position : int
        Of the first base of `ref`, counted from 0 (the file counts from 1).
    identifier, ref : str
    alts : list of str
        One or more; alleles in upper case.
    """

    line: int
    fields: list[str]
    chrom: str
    position: int
    identifier: str
    ref: str
    alts: list[str]


class Unreadable(NamedTuple):
    """A line that is no record, and why."""

    line: int
    fields: list[str]
    reason: str


def read_header(path: Path) -> list[str]:
    """The lines from ``##fileformat`` to ``#CHROM``, without their ends.

    Raises
    ------
    InputError
        The file is missing, cut short, or no VCF.
    """
    header = []
    for number, line in text_lines(path, _EXPECTED, other_encodings=True):
        if not line.startswith("#"):
            raise InputError(f"{path}:{number}", "a record before the #CHROM line", "give a VCF with its header")
        header.append(line)
        if line.startswith("#CHROM"):
            return header
    raise InputError(path, "has no #CHROM line", "give a VCF with its header")


def read_records(path: Path) -> Iterator[Record | Unreadable]:
    """Every line after the header, in order; blank lines are skipped."""
    for number, line in text_lines(path, _EXPECTED, other_encodings=True):
        if line.strip() and not line.startswith("#"):
            yield _record(number, line)


def _record(number: int, line: str) -> Record | Unreadable:
    fields = line.split("\t")
    if len(fields) < _N_FIXED_COLUMNS:
        reason = f"has {len(fields)} tab-separated columns, a VCF record has at least {_N_FIXED_COLUMNS}"
        return Unreadable(number, fields, reason)
    chrom, position, identifier, ref, alts = fields[:5]
    if not re.fullmatch("0*[1-9][0-9]{0,17}", position):
        return Unreadable(number, fields, f"POS must be a whole number from 1, not {position!r}")
    if formula := next(filter(is_formula, (chrom, identifier)), None):
        return Unreadable(number, fields, f"a spreadsheet would execute the name {formula!r}")
    return Record(number, fields, chrom, int(position) - 1, identifier, ref.upper(), alts.upper().split(","))


def with_info(fields: list[str], info: str) -> str:
    """A record's line with `info` added to its INFO column."""
    fields = [*fields]
    fields[7] = info if fields[7] in (".", "") else f"{fields[7]};{info}"
    return "\t".join(fields)
