"""`simbench score RUN --motifs FILE`, from callers' files to tables."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import simbench_tf as sb
from helpers.callers import write_hits, write_modisco
from helpers.peaks_run import make_peaks_run
from helpers.program import simbench
from simbench_tf import pipeline, tables
from simbench_tf.config import load_config
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.run.folder import begin
from simbench_tf.run.manifest import read_manifest
from simbench_tf.stages.found_motifs import score_found

REPOSITORY = Path(__file__).parents[2]
CONFIG = {
    "name": "small",
    "seed": 3,
    "simulation": {
        "kind": "grammar",
        "seq_length": 120,
        "n_sequences": 600,
        "tasks": {"HepG2": {"fraction": 0.4}, "K562": {"fraction": 0.4}},
        "elements": [
            {"motif": "HNF4A", "rate": 0.3, "enriched": {"HepG2": 1.5}},
            {"motif": "GATA1", "rate": 0.5, "enriched": {"K562": 1.5}},
            {"motif": "SPI1", "rate": 0.5, "enriched": {"K562": 1.5}},
        ],
    },
    "attribution": {"n_sequences": 30, "methods": [{"method": "ism"}]},
    "models": [],
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("found")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    run = folder / "run"
    config = load_config(folder / "c.yaml")
    begin(config, run)
    pipeline.simulate(config, run)
    dataset = sb.open_dataset(run / "dataset")
    rows = attributed_rows(dataset, config, "K562")
    sites = dataset.true_sites("test", "K562", rows=rows)
    sites["row"] = pd.Index(rows).get_indexer(sites["row"])
    return run, dataset, rows, sites


@pytest.fixture
def run(simulated):
    folder = simulated[0]
    yield folder
    for name in ("instances", "motifs"):
        (folder / "scores" / f"{name}.csv").unlink(missing_ok=True)


def score(monkeypatch, capsys, run, file, *more, task="K562", model="cnn"):
    arguments = ["score", run, "--motifs", file, "--task", task, "--model-name", model, *more]
    return simbench(monkeypatch, capsys, *arguments)


def read(run, name):
    return pd.read_csv(run / "scores" / f"{name}.csv", keep_default_na=False, na_values=[""])


def bed_of(sites, dataset, rows, path):
    ids = dataset.seq_ids("test")[rows]
    table = pd.DataFrame({"chrom": ids[sites["row"]], "start": sites["start"], "end": sites["end"]})
    tf = dataset.motifs.set_index("motif")["tf"]
    table = table.assign(name=sites["motif"].map(tf), score=1, strand=sites["strand"])
    table.to_csv(path, sep="\t", header=False, index=False)


def test_the_true_sites_as_bed_score_1_and_factors_stand_for_their_motifs(
    monkeypatch, capsys, simulated, run, tmp_path
):
    _, dataset, rows, sites = simulated
    bed_of(sites, dataset, rows, tmp_path / "truth.bed")
    code, out, _ = score(monkeypatch, capsys, run, tmp_path / "truth.bed")
    assert (code, out) == (0, f"scored: {run / 'scores' / 'instances.csv'}\n")
    table = read(run, "instances")
    assert list(table) == list(tables.INSTANCE_COLUMNS)
    assert set(table["key"]) == {"truth"}
    assert set(table["model"]) == {"cnn"}
    assert (table[["precision", "recall", "f1", "ap", "strand_accuracy", "motif_accuracy"]] == 1).all(axis=None)
    assert table["n_sites"][0] == len(sites)
    assert table["chance_recall"][0] < 0.5
    of_motif = table[table["by"] == "motif"].set_index("group")["n_sites"]
    pd.testing.assert_series_equal(of_motif, sites["motif"].value_counts().sort_index(), check_names=False)
    # only sites of the task's motifs are truth: those of HNF4A are called in vain
    every = dataset.true_sites("test", motifs="all", rows=rows)
    every["row"] = pd.Index(rows).get_indexer(every["row"])
    bed_of(every, dataset, rows, tmp_path / "all.bed")
    score(monkeypatch, capsys, run, tmp_path / "all.bed", "--name", "every")
    table = read(run, "instances")
    found = table[(table["key"] == "every") & (table["by"] == "all")].iloc[0]
    assert found["recall"] == 1
    assert found["precision"] == pytest.approx(len(sites) / len(every))


def modisco_of(sites, dataset, rows, path, window=None, flank=4):
    """A caller that finds every site whose flanks lie within the window, one pattern a motif, strands turned round."""
    bases, patterns = dataset.bases("test")[rows], []
    first = 0 if window is None else 60 - window // 2
    inside = sites[(sites["start"] - flank >= first) & (sites["end"] + flank <= 120 - first)]
    for _, mine in inside.groupby("motif"):
        seqlets = [(s.row, s.start - flank, s.end + flank, s.strand == "+") for s in mine.itertuples()]
        width = seqlets[0][2] - seqlets[0][1]
        size = np.where(np.isin(np.arange(width), np.arange(flank, width - flank)), 1.0, 0.01)
        patterns.append((seqlets, size))
    write_modisco(path, bases, patterns, window)
    return inside


@pytest.mark.parametrize("window", [None, 80])
def test_modiscos_patterns_are_instances_motifs_and_clusters(monkeypatch, capsys, simulated, run, tmp_path, window):
    _, dataset, rows, sites = simulated
    inside = modisco_of(sites, dataset, rows, tmp_path / "modisco.h5", window)
    code, out, _ = score(monkeypatch, capsys, run, tmp_path / "modisco.h5")
    assert code == 0
    assert out.splitlines() == [f"scored: {run / 'scores' / name}" for name in ("instances.csv", "motifs.csv")]
    all_ = read(run, "instances").iloc[0]
    assert all_[["precision", "boundary_error", "strand_accuracy", "motif_accuracy", "purity"]].tolist() == [
        1,
        0,
        1,
        1,
        1,
    ]
    assert all_["recall"] == pytest.approx(len(inside) / len(sites))
    assert all_["recall"] <= all_["recall_cap"] <= 1
    motifs = read(run, "motifs")
    assert list(motifs) == list(tables.FOUND_MOTIF_COLUMNS)
    true = motifs[motifs["kind"] == "true"]
    assert set(true["status"]) == {"found"}
    assert (true["correlation"] > 0.95).all()
    assert (true["correlation"] > true["chance_correlation"]).all()
    assert (true[["start_error", "end_error"]] == 0).all(axis=None)
    assert set(true["strand"]) == {"-"}
    assert set(motifs["status"][motifs["kind"] == "found"]) == {"true"}


def test_fi_nemos_hits_are_scored_beside_and_a_file_taken_again_replaces_its_rows(
    monkeypatch, capsys, simulated, run, tmp_path
):
    _, dataset, rows, sites = simulated
    modisco_of(sites, dataset, rows, tmp_path / "modisco.h5")
    score(monkeypatch, capsys, run, tmp_path / "modisco.h5")
    hits = [
        {
            "chr": "NA", "peak_name": "NA", "peak_id": s.row, "start": s.start, "end": s.end, "strand": s.strand,
            "motif_name": f"pos_patterns.{s.motif}",
        }
        for s in sites[::2].itertuples()
    ]  # fmt: skip
    write_hits(tmp_path / "hits.tsv", hits)
    score(monkeypatch, capsys, run, tmp_path / "hits.tsv")
    score(monkeypatch, capsys, run, tmp_path / "hits.tsv", "--overlap", "1", "--name", "exact")
    table = read(run, "instances").query("by == 'all'").set_index("key")
    assert table.index.tolist() == ["modisco", "hits", "exact"]
    half = len(sites[::2]) / len(sites)
    assert table.loc["hits", ["precision", "recall"]].tolist() == pytest.approx([1, half])
    assert table.loc["hits", "recall_cap"] == pytest.approx(half)
    before = (run / "scores" / "instances.csv").read_bytes()
    motifs = (run / "scores" / "motifs.csv").read_bytes()
    score(monkeypatch, capsys, run, tmp_path / "hits.tsv", "--overlap", "1", "--name", "exact")
    assert (run / "scores" / "instances.csv").read_bytes() == before
    assert (run / "scores" / "motifs.csv").read_bytes() == motifs
    records = read_manifest(run)
    assert records["scores/instances.csv"]["stage"] == records["scores/motifs.csv"]["stage"] == "score"
    # a name that stood for both, and now has motifs alone
    score(monkeypatch, capsys, run, run / "dataset" / "motifs.meme", "--name", "modisco")
    assert set(read(run, "instances")["key"]) == {"hits", "exact"}
    found = read(run, "motifs")
    assert set(found["key"]) == {"modisco"}
    # HNF4A's motif bears on the other task
    assert found["status"].value_counts().to_dict() == {"found": 2, "true": 2, "false": 1}


def test_rows_of_other_settings_are_dropped_with_a_warning(simulated, run, tmp_path):
    _, dataset, rows, sites = simulated
    bed_of(sites, dataset, rows, tmp_path / "truth.bed")
    config = load_config(run / "config.yaml")
    options = {"task": "K562", "model_name": "cnn"}
    score_found(config, run, tmp_path / "truth.bed", **options)
    other = config.model_copy(update={"scoring": config.scoring.model_copy(update={"motifs": "all"})})
    with pytest.warns(UserWarning, match="its rows are of other data or settings, and are dropped"):
        score_found(other, run, tmp_path / "truth.bed", name="again", **options)
    assert set(read(run, "instances")["key"]) == {"again"}


def test_sequences_in_another_order_are_named_by_a_file(monkeypatch, capsys, simulated, run, tmp_path):
    _, dataset, rows, sites = simulated
    order = np.random.default_rng(0).permutation(len(dataset.seq_ids("test")))
    place = pd.Index(order).get_indexer(rows)
    hits = [
        {
            "peak_id": place[s.row],
            "start": s.start,
            "end": s.end,
            "strand": s.strand,
            "motif_name": s.motif,
            "chr": "NA",
        }
        for s in sites.itertuples()
    ]
    write_hits(tmp_path / "hits.tsv", hits)
    (tmp_path / "ids.txt").write_text("\n".join(dataset.seq_ids("test")[order]))
    code, _, _ = score(monkeypatch, capsys, run, tmp_path / "hits.tsv", "--seq-ids", tmp_path / "ids.txt")
    assert code == 0
    assert read(run, "instances")["f1"][0] == 1
    (tmp_path / "ids.txt").write_text("nobody\n")
    code, _, err = score(monkeypatch, capsys, run, tmp_path / "hits.tsv", "--seq-ids", tmp_path / "ids.txt")
    assert code == 2
    assert "ids.txt: names 'nobody', which is no sequence of the explained split" in err


def test_options_and_files_that_do_not_fit_are_told_in_one_line(monkeypatch, capsys, simulated, run, tmp_path):
    (tmp_path / "a.bed").write_text("nobody\t5\t15\tx\t1\t+\n")
    for more, message in (
        (
            [],
            f"{tmp_path / 'a.bed'}:1: 'nobody' is no sequence of the explained split; the first column must be",
        ),
        (["--overlap", "0"], "--overlap: 0.0 is not above 0 and up to 1; give a share of the longer of the two"),
        (["--window", "500"], "--window: 500 is not between 1 and the 120 bases of a sequence; give the central bases"),
        (["--name", "../x"], "--name: '../x' cannot be a key; give one of letters, digits, . _ -"),
        (["--task", "A549"], "--task: 'A549' is none of the run's"),
    ):
        code, _, err = score(monkeypatch, capsys, run, tmp_path / "a.bed", *more)
        assert code == 2
        assert err.startswith(f"error: {message}")
        assert err.count("\n") == 1
    assert not (run / "scores" / "instances.csv").exists()
    code, _, err = simbench(monkeypatch, capsys, "score", run, "--motifs", tmp_path / "a.bed", "--task", "K562")
    assert (code, err.split(";")[0]) == (2, "error: --model-name: is needed, the run has no models")


def test_calls_in_the_genome_are_those_of_the_peaks_they_lie_in(tmp_path):
    config, run, dataset = make_peaks_run(tmp_path)
    rows = attributed_rows(dataset, config, "K562")
    ids = dataset.seq_ids("test")[rows]
    loci = dataset.sequences.set_index("seq_id").loc[ids].reset_index()
    sites = dataset.true_sites("test", "K562", rows=rows)
    peak = pd.Index(rows).get_indexer(sites["row"])
    first = loci["start"].to_numpy()[peak]
    table = sites.assign(chr=loci["chrom"].to_numpy()[peak], peak_id=peak, motif_name=sites["motif"])
    table = table.assign(start=sites["start"] + first, end=sites["end"] + first)
    write_hits(tmp_path / "hits.tsv", table.to_dict("records"))
    table.assign(score=1)[["chr", "start", "end", "motif", "score", "strand"]].to_csv(
        tmp_path / "calls.bed", sep="\t", header=False, index=False
    )
    options = {"task": "K562", "model": "basset"}
    for name in ("hits.tsv", "calls.bed"):
        score_found(config, run, tmp_path / name, **options)
    found = read(run, "instances").query("by == 'all'").set_index("key")
    assert found.loc["hits", ["precision", "recall", "motif_accuracy", "strand_accuracy"]].tolist() == [1] * 4
    # regions overlap here, and a call is one of each that it lies in
    assert found.loc["calls", "recall"] == 1
    here = [
        ((loci["chrom"] == call.chr) & (loci["start"] <= call.start) & (loci["end"] >= call.end)).sum()
        for call in table.itertuples()
    ]
    assert found.loc["calls", "n_called"] == sum(here) > len(sites)


@pytest.mark.slow
def test_the_caller_of_the_page_is_scored_as_it_says(tmp_path, monkeypatch, capsys):
    text = (REPOSITORY / "docs" / "motifs.md").read_text(encoding="utf-8").partition("## A caller of your own")[2]
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["yaml", "sh", "python", "sh"]
    monkeypatch.chdir(tmp_path)
    for kind, block in blocks:
        if kind == "yaml":
            (tmp_path / "mine.yaml").write_text(block)
        elif kind == "python":
            exec(compile(block, "motifs.md", "exec"), {})
        else:
            assert simbench(monkeypatch, capsys, *block.split()[1:])[0] == 0, block
    all_ = read(tmp_path / "runs" / "mine", "instances").iloc[0]
    assert (all_["model"], all_["task"], all_["key"]) == ("none", "K562", "scan")
    # most sites are strong enough to be found, and chance hits and other tasks' sites are called, too
    assert all_["recall"] > 0.6
    assert all_["chance_recall"] < all_["precision"] < 1
    assert all_["motif_accuracy"] > 0.9
