"""Whose files a run touches: only its own, whatever lies beside them and whatever a received manifest says."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from helpers.folders import checksums, files_below
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.errors import InputError
from simbench_tf.files import TEMPORARY_PREFIX, is_abandoned, temporary_prefix
from simbench_tf.run.folder import begin, check_folder
from simbench_tf.run.manifest import discard_stale, is_relative, read_manifest, write_records
from simbench_tf.stages import simulate as simulate_stage

#: What people keep in folders, by the names that stages write or clear away.
USERS_FILES = [
    "report.html",
    "config.yaml",
    "dynamics/notes.txt",
    "dataset/sites/mine.csv",
    "attributions/basset/K562/old.parts/000000000-000000016.h5",
    "models/basset/model.keras",
    f"{TEMPORARY_PREFIX}thesis.docx",
]


def filled(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"my own {name}")
    return checksums(folder)


@pytest.mark.parametrize("names", [USERS_FILES, *([name] for name in USERS_FILES[:-1])], ids=lambda names: names[0])
def test_a_folder_with_files_that_is_no_run_is_refused_before_anything_is_touched(tiny_config, tmp_path, names):
    before = filled(tmp_path / "out", names)
    with pytest.raises(InputError, match=r"holds files that no run wrote .*; choose an empty or new folder"):
        pipeline.run(load_config(tiny_config), tmp_path / "out")
    assert checksums(tmp_path / "out") == before


def test_a_manifest_alone_makes_no_run(tiny_config, tmp_path):
    before = filled(tmp_path, ["data.csv"])
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds files that no run wrote \(data.csv, manifest.json\)"):
        begin(load_config(tiny_config), tmp_path)
    assert checksums(tmp_path, "data.csv") == before


def test_empty_folders_and_what_file_managers_leave_are_no_obstacle(tiny_config, tmp_path):
    check_folder(tmp_path / "new")
    (tmp_path / ".DS_Store").touch()
    # the very first file of a run whose writer was killed
    (tmp_path / f"{TEMPORARY_PREFIX}0.yaml").touch()
    begin(load_config(tiny_config), tmp_path)
    begin(load_config(tiny_config), tmp_path)


def test_a_file_is_no_folder(tiny_config, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="cannot be written: it is a file"):
        begin(load_config(tiny_config), tmp_path / "out")


def test_in_a_run_the_files_of_others_stay(tiny_config, copied_run):
    names = [name for name in USERS_FILES if name not in ("report.html", "config.yaml", "models/basset/model.keras")]
    names = [name.replace("000000000-000000016", "notes") for name in names] + ["scores/variance.csv", "kipoi/me.txt"]
    filled(copied_run, names)
    mine = {name: (copied_run / name).read_bytes() for name in names}
    pipeline.run(load_config(tiny_config, ["attribution.n_sequences=5", "simulation.n_sequences=300"]), copied_run)
    assert {name: (copied_run / name).read_bytes() for name in names} == mine


def test_only_what_a_dead_process_left_is_cleared_away(tiny_config, tmp_path):
    begin(load_config(tiny_config), tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = temporary_prefix()
    dead, living = own.replace(f"-{os.getpid()}-", f"-{ended.pid}-"), own.replace(f"-{os.getpid()}-", "-1-")
    elsewhere = f"{TEMPORARY_PREFIX}00000000-{ended.pid}-"
    for prefix in (own, dead, living, elsewhere):
        (tmp_path / f"{prefix}x.h5").touch()
    (tmp_path / f"{dead}folder").mkdir()
    assert is_abandoned(tmp_path / f"{dead}x.h5")
    begin(load_config(tiny_config), tmp_path)
    left = {name for name in files_below(tmp_path) if TEMPORARY_PREFIX in name}
    assert left == {f"{prefix}x.h5" for prefix in (own, living, elsewhere)}
    assert not (tmp_path / f"{dead}folder").exists()


# what a received manifest may name


OUTSIDE = [
    "../victim",
    "/etc/hostname",
    "a/../../victim",
    "",
    ".",
    "..",
    r"a\..\..\victim",
    r"C:\victim",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_that_names_files_outside_is_refused_and_none_is_deleted(tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "victim").write_text("precious")
    record = {"stage": "simulate", "checksum": "0", "fingerprint": "0"}
    (run / "manifest.json").write_text(json.dumps({name: record}))
    with pytest.raises(InputError, match=r"manifest.json: names .*, which is not a file of the run"):
        discard_stale(run, "simulate", "another key")
    with pytest.raises(InputError, match="which is not a file of the run"):
        read_manifest(run)
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_lies_behind_a_link_is_read_but_not_deleted(tmp_path):
    """A run may keep its large folders on another disk."""
    run, disk = tmp_path / "run", tmp_path / "disk"
    for folder in (run, disk):
        folder.mkdir()
    (disk / "victim").write_text("precious")
    (run / "attributions").symlink_to(disk)
    write_records(run, [run / "attributions" / "victim"], "attribute", "old", 0.0, "cpu")
    assert list(read_manifest(run)) == ["attributions/victim"]
    with pytest.raises(InputError, match="lies behind a link that leads out of the run, so it is not deleted"):
        discard_stale(run, "attribute", "new")
    assert (disk / "victim").read_text() == "precious"
    assert list(read_manifest(run)) == ["attributions/victim"]


def test_deleting_a_link_leaves_what_it_leads_to(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "victim").write_text("precious")
    (run / "link").symlink_to(tmp_path / "victim")
    write_records(run, [run / "link"], "simulate", "old", 0.0, "cpu")
    discard_stale(run, "simulate", "new")
    assert not (run / "link").is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize(
    "record", [None, [], {}, {"stage": "simulate"}, {"stage": 1, "checksum": "", "fingerprint": ""}]
)
def test_a_damaged_record_is_told(tmp_path, record):
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset/dataset.json": record}))
    with pytest.raises(InputError, match=r"has a damaged record of 'dataset/dataset.json'; take it out"):
        read_manifest(tmp_path)


def test_paths_below_the_run_are_accepted():
    assert is_relative("models/basset-seed1/model.keras")
    assert is_relative("attributions/m/K..562/ism@none.h5")


# a data set of several parts, killed at each point of its end


@pytest.fixture
def parts_of_100(monkeypatch):
    monkeypatch.setattr(simulate_stage, "PART_SEQUENCES", 100)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def killed_at(monkeypatch, name, call):
    """Let the `call`-th call of a function of the stage be the last that the process lives to see begin."""
    real, calls = getattr(simulate_stage, name), []

    def dies(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(simulate_stage, name, dies)


def small(tmp_path, **changes):
    raw = {
        "seed": 5,
        "simulation": {"kind": "grammar", "seq_length": 60, "n_sequences": 300, **changes},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    return load_config(tmp_path / "c.yaml")


def simulated(config, run):
    begin(config, run)
    pipeline.simulate(config, run)
    return checksums(run / "dataset")


@pytest.mark.parametrize("first", [("discard", 1), ("step", 4), ("_finish", 1)])
@pytest.mark.parametrize("second", [("write_part", 1), ("write_part", 2), ("_finish", 1), ("discard", 1), None])
def test_a_data_set_of_parts_is_finished_wherever_it_was_killed_twice(
    parts_of_100, monkeypatch, tmp_path, first, second
):
    config = small(tmp_path)
    whole = simulated(config, tmp_path / "whole")
    run = tmp_path / "run"
    for kill in filter(None, (first, second)):
        with monkeypatch.context() as patch:
            killed_at(patch, *kill)
            try:
                simulated(config, run)
            except Killed:
                continue
    assert simulated(config, run) == whole
    assert len(open_dataset(run / "dataset").sequences) == 300
    assert not [name for name in read_manifest(run) if "sites/" in name]


def test_a_data_set_left_without_its_parts_of_sites_is_drawn_again(parts_of_100, tmp_path):
    """As an earlier version left it: the parts' sites deleted, dataset.json gone, the end not on record."""
    config = small(tmp_path)
    whole = simulated(config, tmp_path / "run")
    (tmp_path / "run" / "dataset" / "dataset.json").unlink()
    records = read_manifest(tmp_path / "run")
    key = records["dataset/dataset.json"]["fingerprint"]
    for number in range(3):
        records[f"dataset/sequences/part-{number:05d}.parquet"]["fingerprint"] = f"{key}:{number}"
    kept = {name: record for name, record in records.items() if "part-" in name}
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(kept))
    assert simulated(config, tmp_path / "run") == whole


def test_models_do_not_depend_on_when_the_parts_of_sites_were_deleted(parts_of_100, monkeypatch, tmp_path):
    config, run = small(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        killed_at(patch, "discard", 1)
        with pytest.raises(Killed):
            simulated(config, run)
    before = simulate_stage_checksums(run)
    simulated(config, run)
    assert simulate_stage_checksums(run) == before


def simulate_stage_checksums(run):
    from simbench_tf.stages.step import dataset_checksums

    return dataset_checksums(run)
