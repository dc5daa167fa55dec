"""Export of results: the ranking of methods, their scores and the models' quality as MultiQC custom content."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from simbench_tf.config import Config
from simbench_tf.files import whole_file
from simbench_tf.run.results import RunResults, read_results
from simbench_tf.score.ranking import base_models, standings, without_nulls

_UNIT = {"min": 0, "max": 1, "format": "{:,.3f}", "scale": "Blues"}
_COUNT = {"format": "{:,.0f}", "scale": False}
#: MultiQC's settings of a column, in the order that the tables have them.
HEADERS: dict[str, dict[str, Any]] = {
    "rank": {"title": "Rank", "description": "1 is best, by mean auPRC", **_COUNT},
    "auroc": {"title": "auROC", "description": "Area under the ROC curve", **_UNIT},
    "auprc": {"title": "auPRC", "description": "Average precision", **_UNIT},
    "auprc_se": {"title": "± se", "description": "Standard error of the mean auPRC", **_UNIT, "scale": False},
    "chance_auprc": {"title": "Chance", "description": "auPRC of random scores", **_UNIT, "scale": False},
    "positive_fraction": {"title": "Positives", "description": "auPRC of a random model", **_UNIT, "scale": False},
    "oracle_auroc": {"title": "Ceiling auROC", "description": "Of the exact posterior", **_UNIT, "scale": False},
    "oracle_auprc": {"title": "Ceiling auPRC", "description": "Of the exact posterior", **_UNIT, "scale": False},
    "behind": {"title": "Behind", "description": "Mean difference to the best", **_UNIT, "scale": False},
    "level": {
        "title": "Level with best",
        "description": "No difference is shown (Holm, 5%)",
        "scale": False,
    },
    "n_sequences": {"title": "Sequences", "description": "With a true site, over which means are taken", **_COUNT},
    "seconds_per_sequence": {
        "title": "s / sequence",
        "description": "Median time",
        "format": "{:,.4f}",
        "scale": False,
    },
}


def export_results(config: Config, run: Path, out: Path, format_: str = "multiqc") -> list[Path]:
    """Write the results of a scored run as files that other tools read.

    ``multiqc``: simbench_models_mqc.json, simbench_ranking_mqc.json and simbench_scores_mqc.json, each a table that
    MultiQC finds by its name and shows. Rows begin with the run's name, so that one report holds several runs.

    Parameters
    ----------
    config : Config
        Of the run.
    run, out : path
        RUN, and a folder that is made where missing.
    format_ : {"multiqc"}
        A key of `WRITERS`.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        The run was not scored, or a file cannot be written.
    """
    return WRITERS[format_](read_results(config, run, sequences=False), config.name, out)


def write_multiqc(results: RunResults, name: str, out: Path) -> list[Path]:
    """Write MultiQC's tables; one without rows is left out."""
    tables = {
        "models": ("Models", "What each model reaches on the test split, and the ceiling.", model_rows(results)),
        "ranking": ("Ranking", "Methods by the mean auPRC of true motif bases.", ranking_rows(results)),
        "scores": ("Scores", "Each method on each model and task.", score_rows(results)),
    }
    written = []
    for key, (title, description, rows) in tables.items():
        if rows:
            path = out / f"simbench_{key}_mqc.json"
            named = {" | ".join((name, *place)): values for place, values in rows.items()}
            with whole_file(path) as partial:
                content = json.dumps(_content(key, title, description, named), indent=1, allow_nan=False)
                partial.write_text(content + "\n", encoding="utf-8")
            written.append(path)
    return written


#: Writers by format. A writer takes the results, the run's name and the output folder, and returns the paths written.
WRITERS: dict[str, Callable[[RunResults, str, Path], list[Path]]] = {"multiqc": write_multiqc}

#: Values by column, by the names that make up a row's name.
Rows = dict[tuple[str, ...], dict[str, Any]]


def model_rows(results: RunResults) -> Rows:
    """Quality of each model on each task."""
    columns = ("auroc", "auprc", "positive_fraction", "oracle_auroc", "oracle_auprc")
    return {
        (model, task): _known(values, columns)
        for model, tasks in results.metrics.items()
        for task, values in tasks.items()
    }


def ranking_rows(results: RunResults) -> Rows:
    """Standings of methods over all models and tasks, of trained models where there are any, as the report has them."""
    scored = without_nulls(results.per_sequence)
    trained = scored[~base_models(scored["model"]).isin(results.apart)]
    table = standings(scored if trained.empty else trained).rename(columns={"n": "n_sequences"})
    table = table.assign(rank=range(1, len(table) + 1))
    columns = ("rank", "auprc", "auprc_se", "chance_auprc", "behind", "level", "n_sequences")
    return {(row["key"],): _known(row, columns) for row in table.to_dict("records")}


def score_rows(results: RunResults) -> Rows:
    """Rows of summary.csv, each model and task from the best method down."""
    ranked = results.summary.sort_values("auprc", ascending=False, kind="stable")
    columns = ("auprc", "auroc", "chance_auprc", "oracle_auprc", "n_sequences", "seconds_per_sequence")
    return {
        (model, task, row["key"]): _known(row, columns)
        for (model, task), rows in ranked.groupby(["model", "task"], sort=False)
        for row in rows.to_dict("records")
    }


def _known(values: Mapping[Any, Any], columns: Iterable[str]) -> dict[str, Any]:
    """Values of columns that are there and no NaN, which JSON lacks."""
    found = {column: values.get(column) for column in columns}
    return {
        column: "yes" if value is True else "no" if value is False else value
        for column, value in found.items()
        if value is not None and not pd.isna(value) and not (isinstance(value, float) and math.isinf(value))
    }


def _content(key: str, title: str, description: str, rows: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Custom content: a table in the section simbench_tf."""
    used = {column for values in rows.values() for column in values}
    return {
        "id": f"simbench_{key}",
        "parent_id": "simbench_tf",
        "parent_name": "simbench_tf",
        "parent_description": "Attribution methods on simulated regulatory DNA with known motifs.",
        "section_name": title,
        "description": description,
        "plot_type": "table",
        "pconfig": {"id": f"simbench_{key}_table", "title": f"simbench_tf: {title}", "sort_rows": False},
        "headers": {column: header for column, header in HEADERS.items() if column in used},
        "data": rows,
    }
