"""Models from files of Keras 3, 2 and 1 and from SavedModel folders: the same predictions, or a line that says more.

keras2.h5 was written once by Keras 2 (tf-keras 2.21.0) with this::

    import numpy as np, tf_keras as k2
    L = k2.layers
    k2.utils.set_random_seed(1)
    model = k2.Sequential([
        L.Conv1D(5, 5, input_shape=(20, 4)), L.BatchNormalization(), L.LeakyReLU(alpha=0.2), L.SpatialDropout1D(0.1),
        L.SeparableConv1D(4, 3, activation="relu", dtype=k2.mixed_precision.Policy("mixed_bfloat16")),
        L.Conv1DTranspose(3, 3, activation="relu"), L.GRU(3), L.Dense(2, "sigmoid"),
    ])
    weights = model.get_weights()
    model.set_weights([w + np.random.default_rng(n).uniform(0.05, 0.4, w.shape) for n, w in enumerate(weights)])
    model.compile("adam", "binary_crossentropy")
    model.save("keras2.h5", include_optimizer=False)
    print(model.predict(X, verbose=0))

keras2_attention.h5 likewise, with weights set in the same way, of::

    k2.utils.set_random_seed(2)
    x = k2.Input((20, 4))
    y = L.Conv1D(5, 5, activation="relu")(x)
    y = L.LayerNormalization()(L.Add()([y, L.MultiHeadAttention(2, 3)(y, y)]))
    y = L.AdditiveAttention()([L.Attention()([y, y]), y])
    model = k2.Model(x, L.Dense(2, "sigmoid")(L.GlobalAveragePooling1D()(y)))
"""

import json
import shutil
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from helpers.models import with_weights
from simbench_tf.attribution import attribute
from simbench_tf.errors import InputError
from simbench_tf.models.keras2_files import mended
from simbench_tf.models.model_files import load_model_file
from simbench_tf.models.saved_function import saved_functions_allowed

KERAS2 = Path(__file__).with_name("keras2.h5")
X = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (3, 20))]
#: What Keras 2 predicted.
PREDICTED = [
    [0.7142619490623474, 0.5598705410957336],
    [0.7151490449905396, 0.5637398958206177],
    [0.7061135172843933, 0.5668625235557556],
]
ATTENTION = Path(__file__).with_name("keras2_attention.h5")
BY_ATTENTION = [
    [0.28364723920822144, 0.5209612846374512],
    [0.2824847102165222, 0.5014733076095581],
    [0.27990347146987915, 0.4980164170265198],
]


def network():
    x = keras.Input((20, 4), name="dna")
    y = layers.Flatten()(layers.Conv1D(3, 5, activation="relu")(x))
    return with_weights(keras.Model(x, layers.Dense(2, "sigmoid", name="label")(y)))


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`", "ignore:Argument `alpha` is deprecated")
def test_a_file_of_keras_2_predicts_what_keras_2_predicted():
    with pytest.raises((TypeError, ValueError)):
        keras.saving.load_model(KERAS2, compile=False)  # so there is something to put right
    before = KERAS2.read_bytes()
    model = load_model_file(KERAS2)
    # one layer has eight bits
    np.testing.assert_allclose(model.predict_on_batch(X), PREDICTED, rtol=1e-3)
    policies = {layer.name: layer.dtype_policy.name for layer in model.layers}
    assert policies["separable_conv1d"] == "mixed_bfloat16"
    assert KERAS2.read_bytes() == before
    assert np.abs(attribute(model, X, target=1).scores).max() > 1e-3


def test_attention_of_keras_2_gets_its_tensors_by_name():
    with pytest.raises((TypeError, ValueError)):
        keras.saving.load_model(ATTENTION, compile=False)
    model = load_model_file(ATTENTION)
    np.testing.assert_allclose(model.predict_on_batch(X), BY_ATTENTION, rtol=1e-5)
    assert np.abs(attribute(model, X, "deeplift_rescale", target=1).scores).max() > 1e-3


@pytest.mark.parametrize("suffix", ["h5", "hdf5", "keras"])
def test_files_of_keras_3(tmp_path, suffix):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network().save(tmp_path / f"m.{suffix}")
    found = attribute(load_model_file(tmp_path / f"m.{suffix}"), X, target=1).contributions
    np.testing.assert_allclose(found, attribute(network(), X, target=1).contributions, rtol=1e-5, atol=1e-7)


def test_only_what_says_nothing_is_dropped():
    old = {"query_shape": [None, 20, 4], "softmax_robust_masking": False, "num_heads": 2, "key_dim": 4}
    inner = {"class_name": "MultiHeadAttention", "config": {**old, "dropout": 0.5}}
    grouped = {"class_name": "SeparableConv1D", "config": {"groups": 2, "filters": 3}}
    found = mended({"class_name": "Sequential", "config": {"layers": [inner, grouped]}})
    attention = {"class_name": "MultiHeadAttention", "config": {"num_heads": 2, "key_dim": 4, "dropout": 0.5}}
    assert found == {"class_name": "Sequential", "config": {"layers": [attention, grouped]}}


def edited(folder, change):
    """A copy of the file with other layers in its configuration."""
    path = shutil.copyfile(KERAS2, folder / "edited.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"][3])
        file.attrs["model_config"] = json.dumps(config)
    return path


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            {"class_name": "TFOpLambda", "config": {"function": "__operators__.add"}},
            r"lacks: TFOpLambda __operators__.add",
        ),
        (
            {"class_name": "LocallyConnected1D", "config": {"filters": 3}},
            r"lacks: LocallyConnected1D; build the same model",
        ),
        ({"class_name": "Lambda", "config": {"name": "twice"}}, r"lacks: Lambda twice; .*model.load_weights"),
    ],
)
def test_what_keras_3_lacks_is_told_in_a_line(tmp_path, layer, message):
    path = edited(tmp_path, lambda config: config.update(layer))
    with pytest.raises(InputError, match=message) as caught:
        load_model_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_weights_alone_are_told(tmp_path):
    network().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(InputError, match=r"holds weights alone, .*; build the model, load them into it"):
        load_model_file(tmp_path / "m.weights.h5")


@pytest.mark.parametrize(("name", "content"), [("m.h5", b"no HDF5"), ("m.keras", b"no zip"), ("m.txt", b"text")])
def test_other_files_are_told(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: is no model that Keras can load"):
        load_model_file(tmp_path / name)


# SavedModel folders


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel of one input and output, and one of several, with the Keras model of the former."""
    folder, model = tmp_path_factory.mktemp("saved"), network()
    model.export(folder / "one", verbose=False)
    cells = keras.Input((2,), name="cells")
    label = layers.Add()([model.outputs[0], layers.Dense(2, name="of_cells")(cells)])
    several = keras.Model({"dna": model.inputs[0], "cells": cells}, {"label": label, "cells_again": cells})
    several.get_layer("of_cells").set_weights([np.eye(2), np.zeros(2)])
    several.export(folder / "several", verbose=False)
    return folder


def test_a_saved_model_is_explained_by_what_it_returns(saved):
    model = load_model_file(saved / "one")
    np.testing.assert_allclose(model.predict_on_batch(X), network().predict_on_batch(X), rtol=1e-5)
    settings = {"method": "grad_x_input", "target": 1, "output": "probability"}
    found = attribute(model, X, **settings).contributions
    np.testing.assert_allclose(found, attribute(network(), X, **settings).contributions, rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match=r"ends in SavedFunction .*; explain what the model returns, as it is"):
        attribute(model, X)
    with pytest.raises(InputError, match="SavedFunction"):
        attribute(model, X, "deeplift_rescale", references="zeros", output="probability")


def test_a_saved_model_with_names(saved):
    model = load_model_file(saved / "several")
    settings = {"method": "grad_x_input", "target": 1, "output": "probability"}
    found = attribute(model, X, head="label", held={"cells": [0.5, 2]}, **settings).contributions
    np.testing.assert_allclose(found, attribute(network(), X, **settings).contributions, rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match=r'has [12] inputs and 2 outputs, .*head="'):
        attribute(model, X, held={"cells": 0}, **settings)


def test_the_layer_that_keras_makes_of_a_saved_model_is_taken_too(saved):
    layer = keras.layers.TFSMLayer(str(saved / "one"), call_endpoint="serving_default")
    settings = {"method": "grad_x_input", "target": 1, "output": "probability"}
    found = attribute(layer, X, **settings).contributions
    np.testing.assert_allclose(found, attribute(network(), X, **settings).contributions, rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match="shows no layers"):
        attribute(layer, X)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_keras_file_with_a_saved_model_holds_all_of_it_and_is_loaded_where_that_is_allowed(saved, tmp_path):
    copy = shutil.copytree(saved / "one", tmp_path / "one")
    load_model_file(copy).save(tmp_path / "m.keras")
    shutil.rmtree(copy)
    with pytest.raises(InputError, match="holds a SavedModel, which is code"):
        load_model_file(tmp_path / "m.keras")
    with saved_functions_allowed():
        again = load_model_file(tmp_path / "m.keras")
    again.save(tmp_path / "twice.keras")
    with saved_functions_allowed():
        twice = load_model_file(tmp_path / "twice.keras")
    for model in (again, twice):
        np.testing.assert_allclose(model.predict_on_batch(X), network().predict_on_batch(X), rtol=1e-5)


def test_a_folder_that_is_no_saved_model(tmp_path):
    with pytest.raises(InputError, match=r"is a folder without a saved_model.pb; give a .keras"):
        load_model_file(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"is no SavedModel that TensorFlow can load"):
        load_model_file(tmp_path)
