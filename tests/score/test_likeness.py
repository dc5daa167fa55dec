"""Likeness of drawn to real sequences: nothing is told of the same source, much of another."""

import numpy as np

from simbench_tf.score.likeness import (
    by_words,
    classifier_measure,
    composition_measures,
    dispersion_measure,
    hit_measures,
    place_measures,
    spectrum_distance,
    transfer_measure,
)


def drawn(n, seed, gc=0.5, length=200):
    rng = np.random.default_rng(seed)
    return rng.choice(4, (n, length), p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]).astype(np.uint8)


def test_composition_of_the_same_source_lies_in_its_intervals():
    found = composition_measures(drawn(200, 0), drawn(2000, 1))
    assert [each.measure for each in found[:4]] == ["gc", "gc_sd", "dinucleotide_AA", "dinucleotide_AC"]
    assert len(found) == 12
    # of twelve 95% intervals, one may miss
    assert sum(each.low <= each.twin <= each.high for each in found) >= 10
    assert sum(each.real for each in found[2:]) == 1


def test_another_composition_lies_outside():
    gc = composition_measures(drawn(200, 0), drawn(2000, 1, gc=0.6))[0]
    assert abs(gc.twin - 0.6) < 0.01
    assert gc.high < 0.55


def test_spectra_of_one_source_are_as_far_as_two_halves_and_others_farther():
    same = spectrum_distance(drawn(200, 0), drawn(500, 1), 4)
    assert abs(same.twin - same.real) < 0.1 * same.real
    other = spectrum_distance(drawn(200, 0), drawn(500, 1, gc=0.6), 4)
    assert other.low > 1.5 * other.real


def test_a_classifier_tells_a_planted_word_and_not_the_same_source():
    same = classifier_measure("words", drawn(150, 0), drawn(300, 1), by_words)
    assert same.low < 0.5 < same.high
    planted = drawn(150, 2)
    planted[:, 50:56] = [0, 2, 0, 3, 0, 0]
    assert classifier_measure("words", drawn(150, 0), planted, by_words).low > 0.55


def test_hits_and_their_dispersion():
    rng = np.random.default_rng(0)
    real, twin = rng.negative_binomial(2, 0.4, 4000), rng.poisson(3, 4000)
    assert hit_measures("GATA1", real, twin).measure == "hits_GATA1"
    assert abs(hit_measures("GATA1", real, twin).twin - 3) < 0.1
    found = dispersion_measure(real, twin)
    # of a negative binomial 1 / p, of a Poisson 1
    assert abs(found.real - 2.5) < 0.2
    assert abs(found.twin - 1) < 0.1


def test_places_of_hits_are_counted_by_hand():
    real = (3, np.array([2, 0, 0, 0, 2]), np.array([90.0, 10.0, 60.0, 20.0, 50.0]))
    twin = (2, np.array([1, 1]), np.array([55.0, 45.0]))
    distance, spacing = place_measures(real, twin, 100)
    assert (distance.measure, distance.real, distance.twin) == ("hits_distance", (40 + 40 + 10 + 30 + 0) / 5, 5.0)
    assert (spacing.measure, spacing.real, spacing.twin) == ("hits_spacing", (10 + 40 + 40) / 3, 10.0)
    assert distance.low <= distance.real <= distance.high


def test_a_label_is_told_as_well_as_the_scores_say():
    rng = np.random.default_rng(0)
    labels, drawn_labels = np.arange(400) % 2, np.arange(600) % 2
    scores = labels + rng.normal(0, 1, 400), 0 * drawn_labels + rng.normal(0, 1, 600)
    found = transfer_measure("network_A", scores, (labels, drawn_labels))
    # of two normals one apart Phi(1 / sqrt 2) = .76; sampling errors .024 and .024
    assert abs(found.real - 0.76) < 0.07
    assert abs(found.twin - 0.5) < 0.07
    assert found.low < 0.76 < found.high
