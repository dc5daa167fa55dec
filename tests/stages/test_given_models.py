"""A trained Keras model is explained as it is: never trained, by the outputs chosen, refused ahead where unfit."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

import simbench_tf as sb
from helpers.folders import checksums, times
from helpers.models import with_weights
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import Model, load_config
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import read_attributions
from simbench_tf.stages.overwritten import overwritten

OUTPUTS = {"HepG2": 3, "K562": 0}
KEY = "grad_x_input@none"
MINE = {"name": "mine", "keras": "mine.keras", "trained": True, "outputs": OUTPUTS}


def given_model(n_outputs=5, last="sigmoid"):
    layers = [keras.Input((170, 4)), keras.layers.Conv1D(6, 7, activation="relu"), keras.layers.GlobalMaxPooling1D()]
    return with_weights(keras.Sequential([*layers, keras.layers.Dense(n_outputs, last)]))


def write(folder, *models, **changes):
    simulation = {**TINY_RUN["simulation"], "seq_length": 170, "n_sequences": 300}
    attribution = {"n_sequences": 6, "methods": [{"method": "grad_x_input"}]}
    content = {**TINY_RUN, "simulation": simulation, "attribution": attribution, "models": list(models), **changes}
    (folder / "c.yaml").write_text(yaml.safe_dump(content))
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A whole run of a given model."""
    folder = tmp_path_factory.mktemp("given")
    given_model().save(folder / "mine.keras")
    pipeline.run(load_config(write(folder, MINE)), folder / "run")
    return folder


@pytest.fixture
def again(explained, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(explained, tmp_path / "given")


def attributed(run, task):
    scores, seq_ids = read_attributions(run / "attributions" / "mine" / task / f"{KEY}.h5")
    dataset = sb.open_dataset(run)
    rows = pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)
    return scores, sb.one_hot(dataset.bases("test")[rows])


@pytest.mark.parametrize(("task", "output"), OUTPUTS.items())
def test_the_chosen_outputs_logit_is_explained(explained, task, output):
    scores, x = attributed(explained / "run", task)
    direct = sb.attribute(given_model(), x, "grad_x_input", target=output)
    np.testing.assert_allclose(scores, direct.scores, rtol=1e-5, atol=1e-7)
    another = sb.attribute(given_model(), x, "grad_x_input", target=1).scores
    assert not np.allclose(scores, another)


def test_it_is_kept_as_it_is(explained):
    place = explained / "run" / "models" / "mine"
    assert (place / "model.keras").read_bytes() == (explained / "mine.keras").read_bytes()
    assert json.loads((place / "trained.json").read_text()) == {"outputs": OUTPUTS}
    assert (place / "history.csv").read_text() == "batch,n_sequences_seen,loss\n"
    assert {path.name for path in place.iterdir()} == {"model.keras", "trained.json", "history.csv", "metrics.json"}


def test_dynamics_and_export_leave_it_out(again):
    config = load_config(again / "c.yaml", ["dynamics={}"])
    pipeline.dynamics(config, again / "run")
    pipeline.export(config, again / "run")
    assert not (again / "run" / "dynamics").exists()
    assert not (again / "run" / "kipoi").exists()


def test_its_measures_are_those_of_the_chosen_outputs(explained):
    dataset = sb.open_dataset(explained / "run")
    predicted = given_model().predict(sb.one_hot(dataset.bases("test")), verbose=0)
    metrics = json.loads((explained / "run" / "models" / "mine" / "metrics.json").read_text())
    assert list(metrics) == list(OUTPUTS)
    for task, output in OUTPUTS.items():
        labels = dataset.labels("test")[:, dataset.tasks.index(task)]
        assert metrics[task]["auroc"] == pytest.approx(roc_auc_score(labels, predicted[:, output]))
        assert metrics[task]["auprc"] == pytest.approx(average_precision_score(labels, predicted[:, output]))
        assert metrics[task]["positive_fraction"] == pytest.approx(labels.mean())


def test_a_finished_run_makes_nothing_again(again):
    before = times(again / "run")
    pipeline.run(load_config(again / "c.yaml"), again / "run")
    changed = {name for name, at in times(again / "run").items() if at != before[name]}
    # config.yaml names the file by its place, and what follows from it alone is the report
    assert changed <= {"config.yaml", "manifest.json", "report.html"}


def test_training_and_seed_are_nothing_to_it_but_its_outputs_and_file_are(again):
    assert overwritten(load_config(again / "c.yaml", ["training.max_batches=3"]), again / "run") == []
    swapped = load_config(again / "c.yaml", ["models.0.outputs={HepG2: 2, K562: 0}"])
    lost = {each.stage: each.n_files for each in overwritten(swapped, again / "run")}
    # of two tasks, each with its null
    assert lost == {"train": 4, "attribute": 4}
    pipeline.train(swapped, again / "run")
    pipeline.attribute(swapped, again / "run")
    scores, x = attributed(again / "run", "HepG2")
    direct = sb.attribute(given_model(), x, "grad_x_input", target=2)
    np.testing.assert_allclose(scores, direct.scores, rtol=1e-5, atol=1e-7)


def test_without_outputs_they_are_the_tasks_in_order(tmp_path):
    given_model(2, last=None).save(tmp_path / "mine.keras")
    mine = {**MINE, "outputs": None}
    config = load_config(write(tmp_path, {key: value for key, value in mine.items() if value is not None}))
    pipeline.simulate(config, tmp_path / "run")
    pipeline.train(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "models" / "mine" / "trained.json").read_text()) == {
        "outputs": {"HepG2": 0, "K562": 1}
    }


def test_a_model_of_some_tasks_explains_these(tmp_path):
    given_model(3).save(tmp_path / "mine.keras")
    config = load_config(write(tmp_path, {**MINE, "outputs": {"K562": 2}}), ["attribution.tasks=[K562]"])
    pipeline.run(config, tmp_path / "run")
    assert list(json.loads((tmp_path / "run" / "models" / "mine" / "metrics.json").read_text())) == ["K562"]
    assert set(pd.read_csv(tmp_path / "run" / "scores" / "summary.csv").task) == {"K562"}


def test_values_that_are_not_finite_are_refused(tmp_path):
    model = given_model(2)
    model.layers[-1].bias.assign([np.nan, 0])
    model.save(tmp_path / "mine.keras")
    config = load_config(write(tmp_path, {**MINE, "outputs": {"HepG2": 0, "K562": 1}}))
    pipeline.simulate(config, tmp_path / "run")
    with pytest.raises(InputError, match=r"mine.keras: predicts values that are not finite"):
        pipeline.train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "models" / "mine" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"architecture": "basset", "trained": True}, "trained is a setting of `keras`"),
        ({**MINE, "seeds": 2}, "seeds are of models that are trained"),
        ({"keras": "mine.keras", "outputs": {"K562": 0}}, "outputs are those of a `keras` model with `trained: true`"),
        ({**MINE, "outputs": {}}, "outputs names no task"),
        ({**MINE, "outputs": {"HepG2": -1, "K562": 0}}, "models.0.outputs.HepG2: "),
        ({**MINE, "outputs": {"HepG3": 1, "K562": 0}}, "names 'HepG3', which is no task; did you mean 'HepG2'?"),
        ({**MINE, "outputs": {"HepG2": 1}}, "outputs of model mine lacks 'K562'; add its number"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused_in_one_line(tmp_path, model, message):
    with pytest.raises(InputError) as error:
        load_config(write(tmp_path, model))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_what_the_run_trains_counts_as_trained():
    assert Model(keras="f.keras").is_trained
    assert not Model(keras="f.keras", trained=True).is_trained


def test_the_files_given_are_left_alone(again):
    before = checksums(again, "*.keras")["mine.keras"]
    pipeline.run(load_config(again / "c.yaml", ["models.0.outputs={HepG2: 4, K562: 0}"]), again / "run")
    assert checksums(again, "*.keras")["mine.keras"] == before
