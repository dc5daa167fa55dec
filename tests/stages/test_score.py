"""The tables of RUN/scores beside the metrics: recall of motifs, comparisons of methods, variance between seeds."""

import h5py
import numpy as np
import pandas as pd
import pytest

from simbench_tf import tables
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.run.attributions import attribution_files
from simbench_tf.run.manifest import read_manifest
from simbench_tf.score import bootstrap_interval, mean_over_models, paired_comparisons, variance_components
from simbench_tf.score.motif_recall import motif_recall
from simbench_tf.stages.score import compare_methods, models_of_seeds, variance_of_seeds, write
from simbench_tf.stages.score_files import against, score_against
from simbench_tf.stages.truths import Truth


def per_sequence(models=("basset",), tasks=("HepG2", "K562"), keys=("ism@none", "saliency@none"), n=20, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        (model, task, key, f"{task}{number}", *rng.random(2))
        for model in models
        for task in tasks
        for key in keys
        for number in range(n)
    ]
    return pd.DataFrame(rows, columns=["model", "task", "key", "seq_id", "auroc", "auprc"])


def values_of(table, metric, rows, columns):
    return table.pivot_table(metric, rows, columns, dropna=False)


def test_methods_are_compared_within_each_model_task_and_metric():
    table = per_sequence(models=("basset", "beluga"), keys=("c", "a", "b"))
    compared = compare_methods(table)
    assert len(compared) == 2 * 2 * 2 * 3
    mine = compared[(compared.model == "beluga") & (compared.task == "K562") & (compared.metric == "auprc")]
    here = table[(table.model == "beluga") & (table.task == "K562")]
    expected = paired_comparisons(values_of(here, "auprc", "seq_id", "key")[["c", "a", "b"]])
    pd.testing.assert_frame_equal(mine[list(expected)].reset_index(drop=True), expected)
    assert compare_methods(per_sequence(keys=("alone",))).empty


def test_rows_of_a_model_over_its_seeds_follow_those_of_each_network():
    table = per_sequence(models=("basset-seed1", "basset-seed2", "basset-seed3", "other"), keys=("c", "a", "b"))
    compared = compare_methods(table)
    assert list(dict.fromkeys(compared["model"])) == [*table["model"].unique(), "basset"]
    alone = compare_methods(table[table["model"] == "basset-seed2"])
    mine = compared[compared["model"] == "basset-seed2"]
    pd.testing.assert_frame_equal(mine[list(alone)].reset_index(drop=True), alone)
    pooled = compared[(compared.model == "basset") & (compared.task == "K562") & (compared.metric == "auroc")]
    assert list(zip(pooled["first"], pooled["second"], strict=True)) == [("c", "a"), ("c", "b"), ("a", "b")]
    here = table[(table.task == "K562") & (table.model != "other")]
    c, a = (here[here.key == key].set_index(["model", "seq_id"])["auroc"] for key in "ca")
    right = mean_over_models(c - a, c.index.get_level_values(0), c.index.get_level_values(1))
    line = pooled.iloc[0]
    assert (line.difference, line.p_value, line.low, line.high) == pytest.approx(
        (right.mean, right.p_value, *right.interval())
    )
    assert line.n_sequences == 20
    assert np.isnan(line.n_needed)


def test_models_of_several_seeds_are_known_by_their_names():
    names = ["a-seed1", "a-seed2", "a-seed10", "b-seed1", "c", "c-seed", "d-seed1-seed1", "d-seed1-seed2"]
    assert models_of_seeds(names) == {
        "a-seed1": "a",
        "a-seed2": "a",
        "a-seed10": "a",
        "d-seed1-seed1": "d-seed1",
        "d-seed1-seed2": "d-seed1",
    }


def test_variance_of_seeds_has_a_row_a_task_key_and_metric():
    table = per_sequence(models=("basset-seed1", "basset-seed2", "basset-seed3", "other"))
    table.loc[table["seq_id"] == "K5623", ["auroc", "auprc"]] = np.nan  # a sequence without a true base
    variance = variance_of_seeds(table)
    assert len(variance) == 2 * 2 * 2
    assert set(variance) == set(tables.VARIANCE_COLUMNS)
    assert set(variance["model"]) == {"basset"}
    line = variance[(variance.task == "K562") & (variance.key == "ism@none") & (variance.metric == "auroc")].iloc[0]
    here = table[(table.task == "K562") & (table.key == "ism@none") & (table.model != "other")]
    expected = variance_components(values_of(here, "auroc", "model", "seq_id"))
    assert line[list(expected._fields)].tolist() == pytest.approx(list(expected))
    assert (line["n_models"], line["n_sequences"]) == (3, 19)
    assert variance_of_seeds(per_sequence()).empty


def test_sequences_without_a_true_base_are_in_no_mean_and_not_counted():
    sites = pd.DataFrame({"row": [0, 1, 1], "motif": "M", "start": [2, 0, 3], "end": [4, 1, 5], "strand": "+"})
    truth = Truth("embedded", "task", sites, pd.Index(["a", "b", "c", "d"]), "absolute")
    scores = np.random.default_rng(0).random((3, 6), np.float32)
    table, line, _ = score_against(scores, against(truth, ["a", "b", "d"]), np.ones(6, np.bool_), {})
    assert line["n_sequences"] == 2
    assert line["auprc"] == pytest.approx(table["auprc"][:2].mean())
    assert line["auprc_se"] == pytest.approx(table["auprc"][:2].std(ddof=1) / np.sqrt(2))


@pytest.fixture
def scores(tiny_run):
    return {
        name: pd.read_csv(tiny_run / "scores" / f"{name}.csv") for name in ("summary", "motif_recall", "comparisons")
    }


def test_a_run_holds_the_tables_and_records_them(tiny_run, scores):
    assert list(scores["summary"]) == list(tables.SUMMARY_COLUMNS)
    assert list(scores["motif_recall"]) == list(tables.MOTIF_RECALL_COLUMNS)
    assert list(scores["comparisons"]) == list(tables.COMPARISON_COLUMNS)
    assert len(scores["comparisons"]) == 4  # two tasks, two metrics, one pair of methods
    records = read_manifest(tiny_run)
    assert {records[f"scores/{name}.csv"]["stage"] for name in scores} == {"score"}


def test_intervals_of_the_summary_are_those_of_its_sequences(tiny_run, scores):
    table = pd.read_parquet(tiny_run / "scores" / "per_sequence.parquet")
    summary = scores["summary"]
    for line in summary[~summary["method"].str.startswith("null_")].itertuples():
        here = table[(table.task == line.task) & (table.key == line.key)]
        assert (line.auprc_low, line.auprc_high) == pytest.approx(bootstrap_interval(here["auprc"]))
        assert (line.auroc_low, line.auroc_high) == pytest.approx(bootstrap_interval(here["auroc"]))
        assert line.auprc_low < line.auprc < line.auprc_high


def recall_by_hand(run, task, key, motifs, truth):
    """Recall of a file's sites, told from the data set's own tables."""
    dataset = open_dataset(run / "dataset")
    with h5py.File(run / "attributions" / "basset" / task / f"{key}.h5") as file:
        scores, ids = file["scores"][:], list(file["seq_id"].asstr()[:])
    sites = dataset.true_sites("test", task=task, motifs=motifs, truth=truth)
    rows = {seq_id: row for row, seq_id in enumerate(ids)}
    sites["row"] = [rows.get(dataset.seq_ids("test")[row], -1) for row in sites["row"]]
    sites["bits"] = sites["motif"].map(dataset.motifs.set_index("motif")["bits"])
    return motif_recall(scores, sites[sites["row"] >= 0])


@pytest.mark.parametrize("truth", ["embedded", "rescanned"])
@pytest.mark.parametrize("motifs", ["task", "all"])
def test_recall_honours_the_truth_that_scores_are_held_against(tiny_config, tiny_run, tmp_path, motifs, truth):
    config = load_config(tiny_config, [f"scoring.motifs={motifs}", f"scoring.truth={truth}", "scoring.bases=all"])
    files = attribution_files(config, tiny_run)
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("dataset", "attributions", "models", "oracle", "manifest.json"):
        (folder / name).symlink_to(tiny_run / name)
    write(config, folder, [file._replace(path=folder / file.path.relative_to(tiny_run)) for file in files], map, id)
    recall = pd.read_csv(folder / "scores" / "motif_recall.csv")
    for file in files:
        mine = recall[(recall.task == file.task) & (recall.key == file.key)].reset_index(drop=True)
        expected = recall_by_hand(tiny_run, file.task, file.key, motifs, truth)
        pd.testing.assert_frame_equal(mine[list(expected)], expected, check_dtype=False)
    named = set(recall[(recall.task == "HepG2") & (recall.by == "motif")]["group"])
    of_all = set(open_dataset(tiny_run / "dataset").motifs["motif"])
    assert named == of_all if motifs == "all" else len(named) == 1
