"""Training that is killed resumes from its checkpoint and ends as if nothing had happened."""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pandas as pd
import pytest

from helpers.interruptions import CutError, cut_after
from simbench_tf import pipeline
from simbench_tf.config import Training, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.errors import InputError
from simbench_tf.models import basset
from simbench_tf.training import Snapshots, read_snapshots, train
from simbench_tf.training.checkpoints import Checkpoint, Progress, read_checkpoint, watch_for_stop, write_checkpoint

pytestmark = pytest.mark.slow

#: Rounds of 13 batches; checkpoints within them and at their ends.
SETTINGS = ["training.max_batches=60", "training.checkpoint_interval=4", "training.patience=3"]
TRAINING = Training(batch_size=50, max_batches=60, checkpoint_interval=4, precision="float32")


@pytest.fixture(scope="module")
def ds(tiny_run):
    return open_dataset(tiny_run / "dataset")


def network(ds):
    return basset(ds.seq_length, len(ds.tasks), 0.03, seed=3)


@pytest.fixture(scope="module")
def unbroken(ds):
    model = network(ds)
    return model, train(model, ds, TRAINING, seed=3)


def assert_the_same(trained, model, unbroken):
    expected_model, expected = unbroken
    pd.testing.assert_frame_equal(trained.history, expected.history, rtol=1e-4)
    for task, metrics in expected.metrics.items():
        assert trained.metrics[task] == pytest.approx(metrics, rel=1e-4)
    for mine, theirs in zip(model.get_weights(), expected_model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("cuts", [(5,), (13, 26), (7, 20, 51)])
def test_training_that_was_cut_off_ends_as_if_it_was_not(ds, unbroken, tmp_path, cuts):
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    for batches in cuts:
        with pytest.raises(CutError):
            train(network(ds), ds, TRAINING, seed=3, progress=cut_after(batches), checkpoint=checkpoint)
    begun = []
    model = network(ds)
    trained = train(model, ds, TRAINING, seed=3, progress=begun.append, checkpoint=checkpoint)
    # at most an interval is done again, never all
    assert cuts[-1] - TRAINING.checkpoint_interval <= begun[0] <= cuts[-1]
    assert begun[0] == cuts[-1] // 4 * 4 or begun[0] % 13 == 0
    assert_the_same(trained, model, unbroken)


STOPS = [(signal.SIGTERM, asked_at) for asked_at in (4, 7, 13, 26, 52)] + [(signal.SIGINT, 7), (signal.SIGHUP, 26)]


@pytest.mark.parametrize(("number", "asked_at"), STOPS)
def test_a_signal_at_any_batch_loses_nothing(ds, unbroken, tmp_path, caplog, number, asked_at):
    """At a checkpoint, between two, at the end of a round, and at the last batch of all."""
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    done = []

    def progress(n):
        done.append(n)
        if sum(done) == asked_at:
            os.kill(os.getpid(), number)

    caplog.set_level(logging.INFO, "simbench_tf")
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop:
        train(network(ds), ds, TRAINING, seed=3, progress=progress, checkpoint=checkpoint)
    assert (stop.value.code, sum(done)) == (128 + number, asked_at)
    assert signal.getsignal(number) == before
    assert f"stopped after batch {asked_at}, which the checkpoint holds" in caplog.messages
    begun, model = [], network(ds)
    trained = train(model, ds, TRAINING, seed=3, progress=begun.append, checkpoint=checkpoint)
    assert begun[0] == asked_at
    assert_the_same(trained, model, unbroken)


def test_the_end_of_training_within_a_round_is_kept_whole(ds, tmp_path):
    """40 batches are three rounds and one of a single batch, which is at a checkpoint, too."""
    short = TRAINING.model_copy(update={"max_batches": 40})
    expected_model = network(ds)
    expected = train(expected_model, ds, short, seed=3)
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    with pytest.raises(CutError):
        train(network(ds), ds, short, seed=3, progress=cut_after(40), checkpoint=checkpoint)
    model = network(ds)
    assert_the_same(train(model, ds, short, seed=3, checkpoint=checkpoint), model, (expected_model, expected))
    assert expected.history["batch"].tolist() == [13, 26, 39, 40]


def test_snapshots_of_training_that_was_cut_off_are_those_of_an_unbroken_one(ds, tmp_path):
    batches, weights = [0, 3, 8, 20, 40], {}
    for name, cuts in (("unbroken", ()), ("cut", (8, 21))):
        checkpoint = Checkpoint(tmp_path / name / "checkpoint.npz", "a")
        settings = {"seed": 3, "checkpoint": checkpoint}
        for cut in cuts:
            callbacks = [Snapshots(tmp_path / name, batches)]
            with pytest.raises(CutError):
                train(network(ds), ds, TRAINING, progress=cut_after(cut), callbacks=callbacks, **settings)
        train(network(ds), ds, TRAINING, callbacks=[Snapshots(tmp_path / name, batches)], **settings)
        model = network(ds)
        for batch, path in read_snapshots(tmp_path / name):
            model.load_weights(path)
            weights[name, batch] = model.get_weights()
    assert sorted(weights) == sorted((name, batch) for name in ("unbroken", "cut") for batch in batches)
    for batch in batches:
        for mine, theirs in zip(weights["cut", batch], weights["unbroken", batch], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def test_a_checkpoint_of_another_training_is_not_gone_on_from(ds, tmp_path):
    with pytest.raises(CutError):
        train(network(ds), ds, TRAINING, 3, progress=cut_after(9), checkpoint=Checkpoint(tmp_path / "c.npz", "a"))
    begun = []
    short = TRAINING.model_copy(update={"max_batches": 2})
    train(network(ds), ds, short, 3, progress=begun.append, checkpoint=Checkpoint(tmp_path / "c.npz", "b"))
    assert begun == [0, 1, 1]


def test_what_changes_along_training_goes_on_with_it(ds, tmp_path):
    """Strands, learning rates and penalties; and a call of several batches begins where one of fewer had stopped."""
    settings = {"reverse_complement": True, "schedule": "cosine", "warmup_batches": 5, "max_norm": 1.0, "l2": 0.01}
    varied = TRAINING.model_copy(update={**settings, "validate_every": 12})
    expected_model = network(ds)
    expected = train(expected_model, ds, varied, seed=3)
    checkpoint, done = Checkpoint(tmp_path / "checkpoint.npz", "a"), []

    def stop_at_six(n):
        done.append(n)
        if sum(done) == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        train(network(ds), ds, varied, seed=3, progress=stop_at_six, checkpoint=checkpoint)
    fours = varied.model_copy(update={"steps_per_execution": 4})
    begun, model = [], network(ds)
    trained = train(model, ds, fours, seed=3, progress=begun.append, checkpoint=checkpoint)
    assert begun[:3] == [6, 2, 2], "six batches are no whole number of fours"
    assert (trained.computation.steps_per_execution, sum(begun)) == (2, expected.history["batch"].iloc[-1])
    assert_the_same(trained, model, (expected_model, expected))


def test_a_broken_checkpoint_is_told_of_and_passed_over(ds, tmp_path):
    (tmp_path / "c.npz").write_bytes(b"PK no archive")
    begun = []
    short = TRAINING.model_copy(update={"max_batches": 2})
    with pytest.warns(UserWarning, match=r"c\.npz is damaged .*training begins again"):
        train(network(ds), ds, short, 3, progress=begun.append, checkpoint=Checkpoint(tmp_path / "c.npz", "a"))
    assert begun[0] == 0


def test_a_damaged_checkpoint_has_one_before_it(ds, unbroken, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    with pytest.raises(CutError):
        train(network(ds), ds, TRAINING, seed=3, progress=cut_after(30), checkpoint=checkpoint)
    last = checkpoint.path
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    begun, model = [], network(ds)
    with pytest.warns(UserWarning, match="goes on from .*checkpoint.previous.npz, after batch 2"):
        trained = train(model, ds, TRAINING, seed=3, progress=begun.append, checkpoint=checkpoint)
    assert 30 - 2 * TRAINING.checkpoint_interval <= begun[0] < 30
    assert_the_same(trained, model, unbroken)
    # killed between the renaming of the last one and the writing of the next
    last.unlink()
    begun = []
    train(network(ds), ds, TRAINING, seed=3, progress=begun.append, checkpoint=checkpoint)
    assert begun[0] > 30


def test_no_flipped_bit_of_a_checkpoint_goes_unnoticed(tmp_path):
    """Of 400 bytes of a checkpoint each is changed in turn: what is read is what was written, or a warning tells."""
    shell = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    shell.compile(optimizer="adam", loss="mse")
    shell.optimizer.build(shell.trainable_variables)
    checkpoint = Checkpoint(tmp_path / "c.npz", "a")
    progress = Progress(done=7, loss_total=1.5, history=({"batch": 4, "loss": 0.25},), best=0.5, waited=1)
    write_checkpoint(checkpoint, shell, progress)
    written = [variable.numpy() for variable in shell.variables]
    whole = bytearray(checkpoint.path.read_bytes())
    draws = random.Random(5)
    told = 0
    for place in sorted(draws.sample(range(len(whole)), 400)):
        changed = bytearray(whole)
        changed[place] ^= 1 << draws.randrange(8)
        checkpoint.path.write_bytes(bytes(changed))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read = read_checkpoint(checkpoint, shell)
        if read is None:
            assert [each for each in caught if "damaged" in str(each.message)], place
            told += 1
        else:
            assert read == progress
            for value, variable in zip(written, shell.variables, strict=True):
                np.testing.assert_array_equal(variable.numpy(), value)
    assert told > 200


def test_training_that_ended_is_not_begun_again(ds, unbroken, tmp_path):
    """Killed after its last batch, before the model was written."""
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    train(network(ds), ds, TRAINING, seed=3, checkpoint=checkpoint)
    begun, model = [], network(ds)
    trained = train(model, ds, TRAINING, seed=3, progress=begun.append, checkpoint=checkpoint)
    assert begun == [int(trained.history["batch"].iloc[-1])]
    assert_the_same(trained, model, unbroken)


def test_early_stopping_knows_what_it_knew(ds, tmp_path):
    """With a learning rate that spoils what was learnt the best round stays the best across a cut."""
    hasty = TRAINING.model_copy(update={"learning_rate": 0.03, "patience": 2, "max_batches": 200})
    model = network(ds)
    expected = train(model, ds, hasty, seed=3)
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    for batches in range(6, int(expected.history["batch"].iloc[-1]), 11):
        with pytest.raises(CutError):
            train(network(ds), ds, hasty, 3, progress=cut_after(batches), checkpoint=checkpoint)
    resumed = network(ds)
    assert_the_same(train(resumed, ds, hasty, 3, checkpoint=checkpoint), resumed, (model, expected))


def test_a_diverging_loss_leaves_the_last_good_checkpoint(ds, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    with pytest.raises(CutError):
        train(network(ds), ds, TRAINING, 3, progress=cut_after(5), checkpoint=checkpoint)
    before = checkpoint.path.read_bytes()
    wild = TRAINING.model_copy(update={"learning_rate": float("inf")})
    with pytest.raises(InputError, match=r"checkpoint\.npz holds the last good weights"):
        train(network(ds), ds, wild, 3, checkpoint=Checkpoint(checkpoint.path, "b"))
    assert checkpoint.path.read_bytes() == before


# a process that is really killed

PROGRAM = """
import sys
from pathlib import Path
from simbench_tf import pipeline
from simbench_tf.config import load_config
pipeline.train(load_config(sys.argv[1], sys.argv[3:]), Path(sys.argv[2]))
"""


def without_models(run, target):
    shutil.copytree(run, target)
    shutil.rmtree(target / "models")
    return target


def test_a_second_ctrl_c_waits_for_nothing():
    with watch_for_stop(listening=True) as stop_requested:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop_requested() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with watch_for_stop(listening=True) as stop_requested:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop_requested() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def written_at(path):
    """When the file was last written, in ns, or 0: a checkpoint is away for an instant while one follows another."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(
    ("number", "fresh"), [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_a_process_that_is_killed(tiny_run, tiny_config, tmp_path, number, fresh):
    settings = [*SETTINGS, "training.max_batches=400", "training.patience=40", f"training.fresh={str(fresh).lower()}"]
    expected = without_models(tiny_run, tmp_path / "unbroken")
    pipeline.train(load_config(tiny_config, settings), expected)
    run = without_models(tiny_run, tmp_path / "run")
    path = run / "models" / "basset" / "checkpoint.npz"
    command = [sys.executable, "-c", PROGRAM, str(tiny_config), str(run), *settings]
    draws = random.Random(int(number))
    codes = []
    for _ in range(3):
        before = written_at(path)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 120
            while process.poll() is None and written_at(path) <= before:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(draws.uniform(0, 0.4))
            if process.poll() is None:
                os.kill(process.pid, number)
            codes.append(process.wait())
    assert codes[0] == (-signal.SIGKILL if number == signal.SIGKILL else 128 + signal.SIGTERM)
    pipeline.train(load_config(tiny_config, settings), run)
    assert not path.exists()
    for name in ("history.csv", "metrics.json"):
        mine, theirs = (folder / "models" / "basset" / name for folder in (run, expected))
        if name == "history.csv":
            pd.testing.assert_frame_equal(pd.read_csv(mine), pd.read_csv(theirs), rtol=1e-4)
        else:
            for task, metrics in json.loads(theirs.read_text()).items():
                assert json.loads(mine.read_text())[task] == pytest.approx(metrics, rel=1e-4)
