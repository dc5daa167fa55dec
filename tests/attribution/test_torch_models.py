"""PyTorch modules are explained as the same network in Keras is; what they cannot give is said in one line."""

import contextlib
import gc
import weakref

import numpy as np
import pytest

from simbench_tf.attribution import attribute, interactions, methods, window_pairs
from simbench_tf.attribution.network import open_network
from simbench_tf.attribution.receptive_field import visible_bases
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'simbench_tf[torch]'")

from helpers.torch_networks import LENGTH, N_OUTPUTS, Times, in_keras, in_torch  # noqa: E402

nn = torch.nn
# A, C, G, T, and N
X = one_hot(np.random.default_rng(0).integers(0, 5, (5, LENGTH)).astype(np.uint8))
TARGETS = [2, 0]
ALIKE = 1e-5


@pytest.fixture(scope="module")
def pair():
    model = in_keras()
    return model, in_torch(model)


def check_same(one, other):
    for name in ("contributions", "hypothetical", "convergence_delta", "dependency_maps"):
        expected, found = getattr(one, name), getattr(other, name)
        assert (expected is None) == (found is None), name
        if expected is not None:
            scale = (
                np.abs(one.contributions).sum(axis=(2, 3)).max()
                if name == "convergence_delta"
                else np.abs(expected).max()
            )
            np.testing.assert_allclose(found, expected, rtol=0, atol=ALIKE * scale)


@pytest.mark.parametrize("output", ["logit", "probability"])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("saliency", {}),
        ("grad_x_input", {"correct": True}),
        ("smoothgrad", {"n_samples": 3}),
        ("integrated_gradients", {"references": "shuffle:2", "n_steps": 5}),
        ("integrated_gradients", {"references": "shuffle:2", "n_steps": 5, "path": "shuffle"}),
        ("expected_gradients", {"references": "shuffle:2", "n_samples": 3}),
        ("ism", {"fast": False, "start": 20, "end": 40}),
        ("dependency_map", {"window": 5, "fast": False}),
        ("gradcam", {}),
        ("gradcam_channel", {"layer": "first", "relu": False}),
    ],
)
def test_the_same_network_in_both_frameworks_has_the_same_scores(pair, method, settings, output):
    one, other = (attribute(each, X, method, TARGETS, output=output, **settings) for each in pair)
    check_same(one, other)


@pytest.mark.parametrize(("keras_layer", "module_layer"), [("c2", "4"), ("pool", "3")])
def test_grad_cam_reads_a_module_by_its_name(pair, keras_layer, module_layer):
    for method in ("gradcam", "grad_x_activation"):
        settings = {} if method == "grad_x_activation" else {"pooling": "max", "relu": False}
        one, other = (
            attribute(each, X, method, TARGETS, layer=layer, **settings)
            for each, layer in zip(pair, (keras_layer, module_layer), strict=True)
        )
        check_same(one, other)


def test_every_method_takes_modules_but_those_that_read_keras_layers(pair):
    refused = set()
    for name, method in methods().items():
        with contextlib.suppress(ImportError):
            try:
                attribute(pair[1], X[:1], name, **({"window": 2} if method.is_of_pairs else {}))
            except InputError as error:
                refused |= {name} if "does not take" in error.what else set()
    assert refused == {
        "deeplift_rescale", "deeplift_revealcancel", "deeplift_genomics", "deepshap", "gradcam_tf_keras_vis",
        "gkmexplain",
    }  # fmt: skip


def test_what_reads_keras_layers_says_what_to_choose(pair):
    with pytest.raises(InputError) as caught:
        attribute(pair[1], X, "deeplift_rescale")
    assert str(caught.value).startswith(
        "model Sequential: does not take deeplift_rescale: it is a PyTorch module, whose layers the method cannot read"
        "; choose gradcam, "
    )
    assert "deeplift_tangermeme" in str(caught.value)
    with pytest.raises(
        InputError, match=r"does not take deeplift_captum: it is no PyTorch module; choose deeplift_resc"
    ):
        attribute(pair[0], X, "deeplift_captum")


def test_predictions_and_interactions_are_those_of_the_network(pair):
    model, module = pair
    logits = open_network(module, LENGTH, [0, 1, 2]).outputs(X)
    np.testing.assert_allclose(logits, open_network(model, LENGTH, [0, 1, 2]).outputs(X), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        returned = module.eval()(torch.from_numpy(X.transpose(0, 2, 1).copy())).numpy()
    np.testing.assert_allclose(open_network(module, LENGTH, [0, 1, 2], "probability").outputs(X).T, returned, rtol=1e-5)
    pairs = window_pairs(50, 53)
    one, other = (interactions(each, X[:2], pairs, target=1, fast=False).effects for each in pair)
    np.testing.assert_allclose(other, one, rtol=0, atol=ALIKE * np.abs(logits).max())


# the final sigmoid


class Called(nn.Module):
    """Ends in a call, not in a module."""

    def __init__(self, inner, end):
        super().__init__()
        self.inner, self.end = inner, end

    def forward(self, x):
        return self.end(self.inner(x))


@pytest.mark.parametrize(
    "end",
    [
        torch.sigmoid,
        nn.functional.sigmoid,
        torch.Tensor.sigmoid,
        torch.special.expit,
        lambda x: x.sigmoid()[:, :, None][:, :, 0],
    ],
)
def test_a_sigmoid_is_seen_however_it_is_written(pair, end):
    linear = in_torch(pair[0], last=None)
    expected = attribute(linear, X, "grad_x_input", TARGETS)
    np.testing.assert_array_equal(attribute(Called(linear, end), X, "grad_x_input", TARGETS).scores, expected.scores)


def test_an_ending_without_a_logit_is_refused_and_explained_as_it_is(pair):
    linear = in_torch(pair[0], last=None)
    mend = 'explain what the module returns, as it is, with output="probability"'
    for end, what in {
        nn.Softmax(1): "ends in Softmax, neither a sigmoid nor linear",
        nn.ReLU(): "ends in Relu, neither a sigmoid nor linear",
        (lambda x: torch.cat([torch.sigmoid(x[:, :1]), torch.sigmoid(x[:, 1:])], 1)): (
            "ends in heads that end in Sigmoid, so no logit can be told"
        ),
        (lambda x: torch.sigmoid_(x * 1.0)): "ends in a sigmoid that cannot be looked behind, so no logit can be told",
    }.items():
        module = Called(linear, end)
        with pytest.raises(InputError) as caught:
            attribute(module, X, "saliency")
        assert str(caught.value) == f"model: {what}; {mend}"
        gradient = attribute(module, X, "grad_x_input", 1, output="probability").hypothetical
        x = torch.from_numpy(X.transpose(0, 2, 1).copy()).requires_grad_()
        (expected,) = torch.autograd.grad(module.eval()(x)[:, 1].sum(), x)
        np.testing.assert_allclose(gradient, expected.numpy().transpose(0, 2, 1), rtol=1e-4, atol=1e-6)


def test_a_module_whose_ending_was_changed_is_read_anew(pair):
    module = in_torch(pair[0])
    before = attribute(module, X, "grad_x_input").scores
    module.append(nn.Softmax(1))
    with pytest.raises(InputError, match="ends in Softmax"):
        attribute(module, X, "grad_x_input")
    del module[-1]
    module[-2].weight.data *= 2
    np.testing.assert_allclose(attribute(module, X, "grad_x_input").scores, 2 * before, rtol=1e-5, atol=1e-6)


# forms


def test_layout_dtype_and_one_output_without_an_axis(pair):
    expected = attribute(in_torch(pair[0], last=None), X, "grad_x_input", 1).scores
    last_axis = Called(nn.Identity(), lambda x: in_torch(pair[0], last=None).eval()(x.transpose(1, 2)))
    np.testing.assert_array_equal(attribute(last_axis, X, "grad_x_input", 1, layout="NLC").scores, expected)
    double = in_torch(pair[0], last=None).double()
    np.testing.assert_allclose(attribute(double, X, "grad_x_input", 1).scores, expected, rtol=1e-4, atol=1e-5)
    column = Called(in_torch(pair[0], last=None), lambda x: x[:, 1])
    np.testing.assert_array_equal(attribute(column, X, "grad_x_input").scores, expected)


def test_a_module_is_left_as_it_was(pair):
    module = in_torch(pair[0]).train()
    module[0].eval()
    state = {name: each.clone() for name, each in module.state_dict().items()}
    attribute(module, X, "gradcam", layer="2")
    attribute(module, X, "grad_x_input")
    assert [each.training for each in module] == [False] + [True] * 11
    assert all(torch.equal(each, state[name]) for name, each in module.state_dict().items())
    assert all(each.grad is None for each in module.parameters())
    assert not any(each._forward_hooks for each in module.modules())


def test_a_module_dies_with_its_last_name(pair):
    module = in_torch(pair[0])
    attribute(module, X[:1], "gradcam")
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert gone() is None


def test_dropout_is_off(pair):
    module = nn.Sequential(*in_torch(pair[0], last=None), nn.Dropout(0.5)).train()
    one, other = (attribute(module, X, "grad_x_input").scores for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("end", "what"),
    [
        (lambda x: {"a": x}, "gives a dict, not a tensor"),
        (lambda x: x[:, :, None] * torch.ones(2), r"has output of shape \(2, 3, 2\) for 2 sequences"),
        (lambda x: x[:1], r"has output of shape \(1, 3\) for 2 sequences"),
        (lambda x: x + "a", r"fails on 2 sequences of 120 bases: TypeError: "),
    ],
)
def test_another_form_is_one_line(pair, end, what):
    with pytest.raises(InputError, match=f"^model: {what}"):
        attribute(Called(in_torch(pair[0]), end), X, "ism")


def test_outputs_without_gradients_say_so(pair):
    module = Called(in_torch(pair[0]), lambda x: x.detach())
    assert np.abs(attribute(module, X[:1], "ism", output="probability", end=5).scores).max() > 0
    with pytest.raises(InputError, match=r"its outputs have no gradient: it detaches them"):
        attribute(module, X, "saliency")


def test_layers_that_cannot_be_read_are_named(pair):
    module = in_torch(pair[0])
    twice = Called(nn.Identity(), lambda x: module[1:](module[0](x)) + module[1:](module[0](x)))
    twice.inner2 = module[0]
    functional = Called(nn.Sequential(*in_torch(pair[0])[:2]), lambda x: x.relu().amax(2))
    cases = [
        (module, "9", "layer '9': has no positions; name a module before the maps are flattened"),
        (module, "nine", "layer: the module has none called 'nine'"),
        (twice, "inner2", "layer: 'inner2' is called 2 times; name one that is called once"),
        (
            functional,
            "last",
            "layer: no activation module follows 'inner.1', so what 'last' is after it cannot be told; ",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(480, 2)), "last", "layer: the module has no Conv1d; name the module"),
    ]
    for each, layer, message in cases:
        with pytest.raises(InputError) as caught:
            attribute(each, X, "gradcam", layer=layer, output="probability")
        assert str(caught.value).startswith(message)


# where bases are seen


class Dilated(nn.Module):
    """Gaps, strides, a pooling that leaves bases over, and residual adding."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv1d(4, 5, 3, dilation=4, padding=4), nn.Conv1d(5, 5, 3, stride=2)
        self.pool, self.end = nn.MaxPool1d(4), nn.Linear(5, 1)

    def forward(self, x):
        x = self.one(x)
        x = self.two(x + x.relu())
        self.kept = self.pool(x)
        return self.end(self.kept.amax(2))


def test_receptive_fields_are_those_of_the_kernels():
    length = 40
    module = Dilated()
    x = torch.zeros(1, 4, length)
    module(x)
    from simbench_tf.attribution.torch_model import Explained, FeatureMaps

    found = FeatureMaps(Explained(module, "NCL"), "pool", length).receptive_field()
    expected = np.zeros((4, length), bool)
    for position in range(4):
        for step in range(4):
            for tap in range(3):
                for dilated in (-4, 0, 4):
                    base = 2 * (4 * position + step) + tap + dilated
                    if 0 <= base < length:
                        expected[position, base] = True
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(visible_bases(module, length), expected.any(axis=0))


def test_channels_may_come_last_in_a_map(pair):
    swapped = nn.Sequential(*in_torch(pair[0], last=None)[:3], Called(nn.Identity(), lambda x: x.transpose(1, 2)))
    one = Called(swapped, lambda x: x.amax(1))
    other = Called(nn.Sequential(*in_torch(pair[0], last=None)[:3]), lambda x: x.amax(2))
    first = attribute(one, X, "gradcam", layer="inner.3", output="probability").scores
    np.testing.assert_allclose(
        first, attribute(other, X, "gradcam", layer="inner.2", output="probability").scores, rtol=1e-5
    )


# DeepLIFT of others


@pytest.mark.parametrize("method", ["deeplift_captum", "deeplift_tangermeme"])
@pytest.mark.parametrize("last", [None, nn.Sigmoid])
def test_deeplift_of_others_equals_ours(pair, method, last):
    pytest.importorskip(method.removeprefix("deeplift_"), reason="pip install 'simbench_tf[parity]'")
    module = in_torch(pair[0], last, between=Times if method == "deeplift_captum" else nn.Identity)
    settings = {"references": "shuffle:3", "random_state": 4}
    ours = attribute(pair[0], X, "deeplift_rescale", TARGETS, maxpool="rescale", **settings)
    theirs = attribute(module, X, method, TARGETS, batch_size=8, **settings)
    # where a unit's input does not change, each has a multiplier of its own, and so other hypothetical values
    check_same(ours._replace(hypothetical=None), theirs._replace(hypothetical=None))
    np.testing.assert_allclose((theirs.hypothetical * X).sum(axis=-1), theirs.scores, rtol=0, atol=1e-5)
    assert np.abs(theirs.convergence_delta).max() < ALIKE * np.abs(theirs.contributions).sum(axis=(2, 3)).max()


def test_deltas_show_an_activation_that_has_no_rule(pair):
    pytest.importorskip("tangermeme", reason="pip install 'simbench_tf[parity]'")
    layers = in_torch(pair[0], last=None)
    module = Called(nn.Sequential(*layers[:5]), lambda x: layers[6:](x.relu()))
    module.rest = layers
    found = attribute(module, X, "deeplift_tangermeme", 1, references="shuffle:2")
    assert np.abs(found.convergence_delta).max() > 1e-3


def test_what_captum_raises_is_one_line(pair):
    pytest.importorskip("captum", reason="pip install 'simbench_tf[parity]'")
    relu = nn.ReLU()
    module = nn.Sequential(nn.Conv1d(4, 4, 3), relu, nn.Conv1d(4, 4, 3), relu, nn.AdaptiveAvgPool1d(1), nn.Flatten())
    with pytest.raises(
        InputError, match=r"^deeplift_captum: cannot explain this module: AssertionError: .*twice|.*once"
    ):
        attribute(module, X, "deeplift_captum", references="shuffle:2")


def test_no_sequences_have_no_scores(pair):
    assert attribute(pair[1], X[:0], "grad_x_input", TARGETS).contributions.shape == (2, 0, LENGTH, 4)
    assert open_network(pair[1], LENGTH).n_outputs == N_OUTPUTS
