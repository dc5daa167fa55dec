"""Attribution methods: values worked out by hand, axioms, and that nothing but the sequence itself plays a part."""

import gc
import weakref

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from distributed.system import MEMORY_LIMIT
from keras import layers

from helpers.models import close, random_bases, with_weights
from simbench_tf.attribution import Parts, attribute, register_method
from simbench_tf.attribution.batch_size import bytes_of_outputs, device_memory, fitting_batch_size, machine_memory
from simbench_tf.attribution.gradients import _mean_gradient_at, _normal, linear_point, shuffle_point
from simbench_tf.attribution.network import _gradients, open_network, padded_size
from simbench_tf.attribution.references import content_index, make_references, parse_references
from simbench_tf.attribution.registry import _METHODS
from simbench_tf.dna import bases_of_one_hot, one_hot
from simbench_tf.errors import InputError

LENGTH = 60


def conv_net(length=LENGTH, n_tasks=2, ending="activation"):
    """Build a Basset in small: two blocks of convolution, batch normalisation, ReLU, pooling; then dense."""
    inputs = keras.Input((length, 4))
    x = inputs
    for filters, width in ((16, 7), (16, 5)):
        x = layers.Conv1D(filters, width)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling1D(3)(x)
    x = layers.Dropout(0.3)(layers.Dense(32, "relu")(layers.Flatten()(x)))
    if ending == "fused":
        outputs = layers.Dense(n_tasks, "sigmoid")(x)
    else:
        outputs = layers.Dense(n_tasks)(x)
        if ending == "activation":
            outputs = layers.Activation("sigmoid", dtype="float32")(outputs)
        elif ending == "operation":
            outputs = keras.ops.sigmoid(outputs)
    return with_weights(keras.Model(inputs, outputs), seed=1)


def linear_model(weights, activation=None):
    """f(x) = sum of weights (L, 4, T) times x, plus .5."""
    length, _, n_tasks = weights.shape
    stack = [keras.Input((length, 4)), layers.Flatten(), layers.Dense(n_tasks, activation)]
    model = keras.Sequential(stack)
    model.set_weights([weights.reshape(-1, n_tasks), np.full(n_tasks, 0.5)])
    return model


@pytest.fixture(scope="module")
def net():
    return conv_net()


@pytest.fixture(scope="module")
def x():
    bases = random_bases(5, LENGTH)
    bases[2, 10:14] = 4
    return one_hot(bases)


WEIGHTS = np.random.default_rng(9).normal(size=(LENGTH, 4, 2)).astype(np.float32)
ALL = [
    ("saliency", None, {}),
    ("grad_x_input", None, {}),
    ("integrated_gradients", "zeros", {"n_steps": 8}),
    ("integrated_gradients", "shuffle:3", {"n_steps": 8}),
    ("integrated_gradients", "shuffle:3", {"n_steps": 8, "path": "shuffle"}),
    ("expected_gradients", "shuffle:3", {"n_samples": 4}),
    ("smoothgrad", None, {"n_samples": 3}),
    ("gradcam", None, {}),
    ("gradcam_channel", None, {"layer": "first"}),
    ("grad_x_activation", None, {}),
    ("ism", None, {}),
]


# values worked out by hand


def test_gradients_of_a_linear_model_are_its_weights(x):
    result = attribute(linear_model(WEIGHTS, "sigmoid"), x, "grad_x_input", target=1)
    close(result.hypothetical, np.broadcast_to(WEIGHTS[:, :, 1], x.shape))
    close(result.contributions, WEIGHTS[:, :, 1] * x)
    close(result.scores, (WEIGHTS[:, :, 1] * x).sum(axis=2))
    largest = attribute(linear_model(WEIGHTS, "sigmoid"), x, "saliency", target=1).scores
    close(largest, np.abs(WEIGHTS[:, :, 1]).max(axis=1) * x.any(axis=2))


def test_gradients_of_a_square_and_of_a_sigmoid():
    """f = (w.x)^2 has the gradient 2 (w.x) w; s(w.x) has s (1 - s) w."""
    w = np.array([[1.0, 2, 3, 4], [0.5, 0, -1, 2], [3, 1, 1, 0]], np.float32)
    x = one_hot("CTA")  # w.x = 2 + 2 + 3
    inputs = keras.Input((3, 4))
    dot = layers.Dense(1, use_bias=False)
    total = layers.Flatten()(inputs)
    square = keras.Model(inputs, layers.Activation("linear")(keras.ops.square(dot(total))))
    dot.set_weights([w.reshape(12, 1)])
    close(attribute(square, x).scores, [[2 * 7 * 2, 2 * 7 * 2, 2 * 7 * 3]])
    corrected = attribute(square, x, correct=True)
    close(corrected.hypothetical, 14 * (w - w.mean(axis=1, keepdims=True))[None])
    probability = attribute(linear_model(w[:, :, None], "sigmoid"), x, output="probability")
    s = 1 / (1 + np.exp(-7.5))
    close(probability.hypothetical, (s * (1 - s) * w)[None], atol=1e-7)


def test_integrated_gradients_of_a_square_are_its_closed_form():
    """For f = (w.x)^2 from r: the mean gradient is (w.x + w.r) w, exact with midpoints for any number of steps."""
    rng = np.random.default_rng(3)
    w, x = rng.normal(size=(5, 4)).astype(np.float32), one_hot("GATTC")
    references = rng.random((3, 5, 4)).astype(np.float32)
    inputs = keras.Input((5, 4))
    dot = layers.Dense(1, use_bias=False)
    outputs = keras.ops.square(dot(layers.Flatten()(inputs)))
    model = keras.Model(inputs, layers.Activation("linear")(outputs))
    dot.set_weights([w.reshape(20, 1)])
    result = attribute(model, x, "integrated_gradients", references=references, n_steps=3)
    multipliers = ((w * x[0]).sum() + (w * references).sum(axis=(1, 2)))[:, None, None] * w
    close(result.contributions[0], (multipliers * (x[0] - references)).mean(axis=0))
    for c in range(4):
        swapped = np.eye(4)[c]
        close(result.hypothetical[0, :, c], (multipliers * (swapped - references)).sum(axis=2).mean(axis=0))
    close(result.convergence_delta, [0.0], atol=1e-4)


@pytest.mark.parametrize("path", ["linear", "shuffle"])
def test_integrated_gradients_of_a_linear_model_are_weights_times_difference(x, path):
    result = attribute(linear_model(WEIGHTS), x, "integrated_gradients", references="shuffle:4", path=path, n_steps=5)
    references = make_references(parse_references("shuffle:4"), bases_of_one_hot(x))
    close(result.contributions, (WEIGHTS[:, :, 0] * (x[:, None] - references)).mean(axis=1))
    close(result.convergence_delta, np.zeros(len(x)), atol=1e-4)


def test_ism_of_a_linear_model_is_its_weights_differences():
    bases = random_bases(3, LENGTH)
    result = attribute(linear_model(WEIGHTS), one_hot(bases), "ism")
    w = WEIGHTS[:, :, 0]
    others = (w.sum(axis=1, keepdims=True) - w) / 3
    close(result.hypothetical, np.broadcast_to(w - others, (3, LENGTH, 4)), atol=1e-4)
    observed = np.take_along_axis(w - others, bases.T.astype(int), axis=1).T
    close(result.scores, observed, atol=1e-4)


# axioms and plain implementations


# between two real sequences the outputs differ less and the way crosses more kinks, so more steps are needed
@pytest.mark.parametrize(("references", "n_steps"), [("zeros", 200), ("frequency", 200), ("shuffle:2", 1000)])
def test_integrated_gradients_are_complete(net, x, references, n_steps):
    result = attribute(net, x, "integrated_gradients", references=references, n_steps=n_steps)
    network = open_network(net, LENGTH)
    made = make_references(parse_references(references), bases_of_one_hot(x))
    outputs = np.array([network.outputs(np.ascontiguousarray(made[:, r]))[0] for r in range(made.shape[1])])
    change = network.outputs(x)[0] - outputs.mean(axis=0)
    assert np.abs(change).min() > 0.05
    assert (np.abs(result.convergence_delta) < 0.01 * np.abs(change)).all()
    close(result.scores.sum(axis=1) - change, result.convergence_delta, atol=1e-5)


def test_convergence_delta_tells_of_too_few_steps(net, x):
    deltas = [
        np.abs(attribute(net, x, "integrated_gradients", n_steps=n).convergence_delta).mean() for n in (1, 10, 100)
    ]
    assert deltas[0] > 3 * deltas[1] > 9 * deltas[2]


def test_ism_equals_a_plain_loop(net, x):
    x = x[1:3]
    result = attribute(net, x, "ism", target=[1, 0], batch_size=64)

    def predict(sequences):
        return open_network(net, LENGTH, target=[1, 0]).outputs(sequences)

    before = predict(x)
    expected = np.zeros((2, *x.shape))
    for row, position in np.argwhere(x.any(axis=2)):
        mutants = np.repeat(x[row : row + 1], 4, axis=0)
        mutants[:, position] = np.eye(4)
        change = predict(mutants) - before[:, row, None]
        for c in range(4):
            expected[:, row, position, c] = change[:, c] - np.delete(change, c, axis=1).mean(axis=1)
    close(result.hypothetical, expected)
    close(result.contributions, expected * x)
    assert not result.hypothetical[:, 1, 10:14].any()


def test_integrated_gradients_equal_a_plain_loop(net, x):
    references = make_references(parse_references("shuffle:3"), bases_of_one_hot(x), random_state=5)
    alphas = (np.arange(6) + 0.5) / 6
    expected = np.zeros_like(x)
    for row in range(len(x)):
        for reference in references[row]:
            points = tf.constant(np.array([reference + a * (x[row] - reference) for a in alphas], np.float32))
            with tf.GradientTape() as tape:
                tape.watch(points)
                logits = keras.Model(net.input, net.layers[-1].input)(points, training=False)[:, 1]
            gradient = tape.gradient(logits, points).numpy().mean(axis=0)
            expected[row] += gradient * (x[row] - reference) / 3
    arguments = {"target": 1, "references": "shuffle:3", "random_state": 5, "n_steps": 6}
    close(attribute(net, x, "integrated_gradients", **arguments).contributions, expected)


@pytest.mark.parametrize(("method", "references", "settings"), ALL)
def test_hypothetical_at_the_observed_base_is_the_score(net, x, method, references, settings):
    result = attribute(net, x, method, references=references, **settings)
    np.testing.assert_allclose(result.contributions.sum(axis=2), result.scores, rtol=1e-6)
    if result.hypothetical is not None:
        observed = (result.hypothetical * x).sum(axis=2)
        close(observed[x.any(axis=2)], result.scores[x.any(axis=2)])
    assert not result.scores[~x.any(axis=2)].any()
    assert np.abs(result.scores).max() > 0.01


@pytest.mark.parametrize("method", ["integrated_gradients", "expected_gradients"])
def test_one_sequence_through_a_recurrent_layer_gets_what_it_gets_among_others(x, method):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(x.shape[1:])
    recurrent = keras.Model(inputs, layers.Dense(1)(layers.LSTM(4)(inputs)))
    alone, among = (attribute(recurrent, each, method, references="zeros").scores for each in (x[:1], x))
    assert np.abs(alone).max() > 1e-4
    close(alone, among[:1])


def test_correction_takes_the_channel_mean_from_gradients(net, x):
    plain, corrected = (attribute(net, x, correct=correct).hypothetical for correct in (False, True))
    close(corrected, plain - plain.mean(axis=2, keepdims=True))
    # between real sequences it changes no sum over a position, so completeness stays
    one, other = (
        attribute(net, x, "integrated_gradients", references="shuffle:2", correct=correct) for correct in (False, True)
    )
    close(one.scores, other.scores)
    assert np.abs(one.contributions - other.contributions).max() > 0.01


# the path of sequences


def test_points_of_the_shuffle_path_are_sequences_that_change_letter_by_letter():
    x, reference = one_hot(random_bases(2, 300, seed=1)), one_hot(random_bases(2, 300, seed=2))
    switch = np.random.default_rng(3).random((2, 300)).astype(np.float32)
    before = np.zeros((2, 300), bool)
    for alpha in np.linspace(0, 1, 11, dtype=np.float32):
        point = shuffle_point(alpha, tf.constant(x), tf.constant(reference), tf.constant(switch)).numpy()
        assert set(np.unique(point)) == {0.0, 1.0}
        assert (point.sum(axis=2) == 1).all()
        arrived = (point == x).all(axis=2)
        assert (arrived | ~before).all()
        assert ((point == reference).all(axis=2) | arrived).all()
        before = arrived
        # 600 positions: four standard deviations of the fraction that has switched
        assert abs((switch < alpha).mean() - alpha) <= 4 * np.sqrt(0.25 / 600)
    np.testing.assert_array_equal(shuffle_point(0.0, x, reference, switch).numpy(), reference)
    np.testing.assert_array_equal(shuffle_point(1.0, x, reference, switch).numpy(), x)
    np.testing.assert_array_equal(linear_point(0.25, x, reference), 0.75 * reference + 0.25 * x)


def test_shuffle_path_equals_a_plain_loop(net, x):
    """Only sequences are seen by the network, and each letter switches at its own number."""
    from simbench_tf.random_streams import uniforms

    x = x[:2]
    references = make_references(parse_references("shuffle:2"), bases_of_one_hot(x), random_state=3)
    draws = uniforms(3, "integrated_gradients path", content_index(bases_of_one_hot(x)), 2 * LENGTH)
    switch = draws.reshape(2, 2, LENGTH)
    network = open_network(net, LENGTH)
    expected = np.zeros_like(x)
    for row in range(2):
        for r in range(2):
            points = [
                np.where(switch[row, r, :, None] < a, x[row], references[row, r]) for a in (0.125, 0.375, 0.625, 0.875)
            ]
            gradient = network.gradients(np.array(points, np.float32))[0].mean(axis=0)
            expected[row] += gradient * (x[row] - references[row, r]) / 2
    arguments = {"references": "shuffle:2", "random_state": 3, "n_steps": 4, "path": "shuffle"}
    close(attribute(net, x, "integrated_gradients", **arguments).contributions, expected)


# what is explained of a model


@pytest.mark.parametrize("ending", ["activation", "fused", "operation", "linear", "nested"])
def test_every_ending_gives_the_same_logit_and_the_model_stays_as_it_was(net, x, ending):
    model = conv_net(ending="fused" if ending == "nested" else ending)
    weights, config, predicted = model.get_weights(), model.get_config(), model(x).numpy()
    whole = keras.Sequential([keras.Input((LENGTH, 4)), model]) if ending == "nested" else model
    for method, references, settings in ALL:
        expected = attribute(net, x, method, references=references, **settings)
        close(attribute(whole, x, method, references=references, **settings).contributions, expected.contributions)
    logits = open_network(whole, LENGTH, target=[0, 1]).outputs(x)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.T)), net(x), rtol=1e-5)
    assert model.get_config() == config
    np.testing.assert_array_equal(model(x), predicted)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_logits_follow_the_weights_of_the_model(x):
    model = conv_net(ending="fused")
    before = open_network(model, LENGTH).outputs(x)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([3 * kernel, 3 * bias])
    close(open_network(model, LENGTH).outputs(x), 3 * before)


def test_mixed_precision_is_explained_in_float32(x):
    inputs = keras.Input((LENGTH, 4))
    half = layers.Dense(1, dtype="mixed_bfloat16")(layers.Flatten(dtype="mixed_bfloat16")(inputs))
    model = keras.Model(inputs, layers.Activation("sigmoid", dtype="float32")(half))
    model.set_weights([WEIGHTS[:, :, :1].reshape(-1, 1), np.zeros(1)])
    result = attribute(model, x, "ism", fast=False)
    assert result.scores.dtype == np.float32
    # bfloat16 has eight bits: a sum of about 10 is known to some .03, and a weight to 1 in 256
    plain = attribute(linear_model(WEIGHTS), x, "ism")
    assert np.corrcoef(result.scores.ravel(), plain.scores.ravel())[0, 1] > 0.99
    gradient = attribute(model, x).hypothetical
    np.testing.assert_allclose(gradient, np.broadcast_to(WEIGHTS[:, :, 0], x.shape), rtol=1 / 128, atol=1e-3)


class Subclassed(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs, training=False):
        return self.inner(inputs, training=training)


def test_subclassed_models_are_explained_as_they_are(net, x):
    model = Subclassed(net)
    expected = attribute(net, x, output="probability", target=1)
    close(attribute(model, x, output="probability", target=1).scores, expected.scores)
    with pytest.raises(InputError, match='output="probability"'):
        attribute(model, x)
    with pytest.raises(InputError, match="not a functional"):
        _ = open_network(model, LENGTH, output="probability").graph


def functional(ending, *shapes):
    inputs = [keras.Input(shape) for shape in shapes or [(LENGTH, 4)]]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], ending(*inputs))


def flat_dense(x, activation=None, n_outputs=2):
    return layers.Dense(n_outputs, activation)(layers.Flatten()(x))


REFUSED = {
    "ends in Softmax": lambda: functional(lambda x: layers.Softmax()(flat_dense(x, n_outputs=3))),
    "activation softmax": lambda: functional(lambda x: flat_dense(x, "softmax", 3)),
    "returns its input": lambda: functional(layers.Flatten()),
    "1 inputs and 2 outputs": lambda: functional(lambda x: [flat_dense(x), flat_dense(x)]),
    "2 inputs and 1 outputs": lambda: functional(lambda x, y: flat_dense(layers.Add()([x, y])), *[(LENGTH, 4)] * 2),
    "input of shape": lambda: functional(flat_dense, (LENGTH, 5)),
    "output of shape": lambda: functional(layers.Dense(1)),
    "takes 59 bases": lambda: functional(flat_dense, (59, 4)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_other_models_are_refused_with_what_to_do(x, message):
    with pytest.raises(InputError, match=message) as caught:
        attribute(REFUSED[message](), x)
    assert caught.value.mend


def test_a_softmax_is_explained_as_it_is(x):
    model = keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), layers.Dense(3, "softmax")])
    total = attribute(model, x, target=[0, 1, 2], output="probability").hypothetical.sum(axis=0)
    close(total, np.zeros_like(x))


def test_a_model_that_is_no_longer_used_is_let_go(x):
    for ending in ("fused", "linear"):
        model = conv_net(ending=ending)
        attribute(model, x)
        alive = weakref.ref(model)
        del model
        gc.collect()
        assert alive() is None


def test_batches_have_few_sizes():
    sizes = {padded_size(n, 256) for n in range(1, 257)}
    assert sizes == {1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256}
    assert all(n <= padded_size(n, 7) <= 7 for n in range(8))
    assert {padded_size(n, 1) for n in range(2)} == {1}


def test_functions_are_traced_once(x):
    from simbench_tf.attribution.gradients import _mean_gradient
    from simbench_tf.attribution.mutagenesis.methods import _mutant_values

    net = conv_net()
    network = open_network(net, LENGTH)
    for n in (5, 3, 4, 5):
        for n_steps in (2, 3):
            attribute(net, x[:n], "integrated_gradients", target=n % 2, n_steps=n_steps, batch_size=4)
        attribute(net, x[:n], "ism", target=n % 2, batch_size=32, fast=False)
    # batches of 1, 3 and 4 rows
    assert network.compiled(_mean_gradient, "linear").experimental_get_tracing_count() <= 3
    assert 1 <= network.compiled(_mutant_values, 32).experimental_get_tracing_count() <= 2


def counting_passes():
    """A network that counts how often it is run forward."""

    class Counted(layers.Layer):
        def build(self, _shape):
            self.passes = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)

        def call(self, inputs):
            self.passes.assign_add(1)
            return inputs

    inputs = keras.Input((LENGTH, 4))
    counted = Counted()
    x = layers.Flatten()(layers.Conv1D(8, 5, activation="relu", name="convolution")(inputs))
    return keras.Model(inputs, layers.Dense(6, "sigmoid")(counted(x))), counted.passes


@pytest.mark.parametrize(
    ("method", "settings", "passes"),
    [
        ("grad_x_input", {}, 1),
        ("saliency", {}, 1),
        ("gradcam", {"layer": "convolution"}, 1),
        ("grad_x_activation", {"layer": "convolution"}, 1),
        ("smoothgrad", {"n_samples": 4}, 4),
        # one for each point of the path, and one each for the sequence and for its reference
        ("integrated_gradients", {"n_steps": 5}, 5 + 2),
        ("expected_gradients", {"references": "zeros", "n_samples": 3}, 3 + 2),
    ],
)
def test_all_targets_come_from_one_pass_forward(x, method, settings, passes):
    model, counter = counting_passes()
    single = [attribute(model, x[:4], method, target=target, **settings).contributions for target in (5, 0, 3)]
    counter.assign(0)
    together = attribute(model, x[:4], method, target=[5, 0, 3], **settings)
    assert int(counter.numpy()) == passes
    close(together.contributions, np.stack(single))


def test_batches_fit_the_memory():
    model = conv_net(length=400)
    outputs = bytes_of_outputs(model, 400)
    # input 400 x 4; 394 x 16 thrice, pooled 131 x 16; 127 x 16 thrice, pooled 42 x 16, flat; 32 twice, 2 twice
    assert outputs == 4 * (1600 + 3 * 394 * 16 + 131 * 16 + 3 * 127 * 16 + 2 * 42 * 16 + 2 * 32 + 2 * 2)
    sizes = [fitting_batch_size(model, 400, memory) for memory in (0, 8 * outputs, 15 * outputs, 16 * outputs, 2**50)]
    assert sizes == [1, 1, 1, 2, 256]
    assert open_network(model, 400).batch_size == 256
    assert device_memory() > 2**28
    assert machine_memory() == MEMORY_LIMIT  # as Dask finds it


def test_where_memory_runs_out_batches_are_halved(net, x):
    tried = []

    @register_method("hungry", source="this test")
    def hungry(network, one_hot):
        """Run out of memory with more than 8 sequences."""
        tried.append(network.batch_size)
        if network.batch_size > 8:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return Parts(network.gradients(one_hot))

    try:
        found = attribute(net, x, "hungry", batch_size=32)
        assert tried[:3] == [32, 16, 8]
        assert set(tried[3:]) <= {8}
        close(found.contributions, attribute(net, x, "grad_x_input").hypothetical)
    finally:
        del _METHODS["hungry"]


# batches, order, targets


@pytest.mark.parametrize(("method", "references", "settings"), ALL)
def test_batches_order_and_company_play_no_part(net, x, method, references, settings):
    x = np.concatenate([x, one_hot(random_bases(14, LENGTH, seed=4))])
    expected = attribute(net, x, method, references=references, random_state=7, **settings)
    for batch_size in (1, 7, 64):
        result = attribute(net, x, method, references=references, random_state=7, batch_size=batch_size, **settings)
        close(result.contributions, expected.contributions)
    order = np.random.default_rng(0).permutation(len(x))[:11]
    some = attribute(net, x[order], method, references=references, random_state=7, batch_size=3, **settings)
    close(some.scores, expected.scores[order])


@pytest.mark.parametrize(("method", "references", "settings"), ALL)
def test_a_list_of_targets_equals_single_calls(net, x, method, references, settings):
    both = attribute(net, x, method, target=[1, 0], references=references, **settings)
    for place, target in enumerate((1, 0)):
        single = attribute(net, x, method, target=target, references=references, **settings)
        for name, array in single._asdict().items():
            if array is None:
                assert getattr(both, name) is None
            else:
                close(getattr(both, name)[place], array)
    assert not np.allclose(both.scores[0], both.scores[1])


@pytest.mark.parametrize(("method", "references", "settings"), ALL)
def test_no_sequences_give_empty_arrays(net, x, method, references, settings):
    result = attribute(net, x[:0], method, target=[0, 1], references=references, **settings)
    one = attribute(net, x[:1], method, target=[0, 1], references=references, **settings)
    for empty, full in zip(result, one, strict=True):
        assert (empty is None) == (full is None)
        if empty is not None:
            assert empty.shape == (2, 0, *full.shape[2:])
            assert empty.dtype == np.float32


def test_progress_counts_sequences(net):
    done = []
    attribute(net, one_hot(random_bases(40, LENGTH)), "ism", progress=done.append)
    assert sum(done) == 40
    assert len(done) > 1


# points drawn at random


@pytest.mark.parametrize("references", ["zeros", "frequency", "shuffle:4"])
def test_expected_gradients_of_a_linear_model_are_weights_times_difference(x, references):
    result = attribute(linear_model(WEIGHTS), x, "expected_gradients", references=references, n_samples=2, target=1)
    made = make_references(parse_references(references), bases_of_one_hot(x))
    close(result.contributions, WEIGHTS[:, :, 1] * (x - made.mean(axis=1)))
    hypothetical = WEIGHTS[:, :, 1] - (WEIGHTS[:, :, 1] * made.mean(axis=1)).sum(axis=2, keepdims=True)
    close(result.hypothetical, hypothetical)
    close(result.convergence_delta, np.zeros(len(x)), atol=1e-4)


def test_expected_gradients_equal_a_plain_loop(net, x):
    from simbench_tf.random_streams import uniforms

    bases = bases_of_one_hot(x[:2])
    references = make_references(parse_references("shuffle:3"), bases, random_state=5)
    alphas = uniforms(5, "expected_gradients", content_index(bases), 3 * 4).reshape(2, 3, 4, 1, 1)
    network = open_network(net, LENGTH, target=1)
    expected = np.zeros_like(x[:2])
    for row in range(2):
        for r in range(3):
            points = references[row, r] + alphas[row, r] * (x[row] - references[row, r])
            gradient = network.gradients(points.astype(np.float32))[0].mean(axis=0)
            expected[row] += gradient * (x[row] - references[row, r]) / 3
    arguments = {"references": "shuffle:3", "n_samples": 4, "random_state": 5, "target": 1}
    close(attribute(net, x[:2], "expected_gradients", **arguments).contributions, expected)


def test_expected_gradients_are_complete_within_sampling_error(net, x):
    """The error of a mean of n draws falls as 1 / sqrt(n), and its expectation is that of integrated gradients."""
    deltas = {
        n: np.array(
            [
                attribute(
                    net, x, "expected_gradients", references="zeros", n_samples=n, random_state=s
                ).convergence_delta
                for s in range(8)
            ]
        )
        for n in (16, 400)
    }
    spread = {n: np.sqrt((delta**2).mean()) for n, delta in deltas.items()}
    # five times less; 40 deltas tell a standard deviation to a tenth, and here they are of five sequences only
    assert 3 < spread[16] / spread[400] < 8
    assert np.abs(deltas[400].mean(axis=0)).max() < 4 * spread[400] / np.sqrt(8)
    exact = attribute(net, x, "integrated_gradients", references="zeros", n_steps=400).scores
    drawn = attribute(net, x, "expected_gradients", references="zeros", n_samples=2000).scores
    assert np.abs(drawn - exact).max() < 0.05 * np.abs(exact).max()


def test_smoothgrad_of_a_linear_model_is_gradient_times_input(x):
    for target in (0, 1):
        expected = attribute(linear_model(WEIGHTS), x, "grad_x_input", target=target)
        result = attribute(linear_model(WEIGHTS), x, "smoothgrad", n_samples=3, target=target)
        close(result.contributions, expected.contributions)
        close(result.hypothetical, expected.hypothetical)


def test_smoothgrad_of_a_square_has_the_spread_of_its_noise():
    """f = (w.x)^2 has the gradient 2 (w.x + w.noise) w, and w.noise is normal with variance sd^2 |w|^2."""
    rng = np.random.default_rng(3)
    w, x = rng.normal(size=(5, 4)).astype(np.float32), one_hot("GANTC")
    inputs = keras.Input((5, 4))
    dot = layers.Dense(1, use_bias=False)
    model = keras.Model(inputs, layers.Activation("linear")(keras.ops.square(dot(layers.Flatten()(inputs)))))
    dot.set_weights([w.reshape(20, 1)])
    settings = {"n_samples": 1, "noise": 0.2}
    factors = np.array(
        [
            (attribute(model, x, "smoothgrad", random_state=seed, **settings).hypothetical[0] / w).mean() / 2
            for seed in range(400)
        ]
    )
    # base N gets no noise
    sd = 0.2 * np.linalg.norm(w[[0, 1, 3, 4]])
    assert abs(factors.mean() - (w * x[0]).sum()) < 4 * sd / np.sqrt(400)
    assert abs(factors.std() / sd - 1) < 4 / np.sqrt(2 * 400)
    many = attribute(model, x, "smoothgrad", n_samples=400, noise=0.2)
    close(many.scores[0, 2], 0)
    assert abs((many.hypothetical[0] / w).mean() / 2 - (w * x[0]).sum()) < 4 * sd / np.sqrt(400)


def test_smoothgrad_noise_is_normal_and_its_own_for_each_sequence_and_copy():
    indices = np.array([3, 9])
    draws = _normal(1, "a purpose", indices, 20001)
    assert draws.shape == (2, 20001)
    assert draws.dtype == np.float32
    np.testing.assert_array_equal(_normal(1, "a purpose", indices[::-1], 20001), draws[::-1])
    for row in draws:
        assert scipy.stats.kstest(row, "norm").pvalue > 1e-3
    others = [draws[1], _normal(1, "another", indices, 20001)[0], _normal(2, "a purpose", indices, 20001)[0]]
    for other in others:
        # 20001 pairs of unrelated numbers: four standard errors of their correlation
        assert abs(np.corrcoef(draws[0], other)[0, 1]) < 4 / np.sqrt(20001)


@pytest.mark.parametrize("method", ["expected_gradients", "smoothgrad"])
def test_seeds_choose_the_points(net, x, method):
    settings = {"n_samples": 3, **({"references": "zeros"} if method == "expected_gradients" else {})}
    one, again, other = (attribute(net, x, method, random_state=seed, **settings).scores for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("expected_gradients", {"n_samples": 0}, "greater than or equal to 1"),
        ("smoothgrad", {"noise": 0.0}, "greater than 0"),
        ("smoothgrad", {"noise": float("inf")}, "finite"),
        ("smoothgrad", {"references": "zeros"}, "takes no references"),
    ],
)
def test_random_points_are_asked_for_rightly(net, x, method, settings, message):
    with pytest.raises(InputError, match=message):
        attribute(net, x, method, **settings)


def test_means_over_random_points_are_traced_once(x):
    net = conv_net()
    network = open_network(net, LENGTH)
    for n in (5, 3, 4, 5):
        attribute(net, x[:n], "expected_gradients", target=n % 2, references="zeros", n_samples=2, batch_size=4)
        attribute(net, x[:n], "smoothgrad", target=n % 2, n_samples=2, batch_size=4)
    # batches of 1, 3 and 4 rows
    assert network.compiled(_mean_gradient_at).experimental_get_tracing_count() <= 3
    assert network.compiled(_gradients).experimental_get_tracing_count() <= 3
    for n_samples in (3, 4, 5, 6):
        attribute(net, x[:4], "expected_gradients", references="zeros", n_samples=n_samples, batch_size=4)
    assert network.compiled(_mean_gradient_at).experimental_get_tracing_count() <= 4
