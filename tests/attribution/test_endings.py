"""The logit of models that end in a sigmoid and in layers that change nothing; and endings that are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from simbench_tf.attribution import attribute
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH, N_TASKS = 20, 2
X = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
KERNEL = np.random.default_rng(1).normal(0, 0.3, (4 * LENGTH, N_TASKS)).astype(np.float32)
BIAS = np.float32([0.5, -0.25])
#: The logit of every model below, worked out apart from them, and its gradient times input.
LOGITS = (X.reshape(3, -1).astype(np.float64) @ KERNEL + BIAS).T
CONTRIBUTIONS = X * KERNEL[:, 1].reshape(LENGTH, 4)


def dense(**settings):
    return layers.Dense(N_TASKS, name="dense", **settings)


def model_of(*stack):
    model = keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), *stack])
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Dense):
            layer.set_weights([KERNEL, BIAS])
    return model


def nested(*stack):
    return keras.Sequential([keras.Input((N_TASKS,)), *stack])


def by_operations():
    inputs = keras.Input((LENGTH, 4))
    probability = keras.ops.sigmoid(dense()(layers.Flatten()(inputs)))
    model = keras.Model(inputs, keras.ops.reshape(keras.ops.cast(probability, "float32"), (-1, N_TASKS)))
    model.set_weights([KERNEL, BIAS])
    return model


CHANGING_NOTHING = {
    "a cast": lambda: [layers.Activation("linear", dtype="float32")],
    "Identity": lambda: [layers.Identity()],
    "Dropout": lambda: [layers.Dropout(0.5)],
    "Reshape": lambda: [layers.Reshape((N_TASKS,))],
    "Flatten": lambda: [layers.Flatten()],
    "there and back": lambda: [layers.Reshape((1, N_TASKS)), layers.Reshape((N_TASKS, 1)), layers.Flatten()],
    "several": lambda: [layers.Identity(), layers.GaussianNoise(1.0), layers.Activation("linear"), layers.Flatten()],
    "a nested model": lambda: [nested(layers.Dropout(0.5), layers.Activation("linear", dtype="float32"))],
}
SIGMOIDS = {
    "fused": lambda: [dense(activation="sigmoid")],
    "of its own": lambda: [dense(), layers.Activation("sigmoid")],
    "of TensorFlow": lambda: [dense(activation=tf.nn.sigmoid)],
    "of keras.ops": lambda: [dense(), layers.Activation(keras.ops.sigmoid)],
    "nested": lambda: [dense(), nested(layers.Activation("sigmoid"), layers.Identity())],
    "in another shape": lambda: [dense(), layers.Reshape((N_TASKS, 1)), layers.Activation("sigmoid"), layers.Flatten()],
}


@pytest.mark.parametrize("after", CHANGING_NOTHING)
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_the_logit_is_what_goes_into_the_sigmoid_whatever_follows_it(sigmoid, after):
    model = model_of(*SIGMOIDS[sigmoid](), *CHANGING_NOTHING[after]())
    network = open_network(model, LENGTH, target=[0, 1])
    np.testing.assert_allclose(network.outputs(X), LOGITS, rtol=1e-5, atol=1e-5)
    assert network.graph.output_shape == (None, N_TASKS)
    np.testing.assert_allclose(attribute(model, X, target=1).contributions, CONTRIBUTIONS, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("after", CHANGING_NOTHING)
def test_a_linear_ending_is_the_logit_whatever_follows_it(after):
    model = model_of(dense(), *CHANGING_NOTHING[after]())
    np.testing.assert_allclose(open_network(model, LENGTH, [0, 1]).outputs(X), LOGITS, rtol=1e-5, atol=1e-5)


SOFTMAXES = {
    "fused": lambda: [dense(activation="softmax")],
    "of its own": lambda: [dense(), layers.Softmax()],
    "of keras.ops": lambda: [dense(), layers.Activation(keras.ops.softmax)],
    "nested": lambda: [dense(), nested(layers.Activation("softmax"), layers.Identity())],
}


@pytest.mark.parametrize("after", ["Identity", "there and back", "a nested model"])
@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_the_logit_of_one_of_two_classes_is_the_difference_of_what_goes_into_the_softmax(softmax, after):
    model = model_of(*SOFTMAXES[softmax](), *CHANGING_NOTHING[after]())
    network = open_network(model, LENGTH, target=[0, 1])
    np.testing.assert_allclose(network.outputs(X), [LOGITS[0] - LOGITS[1], LOGITS[1] - LOGITS[0]], rtol=1e-4, atol=1e-5)


def test_a_softmax_over_another_axis_is_refused():
    inputs = keras.Input((LENGTH, 4))
    pairs = layers.Reshape((N_TASKS, 1))(dense()(layers.Flatten()(inputs)))
    with pytest.raises(InputError, match="ends in Softmax"):
        attribute(keras.Model(inputs, layers.Flatten()(layers.Softmax(axis=1)(pairs))), X)


def test_operations_are_looked_through():
    np.testing.assert_allclose(open_network(by_operations(), LENGTH, [0, 1]).outputs(X), LOGITS, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["ism", "integrated_gradients", "deeplift_rescale"])
def test_methods_that_read_layers_find_the_logit_too(method):
    model = model_of(dense(activation="sigmoid"), layers.Activation("linear", dtype="float32"))
    references = {} if method == "ism" else {"references": "zeros"}
    kernel = KERNEL[:, 1].reshape(LENGTH, 4)
    # of a linear function: against zeros the weight itself, against the other bases the weight less their mean
    expected = X * (kernel - (kernel.sum(axis=1, keepdims=True) - kernel) / 3) if method == "ism" else CONTRIBUTIONS
    found = attribute(model, X, method, target=1, **references).contributions
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_mixed_precision_ends_in_a_cast():
    policy = "mixed_bfloat16"
    stack = [layers.Dense(N_TASKS, dtype=policy), layers.Activation("sigmoid", dtype=policy)]
    model = model_of(*stack, layers.Activation("linear", dtype="float32"))
    # bfloat16 keeps eight bits
    np.testing.assert_allclose(open_network(model, LENGTH, [0, 1]).outputs(X), LOGITS, rtol=0.02, atol=0.02)


REFUSED = {
    "ends in Dense 'dense' with activation softsign": lambda: [dense(activation="softsign")],
    "ends in Activation '.*' with activation tanh": lambda: [dense(), layers.Activation("tanh")],
    "ends in Activation '.*' with activation hard_sigmoid": lambda: [dense(), layers.Activation("hard_sigmoid")],
}


@pytest.mark.parametrize("after", ["a cast", "Identity", "there and back", "a nested model"])
@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_is_refused_whatever_follows_it(message, after):
    with pytest.raises(InputError, match=message) as caught:
        attribute(model_of(*REFUSED[message](), *CHANGING_NOTHING[after]()), X)
    assert 'output="probability"' in caught.value.mend


def test_layers_that_move_values_are_not_looked_through():
    inputs = keras.Input((LENGTH, 4))
    probabilities = layers.Activation("sigmoid")(layers.Dense(4)(inputs))
    swapped = layers.Flatten()(layers.Permute((2, 1))(probabilities))
    with pytest.raises(InputError, match="ends in Permute"):
        attribute(keras.Model(inputs, swapped), X)
    # rows of one sequence become sequences
    mixed = keras.ops.reshape(dense(activation="sigmoid")(layers.Flatten()(inputs)), (-1, 1))
    with pytest.raises(InputError, match="ends in Reshape"):
        attribute(keras.Model(inputs, mixed), X)


def test_a_linear_activation_says_that_what_comes_is_a_logit_but_not_of_an_activation_or_an_unknown_layer():
    inputs = keras.Input((LENGTH, 4))
    total = dense()(layers.Flatten()(inputs))

    class Own(layers.Layer):
        def call(self, x):
            return keras.ops.sigmoid(x)

    square = keras.Model(inputs, layers.Activation("linear")(keras.ops.square(total)))
    square.set_weights([KERNEL, BIAS])
    np.testing.assert_allclose(open_network(square, LENGTH, [0, 1]).outputs(X), LOGITS**2, rtol=1e-4, atol=1e-5)
    for ending, name in ((keras.ops.tanh, "Tanh"), (keras.ops.log_softmax, "LogSoftmax"), (Own(), "Own")):
        with pytest.raises(InputError, match=f"ends in {name}"):
            attribute(keras.Model(inputs, layers.Activation("linear")(ending(total))), X)


def test_variants_get_the_logit_behind_a_saturated_sigmoid():
    from simbench_tf.variants import open_predictor

    model = model_of(dense(activation="sigmoid"), layers.Activation("linear", dtype="float32"))
    model.layers[1].set_weights([KERNEL, BIAS + 40])  # a probability of 1, of which no logarithm tells the logit
    _, logits = open_predictor(model).predict(X.argmax(axis=2).astype(np.uint8))
    np.testing.assert_allclose(logits, LOGITS.T + 40, rtol=1e-5)


def test_a_nested_model_of_several_outputs_is_read_where_it_is_used():
    start = keras.Input((N_TASKS,))
    inner = keras.Model(start, [layers.Activation("tanh")(start), layers.Activation("sigmoid")(start)])
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, layers.Identity()(inner(dense()(layers.Flatten()(inputs)))[1]))
    model.set_weights([KERNEL, BIAS])
    np.testing.assert_allclose(open_network(model, LENGTH, [0, 1]).outputs(X), LOGITS, rtol=1e-5, atol=1e-5)
