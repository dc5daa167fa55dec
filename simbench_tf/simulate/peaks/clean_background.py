"""Backgrounds without chance hits: stretches of the shuffle are shuffled again until no kept motif matches there.

A shuffle holds words that look like sites by chance, and which a model may use as well as it uses the true ones. Here
each finished sequence is scanned; the free bases about a chance hit are shuffled again, which keeps every dinucleotide
count, and a shuffle that leaves no more hits than before is taken. What that does not settle is settled by changing
single bases, which costs some composition. `benchmarks/clean_background.py` measures how much: of random sequences of
400 bases, at 41% and at 65% GC, and all 147 motifs of the default compendium (11 chance hits per sequence), no base had
to be changed, and every dinucleotide count stayed as it was. It takes about 10 seconds per 1,000 sequences on one core.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import dinucleotide_shuffle
from simbench_tf.motifs import Motif, scan
from simbench_tf.random_streams import stream_key, uniforms

Bases = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


# attempts that shuffle, the last ones over a hundred bases, and all attempts
_MAX_SHUFFLES = 50
_MAX_ATTEMPTS = 500


class Scan(NamedTuple):
    """What counts as a hit: motifs, the largest p-value, and the base frequencies that it refers to."""

    motifs: Sequence[Motif]
    pvalue: float
    background: npt.NDArray[np.float64]


def without_chance_hits(sequences: Bases, true: Bools, scanned: Scan, seed: int, numbers: Integers) -> Bases:
    """Change bases outside true sites until no hit is left but those that lie wholly in true sites.

    Parameters
    ----------
    sequences : uint8 (N, L)
        Finished sequences, A, C, G, T as 0-3.
    true : bool (N, L)
        Bases of true sites, which stay.
    scanned : Scan
    seed : int
    numbers : int64 (N,)
        The number of each sequence in its data set, which chooses its random streams: a sequence comes out the same
        whatever others are beside it.

    Returns
    -------
    uint8 (N, L)

    Warns
    -----
    UserWarning
        Some sequences still hold a chance hit after the last attempt.

    Examples
    --------
    >>> from simbench_tf.dna import decode, encode
    >>> motif = Motif("m", "AP-1", np.eye(4)[encode("TGACTCA")[0]], 1000.0)
    >>> sequences = encode(["ACGTGACTCATTCGGACTGA"])
    >>> scanned = Scan([motif], 1e-4, np.full(4, 0.25))
    >>> clean = without_chance_hits(sequences, np.zeros((1, 20), bool), scanned, 1, np.arange(1))
    >>> len(scan(clean, [motif], 1e-4)), sorted(decode(clean)[0]) == sorted(decode(sequences)[0])
    (0, True)
    """
    sequences = sequences.copy()
    hits = chance_hits(sequences, true, scanned)
    for attempt in range(_MAX_ATTEMPTS):
        if hits.empty:
            return sequences
        dirty, row = np.unique(hits["row"].to_numpy(), return_inverse=True)
        before = np.bincount(row)
        draws = uniforms(seed, f"peaks: clean background, attempt {attempt}", numbers[dirty], 3)
        chosen = hits.assign(row=row)
        if attempt % 4:  # one hit of each sequence; every fourth attempt, all of them
            first = np.cumsum(before) - before
            chosen = chosen.iloc[first + (draws[:, 0] * before).astype(np.int64)]
        if attempt < _MAX_SHUFFLES:
            near = _near(chosen, true[dirty], flank=2 + attempt)
            state = int(stream_key(seed, f"peaks: clean background, shuffle {attempt}"))
            changed = _shuffled(sequences[dirty], near, state, numbers[dirty])
        else:
            changed = _substituted(sequences[dirty], true[dirty], chosen, draws[:, 1:])
        found = chance_hits(changed, true[dirty], scanned)
        taken = np.bincount(found["row"], minlength=len(dirty)) <= before
        sequences[dirty[taken]] = changed[taken]
        found = found.assign(row=dirty[found["row"]])[taken[found["row"]]]
        hits = pd.concat([hits[~taken[row]], found]).sort_values("row", kind="stable", ignore_index=True)
    if not hits.empty:
        what = (
            f"{hits['row'].nunique()} of {len(sequences)} sequences keep a chance hit that no change of bases took away"
        )
        warnings.warn(f"{what}; a smaller scan_pvalue or fewer motifs would have less", UserWarning, stacklevel=2)
    return sequences


def chance_hits(sequences: Bases, true: Bools, scanned: Scan) -> pd.DataFrame:
    """Hits that do not lie wholly in true sites: row, start and end, sorted by row and start."""
    hits = scan(sequences, scanned.motifs, scanned.pvalue, scanned.background)[["row", "start", "end"]]
    n_true = np.concatenate([np.zeros((len(true), 1), np.int64), np.cumsum(true, axis=1)], axis=1)
    row, start, end = (hits[name].to_numpy() for name in ("row", "start", "end"))
    return hits[n_true[row, end] - n_true[row, start] < end - start].reset_index(drop=True)


def _near(hits: pd.DataFrame, true: Bools, flank: int) -> Bools:
    """The free bases in hits and up to `flank` beside them."""
    length = true.shape[1]
    near = np.zeros(true.shape, np.bool_)
    for row, start, end in zip(hits["row"], hits["start"], hits["end"], strict=True):
        near[row, max(0, start - flank) : min(length, end + flank)] = True
    return near & ~true


def _shuffled(sequences: Bases, near: Bools, state: int, numbers: Integers) -> Bases:
    """Each run of `near` shuffled by itself: its first and last base stay, and so does every dinucleotide count."""
    with warnings.catch_warnings():
        # that some stretches have no other arrangement is why there are more attempts
        warnings.simplefilter("ignore", UserWarning)
        runs = np.where(near, sequences, np.uint8(4))
        again = dinucleotide_shuffle(runs, n_shuffles=1, random_state=state, indices=numbers)[:, 0]
    return np.where(near, again, sequences)


def _substituted(sequences: Bases, true: Bools, hits: pd.DataFrame, draws: npt.NDArray[np.float64]) -> Bases:
    """One free base of the first chosen hit of each sequence, drawn at random, becomes another one."""
    changed = sequences.copy()
    for row, hit in enumerate(hits.drop_duplicates("row").sort_values("row").itertuples()):
        free = np.flatnonzero(~true[row, hit.start : hit.end]) + hit.start
        at = free[int(draws[row, 0] * len(free))]
        changed[row, at] = (changed[row, at] + 1 + int(draws[row, 1] * 3)) % 4
    return changed
