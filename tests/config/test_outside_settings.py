"""Keys of models of other frameworks: which go together, and whose paths are made absolute."""

import pytest
import yaml

from helpers.tiny_run import TINY_RUN
from simbench_tf.config import Model, load_config
from simbench_tf.errors import InputError

THEIRS = {"name": "theirs", "torch": "net.py:build", "weights": "w.pt"}


def write(folder, *models):
    (folder / "c.yaml").write_text(yaml.safe_dump({**TINY_RUN, "models": list(models)}))
    return folder / "c.yaml"


def test_paths_are_taken_from_the_configurations_folder(tmp_path):
    theirs, file, module = load_config(
        write(tmp_path, THEIRS, {"name": "file", "onnx": "m.onnx"}, {"name": "m", "torch": "pack.mod:build"})
    ).models
    assert theirs.torch == f"{tmp_path / 'net.py'}:build"
    assert (theirs.weights, file.onnx) == (tmp_path / "w.pt", tmp_path / "m.onnx")
    assert module.torch == "pack.mod:build"


def test_they_are_explained_as_they_are():
    assert not Model(**THEIRS).is_trained
    assert not Model(onnx="m.onnx").is_trained


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({**THEIRS, "architecture": "basset"}, "a model needs one of `architecture`"),
        ({**THEIRS, "onnx": "m.onnx"}, "`torch` (a function), `onnx` (a file)"),
        ({**THEIRS, "torch": "net.py"}, "torch 'net.py' names no function; write e.g. my_model.py:build"),
        ({**THEIRS, "seeds": 2}, "seeds are of models that are trained, this one is taken as it is"),
        (
            {**THEIRS, "training": {"max_batches": 3}},
            "training is of models that are trained, this one is taken as it is",
        ),
        ({**THEIRS, "trained": True}, "trained is a setting of `keras`"),
        ({**THEIRS, "layout": "LNC"}, "layout"),
        ({**THEIRS, "settings": {"seed": 3}}, "settings.seed is given by the run; leave it out"),
        ({"onnx": "m.onnx", "weights": "w.pt"}, "weights are those of a `torch` module; leave them out"),
        ({"onnx": "m.onnx", "settings": {"a": 1}}, "settings are those of the function of `python` or `torch`"),
        ({"architecture": "basset", "layout": "NCL"}, "layout is a setting of a model of your own"),
        ({"onnx": "m.onnx", "outputs": {}}, "outputs names no task"),
    ],
    ids=str,
)
def test_keys_that_do_not_go_together_are_refused_in_one_line(tmp_path, model, message):
    with pytest.raises(InputError) as error:
        load_config(write(tmp_path, model))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
