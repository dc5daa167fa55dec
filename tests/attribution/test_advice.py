"""A refusal advises what works; and Grad-CAM of tf-keras-vis takes models that compute in bfloat16."""

import keras
import numpy as np
import pytest
import scipy.ndimage
from keras import layers

from simbench_tf.attribution import attribute
from simbench_tf.attribution.gradcam import layer_maps
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 24
X = one_hot(np.random.default_rng(0).integers(0, 4, (2, LENGTH)).astype(np.uint8))


def attention(x):
    return layers.MultiHeadAttention(1, 2)(x, x)


BETWEEN = {
    "LayerNormalization": layers.LayerNormalization(),
    "LSTM": layers.LSTM(3, return_sequences=True),
    "MultiHeadAttention": attention,
    "Softmax": layers.Softmax(axis=1),
    "ReLU with a threshold": layers.ReLU(threshold=0.5),
    "dilation": layers.Conv1D(3, 3, dilation_rate=2),
    "groups": layers.Conv1D(4, 3, groups=2),
    "gelu": layers.Activation("gelu"),
}


def model_with(between):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH, 4))
    x = layers.Flatten()(BETWEEN[between](layers.Conv1D(4, 5)(inputs)))
    return keras.Model(inputs, layers.Dense(1)(x))


@pytest.mark.filterwarnings("ignore:fast in-silico mutagenesis:UserWarning")
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("method", ["deepshap", "deeplift_rescale"])
def test_what_is_advised_works(method, between):
    model, settings = model_with(between), {"references": "shuffle:2"}
    try:
        found = attribute(model, X, method, **settings)
    except InputError as error:
        advised = [name for name in ("deeplift_rescale", "integrated_gradients", "ism") if name in error.mend]
        assert advised
    else:
        advised = []
        np.testing.assert_allclose(found.convergence_delta, 0, atol=1e-4)
    for name in advised:
        contributions = attribute(model, X, name, **({} if name == "ism" else settings)).contributions
        assert np.isfinite(contributions).all()
        assert np.abs(contributions).max() > 0
    if method == "deepshap" and between in ("dilation", "groups", "gelu"):
        assert advised == ["deeplift_rescale"]


def test_without_a_layer_whose_field_is_known_other_methods_are_advised():
    inputs = keras.Input((LENGTH, 4))
    x = layers.Conv1D(3, 5, name="conv")(layers.LSTM(4, return_sequences=True)(inputs))
    model = keras.Model(inputs, layers.Dense(1)(layers.GlobalMaxPooling1D()(x)))
    with pytest.raises(InputError, match=r"LSTM '.*' is not a layer whose windows are known") as caught:
        attribute(model, X, "gradcam")
    assert "integrated_gradients" in caught.value.mend
    assert np.isfinite(attribute(model, X, "integrated_gradients").scores).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_tf_keras_vis_stretches_maps_in_float32_whatever_the_model_computes_in(policy, activation):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH, 4))
    x = layers.Conv1D(6, 5, activation=activation, dtype=policy, name="conv")(inputs)
    x = layers.Dense(1, dtype=policy)(layers.GlobalAveragePooling1D(dtype=policy)(x))
    model = keras.Model(inputs, layers.Activation("sigmoid", dtype="float32")(x))
    found = attribute(model, X, "gradcam_tf_keras_vis", layer="conv", normalize=False)
    assert found.contributions.dtype == np.float32
    maps = np.maximum(layer_maps(open_network(model, LENGTH), X, "conv", "mean")[0], 0)
    expected = np.stack([scipy.ndimage.zoom(each, LENGTH / len(each), order=1) for each in maps])
    np.testing.assert_allclose(found.scores, expected, rtol=1e-2 if policy == "mixed_float16" else 1e-5, atol=1e-6)
    assert np.abs(found.scores).max() > 0
