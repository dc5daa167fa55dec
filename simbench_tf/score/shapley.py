"""Shapley values of a sequence's sites and their interactions, from what every coalition of the sites is worth.

The Shapley value of a site (Shapley 1953) is what it adds to those that came before it, averaged over all orders, so
the values of all sites sum to what all of them together add to none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.random_streams import uniforms

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

#: Sites of a sequence up to which every coalition is looked at.
MAX_EXACT_SITES = 12
#: Orders that are drawn beyond that.
N_ORDERS = 200
#: Coalitions whose worth is asked for together, so that memory does not grow with their number.
_TOGETHER = 1024


class SiteValues(NamedTuple):
    """Shapley values of K sites, for T tasks.

    Attributes
    ----------
    value : float64 (K, T)
        Of each site, in units of what coalitions are worth.
    error : float64 (K, T)
        Standard error of values from orders that were drawn; 0 where all coalitions were looked at.
    together : float64 (K, K, T), or None
        The interaction of each pair (`shapley_interactions`); None where orders were drawn.
    """

    value: Floats
    error: Floats
    together: Floats | None


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
    """Shapley interaction index of each pair of sites (Grabisch & Roubens 1999): what two add beyond what each does.

    The mean, over the coalitions of the others, of what two sites add together less what each adds alone.

    Parameters
    ----------
    worth : float (2 ** K,) or (2 ** K, T)
        As of `shapley_values`.

    Returns
    -------
    float64 (K, K) or (K, K, T)
        The diagonal is 0.

    Examples
    --------
    >>> shapley_interactions([0, 1, 2, 6]).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    worth = np.asarray(worth, np.float64)
    n_sites = _n_sites(worth)
    members = all_coalitions(n_sites)
    found = np.zeros((n_sites, n_sites, *worth.shape[1:]))
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
        worth = _in_blocks(worth_of, all_coalitions(n_sites))
        values = shapley_values(worth)
        return SiteValues(values, np.zeros_like(values), shapley_interactions(worth))
    orders = np.argsort(uniforms(random_state, "orders of sites", np.arange(N_ORDERS), n_sites), axis=1)
    place = np.argsort(orders, axis=1)
    # of each order, the coalitions of those that came first, from none to all
    prefixes = place[:, None, :] < np.arange(n_sites + 1)[:, None]
    worth = _in_blocks(worth_of, prefixes.reshape(-1, n_sites)).reshape(N_ORDERS, n_sites + 1, -1)
    added = np.take_along_axis(np.diff(worth, axis=1), place[:, :, None], axis=1)
    return SiteValues(added.mean(axis=0), added.std(axis=0, ddof=1) / math.sqrt(N_ORDERS), None)


def _in_blocks(worth_of: Callable[[Booleans], Floats], coalitions: Booleans) -> Floats:
    firsts = range(0, len(coalitions), _TOGETHER)
    return np.concatenate([worth_of(coalitions[first : first + _TOGETHER]) for first in firsts])
