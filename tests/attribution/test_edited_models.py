"""A model that is edited in place between two calls is explained as it now is."""

import keras
import numpy as np
import pytest
from keras import layers

from simbench_tf.attribution import attribute, network
from simbench_tf.attribution.model_state import state_of
from simbench_tf.dna import one_hot

LENGTH = 12
X = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
KERNEL = np.random.default_rng(1).normal(0, 0.3, (LENGTH, 4)).astype(np.float32)
SUMS = (X * KERNEL).sum(axis=(1, 2))
SLOPES = (np.exp(SUMS) / (1 + np.exp(SUMS)) ** 2)[:, None]
#: Gradient times input of the sum of weights, a score for each base.
LINEAR = (X * KERNEL).sum(axis=2)


class Scaled(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self._hidden = 1.0
        self.table = {"factors": [1.0]}

    def call(self, x):
        return self.factor * self._hidden * self.table["factors"][0] * x


class Subclassed(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.factor = inner, 1.0

    def call(self, x, training=False):
        return self.factor * self.inner(x, training=training)


def dense(activation=None):
    return layers.Dense(1, activation, use_bias=False)


def model_of(*stack):
    model = keras.Sequential([keras.Input((LENGTH, 4)), *stack])
    next(layer for layer in model.layers if isinstance(layer, layers.Dense)).set_weights([KERNEL.reshape(-1, 1)])
    return model


def scores(model, method="grad_x_input", output="probability", **settings):
    return attribute(model, X, method, output=output, **settings).scores


@pytest.mark.parametrize("method", ["grad_x_input", "integrated_gradients", "deeplift_rescale"])
def test_another_activation(method):
    settings = {} if method == "grad_x_input" else {"references": "zeros"}
    model = model_of(layers.Flatten(), dense("sigmoid"))
    before = scores(model, method, **settings)
    model.layers[-1].activation = keras.activations.linear
    # of a linear function all three are weight times input
    np.testing.assert_allclose(scores(model, method, **settings), LINEAR, rtol=1e-4, atol=1e-6)
    model.layers[-1].activation = keras.activations.sigmoid
    np.testing.assert_array_equal(scores(model, method, **settings), before)


def test_another_activation_changes_the_logit():
    model = model_of(layers.Flatten(), dense(), layers.Activation("sigmoid"))
    np.testing.assert_allclose(scores(model, output="logit"), LINEAR, rtol=1e-5, atol=1e-6)
    model.layers[-1].activation = keras.activations.linear
    model.layers[-2].activation = lambda x: 3 * x
    np.testing.assert_allclose(scores(model, output="probability"), 3 * LINEAR, rtol=1e-5, atol=1e-6)


def test_numbers_of_a_layer_of_ones_own():
    model = model_of(layers.Flatten(), dense(), Scaled(2.0))
    np.testing.assert_allclose(scores(model), 2 * LINEAR, rtol=1e-5, atol=1e-6)
    model.layers[-1].factor = 5
    np.testing.assert_allclose(scores(model), 5 * LINEAR, rtol=1e-5, atol=1e-6)
    model.layers[-1]._hidden = 2.0
    np.testing.assert_allclose(scores(model), 10 * LINEAR, rtol=1e-5, atol=1e-6)
    model.layers[-1].table["factors"][0] = 0.1
    np.testing.assert_allclose(scores(model), LINEAR, rtol=1e-5, atol=1e-6)


def test_layers_added_to_a_sequential_model():
    model = model_of(layers.Flatten(), dense())
    np.testing.assert_allclose(scores(model, output="logit"), LINEAR, rtol=1e-5, atol=1e-6)
    model.add(layers.Activation("sigmoid"))
    np.testing.assert_allclose(scores(model), SLOPES * LINEAR, rtol=1e-4, atol=1e-6)
    model.pop()
    np.testing.assert_allclose(scores(model), LINEAR, rtol=1e-5, atol=1e-6)


def test_layers_of_a_nested_and_of_a_subclassed_model():
    inner = model_of(layers.Flatten(), dense("sigmoid"))
    whole, subclassed = keras.Sequential([keras.Input((LENGTH, 4)), inner]), Subclassed(inner)
    for model in (whole, subclassed):
        np.testing.assert_allclose(scores(model), SLOPES * LINEAR, rtol=1e-4, atol=1e-6)
    inner.layers[-1].activation = keras.activations.linear
    for model in (whole, subclassed):
        np.testing.assert_allclose(scores(model), LINEAR, rtol=1e-4, atol=1e-6)
    subclassed.factor = 4.0
    np.testing.assert_allclose(scores(subclassed), 4 * LINEAR, rtol=1e-4, atol=1e-6)


def test_what_is_not_edited_is_not_read_again(monkeypatch):
    reads = []
    explain = network._explain
    monkeypatch.setattr(network, "_explain", lambda *args: (reads.append(1), explain(*args))[1])

    def with_dropout():
        return model_of(layers.Flatten(), dense("sigmoid"), layers.Dropout(0.5))

    for model in (with_dropout(), model_of(layers.Flatten(), dense(), Scaled(2.0)), Subclassed(with_dropout())):
        state, reads[:] = state_of(model), []
        scores(model)
        model.compile(optimizer="adam", loss="mse")
        model.fit(X, np.zeros((3, 1)), epochs=1, verbose=0)
        model.predict(X, verbose=0)
        model.evaluate(X, np.zeros((3, 1)), verbose=0)
        scores(model)
        model.trainable = False
        scores(model)
        assert len(reads) == 1
        assert state_of(model) == state
