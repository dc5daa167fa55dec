"""Groups of sites and calls: by motif, information content and distance; and what the names of calls stand for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.calls import NO_STRAND
from simbench_tf.discovery.matching import Pairs
from simbench_tf.score.motif_recall import distance_groups, information_groups

Ints = npt.NDArray[np.int64]


class Names(NamedTuple):
    """What the name of each call stands for: a true motif (None: not known), and whether its other strand."""

    motif: npt.NDArray[np.object_]
    flipped: npt.NDArray[np.bool_]


class Groups(NamedTuple):
    """A way to group: the group of each site and of each call, -1 for none, and the groups' names.

    `calls_known` is false where the group of a call that matches no site cannot be known, since calls have no names.
    """

    by: str
    of_sites: Ints
    of_calls: Ints
    names: list[str]
    calls_known: bool = True

    def counts(self, pairs: Pairs) -> npt.NDArray[np.float64]:
        """Sites, calls and matched ones of each group, shape (3, groups)."""
        codes = (self.of_sites, self.of_calls, self.of_sites[pairs.site])
        return np.array([np.bincount(each[each >= 0], minlength=len(self.names)) for each in codes], np.float64)


def groupings(
    called: pd.DataFrame, sites: pd.DataFrame, names: Names, length: int | None, pairs: Pairs
) -> list[Groups]:
    """All, motif, information and distance, as far as they are known; matched calls are of the group of their site."""
    everything = Groups("all", np.zeros(len(sites), np.int64), np.zeros(len(called), np.int64), ["all"])
    found = [everything, *_by_motif(sites, names, named=bool(called["motif"].notna().any()))]
    if length is not None:
        centres = [((table["start"] + table["end"]) / 2).to_numpy(np.float64) for table in (sites, called)]
        (of_sites, rings), (of_calls, _) = (distance_groups(each, length) for each in centres)
        found.append(Groups("distance", of_sites, of_calls, rings))
    for groups in found:
        groups.of_calls[pairs.call] = groups.of_sites[pairs.site]
    return found


def _by_motif(sites: pd.DataFrame, names: Names, named: bool) -> list[Groups]:
    motifs = pd.Index(sorted(sites["motif"].dropna().unique()), dtype=object)
    if not len(motifs):
        return []
    of_sites, of_calls = (motifs.get_indexer(each).astype(np.int64) for each in (sites["motif"], names.motif))
    found = [Groups("motif", of_sites, of_calls, [str(name) for name in motifs], named)]
    if "bits" in sites:
        codes, ranges = information_groups(sites["bits"].to_numpy(np.float64))
        of_motif = np.full(len(motifs) + 1, -1)
        of_motif[of_sites] = codes
        of_motif[-1] = -1  # of calls, and sites, whose motif is not known
        found.append(Groups("information", codes, of_motif[of_calls], ranges, named))
    return found


def meaning_of_names(called: pd.DataFrame, sites: pd.DataFrame, pairs: Pairs) -> Names:
    """What each call's name stands for: the true motif of that name, or what most of its matched calls stand on.

    Parameters
    ----------
    called, sites : DataFrame
        As `calls.checked_tables` gives them.
    pairs : Pairs
        Calls and the sites that they are matched with.
    """
    meaning = {name: (name, False) for name in sites["motif"].dropna().unique()}
    call, site = called.iloc[pairs.call], sites.iloc[pairs.site]
    strand, true = call["strand"].to_numpy(object), site["strand"].to_numpy(object)
    told = (strand != NO_STRAND) & (true != NO_STRAND)
    matched = pd.DataFrame(
        {
            "name": call["motif"].to_numpy(object),
            "motif": site["motif"].to_numpy(object),
            "flipped": np.where(told, strand != true, np.nan),
        }
    ).dropna(subset=["name", "motif"])
    for name, rows in matched[~matched["name"].isin(list(meaning))].groupby("name"):
        motif = rows["motif"].value_counts().sort_index().idxmax()  # of two as frequent, the first by name
        meaning[name] = (motif, bool(rows["flipped"][rows["motif"] == motif].mean() > 0.5))
    found = [meaning.get(name, (None, False)) for name in called["motif"]]
    motifs = np.empty(len(found), object)
    motifs[:] = [motif for motif, _ in found]
    return Names(motifs, np.array([flipped for _, flipped in found], bool))
