"""Scripts end while they hold iterators of `tf_data`: no thread of TensorFlow asks Python for batches any more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.folders import REPOSITORY

pytestmark = pytest.mark.slow

# a script that is asked for batches all the time; what it registered first is called last, when it must be quiet
SCRIPT = """
import atexit, sys, threading, time

made = []

def look():
    before = len(made)
    time.sleep(1)
    print("quiet" if len(made) == before else f"{len(made) - before} batches made at exit")

atexit.register(look)
import simbench_tf as sb
from simbench_tf.dataset import dataset as module

batches_of_epochs = module.epoch_batches

def slowly(*arguments, **settings):
    one_epoch = batches_of_epochs(*arguments, **settings)

    def epoch():
        for batch in one_epoch():
            time.sleep(0 if sys.argv[2] == "epochs" else 0.2)
            made.append(1)
            yield batch

    return epoch

module.epoch_batches = slowly
ds = sb.open_dataset(sys.argv[1])
data = ds.tf_data("train", 7, repeat=True, in_memory_bytes=1 if sys.argv[2] == "parts" else 2**30)
if sys.argv[2] == "transformed":
    data = data.map(lambda x, y: (x, 1 - y)).prefetch(100)
if sys.argv[2] == "epochs":
    data = ds.tf_data("valid", 1000, repeat=True).prefetch(10**6)
iterator = iter(data)
for _ in range(3):
    next(iterator)
if sys.argv[2] == "error":
    raise SystemExit(3)
if sys.argv[2] == "two":
    other = iter(ds.tf_data("valid", 7, repeat=True).as_numpy_iterator())
    next(other)
    inside = [{"iterator": iter(data)}]
"""


def ended(run: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", script, str(run / "dataset"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def complaints(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines of stderr but those that native libraries write as TensorFlow is loaded."""
    return [line for line in ran.stderr.splitlines() if not line.startswith(("I0000", "WARNING: All log messages"))]


@pytest.mark.parametrize("how", ["held", "parts", "transformed", "epochs", "two", "error"])
def test_no_batch_is_made_once_python_shuts_down(tiny_run, how):
    ran = ended(tiny_run, SCRIPT, how)
    assert (ran.returncode, ran.stdout.strip()) == (3 if how == "error" else 0, "quiet")
    assert complaints(ran) == []


def test_a_script_that_holds_an_iterator_ends(tiny_run):
    script = """
import sys
import simbench_tf as sb
iterator = iter(sb.open_dataset(sys.argv[1]).tf_data("train", 7, repeat=True).prefetch(1000))
next(iterator)
"""
    for _ in range(4):
        ran = ended(tiny_run, script)
        assert (ran.returncode, ran.stdout, complaints(ran)) == (0, "", [])
