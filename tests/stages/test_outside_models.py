"""Runs take PyTorch modules and ONNX files as they are: measured, attributed, and made again where they change."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import Model, load_config
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import read_attributions
from simbench_tf.run.folder import begin
from simbench_tf.run.trust import configured_code, named_code
from simbench_tf.run.verify import problems
from simbench_tf.stages.checks import check_ahead
from simbench_tf.stages.overwritten import overwritten

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'simbench_tf[torch]'")

LENGTH = 120
OUTPUTS = {"HepG2": 3, "K562": 0}
SOURCE = """
import torch
from torch import nn

class ChannelsLast(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(1, 2))

def build(width=6, n_outputs=5):
    maps = nn.Sequential(nn.Conv1d(4, width, 7), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten())
    return nn.Sequential(maps, nn.Linear(width, n_outputs), nn.Sigmoid())

def channels_last():
    return ChannelsLast(build())

def no_module(seq_length, n_tasks, seed):
    return seq_length + n_tasks + seed

def fails():
    raise ValueError("on purpose")
"""
THEIRS = {"name": "theirs", "torch": "net.py:build", "weights": "w.pt", "outputs": OUTPUTS}
LAST = {"name": "last", "torch": "net.py:channels_last", "weights": "last.pt", "layout": "NLC", "outputs": OUTPUTS}
FILE = {"name": "file", "onnx": "m.onnx", "outputs": OUTPUTS}
SHUFFLED = {"references": "shuffle:2"}


def module():
    names = {}
    exec(SOURCE, names)
    made = names["build"]()
    made.load_state_dict(
        {
            name: torch.from_numpy(np.random.default_rng(number).normal(0, 0.5, tuple(each.shape)).astype(np.float32))
            for number, (name, each) in enumerate(made.state_dict().items())
        }
    )
    return made.eval()


def write(folder, *models, methods=("grad_x_input",)):
    simulation = {**TINY_RUN["simulation"], "seq_length": LENGTH, "n_sequences": 200}
    asked = [{"method": name, **(SHUFFLED if "deeplift" in name else {})} for name in methods]
    content = {**TINY_RUN, "simulation": simulation, "models": list(models)}
    content["attribution"] = {"n_sequences": 4, "methods": asked}
    (folder / "c.yaml").write_text(yaml.safe_dump(content))
    return folder / "c.yaml"


def write_files(folder):
    (folder / "net.py").write_text(SOURCE)
    weights = module().state_dict()
    torch.save(weights, folder / "w.pt")
    torch.save({"state_dict": {f"inner.{name}": each for name, each in weights.items()}}, folder / "last.pt")


def has_onnx():
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    return True


def write_onnx(path):
    """The convolution, ReLU, largest value, dense layer and sigmoid of the module."""
    import onnx

    make, held = onnx.helper, {name: each.numpy() for name, each in module().state_dict().items()}
    kernel, bias, weight, shift = held.values()
    nodes = [
        make.make_node("Conv", ["x", "kernel", "bias"], ["maps"]),
        make.make_node("Relu", ["maps"], ["relu"]),
        make.make_node("GlobalMaxPool", ["relu"], ["largest"]),
        make.make_node("Flatten", ["largest"], ["flat"]),
        make.make_node("Gemm", ["flat", "weight", "shift"], ["logit"], transB=1),
        make.make_node("Sigmoid", ["logit"], ["y"]),
    ]
    given, made = (make.make_tensor_value_info(*each) for each in (("x", 1, ("n", 4, LENGTH)), ("y", 1, ("n", 5))))
    arrays = zip(("kernel", "bias", "weight", "shift"), (kernel, bias, weight, shift), strict=True)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays]
    graph = make.make_graph(nodes, "g", [given], [made], tensors)
    onnx.save_model(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A run up to its attributions of a module, of one that wants channels last, and of an ONNX file."""
    folder = tmp_path_factory.mktemp("outside")
    write_files(folder)
    models = [THEIRS, LAST]
    if has_onnx():
        write_onnx(folder / "m.onnx")
        models.append(FILE)
    names = ["grad_x_input", "ism", "gradcam", "deeplift_rescale"]
    config = load_config(write(folder, *models, methods=names))
    check_ahead(config, folder / "run")
    begin(config, folder / "run")
    for stage in (pipeline.simulate, pipeline.train, pipeline.attribute):
        stage(config, folder / "run")
    return folder


@pytest.fixture
def again(explained, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(explained, tmp_path / "outside")


def attributed(run, model, task, key):
    scores, seq_ids = read_attributions(run / "attributions" / model / task / f"{key}.h5")
    dataset = sb.open_dataset(run)
    return scores, sb.one_hot(dataset.bases("test")[pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)])


@pytest.mark.parametrize(("task", "output"), OUTPUTS.items())
@pytest.mark.parametrize("method", ["grad_x_input", "ism", "gradcam"])
@pytest.mark.parametrize("model", ["theirs", "last", "file"])
def test_the_chosen_outputs_logit_is_explained(explained, model, task, output, method):
    if model == "file" and (method != "ism" or not has_onnx()):
        pytest.skip("ONNX files are explained by predictions only, where onnx and onnxruntime are")
    scores, x = attributed(explained / "run", model, task, f"{method}@none")
    direct = sb.attribute(module()[:-1], x, method, target=output).scores
    np.testing.assert_allclose(scores, direct, rtol=1e-4, atol=1e-6)
    assert np.abs(direct).max() > 1e-3


def test_files_say_what_was_taken(explained):
    place = explained / "run" / "models" / "theirs"
    assert {each.name for each in place.iterdir()} == {"weights.pt", "torch.json", "history.csv", "metrics.json"}
    assert (place / "weights.pt").read_bytes() == (explained / "w.pt").read_bytes()
    record = json.loads((place / "torch.json").read_text())
    assert record["torch"] == f"{explained / 'net.py'}:build"
    assert (record["layout"], record["outputs"], record["settings"]) == (None, OUTPUTS, {})
    assert json.loads((place.parent / "last" / "torch.json").read_text())["layout"] == "NLC"


def test_measures_are_those_of_the_chosen_outputs(explained):
    dataset = sb.open_dataset(explained / "run")
    x = torch.from_numpy(sb.one_hot(dataset.bases("test")).transpose(0, 2, 1).copy())
    predicted = module()(x).detach().numpy()
    for model in ("theirs", "last", *(["file"] if has_onnx() else [])):
        metrics = json.loads((explained / "run" / "models" / model / "metrics.json").read_text())
        for task, output in OUTPUTS.items():
            labels = dataset.labels("test")[:, dataset.tasks.index(task)]
            assert metrics[task]["auroc"] == pytest.approx(roc_auc_score(labels, predicted[:, output]), abs=1e-3)


def test_methods_that_a_model_does_not_take_are_left_out_and_nulls_are_of_modules(explained):
    files = sorted(
        str(each.relative_to(explained / "run" / "attributions"))
        for each in explained.rglob("attributions/*/K562/*.h5")
    )
    taken = {"theirs": ["grad_x_input", "gradcam", "ism"], "last": ["grad_x_input", "gradcam", "ism"], "file": ["ism"]}
    expected = {model: names for model, names in taken.items() if model != "file" or has_onnx()}
    assert files == sorted(f"{model}/K562/{name}@none.h5" for model, names in expected.items() for name in names)
    assert {each.name for each in (explained / "run" / "nulls").iterdir()} == {"theirs", "last"}


def test_an_untrained_module_is_as_its_function_builds_it(explained):
    import h5py

    run = explained / "run"
    with h5py.File(run / "nulls" / "theirs" / "K562" / "grad_x_input@none.h5") as h5:
        scores = h5["scores"][:]
    _, x = attributed(run, "theirs", "K562", "grad_x_input@none")
    names = {}
    exec(SOURCE, names)
    torch.manual_seed(TINY_RUN["seed"])
    direct = sb.attribute(names["build"](), x, "grad_x_input", target=OUTPUTS["K562"]).scores
    np.testing.assert_allclose(scores, direct, rtol=1e-4, atol=1e-7)


def test_a_whole_run_verifies_and_makes_nothing_again(again):
    assert list(problems(again / "run")) == []
    config = load_config(again / "c.yaml")
    assert overwritten(config, again / "run") == []
    files = [path for path in (again / "run").rglob("*") if path.is_file() and path.suffix in (".h5", ".json", ".pt")]
    times = {path: path.stat().st_mtime_ns for path in files if path.name != "manifest.json"}
    for stage in (pipeline.train, pipeline.attribute):
        stage(config, again / "run")
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize("change", ["weights", "source", "outputs"])
def test_what_changes_a_module_makes_it_again(again, change):
    settings = []
    if change == "weights":
        weights = torch.load(again / "w.pt", weights_only=True)
        torch.save({name: 2 * each for name, each in weights.items()}, again / "w.pt")
    elif change == "source":
        (again / "net.py").write_text(SOURCE + "\n# more\n")
    else:
        settings = ["models.0.outputs={HepG2: 1, K562: 0}"]
    config = load_config(again / "c.yaml", settings)
    run = again / "run"
    assert {each.stage for each in overwritten(config, run)} == {"train", "attribute"}
    pipeline.train(config, run)
    pipeline.attribute(config, run)
    scores, x = attributed(run, "theirs", "HepG2", "grad_x_input@none")
    made = module()
    if change == "weights":
        made.load_state_dict({name: 2 * each for name, each in made.state_dict().items()})
    direct = sb.attribute(made, x, "grad_x_input", target=1 if change == "outputs" else 3).scores
    np.testing.assert_allclose(scores, direct, rtol=1e-4, atol=1e-6)


def test_code_that_is_executed_is_named(explained):
    config = load_config(explained / "c.yaml")
    expected = {("theirs", f"{explained / 'net.py'}:build"), ("last", f"{explained / 'net.py'}:channels_last")}
    assert set(map(tuple, configured_code(config))) == expected
    other = config.model_copy(update={"models": [Model(name="theirs", architecture="basset")]})
    assert set(map(tuple, named_code(other, explained / "run"))) == {("theirs", f"{explained / 'net.py'}:build")}


# what does not fit


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({**THEIRS, "torch": "net.py:none"}, "net.py:none is no function"),
        ({**THEIRS, "torch": "gone.py:build"}, "models.theirs.torch: there is no file"),
        ({**THEIRS, "torch": "net.py:no_module"}, "returns a int, not a torch.nn.Module; return the module"),
        ({**THEIRS, "torch": "net.py:fails"}, "net.py:fails failed: ValueError: on purpose; fix the function"),
        ({**THEIRS, "settings": {"wide": 3}}, "models.theirs.settings: 'wide' is no argument of the function"),
        ({**THEIRS, "settings": {"width": 3}}, "w.pt: '0.0.weight' has shape (6, 4, 7), in the module"),
        ({**THEIRS, "weights": "gone.pt"}, "gone.pt"),
        ({**THEIRS, "weights": "net.py"}, "net.py: is no file of weights"),
        ({**THEIRS, "weights": "code.pt"}, "code.pt: holds code or objects beside weights, which are not"),
        ({**THEIRS, "weights": "few.pt"}, "few.pt: lacks '0.0.bias', and 2 more; give weights of the module that"),
        ({**THEIRS, "weights": "more.pt"}, "more.pt: has 'extra', which the module has not; give weights"),
        ({**THEIRS, "layout": "NLC"}, "models.theirs.torch: fails on 2 sequences of 120 bases: RuntimeError"),
        ({**THEIRS, "outputs": {"HepG2": 5, "K562": 0}}, "models.theirs.outputs.HepG2: is 5, but models.theirs.t"),
        ({**THEIRS, "outputs": None}, "models.theirs.torch: has 5 outputs, the data set 2 tasks; say"),
    ],
)  # fmt: skip
def test_unfit_modules_are_refused_before_anything_is_made(tmp_path, model, message):
    write_files(tmp_path)
    weights = torch.load(tmp_path / "w.pt", weights_only=True)
    torch.save(module(), tmp_path / "code.pt")
    torch.save({"0.0.weight": weights["0.0.weight"]}, tmp_path / "few.pt")
    torch.save({**weights, "extra": torch.zeros(1)}, tmp_path / "more.pt")
    path = write(tmp_path, {key: value for key, value in model.items() if value is not None})
    with pytest.raises(InputError) as error:
        check_ahead(load_config(path), tmp_path / "run")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_an_ending_without_a_logit_asks_for_probabilities(tmp_path):
    write_files(tmp_path)
    (tmp_path / "net.py").write_text(SOURCE.replace("nn.Sigmoid()", "nn.Softmax(1)"))
    path = write(tmp_path, THEIRS)
    with pytest.raises(
        InputError, match=r"theirs.torch: ends in Softmax, .*; set attribution.output=probability to expl"
    ):
        check_ahead(load_config(path), tmp_path / "run")
    check_ahead(load_config(path, ["attribution.output=probability"]), tmp_path / "run")
