"""Figures of a comparison of runs: each method's scores side by side, and its differences between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from simbench_tf import plot
from simbench_tf.report.sections import Figures, Picture, picture

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
    for (model, task), differences in rows.groupby(["model", "task"], sort=False):
        single = comparison.scores[(comparison.scores["model"] == model) & (comparison.scores["task"] == task)]
        if any(str(model).startswith(f"{base}-seed") for base in several) or len(places) == MOST:
            continue
        place = f"{task}, {model}"
        pictures = []
        if len(single):
            shown = plot.runs_side_by_side(single, comparison.runs, comparison.labels)
            pictures.append(picture(shown, figures, "Scores", f"auPRC of each run on {place}", single))
        for (first, second), mine in differences.groupby(["first", "second"], sort=False):
            pictures.append(_differences(str(first), str(second), mine, place, comparison, figures))
        places.append(DrawnPlace(place, pictures))
    return places


def _differences(
    first: str, second: str, rows: pd.DataFrame, place: str, comparison: Comparison, figures: Figures
) -> Picture:
    what = f"{first} − {second}"
    shown = plot.difference_intervals(rows, comparison.labels, f"auPRC of {what}")
    return picture(shown, figures, what, f"Differences in auPRC on {place}: {what}", rows)
