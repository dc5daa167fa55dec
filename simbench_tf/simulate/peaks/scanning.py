"""Real regions, placed, labelled, split and scanned for motifs, of which those enriched in positives are kept.

Hits are scanned for against the composition of the regions themselves, both strands together: a uniform background
would call GC-rich motifs in GC-rich regions that hold them by chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import genome as gn
from simbench_tf.config import PeaksSimulation
from simbench_tf.genome.sources import check_fetched
from simbench_tf.motifs import Motif, load_motifs, scan
from simbench_tf.simulate.peaks.enrichment import check_any_passes, motif_log
from simbench_tf.simulate.peaks.matched_background import matched_background, repeat_share
from simbench_tf.simulate.peaks.regions import Lost, assign_splits, check_splits, drop, place_regions

Bases = npt.NDArray[np.uint8]
MapChunks = Callable[..., Iterable[Any]]
_CHUNK_REGIONS = 4096


class Scanned(NamedTuple):
    """Every region that can be read, its labels and split, and which motifs mark the positives.

    Attributes
    ----------
    regions : DataFrame
        chrom, start, end, split and one uint8 label column per task, of all regions, with a kept hit or without.
    bases : uint8, shape (N, L)
        The bases of the genome there.
    motifs : list of Motif
        Every motif of the source.
    kept : bool, shape (M,)
        Which of them pass the filter.
    hits : DataFrame
        Hits of the motifs kept: row, motif (index into `motifs`), start, end, minus, score, pvalue.
    motif_log : DataFrame
        Why each motif was kept or dropped.
    lost : list of Lost
        What each step removed.
    background : float64, shape (4,)
        Base frequencies the scan's p-values refer to.
    partners : int64, shape (N,)
        The row of the positive that a negative was drawn to match; its own row for every other region.
    repeats : float64, shape (N,), or None
        The share of each region that is repeats, where these are matched.
    """

    regions: pd.DataFrame
    bases: Bases
    motifs: list[Motif]
    kept: npt.NDArray[np.bool_]
    hits: pd.DataFrame
    motif_log: pd.DataFrame
    lost: list[Lost]
    background: npt.NDArray[np.float64]
    partners: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.float64] | None


def scan_regions(
    simulation: PeaksSimulation,
    seed: int,
    index_dir: str | os.PathLike[str] | None = None,
    map_chunks: MapChunks = map,
) -> Scanned:
    """Place, label and split the regions, scan them, and decide which motifs are kept.

    Parameters and errors are those of `peaks.plan_peaks`. Regions without a hit are kept.
    """
    check_fetched(simulation.files)
    tasks = list(simulation.peaks)
    motifs = load_motifs(simulation.motifs)
    genome = gn.open_genome(simulation.genome, index_dir)
    regions, lost, taken = place_regions(simulation, genome)
    bases = gn.fetch(genome, regions)
    unknown = gn.has_n(bases)
    bases = bases[~unknown]
    regions, with_n = drop(regions, unknown, "holds a base other than ACGT", tasks)
    lost.append(with_n)
    regions["split"] = assign_splits(regions, simulation.splits, seed, list(genome.lengths))
    partners = np.arange(len(regions))
    if simulation.is_matched:
        drawn = matched_background(simulation, genome, regions, taken, seed, map_chunks)
        regions, partners = _with_negatives(regions, drawn, tasks)
        bases = gn.fetch(genome, regions)
        lost[0] = Lost("summits read, background drawn", lost[0].positives, len(drawn))
    check_splits(regions, tasks, simulation.splits)

    background = composition(bases)
    hits = _all_hits(bases, motifs, simulation.scan_pvalue, background, map_chunks)
    thresholds = (simulation.min_pos_hits, simulation.min_enrichment)
    log = motif_log(hits, regions[tasks].to_numpy(), motifs, tasks, simulation.region_size, *thresholds)
    check_any_passes(log, *thresholds)
    kept = log.drop_duplicates("motif")["kept"].to_numpy()
    hits = hits[kept[hits["motif"].to_numpy()]]
    repeats = repeat_share(simulation, genome, regions) if simulation.matches_repeats else None
    return Scanned(regions, bases, motifs, kept, hits, log, lost, background, partners, repeats)


def _with_negatives(
    positives: pd.DataFrame, drawn: pd.DataFrame, tasks: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Positives and the negatives drawn for them, along the genome, and the row of each one's partner."""
    negatives = drawn.drop(columns="partner").assign(**dict.fromkeys(tasks, np.uint8(0)))
    joined = pd.concat([positives, negatives], ignore_index=True)
    partners = np.concatenate([np.arange(len(positives)), drawn["partner"].to_numpy()])
    order = joined.sort_values(["chrom", "start"], kind="stable").index.to_numpy()
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return joined.iloc[order].reset_index(drop=True), place[partners[order]]


def composition(bases: Bases) -> npt.NDArray[np.float64]:
    """Base frequencies of both strands together, one of each base added so that none is impossible."""
    counts = np.array([np.count_nonzero(bases == base) for base in range(4)]) + 1.0
    counts += counts[::-1]
    return counts / counts.sum()


def _all_hits(
    bases: Bases, motifs: list[Motif], pvalue: float, background: npt.NDArray[np.float64], map_chunks: MapChunks
) -> pd.DataFrame:
    scan_chunk = partial(_scan_chunk, motifs=motifs, pvalue=pvalue, background=background)
    chunks = ((first, bases[first : first + _CHUNK_REGIONS]) for first in range(0, len(bases), _CHUNK_REGIONS))
    return pd.concat(list(map_chunks(scan_chunk, chunks)), ignore_index=True)


def _scan_chunk(
    chunk: tuple[int, Bases], motifs: list[Motif], pvalue: float, background: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """Hits of some rows as numbers, without strings: there are many before the filter."""
    first, bases = chunk
    hits = scan(bases, motifs, pvalue, background)
    index = {motif.motif_id: number for number, motif in enumerate(motifs)}
    return pd.DataFrame(
        {
            "row": hits["row"].to_numpy(np.int64) + first,
            "motif": hits["motif"].map(index).to_numpy(np.int32),
            "start": hits["start"].to_numpy(np.int32),
            "end": hits["end"].to_numpy(np.int32),
            "minus": (hits["strand"] == "-").to_numpy(np.bool_),
            "score": hits["score"].to_numpy(np.float32),
            "pvalue": hits["pvalue"].to_numpy(np.float64),
        }
    )
