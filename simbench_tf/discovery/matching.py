"""Maximum matching of calls with sites: one call takes one site at most, and as many as can be are matched.

Of all matchings of that size the one is taken whose calls have the highest scores, then the one whose ends are nearest,
then by strand and name. So the calls above any threshold of the score hold as many matched ones as could be matched had
only they been made: the curve of precision and recall follows from one matching (greedy is optimal in a transversal
matroid).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What another strand, and another name, count for beside a base of an end: they decide between equal ends only.
_OTHER_STRAND, _OTHER_NAME = 1e-2, 1e-4


class Pairs(NamedTuple):
    """Calls and sites, each pair at one place of the arrays: their numbers in the tables."""

    call: Ints
    site: Ints


def overlapping_pairs(called: pd.DataFrame, sites: pd.DataFrame, overlap: float) -> Pairs:
    """All pairs of a call and a site whose common bases are at least this share of either.

    Parameters
    ----------
    called, sites : DataFrame
        As `calls.checked_tables` gives them.
    overlap : float
        Between 0, exclusive, and 1.

    Examples
    --------
    >>> called = pd.DataFrame({"row": [0, 0], "start": [0, 6], "end": [4, 9]})
    >>> overlapping_pairs(called, pd.DataFrame({"row": [0], "start": [2], "end": [6]}), .5)
    Pairs(call=array([0]), site=array([0]))
    """
    columns = ["row", "start", "end"]
    both = called[columns].assign(call=np.arange(len(called))).merge(
        sites[columns].assign(site=np.arange(len(sites))), on="row", suffixes=("", "_site")
    )  # fmt: skip
    common = np.minimum(both["end"], both["end_site"]) - np.maximum(both["start"], both["start_site"])
    wider = np.maximum(both["end"] - both["start"], both["end_site"] - both["start_site"])
    kept = both[(common > 0) & (common >= overlap * wider - 1e-9)]
    return Pairs(kept["call"].to_numpy(np.int64), kept["site"].to_numpy(np.int64))


def best_matching(called: pd.DataFrame, sites: pd.DataFrame, overlap: float) -> Pairs:
    """The maximum matching that the module's first lines tell of.

    Parameters
    ----------
    called, sites : DataFrame
        As `calls.checked_tables` gives them.
    overlap : float
        Of a pair that may be matched, as in `overlapping_pairs`.

    Returns
    -------
    Pairs
        By call.

    Examples
    --------
    The wide call can have either site, the narrow one only the first: so both are matched.

    >>> sites = pd.DataFrame({"row": 0, "start": [1, 6], "end": [9, 14], "strand": "+", "motif": "SPI1"})
    >>> called = sites.assign(start=[2, 0], end=[12, 8], score=[2, 1])
    >>> best_matching(called, sites, .5)
    Pairs(call=array([0, 1]), site=array([1, 0]))
    """
    edges = overlapping_pairs(called, sites, overlap)
    if not len(edges.call):
        return edges
    costs = _costs(called, sites, edges)
    shape = (len(called) + len(sites),) * 2
    graph = coo_array((np.ones(len(edges.call)), (edges.call, edges.site + len(called))), shape=shape)
    _, part_of = connected_components(graph, directed=False)
    part = part_of[edges.call]
    order = np.argsort(part, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(part[order])) + 1)
    scores = called["score"].fillna(-np.inf).to_numpy(np.float64)
    chosen = np.concatenate([run if len(run) == 1 else run[_best(edges, costs, scores, run)] for run in runs])
    chosen = chosen[np.argsort(edges.call[chosen])]
    return Pairs(edges.call[chosen], edges.site[chosen])


def _costs(called: pd.DataFrame, sites: pd.DataFrame, edges: Pairs) -> Floats:
    """What speaks against a pair, beside others of the same calls: bases between the ends, other strand, other name."""
    call, site = called.iloc[edges.call], sites.iloc[edges.site]
    ends = sum(np.abs(call[end].to_numpy() - site[end].to_numpy()) for end in ("start", "end"))
    strand, name = (call[each].to_numpy(object) != site[each].to_numpy(object) for each in ("strand", "motif"))
    return ends + _OTHER_STRAND * strand + _OTHER_NAME * name


def _best(edges: Pairs, costs: Floats, scores: Floats, run: Ints) -> Ints:
    """Which edges of a connected part are matched: most first, then the highest scores, then the least cost."""
    calls, call = np.unique(edges.call[run], return_inverse=True)
    sites, site = np.unique(edges.site[run], return_inverse=True)
    most = min(len(calls), len(sites))
    # each aim weighs more than all that the later ones can add up to
    rank = np.unique(scores[calls], return_inverse=True)[1]
    of_rank = most * costs[run].max() + 1
    of_pair = of_rank * (most * rank.max() + 1) + 1
    gain = np.zeros((len(calls), len(sites)))
    number = np.full(gain.shape, -1)
    gain[call, site] = of_pair + of_rank * rank[call] - costs[run]
    number[call, site] = np.arange(len(run))
    found = number[linear_sum_assignment(gain, maximize=True)]
    return found[found >= 0]
