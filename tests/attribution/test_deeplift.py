"""DeepLIFT against a plain float64 implementation, its own promises, and the worked examples of its paper.

The plain implementation knows nothing of TensorFlow and shares no code with the package. It takes one sequence and one
reference at a time through a network that is written down as a list of layers; a layer that is linear is a matrix.
"""

import itertools

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from keras import layers
from scipy.special import erf

from helpers.described_networks import (
    LENGTH,
    Net,
    basset_like,
    branches,
    check_against_peer,
    every_convolution,
    odds,
    sequences,
)
from simbench_tf.attribution import attribute
from simbench_tf.attribution.deeplift.nonlinear import Nonlinearity, exp_change, log1p_change
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

RULES = ["deeplift_rescale", "deeplift_revealcancel", "deeplift_genomics"]

# the plain implementation

FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.2 * z), lambda z: np.where(z > 0, 1, 0.2)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "softplus": (lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
    "exponential": (np.exp, np.exp),
    "log1p": (np.log1p, lambda z: 1 / (1 + z)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1, np.exp(z))),
    "gelu": (
        lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
        lambda z: (1 + erf(z / np.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
}


def pads(length, size, stride, dilation, padding):
    span = (size - 1) * dilation
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return span, 0
    total = max((-(-length // stride) - 1) * stride + span + 1 - length, 0)
    return total // 2, total - total // 2


def windows(length, size, stride, dilation, padding):
    """For each output position, the input positions under each offset of the kernel; None where there is none."""
    left, right = pads(length, size, stride, dilation, padding)
    starts = range(-left, length + right - (size - 1) * dilation, stride)
    return [[p if 0 <= (p := s + k * dilation) < length else None for k in range(size)] for s in starts]


def conv_matrix(kernel, length, groups, stride, dilation, padding):
    size, in_group, n_out = kernel.shape
    places = windows(length, size, stride, dilation, padding)
    matrix = np.zeros((len(places), n_out, length, in_group * groups))
    for (row, window), out in itertools.product(enumerate(places), range(n_out)):
        first = out // (n_out // groups) * in_group
        for k, place in enumerate(window):
            if place is not None:
                matrix[row, out, place, first : first + in_group] += kernel[k, :, out]
    return matrix


def average_matrix(places, length, channels):
    matrix = np.zeros((len(places), channels, length, channels))
    for row, window in enumerate(places):
        there = [place for place in window if place is not None]
        for place in there:
            matrix[row, range(channels), place, range(channels)] = 1 / len(there)
    return matrix


def matrix_of(node, shape):
    """A linear layer as an array (*output shape, *input shape), without its bias."""
    s = node.settings
    if node.kind == "conv":
        return conv_matrix(
            node.weights["kernel"], shape[0], s["groups"], s["strides"], s["dilation_rate"], s["padding"]
        )
    if node.kind == "dense":
        kernel = node.weights["kernel"]
        if len(shape) == 1:
            return kernel.T
        return np.einsum("lm,io->loim", np.eye(shape[0]), kernel).transpose(0, 1, 3, 2)
    identity = np.eye(int(np.prod(shape))).reshape(*shape, *shape)
    if node.kind == "average_pool":
        return average_matrix(windows(shape[0], s["pool_size"], s["strides"], 1, s["padding"]), *shape)
    if node.kind == "global_average":
        return average_matrix([range(shape[0])], *shape)[0]
    if node.kind == "flatten":
        return identity.reshape(-1, *shape)
    if node.kind == "reshape":
        return identity.reshape(*s["target_shape"], *shape)
    if node.kind == "crop":
        before, after = s["cropping"]
        return identity[before : shape[0] - after]
    assert node.kind == "zero_pad"
    return np.pad(identity, [s["padding"], *[(0, 0)] * (2 * len(shape) - 1)])


def times(matrix, value):
    return np.tensordot(matrix, value, axes=value.ndim)


def back(matrix, m):
    return np.tensordot(m, matrix, axes=m.ndim)


class Plain:
    """DeepLIFT of one sequence and one reference, node by node."""

    def __init__(self, nodes, x, reference, rule, maxpool):
        self.nodes, self.rule, self.maxpool = nodes, rule, maxpool
        self.x, self.r = [x], [reference]
        difference = x - reference
        self.p, self.n = [np.maximum(difference, 0)], [np.minimum(difference, 0)]
        for number in range(1, len(nodes)):
            self.forward(number)

    def forward(self, number):
        node = self.nodes[number]
        for values in (self.x, self.r):
            values.append(self.value(node, [values[i] for i in node.inputs]))
        p, n = self.parts(node, number)
        self.p.append(p)
        self.n.append(n)

    def value(self, node, inputs):
        x, w = inputs[0], node.weights
        if node.kind == "bn":
            return (x - w["mean"]) / np.sqrt(w["variance"] + 1e-3) * w["gamma"] + w["beta"]
        if node.kind == "activation":
            return FUNCTIONS[node.settings["function"]][0](x)
        if node.kind == "max_pool":
            return np.array([x[window].max(axis=0) for window in self.pool_windows(node, len(x))])
        if node.kind == "global_max":
            return x.max(axis=0)
        if node.kind == "add":
            return sum(inputs)
        if node.kind == "concatenate":
            return np.concatenate(inputs, axis=-1)
        return times(matrix_of(node, x.shape), x) + w.get("bias", 0)

    def pool_windows(self, node, length):
        if node.kind == "global_max":
            return [list(range(length))]
        s = node.settings
        places = windows(length, s["pool_size"], s["strides"], 1, s["padding"])
        return [[place for place in window if place is not None] for window in places]

    def parts(self, node, number):
        (i, *_), difference = node.inputs, self.x[number] - self.r[number]
        p, n = self.p[i], self.n[i]
        if node.kind in ("conv", "dense"):
            d, matrix = self.x[i] - self.r[i], matrix_of(node, self.x[i].shape)
            up, down, plus, minus = np.maximum(d, 0), np.minimum(d, 0), np.maximum(matrix, 0), np.minimum(matrix, 0)
            return times(plus, up) + times(minus, down), times(plus, down) + times(minus, up)
        if node.kind == "bn":
            scale = node.weights["gamma"] / np.sqrt(node.weights["variance"] + 1e-3)
            return np.where(scale > 0, p, n) * scale, np.where(scale > 0, n, p) * scale
        if node.kind == "activation":
            if self.reveals(number):
                p, n = (np.where(abs(v) < 0.5e-7, v + np.where(v < 0, -1e-7, 1e-7), v) for v in (p, n))
            plus, minus = self.slopes(number)
            return plus * p, minus * n
        if node.kind in ("max_pool", "global_max"):
            if self.maxpool == "gradient":
                return 0 * difference, 0 * difference
            return np.maximum(difference, 0), np.minimum(difference, 0)
        if node.kind == "add":
            return sum(self.p[i] for i in node.inputs), sum(self.n[i] for i in node.inputs)
        if node.kind == "concatenate":
            return tuple(np.concatenate([v[i] for i in node.inputs], axis=-1) for v in (self.p, self.n))
        matrix = matrix_of(node, self.x[i].shape)
        return times(matrix, p), times(matrix, n)

    def reveals(self, number):
        if self.rule != "deeplift_genomics":
            return self.rule == "deeplift_revealcancel"
        kinds, waiting = [], list(self.nodes[number].inputs)
        while waiting:
            node = self.nodes[waiting.pop()]
            if node.kind in ("conv", "dense"):
                kinds.append(node.kind)
            else:
                waiting.extend(node.inputs)
        return set(kinds) == {"dense"}

    def slopes(self, number):
        """dy+/dx+ and dy-/dx- of an activation."""
        (i,) = self.nodes[number].inputs
        f, derivative = FUNCTIONS[self.nodes[number].settings["function"]]
        x, r, p, n = self.x[i], self.r[i], self.p[i], self.n[i]
        if self.reveals(number):
            p, n = (np.where(abs(v) < 0.5e-7, v + np.where(v < 0, -1e-7, 1e-7), v) for v in (p, n))
            plus = (f(r + p) - f(r) + f(r + n + p) - f(r + n)) / 2
            minus = (f(r + n) - f(r) + f(r + p + n) - f(r + p)) / 2
            return plus / p, minus / n
        near = abs(x - r) < 1e-7
        slope = np.where(near, derivative(r), (f(x) - f(r)) / np.where(near, 1, x - r))
        return slope, slope

    def multipliers(self, target):
        plus = [np.zeros_like(v) for v in self.x]
        minus = [np.zeros_like(v) for v in self.x]
        plus[-1][target] = minus[-1][target] = 1
        for number in range(len(self.nodes) - 1, 0, -1):
            for i, p, n in self.backward(number, plus[number], minus[number]):
                plus[i] += p
                minus[i] += n
        return plus[0], minus[0]

    def backward(self, number, plus, minus):
        node = self.nodes[number]
        i = node.inputs[0]
        if node.kind in ("conv", "dense"):
            d, matrix = self.x[i] - self.r[i], matrix_of(node, self.x[i].shape)
            positive, negative = np.maximum(matrix, 0), np.minimum(matrix, 0)
            m = np.where(
                d > 0,
                back(positive, plus) + back(negative, minus),
                np.where(d < 0, back(negative, plus) + back(positive, minus), back(matrix, (plus + minus) / 2)),
            )
            return [(i, m, m)]
        if node.kind == "bn":
            scale = node.weights["gamma"] / np.sqrt(node.weights["variance"] + 1e-3)
            return [(i, np.where(scale > 0, plus, minus) * scale, np.where(scale > 0, minus, plus) * scale)]
        if node.kind == "activation":
            up, down = self.slopes(number)
            return [(i, plus * up, minus * down)]
        if node.kind in ("max_pool", "global_max"):
            return [(i, *self.through_pool(node, number, plus, minus))]
        if node.kind == "add":
            return [(i, plus, minus) for i in node.inputs]
        if node.kind == "concatenate":
            cuts = np.cumsum([self.x[i].shape[-1] for i in node.inputs])[:-1]
            return list(zip(node.inputs, np.split(plus, cuts, axis=-1), np.split(minus, cuts, axis=-1), strict=True))
        matrix = matrix_of(node, self.x[i].shape)
        return [(i, back(matrix, plus), back(matrix, minus))]

    def through_pool(self, node, number, plus, minus):
        (i,) = node.inputs
        x, r = self.x[i], self.r[i]
        into = np.zeros((2, *x.shape))
        change = np.atleast_2d(self.x[number] - self.r[number])
        for row, window in enumerate(self.pool_windows(node, len(x))):
            for channel in range(x.shape[1]):
                m = np.array([np.atleast_2d(plus)[row, channel], np.atleast_2d(minus)[row, channel]])
                at_x = window[np.argmax(x[window, channel])]
                at_r = window[np.argmax(r[window, channel])]
                if self.maxpool == "gradient":
                    into[:, at_x, channel] += m
                    continue
                delta = change[row, channel]
                both = m[0] if delta > 0 else m[1] if delta < 0 else m.mean()
                # of a rise all belongs to where x is highest, of a fall all to where the reference was
                place = at_x if delta > 0 else at_r
                difference = x[place, channel] - r[place, channel]
                if abs(difference) >= 1e-7:
                    into[:, place, channel] += both * delta / difference
        return into


def plain_deeplift(nodes, x, references, rule, maxpool, target):
    """Contributions and hypothetical (L, 4), parts (L,), the convergence delta of one sequence; and its output."""
    contributions, hypothetical, positive, negative, change = [], [], [], [], []
    for reference in references.astype(float):
        run = Plain(nodes, x.astype(float), reference, rule, maxpool)
        plus, minus = run.multipliers(target)
        difference = x - reference
        contributions.append((plus + minus) / 2 * difference)
        positive.append((plus * np.maximum(difference, 0)).sum(axis=1))
        negative.append((minus * np.minimum(difference, 0)).sum(axis=1))
        m = (plus + minus) / 2
        hypothetical.append([[m_l @ (base - r_l) for base in np.eye(4)] for m_l, r_l in zip(m, reference, strict=True)])
        change.append(run.x[-1][target] - run.r[-1][target])
    means = [np.mean(each, axis=0) for each in (contributions, hypothetical, positive, negative)]
    return [*means, means[0].sum() - np.mean(change)], run.x[-1][target]


NETS = {"basset_like": basset_like, "every_convolution": every_convolution, "branches": branches, "odds": odds}


@pytest.fixture
def op_by_op():
    """Run without compiling, which for networks this small takes much longer than running."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def outputs_of(model, x):
    return model(x, training=False).numpy()


def check_against_plain(net, rule, maxpool, x, references):
    """Hold ours to the plain implementation; return the largest contribution of the sequence where that is least."""
    ours = attribute(net.model(), x, rule, target=[1, 0], references=references, maxpool=maxpool)
    found = (ours.contributions, ours.hypothetical, ours.positive, ours.negative, ours.convergence_delta)
    smallest = np.inf
    for row, (number, target) in itertools.product(range(len(x)), enumerate((1, 0))):
        expected, output = plain_deeplift(net.nodes, x[row], references[row], rule, maxpool, target)
        largest = abs(expected[0]).max()
        smallest = min(smallest, largest)
        for mine, theirs in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_allclose(mine[number, row], theirs, rtol=0, atol=1e-5 * largest)
        # the delta is a difference of outputs, which float32 gives to their own size
        np.testing.assert_allclose(found[4][number, row], expected[4], rtol=0, atol=1e-5 * max(largest, abs(output)))
        if maxpool == "rescale":
            assert abs(expected[4]) < 1e-6 * max(largest, abs(output))
    return smallest


@pytest.mark.parametrize("maxpool", ["rescale", "gradient"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETS)
def test_equals_a_plain_implementation(name, rule, maxpool, op_by_op):
    assert check_against_plain(NETS[name](), rule, maxpool, *sequences()) > 1e-2


def test_compiled_equals_a_plain_implementation():
    assert check_against_plain(basset_like(seed=3), "deeplift_genomics", "rescale", *sequences()) > 1e-2


# an exponential of an exponential multiplies what float32 rounds, and logarithms need arguments above -1
FUNCTION = st.sampled_from(sorted(set(FUNCTIONS) - {"exponential", "log1p"}))
BLOCK = st.fixed_dictionaries(
    {
        "size": st.integers(2, 5),
        "strides": st.integers(1, 2),
        "bn": st.booleans(),
        "functions": st.tuples(FUNCTION, FUNCTION),
        "shape": st.sampled_from(["chain", "residual", "branches"]),
        "dilation_rate": st.integers(1, 2),
        "groups": st.integers(1, 2),
        "pool": st.sampled_from(["none", "max", "average", "overlapping"]),
    }
)
HEAD = st.tuples(st.booleans(), FUNCTION)


def network_of(seed, blocks, heads):
    """Blocks of convolution and activation, maybe residual or in two branches, maybe pooled; then dense layers."""
    net = Net(seed)
    for block in blocks:
        start = net.conv(4, block["size"], padding="same", strides=block["strides"])
        if block["bn"]:
            net.bn()
        inner = net.act(block["functions"][0])
        if block["shape"] == "residual":
            end = net.conv(4, 3, padding="same", dilation_rate=block["dilation_rate"], groups=block["groups"])
            net.add(layers.Add(), "add", start, end)
        elif block["shape"] == "branches":
            other = net.conv(3, 3, start, padding="causal", activation=block["functions"][1])
            net.add(layers.Concatenate(), "concatenate", inner, other)
        if block["pool"] == "average":
            net.average(2, padding="same")
        elif block["pool"] != "none":
            net.pool(3, 2 if block["pool"] == "overlapping" else 3, padding="same")
    net.flatten()
    for bn, function in heads:
        net.dense(5)
        if bn:
            net.bn()
        net.act(function)
    net.dense(2)
    return net


def without_ties(seed, n=2):
    """Sequences of which any three bases in a row differ, and references of fractions.

    In small networks windows that hold the same bases give differences that cancel, and maxima that are equal, to the
    last digit; there the rules jump, and rounding decides.
    """
    rng = np.random.default_rng(seed)
    bases = np.zeros((n, LENGTH), np.uint8)
    for row, place in itertools.product(bases, range(LENGTH)):
        row[place] = rng.choice(np.setdiff1d(np.arange(4 + (place % 9 == 8)), row[max(place - 2, 0) : place]))
    return one_hot(bases), rng.dirichlet(np.ones(4), (n, 3, LENGTH)).astype(np.float32)


# without shrinking, which takes minutes here: an example that fails is small enough to read
PHASES = (hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate)


@hypothesis.settings(max_examples=30, derandomize=True, phases=PHASES)
@hypothesis.given(
    st.integers(0, 10_000),
    st.lists(BLOCK, min_size=1, max_size=2),
    st.lists(HEAD, min_size=1, max_size=2),
    st.sampled_from(RULES),
    st.sampled_from(["rescale", "gradient"]),
)
def test_any_network_equals_a_plain_implementation(seed, blocks, heads, rule, maxpool):
    x, references = without_ties(seed)
    tf.config.run_functions_eagerly(True)
    try:
        check_against_plain(network_of(seed, blocks, heads), rule, maxpool, x, references)
    finally:
        tf.config.run_functions_eagerly(False)


NAMES = (
    *("sigmoid", "log_sigmoid", "tanh", "softplus", "squareplus", "gelu", "silu", "mish", "exponential"),
    *("relu", "leaky_relu", "relu6", "elu", "selu", "celu", "softsign", "hard_sigmoid", "hard_silu", "hard_tanh"),
)
#: Everything that acts on single numbers, made for a dtype.
ACTIVATIONS = {
    **{name: lambda dtype, name=name: layers.Activation(name, dtype=dtype) for name in NAMES},
    **{
        f"keras.ops.{name}": lambda dtype, name=name: getattr(keras.ops, name)
        for name in NAMES
        if hasattr(keras.ops, name)
    },
    "ReLU": lambda dtype: layers.ReLU(negative_slope=0.3, dtype=dtype),
    "ReLU up to 2": lambda dtype: layers.ReLU(max_value=2, dtype=dtype),
    "LeakyReLU": lambda dtype: layers.LeakyReLU(0.1, dtype=dtype),
    "PReLU": lambda dtype: layers.PReLU(keras.initializers.Constant(0.4), dtype=dtype),
    "ELU": lambda dtype: layers.ELU(0.5, dtype=dtype),
    "tf.nn.softplus": lambda dtype: layers.Activation(tf.nn.softplus, dtype=dtype),
    "ops.exp": lambda dtype: keras.ops.exp,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_of_activations_keep_their_digits(name, op_by_op):
    """Unit k sees base k: its contribution, over the step of its input, is the slope, however short the step.

    Steps and starts are multiples of 2 ** -20 below 8, which float32 adds without rounding.
    """
    n, rng = 240, np.random.default_rng(1)
    step = np.ceil(np.geomspace(2e-6, 4, n) * 2**20) / 2**20 * rng.choice([-1, 1], n)
    # some starts lie so near a kink that the step crosses it
    kinks = rng.choice([0, 0, -3, -1, 1, 2, 3], n)
    start = np.where(rng.random(n) < 0.5, np.round(rng.uniform(-3.5, 3.5, n) * 2**20) / 2**20, kinks)
    start -= np.where(rng.random(n) < 0.5, np.round(step / 3 * 2**20) / 2**20, 0)
    inputs = keras.Input((n, 4))
    hidden, last = layers.Dense(n), layers.Dense(1)
    model = keras.Model(inputs, last(ACTIVATIONS[name]("float32")(hidden(layers.Flatten()(inputs)))))
    kernel = np.zeros((n, 4, n))
    kernel[np.arange(n), 0, np.arange(n)] = step
    hidden.set_weights([kernel.reshape(4 * n, n), start])
    last.set_weights([np.ones((n, 1)), np.zeros(1)])
    found = attribute(model, one_hot("A" * n), "deeplift_rescale", references="zeros").scores[0] / step
    exact = ACTIVATIONS[name]("float64")
    before, after = (exact(tf.constant(at[None], tf.float64)).numpy()[0] for at in (start, start + step))
    slope = (after - before) / step
    np.testing.assert_allclose(found, slope, rtol=5e-6, atol=5e-6)


FLOATS = st.floats(0, 1, width=32)


@hypothesis.settings(max_examples=200)
@hypothesis.given(FLOATS, FLOATS, st.booleans(), st.floats(-6, 0))
def test_exponential_and_logarithm_keep_their_digits_over_many_powers_of_ten(a, b, is_near, shortening):
    for function, change, numbers, exact in (
        (tf.exp, exp_change, lambda u: 100 * u - 60, np.exp),
        (tf.math.log1p, log1p_change, lambda u: 10 ** (24 * u - 12) - 1e-12, np.log1p),
    ):
        start, end = np.float32(numbers(a)), np.float32(numbers(b))
        if is_near:
            end = np.float32(start + (end - start) * 10**shortening)
        step = np.float32(end - start)
        hypothesis.assume(abs(step) > 1e-7)
        slope = Nonlinearity(function, change=change).slope(*(tf.constant([x]) for x in (start, step, end)))
        expected = (exact(np.float64(end)) - exact(np.float64(start))) / (np.float64(end) - np.float64(start))
        np.testing.assert_allclose(slope, [expected], rtol=2e-5)


def test_revealcancel_of_a_sum_that_would_lose_its_smaller_part():
    """log(1 + 1e8 a + b) where a goes and b comes: each is given half of what it changes with and without the other."""
    inputs = keras.Input((2, 4))
    dense, last = layers.Dense(1), layers.Dense(1)
    model = keras.Model(inputs, last(keras.ops.log1p(dense(layers.Flatten()(inputs)))))
    kernel = np.zeros((8, 1))
    kernel[0], kernel[5] = 1e8, 3.0  # A at the first base, C at the second
    dense.set_weights([kernel, np.zeros(1)])
    last.set_weights([np.ones((1, 1)), np.zeros(1)])
    result = attribute(model, one_hot(["CC"]), "deeplift_revealcancel", references=one_hot(["AA"])[None])
    gone, come = np.log(1e8) / 2 + (np.log(1e8) - np.log(4)) / 2, np.log(4) / 2
    np.testing.assert_allclose(result.scores.sum(), np.log(4) - np.log(1e8), rtol=1e-6)
    np.testing.assert_allclose(result.negative[0].sum(), -gone, rtol=1e-5)
    np.testing.assert_allclose(result.positive[0].sum(), come, rtol=1e-5)


# ways to write the same network


def nested(flat):
    """The layers of `basset_like`, split into models within models; and some as operations on tensors."""
    first = keras.Sequential([keras.Input((LENGTH, 4)), *flat.layers[1:5]])
    inputs = keras.Input(first.output_shape[1:])
    middle = inputs
    for layer in flat.layers[5:9]:
        middle = keras.ops.relu(middle) if isinstance(layer, layers.Activation) else layer(middle)
    outer = keras.Input((LENGTH, 4))
    outputs = keras.Model(inputs, middle)(first(outer))
    for layer in flat.layers[9:]:
        outputs = layers.ReLU()(outputs) if isinstance(layer, layers.Activation) else layer(outputs)
    return keras.Model(outer, outputs)


@pytest.mark.parametrize("rule", RULES)
def test_nested_models_and_operations_are_the_layers_they_hold(rule, op_by_op):
    flat = basset_like().model()
    x, references = sequences()
    expected = attribute(flat, x, rule, references=references)
    found = attribute(nested(flat), x, rule, references=references)
    for mine, theirs in zip(found, expected, strict=True):
        if theirs is None:  # what other methods have
            assert mine is None
            continue
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6 * abs(expected.contributions).max())


def test_a_shared_layer_counts_at_each_place(op_by_op):
    """f = w.relu(h(x)) + w.relu(h(h(x))) with one dense layer h twice in the graph."""
    inputs = keras.Input((3, 4))
    shared, last = layers.Dense(4), layers.Dense(1)
    once = shared(inputs)
    total = layers.Add()([layers.ReLU()(once), layers.ReLU()(shared(once))])
    model = keras.Model(inputs, last(layers.Flatten()(total)))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    clones = [layers.Dense(4), layers.Dense(4)]
    first = clones[0](inputs)
    total = layers.Add()([layers.ReLU()(first), layers.ReLU()(clones[1](first))])
    apart = keras.Model(inputs, last(layers.Flatten()(total)))
    for clone in clones:
        clone.set_weights(shared.get_weights())
    x, references = one_hot(["ACG", "TTA"]), rng.random((2, 3, 4)).astype(np.float32)
    for rule in RULES:
        expected = attribute(apart, x, rule, references=references)
        np.testing.assert_allclose(attribute(model, x, rule, references=references).scores, expected.scores, rtol=1e-5)
        assert abs(expected.convergence_delta).max() < 1e-5


def test_a_sigmoid_inside_the_last_layer_is_taken_off(op_by_op):
    net = basset_like(seed=4)
    flat, x, references = net.model(), *sequences()
    fused = layers.Dense(2, "sigmoid")
    ending = keras.Model(flat.input, fused(flat.layers[-1].input))
    fused.set_weights(flat.layers[-1].get_weights())
    expected = attribute(flat, x, "deeplift_genomics", references=references)
    found = attribute(ending, x, "deeplift_genomics", references=references)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    probability = attribute(ending, x, "deeplift_rescale", references=references, output="probability")
    change = outputs_of(ending, x)[:, 0] - [outputs_of(ending, r)[:, 0].mean() for r in references]
    np.testing.assert_allclose(probability.scores.sum(axis=1), change, atol=1e-6)


# peers


@pytest.mark.filterwarnings("ignore:Your TensorFlow version is newer:UserWarning:shap")
@pytest.mark.filterwarnings("ignore:.*The structure of `inputs` doesn't match:UserWarning:keras")
def test_rescale_equals_shap():
    shap = pytest.importorskip("shap")
    net = basset_like(seed=6)

    def explain(x, references):
        return shap.DeepExplainer(net.model(), references).shap_values(x[None], check_additivity=False)[0, ..., 1]

    check_against_peer(net, explain, 1e-5)


# promises


@pytest.mark.parametrize("rule", RULES)
def test_parts_and_hypothetical_add_up(rule, op_by_op):
    x, references = sequences(n=4)
    model = branches().model()
    result = attribute(model, x, rule, references=references)
    tolerance = 1e-5 * abs(result.scores).max()
    np.testing.assert_allclose(result.positive + result.negative, result.scores, atol=tolerance)
    # at the observed base the hypothetical contribution is the score
    observed = (result.hypothetical * x).sum(axis=2)
    np.testing.assert_allclose(observed, np.where(x.any(axis=2), result.scores, 0), atol=tolerance)
    change = outputs_of(model, x)[:, 0] - [outputs_of(model, r)[:, 0].mean() for r in references]
    np.testing.assert_allclose(result.scores.sum(axis=1), change, atol=10 * tolerance)
    assert abs(result.convergence_delta).max() < 10 * tolerance


def test_the_original_pooling_rule_says_how_far_it_is_off(op_by_op):
    x, references = sequences(n=4)
    model = basset_like().model()
    result = attribute(model, x, "deeplift_rescale", references=references, maxpool="gradient")
    change = outputs_of(model, x)[:, 0] - [outputs_of(model, r)[:, 0].mean() for r in references]
    off = result.scores.sum(axis=1) - change
    assert abs(off).max() > 0.01
    np.testing.assert_allclose(result.convergence_delta, off, atol=1e-5)


def test_neither_batches_nor_order_play_a_part():
    x, references = sequences(n=7)
    model = basset_like().model()
    whole = attribute(model, x, "deeplift_genomics", references=references)
    single = attribute(model, x[::-1], "deeplift_genomics", references=references[::-1], batch_size=4)
    np.testing.assert_allclose(single.contributions[::-1], whole.contributions, atol=1e-6)
    empty = attribute(model, x[:0], "deeplift_genomics", references=references[:0], target=[0, 1])
    assert empty.contributions.shape == (2, 0, LENGTH, 4)


def test_the_order_of_channels_plays_no_part(op_by_op):
    """The same network over T, A, G, C gives the same to the same base."""
    x, references = sequences()
    order = [3, 0, 2, 1]
    net = branches()
    expected = attribute(net.model(), x, "deeplift_genomics", references=references)
    (first,) = (layer for layer in net.model().layers if isinstance(layer, layers.Conv1D) and layer.input.shape[2] == 4)
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, order], bias])
    found = attribute(net.model(), x[..., order], "deeplift_genomics", references=references[..., order])
    tolerance = 1e-6 * abs(expected.contributions).max()
    np.testing.assert_allclose(found.contributions, expected.contributions[..., order], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.hypothetical, expected.hypothetical[..., order], rtol=0, atol=tolerance)


def test_compiles_once_and_sees_new_weights(monkeypatch):
    from simbench_tf.attribution.deeplift.steps import ForwardPass

    traces = []
    build = ForwardPass.__init__
    monkeypatch.setattr(ForwardPass, "__init__", lambda self, *args: (traces.append(1), build(self, *args))[1])
    x, references = sequences(n=4)
    model = basset_like().model()
    first = attribute(model, x, "deeplift_rescale", references=references).scores
    attribute(model, x, "deeplift_rescale", references=references, target=[1, 0])
    model.layers[-1].set_weights([2 * weight for weight in model.layers[-1].get_weights()])
    doubled = attribute(model, x[:3], "deeplift_rescale", references=references[:3]).scores
    assert len(traces) == 1
    np.testing.assert_allclose(doubled, 2 * first[:3], rtol=1e-4, atol=1e-6)


@pytest.fixture
def compiled_shapes(monkeypatch):
    """Sequences and references, for each time that DeepLIFT is compiled."""
    from simbench_tf.attribution.deeplift.steps import ForwardPass

    shapes = []
    build = ForwardPass.__init__

    def noting(self, steps, one_hot, references):
        shapes.append(tuple(references.shape[:2]))
        build(self, steps, one_hot, references)

    monkeypatch.setattr(ForwardPass, "__init__", noting)
    return shapes


def rescale(model, x, references):
    return attribute(model, x, "deeplift_rescale", references=references[:, :1], batch_size=16).scores


def test_one_compiled_graph_a_shape_and_no_retracing(compiled_shapes, caplog):
    """Whatever number of sequences comes, few shapes are compiled, each once, and TensorFlow has nothing to say."""
    x, references = sequences(n=9)
    model = basset_like().model()
    found = [rescale(model, x[:n], references[:n]) for _ in range(2) for n in range(1, 10)]
    for scores in found:
        np.testing.assert_allclose(scores, found[-1][: len(scores)], rtol=0, atol=1e-6 * abs(found[-1]).max())
    assert compiled_shapes == [(1, 1), (2, 1), (4, 1), (8, 1)]
    assert "retracing" not in caplog.text


def test_what_is_compiled_is_taken_for_fewer(compiled_shapes):
    x, references = sequences(n=9)
    model = basset_like().model()
    expected = rescale(model, x, references)
    for n in (3, 1, 8, 5):
        found = rescale(model, x[:n], references[:n])
        np.testing.assert_allclose(found, expected[:n], rtol=0, atol=1e-6 * abs(expected).max())
    assert compiled_shapes == [(8, 1)], "nine are two pieces of one size"
    attribute(model, x[:2], "deeplift_rescale", references=references[:2, :2], batch_size=16)
    assert compiled_shapes[1:] == [(2, 2)], "other references are another shape"


# the examples of the paper


def toy(hidden, last, bias):
    """One hidden layer of ReLU over the flattened input of two positions, of which only channel A is read."""
    n_hidden = len(hidden[0])
    model = keras.Sequential([keras.Input((2, 4)), layers.Flatten(), layers.Dense(n_hidden, "relu"), layers.Dense(1)])
    kernel = np.zeros((8, n_hidden))
    kernel[[0, 4]] = hidden
    model.set_weights([kernel, np.array(bias[0]), np.array(last)[:, None], np.array(bias[1:])])
    return model


def test_saturation_hides_from_gradients_and_not_from_deeplift():
    """y = min(x1 + x2, 1) = 1 - relu(1 - x1 - x2) at x1 = x2 = 1 (figure 1): gradients, substitutions see nothing."""
    model, x = toy([[-1.0], [-1.0]], [-1.0], [[1.0], 1.0]), one_hot("AA")
    assert outputs_of(model, x).item() == 1
    assert attribute(model, x, "grad_x_input").scores.tolist() == [[0, 0]]
    assert attribute(model, x, "ism").scores.tolist() == [[0, 0]]
    for rule in RULES:
        np.testing.assert_allclose(attribute(model, x, rule, references="zeros").scores, [[0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize(("i1", "i2"), [(3.0, 2.0), (10.0, 1.0), (2.0, 5.0)])
def test_revealcancel_shares_a_minimum_among_both_inputs(i1, i2):
    """min(i1, i2) = i1 - relu(i1 - i2) (section 3.5 of the paper): Rescale gives all of it to the smaller input."""
    model, x = toy([[i1, i1], [-i2, 0.0]], [-1.0, 1.0], [[0.0, 0.0], 0.0]), one_hot("AA")
    smaller = min(i1, i2)
    alone = [[smaller, 0] if i1 < i2 else [0, smaller]]
    np.testing.assert_allclose(attribute(model, x, "grad_x_input").scores, alone, atol=1e-6)
    np.testing.assert_allclose(attribute(model, x, "deeplift_rescale", references="zeros").scores, alone, atol=1e-6)
    for rule in RULES[1:]:
        shared = attribute(model, x, rule, references="zeros")
        np.testing.assert_allclose(shared.scores, [[smaller / 2, smaller / 2]], rtol=1e-5)
        np.testing.assert_allclose(shared.positive, shared.scores, rtol=1e-6)


# what has no rule


WITHOUT_RULE = {
    "LSTM": layers.LSTM(3, return_sequences=True),
    "Lambda": layers.Lambda(lambda z: z * z),
    "'<lambda>'": layers.Conv1D(3, 3, activation=lambda z: z * z),
    "threshold": layers.ReLU(threshold=0.5),
    "Embedding": layers.Embedding(2, 3),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", WITHOUT_RULE)
def test_a_layer_without_a_rule_is_named(kind, rule):
    inputs = keras.Input((8, 4))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(WITHOUT_RULE[kind](inputs))))
    with pytest.raises(InputError, match=rf"layer '\w+': DeepLIFT has no rule for .*{kind}.*; rebuild the model"):
        attribute(model, one_hot("ACGTACGT"), rule, references="zeros")


def test_settings_are_checked():
    model = basset_like().model()
    with pytest.raises(InputError, match="maxpool"):
        attribute(model, one_hot(["A" * LENGTH]), "deeplift_rescale", maxpool="mean")
