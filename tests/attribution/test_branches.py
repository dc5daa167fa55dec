"""`layer: first` and `layer: last` in models of several branches."""

import keras
import numpy as np
import pytest
from keras import layers

from simbench_tf.attribution import attribute
from simbench_tf.attribution.model_graph import find_output, read_calls
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 30
START = keras.Input((LENGTH, 4))
X = one_hot(np.random.default_rng(0).integers(0, 4, (2, LENGTH)).astype(np.uint8))


def conv(name, width=3):
    return layers.Conv1D(4, width, padding="same", activation="relu", name=name)


def ending(x):
    return keras.Model(START, layers.Dense(1)(layers.GlobalMaxPooling1D()(x)))


def side_by_side():
    return ending(layers.Concatenate()([conv("narrow")(START), conv("wide", 9)(START)]))


def around():
    stem = conv("stem")(START)
    return ending(layers.Add()([stem, conv("final")(conv("middle")(stem))]))


def projected():
    stem = conv("stem")(START)
    return ending(layers.Add()([conv("projection", 1)(stem), conv("final")(conv("middle")(stem))]))


@pytest.mark.parametrize("method", ["gradcam", "gradcam_channel", "grad_x_activation", "gradcam_tf_keras_vis"])
@pytest.mark.parametrize(
    ("build", "layer", "candidates"),
    [
        (side_by_side, "first", "narrow, wide"),
        (side_by_side, "last", "narrow, wide"),
        (projected, "last", "projection, final"),
    ],
)
def test_where_several_may_be_meant_they_are_named(method, build, layer, candidates):
    with pytest.raises(InputError, match=f"'{layer}' may be any of {candidates}") as caught:
        attribute(build(), X, method, layer=layer)
    assert caught.value.mend == "name one"
    for name in candidates.split(", "):
        assert np.isfinite(attribute(build(), X, method, layer=name).scores).all()


@pytest.mark.parametrize(
    ("build", "layer", "name"), [(around, "first", "stem"), (around, "last", "final"), (projected, "first", "stem")]
)
def test_a_branch_around_others_leaves_no_doubt(build, layer, name):
    assert find_output(read_calls(build()).calls, layer).name == name


def test_convolutions_that_the_output_does_not_use_do_not_count():
    inputs = keras.Input((LENGTH, 4))
    used, unused = conv("used")(inputs), conv("unused")(conv("before_unused")(inputs))
    inner = keras.Model(inputs, [used, unused])
    model = ending(inner(START)[0])
    calls = read_calls(model).calls
    assert {find_output(calls, layer).name for layer in ("first", "last")} == {"used"}
