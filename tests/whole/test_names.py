"""Names that look like something else, and names that are not ASCII, from the configuration to the report."""

import h5py
import numpy as np
import pandas as pd
import pytest

from helpers.folders import times
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.config.yaml_text import format_yaml
from simbench_tf.dataset import open_dataset
from simbench_tf.motifs import Motif, write_meme
from simbench_tf.run.attributions import read_attributions, seq_id_bytes
from simbench_tf.run.results import read_results

SOURCE = """
import keras
def build(seq_length, n_tasks):
    layers = [keras.Input((seq_length, 4)), keras.layers.GlobalMaxPooling1D(), keras.layers.Dense(n_tasks, "sigmoid")]
    return keras.Sequential(layers)
"""


METHODS = [{"method": "grad_x_input"}, {"method": "deeplift_rescale", "references": "shuffle:2"}]


def run_of(tmp_path, simulation, models=("modèle",), methods=METHODS):
    (tmp_path / "own.py").write_text(SOURCE)
    raw = {
        "simulation": simulation,
        "models": [{"name": name, "python": "own.py:build"} for name in models],
        "training": {"batch_size": 20, "max_batches": 2},
        "attribution": {"n_sequences": 3, "methods": methods},
    }
    (tmp_path / "c.yaml").write_text(format_yaml(raw))
    pipeline.run(load_config(tmp_path / "c.yaml"), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_ids_that_are_not_ascii_stay_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    for label, site in (("pos", "GATA_pos-True_20-26_9.5_1e-4_0.03_AGATAA"), ("neg", "")):
        lines = ["seqid\tsequences\tmotifhits"]
        for number in range(60):
            bases = "".join(rng.choice(list("ACGT"), 60))
            lines.append(f"{label}-é{number}\t{bases[:20]}{'AGATAA' if site else bases[20:26]}{bases[26:]}\t{site}")
        (tmp_path / f"{label}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = run_of(tmp_path, {"kind": "text", "positives": {"β-Zelle": "pos.txt"}, "negatives": "neg.txt"})
    for key in ("grad_x_input@none", "deeplift_rescale@shuffle2"):
        _, seq_ids = read_attributions(run / "attributions" / "modèle" / "β-Zelle" / f"{key}.h5")
        assert len(seq_ids) == 3
        assert all(seq_id.startswith("pos-é") for seq_id in seq_ids)
    assert pd.read_csv(run / "scores" / "summary.csv")["task"].unique().tolist() == ["β-Zelle"]
    assert "β-Zelle" in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_tasks_models_and_motifs_called_na_or_by_numbers_reach_the_report(tmp_path):
    tasks, names = ["NA", "293", "1e3"], ["NA", "1", "1e3", "True"]
    motifs = [Motif(name, name, ppm, 100.0) for name, ppm in zip(names, words(), strict=True)]
    write_meme(motifs, tmp_path / "odd.meme")
    elements = [{"motif": name, "enriched": {tasks[number % 3]: 1.0}} for number, name in enumerate(names)]
    fractions = {task: {"fraction": 0.4} for task in tasks}
    sizes = {"seq_length": 80, "n_sequences": 120, "motifs": "odd.meme"}
    run = run_of(tmp_path, {"kind": "grammar", **sizes, "tasks": fractions, "elements": elements}, names, METHODS[:1])
    summary = pd.read_csv(run / "scores" / "summary.csv", dtype=str, keep_default_na=False)
    assert summary["task"].unique().tolist() == tasks
    assert summary["model"].unique().tolist() == names
    recall = pd.read_csv(run / "scores" / "motif_recall.csv", dtype=str, keep_default_na=False)
    assert set(recall.loc[recall["by"] == "motif", "group"]) == set(names)
    assert open_dataset(run).motifs["motif"].tolist() == names
    assert set(open_dataset(run).sites["motif"]) == set(names)

    config = load_config(run / "config.yaml")
    assert [model.name for model in config.models] == names
    results = read_results(config, run)
    assert list(results.metrics) == names
    assert all(list(values) == tasks for values in results.metrics.values())
    assert dict(results.motif_names) == {name: name for name in names}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in page for name in {*tasks, *names})
    before = times(run)
    pipeline.run(config, run)
    assert {name for name, at in times(run).items() if at != before[name]} <= {"config.yaml"}


def words():
    """Matrices of four words that have little in common."""
    for word in ("GATAAGAT", "CCGCGGAA", "TGACTCAT", "ACTTCCTG"):
        ppm = np.full((len(word), 4), 0.01)
        ppm[np.arange(len(word)), ["ACGT".index(base) for base in word]] = 0.97
        yield ppm


def test_ids_of_ascii_are_stored_as_before_and_others_as_utf8(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["plain"], h5["before"] = seq_id_bytes(["s1", "s10"]), np.array(["s1", "s10"]).astype("S")
        h5["other"] = seq_id_bytes(np.array(["s1", "sé"]))
        assert h5["plain"].id.get_type() == h5["before"].id.get_type()
        assert h5["plain"][:].tolist() == h5["before"][:].tolist()
        assert h5["other"].asstr()[:].tolist() == ["s1", "sé"]
