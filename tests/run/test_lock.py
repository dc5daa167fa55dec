"""A run is written by one process at a time: the second is told which, and the lock of the dead is no one's."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from helpers.folders import times
from helpers.program import simbench
from simbench_tf.errors import InputError
from simbench_tf.run.folder import check_folder
from simbench_tf.run.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from simbench_tf.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held_by_another(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_holds_it_and_since_when(tmp_path):
    with held_by_another(tmp_path / "run") as holder:
        holds = rf"run: is being written by another process: {holder.pid} on .+, since 20\d\d-.* UTC; wait until"
        with pytest.raises(InputError, match=holds), locked(tmp_path / "run"):
            pass


def test_the_lock_of_a_process_that_was_killed_is_no_ones(tmp_path):
    with held_by_another(tmp_path / "run") as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with locked(tmp_path / "run"):
            assert f'"pid": {os.getpid()}' in (tmp_path / "run" / LOCK).read_text()


def test_it_is_free_again_afterwards_also_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        _ = 1 / 0
    with held_by_another(tmp_path):
        pass


def test_what_a_holder_calls_goes_on(tmp_path):
    with locked(tmp_path), locked(tmp_path):
        pass


def test_a_folder_with_a_lock_alone_can_become_a_run(tmp_path):
    with locked(tmp_path / "run"):
        pass
    check_folder(tmp_path / "run")


def test_commands_end_with_2_and_change_nothing(copied_run, tmp_path, monkeypatch, capsys):
    config = copied_run / "config.yaml"
    commands = (("run", config, "--out"), ("simulate", config, "--out"), ("train",), ("attribute",), ("score",))
    with held_by_another(copied_run) as holder:
        before = times(copied_run)
        for command in (*commands, ("oracle",), ("report",)):
            code, _, err = simbench(monkeypatch, capsys, *command, copied_run)
            assert code == 2
            assert f"is being written by another process: {holder.pid}" in " ".join(err.split())
        assert times(copied_run) == before
        # what only reads needs no lock
        assert simbench(monkeypatch, capsys, "export-data", copied_run, "--out", tmp_path / "data")[0] == 0
