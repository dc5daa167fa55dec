"""What sites are worth: by the exact posterior, summed over what the missing bases could be, and to other models."""

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from scipy.special import logsumexp

import simbench_tf as sb
from helpers.grammars import grammar_of, sharp
from simbench_tf.dataset import open_dataset
from simbench_tf.dna.arrow import bases_of
from simbench_tf.perfect import site_importance
from simbench_tf.perfect.oracle import oracle_of
from simbench_tf.simulate.grammar import draw
from simbench_tf.simulate.oracle import label_log_odds, log_likelihood

SMALL = {
    "seq_length": 20,
    "tasks": {"a": {"fraction": 0.5}, "b": {"fraction": 0.4}},
    "elements": [
        {"motif": "TF_GATA", "rate": 0.4, "enriched": {"a": 1.0}},
        {"motif": "TF_CCGT", "rate": 0.4, "enriched": {"a": 0.5, "b": 0.8}},
    ],
    "rules": [{"task": "b", "when": "TF_GATA and TF_CCGT"}],
}


@pytest.mark.slow
def test_the_exact_worth_is_that_of_all_that_the_missing_bases_could_be():
    grammar = grammar_of([sharp("GATA", share=0.9), sharp("CCGT", share=0.9)], **SMALL)
    data = draw(grammar, 5, 0, 60)
    sites = data.sites.to_pandas()
    kept = sites.groupby("seq_id").filter(lambda each: len(each) == 2 and _apart(each))
    seq_id = kept["seq_id"].iloc[0]
    bases, seq_ids = bases_of(data.sequences["sequence"]), data.sequences["seq_id"].to_numpy()
    row = int(np.flatnonzero(seq_ids == seq_id)[0])
    dataset = SimpleNamespace(
        seq_ids=lambda split: seq_ids, bases=lambda split: bases, sites=sites, tasks=["a", "b"], seq_length=20
    )
    found = site_importance(oracle_of(grammar), dataset, [row])
    first, second = (slice(site.start, site.end) for site in found.itertuples())
    none, one, other, both = (
        _worth(grammar, bases[row], missing) for missing in ([first, second], [second], [first], [])
    )
    # each site is read before the other in one order of two
    expected = [((one - none) + (both - other)) / 2, ((other - none) + (both - one)) / 2]
    np.testing.assert_allclose(found[["a", "b"]].to_numpy(), expected, atol=1e-5)
    assert found["seq_id"].tolist() == [seq_id] * 2
    assert np.abs(both - one - other + none).max() > 0.02  # so that the orders matter


def _apart(sites) -> bool:
    start, end = sites["start"].to_numpy(), sites["end"].to_numpy()
    return bool(start.max() >= end.min() or end.max() <= start.min())


def _worth(grammar, bases, missing):
    """Log-odds of each task, the likelihood being the sum over all bases that could stand where they are missing."""
    places = [place for each in missing for place in range(each.start, each.stop)]
    filled = np.repeat(bases[None], 4 ** len(places), axis=0)
    filled[:, places] = list(itertools.product(range(4), repeat=len(places)))
    return label_log_odds(grammar, logsumexp(log_likelihood(grammar, filled), axis=0)[None])[0]


def test_it_is_a_name_of_the_package():
    assert sb.site_importance is site_importance


def test_values_of_a_model_that_counts_words(tiny_run):
    """A linear model gives each base what it weighs, so that a site is worth its bases, and overlaps count once."""
    dataset = open_dataset(tiny_run)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((dataset.seq_length, 4)), keras.layers.Flatten(), keras.layers.Dense(2)])
    rows = np.arange(30)[::-1]
    found = site_importance(model, dataset, rows)
    kernel = model.layers[-1].kernel.numpy().reshape(dataset.seq_length, 4, 2)
    bases = dataset.bases("test")[rows]
    assert len(found) > 20
    assert set(found["seq_id"]) <= set(np.asarray(dataset.seq_ids("test"))[rows])
    for row, sites in found.groupby("row"):
        weights = kernel[np.arange(dataset.seq_length), bases[row]]
        covered = np.zeros((len(sites), dataset.seq_length))
        for place, site in enumerate(sites.itertuples()):
            covered[place, site.start : site.end] = 1
        shares = covered / np.maximum(covered.sum(axis=0), 1)
        np.testing.assert_allclose(sites[dataset.tasks], shares @ weights, atol=1e-4)
    assert (found[[f"{task}_error" for task in dataset.tasks]] == 0).all(axis=None)
