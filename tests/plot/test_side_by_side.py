"""Plots of runs side by side: dots at the scores, a colour a run, and no line through a name."""

import numpy as np
import pandas as pd

from simbench_tf import plot

HOSTILE = "<b>$x_{$</b>"


def test_runs_stand_beside_each_other_by_method():
    scores = pd.DataFrame(
        {"run": ["a", "a", HOSTILE], "key": ["low", "high", "low"], "auprc": [0.2, 0.6, 0.3],
         "auprc_low": [0.1, 0.5, np.nan], "auprc_high": [0.3, 0.7, np.nan]}
    )  # fmt: skip
    ax = plot.runs_side_by_side(scores, ["a", HOSTILE], {"low": "the low one"})
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in dots] == [[0.6], [0.2], [0.3]]
    assert [round(float(line.get_ydata()[0])) for line in dots] == [0, -1, -1]
    assert dots[0].get_color() == dots[1].get_color() != dots[2].get_color()
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    assert [0.5, 0.7] in [list(span) for span in spans]
    assert [text.get_text() for text in ax.texts] == ["high", "the low one"]
    assert "&lt;b&gt;$x_{$&lt;/b&gt;" in plot.svg(ax, "")


def test_differences_are_coloured_where_they_are_real():
    rows = pd.DataFrame({"key": ["x", "y"], "difference": [0.1, -0.02], "low": [0.05, -0.1], "high": [0.2, 0.06]})
    ax = plot.difference_intervals(rows.assign(p_holm=[0.01, 0.4]), title="a − b")
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_color() for line in dots] == [plot.figure.ACCENT, plot.figure.QUIET]
    assert [line.get_xdata().tolist() for line in dots] == [[0.1], [-0.02]]
    (zero,) = [line for line in ax.lines if line.get_marker() == "|"]
    assert zero.get_xdata().tolist() == [0, 0]
    low, high = ax.get_xlim()
    assert low == -high
    assert high > 0.2
    assert ax.get_xlabel() == "a − b"
