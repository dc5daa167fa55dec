"""Models in memory: trainings of one architecture share a model and what is compiled, each with its own weights."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import simbench_tf as sb
from simbench_tf.attribution.network import open_network
from simbench_tf.config import MethodSettings
from simbench_tf.stages import attribute_chunks, resident_models
from simbench_tf.stages.attribute_chunks import Job
from simbench_tf.stages.resident_models import WantedModel, compiled_for, resident_model

LENGTH = 60


@keras.saving.register_keras_serializable("simbench_tf_tests")
class Doubled(keras.layers.Layer):
    """A layer of a user's, of which nobody knows what it holds beside weights."""

    def call(self, inputs):
        return 2 * inputs


def saved(folder, name, seed, **settings):
    model = sb.basset(seq_length=LENGTH, n_tasks=2, width=0.03, seed=seed, padding="same", **settings)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # as training would leave it
            layer.moving_mean.assign(np.random.default_rng(seed).normal(size=layer.moving_mean.shape))
    path = folder / f"{name}.keras"
    model.save(path)
    return WantedModel(str(path), name)


@pytest.fixture
def one_hot():
    rng = np.random.default_rng(3)
    return np.eye(4, dtype=np.float32)[rng.integers(0, 4, (5, LENGTH))]


@pytest.fixture(autouse=True)
def none_in_memory():
    resident_models._resident.cache_clear()
    resident_models._weights.cache_clear()


def alone(wanted):
    return keras.saving.load_model(wanted.file, compile=False)


@pytest.mark.parametrize("method", ["ism", "deeplift_rescale", "integrated_gradients", "gradcam"])
def test_seeds_share_a_model_and_are_explained_as_if_alone(tmp_path, one_hot, method):
    first, second = saved(tmp_path, "first", 1), saved(tmp_path, "second", 2)
    assert compiled_for(first) == compiled_for(second)
    model = resident_model(first)
    found = {first: [], second: []}
    for wanted in (first, second, first):
        assert resident_model(wanted) is model
        found[wanted].append(sb.attribute(resident_model(wanted), one_hot, method).scores)
        function = open_network(model, LENGTH)._function
    assert open_network(resident_model(second), LENGTH)._function is function, "compiled once"
    for wanted, scores in found.items():
        expected = sb.attribute(alone(wanted), one_hot, method).scores
        for each in scores:
            np.testing.assert_allclose(each, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(found[first][0] - found[second][0]).max() > 0.1 * np.abs(found[first][0]).max()


def test_an_untrained_network_takes_its_place_and_leaves_it(tmp_path, one_hot):
    trained = saved(tmp_path, "trained", 1)
    untrained = trained._replace(untrained_seed=9)
    before = resident_model(trained).predict(one_hot, verbose=0)
    drawn = resident_model(untrained).predict(one_hot, verbose=0)
    assert resident_model(untrained) is resident_model(trained)
    np.testing.assert_array_equal(resident_model(trained).predict(one_hot, verbose=0), before)
    # the weights are those that the architecture's own initialisers draw, batch normalisation's included
    fresh = sb.basset(seq_length=LENGTH, n_tasks=2, width=0.03, seed=1, padding="same")
    np.testing.assert_allclose(drawn, fresh.predict(one_hot, verbose=0), atol=1e-6)


@pytest.mark.parametrize("settings", [{"kernel_size": 11}, {"seq_length": 80}, {"n_tasks": 3}, {"width": 0.05}])
def test_another_architecture_is_another_model(tmp_path, settings):
    one = saved(tmp_path, "one", 1)
    sb.basset(**{"seq_length": LENGTH, "n_tasks": 2, "width": 0.03, "padding": "same"} | settings).save(
        tmp_path / "other.keras"
    )
    other = WantedModel(str(tmp_path / "other.keras"), "other")
    assert compiled_for(one) != compiled_for(other)
    assert resident_model(one) is not resident_model(other)


def test_models_with_layers_of_others_are_not_shared(tmp_path, one_hot):
    wanted = []
    for seed in (1, 2):
        inputs = keras.Input((LENGTH, 4))
        dense = keras.layers.Dense(
            1, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed), name="dense"
        )
        model = keras.Model(inputs, dense(keras.layers.Flatten(name="flat")(Doubled(name="own")(inputs))), name="mine")
        model.save(tmp_path / f"{seed}.keras")
        wanted.append(WantedModel(str(tmp_path / f"{seed}.keras"), str(seed)))
    assert compiled_for(wanted[0]) != compiled_for(wanted[1])
    assert resident_model(wanted[0]) is not resident_model(wanted[1])
    assert resident_model(wanted[0]) is not resident_model(wanted[0]._replace(untrained_seed=1))


def test_a_model_that_left_memory_is_loaded_again(tmp_path, one_hot):
    wanted = saved(tmp_path, "one", 1)
    before = resident_model(wanted).predict(one_hot, verbose=0)
    second = saved(tmp_path, "second", 2)
    resident_models._resident.cache_clear()
    np.testing.assert_array_equal(resident_model(wanted).predict(one_hot, verbose=0), before)
    np.testing.assert_allclose(
        resident_model(second).predict(one_hot, verbose=0), alone(second).predict(one_hot, verbose=0), atol=1e-6
    )


def test_threads_of_a_worker_do_not_explain_each_others_weights(tmp_path, one_hot):
    """Two trainings of one architecture, chunk by chunk at the same time, as two runs on one worker would."""
    bases = one_hot.argmax(axis=-1).astype(np.uint8)
    jobs = [
        Job((wanted,), 0, MethodSettings(method="grad_x_input"), "logit", 0)
        for wanted in (saved(tmp_path, "first", 1), saved(tmp_path, "second", 2))
    ]
    expected = [attribute_chunks._attribute(job, (bases, None))[0]["scores"] for job in jobs]
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * np.abs(expected[0]).max()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda job: attribute_chunks._attribute(job, (bases, None))[0]["scores"], jobs * 20))
    for scores, right in zip(found, expected * 20, strict=True):
        np.testing.assert_allclose(scores, right, atol=1e-5 * np.abs(right).max())
