"""Training: it learns, keeps its best round, stops where told, follows the seed, and writes whole files or none."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from helpers.planted_words import COUNTS, LENGTH, TASKS, WORDS, make_dataset, network, probabilities_of, recipe
from simbench_tf.config import Model
from simbench_tf.dna import encode, one_hot
from simbench_tf.errors import InputError
from simbench_tf.training import build_model, predict, split_metrics, train


def assert_same_weights(one, other):
    """To 1e-5: sums of float32 in another order."""
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def without_validation(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("no-valid"), {"train": 100, "test": 20})


LEARN = recipe(batch_size=50, learning_rate=0.02, max_batches=120, patience=60)


@pytest.fixture(scope="module")
def learnt(ds, tmp_path_factory):
    """A network that has learnt both words, what `train` told of it, and its folder."""
    folder = tmp_path_factory.mktemp("learnt") / "models" / "mine"
    model = network()
    return model, train(model, ds, LEARN, seed=1, folder=folder), folder


# what is learnt, and how it is measured


def test_planted_motifs_are_learnt(learnt):
    _, trained, _ = learnt
    assert min(metrics["auroc"] for metrics in trained.metrics.values()) > 0.9


@pytest.mark.slow
def test_a_narrow_basset_learns_them(tmp_path):
    dataset = make_dataset(tmp_path, {"train": 1000, "valid": 100, "test": 200}, seq_length=168)
    model = build_model(Model(architecture="basset", width=0.05), 168, 2, seed=0)
    trained = train(model, dataset, recipe(batch_size=100, learning_rate=0.005, max_batches=100), seed=0)
    assert min(metrics["auroc"] for metrics in trained.metrics.values()) > 0.9


def test_metrics_are_those_of_the_test_split(learnt, ds):
    model, trained, _ = learnt
    labels, probabilities = ds.labels("test"), probabilities_of(model, ds, "test")
    assert list(trained.metrics) == TASKS
    for target, task in enumerate(TASKS):
        pair = labels[:, target], probabilities[:, target]
        expected = {"auroc": roc_auc_score(*pair), "auprc": average_precision_score(*pair)}
        assert trained.metrics[task] == pytest.approx({**expected, "positive_fraction": pair[0].mean()}, abs=1e-6)
    # written out: tests stand at rows 160 to 239, evens among them and multiples of 3
    assert [trained.metrics[task]["positive_fraction"] for task in TASKS] == [40 / 80, 26 / 80]


def test_the_history_tells_of_the_validation_split(learnt, ds):
    """Its best row is what the kept weights give."""
    model, trained, _ = learnt
    labels, probabilities = ds.labels("valid"), probabilities_of(model, ds, "valid").astype(float)
    auprc = [average_precision_score(labels[:, target], probabilities[:, target]) for target in (0, 1)]
    expected = {
        "valid_loss": np.mean([log_loss(labels[:, target], probabilities[:, target]) for target in (0, 1)]),
        "valid_auroc": roc_auc_score(labels, probabilities),
        "valid_auprc": np.mean(auprc),
        **{f"valid_auprc_{task}": value for task, value in zip(TASKS, auprc, strict=True)},
    }
    best = trained.history.loc[trained.history["valid_auprc"].idxmax()]
    assert best[list(expected)].to_dict() == pytest.approx(expected, abs=1e-5)
    assert list(trained.history) == ["batch", "n_sequences_seen", "loss", *expected]
    assert trained.history["batch"].tolist() == list(range(2, 2 * len(trained.history) + 1, 2))


def test_the_loss_is_the_mean_of_the_round(ds):
    """A rate too small to move anything leaves the loss of the model as it was given."""
    model = network(keras.layers.Dense(2, "sigmoid"))
    labels, probabilities = ds.labels("train"), probabilities_of(model, ds, "train").astype(float)
    trained = train(model, ds, recipe(batch_size=30, learning_rate=1e-12, max_batches=4))
    expected = np.mean([log_loss(labels[:, target], probabilities[:, target]) for target in (0, 1)])
    assert trained.history["loss"].tolist() == pytest.approx([expected], abs=1e-5)


def test_metrics_of_one_class_are_undefined(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", one_class=True)
    trained = train(network(), dataset, recipe(batch_size=50, max_batches=2), folder=tmp_path / "model")
    assert trained.metrics["K562"] == pytest.approx(
        {"auroc": np.nan, "auprc": np.nan, "positive_fraction": 0.0}, nan_ok=True
    )
    assert np.isfinite(list(trained.metrics["HepG2"].values())).all()
    row = trained.history.iloc[0]
    assert np.isnan(row["valid_auprc_K562"])
    assert row["valid_auprc"] == row["valid_auprc_HepG2"], "the mean is over the tasks that have both classes"
    written = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert written["K562"] == {"auroc": None, "auprc": None, "positive_fraction": 0.0}


def test_split_metrics_by_hand():
    labels = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], np.uint8)
    metrics = split_metrics(labels, np.array([[0.9, 0], [0.8, 0], [0.7, 0], [0.1, 0]], np.float32), ["a", "b"])
    assert metrics["a"] == pytest.approx({"auroc": 3 / 4, "auprc": (1 + 2 / 3) / 2, "positive_fraction": 0.5})
    nothing = split_metrics(labels[:0], np.empty((0, 2), np.float32), ["a", "b"])
    assert np.isnan([list(values.values()) for values in nothing.values()]).all()


@pytest.mark.parametrize("batch_size", [1, 7, 80, 500])
def test_predict_is_that_of_keras(learnt, ds, batch_size):
    model = learnt[0]
    got = predict(model, ds.bases("test"), batch_size)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, probabilities_of(model, ds, "test"), atol=1e-6)
    assert predict(model, ds.bases("test")[:0], batch_size).shape == (0, 2)


def test_a_large_validation_split_is_looked_at_in_part(ds):
    model = network()
    trained = train(model, ds, recipe(batch_size=50, max_batches=2, validation_sequences=7))
    rows = [0, 10, 20, 30, 39, 49, 59]  # seven of sixty, evenly spaced
    labels, probabilities = ds.labels("valid")[rows], probabilities_of(model, ds, "valid", rows).astype(float)
    expected = np.mean([log_loss(labels[:, target], probabilities[:, target]) for target in (0, 1)])
    assert trained.history["valid_loss"].tolist() == pytest.approx([expected], abs=1e-5)


# the seed


def test_everything_follows_from_the_seed(ds):
    def fitted(seed):
        model = network(seed=0)  # the same weights at the start: order and dropout alone differ
        return model, train(model, ds, recipe(batch_size=30, max_batches=6), seed=seed).history

    (model, history), (again, same), (other, different) = fitted(1), fitted(1), fitted(2)
    pd.testing.assert_frame_equal(history, same, rtol=1e-5, atol=1e-5)
    assert_same_weights(model, again)
    assert not np.allclose(history["loss"], different["loss"], rtol=1e-3)
    assert not np.allclose(model.get_weights()[0], other.get_weights()[0], atol=1e-3)


class SeenError(Exception):
    """Raised by a callback that has seen what it came for, before TensorFlow compiles anything."""


def test_the_seed_reaches_every_dropout_layer(ds):
    """Wherever it stands and however it was seeded; no two layers drop the same."""

    def drawn(seed, built_with):
        def dropout():
            return keras.layers.Dropout(0.5, seed=built_with)

        nested = keras.Sequential([keras.Input((16,)), dropout(), keras.layers.Dense(16), keras.layers.ReLU()])
        model = network(dropout(), nested, keras.layers.Dense(2, "sigmoid"))
        masks = []

        def look(_logs=None):
            masks.extend(layer(np.ones(64), training=True).numpy() for layer in (model.layers[2], nested.layers[0]))
            raise SeenError

        with pytest.raises(SeenError):
            train(model, ds, recipe(), seed, callbacks=[keras.callbacks.LambdaCallback(on_train_begin=look)])
        return masks

    one, same, other = drawn(1, built_with=3), drawn(1, built_with=4), drawn(2, built_with=3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"precision": "bfloat16"}, {"xla": True}], ids=["bfloat16", "xla"])
def test_other_ways_to_compute_learn_as_well_and_leave_a_float32_model(ds, how):
    seen = []

    def look(_logs=None):
        shell = callback.model
        seen.append((bool(shell.jit_compile), {layer.compute_dtype for layer in shell.layers[-1].layers[:-1]}))

    callback = keras.callbacks.LambdaCallback(on_train_begin=look)
    model = network()
    trained = train(model, ds, LEARN.model_copy(update=how), seed=1, callbacks=[callback])
    assert seen == [("xla" in how, {"bfloat16"} if "precision" in how else {"float32"})]
    assert min(metrics["auroc"] for metrics in trained.metrics.values()) > 0.9
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    again = split_metrics(ds.labels("test"), predict(model, ds.bases("test")), TASKS)
    assert {task: pytest.approx(values) for task, values in again.items()} == trained.metrics


@pytest.mark.slow
def test_xla_changes_rounding_alone(ds):
    """Without dropout, whose masks XLA draws in another way: after two batches, 1e-5 of how far weights have moved."""

    def start():
        # made before `network` sets the seed, so with one of its own
        return network(keras.layers.Dense(2, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed=1)))

    def weights(xla):
        model = start()
        train(model, ds, recipe(batch_size=50, max_batches=2, xla=xla), seed=1)
        return model.get_weights()[0]

    plain = weights(xla=False)
    moved = np.abs(plain - start().get_weights()[0]).mean()
    assert moved > 1e-4
    assert np.abs(weights(xla=True) - plain).mean() < 1e-5 * moved


# rounds, batches and the best weights


def detector(strength):
    """Weights that find each task's word exactly, or with strength 0 nothing."""
    words = np.stack([one_hot(encode([word]))[0] for word in WORDS.values()], axis=2)
    return [strength * words, np.full(2, -7.5 * strength, np.float32)]


class Puppeteer(keras.callbacks.Callback):
    """Gives the network prepared weights in each round, and notes what Keras tells of the rounds and of the batches."""

    def __init__(self, network, weights=()):
        super().__init__()
        self.network, self.weights, self.logs, self.updates = network, weights, [], 0

    def on_train_batch_end(self, batch, logs=None):
        if self.weights:
            self.network.set_weights(self.weights[len(self.logs)])

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))

    def on_train_end(self, logs=None):
        self.updates = int(self.model.optimizer.iterations.numpy())


def test_the_first_of_the_best_rounds_is_kept_and_patience_ends_training(ds):
    model = keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            keras.layers.Conv1D(2, 8),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Activation("sigmoid"),
        ]
    )
    puppeteer = Puppeteer(model, [detector(strength) for strength in (0, 1, 0, 2, 1, 1)])
    advanced = []
    trained = train(
        model, ds, recipe(batch_size=20, max_batches=30, patience=2), progress=advanced.append, callbacks=[puppeteer]
    )
    chance = ds.labels("valid").mean()
    assert trained.history["valid_auprc"].tolist() == pytest.approx([chance, 1, chance, 1])
    assert trained.history["batch"].tolist() == [5, 10, 15, 20]
    assert sum(advanced) == puppeteer.updates == 20
    for kept, best in zip(model.get_weights(), detector(1), strict=True):
        np.testing.assert_array_equal(kept, best)
    assert trained.metrics["K562"]["auroc"] == 1
    assert [logs["valid_auprc"] for logs in puppeteer.logs] == trained.history["valid_auprc"].tolist()


@pytest.mark.parametrize(
    ("max_batches", "ends"),
    [(3, [3]), (5, [5]), (12, [5, 10, 12])],
    ids=["less than an epoch", "an epoch", "within an epoch"],
)
def test_max_batches_is_kept_to_the_batch(ds, max_batches, ends):
    model, advanced = network(), []
    puppeteer = Puppeteer(model)
    training = recipe(batch_size=20, max_batches=max_batches, patience=100)
    history = train(model, ds, training, progress=advanced.append, callbacks=[puppeteer]).history
    assert history["batch"].tolist() == ends
    assert sum(advanced) == puppeteer.updates == max_batches


def test_rounds_shorter_and_longer_than_an_epoch_take_the_same_batches(without_validation):
    def fitted(validate_every):
        model, advanced = network(), []
        training = recipe(batch_size=20, max_batches=7, validate_every=validate_every)
        return model, train(model, without_validation, training, progress=advanced.append).history, sum(advanced)

    whole, epochs, _ = fitted(None)
    assert epochs["batch"].tolist() == [5, 7]
    for validate_every, ends in ((2, [2, 4, 6, 7]), (6, [6, 7]), (100, [7])):
        interrupted, rounds, n_batches = fitted(validate_every)
        assert rounds["batch"].tolist() == ends
        assert n_batches == 7
        assert_same_weights(whole, interrupted)


def test_a_round_of_its_own_length_is_measured_by_its_own_sequences(without_validation):
    """With no step to speak of, the loss of seven batches is that of an epoch and two batches of the next."""
    model = network(keras.layers.Dense(2, "sigmoid"))
    labels, probabilities = (without_validation.labels("train"), probabilities_of(model, without_validation, "train"))
    training = recipe(batch_size=30, learning_rate=1e-12, max_batches=6, validate_every=6)
    rows = [batch for batch, _ in without_validation.tf_data("train", 30, seed=0, repeat=True, as_bases=True).take(6)]
    assert [len(batch) for batch in rows] == [30, 30, 30, 10, 30, 30]
    seen = predict(model, np.concatenate(rows)).astype(float)
    known = {bases.tobytes(): row for row, bases in enumerate(without_validation.bases("train"))}
    numbers = [known[bases.numpy().tobytes()] for batch in rows for bases in batch]
    np.testing.assert_allclose(seen, probabilities[numbers], atol=1e-6)
    expected = np.mean([log_loss(labels[numbers, target], seen[:, target]) for target in (0, 1)])
    history = train(model, without_validation, training).history
    assert history["loss"].tolist() == pytest.approx([expected], abs=1e-5)
    assert history["n_sequences_seen"].tolist() == [len(numbers)] == [160]


def test_without_a_validation_split_it_runs_to_the_end(without_validation):
    training = recipe(batch_size=20, max_batches=10, patience=0)
    trained = train(network(), without_validation, training)
    assert list(trained.history) == ["batch", "n_sequences_seen", "loss"]
    assert trained.history["batch"].tolist() == [5, 10]
    assert np.isfinite(trained.metrics["K562"]["auroc"])


def test_without_a_test_split_nothing_is_measured(tmp_path):
    dataset = make_dataset(tmp_path, {"train": 40, "valid": 20})
    metrics = train(network(), dataset, recipe(max_batches=1)).metrics
    assert np.isnan([list(values.values()) for values in metrics.values()]).all()


# what is refused


def test_an_empty_train_split(tmp_path):
    dataset = make_dataset(tmp_path, {"valid": 10, "test": 10})
    with pytest.raises(InputError, match="has no sequence in its train split"):
        train(network(), dataset)


def test_a_model_of_other_tasks(ds):
    with pytest.raises(ValueError, match=r"\(None, 3\), the data set has 2 tasks"):
        train(network(keras.layers.Dense(3, "sigmoid")), ds)


@pytest.mark.parametrize("counts", [COUNTS, {"train": 100, "test": 20}], ids=["validated", "not validated"])
def test_a_diverging_network(tmp_path, counts):
    dataset = make_dataset(tmp_path / "dataset", counts)
    training = recipe(batch_size=20, learning_rate=1e30, max_batches=10)
    with pytest.raises(InputError, match=r"training.learning_rate") as error:
        train(network(), dataset, training, folder=tmp_path / "model")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model").exists()


# files


def test_the_model_on_disk_predicts_the_same(learnt, ds):
    model, _, folder = learnt
    loaded = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_array_equal(probabilities_of(loaded, ds, "test"), probabilities_of(model, ds, "test"))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers], "no shell round it"
    assert not model.compiled
    assert not loaded.compiled


def test_the_tables_on_disk(learnt):
    _, trained, folder = learnt
    assert sorted(path.name for path in folder.iterdir()) == ["history.csv", "metrics.json", "model.keras"]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), trained.history)
    assert json.loads((folder / "metrics.json").read_text()) == trained.metrics


def test_how_the_model_was_compiled_stays(without_validation, tmp_path):
    model = network()
    model.compile("sgd", "binary_crossentropy")
    train(model, without_validation, recipe(max_batches=1), folder=tmp_path)
    assert (model.optimizer.name, int(model.optimizer.iterations.numpy())) == ("sgd", 0)
    assert model.loss == "binary_crossentropy"
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.name == "sgd"


@pytest.mark.parametrize("inside", ["", "mine"], ids=["a file in its place", "a file above it"])
def test_a_folder_that_cannot_be_made(without_validation, tmp_path, inside):
    path = tmp_path / "models"
    path.write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        train(network(), without_validation, recipe(max_batches=1), folder=path / inside)
    assert [file.name for file in tmp_path.iterdir()] == ["models"]
    assert path.read_text() == "mine"


def test_a_full_disk_leaves_nothing_that_looks_whole(without_validation, tmp_path, monkeypatch):
    (tmp_path / "metrics.json").write_text("of an earlier training")
    model = network()

    def full(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(InputError, match="No space left"):
        train(model, without_validation, recipe(max_batches=1), folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"], "written as training went"


# building


@pytest.mark.parametrize(("architecture", "seq_length", "flat"), [("basset", 400, 5), ("beluga", 400, 6)])
def test_build_model_follows_the_configuration_and_the_seed(architecture, seq_length, flat):
    def built(seed, width=0.01):
        return build_model(Model(architecture=architecture, width=width), seq_length, 3, seed)

    model = built(1)
    assert (model.name, model.input_shape, model.output_shape) == (architecture, (None, seq_length, 4), (None, 3))
    channels = {"basset": 200, "beluga": 640}[architecture]
    assert [built(1, width).get_layer("flatten").output.shape[1] for width in (0.01, 0.1)] == [
        flat * round(channels * width) for width in (0.01, 0.1)
    ]
    for one, same, other in zip(model.get_weights(), built(1).get_weights(), built(2).get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
        # vectors are biases and batch normalisation, which start at 0 and 1
        assert one.ndim == 1 or not np.array_equal(one, other)


@pytest.mark.parametrize(("architecture", "least"), [("basset", 168), ("beluga", 310)])
def test_too_short_sequences(architecture, least):
    with pytest.raises(InputError, match=rf"models\.mine: seq_length 100 is too short .* {least}"):
        build_model(Model(name="mine", architecture=architecture), 100, 2, seed=0)


@pytest.mark.parametrize("seq_length", [LENGTH, None], ids=["of its length", "of any length"])
def test_a_model_of_ones_own_is_loaded_and_trains(ds, tmp_path, seq_length):
    saved = network(seq_length=seq_length)
    saved.compile("sgd", "mse")
    saved.save(tmp_path / "mine.keras")
    model = build_model(Model(keras=tmp_path / "mine.keras"), LENGTH, 2, seed=9)
    assert not model.compiled
    for loaded, kept in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, kept)
    train(model, ds, recipe(batch_size=20, learning_rate=0.01, max_batches=5))
    assert not any(map(np.array_equal, model.get_weights(), saved.get_weights()))


def with_operations():
    """Branches joined and ended by operations, which are no layers of Keras."""
    inputs = keras.Input((LENGTH, 4))
    flat = keras.layers.Flatten()(inputs)
    one, other = keras.layers.Dense(8)(flat), keras.layers.Dense(8)(flat)
    return keras.Model(inputs, keras.ops.sigmoid(keras.layers.Dense(2)(one * other + one)))


def nested():
    return keras.Sequential([keras.Input((LENGTH, 4)), network(keras.layers.Dense(2, "sigmoid"))])


@pytest.mark.parametrize("build", [with_operations, nested])
def test_any_graph_is_loaded_and_computes_its_output_in_float32(ds, tmp_path, build):
    """Also where its layers compute in bfloat16, in which a probability near 1 is 1 and its loss infinite."""
    build().save(tmp_path / "mine.keras")
    model = build_model(Model(keras=tmp_path / "mine.keras"), LENGTH, 2, seed=0)
    dtypes = []

    def look(_logs=None):
        dtypes.append(callback.model.outputs[0].dtype)
        raise SeenError

    callback = keras.callbacks.LambdaCallback(on_train_begin=look)
    with pytest.raises(SeenError):
        train(model, ds, recipe(precision="bfloat16"), callbacks=[callback])
    assert dtypes == ["float32"]


def save_changed(path):
    """A model file whose weights have rotted: a bit of them is turned."""
    network().save(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def save_two_inputs(path):
    inputs = [keras.Input((LENGTH, 4)), keras.Input((LENGTH, 4))]
    output = keras.layers.Dense(2, "sigmoid")(keras.layers.Flatten()(keras.layers.Add()(inputs)))
    keras.Model(inputs, output).save(path)


def save_two_outputs(path):
    inputs = keras.Input((LENGTH, 4))
    flat = keras.layers.Flatten()(inputs)
    keras.Model(inputs, [keras.layers.Dense(1, "sigmoid")(flat) for _ in TASKS]).save(path)


def save_five_channels(path):
    keras.Sequential([keras.Input((LENGTH, 5)), keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")]).save(path)


def save_nested_logits(path):
    keras.Sequential([keras.Input((LENGTH, 4)), network(keras.layers.Dense(2))]).save(path)


BAD_MODELS = {
    "missing": (lambda path: None, "is no file"),
    "a folder": (lambda path: path.mkdir(), "is no file"),
    "garbage": (lambda path: path.write_bytes(b"weights"), "is no model that Keras can load"),
    "empty": (lambda path: path.write_bytes(b""), "is no model that Keras can load"),
    "damaged": (save_changed, "is no model that Keras can load"),
    "lambda": (
        lambda path: network(keras.layers.Lambda(lambda x: x)).save(path),
        "has a Lambda layer, .*build it of Keras' layers",
    ),
    "other length": (lambda path: network(seq_length=50).save(path), r"input \(None, 50, 4\).*needs \(N, 40, 4\)"),
    "five channels": (save_five_channels, r"input \(None, 40, 5\)"),
    "two inputs": (save_two_inputs, r"has the input \["),
    "three tasks": (lambda path: network(keras.layers.Dense(3, "sigmoid")).save(path), r"output \(None, 3\).* 2 tasks"),
    "two outputs": (save_two_outputs, r"has the output \["),
    "two classes": (lambda path: network(keras.layers.Dense(2, "softmax")).save(path), "ends in softmax"),
}


def test_logits_in_a_nested_model_too_are_given_a_sigmoid(tmp_path):
    path = tmp_path / "mine.keras"
    save_nested_logits(path)
    model = build_model(Model(keras=path), LENGTH, 2, seed=0)
    bases = np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8)
    logits = np.float64(keras.saving.load_model(path)(one_hot(bases)))
    np.testing.assert_allclose(model(one_hot(bases)), 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize(("save", "message"), BAD_MODELS.values(), ids=BAD_MODELS)
def test_a_model_that_does_not_fit(tmp_path, save, message):
    path = tmp_path / "mine.keras"
    save(path)
    with pytest.raises(InputError, match=message) as error:
        build_model(Model(keras=path), LENGTH, 2, seed=0)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert error.value.mend
