"""Scores of interacting pairs: the truth against plain loops, what cannot matter, truth and chance."""

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from simbench_tf.score import PairScore, mean_pair_score, pair_score, pair_truth

#: Sites of a sequence: A twice, B, one of no rule that overlaps B, and one that begins before the window.
STARTS, ENDS, ELEMENTS = [12, 40, 25, 28, 6], [17, 44, 30, 33, 11], ["A", "A", "B", "C", "B"]
WINDOW = (10, 50)


def truth_of(order=None, interacting=(("A", "B"),)):
    order = range(len(STARTS)) if order is None else order
    chosen = [[values[i] for i in order] for values in (STARTS, ENDS, ELEMENTS)]
    return pair_truth(*chosen, set(interacting), WINDOW)


def by_loops():
    """(true, left out) of all pairs i < j of the window."""
    sites = list(zip(STARTS, ENDS, ELEMENTS, strict=True))
    found = {}
    for i, j in itertools.combinations(range(*WINDOW), 2):
        true = left_out = False
        for s, t in itertools.product(sites, sites):
            if s[0] <= i < s[1] and t[0] <= j < t[1]:
                overlap = max(s[0], t[0]) < min(s[1], t[1])
                left_out |= s[2] == t[2] or overlap
                true |= {s[2], t[2]} == {"A", "B"}
        found[i, j] = (true and not left_out, left_out)
    return found


def random_map(rng, n=WINDOW[1] - WINDOW[0]):
    values = np.triu(rng.exponential(size=(n, n)), 1)
    return values + values.T


def test_true_pairs_and_those_left_out_are_those_of_plain_loops():
    truth, expected = truth_of(), by_loops()
    first = WINDOW[0]
    assert sum(true for true, _ in expected.values()) == truth.true.sum() == 54  # 9 bases of A, 5 + 1 of B
    assert any(left_out for _, left_out in expected.values())
    for (i, j), (true, left_out) in expected.items():
        assert truth.true[i - first, j - first] == true
        assert truth.counted[i - first, j - first] == (not left_out)
    assert not np.tril(truth.counted).any()


def test_scores_are_those_of_another_package():
    truth, strengths = truth_of(), np.round(random_map(np.random.default_rng(0)), 1)  # with ties
    values, true = strengths[truth.counted], truth.true[truth.counted]
    found = pair_score(strengths, truth)
    assert found.average_precision == pytest.approx(average_precision_score(true, values), abs=1e-12)
    assert found.chance == pytest.approx(54 / truth.counted.sum())
    assert found.true_strength == pytest.approx(values[true].mean())
    assert found.other_strength == pytest.approx(values[~true].mean())


def test_units_order_of_sites_and_which_element_comes_first_play_no_part():
    strengths = random_map(np.random.default_rng(1))
    expected = pair_score(strengths, truth_of())
    # a power of two scales without rounding
    scaled = pair_score(2.0**-7 * strengths, truth_of())
    assert scaled[:2] == expected[:2]
    assert scaled.true_strength / scaled.other_strength == expected.true_strength / expected.other_strength
    assert pair_score(strengths**3, truth_of())[:2] == expected[:2]
    assert pair_score(strengths, truth_of(order=[4, 2, 0, 3, 1])) == expected
    assert pair_score(strengths, truth_of(interacting=[("B", "A")])) == expected
    # within sites, and below the diagonal, anything may stand
    lost = strengths.copy()
    lost[~truth_of().counted] = 99
    assert pair_score(lost, truth_of()) == expected


def test_a_sequence_read_backwards_scores_the_same():
    strengths = random_map(np.random.default_rng(2))
    starts, ends = (sum(WINDOW) - np.array(sides) for sides in (ENDS, STARTS))
    backwards = pair_truth(starts, ends, ELEMENTS, {("A", "B")}, WINDOW)
    assert pair_score(strengths[::-1, ::-1], backwards)[:2] == pair_score(strengths, truth_of())[:2]


def test_the_truth_scores_one_and_its_opposite_little():
    truth = truth_of()
    symmetric = truth.true | truth.true.T
    best, worst = (pair_score(each.astype(float), truth) for each in (symmetric, ~symmetric))
    assert best.average_precision == 1
    assert best.other_strength == 0
    assert worst.average_precision < best.chance * 1.01
    assert pair_score(np.ones_like(symmetric, float), truth).average_precision == pytest.approx(best.chance)


def test_random_maps_score_what_chance_does():
    """Of 1,000 maps the mean is within 4 standard errors of the expectation; a shift by .005 fails with power > .99."""
    truth, rng = truth_of(), np.random.default_rng(3)
    mean = mean_pair_score([pair_score(random_map(rng), truth) for _ in range(1000)])
    n, n_true = int(truth.counted.sum()), int(truth.true.sum())
    harmonic = (1 / np.arange(1, n + 1)).sum()
    # of a random order: the share of true pairs, and a little more since the first true pair finds itself
    expected = (harmonic + (n_true - 1) / (n - 1) * (n - harmonic)) / n
    error = mean["average_precision_se"]
    assert 0.005 / error - 4 > 2.33
    assert abs(mean["average_precision"] - expected) < 4 * error
    assert mean["chance"] == pytest.approx(n_true / n)
    assert expected - mean["chance"] < 0.01
    assert mean["strength_ratio"] == pytest.approx(1, abs=0.02)


def test_sequences_without_a_true_pair_are_not_counted():
    without = pair_score(random_map(np.random.default_rng(4)), truth_of(interacting=[("A", "D")]))
    assert all(math.isnan(value) for value in without)
    no_sites = pair_truth([], [], [], {("A", "B")}, (0, 5))
    assert no_sites.counted.sum() == 10
    assert not no_sites.true.any()
    mean = mean_pair_score([without, PairScore(0.5, 0.25, 3.0, 2.0)])
    assert mean["n_sequences"] == 1
    assert mean["average_precision"] == 0.5
    assert math.isnan(mean["average_precision_se"])
    assert mean["strength_ratio"] == 1.5
    nothing = mean_pair_score([without])
    assert nothing["n_sequences"] == 0
    assert all(math.isnan(value) for name, value in nothing.items() if name != "n_sequences")
    assert math.isnan(mean_pair_score([PairScore(0.5, 0.25, 0.0, 0.0)])["strength_ratio"])


def test_a_map_of_another_window_is_told():
    with pytest.raises(ValueError, match=r"strengths have shape \(3, 3\), the truth \(40, 40\)"):
        pair_score(np.zeros((3, 3)), truth_of())
