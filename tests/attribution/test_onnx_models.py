"""ONNX files and functions are explained by methods that need predictions only, as the network that they come from."""

import numpy as np
import pytest

from simbench_tf.attribution import attribute, interactions, load_onnx, methods, window_pairs
from simbench_tf.attribution.lacking import LACKING, why_not
from simbench_tf.attribution.network import open_network
from simbench_tf.attribution.onnx_model import copy_onnx, onnx_files
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

LENGTH = 30
X = one_hot(np.random.default_rng(0).integers(0, 5, (3, LENGTH)).astype(np.uint8))
WEIGHTS = np.random.default_rng(1).normal(size=(LENGTH, 4, 2)).astype(np.float32)


def logits(x):
    """Not linear in the sequence: a product of two halves, and a sum."""
    parts = np.einsum("nlc,lct->ntl", x, WEIGHTS)
    half = LENGTH // 2
    return parts[:, :, :half].sum(axis=2) * parts[:, :, half:].sum(axis=2) / 4 + parts.sum(axis=2)


def plain_ism(function, x, target):
    """Minus the mean change over the three other bases, by a loop."""
    scores = np.zeros(x.shape[:2])
    for row, position in zip(*np.nonzero(x.any(axis=2)), strict=True):
        changes = []
        for base in np.flatnonzero(x[row, position] == 0):
            mutant = x[row].copy()
            mutant[position] = np.eye(4)[base]
            changes.append(function(mutant[None])[0, target] - function(x[row][None])[0, target])
        scores[row, position] = -np.mean(changes)
    return scores


# functions


def test_a_function_is_explained_by_what_it_predicts():
    found = attribute(logits, X, "ism", target=1)
    np.testing.assert_allclose(found.scores, plain_ism(logits, X, 1), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(open_network(logits, LENGTH, [0, 1]).outputs(X).T, logits(X))


def test_a_function_may_want_channels_first_and_give_one_output():
    def first(x):
        assert x.shape[1:] == (4, LENGTH)
        return logits(x.transpose(0, 2, 1))[:, 1].tolist()

    np.testing.assert_allclose(
        attribute(first, X, "ism", layout="NCL").scores, attribute(logits, X, "ism", target=1).scores, rtol=0, atol=1e-6
    )


def test_interactions_of_a_function():
    pairs = window_pairs(13, 17)
    found = interactions(logits, X[:1], pairs, target=1)
    for number, (i, j) in enumerate(pairs):
        for a, b in ((0, 1), (2, 3)):
            mutants = np.repeat(X[:1], 3, axis=0)
            mutants[[0, 2], i], mutants[[1, 2], j] = np.eye(4)[a], np.eye(4)[b]
            one, other, both = logits(mutants)[:, 1]
            expected = both - one - other + logits(X[:1])[0, 1]
            if X[0, i].any() and X[0, j].any():
                np.testing.assert_allclose(found.effects[0, number, a, b], expected, atol=1e-4)


def test_methods_that_need_more_say_so_in_one_line():
    taken = [name for name in methods() if why_not(name, LACKING["function"]) is None]
    assert taken == ["ism", "dependency_map"]
    message = (
        r"^model function: does not take {}: it is a function, or a file, that only predicts; choose ism or depend"
    )
    for method in ("saliency", "smoothgrad", "integrated_gradients", "gradcam", "deeplift_rescale", "deeplift_captum"):
        with pytest.raises(InputError, match=message.format(method)):
            attribute(logits, X, method)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: {"a": x}, "model: gives a dict of 1; wrap it in a function that gives one array"),
        (lambda x: x, r"model: has output of shape \(2, 30, 4\) for 2 sequences; reduce it to"),
        (lambda x: logits(x)[:1], r"model: has output of shape \(1, 2\) for 2 sequences"),
        (lambda x: 1 / 0, "model: fails on 2 sequences of 30 bases: ZeroDivisionError: division by zero; see that"),
        (
            "m.onnx",
            r"model: is a str, not a Keras model; give a keras.Model, a torch.nn.Module, load_onnx\(FILE\) or a",
        ),
    ],
)
def test_another_form_is_one_line(function, message):
    with pytest.raises(InputError, match=message):
        attribute(function, X, "ism")


# ONNX files


@pytest.fixture
def onnx():
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="pip install 'simbench_tf[onnx]'")
    import onnx

    return onnx


def write(onnx, path, ends=("Sigmoid",), shape=("n", LENGTH, 4), transposed=False, outputs=1, external=False):
    """A file that computes `logits`' sum, and its endings."""
    make, kinds = onnx.helper, onnx.TensorProto
    weights = WEIGHTS.transpose(1, 0, 2) if transposed else WEIGHTS
    held = onnx.numpy_helper.from_array(np.ascontiguousarray(weights.reshape(-1, 2)), "weights")
    nodes = [make.make_node("Flatten", ["x"], ["flat"]), make.make_node("MatMul", ["flat", "weights"], ["y0"])]
    nodes += [make.make_node(end, [f"y{k}"], [f"y{k + 1}"]) for k, end in enumerate(ends)]
    given = [make.make_tensor_value_info("x", kinds.FLOAT, shape)]
    made = [make.make_tensor_value_info(f"y{len(ends) - k}", kinds.FLOAT, (shape[0], 2)) for k in range(outputs)]
    graph = make.make_graph(nodes, "g", given, made, [held])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    settings = {"save_as_external_data": True, "location": "held.bin", "size_threshold": 0} if external else {}
    onnx.save_model(model, path, **settings)
    return path


def linear(x):
    return np.einsum("nlc,lct->nt", x, WEIGHTS)


@pytest.mark.parametrize(
    ("shape", "transposed"), [(("n", LENGTH, 4), False), (("n", 4, LENGTH), True), ((2, 4, "L"), True)]
)
def test_a_file_ends_in_a_sigmoid_whose_input_is_explained(onnx, tmp_path, shape, transposed):
    model = load_onnx(write(onnx, tmp_path / "m.onnx", shape=shape, transposed=transposed))
    np.testing.assert_allclose(attribute(model, X, "ism", 1).scores, plain_ism(linear, X, 1), rtol=0, atol=1e-5)
    returned = attribute(model, X, "ism", 1, output="probability").scores
    np.testing.assert_allclose(returned, plain_ism(lambda x: 1 / (1 + np.exp(-linear(x))), X, 1), rtol=0, atol=1e-5)
    assert model(X[:0]).shape == (0, 2)


def test_other_endings(onnx, tmp_path):
    plain = load_onnx(write(onnx, tmp_path / "plain.onnx", ends=()))
    np.testing.assert_allclose(attribute(plain, X, "ism", 1).scores, plain_ism(linear, X, 1), rtol=0, atol=1e-5)
    softmax = load_onnx(write(onnx, tmp_path / "softmax.onnx", ends=("Softmax",)))
    with pytest.raises(InputError, match=r"^softmax.onnx: ends in Softmax, neither a sigmoid nor a linear layer; expl"):
        attribute(softmax, X, "ism")
    assert np.abs(attribute(softmax, X, "ism", output="probability").scores).max() > 0
    looked_through = load_onnx(write(onnx, tmp_path / "i.onnx", ends=("Sigmoid", "Identity")))
    np.testing.assert_allclose(looked_through.logits(X), linear(X), rtol=1e-5, atol=1e-5)


def test_weights_beside_a_file_belong_to_it(onnx, tmp_path):
    path = write(onnx, tmp_path / "m.onnx", external=True)
    assert onnx_files(path) == [path, tmp_path / "held.bin"]
    (tmp_path / "there").mkdir()
    copy_onnx(path, tmp_path / "there" / "whole.onnx")
    np.testing.assert_allclose(load_onnx(tmp_path / "there" / "whole.onnx").logits(X), linear(X), rtol=1e-5, atol=1e-5)
    (tmp_path / "held.bin").unlink()
    with pytest.raises(InputError, match=r"keeps weights in held.bin, which is not beside it; copy it there"):
        onnx_files(path)


def test_unfit_files_are_refused(onnx, tmp_path):
    (tmp_path / "text.onnx").write_text("nothing")
    cases = {
        "none.onnx": "is no file",
        "text.onnx": "cannot be loaded by onnxruntime",
        write(onnx, tmp_path / "two.onnx", outputs=2).name: "has 1 inputs and 2 outputs",
        write(
            onnx, tmp_path / "free.onnx", shape=("n", "a", "b")
        ).name: "does not tell where its four channels are; wr",
        write(onnx, tmp_path / "flat.onnx", shape=("n", 120)).name: r"takes input of shape \('n', 120\); it must be",
    }
    for name, message in cases.items():
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            load_onnx(tmp_path / name)
    with pytest.raises(InputError, match="which is not NCL; leave layout out"):
        load_onnx(write(onnx, tmp_path / "m.onnx"), layout="NCL")
    with pytest.raises(InputError, match=r"fails on 2 sequences of 10 bases: "):
        attribute(load_onnx(tmp_path / "m.onnx"), X[:, :10], "ism")
