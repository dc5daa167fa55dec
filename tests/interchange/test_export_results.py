"""MultiQC's custom content: the figures are the run's own, and MultiQC shows them."""

import importlib.util
import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from helpers.program import simbench
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_results
from simbench_tf.run.models import metrics_file

METRICS = ["auprc", "auroc", "chance_auprc", "n_sequences"]


@pytest.fixture
def tables(tiny_run, tmp_path, monkeypatch, capsys):
    code, out, err = simbench(monkeypatch, capsys, "export-results", tiny_run, "--out", tmp_path / "qc")
    assert (code, err) == (0, "")
    names = [f"simbench_{name}_mqc.json" for name in ("models", "ranking", "scores")]
    assert out.splitlines() == [str(tmp_path / "qc" / name) for name in names]
    return {name.split("_")[1]: json.loads((tmp_path / "qc" / name).read_text()) for name in names}


def test_scores_are_those_of_the_summary(tiny_run, tables):
    summary = pd.read_csv(tiny_run / "scores" / "summary.csv")
    summary = summary[~summary["method"].str.startswith("null_")]
    rows = tables["scores"]["data"]
    assert len(rows) == len(summary) == 4
    for row in summary.to_dict("records"):
        found = rows[f"tiny | {row['model']} | {row['task']} | {row['key']}"]
        assert {name: found[name] for name in METRICS} == pytest.approx({name: row[name] for name in METRICS})
        assert found["seconds_per_sequence"] == pytest.approx(row["seconds_per_sequence"])
    for task in ("HepG2", "K562"):
        values = [row["auprc"] for name, row in rows.items() if f" | {task} | " in name]
        assert values == sorted(values, reverse=True)


def test_models_have_their_metrics(tiny_run, tables):
    metrics = json.loads(metrics_file(tiny_run, "basset").read_text())
    rows = tables["models"]["data"]
    assert set(rows) == {f"tiny | basset | {task}" for task in metrics}
    for task, values in metrics.items():
        assert {name: rows[f"tiny | basset | {task}"][name] for name in values} == pytest.approx(values)


def test_the_ranking_is_by_mean_auprc(tiny_run, tables):
    per_sequence = pd.read_parquet(tiny_run / "scores" / "per_sequence.parquet")
    per_sequence = per_sequence[~per_sequence["key"].str.startswith("null_")]
    means = per_sequence.groupby(["key", "task"])["auprc"].mean().groupby("key").mean().sort_values(ascending=False)
    rows = tables["ranking"]["data"]
    assert list(rows) == [f"tiny | {key}" for key in means.index]
    assert [row["rank"] for row in rows.values()] == list(range(1, len(means) + 1))
    assert [row["auprc"] for row in rows.values()] == pytest.approx(means.tolist())
    assert rows[f"tiny | {means.index[0]}"]["level"] == "yes"


def test_every_value_has_a_column(tables):
    for content in tables.values():
        assert {column for row in content["data"].values() for column in row} == set(content["headers"])


def test_a_run_without_scores_is_refused(tiny_config, copied_run, tmp_path):
    (copied_run / "scores" / "summary.csv").unlink()
    with pytest.raises(InputError, match="has no scores; make them with `simbench score`"):
        export_results(load_config(tiny_config), copied_run, tmp_path / "qc")
    assert not (tmp_path / "qc").exists()


@pytest.mark.skipif(importlib.util.find_spec("multiqc") is None, reason="multiqc is not installed: pip install multiqc")
def test_multiqc_shows_them(tables, tmp_path):
    command = [sys.executable, "-m", "multiqc", "--outdir", tmp_path / "report", "--strict", tmp_path / "qc"]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "report" / "multiqc_report.html").read_text()
    for content in tables.values():
        assert content["section_name"] in page
        assert all(re.escape(name) in re.escape(page) for name in content["data"])
