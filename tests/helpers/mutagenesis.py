"""How far in-silico mutagenesis by windows is from whole passes in float64; layers that hypothesis draws for it."""

import keras
import numpy as np
from hypothesis import strategies as st

from helpers.models import random_bases
from simbench_tf.attribution import mutagenesis
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot


def bases_with_n(n, length, seed=0):
    bases = random_bases(n, length, seed)
    bases[0, length // 3] = 4
    return bases


def in_float64(model):
    """The same model, to be told from rounding."""
    twin = keras.models.model_from_json(model.to_json().replace("float32", "float64"))
    twin.set_weights(model.get_weights())
    return twin


def changes_of_each_mutant(model, bases):
    """Change of each output (T, n, L, 4), from the model's own outputs for sequences with one base replaced."""
    n, length = bases.shape
    mutants = np.tile(bases[:, None, None], (1, length, 4, 1))
    where = np.arange(length)
    mutants[:, where, :, where] = np.arange(4)
    values = np.asarray(model(one_hot(mutants.reshape(-1, length)))).T.reshape(-1, n, length, 4)
    change = values - np.asarray(model(one_hot(bases))).T[:, :, None, None]
    return np.where((bases == 4)[:, :, None], 0, change)


def largest_error(model, bases, batch_size=64, target=(0,), start=0):
    """Largest error of the changes by windows, over the largest change or, where it is larger, output."""
    network = open_network(model, bases.shape[1], target, "probability", batch_size)
    assert mutagenesis.methods._engine(network, bases.shape[1]) is not None
    fast = mutagenesis.methods.substitution_changes(network, one_hot(bases), start, bases.shape[1], True)
    exact = in_float64(model)
    expected = changes_of_each_mutant(exact, bases)[list(target)]
    expected[:, :, :start] = 0
    # rounding is relative to the values that a change is added to
    outputs = abs(np.asarray(exact(one_hot(bases)))).max()
    return abs(fast - expected).max() / max(abs(expected).max(), outputs)


# drawn as plain values, since building a layer draws random weights


@st.composite
def convolutions(draw):
    strides = draw(st.sampled_from([1, 1, 2, 3]))
    return "Conv1D", {
        "filters": 4,
        "kernel_size": draw(st.integers(1, 6)),
        "strides": strides,
        "padding": draw(st.sampled_from(["valid", "same", "causal"])),
        "dilation_rate": draw(st.integers(1, 3)) if strides == 1 else 1,
        "groups": draw(st.sampled_from([1, 1, 2])),
        "activation": draw(st.sampled_from([None, "relu", "softplus"])),
    }


@st.composite
def poolings(draw):
    return draw(st.sampled_from(["MaxPooling1D", "AveragePooling1D"])), {
        "pool_size": draw(st.integers(1, 4)),
        "strides": draw(st.sampled_from([None, 1, 2, 3])),
        "padding": draw(st.sampled_from(["valid", "same"])),
    }


POINTWISE = [
    ("BatchNormalization", {}),
    ("LayerNormalization", {}),
    ("ReLU", {"negative_slope": 0.1}),
    ("Softmax", {}),
    ("Dense", {"units": 4, "activation": "gelu"}),
    ("Activation", {"activation": "tanh"}),
    ("Dropout", {"rate": 0.5}),
]
