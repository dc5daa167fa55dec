"""Dependency maps: a heat map of a sequence's pairs of bases, its sites on both axes. Public through `plot`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline

from simbench_tf.plot.figure import ACCENT, FAINT, INK, QUIET, SITE, SMALL, new_axes, readable, style_axes

#: Steps of opacity: cells of one step are one outline, which keeps the page small.
_STEPS = 12
#: Share of pairs with the strongest colour: one pair far above the others would leave the map empty.
_STRONGEST = 0.01
#: Widths of a bar of sites, and of the gap before it, as shares of the map.
_BAR, _GAP = 0.022, 0.012


def dependency_map(
    strengths: npt.NDArray[np.floating], start: int, sites: pd.DataFrame, unit: str = "logit", ax: Axes | None = None
) -> Axes:
    """Draw how strongly each two bases of a window depend on each other, the sites marked on both axes.

    Parameters
    ----------
    strengths : float array, shape (W, W)
        Symmetric, 0 or more; its diagonal is not drawn.
    start : int
        The window's first base.
    sites : DataFrame
        Columns start, end, tf, strand, one row per site of the sequence. Where a bool column `counted` is False the
        site is only outlined.
    unit : str, default "logit"
        Of the strengths.
    ax : Axes, optional

    Returns
    -------
    Axes
        Cells as outlines, one a step of opacity, fullest for the strongest hundredth of pairs; sites as bars above and
        to the right, with their names.

    Raises
    ------
    ValueError
        The map is not square, or of fewer than two bases.

    Examples
    --------
    >>> sites = pd.DataFrame({"start": [10], "end": [12], "tf": ["CTCF"], "strand": ["+"]})
    >>> ax = dependency_map(np.eye(4)[::-1], 9, sites)
    >>> [text.get_text() for text in ax.texts], [float(edge) for edge in ax.get_xlim()]
    (['CTCF →', 'CTCF →'], [9.0, 13.0])
    """
    width = len(strengths)
    if strengths.shape != (width, width) or width < 2:
        raise ValueError(f"a map needs as many rows as columns, two or more; its shape is {strengths.shape}")
    ax = new_axes(ax, 5.2, 5.2, left=0.11, right=0.79, bottom=0.11, top=0.79)
    full = _full_strength(strengths)
    steps = np.zeros((width, width), np.int64)
    if full > 0:
        steps = np.rint(np.minimum(strengths / full, 1) * _STEPS).astype(np.int64)
    np.fill_diagonal(steps, 0)
    for step in range(1, _STEPS + 1):
        if (steps == step).any():
            cells = PathPatch(_outline(steps == step, start), facecolor=ACCENT, alpha=step / _STEPS, linewidth=0)
            cells.set_antialiased(False)  # no seams between neighbours
            ax.add_patch(cells)
    end = start + width
    ax.plot([start, end], [start, end], color=FAINT, linewidth=0.6)
    ax.set(xlim=(start, end), ylim=(end, start), aspect="equal")
    _mark_both(sites[(sites["end"] > start) & (sites["start"] < end)], start, end, ax)
    strongest = f"full colour: {full:.2g} or more, in units of the {unit}"
    ax.set_xlabel(f"base ({strongest})", color=INK, fontsize=SMALL)
    ax.set_ylabel("base", color=INK, fontsize=SMALL)
    style_axes(ax)
    return ax


def _full_strength(strengths: npt.NDArray[np.floating]) -> float:
    """The strength that the strongest hundredth of pairs has at least; of mostly empty maps, the largest."""
    pairs = strengths[np.triu_indices(len(strengths), 1)]
    full = float(np.quantile(pairs, 1 - _STRONGEST))
    return full if full > 0 else float(pairs.max())


def _outline(cells: npt.NDArray[np.bool_], start: int) -> Outline:
    """Cells as one outline, those beside each other in a row as one rectangle."""
    edges = np.diff(np.pad(cells, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, lefts = np.nonzero(edges == 1)
    rights = np.nonzero(edges == -1)[1]
    x = np.stack([lefts, rights, rights, lefts, lefts], axis=1)
    y = np.stack([rows, rows, rows + 1, rows + 1, rows], axis=1)
    codes = np.array([Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY], np.uint8)
    return Outline(np.stack([x, y], axis=2).reshape(-1, 2) + start, np.tile(codes, len(rows)))


def _mark_both(sites: pd.DataFrame, start: int, end: int, ax: Axes) -> None:
    """Bars of the sites above and to the right of the map, where the axes' lines are not, and their names."""
    span = end - start
    near = _GAP * span
    for site in sites.sort_values(["start", "end"], kind="stable").itertuples():
        counted = bool(getattr(site, "counted", True))
        style: dict[str, Any] = {"facecolor": SITE, "linewidth": 0}
        if not counted:
            style = {"facecolor": "none", "edgecolor": QUIET, "linestyle": ":", "linewidth": 0.8}
        first, last = max(site.start, start), min(site.end, end)
        gid = "site" if counted else "site-not-counted"
        for corner, size in (
            ((first, start - near - _BAR * span), (last - first, _BAR * span)),
            ((end + near, first), (_BAR * span, last - first)),
        ):
            ax.add_patch(Rectangle(corner, *size, clip_on=False, gid=gid, **style))
        name = readable(f"{site.tf} {'→' if site.strand == '+' else '←'}", 20)
        text: dict[str, Any] = {"color": INK if counted else QUIET, "fontsize": SMALL - 1.5, "parse_math": False}
        away, middle = 2 * near + _BAR * span, (first + last) / 2
        ax.text(middle, start - away, name, rotation=40, rotation_mode="anchor", ha="left", va="bottom", **text)
        ax.text(end + away, middle, name, ha="left", va="center", **text)
