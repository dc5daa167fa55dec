"""Intervals cover, tests equal their definitions, and what is estimated is what was simulated."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from simbench_tf.score import (
    bootstrap_interval,
    critical_difference,
    holm,
    mean_and_error,
    mean_ranks,
    n_needed,
    paired_comparisons,
    pareto_front,
    variance_components,
)


def test_bootstrap_intervals_cover_at_their_nominal_rate():
    # 800 draws of 100 skewed scores: the share covered has a standard error of .0077 (.0141), so that intervals that
    # truly cover 90% (70%) would pass with probability below .01
    rng = np.random.default_rng(0)
    draws = rng.beta(4, 1, size=(800, 100))
    for level, error in ((0.95, 0.0077), (0.8, 0.0141)):
        bounds = np.array([bootstrap_interval(draw, level, n_resamples=1000) for draw in draws])
        covered = ((bounds[:, 0] <= 0.8) & (bounds[:, 1] >= 0.8)).mean()
        assert abs(covered - level) < 3 * error


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bootstrap_intervals_are_scipys_from_the_same_draws(level):
    for seed, values in enumerate((np.random.default_rng(1).gamma(1, size=40), np.random.default_rng(2).random(200))):
        theirs = scipy.stats.bootstrap(
            (values,), np.mean, confidence_level=level, n_resamples=2000, method="BCa", rng=np.random.default_rng(seed)
        ).confidence_interval
        assert bootstrap_interval(values, level, 2000, seed) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_bootstrap_intervals_are_the_same_each_time_and_pass_over_nan():
    values = np.random.default_rng(3).normal(size=50)
    assert bootstrap_interval(values) == bootstrap_interval(np.append(values, np.nan))
    assert bootstrap_interval(values) != bootstrap_interval(values, random_state=1)
    assert bootstrap_interval([0.25] * 5) == (0.25, 0.25)
    assert np.isnan(bootstrap_interval([0.5])).all()
    assert np.isnan(bootstrap_interval([])).all()
    low, high = bootstrap_interval([0.0] * 19 + [1.0])
    assert 0 <= low < 0.05 < high <= 1


def test_intervals_of_many_sequences_made_in_blocks_are_those_of_the_normal_distribution():
    values = np.random.default_rng(4).normal(size=30_000)
    low, high = bootstrap_interval(values)
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_mean_and_error():
    values = np.random.default_rng(5).normal(size=30)
    mean, error = mean_and_error(values, np.arange(30))
    assert (mean, error) == pytest.approx((values.mean(), scipy.stats.sem(values)))
    # every sequence observed twice with the same value says no more
    assert mean_and_error(np.repeat(values, 2), np.repeat(np.arange(30), 2))[1] == pytest.approx(error, rel=0.02)
    # groups count the same, however large
    groups = np.array([0] * 10 + [1] * 20)
    mean, error = mean_and_error(values, np.arange(30), groups)
    assert mean == pytest.approx((values[:10].mean() + values[10:].mean()) / 2)
    both = scipy.stats.sem(values[:10]) ** 2 + scipy.stats.sem(values[10:]) ** 2
    assert error == pytest.approx(np.sqrt(both) / 2)
    assert np.isnan(mean_and_error([1.0, 2.0], np.array([3, 3]))[1])
    assert np.isnan(mean_and_error([np.nan], np.array([0]))).all()


def simulated_table(n=40, seed=6):
    rng = np.random.default_rng(seed)
    sequence = rng.normal(size=(n, 1))
    return pd.DataFrame(sequence + rng.normal([0.5, 0.4, 0.0], 0.3, size=(n, 3)), columns=["a", "b", "c"])


def test_comparisons_equal_their_definitions():
    table = simulated_table()
    compared = paired_comparisons(table)
    assert list(zip(compared["first"], compared["second"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    for line in compared.itertuples():
        differences = (table[line.first] - table[line.second]).to_numpy()
        ranks = scipy.stats.rankdata(np.abs(differences))
        for_first, for_second = ranks[differences > 0].sum(), ranks[differences < 0].sum()
        assert line.n_sequences == 40
        assert line.difference == pytest.approx(differences.mean())
        assert (line.low, line.high) == pytest.approx(bootstrap_interval(differences))
        assert line.effect_size == pytest.approx((for_first - for_second) / (40 * 41 / 2))
        assert line.p_value == scipy.stats.wilcoxon(differences).pvalue
        assert line.n_needed == n_needed(differences.mean() / differences.std(ddof=1))
    np.testing.assert_allclose(compared["p_holm"], holm(compared["p_value"]))


def test_the_signed_rank_test_is_exact_on_a_hand_example():
    # ranks 1 2 3 4 5 6, of which the first is negative: 2 of 64 sign patterns are as far out on either side
    table = pd.DataFrame({"a": [-1.0, 2, 3, 4, 5, 6], "b": [0.0] * 6})
    line = paired_comparisons(table).iloc[0]
    assert line["p_value"] == 4 / 64
    assert line["effect_size"] == pytest.approx((20 - 1) / 21)


def test_p_values_of_methods_that_do_not_differ_are_uniform():
    # 1,050 tests at level .05, of which those of one table share methods: a share of .05 +- .01 at most
    rng = np.random.default_rng(7)
    tables = (pd.DataFrame(rng.normal(size=(20, 21))) for _ in range(5))
    p_values = np.concatenate([paired_comparisons(table)["p_value"] for table in tables])
    assert len(p_values) == 1050
    assert abs((p_values < 0.05).mean() - 0.05) < 0.03


def test_comparisons_without_a_difference_or_without_data():
    table = pd.DataFrame({"a": [1.0, 2, 3], "b": [1.0, 2, 3], "c": [2.0, 3, 4]})
    same, below, _ = paired_comparisons(table).itertuples(index=False)
    assert same[3:] == (0, 0, 0, 0, 1, 1, math.inf)
    assert (below.difference, below.low, below.high, below.effect_size, below.n_needed) == (-1, -1, -1, -1, 6)
    empty = paired_comparisons(table * np.nan)
    assert empty["n_sequences"].tolist() == [0, 0, 0]
    assert empty.drop(columns=["first", "second", "n_sequences"]).isna().all(axis=None)
    alone = paired_comparisons(table[["a"]])
    assert alone.empty
    assert list(alone) == list(empty)


def test_sequences_without_a_value_are_left_out_for_all():
    table = simulated_table()
    with_gap = pd.concat([table, pd.DataFrame({"a": [9.0], "b": [np.nan], "c": [1.0]})])
    pd.testing.assert_frame_equal(paired_comparisons(with_gap), paired_comparisons(table))
    pd.testing.assert_series_equal(mean_ranks(with_gap), mean_ranks(table))


def test_holm_on_a_hand_example():
    # sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, and none below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == []


def test_holm_keeps_the_family_wise_error_rate():
    # 2,000 families of 10 tests without effect: some p below .05 in 5 +- .5% of them
    p_values = np.random.default_rng(8).random((2000, 10))
    assert abs((np.array([holm(row).min() for row in p_values]) < 0.05).mean() - 0.05) < 0.015


@pytest.mark.parametrize("effect", [0.5, 0.25])
def test_n_needed_gives_the_power_it_promises(effect):
    # 4,000 experiments with normal differences: a standard error of .0063 of the power
    n = int(n_needed(effect))
    differences = np.random.default_rng(9).normal(effect, 1, size=(4000, n))
    found = scipy.stats.wilcoxon(differences, axis=1, method="asymptotic").pvalue < 0.05
    assert abs(found.mean() - 0.8) < 0.02


def test_n_needed_at_its_ends():
    assert n_needed(10.0) == 6
    assert scipy.stats.wilcoxon(np.arange(1, 7)).pvalue < 0.05 < scipy.stats.wilcoxon(np.arange(1, 6)).pvalue
    assert n_needed(-0.3) == n_needed(0.3)
    assert n_needed(math.inf) == 6
    assert n_needed(0.0) == math.inf
    assert math.isnan(n_needed(math.nan))
    assert n_needed(0.2, power=0.9) > n_needed(0.2) > n_needed(0.2, level=0.1)


def test_mean_ranks_share_ties_and_come_from_the_best_down():
    table = pd.DataFrame({"low": [0.1, 0.2, 0.3], "high": [0.9, 0.2, 0.8], "mid": [0.5, 0.2, 0.5]})
    ranks = mean_ranks(table)
    assert ranks.to_dict() == pytest.approx({"high": 4 / 3, "mid": 2, "low": 8 / 3})
    assert list(ranks.index) == ["high", "mid", "low"]


@pytest.mark.parametrize(
    ("level", "table"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_critical_differences_are_those_of_demsars_table(level, table):
    for k, expected in enumerate(table, start=2):
        q = critical_difference(k, 25, level) / math.sqrt(k * (k + 1) / (6 * 25))
        assert q == pytest.approx(expected, abs=0.0011)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
@settings(max_examples=100)
def test_the_pareto_front_is_what_no_other_beats(points):
    beaten = [
        any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points) for cost, quality in points
    ]
    cost, quality = np.array(points, float).T
    assert (~pareto_front(cost, quality)).tolist() == beaten


def test_methods_without_a_cost_are_not_on_the_front_and_hide_no_other():
    assert pareto_front([1.0, np.nan, 2.0], [0.5, 0.9, np.nan]).tolist() == [True, False, False]


def test_variance_components_are_those_that_were_simulated():
    # 300 experiments of 5 models and 40 sequences; estimates of variances are unbiased, if not cut off at zero
    rng = np.random.default_rng(10)
    estimates = []
    for _ in range(300):
        models, sequences = rng.normal(0, 0.2, (5, 1)), rng.normal(0, 0.3, 40)
        estimates.append(variance_components(0.5 + models + sequences + rng.normal(0, 0.1, (5, 40))))
    for name, expected in (("sd_models", 0.2), ("sd_sequences", 0.3), ("sd_residual", 0.1)):
        variances = np.array([getattr(each, name) for each in estimates]) ** 2
        assert abs(variances.mean() - expected**2) < 3 * scipy.stats.sem(variances)
    assert {(each.n_models, each.n_sequences) for each in estimates} == {(5, 40)}


def test_variance_components_of_seeds_that_do_not_differ_and_of_too_few():
    sequences = np.array([0.1, 0.5, 0.6])
    alike = variance_components([sequences, sequences])
    assert alike == pytest.approx((0.4, 0, sequences.std(ddof=1), 0, 2, 3))
    with_gap = variance_components([[*sequences, np.nan], [*sequences, 0.7]])
    assert with_gap == pytest.approx(alike)
    assert np.isnan(variance_components([sequences])[1:4]).all()
    assert np.isnan(variance_components(np.full((2, 3), np.nan))[:4]).all()
