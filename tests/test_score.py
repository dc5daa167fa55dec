"""Scores equal scikit-learn's to the last digits, and hold what `METRICS` promises of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf.score import METRICS, pooled_scores, score_attributions, summarise

COLUMNS = ["auroc", "auprc", "mass_fraction", "chance_auprc", "n_true"]


def reference_scores(scores, mask):
    """Score plainly, sequence by sequence, with scikit-learn."""
    rows = []
    for values, truth in zip(np.abs(scores.astype(np.float64)), mask, strict=True):
        chance = truth.mean() if truth.any() and not truth.all() else np.nan
        if np.isnan(chance):
            rows.append((np.nan, np.nan, np.nan, np.nan))
            continue
        mass = values[truth].sum() / values.sum() if values.any() else chance
        rows.append((roc_auc_score(truth, values), average_precision_score(truth, values), mass, chance))
    return pd.DataFrame(rows, columns=COLUMNS[:4]).assign(n_true=mask.sum(axis=1))


def random_truth(rng, n, length, share=0.2):
    mask = rng.random((n, length)) < share
    mask[:, 0], mask[:, 1] = True, False
    return mask


def equal_scores(table, expected):
    pd.testing.assert_frame_equal(table, expected, rtol=1e-12, atol=1e-12, check_dtype=False)


# few values, so that ties abound, between others that do not tie
ties = st.sampled_from([0.0, -1.0, 1.0, 2.0, -2.0, 0.5])
anything = st.floats(-1e6, 1e6, width=32)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), shape=st.tuples(st.integers(1, 4), st.integers(1, 30)), tied=st.booleans())
def test_scores_equal_scikit_learn(data, shape, tied):
    scores = data.draw(arrays.arrays(np.float32, shape, elements=ties if tied else anything))
    mask = data.draw(arrays.arrays(np.bool_, shape))
    equal_scores(score_attributions(scores, mask), reference_scores(scores, mask))
    pooled = pooled_scores(scores, mask)
    whole = reference_scores(scores.reshape(1, -1), mask.reshape(1, -1)).iloc[0]
    np.testing.assert_allclose(list(pooled.values()), whole[["auroc", "auprc"]].to_numpy(float), rtol=1e-12)


def test_scores_equal_scikit_learn_on_sequences_of_usual_length():
    rng = np.random.default_rng(1)
    mask = random_truth(rng, 50, 400)
    scores = (rng.normal(size=(50, 400)) + mask).astype(np.float32)
    scores[:, 200:] = np.round(scores[:, 200:], 1)
    equal_scores(score_attributions(scores, mask), reference_scores(scores, mask))


def test_signed_use_ranks_by_the_value_itself():
    rng = np.random.default_rng(2)
    mask = random_truth(rng, 5, 40)
    scores = rng.normal(size=mask.shape)
    table = score_attributions(scores, mask, use="signed")
    expected = [roc_auc_score(truth, values) for truth, values in zip(mask, scores, strict=True)]
    np.testing.assert_allclose(table["auroc"], expected, rtol=1e-12)
    np.testing.assert_array_equal(table["mass_fraction"], score_attributions(scores, mask)["mass_fraction"])
    assert pooled_scores(scores, mask, use="signed")["pooled_auprc"] == pytest.approx(
        average_precision_score(mask.ravel(), scores.ravel()), rel=1e-12
    )


@pytest.mark.parametrize("name", METRICS)
def test_the_truth_itself_scores_highest_and_its_opposite_lowest(name):
    mask = random_truth(np.random.default_rng(3), 20, 100)
    best = METRICS[name].range[1]
    np.testing.assert_allclose(score_attributions(mask.astype(float), mask)[name], best, rtol=1e-12)
    np.testing.assert_allclose(score_attributions(-3.0 * mask, mask)[name], best, rtol=1e-12)
    assert score_attributions(1.0 - mask, mask)[name].max() < 0.5


@pytest.mark.parametrize("name", METRICS)
def test_noise_scores_at_chance(name):
    # 2,000 sequences of 200 bases, 40 true: a standard error below .0025, so that a bias of .01 would be found.
    # The average precision of noise lies above the share of true bases by an exact amount (Bestgen 2015)
    rng = np.random.default_rng(4)
    mask = np.zeros((2000, 200), bool)
    mask[:, :40] = True
    table = score_attributions(rng.normal(size=mask.shape), mask)
    chance = METRICS[name].chance
    expected = chance if isinstance(chance, float) else table[chance].mean()
    harmonic = (1 / np.arange(1, 201)).sum()
    excess = (39 / 199 * (200 - harmonic) + harmonic) / 200 - 0.2 if name == "auprc" else 0.0
    summary = summarise(table)
    assert summary[f"{name}_se"] < 0.0025
    assert abs(summary[name] - expected - excess) < 3 * summary[f"{name}_se"]


@pytest.mark.parametrize("name", METRICS)
def test_scale_sign_and_order_of_bases_play_no_part(name):
    rng = np.random.default_rng(5)
    mask = random_truth(rng, 20, 60)
    scores = np.round(rng.normal(size=mask.shape), 1)
    expected = score_attributions(scores, mask)[name]
    order = rng.permutation(60)
    for same, truth in [
        (scores * 1e-300, mask),
        (scores * 1e300, mask),
        (-scores, mask),
        (scores[:, order], mask[:, order]),
    ]:
        np.testing.assert_allclose(score_attributions(same, truth)[name], expected, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.rank_based])
def test_rank_metrics_keep_under_increasing_transformations(name):
    rng = np.random.default_rng(6)
    mask = random_truth(rng, 20, 60)
    scores = np.round(rng.normal(size=mask.shape), 1)
    expected = score_attributions(scores, mask)[name]
    np.testing.assert_array_equal(score_attributions(np.sqrt(np.abs(scores)), mask)[name], expected)
    np.testing.assert_array_equal(score_attributions(np.exp(np.abs(scores)), mask)[name], expected)


@pytest.mark.parametrize("name", METRICS)
def test_values_lie_in_the_promised_range(name):
    rng = np.random.default_rng(7)
    mask = random_truth(rng, 100, 12, share=0.5)
    values = score_attributions(rng.integers(-2, 3, mask.shape).astype(float), mask)[name]
    low, high = METRICS[name].range
    assert values.between(low, high).all()


def test_attributions_of_zero_prefer_no_base():
    mask = np.array([[True, False, False, False]])
    row = score_attributions(np.zeros((1, 4)), mask).iloc[0]
    assert row.tolist() == [0.5, 0.25, 0.25, 0.25, 1]


def test_sequences_with_nothing_to_rank_are_nan_and_left_out_of_means():
    mask = np.array([[True] * 3, [False] * 3, [True, False, False]])
    table = score_attributions(np.array([[1.0, 2, 3]] * 3), mask)
    assert table[COLUMNS[:4]].isna().all(axis=1).tolist() == [True, True, False]
    assert table["n_true"].tolist() == [3, 0, 1]
    summary = summarise(table)
    assert summary["auroc"] == 0.0
    assert summary["auprc"] == summary["chance_auprc"] == pytest.approx(1 / 3)
    assert np.isnan(summary["auroc_se"])  # one sequence says nothing of the spread
    assert np.isnan(pooled_scores(np.ones((2, 3)), np.zeros((2, 3), bool))["pooled_auroc"])


def test_summary_is_mean_and_standard_error():
    rng = np.random.default_rng(8)
    mask = random_truth(rng, 30, 50)
    table = score_attributions(rng.normal(size=mask.shape), mask)
    summary = summarise(table)
    for name in METRICS:
        assert summary[name] == pytest.approx(np.mean(table[name]), rel=1e-12)
        assert summary[f"{name}_se"] == pytest.approx(np.std(table[name], ddof=1) / np.sqrt(30), rel=1e-12)


@pytest.mark.parametrize("shape", [(0, 10), (3, 0)])
def test_empty_input(shape):
    table = score_attributions(np.zeros(shape), np.zeros(shape, bool))
    assert list(table) == COLUMNS
    assert len(table) == shape[0]
    assert np.isnan(summarise(table)["auroc"])
    assert np.isnan(pooled_scores(np.zeros(shape), np.zeros(shape, bool))["pooled_auprc"])


@pytest.mark.parametrize("score", [score_attributions, pooled_scores])
def test_misuse_is_told(score):
    mask = np.array([[True, False]])
    with pytest.raises(ValueError, match=r"scores\[0, 1\] is nan"):
        score(np.array([[1.0, np.nan]]), mask)
    with pytest.raises(ValueError, match="one shape"):
        score(np.zeros((1, 3)), mask)
    with pytest.raises(ValueError, match="bool"):
        score(np.zeros((1, 2)), mask.astype(int))
    with pytest.raises(ValueError, match="signed"):
        score(np.zeros((1, 2)), mask, use="absolute")
