"""`simbench status`: how far each stage is, trainings that were cut off, and who is writing."""

import shutil
import subprocess
import sys

import pytest

from helpers.program import simbench
from simbench_tf.errors import InputError
from simbench_tf.run.lock import holder_of, locked
from simbench_tf.run.status import state_of_run


def test_a_whole_run_is_done(tiny_run, monkeypatch, capsys):
    states = list(state_of_run(tiny_run))
    assert [each.stage for each in states] == ["simulate", "train", "attribute", "oracle", "score", "report"]
    assert [each.done for each in states] == [each.wanted for each in states] == [1, 1, 4, 1, 1, 1]
    assert all(each.seconds > 0 for each in states)
    code, out, err = simbench(monkeypatch, capsys, "status", tiny_run)
    assert (code, err) == (0, "")
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        [each.stage, str(each.done), "of", str(each.wanted)] for each in states
    ]


def test_what_is_missing_and_a_training_that_was_cut_off_are_told(copied_run, monkeypatch, capsys):
    (copied_run / "models" / "basset" / "metrics.json").unlink()
    (next(copied_run.glob("attributions/basset/K562/*.h5"))).unlink()
    shutil.rmtree(copied_run / "scores")
    states = {each.stage: each for each in state_of_run(copied_run)}
    assert {stage: each.done for stage, each in states.items() if each.done < each.wanted} == {
        "train": 0, "attribute": 3, "score": 0,
    }  # fmt: skip
    code, out, _ = simbench(monkeypatch, capsys, "status", copied_run)
    assert code == 0
    assert "cut off: basset: 24 of at most 24 batches" in out
    assert out.splitlines()[-1] == f"`simbench run {copied_run / 'config.yaml'} --out {copied_run}` goes on"


def test_who_is_writing_is_told(copied_run, monkeypatch, capsys):
    assert holder_of(copied_run) is None
    program = (
        "import sys; from pathlib import Path; from simbench_tf.run.lock import locked\n"
        f"with locked(Path({str(copied_run)!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        _, out, _ = simbench(monkeypatch, capsys, "status", copied_run)
        assert f"being written by another process: {other.pid} on " in out
        other.stdin.close()
    assert holder_of(copied_run) is None
    with locked(copied_run):
        assert holder_of(copied_run) is None, "it is this process"


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(InputError):
        list(state_of_run(tmp_path))
