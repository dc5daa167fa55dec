"""Plots of what motif callers find: rates that they state against true ones, and true motifs above found ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench_tf.plot.figure import (
    ACCENT,
    BASE_COLOURS,
    CEILING,
    CHANCE,
    FAINT,
    INK,
    QUIET,
    SMALL,
    ShownFigure,
    new_axes,
    points_across,
    points_tall,
    readable,
    style_axes,
)
from simbench_tf.plot.logos import logo

Floats = npt.NDArray[np.floating]

#: Lines beyond these are drawn alike.
_COLOURS = (ACCENT, CHANCE, CEILING, BASE_COLOURS["C"], BASE_COLOURS["T"], INK)
#: Area of a dot, in square points: of few calls, and what the most add.
_LEAST, _MORE = 8.0, 160.0
#: Lines of the legend, in points.
_LINE = 14.0
#: Positions beside the true motif that are still drawn.
_BESIDE = 8


def stated_against_true(calls: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the false discovery rate that a caller states against the share of its calls that stand on no true site.

    Parameters
    ----------
    calls : DataFrame
        name (of the line), stated and true (rates, 0-1) and n_called, the calls at or below the stated rate. Rows
        without calls have no true rate and are left out.
    ax : Axes, optional

    Returns
    -------
    Axes
        A line for each name in the table's order, over the diagonal where both rates are equal: a caller above it
        promises too much. The area of a dot grows with the number of calls, the largest of each line is written in
        the legend. Lines after the sixth are grey and share an entry.

    Examples
    --------
    >>> calls = pd.DataFrame({"name": "ism", "stated": [.01, .05, .1], "true": [None, .04, .2],
    ...                       "n_called": [0, 30, 90]})
    >>> ax = stated_against_true(calls)
    >>> [line.get_xydata().tolist() for line in ax.lines[1:]]
    [[[0.05, 0.04], [0.1, 0.2]]]
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['ism: up to 90 calls']
    """
    known = calls[calls["true"].notna() & (calls["n_called"] > 0)]
    lines = dict(iter(known.groupby("name", sort=False)))
    n_named = min(len(lines), len(_COLOURS) + 1)
    height = 3.6 + _LINE * max(1, n_named) / 72
    foot = (48 + _LINE * max(1, n_named)) / 72
    ax = new_axes(ax, 4.5, height, left=0.12, right=0.96, bottom=foot / height, top=1 - 0.1 / height)
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--", zorder=1)
    most = float(known["n_called"].max()) if len(known) else 1.0
    for number, (name, mine) in enumerate(lines.items()):
        points = mine.sort_values("stated", kind="stable")
        stated, true, n_calls = (points[column].to_numpy(np.float64) for column in ("stated", "true", "n_called"))
        colour = _COLOURS[number] if number < len(_COLOURS) else QUIET
        label = _named(str(name), float(n_calls.max()))
        if number >= len(_COLOURS):  # one entry for all of them
            n_more = len(lines) - len(_COLOURS)
            label = f"{n_more} more" if number == len(_COLOURS) else "_"
        ax.plot(stated, true, color=colour, linewidth=1.4, label=label, marker=".", markersize=4, zorder=2)
        sizes = _LEAST + _MORE * n_calls / most
        ax.scatter(stated, true, s=sizes, color=colour, alpha=0.45, linewidths=0, zorder=3)
    largest = max([0.1, *known["stated"], *known["true"]])
    ax.set(xlim=(-0.02 * largest, 1.05 * largest), ylim=(-0.03 * largest, 1.06 * largest))
    ax.set_xlabel("stated false discovery rate", color=INK, fontsize=SMALL, loc="left")
    ax.set_ylabel("calls on no true site", color=INK, fontsize=SMALL)
    style_axes(ax)
    if lines:
        _legend_below(ax)
    return ax


def _named(name: str, n_calls: float) -> str:
    return f"{readable(name, 40)}: up to {n_calls:,.0f} call{'' if n_calls == 1 else 's'}"


def _legend_below(ax: Axes) -> None:
    legend = ax.legend(
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        loc="upper left",
        bbox_to_anchor=(-0.02, -34 / points_tall(ax)),
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.35,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
        # a long name is set smaller, so that its end is not cut off
        text.set_fontsize(min(SMALL, max(6.5, (points_across(ax) - 12) / (0.56 * len(text.get_text()) or 1))))


class AlignedMotifs(NamedTuple):
    """A true motif and a found one, to be drawn one above the other.

    Attributes
    ----------
    name, note : str
        What to write above the true one, left and right.
    true, found : float array, shape (W, 4) and (F, 4)
        Probabilities of A, C, G, T, rows sum to 1; the found one as it was found.
    strand : {"+", "-"}
        Of the found one on the true one.
    start : int
        Bases by which the found one, so turned, begins after the true one; negative: before.
    """

    name: str
    note: str
    true: Floats
    found: Floats
    strand: str
    start: int


def aligned_logos(pairs: Sequence[AlignedMotifs]) -> Figure:
    """Draw each true motif above the found one that lies on it, letters as high as their information in bits.

    Parameters
    ----------
    pairs : sequence of AlignedMotifs
        Of strand "-" the found one is drawn as its reverse complement.

    Returns
    -------
    Figure
        ``figure.axes`` holds the true and the found logo of each pair in turn, on one x axis, which begins
        with the first of both; grey lines mark how far each reaches. More than 8 positions beside the true motif are
        cut off.

    Raises
    ------
    ValueError
        There are no pairs.

    Examples
    --------
    >>> word = np.eye(4)[[0, 2, 1]]
    >>> figure = aligned_logos([AlignedMotifs("AGC", "r = 1.00", word, word[::-1, ::-1], "-", 0)])
    >>> [sorted(patch.get_gid() for patch in ax.patches) for ax in figure.axes]
    [['letters-A', 'letters-C', 'letters-G'], ['letters-A', 'letters-C', 'letters-G']]
    """
    if not pairs:
        raise ValueError("no motifs to draw")
    across = 2 if len(pairs) in (1, 2, 4) else 3
    n_rows = -(-len(pairs) // across)
    height = 1.75 * n_rows + 0.1
    figure = ShownFigure(figsize=(10.2, height))
    grid = figure.add_gridspec(n_rows, across, wspace=0.1, hspace=0.32)
    figure.subplots_adjust(left=0.035, right=0.995, top=1 - 0.21 / height, bottom=0.1 / height)
    for number, pair in enumerate(pairs):
        inner = grid[divmod(number, across)].subgridspec(2, 1, hspace=0.28)
        above, below = (figure.add_subplot(inner[row]) for row in range(2))
        turned = pair.found if pair.strand == "+" else pair.found[::-1, ::-1]
        first = max(-_BESIDE, min(0, pair.start))
        last = min(len(pair.true) + _BESIDE, max(len(pair.true), pair.start + len(turned)))
        _motif(above, pair.true, 0, first, last)
        _motif(below, turned, pair.start, first, last)
        _above(above, pair.name, 0, "left", INK)
        _above(above, pair.note, 1, "right", QUIET)
        if number % across == 0:
            above.set_ylabel("true", color=INK, fontsize=SMALL)
            below.set_ylabel("found", color=INK, fontsize=SMALL)
    return figure


def _motif(ax: Axes, ppm: Floats, start: int, first: int, last: int) -> None:
    """The logo of a motif that begins at `start`, on positions first to last."""
    logs = np.log2(ppm, out=np.zeros(ppm.shape), where=ppm > 0)
    heights = ppm * (2 + (ppm * logs).sum(axis=1, keepdims=True))
    lanes = np.zeros((last - first, 4))
    left, right = max(start, first), min(start + len(ppm), last)
    lanes[left - first : right - first] = heights[left - start : right - start]
    logo(lanes, ax=ax)
    ax.set_ylim(-0.12, 2.05)
    ax.plot([left - first, right - first], [-0.07, -0.07], color=QUIET, linewidth=1.6, solid_capstyle="butt")
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)


def _above(ax: Axes, text: str, x: float, align: Any, colour: str) -> None:
    style: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "parse_math": False}
    ax.annotate(readable(text, 34), (x, 1), xycoords="axes fraction", ha=align, fontsize=SMALL, color=colour, **style)
