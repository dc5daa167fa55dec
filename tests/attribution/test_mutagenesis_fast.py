"""Mutagenesis by windows equals mutagenesis by whole passes, whatever the layers, and says when it cannot be had."""

import gc
import re
import warnings
import weakref

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import layers

from helpers.models import with_weights
from helpers.mutagenesis import (
    POINTWISE,
    bases_with_n,
    changes_of_each_mutant,
    convolutions,
    in_float64,
    largest_error,
    poolings,
)
from simbench_tf.attribution import attribute, mutagenesis
from simbench_tf.attribution.layer_geometry import UnsupportedModelError
from simbench_tf.attribution.mutagenesis import double_mutants, shuffle_site
from simbench_tf.attribution.mutagenesis import windows as _windows
from simbench_tf.attribution.mutagenesis.graph import read_graph
from simbench_tf.attribution.mutagenesis.windows import plan_windows
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import dinucleotide_counts, encode, one_hot
from simbench_tf.errors import InputError
from simbench_tf.models import basset, beluga


def sequential(length, *stack, seed=0):
    return with_weights(keras.Sequential([keras.Input((length, 4)), *stack]), seed)


# architectures

ENDINGS = [
    [("Flatten", {}), ("Dense", {"units": 5, "activation": "relu"})],
    [("Flatten", {}), ("Dropout", {"rate": 0.1})],
    [("GlobalMaxPooling1D", {})],
    [("GlobalAveragePooling1D", {}), ("Dense", {"units": 3, "activation": "tanh"}), ("BatchNormalization", {})],
]


@st.composite
def architectures(draw):
    layer = st.one_of(convolutions(), convolutions(), poolings(), st.sampled_from(POINTWISE))
    stack = draw(st.lists(layer, min_size=1, max_size=6))
    return draw(st.integers(20, 60)), [*stack, *draw(st.sampled_from(ENDINGS)), ("Dense", {"units": 2})]


@pytest.mark.slow
@hypothesis.settings(max_examples=120, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True)
@hypothesis.given(
    architecture=architectures(), batch_size=st.sampled_from([7, 30, 200]), start=st.sampled_from([0, 0, 5, 17])
)
def test_windows_equal_whole_passes(every_window, eagerly, architecture, batch_size, start):
    length, stack = architecture
    try:
        model = sequential(length, *(getattr(layers, name)(**settings) for name, settings in stack))
    except ValueError:
        hypothesis.reject()  # more layers than the sequence is long
    assert largest_error(model, bases_with_n(2, length), batch_size, (1, 0), start) < 1e-5


@pytest.mark.parametrize("make", [basset, beluga])
@pytest.mark.parametrize("n_stages", [1, 2, 3])
def test_windows_may_end_after_any_stage(monkeypatch, make, n_stages):
    model = with_weights(make(seq_length=320, n_tasks=2, width=0.02))
    first = [layer for layer in model.layers if isinstance(layer, layers.Conv1D)][:n_stages]
    # any other convolution is run on whole mutants
    monkeypatch.setattr(_windows, "_LEAST_SPEED_UP", 0.0)
    monkeypatch.setattr(_windows, "_pays", lambda stage, window: stage.linear in (None, *first))
    assert largest_error(model, bases_with_n(1, 320), 256) < 1e-5


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_basset_equals_whole_passes(padding):
    model = with_weights(basset(seq_length=250, n_tasks=3, width=0.1, padding=padding))
    assert largest_error(model, bases_with_n(3, 250), 100, (2, 0)) < 1e-5


def test_layers_around_a_nested_model_and_a_positionwise_dense(every_window):
    inner = with_weights(keras.Sequential([keras.Input((36, 6)), layers.Conv1D(5, 4, activation="gelu")]), seed=3)
    stack = [layers.Conv1D(6, 5), layers.Dense(6, "elu"), inner, layers.MaxPooling1D(3), layers.Flatten()]
    assert largest_error(sequential(40, *stack, layers.Dense(2)), bases_with_n(2, 40)) < 1e-5


def test_saturating_functions_beyond_the_ends_do_no_harm(every_window):
    # beyond the sequence an exponential of what was never computed must not reach the output
    stack = [layers.Conv1D(3, 5, activation="exponential"), layers.MaxPooling1D(4), layers.Conv1D(3, 2, padding="same")]
    model = sequential(30, *stack, layers.Flatten(), layers.Dense(1))
    assert largest_error(model, bases_with_n(2, 30)) < 1e-5


def test_substitutions_that_no_layer_reads_change_nothing():
    # 3 bases of 31 are in no window of the pooling
    stack = [layers.Conv1D(3, 4), layers.MaxPooling1D(5), layers.Flatten(), layers.Dense(2, "relu"), layers.Dense(1)]
    change = attribute(sequential(31, *stack), one_hot(bases_with_n(2, 31)), "ism", output="probability").hypothetical
    assert not change[:, 28:].any()
    assert change[:, 27].any()


def test_windows_are_nearer_to_the_exact_changes_than_whole_passes():
    # a whole pass rounds an output of which the change is a small part
    model, bases = with_weights(basset(seq_length=250, width=0.1)), bases_with_n(2, 250)
    logit = keras.Model(model.input, model.layers[-2].output)
    model.layers[-2].bias.assign([3000.0])
    network = open_network(model, 250)
    expected = changes_of_each_mutant(in_float64(logit), bases)
    errors = [
        abs(mutagenesis.methods.substitution_changes(network, one_hot(bases), 0, 250, fast) - expected).max()
        for fast in (True, False)
    ]
    assert errors[0] < 1e-5 * abs(expected).max()
    assert errors[0] < 0.2 * errors[1]


# what can't be followed


class Dense(layers.Dense):
    """Of the same name as Keras' own, and yet another thing."""

    def call(self, inputs):
        return keras.ops.flip(super().call(inputs), axis=1)


class Subclassed(keras.Model):
    def call(self, inputs):
        return keras.ops.flip(inputs, axis=1)


def mirrored(x):
    return keras.ops.flip(x, axis=1)


def functional(*calls):
    """A convolution, what these make of its output, a dense layer."""
    inputs = keras.Input((12, 4))
    x = layers.Conv1D(4, 3, padding="same")(inputs)
    for call in calls:
        x = call(x)
    return with_weights(keras.Model(inputs, layers.Dense(1)(x)))


# each is run on whole mutants from that layer on
OTHERS = {
    "Permute 'permute.*' is not a layer whose windows are known": [layers.Permute((2, 1)), layers.Flatten()],
    "BatchNormalization '.*' is not": [layers.BatchNormalization(axis=1), layers.Flatten()],
    "Conv1D '.*' has an activation of its own": [layers.Conv1D(3, 2, activation=mirrored), layers.Flatten()],
    "Conv1D '.*' computes in mixed_float16": [layers.Conv1D(3, 2, dtype="mixed_float16"), layers.Flatten()],
    "Flatten '.*' has channels first": [layers.Flatten(data_format="channels_first")],
    "Reshape '.*' is not a layer": [layers.Reshape((6, 8)), layers.Flatten()],
    "Multiply '.*' joins tensors of unlike": [
        lambda x: layers.Multiply()([x, layers.MaxPooling1D(12)(x)]),
        layers.Flatten(),
    ],
    "Concatenate '.*' puts positions one after": [lambda x: layers.Concatenate(axis=1)([x, x]), layers.Flatten()],
    "Dense '.*' is not a layer": [Dense(4), layers.Flatten()],
    "Subclassed '.*' is not a layer": [Subclassed(), layers.Flatten()],
    "MultiHeadAttention '.*' is called with more": [
        lambda x: layers.MultiHeadAttention(2, 3)(x, x),
        layers.GlobalMaxPooling1D(),
    ],
}


@pytest.mark.parametrize("reason", OTHERS)
def test_other_layers_are_run_on_whole_mutants_for_the_reason_that_is_given(every_window, eagerly, reason):
    model = functional(*OTHERS[reason])
    network = open_network(model, 12, 0, "probability", 16, precision="model")
    plan = mutagenesis.methods._engine(network, 12).plan
    assert plan.steps[0].how == "bases"
    assert re.search(reason, plan.reasons[0])
    fast, plain = (
        mutagenesis.methods.substitution_changes(network, one_hot(bases_with_n(2, 12)), 0, 12, fast)
        for fast in (True, False)
    )
    assert abs(plain).max() > 0.1
    assert abs(fast - plain).max() < (1e-5 if "float16" not in reason else 2e-3) * abs(plain).max()


def test_layers_that_run_as_in_training_are_refused():
    model = functional(lambda x: layers.BatchNormalization()(x, training=True), layers.Flatten())
    with pytest.raises(UnsupportedModelError, match=r"BatchNormalization '.*' is called as in training"):
        read_graph(model, 12)


def test_other_models_take_whole_passes_and_are_told_once():
    model, x = functional(layers.Permute((2, 1)), layers.Conv1D(40, 3), layers.Flatten()), one_hot(bases_with_n(18, 12))
    with pytest.warns(UserWarning, match="does not know this model .Permute 'permute.*all mutants go through") as told:
        scores = attribute(model, x, "ism", batch_size=64).scores
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(attribute(model, x, "ism", batch_size=64).scores, scores)
        np.testing.assert_array_equal(attribute(model, x, "ism", batch_size=64, fast=False).scores, scores)
        attribute(model, x, "ism", batch_size=32, target=[0])


def test_models_that_show_no_layers_take_whole_passes():
    model = keras.Sequential([layers.Conv1D(3, 4, activation="relu"), layers.Flatten(), layers.Dense(1)])
    x = one_hot(bases_with_n(2, 12))
    shown = sequential(12, *model.layers)

    class Hidden(keras.Model):
        def call(self, inputs):
            return shown(inputs)

    with pytest.warns(UserWarning, match="shows no layers"):
        scores = attribute(Hidden(), x, "ism", output="probability").scores
    np.testing.assert_allclose(scores, attribute(shown, x, "ism", fast=False).scores, atol=1e-6)


def test_whole_passes_take_sequences_of_any_length():
    model = sequential(None, layers.Conv1D(3, 4, activation="relu"), layers.GlobalMaxPooling1D(), layers.Dense(1))
    for length in (12, 15, 20):
        bases = bases_with_n(2, length)
        plain, fast = (attribute(model, one_hot(bases), "ism", fast=fast).hypothetical for fast in (False, True))
        np.testing.assert_allclose(plain, fast, atol=1e-5)
        assert abs(plain).max() > 0.1


def test_models_that_would_gain_little_take_whole_passes():
    # nearly all of the work is in the last dense layers, which every mutant needs
    stack = [layers.Conv1D(1, 3), layers.Flatten(), layers.Dense(200), layers.Dense(200), layers.Dense(1)]
    network = open_network(sequential(30, *stack), 30)
    assert mutagenesis.methods._engine(network, 30) is None


# the plan


def test_plans_of_basset_and_beluga_follow_every_stage_and_save_a_thirtieth():
    expected = {
        # changed outputs of each convolution that the pooling needs, and of each stage
        (basset, 1000, 1.0): [(21, 7), (20, 5), (16, 4)],
        (beluga, 2000, 0.3): [(8, 8), (20, 5), (12, 12), (24, 6), (13, 13), (20, 20)],
    }
    for (make, length, width), widths in expected.items():
        plan = plan_windows(read_graph(open_network(make(length, width=width), length).graph, length), 256)
        stages = [step for step in plan.steps if step.convolved is not None]
        assert [(step.convolved.width, step.changed.width) for step in stages] == widths
        plain, windows = plan.multiplications
        assert 32 < plain / windows < 34


def test_blocks_are_whole_periods_and_waste_little():
    assert _windows._block_size(30, 64, 16) == 30
    for length, period, largest in [(1000, 48, 256), (2000, 16, 256), (100, 7, 256), (100, 40, 16)]:
        size = _windows._block_size(length, period, largest)
        assert size % period == 0
        assert size <= max(largest, period)
        wasted = -(-length // size) * size - length
        assert wasted < period + 0.03 * (length + period)


# options


def test_a_window_gives_the_same_values_and_zeros_outside():
    model, x = with_weights(basset(seq_length=250, width=0.05)), one_hot(bases_with_n(2, 250))
    whole = attribute(model, x, "ism", batch_size=96).hypothetical
    rounding = 2e-6 * abs(open_network(model, 250).outputs(x)).max()
    windows = [(90, 200, True), (90, 200, False), (235, 250, True), (0, 1, True), (200, 250, True), (0, 20, True)]
    for start, end, fast in windows:
        part = attribute(model, x, "ism", batch_size=96, start=start, end=end, fast=fast).hypothetical
        np.testing.assert_allclose(part[:, start:end], whole[:, start:end], atol=rounding)
        # the pools leave the last bases out, and what no unit sees changes nothing
        assert part[:, start:end].any() == whole[:, start:end].any()
        assert end - start < 20 or part[:, start:end].any()
        assert not part[:, :start].any()
        assert not part[:, end:].any()
    for start, end in [(-1, 3), (5, 5), (0, 251)]:
        with pytest.raises(InputError, match="not within 250 bases"):
            attribute(model, x, "ism", start=start, end=end)


def test_functions_are_compiled_once_for_any_number_of_sequences():
    model = with_weights(basset(seq_length=200, width=0.05))
    network = open_network(model, 200)
    engine = mutagenesis.methods._engine(network, 200)
    for n, start in [(1, 0), (5, 0), (2, 70), (16, 10)]:
        for fast in (True, False):
            mutagenesis.methods.substitution_changes(network, one_hot(bases_with_n(n, 200)), start, 200 - n, fast)
    assert mutagenesis.methods._engine(network, 200) is engine
    assert engine.block.experimental_get_tracing_count() == 1
    assert engine.unchanged.experimental_get_tracing_count() == 1
    # for one sequence, and for any number
    assert network.compiled(mutagenesis.methods._mutant_values, 256).experimental_get_tracing_count() == 2


def test_weights_that_were_trained_further_are_seen():
    model, bases = with_weights(basset(seq_length=200, width=0.05)), bases_with_n(1, 200)
    first = attribute(model, one_hot(bases), "ism").scores
    with_weights(model, seed=5)
    assert largest_error(model, bases, 256) < 1e-5
    assert abs(attribute(model, one_hot(bases), "ism").scores - first).max() > 1e-3


def test_a_model_that_is_no_longer_used_is_let_go():
    model = sequential(30, layers.Conv1D(3, 4), layers.MaxPooling1D(3), layers.Flatten(), layers.Dense(1))
    attribute(model, one_hot(bases_with_n(1, 30)), "ism")
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_double_mutants_of_a_product_are_its_second_difference():
    # f = (w1 . x at 1) (w3 . x at 3) + a sum over all positions, which drops out
    inputs = keras.Input((5, 4))
    one, three = np.array([1.0, 2.0, 4.0, 7.0]), np.array([3.0, -1.0, 0.5, 2.0])
    first = keras.ops.sum(inputs[:, 1] * one.astype(np.float32), axis=1, keepdims=True)
    second = keras.ops.sum(inputs[:, 3] * three.astype(np.float32), axis=1, keepdims=True)
    model = keras.Model(inputs, first * second + keras.ops.sum(inputs[:, :, 2], axis=1, keepdims=True))
    bases = encode(["ACGTA", "CTNGA"])
    pairs = [(1, 3), (2, 3), (3, 1)]
    for batch_size in (10, 32, 256):
        interaction = double_mutants(model, one_hot(bases), pairs, output="probability", batch_size=batch_size)
        assert interaction.shape == (2, 3, 4, 4)
        for row, (at_one, at_three) in enumerate([(1, 3), (3, 2)]):
            expected = np.outer(one - one[at_one], three - three[at_three])
            np.testing.assert_allclose(interaction[row, 0], expected, atol=1e-5)
            np.testing.assert_allclose(interaction[row, 2], expected.T, atol=1e-5)
        assert abs(interaction[:, 1]).max() < 1e-5
    for pairs in ([(1, 5)], [(2, 2)], [(1, 2, 3)]):
        with pytest.raises(ValueError):
            double_mutants(model, one_hot(bases), pairs, output="probability")


def test_double_mutants_of_several_targets_keep_their_order():
    model, bases = with_weights(basset(seq_length=200, n_tasks=3, width=0.05)), bases_with_n(1, 200)
    both = double_mutants(model, one_hot(bases), [(90, 95)], target=[2, 0])
    single = double_mutants(model, one_hot(bases), [(90, 95)], target=0)
    np.testing.assert_allclose(both[1], single, atol=1e-6)
    assert abs(both[0] - both[1]).max() > 1e-4


@pytest.mark.parametrize("kind", ["dinucleotide", "mononucleotide"])
def test_shuffling_a_site_keeps_the_rest(kind):
    """A model that counts AC and knows of no other pair can't see shuffles that keep dinucleotides."""
    kernel = np.zeros((2, 4, 1), np.float32)
    kernel[0, 0] = kernel[1, 1] = 1.0
    stack = [layers.Conv1D(1, 2, activation="relu"), layers.Flatten(), layers.Dense(1)]
    model = keras.Sequential([keras.Input((40, 4)), *stack])
    model.set_weights([kernel, np.array([-1.0]), np.ones((39, 1)), np.zeros(1)])
    site, rest = "ACACACGTGTTACAGGACACAC", "TG"
    bases = encode([rest * 4 + site + rest * 5, site[::-1] + rest * 9])
    change = shuffle_site(model, one_hot(bases), 8, 30, n_shuffles=200, random_state=3, kind=kind)
    if kind == "dinucleotide":
        np.testing.assert_allclose(change, 0, atol=1e-5)
    else:
        n_observed = dinucleotide_counts(encode([site]))[0, 0, 1]
        n_a, n_c = site.count("A"), site.count("C")
        expected = n_a * n_c / len(site) - n_observed
        # the count of pairs in a random order has a standard deviation of about 1.2
        assert abs(change[0] - expected) < 5 * 1.2 / np.sqrt(200)


def test_shuffles_of_a_site_depend_on_the_seed_and_the_letters_alone():
    model, bases = with_weights(basset(seq_length=200, width=0.05)), bases_with_n(3, 200)
    x = one_hot(bases)
    together = shuffle_site(model, x, 80, 120, n_shuffles=4, random_state=1)
    np.testing.assert_allclose(
        shuffle_site(model, x[::-1], 80, 120, n_shuffles=4, random_state=1)[::-1], together, atol=1e-6
    )
    assert abs(shuffle_site(model, x, 80, 120, n_shuffles=4, random_state=2) - together).max() > 1e-4
    with pytest.raises(ValueError, match="site"):
        shuffle_site(model, x, 120, 80)
