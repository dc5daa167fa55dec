"""Layers are interpreted only where they are Keras' own and compute what their weights say; else they are unknown."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from simbench_tf.attribution import attribute
from simbench_tf.attribution.mutagenesis.graph import read_graph
from simbench_tf.attribution.mutagenesis.windows import plan_windows
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 40
X = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
REFERENCES = one_hot(np.random.default_rng(1).integers(0, 4, (6, LENGTH)).astype(np.uint8)).reshape(3, 2, LENGTH, 4)


class Sigmoid(layers.Layer):
    """Three times as steep as the sigmoid of that name."""

    def call(self, x):
        return keras.ops.sigmoid(3 * x)


class Dense(layers.Dense):
    """Its sigmoid is that of twice its sum."""

    def call(self, inputs):
        return keras.ops.sigmoid(2 * keras.ops.matmul(inputs, self.kernel))


class Identity(layers.Layer):
    """Moves everything by ten positions."""

    def call(self, x):
        return keras.ops.roll(x, 10, axis=1)


class Conv1D(layers.Conv1D):
    """The sequence is a circle."""

    def call(self, x):
        return super().call(keras.ops.concatenate([x[:, -4:], x], axis=1))

    def compute_output_shape(self, shape):
        return (shape[0], shape[1], self.filters)


class Calling(keras.Model):
    """Built as a functional model, and computes the square of what its graph says."""

    def call(self, x, training=False):
        return keras.ops.square(super().call(x, training=training))


@pytest.fixture(autouse=True)
def seeded():
    """Layers draw the seeds of their weights when they are made, before there is a model."""
    keras.utils.set_random_seed(1)


def model_of(*stack):
    return keras.Sequential([keras.Input((LENGTH, 4)), *stack])


def scores_of_first(activation=None):
    return [layers.Conv1D(6, 5, activation="relu"), layers.GlobalMaxPooling1D(), layers.Dense(1, activation)]


def numerical_gradient_x_input(model, target=0, step=1e-2):
    """Gradient times input of what a model returns, by central differences at the observed bases."""
    found = np.zeros(X.shape[:2])
    for row, position in np.ndindex(*found.shape):
        change = step * X[row, position]
        ends = np.stack([X[row], X[row]])
        ends[0, position] += change
        ends[1, position] -= change
        high, low = np.asarray(model(ends))[:, target]
        found[row, position] = (high - low) / (2 * step)
    return found


# the logit


@pytest.mark.parametrize("ending", ["Sigmoid", "Dense"])
def test_a_sigmoid_of_ones_own_is_not_that_of_keras(ending):
    own = {"Sigmoid": [*scores_of_first(), Sigmoid()], "Dense": [*scores_of_first()[:2], Dense(1, "sigmoid")]}
    model = model_of(*own[ending])
    with pytest.raises(InputError, match=f"ends in {ending} '.*', a class that is not Keras' own") as caught:
        attribute(model, X)
    assert 'output="probability"' in caught.value.mend
    found = attribute(model, X, output="probability").scores
    np.testing.assert_allclose(found, numerical_gradient_x_input(model), atol=1e-3)


def test_a_model_with_a_call_of_its_own_is_no_graph():
    inner = model_of(*scores_of_first("sigmoid"))
    model = Calling(inner.inputs[0], inner.outputs[0])
    np.testing.assert_allclose(model(X), np.asarray(inner(X)) ** 2, rtol=1e-6)
    with pytest.raises(InputError, match="shows no layers"):
        attribute(model, X)
    found = attribute(model, X, output="probability").scores
    # the chain rule: the square's gradient is twice the value times the gradient
    expected = 2 * np.asarray(inner(X)) * attribute(inner, X, output="probability").scores
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


# receptive fields, DeepLIFT and fast mutagenesis


@pytest.mark.parametrize("method", ["gradcam", "gradcam_channel", "grad_x_activation"])
def test_fields_are_not_followed_through_layers_of_ones_own(method):
    before = model_of(Identity(), layers.Conv1D(1, 1, activation="relu", name="after"), *scores_of_first()[1:])
    with pytest.raises(InputError, match=r"Identity '.*' is not a layer whose windows are known") as caught:
        attribute(before, X, method, layer="after")
    assert "integrated_gradients" in caught.value.mend
    circular = model_of(Conv1D(3, 5, name="own"), layers.ReLU(), *scores_of_first()[1:])
    for layer in ("first", "last", "own"):
        with pytest.raises(InputError, match="Conv1D 'own' is not a layer whose windows are known"):
            attribute(circular, X, method, layer=layer)


def test_a_convolution_of_ones_own_is_not_skipped_for_the_next_of_keras():
    model = model_of(Conv1D(3, 5, name="own"), layers.ReLU(), layers.Conv1D(3, 5), *scores_of_first()[1:])
    with pytest.raises(InputError, match="'own' is not a layer whose"):
        attribute(model, X, "gradcam", layer="first")


OWN = {"Identity": Identity, "Conv1D": lambda: Conv1D(4, 5), "Dense": lambda: Dense(4), "Sigmoid": Sigmoid}


@pytest.mark.parametrize("kind", OWN)
def test_deeplift_goes_by_what_layers_of_ones_own_compute(kind):
    model = model_of(OWN[kind](), *scores_of_first())
    found = attribute(model, X, "deeplift_rescale", references=REFERENCES)
    of_x, of_references = (np.asarray(model(each))[:, 0] for each in (X, REFERENCES.reshape(-1, LENGTH, 4)))
    expected = of_x - of_references.reshape(3, 2).mean(axis=1)
    assert abs(expected).max() > 0.01
    np.testing.assert_allclose(found.scores.sum(axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.filterwarnings("ignore:fast in-silico mutagenesis does not know:UserWarning")
def test_whole_mutants_go_through_layers_of_ones_own(kind):
    model = model_of(layers.Conv1D(4, 3, padding="same"), OWN[kind](), *scores_of_first())
    (reason,) = plan_windows(read_graph(model, LENGTH), 16).reasons
    assert re.match(f"{kind} '.*' is not a layer whose windows are known", reason)
    change = attribute(model, X[:1], "ism").hypothetical[0]
    bases = X[0].argmax(axis=1)
    for position in (0, 7, LENGTH - 1):
        mutants = np.repeat(X[:1], 4, axis=0)
        mutants[:, position] = np.eye(4)
        values = np.asarray(model(mutants))[:, 0]
        # less the mean over the four, on the scale of the three other bases
        np.testing.assert_allclose(change[position], (values - values.mean()) * 4 / 3, atol=1e-5)
        np.testing.assert_allclose(change[position].sum(), 0, atol=1e-5)
        assert bases[position] == mutants[bases[position], position].argmax()


# weights that are not what is computed with


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_quantized_weights_are_not_read():
    model = model_of(*scores_of_first())
    model(X)
    model.quantize("int8")
    with pytest.raises(InputError, match="DeepLIFT has no rule for Dense that computes in int8"):
        attribute(model, X, "deeplift_rescale", references=REFERENCES)
    dense = plan_windows(read_graph(model, LENGTH), 16).steps[-1]
    assert dense.how == "whole"
    assert re.match("Dense 'dense.*' computes in int8", dense.unit.reason)
    mutated, plain = (attribute(model, X, "ism", fast=fast).hypothetical for fast in (True, False))
    # what lies between two integers may be rounded to either
    assert np.mean(abs(mutated - plain) < 1e-6) > 0.99


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_the_sum_before_a_quantized_sigmoid_is_not_read():
    model = model_of(*scores_of_first("sigmoid"))
    attribute(model, X)
    model.quantize("int8")
    with pytest.raises(InputError, match="computes in int8, so what goes into its sigmoid cannot be read") as caught:
        attribute(model, X)
    assert 'output="probability"' in caught.value.mend


def test_low_rank_adapters_are_part_of_the_weights():
    model = model_of(*scores_of_first("sigmoid"))
    attribute(model, X, "deeplift_rescale", references=REFERENCES)
    model.layers[-1].enable_lora(1)
    model.layers[-1].lora_kernel_b.assign([[1.5]])
    for output, change in (("logit", lambda p: np.log(p) - np.log1p(-p)), ("probability", lambda p: p)):
        values, at_references = (
            change(np.asarray(model(each), np.float64)[:, 0]) for each in (X, REFERENCES.reshape(-1, LENGTH, 4))
        )
        found = attribute(model, X, "deeplift_rescale", references=REFERENCES, output=output)
        expected = values - at_references.reshape(3, 2).mean(axis=1)
        np.testing.assert_allclose(found.scores.sum(axis=1), expected, atol=1e-4)


def test_the_delta_of_deeplift_is_that_of_the_model_itself():
    """In bfloat16 a model is not what float32 makes of its weights, and the delta shows by how much."""
    policy = "mixed_bfloat16"
    stack = [layers.Conv1D(6, 5, activation="relu", dtype=policy), layers.GlobalMaxPooling1D(dtype=policy)]
    model = model_of(*stack, layers.Dense(2, dtype="float32"))
    x = one_hot(np.random.default_rng(2).integers(0, 4, (100, LENGTH)).astype(np.uint8))
    references = np.flip(x, axis=1)[:, None]
    how = {"target": [1, 0], "references": references, "precision": "model"}
    found = attribute(model, x, "deeplift_rescale", **how)
    change = (np.asarray(model(x)) - np.asarray(model(references[:, 0])))[:, ::-1].T
    # sequences beyond the first batch, too
    np.testing.assert_allclose(found.convergence_delta, found.scores.sum(axis=2) - change, atol=1e-5)
    assert 1e-4 < np.abs(found.convergence_delta[:, 88:]).max() < 0.1
