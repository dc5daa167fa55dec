"""Truth-free metrics: each formula against a plain loop, and what holds for any attributions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy, spearmanr

from simbench_tf.score.truth_free import (
    complexity,
    highest_bases,
    infidelity,
    relative_change,
    size_correlation,
    sparsity,
)

SCORES = arrays(np.float64, (3, 12), elements=st.floats(-5, 5, width=32))


def plain_gini(values):
    """Half the mean absolute difference of all pairs, over the mean."""
    sizes = np.abs(values)
    differences = np.abs(sizes[:, None] - sizes[None])
    return differences.mean() / (2 * sizes.mean()) if sizes.any() else math.nan


@settings(max_examples=50)
@given(SCORES)
def test_sparsity_is_the_gini_index_and_complexity_the_entropy(scores):
    np.testing.assert_allclose(sparsity(scores), [plain_gini(row) for row in scores], atol=1e-9)
    expected = [entropy(np.abs(row)) / math.log(12) if row.any() else math.nan for row in scores]
    np.testing.assert_allclose(complexity(scores), expected, atol=1e-9)


@settings(max_examples=50)
@given(SCORES, SCORES)
def test_infidelity_is_the_least_squared_error_over_all_scales(credit, change):
    for value, s, d in zip(infidelity(credit, change), credit, change, strict=True):
        if not d.any():
            assert math.isnan(value)
            continue
        scale = np.linalg.lstsq(s[:, None], d, rcond=None)[0]
        assert value == pytest.approx(((d - s * scale) ** 2).sum() / (d**2).sum(), abs=1e-6)


@settings(max_examples=50)
@given(SCORES, SCORES)
def test_size_correlation_is_spearmans_of_sizes(first, second):
    for value, a, b in zip(size_correlation(first, second), np.abs(first), np.abs(second), strict=True):
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


def test_relative_change_leaves_out_what_is_not_known():
    scores = np.array([[3.0, 4.0, 1.0], [0.0, 0.0, 0.0]])
    others = np.array([[3.0, 4.0 + 5.0, np.nan], [1.0, 0.0, 0.0]])
    found = relative_change(scores, others)
    assert found[0] == 1.0
    assert math.isnan(found[1])


@settings(max_examples=50)
@given(SCORES)
def test_highest_bases_are_nested_and_higher_than_the_rest(scores):
    highest = highest_bases(scores, (0.01, 0.25, 0.5))
    assert highest.sum(axis=2).tolist() == [[1, 3, 6]] * 3
    assert (highest[:, 1] >= highest[:, 0]).all()
    assert (highest[:, 2] >= highest[:, 1]).all()
    for row, chosen in zip(scores, highest[:, 1], strict=True):
        assert row[chosen].min() >= row[~chosen].max()
