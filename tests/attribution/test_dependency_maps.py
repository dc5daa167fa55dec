"""Dependency maps as a method: against a plain loop over whole passes; on the exact posterior: tests/perfect."""

import itertools
import sys

import keras
import numpy as np
import pytest
from keras import layers

import simbench_tf as sb
from simbench_tf.attribution import interactions as interactions_of
from simbench_tf.attribution import window_pairs
from simbench_tf.attribution.dependency_maps import map_window
from simbench_tf.errors import InputError

LENGTH = 40


def network():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            layers.Conv1D(5, 7, padding="same", activation="relu"),
            layers.MaxPooling1D(4),
            layers.Conv1D(5, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(2),
        ]
    )


def sequences(n=2, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (n, LENGTH)).astype(np.uint8)


def by_whole_passes(value, bases, start, end):
    """The definition: four answers for each two substitutions of each two bases of the window; (W, W)."""

    def mutant(*changes):
        changed = bases.copy()
        for place, base in changes:
            changed[place] = base
        return changed

    pairs = list(itertools.combinations(range(start, end), 2))
    letters = list(itertools.product(range(4), range(4)))
    asked = [mutant((i, a), (j, b)) for i, j in pairs for a, b in letters]
    asked += [mutant((i, a)) for i in range(start, end) for a in range(4)]
    values = value(np.array([*asked, bases]))
    both = values[: len(pairs) * 16].reshape(-1, 4, 4)
    single = values[len(pairs) * 16 : -1].reshape(-1, 4)
    found = np.zeros((end - start, end - start))
    for number, (i, j) in enumerate(pairs):
        effect = both[number] - single[i - start][:, None] - single[j - start] + values[-1]
        found[i - start, j - start] = found[j - start, i - start] = np.abs(effect).max()
    return found


@pytest.mark.parametrize("fast", [True, False])
def test_maps_and_scores_are_those_of_a_plain_loop(fast, monkeypatch):
    # fewer positions together than the window has, so that blocks are joined
    # (in the package the module's name is the function)
    monkeypatch.setattr(sys.modules[interactions_of.__module__], "_FIRSTS_TOGETHER", 4)
    model, bases = network(), sequences()
    found = sb.attribute(model, sb.one_hot(bases), "dependency_map", target=[1, 0], window=11, centre=20, fast=fast)
    assert found.dependency_maps.shape == (2, 2, 11, 11)
    assert (found.window_start == 15).all()
    assert found.window_start.dtype == np.int64
    for target, row in itertools.product(range(2), range(2)):
        expected = by_whole_passes(
            lambda mutants, output=1 - target: model.predict(sb.one_hot(mutants), verbose=0)[:, output],
            bases[row], 15, 26,
        )  # fmt: skip
        assert expected.max() > 0.01
        np.testing.assert_allclose(found.dependency_maps[target, row], expected, rtol=0, atol=2e-5)
        np.testing.assert_allclose(found.scores[target, row, 15:26], expected.sum(axis=1), rtol=0, atol=1e-4)
    assert not found.scores[:, :, :15].any()
    assert not found.scores[:, :, 26:].any()


def test_maps_are_symmetric_and_those_of_interactions():
    model, x = network(), sb.one_hot(sequences())
    x[0, 17] = 0  # N
    found = sb.attribute(model, x, "dependency_map", target=1, window=10)
    maps = found.dependency_maps
    np.testing.assert_array_equal(maps, maps.transpose(0, 2, 1))
    assert not np.diagonal(maps, axis1=1, axis2=2).any()
    assert not maps[0, 2].any()
    assert maps[1, 2].any()
    by_pairs = interactions_of(model, x, window_pairs(15, 25), target=1)
    np.testing.assert_allclose(maps, by_pairs.dependency_map(15, 25), rtol=0, atol=1e-6)
    assert found.hypothetical is None


@pytest.mark.parametrize(
    ("length", "window", "centre", "expected"),
    [
        (200, 100, None, (50, 150)), (201, 4, None, (98, 102)), (200, 5, 100, (98, 103)), (200, 100, 10, (0, 100)),
        (200, 100, 199, (100, 200)), (30, 100, 29, (0, 30)), (200, 200, 7, (0, 200)),
    ],
)  # fmt: skip
def test_windows_lie_around_their_centre_and_within_the_sequence(length, window, centre, expected):
    assert map_window(length, window, centre) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 1}, "dependency_map.window: cannot be 1: input should be greater than or equal to 2"),
        ({"centre": -3}, "dependency_map.centre: cannot be -3: input should be greater than or equal to 0"),
        ({"centre": LENGTH}, "dependency_map.centre: 40 is not in a sequence of 40 bases; give 0 to 39, or leave it"),
        ({"width": 9}, "dependency_map: unknown setting 'width'"),
    ],
)
def test_bad_windows_are_told(settings, message):
    with pytest.raises(InputError, match=message):
        sb.attribute(network(), sb.one_hot(sequences()), "dependency_map", **settings)


def test_no_sequences_give_empty_maps():
    found = sb.attribute(network(), np.zeros((0, LENGTH, 4), np.float32), "dependency_map", window=8)
    assert found.dependency_maps.shape == (0, 8, 8)
    assert found.scores.shape == (0, LENGTH)
