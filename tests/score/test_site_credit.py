"""Credit of sites against their worth: what is known of it, and what no change of units moves."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simbench_tf.score.site_credit import credit_scores, site_credit


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_credit_is_summed_over_sites_and_shared_bases_are_shared(seed):
    rng = np.random.default_rng(seed)
    n, length, n_sites = 3, 20, 8
    scores, row = rng.normal(size=(n, length)), rng.integers(0, n, n_sites)
    start = rng.integers(0, length, n_sites)
    end = np.minimum(start + rng.integers(1, 9, n_sites), length)
    credit = site_credit(scores, row, start, end)
    expected = np.zeros(n_sites)
    for sequence in range(n):
        for base in range(length):
            holders = [k for k in range(n_sites) if row[k] == sequence and start[k] <= base < end[k]]
            for k in holders:
                expected[k] += scores[sequence, base] / len(holders)
    np.testing.assert_allclose(credit, expected, atol=1e-9)
    covered = {(row[k], base) for k in range(n_sites) for base in range(start[k], end[k])}
    assert credit.sum() == pytest.approx(sum(scores[at] for at in covered))


def test_what_is_right_what_is_in_other_units_and_what_knows_nothing():
    rng = np.random.default_rng(3)
    row = np.repeat(np.arange(200), 5)
    value = rng.normal(1, 1, 1000)
    exact = credit_scores(value, value, row)
    assert (exact["n_sites"], exact["n_sequences"]) == (1000, 200)
    assert (exact["rank_correlation"], exact["correlation"]) == pytest.approx((1, 1))
    assert (exact["slope"], exact["error"], exact["scaled_error"]) == pytest.approx((1, 0, 0), abs=1e-7)
    halved = credit_scores(value / 2, value, row)
    assert (halved["slope"], halved["error"]) == pytest.approx((0.5, 0.5))
    assert halved["scaled_error"] == pytest.approx(0, abs=1e-7)
    random = credit_scores(rng.normal(size=1000), value, row)
    assert random["rank_correlation"] == pytest.approx(0, abs=4 * random["rank_correlation_se"])
    assert 0.02 < random["rank_correlation_se"] < 0.06
    nothing = credit_scores(np.zeros(1000), value, row)
    assert nothing["error"] == nothing["scaled_error"] == 1
    assert math.isnan(nothing["rank_correlation"])


def test_sequences_of_few_sites_have_no_order():
    measured = credit_scores(np.array([1.0, 2.0]), np.array([1.0, 2.0]), [0, 0])
    assert math.isnan(measured["rank_correlation"])
    assert measured["correlation"] == pytest.approx(1)
    none = credit_scores(np.zeros(0), np.zeros(0), np.zeros(0, int))
    assert none["n_sites"] == none["n_sequences"] == 0
    assert all(math.isnan(none[name]) for name in ("rank_correlation", "correlation", "slope", "error", "scaled_error"))
