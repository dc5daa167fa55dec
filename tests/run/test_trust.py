"""Code that a run names is executed by whoever named it, and by nobody who was merely handed the run."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
import yaml

from helpers.program import simbench
from helpers.tiny_run import TINY_RUN
from simbench_tf.run.manifest import read_manifest

#: Says that it was executed, wherever it is.
CODE = """
from pathlib import Path
import keras
(Path(__file__).parent / "executed").touch()

def build(seq_length, n_tasks):
    inputs = keras.Input((seq_length, 4))
    hidden = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(4, 9)(inputs))
    return keras.Model(inputs, keras.layers.Dense(n_tasks, activation="sigmoid")(hidden))
"""
SETTINGS = {
    **TINY_RUN,
    "simulation": {**TINY_RUN["simulation"], "n_sequences": 200},
    "models": [{"name": "mine", "python": "mine.py:build"}],
    "training": {**TINY_RUN["training"], "max_batches": 2},
    "attribution": {"n_sequences": 3, "methods": [{"method": "grad_x_input"}]},
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A user's folder: model, configuration, and the run of it, whose model lies in it."""
    from simbench_tf import pipeline
    from simbench_tf.config import load_config

    folder = tmp_path_factory.mktemp("user")
    run = folder / "run"
    run.mkdir()
    (folder / "mine.py").write_text(CODE)
    (folder / "mine.yaml").write_text(yaml.safe_dump(SETTINGS))
    pipeline.run(load_config(folder / "mine.yaml"), run)
    return folder


@pytest.fixture
def run(begun, tmp_path, monkeypatch):
    """A copy of the run; whatever loads its model executes the user's file anew, and leaves a mark."""
    (begun / "executed").unlink(missing_ok=True)
    forget_modules(monkeypatch)
    return shutil.copytree(begun / "run", tmp_path / "run")


def forget_modules(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("simbench_own_mine")]:
        monkeypatch.delitem(sys.modules, name)


def be_somebody_else(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of somebody else"))


REFUSED = "run: would execute code that you have not named: {code} (model mine); look through it, then add --trust-code"


@pytest.mark.parametrize(
    "command", ["train", "dynamics", "attribute", "score", "motifs", "export", "simulate config", "run config"]
)
def test_a_run_of_others_executes_nothing(begun, run, monkeypatch, capsys, tmp_path, command):
    be_somebody_else(monkeypatch, tmp_path)
    command, *config = command.split()
    arguments = [run / "config.yaml", "--out", tmp_path / "new"] if config else [run]
    code, out, err = simbench(monkeypatch, capsys, command, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert REFUSED.format(code=f"{begun / 'mine.py'}:build") in err
    assert not (begun / "executed").exists()
    assert not (tmp_path / "new").exists()


def test_it_does_once_it_is_trusted(begun, run, monkeypatch, capsys, tmp_path):
    be_somebody_else(monkeypatch, tmp_path)
    shutil.rmtree(run / "attributions")
    assert simbench(monkeypatch, capsys, "attribute", run)[0] == 2
    code, _, err = simbench(monkeypatch, capsys, "attribute", run, "--trust-code")
    assert code == 0, err
    assert (begun / "executed").exists()
    assert simbench(monkeypatch, capsys, "score", run)[0] == 0


def test_an_own_run_asks_nothing_wherever_it_is_moved(begun, monkeypatch, capsys, tmp_path):
    moved = shutil.copytree(begun / "run", tmp_path / "moved")
    for command in (["train", moved], ["attribute", moved], ["run", moved / "config.yaml", "--out", moved]):
        code, _, err = simbench(monkeypatch, capsys, *command)
        assert code == 0, err


def test_code_that_others_put_beside_a_model_is_not_executed(tiny_run, tmp_path, monkeypatch, capsys):
    """A run of a built-in architecture names no code, but a file beside its model could."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "mine.py").write_text(CODE)
    (run / "models" / "basset" / "python.json").write_text(json.dumps({"python": f"{run / 'mine.py'}:build"}))
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(TINY_RUN))
    for command in (["attribute", run], ["run", tmp_path / "own.yaml", "--out", run]):
        code, _, err = simbench(monkeypatch, capsys, *command)
        assert (code, err.count("\n")) == (2, 1)
        assert f"{run / 'mine.py'}:build (model basset)" in err
    assert not (run / "executed").exists()
    # a folder may be called as our modules are
    (run / "models" / "basset" / "python.json").unlink()
    (run / "models" / "basset" / "kipoi.json").write_text(json.dumps({"source": "simbench_tf.entry"}))
    code, _, err = simbench(monkeypatch, capsys, "attribute", run)
    assert code == 2
    assert "would execute code that you have not named: simbench_tf.entry (model basset)" in err
    (run / "models" / "basset" / "kipoi.json").unlink()
    (run / "models" / "basset" / "python.json").write_text("{}")
    code, _, err = simbench(monkeypatch, capsys, "attribute", run)
    assert (code, err.count("\n")) == (2, 1)
    assert "python.json: is damaged" in err


def test_code_in_a_run_that_somebody_changed_is_not_executed(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    code = run / "code"
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({**SETTINGS, "models": [{"name": "mine", "python": "run/code/mine.py:build"}]})
    )
    simulated = {**SETTINGS, "models": []}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(simulated))
    assert simbench(monkeypatch, capsys, "simulate", tmp_path / "data.yaml", "--out", run)[0] == 0
    code.mkdir()
    forget_modules(monkeypatch)
    (code / "mine.py").write_text(CODE)
    (code / "beside.py").write_text("")
    assert simbench(monkeypatch, capsys, "run", tmp_path / "mine.yaml", "--out", run)[0] == 0
    assert simbench(monkeypatch, capsys, "attribute", run)[0] == 0
    (code / "executed").unlink()
    forget_modules(monkeypatch)
    (code / "beside.py").write_text("print('changed')")
    code_, _, err = simbench(monkeypatch, capsys, "attribute", run)
    assert code_ == 2
    assert "would execute code that you have not named" in err
    assert not (code / "executed").exists()


def test_the_key_is_for_its_user_alone_and_no_home_is_no_error(begun, run, monkeypatch, capsys):
    key = Path(os.environ["XDG_CONFIG_HOME"]) / "simbench_tf" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert read_manifest(begun / "run")["config.yaml"]["code"]
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/nowhere")
    assert simbench(monkeypatch, capsys, "train", run)[0] == 2
    code, _, err = simbench(monkeypatch, capsys, "train", run, "--trust-code")
    assert code == 0, err


def test_a_run_without_code_is_not_signed(tiny_run):
    assert "code" not in read_manifest(tiny_run)["config.yaml"]
