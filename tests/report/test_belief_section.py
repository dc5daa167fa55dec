"""What a score is worth, in the report of a twin: curves and held-out precision, worked out apart from the page."""

import io

import numpy as np
import pandas as pd
import pytest

from helpers.report_data import LABELS, grammar_run, per_sequence, results, summarised
from simbench_tf.discovery.belief import stands_on_site
from simbench_tf.discovery.seqlets import candidates
from simbench_tf.report.belief_section import what_scores_are_worth
from simbench_tf.run.results import AttributedSequences
from simbench_tf.score.calibration import calibrate

N, LENGTH = 200, 120


@pytest.fixture(scope="module")
def place():
    """A method that marks the sites of even sequences, and one that marks nothing."""
    rng = np.random.default_rng(0)
    sites = pd.DataFrame({"row": np.arange(N), "start": rng.integers(0, LENGTH - 10, N)})
    sites = sites.assign(end=sites["start"] + 10, counted=True)
    other = sites.assign(start=0, end=LENGTH, counted=False)  # a site that is no truth for the task
    marks, noise = rng.normal(size=(2, N, LENGTH))
    for row, start in zip(sites["row"][::2], sites["start"][::2], strict=True):
        marks[row, start : start + 10] += 5
    scores = {"ism@none": marks, "saliency@none": noise}
    return AttributedSequences(
        "basset", "HepG2", [f"s{i}" for i in range(N)], np.zeros((N, LENGTH)), pd.concat([sites, other]), scores
    )


@pytest.fixture(scope="module")
def twin(place):
    likeness = pd.DataFrame({"measure": ["gc"], "real": 0.5, "twin": 0.5, "low": 0.4, "high": 0.6})
    summary = summarised(per_sequence(tasks=("HepG2",)), sign="absolute")
    return results(grammar_run())._replace(likeness=likeness, summary=summary, sequences=[place])


def test_curves_and_rows_are_those_of_the_sequences(twin, place):
    figures = {}
    found = what_scores_are_worth(twin, LABELS, figures)
    ((caption, table),) = found.tables
    assert caption == "basset, HepG2"
    ism, saliency = table.rows
    assert [row[0] for row in table.rows] == [LABELS["ism@none"], LABELS["saliency@none"]]
    sites = place.sites[place.sites["counted"]]
    scores = np.abs(place.scores["ism@none"])
    called = candidates(scores)
    right = stands_on_site(called, sites)
    assert ism[1] == f"{100 * right.mean():.0f}%"
    assert 90 <= int(ism[2]) <= 115  # about the hundred that are marked
    assert ism[4] in {"98%", "99%", "100%"}
    assert saliency[2:] == ["0", "–", "–", "–"]
    curve = pd.read_csv(io.StringIO(next(iter(figures.values()))["csv"]))
    mine = curve[curve["method"] == LABELS["ism@none"]]
    again = calibrate(called["score"] / scores.mean(), right, min_group=50)
    np.testing.assert_allclose(mine["probability"], again.probabilities)
    np.testing.assert_allclose(mine["score"], again.scores)


def test_only_a_twin_whose_sites_are_its_own_has_the_section(twin):
    assert what_scores_are_worth(twin._replace(likeness=None), LABELS, {}) is None
    scanned = {**twin.config, "scoring": {"truth": "rescanned"}}
    assert what_scores_are_worth(twin._replace(config=scanned), LABELS, {}) is None
    assert what_scores_are_worth(twin._replace(sequences=[]), LABELS, {}) is None
