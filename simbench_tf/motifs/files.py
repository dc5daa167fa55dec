"""Motif files: MEME, JASPAR and HOMER are read into probabilities whose positions sum to 1; MEME is written.

The format is recognised by the content, never by the file's name; plain and gzip files are read, with any line ends.
A fault is an :class:`~simbench_tf.errors.InputError` that names ``file:line``.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError
from simbench_tf.files import is_formula, is_utf8, text_lines, whole_file

UNIFORM = (0.25, 0.25, 0.25, 0.25)


#: What MEME takes where a file does not say from how many sites a motif was made.
DEFAULT_N_SITES = 20.0


# HOMER prints three decimals and a floor of .001, so its rows sum to 1 only roughly
_SUM_TOLERANCE = 0.02


# rows this close to 1 are kept as they are, so that what `write_meme` wrote reads back to the same bits
_ROUND_OFF = 1e-9


# a JASPAR matrix without header begins with a row of numbers, in brackets or not
_BARE_ROW = re.compile(r"([ACGT]\s*([\[|:]\s*)?)?\d[\s\d.eE+-]*\]?")
_MEND_FORMAT = "give a MEME (minimal), JASPAR or HOMER motif file"
Line = tuple[int, str]
Found = Iterator[tuple[int, "Motif"]]


class Motif(NamedTuple):
    """One motif.

    Attributes
    ----------
    motif_id : str
        Unique within a file, such as ``MA0139.1``; holds no whitespace.
    tf : str
        The transcription factor, such as ``CTCF`` or ``POU5F1::SOX2``; the motif_id where the file names none.
    ppm : float64, shape (W, 4)
        Probability of A, C, G, T at each position; rows sum to 1.
    n_sites : float
        How many sites the probabilities were counted from: the weight of the data against a pseudocount. Whole in all
        that the readers give, since other programs read MEME's nsites as an integer.
    """

    motif_id: str
    tf: str
    ppm: npt.NDArray[np.float64]
    n_sites: float


def read_motifs(path: str | PathLike[str]) -> list[Motif]:
    """Read a MEME, JASPAR or HOMER motif file; the format is recognised by the content.

    MEME: the minimal format (also within MEME's, STREME's or DREME's full text output), the ``letter-probability
    matrix`` parts; what these programs number (MEME-1) is no factor's name.
    JASPAR: four rows of counts under a ``>ID NAME`` header, with letters and brackets or bare; a bare matrix without
    header gets the file's name. HOMER: ``>consensus<TAB>name<TAB>threshold`` over one row per position; n_sites is
    the number of target sequences with the motif (``T:``) where it is given.

    Parameters
    ----------
    path : str or path
        Plain or gzip.

    Returns
    -------
    list of Motif
        In the file's order.

    Raises
    ------
    InputError
        The file is missing, empty, cut short or of another format; a number is text, negative or not finite; a position
        sums to zero, or its probabilities not to 1; a JASPAR matrix holds probabilities, or may as well be one row per
        position; a matrix does not have the stated size; a motif id occurs twice.
    """
    path = Path(path)
    lines = [(number, line.strip()) for number, line in text_lines(path, _MEND_FORMAT, other_encodings=True)]
    filled = [line for line in lines if line[1]]
    if not filled:
        raise InputError(path, "is empty", _MEND_FORMAT)
    if any(text.startswith("MEME version") for _, text in filled):
        found = _read_meme(path, filled)
    elif _is_homer(filled[0][1]):
        found = _read_homer(path, filled)
    elif filled[0][1].startswith(">") or _BARE_ROW.fullmatch(filled[0][1]):
        found = _read_jaspar(path, filled)
    else:
        what = "does not begin a MEME, JASPAR or HOMER file" if is_utf8(filled[0][1]) else "is not text"
        raise InputError(f"{path}:{filled[0][0]}", what, _MEND_FORMAT)
    motifs: list[Motif] = []
    seen: dict[str, int] = {}
    for line_number, motif in found:
        if not is_utf8(motif.motif_id + motif.tf):
            raise InputError(f"{path}:{line_number}", "the motif's name is not text", "save the file as UTF-8")
        if formula := next(filter(is_formula, (motif.motif_id, motif.tf)), None):
            raise InputError(f"{path}:{line_number}", f"a spreadsheet would execute the name {formula!r}", "rename it")
        if motif.motif_id in seen:
            raise InputError(
                f"{path}:{line_number}",
                f"motif {motif.motif_id} was already given in line {seen[motif.motif_id]}",
                "rename or drop one of them",
            )
        seen[motif.motif_id] = line_number
        motifs.append(motif)
    if not motifs:
        raise InputError(path, "holds no motif", _MEND_FORMAT)
    return motifs


def write_meme(
    motifs: Sequence[Motif],
    path: str | PathLike[str],
    background: Sequence[float] = UNIFORM,
    remarks: Sequence[str] = (),
) -> None:
    """Write motifs in the minimal MEME format, so that :func:`read_motifs` gives back the same bits (n_sites whole).

    Parameters
    ----------
    motifs : sequence of Motif
    path : str or path
        Written whole or not at all.
    background : sequence of 4 floats
        Background letter frequencies (A, C, G, T) for the file's header.
    remarks : sequence of str
        Lines for the head of the file, where MEME's readers skip what they don't know (such as the source and licence).

    Raises
    ------
    InputError
        The file cannot be written.
    ValueError
        A motif_id or tf is empty or holds whitespace; `background` is not four positive numbers that sum to 1.
    """
    named = zip("ACGT", base_frequencies(background), strict=True)
    parts = ["MEME version 4", "", *remarks, *([""] if remarks else []), "ALPHABET= ACGT", "", "strands: + -", ""]
    parts += ["Background letter frequencies", " ".join(f"{letter} {frequency!r}" for letter, frequency in named), ""]
    for motif in motifs:
        if any(name.split() != [name] for name in (motif.motif_id, motif.tf)):
            raise ValueError(f"motif_id and tf must be words without whitespace, not {motif.motif_id!r}, {motif.tf!r}")
        parts += [
            f"MOTIF {motif.motif_id} {motif.tf}",
            f"letter-probability matrix: alength= 4 w= {len(motif.ppm)} nsites= {whole_sites(motif.n_sites):.0f} E= 0",
            *(" ".join(repr(float(p)) for p in row) for row in motif.ppm),
            "",
        ]
    with whole_file(path) as partial:
        partial.write_text("\n".join(parts), encoding="utf-8")


def base_frequencies(background: npt.ArrayLike) -> tuple[float, ...]:
    """The background as four floats that sum to 1.

    Raises
    ------
    ValueError
        `background` is not four positive numbers that sum to 1.
    """
    frequencies = np.asarray(background, np.float64)
    if frequencies.shape != (4,) or not (frequencies > 0).all() or abs(frequencies.sum() - 1) > 1e-3:
        raise ValueError("background must be four positive base frequencies that sum to 1")
    return tuple((frequencies / frequencies.sum()).tolist())


def whole_sites(n_sites: float) -> float:
    """The nearest whole number of sites, at least 1; MEME's default where it is 0, which files give for unknown."""
    return float(max(1, round(n_sites or DEFAULT_N_SITES)))


def motif_of_counts(motif_id: str, tf: str, counts: npt.NDArray[np.float64]) -> Motif:
    """The motif of a PFM, shape (W, 4), whose positions all sum to more than zero."""
    totals = counts.sum(axis=1)
    return Motif(motif_id, tf, counts / totals[:, None], whole_sites(totals.mean()))


def read_jaspar_release(source: str) -> list[Motif]:
    """All vertebrate CORE motifs of a JASPAR release ("jaspar:2022"), the latest version of each, sorted by id.

    Raises
    ------
    InputError
        pyjaspar is not installed, or lacks the release.
    """
    try:
        import pyjaspar
    except ImportError:
        raise InputError(source, "needs pyjaspar", "pip install simbench_tf[jaspar]") from None
    release = "JASPAR" + source.removeprefix("jaspar:")
    if release not in pyjaspar.jaspar_releases:
        known = ", ".join(f"jaspar:{name.removeprefix('JASPAR')}" for name in sorted(pyjaspar.jaspar_releases))
        raise InputError(source, "no such release", f"pyjaspar has {known}")
    database = pyjaspar.jaspardb(release=release)
    try:
        records = database.fetch_motifs(collection="CORE", tax_group=["vertebrates"])
    finally:
        database.conn.close()
    motifs = [
        motif_of_counts(
            record.matrix_id, "_".join(record.name.split()), np.array([record.counts[base] for base in "ACGT"], float).T
        )
        for record in records
    ]
    return sorted(motifs, key=lambda motif: motif.motif_id)


def _entries(lines: list[Line], mark: str) -> Iterator[tuple[Line, list[Line]]]:
    """Split lines at the headers that begin with `mark`."""
    starts = [index for index, (_, text) in enumerate(lines) if text.startswith(mark)]
    for start, stop in pairwise([*starts, len(lines)]):
        yield lines[start], lines[start + 1 : stop]


def _numbers(path: Path, line_number: int, words: list[str]) -> list[float]:
    values = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise InputError(f"{path}:{line_number}", f"{word!r} is no count or probability", "correct the matrix")
        values.append(value)
    return values


def _probabilities(path: Path, motif_id: str, rows: list[Line]) -> npt.NDArray[np.float64]:
    """A PPM, shape (W, 4), from lines of four probabilities, one line per position."""
    matrix = np.empty((len(rows), 4))
    for position, (line_number, text) in enumerate(rows):
        where = f"{path}:{line_number}"
        values = _numbers(path, line_number, text.split())
        if len(values) != 4:
            raise InputError(where, f"has {len(values)} numbers", "give four per position: A, C, G, T")
        what = f"position {position + 1} of motif {motif_id} sums to {sum(values):g}, not 1"
        if abs(sum(values) - 1) > _SUM_TOLERANCE:
            raise InputError(where, what, "give probabilities, or counts in a JASPAR file")
        matrix[position] = values
    totals = matrix.sum(axis=1, keepdims=True)
    return matrix / np.where(np.abs(totals - 1) > _ROUND_OFF, totals, 1.0)


def _check_alphabet(path: Path, lines: list[Line]) -> None:
    """Refuse a MEME file of another alphabet, given as ``ALPHABET= ACGT`` or by lines up to ``END ALPHABET``."""
    for index, (line_number, text) in enumerate(lines):
        if text.startswith("ALPHABET"):
            rest = text.removeprefix("ALPHABET").strip()
            letters = rest[1:].strip() if rest.startswith("=") else _core_letters(lines[index + 1 :])
            if letters != "ACGT":
                raise InputError(
                    f"{path}:{line_number}", f"has the line {text!r}", "only DNA motifs (ACGT) can be used"
                )


def _core_letters(lines: list[Line]) -> str:
    """The letters declared by lines like ``A "Adenine" CC0000 ~ T "Thymine" 008000``; ``N = ACGT`` declares none."""
    letters: list[str] = []
    for _, text in itertools.takewhile(lambda line: not line[1].startswith("END ALPHABET"), lines):
        if not re.match(r'\S+\s+(".*"\s+)?(\S+\s+)?=', text):
            letters += re.findall(r"(?:^|~\s*)(\S)(?=\s|$)", text)
    return "".join(sorted(letters))


def _meme_names(header: str) -> list[str]:
    """Id and factor of ``MOTIF id factor``; in the full output of a program its own number stands for a factor."""
    words = re.split(r"\s(?:w|width|n?sites|llr|E-value)\s*=", header)[0].split()[1:]
    return words[:1] if len(words) > 1 and re.fullmatch(r"(MEME|STREME|DREME)(-\d+)?", words[1]) else words[:2]


def _read_meme(path: Path, lines: list[Line]) -> Found:
    _check_alphabet(path, lines)
    for (line_number, header), body in _entries(lines, "MOTIF"):
        where = f"{path}:{line_number}"
        words = _meme_names(header)
        if not words:
            raise InputError(where, "MOTIF without a name", "write MOTIF id name")
        matrices = [index for index, (_, text) in enumerate(body) if text.startswith("letter-probability matrix")]
        if len(matrices) != 1:
            raise InputError(
                where,
                f"motif {words[0]} has {len(matrices)} letter-probability matrices",
                "give one under its MOTIF line",
            )
        matrix_line, text = body[matrices[0]]
        rows = body[matrices[0] + 1 :]
        # from the start of a word only: else each of its letters is one more start, and a long word takes minutes
        sizes = {key: float(value) for key, value in re.findall(r"\b(\w+)\s*=\s*(\d+(?:\.\d+)?)", text)}
        if not all(map(math.isfinite, sizes.values())):
            raise InputError(f"{path}:{matrix_line}", "holds a number that is too large", "correct it")
        # rows end where no number begins the line: at a URL, at the ruler of a full MEME output
        width = next((index for index, (_, row) in enumerate(rows) if not re.match(r"\s*[\d.]", row)), len(rows))
        width = int(sizes.get("w", width))
        if not 0 < width <= len(rows):
            raise InputError(
                f"{path}:{matrix_line}",
                f"motif {words[0]} should have {width} positions, has {len(rows)}",
                "give as many rows as w= says",
            )
        if len(rows) > width and re.match(r"\s*[\d.]", rows[width][1]):
            raise InputError(f"{path}:{rows[width][0]}", f"is one row more than w= {width}", "correct w= or the rows")
        ppm = _probabilities(path, words[0], rows[:width])
        yield line_number, Motif(words[0], words[-1], ppm, whole_sites(sizes.get("nsites", 0.0)))


def _is_homer(header: str) -> bool:
    fields = header.split("\t")
    return (
        len(fields) > 2 and fields[0].startswith(">") and re.fullmatch(r"-?\d+(\.\d+)?", fields[2].strip()) is not None
    )


def _read_homer(path: Path, lines: list[Line]) -> Found:
    for (line_number, header), rows in _entries(lines, ">"):
        where = f"{path}:{line_number}"
        if not _is_homer(header):
            raise InputError(where, "is no HOMER header", "write >consensus, name and threshold, between tabs")
        fields = header.split("\t")
        # de novo motifs are called "1-TGASTCA,BestGuess:AP-1(bZIP)/source(0.98)", known ones "AP-1(bZIP)/source"
        motif_id, _, guess = "_".join(fields[1].split()).partition(",BestGuess:")
        motif_id = motif_id or fields[0][1:]
        tf = re.split(r"[(/]", guess or motif_id)[0] or motif_id
        if not rows:
            raise InputError(where, f"motif {motif_id} has no positions", "give its matrix, or drop it")
        targets = re.search(r"\bT:(\d{1,18}(?:\.\d+)?)", header)
        n_sites = float(targets[1]) if targets else 0.0
        yield line_number, Motif(motif_id, tf, _probabilities(path, motif_id, rows), whole_sites(n_sites))


def _read_jaspar(path: Path, lines: list[Line]) -> Found:
    if not lines[0][1].startswith(">"):
        lines = [(lines[0][0], ">" + "_".join(path.name.split(".")[0].split())), *lines]
    for (line_number, header), rows in _entries(lines, ">"):
        where = f"{path}:{line_number}"
        names = header[1:].split()
        if not names:
            raise InputError(where, "motif without a name", "write >ID NAME")
        if len(rows) != 4:
            raise InputError(
                where,
                f"motif {names[0]} has {len(rows)} rows",
                "give four of counts, A, C, G, T (JASPAR), or a header with name and threshold between tabs (HOMER)",
            )
        counts = [_count_row(path, row, letter) for row, letter in zip(rows, "ACGT", strict=True)]
        for (row_number, _), row in zip(rows, counts, strict=True):
            if len(row) != len(counts[0]):
                raise InputError(
                    f"{path}:{row_number}", f"has {len(row)} counts, the row of A {len(counts[0])}", "complete it"
                )
        matrix = np.array(counts).T
        empty = np.flatnonzero(matrix.sum(axis=1) == 0)
        if empty.size:
            raise InputError(where, f"position {empty[0] + 1} of motif {names[0]} sums to 0", "correct the matrix")
        _check_counts(where, names[0], matrix, lettered=any(re.match(r"[ACGT\[|:]", text, re.I) for _, text in rows))
        yield line_number, motif_of_counts(names[0], "_".join(names[1:]) or names[0], matrix)


def _check_counts(where: str, motif_id: str, matrix: npt.NDArray[np.float64], lettered: bool) -> None:
    """Refuse a PFM, shape (W, 4), that is in doubt: one of probabilities, or a square one that may be transposed."""
    totals = matrix.sum(axis=1)
    if (np.abs(totals - 1) <= _SUM_TOLERANCE).all() and not (matrix == np.rint(matrix)).all():
        what = f"motif {motif_id} holds probabilities (its columns sum to 1), where JASPAR has counts"
        raise InputError(where, what, "give counts, or the probabilities in a MEME file")
    # a position has as many counts as the next one, so the sums over bases tell which way they go
    if (
        len(matrix) == 4
        and not lettered
        and np.ptp(totals) >= np.ptp(matrix.sum(axis=0))
        and (matrix != matrix.T).any()
    ):
        what = f"motif {motif_id} has four rows of four numbers, of which each may be a base or a position"
        raise InputError(where, what, "write the letters as JASPAR does (A [ ... ]), or give a MEME file")


def _count_row(path: Path, row: Line, letter: str) -> list[float]:
    line_number, text = row
    # three short steps: one expression for the whole line tries each way to share its spaces, a minute for thousands
    named = re.match(r"[ACGT](?![^\s\[|:])", text, re.IGNORECASE)
    rest = text[1:] if named else text
    counts = re.sub(r"\A[\s\[|:]+", "", rest).removesuffix("]")
    if not counts or "]" in counts:
        raise InputError(f"{path}:{line_number}", "is no row of counts", f"give the counts of {letter}")
    if named and named[0].upper() != letter:
        raise InputError(f"{path}:{line_number}", f"has the row of {named[0]}", "order the rows A, C, G, T")
    return _numbers(path, line_number, counts.split())
