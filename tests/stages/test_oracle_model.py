"""A run with the oracle among its models: made from the data, explained by what it takes, and said in the report."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import pandas as pd
import pytest
import yaml

import simbench_tf as sb
from helpers.folders import times
from helpers.program import simbench
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import read_attributions
from simbench_tf.run.models import load_model

EXACT = {"name": "exact", "architecture": "oracle"}
METHODS = [
    {"method": "grad_x_input"},
    {"method": "ism"},
    {"method": "gradcam", "layer": ["first", "last"]},
    {"method": "smoothgrad", "n_samples": 1},
]
TAKEN = {"grad_x_input@none.h5", "ism@none.h5"}


def write(folder, *models, methods=METHODS, simulation=None, **changes):
    small = {
        **TINY_RUN["simulation"],
        "seq_length": 100,
        "n_sequences": 300,
        "elements": TINY_RUN["simulation"]["elements"][:2],
    }
    attribution = {"n_sequences": 4, "methods": methods}
    content = {
        **TINY_RUN,
        "simulation": simulation or small,
        "attribution": attribution,
        "models": list(models),
        **changes,
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(content))
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A whole run of the oracle beside a network."""
    folder = tmp_path_factory.mktemp("oracle")
    network = {"name": "basset", "architecture": "basset", "width": 0.03, "padding": "same"}
    config = load_config(write(folder, EXACT, network, dynamics={"checkpoints": 2, "n_sequences": 4}))
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("simbench_tf").addHandler(handler)
    pipeline.run(config, folder / "run")
    logging.getLogger("simbench_tf").removeHandler(handler)
    return folder / "run", [record.getMessage() for record in records]


@pytest.mark.slow
def test_it_is_made_and_not_trained(explained):
    run, messages = explained
    place = run / "models" / "exact"
    assert {path.name for path in place.iterdir()} == {"model.keras", "python.json", "history.csv", "metrics.json"}
    assert (place / "history.csv").read_text() == "batch,n_sequences_seen,loss\n"
    assert not (run / "dynamics" / "exact").exists()
    assert (
        sum("models.exact is made from the grammar of the data as it is: nothing is trained" in m for m in messages)
        == 1
    )
    ceilings = pd.read_csv(run / "oracle" / "ceilings.csv").set_index("task")
    for task, values in json.loads((place / "metrics.json").read_text()).items():
        assert values["auroc"] == pytest.approx(ceilings.loc[task, "auroc"], abs=1e-6)
    dataset = sb.open_dataset(run)
    posteriors = pd.read_parquet(run / "oracle" / "posteriors.parquet").set_index("seq_id")
    predicted = load_model(place / "model.keras").predict_on_batch(sb.one_hot(dataset.bases("test")))
    expected = posteriors.loc[list(dataset.seq_ids("test")), dataset.tasks]
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_methods_that_it_does_not_take_are_left_out_and_said(explained):
    run, messages = explained
    for task in ("HepG2", "K562"):
        assert {path.name for path in (run / "attributions" / "exact" / task).iterdir()} == TAKEN
        assert len(list((run / "attributions" / "basset" / task).iterdir())) == 5
        assert len(list((run / "nulls" / "basset" / task).iterdir())) == 5
    assert not (run / "nulls" / "exact").exists()
    said = [message for message in messages if "is not explained by" in message]
    assert said == [
        "models.exact is not explained by gradcam (it is one exact computation, without layers to read); "
        "smoothgrad (rows that are no mixture of bases have no likelihood)"
    ]
    summary = pd.read_csv(run / "scores" / "summary.csv")
    mine = summary[summary["model"] == "exact"]
    assert set(mine["method"]) == {"grad_x_input", "ism", "null_position", "null_kmer", "null_scan"}
    assert (mine["scored_bases"] == 100).all()
    page = (run / "report.html").read_text()
    assert "Methods that a model does not take, and is not explained by" in page
    assert (
        '<td>exact</td><td class="stays">Grad-CAM</td><td>it is one exact computation, without layers to read</td>'
        in page
    )


@pytest.mark.slow
def test_its_mutagenesis_is_of_the_exact_log_odds(explained):
    run, _ = explained
    scores, seq_ids = read_attributions(run / "attributions" / "exact" / "K562" / "ism@none.h5")
    dataset = sb.open_dataset(run)
    model = load_model(run / "models" / "exact" / "model.keras")
    bases = dataset.bases("test")[pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)]
    place = int(np.abs(scores[0]).argmax())
    mutants = np.repeat(bases[:1], 4, axis=0)
    mutants[:, place] = range(4)
    log_odds = model.layers[1](sb.one_hot(mutants)).numpy()[:, dataset.tasks.index("K562")]
    observed = log_odds[bases[0, place]]
    assert scores[0, place] == pytest.approx(observed - (log_odds.sum() - observed) / 3, abs=1e-5)


@pytest.mark.slow
def test_a_second_run_makes_nothing_again(explained):
    run, _ = explained
    before = times(run)
    pipeline.run(load_config(run / "config.yaml"), run)
    after = times(run)
    assert {name for name in before if after[name] != before[name]} <= {"config.yaml"}


# what cannot be


def test_it_needs_data_of_a_grammar(tmp_path):
    peaks = {"kind": "peaks", "genome": "g.fa", "peaks": {"K562": "k.narrowPeak"}}
    with pytest.raises(InputError, match="architecture oracle of model exact needs data of kind grammar, not peaks"):
        load_config(write(tmp_path, EXACT, simulation=peaks))


def test_a_run_in_which_it_takes_no_method(tmp_path):
    config = load_config(write(tmp_path, EXACT, methods=METHODS[2:]))
    message = r"attribution.methods: has none that model exact takes; add saliency, .*, ism or dependency_map$"
    with pytest.raises(InputError, match=message):
        pipeline.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seeds": 2}, "nothing is trained here"),
        ({"width": 0.5}, "width is a setting of `architecture` basset or beluga"),
        ({"padding": "same"}, "padding is a setting"),
        ({"training": {"max_batches": 3}}, "training is of models that are trained"),
        ({"settings": {"a": 1}}, "settings are those of the function of `python`"),
    ],
)
def test_settings_that_it_does_not_have(tmp_path, setting, message):
    with pytest.raises(InputError, match=message):
        load_config(write(tmp_path, {**EXACT, **setting}))


def test_dynamics_cannot_watch_it(tmp_path):
    with pytest.raises(InputError, match="names 'exact', which is no model trained"):
        load_config(write(tmp_path, EXACT, dynamics={"models": ["exact"]}))


def test_methods_says_which_it_does_not_take(monkeypatch, capsys):
    words = " ".join(simbench(monkeypatch, capsys, "methods")[1].split())
    _, said, of_gkmsvm = re.split("Not for models of `architecture: (?:oracle|gkmsvm)`:", words)
    assert "integrated_gradients, expected_gradients: its kernel counts words, and has no gradient" in of_gkmsvm
    reads_layers, any_rows = said.split(": it is one exact computation, without layers to read")
    assert "gradcam" in reads_layers
    assert "deeplift_rescale" in reads_layers
    assert "integrated_gradients" not in said
    assert any_rows.strip() == "smoothgrad: rows that are no mixture of bases have no likelihood"
