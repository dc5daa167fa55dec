"""Truth-free metrics in a run: their table, what is kept, and that they leave when they are not asked for."""

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import spearmanr

from helpers.folders import times
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline, tables
from simbench_tf.config import load_config
from simbench_tf.run.attributions import attribution_files, read_attributions
from simbench_tf.score.truth_free import TRUTH_FREE

METHODS = [{"method": "grad_x_input"}, {"method": "saliency"}]
CONFIG = {
    **TINY_RUN,
    "models": [
        {**TINY_RUN["models"][0], "seeds": 2},
        {**TINY_RUN["models"][0], "name": "chance", "training": {"shuffled_labels": True}},
        {"name": "planted", "architecture": "planted"},
    ],
    "attribution": {"n_sequences": 5, "tasks": ["HepG2"], "methods": METHODS},
    "training": {"batch_size": 50, "max_batches": 4, "precision": "float32"},
    "scoring": {"truth_free": True, "nulls": False},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth_free")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    pipeline.run(load_config(folder / "c.yaml"), folder / "run")
    return folder / "run"


def scores_of(run, model, key):
    files = attribution_files(load_config(run / "config.yaml"), run)
    (path,) = (each.path for each in files if (each.model, each.key) == (model, key))
    return read_attributions(path)[0]


@pytest.mark.slow
def test_a_run_has_a_row_a_file_and_tells_of_them(run):
    table = pd.read_csv(run / "scores" / "truth_free.csv")
    columns = [column for name in TRUTH_FREE for column in (name, f"{name}_se")]
    assert list(table) == [*tables.TRUTH_FREE_KEYS, *columns]
    assert len(table) == 8
    assert (table["n_sequences"] == 5).all()
    lines = table.set_index(["model", "key"])
    of_seeds, planted = lines.loc["basset-seed1"], lines.loc["planted"]
    assert of_seeds["seed_consistency"].between(-1, 1).all()
    assert planted["seed_consistency"].isna().all()  # there is one of it
    assert planted["weight_randomisation"].isna().all()  # it has no weights to be drawn anew
    assert of_seeds["weight_randomisation"].between(-1, 1).all()
    for_labels = table.set_index("model")["label_randomisation"]
    for model in ("basset-seed1", "basset-seed2"):
        for key in ("grad_x_input@none", "saliency@none"):
            # of `chance`, which the run explains, too
            mine, null = (scores_of(run, name, key) for name in (model, "chance"))
            each = [spearmanr(np.abs(a), np.abs(b)).statistic for a, b in zip(mine, null, strict=True)]
            assert lines.loc[(model, key), "label_randomisation"] == pytest.approx(np.mean(each), abs=1e-3)
    assert for_labels.loc[["chance", "planted"]].isna().all()  # the one is the null itself, the other is not trained
    # it looks for the very motifs that are planted, an untrained network for none
    best = planted.loc["grad_x_input@none", "decoys"]
    assert best > 0.25 > lines.loc[("basset-seed1", "grad_x_input@none"), "decoys"]
    page = (run / "report.html").read_text()
    assert "What can be told without the truth?" in page
    assert "sensitivity to shifts ↓" in page
    each = pd.read_parquet(run / "scores" / "truth_free" / "planted" / "HepG2" / "grad_x_input@none.parquet")
    assert each["decoys"].mean() == pytest.approx(best)


@pytest.mark.slow
def test_only_what_a_change_concerns_is_made_anew_and_all_leaves_when_not_asked_for(run):
    config = load_config(run / "config.yaml")
    before = times(run / "scores")
    pipeline.run(config, run)
    assert times(run / "scores") == before
    pipeline.run(load_config(run / "config.yaml", ["scoring.truth_free=false"]), run)
    assert not (run / "scores" / "truth_free.csv").exists()
    assert not list((run / "scores").glob("truth_free/**/*.parquet"))
    assert "What can be told without the truth?" not in (run / "report.html").read_text()
