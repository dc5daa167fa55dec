"""Sections of the report, each from one table: differences of methods, motifs found, seeds, what is learnt when."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench_tf import plot
from simbench_tf.plot.numbers import fixed, with_error
from simbench_tf.plugins import find_plugin, load_plugin
from simbench_tf.report import text
from simbench_tf.report.answers import Answer, knowing_nothing
from simbench_tf.run.attributions import NotTaken
from simbench_tf.run.dependency_maps import DependencyMap
from simbench_tf.score.ranking import SIGNIFICANT, standings

#: Dependency maps drawn, at most.
MAPS = 6
#: Figures of the page by id, with the name and the data of each; what is drawn adds itself.
Figures = dict[str, dict[str, str]]


#: Parts of a miss, as columns of misses.csv.
_PARTS = ("method_miss", "network_miss")


#: Rank correlations of fewer motifs are not shown.
ENOUGH_MOTIFS = 8


class Picture(NamedTuple):
    """A drawn figure: its id in the page, its caption, its markup, and its width in points."""

    figure: str
    caption: str
    svg: Markup
    width: int = 0


class PluggedMetrics(NamedTuple):
    """Metrics of other packages: a line on each, and rankings by them."""

    lines: list[str]
    pictures: list[Picture]


class Section(NamedTuple):
    """Figures and captioned tables."""

    pictures: list[Picture]
    tables: list[tuple[str, text.Table]]


def picture(
    drawn: Figure | Axes, figures: Figures, caption: str, description: str, data: pd.DataFrame | None = None
) -> Picture:
    """Draw a figure for the page; `data` is what it shows."""
    figure = f"f{len(figures) + 1}"
    name = " ".join(dict.fromkeys(part for part in (caption, description.split(":")[0]) if part))
    figures[figure] = {"name": name, "csv": "" if data is None else data.to_csv(index=False, lineterminator="\n")}
    # svg escapes all text, so the whole is markup; each picture of the page gets its own prefix of ids
    whole = drawn.get_figure(root=True) if isinstance(drawn, Axes) else drawn
    assert whole is not None
    width = round(72 * whole.get_size_inches()[0])
    return Picture(figure, caption, Markup(plot.svg(drawn, description, f"{figure}-")), width)


def plugged_metrics(
    titles: Mapping[str, str],
    answers: Sequence[Answer],
    per_sequence: pd.DataFrame,
    nulls: pd.DataFrame | None,
    labels: Mapping[str, str],
    figures: Figures,
) -> PluggedMetrics | None:
    """Return what each metric of other packages is, and a ranking by it of each place that an answer is of.

    Parameters
    ----------
    titles : dict
        Of `text.plugged_titles`.
    answers, per_sequence, nulls, labels
        As the page has them; methods are drawn in the order of the labels.
    """
    pictures = []
    for metric, title in titles.items():
        for answer in answers:
            rows = per_sequence[per_sequence["model"].isin(answer.networks)]
            rows = rows if answer.task is None else rows[rows["task"] == answer.task]
            # only means and their intervals are drawn
            table = standings(rows, metric, pairs=answer.pairs.iloc[:0])
            table = table[["key", metric, *(f"{metric}_{bound}" for bound in ("se", "low", "high"))]]
            table = table.assign(**{f"null_{metric}": knowing_nothing(rows, nulls, metric)})
            drawn = plot.method_ranking(table, metric, labels, order=list(labels))
            pictures.append(picture(drawn, figures, f"{answer.place}: {title}", f"Methods by {title}", table))
    return PluggedMetrics([_plugged_line(*each) for each in titles.items()], pictures) if titles else None


def _plugged_line(metric: str, title: str) -> str:
    """What a metric of another package is: its package, and the first line of its function's docstring."""
    plugin = find_plugin("metric", metric)
    if plugin is None:
        return title
    told = (inspect.getdoc(load_plugin(plugin)) or "").partition("\n")[0]
    return f"{title}, of {plugin.package}" + (f": {told}" if told else "")


def differences(answers: Sequence[Answer], labels: Mapping[str, str], figures: Figures) -> Section | None:
    """Diagrams of methods that do not differ, and what the best method of each place is ahead of the others."""
    pictures, tables = [], []
    for answer in answers:
        means = answer.standings.set_index("key")["auprc"].dropna()
        if len(means) < 2:
            continue
        if len(means) > 2:
            drawn = plot.difference_diagram(means, _level(answer.pairs, list(means.index)), labels)
            what = f"{answer.place}: methods between which no difference is shown"
            pictures.append(picture(drawn, figures, answer.place, what, answer.pairs))
        best = str(means.index[0])
        caption = f"{answer.place}: behind {labels[best]}, by auPRC"
        tables.append((caption, _difference_table(_from_the_best(answer.pairs, best), labels)))
    return Section(pictures, tables) if tables else None


def _level(pairs: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Keys x keys: whether no difference between the two is shown."""
    level = pd.DataFrame(True, index=keys, columns=keys)
    for row in pairs[pairs["p_holm"] < SIGNIFICANT].itertuples():
        level.loc[row.first, row.second] = level.loc[row.second, row.first] = False
    return level


def _from_the_best(rows: pd.DataFrame, best: str) -> pd.DataFrame:
    """Comparisons of one method with each other, as that method less the other."""
    first, second = rows[rows["first"] == best], rows[rows["second"] == best]
    turned = second.assign(
        first=second["second"], second=second["first"], difference=-second["difference"],
        low_holm=-second["high_holm"], high_holm=-second["low_holm"], effect_size=-second["effect_size"],
    )  # fmt: skip
    return pd.concat([first, turned]).sort_values("difference", kind="stable")


def _difference_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> text.Table:
    heads = ["method", "behind by", "interval", "effect size", "p (Holm)", "sequences needed"]
    cells = [
        [
            labels.get(row["second"], row["second"]),
            fixed(row["difference"]),
            f"{fixed(row['low_holm'])} to {fixed(row['high_holm'])}",
            fixed(row["effect_size"], 2),
            "under 0.0001" if row["p_holm"] < 1e-4 else fixed(row["p_holm"], 4),
            fixed(np.ceil(row["n_needed"]), 0),
        ]
        for row in rows.to_dict("records")
    ]
    return text.Table(heads, cells, (1, 99))


def motifs_found(
    recall: pd.DataFrame, labels: Mapping[str, str], names: Mapping[str, str], figures: Figures
) -> Section | None:
    """Heat maps of methods x motifs, and tables of the other groups of sites; methods in the order of the labels."""
    pictures, tables = [], []
    recall = plot.in_order(recall, list(labels))
    titles = {"strand": "strand", "distance": "bases from the centre", "information": "bits of the motif"}
    for (model, task), rows in recall.groupby(["model", "task"], sort=False):
        place = f"{task}, {model}"
        if (rows["by"] == "motif").any():
            drawn = plot.motif_heat_map(rows, labels, names)
            mine = rows[rows["by"] == "motif"]
            pictures.append(picture(drawn, figures, place, f"Motifs found on {place}: share of sites", mine))
        others = rows[rows["by"] != "motif"]
        if others.empty:
            continue
        table = others.pivot_table("recall", "key", ["by", "group"], sort=False, dropna=True)
        # ranges of numbers stay on one line
        groups = [str(group).replace("-", "\u2011") if by != "strand" else group for by, group in table.columns]
        heads = ["method", *(f"{titles[by]} {each}" for (by, _), each in zip(table.columns, groups, strict=True))]
        cells = [[labels.get(key, key), *(fixed(value, 2) for value in line)] for key, *line in table.itertuples()]
        tables.append((f"{place}: share of sites found, by where and what they are", text.Table(heads, cells, (1, 99))))
    return Section(pictures, tables) if pictures or tables else None


def misses(table: pd.DataFrame, labels: Mapping[str, str], figures: Figures) -> Section:
    """What each method misses on each network, taken apart: means over tasks."""
    pictures, tables = [], []
    for model, mine in table.groupby("model", sort=False):
        of_tasks = mine.groupby(["key", "perfect"], sort=False)
        means = of_tasks.mean(numeric_only=True)
        for part in _PARTS:  # tasks have sequences of their own, but for some
            means[f"{part}_se"] = of_tasks[f"{part}_se"].agg(lambda errors: np.sqrt((errors**2).sum()) / len(errors))
        means = means.reset_index().sort_values("auprc", ascending=False, kind="stable")
        # of several perfect models the first that takes the method: the exact posterior where it is there
        drawn = plot.split_of_misses(means.drop_duplicates("key"), labels, order=list(labels))
        what = f"Whose miss on {model}: the method's, and what the network adds"
        pictures.append(picture(drawn, figures, str(model), what, mine))
        tables.append((f"With {model}", _miss_table(means, labels)))
    return Section(pictures, tables)


def _miss_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> text.Table:
    heads = ["method", "perfect model", "auPRC there", "auPRC here", "the method's miss", "the network's"]
    cells = [
        [
            labels.get(row["key"], row["key"]),
            str(row["perfect"]),
            fixed(row["perfect_auprc"], 2),
            fixed(row["auprc"], 2),
            *(with_error(row[name], row[f"{name}_se"], 2) for name in _PARTS),
        ]
        for row in rows.to_dict("records")
    ]
    return text.Table(heads, cells, (2, 99))


def likeness(found: pd.DataFrame) -> text.Table:
    """Each measure of the real regions and of the drawn sequences, and whether they differ by more than chance."""
    rows = []
    for row in found.to_dict("records"):
        known = row["real"] if _held_against_twin(row["measure"]) else row["twin"]
        like = "like" if row["low"] <= known <= row["high"] else "unlike"
        numbers = [fixed(row[name]) for name in ("real", "twin")]
        rows.append([row["measure"].replace("_", " "), *numbers, f"{fixed(row['low'])} to {fixed(row['high'])}", like])
    return text.Table(["measure", "real", "drawn", "95% interval", ""], rows, (1, 4))


def _held_against_twin(measure: str) -> bool:
    """Whether the interval is of the drawn sequences' number, not of the real ones'."""
    return measure.startswith(("classifier", "spectrum"))


def credit_of_sites(found: pd.DataFrame | None, labels: Mapping[str, str]) -> list[tuple[str, text.Table]]:
    """Per model and task, methods by how well their sums over sites follow what the sites are worth."""
    if found is None:
        return []
    return [
        (_credit_caption(rows.iloc[0].to_dict()), _credit_table(rows, labels))
        for _, rows in found.groupby(["model", "task"], sort=False)
    ]


def _credit_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> text.Table:
    """Credit of sites against what they are worth, one row per method, the best order first."""
    heads = ["method", "rank correlation", "of the task's own sites", "with the model's own worth"]
    heads += ["slope", "error at the best scale"]
    ranked = rows.sort_values("rank_correlation", ascending=False, kind="stable", na_position="last")
    correlations = ("rank_correlation", "own_sites_rank_correlation", "against_model_rank_correlation")
    cells = [
        [
            labels.get(row["key"], row["key"]),
            *(with_error(row[name], row[f"{name}_se"], 2) for name in correlations),
            *(fixed(row[name], 2) for name in ("slope", "scaled_error")),
        ]
        for row in ranked.to_dict("records")
    ]
    return text.Table(heads, cells, (1, 99))


def _credit_caption(row: Mapping[str, Any]) -> str:
    """Where it is, of how many sites, and how well the model itself has their worth.

    Examples
    --------
    >>> row = {"task": "K562", "model": "basset", "n_sites": 90, "n_sequences": 20, "model_rank_correlation": .714}
    >>> _credit_caption(row | {"model_rank_correlation_se": .05})
    'On K562 with basset: 90 sites in 20 sequences; the model has their order to 0.71 ± 0.05'
    """
    place = f"On {row['task']} with {row['model']}: {fixed(row['n_sites'], 0)} sites"
    place += f" in {fixed(row['n_sequences'], 0)} sequences"
    if fixed(row["model_rank_correlation"]) == "–":
        return place
    known = with_error(row["model_rank_correlation"], row["model_rank_correlation_se"], 2)
    return f"{place}; the model has their order to {known}"


def seeds(variance: pd.DataFrame, labels: Mapping[str, str]) -> text.Table:
    """How far models of several seeds differ, apart from how far sequences do."""
    heads = ["model", "task", "method", "mean auPRC", "between models", "between sequences", "residual", "models"]
    cells = [
        [
            *(str(row[name]) for name in ("model", "task")),
            labels.get(row["key"], row["key"]),
            *(fixed(row[name]) for name in ("mean", "sd_models", "sd_sequences", "sd_residual")),
            fixed(row["n_models"], 0),
        ]
        for row in variance[variance["metric"] == "auprc"].to_dict("records")
    ]
    return text.Table(heads, cells, (3, 99))


def not_taken(found: Sequence[NotTaken]) -> text.Table:
    """Methods that some models do not take, and why."""
    rows = [[each.model, text.method_title(each.method), each.why] for each in found]
    return text.Table(["model", "method", "why"], rows, (99, 99))


def dependencies(
    maps: Sequence[DependencyMap], pairs: pd.DataFrame | None, labels: Mapping[str, str], output: str, figures: Figures
) -> Section | None:
    """Heat maps of pairs of bases, of one sequence each, and how well maps rank the pairs that rules tie together."""
    pictures = []
    for each in maps[:MAPS]:
        drawn = plot.dependency_map(each.strengths, each.start, each.sites, output)
        caption = f"{each.task}, {each.model}: {each.seq_id}, {labels.get(each.key, each.key)}"
        first, second = np.triu_indices(len(each.strengths), 1)
        shown = pd.DataFrame({"first": first + each.start, "second": second + each.start})
        # three digits: the page holds every pair
        shown["strength"] = [f"{strength:.3g}" for strength in each.strengths[first, second]]
        what = "Which bases depend on each other: pairs of bases, the sites on both axes"
        pictures.append(picture(drawn, figures, caption, what, shown))
    if not pictures:
        return None
    if pairs is None:
        return Section(pictures, [])
    heads = ["task", "model", "method", "average precision", "chance", "true pairs, times as strong", "sequences"]
    cells = [
        [
            *(str(row[name]) for name in ("task", "model")),
            labels.get(row["key"], row["key"]),
            with_error(row["average_precision"], row["average_precision_se"]),
            fixed(row["chance"]),
            fixed(row["strength_ratio"], 1),
            fixed(row["n_sequences"], 0),
        ]
        for row in pairs.to_dict("records")
    ]
    return Section(pictures, [("Pairs of bases that a rule ties together", text.Table(heads, cells, (3, 99)))])


def learnt_when(dynamics: Mapping[str, Mapping[str, pd.DataFrame]], figures: Figures) -> Section | None:
    """Heat maps of motifs x batches, and when each motif was learnt against what it is.

    `dynamics` has for each model the tables ``dynamics`` and ``learnt``, and ``order`` where it is there.
    """
    pictures, tables = [], []
    for model, run in dynamics.items():
        for task, rows in run["dynamics"].groupby("task", sort=False):
            learnt = run["learnt"][run["learnt"]["task"] == task]
            names: dict[Any, str] = dict(zip(learnt["motif"], learnt.get("tf", learnt["motif"]), strict=True))
            place = f"{task}, {model}"
            drawn = plot.motif_dynamics(rows, learnt, names)
            pictures.append(picture(drawn, figures, place, f"What is learnt when on {place}: recall by batch", rows))
            if learnt["learnt_at"].notna().any() and len(learnt) > 1:
                drawn = plot.learnt_against(learnt, "information", names)
                what = f"When motifs are learnt on {place}: against their information"
                pictures.append(picture(drawn, figures, f"{place}: the motif's information", what, learnt))
        if "order" in run:
            cells = [
                [str(row["task"]), str(row["quantity"]).replace(" x ", " × "), fixed(row["rho"], 2), fixed(row["n"], 0)]
                for row in run["order"].to_dict("records")
                if row["n"] >= ENOUGH_MOTIFS and np.isfinite(row["rho"])
            ]
            heads = ["task", "quantity", "rank correlation with the batch", "motifs"]
            if cells:
                tables.append((f"{model}: what is learnt first", text.Table(heads, cells, (2, 99))))
    return Section(pictures, tables) if pictures else None
