"""Plot of what methods miss: the method's part, which remains on a perfect model, and what the network adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from simbench_tf.plot.curves import in_order
from simbench_tf.plot.figure import (
    ACCENT,
    CHANCE,
    INK,
    QUIET,
    SMALL,
    new_axes,
    points_across,
    points_tall,
    readable,
    style_axes,
)
from simbench_tf.plot.rows import choose_rows

#: Found, missed by the network, missed by the method, and found here though missed on the perfect model.
_COLOURS = {"found": ACCENT, "the network's miss": QUIET, "the method's miss": CHANCE}
_HEIGHT = 0.26


def split_of_misses(
    misses: pd.DataFrame,
    labels: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    order: Sequence[str] | None = None,
    *,
    model: str | None = None,
    task: str | None = None,
) -> Axes:
    """Draw, for each method, what it finds on a network, what the network adds to its miss, and what is its own miss.

    Parameters
    ----------
    misses : DataFrame
        Rows of RUN/scores/misses.csv of one model and perfect model, or means of them: key, auprc, perfect_auprc,
        oracle_auprc.
    labels : dict, optional
        What to call each key.
    ax : Axes, optional
    order : sequence of str, optional
        As `method_ranking` takes it.
    model, task : str, optional
        Which rows are drawn, of a table that holds several models or tasks.

    Returns
    -------
    Axes
        Methods from the best down, row i at y = -i. A bar runs from 0 to the exact posterior's auPRC. Where a method
        finds more on the network than on the perfect model, that part is hatched.

    Examples
    --------
    >>> misses = pd.DataFrame({"key": ["ism@none"], "auprc": [.5], "perfect_auprc": [.8], "oracle_auprc": [.95]})
    >>> ax = split_of_misses(misses)
    >>> [(round(float(bar.get_x()), 2), round(float(bar.get_width()), 2)) for bar in ax.patches]
    [(0.0, 0.5), (0.5, 0.3), (0.8, 0.15)]
    """
    rows = choose_rows(misses, model, task).sort_values("auprc", ascending=False, kind="stable")
    if order is not None:
        rows = in_order(rows, order)
    height = 0.42 * len(rows) + 0.5
    ax = new_axes(ax, 4.5, height, left=0.03, right=0.97, top=1 - 0.04 / height, bottom=0.46 / height)
    for place, row in enumerate(rows.to_dict("records")):
        found, right, ceiling = (float(row[name]) for name in ("auprc", "perfect_auprc", "oracle_auprc"))
        _bar(ax, place, 0, min(found, right), ACCENT)
        _bar(ax, place, min(found, right), found, ACCENT, hatch="////")
        _bar(ax, place, found, max(found, right), QUIET)
        _bar(ax, place, max(found, right), ceiling, CHANCE)
        style: dict[str, Any] = {"va": "bottom", "color": INK, "parse_math": False}
        style["transform"] = ax.get_yaxis_transform()
        name = readable((labels or {}).get(row["key"], row["key"]), 64)
        size = min(10.0, max(7.0, (points_across(ax) - 40) / (0.55 * len(name) or 1)))
        ax.text(0, 0.2 - place, name, ha="left", fontsize=size, **style)
        ax.text(1, 0.2 - place, f"{found:.2f}", ha="right", fontsize=10, **style)
    most = float(np.nanmax(rows[["auprc", "oracle_auprc"]].to_numpy())) if len(rows) else 1.0
    ax.set(xlim=(0, most * 1.02), ylim=(-len(rows) + 0.55, 0.75), yticks=[])
    ax.set_xlabel("mean auPRC", color=INK, fontsize=SMALL, loc="left")
    style_axes(ax)
    ax.spines["left"].set_visible(False)
    ax.legend(
        handles=[Patch(color=colour, label=name) for name, colour in _COLOURS.items()],
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        loc="center right",
        bbox_to_anchor=(1.01, -23 / points_tall(ax)),
        ncols=3,
        handlelength=0.8,
        handletextpad=0.3,
        borderpad=0,
        columnspacing=1,
    )
    return ax


def _bar(ax: Axes, place: int, start: float, end: float, colour: str, hatch: str | None = None) -> None:
    if end > start:
        face = "none" if hatch else colour
        ax.barh(-place, end - start, _HEIGHT, start, color=face, edgecolor=colour if hatch else "none", hatch=hatch)
