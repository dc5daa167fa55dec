"""`simbench believe`: a twin believed of its own sequences, by the model that is as good; faults in one line."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from sklearn.metrics import roc_auc_score

from helpers.program import simbench
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.discovery.belief import Crossed, believed_calls, crossed, fit_belief, pooled, scaled
from simbench_tf.dna import decode, one_hot
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import read_attributions
from simbench_tf.score.calibration import calibrate
from simbench_tf.stages.belief import _held_out, best_apart
from simbench_tf.stages.model_quality import nearest, qualities

TASK, GAP = "K562", 7
KEY = "grad_x_input@none"


@pytest.fixture(scope="module")
def world(tiny_run, tmp_path_factory):
    """A genome of the tiny run's explained sequences, some bases apart, and the BED file of these."""
    folder = tmp_path_factory.mktemp("belief")
    dataset = open_dataset(tiny_run / "dataset")
    _, seq_ids = read_attributions(tiny_run / "attributions" / "basset" / TASK / f"{KEY}.h5")
    bases = dataset.bases("test")[pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)]
    letters, length = "T" * GAP, bases.shape[1]
    lines = []
    for sequence in decode(bases):
        lines.append(f"chr1\t{len(letters)}\t{len(letters) + length}\n")
        letters += sequence + "T" * GAP
    (folder / "g.fa").write_text(f">chr1\n{letters}\n")
    (folder / "p.bed").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def true_sites(tiny_run):
    """Explained sequences' scores, and their true sites by row."""
    dataset = open_dataset(tiny_run / "dataset")
    scores, seq_ids = read_attributions(tiny_run / "attributions" / "basset" / TASK / f"{KEY}.h5")
    rows = pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)
    sites = dataset.true_sites("test", TASK, rows=rows)
    own = pd.Index(rows).get_indexer(sites["row"])
    return scores, sites.assign(row=own)[own >= 0]


def asked(world, run, out, *more):
    model = run / "models" / "basset" / "model.keras"
    files = ["--model", model, "--bed", world / "p.bed", "--genome", world / "g.fa", "--out", out]
    return ["believe", run, *files, "--task", TASK, *more]


@pytest.fixture
def believed(world, tiny_run, tmp_path, monkeypatch, capsys):
    code, said, noted = simbench(monkeypatch, capsys, *asked(world, tiny_run, tmp_path / "out", "--least", 0.01))
    assert code == 0, noted
    return tmp_path / "out", said, noted


def test_tracks_are_the_twins_calibration_of_the_same_sequences(believed, true_sites, tiny_run):
    out, said, noted = believed
    scores, sites = true_sites
    seen = np.ones(scores.shape[1], bool)
    line = pd.read_csv(tiny_run / "scores" / "summary.csv").query("key == @KEY and task == @TASK").iloc[0]
    seen[int(line["scored_bases"]) :] = False
    known = np.where(seen, scores, np.nan)
    belief = fit_belief(scaled(known), sites)
    expected = belief.bases.predict(scaled(known))
    with pyBigWig.open(str(out / f"{KEY}.bw")) as track:
        for row, own in enumerate(expected):
            start = GAP + row * (len(own) + GAP)
            np.testing.assert_allclose(track.values("chr1", start, start + len(own)), own, atol=2e-5)
    calls = believed_calls(belief, scaled(known), 0.01)
    bed = pd.read_csv(out / f"{KEY}.bed", sep="\t")
    start = GAP + calls["row"] * (scores.shape[1] + GAP) + calls["start"]
    assert bed["start"].tolist() == start.tolist()
    np.testing.assert_allclose(bed["probability"], calls["probability"], atol=1e-4)
    assert bed["score"].tolist() == (1000 * calls["probability"]).round().astype(int).tolist()
    table = pd.read_csv(out / "belief.csv").set_index("key")
    assert table["auprc"].is_monotonic_decreasing
    mine = table.loc[KEY]
    assert mine["auprc"] == pytest.approx(line["auprc"])
    assert mine["auprc_se"] == pytest.approx(line["auprc_se"])
    in_sites = np.zeros(scores.shape, bool)
    for row, start, end in sites[["row", "start", "end"]].to_numpy():
        in_sites[row, start:end] = True
    assert mine["site_share"] == pytest.approx(in_sites[:, seen].mean())
    # what is believed of all bases together is how many of them lie in sites, but for lines between steps
    assert np.nanmean(expected) == pytest.approx(mine["site_share"], rel=0.02)
    assert mine["size_ratio"] == pytest.approx(1, abs=1e-4)
    assert mine["expected_precision"] == pytest.approx(calls["probability"].mean())
    held_out = crossed(pooled([known], sites)).calls.query("probability >= 0.01")
    assert mine["twin_precision"] == pytest.approx(held_out["right"].mean())
    assert mine["twin_precision_worst"] == mine["twin_precision"]  # of one training
    assert mine["twin_precision_low"] <= mine["twin_precision"] <= mine["twin_precision_high"]
    assert f"{KEY}: {len(calls)} sites of probability 0.01 or more, {calls['probability'].mean():.0%} of them" in said
    assert "is no twin" in noted
    assert "fitted on 8 sequences" in noted


def test_what_it_rests_on_is_stated(believed, tiny_run):
    stated = json.loads((believed[0] / "belief.json").read_text())
    auroc = json.loads((tiny_run / "models" / "basset" / "metrics.json").read_text())[TASK]["auroc"]
    assert (stated["twin_model"], stated["twin_auroc"], stated["model_auroc"]) == ("basset", auroc, auroc)
    assert (stated["task"], stated["target"], stated["n_regions"], stated["n_twin_sequences"]) == (TASK, 1, 8, 8)
    assert stated["likeness"] is None
    curves = {each["key"]: each for each in stated["methods"]}
    assert list(curves) == pd.read_csv(believed[0] / "belief.csv")["key"].tolist()
    assert curves["integrated_gradients@shuffle2+n_steps=3"]["settings"] == {"n_steps": 3}
    for name in ("bases", "calls"):
        curve = curves[KEY][name]
        assert len(curve["scores"]) == len(curve["probabilities"])
        assert (np.diff(curve["probabilities"]) >= 0).all()


def test_a_snapshot_that_is_as_good_is_taken(tiny_run, tmp_path, world, monkeypatch, capsys):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    place = run / "models" / "basset" / "snapshots"
    place.mkdir()
    model = keras.models.load_model(run / "models" / "basset" / "model.keras")
    for batch in (0, 1):
        random = np.random.default_rng(batch)
        model.set_weights([weight * np.exp(random.normal(0, 0.5, weight.shape)) for weight in model.get_weights()])
        model.save_weights(place / f"batch-{batch:07d}.weights.h5")
    dataset = open_dataset(run / "dataset")
    found = qualities(load_config(run / "config.yaml"), run, dataset, TASK)
    assert [each.name for each in found] == ["basset after 1 batches", "basset"]
    auroc = roc_auc_score(dataset.labels("test")[:, 1], model.predict(one_hot(dataset.bases("test")), verbose=0)[:, 1])
    assert found[0].auroc == pytest.approx(auroc, abs=1e-6)
    assert nearest(found, auroc + 1e-3) == found[0]
    np.testing.assert_array_equal(found[0].trainings[0].load().get_weights()[0], model.get_weights()[0])
    out = tmp_path / "out"
    how = ["--auroc", auroc, "--method", "grad_x_input"]
    code, _, noted = simbench(monkeypatch, capsys, *asked(world, run, out, *how))
    assert code == 0, noted
    stated = json.loads((out / "belief.json").read_text())
    assert stated["twin_model"] == "basset after 1 batches"
    assert sorted(path.name for path in out.iterdir()) == ["belief.csv", "belief.json", f"{KEY}.bed", f"{KEY}.bw"]
    assert stated["methods"][0]["size_ratio"] != pytest.approx(1, rel=0.01)
    with pytest.raises(InputError, match=r"--auroc: is not known: no metrics.json stands beside --model"):
        nearest(found, None)


def test_trainings_of_one_model_stand_together(tiny_run, tiny_config, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for seed, auroc in ((1, 0.6), (2, 0.7)):
        made = shutil.copytree(run / "models" / "basset", run / "models" / f"basset-seed{seed}")
        (made / "metrics.json").write_text(json.dumps({TASK: {"auroc": auroc}}))
    models = "models=[{name: basset, architecture: basset, width: 0.03, seeds: 2}, {name: exact, architecture: oracle}]"
    config = load_config(tiny_config, [models])
    (found,) = qualities(config, run, open_dataset(run / "dataset"), TASK)
    assert (found.name, found.auroc) == ("basset", pytest.approx(0.65))
    assert [each.model for each in found.trainings] == ["basset-seed1", "basset-seed2"]


def test_the_worst_training_is_told():
    calls = pd.DataFrame({"row": [0, 1, 3, 4], "probability": [0.9, 0.4, 0.6, 0.7], "right": [True, True, False, True]})
    found = _held_out(Crossed(np.zeros((6, 9)), calls), 3, 0.5)
    assert (found["twin_n_calls"], found["twin_precision"]) == (3, pytest.approx(2 / 3))
    assert found["twin_precision_worst"] == 0.5  # of the second training, of rows 3 to 5


def test_of_calls_that_share_bases_the_likelier_is_kept():
    calls = pd.DataFrame(
        {
            "chrom": ["chr1", "chr1", "chr2", "chr1"],
            "start": [10, 15, 15, 20],
            "end": [18, 22, 22, 30],
            "probability": [0.7, 0.6, 0.9, 0.7],
            "score": [1.0, 3.0, 1.0, 2.0],
        }
    )
    assert best_apart(calls).index.tolist() == [0, 2, 3]
    assert best_apart(calls.iloc[:0]).empty


def test_faults_are_one_line_and_leave_nothing(world, tiny_run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "none"

    def fault(*arguments):
        code, _, said = simbench(monkeypatch, capsys, *arguments)
        assert code == 2
        *notes, line = said.splitlines()
        assert all("without summits" in note for note in notes)
        return line

    ask = asked(world, tiny_run, out)
    assert "--task: is missing, and the run has several; give one of HepG2, K562" in fault(*ask[:-2])
    assert "--task: 'K652' is not explained by the run" in fault(*ask[:-1], "K652")
    assert "--method: 'ism' is none of the run's; give one of grad_x_input@none, int" in fault(*ask, "--method", "ism")
    assert "--least: is 0.0; give a probability above 0" in fault(*ask, "--least", 0)
    assert "is not a run" in fault("believe", tmp_path, *ask[2:])
    keras.Sequential([keras.Input((50, 4)), keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")]).save(
        tmp_path / "short.keras"
    )
    short = [tmp_path / "short.keras" if str(each).endswith("model.keras") else each for each in ask]
    assert "takes 50 bases, and the sequences of" in fault(*short)
    assert not out.exists()


def test_no_call_is_likelier_than_the_calibration_says(true_sites):
    scores, sites = true_sites
    belief = fit_belief(scaled(scores), sites)
    again = calibrate(*_candidates(scores, sites), min_group=50)
    np.testing.assert_allclose(belief.calls.probabilities, again.probabilities)


def _candidates(scores, sites):
    """By a plain loop: all calls' scores, and whether each shares half of the shorter's bases with a site."""
    from simbench_tf.discovery.seqlets import candidates

    called = candidates(np.abs(scaled(scores)))
    right = []
    for row, start, end in zip(called["row"], called["start"], called["end"], strict=True):
        own = sites[sites["row"] == row]
        common = [
            (min(end, e) - max(start, s)) / min(end - start, e - s)
            for s, e in zip(own["start"], own["end"], strict=True)
        ]
        right.append(any(each >= 0.5 for each in common))
    return called["score"], right
