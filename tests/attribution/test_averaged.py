"""Attributions averaged over strands, shifts and models: against plain loops, and models that average themselves."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from helpers.models import close, random_bases, with_weights
from simbench_tf.attribution import attribute, method_key
from simbench_tf.attribution.averaged import Copies, Copy, copied, copies_of
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import N_BASE, bases_of_one_hot, one_hot, reverse_complement
from simbench_tf.errors import InputError

LENGTH = 40
LINEAR = [
    ("grad_x_input", None, {}),
    ("integrated_gradients", "shuffle:2", {"n_steps": 4}),
    ("ism", None, {}),
    ("deeplift_rescale", "shuffle:2", {}),
    ("deeplift_revealcancel", "zeros", {}),
]


def net(seed, ending="sigmoid", length=LENGTH):
    """A convolution, pooling and two dense layers; two outputs."""
    inputs = keras.Input((length, 4))
    x = layers.MaxPooling1D(2)(layers.Conv1D(6, 5, padding="same", activation="relu")(inputs))
    x = layers.Dense(2, ending)(layers.Dense(8, "relu")(layers.Flatten()(x)))
    return with_weights(keras.Model(inputs, x), seed, scale=1)


@pytest.fixture(scope="module")
def members():
    return [net(seed, None) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def x():
    bases = random_bases(4, LENGTH)
    bases[1, 5:8] = N_BASE
    return one_hot(bases)


def naive_copy(row, shift, is_reversed):
    """A copy of one sequence, letter by letter."""
    letters = [row[at - shift] if 0 <= at - shift < len(row) else np.zeros(4) for at in range(len(row))]
    if is_reversed:
        letters = [letter[[3, 2, 1, 0]] for letter in letters[::-1]]
    return np.array(letters, np.float32)


def naive_back(values, shift, is_reversed):
    """Values of bases and channels, (L, 4), or bases, (L,), of a copy put back letter by letter."""
    if is_reversed:
        values = np.array([value[[3, 2, 1, 0]] if value.ndim else value for value in values[::-1]])
    at = np.arange(len(values)) + shift
    there = (at >= 0) & (at < len(values))
    return np.array([values[place] if ok else 0 * values[0] for place, ok in zip(at, there, strict=True)])


@given(st.integers(0, 3), st.sampled_from(["one", "both"]), st.integers(1, 12))
def test_copies_are_those_written_letter_by_letter(shifts, strands, length):
    x = one_hot(random_bases(2, length, seed=length))
    copies = copies_of(Copies(strands, shifts))
    assert len(copies) == len(set(copies)) == Copies(strands, shifts).n
    for copy in copies:
        np.testing.assert_array_equal(copied(x, copy), [naive_copy(row, *copy) for row in x])


def test_the_reverse_complement_is_that_of_bases(x):
    turned = bases_of_one_hot(copied(x, Copy(0, True)))
    np.testing.assert_array_equal(turned, reverse_complement(bases_of_one_hot(x)))


@pytest.mark.parametrize(("method", "references", "options"), LINEAR)
@pytest.mark.parametrize("copies", [{"strands": "both"}, {"shifts": 2}, {"strands": "both", "shifts": 1}])
def test_copies_are_explained_one_by_one_and_put_back(x, method, references, options, copies):
    model = net(1)
    found = attribute(model, x, method, references=references, **options, **copies)
    if references is not None:  # those of the sequence, moved and turned with it
        references = make_references(parse_references(references), bases_of_one_hot(x))
    total, hypothetical, delta = 0, 0, 0
    which = [(s, r) for s in range(-copies.get("shifts", 0), copies.get("shifts", 0) + 1)
             for r in ([False, True] if "strands" in copies else [False])]  # fmt: skip
    for copy in which:
        mine = np.array([naive_copy(row, *copy) for row in x])
        theirs = references if references is None else [[naive_copy(row, *copy) for row in each] for each in references]
        alone = attribute(model, mine, method, references=None if theirs is None else np.array(theirs), **options)
        total = total + np.array([naive_back(row, *copy) for row in alone.contributions]) / len(which)
        hypothetical = hypothetical + np.array([naive_back(row, *copy) for row in alone.hypothetical]) / len(which)
        delta = None if alone.convergence_delta is None else delta + alone.convergence_delta / len(which)
    close(found.contributions, total, atol=1e-5)
    close(found.hypothetical, hypothetical, atol=1e-5)
    close(found.scores, total.sum(axis=-1), atol=1e-5)
    if delta is None:
        assert found.convergence_delta is None
    else:
        close(found.convergence_delta, delta, atol=1e-5)


def averaging(models, copies=((0, False),)):
    """A Keras model that returns the mean over models and copies of the input."""
    copies = [Copy(*each) for each in copies]

    class Copied(layers.Layer):
        def __init__(self, copy, **kwargs):
            super().__init__(**kwargs)
            self.copy = copy

        def call(self, inputs):
            length, shift = inputs.shape[1], self.copy.shift
            padded = keras.ops.pad(inputs, [[0, 0], [abs(shift), abs(shift)], [0, 0]])
            moved = padded[:, abs(shift) - shift : abs(shift) - shift + length]
            return keras.ops.flip(moved, axis=(1, 2)) if self.copy.is_reversed else moved

    inputs = keras.Input((LENGTH, 4))
    outputs = [model(inputs if copy == Copy() else Copied(copy)(inputs)) for model in models for copy in copies]
    return keras.Model(inputs, layers.Average()(outputs))


@pytest.mark.parametrize(("method", "references", "options"), LINEAR)
def test_an_ensemble_is_the_model_that_averages_logits(members, x, method, references, options):
    found = attribute(members, x, method, target=[0, 1], references=references, **options)
    mean = averaging(members)
    options = {**options, "fast": False} if method == "ism" else options  # fast or not, the values are the same
    expected = attribute(mean, x, method, target=[0, 1], references=references, output="probability", **options)
    for name in ("scores", "contributions", "hypothetical"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)
    for name in ("positive", "negative", "convergence_delta"):
        if getattr(expected, name) is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)


@pytest.mark.parametrize(("method", "options"), [("grad_x_input", {}), ("ism", {"fast": False})])
def test_copies_are_the_model_that_averages_over_them(members, x, method, options):
    model = averaging(members[:1], copies_of(Copies("both", 2)))
    found = attribute(members[0], x, method, strands="both", shifts=2, **options)
    expected = attribute(model, x, method, output="probability", **options)
    np.testing.assert_allclose(found.contributions, expected.contributions, atol=1e-5)


def test_the_mean_of_probabilities_is_explained_where_they_are_asked_for(x):
    models = [net(1), net(2)]
    inputs = keras.Input((LENGTH, 4))
    mean = keras.Model(inputs, layers.Average()([model(inputs) for model in models]))
    for method, options in (("grad_x_input", {}), ("ism", {"fast": False})):
        found = attribute(models, x, method, output="probability").scores
        expected = attribute(mean, x, method, output="probability", **options).scores
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_deltas_of_averages_say_that_contributions_add_up(members, x):
    found = attribute(members, x, "deeplift_rescale", references="shuffle:3", strands="both", shifts=1)
    assert np.abs(found.convergence_delta).max() < 1e-5 * np.abs(found.contributions).sum(axis=(1, 2)).max()


def test_strands_change_nothing_of_a_model_that_reads_both(members, x):
    symmetric = averaging(members[:1], [Copy(), Copy(0, True)])
    for method, options in (("grad_x_input", {}), ("ism", {"fast": False}), ("saliency", {})):
        one = attribute(symmetric, x, method, output="probability", **options).scores
        both = attribute(symmetric, x, method, output="probability", strands="both", **options).scores
        assert np.abs(one).max() > 1e-3
        np.testing.assert_allclose(both, one, atol=1e-6)


def test_members_of_other_methods_are_averaged_after_their_relu(members, x):
    for method in ("gradcam", "saliency"):
        each = [attribute(model, x, method).scores for model in members]
        np.testing.assert_allclose(attribute(members, x, method).scores, np.mean(each, axis=0), atol=1e-6)


def test_members_may_be_of_unlike_form(x):
    models = [net(1), keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), layers.Dense(2, "sigmoid")])]
    each = [attribute(model, x, "deeplift_rescale").scores for model in models]
    np.testing.assert_allclose(attribute(models, x, "deeplift_rescale").scores, np.mean(each, axis=0), atol=1e-6)


@settings(max_examples=12)
@given(st.integers(0, 30), st.integers(1, 10), st.integers(0, 3))
def test_a_window_of_mutagenesis_goes_with_the_copies(start, width, shifts):
    model, end = LINEAR_NET, min(start + width, 30)
    start = min(start, end - 1)
    x = one_hot(random_bases(2, 30))
    window = attribute(model, x, "ism", start=start, end=end, strands="both", shifts=shifts, fast=False)
    whole = attribute(model, x, "ism", strands="both", shifts=shifts, fast=False)
    inside = np.zeros(30, bool)
    inside[start:end] = True
    np.testing.assert_allclose(window.scores, np.where(inside, whole.scores, 0), atol=1e-5)


LINEAR_NET = keras.Sequential([keras.Input((30, 4)), layers.Flatten(), layers.Dense(1)])
with_weights(LINEAR_NET)


@pytest.mark.parametrize(("window", "centre"), [(7, None), (8, 3), (9, 36), (6, None), (7, 20)])
def test_dependency_maps_of_both_strands_are_of_one_window(x, window, centre):
    model = averaging([net(1, None)], [Copy(), Copy(0, True)])
    options = {"window": window, "centre": centre, "fast": False, "output": "probability"}
    one = attribute(model, x[:2], "dependency_map", **options)
    both = attribute(model, x[:2], "dependency_map", strands="both", **options)
    np.testing.assert_array_equal(one.window_start, both.window_start)
    assert one.dependency_maps.max() > 1e-3
    np.testing.assert_allclose(one.dependency_maps, both.dependency_maps, atol=1e-5)
    np.testing.assert_allclose(one.scores, both.scores, atol=1e-5)


def test_no_sequences_have_no_attributions(members):
    found = attribute(members, np.zeros((0, LENGTH, 4)), "deeplift_rescale", strands="both", shifts=2)
    assert found.contributions.shape == (0, LENGTH, 4)


@pytest.mark.parametrize(
    ("model", "method", "options", "message"),
    [
        ([], "ism", {}, "empty list"),
        (None, "ism", {"strands": "two"}, "ism.strands: cannot be 'two'"),
        (None, "ism", {"shifts": -1}, "ism.shifts: cannot be -1"),
        (None, "ism", {"shift": 1}, "unknown setting 'shift'; did you mean 'shifts'"),
        (None, "dependency_map", {"shifts": 1}, "dependency_map.shifts: would move bases"),
    ],
)
def test_what_cannot_be_averaged_is_one_line(members, x, model, method, options, message):
    with pytest.raises(InputError, match=message):
        attribute(members[0] if model is None else model, x, method, **options)


def test_keys_name_copies_where_there_are_some():
    assert method_key("grad_x_input", None, {"strands": "both"}) == "grad_x_input@none+strands=both"
    assert method_key("grad_x_input", None, {"strands": "one", "shifts": 0}) == "grad_x_input@none"
    assert method_key("ism", None, {"shifts": 3.0}) == "ism@none+shifts=3"
