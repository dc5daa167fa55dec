"""Data that would fit neither the disk nor the memory are told of before anything is written."""

import shutil

import pytest

from helpers.program import simbench
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.stages import room
from simbench_tf.stages.room import check_room


@pytest.mark.parametrize("command", ["run", "simulate"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("simulation.seq_length=1000000000", "20,000 sequences of 1,000,000,000 bases take about 6.2 TB on the disk"),
        (
            "simulation.n_sequences=1000000000000",
            "1,000,000,000,000 sequences of 400 bases take about 184 TB on the disk",
        ),
    ],
)
def test_a_data_set_that_fits_no_disk(monkeypatch, capsys, tmp_path, command, change, told):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**13, 0, 5 * 10**12))
    code, out, err = simbench(monkeypatch, capsys, command, "demo", "--out", tmp_path / "run", "--set", change)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"error: simulation.n_sequences: {told}, 5 TB are free" in err
    assert not (tmp_path / "run").exists()


def test_a_data_set_that_fits_no_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "machine_memory", lambda: 10e9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**16, 0, 10**16))
    config = load_config("demo", ["simulation.n_sequences=1000000", "simulation.seq_length=100000"])
    with pytest.raises(InputError, match=r"take about 40 GB of memory, there are 10 GB"):  # a fifth is the test split
        check_room(config, tmp_path, 50_000)
    check_room(load_config("demo", ["simulation.n_sequences=1000000"]), tmp_path, 50_000)


def test_a_data_set_that_is_there_needs_no_more(monkeypatch, tmp_path):
    (tmp_path / "dataset").mkdir()
    config = load_config("demo", ["simulation.n_sequences=10000"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(InputError, match=r"take about 1\.84 MB on the disk, 0 MB are free"):
        check_room(config, tmp_path, 50_000)
    (tmp_path / "dataset" / "part").write_bytes(bytes(1_900_000))
    check_room(config, tmp_path, 50_000)
