"""One HTML file that tells a reader who did not make the run what it found, on what, and how.

The file needs nothing beside it: styles, pictures and one script are inside, and a policy in its head forbids it to
load anything or to run any other script. Every name in it (tasks, models, sequence ids, files) is text, never markup.
Without scripts all of it can be read but the sequence browser. The same inputs give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from simbench_tf import plot
from simbench_tf.files import whole_file
from simbench_tf.report import sections, text
from simbench_tf.report.browser import Browsed, browser_data, embedded
from simbench_tf.report.jinja import page_script, page_template
from simbench_tf.report.sections import Figures, Picture, picture


class Example(NamedTuple):
    """One sequence and what the methods say of it.

    Attributes
    ----------
    model, task, seq_id : str
    one_hot : float array, shape (L, 4)
    sites : DataFrame
        The sites of this sequence, of `tables.SITE_COLUMNS`.
    attributions : dict of str to float array
        For each key, contributions (L, 4) or scores (L,).
    """

    model: str
    task: str
    seq_id: str
    one_hot: npt.NDArray[np.floating]
    sites: pd.DataFrame
    attributions: Mapping[str, npt.NDArray[np.floating]]


def write_report(
    path: str | PathLike[str],
    *,
    config: Mapping[str, Any],
    versions: Mapping[str, str],
    dataset_info: Mapping[str, Any],
    summary: pd.DataFrame,
    per_sequence: pd.DataFrame,
    metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    histories: Mapping[str, pd.DataFrame],
    examples: Sequence[Example] = (),
    browsed: Sequence[Browsed] = (),
    comparisons: pd.DataFrame | None = None,
    recall: pd.DataFrame | None = None,
    motif_names: Mapping[str, str] | None = None,
    variance: pd.DataFrame | None = None,
    dynamics: Mapping[str, Mapping[str, pd.DataFrame]] | None = None,
    faithfulness: pd.DataFrame | None = None,
    motif_log: pd.DataFrame | None = None,
    method_descriptions: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of a scored run.

    Parameters
    ----------
    path : path
        RUN/report.html.
    config : dict
        The resolved configuration, from `config.config_dict`.
    versions : dict
        Package and version, from `config.versions`.
    dataset_info : dict
        The content of dataset.json. ``elements`` (element -> tasks whose truth it is in) says
        which sites are truth for which task; of peaks, ``lost`` is a list of records of step, positives, background,
        positives_left and background_left.
    summary : DataFrame
        RUN/scores/summary.csv, with `tables.SUMMARY_COLUMNS`.
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet: `tables.PER_SEQUENCE_KEYS`, the metrics and chance_auprc.
    metrics : dict
        For each model, RUN/models/MODEL/metrics.json.
    histories : dict
        For each model, RUN/models/MODEL/history.csv: batch, loss, valid_loss and any other ``valid_`` columns.
    examples : sequence of Example
        Drawn as logos, in this order.
    browsed : sequence of Browsed
        For the sequence browser; as many sequences of each as `_report_data.BROWSER_BYTES` hold.
    comparisons, recall, variance : DataFrame, optional
        RUN/scores/comparisons.csv, motif_recall.csv and variance.csv.
    motif_names : dict, optional
        What to call each motif of `recall`.
    dynamics : dict, optional
        For each model the tables of RUN/dynamics/MODEL: ``dynamics``, ``learnt`` and, where there is one, ``order``.
    faithfulness : DataFrame, optional
        RUN/scores/faithfulness.csv, where labels depend on rules or pairs.
    motif_log : DataFrame, optional
        RUN/dataset/motif_log.csv, for peaks.
    method_descriptions : dict, optional
        A line on each method, as `attribution.methods` gives them.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    simulation = config.get("simulation", {})
    labels = text.method_labels(summary)
    answers = text.answers(per_sequence, labels)
    tables = [
        summary[(summary["model"] == model) & (summary["task"] == task)] for model, task in text.places_of(per_sequence)
    ]
    figures: Figures = {}
    script = page_script("report.js")
    page = page_template("report.html.j2").render(
        name=config.get("name", dataset_info.get("name", "run")),
        answers=answers,
        rankings=_rankings(answers, tables, labels, figures),
        story=text.data_story(dataset_info, simulation),
        info=dataset_info,
        tasks=text.task_table(dataset_info, simulation),
        elements=text.element_table(simulation) if dataset_info["kind"] == "grammar" else None,
        motif_story=None if motif_log is None else text.motif_story(motif_log, simulation),
        motifs=None if motif_log is None else text.motif_table(motif_log),
        lost=text.lost_table(dataset_info["lost"]) if dataset_info.get("lost") else None,
        models=_models(metrics, histories, figures),
        scores=_scores(answers, tables, labels),
        rules=_rules(faithfulness, labels),
        truth=_truth(summary),
        split=config.get("attribution", {}).get("split", "test"),
        output=config.get("attribution", {}).get("output", "logit"),
        descriptions=_descriptions(summary, method_descriptions or {}),
        examples=[_example(example, dataset_info, config, per_sequence, labels, figures) for example in examples],
        cost=_cost(answers, summary, labels, figures),
        differences=sections.differences(per_sequence, comparisons, labels, figures),
        found=None if recall is None else sections.motifs_found(recall, labels, motif_names or {}, figures),
        seeds=None if variance is None else sections.seeds(variance, labels),
        learnt=sections.learnt_when(dynamics or {}, figures),
        browsed=embedded(browser_data(browsed, per_sequence, labels)) if browsed else None,
        figures=embedded(figures),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        config=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        seed=config.get("seed"),
        versions=versions,
    )
    with whole_file(path) as partial:
        # an unpaired surrogate, which a file name can hold, has no UTF-8
        partial.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return Path(path)


#: Columns that a ranking shows.
_RANKED = ("auprc", "auprc_se", "auprc_low", "auprc_high", "chance_auprc", "oracle_auprc")


def _rankings(
    answers: list[text.Answer], tables: list[pd.DataFrame], labels: Mapping[str, str], figures: Figures
) -> list[Picture]:
    """A ranking for each answer; the first may be over all models and tasks, and then no table is its own."""
    overall = [answers[0].standings] if len(answers) > len(tables) else []
    pictures = []
    for answer, table in zip(answers, [*overall, *tables], strict=True):
        if "auprc_low" not in table or table["auprc_low"].isna().all():
            error = 1.96 * table["auprc_se"]
            table = table.assign(auprc_low=table["auprc"] - error, auprc_high=table["auprc"] + error)
        drawn = plot.method_ranking(table, labels=labels)
        description = f"{answer.place}: methods by auPRC. {answer.sentence}"
        shown = table[["key", *(name for name in _RANKED if name in table)]]
        pictures.append(picture(drawn, figures, answer.place, description, shown))
    return pictures


class _Model(NamedTuple):
    name: str
    table: text.Table
    pictures: list[Picture]


def _models(metrics: Mapping[str, Any], histories: Mapping[str, pd.DataFrame], figures: Figures) -> list[_Model]:
    models = []
    for name, values in metrics.items():
        pictures = []
        history = histories.get(name)
        if history is not None and len(history):
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


def _scores(answers: list[text.Answer], tables: list[pd.DataFrame], labels: Mapping[str, str]) -> list[_Scores]:
    return [
        _Scores(text.score_caption(answer.place, table), text.score_table(table, labels, answer.standings))
        for answer, table in zip(answers[-len(tables) :], tables, strict=True)
    ]


def _rules(faithfulness: pd.DataFrame | None, labels: Mapping[str, str]) -> list[_Scores]:
    """Return a table a model and interaction."""
    if faithfulness is None:
        return []
    groups = faithfulness.groupby(["model", "task", "rule", "first", "second"], sort=False)
    return [_Scores(text.rule_caption(rows.iloc[0].to_dict()), text.rule_table(rows, labels)) for _, rows in groups]


def _truth(summary: pd.DataFrame) -> str:
    """In words, what the scores hold attributions against."""
    origin, _, which = str(summary["truth"].iloc[0]).partition(":")
    sites = "the sites put in" if origin == "embedded" else "the hits found by scanning the finished sequences"
    return f"{sites}, of motifs that depend on the task" if which == "task" else f"{sites}, of all motifs"


def _descriptions(summary: pd.DataFrame, lines: Mapping[str, str]) -> list[tuple[str, str]]:
    methods = dict.fromkeys(summary["method"])
    # docstrings mark code with backticks
    return [(text.METHOD_TITLES.get(name, name), lines[name].replace("`", "")) for name in methods if name in lines]


class _DrawnExample(NamedTuple):
    task: str
    model: str
    seq_id: str
    sites: list[str]
    picture: Picture


def _example(
    example: Example,
    info: Mapping[str, Any],
    config: Mapping[str, Any],
    per_sequence: pd.DataFrame,
    labels: Mapping[str, str],
    figures: Figures,
) -> _DrawnExample:
    sites = example.sites.sort_values("start", kind="stable")
    elements = info.get("elements")
    if elements and config.get("scoring", {}).get("motifs", "task") == "task":
        bears = [example.task in elements.get(element, ()) for element in sites["element"]]
        sites = sites.assign(counted=np.array(bears, np.bool_))
    here = per_sequence[
        (per_sequence["model"] == example.model)
        & (per_sequence["task"] == example.task)
        & (per_sequence["seq_id"] == example.seq_id)
    ]
    auprc = dict(zip(here["key"], here["auprc"], strict=True))
    notes = {key: f"auPRC {text.fixed(auprc[key], 2)}" for key in example.attributions if key in auprc}
    drawn = plot.attribution_panels(example.one_hot, example.attributions, sites, labels=labels, notes=notes)
    description = f"Attributions of {example.seq_id} for {example.task}, a row a method"
    written = [
        f"{site.tf} {site.start}–{site.end} {'→' if site.strand == '+' else '←'}"
        + ("" if getattr(site, "counted", True) else " (not counted)")
        for site in sites.itertuples()
    ]
    drawn_picture = picture(drawn, figures, "", description)
    return _DrawnExample(example.task, example.model, example.seq_id, written, drawn_picture)


def _cost(
    answers: list[text.Answer], summary: pd.DataFrame, labels: Mapping[str, str], figures: Figures
) -> Picture | None:
    """Quality beside cost, both over all models and tasks; None where nothing was timed."""
    times = summary.groupby("key")["seconds_per_sequence"].mean()
    table = answers[0].standings.assign(seconds_per_sequence=answers[0].standings["key"].map(times))
    if not (table["seconds_per_sequence"] > 0).any():
        return None
    drawn = plot.quality_against_cost(table, labels=labels)
    return picture(drawn, figures, answers[0].place, "auPRC of each method: against seconds a sequence", table)
