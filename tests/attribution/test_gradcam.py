"""Grad-CAM and its kin: values worked out by hand, fields against brute force, parity with tf-keras-vis."""

import gc
import weakref

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import layers

from helpers.models import close, random_bases, with_weights
from simbench_tf.attribution import attribute
from simbench_tf.attribution.gradcam import _maps, layer_maps
from simbench_tf.attribution.model_graph import find_output, read_calls, run_calls
from simbench_tf.attribution.network import open_network
from simbench_tf.attribution.receptive_field import receptive_field
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 60
KIN = ["gradcam", "gradcam_channel", "grad_x_activation"]


def sequences(n, length=LENGTH, seed=0):
    return one_hot(random_bases(n, length, seed))


def blocks(*between, filters=(8, 6)):
    """Build two convolutions, the second with an activation of its own; `between` follows the first."""
    inputs = keras.Input((LENGTH, 4))
    x = layers.Conv1D(filters[0], 7, name="conv_a")(inputs)
    for layer in between:
        x = layer(x)
    x = layers.Conv1D(filters[1], 5, activation="relu", name="conv_b")(layers.MaxPooling1D(3)(x))
    x = layers.Dense(7, "tanh")(layers.Flatten()(layers.AveragePooling1D(2, name="pool_b")(x)))
    return with_weights(keras.Model(inputs, layers.Dense(2, "sigmoid")(x)))


@pytest.fixture(scope="module")
def net():
    return blocks(layers.BatchNormalization(), layers.ReLU(name="relu_a"))


# values worked out by hand

#: What the two units at each of four positions of ACGTA get from the kernel, and what they add to the output.
ACTIVATIONS = np.array([[2, 3], [0, 0], [1, 0], [0, 1]])
EFFECTS = np.array([[1.0, -1], [2, 0], [3, 1], [-2, 4]])


def by_hand(effects=EFFECTS):
    """Build a kernel of width two: unit 0 is 2 [A first] + [T second], unit 1 is [T first] + 3 [C second]."""
    kernel = np.zeros((2, 4, 2))
    kernel[0, 0, 0], kernel[1, 3, 0], kernel[0, 3, 1], kernel[1, 1, 1] = 2, 1, 1, 3
    convolution = layers.Conv1D(2, 2, use_bias=False, name="conv")
    stack = [convolution, layers.ReLU(), layers.Flatten(), layers.Dense(1, "sigmoid", name="dense")]
    model = keras.Sequential([keras.Input((5, 4)), *stack])
    model.set_weights([kernel, effects.reshape(8, 1), np.ones(1)])
    return model


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        # both mean gradients are 1, so a position has 5 0 1 1, and a base inside the mean of two of these
        ("gradcam", {}, [5, 2.5, 0.5, 1, 1]),
        # the largest gradients are 3 and 4: 18 0 3 4
        ("gradcam", {"pooling": "max"}, [18, 9, 1.5, 3.5, 4]),
        # before the ReLU gradients are zero where it is shut: means 1 and 3/4, so 4.25 0 1 .75
        ("gradcam", {"layer": "conv"}, [4.25, 2.125, 0.5, 0.875, 0.75]),
        # mean over channels 0 1 2 1, sum of activations 5 0 1 1
        ("gradcam_channel", {}, [0, 0, 1, 1.5, 1]),
        # -1 0 3 4
        ("grad_x_activation", {}, [-1, -0.5, 1.5, 3.5, 4]),
    ],
)
def test_values_by_hand(method, settings, expected):
    x = one_hot("ACGTA")
    result = attribute(by_hand(), x, method, **settings)
    np.testing.assert_allclose(result.scores, [expected], rtol=1e-6)
    np.testing.assert_allclose(result.contributions, np.array(expected)[None, :, None] * x, rtol=1e-6)
    assert result.hypothetical is None
    assert result.convergence_delta is None


def test_relu_drops_what_speaks_against():
    x = one_hot("ACGTA")
    plain = attribute(by_hand(-EFFECTS), x, "gradcam").scores
    np.testing.assert_array_equal(plain, np.zeros((1, 5)))
    kept = attribute(by_hand(-EFFECTS), x, "gradcam", relu=False).scores
    np.testing.assert_allclose(kept, [[-5, -2.5, -0.5, -1, -1]], rtol=1e-6)
    kept = attribute(by_hand(-EFFECTS), x, "gradcam_channel", relu=False).scores
    np.testing.assert_allclose(kept, [[0, 0, -1, -1.5, -1]], rtol=1e-6)


def test_probability_weighs_by_the_slope_of_the_sigmoid():
    x = one_hot("ACGTA")
    logit = 1 + (ACTIVATIONS * EFFECTS).sum()
    slope = 1 / (1 + np.exp(-logit)) / (1 + np.exp(logit))
    logits = attribute(by_hand(), x, "grad_x_activation").scores
    np.testing.assert_allclose(
        attribute(by_hand(), x, "grad_x_activation", output="probability").scores, logits * slope, rtol=1e-4
    )


def test_unknown_bases_get_nothing_and_bases_that_no_unit_sees_get_nothing(net):
    x = sequences(3)
    x[:, 20:25] = 0
    for method in KIN:
        scores = attribute(net, x, method, layer="pool_b").scores
        assert not scores[:, 20:25].any()
        # 60 bases: 54, 18, 14, 7 positions, of which the last reaches base 59 - 2
        assert np.abs(scores).max() > 1e-3
    field = field_of(blocks(), "last")
    assert field.shape == (14, LENGTH)
    # 18 windows of three take all 54 positions, 14 kernels of five all 18 windows, and so all 60 bases
    assert field.any(axis=0).all()
    short = keras.Sequential([keras.Input((10, 4)), layers.Conv1D(2, 2), layers.AveragePooling1D(4, name="pool")])
    assert field_of(short, "pool", 10).any(axis=0).tolist() == [True] * 9 + [False]


def test_at_units_that_are_the_bases_gradient_times_activation_is_gradient_times_input(net):
    inputs = keras.Input((LENGTH, 4))
    copy = layers.Conv1D(4, 1, use_bias=False, name="copy")
    model = keras.Model(inputs, net(copy(inputs)))
    copy.set_weights([np.eye(4)[None]])
    x = sequences(4)
    for target in (0, 1):
        expected = attribute(net, x, "grad_x_input", target=target, output="probability")
        result = attribute(model, x, "grad_x_activation", target=target, output="probability", layer="copy")
        close(result.contributions, expected.contributions)


def test_names_of_channels_play_no_part(net):
    """The filters of the first convolution in another order, and what reads them likewise."""
    order = np.random.default_rng(3).permutation(8)
    other = blocks(layers.BatchNormalization(), layers.ReLU(name="relu_a"))
    weights = net.get_weights()
    weights[:2] = [weights[0][..., order], weights[1][order]]
    weights[2:6] = [w[order] for w in weights[2:6]]
    weights[6] = weights[6][:, order]
    other.set_weights(weights)
    x = sequences(3)
    np.testing.assert_allclose(other(x), net(x), rtol=1e-4)
    for method in KIN:
        close(attribute(other, x, method, layer="first").scores, attribute(net, x, method, layer="first").scores)


# which tensor is read


@pytest.mark.parametrize(
    ("between", "read"),
    [
        ([], "conv_a"),
        ([layers.ReLU(name="end")], "end"),
        ([layers.BatchNormalization(), layers.Activation("gelu", name="end")], "end"),
        ([layers.BatchNormalization(), layers.PReLU(name="end")], "end"),
        ([layers.BatchNormalization(name="end")], "end"),
        ([layers.BatchNormalization(), layers.ReLU(name="end"), layers.BatchNormalization()], "end"),
        ([layers.Dropout(0.3)], "conv_a"),
    ],
    ids=["bare", "relu", "normalised gelu", "normalised prelu", "normalised", "normalised again", "dropout"],
)
def test_first_reads_a_convolution_after_its_normalisation_and_activation(between, read):
    model = blocks(*between)
    x = sequences(2)
    expected = attribute(model, x, "grad_x_activation", layer=read).scores
    np.testing.assert_array_equal(attribute(model, x, "grad_x_activation", layer="first").scores, expected)
    assert np.abs(expected).max() > 1e-3


def test_last_reads_the_last_convolution_with_an_activation_of_its_own(net):
    x = sequences(2)
    np.testing.assert_array_equal(
        attribute(net, x, "gradcam").scores, attribute(net, x, "gradcam", layer="conv_b").scores
    )
    first, last = (attribute(net, x, "gradcam", layer=layer).scores for layer in ("first", "last"))
    assert np.abs(first - last).max() > 0.01


def test_a_convolution_with_two_users_is_read_before_them():
    inputs = keras.Input((LENGTH, 4))
    x = layers.Conv1D(5, 3, padding="same", name="conv")(inputs)
    x = layers.Add()([x, layers.ReLU()(x)])
    model = with_weights(keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x))))
    assert find_output(read_calls(model).calls, "last").node.operation.name == "conv"


@pytest.mark.parametrize("layer", ["conv_a", "relu_a", "conv_b", "pool_b"])
def test_gradcam_is_that_of_tf_keras_vis_before_it_is_scaled(net, layer):
    from simbench_tf.attribution.peers import _their_imports

    with _their_imports():
        from tf_keras_vis.gradcam import Gradcam

    network = open_network(net, LENGTH, target=[0, 1])
    x = sequences(5)
    maps = layer_maps(network, x, layer, "mean")
    for target in (0, 1):
        theirs = Gradcam(network.graph)(
            lambda outputs, target=target: outputs[:, target],
            x,
            penultimate_layer=network.graph.get_layer(layer),
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        assert np.max(theirs) > 1e-3
        np.testing.assert_allclose(np.maximum(maps[target], 0), theirs, rtol=1e-5, atol=1e-6)


def test_maps_equal_gradients_of_the_model_cut_in_two(net):
    """The part of the model after the layer, built anew, differentiated by hand for sigmoid and tanh."""
    x = sequences(4)
    cut = keras.Model(net.input, [net.get_layer("pool_b").output, net.layers[-2].output])
    activations, hidden = (part.numpy() for part in cut(x))
    (first, second) = (net.layers[-2].get_weights()[0], net.layers[-1].get_weights()[0])
    gradients = (((1 - hidden**2) * second[:, 1]) @ first.T).reshape(activations.shape)
    network = open_network(net, LENGTH, target=1)
    for weighting, expected in [
        ("mean", (gradients.mean(axis=1, keepdims=True) * activations).sum(axis=2)),
        ("max", (gradients.max(axis=1, keepdims=True) * activations).sum(axis=2)),
        ("channel", gradients.mean(axis=2) * activations.sum(axis=2)),
        ("product", (gradients * activations).sum(axis=2)),
    ]:
        close(layer_maps(network, x, "pool_b", weighting)[0], expected)


# receptive fields


def field_of(model, layer, length=LENGTH):
    calls = read_calls(model).calls
    return receptive_field(calls, find_output(calls, layer), length)


def seen_by_brute_force(model, length):
    """Which positions change when each base is raised; weights are positive and nothing is ever shut."""
    x = np.random.default_rng(0).random((1, length, 4)).astype(np.float32)
    raised = np.repeat(x, length, axis=0)
    raised[np.arange(length), np.arange(length)] += 100
    change = np.abs(model(raised).numpy() - model(x).numpy()).max(axis=2)
    return (change > 1e-3).T


paddings = st.sampled_from(["valid", "same"])
small = st.integers(1, 3)
convolution = st.fixed_dictionaries(
    {
        "kind": st.just("conv"),
        "size": st.integers(1, 5),
        "move": st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]),
        "padding": st.sampled_from(["valid", "same", "causal"]),
        "groups": st.sampled_from([1, 2]),
    }
)
pooling = st.fixed_dictionaries(
    {"kind": st.sampled_from(["max", "average"]), "size": st.integers(1, 4), "strides": small, "padding": paddings}
)
move = st.fixed_dictionaries(
    {"kind": st.sampled_from(["crop", "pad", "up", "normalise", "dense"]), "before": small, "after": small}
)
branch = st.fixed_dictionaries({"kind": st.sampled_from(["add", "concatenate"]), "size": small, "dilation": small})


def stacked(x, layer):
    match layer["kind"]:
        case "conv":
            stride, dilation = layer["move"]
            convolve = layers.Conv1D(
                4, layer["size"], stride, layer["padding"], dilation_rate=dilation, groups=layer["groups"]
            )
            return convolve(x)
        case "max" | "average" as kind:
            pool = layers.MaxPooling1D if kind == "max" else layers.AveragePooling1D
            return pool(layer["size"], layer["strides"], layer["padding"])(x)
        case "crop":
            return layers.Cropping1D((layer["before"], layer["after"]))(x)
        case "pad":
            return layers.ZeroPadding1D((layer["before"], layer["after"]))(x)
        case "up":
            return layers.UpSampling1D(layer["before"])(x)
        case "normalise":
            return layers.ReLU()(layers.BatchNormalization()(x))
        case "dense":
            return layers.Dropout(0.5)(layers.Dense(4, "softplus")(x))
        case kind:
            merge = layers.Add() if kind == "add" else layers.Concatenate()
            other = layers.Conv1D(4, layer["size"], padding="same", dilation_rate=layer["dilation"])(x)
            return layers.Conv1D(4, 1)(merge([x, other]))


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    st.integers(20, 33), st.lists(st.one_of(convolution, convolution, pooling, move, branch), min_size=1, max_size=5)
)
def test_fields_are_what_a_base_changes(length, drawn):
    x = inputs = keras.Input((length, 4))
    for layer in drawn:
        try:
            x = stacked(x, layer)
        except ValueError:
            hypothesis.reject()
        hypothesis.assume(x.shape[1] > 0)
    model = keras.Model(inputs, x)
    model.set_weights([np.full(w.shape, 1 / np.prod(w.shape[:-1])) for w in model.get_weights()])
    np.testing.assert_array_equal(field_of(model, model.layers[-1].name, length), seen_by_brute_force(model, length))
    # and calls compute what the model does
    calls, output = read_calls(model)
    one = sequences(1, length)
    np.testing.assert_allclose(run_calls(calls, one)[output], model(one), rtol=1e-5)


def test_between_the_taps_of_a_dilated_kernel_nothing_is_seen():
    model = keras.Sequential([keras.Input((8, 4)), layers.Conv1D(1, 3, dilation_rate=3)])
    assert field_of(model, "last", 8).astype(int).tolist() == [[1, 0, 0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 1, 0, 0, 1]]


def test_models_without_a_fixed_length_and_nested_ones_have_the_same_fields(net):
    inputs = keras.Input((None, 4))
    x = layers.Conv1D(8, 7, activation="relu")(inputs)
    free = keras.Model(inputs, layers.GlobalAveragePooling1D()(layers.Conv1D(6, 5)(layers.MaxPooling1D(3)(x))))
    outer = keras.Input((LENGTH, 4))
    nested = keras.Model(outer, layers.Dense(1)(free(outer)))
    expected = field_of(net, "last")
    np.testing.assert_array_equal(field_of(free, "last"), expected)
    np.testing.assert_array_equal(field_of(nested, "last"), expected)


# what is refused


def branched(x):
    return layers.Add(name="sum")([layers.Conv1D(3, 3)(x), layers.Dense(3)(layers.AveragePooling1D(LENGTH)(x))])


REFUSED = {
    "the receptive field is unknown: Flatten": lambda: (by_hand(), "dense"),
    "the receptive field is unknown: GlobalMaxPooling1D 'pool'": lambda: (
        ending(layers.Dense(3, name="after")(layers.GlobalMaxPooling1D(name="pool")(layers.Conv1D(4, 3)(START)))),
        "after",
    ),
    "the receptive field is unknown: Permute": lambda: (
        ending(layers.Conv1D(2, 3, name="after")(layers.Permute((2, 1))(START))),
        "after",
    ),
    "the receptive field is unknown: Add 'sum' joins": lambda: (
        ending(layers.Conv1D(2, 3, name="after")(branched(START))),
        "last",
    ),
    "the receptive field is unknown: Conv1D 'own' has an activation of its own": lambda: (
        ending(layers.Conv1D(2, 3, activation=lambda x: x + 1, name="own")(START)),
        "own",
    ),
    "no one-dimensional convolution": lambda: (ending(layers.Dense(3)(START)), "last"),
    "no layer 'convb'; did you mean 'conv_b'": lambda: (blocks(), "convb"),
    "'twice' is called 2 times": lambda: (ending(called_twice()), "twice"),
    "'twice' is called 2 times; name": lambda: (ending(called_twice()), "first"),
}
START = keras.Input((LENGTH, 4))


def called_twice():
    twice = layers.Conv1D(4, 3, padding="same", name="twice")
    return layers.Add()([twice(START), twice(START[:, ::-1, ::-1])[:, ::-1]])


def ending(x):
    x = layers.Flatten()(x)
    return keras.Model(START, layers.Dense(1)(x))


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("method", KIN)
def test_layers_that_cannot_be_read_are_told(message, method):
    model, layer = REFUSED[message]()
    with pytest.raises(InputError, match=message.replace("(", "\\(")) as caught:
        attribute(model, sequences(1, model.input_shape[1]), method, layer=layer)
    assert "\n" not in str(caught.value)
    assert caught.value.mend or "did you mean" in str(caught.value)


def test_settings_are_checked(net):
    with pytest.raises(InputError, match="'mean' or 'max'"):
        attribute(net, sequences(1), "gradcam", pooling="sum")
    with pytest.raises(InputError, match="unknown setting"):
        attribute(net, sequences(1), "grad_x_activation", relu=True)


# what is compiled


def test_maps_are_traced_once_and_weights_followed():
    model = blocks()
    network = open_network(model, LENGTH)
    x = sequences(7)
    for n in (5, 3, 4, 7):
        for target in (0, 1):
            attribute(model, x[:n], "gradcam", target=target, batch_size=4)
    # batches of 1, 3 and 4 rows
    assert network.compiled(_maps, network.graph, "last", "mean").experimental_get_tracing_count() <= 3
    before = attribute(model, x, "gradcam").scores
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([2 * kernel, bias])
    close(attribute(model, x, "gradcam").scores, 2 * before)


def test_frozen_layers_are_read_and_the_model_is_let_go():
    x = sequences(2)
    expected = attribute(blocks(), x, "gradcam").scores
    model = blocks()
    model.trainable = False
    np.testing.assert_allclose(attribute(model, x, "gradcam").scores, expected, rtol=1e-6)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
