"""Train on three devices of one host: `three_devices.py RUN FOLDER` writes what the run's first model gives to FOLDER.

A program, since TensorFlow's devices are settled once a process. It ends with an error where dropout's masks are the
same on two devices, or others after training was cut off, or where a batch smaller than the number of devices fails.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from interruptions import CutError, cut_after

from simbench_tf import devices
from simbench_tf.config import Training, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.training import build_model, loop, train
from simbench_tf.training.checkpoints import Checkpoint


def three_devices():
    devices_ = [tf.config.LogicalDeviceConfiguration()] * 3
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices_)
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1", "CPU:2"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def dropping(seq_length):
    """A network with dropout."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((seq_length, 4))
    x = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(8, 9, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(keras.layers.Dropout(0.5)(x)))


class SeedStates(keras.callbacks.Callback):
    """Notes the state of dropout's random generator on each device when training ends."""

    def __init__(self, strategy):
        super().__init__()
        self.strategy, self.states = strategy, []

    def on_train_end(self, logs=None):
        variables = self.model.layers[-1].non_trainable_variables
        (state,) = [variable for variable in variables if variable.path.endswith("seed_generator_state")]
        values = self.strategy.experimental_local_results(state.value)
        self.states.append([local.numpy().tolist() for local in values])


def check_dropout(ds, seed_states, checkpoint):
    """Each device has masks of its own, and training that was cut off draws the same ones again."""
    training = Training(batch_size=50, max_batches=20, checkpoint_interval=4, precision="float32", xla=False)
    unbroken, broken = dropping(ds.seq_length), dropping(ds.seq_length)
    train(unbroken, ds, training, seed=3, callbacks=[seed_states])
    was_cut = False
    try:
        train(dropping(ds.seq_length), ds, training, seed=3, progress=cut_after(10), checkpoint=checkpoint)
    except CutError:
        was_cut = True
    assert was_cut
    train(broken, ds, training, seed=3, callbacks=[seed_states], checkpoint=checkpoint)
    states = seed_states.states
    assert states[0] == states[-1], states
    keys, counts = zip(*states[0], strict=True)
    assert len(set(keys)) == 3, states
    assert set(counts) == {counts[0]}, states
    assert counts[0] > 0, states
    for mine, theirs in zip(unbroken.get_weights(), broken.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def main(run, folder):
    mirrored = three_devices()
    # training takes the strategy of the machine; here it is one over devices that are all the same processor
    devices.strategy = loop.strategy = lambda: mirrored
    ds = open_dataset(run / "dataset")
    config = load_config(run / "config.yaml")
    network = build_model(config.models[0], ds.seq_length, 2, seed=config.seed)
    train(network, ds, config.training, seed=config.seed, folder=folder)
    check_dropout(ds, SeedStates(mirrored), Checkpoint(folder / "checkpoint.npz", "a"))
    # a batch smaller than the number of devices
    train(dropping(ds.seq_length), ds, Training(batch_size=629, max_batches=2, precision="float32", xla=False), seed=3)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
