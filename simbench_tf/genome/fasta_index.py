"""The .fai index of a FASTA file: made, written, read, and checked against the file itself."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError
from simbench_tf.files import GZIP_ERRORS, damaged_gzip, is_formula, is_gzip, whole_file
from simbench_tf.genome.bgzf import ReadAt

_NUCLEOTIDES = b"ACGTURYSWKMBDHVN"
_LETTERS = _NUCLEOTIDES + _NUCLEOTIDES.lower()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


# no header, with the blank lines around it, is longer: what is, is no gap between two records
_LONGEST_GAP = 1 << 20


#: Upper-case letter of each byte that is a nucleotide, U being T; 0 for every other byte.
LETTER_OF = np.zeros(256, np.uint8)
for _letters in (_NUCLEOTIDES, _NUCLEOTIDES.lower()):
    LETTER_OF[np.frombuffer(_letters, np.uint8)] = np.frombuffer(_NUCLEOTIDES.replace(b"U", b"T"), np.uint8)
#: The same in the case that the byte has: lower case marks repeats (soft-masking).
CASED_LETTER_OF = LETTER_OF.copy()
CASED_LETTER_OF[np.frombuffer(_NUCLEOTIDES.lower(), np.uint8)] += ord("a") - ord("A")


class Record(NamedTuple):
    """One sequence of a FASTA file, as a line of its index describes it.

    Attributes
    ----------
    length : int
        Bases.
    offset : int
        Of its first base, in bytes from the start of the (decompressed) file.
    line_bases, line_width : int
        Bases of each row but the last, and its bytes with what follows them: line end and blanks.
    """

    length: int
    offset: int
    line_bases: int
    line_width: int

    def byte_of(self, position: int) -> int:
        """The byte of the file where a base stands."""
        row, column = divmod(position, max(self.line_bases, 1))
        return self.offset + row * self.line_width + column

    @property
    def end(self) -> int:
        """The byte after the last base."""
        return self.byte_of(self.length - 1) + 1 if self.length else self.offset


Records = dict[str, Record]


def index_fasta(path: Path, source: Path) -> Records:
    """Index a FASTA file, plain or bgzip, by reading it once.

    Rows may end in blanks, if all rows of a record do so alike, and blank lines may stand between records.

    Raises
    ------
    InputError
        Naming `source` and the line: text before the first record, a name that is missing, not text or given twice, a
        character that is no nucleotide, rows of unlike length; or the gzip file is damaged.
    """
    records: Records = {}
    name, length, offset, line_bases, line_width, ended = "", 0, 0, 0, 0, False
    for number, start, line in _lines(path, source):
        row = line.rstrip()
        if row[:1] == b">":
            if name:
                records[name] = Record(length, offset, line_bases, line_width)
            name = _name(row, records, f"{source}:{number}")
            length, offset, line_bases, line_width, ended = 0, start + len(line), 0, 0, False
        elif not row:
            # above the first row blank lines shift it, below a row only the next record may follow
            offset, ended = (offset, True) if length else (start + len(line), False)
        elif not name or ended or len(row) > (line_bases or len(row)) or row.translate(None, _LETTERS):
            _refuse(row, name, f"{source}:{number}")
        else:
            if not length:
                line_bases, line_width = len(row), len(line)
            length += len(row)
            ended = len(row) != line_bases or len(line) != line_width
    if name:
        records[name] = Record(length, offset, line_bases, line_width)
    if not records:
        raise InputError(source, "is no FASTA file: it holds no record", "give a FASTA file")
    return records


def _lines(path: Path, source: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and content of each line."""
    start = 0
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as handle:
            for number, line in enumerate(handle, start=1):
                if number == 1 and line.startswith(_BYTE_ORDER_MARK):
                    line, start = line[len(_BYTE_ORDER_MARK) :], len(_BYTE_ORDER_MARK)
                yield number, start, line
                start += len(line)
    except GZIP_ERRORS as error:
        raise damaged_gzip(source) from error


def _name(header: bytes, records: Records, where: str) -> str:
    if b"\r" in header:
        raise InputError(where, "has lines that end in CR alone", "convert them: tr '\\r' '\\n'")
    words = header[1:].split()
    if not words or header[1:2].isspace():
        raise InputError(where, "a record without a name", "write it right after >")
    try:
        name = words[0].decode()
    except UnicodeDecodeError:
        raise InputError(where, "the record's name is not text", "save the file as UTF-8") from None
    if is_formula(name):
        raise InputError(where, f"a spreadsheet would execute the name {name!r}", "rename it")
    if name in records:
        raise InputError(where, f"{name} was already given", "rename or drop one of the two records")
    return name


def _refuse(row: bytes, name: str, where: str) -> NoReturn:
    if not name:
        raise InputError(where, "is no FASTA file: text before the first >", "give a FASTA file")
    strange = row.translate(None, _LETTERS)
    if strange:
        raise InputError(
            where, f"{name} holds {_shown(strange[0])}", "give nucleotides: A, C, G, T, N or IUPAC letters"
        )
    raise InputError(where, f"{name} has rows of unlike length", "write all rows of a record alike, but for the last")


def _shown(byte: int) -> str:
    return {9: "a tab", 13: "a CR amid a line", 32: "a blank"}.get(
        byte, repr(chr(byte)) if byte < 128 else f"byte {byte}"
    )


def write_index(records: Records, path: Path) -> None:
    """Write the index as samtools does: name, length, offset, bases and bytes of a row, between tabs."""
    with whole_file(path) as partial:
        lines = ["\t".join(map(str, (name, *record))) + "\n" for name, record in records.items()]
        partial.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_index(path: Path, read_at: ReadAt) -> Records | None:
    """Read an index; None where there is none, where it is damaged, or where it is not of the file behind `read_at`."""
    try:
        rows = [line.split("\t") for line in path.read_bytes().decode().removesuffix("\n").split("\n")]
    except (OSError, UnicodeDecodeError):
        return None
    # no file has sizes of 20 digits, and Python reads no number of thousands
    if not all(len(row) == 5 and all(re.fullmatch("[0-9]{1,19}", text) for text in row[1:]) for row in rows):
        return None
    records = {row[0]: Record(*map(int, row[1:])) for row in rows}
    # with names that index_fasta refuses it is made again, and refused there
    named = len(records) == len(rows) and not any(map(is_formula, records))
    return records if named and _fits(records, read_at) else None


def _fits(records: Records, read_at: ReadAt) -> bool:
    """Whether between any two records there is the second one's header and nothing else, and after the last nothing.

    That holds for all offsets and lengths of the right file, and for those of another release hardly ever.
    """
    before = Record(0, 0, 0, 0)
    for name, record in sorted(records.items(), key=lambda item: item[1].offset):
        size = record.offset - before.end
        gap = read_at(before.end, size) if 0 < size <= _LONGEST_GAP else b""
        if before.end == 0:
            gap = gap.removeprefix(_BYTE_ORDER_MARK)
        header, line_end, rest = gap.lstrip().partition(b"\n")
        if header[:1] != b">" or header[1:].split()[:1] != [name.encode()] or rest.strip():
            return False
        if (before.length and not gap[:1].isspace()) or (record.length and not line_end):
            return False
        if record.length and not 0 < record.line_bases <= record.line_width:
            return False
        before = record
    return not read_at(before.end, _LONGEST_GAP).strip()


def read_letters(
    read_at: ReadAt, record: Record, first: int, last: int, letter_of: npt.NDArray[np.uint8] = LETTER_OF
) -> npt.NDArray[np.uint8]:
    """The letters of bases `first` to `last`, uint8 (last - first,): upper-case ASCII, 0 for what is no nucleotide.

    With `letter_of=CASED_LETTER_OF` they are in the case that the file has.

    Nor is it where the file ends too early, or in a row that does not end where the record says.
    """
    first_row, last_row = first // record.line_bases, (last - 1) // record.line_bases
    start = record.byte_of(first_row * record.line_bases)
    content = np.frombuffer(read_at(start, record.byte_of(last - 1) + 1 - start), np.uint8)
    rows = np.zeros((last_row - first_row + 1, record.line_width), np.uint8)
    rows.ravel()[: content.size] = content
    letters = letter_of[rows[:, : record.line_bases]]
    letters[:-1][(rows[:-1, record.line_bases :] > ord(" ")).any(axis=1)] = 0
    skipped = first - first_row * record.line_bases
    return letters.ravel()[skipped : skipped + last - first]
