"""DeepLIFT over graphs of primitives: against plain NumPy in float64, and adding up over random graphs."""

import contextlib

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from keras import layers, ops

from helpers import plain_primitives as plain
from helpers.random_graphs import BLOCKS, ENDS, WIDTH, TransformerBlock, draw_weights, random_model
from simbench_tf.attribution import attribute
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 24
RULES = ["deeplift_rescale", "deeplift_revealcancel", "deeplift_genomics"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


@pytest.fixture
def op_by_op():
    """Run without compiling, which for networks this small takes much longer than running."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def computing_in(precision):
    """Layers made meanwhile compute in this precision."""
    before = keras.config.floatx()
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    with computing_in(request.param):
        yield request.param


def sequences(n=2, n_references=2, seed=0, length=LENGTH):
    bases = np.random.default_rng(seed).integers(0, 4, (n, length)).astype(np.uint8)
    return one_hot(bases), make_references(parse_references(f"shuffle:{n_references}"), bases, seed)


def check_sums(model, x, references, precision, rule="deeplift_rescale", **settings):
    """Contributions, and both parts, add up to the change of the output; and they are not nothing."""
    found = attribute(model, x, rule, references=references, **settings)
    assert found.contributions.dtype == precision
    size = abs(found.contributions).sum(axis=(1, 2))
    assert size.min() > 1e-4
    before, after = (np.asarray(model(v.reshape(-1, *v.shape[-2:]), training=False))[:, 0] for v in (references, x))
    change = after.astype(float) - before.reshape(len(x), -1).astype(float).mean(axis=1)
    assert (abs(found.contributions.sum(axis=(1, 2), dtype=float) - change) / size).max() < TOLERANCE[precision]
    assert (abs(found.convergence_delta) / size).max() < TOLERANCE[precision]
    np.testing.assert_allclose(
        found.positive + found.negative, found.scores, rtol=0, atol=TOLERANCE[precision] * size.max()
    )


# against the plain implementation


def weights_of(layer, *names):
    own = {weight.name: weight.numpy().astype(float) for weight in layer.weights}
    return [own[name] for name in names]


def projections(layer):
    return [
        [w.numpy().astype(float) for w in part.weights]
        for part in (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense)
    ]


def grouped(value, groups):
    split = value.linear(lambda v: v.reshape(len(v), groups, -1))
    return plain.normalised(split, (0, 2), 1e-3).linear(lambda v: v.reshape(len(v), -1))


def affine(value, layer):
    gamma, beta = weights_of(layer, "gamma", "beta")
    return value * gamma + beta


def halves(value):
    return value.linear(lambda v: v[:, : WIDTH // 2]), value.linear(lambda v: v[:, WIDTH // 2 :])


def glu(value):
    left, right = halves(value)
    return left * plain.sigmoid(right)


def swiglu(value):
    left, right = halves(value)
    silu = left.apply(lambda z: z / (1 + np.exp(-z)), lambda z: (1 + np.exp(-z) * (1 + z)) / (1 + np.exp(-z)) ** 2)
    return silu * right


def statistics(value):
    mean, largest = value.mean(0), value.max(0)
    variance = ((value - mean) * (value - mean)).mean(0)
    return (value - mean) * plain.power(variance + 0.1, -0.5) * plain.power(plain.exp(largest) + 1.0, -1.0)


def in_keras_statistics(x):
    mean, largest = ops.mean(x, axis=1, keepdims=True), ops.max(x, axis=1, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=1, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + 0.1) / (ops.exp(largest) + 1.0)


def rms(value, layer):
    (scale,) = weights_of(layer, "scale")
    return plain.normalised(value, -1, layer.epsilon, centred=False) * scale


def of_layer(make, by_hand):
    """A layer that takes one tensor, and its plain counterpart of the value and the layer."""
    layer = make()
    return layer, layer, by_hand


def of_operation(function, by_hand):
    return None, function, lambda value, layer: by_hand(value)


def of_attention(make, causal=False):
    layer = make()
    settings = {"use_causal_mask": True} if causal else {}
    return (
        layer,
        lambda x: layer(x, x, **settings),
        lambda value, layer: plain.attention(value, value, projections(layer), causal),
    )


PLAIN = {
    "LayerNormalization": lambda: of_layer(
        layers.LayerNormalization, lambda v, layer: affine(plain.normalised(v, -1, 1e-3), layer)
    ),
    "LayerNormalization of positions": lambda: of_layer(
        lambda: layers.LayerNormalization(axis=1, scale=False, center=False),
        lambda v, layer: plain.normalised(v, 0, 1e-3),
    ),
    "GroupNormalization": lambda: of_layer(
        lambda: layers.GroupNormalization(2), lambda v, layer: affine(grouped(v, 2), layer)
    ),
    "RMSNormalization": lambda: of_layer(layers.RMSNormalization, rms),
    "UnitNormalization": lambda: of_layer(
        layers.UnitNormalization, lambda v, layer: v * plain.power((v * v).sum(-1), -0.5)
    ),
    "Softmax": lambda: of_layer(layers.Softmax, lambda v, layer: plain.softmax(v)),
    "Softmax of positions": lambda: of_layer(lambda: layers.Softmax(axis=1), lambda v, layer: plain.softmax(v, 0)),
    "MultiHeadAttention": lambda: of_attention(lambda: layers.MultiHeadAttention(2, 3)),
    "causal attention": lambda: of_attention(lambda: layers.MultiHeadAttention(2, 3), causal=True),
    "GroupQueryAttention": lambda: of_attention(lambda: layers.GroupQueryAttention(3, 4, 2)),
    "GLU": lambda: of_operation(lambda x: ops.glu(x, axis=-1), glu),
    "SwiGLU": lambda: of_operation(lambda x: ops.silu(x[..., : WIDTH // 2]) * x[..., WIDTH // 2 :], swiglu),
    "statistics": lambda: of_operation(in_keras_statistics, statistics),
    "matrix products": lambda: of_operation(
        lambda x: ops.matmul(ops.tanh(ops.matmul(x, ops.transpose(x, (0, 2, 1)))), x),
        lambda v: plain.einsum("ij,jc->ic", plain.tanh(plain.einsum("ic,jc->ij", v, v)), v),
    ),
    "einsum": lambda: of_operation(
        lambda x: ops.einsum("bij,bik->bjk", x, ops.sigmoid(x)),
        lambda v: plain.einsum("ij,ik->jk", v, plain.sigmoid(v)),
    ),
    "Dot": lambda: of_operation(lambda x: layers.Dot(axes=1)([x, x]), lambda v: plain.einsum("ij,ik->jk", v, v)),
    "Maximum": lambda: of_operation(
        lambda x: layers.Maximum()([x, ops.tanh(2 * x)]), lambda v: plain.maximum(v, plain.tanh(v * 2))
    ),
    "Minimum": lambda: of_operation(
        lambda x: layers.Minimum()([x, ops.tanh(2 * x)]), lambda v: -plain.maximum(-v, -plain.tanh(v * 2))
    ),
    "Subtract": lambda: of_operation(lambda x: layers.Subtract()([ops.tanh(x), x]), lambda v: plain.tanh(v) - v),
    "division": lambda: of_operation(lambda x: x / (1.5 + ops.square(x)), lambda v: v * plain.power(v * v + 1.5, -1.0)),
    "powers": lambda: of_operation(
        lambda x: ops.power(x, 3) + ops.sqrt(ops.power(ops.exp(x), 1.7)) - ops.log(ops.power(x, 2) + 0.3),
        lambda v: plain.power(v, 3) + plain.power(plain.power(plain.exp(v), 1.7), 0.5) - plain.log(v * v + 0.3),
    ),
    "squeeze and excite": lambda: of_operation(
        lambda x: layers.Multiply()([x, ops.expand_dims(ops.sigmoid(layers.GlobalAveragePooling1D()(x)), 1)]),
        lambda v: v * plain.sigmoid(v.mean(0)),
    ),
    "attention pooling": lambda: of_operation(
        lambda x: ops.sum(ops.softmax(x[..., :1], axis=1) * x, axis=1, keepdims=True),
        lambda v: (plain.softmax(v.linear(lambda z: z[:, :1]), 0) * v).sum(0),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_equals_plain_numpy(name, precision, op_by_op):
    inputs = keras.Input((LENGTH, 4))
    first, last = layers.Conv1D(WIDTH, 1), layers.Dense(1)
    layer, function, by_hand = PLAIN[name]()
    model = keras.Model(inputs, last(layers.Flatten()(function(first(inputs)))))
    draw_weights(model, seed=3)
    x, references = sequences()
    found = attribute(model, x, "deeplift_rescale", references=references).contributions
    (kernel, bias), (weights, _) = ([w.numpy().astype(float) for w in each.weights] for each in (first, last))
    for row, each in zip(found, zip(x, references, strict=True), strict=True):
        expected = []
        for reference in each[1]:
            hidden = plain.Value.of_input(each[0].astype(float), reference.astype(float)) @ kernel[0] + bias
            value = by_hand(hidden, layer)
            expected.append(np.tensordot(weights.ravel(), value.given.reshape(len(weights), -1), axes=1).reshape(-1, 4))
        mean = np.mean(expected, axis=0)
        assert abs(mean).max() > 1e-3
        np.testing.assert_allclose(row, mean, rtol=0, atol=TOLERANCE[precision] * abs(mean).max())


LINEAR = {
    "SeparableConv1D": lambda x: layers.SeparableConv1D(3, 3, padding="same", dilation_rate=2)(x),
    "DepthwiseConv1D": lambda x: layers.DepthwiseConv1D(3, depth_multiplier=2)(x),
    "Conv1DTranspose": lambda x: layers.Conv1DTranspose(3, 4, strides=2)(x),
    "UpSampling1D": lambda x: layers.UpSampling1D(2)(x),
    "Permute": lambda x: layers.Permute((2, 1))(x),
    "RepeatVector": lambda x: layers.RepeatVector(3)(layers.Flatten()(x)),
    "EinsumDense": lambda x: layers.EinsumDense("blc,cd->bld", (LENGTH, 3))(x),
    "Conv1D, channels first": lambda x: layers.Conv1D(3, 3, data_format="channels_first")(x),
    "BatchNormalization of positions": lambda x: layers.BatchNormalization(axis=1)(x),
    "keras.ops": lambda x: ops.stack(
        [ops.flip(x, axis=1)[:, ::2], 3.0 * x[:, :12] - ops.mean(x, axis=1, keepdims=True)], axis=1
    ),
    "keras.ops on parts": lambda x: ops.pad(
        ops.concatenate(ops.split(x, 3, axis=1)[::-1], axis=-1), ((0, 0), (1, 2), (0, 0))
    ),
    "an outer reshape": lambda x: ops.squeeze(
        ops.expand_dims(ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, 96)), 1), 1
    ),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_layers_give_the_gradient(name, op_by_op):
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(LINEAR[name](inputs))))
    draw_weights(model, seed=1)
    x, references = sequences()
    point = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(point)
        output = model(point, training=False)
    slopes = tape.gradient(output, point).numpy()
    expected = slopes * (x - references.mean(axis=1))
    for rule in RULES:
        found = attribute(model, x, rule, references=references).contributions
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())


# over random graphs

RECIPE = st.tuples(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.sampled_from(sorted(BLOCKS)), st.booleans()), min_size=1, max_size=3),
    st.sampled_from(sorted(ENDS)),
)
PHASES = (hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate)


@hypothesis.settings(max_examples=12, derandomize=True, phases=PHASES)
@hypothesis.given(RECIPE, st.sampled_from(["float32", "float64"]), st.sampled_from(RULES))
def test_contributions_add_up_over_random_graphs(recipe, precision, rule):
    seed, blocks, end = recipe
    tf.config.run_functions_eagerly(True)
    try:
        with computing_in(precision):
            model = random_model(seed, *zip(*blocks, strict=True), end)
            check_sums(model, *sequences(seed=seed), precision, rule)
    finally:
        tf.config.run_functions_eagerly(False)


def test_compiled_as_op_by_op_and_with_new_weights():
    model = random_model(1, ["transformer", "reach", "pooled"], [True, True, True], "flatten")
    x, references = sequences()
    check_sums(model, x, references, "float32")
    draw_weights(model, seed=2)
    check_sums(model, x, references, "float32")
    compiled = attribute(model, x, "deeplift_rescale", references=references).contributions
    tf.config.run_functions_eagerly(True)
    try:
        copy = random_model(2, ["transformer", "reach", "pooled"], [True, True, True], "flatten")
        eager = attribute(copy, x, "deeplift_rescale", references=references).contributions
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(compiled, eager, rtol=0, atol=1e-5 * abs(eager).max())


def test_max_pooling_by_an_operation_is_the_layers(op_by_op):
    inputs = keras.Input((LENGTH, 4))
    hidden, last = layers.Conv1D(3, 5), layers.Dense(1)
    ends = [
        lambda x: ops.max_pool(x, 4, 4),
        layers.MaxPooling1D(4),
    ]
    models = [keras.Model(inputs, last(layers.Flatten()(end(hidden(inputs))))) for end in ends]
    draw_weights(models[0], seed=4)
    x, references = sequences()
    for maxpool in ("rescale", "gradient"):
        settings = {"references": references, "maxpool": maxpool}
        by_operation, by_layer = (attribute(m, x, "deeplift_rescale", **settings).contributions for m in models)
        np.testing.assert_allclose(by_operation, by_layer, rtol=0, atol=1e-6 * abs(by_layer).max())


# users' own layers


class Residual(layers.Layer):
    """Holds layers, and calls them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(4, "gelu")

    def call(self, x):
        return x + self.inner(x)


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_of_layers_is_read_as_these(rule, op_by_op):
    inputs = keras.Input((LENGTH, 4))
    own, last = Residual(), layers.Dense(1)
    model = keras.Model(inputs, last(layers.Flatten()(own(inputs))))
    flat = keras.Model(inputs, last(layers.Flatten()(layers.Add()([inputs, own.inner(inputs)]))))
    draw_weights(model, seed=5)
    nodes = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    x, references = sequences()
    found, expected = (attribute(m, x, rule, references=references).contributions for m in (model, flat))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * abs(expected).max())
    assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == nodes, "the user's layers as they were"


class DoubledModel(keras.Model):
    """A functional model with a `call` of its own."""

    def call(self, inputs):
        return 2 * super().call(inputs)


class Doubled(layers.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


@pytest.mark.parametrize("kind", ["layer", "model"])
def test_what_a_subclass_does_counts(kind, op_by_op):
    inputs = keras.Input((LENGTH, 4))
    dense, last = Doubled(3), layers.Dense(1)
    inner = keras.Input((LENGTH, 4))
    own = dense if kind == "layer" else DoubledModel(inner, layers.ReLU()(inner))
    model = keras.Model(inputs, last(layers.Flatten()(layers.ReLU()(own(inputs)))))
    draw_weights(model, seed=5)
    check_sums(model, *sequences(), "float32")


class Held(layers.Layer):
    """As what holds a further input at one value."""

    gives_constant = True

    def call(self, x):
        return ops.ones_like(x[:, :1]) * 2.0 + 0.0 * ops.sum(x, axis=1, keepdims=True)


def test_a_constant_gets_no_contribution(op_by_op):
    inputs = keras.Input((LENGTH, 4))
    last = layers.Dense(1)
    model = keras.Model(inputs, last(layers.Flatten()(ops.tanh(inputs) * Held()(inputs))))
    twice = keras.Model(inputs, last(layers.Flatten()(2 * ops.tanh(inputs))))
    x, references = sequences()
    for rule in RULES[:2]:
        found, expected = (attribute(m, x, rule, references=references).contributions for m in (model, twice))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_mixed_precision_is_read_in_float32(op_by_op):
    with_half = keras.DTypePolicy("mixed_bfloat16")
    inputs = keras.Input((LENGTH, 4))
    x = layers.LayerNormalization(dtype=with_half)(layers.Dense(4, dtype=with_half)(inputs))
    model = keras.Model(inputs, layers.Dense(1, dtype="float32")(layers.Flatten(dtype="float32")(x)))
    draw_weights(model, seed=6)
    same = keras.Model.from_config(_in_float32(model.get_config()))
    same.set_weights(model.get_weights())
    bases, references = sequences()
    found, expected = (attribute(m, bases, "deeplift_rescale", references=references) for m in (model, same))
    np.testing.assert_allclose(found.contributions, expected.contributions, rtol=0, atol=1e-6)


def _in_float32(config):
    if isinstance(config, dict):
        policy = config.get("class_name") == "DTypePolicy"
        return {**config, "config": {"name": "float32"}} if policy else {k: _in_float32(v) for k, v in config.items()}
    return [_in_float32(each) for each in config] if isinstance(config, list) else config


def test_sequences_of_any_length(op_by_op):
    inputs = keras.Input((None, 4))
    x = layers.Conv1D(4, 3)(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(1, 2)(x, x)])
    model = keras.Model(inputs, layers.Dense(1)(layers.GlobalMaxPooling1D()(x)))
    draw_weights(model, seed=7)
    for length in (11, 16):
        check_sums(model, *sequences(length=length), "float32")


# what has no rule


def joined_rows(x):
    return ops.reshape(x, (-1, 4))


WITHOUT_RULE = {
    "LSTM": lambda x: layers.LSTM(2, return_sequences=True)(x),
    "GRU": lambda x: layers.Bidirectional(layers.GRU(2))(x),
    "Lambda": lambda x: layers.Lambda(lambda v: v * 2)(x),
    "Sign": ops.sign,
    "rows of a batch": lambda x: ops.reshape(layers.Dense(4)(joined_rows(x)), (-1, LENGTH, 4)),
    "mean of the batch": lambda x: x - ops.mean(x, axis=0, keepdims=True),
}


@pytest.mark.parametrize("name", WITHOUT_RULE)
def test_what_has_no_rule_is_named(name):
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(WITHOUT_RULE[name](inputs))))
    wanted = {"GRU": "Bidirectional", "rows of a batch": "rows", "mean of the batch": "rows"}.get(name, name)
    with pytest.raises(
        InputError, match=rf"layer '\w+': DeepLIFT has no rule for .*{wanted}.*integrated_gradients or ism"
    ):
        attribute(model, *sequences()[:1], "deeplift_rescale", references="zeros")


def test_a_saved_model_with_layers_of_its_own(tmp_path, op_by_op):
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(TransformerBlock()(inputs))))
    draw_weights(model, seed=8)
    model.save(tmp_path / "own.keras")
    x, references = sequences()
    again = keras.saving.load_model(tmp_path / "own.keras")
    found, expected = (attribute(m, x, "deeplift_rescale", references=references) for m in (again, model))
    np.testing.assert_array_equal(found.contributions, expected.contributions)
