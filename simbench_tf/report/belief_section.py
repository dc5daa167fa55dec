"""The report's section of a twin: what a score is worth - the precision of called sites by score, method by method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from simbench_tf import plot
from simbench_tf.discovery.belief import crossed, fit_belief, pooled, stands_on_site
from simbench_tf.plot.numbers import fixed, percent
from simbench_tf.report import text
from simbench_tf.report.sections import Figures, Section, picture
from simbench_tf.run.results import AttributedSequences, RunResults
from simbench_tf.score.calibration import share_interval

#: Sites are counted from this probability on.
LEAST = 0.5


def what_scores_are_worth(results: RunResults, labels: Mapping[str, str], figures: Figures) -> Section | None:
    """Calibration curves of each network and task, and what sites called at .5 are; None of a run that is no twin.

    Nor where the truth is that of a scan, whose sites the sequences' own are not.
    """
    if results.likeness is None or results.config.get("scoring", {}).get("truth", "embedded") != "embedded":
        return None
    pictures, tables = [], []
    for place in results.sequences:
        signs = _signs(results.summary, place)
        keys = [key for key in labels if key in place.scores and key in signs]
        if not keys:
            continue
        caption = f"{place.model}, {place.task}"
        curves, rows = _of_place(place, keys, signs, labels)
        drawn = plot.calibration_curves(curves)
        data = pd.concat(
            pd.DataFrame({"method": name, "score": scores, "probability": probabilities})
            for name, (scores, probabilities) in curves.items()
        )
        pictures.append(picture(drawn, figures, caption, f"{caption}: probability of a true site by score", data))
        heads = ["method", "all candidates", f"called at {fixed(LEAST, 1)}", "stated", "right", "95% interval"]
        tables.append((caption, text.Table(heads, rows, (1, 6))))
    return Section(pictures, tables) if pictures else None


def _of_place(
    place: AttributedSequences, keys: list[str], signs: Mapping[str, Any], labels: Mapping[str, str]
) -> tuple[dict[str, tuple[Any, Any]], list[list[str]]]:
    """For each method its curve, and its row of the table: of calls that were believed by a fit to other sequences."""
    sites = place.sites[place.sites["counted"].to_numpy(np.bool_)]
    curves, rows = {}, []
    for key in keys:
        found = pooled([place.scores[key]], sites)
        curve = fit_belief(found.scores, found.sites, signs[key]).calls
        curves[labels[key]] = (curve.scores, curve.probabilities)
        calls = crossed(found, signs[key]).calls
        called = calls[calls["probability"] >= LEAST]
        right = stands_on_site(calls, sites).mean()
        row = [labels[key], percent(right), f"{len(called):,}"]
        if len(called):
            low, high = share_interval(called["right"], called["row"])
            row += [percent(called["probability"].mean()), percent(called["right"].mean())]
            row += [f"{percent(low)} to {percent(high)}"]
        rows.append(row + ["–"] * (6 - len(row)))
    return curves, rows


def _signs(summary: pd.DataFrame, place: AttributedSequences) -> dict[str, Any]:
    """What bases are ranked by, for each key."""
    mine = summary[(summary["model"] == place.model) & (summary["task"] == place.task)]
    return dict(zip(mine["key"], mine["sign"], strict=True))
