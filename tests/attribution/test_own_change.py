"""DeepLIFT's convergence delta where an output hardly changes: as fine as contributions, and of the model itself."""

import keras
import numpy as np
import pytest
from keras import layers

from helpers.random_graphs import LENGTH as LENGTH_OF_GRAPHS
from helpers.random_graphs import random_model, random_recipe
from simbench_tf.attribution import attribute
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import one_hot

LENGTH = 40
#: Of sequences and two references each, 88 rows go through a model together.
N = 60
CHANGE = 1e-3


def sequences(n, length):
    bases = np.random.default_rng(0).integers(0, 4, (n, length)).astype(np.uint8)
    return one_hot(bases), make_references(parse_references("shuffle:2"), bases, 0)


def hardly_changing(bias, policy="float32"):
    """A network whose two outputs, of about `bias`, change by about `CHANGE`."""
    inputs = keras.Input((LENGTH, 4))
    x = layers.Conv1D(8, 5, activation="relu", kernel_initializer=keras.initializers.RandomNormal(seed=1), dtype=policy)
    hidden = layers.GlobalMaxPooling1D(dtype=policy)(x(inputs))
    steep = keras.initializers.RandomNormal(stddev=20 * CHANGE, seed=2)
    outputs = layers.Dense(2, kernel_initializer=steep, bias_initializer=keras.initializers.Constant(bias))
    return keras.Model(inputs, outputs(hidden))


def in_float64(model, one_hot):
    """Outputs of `hardly_changing`, (2, N), in plain NumPy."""
    kernel, bias, dense, offset = (weight.numpy().astype(np.float64) for weight in model.weights)
    windows = np.lib.stride_tricks.sliding_window_view(one_hot.astype(np.float64), len(kernel), axis=1)
    hidden = np.maximum(np.einsum("nlck,kcf->nlf", windows, kernel) + bias, 0).max(axis=1)
    return (hidden @ dense + offset).T


@pytest.mark.parametrize("bias", [0.0, 1.0, 1000.0])
@pytest.mark.parametrize("targets", [[0], [1, 0]])
def test_an_output_that_hardly_changes_has_the_delta_that_contributions_lack(bias, targets):
    x, references = sequences(N, LENGTH)
    model = hardly_changing(bias)
    found = attribute(model, x, "deeplift_rescale", references=references, target=targets)
    sums = found.contributions.sum(axis=(-1, -2), dtype=np.float64).reshape(len(targets), N)
    at_references = in_float64(model, references.reshape(-1, LENGTH, 4)).reshape(2, N, 2).mean(axis=2)
    lacking = sums - (in_float64(model, x) - at_references)[targets]
    sizes = abs(found.contributions).sum(axis=(-1, -2)).reshape(len(targets), N)
    assert 0 < sizes.min() < sizes.max() < 20 * CHANGE
    assert (abs(lacking) / sizes).max() < 1e-5
    assert (abs(found.convergence_delta.reshape(lacking.shape)) / sizes).max() < 1e-5


def test_a_random_graph_whose_output_hardly_changes():
    """Of 300 random graphs the one whose output of .6 changes by .004."""
    x, references = sequences(2, LENGTH_OF_GRAPHS)
    model = random_model(108, *random_recipe(np.random.default_rng((0, 108))))
    found = attribute(model, x, "deeplift_rescale", references=references)
    sizes = abs(found.contributions).sum(axis=(1, 2))
    before, after = (np.asarray(model(v.reshape(-1, *x.shape[1:])))[:, 0] for v in (references, x))
    in_float32 = after - before.reshape(len(x), -1).mean(axis=1)
    assert (abs(found.contributions.sum(axis=(1, 2)) - in_float32) / sizes).max() > 1e-5
    assert (abs(found.convergence_delta) / sizes).max() < 1e-5


@pytest.mark.parametrize("n", [2, N])
def test_a_model_that_is_not_what_its_layers_say_shows_so_however_little_it_changes(n):
    x, references = sequences(n, LENGTH)
    model = hardly_changing(0.1, "mixed_bfloat16")
    found = attribute(model, x, "deeplift_rescale", references=references, precision="model")
    at_references = np.asarray(model(references.reshape(-1, LENGTH, 4)))[:, 0].reshape(n, 2).mean(axis=1)
    off = found.contributions.sum(axis=(1, 2)) - (np.asarray(model(x))[:, 0] - at_references)
    sizes = abs(found.contributions).sum(axis=(1, 2))
    assert 1e-4 < (abs(off) / sizes).max() < 0.1
    np.testing.assert_allclose(found.convergence_delta, off, rtol=0, atol=1e-4 * sizes.max())
