"""Standard errors of areas are those of plain formulas, and what repeated draws show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf.score import area_errors, pooled_errors, pooled_scores
from simbench_tf.score.area_errors import weighted_areas


@settings(max_examples=60)
@given(st.data(), st.integers(2, 15))
def test_weights_are_numbers_of_copies(data, n):
    values = data.draw(arrays.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])))
    truth = data.draw(arrays.arrays(np.bool_, n))
    weights = data.draw(arrays.arrays(np.int64, n, elements=st.integers(0, 3)))
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.inf) != 0)
    got = weighted_areas(truth[order], starts, weights[order])
    many, true = np.repeat(values, weights), np.repeat(truth, weights)
    if true.all() or not true.any():
        assert np.isnan(got).all()
    else:
        assert got == pytest.approx((roc_auc_score(true, many), average_precision_score(true, many)))


def test_delongs_error_equals_its_formula_written_out():
    rng = np.random.default_rng(1)
    truth = np.arange(40) % 3 == 0
    values = np.round(rng.normal(size=40) + truth, 1)  # with ties
    higher = np.array([[(t > f) + (t == f) / 2 for f in values[~truth]] for t in values[truth]])
    expected = np.sqrt(higher.mean(axis=1).var(ddof=1) / truth.sum() + higher.mean(axis=0).var(ddof=1) / (~truth).sum())
    assert area_errors(values, truth).auroc_se == pytest.approx(expected)


def test_errors_of_predictions_are_the_spread_over_draws():
    """400 draws of 300: the spread is known to 3.5 %, the mean of the errors better."""
    rng = np.random.default_rng(2)
    found, errors = [], []
    for _ in range(400):
        truth = rng.random(300) < 0.3
        values = rng.normal(size=300) + truth
        found.append((roc_auc_score(truth, values), average_precision_score(truth, values)))
        errors.append(area_errors(values, truth, n_resamples=100))
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(found, axis=0), rtol=0.12)


def test_errors_of_pooled_scores_take_the_sequence_as_drawn():
    """Sequences that differ in how well they are scored: bases of one are not independent."""
    rng = np.random.default_rng(3)
    found, errors = [], []
    for _ in range(150):
        mask = np.zeros((30, 40), bool)
        mask[:, :8] = True
        scores = np.abs(rng.normal(size=mask.shape)) + mask * rng.exponential(1.0, size=(30, 1))
        found.append(list(pooled_scores(scores, mask).values()))
        errors.append(list(pooled_errors(scores, mask, n_resamples=100).values()))
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(found, axis=0), rtol=0.25)
    # as if each base were drawn for itself, it would come out too small
    alone = area_errors(scores.ravel(), mask.ravel()).auroc_se
    assert alone < 0.7 * np.mean(errors, axis=0)[0]


def test_the_same_seed_gives_the_same_errors_and_one_class_has_none():
    rng = np.random.default_rng(4)
    values, truth = rng.normal(size=50), rng.random(50) < 0.5
    assert area_errors(values, truth) == area_errors(values, truth)
    assert area_errors(values, truth, random_state=1).auprc_se != area_errors(values, truth).auprc_se
    assert np.isnan(area_errors(values, np.ones(50, bool))).all()
    assert np.isnan(area_errors(values, np.arange(50) == 3)).all()
    assert np.isnan(list(pooled_errors(np.ones((1, 4)), np.array([[True, False, False, True]])).values())).all()
    assert np.isnan(list(pooled_errors(np.ones((2, 2)), np.ones((2, 2), bool)).values())).all()
    with pytest.raises(ValueError, match="one shape"):
        area_errors(values[1:], truth)
    with pytest.raises(ValueError, match="one shape"):
        pooled_errors(np.ones((2, 2)), np.ones((2, 3), bool))
