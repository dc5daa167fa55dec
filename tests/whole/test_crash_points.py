"""A run that is killed at any of its operations on files goes on to the same results.

Each rename, deletion, new folder and lock of a run without models is a crash point. A drawn part is tried here, all of
them with SIMBENCH_ALL_CRASH_POINTS=1 (some minutes).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.tiny_run import TINY_RUN

pytestmark = pytest.mark.slow

#: The parent imports and computes nothing, so that each fork is like a new process; a child ends without clean-up.
PROGRAM = """
import os, shutil, sys, json, warnings
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[4])
from helpers.folders import checksums
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.run.verify import problems

folder, stride = Path(sys.argv[1]), int(sys.argv[2])
config, given = load_config(folder / "c.yaml"), folder / "given.npz"
OPERATIONS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link")

def work(run):
    pipeline.run(config, run)
    for task in ("HepG2", "K562"):
        take_attributions(config, run, given, task=task, model_name="theirs")
    pipeline.run(config, run)

def in_fork(run, crash_at, count_file=None):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done = 0
    def counted(operation):
        def call(*arguments, **options):
            nonlocal done
            done += 1
            if done == crash_at:
                os.kill(os.getpid(), 9)
            return operation(*arguments, **options)
        return call
    for name in OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))
    try:
        work(run)
    except BaseException as error:
        print(f"crash point {crash_at}: {type(error).__name__}: {error}", flush=True)
        os._exit(1)
    if count_file:
        count_file.write_text(str(done))
    os._exit(0)

def results(run):
    timed = {"manifest.json", "scores/summary.csv", "report.html"}
    return {name: each for name, each in checksums(run).items() if name not in timed and ".simbench.lock" not in name}

assert in_fork(folder / "whole", None, folder / "count") == 0
n = int((folder / "count").read_text())
expected, faults = results(folder / "whole"), []
points = list(range(1 + int(sys.argv[3]) % stride, n + 1, stride))
for point in points:
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    killed = in_fork(run, point)
    resumed = in_fork(run, None)
    found = results(run)
    wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    told = list(problems(run)) if resumed == 0 else []
    if killed != -9 or resumed != 0 or wrong or told:
        faults.append([point, killed, resumed, wrong, told])
print(json.dumps([n, points, faults]))
"""


def test_a_run_killed_at_any_operation_on_files_goes_on_to_the_same_bytes(tmp_path):
    settings = {**TINY_RUN, "models": [], "simulation": {**TINY_RUN["simulation"], "n_sequences": 200}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    n, length = TINY_RUN["attribution"]["n_sequences"], TINY_RUN["simulation"]["seq_length"]
    np.savez(tmp_path / "given.npz", scores=np.random.default_rng(0).normal(size=(n, length)))
    stride = "1" if os.environ.get("SIMBENCH_ALL_CRASH_POINTS") else "23"
    helpers = str(Path(__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), stride, "3", helpers], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    n_operations, points, faults = json.loads(ran.stdout.splitlines()[-1])
    assert n_operations > 60
    assert len(points) >= 3
    assert faults == [], ran.stdout
