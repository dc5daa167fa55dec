"""A run without models: simulates, and scores what other tools say of its sequences, under the names given."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

import simbench_tf as sb
from helpers.folders import REPOSITORY, times
from helpers.program import simbench
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_attributions
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.report.compare import compare_runs
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.score import without_nulls

N, L = TINY_RUN["attribution"]["n_sequences"], TINY_RUN["simulation"]["seq_length"]
#: Shuffles are asked for, but there is no model to explain with them.
WITHOUT = {**TINY_RUN, "models": []}


@pytest.fixture
def begun(tmp_path):
    """The configuration and folder of a run that has simulated."""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(WITHOUT))
    config, run = load_config(tmp_path / "c.yaml"), tmp_path / "run"
    assert pipeline.run(config, run) == run / "dataset"
    return config, run


def given(folder, name="captum", seed=0):
    scores = np.random.default_rng(seed).normal(size=(N, L))
    np.savez(folder / f"{name}.npz", scores=scores)
    return folder / f"{name}.npz", scores


def test_it_ends_after_the_ceilings_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(WITHOUT))
    run = tmp_path / "run"
    code, out, err = simbench(monkeypatch, capsys, "run", tmp_path / "c.yaml", "--out", run)
    assert code == 0
    assert [line.partition(":")[0] for line in err.splitlines()] == ["simulate", "oracle"], (
        "a line a stage, with its time"
    )
    mend = f"simbench score {run} --attributions FILE --task TASK --model-name NAME"
    assert out == f"dataset: {run / 'dataset'}\nno models: add attributions of any tool with `{mend}`\n"
    made = {path.name for path in run.iterdir()}
    assert made == {"config.yaml", "manifest.json", "logs", "dataset", "oracle"}


def test_what_is_given_is_scored_under_its_name_and_reported(begun, tmp_path, monkeypatch, capsys):
    config, run = begun
    path, scores = given(tmp_path)
    options = ["--task", "K562", "--model-name", "my_cnn"]
    code, out, _ = simbench(monkeypatch, capsys, "score", run, "--attributions", path, *options)
    assert code == 0
    assert out.startswith(f"taken: {run / 'attributions' / 'others' / 'my_cnn' / 'K562' / 'captum.h5'}\n")
    summary = without_nulls(pd.read_csv(run / "scores" / "summary.csv"))
    assert summary[["model", "task", "key", "method"]].to_numpy().tolist() == [["my_cnn", "K562", "captum", "captum"]]
    dataset = sb.open_dataset(run)
    mask = dataset.mask("test", task="K562")[attributed_rows(dataset, config, "K562")]
    known = [average_precision_score(m, np.abs(s)) for m, s in zip(mask, scores, strict=True) if m.any()]
    assert summary.auprc[0] == pytest.approx(np.mean(known))
    assert 0 < summary.oracle_auprc[0] <= 1

    # a second tool, of another model and the other task; the whole run again goes on to the report
    take_attributions(config, run, given(tmp_path, "tangermeme", 1)[0], model_name="theirs", task="HepG2")
    assert pipeline.run(config, run) == run / "report.html"
    summary = without_nulls(pd.read_csv(run / "scores" / "summary.csv"))
    assert summary[["model", "task", "key"]].to_numpy().tolist() == [
        ["my_cnn", "K562", "captum"],
        ["theirs", "HepG2", "tangermeme"],
    ]
    page = (run / "report.html").read_text()
    assert "my_cnn" in page
    assert "tangermeme" in page
    assert "<h2>The models</h2>" not in page
    before = times(run)
    pipeline.run(config, run)
    assert {name for name, at in times(run).items() if at != before[name]} <= {"config.yaml"}


def test_stages_that_need_a_model_do_nothing(begun):
    config, run = begun
    before = times(run)
    pipeline.train(config, run)
    pipeline.attribute(config, run)
    assert pipeline.export(config, run) == []
    assert times(run) == before


def test_nothing_to_score_or_to_export_is_said(begun, tmp_path):
    config, run = begun
    with pytest.raises(InputError, match="has no models and no attributions of other tools to score; add some with"):
        pipeline.score(config, run)
    with pytest.raises(InputError, match="has no models, so no attributions of its own"):
        export_attributions(config, run, tmp_path / "out")


def test_two_runs_without_models_are_compared(begun, tmp_path):
    config, run = begun
    another = tmp_path / "another"
    pipeline.run(config, another)
    for folder, seed in ((run, 0), (another, 1)):
        take_attributions(config, folder, given(tmp_path, "same", seed)[0], model_name="my_cnn", task="K562")
        pipeline.score(config, folder)
    comparison = compare_runs([run, another])
    assert comparison.models.empty
    assert comparison.differences[["model", "task", "key"]].to_numpy().tolist() == [["my_cnn", "K562", "same"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "K562"}, "--model-name: is needed, the run has no models; add --model-name NAME"),
        ({"task": "K562", "model": "basset"}, "--model: 'basset' is none of the run's, which has none; give --model-"),
        ({"task": "K562", "model_name": "../x"}, "--model-name: '../x' cannot be a folder's name"),
        ({"model_name": "my_cnn"}, "--task: is needed, the run has HepG2, K562"),
        ({"model_name": "my_cnn", "task": "K563"}, "--task: 'K563' is none of the run's; did you mean 'K562'?"),
    ],
    ids=str,
)
def test_names_that_do_not_fit_say_so(begun, tmp_path, options, message):
    config, run = begun
    with pytest.raises(InputError) as error:
        take_attributions(config, run, given(tmp_path)[0], **options)
    assert message in str(error.value)
    assert not (run / "attributions").exists()


def test_a_run_with_models_knows_them_by_model(tiny_config, copied_run, tmp_path):
    with pytest.raises(InputError, match="--model-name: is of runs without models, this one has basset; add --model"):
        take_attributions(load_config(tiny_config), copied_run, given(tmp_path)[0], model_name="my_cnn", task="K562")


def test_the_sequences_to_explain_are_listed(begun, tmp_path, monkeypatch, capsys):
    config, run = begun
    code, out, _ = simbench(monkeypatch, capsys, "export-data", run, "--out", tmp_path / "data", "--explained")
    assert code == 0
    assert str(tmp_path / "data" / "explained.tsv") in out.splitlines()
    table = pd.read_csv(tmp_path / "data" / "explained.tsv", sep="\t")
    assert list(table) == ["task", "seq_id", "row"]
    dataset = sb.open_dataset(run)
    records = (tmp_path / "data" / "test.fa").read_text().split(">")[1:]
    for number, task in enumerate(dataset.tasks):
        mine = table[table.task == task]
        assert mine.row.tolist() == attributed_rows(dataset, config, task).tolist()
        assert [records[row].splitlines()[0] for row in mine.row] == mine.seq_id.tolist()
        assert (dataset.labels("test")[mine.row, number] == 1).all()


def test_twelve_lines_of_the_page_do_what_it_says(tmp_path, monkeypatch, capsys):
    text = (REPOSITORY / "docs" / "bring_your_own.md").read_text(encoding="utf-8").partition("## Have a trained")[0]
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["yaml", "sh", "python", "sh", "sh", "python", "sh"]
    assert sum(bool(line.strip()) for _, block in blocks[:4] for line in block.splitlines()) <= 13  # one names the file
    monkeypatch.chdir(tmp_path)
    names = {}
    for kind, block in blocks:
        if kind == "yaml":
            (tmp_path / "mine.yaml").write_text(block)
        elif kind == "python":
            exec(compile(block, "bring_your_own.md", "exec"), names)
        else:
            for line in block.splitlines():
                assert simbench(monkeypatch, capsys, *line.split()[1:])[0] == 0, line
    summary = without_nulls(pd.read_csv("runs/mine/scores/summary.csv"))
    assert summary[["model", "task", "key"]].to_numpy().tolist() == [["my_cnn", "K562", "captum_ig"]]
    data = names["data"]
    explained = attributed_rows(data, load_config("mine.yaml"), "K562")
    assert len(explained) == 20
    assert summary.n_sequences[0] == data.mask("test", task="K562")[explained].any(axis=1).sum()  # others have no truth
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert (tmp_path / "data" / "explained.tsv").is_file()
    metrics = json.loads((tmp_path / "runs" / "mine" / "models" / "my_cnn" / "metrics.json").read_text())
    labels = data.labels("test")[:, data.tasks.index("K562")]
    predicted = names["probabilities"][:, data.tasks.index("K562")]
    assert metrics["K562"]["auroc"] == pytest.approx(roc_auc_score(labels, predicted))
