"""Figures of a comparison of runs: each method's scores side by side, and its differences between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from simbench_tf import plot
from simbench_tf.report.sections import Figures, Picture, picture
from simbench_tf.score.ranking import models_of_seeds

if TYPE_CHECKING:
    from simbench_tf.report.compare import Comparison

#: Models and tasks drawn, at most: the tables have them all.
MOST = 24


class DrawnPlace(NamedTuple):
    """The figures of one model and task."""

    title: str
    pictures: list[Picture]


def drawn(comparison: Comparison) -> list[DrawnPlace]:
    """For each model and task that two runs share, scores of all runs, and differences of each two of them.

    Trainings of one model are drawn by their differences as one; single ones where there are no others.
    """
    figures: Figures = {}
    places: list[DrawnPlace] = []
    rows = comparison.differences
    several = set(rows.loc[rows["n_models"] > 1, "model"])
    bases = models_of_seeds(pd.concat([rows["model"], comparison.scores["model"]]).unique())
    scores = comparison.scores.assign(base=comparison.scores["model"].replace(bases))
    for (model, task), differences in rows.groupby(["model", "task"], sort=False):
        if bases.get(str(model)) in several or len(places) == MOST:
            continue
        place = f"{task}, {model}"
        mine = scores[(scores["base" if model in several else "model"] == model) & (scores["task"] == task)]
        pictures = [_scores(mine, place, model in several, comparison, figures)] if len(mine) else []
        order = list(mine.groupby("key")["auprc"].mean().sort_values(ascending=False, kind="stable").index)
        for (first, second), pair in differences.groupby(["first", "second"], sort=False):
            pictures.append(
                _differences(str(first), str(second), plot.in_order(pair, order), place, comparison, figures)
            )
        places.append(DrawnPlace(place, pictures))
    return places


def _scores(rows: pd.DataFrame, place: str, of_trainings: bool, comparison: Comparison, figures: Figures) -> Picture:
    """Scores of every run; of several trainings their mean, from the lowest to the highest."""
    title = "mean auPRC, 95% interval"
    if of_trainings:
        trainings = rows.groupby(["run", "key"], sort=False)["auprc"]
        rows = trainings.agg(auprc="mean", auprc_low="min", auprc_high="max").reset_index()
        title = "mean auPRC, from the lowest training to the highest"
    shown = plot.runs_side_by_side(rows, comparison.runs, comparison.labels, title)
    return picture(shown, figures, "Scores", f"auPRC of each run on {place}", rows)


def _differences(
    first: str, second: str, rows: pd.DataFrame, place: str, comparison: Comparison, figures: Figures
) -> Picture:
    what = f"{first} − {second}"
    shown = plot.difference_intervals(rows, comparison.labels, f"auPRC of {what}")
    return picture(shown, figures, what, f"Differences in auPRC on {place}: {what}", rows)
