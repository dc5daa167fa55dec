"""Runs side by side: which settings differ, and differences by paired statistics where sequences are the same."""

import json
import math
import re
import shutil
import sys
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.stats import norm, ttest_ind, wilcoxon

from helpers.folders import as_if_written
from simbench_tf.cli import app
from simbench_tf.cli import program as cli
from simbench_tf.errors import InputError
from simbench_tf.report.compare import compare_runs, shown, write_comparison
from simbench_tf.report.compare_figures import drawn
from simbench_tf.score import holm

GRAD, PATH = "grad_x_input@none", "integrated_gradients@shuffle2+n_steps=3"


def changed(run, target, *, scores=None, sequences=None, settings=None):
    """A copy of a run with other scores, other sequences or other settings, as another run would have."""
    shutil.copytree(run, target)
    if scores is not None:
        path = target / "scores" / "per_sequence.parquet"
        table = pd.read_parquet(path)
        scores(table).to_parquet(path, index=False)
    if sequences is not None:
        (path,) = (target / "dataset" / "sequences").iterdir()
        table = pq.read_table(path)
        texts = pa.array([sequences(text) for text in table["sequence"].to_pylist()])
        at = table.schema.names.index("sequence")
        pq.write_table(table.set_column(at, table.schema.field(at), texts), path)
    if settings is not None:
        raw = yaml.safe_load((target / "config.yaml").read_text())
        settings(raw)
        (target / "config.yaml").write_text(yaml.safe_dump(raw))
    as_if_written(target)
    return target


def better(table):
    rng = np.random.default_rng(1)
    return table.assign(auprc=table["auprc"] + rng.normal(0.05, 0.03, len(table)))


def auprc(run, task, key):
    table = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    return table[(table.task == task) & (table.key == key)].set_index("seq_id").auprc


def test_the_same_sequences_are_compared_in_pairs(tiny_run, tmp_path):
    other = changed(tiny_run, tmp_path / "other", scores=better)
    table = compare_runs([tiny_run, other]).differences
    assert table[["task", "key"]].drop_duplicates().shape[0] == len(table) == 4
    assert table.paired.all()
    for line in table.itertuples():
        one, two = (auprc(run, line.task, line.key) for run in (tiny_run, other))
        difference = (one - two).dropna()
        assert (line.first, line.second, line.n_sequences) == (tiny_run.name, "other", len(difference))
        assert line.difference == pytest.approx(difference.mean())
        assert line.se == pytest.approx(difference.std() / len(difference) ** 0.5)
        assert line.p_value == pytest.approx(wilcoxon(difference).pvalue)
        assert line.low < line.difference < line.high < 0
    np.testing.assert_allclose(table.p_holm, holm(table.p_value))


def test_fewer_of_the_same_sequences_are_still_pairs(tiny_run, tmp_path):
    def fewer(table):
        return better(table).groupby(["model", "task", "key"]).head(6)

    other = changed(tiny_run, tmp_path / "other", scores=fewer)
    table = compare_runs([other, tiny_run]).differences
    assert table.paired.all()
    assert (table.n_sequences <= 6).all()
    line = table.iloc[0]
    expected = (auprc(other, line.task, line.key) - auprc(tiny_run, line.task, line.key)).mean()
    assert line.difference == pytest.approx(expected)


def test_other_letters_under_the_same_ids_are_no_pairs(tiny_run, tmp_path):
    other = changed(tiny_run, tmp_path / "other", scores=better, sequences=lambda text: text[::-1])
    table = compare_runs([tiny_run, other]).differences
    assert not table.paired.any()
    for line in table.itertuples():
        one, two = (auprc(run, line.task, line.key).dropna() for run in (tiny_run, other))
        se = (one.var() / len(one) + two.var() / len(two)) ** 0.5
        assert line.difference == pytest.approx(one.mean() - two.mean())
        assert line.se == pytest.approx(se)
        assert line.high - line.low == pytest.approx(2 * 1.96 * se)
        assert line.p_value == pytest.approx(2 * norm.sf(abs(line.difference) / se))


def with_seeds(run, target, shifts):
    """A copy of a run whose network was trained from several seeds, each of which shifts the scores."""

    def scores(table):
        rng = np.random.default_rng(5)
        parts = [
            table.assign(model=f"basset-seed{n}", auprc=table["auprc"] + shift + rng.normal(0, 0.01, len(table)))
            for n, shift in enumerate(shifts, 1)
        ]
        return pd.concat(parts, ignore_index=True)

    return changed(run, target, scores=scores)


@pytest.mark.parametrize("same", [True, False])
def test_of_several_seeds_a_row_speaks_of_other_trainings(tiny_run, tmp_path, same):
    """Trainings that differ by far more than sequences do: the error is that of two samples of trainings, and t's."""
    shifts = np.array([-0.4, -0.1, 0.2]), np.array([0.1, 0.2, 0.9, 0.4])
    one = with_seeds(tiny_run, tmp_path / "one", shifts[0])
    two = with_seeds(tiny_run, tmp_path / "two", shifts[1])
    if not same:
        other = changed(tiny_run, tmp_path / "letters", sequences=lambda text: text[::-1])
        shutil.copytree(other / "dataset", two / "dataset", dirs_exist_ok=True)
    comparison = compare_runs([one, two])
    table = comparison.differences
    assert table["n_models"].tolist() == [1] * 12 + [3] * 4
    assert set(table["paired"]) == {same}
    assert table["model"].tolist() == [f"basset-seed{n}" for n in (1, 2, 3) for _ in range(4)] + ["basset"] * 4
    right = ttest_ind(*shifts, equal_var=False)
    for line in table[12:].itertuples():
        means = [auprc_of_all(run, line.task, line.key).groupby("model")["auprc"].mean() for run in (one, two)]
        assert line.difference == pytest.approx(means[0].mean() - means[1].mean())
        error = math.sqrt(sum(each.var() / len(each) for each in means))
        if same:  # of the sequences' spread, all are alike in both runs
            assert line.se == pytest.approx(error, rel=0.01)
            assert line.p_value == pytest.approx(right.pvalue, rel=0.1)
        else:
            spread = [auprc_of_all(run, line.task, line.key).groupby(level=0)["auprc"].mean() for run in (one, two)]
            of_sequences = sum(each.var() / each.count() for each in spread)
            # of half the sequences each, a table counts trainings by up to sqrt(n / (n - 1)) too much
            assert line.se == pytest.approx(math.sqrt(error**2 + of_sequences), rel=0.08)
        assert line.p_welch == pytest.approx(ttest_ind(*means, equal_var=False).pvalue)
        assert line.low < line.difference < line.high
        assert (line.low < 0 < line.high) == (line.p_value > 0.05)
    assert table["p_welch"].isna().tolist() == [True] * 12 + [False] * 4
    note = shown(comparison)[-1].note
    assert "and p is for new ones of both. Welch's t-test is of the trainings' means alone" in note
    assert "Of one training p speaks of these trainings alone" in note


def test_trainings_are_drawn_as_one_model(tiny_run, tmp_path):
    runs = [with_seeds(tiny_run, tmp_path / name, shifts) for name, shifts in (("one", [0, 0.1]), ("two", [0.2, 0.3]))]
    for run in runs:
        path = run / "scores" / "summary.csv"
        table = pd.read_csv(path)
        seeds = [table.assign(model=f"basset-seed{n}", auprc=table["auprc"] + n / 100) for n in (1, 2)]
        pd.concat(seeds).to_csv(path, index=False)
        (run / "models" / "basset").rename(run / "models" / "basset-seed1")
        shutil.copytree(run / "models" / "basset-seed1", run / "models" / "basset-seed2")
        raw = yaml.safe_load((run / "config.yaml").read_text())
        raw["models"][0]["seeds"] = 2
        (run / "config.yaml").write_text(yaml.safe_dump(raw))
    places = drawn(compare_runs(runs))
    assert [place.title for place in places] == ["HepG2, basset", "K562, basset"]
    for place in places:
        assert [each.caption for each in place.pictures] == ["Scores", "one − two"]
        texts = re.findall(r"<text[^>]*>(.*?)</text>", place.pictures[0].svg, re.DOTALL)
        assert "mean auPRC, from the lowest training to the highest" in [text.strip() for text in texts]


def auprc_of_all(run, task, key):
    table = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    return table[(table.task == task) & (table.key == key)].set_index("seq_id")


def test_only_settings_that_differ_are_told_in_dotted_keys(tiny_run, tmp_path):
    def settings(raw):
        raw["training"]["max_batches"] = 99
        raw["models"][0]["kernel_size"] = 7
        raw["models"].append({"name": "two", "architecture": "beluga"})
        raw["attribution"]["methods"][1]["n_steps"] = 4
        raw["attribution"]["methods"].insert(0, {"method": "ism"})

    other = changed(tiny_run, tmp_path / "other", settings=settings)
    table = compare_runs([tiny_run, other]).settings
    assert table.where(table.notna(), None).T.to_dict("list") == {
        "models.basset.kernel_size": [None, "7"],
        "models.two.name": [None, "two"],
        "models.two.architecture": [None, "beluga"],
        "models.two.settings": [None, "{}"],
        "models.two.padding": [None, "valid"],
        "models.two.trained": [None, "false"],
        "models.two.width": [None, "1.0"],
        "models.two.training": [None, "{}"],
        "models.two.seeds": [None, "1"],
        "models.two.ensemble": [None, "false"],
        "models.two.held": [None, "{}"],
        "training.max_batches": ["24", "99"],
        "attribution.methods.ism": [None, "yes"],
        "attribution.methods.integrated_gradients references=shuffle:2 n_steps=3": ["yes", None],
        "attribution.methods.integrated_gradients references=shuffle:2 n_steps=4": [None, "yes"],
    }


def test_settings_of_dynamics_keep_their_key(tiny_run, tmp_path):
    def settings(raw):
        raw["dynamics"] = {"checkpoints": 5, "method": {"method": "ism"}, "tasks": ["K562"]}

    table = compare_runs([tiny_run, changed(tiny_run, tmp_path / "other", settings=settings)]).settings
    assert table.iloc[:, 1].to_dict() == {
        "dynamics.checkpoints": "5",
        "dynamics.n_sequences": "64",
        "dynamics.split": "test",
        "dynamics.tasks": '["K562"]',
        "dynamics.method.method": "ism",
    }


def test_three_runs_make_three_pairs_and_what_one_lacks_is_left_open(tiny_run, tmp_path):
    one = changed(tiny_run, tmp_path / "one", scores=better)
    two = changed(tiny_run, tmp_path / "two", scores=lambda table: table[table.key == GRAD])
    summary = pd.read_csv(two / "scores" / "summary.csv")
    summary[summary.key == GRAD].to_csv(two / "scores" / "summary.csv", index=False)
    comparison = compare_runs([tiny_run, one, two])
    pairs = comparison.differences.groupby("key").size()
    assert pairs.to_dict() == {GRAD: 6, PATH: 2}
    assert len(comparison.scores) == 4 + 4 + 2
    assert comparison.runs == [tiny_run.name, "one", "two"]
    metrics = json.loads((one / "models" / "basset" / "metrics.json").read_text())["K562"]
    ceilings = pd.read_csv(one / "oracle" / "ceilings.csv", index_col="task").loc["K562"]
    line = comparison.models[(comparison.models.run == "one") & (comparison.models.task == "K562")].iloc[0]
    assert line.to_dict() == {
        "model": "basset",
        "task": "K562",
        "run": "one",
        "auroc": metrics["auroc"],
        "auprc": metrics["auprc"],
        "oracle_auroc": ceilings["auroc"],
        "oracle_auprc": ceilings["auprc"],
    }


def test_runs_of_one_name_are_told_apart_by_their_folders(tiny_run, tmp_path):
    runs = [changed(tiny_run, tmp_path / name / "run") for name in ("a", "b")]
    assert compare_runs(runs).runs == ["a/run", "b/run"]


def test_what_cannot_be_compared_is_said_in_one_line(tiny_run, tmp_path):
    for runs, message in (
        ([tiny_run], "needs two runs or more"),
        ([tiny_run, tiny_run / ".." / tiny_run.name], "is given twice; name each run once"),
        ([tiny_run, tmp_path], f"{tmp_path}: is not a run: it has no config.yaml"),
    ):
        with pytest.raises(InputError) as error:
            compare_runs(runs)
        assert message in str(error.value)
    other = changed(tiny_run, tmp_path / "other", scores=lambda table: table.assign(model="mine"))
    with pytest.raises(
        InputError, match=r"other: have no model, task and method in common: .* basset HepG2 grad_x_input"
    ):
        compare_runs([tiny_run, other])
    (other / "scores" / "summary.csv").unlink()
    with pytest.raises(InputError, match="has no scores; make them with `simbench score`"):
        compare_runs([tiny_run, other])


def test_csv_holds_the_tables(tiny_run, tmp_path):
    comparison = compare_runs([tiny_run, changed(tiny_run, tmp_path / "other", scores=better)])
    files = write_comparison(comparison, tmp_path / "c.csv")
    assert [file.name for file in files] == ["c.csv", "c.differences.csv", "c.models.csv", "c.settings.csv"]
    scores, differences = (pd.read_csv(file) for file in files[:2])
    pd.testing.assert_frame_equal(differences, comparison.differences, check_dtype=False)
    summary = pd.read_csv(tiny_run / "scores" / "summary.csv").set_index(["task", "key"])
    for line in scores[scores.run == tiny_run.name].itertuples():
        assert line.auprc == pytest.approx(summary.loc[(line.task, line.key), "auprc"])
    with pytest.raises(InputError, match=r"c.txt: is neither .html nor .csv"):
        write_comparison(comparison, tmp_path / "c.txt")


def test_a_page_needs_nothing_and_names_are_text(tiny_run, tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    other = changed(tiny_run, tmp_path / hostile, scores=better, settings=lambda raw: raw.update(name=hostile))
    comparison = compare_runs([tiny_run, other])
    (path,) = write_comparison(comparison, tmp_path / "c.html")
    page = path.read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "light-dark(" in page
    before = path.read_bytes()
    write_comparison(compare_runs([tiny_run, other]), path)
    assert path.read_bytes() == before
    alone = "Every p speaks of these trainings alone: other trainings may differ otherwise; train with seeds: 4 or more"
    assert alone in page


def test_the_page_has_figures_and_leads_to_the_reports(tiny_run, tmp_path):
    name = "a b#c"
    other = changed(tiny_run, tmp_path / name, scores=better, settings=lambda raw: raw.update(name="the other"))
    comparison = compare_runs([tiny_run, other])
    (tmp_path / "pages").mkdir()
    (path,) = write_comparison(comparison, tmp_path / "pages" / "c.html")
    page = path.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"]*)">report</a>', page)
    assert len(links) == 2
    assert [(path.parent / unquote(link)).resolve() for link in links] == [
        (run / "report.html").resolve() for run in (tiny_run, other)
    ]
    assert "the other" in page
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["HepG2, basset", "K562, basset"]
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 4
    for figure, kind in zip(figures, ["scores", "difference"] * 2, strict=True):
        texts = [text.strip() for text in re.findall(r"<text[^>]*>(.*?)</text>", figure, re.DOTALL)]
        assert "gradient × input" in texts
        if kind == "scores":
            assert {tiny_run.name, name} <= set(texts)
    (other / "report.html").unlink()
    (path,) = write_comparison(compare_runs([tiny_run, other]), tmp_path / "c.html")
    assert path.read_text(encoding="utf-8").count(">report</a>") == 1


def test_the_command_prints_and_writes(monkeypatch, capsys, tiny_run, tmp_path):
    other = changed(tiny_run, tmp_path / "[red]other", scores=better, settings=lambda raw: raw.update(seed=8))
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(app.console, "_width", 240)
    arguments = ["simbench", "compare", str(tiny_run), str(other), "--out", str(tmp_path / "c.html")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert (stop.value.code, err) == (0, "")
    for text in ("Settings that differ", "seed", "Models on the test split", "gradient × input", "[red]other", "paired",
                 "Every p speaks of these trainings alone"):  # fmt: skip
        assert text in out
    assert f"written: {tmp_path / 'c.html'}" in out


def test_null_methods_are_not_compared(tiny_run, tmp_path):
    def with_nulls(table):
        mine = table[table["key"] == GRAD]
        return pd.concat([table, mine.assign(key="null_kmer@none", method="null_kmer")])

    runs = [changed(tiny_run, tmp_path / name, scores=with_nulls) for name in ("one", "two")]
    for run in runs:
        path = run / "scores" / "summary.csv"
        with_nulls(pd.read_csv(path)).to_csv(path, index=False)
    compared = compare_runs(runs)
    assert set(compared.differences["key"]) == set(compared.scores["key"]) == {GRAD, PATH}


def test_no_p_value_is_shown_as_zero(tiny_run, tmp_path):
    comparison = compare_runs([tiny_run, changed(tiny_run, tmp_path / "other", scores=better)])
    small = comparison.differences.assign(p_value=[1e-30, 4e-5, 0.00012, 0.5], p_holm=[4e-5, 0.00016, 0.00048, 0.5])
    comparison = comparison._replace(differences=small)
    (table,) = (each.table for each in shown(comparison) if each.title == "Differences")
    at = [table.heads.index("p"), table.heads.index("p (Holm)")]
    assert [[row[column] for column in at] for row in table.rows] == [
        ["under 0.0001", "under 0.0001"],
        ["under 0.0001", "0.0002"],
        ["0.0001", "0.0005"],
        ["0.5000", "0.5000"],
    ]
    write_comparison(comparison, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert page.count("under 0.0001") == 3
    assert "0.0000" not in page
