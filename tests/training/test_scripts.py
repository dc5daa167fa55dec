"""`sb.train` in a script of one's own: settings, models as their user compiled and built them, callbacks, a bar."""

import io
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from helpers.planted_words import TASKS, make_dataset, network, probabilities_of, recipe
from simbench_tf.config import Training
from simbench_tf.errors import InputError
from simbench_tf.training import train

PLAIN = {"precision": "float32", "xla": False}


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("planted"))


# settings


@pytest.mark.parametrize(
    ("training", "settings"),
    [
        (None, {**PLAIN, "batch_size": 20, "max_batches": 6}),
        ({**PLAIN, "batch_size": 20, "max_batches": 6}, {}),
        ({**PLAIN, "max_batches": 9, "batch_size": 20}, {"max_batches": 6}),
        (Training(**PLAIN, max_batches=9), {"max_batches": 6, "batch_size": 20}),
    ],
)
def test_settings_by_keywords_by_a_mapping_and_by_both(ds, training, settings):
    expected = train(network(), ds, recipe(batch_size=20, max_batches=6), seed=1)
    trained = train(network(), ds, training, seed=1, **settings)
    pd.testing.assert_frame_equal(trained.history, expected.history, rtol=1e-6)


@pytest.mark.parametrize(
    ("training", "settings", "message"),
    [
        (None, {"patiance": 2}, "training: unknown key 'patiance'; did you mean 'patience'?"),
        ({"max_batch": 2}, {}, "training: unknown key 'max_batch'; did you mean 'max_batches'?"),
        (None, {"l2": -1}, "training: l2: Input should be greater than or equal to 0"),
        ({"warmup_batches": 5}, {"max_batches": 5}, "training: warmup_batches 5 leave nothing of max_batches 5"),
    ],
)
def test_settings_that_cannot_be_are_named(ds, training, settings, message):
    with pytest.raises(InputError) as error:
        train(network(), ds, training, **settings)
    assert str(error.value) == message


# models


def compiled(loss, *tail):
    model = network(*tail)
    model.compile("adam", loss)
    return model


@pytest.mark.parametrize(
    "loss",
    [None, "binary_crossentropy", "bce", keras.losses.BinaryCrossentropy(), keras.losses.binary_crossentropy, ["bce"]],
)
def test_a_model_compiled_with_the_loss_of_the_recipe_is_trained(ds, loss):
    model = compiled(loss)
    before = model.get_weights()
    train(model, ds, recipe(max_batches=1))
    assert not np.array_equal(before[0], model.get_weights()[0])


def own_loss(labels, probabilities):
    return keras.ops.mean((labels - probabilities) ** 2, axis=-1)


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        ("mse", "mean_squared_error"),
        (keras.losses.BinaryFocalCrossentropy(), "binary_focal_crossentropy"),
        (keras.losses.BinaryCrossentropy(from_logits=True), "binary_crossentropy with from_logits=True"),
        (keras.losses.BinaryCrossentropy(label_smoothing=0.1), "binary_crossentropy with label_smoothing=0.1"),
        (own_loss, "own_loss"),
    ],
)
def test_another_loss_is_refused_by_name(ds, loss, named):
    model = compiled(loss)
    before = model.get_weights()
    with pytest.raises(InputError) as error:
        train(model, ds, recipe(max_batches=1))
    assert f"is compiled with the loss {named}, but is trained on binary cross-entropy" in str(error.value)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (lambda: keras.layers.Dense(2), "gives logits; let it end in a sigmoid"),
        (lambda: keras.layers.Dense(2, "softmax"), "ends in softmax"),
        (lambda: keras.layers.Dense(3, "sigmoid"), r"has the output \(None, 3\), the data set has 2 tasks"),
    ],
)
def test_a_model_that_gives_no_probabilities_is_refused(ds, tail, message):
    with pytest.raises(InputError, match=message):
        train(network(tail()), ds, recipe(max_batches=1))


def test_a_policy_of_float16_trains_as_float32_does(ds):
    settings = {"batch_size": 50, "max_batches": 6, "learning_rate": 0.02}
    plain = network(keras.layers.Dense(2, "sigmoid"))
    expected = train(plain, ds, recipe(**settings), seed=1)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = network(keras.layers.Dense(2, "sigmoid"))
        trained = train(half, ds, recipe(**settings), seed=1)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in half.layers} == {"float16"}, "the model itself stays as it was built"
    for mine, theirs in zip(half.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    pd.testing.assert_frame_equal(trained.history, expected.history, rtol=1e-5)
    for task in TASKS:
        assert trained.metrics[task]["auroc"] == pytest.approx(expected.metrics[task]["auroc"], abs=0.02)


# callbacks


class Logs(keras.callbacks.Callback):
    """Keeps what each round logs, and the network's weights then."""

    def __init__(self):
        super().__init__()
        self.rounds, self.weights = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.rounds.append(dict(logs))
        self.weights.append(self.model.layers[-1].get_weights())


def test_logs_have_keras_names_beside_ours(ds):
    logs = Logs()
    history = train(network(), ds, recipe(batch_size=50, max_batches=4), callbacks=[logs]).history
    assert len(logs.rounds) == 2
    for line, row in zip(logs.rounds, history.to_dict("records"), strict=True):
        assert {name: line[name] for name in row} == row, "ours are all there"
        assert line["val_loss"] == row["valid_loss"]
        assert line["val_auprc"] == row["valid_auprc"]
    assert not [column for column in history if column.startswith("val_")]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("only_weights", [False, True])
def test_a_model_checkpoint_holds_the_model_of_its_round(ds, tmp_path, precision, only_weights):
    path = tmp_path / f"best{'.weights.h5' if only_weights else '.keras'}"
    saver = keras.callbacks.ModelCheckpoint(path, "val_loss", save_best_only=True, save_weights_only=only_weights)
    logs, model = Logs(), network()
    train(model, ds, recipe(batch_size=50, max_batches=8, precision=precision), callbacks=[logs, saver])
    if only_weights:
        loaded = network()
        loaded.load_weights(path)
    else:
        loaded = keras.saving.load_model(path)
    best = int(np.argmin([line["val_loss"] for line in logs.rounds]))
    for mine, theirs in zip(loaded.get_weights(), logs.weights[best], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert loaded.input_shape == model.input_shape
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    assert probabilities_of(loaded, ds, "test").shape == (80, 2)


def test_a_callback_may_end_training(ds):
    stopper = keras.callbacks.EarlyStopping("val_loss", mode="max", patience=1, min_delta=100)
    history = train(network(), ds, recipe(batch_size=50, max_batches=40, patience=30), callbacks=[stopper]).history
    assert history["batch"].tolist() == [2, 4]


# the bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_a_bar(ds, monkeypatch, terminal):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    model = network()
    train(model, ds, recipe(batch_size=50, max_batches=4))
    shown = stream.getvalue()
    assert [part in shown for part in (f"train {model.name}", "4/4")] == [terminal, terminal]
