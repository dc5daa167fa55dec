"""Trainings as a sample: errors worked out by hand, and tests that keep their level where a single network's do not."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from simbench_tf.score import comparisons_over_models, holm, mean_over_models
from simbench_tf.score.ranking import base_models, pairs_of, standings, without_nulls


def crossed(table):
    """Values, networks and sequences of a table of networks x sequences."""
    table = np.asarray(table, float)
    rows, columns = np.indices(table.shape)
    return table.ravel(), rows.ravel(), columns.ravel()


def test_one_network_is_the_paired_t_test_over_sequences():
    values = np.random.default_rng(0).normal(0.1, 1, 25)
    found = mean_over_models(values, ["m"] * 25, np.arange(25))
    right = scipy.stats.ttest_1samp(values, 0)
    assert (found.mean, found.error, found.df) == pytest.approx((values.mean(), values.std(ddof=1) / 5, 24))
    assert found.p_value == pytest.approx(right.pvalue)
    assert found.interval() == pytest.approx(tuple(right.confidence_interval()))


def test_a_crossed_table_by_hand():
    # means 2 and 5 of networks, 2, 3 and 5.5 of sequences; mean squares 13.5 of networks, 6.5 of sequences and 1.5 of
    # the rest; the variance is (13.5 + 6.5 - 1.5) / 6, and the degrees of freedom 18.5^2 / (13.5^2 + 5^2 / 2)
    found = mean_over_models(*crossed([[1, 2, 3], [3, 4, 8]]))
    assert (found.mean, found.error**2, found.df) == pytest.approx((3.5, 18.5 / 6, 342.25 / 194.75))
    assert (found.n_models, found.n_sequences) == (2, 3)


def test_sequences_that_add_nothing_leave_the_t_test_over_networks():
    # every network alike on average over sequences, with residuals larger than the sequences' spread:
    # means 1, 2 and 6 of networks, all sequences' means 3, so that the error is that of 3 networks, with 2 degrees
    found = mean_over_models(*crossed([[0, 2], [3, 1], [6, 6]]))
    right = scipy.stats.ttest_1samp([1, 2, 6], 0)
    assert (found.mean, found.error, found.df) == pytest.approx((3, math.sqrt(7 / 3), 2))
    assert found.p_value == pytest.approx(right.pvalue)


def test_degrees_of_freedom_are_never_below_those_of_networks():
    rng = np.random.default_rng(5)
    for _ in range(200):
        found = mean_over_models(*crossed(rng.normal(0.4, 0.05, (4, 30))))
        assert found.df >= 3 - 1e-9
        assert found.p_value < 1e-4  # eight and more errors from zero


def test_bases_are_not_a_sample_of_models_but_their_trainings_are():
    """Two bases of two networks on the same sequences: variances of their means add up, over four."""
    one, two = np.array([[1.0, 1], [3, 3]]), np.array([[0.0, 0], [0, 0]])
    values = np.concatenate([one.ravel(), two.ravel()])
    found = mean_over_models(values, np.repeat(range(4), 2), np.tile([0, 1], 4), np.repeat(["a", "b"], 4))
    # of base a the variance of its mean is 2 / 2 with one degree of freedom, of b it is nothing; sequences add nothing
    assert (found.mean, found.error, found.df) == pytest.approx((1, math.sqrt(1 / 4), 1))


def test_tasks_count_the_same_and_share_their_networks():
    rng = np.random.default_rng(1)
    shift = np.repeat([-0.3, 0.0, 0.3], 40)  # a network is better or worse on both tasks
    values = np.concatenate([shift + rng.normal(0, 0.01, 120), 1 + shift + rng.normal(0, 0.01, 120)])
    models, tasks = np.tile(np.repeat(range(3), 40), 2), np.repeat(["s", "t"], 120)
    sequences = np.concatenate([np.tile(np.arange(40), 3), 100 + np.tile(np.arange(40), 3)])
    found = mean_over_models(values, models, sequences, tasks=tasks)
    assert found.mean == pytest.approx(0.5, abs=0.01)
    assert found.error == pytest.approx(0.3 / math.sqrt(3), rel=0.02)  # not less by the second task
    assert found.df == pytest.approx(2, abs=0.02)
    assert (found.n_models, found.n_sequences) == (3, 80)


def test_what_a_network_lacks_is_left_out_for_all():
    values, models, sequences = crossed([[1, 2, 3], [3, 4, 8]])
    more = mean_over_models([*values, 9, np.nan], [*models, 0, 1], [*sequences, 3, 3])
    assert more == mean_over_models(values, models, sequences)
    lone = mean_over_models([1.0], [0], [0])
    assert lone.mean == 1
    assert np.isnan([lone.error, lone.p_value, *lone.interval()]).all()
    assert np.isnan(mean_over_models([np.nan], [0], [0])[:3]).all()
    alike = mean_over_models([0.5] * 4, [0, 0, 1, 1], [0, 1, 0, 1])
    assert (alike.p_value, alike.interval()) == (0, (0.5, 0.5))
    assert mean_over_models([0.0] * 4, [0, 0, 1, 1], [0, 1, 0, 1]).p_value == 1


def test_the_test_keeps_its_level_where_trainings_differ_and_the_one_over_sequences_does_not():
    # 2,000 experiments without a difference: 4 trainings that shift it by .02, 50 sequences by .03, and .08 at each;
    # a share of .05 has a standard error of .005
    rng = np.random.default_rng(2)
    ours, pooled = [], []
    for _ in range(2000):
        table = rng.normal(0, 0.02, (4, 1)) + rng.normal(0, 0.03, 50) + rng.normal(0, 0.08, (4, 50))
        ours.append(mean_over_models(*crossed(table)).p_value < 0.05)
        pooled.append(scipy.stats.ttest_1samp(table.mean(axis=0), 0).pvalue < 0.05)
    assert 0.03 < np.mean(ours) < 0.065
    assert np.mean(pooled) > 0.2


def test_variances_are_estimated_without_bias():
    # var = .2^2/3 + .1^2/20 + .4^2/60
    rng = np.random.default_rng(3)
    tables = rng.normal(0, 0.2, (1500, 3, 1)) + rng.normal(0, 0.1, (1500, 1, 20)) + rng.normal(0, 0.4, (1500, 3, 20))
    found = np.mean([mean_over_models(*crossed(table)).error ** 2 for table in tables])
    assert found == pytest.approx(0.04 / 3 + 0.01 / 20 + 0.16 / 60, rel=0.08)  # the standard error is 2.4%


def scored(values, keys=("a", "b", "c"), networks=("net-seed1", "net-seed2", "net-seed3")):
    """Rows of per_sequence.parquet from values by network, sequence and key."""
    rows = [
        (network, "t", key, f"s{s}", values[m][s][k], 0.1)
        for m, network in enumerate(networks)
        for s in range(len(values[m]))
        for k, key in enumerate(keys)
    ]
    return pd.DataFrame(rows, columns=["model", "task", "key", "seq_id", "auprc", "chance_auprc"])


def test_pairs_are_corrected_and_their_intervals_follow_the_correction():
    rng = np.random.default_rng(4)
    for shift in (0.02, 0.05, 0.08, 0.12):
        values = rng.normal([0.5, 0.5 - shift, 0.5 - 2 * shift], 0.1, (3, 20, 3)) + rng.normal(0, 0.01, (3, 1, 3))
        pairs = pairs_of(scored(values))
        np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p_value"]))
        for pair, (first, second) in zip(pairs.itertuples(), [(0, 1), (0, 2), (1, 2)], strict=True):
            right = mean_over_models(*crossed(values[:, :, first] - values[:, :, second]))
            assert (pair.difference, pair.error, pair.df) == pytest.approx(right[:3])
            assert (pair.low, pair.high) == pytest.approx(right.interval())
            assert pair.p_value == pytest.approx(right.p_value)
            assert (pair.low_holm <= 0 <= pair.high_holm) == (pair.p_holm >= 0.05)
            assert pair.low_holm <= pair.low < pair.high <= pair.high_holm
            assert math.isnan(pair.n_needed)
    alone = pairs_of(scored(values[:1], networks=("net",)))
    assert (alone["n_needed"] >= 6).all()


def test_standings_show_what_trainings_agree_on():
    """b is below a by .05 with every network; c is by .3, 0 and 0, which is more and which three do not make sure."""
    sequences = np.array([0.0, 0.01, -0.01, 0.02])
    values = [[(0.7 + s, 0.65 + s, 0.7 - shift + s) for s in sequences] for shift in (0.3, 0.0, 0.0)]
    # no spread at all of a - b would make its p 0: one sequence differs by a little
    values[0][0] = (0.701, 0.65, 0.4)
    table = standings(scored(values)).set_index("key")
    assert list(table.index) == ["a", "b", "c"]
    assert table["level"].to_dict() == {"a": True, "c": True, "b": False}
    assert table.loc["c", "behind"] == pytest.approx(0.1, abs=0.001)
    assert table.loc["c", "behind_se"] == pytest.approx(0.1, rel=0.01)  # sd .173 of the networks, over sqrt(3)
    assert (table.loc[["a", "b"], "p_chance"] < 0.001).all()


def test_null_methods_and_base_names():
    table = pd.DataFrame({"key": ["ism@none", "null_scan@none"], "auprc": [0.5, 0.9]})
    assert without_nulls(table)["key"].tolist() == ["ism@none"]
    assert without_nulls(table.assign(method=["ism", "null_scan"], key="x")).shape == (1, 3)
    assert base_models(pd.Series(["a-seed1", "a-seed2", "b-seed1"])).tolist() == ["a", "a", "b-seed1"]


def test_one_method_has_no_pair():
    pairs = comparisons_over_models(
        pd.DataFrame(
            {"a": [1.0]},
            index=pd.MultiIndex.from_tuples([("b", "m", "t", "s")], names=["base", "model", "task", "seq_id"]),
        )
    )
    assert pairs.empty
    assert {"p_holm", "low_holm", "high_holm"} <= set(pairs)
