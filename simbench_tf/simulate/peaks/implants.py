"""Real peaks made into sequences whose motifs are known: shuffled regions with their real motif hits put back.

The pipeline of Prakash, Shrikumar and Kundaje, "Towards More Realistic Simulated Datasets for Benchmarking Deep
Learning Models in Regulatory Genomics" (MLCB 2021, PMLR 165:58-77), for one task against a background or for several
tasks. `plan_peaks` decides everything that concerns all regions - where they lie, their labels and splits, which
motifs are kept; `implant` then makes any stretch of the data set, the same bytes whatever the stretches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from simbench_tf.config import PeaksSimulation
from simbench_tf.dna import dinucleotide_shuffle
from simbench_tf.dna.arrow import text_column
from simbench_tf.dna.encoding import LETTERS
from simbench_tf.genome import gc_content
from simbench_tf.intervals import covered_bases
from simbench_tf.motifs import Motif
from simbench_tf.random_streams import stream_key, uniforms
from simbench_tf.simulate.drawn import Drawn
from simbench_tf.simulate.peaks.clean_background import Scan, without_chance_hits
from simbench_tf.simulate.peaks.region_checks import compared, leaking
from simbench_tf.simulate.peaks.regions import any_positive, check_splits, drop, lost_table
from simbench_tf.simulate.peaks.scanning import MapChunks, scan_regions
from simbench_tf.tables import SITES_SCHEMA, UNLABELLED, sequence_schema

Bases = npt.NDArray[np.uint8]
_CHUNK_SEQUENCES = 4096


@dataclass(frozen=True, eq=False)
class PeaksPlan:
    """All that `implant` needs, and the notes for the data set's description.

    Attributes
    ----------
    tasks : tuple of str
    regions : DataFrame
        chrom, start, end, split and one uint8 label column per task (0, 1, or `tables.UNLABELLED`); row i is sequence i
        of the data set.
    bases : uint8, shape (N, L)
        The bases of the genome there; one byte per base is the plan's main memory.
    sources : int64, shape (N,)
        The region whose shuffle carries sequence i: itself for a positive, else a positive of the same split.
    hits : DataFrame
        The sites to put back, sorted by row: row, motif (index into `motifs`), start, end, minus (bool), score, pvalue.
    motifs : list of Motif
        The motifs kept.
    motif_log : DataFrame
        Each motif's counts, densities and ratio for each task, and why it was kept or dropped.
    lost : DataFrame
        How many positives and background regions each step took away.
    background : float64, shape (4,)
        Base frequencies the scan's p-values refer to.
    composition, leakage : list of dict
        Positives against negatives, and split against split, of the real regions: records of `region_checks`.
    scan_pvalue : float
    seed : int
    clean_background : bool
        Whether the shuffles are to hold no chance hits of the kept motifs.
    """

    tasks: tuple[str, ...]
    regions: pd.DataFrame
    bases: Bases
    sources: npt.NDArray[np.int64]
    hits: pd.DataFrame
    motifs: list[Motif]
    motif_log: pd.DataFrame
    lost: pd.DataFrame
    background: npt.NDArray[np.float64]
    composition: list[dict[str, Any]]
    leakage: list[dict[str, Any]]
    scan_pvalue: float
    seed: int
    clean_background: bool = False

    @property
    def n_regions(self) -> int:
        """Regions, and so sequences, in the data set."""
        return len(self.regions)

    @property
    def notes(self) -> dict[str, Any]:
        """Entries of dataset.json beside the counts, in JSON's own types.

        They are the scan's settings, the regions lost, how many are neither positive nor negative of each task, and
        what the real regions say of composition and leakage.
        """
        return {
            "background": self.background.tolist(),
            "scan_pvalue": self.scan_pvalue,
            "lost": self.lost.to_dict("records"),
            **({"clean_background": True} if self.clean_background else {}),
            "unlabelled": {task: int((self.regions[task] == UNLABELLED).sum()) for task in self.tasks},
            "composition": self.composition,
            "leakage": self.leakage,
        }

    def counts(self) -> pd.DataFrame:
        """Regions of each split (index), in all (column n) and positive for each task (a column each)."""
        positive = self.regions[list(self.tasks)] == 1
        return (
            positive.assign(n=1)
            .groupby(self.regions["split"])[["n", *self.tasks]]
            .sum()
            .astype(np.int64)
            .reindex([s for s in ("train", "valid", "test") if s in set(self.regions["split"])])
        )


class PeaksPart(NamedTuple):
    """What a worker needs to make some consecutive sequences of a plan."""

    numbers: npt.NDArray[np.int64]
    tasks: tuple[str, ...]
    regions: pd.DataFrame
    own: Bases
    to_shuffle: Bases
    hits: pd.DataFrame
    motifs: list[Motif]
    seed: int
    clean_with: Scan | None = None


def plan_peaks(
    simulation: PeaksSimulation,
    seed: int,
    index_dir: str | os.PathLike[str] | None = None,
    map_chunks: MapChunks = map,
) -> PeaksPlan:
    r"""Place, label and split the regions, scan them, and decide which motifs are kept.

    Parameters
    ----------
    simulation : PeaksSimulation
        The `simulation` block of a configuration.
    seed : int
        Chooses the splits, the shuffles, and whose shuffle is under each background region.
    index_dir : str or path, optional
        Where the genome's index goes when the genome's folder is read-only.
    map_chunks : callable, default the built-in map
        ``map_chunks(function, items)`` gives results in order; scans run through it.

    Returns
    -------
    PeaksPlan

    Raises
    ------
    InputError
        A file or setting is at fault; no motif passes; a split lacks positives or negatives of a task.

    Examples
    --------
    Twenty peaks with an AP-1 site each, and as much background, in a genome of 12 kb:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simbench_tf.motifs import write_meme
    >>> folder, letters = Path(tempfile.mkdtemp()), np.random.default_rng(0).choice(list("ACGT"), 12_000)
    >>> for start in range(150, 12_000, 600):
    ...     letters[start : start + 10] = list("TGACTCATGC")
    >>> _ = (folder / "genome.fa").write_text(f">chr1\n{''.join(letters)}\n")
    >>> for name, first in (("peaks.bed", 100), ("background.bed", 400)):
    ...     lines = [f"chr1\t{start}\t{start + 100}\n" for start in range(first, 12_000, 600)]
    ...     _ = (folder / name).write_text("".join(lines))
    >>> ppm = np.full((10, 4), 0.01)
    >>> ppm[np.arange(10), [3, 2, 0, 1, 3, 1, 0, 3, 2, 1]] = 0.97
    >>> write_meme([Motif("M1", "AP-1", ppm, 100.0)], folder / "motifs.meme")
    >>> files = {"peaks": {"A": folder / "peaks.bed"}, "background": folder / "background.bed"}
    >>> settings = {"region_size": 100, "scan_pvalue": 1e-5, "min_pos_hits": 10, "splits": {"valid": 0, "test": 0.3}}
    >>> simulation = PeaksSimulation(
    ...     kind="peaks", genome=folder / "genome.fa", motifs=str(folder / "motifs.meme"), **files, **settings
    ... )
    >>> plan = plan_peaks(simulation, seed=1)
    >>> plan.n_regions, [motif.tf for motif in plan.motifs]
    (40, ['AP-1'])
    >>> implant(plan, 0, 2).sites.to_pandas()[["seq_id", "start", "end", "strand", "matched"]].to_numpy().tolist()
    [['chr1:100-200', 50, 60, '+', 'TGACTCATGC']]
    """
    tasks = list(simulation.peaks)
    scanned = scan_regions(simulation, seed, index_dir, map_chunks)
    regions, bases, motifs, kept, hits, log, lost, background, partners, repeats = scanned
    positive = any_positive(regions, tasks)
    hitless = positive & (np.bincount(hits["row"], minlength=len(regions)) == 0)
    hitless |= hitless[partners]  # the negatives that were drawn to match one go with it
    if not simulation.negative_implants:
        hits = hits[positive[hits["row"].to_numpy()]]
    regions, without_hit = drop(regions, hitless, "positive without a kept hit", tasks)
    check_splits(regions, tasks, simulation.splits)
    bases, positive = bases[~hitless], positive[~hitless]
    shares = {"gc": gc_content(bases), **({} if repeats is None else {"repeats": repeats[~hitless]})}
    return PeaksPlan(
        tasks=tuple(tasks),
        regions=regions,
        bases=bases,
        sources=_sources(regions["split"].to_numpy(), positive, seed),
        hits=_renumbered(hits, ~hitless, kept),
        motifs=[motif for motif, passes in zip(motifs, kept, strict=True) if passes],
        motif_log=log,
        lost=lost_table([*lost, without_hit]),
        background=background,
        composition=compared(shares, positive),
        leakage=leaking(regions, bases),
        scan_pvalue=simulation.scan_pvalue,
        seed=seed,
        clean_background=simulation.clean_background,
    )


def _renumbered(
    hits: pd.DataFrame, region_kept: npt.NDArray[np.bool_], motif_kept: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """Hits of kept regions and motifs, numbered as those are once the others are gone."""
    row, motif = np.cumsum(region_kept) - 1, np.cumsum(motif_kept) - 1
    return hits.assign(row=row[hits["row"].to_numpy()], motif=motif[hits["motif"].to_numpy()]).reset_index(drop=True)


def _sources(split: npt.NDArray[np.object_], positive: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.int64]:
    """Whose shuffle carries each region: its own for positives, a random positive's of the same split for others."""
    sources = np.arange(split.size)
    for name in np.unique(split.astype(str)):
        candidates = np.flatnonzero(positive & (split == name))
        others = np.flatnonzero(~positive & (split == name))
        draws = uniforms(seed, "peaks: whose shuffle", others)[:, 0]
        sources[others] = candidates[(draws * candidates.size).astype(np.int64)]
    return sources


def parts(plan: PeaksPlan, size: int = _CHUNK_SEQUENCES) -> Iterator[PeaksPart]:
    """The whole plan cut into parts of `size` sequences, for `implant_part` to make in any process."""
    for start in range(0, plan.n_regions, size):
        yield take_part(plan, start, start + size)


def take_part(plan: PeaksPlan, start: int, stop: int) -> PeaksPart:
    """Sequences start..stop of a plan, as a part that can be sent to a worker."""
    rows = slice(start, min(stop, plan.n_regions))
    first, last = np.searchsorted(plan.hits["row"].to_numpy(), [rows.start, rows.stop])
    hits = plan.hits.iloc[first:last]
    return PeaksPart(
        numbers=np.arange(rows.start, rows.stop),
        tasks=plan.tasks,
        regions=plan.regions.iloc[rows],
        own=plan.bases[rows],
        to_shuffle=plan.bases[plan.sources[rows]],
        hits=hits.assign(row=hits["row"] - start),
        motifs=plan.motifs,
        seed=plan.seed,
        clean_with=Scan(plan.motifs, plan.scan_pvalue, plan.background) if plan.clean_background else None,
    )


def implant(plan: PeaksPlan, start: int, stop: int) -> Drawn:
    """Make sequences start..stop of a plan: shuffle, and put every kept hit back, base for base, where it was.

    Returns
    -------
    Drawn
        The same rows whatever the stretch they are made in.
    """
    return implant_part(take_part(plan, start, stop))


def implant_part(part: PeaksPart) -> Drawn:
    """Make the sequences of one part; see `implant`."""
    sequences = shuffles(part)
    hits = part.hits
    covered = covered_bases(hits["row"], hits["start"], hits["end"], sequences.shape)
    sequences[covered] = part.own[covered]
    if part.clean_with is not None:
        sequences = without_chance_hits(sequences, covered, part.clean_with, part.seed, part.numbers)
    return Drawn(_sequence_table(part, sequences), _sites_table(part, sequences))


def shuffles(part: PeaksPart) -> Bases:
    """The background of each sequence of a part before sites are put back, uint8 (n, L).

    The stream of each is that of its number in the data set; its key is not the one that shuffled references of
    the same seed use.
    """
    state = int(stream_key(part.seed, "peaks: shuffles"))
    return dinucleotide_shuffle(part.to_shuffle, n_shuffles=1, random_state=state, indices=part.numbers)[:, 0]


def _seq_ids(regions: pd.DataFrame) -> npt.NDArray[np.object_]:
    # regions are distinct, so their loci name them
    return np.array(
        [f"{region.chrom}:{region.start}-{region.end}" for region in regions.itertuples(index=False)], object
    )


def _sequence_table(part: PeaksPart, sequences: Bases) -> pa.Table:
    regions = part.regions
    columns = {"seq_id": pa.array(_seq_ids(regions), pa.string()), "sequence": text_column(sequences)}
    columns |= {name: pa.array(regions[name]) for name in ("chrom", "start", "end", "split", *part.tasks)}
    schema = sequence_schema(part.tasks)
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


def _sites_table(part: PeaksPart, sequences: Bases) -> pa.Table:
    hits = part.hits
    motif = hits["motif"].to_numpy()
    row, start, end = (hits[name].to_numpy(np.int64) for name in ("row", "start", "end"))
    ids = np.array([motif.motif_id for motif in part.motifs], object)
    columns = {
        "seq_id": _seq_ids(part.regions)[row],
        "motif": ids[motif],
        "tf": np.array([motif.tf for motif in part.motifs], object)[motif],
        "start": start,
        "end": end,
        "strand": np.where(hits["minus"], "-", "+"),
        "score": hits["score"].to_numpy(),
        "pvalue": hits["pvalue"].to_numpy(),
        "matched": _texts(sequences, row, start, end),
        "element": ids[motif],
    }
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in SITES_SCHEMA], schema=SITES_SCHEMA)


def _texts(
    sequences: Bases, row: npt.NDArray[np.int64], start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> pa.StringArray:
    """The text of stretches of unequal length, sequence[start:end] of each row, without a Python string for each."""
    offsets = np.concatenate([[0], np.cumsum(end - start)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], end - start)
    letters = LETTERS[sequences[np.repeat(row, end - start), np.repeat(start, end - start) + within]]
    return pa.StringArray.from_buffers(row.size, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(letters))
