"""Models of the user's own by how they end, Lambda layers, and exports of what Keras can rebuild."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from simbench_tf import EntryInfo, export_kipoi
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.models.custom import build_own_model, load_own_model

LENGTH = 12


def model_of(*stack):
    return keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), *stack])


def saved(model, folder):
    model.save(folder / "m.keras")
    return folder / "m.keras"


AFTER = {
    "a cast": lambda: layers.Activation("linear", dtype="float32"),
    "Identity": lambda: layers.Identity(),
    "Dropout": lambda: layers.Dropout(0.5),
    "Reshape": lambda: layers.Reshape((2,)),
    "a nested model": lambda: keras.Sequential([keras.Input((2,)), layers.Activation("linear", dtype="float32")]),
}


@pytest.mark.parametrize("after", AFTER)
def test_what_changes_nothing_may_follow_the_sigmoid(tmp_path, after):
    x = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
    for stack in ([layers.Dense(2, "sigmoid")], [layers.Dense(2), layers.Activation("sigmoid")]):
        model = model_of(*stack, AFTER[after]())
        np.testing.assert_array_equal(load_own_model(saved(model, tmp_path), LENGTH, 2)(x), model(x))
    with pytest.raises(InputError, match="ends in softmax"):
        load_own_model(saved(model_of(layers.Dense(2, "softmax"), AFTER[after]()), tmp_path), LENGTH, 2)


@pytest.mark.parametrize("after", AFTER)
def test_a_model_of_logits_is_given_the_sigmoid_that_it_is_trained_through(tmp_path, after):
    x = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
    model = model_of(layers.Dense(2), AFTER[after]())
    expected = 1 / (1 + np.exp(-np.float64(model(x))))
    np.testing.assert_allclose(load_own_model(saved(model, tmp_path), LENGTH, 2)(x), expected, rtol=1e-5)


def test_two_classes_are_one_task_or_two_that_exclude_each_other(tmp_path):
    x = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
    model = model_of(layers.Dense(2, "softmax"))
    found = load_own_model(saved(model, tmp_path), LENGTH, 1)(x)
    np.testing.assert_allclose(found, np.asarray(model(x))[:, 1:], rtol=1e-5)
    with pytest.raises(InputError, match="ends in softmax; let it end in a sigmoid: each task is a label of its own"):
        load_own_model(saved(model, tmp_path), LENGTH, 2)


@keras.saving.register_keras_serializable("test_endings_of_own_models")
class Tanh(layers.Layer):
    """Named like an activation, and gives probabilities."""

    def call(self, x):
        return keras.ops.sigmoid(x)


def of_tensorflow(seq_length, n_tasks):
    return model_of(layers.Dense(n_tasks, tf.nn.sigmoid))


def of_ones_own(seq_length, n_tasks):
    return model_of(layers.Dense(n_tasks), Tanh(), layers.Activation("linear"))


def with_lambda(seq_length, n_tasks):
    return model_of(layers.Lambda(lambda x: x - 0.25, name="shift"), layers.Dense(n_tasks, "sigmoid"))


def own(name):
    return build_own_model(f"{__file__}:{name}", {}, LENGTH, 1, 0, "models.mine.python")


@pytest.mark.parametrize("name", ["of_tensorflow", "of_ones_own"])
def test_probabilities_are_taken_whatever_gives_them(name):
    assert own(name).output_shape == (None, 1)


# Lambda layers


def one_line(caught):
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250
    return str(caught.value)


def test_a_lambda_layer_is_refused_in_a_line(tmp_path):
    nested = keras.Sequential([keras.Input((LENGTH, 4)), with_lambda(LENGTH, 1)])
    for model in (with_lambda(LENGTH, 1), nested):
        path = saved(model, tmp_path)
        with pytest.raises(InputError, match=r"has a Lambda layer, 'shift'.*build it of Keras' layers") as caught:
            load_own_model(path, LENGTH, 1)
        assert one_line(caught).startswith(str(path))
        with pytest.raises(InputError, match="model: has a Lambda layer, 'shift'") as caught:
            export(model, tmp_path / "entry")
        assert one_line(caught)
        assert not (tmp_path / "entry").exists()
    with pytest.raises(InputError, match="loaded again: it has a Lambda layer, 'shift'") as caught:
        own("with_lambda")
    assert one_line(caught)


# exports


def export(model, folder):
    sequences = ["ACGTACGTACGT", "CCGTACGTTTGA"]
    return export_kipoi(model, folder, task_names=["t"], sequences=sequences, info=EntryInfo(doc="A test."))


def both_strands():
    """Operations that are no layers, also in a nested model, whose layers compute in bfloat16."""
    inputs, policy = keras.Input((LENGTH, 4)), "mixed_bfloat16"
    strand = keras.Input((LENGTH, 4))
    inner = layers.Conv1D(4, 5, activation="relu", dtype=policy)(strand)
    inner = keras.Model(strand, keras.ops.max(inner, axis=1) + 1.0)
    most = keras.ops.maximum(inner(inputs), inner(inputs[:, ::-1, ::-1]))
    return keras.Model(inputs, layers.Dense(1, "sigmoid")(most))


def test_a_model_with_operations_is_exported_in_float32(tmp_path):
    model = both_strands()
    export(model, tmp_path / "entry")
    (path,) = (tmp_path / "entry").rglob("*.keras")
    stored = keras.saving.load_model(path)
    x = one_hot(np.random.default_rng(0).integers(0, 4, (5, LENGTH)).astype(np.uint8))
    kernel, bias, dense, offset = (np.float64(weight) for weight in model.get_weights())
    strands = np.stack([x, x[:, ::-1, ::-1]]).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(strands, 5, axis=2)
    most = np.maximum(np.einsum("snpcw,wck->snpk", windows, kernel) + bias, 0).max(axis=(0, 2)) + 1
    np.testing.assert_allclose(stored(x), 1 / (1 + np.exp(-(most @ dense + offset))), rtol=1e-5)
    assert {layer.compute_dtype for layer in stored._flatten_layers() if layer.weights} == {"float32"}


class Unsaved(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        raise NotImplementedError("not written")


def test_a_layer_that_cannot_be_made_anew_is_told_in_a_line(tmp_path):
    with pytest.raises(InputError, match="model: cannot be copied: not written") as caught:
        export(model_of(Unsaved(2.0), layers.Dense(1, "sigmoid")), tmp_path / "entry")
    assert one_line(caught)
