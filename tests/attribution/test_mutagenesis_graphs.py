"""Mutagenesis by windows equals whole passes through branches, products, moves and layers that mix all positions."""

import warnings

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import layers

from helpers.models import with_weights
from helpers.mutagenesis import POINTWISE, bases_with_n, convolutions, largest_error, poolings
from simbench_tf.attribution import attribute, mutagenesis
from simbench_tf.attribution.mutagenesis.bound import speed_bound
from simbench_tf.attribution.mutagenesis.graph import read_graph
from simbench_tf.attribution.mutagenesis.windows import plan_windows
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot

CHANNELS = 4


# graphs, drawn as plain values


def together(a, b):
    """Two tensors of one length: the longer is cropped, on one side more than on the other."""
    further = a.shape[1] - b.shape[1]
    if further == 0:
        return a, b
    if further < 0:
        return together(b, a)
    return layers.Cropping1D((further // 3, further - further // 3))(a), b


def excited(x):
    gate = layers.Dense(CHANNELS, activation="sigmoid")(layers.GlobalAveragePooling1D(keepdims=True)(x))
    return layers.Multiply()([x, gate])


MERGES = {
    "add": lambda a, b: layers.Add()([a, b]),
    "subtract": lambda a, b: layers.Subtract()([a, b]),
    "multiply": lambda a, b: layers.Multiply()([a, b]),
    "average": lambda a, b: layers.Average()([a, b]),
    "maximum": lambda a, b: layers.Maximum()([a, b]),
    "concatenate": lambda a, b: layers.Dense(CHANNELS)(layers.Concatenate()([a, b])),
    "operations": lambda a, b: 0.5 * (a + b) - a * b,
}
MOVES = [
    ("Cropping1D", {"cropping": (1, 3)}),
    ("ZeroPadding1D", {"padding": (2, 1)}),
    ("UpSampling1D", {"size": 2}),
    ("DepthwiseConv1D", {"kernel_size": 3, "padding": "same"}),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "activation": "relu"}),
]
MIXING = {
    "excited": excited,
    "attention": lambda x: layers.MultiHeadAttention(1, 3)(x, x),
    "normalized": lambda x: layers.GroupNormalization(2)(x),
}
ENDINGS = {
    "dense": lambda a, b: layers.Flatten()(a),
    "average": lambda a, b: layers.GlobalAveragePooling1D()(a),
    "both": lambda a, b: layers.Concatenate()([layers.GlobalMaxPooling1D()(a), layers.GlobalAveragePooling1D()(b)]),
    "gate": lambda a, b: layers.Multiply()([layers.GlobalMaxPooling1D()(a), layers.GlobalAveragePooling1D()(b)]),
}


@st.composite
def graphs(draw):
    """Length, steps (what, its settings, which of the last tensors it takes), and the ending; a convolution begins."""
    layer = st.one_of(convolutions(), convolutions(), poolings(), st.sampled_from([*POINTWISE, *MOVES]))
    merge = st.tuples(st.just("merge"), st.sampled_from([*MERGES, "with the bases"]))
    mixing = st.tuples(st.just("mixing"), st.sampled_from(list(MIXING)))
    which = st.tuples(st.integers(0, 2), st.integers(0, 2))
    step = st.tuples(st.one_of(layer, layer, merge, merge, mixing), which)
    steps = [(draw(convolutions()), (0, 0)), *draw(st.lists(step, min_size=1, max_size=8))]
    return draw(st.integers(20, 50)), steps, draw(st.sampled_from(list(ENDINGS)))


def build(length, steps, ending):
    inputs = keras.Input((length, 4))
    tensors = []
    for (what, settings), which in steps:
        a, b = (tensors[max(-1 - number, -len(tensors))] if tensors else inputs for number in which)
        if settings == "with the bases":
            made = layers.Add()([*together(a, inputs)])
        elif what == "merge":
            made = MERGES[settings](*together(a, b))
        else:
            made = MIXING[settings](a) if what == "mixing" else getattr(layers, what)(**settings)(a)
        hypothesis.assume(0 < made.shape[1] <= 100)
        tensors.append(made)
    joined = ENDINGS[ending](tensors[-1], tensors[max(-2, -len(tensors))])
    return with_weights(keras.Model(inputs, layers.Dense(2)(layers.Dense(3, activation="tanh")(joined))))


@pytest.mark.slow
@hypothesis.settings(max_examples=60, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True)
@hypothesis.given(graph=graphs(), batch_size=st.sampled_from([7, 30, 200]), start=st.sampled_from([0, 0, 5]))
def test_windows_equal_whole_passes_through_any_graph(every_window, eagerly, graph, batch_size, start):
    try:
        model = build(*graph)
    except ValueError:
        hypothesis.reject()  # more layers than the sequence is long
    assert largest_error(model, bases_with_n(2, graph[0]), batch_size, (1, 0), start) < 1e-5


# networks that people have


def bpnet(length=240, n_dilated=5, crop=60):
    inputs = keras.Input((length, 4))
    x = layers.Conv1D(8, 21, padding="same", activation="relu")(inputs)
    for number in range(1, n_dilated + 1):
        dilated = layers.Conv1D(8, 3, padding="same", dilation_rate=2**number, activation="relu")(x)
        x = layers.Add()([x, dilated])
    x = layers.Cropping1D(crop)(x)
    return with_weights(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))))


def test_a_bpnet_is_followed_by_windows_to_its_end():
    model = bpnet()
    plan = plan_windows(read_graph(open_network(model, 240).graph, 240), 64)
    assert not plan.reasons
    assert {step.how for step in plan.steps} == {"bases", "windows", "joined"}
    widths = [step.changed.width for step in plan.steps if step.unit.kind == "merge"]
    assert widths == [21 + 2 * (2 ** (number + 1) - 2) for number in range(1, 6)]
    assert largest_error(model, bases_with_n(1, 240), 64, (1, 0)) < 1e-5


def excited_network(after, length=120):
    """Convolutions, a squeeze-excite block, and what comes after it."""
    inputs = keras.Input((length, 4))
    x = layers.MaxPooling1D(4)(layers.Conv1D(16, 9, padding="same", activation="relu")(inputs))
    x = layers.Conv1D(16, 9, padding="same", activation="relu")(x)
    x = layers.MaxPooling1D(2)(x)
    gate = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling1D()(x))
    gate = layers.Reshape((1, 16))(layers.Dense(16, activation="sigmoid")(gate))
    x = after(layers.Multiply()([gate, x]))
    return with_weights(keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x))))


def how_of(model, length=120):
    plan = plan_windows(read_graph(open_network(model, length).graph, length), 256)
    return {step.unit.call.kind: step.how for step in plan.steps}


def test_squeeze_and_excite_is_followed_up_to_its_gate_and_run_whole_from_there():
    model = excited_network(lambda x: x)
    how = how_of(model)
    assert (how["Dense"], how["Reshape"], how["Multiply"]) == ("joined", "whole", "whole")
    for batch_size in (256, 16):
        assert largest_error(model, bases_with_n(2, 120), batch_size) < 1e-5


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
@pytest.mark.parametrize(("n", "batch_size", "start"), [(1, 256, 0), (3, 16, 0), (2, 1024, 7)])
def test_a_gate_and_the_convolution_after_it_are_one_sum_over_channels(padding, n, batch_size, start):
    def convolved(x):
        x = layers.Conv1D(8, 3, padding=padding, dilation_rate=2, activation="relu")(layers.Dropout(0.1)(x))
        return layers.AveragePooling1D(2)(layers.BatchNormalization()(x))

    model = excited_network(convolved)
    # 120 positions of 16 channels at first; whole only once they are fewer, of 8
    plan = plan_windows(read_graph(open_network(model, 120).graph, 120), 100)
    assert plan.whole_mutants == 100 * (120 * 16) // (plan.parts[1][0].unit.stage.geometry.length * 8)
    assert [how for kind, how in how_of(model).items() if kind == "AveragePooling1D"] == ["gated"]
    assert largest_error(model, bases_with_n(n, 120), batch_size, start=start) < 1e-5


@pytest.mark.parametrize("settings", [{"strides": 2}, {"groups": 2}, {"kernel_size": 1}])
def test_other_convolutions_of_a_gated_tensor_are_run_whole(settings):
    model = excited_network(layers.Conv1D(**{"filters": 8, "kernel_size": 3, **settings}))
    how = how_of(model)
    assert (how["Multiply"], how["Conv1D"]) == ("whole", "whole")
    assert largest_error(model, bases_with_n(2, 120), 64) < 1e-5


def test_no_more_whole_mutants_than_a_batch_are_held_together():
    """A layer that is not known sees, of each mutant once, as many rows as a batch has at most."""
    seen = []

    class Watching(layers.Layer):
        def call(self, inputs):
            seen.append(inputs.shape[0])
            return keras.ops.flip(inputs, axis=1)

    inputs = keras.Input((48, 4))
    x = layers.MaxPooling1D(4)(layers.Conv1D(30, 9, padding="same", activation="relu")(inputs))
    x = layers.Conv1D(4, 9, padding="same")(layers.Concatenate()([x, x, x, x]))
    model = with_weights(keras.Model(inputs, layers.Dense(1)(layers.Flatten()(Watching()(x)))))
    for batch_size, most in ((200, 200), (7, 7), (2, 3)):
        seen.clear()
        network = open_network(model, 48, 0, "probability", batch_size)
        fast = mutagenesis.methods.substitution_changes(network, one_hot(bases_with_n(1, 48)), 0, 48, True)
        assert 0 < max(size for size in seen if size is not None) <= most
        plain = mutagenesis.methods.substitution_changes(network, one_hot(bases_with_n(1, 48)), 0, 48, False)
        np.testing.assert_allclose(fast, plain, atol=1e-5 * abs(plain).max())


class Held(layers.Layer):
    """Gives the same numbers, one row for each of the input's, whatever this holds."""

    gives_constant = True

    def __init__(self, shape, **settings):
        super().__init__(**settings)
        self.shape, self.values = shape, np.random.default_rng(1).normal(size=shape).astype(np.float32)

    def call(self, inputs):
        values = keras.ops.cast(self.values, self.compute_dtype)[None]
        return keras.ops.tile(values, (keras.ops.shape(inputs)[0], *[1] * len(self.shape)))

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


@pytest.mark.parametrize("merge", ["Add", "Subtract", "Multiply", "Maximum", "Concatenate"])
def test_layers_that_give_constants_are_constant(monkeypatch, every_window, merge):
    monkeypatch.setitem(keras.saving.get_custom_objects(), "Held", Held)
    inputs = keras.Input((40, 4))
    x = layers.Conv1D(6, 5, padding="same", activation="relu")(inputs)
    held = layers.Conv1D(6, 3, padding="same", activation="relu")(Held((40, 2))(inputs))
    x = layers.Conv1D(3, 3)(getattr(layers, merge)()([x, held]))
    joined = layers.Concatenate()([layers.GlobalMaxPooling1D()(x), Held((3,))(inputs)])
    model = with_weights(keras.Model(inputs, layers.Dense(2)(joined)))
    plan = mutagenesis.methods._engine(open_network(model, 40, 0, "probability", 64), 40).plan
    assert [step.how for step in plan.steps].count("constant") == 3
    assert "whole" not in {step.how for step in plan.steps}
    assert largest_error(model, bases_with_n(2, 40)) < 1e-5


def test_branches_of_unlike_strides_are_put_together():
    inputs = keras.Input((42, 4))
    x = layers.Conv1D(4, 5, padding="same")(inputs)
    x = layers.Add()([layers.Cropping1D((7, 14))(x), layers.Conv1D(4, 1, strides=2, activation="relu")(x)])
    model = with_weights(keras.Model(inputs, layers.Dense(1)(layers.GlobalMaxPooling1D()(layers.Conv1D(9, 3)(x)))))
    plan = plan_windows(read_graph(model, 42), 64)
    assert plan.reasons[0].endswith("joins tensors of unlike strides")
    values = [attribute(model, one_hot(bases_with_n(2, 42)), "ism", fast=fast).hypothetical for fast in (True, False)]
    np.testing.assert_allclose(*values, atol=1e-5 * abs(values[1]).max())


# what cannot be believed


def test_an_engine_that_is_wrong_is_found_out_and_whole_passes_taken():
    def reversed_in_batch(x):
        # of the neighbours in a batch, which no method that computes mutants apart can know
        return layers.ReLU()(keras.ops.flip(x, axis=0))

    inputs = keras.Input((60, 4))
    x = reversed_in_batch(layers.MaxPooling1D(4)(layers.Conv1D(16, 9, activation="relu")(inputs)))
    model = with_weights(keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x))))
    x = one_hot(bases_with_n(3, 60))
    with pytest.warns(UserWarning, match="differs from whole passes by .*all mutants go through the whole model"):
        first = attribute(model, x, "ism", batch_size=32).scores
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(attribute(model, x, "ism", batch_size=32).scores, first)
        np.testing.assert_array_equal(attribute(model, x, "ism", batch_size=32, fast=False).scores, first)


# the bound


def test_the_bound_of_a_bpnet_is_that_of_its_affected_positions():
    """Positions counted one by one: those whose receptive field holds the substituted base."""
    model, length = bpnet(100, 3, 20), 100
    reach, whole, affected = 10, 21 * 4 * 8 * length, 0.0
    place = np.arange(length)
    affected += 21 * 4 * 8 * np.mean([(abs(place - base) <= reach).sum() for base in place])
    for number in (1, 2, 3):
        reach += 2**number
        whole += 3 * 8 * 8 * length
        affected += 3 * 8 * 8 * np.mean([(abs(place - base) <= reach).sum() for base in place])
    whole, affected = whole + 8 * 2, affected + 8 * 2
    assert speed_bound(read_graph(model, length)) == pytest.approx(whole / affected)
