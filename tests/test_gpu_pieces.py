"""tools/gpu/pieces.sh, with programs in place of ours: pieces end in time, go on, and come back whole."""

import subprocess
import time

import numpy as np
import pytest

from helpers.folders import REPOSITORY

SCRIPT = REPOSITORY / "tools" / "gpu" / "pieces.sh"
#: Trains for as long as it is let, the first time; the second time it ends. A network of 20 MB, and SIGTERM is heard.
SIMBENCH = """#!/bin/sh
for last; do :; done
case $1 in
simulate) mkdir -p $last/dataset; echo drawn > $last/dataset/sequences ;;
oracle) mkdir -p $last/oracle; echo ceilings > $last/oracle/ceilings.csv ;;
run)
    if [ -e $last/models/checkpoint ]; then rm $last/models/checkpoint; cp $NETWORK $last/models/model.keras; exit 0; fi
    mkdir -p $last/models
    trap 'echo weights > $last/models/checkpoint; exit 1' TERM
    sleep 60 & wait
esac
"""
#: Benchmarks, of which that of Beluga at 1,000 bp fails.
PYTHON = """#!/bin/sh
echo "figures of $*"
[ "$*" != "benchmarks/training.py --model beluga --length 1000 --batches 1000" ]
"""


@pytest.fixture
def call(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "network").write_bytes(rng.bytes(20_000_000))  # does not get smaller by packing
    for name, text in (("simbench", SIMBENCH), ("python", PYTHON)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "BIN": f"{tmp_path}/bin/", "NETWORK": f"{tmp_path}/network"}

    def run(command, *more):
        arguments = ["bash", SCRIPT, command, str(tmp_path / "gpu"), *more]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    return run


def unpack(folder, number, target):
    parts = sorted(folder.glob(f"{number}.tar.gz.*"))
    assert all(path.stat().st_size < 16e6 for path in parts)
    target.mkdir(exist_ok=True)
    subprocess.run(["tar", "-xz", "-C", target], input=b"".join(path.read_bytes() for path in parts), check=True)


def test_pieces_end_in_time_go_on_and_come_back_whole(call, tmp_path):
    assert call("prepare").returncode == 0
    begun = time.monotonic()
    first = call("piece", "2")
    assert time.monotonic() - begun < 30, "the training would take a minute"
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "left: 7 of 7 steps"
    run = tmp_path / "gpu" / "run"
    assert (run / "models" / "checkpoint").read_text() == "weights\n", "SIGTERM was heard"

    second = call("piece")
    assert "training-beluga-1000 failed with 1" in second.stdout
    assert second.stdout.splitlines()[-1] == "left: 1 of 7 steps"
    # what is done is not done again, and what failed is tried again
    third = call("piece").stdout
    assert "run:" not in third
    assert "training-beluga-1000 failed" in third

    packed, back = tmp_path / "gpu" / "packed", tmp_path / "back"
    for number in (1, 2, 3):
        unpack(packed, number, back)
    assert (back / "run" / "models" / "model.keras").read_bytes() == (tmp_path / "network").read_bytes()
    assert not (back / "run" / "dataset").exists(), "what was prepared need not come back"
    assert not (back / "run" / "oracle").exists()
    logged = (back / "logs" / "attribution.log").read_text()
    assert logged == "figures of benchmarks/attribution.py\n"
    assert len(list(packed.glob("2.tar.gz.*"))) == 2
    assert len(list(packed.glob("3.tar.gz.*"))) == 1, "only what is new"


def test_an_unknown_command_is_refused(call):
    refused = call("peace")
    assert refused.returncode == 2
    assert "prepare, piece or pack" in refused.stderr
