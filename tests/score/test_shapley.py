"""Shapley values of sites against their definition, axioms and a game whose values are known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simbench_tf.score import shapley
from simbench_tf.score.shapley import all_coalitions, kept_bases, shapley_interactions, shapley_values, site_values

worths = st.integers(0, 5).flatmap(lambda k: arrays(np.float64, 2**k, elements=st.floats(-9, 9, width=32)))


def by_orders(worth: np.ndarray) -> np.ndarray:
    """The definition: what each site adds to those before it, mean over all orders."""
    n_sites = len(worth).bit_length() - 1
    values = np.zeros(n_sites)
    for order in itertools.permutations(range(n_sites)):
        before = 0
        for site in order:
            values[site] += worth[before | 1 << site] - worth[before]
            before |= 1 << site
    return values / math.factorial(n_sites)


@settings(max_examples=60)
@given(worths)
def test_values_are_means_over_all_orders(worth):
    np.testing.assert_allclose(shapley_values(worth), by_orders(worth), atol=1e-12)
    assert shapley_values(worth).sum() == pytest.approx(worth[-1] - worth[0], abs=1e-9)


@settings(max_examples=60)
@given(worths)
def test_interactions_are_what_a_site_gains_beside_another(worth):
    """The index is the value of a site in the game where the other is there, less that where it is not."""
    n_sites = len(worth).bit_length() - 1
    members, found = all_coalitions(n_sites), shapley_interactions(worth)
    for one, other in itertools.permutations(range(n_sites), 2):
        with_other, without = worth[members[:, other]], worth[~members[:, other]]
        here = one - (one > other)
        expected = shapley_values(with_other)[here] - shapley_values(without)[here]
        assert found[one, other] == pytest.approx(expected, abs=1e-9)


def test_wrong_numbers_of_coalitions_are_told():
    with pytest.raises(ValueError, match=r"2 \*\* K coalitions .* shape \(3,\)"):
        shapley_values(np.zeros(3))


def test_bases_of_overlapping_sites_stay_while_either_stays():
    starts, ends = np.array([1, 3]), np.array([4, 6])
    kept = kept_bases(all_coalitions(2), starts, ends, 8)
    letters = ["".join("-x"[base] for base in row) for row in kept.astype(int)]
    assert letters == ["x-----xx", "xxxx--xx", "x--xxxxx", "xxxxxxxx"]


def test_many_sites_are_sampled_with_their_error(monkeypatch):
    """Of a game of pairs the values are known; errors drawn are as large as they are said to be."""
    rng = np.random.default_rng(1)
    n_sites = 14
    alone, together = rng.normal(size=n_sites), rng.normal(size=(n_sites, n_sites))
    together = np.triu(together, 1)

    def worth_of(coalitions):
        x = coalitions.astype(float)
        return (x @ alone + np.einsum("ck,kj,cj->c", x, together, x))[:, None]

    exact = alone + (together + together.T).sum(axis=1) / 2
    sampled = site_values(worth_of, n_sites)
    assert (sampled.error > 0).all()
    z = (sampled.value - exact[:, None]) / sampled.error
    assert np.abs(z).max() < 4
    assert 0.5 < z.std() < 1.7  # chi-square of 14 at 1 in 1,000 either way
    assert sampled.value.sum() == pytest.approx(worth_of(np.ones((1, n_sites)))[0, 0])
    monkeypatch.setattr(shapley, "MAX_EXACT_SITES", 14)
    np.testing.assert_allclose(site_values(worth_of, n_sites).value[:, 0], exact, atol=1e-9)
