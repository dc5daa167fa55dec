"""Ctrl-C and other signals: one line, the right exit code, and the same command resumes."""

import functools
import signal
import subprocess
import sys
import time

import pytest

from helpers.program import simbench
from simbench_tf import cli
from simbench_tf.cli import lists, program

LINE = "interrupted; the same command resumes where it stopped\n"


def interrupt():
    raise KeyboardInterrupt


def test_ctrl_c_in_a_command_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(lists, "presets", interrupt)
    assert simbench(monkeypatch, capsys, "presets") == (130, "", LINE)


def test_ctrl_c_while_the_program_loads_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(program, "main", interrupt)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert (stop.value.code, capsys.readouterr()) == (130, ("", LINE))


def started(*arguments):
    """The program in a process of its own, which heeds Ctrl-C even where the tests run in a shell's background."""
    command = [sys.executable, "-m", "simbench_tf.cli", *map(str, arguments)]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)


def wait_for(path, process):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


SETTINGS = {
    "simulation.n_sequences": 400, "simulation.seq_length": 200, "training.max_batches": 4000,
    "training.batch_size": 10, "training.patience": 1000, "training.validate_every": 100, "models.0.width": 0.03,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_training_leaves_a_checkpoint_and_says_so(tmp_path, number):
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    process = started("run", "demo", "--out", tmp_path / "run", *settings)
    model = tmp_path / "run" / "models" / "basset"
    wait_for(model / "history.csv", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (128 + number, "")
    told = [line for line in err.splitlines() if not line.startswith("compiling for this processor")]
    simulated, first, second, third, last = told
    assert simulated.startswith("simulate: ")
    assert first.startswith("training basset on ")
    assert second == "stopping after this batch, with a checkpoint"
    assert third.startswith("stopped after batch ")
    assert last + "\n" == LINE
    assert (model / "checkpoint.npz").is_file()


DESTROYED = """
import os, signal, time
from simbench_tf.cli import program

class Destroyed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100_000):  # Python runs the handler between two of these
            pass

with program._no_ctrl_c_is_lost():
    try:
        Destroyed()
        time.sleep(30)
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_while_an_object_is_destroyed_is_not_lost():
    done = subprocess.run([sys.executable, "-c", DESTROYED], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 0.5, 2])
def test_ctrl_c_at_any_moment_prints_no_traceback(tmp_path, seconds):
    process = started("run", "demo", "--out", tmp_path / "run")
    wait_for(tmp_path / "run" / "config.yaml", process)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.endswith(LINE)
