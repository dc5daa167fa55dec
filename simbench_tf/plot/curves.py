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
    TIP,
    new_axes,
    points_across,
    points_tall,
    readable,
    style_axes,
)
from simbench_tf.plot.numbers import with_error
from simbench_tf.plot.rows import choose_rows
from simbench_tf.score import without_nulls

Floats = npt.NDArray[np.floating]
#: What metrics are called.
TITLES = {"auprc": "auPRC", "auroc": "auROC", "mass_fraction": "share of |attribution| on true bases"}


def metric_title(metric: str) -> str:
    """What a metric is called; one that another package brings goes by its name.

    Examples
    --------
    >>> metric_title("auprc"), metric_title("window_auprc")
    ('auPRC', 'window auprc')
    """
    return TITLES.get(metric, metric.replace("_", " "))


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
    order: Sequence[str] | None = None,
    *,
    model: str | None = None,
    task: str | None = None,
) -> Axes:
    """Draw methods from the best down: mean and standard error, with the chance level and, where known, the ceiling.

    Parameters
    ----------
    summary : DataFrame
        RUN/scores/summary.csv, or rows of it; those of null methods are left out: key, `metric` and ``{metric}_se``,
        chance_auprc and, where there is one, oracle_auprc, else scan_auprc; ``null_{metric}`` may say what knowing
        nothing reaches. Rows without a value come last.
    metric : str, default "auprc"
        "auprc", "auroc", "mass_fraction", or the column of a metric that another package brings: of that no chance
        level is known, and its values may have any size and sign.
    labels : dict, optional
        What to call each key.
    ax : Axes, optional
    order : sequence of str, optional
        Keys in the order of another figure, from the top, to be drawn in that; others come last.
    model, task : str, optional
        Which rows are drawn, of a table that holds several models or tasks.

    Returns
    -------
    Axes
        Row i, from the top, lies at y = -i. The best stands out, wherever it is.

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
    if order is not None:
        rows = in_order(rows, order)
    nowhere = np.full(len(rows), np.nan)
    chance = column(rows, "chance_auprc") if metric in TITLES else nowhere
    if metric == "auroc":
        chance = np.full(len(rows), 0.5)
    exact, scan = (column(rows, name) if metric == "auprc" else nowhere for name in ("oracle_auprc", "scan_auprc"))
    ticks = [("chance", chance, CHANCE), ("knowing nothing", column(rows, f"null_{metric}"), INK)]
    known = np.isfinite(exact).any()
    ticks.append(("oracle", exact, CEILING) if known else ("motif scan", scan, CEILING))
    names = [(labels or {}).get(key, key) for key in rows["key"]]
    values, errors = column(rows, metric), column(rows, f"{metric}_se")
    bounds: Floats = np.stack([values - errors, values + errors])
    title = f"mean {metric_title(metric)} ± standard error"
    intervals = np.stack([column(rows, f"{metric}_low"), column(rows, f"{metric}_high")])
    if np.isfinite(intervals).any():
        bounds, title = intervals, f"mean {metric_title(metric)}, 95% interval"
    return _dot_rows(names, values, errors, ticks, title, ax, bounds=bounds, share=metric in TITLES)


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
    chance = np.full(len(table), 0.5) if metric == "auroc" else column(table, "positive_fraction")
    values, ceiling = column(table, metric), column(table, f"oracle_{metric}")
    title = f"test {metric_title(metric)}"
    ticks = [("chance", chance, CHANCE), ("oracle ceiling", ceiling, CEILING)]
    return _dot_rows(list(metrics), values, np.full(len(table), np.nan), ticks, title, ax, lead=False)


def _dot_rows(
    names: list[str], values: Floats, errors: Floats, ticks: Sequence[tuple[str, Floats, str]], title: str,
    ax: Axes | None, lead: bool = True, bounds: Floats | None = None, share: bool = True,
) -> Axes:  # fmt: skip
    """One row per name, from the top: its name and value above a track with a dot, and ticks (label, place, colour).

    The track begins at 0 or, of values that are no `share` from 0 to 1, below the lowest.
    """
    handles = [
        Line2D([], [], linestyle="", marker="|", markersize=9, color=colour, label=label)
        for label, places, colour in ticks
        if np.isfinite(places).any()
    ]
    # three entries of a legend have no room beside the title
    foot = 0.46 if len(handles) < 3 else 0.64
    height = 0.42 * len(names) + 0.04 + foot
    ax = new_axes(ax, 4.5, height, left=0.03, right=0.97, top=1 - 0.04 / height, bottom=foot / height)
    low, high = (values, values) if bounds is None else np.where(np.isfinite(bounds), bounds, values)
    known = np.concatenate([low, high, *(places for _, places, _ in ticks)])
    known = np.concatenate([[0.0], known[np.isfinite(known)]])
    least, most = 1.06 * known.min(), 1.06 * known.max()
    least, most = (0.0, min(1.0, most)) if share else (least, most)
    most = most if most > least else 1.0
    best = np.nanargmax(values) if lead and np.isfinite(values).any() else -1
    for row, (name, value, error) in enumerate(zip(names, values, errors, strict=True)):
        colour = ACCENT if row == best or not lead else QUIET
        shown = with_error(value, error, 2) if np.isfinite(value) else "–"
        style: dict[str, Any] = {"va": "bottom", "color": INK, "parse_math": False}
        style["transform"] = ax.get_yaxis_transform()
        # a long name is set smaller, so that it leaves room for its value
        size = min(10.0, max(7.0, (points_across(ax) - 6 - 5.6 * len(shown)) / (0.55 * len(str(name)) or 1)))
        ax.text(0, 0.26 - row, readable(name, 64), ha="left", fontsize=size, **style)
        ax.text(1, 0.26 - row, shown, ha="right", fontsize=10, weight="bold" if row == best else "normal", **style)
        ax.plot([least, most], [-row, -row], color=FAINT, linewidth=1, zorder=0, solid_capstyle="butt")
        # where all sequences have one value, an end of its interval may be off by rounding to the wrong side
        reach = np.maximum(np.nan_to_num([[value - low[row]], [high[row] - value]]), 0)
        told = TIP + readable(f"{name}: {shown}", 140)
        ax.errorbar(value, -row, xerr=reach, fmt="o", color=colour, markersize=6, elinewidth=2, gid=told)
    for _, places, colour in ticks:
        if np.isfinite(places).any():
            rows = -np.arange(len(names))
            ax.plot(places, rows, linestyle="", marker="|", markersize=11, markeredgewidth=1.8, color=colour, zorder=1)
    ax.set(xlim=(least, most), ylim=(-len(names) + 0.55, 0.75), yticks=[])
    ax.set_xlabel(title, color=INK, fontsize=SMALL, loc="left", parse_math=False)
    style_axes(ax)
    ax.spines["left"].set_visible(False)
    if handles:
        # under the axis, beside the title or below it
        below = 23 if len(handles) < 3 else 37
        _legend(
            ax, handles, loc="center right", bbox_to_anchor=(1.01, -below / points_tall(ax)), ncols=3, handlelength=0.8
        )
    return ax


def _legend(ax: Axes, handles: Any, **where: Any) -> None:
    ax.legend(
        handles=list(handles), frameon=False, fontsize=SMALL, labelcolor=INK, handletextpad=0.3, borderpad=0, **where
    )


def _legend_text(text: str) -> str:
    """A legend label: without a leading underscore, which would hide it, and no dollar sign read as TeX."""
    return text.lstrip("_").replace("$", r"\$")


def column(table: pd.DataFrame, name: str) -> Floats:
    """A column of numbers; of a table that lacks it, NaN."""
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)


def in_order(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rows by where their key stands in `keys`; the others as they were, at the end.

    Examples
    --------
    >>> in_order(pd.DataFrame({"key": ["a", "b", "c"]}), ["c", "a"])["key"].tolist()
    ['c', 'a', 'b']
    """
    places = {key: place for place, key in enumerate(keys)}
    return table.sort_values("key", key=lambda each: each.map(places).fillna(len(places)), kind="stable")
