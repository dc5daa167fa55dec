"""Where the regions of a peaks data set lie, which tasks label them, and which split they fall into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import genome as gn
from simbench_tf.config import PeaksSimulation, Splits
from simbench_tf.errors import InputError
from simbench_tf.random_streams import permutation
from simbench_tf.tables import UNLABELLED


class Lost(NamedTuple):
    """How many positives and background regions one step removed; the first record says how many there were."""

    step: str
    positives: int
    background: int


def lost_table(records: Sequence[Lost]) -> pd.DataFrame:
    """One row per step: step, positives and background lost there, positives_left and background_left.

    Examples
    --------
    >>> table = lost_table([Lost("read", 9, 5), Lost("merged", 2, 1), Lost("off the contig", 1, 0)])
    >>> table["positives"].tolist(), table["positives_left"].tolist()
    ([0, 2, 1], [9, 7, 6])
    """
    table = pd.DataFrame(records)
    for kind in ("positives", "background"):
        read = table.loc[0, kind]
        table.loc[0, kind] = 0
        table[f"{kind}_left"] = read - table[kind].cumsum()
    return table


class Placed(NamedTuple):
    """Where the regions are, and what no negative may touch.

    Attributes
    ----------
    regions : DataFrame
        chrom, start, end and one uint8 label column per task, sorted by chrom and start; all on their contig.
    lost : list of Lost
        First the number of summits read, then what each step removed.
    taken : DataFrame
        chrom, start and end of every peak with the window around its summit, and of the blacklist.
    """

    regions: pd.DataFrame
    lost: list[Lost]
    taken: pd.DataFrame


def place_regions(simulation: PeaksSimulation, genome: gn.Genome) -> Placed:
    """Read every peak file, merge, label and place the regions.

    Summits of all tasks are pooled, and those closer than half a `region_size` merged into one region centred on their
    mean; no summit is farther than half a `region_size` from that, longer chains are split. A region has a task's label
    when one of that task's summit windows overlaps at least half of it. One that overlaps a window by less is neither a
    positive nor a negative of that task: its label is `tables.UNLABELLED`, and it is left out of that task's loss and
    measures. Background regions that overlap a peak of any task, or the window around its summit, are left out, and so
    are second copies, and regions that touch the blacklist. A background that is drawn to match comes later
    (`matched_background`).

    Returns
    -------
    Placed

    Raises
    ------
    InputError
        A file is at fault, nothing can be negative, or no region fits its contig or is off the blacklist.
    """
    if len(simulation.peaks) == 1 and simulation.background is None:
        raise InputError(
            "simulation.background", "one task without a background has no negatives", "give it, or more tasks' peaks"
        )
    size = simulation.region_size
    peaks = pd.concat(
        [_summits(path, genome).assign(task=task) for task, path in simulation.peaks.items()], ignore_index=True
    )
    background = pd.concat(
        [peaks[:0], *(_summits(path, genome) for path in simulation.background_files.values())], ignore_index=True
    )
    merged = gn.merge_summits(peaks["chrom"], peaks["summit"], size / 2)
    taken = _taken(peaks, size)
    windows = gn.regions_at(background["chrom"], background["summit"], size)
    away = background[~gn.overlaps_any(windows, taken)]
    distinct = away.drop_duplicates(["chrom", "summit"])
    regions = pd.concat([_labelled(merged, peaks, simulation), _labelled(distinct, peaks, simulation)])
    regions = regions.sort_values(["chrom", "start"], ignore_index=True)
    lost = [
        Lost("summits read", len(peaks), len(background)),
        Lost("merged with a summit closer than half a region", len(peaks) - len(merged), 0),
        Lost("background over a peak", 0, len(background) - len(away)),
        Lost("background given twice", 0, len(away) - len(distinct)),
    ]
    regions, off = drop(regions, ~gn.inside(genome, regions), "over an end of its contig", list(simulation.peaks))
    if regions.empty:
        raise InputError(
            "simulation.region_size",
            f"no region of {simulation.region_size} bases fits its contig",
            "give smaller regions or the right genome",
        )
    lost.append(off)
    if simulation.blacklist is not None:
        black = _blacklist(simulation, genome)
        regions, touching = drop(regions, gn.overlaps_any(regions, black), "on the blacklist", list(simulation.peaks))
        if regions.empty:
            mend = "give a blacklist of the peaks' own genome, or none"
            raise InputError("simulation.blacklist", "it touches every region", mend)
        lost.append(touching)
        taken = pd.concat([taken, black], ignore_index=True)
    return Placed(regions, lost, taken)


def _blacklist(simulation: PeaksSimulation, genome: gn.Genome) -> pd.DataFrame:
    """The blacklist on the genome's contigs: chrom, start and end."""
    files = [gn.on_contigs(gn.read_peaks(path), genome, path) for path in simulation.blacklist_files.values()]
    return pd.concat([each[["chrom", "start", "end"]] for each in files], ignore_index=True)


def _summits(path: Path, genome: gn.Genome) -> pd.DataFrame:
    peaks = gn.read_peaks(path)
    gn.check_chromosomes(peaks, genome, path)
    return peaks


def any_positive(regions: pd.DataFrame, tasks: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which regions are positive for some task, bool (N,)."""
    return np.asarray((regions[list(tasks)].to_numpy() == 1).any(axis=1))


def drop(regions: pd.DataFrame, which: npt.NDArray[np.bool_], step: str, tasks: list[str]) -> tuple[pd.DataFrame, Lost]:
    """The regions without those that `which` marks, and the record of what went."""
    positive = any_positive(regions, tasks)
    lost = Lost(step, int((which & positive).sum()), int((which & ~positive).sum()))
    return regions[~which].reset_index(drop=True), lost


def _taken(peaks: pd.DataFrame, region_size: int) -> pd.DataFrame:
    """What is not background: each peak's own extent and the window around its summit, in one interval."""
    taken = gn.regions_at(peaks["chrom"], peaks["summit"], region_size)
    taken["start"] = np.minimum(taken["start"], peaks["start"].to_numpy())
    taken["end"] = np.maximum(taken["end"], peaks["end"].to_numpy())
    return taken


def _labelled(centres: pd.DataFrame, peaks: pd.DataFrame, simulation: PeaksSimulation) -> pd.DataFrame:
    regions = gn.regions_at(centres["chrom"], centres["summit"], simulation.region_size)
    for task in simulation.peaks:
        own = peaks[peaks["task"] == task]
        distance = gn.nearest_distance(centres["chrom"], centres["summit"], own["chrom"], own["summit"])
        # two windows of one size overlap by that size less the distance of their centres
        overlap = np.maximum(simulation.region_size - distance, 0)
        labels = np.select([2 * overlap >= simulation.region_size, overlap > 0], [1, UNLABELLED], 0)
        regions[task] = labels.astype(np.uint8)
    return regions


def assign_splits(regions: pd.DataFrame, splits: Splits, seed: int, contigs: Sequence[str]) -> npt.NDArray[np.object_]:
    """The split of each region, "train", "valid" or "test"; regions that overlap share theirs.

    By fractions, whole groups of overlapping regions are put in a random order and cut where the fractions of regions
    are reached. By chromosomes, what no list names is for training.

    Raises
    ------
    InputError
        A chromosome that `contigs` lacks, or that two splits name.
    """
    if splits.chromosomes is not None:
        return _by_chromosome(regions["chrom"], splits.chromosomes, contigs)
    groups = gn.overlap_groups(regions)
    sizes = np.bincount(groups)
    order = permutation(seed, "peaks: splits", sizes.size)
    middles = np.empty(sizes.size)
    middles[order] = (np.cumsum(sizes[order]) - sizes[order] / 2) / len(regions)
    return np.select([middles < splits.test, middles < splits.test + splits.valid], ["test", "valid"], "train").astype(
        object
    )[groups]


def _by_chromosome(
    chrom: pd.Series, chromosomes: Mapping[Literal["valid", "test"], list[str]], contigs: Sequence[str]
) -> npt.NDArray[np.object_]:
    split_of: dict[str, str] = {}
    for split, names in chromosomes.items():
        for name in names:
            where = f"simulation.splits.chromosomes.{split}"
            if name not in contigs:
                raise InputError(where, *gn.unknown_chromosome(name, contigs, "the genome"))
            if split_of.setdefault(name, split) != split:
                raise InputError(where, f"{name!r} is also in {split_of[name]}", "name it once")
    return chrom.map(lambda name: split_of.get(name, "train")).to_numpy(object)


def check_splits(regions: pd.DataFrame, tasks: Sequence[str], splits: Splits) -> None:
    """Check that every split in use has positives and negatives of every task.

    Raises
    ------
    InputError
        Naming the first split and task without.
    """
    used = ["train", "test"]
    if splits.chromosomes is None:
        used += ["valid"] * (splits.valid > 0)
    else:
        used = ["train", *splits.chromosomes]
    mend = "give more regions, or hold out other fractions or chromosomes"
    for split in used:
        labels = regions.loc[regions["split"] == split, list(tasks)]
        if labels.empty:
            raise InputError("simulation.splits", f"{split} names no region", mend)
        for task in tasks:
            for label, kind in ((1, "positive"), (0, "negative")):
                if not (labels[task] == label).any():
                    raise InputError("simulation.splits", f"{split} holds no {kind} region of {task}", mend)
