"""The bootstrap over trainings: against resampled tables one by one, its level and power, and that intervals fit p."""

import math

import numpy as np
import pandas as pd
import pytest

from simbench_tf.score import holm, mean_over_models
from simbench_tf.score.between_models import _crossed_error, comparisons_over_models
from simbench_tf.score.ranking import pairs_of, standings
from simbench_tf.score.resampled_models import _draws, resampled_t


def crossed(table):
    """Values, networks and sequences of a table of networks x sequences."""
    rows, columns = np.indices(np.shape(table))
    return np.ravel(table), rows.ravel(), columns.ravel()


def by_key(values, base="net"):
    """The table of `comparisons_over_models` from values (networks, sequences, keys)."""
    networks, sequences, keys = values.shape
    names = ["base", "model", "task", "seq_id"]
    places = [(base, f"{base}-seed{m + 1:02}", "t", f"s{s:02}") for m in range(networks) for s in range(sequences)]
    index = pd.MultiIndex.from_tuples(places, names=names)
    return pd.DataFrame(values.reshape(-1, keys), index=index, columns=list("abcdefg"[:keys]))


@pytest.mark.parametrize("networks", [(10,), (11, 13)])
def test_each_resample_is_the_t_of_a_table_of_drawn_rows_and_columns(networks):
    rng = np.random.default_rng(0)
    tables = [rng.normal(rng.normal(0, 0.1, (m, 1)), 0.2, (m, 17)) for m in networks]
    sequences, *rows = _draws(17, networks, 40, 3)
    assert {each.sum() for each in sequences} == {17}
    right = []
    for b in range(40):
        columns = np.repeat(np.arange(17), sequences[b])
        drawn = [
            (table - table.mean())[np.repeat(np.arange(m), counts[b])][:, columns]
            for table, counts, m in zip(tables, rows, networks, strict=True)
        ]
        error, _ = _crossed_error(drawn)
        right.append(abs(sum(table.mean() for table in drawn)) / error)
    np.testing.assert_allclose(resampled_t(tables, 40, 3), sorted(right, reverse=True))
    assert not np.array_equal(resampled_t(tables, 40, 4), resampled_t(tables, 40, 3))


def test_it_takes_the_place_of_students_t_from_ten_networks_of_every_model_on():
    table = np.random.default_rng(1).normal(0.03, 0.1, (10, 30))
    ten, nine = (mean_over_models(*crossed(part), n_resamples=999) for part in (table, table[:9]))
    assert nine.resampled is None
    assert ten.resampled is not None
    assert ten.resampled.shape == (999,)
    by_t = ten._replace(resampled=None)
    assert by_t == mean_over_models(*crossed(table), n_resamples=0)
    assert ten.p_value == (1 + sum(ten.resampled >= abs(ten.mean) / ten.error)) / 1000
    assert ten.p_value == pytest.approx(by_t.p_value, abs=0.01)
    both = (table, table[:9])
    of_two = mean_over_models(
        *(np.concatenate(each) for each in zip(*map(crossed, both), strict=True)), np.repeat(["a", "b"], [300, 270])
    )
    assert of_two.resampled is None  # model b has nine
    again = mean_over_models(*crossed(table), n_resamples=999)
    assert (again.p_value, again.interval()) == (ten.p_value, ten.interval())
    alike = mean_over_models(*crossed(np.full((10, 3), 0.5)))
    assert (alike.resampled, alike.p_value) == (None, 0)


def test_an_interval_holds_zero_exactly_where_p_is_as_large_as_its_level_says():
    table = np.random.default_rng(2).normal(0, 0.1, (12, 25))
    for shift in np.linspace(-0.06, 0.06, 41):
        found = mean_over_models(*crossed(table + shift), n_resamples=199)
        for alpha in (0.001, 0.005, 0.05, 0.1, 0.32):
            low, high = found.interval(1 - alpha)
            assert (low <= 0 <= high) == (found.p_value >= alpha - 1e-12)
    # with 199 resamples no p is under .005
    assert found.interval(0.999) == (-math.inf, math.inf)


def test_pairs_and_standings_follow_it_and_holms_correction():
    values = np.random.default_rng(3).normal([0.5, 0.49, 0.46], 0.1, (10, 20, 3))
    table = by_key(values)
    pairs = comparisons_over_models(table)
    np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p_value"]))
    for pair, (first, second) in zip(pairs.itertuples(), [(0, 1), (0, 2), (1, 2)], strict=True):
        right = mean_over_models(*crossed(values[:, :, first] - values[:, :, second]))
        assert right.resampled is not None
        assert (pair.p_value, pair.low, pair.high) == pytest.approx((right.p_value, *right.interval()))
        assert (pair.low_holm <= 0 <= pair.high_holm) == (pair.p_holm >= 0.05)
    rows = table.reset_index().melt(table.index.names, var_name="key", value_name="auprc").assign(chance_auprc=0.1)
    pd.testing.assert_frame_equal(pairs_of(rows), pairs)
    ranked = standings(rows).set_index("key")
    mine = mean_over_models(*crossed(values[:, :, 0]))
    assert tuple(ranked.loc["a", ["auprc_low", "auprc_high"]]) == pytest.approx(mine.interval())


@pytest.mark.parametrize("networks_differ", ["normally", "askew", "not at all"])
def test_its_level_and_power(networks_differ):
    """400 experiments without a difference: a share of .05 has a standard error of .011.

    10 trainings shift a difference by .02, 40 sequences by .03, and .08 at each: its error is .0089, with 17 degrees of
    freedom. By the noncentral t the power at a difference of .025 is .76; without the trainings' shift, .97.
    """
    rng = np.random.default_rng(7)
    false, true = [], []
    for _ in range(400):
        shift = {
            "normally": rng.normal(0, 0.02, (10, 1)),
            "askew": 0.02 * (rng.exponential(1, (10, 1)) - 1),
            "not at all": np.zeros((10, 1)),
        }[networks_differ]
        table = shift + rng.normal(0, 0.03, 40) + rng.normal(0, 0.08, (10, 40))
        false.append(mean_over_models(*crossed(table), n_resamples=299).p_value <= 0.05)
        true.append(mean_over_models(*crossed(table + 0.025), n_resamples=299).p_value <= 0.05)
    assert 0.02 < np.mean(false) < 0.085
    assert np.mean(true) == pytest.approx(0.97 if networks_differ == "not at all" else 0.76, abs=0.08)
