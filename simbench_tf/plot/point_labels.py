"""Names of the points of a scatter plot, in a column beside it, each joined to its point by a leader line.

A column in the order of the points' heights needs no search for free places, so no two names overlap, however close the
points are, and equal figures give equal bytes. Libraries that move labels about need room between the points, which
names of methods do not leave.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from simbench_tf.plot.figure import FAINT, INK, SMALL, points_across, points_tall, readable

#: Points between two lines of names.
LINE = 12.5
#: Between the axes and the column, in points.
_GAP = 16.0


def room_for(names: Sequence[str], longest: int = 58) -> float:
    """Inches beside the axes that a column of names takes.

    Examples
    --------
    >>> round(room_for(["saliency", "in-silico mutagenesis"]), 2)
    1.71
    """
    letters = min(longest, max((len(name) for name in names), default=0))
    return (_GAP + 0.6 * (SMALL - 0.5) * letters) / 72


def label_points(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, names: Sequence[str], longest: int = 58) -> None:
    """Write the names of points to the right of the axes, in the order of their heights.

    Parameters
    ----------
    ax : Axes
        With its scales and limits set; they decide where the lines begin.
    x, y : array-like, shape (N,)
        In the units of the axes.
    names : sequence of N str
    longest : int, default 58
        Letters of a name, at most.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(xlim=(0, 1), ylim=(0, 1))
    >>> label_points(ax, [.2, .3], [.50, .52], ["below", "above"])
    >>> [text.get_text() for text in ax.texts]
    ['above', 'below']
    """
    places = np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
    tall = points_tall(ax)
    heights = (ax.transScale + ax.transLimits).transform(places)[:, 1] * tall
    # of points of one height the one on the right has the upper line
    order = np.lexsort((-places[:, 0], -heights))
    for point, height in zip(order, spread(heights[order], LINE, tall), strict=True):
        ax.annotate(
            readable(names[point], longest),
            (places[point, 0], places[point, 1]),
            xytext=(1 + _GAP / points_across(ax), height / tall),
            textcoords="axes fraction",
            ha="left",
            va="center",
            fontsize=SMALL - 0.5,
            color=INK,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.7, "shrinkA": 2, "shrinkB": 4,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def spread(heights: npt.NDArray[np.float64], least: float, tall: float) -> npt.NDArray[np.float64]:
    """Heights in falling order, moved apart by `least`, from 0 to `tall` where so many fit.

    Examples
    --------
    >>> spread(np.array([50., 49., 10.]), 12, 60).tolist(), spread(np.array([2., 1.]), 12, 60).tolist()
    ([50.0, 38.0, 10.0], [12.0, 0.0])
    """
    steps = least * np.arange(len(heights))
    down = np.minimum.accumulate(np.minimum(heights, tall) + steps) - steps
    # what fell out at the foot goes up again
    return np.maximum(down, steps[::-1])
