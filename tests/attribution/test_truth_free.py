"""`truth_free`: what the model is asked, against plain loops over sequences, on networks whose answers are known."""

import keras
import numpy as np
import pytest

import simbench_tf as sb
from simbench_tf.attribution.references import shuffled
from simbench_tf.attribution.truth_free import SHARES, SHIFTS, randomised_models
from simbench_tf.dna import bases_of_one_hot, one_hot
from simbench_tf.errors import InputError
from simbench_tf.score.truth_free import TRUTH_FREE

LENGTH = 40
ALWAYS = ["deletion", "insertion", "infidelity", "sparsity", "complexity"]


@pytest.fixture(scope="module")
def network():
    """A small convolutional network with random weights, and a linear one."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    stack = [layers.Conv1D(6, 5, activation="relu"), layers.GlobalMaxPooling1D(), layers.Dense(2)]
    return keras.Sequential([keras.Input((LENGTH, 4)), *stack])


@pytest.fixture(scope="module")
def linear():
    model = keras.Sequential([keras.Input((LENGTH, 4)), keras.layers.Flatten(), keras.layers.Dense(1)])
    kernel = np.random.default_rng(0).normal(size=(LENGTH * 4, 1))
    model.set_weights([kernel, np.zeros(1)])
    return model


@pytest.fixture(scope="module")
def x():
    return one_hot(np.random.default_rng(3).integers(0, 4, (5, LENGTH)).astype(np.uint8))


def test_deletion_and_insertion_are_those_of_a_plain_loop(network, x):
    made = sb.attribute(network, x, "grad_x_input", target=1)
    found = sb.truth_free(network, x, made, target=1, random_state=4)
    assert list(found) == ALWAYS
    bases = bases_of_one_hot(x)
    pool = shuffled(bases, 3, 4)

    def output(row):
        return float(network(one_hot(row[None]), training=False)[0, 1])

    for row, scores in enumerate(made.scores):
        ranked = np.argsort(-scores, kind="stable")
        falls, rises = [], []
        for other in pool[row]:
            for share in SHARES:
                top = ranked[: max(1, round(share * LENGTH))]
                deleted, inserted = bases[row].copy(), other.copy()
                deleted[top], inserted[top] = other[top], bases[row, top]
                falls.append(output(bases[row]) - output(deleted))
                rises.append(output(inserted) - output(other))
        assert found["deletion"][row] == pytest.approx(np.mean(falls), abs=1e-5)
        assert found["insertion"][row] == pytest.approx(np.mean(rises), abs=1e-5)


def test_of_a_linear_network_true_effects_beat_random_ones(linear, x):
    kernel = linear.layers[-1].kernel.numpy().reshape(LENGTH, 4)
    # what replacing a base by a random other one takes away
    effects = (x * (kernel - kernel.mean(axis=1, keepdims=True))).sum(axis=2)
    random = np.random.default_rng(5).normal(size=effects.shape)
    good, bad = (sb.truth_free(linear, x, each) for each in (effects, random))
    for name in ("deletion", "insertion"):
        assert (good[name] > bad[name]).all()
    assert good["infidelity"].mean() < 0.6 < bad["infidelity"].mean()


def test_what_explains_anew_is_that_of_a_plain_loop(network, x):
    made = sb.attribute(network, x, "saliency")
    twin = keras.models.clone_model(network)
    found = sb.truth_free(network, x, made, method="saliency", seeds=[twin, network], shuffled_labels=twin)
    turned = sb.attribute(network, x[:, ::-1, ::-1], "saliency").scores[:, ::-1]
    for row in range(len(x)):
        changes = []
        for by in SHIFTS:
            moved = np.zeros_like(x[[row]])
            for place in range(LENGTH):
                if 0 <= place + by < LENGTH:
                    moved[0, place + by] = x[row, place]
            again = sb.attribute(network, moved, "saliency").scores[0]
            kept = [place for place in range(LENGTH) if 0 <= place + by < LENGTH]
            own = made.scores[row, kept]
            back = again[[place + by for place in kept]]
            changes.append(np.linalg.norm(own - back) / np.linalg.norm(own))
        assert found["shift_sensitivity"][row] == pytest.approx(max(changes), abs=1e-5)
    both = [_spearman(made.scores[row], turned[row]) for row in range(len(x))]
    np.testing.assert_allclose(found["strand_consistency"], both, atol=1e-6)
    other = sb.attribute(twin, x, "saliency").scores
    unlike = np.array([_spearman(made.scores[row], other[row]) for row in range(len(x))])
    np.testing.assert_allclose(found["label_randomisation"], unlike, atol=1e-6)
    np.testing.assert_allclose(found["seed_consistency"], (unlike + 1) / 2, atol=1e-6)
    assert (found["weight_randomisation"] < 1).all()
    assert list(found) == [name for name in TRUTH_FREE if name in found]


def _spearman(first, second):
    from scipy.stats import spearmanr

    return spearmanr(np.abs(first), np.abs(second)).statistic


def test_randomised_models_keep_the_lower_layers_and_never_touch_the_model(network):
    before = [weight.copy() for weight in network.get_weights()]
    upper, both = randomised_models(network, 3)
    for kept, own in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, own)
    np.testing.assert_array_equal(upper.get_weights()[0], before[0])
    assert not np.array_equal(upper.get_weights()[2], before[2])
    assert not np.array_equal(both.get_weights()[0], before[0])
    np.testing.assert_array_equal(randomised_models(network, 3)[1].get_weights()[0], both.get_weights()[0])


def test_a_planted_decoy_is_found_by_a_network_that_looks_for_it(x):
    word = np.eye(4)[[0, 1, 2, 3, 0, 1]]
    layers = keras.layers
    stack = [layers.Conv1D(1, 6), layers.GlobalMaxPooling1D(), layers.Dense(1)]
    model = keras.Sequential([keras.Input((LENGTH, 4)), *stack])
    model.set_weights([word[:, :, None], np.zeros(1), np.ones((1, 1)), np.zeros(1)])
    made = sb.attribute(model, x, "grad_x_input")
    found = sb.truth_free(model, x, made, method="grad_x_input", decoys=[word], randomise=False)
    assert found["decoys"].mean() > 0.9  # a shuffle may hold as good a match by chance
    assert "weight_randomisation" not in found
    other = sb.truth_free(model, x, made, method="grad_x_input", decoys=[word[::-1]], randomise=False)
    assert other["decoys"].mean() < 0.6


def test_others_and_seeds_change_columns(linear, x):
    made = sb.attribute(linear, x)
    found = sb.truth_free(linear, x, made.scores, others=[made, -made.scores])
    np.testing.assert_allclose(found["agreement"], 1.0)


def test_faults_are_one_line(linear, x):
    made = sb.attribute(linear, x)
    with pytest.raises(InputError, match=r"attribution: has shape \(4, 40\), the sequences \(5, 40\); give one number"):
        sb.truth_free(linear, x, made.scores[:4])
    with pytest.raises(InputError, match="method: is not given, and seeds, shuffled_labels and"):
        sb.truth_free(linear, x, made, seeds=[linear])
    with pytest.raises(InputError, match="n_steps: is a setting, and no method is given"):
        sb.truth_free(linear, x, made, n_steps=3)
    with pytest.raises(InputError, match="decoys: has a motif longer than the 40 bases; leave it out"):
        sb.truth_free(linear, x, made, method="grad_x_input", decoys=[np.eye(4)[[0] * 41]])
