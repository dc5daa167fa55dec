"""Models trained from several seeds: each is a model of its own, in files, tables, the report and exports."""

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.run import folder
from simbench_tf.run.folder import begin
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.results import read_ceilings, read_results
from simbench_tf.stages.train import inputs as training_inputs

NAMES = ["basset-seed1", "basset-seed2"]
BRIEF = {
    "training": {"batch_size": 50, "max_batches": 2},
    "attribution": {"n_sequences": 3, "methods": [{"method": "grad_x_input"}]},
}


def config_of(tmp_path, **changes):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({**TINY_RUN, **BRIEF, **changes}))
    return load_config(path)


def two_seeds(n=2):
    return [{**TINY_RUN["models"][0], "seeds": n}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    pipeline.run(config_of(folder, models=two_seeds()), folder / "run")
    return folder / "run"


def weights_of(run, name):
    return keras.saving.load_model(run / "models" / name / "model.keras", compile=False).get_weights()


def test_each_seed_is_a_model_of_its_own(run):
    assert sorted(path.name for path in (run / "models").iterdir()) == NAMES
    assert sorted(path.name for path in (run / "attributions").iterdir() if path.is_dir()) == NAMES
    assert pd.read_csv(run / "scores" / "summary.csv")["model"].unique().tolist() == NAMES
    assert pd.read_parquet(run / "scores" / "per_sequence.parquet")["model"].unique().tolist() == NAMES
    report = (run / "report.html").read_text()
    assert all(name in report for name in NAMES)
    metrics = read_results(folder.config_of(run), run).metrics
    assert list(metrics) == NAMES
    assert {metrics[name]["K562"]["oracle_auroc"] for name in NAMES} == {read_ceilings(run).loc["K562", "auroc"]}


def test_seeds_differ_in_weights_and_the_first_is_that_of_the_run(run, tmp_path):
    first, second = (weights_of(run, name) for name in NAMES)
    assert not np.array_equal(first[0], second[0])
    config = config_of(tmp_path)
    begin(config, tmp_path / "one")
    pipeline.simulate(config, tmp_path / "one")
    pipeline.train(config, tmp_path / "one")
    for one, same in zip(weights_of(tmp_path / "one", "basset"), first, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-6)


def test_one_more_seed_leaves_the_others_as_they_are(run):
    before = {name: (run / "models" / name / "model.keras").stat().st_mtime_ns for name in NAMES}
    pipeline.train(config_of(run.parent, models=two_seeds(3)), run)
    assert {name: (run / "models" / name / "model.keras").stat().st_mtime_ns for name in NAMES} == before
    assert (run / "models" / "basset-seed3" / "model.keras").is_file()
    assert "models/basset-seed3/model.keras" in read_manifest(run)


def test_each_seed_is_exported_and_says_its_seed(run):
    config = config_of(run.parent, models=two_seeds())
    for replicate, entry in zip(config.replicates, pipeline.export(config, run), strict=True):
        assert entry == run / "kipoi" / replicate.name
        procedure = yaml.safe_load((entry / "model.yaml").read_text())["info"]["training_procedure"]
        assert procedure.endswith(f"seed {replicate.seed}.")


def test_seeds_follow_from_the_runs_seed(tmp_path):
    def seeds(seed):
        return [each.seed for each in config_of(tmp_path, models=two_seeds(4), seed=seed).replicates]

    assert seeds(7)[0] == 7
    assert seeds(7) == seeds(7)
    assert len({*seeds(7), *seeds(8)}) == 8


def test_one_seed_changes_nothing(tmp_path):
    """Neither the name nor what the fingerprint is made from."""
    (plain,) = config_of(tmp_path).replicates
    (one,) = config_of(tmp_path, models=two_seeds(1)).replicates
    assert (plain.name, plain.seed) == (one.name, one.seed) == ("basset", 7)
    config = config_of(tmp_path)
    assert training_inputs(config, plain) == training_inputs(config, one)
    assert training_inputs(config, one)["model"] == {
        key: value
        for key, value in plain.model.model_dump(mode="json").items()
        if key in ("name", "architecture", "keras", "kipoi", "width", "kernel_size")
    }


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("[{name: a, architecture: basset, seeds: 2}, {name: a-seed1, architecture: beluga}]", "models share a name"),
        ("[{name: a, architecture: basset, seeds: 0}]", "models.0.seeds: Input should be greater than or equal to 1"),
        ("[{name: a, kipoi: some/model, seeds: 2}]", "models.0: seeds are of models that are trained"),
    ],
)
def test_what_is_refused(tmp_path, models, message):
    with pytest.raises(InputError, match=message) as error:
        config_of(tmp_path, models=yaml.safe_load(models))
    assert "\n" not in str(error.value)


def test_a_single_model_may_be_called_like_a_seed(tmp_path):
    models = [{**TINY_RUN["models"][0], "name": "a-seed1"}, {**TINY_RUN["models"][0], "name": "a", "seeds": 1}]
    assert [each.name for each in config_of(tmp_path, models=models).replicates] == ["a-seed1", "a"]
