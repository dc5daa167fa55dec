"""Negatives drawn from the genome to match the peaks: their GC content and, where asked for, their share of repeats.

Stretches of the genome that hold no base but A, C, G and T, and touch no peak and no blacklist, are binned by GC and by
their share of repeats, as the positives are; each positive then draws its negatives from the stretches of its own bin
or, where these run out, of the bins nearest to it. Negatives overlap neither each other nor a positive. They come from
the chromosomes that the peaks are on, and with splits by chromosome from those of the positive's own split.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import genome as gn
from simbench_tf.config import MatchedBackground, PeaksSimulation
from simbench_tf.dna import CODES
from simbench_tf.errors import InputError
from simbench_tf.random_streams import permutation, uniforms

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MapChunks = Callable[..., Iterable[Any]]

#: Width of a bin of GC content and of one of the share of repeats, and how many bins off a stretch may be taken.
_GC_BIN, _REPEATS_BIN, _REACH = 0.02, 0.1, 2
#: The share of negatives for which a stretch from farther off may be taken: the few peaks that have no like outside.
_MOST_SHORT = 0.05
#: Bins of the share of repeats there are room for; a bin's number is that of its GC times this, and its own.
_ROOM = 16
#: Stretches that are looked at, at most: one in each quarter of a region, or in a longer piece of a large genome.
_MOST_STRETCHES = 4_000_000
# bases that are read at once
_CHUNK_SIZE = 1 << 22


class _Chunk(NamedTuple):
    """A piece of a contig, and what a process needs to find stretches that begin in it."""

    chrom: str
    first: int
    last: int
    taken: pd.DataFrame
    repeats: pd.DataFrame | None


def matched_background(
    simulation: PeaksSimulation,
    genome: gn.Genome,
    positives: pd.DataFrame,
    taken: pd.DataFrame,
    seed: int,
    map_chunks: MapChunks = map,
) -> pd.DataFrame:
    """Draw negatives that match the positives.

    Parameters
    ----------
    simulation : PeaksSimulation
        Whose background is a `MatchedBackground`.
    genome : Genome
    positives : DataFrame
        chrom, start, end and split, N rows.
    taken : DataFrame
        chrom, start and end of what no negative may touch.
    seed : int
    map_chunks : callable
        ``map_chunks(function, items)`` gives results in order; the genome is read through it.

    Returns
    -------
    DataFrame
        chrom, start, end, split and partner, the row of the positive that each was drawn for; `ratio` rows for each,
        in the order of the positives.

    Raises
    ------
    InputError
        Too few stretches match, or the genome has no repeats to match.
    """
    asked = simulation.background
    assert isinstance(asked, MatchedBackground)
    chroms = sorted(positives["chrom"].unique())
    track = None if simulation.repeats is None else _track(simulation, genome)
    stretches = _stretches(simulation, genome, chroms, taken, track, seed, map_chunks)
    own = positives[["chrom", "start", "end"]].assign(
        gc=gn.gc_content(gn.fetch(genome, positives)), repeats=repeat_share(simulation, genome, positives)
    )
    if "repeats" in asked.matched and not (own["repeats"].any() or stretches["repeats"].any()):
        raise InputError(
            "simulation.background.matched",
            f"repeats are to be matched, and {_whose(simulation)} has none on the peaks' chromosomes",
            "give a soft-masked genome, or simulation.repeats: FILE.bed, or match gc alone",
        )
    pools = _pools(simulation, positives)
    demand = np.repeat(np.arange(len(positives)), asked.ratio)
    bins = pools["of_positive"] * _POOL + _bins(own, asked)
    offered = stretches["chrom"].map(pools["of_chrom"]).to_numpy(np.int64) * _POOL + _bins(stretches, asked)
    on_offer = _Bins(offered, stretches, simulation.region_size, seed)
    chosen = _choose(bins[demand], on_offer, own["gc"].to_numpy()[demand], " and ".join(asked.matched))
    drawn = stretches[["chrom", "start", "end"]].iloc[chosen].reset_index(drop=True)
    return drawn.assign(split=positives["split"].to_numpy()[demand], partner=demand)


def repeat_share(simulation: PeaksSimulation, genome: gn.Genome, regions: pd.DataFrame) -> Floats:
    """Share of each region that is repeats, by the track where one is given, else by lower-case letters: (N,)."""
    if simulation.repeats is not None:
        return gn.bases_covered(regions, _track(simulation, genome)) / simulation.region_size
    return np.asarray(gn.soft_masked(genome, regions).mean(axis=1))


def _track(simulation: PeaksSimulation, genome: gn.Genome) -> pd.DataFrame:
    assert simulation.repeats is not None
    return gn.on_contigs(gn.read_peaks(simulation.repeats), genome, simulation.repeats)


def _whose(simulation: PeaksSimulation) -> str:
    if simulation.repeats is not None:
        return str(simulation.repeats)
    return f"{simulation.genome}, which has no lower-case letters there,"


# stretches of the genome


def _stretches(
    simulation: PeaksSimulation,
    genome: gn.Genome,
    chroms: list[str],
    taken: pd.DataFrame,
    track: pd.DataFrame | None,
    seed: int,
    map_chunks: MapChunks,
) -> pd.DataFrame:
    """Stretches that may be negatives, along the genome: chrom, start, end, gc and repeats, shares of their bases."""
    size = simulation.region_size
    total = sum(genome.lengths[chrom] for chrom in chroms)
    step = max(size // 4, -(-total // _MOST_STRETCHES))
    chunk_size = max(_CHUNK_SIZE // step, 1) * step  # so that each chunk begins with a step
    find = partial(_find, genome=genome, size=size, step=step, seed=seed)
    chunks = (
        _Chunk(chrom, first, min(first + chunk_size, genome.lengths[chrom]), *_within(chrom, taken, track))
        for chrom in chroms
        for first in range(0, genome.lengths[chrom], chunk_size)
    )
    return pd.concat(list(map_chunks(find, chunks)), ignore_index=True)


def _within(chrom: str, taken: pd.DataFrame, track: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    return taken[taken["chrom"] == chrom], None if track is None else track[track["chrom"] == chrom]


def _find(chunk: _Chunk, genome: gn.Genome, size: int, step: int, seed: int) -> pd.DataFrame:
    """The stretches that begin in a chunk: one in each step, at a random place of it."""
    chrom, first, last = chunk.chrom, chunk.first, chunk.last
    steps = np.arange(first // step, -(-last // step))
    start = steps * step + (uniforms(seed, f"peaks: stretches of {chrom}", steps)[:, 0] * step).astype(np.int64)
    start = start[start + size <= genome.lengths[chrom]]
    found = pd.DataFrame({"chrom": np.full(start.size, chrom, object), "start": start, "end": start + size})
    if found.empty:
        return found.assign(gc=0.0, repeats=0.0)
    bases, lower = gn.read_stretch(genome, chrom, first, int(start[-1]) + size)
    at = start - first
    gc = _sums((bases == CODES[ord("C")]) | (bases == CODES[ord("G")]), at, size)
    masked = _sums(lower, at, size) if chunk.repeats is None else gn.bases_covered(found, chunk.repeats)
    free = (_sums(bases > 3, at, size) == 0) & (gn.bases_covered(found, chunk.taken) == 0)
    return found.assign(gc=gc / size, repeats=masked / size)[free]


def _sums(which: npt.NDArray[np.bool_], start: Integers, size: int) -> Integers:
    """How many bases of each stretch are marked."""
    before = np.concatenate([[0], np.cumsum(which, dtype=np.int64)])
    return np.asarray(before[start + size] - before[start])


# which are chosen

#: Bins of a pool: more than there are of GC and repeats.
_POOL = 10_000


def _bins(features: pd.DataFrame, asked: MatchedBackground) -> Integers:
    """The bin of each region, by its GC and its share of repeats; of what is not matched all are in the first.

    Regions without any repeat are in a bin of their own: they are many.
    """
    code = np.zeros(len(features), np.int64)
    if "gc" in asked.matched:
        code += _ROOM * np.floor(features["gc"].to_numpy() / _GC_BIN + 1e-9).astype(np.int64)
    if "repeats" in asked.matched:
        code += np.ceil(features["repeats"].to_numpy() / _REPEATS_BIN - 1e-9).astype(np.int64)
    return code


class _Bins:
    """Stretches by bin, each bin's in a random order, from which one after the other is taken."""

    def __init__(self, offered: Integers, stretches: pd.DataFrame, size: int, seed: int) -> None:
        order = permutation(seed, "peaks: matched background", len(offered))
        order = order[np.argsort(offered[order], kind="stable")]
        codes, first = np.unique(offered[order], return_index=True)
        bounds = [*first.tolist(), len(order)]
        self._waiting = {
            int(code): iter(order[bounds[k] : bounds[k + 1]].tolist()) for k, code in enumerate(codes.tolist())
        }
        self.sizes = {int(code): bounds[k + 1] - bounds[k] for k, code in enumerate(codes.tolist())}
        # stretches are sorted by chromosome and start: those that overlap one stand beside it
        chrom, _ = pd.factorize(stretches["chrom"])
        locus = chrom.astype(np.int64) * (1 << 42) + stretches["start"].to_numpy(np.int64)
        self._low = np.searchsorted(locus, locus - size, side="right")
        self._high = np.searchsorted(locus, locus + size, side="left")
        self._blocked = np.zeros(len(offered), np.bool_)

    def take(self, code: int) -> int | None:
        """A stretch of a bin that overlaps none taken before; None where there is none left."""
        for stretch in self._waiting.get(code, ()):
            if not self._blocked[stretch]:
                self._blocked[self._low[stretch] : self._high[stretch]] = True
                return int(stretch)
        return None


def _choose(wanted: Integers, bins: _Bins, gc: Floats, what: str) -> Integers:
    """For each wanted bin the row of a stretch of it, or of the nearest that has one left; `gc` and `what` are told."""
    chosen = np.full(len(wanted), -1)
    for reach in range(_REACH + 1):
        _fill(chosen, wanted, bins, reach)
    short = chosen < 0
    if not short.any():
        return chosen
    few = f"{100 * gc[short].min():.0f} to {100 * gc[short].max():.0f}% GC"
    if short.sum() <= _MOST_SHORT * len(wanted):
        for reach in range(_REACH + 1, _POOL // _ROOM):
            _fill(chosen, wanted, bins, reach)
    if (chosen < 0).any():
        raise InputError(
            "simulation.background",
            f"only {int((~short).sum())} of {len(wanted)} stretches that match the peaks in {what} were found; short "
            f"of {few}",
            "lower ratio or region_size, match gc alone, split by shares, or give files of regions",
        )
    warnings.warn(
        f"simulation.background: for {int(short.sum())} of {len(wanted)} negatives no stretch matches the peak in "
        f"{what} ({few}): the nearest is taken",
        stacklevel=2,
    )
    return chosen


def _fill(chosen: Integers, wanted: Integers, bins: _Bins, reach: int) -> None:
    """Give each row that has none yet (-1) a stretch of a bin this many off the wanted one, where there is one."""
    missing = np.flatnonzero(chosen < 0)
    rows_of = pd.Series(missing).groupby(wanted[missing]).indices
    # those that have the fewest to choose from come first
    for code in sorted(rows_of, key=lambda code: (bins.sizes.get(int(code), 0) / len(rows_of[code]), code)):
        ring = _ring(int(code), reach)
        for row in missing[rows_of[code]].tolist():
            turns = (bins.take(ring[(row + turn) % len(ring)]) for turn in range(len(ring)))
            chosen[row] = next((found for found in turns if found is not None), -1)


def _ring(code: int, reach: int) -> list[int]:
    """Bins of the same pool that are this many bins off in GC, in repeats or in both."""
    gc, repeats = divmod(code % _POOL, _ROOM)
    offsets = range(-reach, reach + 1)
    return [
        code - code % _POOL + (gc + by_gc) * _ROOM + repeats + by_repeats
        for by_gc in offsets
        for by_repeats in offsets
        if max(abs(by_gc), abs(by_repeats)) == reach and gc + by_gc >= 0 and 0 <= repeats + by_repeats < _ROOM
    ]


def _pools(simulation: PeaksSimulation, positives: pd.DataFrame) -> dict[str, Any]:
    """Which pool of chromosomes each positive draws from, and which each chromosome is in."""
    chroms = positives["chrom"].unique()
    if simulation.splits.chromosomes is None:
        return {"of_positive": np.zeros(len(positives), np.int64), "of_chrom": dict.fromkeys(chroms, 0)}
    codes, _ = pd.factorize(positives["split"], sort=True)
    return {"of_positive": codes.astype(np.int64), "of_chrom": dict(zip(positives["chrom"], codes, strict=True))}
