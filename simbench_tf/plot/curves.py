"""Plots of training, scores and cost: every function draws into matplotlib axes and returns them.

Give `ax` to draw into a figure of your own; without it a new `matplotlib.figure.Figure` is made, no pyplot state
touched, and ``ax.figure.savefig(...)`` writes it. Positions are 0-based and half-open: the letter of base i lies
between x = i and i + 1. Names are drawn as they are, never read as TeX. Colours are mid-tones that show on light and
dark grounds alike; `svg` turns a figure into markup whose colours a page can set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
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
    points_across,
    points_tall,
    points_up,
    readable,
    style_axes,
)
from simbench_tf.plot.rows import choose_rows
from simbench_tf.score import pareto_front, without_nulls

Floats = npt.NDArray[np.floating]
_TITLES = {"auprc": "auPRC", "auroc": "auROC", "mass_fraction": "share of |attribution| on true bases"}


def learning_curve(history: pd.DataFrame, columns: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw columns of a training history against the number of batches.

    Parameters
    ----------
    history : DataFrame
        RUN/models/MODEL/history.csv: batch and any columns of numbers; missing values are skipped.
    columns : dict of str to str, optional
        Column and what to call it; default loss and valid_loss, those there are.
    ax : Axes, optional

    Returns
    -------
    Axes
        With one line per column, labelled at its end.

    Raises
    ------
    ValueError
        The history has no column of that name.

    Examples
    --------
    >>> ax = learning_curve(pd.DataFrame({"batch": [10, 20], "loss": [.7, .5], "valid_loss": [.68, .6]}))
    >>> ax.lines[1].get_ydata().tolist()
    [0.68, 0.6]
    """
    names = {"loss": "training", "valid_loss": "validation"}
    if columns is None:
        columns = {column: name for column, name in names.items() if column in history}
    missing = [column for column in ("batch", *columns) if column not in history]
    if missing:
        raise ValueError(f"history has no column {missing[0]!r}; it has {list(history)}")
    ax = new_axes(ax, 4.5, 2.3, left=0.11, right=0.97, bottom=0.21, top=0.83)
    colours = [QUIET, ACCENT, CHANCE, CEILING, *BASE_COLOURS.values()]
    if len(columns) == 1:
        colours = [ACCENT]
    for number, (column, name) in enumerate(columns.items()):
        line = history[["batch", column]].dropna()
        ax.plot(
            line["batch"],
            line[column],
            color=colours[number % len(colours)],
            linewidth=1.6,
            marker="o",
            markersize=3,
            label=_legend_text(readable(name, 24)),
        )
    ax.set_xlabel("batches", color=INK, fontsize=SMALL)
    style_axes(ax)
    if len(columns) > 1:
        above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.02, 1.0), "ncols": 3, "columnspacing": 1}
        _legend(ax, ax.lines, handlelength=1.2, **(above if len(columns) <= 6 else {}))
    return ax


def method_ranking(
    summary: pd.DataFrame,
    metric: str = "auprc",
    labels: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    *,
    model: str | None = None,
    task: str | None = None,
) -> Axes:
    """Draw methods from the best down: mean and standard error, with the chance level and, where known, the ceiling.

    Parameters
    ----------
    summary : DataFrame
        RUN/scores/summary.csv, or rows of it; those of null methods are left out: key, `metric` and ``{metric}_se``,
        chance_auprc and, where there is one, oracle_auprc, else scan_auprc; null_auprc may say what knowing nothing
        reaches. Rows without a value come last.
    metric : {"auprc", "auroc", "mass_fraction"}
    labels : dict, optional
        What to call each key.
    ax : Axes, optional
    model, task : str, optional
        Which rows are drawn, of a table that holds several models or tasks.

    Returns
    -------
    Axes
        Row i, from the top, lies at y = -i.

    Raises
    ------
    ValueError
        A key occurs twice, of several models, tasks or truths; or there is no such model or task.

    Examples
    --------
    >>> summary = pd.DataFrame({"key": ["saliency@none", "ism@none"], "auprc": [.4, .6], "auprc_se": [.03, .02],
    ...                         "chance_auprc": [.1, .1]})
    >>> ax = method_ranking(summary)
    >>> [text.get_text() for text in ax.texts]
    ['ism@none', '0.60 ± 0.02', 'saliency@none', '0.40 ± 0.03']
    """
    summary = choose_rows(without_nulls(summary) if "method" in summary else summary, model, task, ["key"])
    rows = summary.sort_values(metric, ascending=False, kind="stable", na_position="last")
    chance = np.full(len(rows), 0.5) if metric == "auroc" else _column(rows, "chance_auprc")
    nowhere = np.full(len(rows), np.nan)
    exact, scan, nothing = (
        _column(rows, name) if metric == "auprc" else nowhere for name in ("oracle_auprc", "scan_auprc", "null_auprc")
    )
    ticks = [("chance", chance, CHANCE), ("knowing nothing", nothing, INK)]
    known = np.isfinite(exact).any()
    ticks.append(("oracle", exact, CEILING) if known else ("motif scan", scan, CEILING))
    names = [(labels or {}).get(key, key) for key in rows["key"]]
    values, errors = _column(rows, metric), _column(rows, f"{metric}_se")
    bounds: Floats = np.stack([values - errors, values + errors])
    title = f"mean {_TITLES.get(metric, metric)} ± standard error"
    intervals = np.stack([_column(rows, f"{metric}_low"), _column(rows, f"{metric}_high")])
    if np.isfinite(intervals).any():
        bounds, title = intervals, f"mean {_TITLES.get(metric, metric)}, 95% interval"
    return _dot_rows(names, values, errors, ticks, title, ax, bounds=bounds)


def task_quality(
    metrics: Mapping[str, Mapping[str, float | None]], metric: str = "auprc", ax: Axes | None = None
) -> Axes:
    """Draw how well a model predicts each task, with chance and, where known, the oracle's ceiling.

    Parameters
    ----------
    metrics : dict
        RUN/models/MODEL/metrics.json: ``{task: {auroc, auprc, positive_fraction, oracle_auroc, oracle_auprc}}``.
    metric : {"auprc", "auroc"}
    ax : Axes, optional

    Returns
    -------
    Axes
        Task i lies at y = -i, in the order given.

    Examples
    --------
    >>> ax = task_quality({"HepG2": {"auroc": .81, "auprc": .7, "positive_fraction": .35}}, "auroc")
    >>> [text.get_text() for text in ax.texts]
    ['HepG2', '0.81']
    """
    table = pd.DataFrame([dict(values) for values in metrics.values()])
    chance = np.full(len(table), 0.5) if metric == "auroc" else _column(table, "positive_fraction")
    values, ceiling = _column(table, metric), _column(table, f"oracle_{metric}")
    title = f"test {_TITLES.get(metric, metric)}"
    ticks = [("chance", chance, CHANCE), ("oracle ceiling", ceiling, CEILING)]
    return _dot_rows(list(metrics), values, np.full(len(table), np.nan), ticks, title, ax, lead=False)


def quality_against_cost(
    summary: pd.DataFrame,
    metric: str = "auprc",
    labels: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    *,
    model: str | None = None,
    task: str | None = None,
) -> Axes:
    """Draw each method's quality against the seconds it takes per sequence, on a log axis; up and left is better.

    The line is the Pareto front: no method is both cheaper and better than those on it.

    Parameters
    ----------
    summary : DataFrame
        RUN/scores/summary.csv, or rows of it: key, `metric`, ``{metric}_se``, seconds_per_sequence. Rows without a
        value or a time are left out.
    metric, labels, ax, model, task
        As in `method_ranking`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> summary = pd.DataFrame({"key": ["ism@none", "saliency@none"], "auprc": [.6, .4], "auprc_se": [.02, .03],
    ...                         "seconds_per_sequence": [1.2, .01]})
    >>> ax = quality_against_cost(summary)
    >>> [text.get_text() for text in ax.texts], ax.get_xscale()
    (['ism@none', 'saliency@none'], 'log')
    """
    summary = choose_rows(without_nulls(summary) if "method" in summary else summary, model, task, ["key"])
    ax = new_axes(ax, 4.5, 2.9, left=0.11, right=0.97, bottom=0.2, top=0.95)
    seconds, values = _column(summary, "seconds_per_sequence"), _column(summary, metric)
    drawn = np.flatnonzero((seconds > 0) & np.isfinite(values))
    drawn = drawn[np.argsort(-values[drawn], kind="stable")]
    errors = np.nan_to_num(_column(summary, f"{metric}_se"))
    ax.set_xscale("log")
    ax.set_xlabel("seconds a sequence", color=INK, fontsize=SMALL)
    ax.set_ylabel(_TITLES.get(metric, metric), color=INK, fontsize=SMALL)
    style_axes(ax)
    if not drawn.size:
        return ax
    x, y, error = seconds[drawn], values[drawn], errors[drawn]
    front = np.flatnonzero(pareto_front(x, y))
    front = front[np.argsort(x[front], kind="stable")]
    # no method is both cheaper and better than those on the line
    ax.step(x[front], y[front], where="post", color=FAINT, linewidth=1.2, zorder=0, gid="pareto-front")
    ax.errorbar(x, y, error, fmt="none", ecolor=QUIET, elinewidth=1.2)
    ax.scatter(x, y, s=34, color=[ACCENT, *[QUIET] * (drawn.size - 1)], zorder=3)
    low, high = min(0.0, (y - error).min()), (y + error).max()
    low_x, high_x = x.min() / 2, x.max() * 2
    ax.set(xlim=(low_x, high_x), ylim=(low, low + 1.15 * (high - low) or 1.0))
    ax.xaxis.set_major_formatter(lambda second, _: f"{second:g}")
    heights = _apart(y, 0.075 * (ax.get_ylim()[1] - ax.get_ylim()[0]))
    points_a_decade = points_across(ax) / np.log10(high_x / low_x)
    for number, (at, value, height) in enumerate(zip(x, y, heights, strict=True)):
        key = summary["key"].iloc[drawn[number]]
        name = readable((labels or {}).get(key, key), 60)
        # on the side with more room, and smaller where that is too little
        room_left, room_right = (points_a_decade * np.log10(ratio) - 7 for ratio in (at / low_x, high_x / at))
        to_right = 0.54 * SMALL * len(name) <= room_right or room_right >= room_left
        size = min(SMALL, max(6.0, max(room_left, room_right) / (0.54 * len(name) or 1)))
        ax.annotate(
            name,
            (at, value),
            xytext=(7 if to_right else -7, (height - value) * points_up(ax)),
            textcoords="offset points",
            ha="left" if to_right else "right",
            va="center",
            fontsize=size,
            color=INK,
            parse_math=False,
        )
    return ax


def _dot_rows(
    names: list[str], values: Floats, errors: Floats, ticks: Sequence[tuple[str, Floats, str]], title: str,
    ax: Axes | None, lead: bool = True, bounds: Floats | None = None,
) -> Axes:  # fmt: skip
    """One row per name, from the top: its name and value above a track with a dot, and ticks (label, place, colour)."""
    height = 0.42 * len(names) + 0.5
    ax = new_axes(ax, 4.5, height, left=0.03, right=0.97, top=1 - 0.04 / height, bottom=0.46 / height)
    low, high = (values, values) if bounds is None else np.where(np.isfinite(bounds), bounds, values)
    known = np.concatenate([high, *(places for _, places, _ in ticks)])
    most = min(1.0, 1.06 * np.nanmax(known)) if np.isfinite(known).any() else 1.0
    best = np.nanargmax(values) if lead and np.isfinite(values).any() else -1
    for row, (name, value, error) in enumerate(zip(names, values, errors, strict=True)):
        colour = ACCENT if row == best or not lead else QUIET
        shown = "–" if not np.isfinite(value) else f"{value:.2f}" + (f" ± {error:.2f}" if np.isfinite(error) else "")
        style: dict[str, Any] = {"va": "bottom", "color": INK, "parse_math": False}
        style["transform"] = ax.get_yaxis_transform()
        # a long name is set smaller, so that it leaves room for its value
        size = min(10.0, max(7.0, (points_across(ax) - 64) / (0.55 * len(str(name)) or 1)))
        ax.text(0, 0.22 - row, readable(name, 64), ha="left", fontsize=size, **style)
        ax.text(1, 0.22 - row, shown, ha="right", fontsize=10, weight="bold" if row == best else "normal", **style)
        ax.plot([0, most], [-row, -row], color=FAINT, linewidth=1, zorder=0, solid_capstyle="butt")
        # where all sequences have one value, an end of its interval may be off by rounding to the wrong side
        reach = np.maximum(np.nan_to_num([[value - low[row]], [high[row] - value]]), 0)
        ax.errorbar(value, -row, xerr=reach, fmt="o", color=colour, markersize=6, elinewidth=2)
    handles = []
    for label, places, colour in ticks:
        if np.isfinite(places).any():
            rows = -np.arange(len(names))
            ax.plot(places, rows, linestyle="", marker="|", markersize=11, markeredgewidth=1.8, color=colour, zorder=1)
            handles.append(Line2D([], [], linestyle="", marker="|", markersize=9, color=colour, label=label))
    ax.set(xlim=(0, most), ylim=(-len(names) + 0.55, 0.75), yticks=[])
    ax.set_xlabel(title, color=INK, fontsize=SMALL, loc="left", parse_math=False)
    style_axes(ax)
    ax.spines["left"].set_visible(False)
    if handles:
        # beside the title, under the axis
        _legend(
            ax, handles, loc="center right", bbox_to_anchor=(1.01, -23 / points_tall(ax)), ncols=3, handlelength=0.8
        )
    return ax


def _legend(ax: Axes, handles: Any, **where: Any) -> None:
    ax.legend(
        handles=list(handles), frameon=False, fontsize=SMALL, labelcolor=INK, handletextpad=0.3, borderpad=0, **where
    )


def _legend_text(text: str) -> str:
    """A legend label: without a leading underscore, which would hide it, and no dollar sign read as TeX."""
    return text.lstrip("_").replace("$", r"\$")


def _apart(heights: Floats, least: float) -> Floats:
    """Heights in falling order, each at least `least` below the one before."""
    placed = heights.astype(np.float64)
    for number in range(1, len(placed)):
        placed[number] = min(placed[number], placed[number - 1] - least)
    return placed


def _column(table: pd.DataFrame, name: str) -> Floats:
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
