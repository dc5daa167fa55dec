"""The three-column text of simulated sequences and their sites, as the paper's own code writes it.

One line per sequence: its id, its bases, and its sites joined by commas, between tabs. A site is
``motif_pos-True_start-end_score_pvalue_qvalue_matched``; ``pos-False`` is the minus strand. The simulator of Prakash,
Shrikumar and Kundaje (2021; github kundajelab/interpret-benchmark: scripts/generate_simulated_pos_and_neg and
vakai/motifhit.py) counts 0-based and half-open and writes `matched` as it reads on the forward strand; an early
one gave only the p-value of the three. FIMO counts 1-based and closed, and reads `matched` along the motif. All of
these are read; the first is written.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import encode, reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.files import is_formula, text_lines

Coordinates = Literal["0-based, half-open", "1-based, closed"]
HEADER = "seqid\tsequences\tmotifhits"
_MEND = "give three columns between tabs: id, sequence, sites"
_FORM = "motif_pos-True_start-end_score_pvalue_qvalue_matched"


# sites are kept as bytes while a file is read: of four million tuples Python would make a gigabyte
_RECORD = struct.Struct("=qqqq?fd")
_RECORD_TYPE = np.dtype(
    [
        *((name, np.int64) for name in ("row", "motif", "start", "end")),
        ("minus", np.bool_),
        ("score", np.float32),
        ("pvalue", np.float64),
    ]
)


# a motif's name may hold underscores: it is what is left when all else is taken from the right
_SITE = re.compile(
    r"(\S+)_pos-(True|False)_(\d{1,9})-(\d{1,9})_(?:([^_]+)_([^_]+)_[^_]+|([^_]+))_([ACGTNacgtn]+)", re.ASCII
)


class Site(NamedTuple):
    """One site as a file gives it: `start`, `end` and `matched` in the file's own convention."""

    motif: str
    minus: bool
    start: int
    end: int
    score: float
    pvalue: float
    matched: str


class PaperText(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    path : Path
    seq_ids : list of str
        In the file's order; N of them.
    lines : list of int
        The line of each, from 1.
    contents : list of int
        The same for the same bases and sites; it has a meaning within one process only.
    bases : uint8, shape (N, L)
    motifs : dict of str to int
        Motifs in the order of their first site, and how many bases a site of each covers.
    sites : DataFrame
        row, motif (number in `motifs`), start, end (0-based, half-open), minus, score, pvalue; in the file's order.
    coordinates : str or None
        How the file counts; None where it has no site.
    """

    path: Path
    seq_ids: list[str]
    lines: list[int]
    contents: list[int]
    bases: npt.NDArray[np.uint8]
    motifs: dict[str, int]
    sites: pd.DataFrame
    coordinates: Coordinates | None


def read_paper_text(path: str | PathLike[str]) -> PaperText:
    r"""Read a file, plain or gzip, with a header line or without, and check every site against its sequence.

    How the file counts follows from the length of `matched`, which is end - start where it counts half-open and one
    more where it counts closed, and has to be the same for every site; then `matched` has to be there.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    InputError
        Naming file and line: an id comes twice; sequences differ in length or hold other letters than ACGTN; a site is
        of another form, counts another way than those before, leaves its sequence, does not read `matched`, or is not
        as wide as the other sites of its motif.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "pos.txt"
    >>> _ = file.write_text("s1\tTTGATAAC\tGATA_1_pos-False_2-6_9.5_1e-4_0.03_TATC\ns2\tACGTACGT\t\n")
    >>> text = read_paper_text(file)
    >>> text.seq_ids, text.motifs, text.coordinates
    (['s1', 's2'], {'GATA_1': 4}, '0-based, half-open')
    >>> text.sites[["row", "start", "end", "minus"]].to_numpy().tolist()
    [[0, 2, 6, True]]
    """
    path = Path(path)
    lines: dict[str, int] = {}
    contents: list[int] = []
    letters: list[str] = []
    motifs: dict[str, tuple[int, int]] = {}  # number and width
    sites = bytearray()
    closed: bool | None = None
    for line, seq_id, sequence, listed in _records(path):
        where = f"{path}:{line}"
        if seq_id in lines:
            raise InputError(where, f"{seq_id} was already given in line {lines[seq_id]}", "rename or drop one of them")
        if letters and len(sequence) != len(letters[0]):
            what = f"the sequence has {len(sequence)} bases, those before have {len(letters[0])}"
            raise InputError(where, what, "give sequences of one length")
        for text in listed.split(",") if listed else ():
            site = parse_site(text, where)
            closed = _counts_closed(site, closed, where)
            _check_placed(site, sequence, closed, where)
            number, width = motifs.setdefault(site.motif, (len(motifs), len(site.matched)))
            if width != len(site.matched):
                what = f"a site of {site.motif} covers {len(site.matched)} bases, those before cover {width}"
                raise InputError(where, what, "give motifs of another width another name")
            sites += _RECORD.pack(
                len(letters), number, site.start - closed, site.end, site.minus, site.score, site.pvalue
            )
        lines[seq_id] = line
        contents.append(hash((sequence, listed)))
        letters.append(sequence)
    if not letters:
        raise InputError(path, "holds no sequence", _MEND)
    return PaperText(
        path=path,
        seq_ids=list(lines),
        lines=list(lines.values()),
        contents=contents,
        bases=encode(letters),
        motifs={motif: width for motif, (_, width) in motifs.items()},
        sites=pd.DataFrame(np.frombuffer(sites, _RECORD_TYPE)),
        coordinates=None if closed is None else _way(closed),
    )


def _records(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Line, id, sequence in upper case, and the list of sites of each sequence."""
    for number, line in text_lines(path, _MEND):
        fields = line.split("\t")
        # no word of a header's second column, which begins with seq, can be a sequence
        if not line.strip() or (number == 1 and len(fields) > 1 and fields[1].lower().startswith("seq")):
            continue
        where = f"{path}:{number}"
        if not 2 <= len(fields) <= 3:
            raise InputError(where, f"has {len(fields)} columns", _MEND)
        seq_id, sequence, listed = fields[0], fields[1].upper(), fields[2].strip() if len(fields) == 3 else ""
        if seq_id.split() != [seq_id]:
            raise InputError(where, f"the id {seq_id!r} is empty or holds a space", "give ids of one word")
        if is_formula(seq_id):
            raise InputError(where, f"a spreadsheet would execute the id {seq_id!r}", "rename it")
        if not sequence:
            raise InputError(where, f"{seq_id} has no sequence", _MEND)
        # bytes.translate is twenty times as quick as a regular expression here
        strange = sequence.encode("ascii", "replace").translate(None, b"ACGTN")
        if strange:
            what = f"the sequence of {seq_id} holds {chr(strange[0])!r}"
            raise InputError(where, what, "give A, C, G, T and N")
        yield number, seq_id, sequence, listed


def parse_site(text: str, where: str) -> Site:
    """Take a site's text apart; its score is NaN where the text has the p-value alone.

    Raises
    ------
    InputError
        Naming `where`, the line of the text: it has another form, or a number is none.

    Examples
    --------
    >>> parse_site("MA0139_1_pos-True_112-115_15.3_1.2e-06_0.03_TGG", "pos.txt:2")
    Site(motif='MA0139_1', minus=False, start=112, end=115, score=15.3, pvalue=1.2e-06, matched='TGG')
    """
    match = _SITE.fullmatch(text.strip())
    if match is None:
        raise InputError(where, f"{text!r} is no site", f"write {_FORM}")
    motif, strand, start, end, score, pvalue, alone, matched = match.groups()
    try:
        numbers = float(score or "nan"), float(pvalue or alone)
    except ValueError:
        raise InputError(where, f"a score or p-value of {text!r} is no number", f"write {_FORM}") from None
    if is_formula(motif):
        raise InputError(where, f"a spreadsheet would execute the name {motif!r}", "rename it")
    if not 0 <= numbers[1] <= 1:
        raise InputError(where, f"the p-value of {text!r} is not between 0 and 1", f"write {_FORM}")
    return Site(motif, strand == "False", int(start), int(end), *numbers, matched.upper())


def site_text(site: Site) -> str:
    """A site as the paper's code writes it; the q-value, which no scan here gives, is nan.

    Examples
    --------
    >>> site_text(Site("CTCF", False, 3, 6, 15.3, 1.2e-06, "TGG"))
    'CTCF_pos-True_3-6_15.3_1.2e-06_nan_TGG'
    """
    strand = not site.minus
    return f"{site.motif}_pos-{strand}_{site.start}-{site.end}_{site.score}_{site.pvalue}_nan_{site.matched}"


def _way(closed: bool) -> Coordinates:
    return "1-based, closed" if closed else "0-based, half-open"


def _counts_closed(site: Site, before: bool | None, where: str) -> bool:
    """Whether a site counts 1-based and closed, which has to be as those before it do."""
    longer = len(site.matched) - (site.end - site.start)
    if longer not in (0, 1):
        what = f"the site of {site.motif} at {site.start}-{site.end} matched {len(site.matched)} bases"
        raise InputError(where, what, "count 0-based and half-open, or 1-based and closed")
    closed = longer == 1
    if before not in (None, closed):
        ways = f"counts {_way(closed)}, those before {_way(not closed)}"
        raise InputError(
            where, f"the site of {site.motif} at {site.start}-{site.end} {ways}", "count one way in a file"
        )
    return closed


def _check_placed(site: Site, sequence: str, closed: bool, where: str) -> None:
    """Check a site against its sequence: `matched` is there, or its reverse complement where the motif is on minus."""
    start, named = site.start - closed, f"the site of {site.motif} at {site.start}-{site.end}"
    if not 0 <= start < site.end <= len(sequence):
        raise InputError(where, f"{named} leaves its sequence of {len(sequence)} bases", "correct or drop it")
    found = sequence[start : site.end]
    if found != site.matched and not (site.minus and reverse_complement(found) == site.matched):
        what = f"{named}, counted {_way(closed)}, should read {site.matched}, but {found} is there"
        raise InputError(where, what, "correct or drop it")
