"""Interactions of bases against their definition by whole passes, and on functions whose interactions are known."""

import keras
import numpy as np
import pytest
from keras import layers

from simbench_tf.attribution.interactions import interactions, window_pairs
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 24


def chain(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            layers.Conv1D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(6, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="sigmoid"),
        ]
    )


def by_whole_passes(model, x, pairs, target, output):
    """The definition: four passes for each two substitutions."""
    network = open_network(model, len(x), target, output)

    def value(*changes):
        mutant = x.copy()
        for position, base in changes:
            mutant[position] = np.eye(4)[base]
        return network.outputs(mutant[None])[0, 0]

    found = np.zeros((len(pairs), 4, 4))
    for number, (i, j) in enumerate(pairs):
        for a in range(4):
            for b in range(4):
                found[number, a, b] = value((i, a), (j, b)) - value((i, a)) - value((j, b)) + value()
    return found


@pytest.mark.parametrize("output", ["logit", "probability"])
@pytest.mark.parametrize("fast", [True, False])
def test_effects_are_those_of_whole_passes(output, fast):
    model = chain()
    x = one_hot(np.random.default_rng(0).integers(0, 4, (2, LENGTH)).astype(np.uint8))
    pairs = np.array([[3, 5], [5, 3], [3, 20], [10, 11]])
    done = []
    found = interactions(model, x, pairs, target=1, output=output, fast=fast, progress=done.append)
    assert done == [1, 1]
    for row in range(2):
        np.testing.assert_allclose(found.effects[row], by_whole_passes(model, x[row], pairs, 1, output), atol=2e-5)
    np.testing.assert_allclose(found.effects[:, 1], found.effects[:, 0].transpose(0, 2, 1), atol=2e-5)
    np.testing.assert_array_equal(found.strength, np.abs(found.effects).max(axis=(2, 3)))


def test_sums_have_none_and_unknown_bases_have_none():
    keras.utils.set_random_seed(1)
    linear = keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), layers.Dense(1)])
    x = one_hot(np.random.default_rng(1).integers(0, 4, (1, LENGTH)).astype(np.uint8))
    assert interactions(linear, x).strength.max() < 1e-5
    with_n = x.copy()
    with_n[0, 7] = 0
    found = interactions(chain(), with_n, window_pairs(5, 10))
    of_n = (found.pairs == 7).any(axis=1)
    assert (found.effects[:, of_n] == 0).all()
    assert (found.strength[:, ~of_n] > 0).any()


def test_what_is_there_changes_nothing():
    x = one_hot(np.random.default_rng(2).integers(0, 4, (1, LENGTH)).astype(np.uint8))
    found = interactions(chain(), x, window_pairs(0, 6))
    observed = x[0].argmax(axis=1)
    for (i, j), effect in zip(found.pairs, found.effects[0], strict=True):
        assert (effect[observed[i]] == 0).all()
        assert (effect[:, observed[j]] == 0).all()


def test_an_and_of_two_words_is_seen_as_a_block_of_the_map():
    """f = relu(words found - 1): substitutions in ACG and in GCA depend on each other, and no others do."""
    x = one_hot("TTACGTTTTTGCATTTTTTTTTTT")
    kernel = np.zeros((3, 4, 2))
    for number, word in enumerate(("ACG", "GCA")):
        kernel[:, :, number] = one_hot(word)[0]
    model = keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            layers.Conv1D(2, 3, activation="relu", bias_initializer=keras.initializers.Constant(-2)),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1, activation="relu", bias_initializer=keras.initializers.Constant(-1)),
            layers.Dense(1),
        ]
    )
    model.set_weights([kernel, np.full(2, -2.0), np.ones((2, 1)), np.array([-1.0]), np.ones((1, 1)), np.zeros(1)])
    found = interactions(model, x, window_pairs(0, 16)).dependency_map(0, 16)[0]
    expected = np.zeros((16, 16))
    expected[2:5, 10:13] = expected[10:13, 2:5] = 1
    # within a word, the second substitution does no more harm than the first
    for word in (slice(2, 5), slice(10, 13)):
        expected[word, word] = 1 - np.eye(3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("pair", [(0, LENGTH), (-1, 3), (4, 4)])
def test_pairs_outside_are_told(pair):
    x = one_hot(np.zeros((1, LENGTH), np.uint8))
    with pytest.raises(InputError, match=rf"pairs: \({pair[0]}, {pair[1]}\) are not two of 24 positions"):
        interactions(chain(), x, [pair])
