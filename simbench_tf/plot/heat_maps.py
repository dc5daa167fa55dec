"""Heat maps of motifs: which methods find them, and when a network learns them. Public through `plot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from simbench_tf.plot.figure import (
    ACCENT,
    CHANCE,
    FAINT,
    INK,
    ON_ACCENT,
    QUIET,
    SMALL,
    TIP,
    ShownAxes,
    ShownFigure,
    new_axes,
    plain_number,
    readable,
    style_axes,
)
from simbench_tf.plot.numbers import fixed
from simbench_tf.plot.point_labels import LINE, label_points, room_for
from simbench_tf.plot.rows import choose_rows

Floats = npt.NDArray[np.floating]


#: Width of a cell and height of a row, in inches.
_CELL, _ROW = 0.42, 0.26
#: Room above the cells, in inches, for what their numbers are.
_HEAD = 0.28
#: Letters of a row's name.
_LONGEST = 58


def motif_heat_map(
    recall: pd.DataFrame,
    labels: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    by: str = "motif",
    ax: Axes | None = None,
    *,
    model: str | None = None,
    task: str | None = None,
) -> Axes:
    """Draw the share of sites that each method finds, one row per method and one column per group of sites.

    Parameters
    ----------
    recall : DataFrame
        RUN/scores/motif_recall.csv, or rows of it: key, by, group, n_sites and recall.
    labels : dict, optional
        What to call each key.
    names : dict, optional
        What to call each group, as MA0114.4 by its factor.
    by : {"motif", "strand", "distance", "information"}
    ax : Axes, optional
    model, task : str, optional
        Which rows are drawn, of a table that holds several models or tasks.

    Returns
    -------
    Axes
        Cells as patches, row after row, whose opacity is the recall; groups with most sites first, except that
        ranges keep their order; methods in the order of the table.

    Raises
    ------
    ValueError
        The table has no row of that kind.

    Examples
    --------
    >>> recall = pd.DataFrame({"key": ["ism@none", "ism@none"], "by": "motif", "group": ["CTCF", "GATA1"],
    ...                        "n_sites": [20, 30], "recall": [.5, .8]})
    >>> ax = motif_heat_map(recall)
    >>> [text.get_text() for text in ax.texts]
    ['.80', '.50']
    """
    rows = choose_rows(recall[recall["by"] == by], model, task, ["key", "group"])
    if rows.empty:
        raise ValueError(f"no row of recall is by {by!r}; there are {sorted(set(recall['by']))}")
    table = rows.pivot_table("recall", "key", "group", sort=False, dropna=False)
    sites = rows.groupby("group", sort=False)["n_sites"].max()
    if by == "motif":
        table = table[sites.sort_values(ascending=False, kind="stable").index]
    columns = [f"{(names or {}).get(group, group)} ({sites[group]})" for group in table.columns]
    rows_of = [(labels or {}).get(key, key) for key in table.index]
    ax = _cells(table.to_numpy(np.float64), [str(name) for name in rows_of], columns, ax)
    _above(ax, "share of sites found (number of sites)")
    return ax


def correlation_heat_map(found: pd.DataFrame, names: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how much the best found motif is like each true one, one row per caller and one column per motif.

    Parameters
    ----------
    found : DataFrame
        name (of the row), motif and correlation (-1 to 1; NaN where nothing was found), as the rows of
        RUN/scores/motifs.csv whose kind is "true".
    names : dict, optional
        What to call each motif, as MA0114.4 by its factor.
    ax : Axes, optional

    Returns
    -------
    Axes
        Cells as patches, row after row, whose opacity is the correlation; rows and motifs in the order of the table.

    Examples
    --------
    >>> found = pd.DataFrame({"name": "ism, TF-MoDISco", "motif": ["CTCF", "GATA1"], "correlation": [.97, None]})
    >>> [text.get_text() for text in correlation_heat_map(found).texts]
    ['.97', '–']
    """
    table = found.pivot_table("correlation", "name", "motif", sort=False, dropna=False)
    columns = [str((names or {}).get(motif, motif)) for motif in table.columns]
    ax = _cells(table.to_numpy(np.float64), [str(name) for name in table.index], columns, ax)
    _above(ax, "correlation of the best motif found")
    return ax


def motif_dynamics(
    dynamics: pd.DataFrame,
    learnt: pd.DataFrame | None = None,
    names: Mapping[str, str] | None = None,
    *,
    task: str | None = None,
) -> Axes:
    """Draw the recall of each motif as a network trains, the loss above.

    Parameters
    ----------
    dynamics : DataFrame
        RUN/dynamics/MODEL/dynamics.csv, or rows of it: motif, batch, recall (average precision of the motif's
        bases) and loss (of the watched sequences).
    learnt : DataFrame, optional
        learnt.csv, or rows of it: motif and learnt_at, which is marked; motifs are drawn in its order.
    names : dict, optional
        What to call each motif.
    task : str, optional
        Which rows are drawn, of a table that holds several tasks.

    Returns
    -------
    Axes
        Of the heat map: one column per checkpoint, motifs in the order they were learnt. That of the loss is
        ``ax.figure.axes[0]``.

    Examples
    --------
    >>> table = pd.DataFrame({"motif": ["CTCF"] * 3, "batch": [0, 10, 100], "recall": [.1, .2, .6],
    ...                       "loss": [.7, .6, .4]})
    >>> ax = motif_dynamics(table, pd.DataFrame({"motif": ["CTCF"], "learnt_at": [40.0]}))
    >>> ax.figure.axes[0].lines[0].get_ydata().tolist()
    [0.7, 0.6, 0.4]
    """
    dynamics = choose_rows(dynamics, None, task, ["motif", "batch"])
    learnt = learnt if learnt is None else choose_rows(learnt, None, task, ["motif"])
    table = dynamics.pivot_table("recall", "motif", "batch", dropna=False)
    learnt_at = pd.Series(np.nan, table.index) if learnt is None else learnt.set_index("motif")["learnt_at"]
    learnt_at = learnt_at.reindex(table.index)
    order = learnt_at.sort_values(kind="stable", na_position="last").index
    table, batches = table.loc[order], np.asarray(table.columns, np.float64)
    rows, columns = table.shape
    width, height = 1.9 + _CELL * columns, 1.9 + _ROW * rows
    figure = ShownFigure(figsize=(width, height))
    left, right, bottom = 1.25 / width, 1 - 0.15 / width, 0.62 / height
    top = bottom + _ROW * rows / height
    gap, edge = 0.12 / height, 0.1 / height
    above = figure.add_axes((left, top + gap, right - left, 1 - edge - top - gap), axes_class=ShownAxes)
    ax = figure.add_axes((left, bottom, right - left, top - bottom), axes_class=ShownAxes)
    loss = dynamics.groupby("batch")["loss"].first()
    above.plot(np.arange(columns) + 0.5, loss, color=QUIET, linewidth=1.6, marker="o", markersize=3)
    above.set(xlim=(0, columns), xticks=[])
    above.set_ylabel("loss", color=INK, fontsize=SMALL)
    style_axes(above)
    _cells(
        table.to_numpy(np.float64),
        [str((names or {}).get(name, name)) for name in order],
        [plain_number(each) for each in batches],
        ax,
    )
    for row, value in enumerate(learnt_at.loc[order]):
        if np.isfinite(value):
            at = np.interp(np.log1p(value), np.log1p(batches), np.arange(columns) + 0.5)
            # above and below the cell's number, which it may stand at
            ends = [row + 0.02, row + 0.24, np.nan, row + 0.78, row + 0.98]
            ax.plot([at] * len(ends), ends, color=CHANCE, linewidth=2.2, solid_capstyle="butt")
    ax.set_xlabel("batches (cell: average precision; mark: learnt)", color=INK, fontsize=SMALL)
    return ax


def learnt_against(
    learnt: pd.DataFrame,
    quantity: str = "information",
    names: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    *,
    task: str | None = None,
) -> Axes:
    """Draw when each motif is learnt against what it is: bits of information, or how often it occurs.

    Parameters
    ----------
    learnt : DataFrame
        RUN/dynamics/MODEL/learnt.csv, or rows of it: motif, learnt_at (NaN where it never was) and `quantity`.
    quantity : {"information", "rate", "surplus"}
    names : dict, optional
        What to call each motif.
    ax : Axes, optional
    task : str, optional
        Which rows are drawn, of a table that holds several tasks.

    Returns
    -------
    Axes
        Learnt motifs as dots on a log axis of batches; the others hollow, on top. Names from the top down.

    Examples
    --------
    >>> learnt = pd.DataFrame({"motif": ["CTCF", "GATA1"], "learnt_at": [30.0, None], "information": [17.0, 10.0]})
    >>> [text.get_text() for text in learnt_against(learnt).texts]
    ['GATA1', 'CTCF']
    """
    learnt = choose_rows(learnt, None, task, ["motif"])
    titles = {"information": "information, bits", "rate": "expected sites a positive", "surplus": "surplus, bits"}
    motifs = [str((names or {}).get(motif, motif)) for motif in learnt["motif"]]
    width, height = 3.2 + room_for(motifs, 24), max(2.7, LINE * len(learnt) / 72 + 0.7)
    ax = new_axes(ax, width, height, left=0.65 / width, right=3.2 / width, bottom=0.52 / height, top=1 - 0.12 / height)
    x = pd.to_numeric(learnt[quantity]).to_numpy(np.float64)
    y = pd.to_numeric(learnt["learnt_at"]).to_numpy(np.float64)
    known = np.isfinite(y)
    never = 2 * np.nanmax(y) if known.any() else 1.0
    heights = np.where(known, y, never)
    ax.scatter(x[known], heights[known], s=30, color=ACCENT, zorder=3)
    ax.scatter(x[~known], heights[~known], s=30, facecolors="none", edgecolors=QUIET, zorder=3)
    ax.set_yscale("log")
    ax.margins(0.12)
    low, high = heights.min() / 2, heights.max() * 2
    ax.set_ylim(low, high)
    # what was learnt within a decade holds no power of ten
    subs = (1.0,) if high >= 100 * low else (1.0, 2.0, 3.0, 5.0)
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(plain_number)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(titles.get(quantity, quantity), color=INK, fontsize=SMALL)
    ax.set_ylabel("learnt at batch" + ("" if known.all() else "; ring: never"), color=INK, fontsize=SMALL)
    style_axes(ax)
    label_points(ax, x, heights, motifs, 24)
    return ax


def _above(ax: Axes, text: str) -> None:
    """What the numbers in the cells are, above them: below hang names of any length."""
    # to the right edge: on the left is the room of the rows' names
    ax.set_title(text, loc="right", fontsize=SMALL, color=INK, pad=5)


def _cells(values: Floats, rows: Sequence[str], columns: Sequence[str], ax: Axes | None) -> Axes:
    """Cells whose opacity is their value from 0 to 1, with it written in; names at the left and, slanted, below."""
    n_rows, n_columns = values.shape
    beside, below = (max((len(name) for name in names), default=0) for names in (rows, columns))
    # the line above the cells needs some room, too
    left = max(0.25 + 0.062 * min(beside, _LONGEST), 2.9 - _CELL * n_columns)
    foot = 0.2 + 0.045 * min(below, 24)
    width, height = left + _CELL * n_columns + 0.2, _ROW * n_rows + foot + _HEAD
    margins = {"left": left / width, "right": 1 - 0.2 / width, "bottom": foot / height, "top": 1 - _HEAD / height}
    ax = new_axes(ax, width, height, **margins)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            known = np.isfinite(value)
            opacity = float(np.clip(value, 0, 1)) if known else 0.0
            told = readable(f"{rows[row]}, {columns[column]}: {fixed(value)}", 140)
            ax.add_patch(
                Rectangle(
                    (column + 0.03, row + 0.04), 0.94, 0.92, facecolor=ACCENT, alpha=opacity, linewidth=0,
                    gid=TIP + told,
                )
            )  # fmt: skip
            text = f"{value:.2f}".replace("0.", ".") if known else "–"
            colour = ON_ACCENT if opacity > 0.55 else INK
            ax.text(column + 0.5, row + 0.54, text, ha="center", va="center", fontsize=SMALL, color=colour)
    ax.set(xlim=(0, n_columns), ylim=(n_rows, 0))
    ax.set_xticks(np.arange(n_columns) + 0.5, [readable(name, 24) for name in columns], rotation=35, ha="right")
    ax.set_yticks(np.arange(n_rows) + 0.5, [readable(name, _LONGEST) for name in rows])
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_parse_math(False)
    style_axes(ax)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(which="both", length=0, labelsize=SMALL - 0.5)
    ax.tick_params(axis="x", labelcolor=INK, color=FAINT)
    return ax
