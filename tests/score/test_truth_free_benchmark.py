"""The study of truth-free metrics: its correlations against worked-out ones, and its table against its rows."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from helpers.folders import REPOSITORY
from simbench_tf.score.truth_free import TRUTH_FREE


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("truth_free_study", REPOSITORY / "benchmarks" / "truth_free.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows():
    rng = np.random.default_rng(0)
    table = pd.MultiIndex.from_product(
        [["d1", "d2"], ["m1", "m2", "m3"], [40, 400], list("abcdef")], names=["data", "model", "level", "method"]
    ).to_frame(index=False)
    table["auprc"] = rng.random(len(table))
    for name in TRUTH_FREE:
        table[name] = rng.random(len(table))
    return table.assign(deletion=table["auprc"] ** 2, infidelity=-table["auprc"], sparsity=-table["auprc"])


def test_correlations_are_means_within_networks_and_within_methods(study, monkeypatch):
    monkeypatch.setattr(study, "N_RESAMPLES", 200)
    table = rows()
    few = study.correlations(table[table["data"] == "d1"])
    assert few["low"].isna().all()
    assert (few["n_units"] == 3).all()
    found = study.correlations(table).set_index(["over", "metric"])
    for over in ("methods", "models"):
        # less is better of infidelity, more of sparsity
        for name, correlation in (("deletion", 1), ("infidelity", 1), ("sparsity", -1)):
            row = found.loc[over, name]
            assert row[["correlation", "low", "high"]].tolist() == pytest.approx([correlation] * 3)
            assert row["n_units"] == 6
    within = {"methods": ["data", "model", "level"], "models": ["data", "method"]}
    for over, columns in within.items():
        each = [spearmanr(mine["decoys"], mine["auprc"]).statistic for _, mine in table.groupby(columns)]
        row = found.loc[over, "decoys"]
        assert row["correlation"] == pytest.approx(np.mean(each))
        assert row["low"] < row["correlation"] < row["high"]


def test_the_committed_table_is_that_of_the_committed_rows(study):
    made = study.correlations(pd.read_csv(study.ROWS))
    committed = pd.read_csv(study.TABLE)
    pd.testing.assert_frame_equal(made.round(4), committed, atol=2e-4)
