"""What attributions are held against: both truths of peaks, the sign, the bases that a network can see."""

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from helpers.folders import as_if_written
from helpers.peaks_run import MOTIFS, make_peaks_run
from simbench_tf.attribution.receptive_field import visible_bases
from simbench_tf.config import load_config
from simbench_tf.dataset import covered, open_dataset
from simbench_tf.motifs import scan
from simbench_tf.run.manifest import write_records
from simbench_tf.run.results import read_results
from simbench_tf.score import without_nulls
from simbench_tf.simulate.oracle import attribution_ceiling
from simbench_tf.stages import score as stage


def scored_again(tiny_config, tiny_run, folder, *settings):
    """A copy of the run without scores, scored by other settings; its configuration and summary."""
    config = load_config(tiny_config, [f"scoring.{setting}" for setting in settings])
    run = shutil.copytree(tiny_run, folder / "run")
    shutil.rmtree(run / "scores")
    stage.score(config, run)
    return config, run, pd.read_csv(run / "scores" / "summary.csv").set_index(["task", "key"])


def attributions(run, task, key):
    """Scores of a file, and the rows of the test split that they are of."""
    with h5py.File(run / "attributions" / "basset" / task / f"{key}.h5") as file:
        rows = pd.Index(open_dataset(run / "dataset").seq_ids("test")).get_indexer(file["seq_id"].asstr()[:])
        return file["scores"][:], rows


def mean_auprc(scores, mask):
    rows = [average_precision_score(truth, row) for truth, row in zip(mask, scores, strict=True) if truth.any()]
    return np.mean(rows) if rows else np.nan


# the sign


@pytest.mark.parametrize("sign", ["absolute", "signed", "auto"])
def test_bases_are_ranked_by_the_sign_asked_for(tiny_config, tiny_run, tmp_path, sign):
    _, run, summary = scored_again(tiny_config, tiny_run, tmp_path, f"sign={sign}", "bases=all")
    table = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    # in this grammar every element of the truth only raises its label
    signed = sign != "absolute"
    assert set(summary["sign"]) == {"signed" if signed else "absolute"}
    dataset = open_dataset(run / "dataset")
    for (task, key), rows in table.groupby(["task", "key"]):
        scores, places = attributions(run, task, key)
        mask = dataset.mask("test", task)[places]
        line = summary.loc[task, key]
        assert line["signed_auprc"] == pytest.approx(mean_auprc(scores, mask))
        assert line["absolute_auprc"] == pytest.approx(mean_auprc(abs(scores), mask))
        assert line["auprc"] == rows["auprc"].mean() == line["signed_auprc" if signed else "absolute_auprc"]
        pooled = average_precision_score(mask.ravel(), (scores if signed else abs(scores)).ravel())
        assert line["pooled_auprc"] == pytest.approx(pooled)
    assert (summary["signed_auprc"] - summary["absolute_auprc"]).abs().max() > 0.01


def test_auto_is_signed_only_where_the_truth_can_only_raise_the_label(tiny_config):
    rule = {"task": "HepG2", "when": "HNF4A and not CTCF"}
    for rules, raised in (
        ([], {"HepG2", "K562"}),
        ([rule], {"K562"}),
        ([rule | {"when": "HNF4A without CTCF"}], {"K562"}),
        ([rule | {"when": "HNF4A and CTCF"}], {"HepG2", "K562"}),
        ([rule | {"when": "HNF4A", "with_label": 0.1, "without_label": 0.9}], {"K562"}),
    ):
        simulation = load_config(tiny_config).simulation
        changed = type(simulation).model_validate({**simulation.model_dump(), "rules": rules})
        assert changed.tasks_only_raised == raised


@pytest.mark.parametrize(("least", "raised"), [(1.2, {"a"}), (0.5, set())])
def test_auto_of_peaks_asks_whether_motifs_are_enriched(tmp_path, least, raised):
    (tmp_path / "c.yaml").write_text(
        f"simulation: {{kind: peaks, genome: g.fa, peaks: {{a: a.bed}}, min_enrichment: {least}}}\n"
    )
    assert load_config(tmp_path / "c.yaml").simulation.tasks_only_raised == raised


def test_with_all_motifs_auto_is_absolute(tiny_config, tiny_run, tmp_path):
    _, _, summary = scored_again(tiny_config, tiny_run, tmp_path, "sign=auto", "motifs=all")
    assert set(summary["sign"]) == {"absolute"}


# the bases that a network can see


def test_bases_that_the_network_cannot_see_are_left_out(tiny_config, tiny_run, tmp_path):
    import keras

    config, run, summary = scored_again(tiny_config, tiny_run, tmp_path)
    dataset = open_dataset(run / "dataset")
    seen = visible_bases(keras.models.load_model(run / "models" / "basset" / "model.keras"), 200)
    assert seen.sum() == 168, "valid convolutions and pooling leave 32 over"
    with h5py.File(run / "oracle" / "occupancy.h5") as file:
        kept = pd.Index(file["seq_id"].asstr()[:])
        occupancy = {task: pd.DataFrame(file[task][:], index=kept) for task in dataset.tasks}
    for (task, key), line in without_nulls(summary.reset_index()).set_index(["task", "key"]).iterrows():
        scores, places = attributions(run, task, key)
        mask = dataset.mask("test", task)[places]
        assert not scores[:, ~seen].any()
        assert line["scored_bases"] == 168
        assert line["auprc"] == pytest.approx(mean_auprc(abs(scores[:, seen]), mask[:, seen]))
        assert line["auprc_all_bases"] == pytest.approx(mean_auprc(abs(scores), mask))
        positive = np.flatnonzero(dataset.labels("test")[:, dataset.tasks.index(task)])
        assert set(places) < set(positive), "the ceiling is of all positives"
        kept, truth = occupancy[task].loc[dataset.seq_ids("test")[positive]], dataset.mask("test", task)[positive]
        ceiling = attribution_ceiling(kept.to_numpy()[:, seen], truth[:, seen])
        for end in ("", "_se"):
            assert line[f"oracle_auprc{end}"] == pytest.approx(ceiling[f"attribution_auprc{end}"])
        # sites of which a part cannot be seen are no misses of a method
        sites = dataset.true_sites("test", task, rows=places)
        recall = pd.read_csv(run / "scores" / "motif_recall.csv")
        mine = recall[(recall["task"] == task) & (recall["key"] == key) & (recall["by"] == "motif")]
        assert mine["n_sites"].sum() == (sites["end"] <= 168).sum() < len(sites)
    page = (run / "report.html").read_text()
    assert "Only bases that a network can see are scored, of 200: basset 168." in page
    assert "auPRC on all bases" in page
    assert config.scoring.bases == "visible"


def test_all_bases_are_scored_where_that_is_asked_for_and_of_networks_that_see_all(tiny_config, tiny_run, tmp_path):
    _, _, summary = scored_again(tiny_config, tiny_run, tmp_path, "bases=all")
    assert set(summary["scored_bases"]) == {200}
    pd.testing.assert_series_equal(summary["auprc"], summary["auprc_all_bases"], check_names=False)
    ceilings = pd.read_csv(tiny_run / "oracle" / "ceilings.csv").set_index("task")["attribution_auprc"]
    assert summary["oracle_auprc"].tolist() == [ceilings[task] for task, _ in summary.index]


# both truths of peaks


@pytest.mark.parametrize("first", ["embedded", "rescanned"])
def test_of_peaks_both_truths_stand_side_by_side(tmp_path, first):
    config, run, dataset = make_peaks_run(tmp_path)
    config = load_config(tmp_path / "c.yaml", [f"scoring.truth={first}", "scoring.nulls=true"])
    notes = {"scan_pvalue": 5e-3, "background": [0.3, 0.2, 0.2, 0.3]}
    dataset.notes.update(notes)
    patch_notes(run, notes)
    files = stage.all_attribution_files(config, run)
    for file in files:
        write_records(run, [file.path], "attribute", "key", 0.0, "CPU", seconds_per_sequence=0.25)
    stage.write(config, run, files, map, id)
    summary = pd.read_csv(run / "scores" / "summary.csv")
    other = "rescanned" if first == "embedded" else "embedded"
    assert summary["truth"].iloc[0] == f"{first}:all"
    assert not summary.duplicated(["model", "task", "key", "truth"]).any()
    ranked = without_nulls(summary).set_index(["model", "task", "key", "truth"])
    assert len(ranked) == 2 * 2 * 2 * 2
    for file in files:
        with h5py.File(file.path) as h5:
            scores, ids = abs(h5["scores"][:]), h5["seq_id"].asstr()[:]
        rows = pd.Index(dataset.seq_ids("test")).get_indexer(ids)
        hits = scan(dataset.bases("test")[rows], MOTIFS, 5e-3, notes["background"])
        masks = {"embedded": dataset.mask("test")[rows], "rescanned": covered(hits, scores.shape)}
        assert (masks["embedded"] != masks["rescanned"]).any()
        for origin, mask in masks.items():
            line = ranked.loc[file.model, file.task, file.key, f"{origin}:all"]
            assert line["auprc"] == pytest.approx(mean_auprc(scores, mask), nan_ok=True)
            assert line["seconds_per_sequence"] == 0.25
    # what a scan with the true matrices reaches, by the same truth, is beside every row
    scans = summary[summary["key"] == "null_scan"].set_index(["model", "task", "truth"])["auprc"]
    for place, rows in summary.groupby(["model", "task", "truth"]):
        assert rows["scan_auprc"].tolist() == pytest.approx([scans[place]] * len(rows))
    assert (scans.xs("rescanned:all", level="truth") > scans.xs("embedded:all", level="truth")).all()
    # the other files are of the truth that is named
    per_sequence = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    means = per_sequence.groupby(["model", "task", "key"])["auprc"].mean()
    of_first = ranked.xs(f"{first}:all", level="truth")["auprc"]
    pd.testing.assert_series_equal(means, of_first.sort_index(), check_names=False)
    assert set(summary["truth"]) == {f"{first}:all", f"{other}:all"}


def patch_notes(run, notes):
    path = run / "dataset" / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | notes))
    as_if_written(run)


def test_grammar_data_have_one_truth(tiny_run, tiny_config):
    results = read_results(load_config(tiny_config), tiny_run, sequences=False)
    assert results.other_truth is None
    assert set(results.summary["truth"]) == {"embedded:task"}


def test_sites_of_some_rows_are_those_rows_of_all_sites(tiny_run):
    dataset = open_dataset(tiny_run / "dataset")
    rows = np.arange(3, 150, 7)
    for truth in ("embedded", "rescanned"):
        everywhere = dataset.true_sites("test", "HepG2", truth=truth)
        expected = everywhere[everywhere["row"].isin(rows)].reset_index(drop=True)
        assert len(expected)
        pd.testing.assert_frame_equal(dataset.true_sites("test", "HepG2", truth=truth, rows=rows), expected)
