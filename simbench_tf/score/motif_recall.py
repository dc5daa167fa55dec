"""Motif recall: which true sites a method finds, grouped by motif, strand, position and information content.

A site is *found* when its mean |attribution| beats the q-quantile of the means of all windows of its width, in the same
sequence, that touch no site. Attributions that are the same everywhere find none, and random ones find a little more
than 1 - q, since windows overlap: with q = .95, 6% of sites in sequences of 400 bases, and 7 to 11% in those of 100.
Sites of one sequence are one observation, so errors have the sequence as the unit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numba as nb
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.compiled import njit
from simbench_tf.intervals import covered_bases
from simbench_tf.score.metrics import areas
from simbench_tf.score.significance import mean_and_error

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


#: Sites are grouped into this many rings of equal width about the centre of the sequence.
N_DISTANCES = 4


#: Bits of information between which motifs are grouped; motifs of JASPAR have 6 to 25.
INFORMATION_EDGES = (8, 10, 12, 14, 16)


def motif_recall(
    scores: npt.NDArray[np.floating], sites: pd.DataFrame, quantile: float = 0.95, signed: bool = False
) -> pd.DataFrame:
    """The share of sites that attributions find, by groups of sites.

    Parameters
    ----------
    scores : float array, shape (N, L)
        One attribution for each base.
    sites : DataFrame
        Every true site: row (of `scores`), motif, start, end (half-open), strand, and bits, the information content
        of its motif. Bases in none of them are the background.
    quantile : float, default .95
        Of the background's windows, which the mean of a found site beats; the ceil(quantile * n)-th smallest of n.
    signed : bool, default False
        Take the attribution with its sign, and not |attribution|.

    Returns
    -------
    DataFrame
        One row per group: by ("motif", "strand", "distance" in bases of a site's centre from the sequence's, or
        "information" in bits) and group (text); n_sites; recall, the share of them that is found, and recall_se, 0
        where all or none are, which says little of few sites; auprc, the average precision of the group's bases
        against the background, bases of other sites left out, mean over sequences that have any. A sequence without
        room for a background window of a site's width says nothing of that site: it is not counted.

    Raises
    ------
    ValueError
        `quantile` is not between 0 and 1, or a site lies outside the sequences.

    Examples
    --------
    >>> scores = np.array([[.1, .2, .9, -.8, .1, .0, .2, .3], [.4, .1, .0, .1, .2, .1, .3, .2]])
    >>> sites = pd.DataFrame({"row": [0, 1], "motif": "GATA1", "start": 2, "end": 4, "strand": ["+", "-"], "bits": 9.})
    >>> motif_recall(scores, sites)[["by", "group", "n_sites", "recall", "auprc"]].round(2)
                by  group  n_sites  recall  auprc
    0        motif  GATA1        2     0.5    0.6
    1       strand      +        1     1.0    1.0
    2       strand      -        1     0.0    0.2
    3     distance    1-2        2     0.5    0.6
    4  information   8-10        2     0.5    0.6
    """
    size, inside, rows, starts, ends = _checked(scores, sites, quantile, signed)
    length = scores.shape[1]
    order = np.argsort(-size, axis=1, kind="stable")
    found = _found(size, inside, rows, starts, ends, quantile)
    lines = []
    for by, codes, names in _groupings(sites, length):
        auprc = _group_auprc(size, order, inside, rows, starts, ends, codes, len(names))
        for code, name in enumerate(names):
            mine = codes == code
            recall, error = mean_and_error(found[mine], rows[mine])
            n_sites = int(np.count_nonzero(~np.isnan(found[mine])))
            lines.append((by, name, n_sites, recall, error, auprc[code]))
    return pd.DataFrame(lines, columns=["by", "group", "n_sites", "recall", "recall_se", "auprc"])


def found_sites(
    scores: npt.NDArray[np.floating], sites: pd.DataFrame, quantile: float = 0.95, signed: bool = False
) -> Floats:
    """Which of the sites an attribution finds.

    Parameters
    ----------
    scores, sites, quantile, signed
        As `motif_recall` takes them; of the sites row, start and end are read.

    Returns
    -------
    float64 array, one value per site
        1 where it is found, 0 where it is not, NaN where its sequence has no background window.

    Raises
    ------
    ValueError
        As of `motif_recall`.

    Examples
    --------
    >>> scores = np.array([[.1, .2, .9, -.8, .1, .0, .2, .3], [.4, .1, .0, .1, .2, .1, .3, .2]])
    >>> found_sites(scores, pd.DataFrame({"row": [0, 1], "start": 2, "end": 4})).tolist()
    [1.0, 0.0]
    """
    return _found(*_checked(scores, sites, quantile, signed), quantile)


def _checked(
    scores: npt.NDArray[np.floating], sites: pd.DataFrame, quantile: float, signed: bool
) -> tuple[Floats, Bools, Ints, Ints, Ints]:
    """Size of each base's attribution, whether it is in a site; and row, start and end of each site."""
    n, length = scores.shape
    if not 0 < quantile < 1:
        raise ValueError(f"quantile must lie between 0 and 1, not {quantile}")
    rows, starts, ends = (sites[name].to_numpy(np.int64) for name in ("row", "start", "end"))
    if len(sites) and (min(rows.min(), starts.min()) < 0 or rows.max() >= n or ends.max() > length):
        raise ValueError(f"a site lies outside the {n} sequences of {length} bases")
    values = np.ascontiguousarray(scores, np.float64)
    return values if signed else np.abs(values), covered_bases(rows, starts, ends, (n, length)), rows, starts, ends


def _groupings(sites: pd.DataFrame, length: int) -> Iterator[tuple[str, Ints, list[str]]]:
    """Yield each way to group sites: its name, the group of each site, and the names of those groups that occur."""
    for by in ("motif", "strand"):
        codes, names = pd.factorize(sites[by], sort=True)
        yield by, codes.astype(np.int64), [str(name) for name in names]
    yield "distance", *_occurring(*distance_groups(((sites["start"] + sites["end"]) / 2).to_numpy(), length))
    yield "information", *_occurring(*information_groups(sites["bits"].to_numpy()))


def distance_groups(centres: npt.NDArray[np.floating], length: int) -> tuple[Ints, list[str]]:
    """The ring about the centre of a sequence that each position lies in, and the names of all rings.

    Examples
    --------
    >>> numbers, names = distance_groups(np.array([50., 99.]), 100)
    >>> [names[number] for number in numbers]
    ['0-12.5', '37.5-50']
    """
    half = length / 2
    edges = np.linspace(0, half, N_DISTANCES + 1)
    names = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)]
    return np.searchsorted(edges[1:-1], np.abs(centres - half), "right").astype(np.int64), names


def information_groups(bits: npt.NDArray[np.floating]) -> tuple[Ints, list[str]]:
    """The range of `INFORMATION_EDGES` that each number of bits lies in, and the names of all ranges.

    Examples
    --------
    >>> numbers, names = information_groups(np.array([6., 16.]))
    >>> [names[number] for number in numbers]
    ['under 8', '16 and over']
    """
    edges = INFORMATION_EDGES
    names = [f"under {edges[0]}", *(f"{low}-{high}" for low, high in itertools.pairwise(edges))]
    return np.searchsorted(edges, bits, "right").astype(np.int64), [*names, f"{edges[-1]} and over"]


def _occurring(numbers: Ints, names: list[str]) -> tuple[Ints, list[str]]:
    there, codes = np.unique(numbers, return_inverse=True)
    return codes.astype(np.int64), [names[number] for number in there]


def _group_auprc(
    size: Floats,
    order: npt.NDArray[np.intp],
    inside: Bools,
    rows: Ints,
    starts: Ints,
    ends: Ints,
    codes: Ints,
    n_groups: int,
) -> list[float]:
    """Average precision of each group's bases against the background, mean over sequences."""
    together = np.lexsort((rows, codes))
    ordered = codes[together], rows[together]
    new = np.flatnonzero(np.any([np.diff(each, prepend=-1) != 0 for each in ordered], axis=0))
    bounds = np.append(new, len(together))
    values = _auprc_of_runs(size, order, inside, ordered[1], starts[together], ends[together], bounds)
    groups, there = ordered[0][new], ~np.isnan(values)
    sums = np.bincount(groups[there], values[there], minlength=n_groups)
    counts = np.bincount(groups[there], minlength=n_groups)
    return [total / count if count else math.nan for total, count in zip(sums, counts, strict=True)]


@njit(parallel=True)
def _found(size: Floats, inside: Bools, rows: Ints, starts: Ints, ends: Ints, quantile: float) -> Floats:
    """1 for a site that is found, 0 for one that is not, NaN where its sequence has no background window."""
    found = np.full(rows.size, np.nan)
    length = size.shape[1]
    for site in nb.prange(rows.size):
        values, covered = size[rows[site]], inside[rows[site]]
        width = ends[site] - starts[site]
        # windows are summed as the site is, base by base, so that equal ones are equal to the last digit
        own = values[starts[site] : ends[site]].sum()
        windows = lower = 0
        since = 0  # bases since the last one in a site
        for past in range(1, length + 1):
            since = 0 if covered[past - 1] else since + 1
            if since >= width:
                windows += 1
                lower += values[past - width : past].sum() < own
        if windows:
            found[site] = lower >= np.ceil(quantile * windows - 1e-9)
    return found


@njit(parallel=True)
def _auprc_of_runs(
    size: Floats, order: npt.NDArray[np.intp], inside: Bools, rows: Ints, starts: Ints, ends: Ints, bounds: Ints
) -> Floats:
    """Average precision of the bases of each run of sites of one row against that row's background."""
    length = size.shape[1]
    auprc = np.full(bounds.size - 1, np.nan)
    for run in nb.prange(bounds.size - 1):
        row = rows[bounds[run]]
        mine = np.zeros(length, np.bool_)
        for site in range(bounds[run], bounds[run + 1]):
            mine[starts[site] : ends[site]] = True
        values, truth = np.empty(length), np.empty(length, np.bool_)
        taken = 0
        for position in order[row]:
            if mine[position] or not inside[row, position]:
                values[taken], truth[taken] = size[row, position], mine[position]
                taken += 1
        auprc[run] = areas(values[:taken], truth[:taken])[1]
    return auprc
