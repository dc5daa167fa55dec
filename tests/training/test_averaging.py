"""Averages of the weights against the plain recurrence; they are what is validated and kept, also after a kill."""

import keras
import numpy as np
import pandas as pd
import pytest

from helpers.interruptions import CutError, cut_after
from helpers.planted_words import LENGTH, TASKS, make_dataset, network, recipe
from simbench_tf.training import predict, split_metrics, train
from simbench_tf.training.checkpoints import Checkpoint


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("planted"))


class Recorder(keras.callbacks.Callback):
    """The weights after each batch and at the end of each round."""

    def __init__(self):
        super().__init__()
        self.batches, self.rounds = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(self.model.layers[-1].get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.rounds.append(self.model.layers[-1].get_weights())


def averaged(weights, momentum):
    average = weights[0]
    for each in weights[1:]:
        average = [momentum * old + (1 - momentum) * new for old, new in zip(average, each, strict=True)]
    return average


def assert_near(ones, others, rtol=1e-4, atol=1e-6):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


SETTINGS = {"batch_size": 30, "learning_rate": 0.01, "max_batches": 12, "validate_every": 4, "patience": 9}


@pytest.mark.parametrize("l2", [0, 0.001], ids=["the model itself", "a copy"])
def test_the_average_is_validated_and_kept(ds, l2):
    model, recorder, callbacks = network(), Recorder(), []
    callbacks = [recorder]
    history = train(model, ds, recipe(**SETTINGS, l2=l2, ema_momentum=0.8), seed=1, callbacks=callbacks).history
    averages = [averaged(recorder.batches[:done], 0.8) for done in (4, 8, 12)]
    best = int(history["valid_auprc"].idxmax())
    assert_near(model.get_weights(), averages[best])
    for row, average in enumerate(averages):
        measured = network()
        measured.set_weights(average)
        metrics = split_metrics(ds.labels("valid"), predict(measured, ds.bases("valid")), TASKS)
        assert history["valid_auprc_K562"][row] == pytest.approx(metrics["K562"]["auprc"], abs=1e-3)
    # training itself goes on with the weights
    assert_near(recorder.rounds[0], recorder.batches[3])
    plain = Recorder()
    train(network(), ds, recipe(**SETTINGS, l2=l2), seed=1, callbacks=[plain])
    for mine, theirs in zip(recorder.batches, plain.batches, strict=True):
        assert_near(mine, theirs)
    assert not np.allclose(averages[-1][0], plain.batches[-1][0], atol=1e-3)


def test_without_a_validation_split_the_last_average_is_kept(tmp_path):
    dataset, model, recorder = make_dataset(tmp_path, {"train": 100, "test": 20}), network(), Recorder()
    train(model, dataset, recipe(**SETTINGS, ema_momentum=0.9), seed=1, callbacks=[recorder])
    assert_near(model.get_weights(), averaged(recorder.batches, 0.9))


def test_averages_outlive_a_kill(ds, tmp_path):
    """Within a round: the rest of it is a fit of its own, whose end leaves the weights as they are."""
    training = recipe(**SETTINGS, ema_momentum=0.8, checkpoint_interval=3)
    unbroken, model, begun = network(), network(), []
    expected = train(unbroken, ds, training, seed=1).history
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    with pytest.raises(CutError):
        train(network(), ds, training, seed=1, progress=cut_after(7), checkpoint=checkpoint)
    history = train(model, ds, training, seed=1, progress=begun.append, checkpoint=checkpoint).history
    assert begun[0] == 6
    pd.testing.assert_frame_equal(history, expected, rtol=1e-4)
    assert_near(model.get_weights(), unbroken.get_weights())


def normalised(momentum):
    """A network with batch normalisation of this momentum, from the same weights each time."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((LENGTH, 4))
    x = keras.layers.Conv1D(4, 6, padding="same")(inputs)
    x = keras.layers.BatchNormalization(momentum=momentum)(x)
    x = keras.layers.GlobalMaxPooling1D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(len(TASKS), "sigmoid")(x))


def statistics(model):
    (layer,) = (each for each in model.layers if isinstance(each, keras.layers.BatchNormalization))
    return [layer.moving_mean.numpy(), layer.moving_variance.numpy()]


def test_running_statistics_lag_as_far_behind_as_the_averages(tmp_path):
    """The weights are trained on statistics of each batch, so that only what is kept for prediction differs."""
    dataset = make_dataset(tmp_path, {"train": 100, "test": 20})
    fast, slow = normalised(0.5), normalised(0.9)
    train(fast, dataset, recipe(**SETTINGS, ema_momentum=0.9), seed=1)
    train(slow, dataset, recipe(**SETTINGS), seed=1)
    assert_near(statistics(fast), statistics(slow))
    (layer,) = (each for each in fast.layers if isinstance(each, keras.layers.BatchNormalization))
    assert layer.momentum == 0.5, "the model is as it was built"
    plain = normalised(0.5)
    train(plain, dataset, recipe(**SETTINGS), seed=1)
    assert not np.allclose(statistics(fast)[0], statistics(plain)[0], rtol=0.05)
    slower = normalised(0.95)
    train(slower, dataset, recipe(**SETTINGS, ema_momentum=0.9), seed=1)
    again = normalised(0.95)
    train(again, dataset, recipe(**SETTINGS), seed=1)
    assert_near(statistics(slower), statistics(again))
