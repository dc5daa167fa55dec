"""Motifs: load them, find one by name, scan sequences for matches and score sites, with exact p-values.

A PWM is log-odds in bits against a zero-order background, rounded to 1/256 bit. Sums of such numbers are exact in
float32, so a score never depends on the order of summation, hits never depend on round-off at the threshold, and the
distribution of scores under the background is computed without binning: ``pvalue`` of a score is the probability (to
float64 round-off) that a random word of the motif's width scores as much or more. :func:`scan` and :func:`score_sites`
give the same numbers.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from functools import lru_cache
from os import PathLike
from typing import NamedTuple

import lightmotif
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import LETTERS, Bases
from simbench_tf.errors import InputError, close_to
from simbench_tf.motifs.files import UNIFORM, Motif, base_frequencies, read_jaspar_release, read_motifs

# 8 fractional bits leave float32 (24 bits) room for exact sums up to 65,536 bits: no motif comes near
_STEPS_PER_BIT = 256
_PSEUDOCOUNT = 0.1


# bases joined into one text for lightmotif: bounds the memory of a scan to some 10 MB
_BLOCK_BASES = 1_000_000


def load_motifs(source: str | PathLike[str] = "default") -> list[Motif]:
    """Motifs by name or from a file.

    Parameters
    ----------
    source : str or path
        ``"default"``: the compendium shipped with the package, 8 bp and longer motifs of well-known human factors from
        JASPAR 2022. ``"jaspar:2022"`` (or another release): all vertebrate CORE motifs, through pyjaspar. Otherwise
        a MEME, JASPAR or HOMER file.

    Raises
    ------
    InputError
        pyjaspar is not installed or lacks the release; or the file is at fault (see :func:`read_motifs`).

    Examples
    --------
    >>> find_motif(load_motifs("default"), "sox2::POU5F1").tf
    'POU5F1::SOX2'
    """
    if str(source) == "default":
        shipped = importlib.resources.files("simbench_tf") / "data" / "jaspar2022_default.meme"
        with importlib.resources.as_file(shipped) as path:
            return read_motifs(path)
    if str(source).startswith("jaspar:"):
        return read_jaspar_release(str(source))
    return read_motifs(source)


def find_motif(motifs: Sequence[Motif], name: str) -> Motif:
    """The motif of that motif_id or tf, in any case and in any order around ``::``.

    Raises
    ------
    InputError
        No motif has this name (the message gives the nearest one), or several have.

    Examples
    --------
    >>> ppm = np.full((8, 4), 0.25)
    >>> find_motif([Motif("MA0140.2", "GATA1::TAL1", ppm, 20.0)], "TAL1::GATA1").motif_id
    'MA0140.2'
    """
    wanted = _comparable(name)
    for key in ("motif_id", "tf"):
        found = [motif for motif in motifs if _comparable(getattr(motif, key)) == wanted]
        if len(found) > 1:
            ids = ", ".join(motif.motif_id for motif in found)
            raise InputError(name, f"{len(found)} motifs have this name: {ids}", "name one by its id")
        if found:
            return found[0]
    if not motifs:
        raise InputError(name, "there are no motifs to choose from", "load some")
    names = {_comparable(known): known for motif in motifs for known in (motif.motif_id, motif.tf)}
    nearest = close_to(wanted, names, least_similarity=0.0)
    assert nearest is not None  # with no least similarity there is always one
    raise InputError(name, "no motif of this id or name", f"the nearest is {names[nearest]}")


def information_content(
    motif: Motif, background: Sequence[float] | npt.NDArray[np.float64] = UNIFORM
) -> npt.NDArray[np.float64]:
    """Bits of information at each position, shape (W,): against uniform bases between 0 and 2 (Schneider 1986).

    Against another `background`, four frequencies, it is the relative entropy: rare bases carry more.

    Examples
    --------
    >>> information_content(Motif("m", "m", np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]), 20.0)).tolist()
    [2.0, 1.0, 0.0]
    >>> information_content(Motif("m", "m", np.array([[0, 1.0, 0, 0]]), 20.0), (3 / 8, 1 / 8, 1 / 8, 3 / 8)).tolist()
    [3.0]
    """
    logs = np.log2(motif.ppm, where=motif.ppm > 0, out=np.zeros_like(motif.ppm))
    return (motif.ppm * logs).sum(axis=1) - motif.ppm @ np.log2(base_frequencies(background))


def pwm(
    motif: Motif, background: Sequence[float] | npt.NDArray[np.float64] = UNIFORM, pseudocount: float = _PSEUDOCOUNT
) -> npt.NDArray[np.float32]:
    """Log-odds in bits, float32 (W, 4), of a motif against a zero-order background, rounded to 1/256 bit.

    ``log2(((n_sites * ppm + pseudocount * background) / (n_sites + pseudocount)) / background)``. The pseudocount is
    distributed like the background, and .1 is FIMO's default (Grant et al. 2011): a base never seen among 1,000 sites
    gets -13.3 bits.

    Raises
    ------
    ValueError
        `background` is not four positive numbers that sum to 1, or the pseudocount is not positive.

    Examples
    --------
    >>> motif = Motif("m", "m", np.array([[1.0, 0, 0, 0], [0.25] * 4]), 20.0)
    >>> pwm(motif).tolist()
    [[1.99609375, -7.65234375, -7.65234375, -7.65234375], [0.0, 0.0, 0.0, 0.0]]
    """
    return (_steps(motif, base_frequencies(background), pseudocount) / _STEPS_PER_BIT).astype(np.float32)


def scan(
    bases: Bases,
    motifs: Sequence[Motif],
    pvalue: float = 1e-4,
    background: Sequence[float] | npt.NDArray[np.float64] = UNIFORM,
) -> pd.DataFrame:
    """Every match of every motif on both strands at a p-value or better.

    Each strand has its own log-odds and its own null distribution: a word on the minus strand is read along the motif,
    from bases that have the complemented background. With a strand-symmetric background the two are the same.

    Parameters
    ----------
    bases : uint8, shape (N, L)
        0-3 for A, C, G, T and 4 for N; a window that holds an N never matches.
    motifs : sequence of Motif
    pvalue : float
        Largest p-value of a hit, for one window and one strand (no correction for the number of windows).
    background : 4 floats
        Base frequencies A, C, G, T.

    Returns
    -------
    DataFrame
        Sorted by row, start, motif, strand: row (int64, index into `bases`), motif (its id), tf, start, end (int64,
        0-based, half-open, on the forward strand), strand ("+" or "-"), score (float32, bits), pvalue (float64).

    Raises
    ------
    ValueError
        `bases` is not uint8 (N, L), `pvalue` not in (0, 1], or `background` not four positive numbers that sum to 1.
    """
    if bases.ndim != 2 or bases.dtype != np.uint8:
        raise ValueError(f"bases must be uint8 (N, L), not {bases.dtype} {bases.shape}")
    if not 0 < pvalue <= 1:
        raise ValueError(f"pvalue must be above 0 and at most 1, not {pvalue}")
    frequencies = base_frequencies(background)
    rows_per_block = max(1, _BLOCK_BASES // (bases.shape[1] + 1))
    hits = [
        hit
        for first in range(0, len(bases), rows_per_block)
        for hit in _scan_block(bases[first : first + rows_per_block], first, motifs, pvalue, frequencies)
    ]
    return _hits_table(hits, motifs)


def score_sites(
    windows: Bases,
    strands: Sequence[str] | npt.NDArray[np.str_],
    motif: Motif,
    background: Sequence[float] | npt.NDArray[np.float64] = UNIFORM,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Score and p-value of given sites: the numbers :func:`scan` gives where it finds them.

    Parameters
    ----------
    windows : uint8, shape (n, W)
        The bases of each site as they stand on the forward strand.
    strands : n of "+" or "-"
    motif : Motif
    background : 4 floats

    Returns
    -------
    score : float32, shape (n,)
        Bits; -inf where a window holds an N.
    pvalue : float64, shape (n,)
        1 where a window holds an N.

    Raises
    ------
    ValueError
        The shapes do not fit, or a strand is neither "+" nor "-".

    Examples
    --------
    >>> motif = Motif("m", "m", np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]), 20.0)
    >>> score, p = score_sites(np.array([[0, 1], [2, 3]], np.uint8), ["+", "-"], motif)
    >>> score.tolist(), p.tolist()
    ([3.9921875, 3.9921875], [0.0625, 0.0625])
    """
    windows, strands = np.asarray(windows), np.asarray(strands, dtype="U1")
    if windows.ndim != 2 or windows.shape[1] != len(motif.ppm) or strands.shape != (len(windows),):
        raise ValueError(f"need windows (n, {len(motif.ppm)}) and n strands, not {windows.shape} and {strands.shape}")
    if not np.isin(strands, ("+", "-")).all():
        raise ValueError('strands must be "+" or "-"')
    scores = np.empty(len(windows), np.float32)
    pvalues = np.empty(len(windows))
    for strand in ("+", "-"):
        chosen = strands == strand
        scores[chosen], pvalues[chosen] = _scorer(motif, base_frequencies(background), strand).score(windows[chosen])
    return scores, pvalues


class _Hits(NamedTuple):
    """Hits of one motif on one strand."""

    row: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    number: int  # of the motif, in the list scanned
    strand: str
    score: npt.NDArray[np.float32]
    pvalue: npt.NDArray[np.float64]


class _Scorer(NamedTuple):
    """How one motif scores windows of the forward strand: for "-" the matrix is reversed and complemented.

    Integer scores count 1/256 bits. ``survival[s - lowest]`` is the p-value of score s.
    """

    matrix: npt.NDArray[np.int64]
    lowest: int
    survival: npt.NDArray[np.float64]

    def threshold(self, pvalue: float) -> int | None:
        """The least integer score whose p-value is `pvalue` or better; None where no word has one."""
        reached = int((self.survival > pvalue).sum())
        return self.lowest + reached if reached < len(self.survival) else None

    def score(self, windows: Bases) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Score (-inf with an N) and p-value (1 with an N) of windows, uint8 (n, W)."""
        known = (windows < 4).all(axis=1)
        steps = np.zeros(len(windows), np.int64)
        for position, column in enumerate(self.matrix):
            steps += column[windows[:, position] & 3]
        score = np.where(known, steps / _STEPS_PER_BIT, -np.inf).astype(np.float32)
        return score, np.where(known, self.survival[steps - self.lowest], 1.0)


def _scorer(motif: Motif, background: tuple[float, ...], strand: str) -> _Scorer:
    # bases read along the minus strand are complements: A is as frequent there as T is here
    frequencies = background if strand == "+" else background[::-1]
    matrix = _steps(motif, frequencies, _PSEUDOCOUNT)
    lowest, survival = _survival(matrix.tobytes(), frequencies)
    return _Scorer(matrix if strand == "+" else matrix[::-1, ::-1], lowest, survival)


@lru_cache(maxsize=512)
def _survival(matrix: bytes, background: tuple[float, ...]) -> tuple[int, npt.NDArray[np.float64]]:
    """The exact tail probabilities of a sum of independent positions (Staden 1989), and the score of its first."""
    steps = np.frombuffer(matrix, np.int64).reshape(-1, 4)
    distribution = np.ones(1)
    for column in steps:
        offsets = column - column.min()
        wider = np.zeros(len(distribution) + int(offsets.max()))
        for frequency, offset in zip(background, offsets, strict=True):
            wider[offset : offset + len(distribution)] += frequency * distribution
        distribution = wider
    # summed from the small end, so that the smallest p-values keep their digits
    survival = np.cumsum(distribution[::-1])[::-1].clip(max=1.0)
    return int(steps.min(axis=1).sum()), survival


def _steps(motif: Motif, background: tuple[float, ...], pseudocount: float) -> npt.NDArray[np.int64]:
    """The PWM in 1/256 bits."""
    if not pseudocount > 0:
        raise ValueError(f"pseudocount must be positive, not {pseudocount}")
    frequencies = np.array(background)
    smoothed = (motif.n_sites * motif.ppm + pseudocount * frequencies) / (motif.n_sites + pseudocount)
    return np.rint(np.log2(smoothed / frequencies) * _STEPS_PER_BIT).astype(np.int64)


def _scan_block(
    bases: Bases, first: int, motifs: Sequence[Motif], pvalue: float, background: tuple[float, ...]
) -> list[_Hits]:
    """Hits of all motifs in some rows, of which the first is row `first` of the whole."""
    n, length = bases.shape
    # one N after each row keeps windows from crossing into the next
    text = np.full((n, length + 1), 4, np.uint8)
    text[:, :length] = bases.clip(max=4)
    flat = text.ravel()
    striped = lightmotif.stripe(LETTERS[flat].tobytes().decode("ascii"))
    found = []
    for index, motif in enumerate(motifs):
        for strand in ("+", "-"):
            scorer = _scorer(motif, background, strand)
            threshold = scorer.threshold(pvalue)
            if threshold is None or len(motif.ppm) > length:
                continue
            # full scores are exact by construction, which lightmotif's Scanner, with its first pass in 8 bits, is not
            weights = dict(zip("ACGT", (scorer.matrix / _STEPS_PER_BIT).T.tolist(), strict=True))
            weights["N"] = [-np.inf] * len(motif.ppm)
            scores = lightmotif.ScoringMatrix(weights).calculate(striped)
            positions = np.array(scores.threshold(threshold / _STEPS_PER_BIT), np.int64)
            row, start = np.divmod(positions, length + 1)
            words = flat[positions[:, None] + np.arange(len(motif.ppm))]
            found.append(_Hits(row + first, start, index, strand, *scorer.score(words)))
    return found


def _hits_table(hits: list[_Hits], motifs: Sequence[Motif]) -> pd.DataFrame:
    """One sorted table of the hits of all motifs, strands and blocks."""
    counts = [len(hit.row) for hit in hits]
    index = np.repeat(np.array([hit.number for hit in hits], np.int64), counts)
    minus = np.repeat(np.array([hit.strand == "-" for hit in hits], np.int64), counts)
    row = np.concatenate([np.empty(0, np.int64), *(hit.row for hit in hits)])
    start = np.concatenate([np.empty(0, np.int64), *(hit.start for hit in hits)])
    score = np.concatenate([np.empty(0, np.float32), *(hit.score for hit in hits)])
    pvalue = np.concatenate([np.empty(0, np.float64), *(hit.pvalue for hit in hits)])
    ids = np.array([motif.motif_id for motif in motifs], dtype=object)
    tfs = np.array([motif.tf for motif in motifs], dtype=object)
    widths = np.array([len(motif.ppm) for motif in motifs], np.int64)
    alphabetical = np.argsort(np.argsort(ids))
    order = np.lexsort((minus, alphabetical[index], start, row))
    row, start, index, minus = row[order], start[order], index[order], minus[order]
    table = pd.DataFrame(
        {
            "row": row,
            "motif": ids[index],
            "tf": tfs[index],
            "start": start,
            "end": start + widths[index],
            "strand": np.array(["+", "-"], dtype=object)[minus],
            "score": score[order],
            "pvalue": pvalue[order],
        }
    )
    # an empty column of objects would not be known as text
    return table.astype({"motif": str, "tf": str, "strand": str})


def _comparable(name: str) -> str:
    """A name without regard to case and to the order of factors around ``::``."""
    return "::".join(sorted(name.upper().split("::")))
