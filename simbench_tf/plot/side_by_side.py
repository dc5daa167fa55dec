"""Plots of several runs side by side: what each method reaches in every run, and differences between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from simbench_tf.plot.figure import (
    ACCENT,
    BASE_COLOURS,
    CEILING,
    CHANCE,
    FAINT,
    INK,
    QUIET,
    SMALL,
    new_axes,
    points_tall,
    readable,
    style_axes,
)

#: Of the runs, in their order; beyond these they are drawn alike.
_COLOURS = (ACCENT, CHANCE, CEILING, BASE_COLOURS["C"], BASE_COLOURS["T"], INK)
#: Inches of a row and of the foot.
_ROW, _FOOT = 0.44, 0.5


def runs_side_by_side(
    scores: pd.DataFrame,
    runs: Sequence[str],
    labels: Mapping[str, str] | None = None,
    title: str = "mean auPRC, 95% interval",
    ax: Axes | None = None,
) -> Axes:
    """Draw what each method reaches in every run: a dot a run, on a line from auprc_low to auprc_high.

    Parameters
    ----------
    scores : DataFrame
        Of one model and task: run, key, auprc, auprc_low and auprc_high (NaN where there is no line).
    runs : sequence of str
        In the order of the legend.
    labels : dict, optional
        What to call each key.
    title : str
        What dots and lines are.
    ax : Axes, optional

    Returns
    -------
    Axes
        Methods from the best mean over the runs down; row i lies at y = -i.

    Examples
    --------
    >>> scores = pd.DataFrame({"run": ["a", "b"], "key": "ism@none", "auprc": [.5, .6], "auprc_low": .4,
    ...                        "auprc_high": .7})
    >>> ax = runs_side_by_side(scores, ["a", "b"])
    >>> [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "o"]
    [[0.5], [0.6]]
    """
    keys = list(scores.groupby("key", sort=False)["auprc"].mean().sort_values(ascending=False, kind="stable").index)
    n_lines = -(-len(runs) // 2)
    ax = _rows(keys, labels, ax, foot=_FOOT + 0.2 * n_lines)
    for number, run in enumerate(runs):
        mine = scores[scores["run"] == run].set_index("key")
        colour = _COLOURS[number] if number < len(_COLOURS) else QUIET
        for row, key in enumerate(keys):
            if key not in mine.index:
                continue
            value, low, high = (float(mine.loc[key, name]) for name in ("auprc", "auprc_low", "auprc_high"))
            at = -row + 0.1 * ((len(runs) - 1) / 2 - number)
            ax.plot([low, high], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")
            ax.plot([value], [at], color=colour, marker="o", markersize=5)
    most = np.nanmax(scores[["auprc", "auprc_high"]].to_numpy(np.float64), initial=0.0)
    ax.set_xlim(0, min(1.0, 1.06 * most) or 1.0)
    ax.set_xlabel(title, color=INK, fontsize=SMALL, loc="left")
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=(*_COLOURS, *[QUIET] * len(runs))[number],
               label=readable(run, 30).replace("$", r"\$"))
        for number, run in enumerate(runs)
    ]  # fmt: skip
    ax.legend(
        handles=handles, frameon=False, fontsize=SMALL, labelcolor=INK, ncols=2, loc="upper left", borderpad=0,
        bbox_to_anchor=(-0.02, -30 / points_tall(ax)), borderaxespad=0, handletextpad=0.3,
    )  # fmt: skip
    return ax


def difference_intervals(
    differences: pd.DataFrame, labels: Mapping[str, str] | None = None, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw differences between two runs, one row a method, with their intervals and the line of no difference.

    Parameters
    ----------
    differences : DataFrame
        Of one model, task and pair of runs: key, difference, low, high, p_holm.
    labels : dict, optional
        What to call each key.
    title : str
        What is taken from what.
    ax : Axes, optional

    Returns
    -------
    Axes
        Row i, in the order of the table, lies at y = -i; in colour where p, corrected, is below .05. Ticks are at 0.

    Examples
    --------
    >>> rows = pd.DataFrame({"key": ["ism@none"], "difference": .1, "low": .05, "high": .15, "p_holm": .01})
    >>> ax = difference_intervals(rows)
    >>> [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "o"]
    [[0.1]]
    """
    ax = _rows(list(differences["key"]), labels, ax, foot=_FOOT)
    for row, line in enumerate(differences.to_dict("records")):
        colour = ACCENT if line["p_holm"] < 0.05 else QUIET
        ax.plot([line["low"], line["high"]], [-row, -row], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot([line["difference"]], [-row], color=colour, marker="o", markersize=6)
    bounds = differences[["difference", "low", "high"]].to_numpy(np.float64)
    most = 1.1 * np.nanmax(np.abs(bounds), initial=0.0) or 1.0
    # a line through all rows would strike through names
    ax.plot(np.zeros(len(differences)), -np.arange(len(differences)), linestyle="", marker="|", markersize=11,
            markeredgewidth=1.6, color=CHANCE, zorder=1)  # fmt: skip
    ax.set_xlim(-most, most)
    ax.set_xlabel(readable(title, 70), color=INK, fontsize=SMALL, loc="left", parse_math=False)
    return ax


def _rows(keys: Sequence[Any], labels: Mapping[str, str] | None, ax: Axes | None, foot: float) -> Axes:
    """Axes with a track for each key and its name above."""
    height = _ROW * len(keys) + foot
    ax = new_axes(ax, 4.5, height, left=0.03, right=0.97, top=1 - 0.04 / height, bottom=foot / height)
    for row, key in enumerate(keys):
        name = readable((labels or {}).get(str(key), str(key)), 60)
        ax.text(
            0, 0.27 - row, name, ha="left", va="bottom", fontsize=SMALL, color=INK, parse_math=False,
            transform=ax.get_yaxis_transform(),
        )  # fmt: skip
        ax.axhline(-row, color=FAINT, linewidth=1, zorder=0)
    ax.set(ylim=(-len(keys) + 0.5, 0.8), yticks=[])
    style_axes(ax)
    ax.spines["left"].set_visible(False)
    return ax
