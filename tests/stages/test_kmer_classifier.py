"""RUN/scores/kmer_classifier.csv: of peaks and text alone, of labelled sequences alone, made once for a data set."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers.folders import times
from helpers.peaks_run import make_peaks_run
from simbench_tf import tables
from simbench_tf.config import load_config
from simbench_tf.run.manifest import read_manifest, write_records
from simbench_tf.run.results import read_kmer_classifier, with_kmers
from simbench_tf.score.kmer_classifier import kmer_auroc
from simbench_tf.stages.kmer_classifier import kmer_classifier, measured

TASKS = ["HepG2", "K562"]


class Data:
    """Splits of a data set, as far as the classifier reads them."""

    def __init__(self, n, unlabelled=0):
        rng, self.tasks = np.random.default_rng(n), TASKS
        self.splits = {split: rng.integers(4, size=(n, 60)).astype(np.uint8) for split in ("train", "test")}
        self.truth = {split: rng.integers(2, size=(n, 2)).astype(np.uint8) for split in self.splits}
        for split, bases in self.splits.items():
            bases[self.truth[split][:, 1] == 1, 7:12] = [2, 0, 3, 0, 0]
            self.truth[split][:unlabelled, 1] = tables.UNLABELLED

    def bases(self, split):
        return self.splits[split]

    def labels(self, split):
        return self.truth[split]


def test_sequences_without_a_label_are_left_out():
    data = Data(300, unlabelled=40)
    table = measured(data, 1, TASKS).set_index("task")
    assert table[["n_train", "n_test", "k"]].to_numpy().tolist() == [[300, 300, 5], [260, 260, 5]]
    train, test = ((data.bases(split)[40:], data.labels(split)[40:, 1]) for split in ("train", "test"))
    assert table.loc["K562", "auroc"] == kmer_auroc(*train, *test, 5) > 0.8
    assert abs(table.loc["HepG2", "auroc"] - 0.5) < 0.12


def test_of_too_many_sequences_the_seed_draws_some():
    data = Data(300)
    one, again, other = (measured(data, seed, ["K562"], most=100) for seed in (1, 1, 2))
    assert one[["n_train", "n_test"]].to_numpy().tolist() == [[100, 100]]
    pd.testing.assert_frame_equal(one, again)
    assert one.loc[0, "auroc"] != other.loc[0, "auroc"]


def test_a_run_on_peaks_has_it_once_and_results_hold_it(tmp_path):
    config, run, dataset = make_peaks_run(tmp_path)
    write_records(run, [path for path in (run / "dataset").rglob("*") if path.is_file()], "simulate", "key", 0.0, "cpu")
    kmer_classifier(config, run, TASKS)
    path = run / "scores" / "kmer_classifier.csv"
    table = pd.read_csv(path)
    pd.testing.assert_frame_equal(table, measured(dataset, config.seed, TASKS))
    assert table["n_train"].tolist() == [dataset.counts["train"]] * 2
    assert read_manifest(run)["scores/kmer_classifier.csv"]["stage"] == "score"
    before = times(run)
    kmer_classifier(config, run, TASKS)
    assert times(run) == before
    kmer_classifier(config, run, TASKS[:1])
    assert pd.read_csv(path)["task"].tolist() == TASKS[:1]
    metrics = with_kmers({"HepG2": {"auroc": 0.5}, "K562": {"auroc": 0.5}}, read_kmer_classifier(run))
    known = {} if np.isnan(table.loc[0, "auroc"]) else {"kmer_auroc": table.loc[0, "auroc"]}
    assert metrics == {
        "HepG2": {"auroc": 0.5, "kmer_k": 5.0} | ({"kmer_auroc": None} | known),
        "K562": {"auroc": 0.5},
    }


def test_grammar_data_have_none(tiny_config, tiny_run):
    kmer_classifier(load_config(tiny_config), tiny_run, TASKS)
    assert not (tiny_run / "scores" / "kmer_classifier.csv").exists()
    assert read_kmer_classifier(tiny_run).empty
    assert json.loads((tiny_run / "dataset" / "dataset.json").read_text())["kind"] == "grammar"


def test_one_class_is_missing():
    data = Data(30)
    data.truth["test"][:, 0] = 0
    table = measured(data, 1, TASKS).set_index("task")
    assert np.isnan(table.loc["HepG2", "auroc"])
    assert with_kmers({"HepG2": {"auroc": 0.7}}, table) == {
        "HepG2": {"auroc": 0.7, "kmer_auroc": None, "kmer_k": pytest.approx(5)}
    }
