"""The critical-difference diagram: mean ranks of methods, and which of them do not differ significantly. See `plot`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from simbench_tf.plot.figure import ACCENT, CEILING, CHANCE, FAINT, INK, QUIET, SMALL, new_axes, readable, style_axes
from simbench_tf.score import critical_difference, mean_ranks

Floats = npt.NDArray[np.floating]


def critical_difference_diagram(
    values: pd.DataFrame, labels: Mapping[str, str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the mean ranks of methods, and bars over those that do not differ (Demsar 2006, figure 1).

    Parameters
    ----------
    values : DataFrame
        One row per sequence, one column per key: a metric that is higher for better methods. Rows with a missing value
        are left out.
    labels : dict, optional
        What to call each key.
    ax : Axes, optional

    Returns
    -------
    Axes
        Mean rank 1, the best, at the left. Each bar spans methods whose ranks differ by less than Nemenyi's critical
        difference at the level .05, which is drawn above the axis.

    Raises
    ------
    ValueError
        Fewer than two methods, or no complete row.

    Examples
    --------
    >>> values = pd.DataFrame({"a": np.arange(30.), "b": np.arange(30.) + 1, "c": np.arange(30.) - 1})
    >>> ax = critical_difference_diagram(values)
    >>> [text.get_text() for text in ax.texts]
    ['critical difference 0.61', 'b  1.00', 'a  2.00', 'c  3.00']
    """
    complete = values.dropna()
    if values.shape[1] < 2 or complete.empty:
        raise ValueError(f"need two methods or more and a sequence that all have, not {values.shape[1]} methods")
    ranks = mean_ranks(complete)
    k, least = len(ranks), critical_difference(values.shape[1], len(complete))
    height = 0.24 * k + 0.85
    ax = new_axes(ax, 4.5, height, left=0.03, right=0.97, top=1 - 0.42 / height, bottom=0.04 / height)
    ax.set(xlim=(0.8, k + 0.2 + 0.9 * k), ylim=(k + 0.6, -0.6))
    ax.plot([1, 1 + least], [-0.35, -0.35], color=CEILING, linewidth=2.4, solid_capstyle="butt")
    ax.text(1 + least, -0.35, f"critical difference {least:.2f}", ha="left", va="center", fontsize=SMALL, color=INK)
    bars = _level_runs(ranks.to_numpy(), least)
    for row, (key, rank) in enumerate(ranks.items()):
        ax.plot([rank, rank], [0, row + 0.95], color=FAINT, linewidth=1, zorder=0)
        ax.plot(rank, row + 0.95, marker="o", markersize=5, color=ACCENT if row == 0 else QUIET)
        name = f"{readable((labels or {}).get(str(key), key), 34)}  {rank:.2f}"
        ax.annotate(
            name, (rank, row + 0.95), xytext=(7, 0), textcoords="offset points", va="center", fontsize=SMALL - 0.5,
            color=INK, parse_math=False,
        )  # fmt: skip
    for number, (first, last) in enumerate(bars):
        at = 0.16 + 0.14 * (number % 3)
        ends = [ranks.iloc[first] - 0.03, ranks.iloc[last] + 0.03]
        ax.plot(ends, [at, at], color=CHANCE, linewidth=2.4, solid_capstyle="butt", gid="level")
    ax.set_xticks(range(1, k + 1))
    ax.set_yticks([])
    ax.xaxis.tick_top()
    style_axes(ax)
    ax.spines[["left", "bottom"]].set_visible(False)
    return ax


def _level_runs(ranks: Floats, least: float) -> list[tuple[int, int]]:
    """First and last of each longest run of sorted ranks that lie less than `least` apart."""
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + least, "left")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
