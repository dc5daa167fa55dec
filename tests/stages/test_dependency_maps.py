"""Dependency maps in a run: kept whole, resumed sequence by sequence, scored against rules, shown in the report."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

import simbench_tf as sb
from helpers.folders import checksums, times
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline, tables
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import attribution_files, read_dependency_maps
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.models import load_model
from simbench_tf.score import pair_score, pair_truth
from simbench_tf.stages import attribute_chunks
from simbench_tf.stages.checks import check_ahead

MAPPED = "[{method: dependency_map, window: 8}]"
SETTINGS = ["attribution.n_sequences=4", "attribution.tasks=[HepG2]", f"attribution.methods={MAPPED}"]
KEY = "dependency_map@none+window=8"


class KilledError(Exception):
    pass


def stopping_after(n_chunks, seen):
    def map_in_order(function, items):
        for number, item in enumerate(items):
            if number == n_chunks:
                raise KilledError
            seen.append(len(item[0]))
            yield function(item)

    return map_in_order


@pytest.mark.slow
def test_maps_are_kept_and_a_killed_job_goes_on_at_the_sequence_it_reached(
    tiny_run, tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(attribute_chunks, "WRITE_INTERVAL_SECONDS", 0.0)
    config = load_config(tiny_config, SETTINGS)
    run, unbroken = (shutil.copytree(tiny_run, tmp_path / name) for name in ("run", "unbroken"))
    pipeline.attribute(config, unbroken)
    broken, left = [], []
    with pytest.raises(KilledError):
        pipeline.attribute(config, run, stopping_after(3, broken))
    pipeline.attribute(config, run, stopping_after(None, left))
    # one by one; then those of an untrained network
    assert (broken, left) == ([1, 1, 1], [1] + [1] * 4)
    assert checksums(run / "attributions") == checksums(unbroken / "attributions")
    (file,) = attribution_files(config, run)
    assert file.key == KEY
    with h5py.File(file.path) as h5:
        assert h5["dependency_maps"].compression == "gzip"
        assert h5["dependency_maps"].chunks == (1, 8, 8)
        maps, starts, scores = (h5[name][:] for name in ("dependency_maps", "window_start", "scores"))
        seq_ids = list(h5["seq_id"].asstr()[:])
    assert (maps.dtype, maps.shape, starts.dtype) == (np.float32, (4, 8, 8), np.int64)
    assert (starts == 96).all()
    np.testing.assert_allclose(scores[:, 96:104], maps.sum(axis=2), rtol=1e-5)
    dataset = sb.open_dataset(run)
    bases = dataset.bases("test")[pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)]
    pairs = sb.window_pairs(96, 104)
    expected = sb.interactions(load_model(file.model_file), sb.one_hot(bases), pairs, target=file.target)
    np.testing.assert_allclose(maps, expected.dependency_map(96, 104), rtol=0, atol=2e-5)
    with h5py.File(run / "nulls" / "basset" / "HepG2" / f"{KEY}.h5") as h5:
        assert set(h5) == {"scores", "seq_id"}
    assert read_manifest(run)[f"attributions/basset/HepG2/{KEY}.h5"]["seconds_per_sequence"] > 0


def test_a_window_off_the_sequence_is_told_before_anything_is_computed(tiny_config, tmp_path):
    config = load_config(tiny_config, ["attribution.methods=[{method: dependency_map, centre: 200}]"])
    with pytest.raises(
        InputError, match=r"dependency_map.centre: 200 is not in a sequence of 200 bases; give 0 to 199"
    ):
        check_ahead(config, tmp_path / "run")


RULES = {
    **TINY_RUN,
    "simulation": {
        **TINY_RUN["simulation"],
        "seq_length": 170,
        "n_sequences": 300,
        "tasks": {"joint": {"fraction": 0.5}, "other": {"fraction": 0.5}},
        "elements": [
            {"motif": "GATA1", "rate": 1.0},
            {"motif": "SPI1", "rate": 1.0},
            {"motif": "HNF4A", "rate": 0.3, "enriched": {"other": 1.0}},
        ],
        "rules": [{"task": "joint", "when": "GATA1 and SPI1"}],
    },
    "training": {**TINY_RUN["training"], "max_batches": 4},
    "attribution": {
        "n_sequences": 12,
        "tasks": ["joint"],
        "methods": [{"method": "grad_x_input"}, {"method": "dependency_map", "window": 40, "centre": 55}],
    },
    "scoring": {"nulls": False},
}
MAP_KEY = "dependency_map@none+centre=55+window=40"


@pytest.fixture(scope="module")
def ruled(tmp_path_factory):
    """A whole run on data with a rule."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "c.yaml").write_text(yaml.safe_dump(RULES))
    pipeline.run(load_config(folder / "c.yaml"), folder / "run")
    return folder / "run"


@pytest.mark.slow
def test_pairs_of_the_rule_are_scored(ruled):
    table = pd.read_csv(ruled / "scores" / "interacting_pairs.csv")
    assert list(table) == list(tables.INTERACTING_PAIRS_COLUMNS)
    assert table[["model", "task", "key"]].to_numpy().tolist() == [["basset", "joint", MAP_KEY]]
    sites = dict(iter(sb.open_dataset(ruled).sites.groupby("seq_id")))
    scores = []
    for seq_id, start, strengths in read_dependency_maps(ruled / "attributions" / "basset" / "joint" / f"{MAP_KEY}.h5"):
        assert start == 35
        mine = sites[seq_id]
        truth = pair_truth(mine["start"], mine["end"], list(mine["element"]), {("GATA1", "SPI1")}, (35, 75))
        scores.append(pair_score(strengths, truth).average_precision)
    counted = np.array(scores)[~np.isnan(scores)]
    (line,) = table.to_dict("records")
    assert line["n_sequences"] == len(counted) > 1
    assert line["average_precision"] == pytest.approx(counted.mean())
    assert line["average_precision_se"] == pytest.approx(counted.std(ddof=1) / len(counted) ** 0.5)
    assert 0 < line["chance"] < 0.2
    assert line["strength_ratio"] > 0


@pytest.mark.slow
def test_knock_outs_are_of_other_methods_alone_and_the_report_has_the_section(ruled):
    assert [path.name for path in (ruled / "knockouts" / "basset" / "joint").iterdir()] == ["grad_x_input@none.h5"]
    page = (ruled / "report.html").read_text(encoding="utf-8")
    assert page.count("Which bases depend on each other</h2>") == 1
    assert "Pairs of bases that a rule ties together" in page
    assert page.count("full colour: ") == 1


@pytest.mark.slow
def test_without_maps_there_is_neither_and_what_was_there_goes(ruled, tmp_path):
    run = shutil.copytree(ruled, tmp_path / "run")
    before = times(run)
    pipeline.run(load_config(run / "config.yaml"), run)
    after = times(run)
    assert {name for name in before if after[name] != before[name]} <= {"config.yaml"}
    pipeline.run(load_config(run / "config.yaml", ["attribution.methods=[{method: grad_x_input}]"]), run)
    assert not (run / "scores" / "interacting_pairs.csv").exists()
    assert "Which bases depend on each other" not in (run / "report.html").read_text(encoding="utf-8")
