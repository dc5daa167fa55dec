"""The answers of the report: which method is best, by one rule of significance, and how far that can be trusted.

A sentence names its sequences and the quality of its networks; where these learnt little, that comes first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from simbench_tf.plot.numbers import fixed, with_error
from simbench_tf.report.text import ratio
from simbench_tf.score.ranking import SIGNIFICANT, base_models, pairs_of, standings, without_nulls

#: On fewer sequences a ranking is said to rest on too few.
ENOUGH_SEQUENCES = 20
#: Fewer trainings are said to be few.
ENOUGH_SEEDS = 4
#: A network has learnt little below this share of (oracle auROC - .5) ...
ENOUGH_REACHED = 0.8
#: ... or, where no ceiling is known, below what a classifier of k-mers reaches; where neither is, below this auROC.
ENOUGH_AUROC = 0.6

#: For each model and task: auroc and, where they are known, oracle_auroc, kmer_auroc and kmer_k.
Quality = Mapping[str, Mapping[str, Mapping[str, float | None]]]


class Answer(NamedTuple):
    """The answer for one place: a sentence, what backs it, and the numbers behind both.

    Attributes
    ----------
    place, sentence, remark : str
    standings, pairs : DataFrame
        From `score.ranking.standings` and `pairs_of`.
    networks : list of str
        Those it is over: all trainings of a model.
    nothing : float
        What knowing nothing reaches there, the line to beat; NaN where it is not known.
    task : str or None
        None where it is over all models and tasks.
    """

    place: str
    sentence: str
    remark: str
    standings: pd.DataFrame
    pairs: pd.DataFrame
    networks: list[str]
    nothing: float = np.nan
    task: str | None = None


def answers(
    per_sequence: pd.DataFrame,
    labels: Mapping[str, str],
    metrics: Quality | None = None,
    nulls: pd.DataFrame | None = None,
    apart: Collection[str] = (),
) -> list[Answer]:
    """Say which method is best: over all models and tasks where there are several, then of each model and task.

    Parameters
    ----------
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet; null methods are left out. Models of several seeds are one.
    labels : dict
        What to call each key.
    metrics : dict, optional
        What each network reaches on the test split, as of `run.results.RunResults`.
    nulls : DataFrame, optional
        Null rows of summary.csv; see `knowing_nothing`.
    apart : collection of str
        Models that need not take each method: they are answered for by themselves, and not in what is said over all
        models, unless there are no others.
    """
    ranked = without_nulls(per_sequence)
    ranked = ranked.assign(base=base_models(ranked["model"]))
    places = list(ranked[["base", "task"]].drop_duplicates().itertuples(index=False, name=None))
    bases = {base for base, _ in places}
    together = ranked[~ranked["base"].isin(apart)]
    found = []
    if (over := _over_all(ranked if together.empty else together)) is not None:
        found.append(_answer(over, ranked if together.empty else together, labels, metrics or {}, nulls))
    for base, task in places:
        rows = ranked[(ranked["base"] == base) & (ranked["task"] == task)]
        place = f"On {task}" + (f" with {base}" if len(bases) > 1 else "")
        found.append(_answer(place, rows, labels, metrics or {}, nulls)._replace(task=task))
    first = found[0]
    remark = "" if together.empty else trainings_remark(together)
    return [first._replace(remark=f"{first.remark} {remark}".strip()), *found[1:]]


def _over_all(rows: pd.DataFrame) -> str | None:
    """What to call a ranking over all models and tasks of rows; None where that is one place."""
    counts = [(rows["base"].nunique(), "model"), (rows["task"].nunique(), "task")]
    several = [f"{count} {noun}s" for count, noun in counts if count > 1]
    return f"Over {' and '.join(several)}" if several else None


def _answer(
    place: str, rows: pd.DataFrame, labels: Mapping[str, str], metrics: Quality, nulls: pd.DataFrame | None
) -> Answer:
    pairs = pairs_of(rows)
    table = standings(rows, pairs=pairs)
    networks = list(rows["model"].unique())
    nothing = knowing_nothing(rows, nulls)
    sentence, remark = _verdict(place, table, labels, _basis(rows, table, metrics), nothing)
    little = learnt_little(rows, metrics)
    return Answer(place, f"{little} {sentence}".strip(), remark, table, pairs, networks, nothing)


def knowing_nothing(rows: pd.DataFrame, nulls: pd.DataFrame | None, metric: str = "auprc") -> float:
    """The score that knows nothing of the networks of rows: of the best method on them untrained, or of positions.

    Parameters
    ----------
    rows : DataFrame
        With the columns model and task.
    nulls : DataFrame, optional
        Null rows of summary.csv.
    metric : str, default "auprc"

    Returns
    -------
    float
        The highest mean over models and tasks; NaN where there are no such rows.

    Examples
    --------
    >>> rows = pd.DataFrame({"model": ["basset"], "task": ["K562"]})
    >>> nulls = pd.DataFrame({"model": "basset", "task": "K562", "key": ["null_untrained@ism@none", "null_position"],
    ...                       "method": ["null_untrained", "null_position"], "auprc": [.21, .18]})
    >>> knowing_nothing(rows, nulls)
    0.21
    """
    if nulls is None or nulls.empty:
        return np.nan
    mine = nulls.merge(rows[["model", "task"]].drop_duplicates())
    means = mine[mine["method"].isin(["null_untrained", "null_position"])].groupby("key")[metric].mean()
    return float(means.max())


def _verdict(place: str, table: pd.DataFrame, labels: Mapping[str, str], basis: str, nothing: float) -> tuple[str, str]:
    """What can be said of the best method, and what backs it."""
    best, others = table.iloc[0], table.iloc[1:]
    name = labels[best["key"]]
    if not np.isfinite(best["auprc"]):
        return f"{place}, no sequence holds a true base, so no method can be ranked.", ""
    chance = f"chance {fixed(best['chance_auprc'], 2)}"
    chance += f", knowing nothing {fixed(nothing, 2)}" if np.isfinite(nothing) else ""
    figures = f"auPRC {with_error(best['auprc'], best['auprc_se'], 2)} ({chance}); {basis}"
    worthless = best["auprc"] <= max(best["chance_auprc"], np.nan_to_num(nothing))
    if worthless or best["p_chance"] >= SIGNIFICANT:
        return f"{place}, no method finds true motif bases: the best, {name}, has {figures}.", ""
    if others.empty:
        return f"{place}, {name}, the only method run, reaches {figures}.", ""
    level = [labels[key] for key in others.loc[others["level"], "key"]]
    rival = others.iloc[0]
    lead = f"over the next, {labels[rival['key']]}, is {with_error(rival['behind'], rival['behind_se'])}"
    if level:
        which = "any other method" if len(level) == len(others) > 1 else _listed(level)
        sentence = f"{place}, {name} scores highest, with no difference shown to {which}: {figures}."
        known = np.isfinite(rival["behind"])
        return sentence, f"Its lead {lead}; {p_words(rival['p_holm'])} after Holm's correction." if known else ""
    sentence = f"{place}, {name} ranks true motif bases best: {figures}."
    if not np.isfinite(rival["behind"]):
        return sentence, ""
    return sentence, f"Its lead {lead} on the same sequences; {p_words(rival['p_holm'])} after Holm's correction."


def p_words(p_value: float) -> str:
    """Write a p-value in a sentence.

    Examples
    --------
    >>> p_words(.0123), p_words(1e-9), p_words(float("nan"))
    ('p = 0.012', 'p < 0.0001', 'p unknown')
    """
    if not np.isfinite(p_value):
        return "p unknown"
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}" if p_value < 0.1 else f"p = {p_value:.2f}"


def _basis(rows: pd.DataFrame, table: pd.DataFrame, metrics: Quality) -> str:
    """What a ranking rests on: sequences, trainings and the quality of the networks."""
    n = int(table["n"].iloc[0])
    parts = [f"{n:,} sequence{'' if n == 1 else 's'}" if n >= ENOUGH_SEQUENCES else _few(n)]
    trainings = _trainings(rows)
    seeds = sorted(set(trainings))
    if seeds[-1] > 1:
        per_model = " a model" if len(trainings) > 1 else ""
        parts.append(f"{' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} trainings{per_model}")
    values = [values for _, _, values in _measured(rows, metrics)]
    if values:
        whose = "network auROC" if len(values) == 1 else "networks' mean auROC"
        mean = np.mean([float(each["auroc"] or 0) for each in values])
        ceilings = [each["oracle_auroc"] for each in values if each.get("oracle_auroc") is not None]
        known = len(ceilings) == len(values)
        reachable = f" of {np.mean(np.array(ceilings, float)):.2f} reachable" if known else ""
        parts.append(f"{whose} {mean:.2f}{reachable}")
    return ", ".join(parts)


def _few(n: int) -> str:
    return f"only {n} sequence{'' if n == 1 else 's'}, too few to rank methods on"


def _measured(rows: pd.DataFrame, metrics: Quality) -> list[tuple[str, str, Mapping[str, float | None]]]:
    """Networks and tasks of rows whose auROC is known, with their measures."""
    cases = rows[["model", "task"]].drop_duplicates().itertuples(index=False, name=None)
    known = [(model, task, metrics.get(model, {}).get(task, {})) for model, task in cases]
    return [(model, task, values) for model, task, values in known if values.get("auroc") is not None]


def learnt_little(rows: pd.DataFrame, metrics: Quality) -> str:
    """Say where the networks of rows have learnt little; nothing where they have learnt enough or it is not known.

    Enough is `ENOUGH_REACHED` of (oracle auROC - .5); where no ceiling is known, what a classifier of k-mers reaches,
    and no less than .5; where neither is, an auROC of `ENOUGH_AUROC`.

    Examples
    --------
    >>> rows = pd.DataFrame({"model": ["basset"], "task": ["K562"]})
    >>> learnt_little(rows, {"basset": {"K562": {"auroc": .52, "oracle_auroc": .97}}})
    'The network has learnt little: auROC 0.52 of 0.97 reachable; what follows says little of the methods.'
    >>> learnt_little(rows, {"basset": {"K562": {"auroc": .9, "oracle_auroc": .97}}})
    ''
    >>> learnt_little(rows, {"basset": {"K562": {"auroc": .55, "kmer_auroc": .63, "kmer_k": 5}}})[:75]
    'The network has learnt little: auROC 0.55, a 5-mer classifier reaches 0.63;'
    """
    cases = _measured(rows, metrics)
    little = [case for case in cases if not _has_learnt(case[2])]
    if not little:
        return ""
    model, task, worst = min(little, key=lambda case: float(case[2]["auroc"] or 0))
    auroc = f"auROC {worst['auroc']:.2f}{_beside(worst)}"
    warning = "what follows says little of the methods."
    if len(cases) == 1:
        return f"The network has learnt little: {auroc}; {warning}"
    which = f"at worst {auroc} ({model} on {task})"
    if len(little) == len(cases):
        return f"The networks have learnt little: {which}; {warning}"
    return f"In {len(little)} of {len(cases)} cases the network has learnt little: {which}; {warning}"


def _beside(values: Mapping[str, float | None]) -> str:
    """What an auROC is held against, in words."""
    ceiling, kmers, k = (values.get(name) for name in ("oracle_auroc", "kmer_auroc", "kmer_k"))
    if ceiling is not None:
        return f" of {ceiling:.2f} reachable"
    if kmers is not None:
        return f", a {fixed(k, 0)}-mer classifier reaches {kmers:.2f}"
    return f" (under {ENOUGH_AUROC:.2f})"


def _has_learnt(values: Mapping[str, float | None]) -> bool:
    auroc, ceiling, kmers = (values.get(name) for name in ("auroc", "oracle_auroc", "kmer_auroc"))
    assert auroc is not None
    reached = ratio(auroc - 0.5, None if ceiling is None else ceiling - 0.5)
    if np.isfinite(reached):
        return reached >= ENOUGH_REACHED
    return auroc >= (ENOUGH_AUROC if kmers is None else max(0.5, kmers))


def trainings_remark(rows: pd.DataFrame) -> str:
    """Say how few trainings a ranking speaks of; nothing where each model has `ENOUGH_SEEDS` of them.

    Parameters
    ----------
    rows : DataFrame
        With the columns base and model.

    Examples
    --------
    >>> models = ["net-seed1", "net-seed2", "net-ensemble"]
    >>> trainings_remark(pd.DataFrame({"base": ["net", "net", "net-ensemble"], "model": models}))
    'It rests on 2 trainings only: another training may rank them otherwise; train with seeds: 4 or more.'
    """
    counts = _trainings(rows)
    if counts.min() >= ENOUGH_SEEDS:
        return ""
    advice = f"another training may rank them otherwise; train with seeds: {ENOUGH_SEEDS} or more."
    if counts.max() == 1:
        return f"It speaks of {'this network' if len(counts) == 1 else 'these networks'} alone: {advice}"
    if counts.min() > 1:
        return f"It rests on {counts.min()} trainings{'' if len(counts) == 1 else ' of a model'} only: {advice}"
    alone = _listed([str(base) for base in counts.index[counts == 1]])
    return f"Of {alone} it speaks of one network alone: {advice}"


def _trainings(rows: pd.DataFrame) -> pd.Series:
    """How many networks each base has; an ensemble of networks that are here, too, is no training of its own."""
    counts = rows.groupby("base")["model"].nunique()
    return counts.drop([f"{base}-ensemble" for base in counts.index[counts > 1]], errors="ignore")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
