"""Belief: calibrated on held-out draws of the grammar that it was fitted on, and shown wrong where it was not."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import simbench_tf as sb
from helpers.grammars import grammar_of, sharp
from simbench_tf.dataset import covered
from simbench_tf.discovery.belief import believed_calls, crossed, fit_belief, pooled, scaled, stands_on_site
from simbench_tf.dna.arrow import bases_of
from simbench_tf.perfect import planted_network
from simbench_tf.score import reliability
from simbench_tf.simulate.grammar import draw

MOTIFS = [sharp("CAAAGTCC", share=0.85), sharp("AGATAAGA", share=0.85), sharp("CCGGAAGT", share=0.85)]
ELEMENTS = [
    {"motif": MOTIFS[0].tf, "rate": 0.2, "enriched": {"x": 0.8}},
    {"motif": MOTIFS[1].tf, "rate": 0.2, "enriched": {"x": 0.8}},
    {"motif": MOTIFS[2].tf, "rate": 0.2, "enriched": {"x": 0.8}},
]


class World(NamedTuple):
    """Attributions of positives (N, L), and their true sites."""

    scores: np.ndarray
    sites: pd.DataFrame


def world(seed, elements=ELEMENTS, n=2000, size=1.0):
    """Positives of a grammar explained by its planted network, whose attributions are of some size."""
    names = [element["motif"] for element in elements]
    motifs = [motif for motif in MOTIFS if motif.tf in names]
    grammar = grammar_of(motifs, seq_length=100, tasks={"x": {"fraction": 0.4}}, elements=elements)
    drawn = draw(grammar, seed, 0, n)
    positive = np.flatnonzero(drawn.sequences["x"].to_numpy() == 1)
    sites = drawn.sites.to_pandas()
    row = pd.Index(positive).get_indexer(sites["seq_id"].str[3:].astype(int))
    x = sb.one_hot(bases_of(drawn.sequences["sequence"])[positive])
    scores = sb.attribute(planted_network(grammar), x, "grad_x_input").scores
    return World(scaled(size * scores), sites.assign(row=row)[row >= 0])


@pytest.fixture(scope="module")
def twin():
    return world(1, n=6000)  # so many that the fit has hardly an error of its own


@pytest.fixture(scope="module")
def real():
    return world(2, size=40.0)


def held(found):
    """How many bins have their stated probability in the interval."""
    return ((found["low"] <= found["predicted"]) & (found["predicted"] <= found["high"])).sum()


def test_held_out_draws_are_calibrated_within_their_error_whatever_the_size_of_attributions(twin, real):
    belief = fit_belief(*twin)
    rows = np.arange(len(real.scores))[:, None]
    bases = reliability(belief.bases.predict(real.scores), covered(real.sites, real.scores.shape), sequences=rows)
    assert bases["predicted"].max() > 0.5
    assert held(bases) >= len(bases) - 2  # of 95% intervals one or two may miss
    calls = believed_calls(belief, real.scores)
    right = stands_on_site(calls, real.sites)
    of_calls = reliability(calls["probability"], right, sequences=calls["row"])
    assert of_calls["predicted"].max() > 0.7
    assert held(of_calls) >= len(of_calls) - 2
    surely = calls["probability"] >= 0.6
    assert right[surely].mean() == pytest.approx(calls["probability"][surely].mean(), abs=0.04)


def test_a_motif_that_the_twin_lacks_is_not_believed(real):
    belief = fit_belief(*world(1, ELEMENTS[:1]))
    probabilities = belief.bases.predict(real.scores)
    mask = covered(real.sites, real.scores.shape)
    table = reliability(probabilities, mask, sequences=np.arange(len(mask))[:, None])
    assert mask.mean() > 2 * probabilities.mean()
    assert held(table) < len(table) / 2


def test_sequences_are_predicted_by_others(twin):
    scores, sites = twin.scores[:90], twin.sites[twin.sites["row"] < 90]
    found = crossed(pooled([scores], sites), n_folds=3)
    scores = scaled(scores)
    others = np.arange(90) % 3 != 1
    number = pd.Series(np.cumsum(others) - 1)[others]  # of a sequence among the others
    own = sites[sites["row"].isin(number.index)]
    belief = fit_belief(scores[others], own.assign(row=own["row"].map(number)))
    np.testing.assert_allclose(found.bases[1::3], belief.bases.predict(scores[1::3]))
    calls = believed_calls(belief, scores[1::3])
    mine = found.calls[found.calls["row"] % 3 == 1]
    assert mine["row"].tolist() == (3 * calls["row"] + 1).tolist()
    np.testing.assert_allclose(mine["probability"], calls["probability"])
    np.testing.assert_array_equal(found.calls["right"], stands_on_site(found.calls, sites))


def test_a_training_is_predicted_by_the_others_on_other_sequences(twin):
    scores, sites = twin.scores[:80], twin.sites[twin.sites["row"] < 80]
    noise = np.random.default_rng(0).normal(size=scores.shape)  # of a training that has learnt nothing
    found = crossed(pooled([scores, noise], sites), n_folds=2)
    even = sites[sites["row"] % 2 == 0]
    learnt = fit_belief(scaled(scores)[::2], even.assign(row=even["row"] // 2))
    nothing = fit_belief(scaled(noise)[::2], even.assign(row=even["row"] // 2))
    np.testing.assert_allclose(found.bases[1:80:2], nothing.bases.predict(scaled(scores)[1::2]))
    np.testing.assert_allclose(found.bases[81::2], learnt.bases.predict(scaled(noise)[1::2]))
    own = found.calls[found.calls["row"] >= 80]
    again = stands_on_site(own.assign(row=own["row"] - 80), sites)
    np.testing.assert_array_equal(own["right"], again)


def test_signs_count_where_they_are_asked_for(twin):
    flipped = World(-np.abs(twin.scores), twin.sites)
    assert np.ptp(fit_belief(*flipped, sign="signed").calls.probabilities) == 0  # no call is above another
    assert np.ptp(fit_belief(*flipped).calls.probabilities) > 0.5


def test_bases_that_do_not_count_are_in_no_call(twin):
    scores = twin.scores.copy()
    scores[:, :50] = np.nan
    belief = fit_belief(scores, twin.sites)
    assert believed_calls(belief, scores)["start"].min() >= 41  # a window has numbers alone, its ends may go on
    assert np.isnan(belief.bases.predict(scores)[:, :50]).all()
