"""SHAP's DeepExplainer and tf-keras-vis behind our call: they are run as they are, and refuse what they cannot do."""

import gc
import subprocess
import sys
import warnings
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.ndimage import zoom
from tensorflow.python.autograph.impl.api import StagingError
from tensorflow.python.eager import execute

from simbench_tf.attribution import attribute, peers
from simbench_tf.attribution.network import open_network
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import bases_of_one_hot, one_hot
from simbench_tf.errors import InputError

LENGTH = 60


@pytest.fixture(scope="module")
def x():
    bases = np.random.default_rng(0).integers(0, 4, (5, LENGTH)).astype(np.uint8)
    bases[2, 10:14] = 4
    return one_hot(bases)


def build(*middle, ending="sigmoid", seed=0):
    """A convolution, the layers given, and two dense outputs, with weights that do something."""
    inputs = keras.Input((LENGTH, 4))
    h = layers.Conv1D(8, 7, name="conv_a")(inputs)
    for layer in middle:
        h = layer(h)
    h = layers.Dense(6, "relu")(layers.Flatten()(h))
    model = keras.Model(inputs, layers.Dense(2, ending, name="tasks")(h))
    rng = np.random.default_rng(seed)
    weights = [
        rng.uniform(0.5, 2, v.shape) if "variance" in v.path else rng.normal(0, 1.3 / np.sqrt(v.shape[0]), v.shape)
        for v in model.weights
    ]
    model.set_weights(weights)
    return model


def basset():
    return build(
        layers.BatchNormalization(),
        layers.ReLU(name="relu_a"),
        layers.MaxPooling1D(3),
        layers.Conv1D(6, 5, activation="relu", name="conv_b"),
        layers.MaxPooling1D(2, padding="same", name="pool_b"),
        layers.Dropout(0.3),
    )


@pytest.fixture(scope="module")
def net():
    return basset()


def agree(a, b, share=1e-4):
    np.testing.assert_allclose(a, b, rtol=0, atol=share * np.abs(b).max())


# SHAP

EXPLAINED = {
    "basset": basset,
    "sigmoid and tanh": lambda: build(
        layers.Activation("sigmoid"), layers.AveragePooling1D(3), layers.Dense(3, "tanh")
    ),
    "strided, padded": lambda: build(
        layers.ELU(), layers.ZeroPadding1D(2), layers.Conv1D(5, 3, 2, "same", activation="softplus")
    ),
    "concatenated": lambda: build(lambda h: layers.Concatenate()([layers.ReLU()(h), layers.Conv1D(3, 1)(h)])),
    "residual": lambda: build(lambda h: layers.Add()([h, layers.Conv1D(8, 3, padding="same", activation="relu")(h)])),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_deepshap_equals_our_rescale_rule(x, name):
    model = EXPLAINED[name]()
    arguments = {"target": [1, 0], "references": "shuffle:4", "random_state": 3}
    theirs = attribute(model, x, "deepshap", **arguments)
    ours = attribute(model, x, "deeplift_rescale", maxpool="rescale", **arguments)
    for target in (0, 1):
        agree(theirs.contributions[target], ours.contributions[target])
        agree(theirs.scores[target], ours.scores[target])
    assert theirs.hypothetical is None
    assert np.abs(theirs.convergence_delta).max() < 1e-4 * np.abs(theirs.scores.sum(axis=2)).max()
    assert not theirs.scores[:, 2, 10:14].any()


def test_deepshap_of_a_probability_adds_up_to_it(net, x):
    result = attribute(net, x, "deepshap", references="shuffle:3", output="probability")
    ours = attribute(net, x, "deeplift_rescale", references="shuffle:3", output="probability")
    agree(result.contributions, ours.contributions)
    references = make_references(parse_references("shuffle:3"), bases_of_one_hot(x))
    change = net(x).numpy()[:, 0] - net(references.reshape(-1, LENGTH, 4)).numpy().reshape(5, 3, 2)[..., 0].mean(axis=1)
    np.testing.assert_allclose(result.scores.sum(axis=1), change, atol=1e-5)


def test_deepshap_is_shap_called_by_hand(net, x):
    """With one background for all, as SHAP's own documentation has it."""
    with peers._their_imports():
        import shap

    references = make_references(parse_references("shuffle:4"), bases_of_one_hot(x[:1]))[0]
    logits = keras.Model([open_network(net, LENGTH).graph.inputs[0]], open_network(net, LENGTH).graph.outputs[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*newer than 2.4.0", UserWarning)  # SHAP of Python 3.11, not later ones
        explainer = shap.DeepExplainer(logits, lambda _: references)
    expected = explainer.shap_values(x, check_additivity=False)
    result = attribute(net, x, "deepshap", target=[0, 1], references=references)
    np.testing.assert_allclose(np.moveaxis(result.contributions, 0, -1), expected, rtol=1e-4, atol=1e-6)


REFUSED = {
    "Neg in .*Gelu": lambda: build(layers.Activation("gelu")),
    "LeakyRelu in .*leaky": lambda: build(layers.LeakyReLU(name="leaky")),
    "Relu6": lambda: build(layers.Activation("relu6")),
    "IdentityN": lambda: build(layers.Activation("silu")),
    "SpaceToBatchND": lambda: build(layers.Conv1D(4, 3, dilation_rate=2)),
    "StatefulPartitionedCall": lambda: build(layers.Conv1D(4, 3, groups=2)),
    "Max in": lambda: build(layers.GlobalMaxPooling1D(keepdims=True)),
    "Neg|StopGradient": lambda: build(layers.LayerNormalization()),
    "Sin": lambda: build(layers.Lambda(tf.sin)),
}


@pytest.mark.parametrize("operation", REFUSED)
def test_operations_without_a_rule_are_told(x, operation):
    with pytest.raises(InputError, match=f"SHAP has no rule that works for ({operation})") as caught:
        attribute(REFUSED[operation](), x[:1], "deepshap", references="zeros")
    # which has no rule for a Lambda layer either
    instead = "integrated_gradients or ism" if operation == "Sin" else "deeplift_rescale"
    assert instead in caught.value.mend
    assert "\n" not in str(caught.value)


def test_gradients_are_in_order_after_shap_failed(net, x, monkeypatch):
    """SHAP leaves TensorFlow's record of gradients replaced when it fails, and later gradients would be wrong."""
    before, record_gradient = attribute(net, x).scores, execute.record_gradient
    monkeypatch.setattr(peers, "_check_operations", lambda model, seq_length: None)
    # from within a function that it traces, TensorFlow hands a LookupError on as its own
    with pytest.raises((LookupError, StagingError), match="gradient registry has no entry for: shap_LeakyRelu"):
        attribute(build(layers.LeakyReLU()), x[:1], "deepshap", references="zeros")
    assert execute.record_gradient is record_gradient
    np.testing.assert_array_equal(attribute(basset(), x).scores, before)
    with tf.GradientTape() as tape:
        value = tf.Variable(3.0)
        result = tf.nn.leaky_relu(value)
    assert tape.gradient(result, value) == 1


def test_deepshap_follows_weights_and_lets_the_model_go(x):
    model = basset()
    before = attribute(model, x, "deepshap", references="shuffle:2").contributions
    explain = open_network(model, LENGTH).compiled(peers._explainer, open_network(model, LENGTH).graph, (0,))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([2 * kernel, bias])
    agree(attribute(model, x, "deepshap", references="shuffle:2").contributions, 2 * before)
    assert open_network(model, LENGTH).compiled(peers._explainer, open_network(model, LENGTH).graph, (0,)) is explain
    alive = weakref.ref(model)
    del model, explain
    gc.collect()
    assert alive() is None


def test_deepshap_compiles_a_graph_for_each_target(x, monkeypatch):
    """Traces are counted by calls of the last layer, which runs in Python while a graph is made only."""
    model = basset()
    traced = []
    call = layers.Flatten.call
    monkeypatch.setattr(layers.Flatten, "call", lambda self, inputs: traced.append(inputs.shape) or call(self, inputs))
    for n in (1, 3, 5):
        attribute(model, x[:n], "deepshap", target=[0, 1], references="shuffle:3", batch_size=4)
    # twice for the graphs, once to check operations; outputs for the delta are batches of 1, 3 and 4 rows
    assert sum(shape[0] == 6 for shape in traced) == 2
    assert len(traced) <= 2 + 1 + 4


# tf-keras-vis


@pytest.mark.parametrize("layer", ["first", "last", "conv_a", "pool_b"])
def test_tf_keras_vis_is_called_as_it_is(net, x, layer):
    with peers._their_imports():
        from tf_keras_vis.gradcam import Gradcam

    read = net.get_layer({"first": "relu_a", "last": "conv_b"}.get(layer, layer))
    graph = open_network(net, LENGTH).graph
    for target in (0, 1):
        cam = Gradcam(graph)(
            lambda outputs, target=target: outputs[:, target],
            x,
            penultimate_layer=read,
            seek_penultimate_conv_layer=False,
        )
        result = attribute(net, x, "gradcam_tf_keras_vis", target=target, layer=layer)
        np.testing.assert_allclose(result.contributions, cam[..., None] * x, rtol=1e-4, atol=1e-5)
        assert result.hypothetical is None
        assert result.scores.max() > 0.9


def test_tf_keras_vis_without_scaling_is_our_map_stretched(net, x):
    from simbench_tf.attribution.gradcam import layer_maps

    network = open_network(net, LENGTH)
    maps = np.maximum(layer_maps(network, x, "last", "mean")[0], 0)
    result = attribute(net, x, "gradcam_tf_keras_vis", normalize=False)
    expected = np.stack([zoom(row, LENGTH / len(row), order=1) for row in maps]) * x.any(axis=2)
    np.testing.assert_allclose(result.scores, expected, rtol=1e-4, atol=1e-6)


def test_layers_that_tf_keras_vis_cannot_read_are_told(net, x):
    nested = keras.Sequential([keras.Input((LENGTH, 4)), net])
    with pytest.raises(InputError, match=r"'conv_b'.*nested"):
        attribute(nested, x, "gradcam_tf_keras_vis")
    with pytest.raises(InputError, match="is no layer"):
        attribute(build(keras.ops.relu), x, "gradcam_tf_keras_vis")
    with pytest.raises(InputError, match="layer 'tasks': has no positions"):
        attribute(net, x, "gradcam_tf_keras_vis", layer="tasks")
    with pytest.raises(InputError, match="did you mean 'conv_b'"):
        attribute(net, x, "gradcam_tf_keras_vis", layer="conv_c")


# both

BOTH = [("deepshap", {"references": "shuffle:3"}), ("gradcam_tf_keras_vis", {})]


@pytest.mark.parametrize(("method", "settings"), BOTH)
def test_batches_order_company_and_lists_of_targets_play_no_part(net, x, method, settings):
    expected = attribute(net, x, method, target=[1, 0], random_state=7, **settings)
    for place, target in enumerate((1, 0)):
        order = [4, 1, 2]
        some = attribute(net, x[order], method, target=target, random_state=7, batch_size=2, **settings)
        np.testing.assert_allclose(some.scores, expected.scores[place, order], rtol=1e-4, atol=1e-5)
    assert np.abs(expected.scores[0] - expected.scores[1]).max() > 0.01


@pytest.mark.parametrize(("method", "settings"), BOTH)
def test_no_sequences_give_empty_arrays(net, x, method, settings):
    result = attribute(net, x[:0], method, target=[0, 1], **settings)
    assert result.contributions.shape == (2, 0, LENGTH, 4)
    assert result.contributions.dtype == np.float32
    if method == "deepshap":
        assert result.convergence_delta.shape == (2, 0)


def test_the_model_stays_as_it_was(x):
    model = basset()
    weights, config, predicted = model.get_weights(), model.get_config(), model(x).numpy()
    for method, settings in BOTH:
        attribute(model, x, method, **settings)
    assert model.get_config() == config
    np.testing.assert_array_equal(model(x), predicted)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_subclassed_models_are_refused(x):
    class Wrapped(keras.Model):
        def call(self, inputs):
            return inputs[:, 0]

    for method, settings in BOTH:
        with pytest.raises(InputError, match="not a functional"):
            attribute(Wrapped(), x, method, output="probability", **settings)


def test_listing_methods_loads_neither():
    code = (
        "import sys; from simbench_tf.attribution import methods, method_key;"
        "assert {'deepshap', 'gradcam_tf_keras_vis'} <= set(methods()); method_key('deepshap', None, {});"
        "assert not {'shap', 'tf_keras_vis', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
