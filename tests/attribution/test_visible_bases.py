"""Which bases a model's output can depend on: against every base tried on random sequences."""

import keras
import numpy as np
import pytest
from keras import layers

from simbench_tf import basset, beluga
from simbench_tf.attribution.receptive_field import visible_bases
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.models.kipoi import prediction_only
from simbench_tf.models.layers import copied_model


def with_weights(model, seed=0):
    """Give a model weights with which every unit counts."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape) if "variance" in v.path else rng.normal(0, 1 / np.sqrt(w.shape[0]), w.shape)
            for v, w in zip(model.weights, model.get_weights(), strict=True)
        ]
    )
    return model


def bases_that_change_the_output(model, length, n_sequences=16):
    """Substitute every base of random sequences; the changes are in float64, so that nothing is rounded away."""
    exact = copied_model(model, lambda _: {"dtype": "float64"})
    logits = (
        keras.Model(exact.inputs[0], exact.layers[-2].output) if model.layers[-1].name == "probabilities" else exact
    )
    bases = np.random.default_rng(7).integers(0, 4, (n_sequences, length)).astype(np.uint8)
    seen = np.zeros(length, bool)
    for sequence in bases:
        mutants = np.repeat(sequence[None], length, axis=0)
        mutants[np.arange(length), np.arange(length)] += 1
        mutants %= 4
        # beside their own unchanged sequence, in the same batch
        both = one_hot(np.concatenate([mutants, np.repeat(sequence[None], length, axis=0)]))
        values = logits.predict(both, batch_size=2 * length, verbose=0)
        seen |= (np.abs(values[:length] - values[length:]) > 1e-12).any(axis=1)
    return seen


ARCHITECTURES = {
    # valid: 400, 382 / 3 = 127, 117 / 4 = 29, 23 / 4 = 5; back from 5: 20, 26, 104, 114, 342, 360
    "basset of 400": (lambda: basset(400, 2, width=0.05, seed=0), 400, 360),
    "basset of 600": (lambda: basset(600, 2, width=0.03, seed=0), 600, 600),
    "basset of 400, same": (lambda: basset(400, 2, width=0.05, padding="same", seed=0), 400, 400),
    # 386 / 4 = 96, 82 / 4 = 20, 6; back from 6: 20, 80, 94, 376, 390
    "beluga of 400": (lambda: beluga(400, 2, width=0.05, seed=0), 400, 390),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_of_the_field_see_what_changes_them(name):
    build, length, n_visible = ARCHITECTURES[name]
    model = with_weights(build())
    expected = np.arange(length) < n_visible
    np.testing.assert_array_equal(visible_bases(model, length), expected)
    np.testing.assert_array_equal(bases_that_change_the_output(model, length), expected)


def test_beluga_by_the_book_does_not_see_its_last_ten_bases():
    np.testing.assert_array_equal(visible_bases(beluga(width=0.01), 2000), np.arange(2000) < 1990)


def sequential(length, *stack):
    return with_weights(keras.Sequential([keras.Input((length, 4)), *stack]))


def branches(length):
    inputs = keras.Input((length, 4))
    wide = layers.Conv1D(3, 4, strides=4)(inputs)
    cut = layers.Conv1D(3, 4, strides=4)(layers.Cropping1D((0, 4))(inputs))
    joined = layers.Concatenate()([layers.GlobalAveragePooling1D()(wide), layers.Flatten()(cut)])
    return with_weights(
        keras.Model(inputs, layers.Dense(1)(layers.Add()([joined, layers.Dense(joined.shape[1])(joined)])))
    )


def sliced(length):
    """Only some of the flattened positions are used: fields are not followed through a slice."""
    inputs = keras.Input((length, 4))
    flat = layers.Flatten()(layers.Conv1D(2, 3, padding="same")(inputs))
    return with_weights(keras.Model(inputs, layers.Dense(1)(flat[:, :20])))


def masked(length):
    inputs = keras.Input((length, 4))
    mask = np.arange(length)[:, None] % 5 != 0
    return with_weights(keras.Model(inputs, layers.Dense(1)(layers.Flatten()(inputs * mask.astype("float32")))))


OTHERS = {
    "strides": lambda: sequential(
        31, layers.Conv1D(3, 2, strides=5, activation="relu"), layers.Flatten(), layers.Dense(1)
    ),
    "dilation": lambda: sequential(
        9, layers.Conv1D(3, 3, dilation_rate=3), layers.Cropping1D((0, 1)), layers.Flatten(), layers.Dense(1)
    ),
    "pooling": lambda: sequential(
        31, layers.AveragePooling1D(4), layers.Flatten(), layers.Dense(2, "tanh"), layers.Dense(1)
    ),
    "branches": lambda: branches(30),
    "sliced": lambda: sliced(25),
    "masked by a constant": lambda: masked(23),
    "an unknown layer": lambda: sequential(26, layers.Cropping1D((3, 2)), layers.LSTM(4), layers.Dense(1)),
    "attention": lambda: sequential(
        20, layers.Conv1D(4, 3, strides=4), layers.Permute((2, 1)), layers.Flatten(), layers.Dense(1)
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_see_what_changes_them(name):
    model = OTHERS[name]()
    length = model.input_shape[1]
    expected = bases_that_change_the_output(model, length)
    np.testing.assert_array_equal(visible_bases(model, length), expected)
    assert 0 < expected.sum() <= length


def test_models_that_show_no_layers_are_tried():
    shown = basset(200, width=0.03, seed=0)

    class Hidden(keras.Model):
        def call(self, x):
            return shown(x)

    # 182 / 3 = 60, 50 / 4 = 12, 6 / 4 = 1; back from 1: 4, 10, 40, 50, 150, 168
    expected = np.arange(200) < 168
    np.testing.assert_array_equal(visible_bases(Hidden(), 200), expected)


def test_models_that_only_predict_are_tried():
    weights = np.arange(1.0, 13.0)
    weights[[3, 7]] = 0

    def predict(x):
        return (x[..., 1] * weights).sum(axis=1) - 0.5 * (x[..., 2] * weights).sum(axis=1)

    model = prediction_only(predict, 12, 1, "sum")
    np.testing.assert_array_equal(visible_bases(model, 12), weights != 0)


def test_other_lengths_and_forms_are_refused():
    with pytest.raises(InputError, match="takes 200 bases, the sequences have 300"):
        visible_bases(basset(200, width=0.03), 300)
    inputs = [keras.Input((20, 4)), keras.Input((20, 4))]
    with pytest.raises(InputError, match="2 inputs"):
        visible_bases(keras.Model(inputs, layers.Dense(1)(layers.Flatten()(layers.Add()(inputs)))), 20)
