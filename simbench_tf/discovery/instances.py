"""Called instances of motifs against the true sites: precision, recall, average precision, ends, strands, names.

Of all sites and by motif, information content and distance from the centre, beside chance: the same calls at random
places of their sequences. A call is right where it is matched with a site (`matching`), whatever its name.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.calibration import STATED, stated_fdr
from simbench_tf.discovery.calls import NO_STRAND, checked_tables
from simbench_tf.discovery.clusters import ClusterAgreement, cluster_agreement, stand_on
from simbench_tf.discovery.groups import Names, groupings, meaning_of_names
from simbench_tf.discovery.matching import Pairs, best_matching
from simbench_tf.discovery.thresholds import best_threshold, f1_error

#: Times that calls are put at random places; chance is the mean.
N_SHUFFLES = 20
#: Columns of the result of `score_instances`.
COLUMNS = (
    "by", "group", "n_sites", "n_called", "n_matched", "precision", "recall", "f1", "ap", "best_f1", "best_f1_se",
    "best_recall", "on_site", "boundary_error", "strand_accuracy", "motif_accuracy", "recall_cap", "chance_precision",
    "chance_recall", "chance_f1",
    *ClusterAgreement._fields,
)  # fmt: skip


def score_instances(
    called: pd.DataFrame,
    sites: pd.DataFrame,
    *,
    length: int | None = None,
    overlap: float = 0.5,
    window: tuple[int, int] | None = None,
    n_shuffles: int = N_SHUFFLES,
    random_state: int = 0,
) -> pd.DataFrame:
    """Score called instances of motifs against the true sites.

    Parameters
    ----------
    called : DataFrame
        A row for each call: row (number of the sequence) or seq_id, start, end (0-based, half-open), and what there is
        of strand ("+", "-", "." for unknown), motif (or name), score (higher is surer) and qvalue or pvalue.
    sites : DataFrame
        A row for each true site: row or seq_id, start, end, strand, motif (or name); with bits, the information content
        of its motif, sites are grouped by that, too; element is what `cluster_agreement` takes in place of motif.
    length : int, optional
        Bases of each sequence. Without it there are no groups by distance, and chance is NaN.
    overlap : float, default .5
        Bases that call and site must have in common, as a share of the longer of the two.
    window : (int, int), optional
        What the caller looked at, of each sequence; sites that reach out of it are beyond the `recall_cap`.
    n_shuffles : int, default 20
        How often calls are put at random places.
    random_state : int, default 0
        Seed of these places.

    Returns
    -------
    DataFrame
        A row for all sites (by "all"), for each "motif", range of "information" (bits) and "distance" (bases from the
        centre), and, where calls have q-values, for the calls at or below each "stated_fdr". Columns by, group and

        - n_sites; n_called, the calls of the group: matched calls are of the group of their site, others of that where
          they lie, or which their name stands for (missing without names); n_matched.
        - precision, recall and f1, of n_matched; ap, the average precision of calls by their score (NaN without).
        - of by "all" alone, best_f1 and its standard error best_f1_se: F1 of the calls above the score at which it is
          highest, for other sequences than these; best_recall, of every group: the recall of these calls.
        - on_site: share of calls that stand on a site, with half of the shorter's bases in common, matched or not.
        - boundary_error: mean distance of the ends of matched calls from those of their sites, bases.
        - strand_accuracy: share of matched calls that have the strand of their site, among those with a strand and, if
          calls have names, the right name; motif_accuracy: share of matched, named calls whose name stands for the
          motif of their site. A name that is no true motif's stands for the motif, and the strand of it, that most of
          its matched calls have.
        - recall_cap: the recall that so many calls in these sequences, within `window`, could reach.
        - chance_precision, chance_recall, chance_f1: means over calls at random places of their sequences.
        - of by "all" alone, n_clustered, purity, adjusted_rand and v_measure: see `cluster_agreement`.

    Raises
    ------
    ValueError
        A column is missing, a row is no place, a call or site reaches beyond `length`, or `overlap` is not in (0, 1].

    Examples
    --------
    >>> sites = pd.DataFrame({"row": [0, 1], "start": [10, 40], "end": [20, 50], "strand": ["+", "-"], "motif": "SPI1"})
    >>> called = pd.DataFrame({"row": [0, 0], "start": [11, 60], "end": [21, 70], "strand": "+", "score": [2., 1.]})
    >>> found = score_instances(called, sites, length=100)
    >>> found.loc[0, ["n_matched", "precision", "recall", "ap", "boundary_error", "recall_cap"]].tolist()
    [1.0, 0.5, 0.5, 0.5, 1.0, 0.5]
    >>> score_instances(sites, sites, length=100).loc[0, ["f1", "boundary_error", "strand_accuracy"]].tolist()
    [1.0, 0.0, 1.0]
    """
    if not 0 < overlap <= 1:
        raise ValueError(f"overlap must be above 0 and not above 1, not {overlap}")
    clusters = cluster_agreement(called, sites)
    called, sites = checked_tables(called, sites)
    for what, table in (("call", called), ("site", sites)):
        if length is not None and len(table) and table["end"].max() > length:
            raise ValueError(f"a {what} ends at {table['end'].max()}, beyond the {length} bases of a sequence")
    places = [] if length is None else random_places(called, length, n_shuffles, random_state)
    lines = _lines(called, sites, overlap, length, window, places)
    lines[0] |= clusters._asdict()
    rates = stated_fdr(called)
    for rate in STATED:
        if rates is None:
            break
        kept = rates <= rate
        shuffled = [each[kept].reset_index(drop=True) for each in places]
        only = _lines(called[kept].reset_index(drop=True), sites, overlap, None, window, shuffled)[0]
        lines.append(only | {"by": "stated_fdr", "group": f"{rate:g}"})
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"n_called": "Int64", "n_clustered": "Int64"})


def random_places(called: pd.DataFrame, length: int, n: int, random_state: int) -> list[pd.DataFrame]:
    """The same calls, n times, each somewhere else in its sequence: any place where it fits is as likely.

    Examples
    --------
    >>> called = pd.DataFrame({"row": [0, 3], "start": [0, 0], "end": [6, 10]})
    >>> moved = random_places(called, 10, 1, random_state=0)[0]
    >>> (moved["end"] - moved["start"]).tolist(), moved["start"].tolist()[1]
    ([6, 10], 0)
    """
    rng = np.random.default_rng(random_state)
    width = (called["end"] - called["start"]).to_numpy(np.int64)
    starts = [rng.integers(0, length - width + 1) for _ in range(n)]
    return [called.assign(start=start, end=start + width) for start in starts]


def _lines(
    called: pd.DataFrame,
    sites: pd.DataFrame,
    overlap: float,
    length: int | None,
    window: tuple[int, int] | None,
    places: list[pd.DataFrame],
) -> list[dict[str, object]]:
    """Lines of the table: all, then each group."""
    pairs = best_matching(called, sites, overlap)
    names = meaning_of_names(called, sites, pairs)
    chance = _chance(sites, overlap, length, names, places)
    best, best_calls = _best(called, sites, pairs)
    stands = np.zeros(len(called), bool)
    stands[stand_on(called, sites.assign(element="")).call] = True
    lines = []
    for groups in groupings(called, sites, names, length, pairs):
        counts = groups.counts(pairs)
        for code, name in enumerate(groups.names):
            n_sites, n_called, n_matched = counts[:, code].astype(int).tolist()
            if not n_sites and groups.by != "all":
                continue
            mine = Pairs(*(each[groups.of_sites[pairs.site] == code] for each in pairs))
            line = {"by": groups.by, "group": name, "n_sites": n_sites, "n_called": n_called, "n_matched": n_matched}
            line |= dict(zip(("precision", "recall", "f1"), _shares(counts)[:, code].tolist(), strict=True))
            line["ap"] = average_precision(called, mine, groups.of_calls == code, n_sites)
            line |= best if groups.by == "all" else {}
            line["best_recall"] = best_calls[mine.call].sum() / n_sites if best and n_sites else np.nan
            line["on_site"] = _mean(stands[groups.of_calls == code])
            line |= _details(called, sites, mine, names)
            line["recall_cap"] = _recall_cap(called, sites[groups.of_sites == code], window)
            line |= chance.get((groups.by, name), {})
            lines.append(line if groups.calls_known else line | _UNKNOWN)
    return lines


#: Of groups that nameless calls which match no site may or may not be of.
_UNKNOWN = {"n_called": pd.NA} | dict.fromkeys(
    ("precision", "f1", "ap", "on_site", "chance_precision", "chance_f1"), np.nan
)


def _best(called: pd.DataFrame, sites: pd.DataFrame, pairs: Pairs) -> tuple[dict[str, float], npt.NDArray[np.bool_]]:
    """F1 at the best threshold of the score and its error, and which calls are above; nothing without scores."""
    scores = called["score"].to_numpy(np.float64)
    if np.isnan(scores).any():
        return {}, np.zeros(len(called), bool)
    right = np.zeros(len(called), bool)
    right[pairs.call] = True
    best = best_threshold(scores, right, len(sites))
    kept = scores >= best.threshold
    error = f1_error(called[kept], sites, right[kept])
    return {"best_f1": best.f1, "best_f1_se": error}, kept


def _chance(
    sites: pd.DataFrame, overlap: float, length: int | None, names: Names, places: list[pd.DataFrame]
) -> dict[tuple[str, str], dict[str, float]]:
    """Of each way to group and group, what calls at random places reach, mean over those that have a value."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for moved in places:
        pairs = best_matching(moved, sites, overlap)
        for groups in groupings(moved, sites, names, length, pairs):
            for name, shares in zip(groups.names, _shares(groups.counts(pairs)).T.tolist(), strict=True):
                found.setdefault((groups.by, name), []).append(shares)
    columns = ("chance_precision", "chance_recall", "chance_f1")
    means = {key: pd.DataFrame(shares, columns=list(columns)).mean() for key, shares in found.items()}
    return {key: each.to_dict() for key, each in means.items()}


def _shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Precision, recall and F1, shape (3, groups), from sites, calls and matched ones (3, groups); NaN for 0 / 0."""
    sites, called, matched = counts
    with np.errstate(invalid="ignore"):
        return np.array([matched / called, matched / sites, 2 * matched / (called + sites)])


def average_precision(called: pd.DataFrame, pairs: Pairs, mine: npt.NDArray[np.bool_], n_sites: int) -> float:
    """Average precision of some calls by their score, those of equal score taken together; NaN without scores.

    The sum over thresholds of the precision there times the recall that is won there (as scikit-learn's), where recall
    is of all sites: a site that no call matches is never won.
    """
    scores = called["score"].to_numpy(np.float64)
    if not n_sites or np.isnan(scores).any():
        return np.nan
    if not mine.any():
        return 0.0
    right = np.zeros(len(called), bool)
    right[pairs.call] = True
    order = np.argsort(-scores[mine], kind="stable")
    ordered, hits = scores[mine][order], np.cumsum(right[mine][order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    won = np.diff(hits[last], prepend=0)
    return float((hits[last] / (last + 1) * won).sum() / n_sites)


def _details(called: pd.DataFrame, sites: pd.DataFrame, pairs: Pairs, names: Names) -> dict[str, float]:
    """How well matched calls lie, and what they say of their site."""
    call, site = called.iloc[pairs.call], sites.iloc[pairs.site]
    ends = [np.abs(call[end].to_numpy() - site[end].to_numpy()) for end in ("start", "end")]
    named = call["motif"].notna().to_numpy()
    right = names.motif[pairs.call] == site["motif"].to_numpy(object)
    strand, true = call["strand"].to_numpy(object), site["strand"].to_numpy(object)
    told = (strand != NO_STRAND) & (true != NO_STRAND) & (right | ~named)
    agrees = (strand == true) != names.flipped[pairs.call]
    return {
        "boundary_error": _mean(np.concatenate(ends)),
        "strand_accuracy": _mean(agrees[told]),
        "motif_accuracy": _mean(right[named]),
    }


def _mean(values: npt.NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _recall_cap(called: pd.DataFrame, sites: pd.DataFrame, window: tuple[int, int] | None) -> float:
    """The share of sites that could be matched by as many calls as each sequence has, within a window."""
    if sites.empty:
        return np.nan
    first, last = window or (0, np.iinfo(np.int64).max)
    within = sites[(sites["start"] >= first) & (sites["end"] <= last)]
    calls = called["row"].value_counts()
    there = within["row"].value_counts()
    return float(np.minimum(there, calls.reindex(there.index, fill_value=0)).sum() / len(sites))
