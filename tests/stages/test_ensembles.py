"""Ensembles of a run: the mean of seeds' logits, measured, explained by their files or anew, scored and reported."""

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

import simbench_tf as sb
from helpers.like_runs import differences
from helpers.program import simbench
from helpers.tiny_run import RULED_SIMULATION, TINY_RUN
from simbench_tf import pipeline
from simbench_tf.attribution.network import open_network
from simbench_tf.config import Model, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.run.attributions import attribution_files
from simbench_tf.run.folder import config_of
from simbench_tf.run.jobs import Job, files_of_job, job_commands
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.models import load_model
from simbench_tf.run.status import state_of_run
from simbench_tf.run.verify import problems
from simbench_tf.stages.attribute import attribute
from simbench_tf.stages.overwritten import overwritten
from simbench_tf.stages.train import train

CONFIG = {
    **TINY_RUN,
    "simulation": RULED_SIMULATION,
    "models": [{**TINY_RUN["models"][0], "name": "net", "padding": "same", "seeds": 2, "ensemble": True}],
    "training": {**TINY_RUN["training"], "max_batches": 8},
    "attribution": {
        "n_sequences": 6,
        "arrays": ["hypothetical", "convergence_delta"],
        "methods": [
            {"method": "grad_x_input", "strands": ["one", "both"]},
            {"method": "integrated_gradients", "references": "shuffle:2", "n_steps": 2, "shifts": 1},
        ],
    },
}
MEMBERS, ENSEMBLE = ["net-seed1", "net-seed2"], "net-ensemble"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    folder = tmp_path_factory.mktemp("runs") / "run"
    pipeline.run(load_config(path), folder)
    return folder


def arrays(path):
    found = {}
    with h5py.File(path) as h5:
        h5.visititems(lambda name, item: found.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_it_is_measured_by_the_mean_of_its_members_logits(run):
    dataset, models = open_dataset(run / "dataset"), load_model(run / "models" / ENSEMBLE / "ensemble.json")
    x, length = one_hot(dataset.bases("test")), dataset.seq_length
    mean = np.mean([open_network(model, length, [0, 1]).outputs(x) for model in models], axis=0)
    measured = json.loads((run / "models" / ENSEMBLE / "metrics.json").read_text())
    assert len(models) == 2
    for number, task in enumerate(dataset.tasks):
        labels = dataset.labels("test")[:, number]
        assert measured[task]["auroc"] == pytest.approx(roc_auc_score(labels, mean[number]), abs=1e-6)
        assert measured[task]["auprc"] == pytest.approx(average_precision_score(labels, mean[number]), abs=1e-6)
    for name, recorded in json.loads((run / "models" / ENSEMBLE / "ensemble.json").read_text())["members"].items():
        assert recorded == checksum(run / "models" / name / "model.keras")


@pytest.mark.parametrize("kind", ["attributions", "knockouts"])
def test_its_files_are_the_mean_of_its_members(run, kind):
    files = sorted((run / kind / ENSEMBLE).rglob("*.h5"))
    assert len(files) == (6 if kind == "attributions" else 3)
    for file in files:
        found = arrays(file)
        own = [arrays(run / kind / name / file.relative_to(run / kind / ENSEMBLE)) for name in MEMBERS]
        assert found.keys() == own[0].keys()
        for name, values in found.items():
            expected = own[0][name] if name == "seq_id" else np.mean([each[name] for each in own], axis=0)
            np.testing.assert_array_equal(values, expected if name == "seq_id" else expected.astype(np.float32))
        assert not np.array_equal(own[0]["scores" if kind == "attributions" else "0/scores"],
                                  own[1]["scores" if kind == "attributions" else "0/scores"])  # fmt: skip


def test_its_attributions_are_those_of_the_python_call(run):
    config, dataset = config_of(run), open_dataset(run / "dataset")
    models = load_model(run / "models" / ENSEMBLE / "ensemble.json")
    files = [each for each in attribution_files(config, run) if each.model == ENSEMBLE and each.task == "K562"]
    assert [each.key for each in files] == [
        "grad_x_input@none",
        "grad_x_input@none+strands=both",
        "integrated_gradients@shuffle2+n_steps=2+shifts=1",
    ]
    for file in files:
        found = arrays(file.path)
        seq_ids = list(dataset.seq_ids("test"))
        rows = [seq_ids.index(each.decode()) for each in found["seq_id"]]
        asked = file.method
        expected = sb.attribute(
            models, one_hot(dataset.bases("test")[rows]), asked.method, target=1, references=asked.references,
            random_state=config.seed, **asked.settings,
        )  # fmt: skip
        np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-6)
        np.testing.assert_allclose(found["hypothetical"], expected.hypothetical, atol=1e-6)


def test_it_is_scored_ranked_and_reported_as_any_model(run):
    summary = pd.read_csv(run / "scores" / "summary.csv")
    mine = summary[(summary["model"] == ENSEMBLE) & ~summary["method"].str.startswith("null_")]
    assert len(mine) == 6
    assert mine["auprc"].notna().all()
    members = summary[summary["model"].isin(MEMBERS)].groupby(["task", "key"])["seconds_per_sequence"].sum()
    for row in mine.itertuples():
        assert row.seconds_per_sequence == pytest.approx(members[row.task, row.key])
    report = (run / "report.html").read_text()
    assert report.count(ENSEMBLE) > 3
    assert "strands both" in report
    assert list(problems(run)) == []
    state = {each.stage: (each.done, each.wanted) for each in state_of_run(run)}
    assert state["train"] == (3, 3)
    assert state["attribute"] == (18, 18)


def test_it_is_made_again_with_a_member_and_not_without_need(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    config, before = config_of(copy), read_manifest(copy)
    pipeline.run(config, copy)
    assert read_manifest(copy) == before
    changed = load_config(copy / "config.yaml", ["models.0.width=0.04"])
    lost = {each.stage: each.n_files for each in overwritten(changed, copy)}
    assert lost["train"] == len([name for name in before if name.startswith("models/")])
    more = load_config(copy / "config.yaml", ["models.0.seeds=3"])
    names = {name for name in before if name.startswith(("models/net-ensemble", "attributions/net-ensemble"))}
    assert sum(each.n_files for each in overwritten(config, copy)) == 0
    pipeline.run(more, copy)
    after = read_manifest(copy)
    for name, record in before.items():
        if name.startswith(("models/", "attributions/")):
            assert (after[name] == record) == (name not in names), name
    recorded = json.loads((copy / "models" / ENSEMBLE / "ensemble.json").read_text())
    assert list(recorded["members"]) == [*MEMBERS, "net-seed3"]


def test_without_its_members_files_it_is_computed_and_the_same(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    for kind in ("attributions", "knockouts"):
        for name in (*MEMBERS, ENSEMBLE):
            shutil.rmtree(copy / kind / name)
    attribute(config_of(copy), copy, job=Job(ENSEMBLE))
    assert not (copy / "attributions" / MEMBERS[0]).exists()
    for kind in ("attributions", "knockouts"):
        for file in sorted((run / kind / ENSEMBLE).rglob("*.h5")):
            found = arrays(copy / file.relative_to(run))
            for name, values in arrays(file).items():
                np.testing.assert_array_equal(found[name], values, err_msg=f"{file.name} {name}")


def test_jobs_of_its_members_measure_it_in_the_end(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    config = config_of(copy)
    commands = list(job_commands(config, copy, "train"))
    assert [each.split()[-1] for each in commands] == MEMBERS
    of_attributions = list(job_commands(config, copy, "attribute"))
    assert sum(f"--model {ENSEMBLE} " in each for each in of_attributions) == 6
    assert {each.model for each in files_of_job(config, copy, Job("net"))} == {*MEMBERS, ENSEMBLE}
    shutil.rmtree(copy / "models")
    with pytest.raises(InputError, match=r"train it first: net-ensemble is the mean of its members"):
        train(config, copy, job=Job(ENSEMBLE))
    for name in reversed(MEMBERS):
        assert not (copy / "models" / ENSEMBLE).exists()
        train(config, copy, job=Job(name))
    # files of models hold the time at which they were made
    assert differences(run / "models", copy / "models") == [f"{ENSEMBLE}/ensemble.json: differs"]


def test_what_it_would_take_is_said_ahead(run, monkeypatch, capsys):
    code, out, err = simbench(monkeypatch, capsys, "check", run / "config.yaml")
    assert code == 0, err
    assert "3 models, 3 methods" in out + err


def test_an_ensemble_is_of_several_seeds():
    with pytest.raises(ValueError, match="ensemble is of several trainings; add seeds: 3"):
        Model(architecture="basset", ensemble=True)
