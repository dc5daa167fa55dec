"""Attributions drawn along a sequence: letters and bars, with the true sites marked. Public through `plot`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from simbench_tf.intervals import covered_bases
from simbench_tf.plot.figure import (
    ACCENT,
    BASE_COLOURS,
    CHANCE,
    FAINT,
    INK,
    QUIET,
    SITE,
    SMALL,
    ShownFigure,
    new_axes,
    points_across,
    readable,
    style_axes,
)

Floats = npt.NDArray[np.floating]


#: Points between lines of site names.
_NAME_LINE = 11


def logo(
    contributions: Floats,
    sites: pd.DataFrame | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the contributions of a sequence's bases as letters, the true sites marked.

    Letters of one position are stacked outwards from zero, the larger ones further out; negative ones hang upside down
    below it. (Own letters, because drawing 400 of them takes logomaker over a second and twice the room.)

    Parameters
    ----------
    contributions : float array, shape (L, 4)
        Heights of A, C, G, T at each position; ``attribute(...).contributions[i]``, or a PWM.
    sites : DataFrame, optional
        Sites of this sequence, as `mark_sites` takes them.
    start, end : int, optional
        The window drawn, [start, end); default the whole sequence.
    ax : Axes, optional

    Returns
    -------
    Axes
        With one patch a base that occurs, its gid "letters-A" and so on.

    Raises
    ------
    ValueError
        `contributions` is not (L, 4) or not finite, or the window is empty or leaves the sequence.

    Examples
    --------
    >>> contributions = np.eye(4)[[0, 1, 2, 3]] * [[.5], [1], [-.2], [.1]]
    >>> sites = pd.DataFrame({"start": [0], "end": [2], "tf": ["GATA1"], "strand": ["+"]})
    >>> ax = logo(contributions, sites)
    >>> [float(limit) for limit in ax.get_xlim()]
    [0.0, 4.0]
    """
    values = np.asarray(contributions, np.float64)
    if values.ndim != 2 or values.shape[1] != 4:
        raise ValueError(f"contributions have shape {values.shape}, should be (L, 4)")
    start, end = _window(values, start, end)
    heights = values[start:end]
    ax = new_axes(ax, 1.0 + 0.11 * (end - start), 1.5)
    feet = _feet(heights)
    for channel, base in enumerate("ACGT"):
        where = np.flatnonzero(heights[:, channel])
        if where.size:
            lower_left = np.column_stack([start + where, feet[where, channel]])
            _add_letters(ax, base, lower_left, heights[where, channel])
    _finish_positions(ax, heights, start, end)
    if sites is not None:
        mark_sites(sites, ax)
    return ax


def bars(scores: Floats, sites: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Draw the scores of a whole sequence as thin bars, those on true bases in colour.

    Parameters
    ----------
    scores : float array, shape (L,)
        ``attribute(...).scores[i]``.
    sites : DataFrame, optional
        Sites of this sequence, as `mark_sites` takes them; here they are shaded without names.
    ax : Axes, optional

    Returns
    -------
    Axes
        With the patches of gid "bars-true" and "bars-other", two vertices a bar: its foot and its top.

    Raises
    ------
    ValueError
        `scores` is not (L,) or not finite.

    Examples
    --------
    >>> ax = bars(np.array([.1, .9, -.2]), pd.DataFrame({"start": [1], "end": [2], "tf": ["SP1"], "strand": ["-"]}))
    >>> ax.patches[1].get_gid(), ax.patches[1].get_path().vertices.tolist()
    ('bars-true', [[1.5, 0.0], [1.5, 0.9]])
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1:
        raise ValueError(f"scores have shape {values.shape}, should be (L,)")
    start, end = _window(values, None, None)
    ax = new_axes(ax, 5.0, 1.2)
    true = _true_bases(sites, len(values))
    # a bar's width in points; never hairlines that vanish in print
    width = max(0.6, 0.8 * points_across(ax) / len(values))
    for gid, mask, colour in (("bars-other", ~true, QUIET), ("bars-true", true, ACCENT)):
        where = np.flatnonzero(mask & (values != 0))
        if where.size:
            ends = np.zeros((where.size, 2, 2))
            ends[:, :, 0] = where[:, None] + 0.5
            ends[:, 1, 1] = values[where]
            codes = np.tile(np.array([Outline.MOVETO, Outline.LINETO], np.uint8), where.size)
            outline = Outline(ends.reshape(-1, 2), codes)
            outline.should_simplify = False  # it would merge neighbouring bars
            ax.add_artist(PathPatch(outline, facecolor="none", edgecolor=colour, linewidth=width, gid=gid))
    _finish_positions(ax, values, start, end)
    if sites is not None:
        mark_sites(sites, ax, names=False)
    return ax


def mark_sites(sites: pd.DataFrame, ax: Axes, names: bool = True) -> int:
    """Shade the sites that lie in the axes' x range, and write their factor and strand above.

    Parameters
    ----------
    sites : DataFrame
        Columns start, end, tf, strand, one row per site of the sequence drawn. Where a bool column `counted` is False
        the site is only outlined: it is in the sequence but not in the truth of the task.
    ax : Axes
        Its x axis counts bases.
    names : bool, default True
        Whether to write the names.

    Returns
    -------
    int
        How many lines of names stand above the axes; names that would overlap are written on separate ones.

    Examples
    --------
    >>> ax = Figure().add_subplot(xlim=(0, 50))
    >>> n_lines = mark_sites(pd.DataFrame({"start": [5, 90], "end": [12, 99], "tf": "CTCF", "strand": "+"}), ax)
    >>> [(patch.get_x(), patch.get_width()) for patch in ax.patches], [text.get_text() for text in ax.texts]
    ([(5, 7)], ['CTCF →'])
    """
    left, right = ax.get_xlim()
    inside = sites[(sites["end"] > left) & (sites["start"] < right)].sort_values(["start", "end"], kind="stable")
    bases_a_point = (right - left) / points_across(ax)
    lanes: list[float] = []
    for site in inside.itertuples():
        counted = bool(getattr(site, "counted", True))
        style: dict[str, Any] = {"facecolor": SITE, "alpha": 0.25, "linewidth": 0}
        if not counted:
            style = {"facecolor": "none", "edgecolor": FAINT, "linestyle": ":", "linewidth": 0.8}
        ax.axvspan(site.start, site.end, zorder=0, gid="site" if counted else "site-not-counted", **style)
        if not names:
            continue
        name = readable(f"{site.tf} {'→' if site.strand == '+' else '←'}", 28)
        middle = (max(site.start, left) + min(site.end, right)) / 2
        half = 0.34 * SMALL * len(name) * bases_a_point
        middle = min(max(middle, left + half), right - half) if 2 * half < right - left else (left + right) / 2
        lane = next((lane for lane, taken in enumerate(lanes) if taken <= middle - half), len(lanes))
        lanes[lane : lane + 1] = [middle + half]
        ax.annotate(
            name,
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + _NAME_LINE * lane),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL,
            color=INK if counted else QUIET,
            annotation_clip=False,
            parse_math=False,
        )
    return len(lanes)


def attribution_panels(
    one_hot: Floats,
    attributions: Mapping[str, Floats],
    sites: pd.DataFrame,
    width: int = 80,
    labels: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
    found: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draw one sequence under several methods: one row each, the whole sequence as bars, beside it a logo of the sites.

    The logo shows the `width` bases that hold the most true ones.

    Parameters
    ----------
    one_hot : float array, shape (L, 4)
    attributions : dict of str to float array
        For each key, contributions (L, 4) or scores (L,); scores are drawn on the observed base.
    sites : DataFrame
        As `mark_sites` takes them.
    width : int, default 80
        Bases of the logo.
    labels, notes : dict, optional
        What to write above each key's row, left (default the key) and right.
    found : dict, optional
        For each key a letter for each row of `sites`: "1" marks the site as found, "0" as missed, below the row.

    Returns
    -------
    Figure
        ``figure.axes`` holds bars and logo of each key in turn.

    Raises
    ------
    ValueError
        There are no attributions, or an array's shape does not fit the sequence.

    Examples
    --------
    >>> sites = pd.DataFrame({"start": [90], "end": [99], "tf": ["CTCF"], "strand": ["+"]})
    >>> one_hot = np.eye(4)[np.arange(120) % 4]
    >>> figure = attribution_panels(one_hot, {"ism@none": np.linspace(-1, 1, 120)}, sites, width=20)
    >>> [float(limit) for limit in figure.axes[1].get_xlim()]
    [85.0, 105.0]
    """
    if not attributions:
        raise ValueError("no attributions to draw")
    one_hot = np.asarray(one_hot, np.float64)
    start, end = _richest_window(_true_bases(sites, len(one_hot)), width)
    figure = ShownFigure(figsize=(10.2, 1))
    grid = figure.add_gridspec(len(attributions), 2, width_ratios=(2, 3), hspace=0.6, wspace=0.04)
    n_lines = 1
    for number, (key, attribution) in enumerate(attributions.items()):
        values = np.asarray(attribution, np.float64)
        if values.shape not in (one_hot.shape, one_hot.shape[:1]):
            raise ValueError(f"{key}: shape {values.shape} does not fit a sequence of {len(one_hot)} bases")
        contributions = values if values.ndim == 2 else values[:, None] * one_hot
        whole = bars(contributions.sum(axis=1), sites, figure.add_subplot(grid[number, 0]))
        zoom = logo(contributions, None, start, end, figure.add_subplot(grid[number, 1]))
        n_lines = max(n_lines, mark_sites(sites, zoom, names=number == 0))
        for ax in (whole, zoom):
            _mark_found(ax, sites, (found or {}).get(key, ""))
        _heading(whole, (labels or {}).get(key, key), (notes or {}).get(key, ""))
        if number < len(attributions) - 1:
            whole.tick_params(labelbottom=False)
            zoom.tick_params(labelbottom=False)
    top, bottom = 0.1 + n_lines * _NAME_LINE / 72, 0.26
    height = top + 0.82 * len(attributions) + bottom
    figure.set_figheight(height)
    figure.subplots_adjust(left=0.004, right=0.996, top=1 - top / height, bottom=bottom / height)
    return figure


def _mark_found(ax: Axes, sites: pd.DataFrame, marks: Sequence[str]) -> None:
    """Below each site whether it is found, in the accent, or missed, an empty box."""
    left, right = ax.get_xlim()
    for mark, start, end in zip(marks, sites["start"], sites["end"], strict=False):
        if mark in "01" and end > left and start < right:
            style: dict[str, Any] = {"facecolor": ACCENT, "linewidth": 0, "gid": "found"}
            if mark == "0":
                style = {"facecolor": "none", "edgecolor": CHANCE, "linewidth": 0.9, "gid": "missed"}
            ax.axvspan(max(start, left), min(end, right), 0, 0.07, **style)


def _window(values: Floats, start: int | None, end: int | None) -> tuple[int, int]:
    start, end = 0 if start is None else start, len(values) if end is None else end
    if not 0 <= start < end <= len(values):
        raise ValueError(f"window [{start}, {end}) is empty or leaves the {len(values)} bases")
    if not np.isfinite(values).all():
        raise ValueError("attributions must be finite")
    return start, end


def _feet(heights: Floats) -> Floats:
    """Where each letter begins, (L, 4): above the smaller ones of its sign."""
    order = np.argsort(np.abs(heights), axis=1, kind="stable")
    ordered = np.take_along_axis(heights, order, axis=1)
    up, down = np.maximum(ordered, 0), np.minimum(ordered, 0)
    below = np.where(ordered > 0, np.cumsum(up, axis=1) - up, np.cumsum(down, axis=1) - down)
    feet = np.empty_like(heights)
    np.put_along_axis(feet, order, below, axis=1)
    return feet


@functools.cache
def _letter(base: str) -> Outline:
    """The outline of a base's letter, scaled to the unit square."""
    outline = TextPath((0, 0), base, size=10, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    vertices, codes = np.array(outline.vertices), np.array(outline.codes)
    box = outline.get_extents()
    vertices = (vertices - box.p0) / box.size
    # the point of a closing mark is not drawn; keep it on the outline so that extents are the letter's
    opened = np.maximum.accumulate(np.where(codes == Outline.MOVETO, np.arange(len(codes)), 0))
    closing = codes == Outline.CLOSEPOLY
    vertices[closing] = vertices[opened[closing]]
    return Outline(vertices, codes)


def letter_path(base: str) -> str:
    """The outline of a base's letter in the unit square, y downwards, as the ``d`` of an SVG path.

    Examples
    --------
    >>> letter_path("T").startswith("M")
    True
    """
    names = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    drawn = []
    for points, code in _letter(base).iter_segments():
        if code == Outline.CLOSEPOLY:
            drawn.append("Z")
            continue
        x_y = np.asarray(points, np.float64).reshape(-1, 2) * [1, -1] + [0, 1]
        drawn.append(names[code] + " ".join(f"{value:.3f}".rstrip("0").rstrip(".") for value in x_y.ravel()))
    return "".join(drawn)


def _add_letters(ax: Axes, base: str, lower_left: Floats, heights: Floats) -> None:
    """All letters of one base as one patch: a few of those are quick to draw and small to store."""
    letter = _letter(base)
    margin = 0.04
    sizes = np.column_stack([np.full(len(heights), 1 - 2 * margin), heights])
    corners = lower_left + np.array([margin, 0])
    vertices = corners[:, None, :] + np.asarray(letter.vertices) * sizes[:, None, :]
    outline = Outline(vertices.reshape(-1, 2), np.tile(np.asarray(letter.codes), len(heights)))
    # add_patch would look at every curve for limits that are set anyway
    ax.add_artist(PathPatch(outline, facecolor=BASE_COLOURS[base], linewidth=0, gid=f"letters-{base}"))


def _finish_positions(ax: Axes, heights: Floats, start: int, end: int) -> None:
    columns = heights.reshape(len(heights), -1)
    low = np.minimum(columns, 0).sum(axis=1).min()
    high = np.maximum(columns, 0).sum(axis=1).max()
    room = 0.04 * (high - low) or 1.0
    ax.set(xlim=(start, end), ylim=(low - room, high + room), yticks=[])
    ax.axhline(0, color=FAINT, linewidth=0.6, zorder=0.5)
    style_axes(ax)
    ax.spines["left"].set_visible(False)


def _true_bases(sites: pd.DataFrame | None, length: int) -> npt.NDArray[np.bool_]:
    if sites is None:
        return np.zeros(length, np.bool_)
    counted = sites[sites["counted"].to_numpy(np.bool_)] if "counted" in sites else sites
    # what is drawn may be a part of the sequence
    starts, ends = (counted[name].to_numpy().clip(0, length) for name in ("start", "end"))
    return covered_bases(np.zeros(len(counted), np.int64), starts, ends, (1, length))[0]


def _richest_window(true: npt.NDArray[np.bool_], width: int) -> tuple[int, int]:
    """The window with the most true bases; among equals the one in the middle of them."""
    width = min(width, len(true))
    inside = np.convolve(true, np.ones(width, np.int64), mode="valid")
    best = np.flatnonzero(inside == inside.max())
    run = best[: np.flatnonzero(np.diff(best, append=best[-1] + 2) > 1)[0] + 1]
    start = int(run[len(run) // 2])
    return start, start + width


def _heading(ax: Axes, left: str, right: str) -> None:
    # a long name is set smaller, then cut, so that it leaves room for what stands at the right
    room = points_across(ax) - 0.58 * SMALL * len(right) - 6
    small = min(SMALL, max(6.5, room / (0.55 * len(left) or 1)))
    for text, x, align, colour, size, longest in (
        (left, 0, "left", INK, small, int(room / (0.5 * small))),
        (right, 1, "right", QUIET, SMALL, 60),
    ):
        ax.annotate(
            readable(text, longest),
            (x, 1),
            xycoords="axes fraction",
            xytext=(0, 3),
            textcoords="offset points",
            ha=align,
            fontsize=size,
            color=colour,
            parse_math=False,
        )
