"""Probabilities of true sites: by score (calibration curves), and against how often they are right (reliability)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from simbench_tf.plot.figure import (
    ACCENT,
    BASE_COLOURS,
    CEILING,
    CHANCE,
    FAINT,
    INK,
    SITE,
    SMALL,
    new_axes,
    readable,
    style_axes,
)

_COLOURS = (ACCENT, CHANCE, CEILING, BASE_COLOURS["C"], BASE_COLOURS["T"], SITE, BASE_COLOURS["A"])


def reliability_curves(tables: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Draw reliability, as `simbench_tf.score.reliability` gives it, over the diagonal where what is stated is right.

    Parameters
    ----------
    tables : dict of str to DataFrame
        For each name in the legend: predicted, observed, low and high (0-1), a row for each bin.
    ax : Axes, optional

    Returns
    -------
    Axes
        Bars are the intervals of what is observed. A line below the diagonal promises too much.

    Examples
    --------
    >>> table = pd.DataFrame({"predicted": [.1, .6], "observed": [.1, .5], "low": [0, .4], "high": [.2, .6]})
    >>> ax = reliability_curves({"ism": table})
    >>> ax.lines[1].get_xydata().tolist()
    [[0.1, 0.1], [0.6, 0.5]]
    """
    ax = new_axes(ax, 4.6, 4.6, left=0.13, right=0.97, bottom=0.12, top=0.97)
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--", zorder=1)
    for number, (name, table) in enumerate(tables.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        stated, right = table["predicted"].to_numpy(np.float64), table["observed"].to_numpy(np.float64)
        ax.plot(
            stated, right, color=colour, linewidth=1.4, marker=".", markersize=5, label=readable(name, 48), zorder=3
        )
        ax.vlines(stated, table["low"], table["high"], color=colour, linewidth=1, alpha=0.6, zorder=2)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_xlabel("stated probability", color=INK, fontsize=SMALL, loc="left")
    ax.set_ylabel("share that is true", color=INK, fontsize=SMALL)
    style_axes(ax)
    if tables:
        ax.legend(frameon=False, fontsize=SMALL, labelcolor=INK, loc="upper left")
    return ax


def calibration_curves(
    curves: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], ax: Axes | None = None, *, chance: float | None = None
) -> Axes:
    """Draw the probability that something is true by its score, a line for each method.

    Parameters
    ----------
    curves : dict of str to (scores, probabilities)
        For each name in the legend two float arrays of the same length, both rising. Between two scores a line is
        straight, beyond the ends level.
    ax : Axes, optional
    chance : float, optional
        Share that is true whatever the score, drawn as a level line.

    Returns
    -------
    Axes
        Scores from 0 to the highest of all.

    Examples
    --------
    >>> ax = calibration_curves({"ism": ([1.0, 3.0], [0.1, 0.8]), "saliency": ([2.0], [0.3])}, chance=0.2)
    >>> [line.get_xydata().tolist() for line in ax.lines[1:]]
    [[[0.0, 0.1], [1.0, 0.1], [3.0, 0.8]], [[0.0, 0.3], [2.0, 0.3], [3.0, 0.3]]]
    """
    ax = new_axes(ax, 6.2, 3.6, left=0.1, right=0.98, bottom=0.14, top=0.97)
    if chance is not None:
        ax.axhline(chance, color=CHANCE, linewidth=1, linestyle=":", zorder=1)
    highest = max((float(np.max(scores)) for scores, _ in curves.values()), default=1.0)
    for number, (name, (scores, probabilities)) in enumerate(curves.items()):
        x, y = np.asarray(scores, np.float64), np.asarray(probabilities, np.float64)
        ends = np.unique([*([0.0] if x[0] > 0 else []), *x, highest])
        colour = _COLOURS[number % len(_COLOURS)]
        style = ("-", "--", ":")[number // len(_COLOURS) % 3]
        ax.plot(ends, np.interp(ends, x, y), style, color=colour, linewidth=1.4, label=readable(name, 48), zorder=2)
    ax.set(xlim=(0, highest), ylim=(0, 1))
    ax.set_xlabel("score, in units of the mean |attribution|", color=INK, fontsize=SMALL, loc="left")
    ax.set_ylabel("probability of a true site", color=INK, fontsize=SMALL)
    style_axes(ax)
    if curves:
        ax.legend(frameon=False, fontsize=SMALL, labelcolor=INK, loc="upper left")
    return ax
