"""Plot of methods' quality against their cost, with the Pareto front. Public through `plot`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from simbench_tf.plot.curves import column, metric_title
from simbench_tf.plot.figure import (
    ACCENT,
    FAINT,
    INK,
    QUIET,
    SMALL,
    TIP,
    new_axes,
    plain_number,
    readable,
    style_axes,
)
from simbench_tf.plot.numbers import with_error
from simbench_tf.plot.point_labels import LINE, label_points, room_for
from simbench_tf.plot.rows import choose_rows
from simbench_tf.score import pareto_front, without_nulls


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
        With the names of the methods in a column at the right, the best on top.

    Examples
    --------
    >>> summary = pd.DataFrame({"key": ["ism@none", "saliency@none"], "auprc": [.6, .4], "auprc_se": [.02, .03],
    ...                         "seconds_per_sequence": [1.2, .01]})
    >>> ax = quality_against_cost(summary)
    >>> [text.get_text() for text in ax.texts], ax.get_xscale()
    (['ism@none', 'saliency@none'], 'log')
    """
    summary = choose_rows(without_nulls(summary) if "method" in summary else summary, model, task, ["key"])
    seconds, values = column(summary, "seconds_per_sequence"), column(summary, metric)
    drawn = np.flatnonzero((seconds > 0) & np.isfinite(values))
    drawn = drawn[np.argsort(-values[drawn], kind="stable")]
    errors = column(summary, f"{metric}_se")
    names = [str((labels or {}).get(key, key)) for key in summary["key"].iloc[drawn]]
    width, height = 3.0 + room_for(names), max(2.6, LINE * len(drawn) / 72 + 0.7)
    ax = new_axes(ax, width, height, left=0.5 / width, right=3 / width, bottom=0.52 / height, top=1 - 0.12 / height)
    ax.set_xscale("log")
    ax.set_xlabel("seconds a sequence", color=INK, fontsize=SMALL)
    ax.set_ylabel(metric_title(metric), color=INK, fontsize=SMALL)
    style_axes(ax)
    if not drawn.size:
        return ax
    x, y, known = seconds[drawn], values[drawn], errors[drawn]
    error = np.nan_to_num(known)
    front = np.flatnonzero(pareto_front(x, y))
    front = front[np.argsort(x[front], kind="stable")]
    # no method is both cheaper and better than those on the line
    ax.step(x[front], y[front], where="post", color=FAINT, linewidth=1.2, zorder=0, gid="pareto-front")
    ax.errorbar(x, y, error, fmt="none", ecolor=QUIET, elinewidth=1.2)
    for number, name in enumerate(names):
        took, reached = plain_number(float(f"{x[number]:.2g}")), with_error(y[number], known[number], 2)
        told = TIP + readable(f"{name}: {metric_title(metric)} {reached}, {took} s a sequence", 140)
        ax.scatter(x[number], y[number], s=34, color=QUIET if number else ACCENT, zorder=3, gid=told)
    low, high = min(0.0, (y - error).min()), (y + error).max()
    low_x, high_x = x.min() / 2, x.max() * 2
    ax.set(xlim=(low_x, high_x), ylim=(low, low + 1.08 * (high - low) or 1.0))
    # numbers at decades, or between them where there are fewer than two decades
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high_x >= 100 * low_x else (1.0, 2.0, 5.0), numticks=6))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(plain_number)
    label_points(ax, x, y, names)
    return ax
