"""What may be changed of the recipe, each against Keras' own or plain arithmetic; and what is logged while it runs."""

import importlib.util
import json
import logging

import keras
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from helpers.planted_words import LENGTH, TASKS, make_dataset, network, probabilities_of, recipe
from simbench_tf import devices
from simbench_tf.config import Training, load_config
from simbench_tf.devices import computation
from simbench_tf.dna import reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.stages.train import inputs as training_inputs
from simbench_tf.training import train
from simbench_tf.training.schedule import learning_rates


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("planted"))


def head(**dense):
    # of a seed of its own: it is made before `network` sets Keras'
    return keras.layers.Dense(2, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed=1), **dense)


class Watch(keras.callbacks.Callback):
    """Calls a function with the shell after each batch that Keras tells of, and after each round."""

    def __init__(self, after_batch=lambda _shell: None, after_round=lambda _shell: None):
        super().__init__()
        self.batches, self.rounds = [], []
        self._after_batch, self._after_round = after_batch, after_round

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, self._after_batch(self.model)))

    def on_epoch_end(self, epoch, logs=None):
        self.rounds.append(self._after_round(self.model))


# the learning rate


RATES = {
    "constant": lambda done: np.full_like(done, 0.02),
    "linear": lambda done: 0.02 + (0.0002 - 0.02) * done,
    "cosine": lambda done: 0.0002 + (0.02 - 0.0002) * (1 + np.cos(np.pi * done)) / 2,
    "exponential": lambda done: 0.02 * 0.01**done,
}


@pytest.mark.parametrize("schedule", RATES)
@pytest.mark.parametrize("warmup_batches", [0, 5])
def test_schedules_by_their_formulas(schedule, warmup_batches):
    training = Training(learning_rate=0.02, schedule=schedule, warmup_batches=warmup_batches, max_batches=25)
    rate = learning_rates(training)
    batches = np.arange(25)
    expected = RATES[schedule](((batches - warmup_batches) / (25 - warmup_batches)).clip(min=0))
    expected[:warmup_batches] = 0.02 * (batches[:warmup_batches] + 1) / 5
    got = [float(rate(batch)) if callable(rate) else rate for batch in batches]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_batches_are_trained_at_the_rates_of_the_schedule(ds):
    watch = Watch(lambda shell: float(shell.optimizer.learning_rate))
    training = recipe(batch_size=50, learning_rate=0.02, schedule="linear", final_learning_rate=0.01, max_batches=4)
    history = train(network(), ds, training, callbacks=[watch]).history
    assert [rate for _, rate in watch.batches] == pytest.approx([0.0175, 0.015, 0.0125, 0.01])
    assert history["learning_rate"].tolist() == pytest.approx([0.015, 0.01])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_batches": 10, "max_batches": 10}, "warmup_batches 10 leave nothing of max_batches 10"),
        ({"final_learning_rate": 0.0001}, "final_learning_rate is of a schedule that falls"),
        ({"schedule": "cosine", "final_learning_rate": 0.1}, "final_learning_rate 0.1 is above 0.001"),
        ({"class_weight": "equal"}, "balanced"),
        ({"max_norm": 0}, "greater than 0"),
        ({"steps_per_execution": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValidationError, match=message):
        Training(**settings)


# the loss


def weighted_loss(ds, probabilities, negatives, positives):
    labels = ds.labels("train")
    losses = -np.where(labels == 1, np.log(probabilities), np.log1p(-probabilities))
    return (losses * np.where(labels == 1, positives, negatives)).mean()


def test_class_weights_in_the_loss(ds):
    """A rate too small to move anything leaves the loss of the model as it was given."""
    model = network(head())
    probabilities = probabilities_of(model, ds, "train").astype(float)
    positive = ds.labels("train").mean(axis=0)
    expected = {
        "balanced": (0.5 / (1 - positive), 0.5 / positive),
        "by hand": (np.ones(2), np.array([1, 3.0])),
        "none": (np.ones(2), np.ones(2)),
    }
    asked = {"balanced": "balanced", "by hand": {"K562": 3}, "none": None}
    for name, class_weight in asked.items():
        training = recipe(batch_size=30, learning_rate=1e-12, max_batches=4, class_weight=class_weight)
        loss = train(model, ds, training).history["loss"].item()
        assert loss == pytest.approx(weighted_loss(ds, probabilities, *expected[name]), abs=1e-5)
    # balanced: each class of each task has half of the weight
    labels = ds.labels("train")
    weights = np.where(labels == 1, expected["balanced"][1], expected["balanced"][0])
    np.testing.assert_allclose([(weights * labels).sum(axis=0), (weights * (1 - labels)).sum(axis=0)], len(labels) / 2)


def test_a_task_of_one_class_has_a_weight_of_one(tmp_path):
    dataset = make_dataset(tmp_path, {"train": 1, "test": 4})
    training = recipe(learning_rate=1e-12, max_batches=1, class_weight="balanced")
    model = network(head())
    expected = weighted_loss(dataset, probabilities_of(model, dataset, "train").astype(float), 1, 1)
    assert train(model, dataset, training).history["loss"].item() == pytest.approx(expected, abs=1e-5)


def held_back_in_its_layers(max_norm, l2, seed=0):
    keras.utils.set_random_seed(seed)
    regularizer = keras.regularizers.L2(l2) if l2 else None

    def constraint(axis):
        return keras.constraints.MaxNorm(max_norm, axis=axis) if max_norm else None

    return keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            keras.layers.Conv1D(
                16, 8, activation="relu", kernel_regularizer=regularizer, kernel_constraint=constraint([0, 1])
            ),
            keras.layers.GlobalMaxPooling1D(),
            head(kernel_regularizer=regularizer, kernel_constraint=constraint(0)),
        ]
    )


@pytest.mark.parametrize(("max_norm", "l2"), [(0.8, 0), (None, 0.05), (0.8, 0.05)])
def test_norms_and_penalties_are_those_of_keras_layers(ds, max_norm, l2):
    settings = {"batch_size": 50, "learning_rate": 0.02, "max_batches": 6}
    asked, layers, free = network(head()), held_back_in_its_layers(max_norm, l2), network(head())
    histories = [
        train(asked, ds, recipe(**settings, max_norm=max_norm, l2=l2), seed=1).history,
        train(layers, ds, recipe(**settings), seed=1).history,
    ]
    train(free, ds, recipe(**settings), seed=1)
    for mine, theirs in zip(asked.get_weights(), layers.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    kernel, plain = asked.get_weights()[0], free.get_weights()[0]
    norms, plain_norms = (np.linalg.norm(weights.reshape(-1, 16), axis=0) for weights in (kernel, plain))
    assert norms.max() < plain_norms.max() - 0.01, "what is asked for makes a difference"
    if max_norm:
        assert norms.max() <= max_norm * (1 + 1e-5)
    # the loss that is told is that of the data
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    assert {type(layer) for layer in asked.layers} == {type(layer) for layer in free.layers}
    assert all(getattr(layer, "kernel_constraint", None) is None for layer in asked.layers), "a copy was trained"
    assert asked.get_weights()[0].dtype == np.float32


class Unsaid(keras.layers.Layer):
    """A layer that does not say how to make it again."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


@pytest.mark.filterwarnings("ignore::UserWarning:keras")
def test_a_model_that_cannot_be_copied(ds):
    model = network(Unsaid(1.0), head())
    train(model, ds, recipe(max_batches=1))
    with pytest.raises(InputError, match=r"cannot be copied.*get_config") as error:
        train(model, ds, recipe(max_batches=1, l2=0.1))
    assert "\n" not in str(error.value)


# the other strand


def test_every_second_sequence_is_shown_from_its_other_strand(ds):
    def batches(first_batch=0, seed=3, n=12):
        data = ds.tf_data(
            "train", 30, seed, repeat=True, first_batch=first_batch, reverse_complement=True, as_bases=True
        )
        return [(bases.numpy(), labels.numpy()) for bases, labels in data.take(n)]

    shown = batches()
    plain = [
        (bases.numpy(), labels.numpy())
        for bases, labels in ds.tf_data("train", 30, seed=3, repeat=True, as_bases=True).take(12)
    ]
    turned = []
    for (bases, labels), (given, same_labels) in zip(shown, plain, strict=True):
        np.testing.assert_array_equal(labels, same_labels)
        is_other = (bases == reverse_complement(given)).all(axis=1)
        assert (is_other | (bases == given).all(axis=1)).all()
        turned += is_other.tolist()
    # 300 draws of 1/2: within 5 standard errors
    assert 300 * 0.5 - 5 * 300**0.5 / 2 < sum(turned) < 300 * 0.5 + 5 * 300**0.5 / 2
    epochs = np.array(turned).reshape(3, 100)
    assert not np.array_equal(epochs[0], epochs[1]), "drawn anew each epoch"
    for (mine, _), (theirs, _) in zip(batches(first_batch=5, n=7), shown[5:], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not all(np.array_equal(mine, theirs) for (mine, _), (theirs, _) in zip(batches(seed=4), shown, strict=True))


def test_training_sees_the_other_strand(ds):
    def trained(on):
        model = network(head())
        train(model, ds, recipe(batch_size=50, max_batches=2, reverse_complement=on), seed=1)
        return model.get_weights()[0]

    assert not np.allclose(trained(True), trained(False), atol=1e-4)


def test_bases_are_what_one_hot_encodes(ds):
    encoded = next(iter(ds.tf_data("train", 30, seed=3)))
    bases = next(iter(ds.tf_data("train", 30, seed=3, as_bases=True)))
    assert [(each.dtype.name, each.shape) for each in bases] == [("uint8", (30, LENGTH)), ("uint8", (30, 2))]
    np.testing.assert_array_equal(np.eye(5, 4)[bases[0]], encoded[0])
    np.testing.assert_array_equal(*(each[1].numpy().astype(int) for each in (bases, encoded)))


# logs


def test_the_history_is_on_disk_while_training_goes_on(ds, tmp_path):
    watch = Watch(after_round=lambda _shell: pd.read_csv(tmp_path / "history.csv"))
    (tmp_path / "metrics.json").write_text("of an earlier training")
    trained = train(network(), ds, recipe(batch_size=50, max_batches=6), folder=tmp_path, callbacks=[watch])
    assert [len(seen) for seen in watch.rounds] == [1, 2, 3]
    pd.testing.assert_frame_equal(watch.rounds[-1], trained.history)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard")
def test_tensorboard_shows_the_history(ds, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    train(network(), ds, recipe(batch_size=50, max_batches=2, tensorboard=True), folder=tmp_path)
    trained = train(network(), ds, recipe(batch_size=50, max_batches=6, tensorboard=True), folder=tmp_path)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1, "nothing of an earlier training"
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["tensors"] == [column for column in trained.history if column != "batch"]
    for column in events.Tags()["tensors"]:
        seen = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(column)]
        assert [step for step, _ in seen] == trained.history["batch"].tolist()
        assert [value for _, value in seen] == pytest.approx(trained.history[column].tolist())


def test_tensorboard_where_there_is_none(ds, tmp_path, monkeypatch):
    monkeypatch.setattr("simbench_tf.training.logs.find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"training\.tensorboard: needs TensorBoard, which is not installed"):
        train(network(), ds, recipe(max_batches=1, tensorboard=True), folder=tmp_path)
    assert not list(tmp_path.iterdir())


# several batches a call


@pytest.mark.parametrize(("asked", "at_once"), [(1, 1), (3, 3), (5, 3), (6, 6), (100, 6)])
def test_several_batches_in_one_call_change_nothing(ds, asked, at_once):
    """They are as many as divide a round of 6 batches, the 12 in all and the interval of 24."""

    def fitted(steps_per_execution):
        model, watch = network(head()), Watch()
        settings = {"validate_every": 6, "checkpoint_interval": 24, "steps_per_execution": steps_per_execution}
        return model, train(model, ds, recipe(batch_size=30, max_batches=12, **settings), 1, callbacks=[watch]), watch

    (one, plain, _), (model, trained, watch) = fitted(1), fitted(asked)
    pd.testing.assert_frame_equal(trained.history, plain.history, rtol=1e-5)
    for mine, theirs in zip(model.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert trained.computation.steps_per_execution == at_once
    assert [batch for batch, _ in watch.batches] == 2 * list(range(at_once - 1, 6, at_once))


FLAGS = {
    "float32": "fpu sse2 avx512f avx512_vnni",
    "bfloat16": "fpu avx512f avx512_bf16 avx512_fp16",
    "bfloat16 in tiles": "fpu amx_bf16 amx_tile",
}


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A function that makes the processor one with these flags."""

    def make(flags):
        text = f"processor\t: 0\nmodel name\t: avx512_bf16 in its name\nflags\t\t: {flags}\n"
        (tmp_path / "cpuinfo").write_text(text + "bugs\t: amx_bf16\n")
        monkeypatch.setattr(devices, "_CPU_INFO", tmp_path / "cpuinfo")
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    return make


@pytest.mark.parametrize("name", FLAGS)
def test_processors_that_have_bfloat16_train_in_it(processor, monkeypatch, tmp_path, name):
    processor(FLAGS[name])
    assert computation(Training(), 1, [10]).precision == name.split()[0]
    assert computation(Training(precision="float32"), 1, [10]).precision == "float32"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert computation(Training(), 1, [10]).precision == "float32"
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setattr(devices, "_CPU_INFO", tmp_path / "none")
    assert computation(Training(), 1, [10]).precision == "float32"


def test_what_is_chosen_where_nothing_is_asked_for(processor, monkeypatch):
    processor(FLAGS["float32"])
    assert computation(Training(), 1, [1000]) == ("cpu", 1, "float32", False, 1)
    assert str(computation(Training(), 2, [1000])) == "2 x cpu, float32"
    import tensorflow as tf

    details = {"device_name": "NVIDIA H100", "compute_capability": (9, 0)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["gpu"] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _gpu: details)
    assert computation(Training(), 1, [1000, 500]) == ("NVIDIA H100", 1, "bfloat16", True, 20)
    assert str(computation(Training(), 1, [1000, 500])) == "NVIDIA H100, bfloat16, XLA, 20 batches a call"
    assert computation(Training(), 4, [1000, 47]) == ("NVIDIA H100", 4, "bfloat16", False, 1)
    details["compute_capability"] = (7, 5)
    assert computation(Training(), 1, [1000]).precision == "float32"
    asked = Training(precision="float32", xla=False, steps_per_execution=8)
    assert computation(asked, 1, [1000]) == ("NVIDIA H100", 1, "float32", False, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"xla": True}, r"training\.xla: cannot compile a step that 4 devices share"),
        ({"batch_size": 3}, r"training\.batch_size: 3 is less than one sequence for each of 4 devices"),
    ],
)
def test_what_several_devices_cannot_share(settings, message):
    with pytest.raises(InputError, match=message):
        computation(Training(**settings), 4, [10])


def test_the_choice_is_told_and_recorded(ds, tiny_run, caplog):
    with caplog.at_level(logging.INFO, logger="simbench_tf"):
        model = network()
        trained = train(model, ds, recipe(max_batches=1))
    assert trained.computation == devices.Computation("cpu", 1, "float32", False, 1)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("simbench_tf")] == [
        f"training {model.name} on cpu, float32"
    ]
    records = json.loads((tiny_run / "manifest.json").read_text())
    for file in ("model.keras", "history.csv", "metrics.json"):
        record = records[f"models/basset/{file}"]
        chosen = {name: record[name] for name in ("device", "n_replicas", "precision", "xla", "steps_per_execution")}
        assert chosen == computation(Training(precision="float32"), 1, [1])._asdict()


def test_what_does_not_change_a_model_does_not_train_it_again():
    def made_from(*settings):
        config = load_config("demo", settings)
        return training_inputs(config, config.replicates[0])

    same = [made_from(), made_from("training.checkpoint_interval=7"), made_from("training.tensorboard=true")]
    assert same[0] == same[1] == same[2]
    assert made_from("training.l2=0.1") != same[0] != made_from("training.validate_every=7")


def test_the_tasks_of_class_weights_are_checked():
    with pytest.raises(InputError, match=r"training\.class_weight names 'K563', which is no task; did you mean 'K562'"):
        load_config("demo", ["training.class_weight={K563: 2}"])
    assert load_config("demo", ["training.class_weight={K562: 2}"]).training.class_weight == {"K562": 2.0}
    assert TASKS[1] == "K562"
