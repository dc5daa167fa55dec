"""A run with planted networks among its models: made from the data, near the ceiling, explained by every method."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from helpers.folders import times
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import Model, load_config
from simbench_tf.errors import InputError
from simbench_tf.run.results import read_ceilings, read_metrics

METHODS = [
    {"method": "grad_x_input"},
    {"method": "ism"},
    {"method": "gradcam", "layer": "motifs"},
    {"method": "deeplift_rescale", "references": "shuffle:2"},
    {"method": "deeplift_revealcancel", "references": "shuffle:2"},
]
PLANTED = {"name": "planted", "architecture": "planted"}
BROKEN = {"name": "blind", "architecture": "planted", "settings": {"without": ["GATA1"]}}


def write(folder, *models, methods=METHODS):
    config = {
        **TINY_RUN,
        "models": list(models),
        "attribution": {"n_sequences": 8, "methods": methods},
    }
    (folder / "planted.yaml").write_text(yaml.safe_dump(config))
    return folder / "planted.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    pipeline.run(load_config(write(folder, PLANTED, BROKEN)), folder / "run")
    return folder / "run"


def test_it_is_near_the_ceiling_and_one_without_a_motif_is_not(run):
    ceilings = read_ceilings(run)["auroc"]
    whole, blind = (read_metrics(run, name) for name in ("planted", "blind"))
    for task in ("HepG2", "K562"):
        assert ceilings[task] - whole[task]["auroc"] < 0.02
    assert blind["HepG2"]["auroc"] == pytest.approx(whole["HepG2"]["auroc"], abs=0.01)
    assert blind["K562"]["auroc"] < 0.65


@pytest.mark.slow
def test_every_method_explains_it(run):
    summary = pd.read_csv(run / "scores" / "summary.csv")
    scores = summary[summary["task"] == "K562"].pivot_table(index="method", columns="model", values="auprc")
    assert {each["method"] for each in METHODS} <= set(scores.index)
    methods = scores.loc[["ism", "deeplift_rescale"]]
    assert (methods["planted"] > 0.5).all()
    assert (methods["blind"] < 0.2).all()


def test_what_a_broken_network_misses_is_the_networks(run):
    misses = pd.read_csv(run / "scores" / "misses.csv")
    assert set(misses["model"]) == {"blind"}
    assert set(misses["perfect"]) == {"planted"}
    added = misses.pivot_table("network_miss", "key", "task")
    assert (added.loc[["ism@none", "deeplift_rescale@shuffle2"], "K562"] > 0.3).all()
    assert added["HepG2"].abs().max() < 0.1
    whole = misses["method_miss"] + misses["network_miss"]
    assert whole.to_numpy() == pytest.approx((misses["oracle_auprc"] - misses["auprc"]).to_numpy())
    page = (run / "report.html").read_text()
    assert "Whose miss is it: the method's or the network's?" in page
    assert "With blind" in page


def test_a_second_run_makes_nothing_again(run):
    before = times(run / "models")
    pipeline.run(load_config(run / "config.yaml"), run)
    assert times(run / "models") == before


def test_a_motif_that_the_data_do_not_have_is_said_before_anything_is_drawn(tmp_path):
    config = load_config(write(tmp_path, {**BROKEN, "settings": {"without": ["SOX2"]}}))
    with pytest.raises(InputError, match=r"models.blind.settings.without: 'SOX2' is no element or motif of the data"):
        pipeline.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_layer_that_it_does_not_have_is_said_before_anything_is_drawn(tmp_path):
    config = load_config(write(tmp_path, PLANTED, methods=[{"method": "gradcam", "layer": "conv1"}]))
    with pytest.raises(InputError, match="conv1"):
        pipeline.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernels": 3}, "settings.kernels is no setting of a planted network; choose among window, kernel_size"),
        ({"window": 1}, "settings.window of a planted network: input should be greater than or equal to 2"),
        ({"strands": "none"}, "settings.strands of a planted network: input should be 'both' or 'one'"),
    ],
)
def test_settings_that_it_does_not_have(settings, message):
    with pytest.raises(ValueError, match=message):
        Model.model_validate({**PLANTED, "settings": settings})
