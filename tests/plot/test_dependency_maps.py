"""The heat map of a dependency map: cells where they stand, as strong as they are; sites on both axes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch, Rectangle

from simbench_tf.plot import dependency_map, svg

SITES = pd.DataFrame(
    {"start": [12, 25, 90], "end": [15, 28, 95], "tf": ["CTCF", "SP1", "KLF4"], "strand": ["+", "-", "+"]}
)


def strengths(n=20):
    values = np.zeros((n, n))
    values[2:5, 15:18] = 4.0
    values[7, 9] = 1.0
    return values + values.T


def opacity(ax, first, second):
    """How strongly the cell of two bases is coloured: x is the column, y the row."""
    alphas = [
        patch.get_alpha()
        for patch in ax.patches
        if isinstance(patch, PathPatch) and patch.get_path().contains_point((second + 0.5, first + 0.5))
    ]
    assert len(alphas) < 2
    return alphas[0] if alphas else 0.0


def test_cells_stand_at_their_bases_as_strong_as_they_are():
    ax = dependency_map(strengths(), 10, SITES)
    assert opacity(ax, 12, 25) == opacity(ax, 27, 14) == opacity(ax, 13, 26) == 1
    assert opacity(ax, 17, 19) == opacity(ax, 19, 17) == 0.25
    for pair in ((12, 24), (11, 25), (15, 25), (12, 28), (14, 14), (20, 22)):
        assert opacity(ax, *pair) == 0
    assert ax.get_ylim() == (30, 10)  # the first base on top
    assert "full colour: 4 or more, in units of the logit" in ax.get_xlabel()


def test_one_pair_far_above_the_others_does_not_leave_the_map_empty():
    values = np.ones((30, 30))
    values[3, 5] = values[5, 3] = 1000
    ax = dependency_map(values, 0, SITES, "probability")
    assert opacity(ax, 20, 25) == 1
    assert "full colour: 1 or more, in units of the probability" in ax.get_xlabel()


def test_sites_of_the_window_are_on_both_axes_with_their_names():
    ax = dependency_map(strengths(), 10, SITES.assign(counted=[True, False, True]))
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [(bar.get_x(), bar.get_width()) for bar in bars[::2]] == [(12, 3), (25, 3)]
    assert [(bar.get_y(), bar.get_height()) for bar in bars[1::2]] == [(12, 3), (25, 3)]
    assert [bar.get_gid() for bar in bars] == ["site", "site", "site-not-counted", "site-not-counted"]
    assert all(bar.get_y() + bar.get_height() < 10 for bar in bars[::2])
    assert all(bar.get_x() > 30 for bar in bars[1::2])
    assert [text.get_text() for text in ax.texts] == ["CTCF →", "CTCF →", "SP1 ←", "SP1 ←"]


def test_an_empty_map_and_a_large_one_are_small_pages():
    assert len(svg(dependency_map(np.zeros((5, 5)), 0, SITES[:0]), "nothing")) < 20_000
    noisy = np.random.default_rng(0).exponential(size=(100, 100))
    assert len(svg(dependency_map(noisy + noisy.T, 0, SITES), "noise")) < 600_000


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (3,)])
def test_what_is_no_map_is_told(shape):
    with pytest.raises(ValueError, match="a map needs as many rows as columns, two or more"):
        dependency_map(np.zeros(shape), 0, SITES)
