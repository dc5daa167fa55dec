"""Estimates ahead: what networks and methods cost, counted otherwise, and what runs really took."""

from pathlib import Path

import pandas as pd
import pytest

import simbench_tf as sb
from helpers.program import simbench
from simbench_tf.config import MethodSettings, load_config
from simbench_tf.stages.estimate import estimates, forward_passes, multiplications
from simbench_tf.stages.train import check_models

RESULTS = Path(__file__).parents[2] / "results" / "estimates.csv"


def by_stage(*overrides):
    config = load_config("demo", overrides)
    networks = check_models(config, config.replicates, config.simulation.length, config.tasks)
    return {each.stage: each for each in estimates(config, networks)}


def test_multiplications_are_those_of_convolutions_and_dense_layers():
    # Basset of 100 bases, width 1, padding same: 300 kernels of 19 x 4, 200 of 11, 200 of 7, pools of 3, 4, 4
    convolutions = 100 * 19 * 4 * 300 + 33 * 11 * 300 * 200 + 8 * 7 * 200 * 200
    dense = 2 * 200 * 1000 + 1000 * 1000 + 1000 * 2
    network = sb.basset(seq_length=100, n_tasks=2, padding="same")
    assert multiplications(network) == pytest.approx(convolutions + dense, rel=0.01)


def test_passes_are_those_of_references_steps_and_samples():
    def passes(**settings):
        return forward_passes(MethodSettings.model_validate(settings), 400)

    one = passes(method="grad_x_input")
    assert passes(method="integrated_gradients", references="zeros", n_steps=20) == 20 * one
    assert passes(method="integrated_gradients", references="shuffle:5", n_steps=20) == 100 * one
    assert passes(method="deeplift_rescale", references="shuffle:10") == 10 * passes(
        method="deeplift_rescale", references="zeros"
    )
    assert passes(method="ism") > 100
    assert passes(method="ism", strands="both") == 2 * passes(method="ism")
    assert passes(method="grad_x_input", strands="both", shifts=3) == 14 * one


def test_an_ensemble_costs_room_and_no_training_or_explaining():
    alone, together = by_stage("models.0.seeds=3"), by_stage("models.0.seeds=3", "models.0.ensemble=true")
    assert together["attribute"].seconds == alone["attribute"].seconds
    assert together["attribute"].disk == pytest.approx(alone["attribute"].disk * 5 / 4), "of four networks and a fifth"
    assert together["train"].disk == alone["train"].disk
    assert 1 < together["train"].seconds / alone["train"].seconds < 1.1, "the test split is predicted"


def test_what_is_asked_for_twice_costs_twice():
    one = by_stage()
    longer = by_stage("training.max_batches=1800", "models.0.training.max_batches=3600", "dynamics=null")
    more = by_stage("attribution.n_sequences=200", "simulation.n_sequences=40000")
    assert 1.6 < longer["train"].seconds / one["train"].seconds < 2
    assert 1.2 < more["attribute"].seconds / one["attribute"].seconds < 2, "compiling is done once"
    assert more["simulate"].disk == 2 * one["simulate"].disk
    assert by_stage("models=[]", "dynamics=null").keys() == {"simulate", "oracle"}


def test_runs_took_what_was_estimated_within_a_factor_of_two_and_a_half():
    table = pd.read_csv(RESULTS)
    long = table[table["took"] > 10]
    assert len(long) >= 3
    assert ((long["estimated"] / long["took"]).between(1 / 2.5, 2.5)).all(), long


def test_a_configuration_without_fault_is_told_in_short_with_its_estimate(tiny_run, monkeypatch, capsys):
    code, out, err = simbench(monkeypatch, capsys, "check", "demo")
    assert code == 0, err
    assert out.startswith("no fault found: grammar of 400 bases, 2 tasks, 2 models, 12 methods\n")
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["simulate", "train", "attribute", "oracle"]
    before = sorted(tiny_run.rglob("*"))
    code, out, err = simbench(
        monkeypatch, capsys, "check", tiny_run / "config.yaml", "--out", tiny_run, "--set", "training.max_batches=9"
    )
    assert code == 0, err
    assert "needs --overwrite: 3 files of train are of another configuration\n" in out
    assert sorted(tiny_run.rglob("*")) == before


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.max_batch=9", "error: --set training.max_batch=9: unknown key 'training.max_batch'"),
        (
            "attribution.methods=[gradcan]",
            "error: method: unknown attribution method 'gradcan'; did you mean 'gradcam'?",
        ),
        ("simulation.n_sequences=1000000000000", "error: simulation.n_sequences: 1,000,000,000,000 sequences"),
        ("models.0.padding=valid", "models.basset cannot see"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(monkeypatch, capsys, override, line):
    _, _, err = simbench(monkeypatch, capsys, "check", "demo", "--set", override)
    assert line in err
