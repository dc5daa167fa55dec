"""Jobs of an array: parts of a stage that processes do side by side in one run, and what comes of it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from helpers.like_runs import differences
from helpers.program import simbench
from simbench_tf.errors import InputError
from simbench_tf.run import lock
from simbench_tf.run.folder import config_of
from simbench_tf.run.jobs import Job, files_of_job, job_commands, parts_of_job
from simbench_tf.run.lock import JOBS, LOCK, holder_of, locked
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.verify import problems

HOLD = """
import sys
from pathlib import Path
from simbench_tf.run.lock import locked
with locked(Path(sys.argv[1]), sys.argv[2:]):
    print("held", flush=True)
    sys.stdin.read()
"""
#: Writes files and their records, one at a time, while others do the same.
RECORD = """
import sys
from pathlib import Path
from simbench_tf.run.lock import locked
from simbench_tf.run.manifest import discard, write_records
run, name = Path(sys.argv[1]), sys.argv[2]
with locked(run, [name]):
    print("held", flush=True)
    sys.stdin.readline()
    for number in range(30):
        for each in (name, f"gone-{name}"):
            (run / f"{each}{number}").write_text(each)
            write_records(run, [run / f"{each}{number}"], "train", name, 0, "cpu")
        discard(run, [f"gone-{name}{number}"])
"""


@contextmanager
def process(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    begun = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert begun.stdout.readline() == "held\n"
        yield begun
    finally:
        begun.kill()
        begun.communicate()


def test_jobs_with_other_parts_go_on_beside_and_keep_out_all_else(tmp_path):
    with process(HOLD, tmp_path, "models/a") as first, locked(tmp_path, ["models/b", "models/c"]):
        assert holder_of(tmp_path) is None, "it is this process, too"
        with process(HOLD, tmp_path, "models/d"):
            pass
        whole = subprocess.run([sys.executable, "-c", HOLD, tmp_path], capture_output=True, text=True)
        assert "is being written by another process" in whole.stderr
        same = subprocess.run(
            [sys.executable, "-c", HOLD, tmp_path, "models/d", "models/a"], capture_output=True, text=True
        )
        assert f"models/a: is being written by another process: {first.pid} on" in same.stderr
        lock._mine.discard(tmp_path.resolve())  # as another process sees it
        told = holder_of(tmp_path)
        lock._mine.add(tmp_path.resolve())
        assert f"{first.pid} on" in told
        assert "(models/a)" in told
        assert f"{os.getpid()} on" in told
        assert "(models/b)" in told
    with process(HOLD, tmp_path), pytest.raises(InputError, match="is being written"), locked(tmp_path, ["models/b"]):
        pass


def test_the_last_job_takes_the_locks_away_and_killed_ones_leave_nothing_that_holds(tmp_path):
    with process(HOLD, tmp_path, "models/a"):
        with locked(tmp_path, ["models/b"]):
            pass
        assert (tmp_path / LOCK).is_file(), "one is left"
    assert holder_of(tmp_path) is None
    with locked(tmp_path, ["models/a"]):
        assert "(models/a)" not in (holder_of(tmp_path) or "")
    assert list(tmp_path.iterdir()) == []
    with process(HOLD, tmp_path, "models/a") as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    with locked(tmp_path):
        assert not (tmp_path / JOBS).exists()
    assert list(tmp_path.iterdir()) == []


def test_no_record_is_lost_where_jobs_write_at_once(tmp_path):
    names = ["a", "b", "c"]
    with ExitStack() as stack:
        jobs = [stack.enter_context(process(RECORD, tmp_path, name)) for name in names]
        for each in jobs:
            each.stdin.write("\n")
            each.stdin.flush()
        assert [each.wait() for each in jobs] == [0, 0, 0]
    assert set(read_manifest(tmp_path)) == {f"{name}{number}" for name in names for number in range(30)}


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_lock", lambda *_, **__: False)
    with locked(tmp_path):
        pass
    with pytest.raises(InputError, match="without locks, so jobs cannot share it; do the whole stage by one process"):
        locked(tmp_path, ["models/a"]).__enter__()


def test_a_job_is_named_by_its_model_task_and_method(tiny_run):
    config = config_of(tiny_run)
    keys = ["grad_x_input@none", "integrated_gradients@shuffle2+n_steps=3"]
    assert list(job_commands(config, tiny_run, "train")) == [f"simbench train {tiny_run} --model basset"]
    assert list(job_commands(config, tiny_run, "attribute")) == [
        f"simbench attribute {tiny_run} --model basset --task {task} --method {key}"
        for task in ("HepG2", "K562")
        for key in keys
    ]
    assert [file.key for file in files_of_job(config, tiny_run, Job(task="K562"))] == keys
    assert parts_of_job(config, tiny_run, "attribute", Job(method="grad_x_input")) == [
        f"attributions/basset/{task}/grad_x_input@none" for task in ("HepG2", "K562")
    ]
    assert parts_of_job(config, tiny_run, "attribute", Job()) == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("train", "--model", "bassett"), "--model: 'bassett' is no model of the run; did you mean 'basset'?"),
        (("attribute", "--task", "K563"), "--task: 'K563' is no task that the run explains; did you mean 'K562'?"),
        (
            ("attribute", "--method", "ism"),
            "--method: 'ism' is no method of the run and that model; known: grad_x_input, ",
        ),
    ],
)
def test_a_job_that_there_is_not_is_one_line(tiny_run, monkeypatch, capsys, options, line):
    code, _, err = simbench(monkeypatch, capsys, options[0], tiny_run, *options[1:])
    assert code == 2
    assert err.startswith(f"error: {line}")


@pytest.mark.slow
def test_an_array_of_jobs_makes_what_one_process_makes(tiny_run, copied_run, monkeypatch, capsys):
    for made in ("models", "attributions", "nulls"):
        shutil.rmtree(copied_run / made)
    _, out, _ = simbench(monkeypatch, capsys, "jobs", copied_run, "train")
    for line in out.splitlines():
        assert simbench(monkeypatch, capsys, *shlex.split(line)[1:])[0] == 0
    _, out, _ = simbench(monkeypatch, capsys, "jobs", copied_run, "attribute")
    assert len(out.splitlines()) == 4
    program = [sys.executable, "-m", "simbench_tf.cli.program"]
    beside = [subprocess.Popen([*program, *shlex.split(line)[1:]]) for line in out.splitlines()[:2]]
    for line in out.splitlines()[2:]:
        code, _, err = simbench(monkeypatch, capsys, *shlex.split(line)[1:])
        assert code == 0, err
    assert [each.wait() for each in beside] == [0, 0]
    assert simbench(monkeypatch, capsys, "run", copied_run / "config.yaml", "--out", copied_run)[0] == 0
    assert [line for line in differences(copied_run, tiny_run) if not line.startswith("logs/")] == []
    assert list(problems(copied_run)) == []
    assert not (copied_run / JOBS).exists()
