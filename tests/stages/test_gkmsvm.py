"""A run with a gkm-SVM beside a network: trained, measured, explained by what it takes, and kept."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

import simbench_tf as sb
from helpers.folders import times
from helpers.program import simbench
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.export.describe_run import describe_model
from simbench_tf.run.attributions import read_attributions
from simbench_tf.run.models import load_model
from simbench_tf.stages.estimate import estimates

GKM = {"name": "gkm", "architecture": "gkmsvm", "settings": {"l": 7, "k": 5, "d": 2, "max_sequences": 200}}
NETWORK = {"name": "basset", "architecture": "basset", "width": 0.03, "padding": "same"}
METHODS = [{"method": "gkmexplain"}, {"method": "ism"}, {"method": "grad_x_input"}]


def write(folder, *models, **changes):
    content = {
        **TINY_RUN,
        "simulation": {**TINY_RUN["simulation"], "seq_length": 100, "n_sequences": 400},
        "attribution": {"n_sequences": 4, "methods": METHODS},
        "models": list(models),
        **changes,
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(content))
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("gkmsvm")
    folder = tmp_path_factory.mktemp("gkmsvm")
    pipeline.run(load_config(write(folder, GKM, NETWORK)), folder / "run")
    return folder / "run"


def test_it_is_measured_as_networks_are(run):
    place = run / "models" / "gkm"
    names = {"model.keras", "python.json", "history.csv", "metrics.json", "HepG2.lsgkm.txt", "K562.lsgkm.txt"}
    assert {path.name for path in place.iterdir()} == names
    dataset, model = sb.open_dataset(run / "dataset"), load_model(place / "model.keras")
    for split, measured in (("test", json.loads((place / "metrics.json").read_text())), ("valid", None)):
        predicted, labels = model.predict(sb.one_hot(dataset.bases(split)), verbose=0), dataset.labels(split)
        aurocs = [roc_auc_score(labels[:, n], predicted[:, n]) for n in range(2)]
        if measured is not None:
            assert [measured[task]["auroc"] for task in dataset.tasks] == pytest.approx(aurocs)
            auprc = average_precision_score(labels[:, 1], predicted[:, 1])
            assert measured["K562"]["auprc"] == pytest.approx(auprc)
            assert min(aurocs) > 0.6
    (row,) = pd.read_csv(place / "history.csv").to_dict("records")
    assert row["valid_auroc"] == pytest.approx(np.mean(aurocs), abs=1e-6)
    assert row["n_sequences_seen"] == 400


def test_it_is_explained_by_what_it_takes_and_scored(run):
    keys = {
        name: sorted(path.stem for path in (run / "attributions" / name / "K562").glob("*.h5"))
        for name in ("gkm", "basset")
    }
    assert keys == {"gkm": ["gkmexplain@none", "ism@none"], "basset": ["grad_x_input@none", "ism@none"]}
    dataset, model = sb.open_dataset(run / "dataset"), load_model(run / "models" / "gkm" / "model.keras")
    scores, seq_ids = read_attributions(run / "attributions" / "gkm" / "K562" / "gkmexplain@none.h5")
    rows = pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)
    own = sb.attribute(model, sb.one_hot(dataset.bases("test")[rows]), "gkmexplain", target=1)
    np.testing.assert_allclose(scores, own.scores, atol=1e-6)
    summary = pd.read_csv(run / "scores" / "summary.csv")
    of_gkm = summary[(summary["model"] == "gkm") & (summary["key"] == "gkmexplain@none")]
    assert set(of_gkm["task"]) == {"HepG2", "K562"}
    assert of_gkm["auprc"].notna().all()
    assert not (run / "nulls" / "gkm").exists()
    page = (run / "report.html").read_text()
    assert "gkmexplain" in page
    # what is said over all is of models that take the same methods; a gkm-SVM is answered for by itself
    assert "Over 2 tasks" in page
    assert "Over 2 models" not in page
    assert "with gkm" in page


def test_it_is_no_entry_of_a_zoo(run):
    with pytest.raises(InputError, match="is a gkm-SVM, no Keras network for a zoo"):
        describe_model(run, "gkm")


def test_it_is_kept_until_a_setting_changes(run, tmp_path):
    before = times(run / "models")
    config = load_config(write(tmp_path, GKM, NETWORK))
    pipeline.run(config, run)
    assert times(run / "models") == before
    known = (run / "models" / "gkm" / "metrics.json").read_bytes()
    other = {**GKM, "settings": {**GKM["settings"], "C": 0.1}}
    changed = load_config(write(tmp_path, other, NETWORK))
    pipeline.run(changed, run)
    assert {f"basset/{name}": when for name, when in times(run / "models" / "basset").items()}.items() <= before.items()
    assert (run / "models" / "gkm" / "metrics.json").read_bytes() != known
    pipeline.run(config, run)
    assert (run / "models" / "gkm" / "metrics.json").read_bytes() == known


def test_without_gkmsvm_lite_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gkmsvm", None)
    monkeypatch.setitem(sys.modules, "gkmsvm.kernels", None)
    with pytest.raises(InputError, match=r"models.gkm: architecture gkmsvm needs gkmsvm-lite.*'simbench_tf\[gkm\]'"):
        pipeline.run(load_config(write(tmp_path, GKM)), tmp_path / "run")
    assert not (tmp_path / "run" / "dataset").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"c": 1}}, "settings.c is no setting of a gkm-SVM; choose among kernel, l, k"),
        ({"settings": {"l": 13}}, "settings.l of a gkm-SVM: input should be less than or equal to 12"),
        ({"settings": {"k": 12}}, "settings of a gkm-SVM: k is 12, more than the 11 bases of l"),
        ({"settings": {"k": 9}}, "d is 3, but words of l=11 and k=9 have 2 gaps"),
        ({"training": {"max_batches": 3}}, "training is of networks"),
        ({"width": 0.5}, "width is a setting of `architecture` basset or beluga"),
    ],
)
def test_settings_that_do_not_fit_are_told(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        load_config(write(tmp_path, {**GKM, "settings": {}, **changes}))


def test_a_run_of_networks_needs_another_method_than_gkmexplain(tmp_path, monkeypatch, capsys):
    path = write(tmp_path, NETWORK, attribution={"methods": [{"method": "gkmexplain"}]})
    code, _, error = simbench(monkeypatch, capsys, "check", path)
    assert code == 2
    assert "attribution.methods: has none that model basset takes" in error


def test_its_time_is_estimated(tmp_path):
    def seconds(**settings):
        config = load_config(
            write(tmp_path, {**GKM, "settings": settings}, simulation={**TINY_RUN["simulation"], "n_sequences": 20000})
        )
        return {each.stage: each.seconds for each in estimates(config, {})}

    few, many = seconds(max_sequences=1000), seconds(max_sequences=8000)
    assert 5 < many["train"] / few["train"] < 60
    assert few["attribute"] == many["attribute"] > 0
