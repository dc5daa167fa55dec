"""Which attribution with which motif caller finds the sites and the motifs best: a sentence for each network and task.

A model of several trainings counts once, by the means of its networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from simbench_tf.plot.numbers import fixed, percent, with_error
from simbench_tf.report.answers import Quality, learnt_little
from simbench_tf.report.text import ratio
from simbench_tf.score.ranking import base_models

#: Two F1 differ where they are further apart than so many standard errors of their difference.
ERRORS_APART = 2.0
#: The stated rate that tables and sentences tell the true one of.
STATED = 0.05
#: What callers are called. The motifs of `filters` are of a network alone, those of `file` were given.
_CALLERS = {
    "seqlets": "seqlet caller",
    "modisco": "TF-MoDISco",
    "finemo": "Fi-NeMo",
    "filters": "first filters",
    "file": "given file",
}
#: Callers named in a sentence before "and others".
_NAMED = 3


class CallerAnswer(NamedTuple):
    """The answer for one model and task, and the numbers behind it.

    Attributes
    ----------
    place, sentence : str
    base, task : str
        The model, of whatever seeds, and the task.
    networks : list of str
        All trainings of the model.
    standings : DataFrame
        From `standings_of_callers`.
    """

    place: str
    sentence: str
    base: str
    task: str
    networks: list[str]
    standings: pd.DataFrame


def caller_title(caller: str) -> str:
    """What a caller is called.

    Examples
    --------
    >>> caller_title("modisco"), caller_title("of_another_tool")
    ('TF-MoDISco', 'of_another_tool')
    """
    return _CALLERS.get(caller, caller)


def the_caller(caller: str) -> str:
    """What a caller is called in a sentence.

    Examples
    --------
    >>> the_caller("modisco"), the_caller("seqlets")
    ('TF-MoDISco', 'the seqlet caller')
    """
    if caller == "file":
        return "given files"
    title = caller_title(caller)
    return f"the {title}" if caller in ("seqlets", "filters") else title


def pair_title(key: str, caller: str, labels: Mapping[str, str], *, in_words: bool = False) -> str:
    """What an attribution and a caller are called together, in a table or in a sentence.

    Examples
    --------
    >>> pair_title("ism@none", "modisco", {"ism@none": "in-silico mutagenesis"})
    'in-silico mutagenesis, TF-MoDISco'
    >>> pair_title("ism@none", "seqlets", {}, in_words=True)
    'ism@none with the seqlet caller'
    >>> pair_title("filters", "filters", {}), pair_title("hits.tsv", "file", {})
    ('first filters', 'hits.tsv (given file)')
    """
    if caller == "filters":
        return caller_title(caller)
    if caller == "file":
        return f"{key} ({caller_title(caller)})"
    name = labels.get(key, key)
    return f"{name} with {the_caller(caller)}" if in_words else f"{name}, {caller_title(caller)}"


def standings_of_callers(instances: pd.DataFrame | None, found_motifs: pd.DataFrame | None) -> pd.DataFrame:
    """Rank attributions and callers of one model and task by F1 at the best threshold.

    Parameters
    ----------
    instances, found_motifs : DataFrame, optional
        Rows of RUN/scores/instances.csv and motifs.csv of the networks of one model, and one task.

    Returns
    -------
    DataFrame
        One row per key and caller, the best first: key, caller; means over networks of best_f1, ap, recall_cap,
        chance_f1, oracle_best_f1 (NaN where there are no instances); best_f1_se, for other sequences and, of several
        networks, other trainings; level, whether no difference to the best is shown (both F1 within `ERRORS_APART`
        standard errors of their difference, taken as if they were of different sequences, which is too wide rather
        than too narrow); n_stated and true_rate, the calls a network at or below a stated rate of `STATED` and the
        share of them on no true site; n_found and n_true, true motifs found and all, summed over networks, and
        correlation, the mean with the best found one (0 where nothing was found).

    Examples
    --------
    >>> row = {"model": "basset", "key": "ism@none", "by": "all", "group": "all", "n_called": 9, "ap": .5,
    ...        "best_f1": .6, "best_f1_se": .02, "on_site": .5, "recall_cap": 1., "chance_f1": .1, "oracle_best_f1": .8}
    >>> rows = pd.DataFrame([row | {"caller": "modisco"}, row | {"caller": "seqlets", "best_f1": .7}])
    >>> standings_of_callers(rows, None)[["caller", "best_f1", "level"]].values.tolist()
    [['seqlets', 0.7, True], ['modisco', 0.6, False]]
    """
    tables = [
        *([] if instances is None or instances.empty else [_of_instances(instances)]),
        *([] if found_motifs is None or found_motifs.empty else [_of_motifs(found_motifs)]),
    ]
    table = pd.concat(tables, axis=1) if tables else pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []]))
    table = table.rename_axis(["key", "caller"]).reset_index()
    table = table.reindex(columns=[*table.columns, *(name for name in _COLUMNS if name not in table)])
    table = table.sort_values("best_f1", ascending=False, kind="stable", na_position="last", ignore_index=True)
    if table.empty:
        return table.assign(level=False)
    apart = ERRORS_APART * np.hypot(table["best_f1_se"], table["best_f1_se"].iloc[0])
    behind = table["best_f1"].iloc[0] - table["best_f1"]
    return table.assign(level=(behind <= apart) | (table.index == 0))


_MEANS = ["best_f1", "ap", "recall_cap", "chance_f1", "oracle_best_f1"]
_COLUMNS = (*_MEANS, "best_f1_se", "n_stated", "true_rate", "n_found", "n_true", "correlation")


def _of_instances(instances: pd.DataFrame) -> pd.DataFrame:
    """Means over networks, by key and caller."""
    rows = instances[instances["by"] == "all"]
    by_pair = rows.groupby(["key", "caller"], sort=False)
    table = by_pair[_MEANS].mean()
    n_networks = by_pair["model"].nunique()
    between = by_pair["best_f1"].var().fillna(0.0) / n_networks
    within = (rows["best_f1_se"] ** 2).groupby([rows["key"], rows["caller"]], sort=False).mean()
    table["best_f1_se"] = np.sqrt(between + within)  # the sequences are the same for every network
    stated = calls_by_stated_rate(instances)
    stated = stated[np.isclose(stated["stated"], STATED)].set_index(["key", "caller"])
    table["n_stated"] = stated["n_called"] / n_networks
    table["true_rate"] = stated["true"]
    return table


def calls_by_stated_rate(instances: pd.DataFrame) -> pd.DataFrame:
    """For each key, caller and stated rate the calls of all networks, and their true rate.

    Returns
    -------
    DataFrame
        key, caller, stated (0-1), n_called and true: the share of calls on no true site, NaN of no calls.

    Examples
    --------
    >>> rows = pd.DataFrame({"model": ["a", "b"], "key": "ism", "caller": "seqlets", "by": "stated_fdr",
    ...                      "group": "0.05", "n_called": [10, 30], "on_site": [.8, .9]})
    >>> [round(each, 3) for each in calls_by_stated_rate(rows)[["stated", "n_called", "true"]].iloc[0]]
    [0.05, 40.0, 0.125]
    """
    rows = instances[instances["by"] == "stated_fdr"]
    rows = rows.assign(stated=rows["group"].astype(float), false=rows["n_called"] * (1 - rows["on_site"]))
    table = rows.groupby(["key", "caller", "stated"], sort=False)[["n_called", "false"]].sum().reset_index()
    return table.assign(true=table["false"] / table["n_called"].replace(0, np.nan)).drop(columns="false")


def _of_motifs(found_motifs: pd.DataFrame) -> pd.DataFrame:
    """True motifs that are found, by key and caller."""
    rows = found_motifs[found_motifs["kind"] == "true"]
    rows = rows.assign(found=rows["status"].isin(["found", "split"]), like=rows["correlation"].fillna(0.0))
    by_pair = rows.groupby(["key", "caller"], sort=False)
    return pd.DataFrame(
        {"n_found": by_pair["found"].sum(), "n_true": by_pair.size(), "correlation": by_pair["like"].mean()}
    )


def caller_answers(
    instances: pd.DataFrame | None,
    found_motifs: pd.DataFrame | None,
    labels: Mapping[str, str],
    metrics: Quality | None = None,
) -> list[CallerAnswer]:
    """Say for each model and task which attribution and caller find the sites, and the motifs, best.

    Parameters
    ----------
    instances, found_motifs : DataFrame, optional
        RUN/scores/instances.csv and motifs.csv.
    labels : dict
        What to call each key.
    metrics : dict, optional
        What each network reaches, as of `run.results.RunResults`: where it has learnt little, that comes first.

    Examples
    --------
    >>> motifs = pd.DataFrame({"model": "basset", "task": "K562", "key": "ism@none", "caller": "modisco",
    ...                        "kind": "true", "motif": ["CTCF", "SP1"], "status": ["found", "missed"],
    ...                        "correlation": [.95, .4]})
    >>> caller_answers(None, motifs, {"ism@none": "in-silico mutagenesis"})[0].sentence
    'On K562 with basset, TF-MoDISco finds the most motifs with in-silico mutagenesis: 1 of 2.'
    """
    known = [table for table in (instances, found_motifs) if table is not None and len(table)]
    if not known:
        return []
    places = pd.concat([table[["model", "task"]] for table in known]).drop_duplicates(ignore_index=True)
    found = []
    for (base, task), rows in places.groupby([base_models(places["model"]), places["task"]], sort=False):
        networks = [str(name) for name in rows["model"]]
        table = standings_of_callers(*(rows_of(each, networks, str(task)) for each in (instances, found_motifs)))
        place = f"On {task} with {base}"
        parts = [part for part in (_sites_sentence(table, labels), _motifs_sentence(table, labels)) if part]
        if not parts:  # tables of an earlier version
            continue
        sentence = f"{place}, {'; '.join(parts)}."
        sentence = f"{learnt_little(rows, metrics or {})} {sentence}".strip()
        found.append(CallerAnswer(place, sentence, str(base), str(task), networks, table))
    return found


def rows_of(table: pd.DataFrame | None, networks: list[str], task: str) -> pd.DataFrame | None:
    """Rows of some networks and one task."""
    return None if table is None else table[table["model"].isin(networks) & (table["task"] == task)]


def _sites_sentence(table: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Who finds the sites best, without place and full stop."""
    ranked = table[table["best_f1"].notna()]
    if ranked.empty:
        return ""
    best, others = ranked.iloc[0], ranked.iloc[1:]
    name = pair_title(best["key"], best["caller"], labels, in_words=True)
    figures = f"F1 {with_error(best['best_f1'], best['best_f1_se'], 2)} at its best threshold"
    if fixed(best["oracle_best_f1"]) != "–":
        share = percent(ratio(best["best_f1"], best["oracle_best_f1"]))
        figures += f", {share} of the {fixed(best['oracle_best_f1'], 2)} that the exact posterior reaches"
    if best["best_f1"] - ERRORS_APART * np.nan_to_num(best["best_f1_se"]) <= np.nan_to_num(best["chance_f1"]):
        return f"no caller finds the sites better than chance ({fixed(best['chance_f1'], 2)}): {name} has {figures}"
    if others.empty:
        return f"{name}, the only one run, finds sites with {figures}"
    level = others[others["level"]]
    if len(level):
        rivals = _some(
            [pair_title(row["key"], row["caller"], labels, in_words=True) for row in level.to_dict("records")]
        )
        return f"{name} finds the sites best, with no difference shown to {rivals}: {figures}"
    return f"{name} finds the sites best: {figures}"


def _motifs_sentence(table: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Who finds the most motifs, and the first filters beside; without full stop."""
    counted = table[table["n_true"].notna()]
    callers, filters = counted[counted["caller"] != "filters"], counted[counted["caller"] == "filters"]
    beside = "".join(f"; the first filters alone hold {_of(row)}" for row in filters.to_dict("records"))
    if callers.empty:
        return beside.removeprefix("; ")
    share = callers["n_found"] / callers["n_true"]
    best = callers[share == share.max()]
    if not share.max() > 0:
        return f"no caller finds any of the {fixed(best['n_true'].iloc[0], 0)} motifs{beside}"
    count = f"{_of(best.iloc[0].to_dict())}{' each' if len(best) > 1 else ''}{beside}"
    callers_of_best = set(best["caller"])
    if len(callers_of_best) == 1 and "file" not in callers_of_best:
        names = [labels.get(key, key) for key in best["key"]]
        return f"{the_caller(callers_of_best.pop())} finds the most motifs with {_some(names)}: {count}"
    names = [pair_title(row["key"], row["caller"], labels, in_words=True) for row in best.to_dict("records")]
    return f"{_some(names)} find{'' if len(best) > 1 else 's'} the most motifs: {count}"


def _of(row: Mapping[str, Any]) -> str:
    return f"{fixed(row['n_found'], 0)} of {fixed(row['n_true'], 0)}"


def _some(names: list[str]) -> str:
    """A list in words, of which no more than `_NAMED` are named.

    Examples
    --------
    >>> _some(["a"]), _some(["a", "b", "c"]), _some(["a", "b", "c", "d", "e"])
    ('a', 'a, b and c', 'a, b, c and 2 others')
    """
    if len(names) > _NAMED:
        more = len(names) - _NAMED
        names = [*names[:_NAMED], f"{more} other{'' if more == 1 else 's'}"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
