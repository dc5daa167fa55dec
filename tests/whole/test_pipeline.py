"""A run, end to end: its files, that finished work is kept, and that a killed run ends like an unbroken one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from helpers.folders import checksums, files_below, times
from simbench_tf import pipeline, tables
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.errors import InputError
from simbench_tf.files import TEMPORARY_PREFIX, checksum
from simbench_tf.parallel import workers
from simbench_tf.run.folder import begin, config_of
from simbench_tf.run.manifest import CONFIG_STAGE, read_manifest
from simbench_tf.stages import simulate as stages_simulate


def test_a_run_leaves_the_files_of_the_design(tiny_run):
    keys = ("grad_x_input@none", "integrated_gradients@shuffle2+n_steps=3")
    expected = {
        "config.yaml",
        "manifest.json",
        "report.html",
        "dataset/dataset.json",
        "dataset/motifs.meme",
        "dataset/sites.parquet",
        "dataset/sequences/part-00000.parquet",
        *(f"models/basset/{name}" for name in ("model.keras", "history.csv", "metrics.json")),
        *(f"attributions/basset/{task}/{key}.h5" for task in ("HepG2", "K562") for key in keys),
        *(f"nulls/basset/{task}/{key}.h5" for task in ("HepG2", "K562") for key in keys),
        "references/shuffles.h5",
        "scores/per_sequence.parquet",
        *(f"oracle/{name}" for name in ("posteriors.parquet", "occupancy.h5", "ceilings.csv", "knockouts.h5")),
        *(f"scores/{name}.csv" for name in ("summary", "motif_recall", "comparisons")),
    }
    assert set(files_below(tiny_run)) == expected
    recorded = read_manifest(tiny_run)
    assert set(recorded) == expected - {"manifest.json"}
    of_stages = set(pipeline.STAGES) - {"dynamics", "motifs"}
    assert {record["stage"] for record in recorded.values()} == of_stages | {CONFIG_STAGE}
    for path, record in recorded.items():
        assert record["checksum"] == checksum(tiny_run / path)
        assert record["seconds"] >= 0
        assert record["device"]


def test_the_scores_are_those_of_the_attributions(tiny_run):
    dataset = open_dataset(tiny_run / "dataset")
    summary = pd.read_csv(tiny_run / "scores" / "summary.csv", keep_default_na=False, na_values=[""])
    assert list(summary.columns) == list(tables.SUMMARY_COLUMNS)
    is_null = summary["method"].str.startswith("null_")
    # of each task: both methods on an untrained network, positions, two tables of words, and the scan
    assert len(summary[is_null]) == 2 * (2 + 1 + 2 + 1)
    summary = summary[~is_null]
    assert len(summary) == 4
    per_sequence = pd.read_parquet(tiny_run / "scores" / "per_sequence.parquet")
    assert tuple(per_sequence.columns[: len(tables.PER_SEQUENCE_KEYS)]) == tables.PER_SEQUENCE_KEYS
    for line in summary.itertuples():
        with h5py.File(tiny_run / "attributions" / line.model / line.task / f"{line.key}.h5") as file:
            scores, ids = file["scores"][:], list(file["seq_id"].asstr()[:])
        rows = [dataset.seq_ids("test").tolist().index(seq_id) for seq_id in ids]
        labels = dataset.labels("test")[rows, dataset.tasks.index(line.task)]
        assert labels.all(), "only positives are explained"
        seen = np.arange(200) < 168
        assert line.scored_bases == 168
        assert not scores[:, ~seen].any(), "the network cannot see them"
        mask, scores = dataset.mask("test", task=line.task)[rows][:, seen], scores[:, seen]
        expected = [
            average_precision_score(m, np.abs(s)) if m.any() else np.nan for m, s in zip(mask, scores, strict=True)
        ]
        table = per_sequence[(per_sequence.task == line.task) & (per_sequence.key == line.key)]
        np.testing.assert_allclose(table.auprc, expected, rtol=1e-9)
        assert line.auprc == pytest.approx(np.nanmean(expected))
        assert line.pooled_auprc == pytest.approx(average_precision_score(mask.ravel(), np.abs(scores).ravel()))
        assert line.truth == "embedded:task"
        assert json.loads(line.settings) == ({"n_steps": 3} if "integrated" in line.key else {})
        assert line.seconds_per_sequence > 0


def test_ceilings_stand_beside_what_was_reached(tiny_run):
    ceilings = pd.read_csv(tiny_run / "oracle" / "ceilings.csv", index_col="task")
    metrics = json.loads((tiny_run / "models" / "basset" / "metrics.json").read_text())
    for task in ("HepG2", "K562"):
        # 180 test sequences: a model that has learnt little is not above it
        assert metrics[task]["auroc"] < ceilings.loc[task, "auroc"]
    summary = pd.read_csv(tiny_run / "scores" / "summary.csv").set_index("task")
    dataset = open_dataset(tiny_run / "dataset")
    labels, ids = dataset.labels("test"), np.asarray(dataset.seq_ids("test"))
    for task, rows in summary.groupby(level=0):
        # of all positives of 180 sequences, not of the 8 that are attributed
        positive = np.flatnonzero(labels[:, dataset.tasks.index(task)])
        mask = dataset.mask("test", task=task)[positive]
        with h5py.File(tiny_run / "oracle" / "occupancy.h5") as h5:
            occupancy = h5[task][:][pd.Index(h5["seq_id"].asstr()[:]).get_indexer(ids[positive])]
        for auprc, error, seen in (
            (ceilings.loc[task, "attribution_auprc"], ceilings.loc[task, "attribution_auprc_se"], 200),
            (rows.oracle_auprc, rows.oracle_auprc_se, rows.scored_bases.iloc[0]),
        ):
            pairs = [(m[:seen], o[:seen]) for m, o in zip(mask, occupancy, strict=True) if m[:seen].any()]
            each = pd.Series([average_precision_score(truth, values) for truth, values in pairs])
            assert np.max(np.abs(auprc - each.mean())) < 1e-9
            assert np.max(np.abs(error - each.sem())) < 1e-9
            assert 0 < each.sem() < 0.05
        assert ceilings.loc[task, "attribution_sequences"] == len(positive) > 40
        # a scan of the 8 may be above it by chance
        assert (rows.auprc < rows.oracle_auprc)[~rows.method.str.startswith("null_scan")].all()


def test_a_finished_run_is_not_run_again(tiny_config, copied_run):
    before = times(copied_run)
    pipeline.run(load_config(tiny_config), copied_run)
    after = times(copied_run)
    assert {name for name in after if after[name] != before.get(name)} <= {"config.yaml"}


def test_a_changed_setting_repeats_only_what_depends_on_it(tiny_config, copied_run):
    before = checksums(copied_run)
    stamps = times(copied_run)
    pipeline.run(load_config(tiny_config, ["attribution.methods.1.n_steps=4"]), copied_run)
    after = times(copied_run)
    remade = {name for name in after if after[name] != stamps.get(name)}
    new = {
        f"{folder}/basset/{task}/integrated_gradients@shuffle2+n_steps=4.h5"
        for folder in ("attributions", "nulls")
        for task in ("HepG2", "K562")
    }
    always = {"config.yaml", "manifest.json", "report.html", "scores/per_sequence.parquet"}
    always |= {f"scores/{name}.csv" for name in ("summary", "motif_recall", "comparisons")}
    assert remade == new | always
    assert before["dataset/sites.parquet"] == checksum(copied_run / "dataset" / "sites.parquet")


@pytest.mark.parametrize("damage", ["delete", "change"])
def test_a_damaged_file_is_made_again(tiny_config, copied_run, damage):
    path = copied_run / "attributions" / "basset" / "K562" / "grad_x_input@none.h5"
    before = checksum(path)
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    pipeline.run(load_config(tiny_config), copied_run)
    assert checksum(path) == before


def test_a_new_seed_makes_another_data_set_and_leaves_nothing_of_the_old(tiny_config, copied_run):
    before = checksums(copied_run / "dataset")
    config = load_config(tiny_config, ["seed=8", "simulation.n_sequences=300"])
    pipeline.simulate(config, copied_run)
    after = checksums(copied_run / "dataset")
    assert set(before) == set(after)
    assert before["sequences/part-00000.parquet"] != after["sequences/part-00000.parquet"]
    assert len(open_dataset(copied_run / "dataset").sequences) == 300


@pytest.mark.slow
def test_the_same_bytes_on_one_and_two_workers(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(stages_simulate, "PART_SEQUENCES", 100)
    config = load_config(tiny_config)
    pipeline.simulate(config, tmp_path / "one")
    with workers(2) as map_in_order:
        pipeline.simulate(config, tmp_path / "two", map_in_order=map_in_order)
    one = checksums(tmp_path / "one" / "dataset")
    assert one == checksums(tmp_path / "two" / "dataset")
    assert len(open_dataset(tmp_path / "one" / "dataset").sequences) == 900


def test_a_simulation_killed_between_parts_ends_with_the_same_bytes(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(stages_simulate, "PART_SEQUENCES", 100)
    config = load_config(tiny_config)
    pipeline.simulate(config, tmp_path / "whole")
    drawn = []
    write_part = stages_simulate.write_part

    def fails_at_the_fifth(folder, number, *tables):
        if number == 4 and len(drawn) == 4:
            raise KeyboardInterrupt
        drawn.append(number)
        return write_part(folder, number, *tables)

    monkeypatch.setattr(stages_simulate, "write_part", fails_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        pipeline.simulate(config, tmp_path / "broken")
    with pytest.raises(InputError):
        open_dataset(tmp_path / "broken" / "dataset")
    monkeypatch.setattr(stages_simulate, "write_part", lambda *a: (drawn.append(a[1]), write_part(*a))[1])
    pipeline.simulate(config, tmp_path / "broken")
    assert drawn == list(range(9)), "finished parts are not drawn again"
    assert checksums(tmp_path / "broken" / "dataset") == checksums(tmp_path / "whole" / "dataset")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 15) if os.environ.get("SIMBENCH_ALL_CRASH_POINTS") else [5])
def test_a_run_killed_at_any_instant_goes_on_to_the_same_results(tiny_config, tiny_run, tmp_path, seed):
    command = [sys.executable, "-m", "simbench_tf.cli", "run", str(tiny_config), "--out", str(tmp_path / "run")]
    chance = random.Random(seed)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(1, 15))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert checksums(tmp_path / "run" / "dataset") == checksums(tiny_run / "dataset")
    columns = ["key", "auroc", "auprc", "pooled_auroc", "pooled_auprc", "mass_fraction"]
    summaries = [pd.read_csv(folder / "scores" / "summary.csv")[columns] for folder in (tmp_path / "run", tiny_run)]
    pd.testing.assert_frame_equal(*summaries, rtol=1e-4)
    leftovers = [name for name in files_below(tmp_path / "run") if TEMPORARY_PREFIX in name]
    assert not leftovers, "what a killed process left half-written is swept away by the next"


def test_a_foreign_configuration_is_not_overwritten(tiny_config, tmp_path):
    foreign = tmp_path / "config.yaml"
    foreign.write_text("mine: 1\n")
    with pytest.raises(InputError, match="no run wrote"):
        begin(load_config(tiny_config), tmp_path)
    assert foreign.read_text() == "mine: 1\n"


def test_an_output_folder_that_cannot_be_written_is_named(tiny_config, tmp_path):
    # root may write into any folder, but not even root into this one
    folder = Path("/proc/self/simbench_run")
    if os.geteuid() != 0 or not folder.parent.is_dir():
        (tmp_path / "locked").mkdir(mode=0o500)
        folder = tmp_path / "locked" / "run"
    with pytest.raises(InputError, match="cannot be written"):
        begin(load_config(tiny_config), folder)


def test_an_output_folder_that_is_a_file_is_named(tiny_config, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        begin(load_config(tiny_config), tmp_path / "run")


def test_an_unknown_method_stops_before_anything_is_made(tiny_config, tmp_path):
    config = load_config(tiny_config, ["attribution.methods.0.method=grad_x_imput"])
    with pytest.raises(InputError, match="grad_x_input"):
        begin(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stages_out_of_order_say_what_to_run_first(tiny_config, tmp_path, copied_run):
    config = load_config(tiny_config)
    with pytest.raises(InputError, match="simbench simulate"):
        config_of(tmp_path / "nothing")
    begin(config, tmp_path / "begun")
    with pytest.raises(InputError, match="simbench simulate"):
        pipeline.train(config, tmp_path / "begun")
    (copied_run / "models" / "basset" / "model.keras").unlink()
    with pytest.raises(InputError, match="simbench train"):
        pipeline.attribute(config, copied_run)
    shutil.rmtree(copied_run / "attributions")
    with pytest.raises(InputError, match="simbench attribute"):
        pipeline.score(config, copied_run)
    shutil.rmtree(copied_run / "scores")
    with pytest.raises(InputError, match="simbench score"):
        pipeline.report(config, copied_run)
