"""Commands on worker processes: the same bytes, and where a worker is killed, one line and a rerun that goes on."""

import shutil
import subprocess
import sys

import psutil
import pytest

from helpers.folders import checksums

pytestmark = pytest.mark.slow


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


def begin(*arguments):
    command = [sys.executable, "-c", "from simbench_tf.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(program):
    out, err = program.communicate(timeout=600)
    return program.returncode, out, err


def test_a_killed_worker_is_one_line_and_the_same_command_goes_on(tiny_run, tiny_config, tmp_path):
    command = ["simulate", tiny_config, "--out", tmp_path / "run", "--workers", 2]
    program = begin(*command)
    killed = None
    while killed is None and program.poll() is None:
        children = psutil.Process(program.pid).children()
        killed = next((child for child in children if "spawn_main" in command_of(child)), None)
    killed.kill()
    code, out, err = end(program)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        "error: a worker process was ended from outside, perhaps for want of memory; "
        "the same command goes on, perhaps with fewer workers"
    )
    assert end(begin(*command))[0] == 0
    assert checksums(tmp_path / "run" / "dataset") == checksums(tiny_run / "dataset")


def test_attributions_and_oracle_are_the_same_bytes_on_two_workers(copied_run):
    names = ("attributions", "oracle")
    before = {name: checksums(copied_run / name) for name in names}
    for name in names:
        shutil.rmtree(copied_run / name)
    for stage in ("attribute", "oracle"):
        code, _, err = end(begin(stage, copied_run, "--workers", 2))
        assert code == 0, err
    assert {name: checksums(copied_run / name) for name in names} == before
