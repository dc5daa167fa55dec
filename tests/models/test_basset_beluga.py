"""Basset and Beluga are those of the papers: every length and every parameter."""

import functools
import itertools

import numpy as np
import pytest

from simbench_tf.attribution.receptive_field import visible_bases
from simbench_tf.config import load_config, presets, variants_of
from simbench_tf.models import basset, beluga


def lengths(model, kinds=("conv", "pool")):
    """Length after each convolution and pooling, in order (activations and normalisation keep it)."""
    names = [layer.name for layer in model.layers if layer.name.startswith(kinds) and "_" not in layer.name]
    return [model.get_layer(name).output.shape[1] for name in names]


def dense(inputs, outputs):
    return inputs * outputs + outputs


def basset_parameters(flat, n_tasks, channels=(300, 200, 200), units=(1000, 1000)):
    """The sum over layers; batch normalisation has four numbers a channel."""
    c1, c2, c3 = channels
    convolutions = dense(4 * 19, c1) + dense(c1 * 11, c2) + dense(c2 * 7, c3)
    return (
        convolutions
        + dense(flat, units[0])
        + dense(units[0], units[1])
        + dense(units[1], n_tasks)
        + 4 * (c1 + c2 + c3 + sum(units))
    )


def beluga_parameters(flat, n_tasks):
    channels = (4, 320, 320, 480, 480, 640, 640)
    convolutions = sum(dense(8 * before, after) for before, after in itertools.pairwise(channels))
    return convolutions + dense(flat, 2003) + dense(2003, n_tasks)


def test_basset_at_600():
    model = basset(seq_length=600, n_tasks=164)
    assert lengths(model) == [582, 194, 184, 46, 40, 10]
    assert model.get_layer("flatten").output.shape == (None, 2000)
    assert model.count_params() == basset_parameters(2000, 164)


def test_basset_at_400():
    model = basset(seq_length=400)
    assert lengths(model) == [382, 127, 117, 29, 23, 5]
    assert model.get_layer("flatten").output.shape == (None, 1000)
    assert model.count_params() == basset_parameters(1000, 1)


def test_basset_normalises_before_each_relu_and_drops_out_after_dense_layers_only():
    names = [layer.name for layer in basset(width=0.01).layers]
    block = ["conv{0}", "conv{0}_bn", "conv{0}_relu", "pool{0}"]
    head = ["dense{0}", "dense{0}_bn", "dense{0}_relu", "dropout{0}"]
    assert names == [
        "one_hot",
        *(name.format(number) for number in (1, 2, 3) for name in block),
        "flatten",
        *(name.format(number) for number in (1, 2) for name in head),
        "logits",
        "probabilities",
    ]
    assert [basset(width=0.01).get_layer(f"dropout{number}").rate for number in (1, 2)] == [0.3, 0.3]


def test_basset_with_same_padding():
    model = basset(seq_length=400, width=0.01, padding="same")
    assert lengths(model) == [400, 133, 133, 33, 33, 8]
    assert basset(seq_length=48, width=0.01, padding="same").get_layer("pool3").output.shape[1] == 1
    with pytest.raises(ValueError, match="48"):
        basset(seq_length=47, padding="same")


def test_beluga_at_2000_has_the_published_number_of_parameters():
    assert beluga_parameters(67_840, 2002) == 149_536_251
    # a network of a tenth of the width has the same lengths and takes no memory to speak of
    model = beluga(seq_length=2000, n_tasks=2, width=0.1)
    assert lengths(model) == [1993, 1986, 496, 489, 482, 120, 113, 106]
    assert model.get_layer("flatten").output.shape == (None, 106 * 64)


@pytest.mark.slow
def test_beluga_at_2000_with_2002_tasks():
    assert beluga(seq_length=2000, n_tasks=2002).count_params() == 149_536_251


def test_beluga_at_400():
    model = beluga(seq_length=400)
    assert lengths(model) == [393, 386, 96, 89, 82, 20, 13, 6]
    assert model.get_layer("flatten").output.shape == (None, 3840)
    assert model.count_params() == 17_334_247 == beluga_parameters(3840, 1)
    assert [layer.rate for layer in model.layers if "dropout" in layer.name] == [0.2, 0.2, 0.5]
    assert not [layer for layer in model.layers if layer.name.endswith("_bn")]


def test_beluga_drops_out_before_it_pools():
    names = [layer.name for layer in beluga(width=0.01).layers]
    assert names[4:7] == ["conv2_relu", "dropout2", "pool2"]
    assert names[-3:] == ["dense1_relu", "logits", "probabilities"]


def test_width_scales_channels_and_units():
    model = basset(seq_length=400, n_tasks=3, width=0.25)
    assert model.count_params() == basset_parameters(5 * 50, 3, channels=(75, 50, 50), units=(250, 250))
    least = basset(seq_length=400, width=1e-6)
    assert least.count_params() == basset_parameters(5, 1, channels=(1, 1, 1), units=(1, 1))
    assert beluga(seq_length=400, width=1e-6).get_layer("flatten").output.shape == (None, 6)


@pytest.mark.parametrize(("build", "least"), [(basset, 168), (beluga, 310)])
def test_the_least_length_works_and_one_less_is_told_it(build, least):
    assert lengths(build(seq_length=least, width=0.01))[-1] == 1
    with pytest.raises(ValueError, match=f"{least - 1} is too short.*{least}"):
        build(seq_length=least - 1)


@pytest.mark.parametrize(
    "arguments", [{"n_tasks": 0}, {"width": 0}, {"width": float("nan")}, {"padding": "causal"}], ids=str
)
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError):
        basset(**arguments)


@pytest.mark.parametrize("build", [basset, beluga])
def test_the_output_is_the_sigmoid_of_the_logits(build):
    import keras

    model = build(seq_length=320, n_tasks=3, width=0.02, seed=1)
    one_hot = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(4, size=(5, 320))]
    logits = keras.Model(model.inputs, model.get_layer("logits").output).predict_on_batch(one_hot)
    probabilities = model.predict_on_batch(one_hot)
    assert probabilities.shape == (5, 3)
    assert probabilities.dtype == np.float32
    assert np.ptp(logits) > 0.01
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize("build", [basset, beluga])
def test_a_seed_makes_the_weights(build):
    first, again, other = (build(seq_length=320, width=0.02, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    kernels = [(a, b) for a, b in zip(first, other, strict=True) if a.ndim > 1 and a.size > 10]
    assert len(kernels) >= 5
    assert not any((a == b).any() for a, b in kernels)


def test_layers_of_one_shape_start_apart():
    model = basset(seq_length=400, width=0.1, seed=1)
    dense1, dense2 = (model.get_layer(f"dense{number}").kernel for number in (1, 2))
    assert dense1.shape == dense2.shape == (100, 100)
    assert np.abs(np.asarray(dense1) - np.asarray(dense2)).min() > 0


def test_max_norm_bounds_the_weights_of_every_unit():
    model = basset(seq_length=400, width=0.05, max_norm=0.1, seed=1)
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert [layer.name for layer in layers] == ["conv1", "conv2", "conv3", "dense1", "dense2", "logits"]
    for layer in layers:
        kernel = np.asarray(layer.kernel_constraint(layer.kernel))
        norms = np.sqrt((kernel**2).sum(axis=tuple(range(kernel.ndim - 1))))
        np.testing.assert_allclose(norms, 0.1, rtol=1e-4)
    assert basset(seq_length=400, width=0.05).get_layer("conv1").kernel_constraint is None


def test_batch_normalisation_settles_as_in_torch():
    layer = basset(width=0.01).get_layer("conv1_bn")
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


SOURCES = [each for name, path in presets().items() for each in (name, *(f"{name}:{v}" for v in variants_of(path)))]


@functools.cache
def n_unseen(architecture, seq_length, padding, kernel_size):
    build = {"basset": basset, "beluga": beluga}[architecture]
    more = {} if kernel_size is None else {"kernel_size": kernel_size}
    return int((~visible_bases(build(seq_length=seq_length, width=0.02, padding=padding, **more), seq_length)).sum())


@pytest.mark.parametrize("source", SOURCES)
def test_networks_of_the_presets_see_every_base(source):
    config = load_config(source)
    own = [model for model in config.models if model.architecture in ("basset", "beluga")]
    assert own
    unseen = {
        model.name: n_unseen(model.architecture, config.simulation.length, model.padding, model.kernel_size)
        for model in own
    }
    assert unseen == dict.fromkeys(unseen, 0)
