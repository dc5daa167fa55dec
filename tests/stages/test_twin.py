"""A twin of peaks whose grammar is known: drawn like them, held against regions that the fit has not seen, resumed."""

import numpy as np
import pandas as pd
import pytest

from helpers.drawn_peaks import ONE, settings, write_peaks
from helpers.folders import times
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.stages import twin as stage

OVERRIDES = [
    "models=[{name: small, architecture: basset, width: 0.03}]",
    "attribution.methods=[{method: grad_x_input}]",
    "scoring.nulls=false",
]


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    return write_peaks(tmp_path_factory.mktemp("world"), settings(**ONE), 700)


@pytest.fixture(scope="module")
def run(peaks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "run"
    drawn = stage.twin(load_config(peaks, OVERRIDES), folder, 3000)
    pipeline.run(drawn, folder)
    return folder


@pytest.mark.slow
def test_a_twin_is_like_its_peaks_and_the_report_says_so(run):
    found = pd.read_csv(run / "likeness.csv").set_index("measure")
    assert list(found) == ["real", "twin", "low", "high"]
    # the peaks are drawn from such a grammar, so that nothing tells them apart; of 5% of intervals, some miss
    held = found.drop(["classifier_words", "classifier_cnn", "spectrum_distance_6", "network_A"])
    assert ((held["low"] <= held["twin"]) & (held["twin"] <= held["high"])).mean() > 0.8
    assert {"hits_CTCF", "hits_GATA1::TAL1", "hits_HNF4A", "hits_dispersion", "hits_distance", "hits_spacing"} < set(
        found.index
    )
    for name in ("classifier_words", "classifier_cnn"):
        assert found.loc[name, "low"] < 0.55
        assert found.loc[name, "real"] == 0.5
    # the network was trained on real regions, and tells the label of drawn ones as well
    assert abs(found.loc["network_A", "twin"] - found.loc["network_A", "real"]) < 0.12
    spectrum = found.loc["spectrum_distance_6"]
    assert abs(spectrum["twin"] - spectrum["real"]) < 0.1 * spectrum["real"]
    assert "# From 525 of 525 regions of 200 bases" in (run / "twin.yaml").read_text()  # the test split is not fitted
    page = (run / "report.html").read_text()
    assert "How like the real regions are these?" in page
    assert "classifier words" in page


@pytest.mark.slow
def test_nothing_is_made_twice_and_other_peaks_are_fitted_anew(run, peaks):
    before = times(run)
    config = load_config(peaks, OVERRIDES)
    stage.twin(config, run, 3000)
    after = times(run)
    assert {name for name in before if after[name] != before[name]} <= {"config.yaml", ".simbench.lock"}
    text = (run / "twin.yaml").read_text()
    drawn = stage.twin(load_config(peaks, [*OVERRIDES, "seed=6"]), run, 3000)
    assert drawn.seed == 6
    assert (run / "twin.yaml").read_text() != text


def test_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="is grammar, and a twin is of real peaks; give"):
        stage.twin(load_config("demo"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_tells_a_word_apart():
    rng = np.random.default_rng(0)
    bases, labels = rng.integers(0, 4, (300, 80)).astype(np.uint8), np.arange(300) % 2
    bases[labels == 1, 30:40] = [0, 2, 0, 3, 0, 0, 1, 1, 2, 3]
    found = stage.by_network(bases[:240], labels[:240], bases[240:])
    assert found[labels[240:] == 1].mean() > found[labels[240:] == 0].mean() + 0.3
