"""Scores equal scikit-learn's to the last digits, and hold what `METRICS` promises of them.

A new metric needs no test of its own to be held to the promise of all. Its column is computed by `sequence_metrics`
(simbench_tf/score/metrics.py), and its record is entered in `METRICS` there, at the place of its column; a plain
version of it goes into `reference_row` below, and its name into `COLUMNS`. The tests below that take each `name` of
METRICS then check that

- the truth itself scores the top of `range`, its complement below one half; the negated truth too where `signed`, else
  as the truth does; every value lies in `range`;
- noise scores `chance`, a number or a column, within three standard errors of 2,000 sequences;
- neither scale nor the order of bases plays a part; the sign only where `signed`;
- an increasing transformation of what is ranked keeps it where `rank_based`, and changes it otherwise;
- it equals its plain version, by hypothesis and on sequences of usual length, ties included; it is no other metric's
  equal; its means and errors have columns of `SUMMARY_COLUMNS` (simbench_tf/tables.py).
"""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf import tables
from simbench_tf.score import METRICS, areas, pooled_scores, score_attributions, summarise

COLUMNS = [
    "auroc", "auprc", "mass_fraction", "chance_auprc", "rank_accuracy", "pointing_game", "top_k",
    "signed_auroc", "signed_auprc", "positive_mass_fraction", "n_true",
]  # fmt: skip


def true_share_of_top(values, truth, k):
    """Share of true among the k highest, each base being there with the probability that a fair coin would give it."""
    above = np.array([(values > value).sum() for value in values])
    level = np.array([(values == value).sum() for value in values])
    return np.clip((k - above) / level, 0, 1)[truth].sum() / k


def true_share_of_mass(values, truth):
    return values[truth].sum() / values.sum() if values.any() else truth.mean()


def reference_row(scores, truth):
    """Score one sequence plainly, and with scikit-learn."""
    size, n_true = np.abs(scores), truth.sum()
    if n_true in (0, len(truth)):
        return [np.nan] * 10
    return [
        roc_auc_score(truth, size),
        average_precision_score(truth, size),
        true_share_of_mass(size, truth),
        truth.mean(),
        true_share_of_top(size, truth, n_true),
        true_share_of_top(size, truth, 1),
        true_share_of_top(size, truth, min(n_true, max(1, round(len(truth) / 20)))),
        roc_auc_score(truth, scores),
        average_precision_score(truth, scores),
        true_share_of_mass(np.maximum(scores, 0), truth),
    ]


def reference_scores(scores, mask):
    rows = [reference_row(*each) for each in zip(scores.astype(np.float64), mask, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS[:-1]).assign(n_true=mask.sum(axis=1))


def random_truth(rng, n, length, share=0.2):
    mask = rng.random((n, length)) < share
    mask[:, 0], mask[:, 1] = True, False
    return mask


def equal_scores(table, expected):
    pd.testing.assert_frame_equal(table, expected, rtol=1e-12, atol=1e-12, check_dtype=False)


# few values, so that ties abound, between others that do not tie
ties = st.sampled_from([0.0, -1.0, 1.0, 2.0, -2.0, 0.5])
anything = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=150)
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


def test_pooled_scores_rank_by_size_or_by_the_value_itself():
    rng = np.random.default_rng(2)
    mask = random_truth(rng, 5, 40)
    scores = rng.normal(size=mask.shape)
    for use, values in (("abs", np.abs(scores)), ("signed", scores)):
        pooled = pooled_scores(scores, mask, use=use)
        assert pooled["pooled_auprc"] == pytest.approx(average_precision_score(mask.ravel(), values.ravel()), rel=1e-12)
        assert pooled["pooled_auroc"] == pytest.approx(roc_auc_score(mask.ravel(), values.ravel()), rel=1e-12)


def test_the_dictionary_is_in_the_order_of_the_columns():
    assert list(METRICS) == [name for name in COLUMNS if name not in ("chance_auprc", "n_true")]


def test_the_columns_of_the_summary_are_those_of_the_metrics_in_a_fixed_order():
    assert tables.SUMMARY_COLUMNS == (
        "model", "task", "key", "method", "references", "settings", "truth", "n_sequences",
        "auroc", "auroc_se", "auprc", "auprc_se", "pooled_auroc", "pooled_auprc",
        "mass_fraction", "mass_fraction_se", "chance_auprc", "oracle_auprc", "seconds_per_sequence",
        "rank_accuracy", "rank_accuracy_se", "pointing_game", "pointing_game_se", "top_k", "top_k_se",
        "signed_auroc", "signed_auroc_se", "signed_auprc", "signed_auprc_se",
        "positive_mass_fraction", "positive_mass_fraction_se", "auroc_low", "auroc_high", "auprc_low", "auprc_high",
        "scan_auprc", "absolute_auprc", "auprc_all_bases", "oracle_auprc_se", "sign", "scored_bases",
    )  # fmt: skip
    assert {f"{name}{end}" for name in METRICS for end in ("", "_se")} <= set(tables.SUMMARY_COLUMNS)


def test_records_of_metrics_agree_with_themselves_and_differ_from_each_other():
    by_title = {metric.title: metric for metric in METRICS.values()}
    assert len(by_title) == len({metric.description for metric in METRICS.values()}) == len(METRICS)
    for metric in METRICS.values():
        assert metric.signed == metric.title.startswith(("signed ", "positive ")), metric.title
        if metric.source.startswith("as "):
            unsigned = by_title[metric.source.removeprefix("as ")]
            assert metric == metric._replace(signed=True, chance=unsigned.chance, rank_based=unsigned.rank_based)
            assert not unsigned.signed
        else:
            assert re.search(r"[A-Z].* (19|20)\d\d\b", metric.source), "who defined it, and when"


def test_no_two_metrics_are_the_same():
    rng = np.random.default_rng(9)
    mask = random_truth(rng, 50, 100)
    table = score_attributions(rng.normal(size=mask.shape) + mask, mask)
    for one, other in itertools.combinations(METRICS, 2):
        assert (table[one] != table[other]).any(), (one, other)


@pytest.mark.parametrize("name", METRICS)
def test_the_truth_itself_scores_highest_and_its_opposite_lowest(name):
    mask = random_truth(np.random.default_rng(3), 20, 100)
    np.testing.assert_allclose(score_attributions(mask.astype(float), mask)[name], 1.0, rtol=1e-12)
    negative = score_attributions(-3.0 * mask, mask)[name]
    if METRICS[name].signed:
        assert negative.max() < 0.5
    else:
        np.testing.assert_allclose(negative, 1.0, rtol=1e-12)
    assert score_attributions(1.0 - mask, mask)[name].max() < 0.5


@pytest.mark.parametrize("name", METRICS)
def test_noise_scores_at_chance(name):
    # 2,000 sequences of 200 bases, 40 true: a standard error below .0035 (of the pointing game's 0 or 1: .01), so that
    # a bias of .015 (.04) would be found. The average precision of noise lies above the share of true bases by an
    # exact amount (Bestgen 2015)
    rng = np.random.default_rng(4)
    mask = np.zeros((2000, 200), bool)
    mask[:, :40] = True
    table = score_attributions(rng.normal(size=mask.shape), mask)
    chance = METRICS[name].chance
    expected = chance if isinstance(chance, float) else table[chance].mean()
    harmonic = (1 / np.arange(1, 201)).sum()
    excess = (39 / 199 * (200 - harmonic) + harmonic) / 200 - 0.2 if "auprc" in name else 0.0
    summary = summarise(table)
    assert summary[f"{name}_se"] < (0.01 if name == "pointing_game" else 0.0035)
    assert abs(summary[name] - expected - excess) < 3 * summary[f"{name}_se"]


@pytest.mark.parametrize("name", METRICS)
def test_scale_sign_and_order_of_bases_play_no_part(name):
    rng = np.random.default_rng(5)
    mask = random_truth(rng, 20, 60)
    scores = np.round(rng.normal(size=mask.shape), 1)
    expected = score_attributions(scores, mask)[name]
    order = rng.permutation(60)
    same = [(scores * 1e-300, mask), (scores * 1e300, mask), (scores[:, order], mask[:, order])]
    if not METRICS[name].signed:
        same.append((-scores, mask))
    for other, truth in same:
        np.testing.assert_allclose(score_attributions(other, truth)[name], expected, rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_increasing_transformations_keep_rank_metrics_and_no_others(name):
    rng = np.random.default_rng(6)
    mask = random_truth(rng, 20, 60)
    scores = np.round(rng.normal(size=mask.shape), 1)
    ranked = scores if METRICS[name].signed else np.abs(scores)
    expected = score_attributions(scores, mask)[name]
    for transformed in (np.cbrt(ranked), np.sign(ranked) * np.expm1(np.abs(ranked))):
        if METRICS[name].rank_based:
            np.testing.assert_array_equal(score_attributions(transformed, mask)[name], expected)
        else:
            assert (score_attributions(transformed, mask)[name] != expected).all()
    if METRICS[name].rank_based and METRICS[name].signed:
        np.testing.assert_array_equal(score_attributions(np.exp(ranked), mask)[name], expected)


def test_by_sign_every_metric_is_that_of_what_is_positive():
    """Ranks with the sign are ranks of the size where nothing is negative, so shifted attributions tell them."""
    rng = np.random.default_rng(12)
    mask = random_truth(rng, 30, 60)
    scores = np.round(rng.normal(size=mask.shape), 1)
    signed = score_attributions(scores, mask, sign="signed")
    shifted = score_attributions(scores - scores.min(), mask)
    ranks = [name for name, metric in METRICS.items() if metric.rank_based]
    pd.testing.assert_frame_equal(signed[ranks], shifted[ranks])
    np.testing.assert_array_equal(signed["auroc"], signed["signed_auroc"])
    np.testing.assert_array_equal(signed["auprc"], signed["signed_auprc"])
    np.testing.assert_array_equal(signed["mass_fraction"], signed["positive_mass_fraction"])
    absolute = score_attributions(scores, mask)
    of_sign = [name for name, metric in METRICS.items() if metric.signed]
    pd.testing.assert_frame_equal(signed[of_sign], absolute[of_sign])
    for only_raises, expected in ((True, signed), (False, absolute)):
        pd.testing.assert_frame_equal(score_attributions(scores, mask, "auto", only_raises), expected)
    with pytest.raises(ValueError, match='sign must be "absolute", "signed" or "auto", not \'both\''):
        score_attributions(scores, mask, sign="both")


def test_by_sign_negative_credit_of_true_bases_is_a_mistake():
    scores, mask = np.array([[0.1, -3, 2, 0.2, 0.3]]), np.array([[False, True, True, False, False]])
    row = score_attributions(scores, mask, sign="signed").iloc[0]
    # from the highest: true, false, false, false, true
    assert row[["auroc", "pointing_game", "rank_accuracy"]].tolist() == [0.5, 1, 0.5]
    assert row["auprc"] == pytest.approx((1 + 2 / 5) / 2)
    assert row["mass_fraction"] == pytest.approx(2 / 2.6)


def test_credit_with_the_wrong_sign_counts_for_size_and_against_signed_metrics():
    # the sequence's two true bases stand out, one of them by negative credit
    row = score_attributions(np.array([[0.1, -3, 2, 0.2, 0.3]]), np.array([[False, True, True, False, False]])).iloc[0]
    assert row[["auroc", "auprc", "rank_accuracy", "pointing_game", "top_k"]].tolist() == [1] * 5
    assert row["signed_auroc"] == 0.5
    assert row["signed_auprc"] == pytest.approx((1 + 2 / 5) / 2)
    assert row["mass_fraction"] == pytest.approx(5 / 5.6)
    assert row["positive_mass_fraction"] == pytest.approx(2 / 2.6)


def test_top_k_looks_at_a_twentieth_of_the_bases_and_rank_accuracy_at_as_many_as_are_true():
    # of 100 bases 10 are true; the method's first 5 are true, its next 5 are not
    mask = np.zeros((1, 100), bool)
    mask[0, :10] = True
    scores = np.zeros((1, 100))
    scores[0, [0, 1, 2, 3, 4, 50, 51, 52, 53, 54]] = np.arange(10, 0, -1)
    row = score_attributions(scores, mask).iloc[0]
    assert (row["top_k"], row["rank_accuracy"]) == (1.0, 0.5)
    few = mask & (np.arange(100) < 2)
    assert score_attributions(scores, few).iloc[0][["top_k", "rank_accuracy"]].tolist() == [1.0, 1.0]


def test_ties_are_broken_as_by_a_fair_coin():
    # of three bases that share the second place, one is true: the top two hold it with probability 1/3
    row = score_attributions(np.array([[5.0, 2, 2, 2, 0]]), np.array([[True, True, False, False, False]])).iloc[0]
    assert row["rank_accuracy"] == pytest.approx((1 + 1 / 3) / 2)
    tied = score_attributions(np.array([[2.0, 2, 1, 0]]), np.array([[True, False, False, False]])).iloc[0]
    assert tied["pointing_game"] == 0.5


@settings(max_examples=50)
@given(values=arrays.arrays(np.float64, st.integers(1, 30), elements=ties), data=st.data())
def test_areas_do_not_depend_on_how_ties_were_sorted(values, data):
    truth = data.draw(arrays.arrays(np.bool_, values.shape))
    order = np.argsort(-values, kind="stable")
    other = np.lexsort((truth, -values))
    np.testing.assert_array_equal(areas(values[order], truth[order]), areas(values[other], truth[other]))


@pytest.mark.parametrize("name", METRICS)
def test_values_lie_in_the_promised_range(name):
    rng = np.random.default_rng(7)
    mask = random_truth(rng, 100, 12, share=0.5)
    values = score_attributions(rng.integers(-2, 3, mask.shape).astype(float), mask)[name]
    assert values.between(0, 1).all()


@pytest.mark.parametrize("constant", [0.0, 0.3, -0.3])
def test_constant_attributions_prefer_no_base(constant):
    mask = np.array([[True, False, False, False]])
    row = score_attributions(np.full((1, 4), constant), mask).iloc[0]
    assert row[["auroc", "signed_auroc"]].tolist() == [0.5, 0.5]
    assert row.drop(["auroc", "signed_auroc", "n_true"]).tolist() == pytest.approx([0.25] * 8)


def test_sequences_with_nothing_to_rank_are_nan_and_left_out_of_means():
    mask = np.array([[True] * 3, [False] * 3, [True, False, False]])
    table = score_attributions(np.array([[1.0, 2, 3]] * 3), mask)
    assert table[COLUMNS[:-1]].isna().all(axis=1).tolist() == [True, True, False]
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


def test_a_way_to_rank_that_is_not_known_is_told():
    with pytest.raises(ValueError, match="signed"):
        pooled_scores(np.zeros((1, 2)), np.array([[True, False]]), use="absolute")
