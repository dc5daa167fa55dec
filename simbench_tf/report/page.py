"""The report, a self-contained HTML file for readers who did not make the run: what it found, on what, and how.

The file needs nothing beside it: styles, pictures and one script are inside, and a policy in its head forbids it to
load anything or to run any other script. Every name in it (tasks, models, sequence ids, files) is text, never markup.
Without scripts all of it can be read but the sequence browser. The same inputs give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from simbench_tf import plot
from simbench_tf.dna import one_hot
from simbench_tf.files import whole_file
from simbench_tf.plot.numbers import fixed
from simbench_tf.report import caller_sections, sections, text
from simbench_tf.report.answers import Answer, answers
from simbench_tf.report.belief_section import what_scores_are_worth
from simbench_tf.report.browser import browser_data, embedded, found_marks
from simbench_tf.report.data_section import data_section
from simbench_tf.report.front import at_the_top, contents
from simbench_tf.report.jinja import page_script, page_template
from simbench_tf.report.method_cards import method_cards
from simbench_tf.report.sections import Figures, Picture, picture
from simbench_tf.report.truth_free_section import evidence_story, truth_free_tables
from simbench_tf.run.results import AttributedSequences, RunResults
from simbench_tf.score.between_models import estimated
from simbench_tf.score.ranking import by_network

#: Sequences drawn as logos.
EXAMPLES = 6


class Example(NamedTuple):
    """One sequence and what the methods say of it.

    Attributes
    ----------
    model, task, seq_id : str
    one_hot : float array, shape (L, 4)
    sites : DataFrame
        The sites of this sequence, as of `AttributedSequences`.
    attributions : dict of str to float array
        For each key, contributions (L, 4) or scores (L,).
    """

    model: str
    task: str
    seq_id: str
    one_hot: npt.NDArray[np.floating]
    sites: pd.DataFrame
    attributions: Mapping[str, npt.NDArray[np.floating]]


def write_report(path: str | PathLike[str], results: RunResults) -> Path:
    """Write the report of a scored run.

    Parameters
    ----------
    path : path
        RUN/report.html.
    results : RunResults
        From `run.results.read_results`. The first sequences of each model and task, in turn, are drawn as logos; the
        sequence browser has as many of each as `browser.BROWSER_BYTES` hold.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    figures: Figures = {}
    script = page_script("page.js", "tips.js", "zip.js", "browser.js")
    values = {**data_section(results), **_score_sections(results, figures)}
    page = page_template("report.html.j2").render(
        **values,
        contents=contents(values),
        figures=embedded(figures),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        config=yaml.safe_dump(dict(results.config), sort_keys=False, allow_unicode=True),
        seed=results.config.get("seed"),
        versions=results.versions,
    )
    with whole_file(path) as partial:
        # an unpaired surrogate, which a file name can hold, has no UTF-8
        partial.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return Path(path)


def _score_sections(results: RunResults, figures: Figures) -> dict[str, Any]:
    """What the page says of models and scores: names in the template, and their values."""
    summary, per_sequence, recall = results.summary, results.per_sequence, results.motif_recall
    with_nulls = pd.concat([summary, *([] if results.nulls is None else [results.nulls])], ignore_index=True)
    labels = text.method_labels(with_nulls)
    answered = answers(per_sequence, labels, results.metrics, results.nulls, results.apart)
    labels = _from_the_best(labels, answered[0])
    plugged = text.plugged_titles(results.config)
    quantile = results.config.get("scoring", {}).get("background_quantile", 0.95)
    browsed = browser_data(results.sequences, per_sequence, labels, quantile=quantile) if results.sequences else None
    output = results.config.get("attribution", {}).get("output", "logit")
    # in this order, which numbers the figures
    return {
        "answers": answered,
        "trainings": any(len(answer.networks) > 1 for answer in answered if answer.task is not None),
        "rankings": [_ranking(answer, summary, labels, figures) for answer in answered],
        "models": _models(results.metrics, results.histories, figures),
        "scores": _scores(answered, with_nulls, per_sequence, labels, plugged),
        "plugged": sections.plugged_metrics(plugged, answered, per_sequence, results.nulls, labels, figures),
        "other_truth": _both_truths(with_nulls, results.other_truth, labels),
        "signed": text.is_signed(summary),
        "unseen": _unseen(summary, results.dataset_info["seq_length"]),
        "rules": _rules(results.faithfulness, results.satisfiability, labels),
        "credit": sections.credit_of_sites(results.site_importance, labels),
        "worth": what_scores_are_worth(results, labels, figures),
        "truth_free": truth_free_tables(results.truth_free, summary, labels),
        "evidence": evidence_story(),
        "dependencies": sections.dependencies(results.maps, results.interacting_pairs, labels, output, figures),
        "truth": _truth(summary),
        "top": at_the_top(summary, results.metrics),
        "cards": method_cards(summary, labels),
        "not_taken": sections.not_taken(results.not_taken) if results.not_taken else None,
        "examples": [
            _example(each, per_sequence, labels, quantile, figures) for each in examples_of(results.sequences)
        ],
        "cost": _cost(answered[0], summary, labels, figures),
        "differences": sections.differences(answered, labels, figures),
        "found": None if recall is None else sections.motifs_found(recall, labels, results.motif_names, figures),
        "callers": caller_sections.motif_callers(results, labels, figures),
        "seeds": None if results.variance is None else sections.seeds(results.variance, labels),
        "misses": None if results.misses is None else sections.misses(results.misses, labels, figures),
        "learnt": sections.learnt_when(results.dynamics, figures),
        "browsed": None if browsed is None else embedded(browsed),
    }


def _from_the_best(labels: Mapping[str, str], answer: Answer) -> dict[str, str]:
    """Labels in the order in which figures show methods: as the first answer ranks them."""
    ranked = [str(key) for key in answer.standings["key"]]
    return {key: labels[key] for key in dict.fromkeys([*ranked, *labels])}


def examples_of(sequences: Sequence[AttributedSequences], n: int = EXAMPLES) -> list[Example]:
    """Choose `n` sequences to draw, the models and tasks taking turns."""
    turns = [(place, row) for row in range(n) for place in sequences if row < len(place.seq_ids)]
    return [
        Example(
            place.model,
            place.task,
            place.seq_ids[row],
            one_hot(place.bases[[row]])[0],
            place.sites[place.sites["row"] == row],
            {key: scores[row] for key, scores in place.scores.items()},
        )
        for place, row in turns[:n]
    ]


#: Columns that a ranking shows.
_RANKED = ("auprc", "auprc_se", "auprc_low", "auprc_high", "chance_auprc", "null_auprc", "oracle_auprc", "scan_auprc")


def _ranking(answer: Answer, summary: pd.DataFrame, labels: Mapping[str, str], figures: Figures) -> Picture:
    """The ranking of an answer: of one network and task by its row of the summary, else by the standings."""
    table, mine = answer.standings, _rows_of(answer, summary)
    if answer.task is not None:
        for ceiling in ("oracle_auprc", "scan_auprc"):
            if ceiling in mine:
                table = table.assign(**{ceiling: table["key"].map(mine.groupby("key")[ceiling].mean())})
    if answer.task is not None and len(answer.networks) == 1 and mine["auprc_low"].notna().any():
        table = mine
    table = table.assign(null_auprc=answer.nothing)
    drawn = plot.method_ranking(table, labels=labels, order=list(labels))
    description = f"{answer.place}: methods by auPRC. {answer.sentence}"
    shown = table[["key", *(name for name in _RANKED if name in table)]]
    return picture(drawn, figures, answer.place, description, shown)


def _rows_of(answer: Answer, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table of scores that an answer is over."""
    here = table["model"].isin(answer.networks)
    return table[here if answer.task is None else here & (table["task"] == answer.task)]


class _Model(NamedTuple):
    name: str
    table: text.Table
    pictures: list[Picture]


def _models(metrics: Mapping[str, Any], histories: Mapping[str, pd.DataFrame], figures: Figures) -> list[_Model]:
    models = []
    for name, values in metrics.items():
        pictures = []
        history = histories.get(name)
        if history is not None and history["loss"].notna().any():  # a gkm-SVM has measures and no loss
            drawn = plot.learning_curve(history)
            pictures.append(picture(drawn, figures, "Loss while training", f"Learning curve of {name}: loss", history))
            quality = _quality_columns(history)
            if quality:
                drawn = plot.learning_curve(history, quality)
                caption = "Quality on the validation split" if len(quality) > 1 else _one(quality)
                pictures.append(
                    picture(drawn, figures, caption, f"Learning curve of {name}: {', '.join(quality)}", history)
                )
        drawn = plot.task_quality(values)
        tested = pd.DataFrame(values).T.rename_axis("task").reset_index()
        pictures.append(
            picture(drawn, figures, "Quality on the test split", f"Test auPRC of {name}: each task", tested)
        )
        models.append(_Model(name, text.quality_table(values), pictures))
    return models


def _one(columns: Mapping[str, str]) -> str:
    return f"Validation {next(iter(columns.values()))}"


def _quality_columns(history: pd.DataFrame) -> dict[str, str]:
    """Columns of validation metrics, which are higher for better models, and what to call them."""
    names = {}
    for column in history:
        metric = str(column).removeprefix("valid_")
        if metric != column and "loss" not in metric and history[column].notna().any():
            names[str(column)] = metric.replace("auprc", "auPRC").replace("auroc", "auROC").replace("_", " ")
    return names


class _Scores(NamedTuple):
    caption: str
    table: text.Table


def _scores(
    answered: list[Answer],
    summary: pd.DataFrame,
    per_sequence: pd.DataFrame,
    labels: Mapping[str, str],
    plugged: Mapping[str, str],
) -> list[_Scores]:
    """Return one table per model and task and, where a model has several trainings, one over these before."""
    found = []
    for answer in answered:
        if answer.task is None:
            continue
        mine = _rows_of(answer, summary)
        if len(answer.networks) == 1:
            table = text.score_table(mine, labels, answer.standings, plugged)
            found.append(_Scores(text.score_caption(answer.place, mine), table))
            continue
        place = f"{answer.place}, mean of {len(answer.networks)} trainings"
        pooled = _over_trainings(mine, _rows_of(answer, per_sequence), plugged)
        table = text.score_table(pooled, labels, answer.standings, plugged)
        found.append(_Scores(text.score_caption(place, pooled), table))
        for network in answer.networks:
            rows = mine[mine["model"] == network]
            place = f"On {answer.task}, {network} alone"
            found.append(_Scores(text.score_caption(place, rows), text.score_table(rows, labels, plugged=plugged)))
    return found


def _over_trainings(summary: pd.DataFrame, per_sequence: pd.DataFrame, plugged: Iterable[str]) -> pd.DataFrame:
    """Rows of the summary as means over trainings of a model, with errors for other trainings and sequences."""
    means = summary.groupby("key", sort=False).mean(numeric_only=True).reindex(columns=summary.columns)
    means["method"] = summary.groupby("key", sort=False)["method"].first()
    for metric in ("auprc", "auroc", "mass_fraction", *plugged):
        values = by_network(per_sequence, metric)
        means[f"{metric}_se"] = pd.Series({key: estimated(values[key].dropna(), n_resamples=0).error for key in values})
    return means.drop(columns="key").reset_index()


def _both_truths(summary: pd.DataFrame, other: pd.DataFrame | None, labels: Mapping[str, str]) -> list[_Scores]:
    """Return one table per network and task with the scores by both truths, where there are two."""
    if other is None:
        return []
    known = dict(iter(other.groupby(["model", "task"])))
    return [
        _Scores(f"On {task} with {model}", text.truth_table(rows, known[model, task], labels))
        for (model, task), rows in summary.groupby(["model", "task"], sort=False)
        if (model, task) in known
    ]


def _unseen(summary: pd.DataFrame, seq_length: int) -> list[str]:
    """For each network that cannot see all bases, in words, how many it sees."""
    if "scored_bases" not in summary:
        return []
    seen = summary.drop_duplicates("model")
    seen = seen[seen["scored_bases"] < seq_length]
    return [f"{model} {n:.0f}" for model, n in zip(seen["model"], seen["scored_bases"], strict=True)]


def _rules(
    faithfulness: pd.DataFrame | None, satisfiability: pd.DataFrame | None, labels: Mapping[str, str]
) -> list[_Scores]:
    """Return one table per model and interaction."""
    if faithfulness is None or satisfiability is None:
        return []
    place = ["model", "task", "rule", "first", "second"]
    measured = satisfiability[[*place, "key", "satisfied", "satisfied_se"]]
    groups = faithfulness.merge(measured, on=[*place, "key"]).groupby(place, sort=False)
    return [_Scores(text.rule_caption(rows.iloc[0].to_dict()), text.rule_table(rows, labels)) for _, rows in groups]


def _truth(summary: pd.DataFrame) -> str:
    """In words, what the scores hold attributions against."""
    origin, _, which = str(summary["truth"].iloc[0]).partition(":")
    sites = "the sites put in" if origin == "embedded" else "the hits found by scanning the finished sequences"
    return f"{sites}, of motifs that depend on the task" if which == "task" else f"{sites}, of all motifs"


class _DrawnExample(NamedTuple):
    task: str
    model: str
    seq_id: str
    sites: list[str]
    picture: Picture


def _example(
    example: Example,
    per_sequence: pd.DataFrame,
    labels: Mapping[str, str],
    quantile: float,
    figures: Figures,
) -> _DrawnExample:
    sites = example.sites.sort_values("start", kind="stable")
    here = per_sequence[
        (per_sequence["model"] == example.model)
        & (per_sequence["task"] == example.task)
        & (per_sequence["seq_id"] == example.seq_id)
    ]
    auprc = dict(zip(here["key"], here["auprc"], strict=True))
    notes = {key: f"auPRC {fixed(auprc[key], 2)}" for key in example.attributions if key in auprc}
    shown = {key: example.attributions[key] for key in labels if key in example.attributions}
    here_alone = sites.assign(row=0)
    found = {key: found_marks(_of_bases(scores)[None], here_alone, quantile)[0] for key, scores in shown.items()}
    drawn = plot.attribution_panels(example.one_hot, shown, sites, labels=labels, notes=notes, found=found)
    description = f"Attributions of {example.seq_id} for {example.task}, one row per method"
    written = [
        f"{site.tf} {site.start}–{site.end} {'→' if site.strand == '+' else '←'}"
        + ("" if site.counted else " (not counted)")
        for site in sites.itertuples()
    ]
    drawn_picture = picture(drawn, figures, "", description)
    return _DrawnExample(example.task, example.model, example.seq_id, written, drawn_picture)


def _of_bases(attribution: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Scores (L,) of contributions (L, 4), or of scores."""
    values = np.asarray(attribution, np.float64)
    return values.sum(axis=1) if values.ndim == 2 else values


def _cost(answer: Answer, summary: pd.DataFrame, labels: Mapping[str, str], figures: Figures) -> Picture | None:
    """Quality beside cost, both over all models and tasks; None where nothing was timed."""
    times = summary.groupby("key")["seconds_per_sequence"].mean()
    table = answer.standings.assign(seconds_per_sequence=answer.standings["key"].map(times))
    if not (table["seconds_per_sequence"] > 0).any():
        return None
    drawn = plot.quality_against_cost(table, labels=labels)
    return picture(drawn, figures, answer.place, "auPRC of each method: against seconds a sequence", table)
