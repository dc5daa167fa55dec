"""Critical-difference diagrams: methods by mean or mean rank, and which of them do not differ. See `plot`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from simbench_tf.plot.figure import (
    ACCENT,
    CEILING,
    CHANCE,
    FAINT,
    INK,
    QUIET,
    SMALL,
    new_axes,
    points_across,
    readable,
    style_axes,
)
from simbench_tf.plot.point_labels import room_for
from simbench_tf.score import critical_difference, mean_ranks

Floats = npt.NDArray[np.floating]


#: Width of what the methods span, and room on its left, in inches.
_SPAN, _LEFT = 2.4, 0.15
#: Letters of a name.
_LONGEST = 58


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
        Mean rank 1, the best, at the right, as the paper has it. Each bar spans methods whose ranks differ by less
        than Nemenyi's critical difference at the level .05, which is drawn above the axis.

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
    ax = _axes(ax, height, ranks, labels)
    ax.set(xlim=_limits(k + 0.2, 0.8, ax), ylim=(k + 0.6, -0.6))
    ax.plot([1, 1 + least], [-0.35, -0.35], color=CEILING, linewidth=2.4, solid_capstyle="butt")
    ax.text(0.9, -0.35, f"critical difference {least:.2f}", ha="left", va="center", fontsize=SMALL, color=INK)
    _draw_names(ax, ranks, labels, 2)
    for number, (first, last) in enumerate(_level_runs(ranks.to_numpy(), least)):
        at = 0.16 + 0.14 * (number % 3)
        ends = [ranks.iloc[first] - 0.03, ranks.iloc[last] + 0.03]
        ax.plot(ends, [at, at], color=CHANCE, linewidth=2.4, solid_capstyle="butt", gid="level")
    ax.set_xticks(range(1, k + 1))
    _style(ax)
    return ax


def difference_diagram(
    means: pd.Series, level: pd.DataFrame, labels: Mapping[str, str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw methods at their means, and bars over those between which no difference is shown.

    Unlike `critical_difference_diagram` it makes no test of its own: it shows what another one found.

    Parameters
    ----------
    means : Series
        By key, higher is better.
    level : DataFrame of bool
        Keys x keys, symmetric: whether no difference is shown between the two.
    labels : dict, optional
        What to call each key.
    ax : Axes, optional

    Returns
    -------
    Axes
        Axis from low to high, the best at the right and on top. Each bar has a dot at every method of a largest set
        of which no two differ; a method that a bar passes without a dot is not of the set.

    Raises
    ------
    ValueError
        Fewer than two methods have a mean.

    Examples
    --------
    >>> means = pd.Series({"a": .5, "b": .62, "c": .6})
    >>> level = pd.DataFrame([[True, False, False], [False, True, True], [False, True, True]], list("abc"), list("abc"))
    >>> ax = difference_diagram(means, level)
    >>> [text.get_text() for text in ax.texts], [line.get_xdata().tolist() for line in ax.lines if line.get_gid()]
    (['b  0.620', 'c  0.600', 'a  0.500'], [[0.62, 0.6]])
    """
    ordered = means.dropna().sort_values(ascending=False, kind="stable")
    if len(ordered) < 2:
        raise ValueError(f"need two methods or more, not {len(ordered)}")
    bars = _largest_level_sets(level.loc[ordered.index, ordered.index].to_numpy(np.bool_))
    k, step = len(ordered), 0.3
    room = step * len(bars)
    height = 0.24 * (k + room) + 0.75
    ax = _axes(ax, height, ordered, labels)
    span = max(float(ordered.iloc[0] - ordered.iloc[-1]), 1e-9)
    low, high = ordered.iloc[-1] - 0.05 * span, ordered.iloc[0] + 0.02 * span
    ax.set(xlim=_limits(low, high, ax), ylim=(k + room + 0.6, 0))
    _draw_names(ax, ordered, labels, 3, room)
    for number, members in enumerate(bars):
        places = ordered.iloc[members].to_numpy()
        at = [step * (number + 0.7)] * len(places)
        ax.plot(places, at, color=CHANCE, linewidth=2, marker="o", markersize=3.5, gid="level")
    ax.xaxis.set_major_locator(MaxNLocator(10))
    ax.set_xticks([tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ordered.iloc[0] + 0.1 * span])
    _style(ax)
    return ax


def _axes(ax: Axes | None, height: float, places: pd.Series, labels: Mapping[str, str] | None) -> Axes:
    """Axes as wide as the span and the longest name beside it."""
    names = [_name(key, labels) + " " * 8 for key in places.index]
    width = _LEFT + _SPAN + room_for(names, _LONGEST + 8)
    return new_axes(ax, width, height, left=_LEFT / width, right=0.99, top=1 - 0.42 / height, bottom=0.04 / height)


def _limits(left: float, right: float, ax: Axes) -> tuple[float, float]:
    """Limits of the whole axes where left and right are those of the span.

    The rightmost point has the upper name, beside it, so no line to another point crosses a name.
    """
    return left, left + (right - left) * points_across(ax) / (72 * _SPAN)


def _name(key: object, labels: Mapping[str, str] | None) -> str:
    return readable((labels or {}).get(str(key), str(key)), _LONGEST)


def _draw_names(ax: Axes, places: pd.Series, labels: Mapping[str, str] | None, digits: int, below: float = 0.0) -> None:
    for row, (key, place) in enumerate(places.items()):
        at = row + below + 0.95
        ax.plot([place, place], [0, at], color=FAINT, linewidth=1, zorder=0)
        ax.plot(place, at, marker="o", markersize=5, color=ACCENT if row == 0 else QUIET)
        name = f"{_name(key, labels)}  {place:.{digits}f}"
        ax.annotate(
            name, (place, at), xytext=(7, 0), textcoords="offset points", va="center", fontsize=SMALL - 0.5,
            color=INK, parse_math=False,
        )  # fmt: skip


def _style(ax: Axes) -> None:
    ax.set_yticks([])
    ax.xaxis.tick_top()
    style_axes(ax)
    ax.spines[["left", "bottom"]].set_visible(False)


def _largest_level_sets(level: npt.NDArray[np.bool_]) -> list[list[int]]:
    """Maximal sets of two or more of which all are level with each other (Bron & Kerbosch), in order."""
    beside = [set(np.flatnonzero(row)) - {number} for number, row in enumerate(level)]
    found: list[list[int]] = []

    def grow(members: set[int], possible: set[int], done: set[int]) -> None:
        if not possible and not done and len(members) > 1:
            found.append(sorted(int(member) for member in members))
        pivot = max(possible | done, key=lambda each: len(beside[each] & possible), default=None)
        for each in sorted(possible - (set() if pivot is None else beside[pivot])):
            grow(members | {each}, possible & beside[each], done & beside[each])
            possible, done = possible - {each}, done | {each}

    grow(set(), set(range(len(level))), set())
    return sorted(found)


def _level_runs(ranks: Floats, least: float) -> list[tuple[int, int]]:
    """First and last of each longest run of sorted ranks that lie less than `least` apart."""
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + least, "left")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
