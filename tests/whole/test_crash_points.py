"""A run that is killed at any of its operations on files goes on to the same results.

Each rename, deletion, new folder and lock is a crash point: of a run without models, of the stages with models, of a
twin and what is believed of it. A drawn part is tried here, all of them with SIMBENCH_ALL_CRASH_POINTS=1 (an hour;
-rP shows how many there are).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers import crash_points
from helpers.drawn_peaks import ONE, settings, write_peaks
from helpers.tiny_run import RULED_SIMULATION, TINY_RUN

#: Whether each operation is tried, however long that takes.
ALL = bool(os.environ.get("SIMBENCH_ALL_CRASH_POINTS"))

pytestmark = [pytest.mark.slow, *([pytest.mark.timeout(0)] if ALL else [])]

PROGRAM = Path(crash_points.__file__)


def crash(folder, stride, *stages):
    """Kill at each STRIDE-th operation, at all of them where the environment says so; what came of it, by name."""
    stride = "1" if ALL else str(stride)
    command = [sys.executable, str(PROGRAM), str(folder), stride, "3", *stages]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    sys.stdout.write(ran.stdout)  # pytest shows it with -rP
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
    stages += ("dynamics", "motifs", "report") if ALL else ()
    tried, said = crash(tmp_path, 45, *stages)
    assert set(tried) == set(stages)
    assert [faults for _, _, faults in tried.values()] == [[]] * len(stages), said
    assert sum(n for n, _, _ in tried.values()) > 150
    assert sum(len(points) for _, points, _ in tried.values()) >= 5


def test_a_twin_and_its_beliefs_killed_at_any_operation_on_files_come_to_the_same(tmp_path):
    given = yaml.safe_load(write_peaks(tmp_path, settings(**ONE), 300).read_text())
    given["models"] = [{"name": "small", "architecture": "basset", "width": 0.03}]
    given["training"] = {"batch_size": 50, "max_batches": 12, "precision": "float32"}
    given["attribution"] = {"n_sequences": 8, "methods": [{"method": "grad_x_input"}]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(given))
    tried, said = crash(tmp_path, 40, "twin", "believe")
    assert set(tried) == {"twin", "believe"}
    assert [faults for _, _, faults in tried.values()] == [[], []], said
    assert tried["twin"][0] > 30
    assert tried["believe"][0] >= 4
    assert len(tried["twin"][1]) >= 2
    assert tried["believe"][1]
