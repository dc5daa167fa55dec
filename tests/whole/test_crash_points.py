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

from helpers.tiny_run import RULED_SIMULATION, TINY_RUN

pytestmark = pytest.mark.slow

#: The parent imports and computes nothing, so that each fork is like a new process; a child ends without clean-up. Of
#: stages that load TensorFlow it imports that, too, and leaves it unused.
PROGRAM = """
import os, shutil, sys, json, warnings
from functools import partial
from pathlib import Path
import numpy as np
folder, stride, first, helpers, *stages = sys.argv[1:]
folder, stride, first = Path(folder), int(stride), int(first)
sys.path.insert(0, helpers)
from helpers.like_runs import differences
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.run.lock import locked
from simbench_tf.run.verify import problems
from simbench_tf.stages.export import write
if stages:
    import keras, tensorflow

config, given = load_config(folder / "c.yaml"), folder / "given.npz"
OPERATIONS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link")

def without_models(run):
    pipeline.run(config, run)
    for task in ("HepG2", "K562"):
        take_attributions(config, run, given, task=task, model_name="theirs")
    pipeline.run(config, run)

def locked_stage(stage, run):
    with locked(run):
        stage(config, run)

def shared(run):
    with locked(run):
        for place in ("huggingface", "zenodo"):
            write(run, ["basset"], to=place)

def in_fork(work, run, crash_at, count_file=None):
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

def copied(source, run):
    shutil.rmtree(run, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, run)
    return run

def try_all(name, work, before):
    expected, count = copied(before, folder / f"after-{name}"), folder / "count"
    assert in_fork(work, expected, None, count) == 0, name
    n, points, faults = int(count.read_text()), [], []
    for point in range(1 + first % stride, n + 1, stride):
        run = copied(before, folder / "run")
        killed = in_fork(work, run, point)
        if killed == 0 and caches_filled:
            break  # the first time compiled code was put into its cache, by operations that are none of a run
        points.append(point)
        resumed = in_fork(work, run, None)
        wrong = differences(run, expected, *tolerances)
        told = list(problems(run)) if resumed == 0 else []
        if killed != -9 or resumed != 0 or wrong or told:
            faults.append([name, point, killed, resumed, wrong, told])
    print(json.dumps([name, n, points, faults]), flush=True)
    return expected

caches_filled = bool(stages)
tolerances = (1e-4, 1e-5) if stages else (0, 0)
if not stages:
    try_all("run", without_models, folder / "nothing")
else:
    work = {"begin": lambda run: pipeline.begin(config, run)}
    work |= {stage: partial(locked_stage, getattr(pipeline, stage)) for stage in (*pipeline.STAGES, "export")}
    work["share"] = shared
    before = folder / "nothing"
    for name in [*work]:
        if name in stages:
            before = try_all(name, work[name], before)
        else:
            before = copied(before, folder / f"after-{name}")
            assert in_fork(work[name], before, None) == 0, name
"""


def crash(folder, stride, *stages):
    """Kill at each STRIDE-th operation, at all of them where the environment says so; what came of it, by name."""
    stride = "1" if os.environ.get("SIMBENCH_ALL_CRASH_POINTS") else str(stride)
    helpers = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", PROGRAM, str(folder), stride, "3", helpers, *stages]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]
    return {name: (n, points, faults) for name, n, points, faults in found}, ran.stdout


def test_a_run_killed_at_any_operation_on_files_goes_on_to_the_same_bytes(tmp_path):
    settings = {**TINY_RUN, "models": [], "simulation": {**TINY_RUN["simulation"], "n_sequences": 200}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    n, length = TINY_RUN["attribution"]["n_sequences"], TINY_RUN["simulation"]["seq_length"]
    np.savez(tmp_path / "given.npz", scores=np.random.default_rng(0).normal(size=(n, length)))
    tried, said = crash(tmp_path, 23)
    n_operations, points, faults = tried["run"]
    assert n_operations > 60
    assert len(points) >= 3
    assert faults == [], said


#: Stages that load TensorFlow, each with what it has besides: snapshots, knock-outs, shuffles, calls, entries, cards.
WITH_MODELS = {
    **TINY_RUN,
    "simulation": RULED_SIMULATION,
    "training": {"batch_size": 50, "max_batches": 6, "checkpoint_interval": 3, "precision": "float32"},
    "dynamics": {"checkpoints": 2, "n_sequences": 16, "tasks": ["K562"]},
    "attribution": {**TINY_RUN["attribution"], "n_sequences": 6, "tasks": ["K562"]},
    "discovery": {},
    "export": {"kipoi": True},
}


def test_stages_of_models_killed_at_any_operation_on_files_go_on_to_the_same_results(tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(WITH_MODELS))
    stages = ("train", "attribute", "export", "share")
    stages += ("dynamics", "motifs", "report") if os.environ.get("SIMBENCH_ALL_CRASH_POINTS") else ()
    tried, said = crash(tmp_path, 45, *stages)
    assert set(tried) == set(stages)
    assert [faults for _, _, faults in tried.values()] == [[]] * len(stages), said
    assert sum(n for n, _, _ in tried.values()) > 150
    assert sum(len(points) for _, points, _ in tried.values()) >= 5
