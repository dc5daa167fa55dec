"""The preset five_lines: what its script writes, with the talk's class balance and the ceilings it states."""

import importlib.util
import re

import numpy as np
import pandas as pd
import pytest

from helpers.folders import REPOSITORY
from simbench_tf.config import load_config, presets
from simbench_tf.motifs import find_motif, load_motifs
from simbench_tf.simulate.grammar import draw

PRESET = presets()["five_lines"]
TOOL = REPOSITORY / "tools" / "calibrate_five_lines.py"

# the talk's table of positive fractions; SCIENCE.md's bands for what any model could reach at best
FRACTIONS = {"A549": 0.134, "GM12878": 0.0845, "H1": 0.0947, "HepG2": 0.129, "K562": 0.156}
AUROC_BAND, AUPRC_BAND = (0.84, 0.90), (0.42, 0.68)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("calibrate_five_lines", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def enriched(script):
    """How many more sites of each of its own motifs a line's label brings, as the preset has it."""
    rates = {element.name: element.enriched for element in load_config("five_lines").simulation.elements}
    return {line: rates[motifs[0]][line] for line, motifs in script.OWN.items()}


@pytest.fixture(scope="module")
def stated():
    """The ceilings in the preset's head, by line."""
    rows = {}
    for line in re.findall(r"(?m)^#   (.*)", PRESET.read_text()):
        name, *cells = line.split()
        rows[name] = cells
    assert rows["A549"] == ["GM12878", "H1", "HepG2", "K562"]
    columns = {name.lower(): np.array(rows[name], float) for name in ("auROC", "auPRC")}
    return pd.DataFrame(columns, index=["A549", *rows["A549"]])


def test_the_preset_is_what_its_script_writes(script, enriched, stated):
    text = script.preset_head(stated) + script.preset_body(enriched, load_config("five_lines").seed)
    assert PRESET.read_text() == text


def test_lines_fractions_and_rates():
    simulation = load_config("five_lines").simulation
    assert {line: task.fraction for line, task in simulation.tasks.items()} == FRACTIONS
    assert simulation.label_correlation > 0
    compendium = load_motifs("default")
    motifs = {element.name: find_motif(compendium, element.name).motif_id for element in simulation.elements}
    assert len(set(motifs.values())) == len(motifs), "a motif is one element, however many lines it serves"
    for element in simulation.elements:
        assert 0.05 <= element.rate <= 0.2, "negatives carry every motif"
        own = len(element.enriched) < len(FRACTIONS)
        assert all((0.3 if own else 0.05) <= rate <= (0.9 if own else 0.2) for rate in element.enriched.values())
    of_two = {element.name: sorted(element.enriched) for element in simulation.elements if len(element.enriched) == 2}
    assert of_two == {
        "FOS::JUN": ["A549", "K562"],
        "CEBPB": ["A549", "HepG2"],
        "TEAD4": ["A549", "H1"],
        "FOXA1": ["A549", "HepG2"],
    }


def test_drawn_fractions_at_the_presets_seed_and_size(script, enriched):
    config = load_config("five_lines")
    sequences = draw(script.grammar_of(enriched), config.seed, 0, config.simulation.n_sequences).sequences
    for line, fraction in FRACTIONS.items():
        assert np.asarray(sequences[line]).mean() == pytest.approx(fraction, abs=0.002)


def test_the_full_variant_differs_in_size_and_seeds_alone():
    small, full = load_config("five_lines"), load_config("five_lines:full")
    assert load_config("five_lines:small") == small
    assert full.simulation == small.simulation.model_copy(update={"n_sequences": 300_000})
    assert [(model.architecture, model.width) for model in full.models] == [("basset", 1.0), ("beluga", 1.0)]
    assert (full.training.batch_size, full.training.max_batches) == (300, 30_000)
    assert [len([each for each in full.replicates if each.model is model]) for model in full.models] == [3, 3]
    assert full.attribution == small.attribution.model_copy(update={"n_sequences": 2000})


@pytest.mark.slow
def test_the_oracles_ceilings_are_those_stated_and_inside_the_bands(script, enriched, stated):
    ceilings = script.measure_ceilings(script.grammar_of(enriched), seed=99, n_sequences=12_000)
    for line in FRACTIONS:
        for table, margin in ((stated, 0.01), (ceilings, 0.0)):  # the stated ones are of 40,000 sequences
            assert AUROC_BAND[0] + margin < table["auroc"][line] < AUROC_BAND[1] - margin
            assert AUPRC_BAND[0] + margin < table["auprc"][line] < AUPRC_BAND[1] - margin
        # four standard errors: with 1,000 positives of 12,000 one is about .006 of the auROC and .013 of the auPRC
        assert ceilings["auroc"][line] == pytest.approx(stated["auroc"][line], abs=0.025)
        assert ceilings["auprc"][line] == pytest.approx(stated["auprc"][line], abs=0.05)


def test_calibration_finds_the_rates_of_the_target(script, monkeypatch):
    """On ceilings that are a straight line in the rates: the solver needs no sampling to be tried."""
    slope = {"A549": 0.3, "GM12878": 0.5, "H1": 0.35, "HepG2": 0.4, "K562": 0.45}
    best = {"A549": 0.7, "GM12878": 0.3, "H1": 0.41, "HepG2": 0.5, "K562": 0.55}
    monkeypatch.setattr(script, "grammar_of", lambda rates: rates)

    def straight(rates, seed):
        auroc = {line: script.TARGET + slope[line] * (rates[line] - best[line]) for line in rates}
        return pd.DataFrame({"auroc": auroc})

    monkeypatch.setattr(script, "measure_ceilings", straight)
    assert script.calibrate() == pytest.approx(best, abs=0.011)
