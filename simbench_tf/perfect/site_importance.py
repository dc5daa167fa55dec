"""Importance of sites with a truth: exact Shapley values of the evidence that each true site gives for a label.

The players are the true sites of a sequence. A coalition is what is left of the sequence when the bases of all other
sites are missing, which the exact posterior sums out; a base that two sites share stays while either stays. What a
coalition is worth is its log-odds of the label. The Shapley value of a site (Shapley 1953) is what it adds to those
that came before it, averaged over all orders, so the values of all sites sum to what all of them together add to none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dataset import Dataset
from simbench_tf.random_streams import uniforms

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

#: Sites of a sequence up to which every coalition is looked at.
MAX_EXACT_SITES = 12
#: Orders that are drawn beyond that.
N_ORDERS = 200


class SiteValues(NamedTuple):
    """Shapley values of K sites, for T tasks.

    Attributes
    ----------
    value : float64 (K, T)
        Of each site, in units of what coalitions are worth.
    error : float64 (K, T)
        Standard error of values from orders that were drawn; 0 where all coalitions were looked at.
    """

    value: Floats
    error: Floats


def kept_bases(coalitions: Booleans, starts: Integers, ends: Integers, length: int) -> Booleans:
    """Bases that are left of a sequence in each coalition of its sites.

    Parameters
    ----------
    coalitions : bool (C, K)
        Which sites each coalition holds.
    starts, ends : int64 (K,)
        Half-open intervals.
    length : int
        L.

    Returns
    -------
    bool (C, L)
        All bases outside sites, and those of sites that are in the coalition.

    Examples
    --------
    >>> kept_bases(np.array([[True, False]]), np.array([0, 2]), np.array([3, 4]), 5).tolist()
    [[True, True, True, False, True]]
    """
    positions = np.arange(length)
    covers = (starts[:, None] <= positions) & (positions < ends[:, None])
    return (coalitions @ covers) | ~covers.any(axis=0)


def all_coalitions(n_sites: int) -> Booleans:
    """Every coalition, bool (2 ** K, K): site k is in those whose number has bit k."""
    return (np.arange(2**n_sites)[:, None] >> np.arange(n_sites) & 1).astype(np.bool_)


def shapley_values(worth: npt.ArrayLike) -> Floats:
    """Exact Shapley values from what every coalition is worth.

    Parameters
    ----------
    worth : float (2 ** K,) or (2 ** K, T)
        In the order of `all_coalitions`, of one game or of several.

    Returns
    -------
    float64 (K,) or (K, T)

    Examples
    --------
    >>> shapley_values([0, 1, 2, 6]).tolist()  # 1 and 2 alone, 3 more together, which they share
    [2.5, 3.5]
    """
    worth = np.asarray(worth, np.float64)
    n_sites = _n_sites(worth)
    members = all_coalitions(n_sites)
    values = np.empty((n_sites, *worth.shape[1:]))
    for site in range(n_sites):
        without = np.flatnonzero(~members[:, site])
        share = _share_of_orders(members[without].sum(axis=1), n_sites)
        values[site] = share @ (worth[without | 1 << site] - worth[without])
    return values


def _share_of_orders(sizes: Integers, n_sites: int) -> Floats:
    """Of all orders, the share in which just a coalition of each size comes before a site."""
    return np.array([1 / (n_sites * math.comb(n_sites - 1, size)) for size in sizes])


def shapley_interactions(worth: npt.ArrayLike) -> Floats:
    """Shapley interaction index of each pair of sites (Grabisch & Roubens 1999), float64 (K, K); the diagonal is 0.

    What two sites add together beyond what each adds alone, averaged over the coalitions of others.

    Examples
    --------
    >>> shapley_interactions([0, 1, 2, 6]).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    worth = np.asarray(worth, np.float64)
    n_sites = _n_sites(worth)
    members = all_coalitions(n_sites)
    found = np.zeros((n_sites, n_sites))
    for one, other in itertools.combinations(range(n_sites), 2):
        rest = np.flatnonzero(~members[:, one] & ~members[:, other])
        both = worth[rest | 1 << one | 1 << other] - worth[rest | 1 << one] - worth[rest | 1 << other] + worth[rest]
        share = _share_of_orders(members[rest].sum(axis=1), n_sites - 1)
        found[one, other] = found[other, one] = share @ both
    return found


def _n_sites(worth: Floats) -> int:
    n_sites = len(worth).bit_length() - 1
    if len(worth) != 2**n_sites:
        raise ValueError(f"need what each of 2 ** K coalitions is worth, not an array of shape {worth.shape}")
    return n_sites


def site_values(worth_of: Callable[[Booleans], Floats], n_sites: int, random_state: int = 0) -> SiteValues:
    """Shapley values of a sequence's sites: exact up to `MAX_EXACT_SITES`, beyond from `N_ORDERS` orders drawn.

    Parameters
    ----------
    worth_of : callable
        Coalitions, bool (C, K) -> what each is worth for each task, float64 (C, T).
    n_sites : int
        K.
    random_state : int, default 0
        Of the orders that are drawn (Castro, Gomez & Tejada 2009).

    Examples
    --------
    >>> site_values(lambda coalitions: coalitions @ np.array([[1.0], [2.0]]), 2).value.tolist()
    [[1.0], [2.0]]
    """
    if n_sites <= MAX_EXACT_SITES:
        values = shapley_values(worth_of(all_coalitions(n_sites)))
        return SiteValues(values, np.zeros_like(values))
    orders = np.argsort(uniforms(random_state, "orders of sites", np.arange(N_ORDERS), n_sites), axis=1)
    place = np.argsort(orders, axis=1)
    # of each order, the coalitions of those that came first, from none to all
    prefixes = place[:, None, :] < np.arange(n_sites + 1)[:, None]
    worth = worth_of(prefixes.reshape(-1, n_sites)).reshape(N_ORDERS, n_sites + 1, -1)
    added = np.take_along_axis(np.diff(worth, axis=1), place[:, :, None], axis=1)
    return SiteValues(added.mean(axis=0), added.std(axis=0, ddof=1) / math.sqrt(N_ORDERS))


def values_of_sites(
    log_odds: Callable[[npt.NDArray[np.float32]], Floats],
    one_hot: npt.NDArray[np.float32],
    row: Integers,
    start: Integers,
    end: Integers,
    random_state: int = 0,
) -> SiteValues:
    """Shapley values of the sites of many sequences: what each gives for each task's label.

    Parameters
    ----------
    log_odds : callable
        One-hot, float32 (C, L, 4) -> log-odds of T tasks, float64 (C, T); a row of zeros is a missing base, which is
        summed out.
    one_hot : float32 (N, L, 4)
    row, start, end : int64 (S,)
        Each site's sequence and half-open interval.
    random_state : int, default 0

    Returns
    -------
    SiteValues
        (S, T), in the order of the sites.
    """
    found: SiteValues | None = None
    for sequence in np.unique(row):
        sites = np.flatnonzero(row == sequence)
        letters = one_hot[sequence]

        def worth_of(coalitions: Booleans, sites: Integers = sites, letters: Any = letters) -> Floats:
            kept = kept_bases(coalitions, start[sites], end[sites], len(letters))
            return log_odds(letters * kept[:, :, None])

        values = site_values(worth_of, len(sites), random_state)
        if found is None:
            shape = (len(row), values.value.shape[1])
            found = SiteValues(np.zeros(shape), np.zeros(shape))
        found.value[sites], found.error[sites] = values
    return found or SiteValues(np.zeros((0, 0)), np.zeros((0, 0)))


def site_importance(model: Any, dataset: Dataset, rows: npt.ArrayLike, split: str = "test") -> pd.DataFrame:
    """What each true site of some sequences gives for each task's label: its exact Shapley value on a model.

    On the exact posterior (`perfect.oracle_model`) this is the truth that a method's credit of sites can be held
    against (`score.site_credit`). On another model a missing base is a row of zeros, whatever the model makes of it.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), one output a task.
    dataset : Dataset
        With sites.
    rows : int (N,)
        Sequences of the split.
    split : str, default "test"

    Returns
    -------
    DataFrame
        A row per site, whatever tasks its element bears on: columns seq_id, row (its sequence's place in `rows`),
        element, motif, start, end, and for each task TASK and TASK_error, in log-odds. Error is 0 where every
        coalition of a sequence's sites was looked at, which is up to 12 of them.
    """
    from simbench_tf.attribution.network import open_network
    from simbench_tf.dna import one_hot

    rows = np.asarray(rows, np.int64)
    network = open_network(model, dataset.seq_length, target=list(range(len(dataset.tasks))))
    seq_ids = np.asarray(dataset.seq_ids(split))[rows]
    sites = dataset.sites[["seq_id", "element", "motif", "start", "end"]].copy()
    sites.insert(1, "row", pd.Index(seq_ids).get_indexer(pd.Index(sites["seq_id"])))
    sites = sites[sites["row"] >= 0].sort_values(["row", "start"], kind="stable", ignore_index=True)
    values = values_of_sites(
        lambda letters: network.outputs(letters).T.astype(np.float64),
        one_hot(dataset.bases(split)[rows]),
        *(sites[name].to_numpy(np.int64) for name in ("row", "start", "end")),
    )
    for number, task in enumerate(dataset.tasks):
        sites[task] = values.value[:, number] if len(sites) else np.zeros(0)
        sites[f"{task}_error"] = values.error[:, number] if len(sites) else np.zeros(0)
    return sites
