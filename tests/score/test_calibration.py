"""Calibration: rising, exact where each score has its own share, calibrated on sequences that it was not fitted on."""

import math

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from simbench_tf.errors import InputError
from simbench_tf.score import calibrate, reliability
from simbench_tf.score.calibration import share_interval


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


def test_groups_are_pooled_from_the_highest_down():
    scores, mask = [[5.0, 4.0, 3.0, 2.0, 1.0]], [[True, False, True, False, False]]
    calibration = calibrate(scores, mask, min_group=2)  # 5 and 4; 3, 2 and 1, where one is over
    assert calibration.scores.tolist() == [2.0, 4.5]
    np.testing.assert_allclose(calibration.probabilities, [1 / 3, 1 / 2])
    assert calibrate(scores, mask, min_group=9).predict([0.0, 9.0]).tolist() == [0.4, 0.4]
    with pytest.raises(InputError, match="min_group: is 0; write 1 or more"):
        calibrate(scores, mask, min_group=0)


def test_the_highest_of_noise_promise_nothing():
    rng = np.random.default_rng(5)
    scores, mask = rng.random(4000), rng.random(4000) < 0.2
    assert calibrate(scores, mask, min_group=100).predict([2.0])[0] < 0.35


def test_what_is_true_together_is_resampled_together():
    rng = np.random.default_rng(7)
    right = np.repeat(rng.random(300) < 0.5, 20)
    probabilities = np.full(len(right), 0.5)
    alone = reliability(probabilities, right).iloc[0]
    together = reliability(probabilities, right, sequences=np.arange(len(right)) // 20).iloc[0]
    # one share of 300 coins, each seen 20 times
    assert (together["high"] - together["low"]) == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 300), rel=0.15)
    assert (alone["high"] - alone["low"]) == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 6000), rel=0.05)
    assert together["observed"] == alone["observed"] == right.mean()


def test_intervals_of_all_or_none_count_sequences():
    low, high = share_interval([True] * 40, [0] * 20 + [1] * 20)
    assert (round(low, 3), high) == (0.342, 1.0)  # Wilson's of 2 in 2
    assert np.isnan(share_interval([], [])).all()
