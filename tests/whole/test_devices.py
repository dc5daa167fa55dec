"""Several devices and several hosts train as one: the same losses, the same weights, files by one of them alone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml

from helpers.folders import REPOSITORY
from simbench_tf import devices
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.run.folder import begin
from simbench_tf.stages import train as train_stage

MIRRORED = REPOSITORY / "tests" / "helpers" / "three_devices.py"
SIMBENCH = [sys.executable, "-m", "simbench_tf.cli"]

NETWORK = """
import keras

def build(seq_length, n_tasks, seed):
    x = inputs = keras.Input((seq_length, 4))
    x = keras.layers.Conv1D(8, 9)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(n_tasks, activation="sigmoid")(x))
"""

#: 630 sequences in the train split: the last of an epoch's 13 batches has 31, which two devices cannot halve.
RUN = {
    "name": "shared",
    "seed": 7,
    "simulation": {
        "kind": "grammar",
        "seq_length": 100,
        "n_sequences": 901,
        "tasks": {"HepG2": {"fraction": 0.4}, "K562": {"fraction": 0.3}},
        "elements": [
            {"motif": "HNF4A", "rate": 0.1, "enriched": {"HepG2": 1.5}},
            {"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 1.5}},
        ],
    },
    "models": [{"name": "mine", "python": "mine.py:build"}, {"name": "other", "python": "mine.py:build", "seeds": 1}],
    "training": {
        "batch_size": 50,
        "max_batches": 120,
        "patience": 100,
        "learning_rate": 0.01,
        "checkpoint_interval": 4,
        "precision": "float32",
        # all that changes the loss or the weights, so that it is seen to be shared rightly
        "class_weight": "balanced",
        "reverse_complement": True,
        "max_norm": 1.0,
        "l2": 0.001,
        "schedule": "cosine",
        "warmup_batches": 3,
    },
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run whose data set is there, and the same run with its models trained by one process."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "mine.py").write_text(NETWORK)
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    subprocess.run([*SIMBENCH, "simulate", folder / "run.yaml", "--out", folder / "begun"], check=True)
    shutil.copytree(folder / "begun", folder / "one")
    subprocess.run([*SIMBENCH, "train", folder / "one"], check=True)
    return folder


def workers(run, n=2):
    """Start `simbench train` as so many workers on this host."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(n)]
    names = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return [
        subprocess.Popen(
            [*SIMBENCH, "train", run],
            env={
                **os.environ,
                "TF_CONFIG": json.dumps({"cluster": {"worker": names}, "task": {"type": "worker", "index": index}}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(n)
    ]


def assert_trained_as_by_one(run, one):
    for model in ("mine", "other"):
        mine, theirs = (pd.read_csv(folder / "models" / model / "history.csv") for folder in (run, one))
        assert mine["batch"].tolist() == [*range(13, 118, 13), 120]
        # the variance of a shared batch is the mean of squares less the square of the mean, so not the same to the bit
        pd.testing.assert_frame_equal(mine, theirs, rtol=1e-3)
        np.testing.assert_allclose(mine["loss"], theirs["loss"], rtol=1e-4)
        metrics = [json.loads((folder / "models" / model / "metrics.json").read_text()) for folder in (run, one)]
        for task in ("HepG2", "K562"):
            assert metrics[0][task] == pytest.approx(metrics[1][task], rel=1e-3)


@pytest.mark.slow
def test_two_workers_train_as_one_process_and_go_on_where_they_were_killed(begun, tmp_path):
    run = shutil.copytree(begun / "begun", tmp_path / "run")
    started = workers(run)
    checkpoint = run / "models" / "other" / "checkpoint.npz"
    until = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < until and started[0].poll() is None:
        time.sleep(0.01)
    assert checkpoint.exists(), started[0].communicate()
    started[1].send_signal(signal.SIGKILL)
    started[1].communicate()
    _, told = started[0].communicate(timeout=120)
    assert started[0].returncode == 1
    assert "fault: RuntimeError: another of the 2 hosts has ended; start all again" in told
    assert checkpoint.exists(), "killed within training"
    first = (run / "models" / "mine" / "model.keras").stat().st_mtime_ns
    ended = [(worker.communicate(timeout=300), worker.returncode) for worker in workers(run)]
    assert [code for _, code in ended] == [0, 0], ended
    assert [out.count("training functional on 2 x cpu, float32") for (_, out), _ in ended] == [1, 1]
    assert (run / "models" / "mine" / "model.keras").stat().st_mtime_ns == first, "what was finished stays"
    assert sorted(path.name for path in (run / "models" / "other").iterdir()) == [
        "history.csv",
        "metrics.json",
        "model.keras",
        "python.json",
    ]
    assert json.loads((run / "manifest.json").read_text())["models/other/model.keras"]["n_replicas"] == 2
    assert_trained_as_by_one(run, begun / "one")


@pytest.mark.slow
def test_three_devices_of_one_host_train_as_one(begun, tmp_path):
    subprocess.run([sys.executable, MIRRORED, begun / "one", tmp_path], check=True)
    mine, theirs = (pd.read_csv(folder / "history.csv") for folder in (tmp_path, begun / "one" / "models" / "mine"))
    pd.testing.assert_frame_equal(mine, theirs, rtol=1e-3)
    np.testing.assert_allclose(mine["loss"], theirs["loss"], rtol=1e-4)


def cluster(task_type, index, **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": task_type, "index": index}})


@pytest.mark.parametrize(
    ("text", "n_hosts", "is_chief"),
    [
        (None, 1, True),
        ("", 1, True),
        (cluster("worker", 0, worker=["a:1"]), 1, True),
        (cluster("worker", 0, worker=["a:1", "b:1"]), 2, True),
        (cluster("worker", 1, worker=["a:1", "b:1"]), 2, False),
        (cluster("chief", 0, chief=["a:1"], worker=["b:1", "c:1"]), 3, True),
        (cluster("worker", 0, chief=["a:1"], worker=["b:1", "c:1"]), 3, False),
    ],
)
def test_who_writes(monkeypatch, text, n_hosts, is_chief):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    assert (devices.n_hosts(), devices.is_chief()) == (n_hosts, is_chief)


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": ["a:1"]}'])
def test_a_cluster_that_cannot_be_read(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG: is no description of a cluster in JSON"):
        devices.n_hosts()


def test_tensorflow_had_begun(monkeypatch, begun):
    tf.constant(1)
    monkeypatch.setenv("TF_CONFIG", cluster("worker", 0, worker=["localhost:1", "localhost:2"]))
    config = load_config(begun / "run.yaml")
    devices.strategy.cache_clear()
    with pytest.raises(InputError, match=r"TF_CONFIG: cannot be followed: .*devices\.strategy\(\) before"):
        train_stage.write(config, begun / "begun", config.replicates[0], "key", None)
    devices.strategy.cache_clear()


def test_only_one_worker_begins_a_run(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", cluster("worker", 1, worker=["a:1", "b:1"]))
    with pytest.raises(InputError, match="TF_CONFIG: makes this one of several hosts, which only train"):
        begin(load_config("demo"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
