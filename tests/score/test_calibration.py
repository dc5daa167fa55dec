"""Calibration: rising, exact where each score has its own share, calibrated on sequences that it was not fitted on."""

import math

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from simbench_tf.errors import InputError
from simbench_tf.score import calibrate, reliability


def drawn(n, seed):
    """Scores, and a truth that holds with a probability that rises with |score| as a known curve."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 50))
    probability = 1 / (1 + np.exp(3 - 2 * np.abs(scores)))
    return scores, rng.random(scores.shape) < probability, probability


def test_probabilities_are_those_the_truth_was_drawn_with():
    scores, mask, _ = drawn(2000, 0)
    fresh, fresh_mask, probability = drawn(400, 1)
    predicted = calibrate(scores, mask).predict(fresh)
    assert abs(predicted - probability).mean() < 0.01
    table = reliability(predicted, fresh_mask)
    assert len(table) == 10
    assert table["n"].sum() == fresh.size
    # of ten 95% intervals one or two may miss
    assert ((table["predicted"] >= table["low"]) & (table["predicted"] <= table["high"])).sum() >= 8


def test_it_is_isotonic_regression_on_sizes():
    rng = np.random.default_rng(2)
    scores, mask = rng.normal(size=200), rng.random(200) < 0.3
    order = np.argsort(np.abs(scores))
    found = calibrate(scores, mask).predict(scores[order])
    np.testing.assert_allclose(found, isotonic_regression(mask[order].astype(float)), atol=1e-9)


def test_signs_count_where_they_are_asked_for():
    scores, mask = [[-2.0, -1.0, 1.0, 2.0]], [[False, False, True, True]]
    assert calibrate(scores, mask, sign="signed").predict([-9.0, 9.0]).tolist() == [0.0, 1.0]
    assert calibrate(scores, mask).predict([-9.0, 9.0]).tolist() == [0.5, 0.5]


def test_what_is_not_known_stays_so():
    calibration = calibrate([[0.0, math.nan, 2.0]], [[False, True, True]])
    assert np.isnan(calibration.predict([[math.nan, 2.0]])).tolist() == [[True, False]]


def test_faults_are_one_line():
    with pytest.raises(InputError, match=r"mask: has shape \(1, 2\), the scores \(1, 3\); give both"):
        calibrate([[1.0, 2.0, 3.0]], [[True, False]])
    with pytest.raises(InputError, match="scores: holds no number"):
        calibrate([[math.nan]], [[True]])
    with pytest.raises(InputError, match="sign: 'up' is not known"):
        calibrate([[1.0]], [[True]], sign="up")
