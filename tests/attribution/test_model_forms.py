"""Models as people have them are explained as the plain model with the same weights is, or refused in a line."""

import gc
import weakref
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import layers

from simbench_tf.attribution import attribute
from simbench_tf.attribution.form_settings import Form
from simbench_tf.attribution.model_forms import made_plain, plain_model
from simbench_tf.attribution.model_state import state_of
from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH, N_TASKS = 20, 2
X = one_hot(np.random.default_rng(0).integers(0, 4, (3, LENGTH)).astype(np.uint8))
X[1, 4:6] = 0  # N
#: The trunk's and the tasks' weights, of every model below.
RANDOM = np.random.default_rng(1)
KERNEL, BIAS = RANDOM.normal(0, 0.5, (5, 4, 6)).astype(np.float32), RANDOM.normal(0, 0.5, 6).astype(np.float32)
DENSE = [RANDOM.normal(0, 0.5, (16 * 6, N_TASKS)).astype(np.float32), np.float32([0.5, -0.25])]
#: Further weights, of channels and inputs that are held, and of class 0.
EXTRA = RANDOM.normal(0, 0.5, (5, 2, 6)).astype(np.float32)
CELLS = RANDOM.normal(0, 0.5, (3, N_TASKS)).astype(np.float32)
CLASS_0 = [RANDOM.normal(0, 0.5, (16 * 6, N_TASKS)).astype(np.float32), np.float32([0.1, 0.2])]
HELD_CELLS = np.float32([0.5, -1, 2])
HELD_CHANNELS = RANDOM.normal(0, 1, (LENGTH, 2)).astype(np.float32)


def trunk(x, kernel=KERNEL, bias=BIAS, dtype="float32", **settings):
    """Features (N, 96) of (N, L, C): a convolution, a ReLU, and its outputs in a row."""
    convolution = layers.Conv1D(6, 5, name="first", dtype=dtype, **settings)
    y = layers.Flatten(dtype=dtype)(layers.Activation("relu", dtype=dtype)(convolution(x)))
    convolution.set_weights([kernel, bias])
    return y


def dense(x, weights=DENSE, activation=None, name="dense", dtype="float32"):
    layer = layers.Dense(weights[1].size, activation, name=name, dtype=dtype)
    y = layer(x)
    layer.set_weights(weights)
    return y


def sigmoid(x):
    return layers.Activation("sigmoid", name="end")(x)


def plain():
    x = keras.Input((LENGTH, 4))
    return keras.Model(x, sigmoid(dense(trunk(x))))


class Expected(NamedTuple):
    """Logits (N, T) and gradient times input (T, N, L, 4) of the plain model, worked out in float64 without Keras."""

    logits: np.ndarray
    contributions: np.ndarray


def expected(bias=BIAS, weights=DENSE):
    windows = np.lib.stride_tricks.sliding_window_view(X.astype(np.float64), 5, axis=1)  # (N, 16, 4, 5)
    before = np.einsum("npck,kcf->npf", windows, KERNEL) + bias
    kernel = weights[0].reshape(16, 6, N_TASKS)
    logits = np.einsum("npf,pft->nt", np.maximum(before, 0), kernel) + weights[1]
    at_windows = np.einsum("npf,pft,kcf->tnpkc", before > 0, kernel, KERNEL)
    gradients = np.zeros((N_TASKS, *X.shape))
    for k in range(5):
        gradients[:, :, k : k + 16] += at_windows[:, :, :, k]
    return Expected(logits, gradients * X)


def channels_first():
    x = keras.Input((4, LENGTH))
    return keras.Model(x, sigmoid(dense(trunk(layers.Permute((2, 1))(x)))))


def channels_first_twice_read():
    x = keras.Input((4, LENGTH))
    both = layers.Average()([layers.Permute((2, 1))(x), keras.ops.transpose(x, (0, 2, 1))])
    return keras.Model(x, sigmoid(dense(trunk(both))))


def channels_first_of_any_length():
    x = keras.Input((4, None))
    y = layers.Reshape((LENGTH, 4))(layers.Permute((2, 1))(x))
    return keras.Model(x, sigmoid(dense(trunk(y))))


def as_image(*shape):
    """A model of images: positions, channels and an axis of length 1, in any order."""

    def model():
        x = keras.Input(shape)
        turned = layers.Permute((2, 1)) if [n for n in shape if n != 1] == [4, LENGTH] else layers.Identity()
        y = turned(layers.Reshape([n for n in shape if n != 1])(x))
        return keras.Model(x, sigmoid(dense(trunk(y))))

    return model


def two_dimensional():
    x = keras.Input((LENGTH, 4, 1))
    convolution = layers.Conv2D(6, (5, 4), activation="relu")
    y = layers.Flatten()(convolution(x))
    convolution.set_weights([KERNEL[:, :, None], BIAS])
    return keras.Model(x, sigmoid(dense(y)))


def flattened():
    x = keras.Input((LENGTH * 4,))
    return keras.Model(x, sigmoid(dense(trunk(layers.Reshape((LENGTH, 4))(x)))))


def from_logits():
    x = keras.Input((LENGTH, 4))
    return keras.Model(x, dense(trunk(x)))


def rescaled_in_front():
    x = keras.Input((LENGTH, 4))
    y = layers.Rescaling(0.5, offset=0.5)(layers.Rescaling(2.0, offset=-1.0)(x))
    return keras.Model(x, sigmoid(dense(trunk(y))))


def several_heads(structure):
    def model():
        x = keras.Input((LENGTH, 4))
        y = trunk(x)
        heads = {"label": sigmoid(dense(y)), "profile": layers.Reshape((16, 6), name="as_profile")(y)}
        return keras.Model(x, heads if structure is dict else list(heads.values()))

    return model


def column(x):
    return layers.Reshape((N_TASKS, 1))(x)


def several_inputs(structure):
    def model():
        x, cells = keras.Input((LENGTH, 4), name="dna"), keras.Input((3,), name="cells")
        y = sigmoid(layers.Add()([dense(trunk(x)), dense(cells, [CELLS, np.float32([0, 0])], name="of_cells")]))
        return keras.Model({"dna": x, "cells": cells} if structure is dict else [cells, x], y)

    return model


def further_channels(layout):
    def model():
        x = keras.Input((LENGTH, 6) if layout == "NLC" else (6, LENGTH))
        y = x if layout == "NLC" else layers.Permute((2, 1))(x)
        return keras.Model(x, sigmoid(dense(trunk(y, np.concatenate([KERNEL, EXTRA], axis=1)))))

    return model


def embedded_cell():
    """A second input of whole numbers, as of which cell line it is."""
    x, cell = keras.Input((LENGTH, 4), name="dna"), keras.Input((1,), dtype="int32", name="cell")
    table = layers.Embedding(3, N_TASKS)
    y = sigmoid(layers.Add()([dense(trunk(x)), layers.Flatten()(table(cell))]))
    table.set_weights([CELLS])
    return keras.Model([x, cell], y)


def classes(structure):
    """Softmax over class 0 and class 1: of one task, or of each."""

    def model():
        x = keras.Input((LENGTH, 4))
        y = trunk(x)
        if structure == "one task":
            both = [np.stack([CLASS_0[n][..., 0], DENSE[n][..., 0]], -1) for n in (0, 1)]
            return keras.Model(x, dense(y, both, "softmax"))
        of_tasks = [column(dense(y, each, name=f"class_{n}")) for n, each in enumerate((CLASS_0, DENSE))]
        return keras.Model(x, layers.Softmax()(layers.Concatenate(axis=2)(of_tasks)))

    return model


def mixed(policy):
    def model():
        x = keras.Input((LENGTH, 4))
        y = dense(trunk(x, dtype=policy), dtype=policy)
        return keras.Model(x, layers.Activation("sigmoid", dtype="float32")(y))

    return model


DIFFERENCE = [DENSE[n] - CLASS_0[n] for n in (0, 1)]
#: Each form, what is said of it, and what is expected.
FORMS = {
    "plain": (plain, {}, expected()),
    "channels first": (channels_first, {}, expected()),
    "channels first, said": (channels_first, {"layout": "NCL"}, expected()),
    "channels first, read twice": (channels_first_twice_read, {}, expected()),
    "channels first, of any length": (channels_first_of_any_length, {"layout": "NCL"}, expected()),
    "image (L, 4, 1)": (as_image(LENGTH, 4, 1), {}, expected()),
    "image (1, L, 4)": (as_image(1, LENGTH, 4), {}, expected()),
    "image (4, 1, L)": (as_image(4, 1, LENGTH), {}, expected()),
    "Conv2D": (two_dimensional, {}, expected()),
    "flattened": (flattened, {"layout": "NLC"}, expected()),
    "logits": (from_logits, {}, expected()),
    "Rescaling in front": (rescaled_in_front, {}, expected()),
    "a dictionary of heads": (several_heads(dict), {"head": "label"}, expected()),
    "a list of heads": (several_heads(list), {"head": "end"}, expected()),
    "a list of heads, by number": (several_heads(list), {"head": 0}, expected()),
    "softmax of each task": (classes("each task"), {}, expected(weights=DIFFERENCE)),
    "mixed_bfloat16": (mixed("mixed_bfloat16"), {}, expected()),
    "mixed_float16": (mixed("mixed_float16"), {}, expected()),
    "a whole number held": (embedded_cell, {"held": {"cell": 2}}, expected(weights=[DENSE[0], DENSE[1] + CELLS[2]])),
    **{
        f"inputs in a {structure.__name__}": (
            several_inputs(structure),
            {"held": {"cells": HELD_CELLS}},
            expected(weights=[DENSE[0], DENSE[1] + HELD_CELLS @ CELLS]),
        )
        for structure in (dict, list)
    },
    **{
        f"further channels, {layout}": (
            further_channels(layout),
            {"held": {"channels": [0.5, -1.0]}},
            expected(BIAS + np.einsum("kcf,c->f", EXTRA, np.float32([0.5, -1]))),
        )
        for layout in ("NLC", "NCL")
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_explained_as_the_plain_model(form):
    model, said, same = FORMS[form]
    model = model()
    network = open_network(model, LENGTH, [0, 1], **said)
    np.testing.assert_allclose(network.outputs(X).T, same.logits, rtol=1e-5, atol=1e-5)
    found = attribute(model, X, target=[0, 1], **said).contributions
    np.testing.assert_allclose(found, same.contributions, rtol=1e-4, atol=1e-6)
    made = plain_model(model, LENGTH, **said)
    assert (made.input_shape[2], made.output_shape) == (4, (None, N_TASKS))
    if not form.startswith("mixed"):
        returned = same.logits if form == "logits" else 1 / (1 + np.exp(-same.logits))
        np.testing.assert_allclose(made.predict_on_batch(X), returned, rtol=1e-5, atol=1e-6)


def everything_at_once():
    """Channels first, further ones, a second input, and two heads, of which one is a softmax of one task."""
    x, cells = keras.Input((6, LENGTH), name="dna"), keras.Input((3,), name="cells")
    y = trunk(layers.Permute((2, 1))(x), np.concatenate([KERNEL, EXTRA], axis=1))
    label = sigmoid(layers.Add()([dense(y), dense(cells, [CELLS, np.float32([0, 0])], name="of_cells")]))
    return keras.Model({"dna": x, "cells": cells}, {"label": label, "counts": layers.Dense(1, name="of_counts")(y)})


ALL_SAID = {"head": "label", "layout": "NCL", "held": {"cells": HELD_CELLS, "channels": HELD_CHANNELS}}


def same_as_everything():
    """A model of (N, L, 4) with the same weights: what is held is in its biases, which differ by position."""
    windows = np.lib.stride_tricks.sliding_window_view(HELD_CHANNELS, 5, axis=0)
    bias = np.einsum("pck,kcf->pf", windows, EXTRA) + BIAS
    x = keras.Input((LENGTH, 4))
    convolution, offset = layers.Conv1D(6, 5, use_bias=False), layers.EinsumDense("npf,fg->npg", (16, 6), "relu", "pg")
    y = dense(layers.Flatten()(offset(convolution(x))), [DENSE[0], DENSE[1] + HELD_CELLS @ CELLS])
    convolution.set_weights([KERNEL])
    offset.set_weights([np.eye(6), bias])
    return keras.Model(x, sigmoid(y))


@pytest.mark.filterwarnings("ignore:fast in-silico mutagenesis does not know this model")
@pytest.mark.parametrize(
    ("method", "settings"),
    [("integrated_gradients", {"references": "shuffle:2", "n_steps": 5}), ("ism", {}), ("saliency", {})],
)
def test_other_methods_see_the_same(method, settings):
    for output in ("logit", "probability"):
        found, direct = (
            attribute(model, X, method, target=1, output=output, **said, **settings).contributions
            for model, said in ((everything_at_once(), ALL_SAID), (same_as_everything(), {}))
        )
        np.testing.assert_allclose(found, direct, rtol=1e-4, atol=1e-6)


def test_layers_are_seen_where_channels_come_first():
    """The turn there and back is left out, so that methods that read layers follow as before."""
    for method, settings in (
        ("deeplift_rescale", {"references": "zeros"}),
        ("gradcam", {"layer": "first"}),
        ("ism", {}),
    ):
        found, direct = (attribute(model(), X, method, **settings).scores for model in (channels_first, plain))
        np.testing.assert_allclose(found, direct, rtol=1e-5, atol=1e-6)


def test_of_two_classes_each_has_its_logit():
    difference = expected(weights=DIFFERENCE)
    model = classes("one task")()
    for target, sign in ((1, 1), (0, -1)):
        found = attribute(model, X, target=target).contributions
        np.testing.assert_allclose(found, sign * difference.contributions[0], rtol=1e-4, atol=1e-6)
    deeplift = attribute(model, X, "deeplift_rescale", target=1, references="zeros")
    against = (attribute(plain_with(each), X, "deeplift_rescale", references="zeros") for each in (DENSE, CLASS_0))
    one, other = (each.contributions for each in against)
    np.testing.assert_allclose(deeplift.contributions, one - other, rtol=1e-4, atol=1e-5)
    assert np.abs(deeplift.convergence_delta).max() < 1e-5
    returned = attribute(model, X, target=1, output="probability").contributions
    slopes = np.exp(difference.logits[:, 0]) / (1 + np.exp(difference.logits[:, 0])) ** 2
    np.testing.assert_allclose(returned, slopes[:, None, None] * difference.contributions[0], rtol=1e-4, atol=1e-6)


def plain_with(weights):
    x = keras.Input((LENGTH, 4))
    return keras.Model(x, sigmoid(dense(trunk(x), weights)))


# mixed precision


def test_mixed_precision_is_explained_in_float32_with_the_weights_of_now():
    model = mixed("mixed_bfloat16")()
    in_half = attribute(model, X, target=1, precision="model").contributions
    exact = attribute(model, X, target=1).contributions
    assert 1e-4 < np.abs(in_half - exact).max() < 0.1
    found = attribute(model, X, "deeplift_rescale", references="zeros")
    scale = np.abs(found.contributions).sum(axis=(1, 2))
    assert (np.abs(found.convergence_delta) <= 1e-5 * scale).all()
    model.get_layer("dense").kernel.assign(2 * DENSE[0])
    twice = expected(weights=[2 * DENSE[0], DENSE[1]]).contributions[1]
    np.testing.assert_allclose(attribute(model, X, target=1).contributions, twice, rtol=1e-4, atol=1e-6)
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"bfloat16"}, "it is as it was"


def test_weights_of_half_precision_are_those_of_now():
    model = mixed("bfloat16")()
    for factor in (1, 4):
        model.get_layer("dense").kernel.assign(np.float32(factor) * DENSE[0])
        kernel, bias, weights, offset = (np.float32(each) for each in model.get_weights())
        found = open_network(model, LENGTH, [0, 1]).outputs(X).T
        windows = np.lib.stride_tricks.sliding_window_view(X, 5, axis=1)
        before = np.einsum("npck,kcf->npf", windows, kernel) + bias
        logits = np.maximum(before, 0).reshape(3, -1) @ weights + offset
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)


# what is kept


def test_a_model_is_neither_edited_nor_kept_alive():
    model = everything_at_once()
    before, state, config = model.get_weights(), state_of(model), model.to_json()
    found = attribute(model, X, **ALL_SAID).scores
    assert (state_of(model), model.to_json()) == (state, config)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    made = plain_model(model, LENGTH, **ALL_SAID)
    model.get_layer("dense").kernel.assign(3 * DENSE[0])
    np.testing.assert_allclose(attribute(made, X).scores, 3 * found, rtol=1e-4, atol=1e-6)
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None


def test_what_is_held_may_change_between_calls(tmp_path):
    model = several_inputs(list)()
    np.save(tmp_path / "cells.npy", HELD_CELLS)
    scores = [
        open_network(model, LENGTH, [0, 1], held={"cells": cells}).outputs(X).T
        for cells in (0, HELD_CELLS, tmp_path / "cells.npy")
    ]
    np.testing.assert_allclose(scores[1] - scores[0], np.tile(HELD_CELLS @ CELLS, (3, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(scores[1], scores[2])


def test_a_plain_model_can_be_saved_loaded_and_cloned(tmp_path):
    made = plain_model(everything_at_once(), LENGTH, **ALL_SAID)
    made.save(tmp_path / "plain.keras")
    cloned = keras.models.clone_model(made)
    cloned.set_weights(made.get_weights())
    for again in (keras.saving.load_model(tmp_path / "plain.keras"), cloned):
        np.testing.assert_array_equal(again.predict_on_batch(X), made.predict_on_batch(X))


class Subclassed(keras.Model):
    """Shows no layers: its outputs are in a dictionary, and positions come last."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x, training=False):
        y = self.inner(keras.ops.transpose(x, (0, 2, 1)), training=training)
        return {"probability": y, "other": y[:, :1]}


def test_a_model_without_layers_to_read_is_explained_in_its_form():
    settings = {"target": 1, "output": "probability"}
    found = attribute(Subclassed(plain()), X, layout="NCL", head="probability", **settings).contributions
    np.testing.assert_allclose(found, attribute(plain(), X, **settings).contributions, rtol=1e-5, atol=1e-7)


# one line


def of_tokens():
    x = keras.Input((LENGTH,), dtype="int32")
    return keras.Model(x, layers.Dense(1)(layers.Flatten()(layers.Embedding(5, 3)(x))))


def of_input(*shape):
    x = keras.Input(shape)
    return keras.Model(x, layers.Dense(1)(layers.Flatten()(x)))


def of_profile():
    x = keras.Input((LENGTH, 4))
    return keras.Model(x, layers.Conv1D(3, 5)(x))


def of_three_classes():
    x = keras.Input((LENGTH, 4))
    return keras.Model(x, layers.Dense(3, "softmax")(layers.Flatten()(x)))


@pytest.mark.parametrize(
    ("model", "said", "message"),
    [
        (
            several_heads(dict),
            {},
            r'has 1 inputs and 2 outputs, label \(N, 2\), profile \(N, 16, 6\); .* as head="label"$',
        ),
        (several_heads(list), {}, r'2 outputs, end \(N, 2\), as_profile .*head="end"$'),
        (several_heads(dict), {"head": "lable"}, r"^head: the model has no output 'lable'; did you mean 'label'"),
        (several_heads(dict), {"head": "profile"}, r"has output of shape \(None, 16, 6\); reduce it.*name another"),
        (several_heads(dict), {"head": 5}, r"^head: the model has no output '5'"),
        (of_profile, {}, r"has output of shape \(None, 16, 3\); reduce it"),
        (
            several_inputs(dict),
            {},
            r'has 2 inputs and 1 outputs, the former cells \(N, 3\), dna \(N, 20, 4\).*held=\{"cells": 0.0\}$',
        ),
        (several_inputs(list), {"held": {"cell": 1}}, r"^held: the model has no input 'cell'; did you mean 'cells'"),
        (
            several_inputs(list),
            {"held": {"cells": [1, 2]}},
            r"^held.cells: has the shape \(2,\), .* wants \(3,\)",
        ),
        (several_inputs(list), {"held": {"cells": np.nan}}, r"^held.cells: has values that are not finite"),
        (several_inputs(list), {"held": {"cells": "none.npy"}}, r"^none.npy: cannot be read for held.cells"),
        (several_inputs(list), {"held": {"cells": 1, "dna": 1}}, r"^held: holds every input"),
        (further_channels("NLC"), {}, r'2 more than the four.*held=\{"channels": \[0.0, 0.0\]\}$'),
        (plain, {"held": {"channels": 1}}, r"^held.channels: the model has no channel but the four"),
        (of_tokens, {}, r"takes int32 of shape \(N, 20\), which have no gradient; .*Embedding"),
        (lambda: of_input(80), {}, r'takes input of shape \(N, 80\); .*layout="NCL".*layout="NLC".*flattened$'),
        (lambda: of_input(3, LENGTH), {}, r"takes input of shape \(N, 3, 20\)"),
        (lambda: of_input(4, 30), {}, "takes 30 bases, the sequences have 20"),
        (of_three_classes, {}, r"ends in Dense .* with activation softmax.*output=\"probability\"$"),
        (
            lambda: Subclassed(plain()),
            {"output": "probability", "layout": "NCL"},
            'explain, as head="pro',
        ),
        (lambda: Subclassed(plain()), {"output": "probability", "held": {"a": 1}}, "not known which input 'a' is"),
        (plain, {"precision": "half"}, r"^precision: 'half' is not known"),
        (plain, {"layout": "NHWC"}, r"^layout: 'NHWC' is not known"),
    ],
)
def test_other_forms_get_a_line_that_says_what_to_write(model, said, message):
    with pytest.raises(InputError, match=message) as caught:
        attribute(model(), X, **said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (several_heads(dict), r"as output: label$"),
        (several_inputs(dict), r"as held: \{cells: 0.0\}$"),
        (further_channels("NLC"), r"as held: \{channels: \[0.0, 0.0\]\}$"),
        (lambda: of_input(80), r"write layout: NCL .* layout: NLC"),
    ],
)
def test_in_a_configuration_the_line_says_what_to_write_there(model, message):
    with pytest.raises(InputError, match=message):
        made_plain(model(), LENGTH, Form(is_configured=True))
