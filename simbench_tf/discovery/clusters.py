"""Clusters of called instances against the true elements they stand on: purity, adjusted Rand index, V-measure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.matching import Pairs


class ClusterAgreement(NamedTuple):
    """How clusters agree with elements; NaN where no call with a name stands on a site.

    Attributes
    ----------
    n_clustered : int
        Calls that have a name and stand on a site.
    purity : float
        Share of them whose element is the most frequent one of their cluster. 1 where each is a cluster of its own.
    adjusted_rand : float
        Of pairs of calls, whether together or apart in both; 0 is chance, 1 the same clusters.
    v_measure : float
        Harmonic mean of homogeneity (a cluster has one element) and completeness (an element has one cluster).
    """

    n_clustered: int
    purity: float
    adjusted_rand: float
    v_measure: float


def cluster_agreement(called: pd.DataFrame, sites: pd.DataFrame) -> ClusterAgreement:
    """Hold the clusters of calls, their motif (or name), against the element that each stands on.

    A call stands on the site with which it shares most bases, if these are half of the shorter of the two; several
    calls may stand on one site. Calls that stand on none are left out.

    Parameters
    ----------
    called, sites : DataFrame
        As in `score_instances`; the element of a site is its column element, else motif (or name).

    Examples
    --------
    >>> sites = pd.DataFrame({"row": 0, "start": [0, 20, 40], "end": [9, 29, 49], "motif": ["SPI1", "SPI1", "CTCF"]})
    >>> found = cluster_agreement(sites.assign(motif=["pattern_0", "pattern_0", "pattern_1"]), sites)
    >>> found.n_clustered, found.purity, found.v_measure
    (3, 1.0, 1.0)
    """
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    called, sites = checked_tables(called, sites)
    element = sites["element" if "element" in sites else "motif"]
    pairs = stand_on(called, sites.assign(element=element.fillna("")))
    clusters, elements = called["motif"].iloc[pairs.call].to_numpy(), element.iloc[pairs.site].to_numpy()
    both = pd.notna(clusters) & pd.notna(elements)
    if not both.any():
        return ClusterAgreement(0, np.nan, np.nan, np.nan)
    cluster, element_codes = (pd.factorize(each[both], sort=True)[0] for each in (clusters, elements))
    return ClusterAgreement(
        int(both.sum()),
        _purity(cluster, element_codes),
        float(adjusted_rand_score(element_codes, cluster)),
        float(v_measure_score(element_codes, cluster)),
    )


def stand_on(called: pd.DataFrame, sites: pd.DataFrame) -> Pairs:
    """For each call that stands on a site, this site: the one with most bases in common, then the nearest ends."""
    columns = ["row", "start", "end", "motif"]
    numbered = sites[[*columns, "element"]].assign(site=np.arange(len(sites)))
    both = called[columns].assign(call=np.arange(len(called))).merge(numbered, on="row", suffixes=("", "_site"))
    common = np.minimum(both["end"], both["end_site"]) - np.maximum(both["start"], both["start_site"])
    shorter = np.minimum(both["end"] - both["start"], both["end_site"] - both["start_site"])
    apart = (both["start"] - both["start_site"]).abs() + (both["end"] - both["end_site"]).abs()
    other = both["motif"] != both["motif_site"]  # of sites at one place, the one that a call names
    both = both.assign(common=-common, apart=apart, other=other)[(common > 0) & (2 * common >= shorter)]
    first = both.sort_values(["call", "common", "apart", "other", "element"]).drop_duplicates("call")
    return Pairs(first["call"].to_numpy(np.int64), first["site"].to_numpy(np.int64))


def _purity(clusters: npt.NDArray[np.intp], elements: npt.NDArray[np.intp]) -> float:
    counts = np.zeros((clusters.max() + 1, elements.max() + 1))
    np.add.at(counts, (clusters, elements), 1)
    return float(counts.max(axis=1).sum() / counts.sum())
