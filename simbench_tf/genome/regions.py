"""Regions: windows of one fixed size around peak summits, the merging of summits, distances and overlaps.

Coordinates are 0-based and half-open.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.genome.peak_files import LARGEST_COORDINATE


def regions_at(chrom: npt.ArrayLike, summits: npt.ArrayLike, region_size: int) -> pd.DataFrame:
    """Windows of `region_size` bases centred on summits: columns chrom, start, end.

    Examples
    --------
    >>> regions_at(["chr1"], [1000], 401).to_dict("records")
    [{'chrom': 'chr1', 'start': 800, 'end': 1201}]
    """
    start = np.asarray(summits, np.int64) - region_size // 2
    return pd.DataFrame({"chrom": np.asarray(chrom, object), "start": start, "end": start + region_size})


def merge_summits(chrom: npt.ArrayLike, summits: npt.ArrayLike, distance: float) -> pd.DataFrame:
    """Merge summits closer than `distance` to a neighbour into one, at their mean (rounded down).

    No summit is farther than `distance` from the mean of those it is merged with: a chain of summits that reaches
    farther is split at its widest gap (of equal ones, at that nearest the middle of the chain), and so on.

    Parameters
    ----------
    chrom, summits : array, shape (N,)
        Where the summits are, in any order; summits in bases.
    distance : float
        Neighbours exactly this far apart stay apart.

    Returns
    -------
    DataFrame
        Columns chrom, summit and n_summits (how many became this one), sorted by chrom and summit.

    Examples
    --------
    >>> merge_summits(["chr1"] * 4, [100, 250, 700, 399], 200).to_numpy().tolist()
    [['chr1', 249, 3], ['chr1', 700, 1]]
    >>> merge_summits(["chr1"] * 4, [100, 190, 310, 400], 200).to_numpy().tolist()  # 250 is the mean of all
    [['chr1', 250, 4]]
    >>> merge_summits(["chr1"] * 4, [100, 190, 310, 480], 200).to_numpy().tolist()  # 480 is too far from 270
    [['chr1', 200, 3], ['chr1', 480, 1]]
    """
    names, positions = np.asarray(chrom, object), np.asarray(summits, np.int64)
    # two points d bases apart leave a gap of d - 1 between their intervals; None joins only what overlaps
    gap = int(np.ceil(distance)) - 2
    bases = pd.DataFrame({"chrom": names, "start": positions, "end": positions + 1})
    clusters = _clusters(bases, gap if gap >= 0 else None)
    order = np.lexsort((positions, clusters))
    groups = np.empty_like(order)
    groups[order] = _within_reach(clusters[order], positions[order], distance)
    points = pd.DataFrame({"chrom": names, "summit": positions, "group": groups})
    merged = points.groupby("group").agg(
        chrom=("chrom", "first"), summit=("summit", "sum"), n_summits=("summit", "size")
    )
    merged["summit"] //= merged["n_summits"]
    return merged.sort_values(["chrom", "summit"], ignore_index=True)


def _within_reach(
    chains: npt.NDArray[np.int64], summits: npt.NDArray[np.int64], distance: float
) -> npt.NDArray[np.int64]:
    """Number each group of the sorted summits of sorted chains, so that none is too far from its group's mean, (N,)."""
    bounds = [*np.flatnonzero(np.diff(chains, prepend=-1)).tolist(), len(chains)]
    waiting = [slice(*pair) for pair in itertools.pairwise(bounds)]
    is_first = np.zeros(len(chains), np.int64)
    while waiting:
        group = waiting.pop()
        first, last = summits[group.start], summits[group.stop - 1]
        centre = int(summits[group].sum()) // (group.stop - group.start)
        if max(centre - first, last - centre) <= distance:
            is_first[group.start] = 1
            continue
        gaps = np.diff(summits[group])
        # twice the distance of each gap's middle from that of the chain
        off_middle = np.abs(summits[group][:-1] + summits[group][1:] - first - last)
        cut = group.start + 1 + int(np.lexsort((off_middle, -gaps))[0])
        waiting += [slice(group.start, cut), slice(cut, group.stop)]
    return np.cumsum(is_first)


def _along_genome(chrom: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """An offset for each name, in the names' order and too far apart for intervals on two chromosomes to meet."""
    codes, _ = pd.factorize(chrom, sort=True)
    return codes.astype(np.int64) * (2 * LARGEST_COORDINATE)


def nearest_distance(
    chrom: npt.ArrayLike, positions: npt.ArrayLike, other_chrom: npt.ArrayLike, others: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """Bases from each position to the nearest of `others` on its chromosome, shape (N,); 2^40 where there is none.

    Examples
    --------
    >>> nearest_distance(["chr1", "chr1", "chr2"], [10, 98, 10], ["chr1", "chr1"], [100, 14]).tolist()
    [4, 2, 1099511627776]
    """
    names = np.concatenate([np.asarray(chrom, object), np.asarray(other_chrom, object)])
    loci = _along_genome(names) + np.concatenate([np.asarray(positions, np.int64), np.asarray(others, np.int64)])
    n = len(np.asarray(positions))
    # the two ends stand for "none": farther off than anything on a chromosome
    far = [loci.min(initial=0) - 2 * LARGEST_COORDINATE, loci.max(initial=0) + 2 * LARGEST_COORDINATE]
    known = np.sort(np.concatenate([loci[n:], far]))
    right = np.searchsorted(known, loci[:n])
    distance = np.minimum(known[right] - loci[:n], loci[:n] - known[right - 1])
    return np.minimum(distance, LARGEST_COORDINATE)


def overlaps_any(regions: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which regions share at least one base with any of `others`, shape (N,); both have chrom, start and end."""
    if regions.empty or others.empty:
        return np.zeros(len(regions), np.bool_)
    first, second = (each[["chrom", "start", "end"]].reset_index(drop=True) for each in (regions, others))
    with _bioframe() as bioframe:
        return (bioframe.count_overlaps(first, second)["count"] > 0).to_numpy(np.bool_)


def bases_covered(regions: pd.DataFrame, intervals: pd.DataFrame) -> npt.NDArray[np.int64]:
    """How many bases of each region any of the intervals covers, shape (N,); both have chrom, start and end.

    Examples
    --------
    >>> repeats = pd.DataFrame({"chrom": ["chr1"] * 3, "start": [10, 12, 50], "end": [14, 20, 60]})
    >>> bases_covered(regions_at(["chr1", "chr1", "chr2"], [20, 35, 20], 20), repeats).tolist()
    [10, 0, 0]
    """
    if regions.empty or intervals.empty:
        return np.zeros(len(regions), np.int64)
    names = np.concatenate([regions["chrom"].to_numpy(object), intervals["chrom"].to_numpy(object)])
    offsets = _along_genome(names)
    own, theirs = offsets[: len(regions)], offsets[len(regions) :]
    start = intervals["start"].to_numpy(np.int64) + theirs
    order = np.argsort(start, kind="stable")
    start = start[order]
    end = np.maximum.accumulate((intervals["end"].to_numpy(np.int64) + theirs)[order])
    first = np.flatnonzero(np.concatenate([[True], start[1:] > end[:-1]]))  # of each run of intervals that meet
    start, end = start[first], end[np.concatenate([first[1:], [len(order)]]) - 1]
    before = np.concatenate([[0], np.cumsum(end - start)])

    def covered_before(locus: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        run = np.searchsorted(start, locus, side="right") - 1
        within = np.minimum(locus, end[run]) - start[run]
        return np.where(run >= 0, before[run] + within, 0)

    return covered_before(regions["end"].to_numpy(np.int64) + own) - covered_before(
        regions["start"].to_numpy(np.int64) + own
    )


def overlap_groups(regions: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Number of the group of overlapping regions each belongs to, shape (N,), counted along the genome.

    Regions that only touch are in different groups; a chain of overlaps is one group.

    Examples
    --------
    >>> overlap_groups(regions_at(["chr1"] * 4, [150, 900, 200, 260], 100)).tolist()
    [0, 1, 0, 0]
    """
    return _clusters(regions[["chrom", "start", "end"]].reset_index(drop=True), None)


def _clusters(intervals: pd.DataFrame, min_dist: int | None) -> npt.NDArray[np.int64]:
    """Number of the group of intervals that overlap or lie within `min_dist` of each other, along the genome, (N,)."""
    if intervals.empty:  # bioframe takes no table without rows
        return np.empty(0, np.int64)
    with _bioframe() as bioframe:
        return bioframe.cluster(intervals, min_dist=min_dist)["cluster"].to_numpy(np.int64)


@contextmanager
def _bioframe() -> Iterator[Any]:
    """bioframe, imported here since it loads matplotlib, which takes a second; what it uses of pandas is its affair."""
    import bioframe

    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):  # as pandas has them, by its version
            warnings.simplefilter("ignore", category)
        yield bioframe
