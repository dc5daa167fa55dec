"""The report's section on motif callers: sentences, a table, heat maps, logos and stated rates against true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from simbench_tf import plot
from simbench_tf.plot.numbers import fixed, percent, with_error
from simbench_tf.report import text
from simbench_tf.report.caller_answers import (
    STATED,
    CallerAnswer,
    caller_answers,
    caller_title,
    calls_by_stated_rate,
    pair_title,
    rows_of,
    the_caller,
)
from simbench_tf.report.sections import Figures, Picture, picture
from simbench_tf.run.motif_pairs import MotifPair
from simbench_tf.run.results import RunResults

#: Motifs drawn for a model and task, at most.
LOGOS = 6


class CallerSection(NamedTuple):
    """What the page shows of motif callers; each list has something for every model and task that has it.

    Attributes
    ----------
    answers : list of CallerAnswer
    tables : list of (str, Table)
    sites, motifs, logos, rates : list of Picture
        Heat maps of sites found and of correlations, motifs above each other, stated rates against true ones.
    """

    answers: list[CallerAnswer]
    tables: list[tuple[str, text.Table]]
    sites: list[Picture]
    motifs: list[Picture]
    logos: list[Picture]
    rates: list[Picture]


def motif_callers(results: RunResults, labels: Mapping[str, str], figures: Figures) -> CallerSection | None:
    """What motif callers found in each model and task; None of a run without any."""
    answered = caller_answers(results.instances, results.found_motifs, labels, results.metrics)
    if not answered:
        return None
    section = CallerSection(answered, [], [], [], [], [])
    for answer in answered:
        instances = rows_of(results.instances, answer.networks, answer.task)
        found = rows_of(results.found_motifs, answer.networks, answer.task)
        section.tables.append((_caption(answer), caller_table(answer.standings, labels)))
        if instances is not None and len(instances):
            section.sites.extend(_sites_found(answer, instances, labels, results.motif_names, figures))
            section.rates.extend(_rates(answer, instances, labels, figures))
        if found is not None and len(found):
            section.motifs.append(_correlations(answer, found, labels, results.motif_names, figures))
            section.logos.extend(_logos(answer, results, labels, figures))
    return section


def caller_table(standings: pd.DataFrame, labels: Mapping[str, str]) -> text.Table:
    """All callers of a model and task, best F1 first; = marks those to which the best shows no difference."""
    with_oracle, capped = standings["oracle_best_f1"].notna().any(), (standings["recall_cap"] < 1).any()
    states, matched = (standings[name].notna().any() for name in ("n_stated", "n_true"))
    heads = ["attribution", "caller", "best F1", "average precision"]
    heads += [*(["share of the oracle's F1"] if with_oracle else []), *(["recall cap"] if capped else [])]
    heads += [f"calls stated at {STATED:g}", "true rate there"] if states else []
    heads += ["motifs found"] if matched else []
    cells = []
    for place, row in enumerate(standings.to_dict("records")):
        mark = " =" if place and row["level"] else ""
        name = "–" if row["caller"] == "filters" else labels.get(row["key"], row["key"])
        line = [name, caller_title(row["caller"]), with_error(row["best_f1"], row["best_f1_se"], 2) + mark]
        line.append(fixed(row["ap"], 2))
        line += [percent(text.ratio(row["best_f1"], row["oracle_best_f1"]))] if with_oracle else []
        line += [fixed(row["recall_cap"], 2)] if capped else []
        line += [fixed(row["n_stated"], 0), fixed(row["true_rate"], 2)] if states else []
        if matched:
            known = fixed(row["n_true"], 0)
            line.append(f"{fixed(row['n_found'], 0)} of {known}" if known != "–" else known)
        cells.append(line)
    return text.Table(heads, cells, (2, 99))


def _caption(answer: CallerAnswer) -> str:
    """Where it is, and what the best possible calls reach there."""
    caption = answer.place
    if len(answer.networks) > 1:
        caption += f", mean of {len(answer.networks)} trainings"
    ceiling = fixed(answer.standings["oracle_best_f1"].max(), 2)
    return caption if ceiling == "–" else f"{caption}: the exact posterior reaches an F1 of {ceiling}"


def _sites_found(
    answer: CallerAnswer,
    instances: pd.DataFrame,
    labels: Mapping[str, str],
    names: Mapping[str, str],
    figures: Figures,
) -> list[Picture]:
    """For each caller the share of each motif's sites that it finds at its best threshold, methods in the one order."""
    rows = instances[(instances["by"] == "motif") & instances["best_recall"].notna()]
    means = rows.groupby(["caller", "key", "by", "group"], sort=False)
    means = means.agg(n_sites=("n_sites", "first"), recall=("best_recall", "mean")).reset_index()
    pictures = []
    for caller in answer.standings["caller"].drop_duplicates():
        mine = plot.in_order(means[means["caller"] == caller], list(labels))
        if mine.empty:
            continue
        drawn = plot.motif_heat_map(mine, labels, names)
        caption = f"{answer.task}, {answer.base}: sites found by {the_caller(caller)}"
        what = "Share of each motif's sites that a caller finds at its best threshold"
        pictures.append(picture(drawn, figures, caption, what, mine))
    return pictures


def _correlations(
    answer: CallerAnswer, found: pd.DataFrame, labels: Mapping[str, str], names: Mapping[str, str], figures: Figures
) -> Picture:
    """How much the best found motif of each caller is like each true one."""
    rows = found[found["kind"] == "true"]
    rows = rows.groupby(["key", "caller", "motif"], sort=False)["correlation"].mean().reset_index()
    rows = plot.in_order(rows, list(labels))
    pairs = list(zip(rows["key"], rows["caller"], strict=True))
    callers = set(rows["caller"]) - {"filters"}
    alone = callers.pop() if len(callers) == 1 and "file" not in callers else None  # then the caption names it
    names_of = [labels.get(key, key) if caller == alone else pair_title(key, caller, labels) for key, caller in pairs]
    rows = rows.assign(name=names_of)
    drawn = plot.correlation_heat_map(rows, names)
    caption = f"{answer.task}, {answer.base}: motifs found" + ("" if alone is None else f" by {the_caller(alone)}")
    return picture(drawn, figures, caption, "Correlation of each true motif with the best found one", rows)


def _logos(answer: CallerAnswer, results: RunResults, labels: Mapping[str, str], figures: Figures) -> list[Picture]:
    """True motifs above found ones, of the first training and the caller that finds the most."""
    pairs = [each for each in results.motif_pairs if each.task == answer.task and each.model == answer.networks[0]]
    by_pair: dict[tuple[str, str], list[MotifPair]] = {}
    for each in pairs:
        by_pair.setdefault((each.key, each.caller), []).append(each)
    # a network's filters are no attribution: they are drawn where nothing else is
    best = max(by_pair, key=lambda pair: (pair[1] != "filters", *_found(by_pair[pair])), default=None)
    if best is None:
        return []
    shown = by_pair[best][:LOGOS]
    drawn = plot.aligned_logos([_aligned(each) for each in shown])
    part = f", {len(shown)} of {len(by_pair[best])} motifs" if len(shown) < len(by_pair[best]) else ""
    caption = f"{answer.task}, {answer.networks[0]}: {pair_title(*best, labels)}{part}"
    data = pd.DataFrame([_lies(each) for each in shown])
    return [picture(drawn, figures, caption, "True motifs, each above the found one that is most like it", data)]


def _found(pairs: list[MotifPair]) -> tuple[int, float]:
    """How many are found, and how like the true ones they all are."""
    return sum(each.status != "missed" for each in pairs), sum(each.correlation for each in pairs)


def _aligned(pair: MotifPair) -> plot.AlignedMotifs:
    note = f"r = {pair.correlation:.2f}, {pair.status}"
    return plot.AlignedMotifs(pair.true.tf, note, pair.true.ppm, pair.found.ppm, pair.strand, pair.start)


def _lies(pair: MotifPair) -> dict[str, Any]:
    lies = {"motif": pair.true.motif_id, "found": pair.found.motif_id, "strand": pair.strand, "start": pair.start}
    return {**lies, "correlation": pair.correlation, "status": pair.status}


def _rates(answer: CallerAnswer, instances: pd.DataFrame, labels: Mapping[str, str], figures: Figures) -> list[Picture]:
    """For each caller that states rates, these against true ones, attributions in the one order."""
    calls = calls_by_stated_rate(instances)
    calls = calls.assign(name=calls["key"].map(lambda key: labels.get(key, key)))
    pictures = []
    for caller in answer.standings["caller"].drop_duplicates():
        mine = calls[calls["caller"] == caller]
        if not (mine["n_called"] > 0).any():
            continue
        mine = plot.in_order(mine.sort_values("stated", kind="stable"), list(labels))
        caption = f"{answer.task}, {answer.base}: {the_caller(caller)}"
        what = "Stated false discovery rate against the true one: the diagonal is right"
        pictures.append(picture(plot.stated_against_true(mine), figures, caption, what, mine))
    return pictures
