"""Result files read back: names stay text, undefined values stay empty, ceilings are joined and never stored twice."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.errors import InputError
from simbench_tf.run.folder import config_of
from simbench_tf.run.results import read_ceilings, read_metrics, read_results, read_sequences, read_table

NETWORK = """
import keras

def build(seq_length, n_tasks, seed):
    x = inputs = keras.Input((seq_length, 4))
    x = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(4, 8, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(n_tasks, activation="sigmoid")(x))
"""
#: NA is so rare that the test split of 20 sequences holds none of it; its name is no missing value.
CONFIG = {
    "seed": 3,
    "simulation": {
        "kind": "grammar",
        "seq_length": 40,
        "n_sequences": 100,
        "tasks": {"K562": {"fraction": 0.5}, "NA": {"fraction": 0.001}},
        "elements": [{"motif": "GATA1", "rate": 0.2, "enriched": {"K562": 1.0, "NA": 1.0}}],
    },
    "models": [{"name": "mine", "python": "mine.py:build"}],
    "training": {"max_batches": 2, "batch_size": 20},
    "attribution": {"n_sequences": 4, "tasks": ["K562"], "methods": [{"method": "saliency"}]},
}


@pytest.fixture(scope="module")
def one_class_run(tmp_path_factory):
    """A run of a task whose test split has one class, which is not attributed."""
    folder = tmp_path_factory.mktemp("one_class")
    (folder / "mine.py").write_text(NETWORK)
    (folder / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    pipeline.run(load_config(folder / "run.yaml"), folder / "run")
    return folder / "run"


def strict(text: str):
    """JSON as browsers and jq read it, which knows no NaN."""

    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_metrics_of_a_task_of_one_class_are_null_in_strict_json(one_class_run):
    metrics = strict((one_class_run / "models" / "mine" / "metrics.json").read_text())
    assert metrics["NA"] == {"auroc": None, "auprc": None, "positive_fraction": 0.0}
    assert set(metrics["K562"]) == {"auroc", "auprc", "positive_fraction"}, (
        "ceilings stand in oracle/ceilings.csv alone"
    )


def test_the_oracle_takes_a_task_without_positives_that_is_not_attributed(one_class_run):
    ceilings = read_ceilings(one_class_run)
    assert list(ceilings.index) == ["K562", "NA"]
    assert ceilings.loc["K562"].notna().all()
    assert ceilings.loc["NA"].isna().all()


def test_another_call_leaves_every_file_as_it_is(one_class_run):
    before = {path: path.stat().st_mtime_ns for path in one_class_run.rglob("*") if path.is_file()}
    pipeline.run(config_of(one_class_run), one_class_run)
    after = {path: path.stat().st_mtime_ns for path in one_class_run.rglob("*") if path.is_file()}
    config = one_class_run / "config.yaml"
    assert {path for path in before if before[path] != after[path]} <= {config}


def test_ceilings_are_joined_to_metrics(one_class_run):
    metrics = read_results(config_of(one_class_run), one_class_run).metrics["mine"]
    ceilings = pd.read_csv(one_class_run / "oracle" / "ceilings.csv", keep_default_na=False).set_index("task")
    assert metrics["K562"]["oracle_auroc"] == float(ceilings.loc["K562", "auroc"])
    assert metrics["K562"]["oracle_auprc"] == float(ceilings.loc["K562", "auprc"])
    assert metrics["NA"] == dict.fromkeys(["auroc", "auprc", "oracle_auroc", "oracle_auprc"]) | {"positive_fraction": 0}


def test_metrics_of_an_earlier_version_are_read_without_its_ceilings(one_class_run, tmp_path):
    (tmp_path / "models" / "old").mkdir(parents=True)
    noted = {"K562": {"auroc": 0.75, "auprc": 0.5, "positive_fraction": 0.4, "oracle_auroc": float("nan")}}
    (tmp_path / "models" / "old" / "metrics.json").write_text(json.dumps(noted))
    assert read_metrics(tmp_path, "old") == {"K562": {"auroc": 0.75, "auprc": 0.5, "positive_fraction": 0.4}}
    with pytest.raises(InputError, match="is missing; train the model again"):
        read_metrics(tmp_path, "other")


@pytest.mark.parametrize("name", ["NA", "nan", "1", "1e3", "True", "293", "None", "null"])
def test_names_are_read_as_text(tmp_path, name):
    table = pd.DataFrame({"model": [name, "b"], "task": [name, name], "auprc": [0.5, np.nan]})
    table.to_csv(tmp_path / "table.csv", index=False)
    back = read_table(tmp_path / "table.csv")
    assert back["model"].tolist() == [name, "b"]
    assert back["task"].tolist() == [name, name]
    assert back["auprc"].iloc[0] == 0.5
    assert np.isnan(back["auprc"].iloc[1])


@pytest.mark.parametrize("motifs", ["task", "all"])
def test_sequences_carry_their_sites_and_which_of_them_count(tiny_config, tiny_run, motifs):
    config = load_config(tiny_config, [f"scoring.motifs={motifs}"])
    dataset = open_dataset(tiny_run / "dataset")
    letters = dataset.sequences.set_index("seq_id")["sequence"]
    tasks_of = dataset.notes["elements"]
    for place in read_sequences(config, tiny_run):
        assert ["".join("ACGTN"[base] for base in row) for row in place.bases] == list(letters.loc[place.seq_ids])
        true = dataset.sites[dataset.sites["seq_id"].isin(place.seq_ids)]
        assert len(place.sites) == len(true) > 0
        for site in place.sites.itertuples():
            assert place.seq_ids[site.row] == site.seq_id
            assert site.counted == (motifs == "all" or place.task in tasks_of[site.element])
