"""Training on shuffled labels: each sequence has those of another one, and a network learns nothing."""

import itertools

import numpy as np
import pytest

from helpers.planted_words import make_dataset, network, recipe
from simbench_tf.dataset import open_dataset
from simbench_tf.dataset_grammar import grammar_of
from simbench_tf.random_streams import permutation
from simbench_tf.training import train
from simbench_tf.training.fresh_batches import fresh_batches


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("planted"), {"train": 600, "valid": 200, "test": 300})


def epochs(ds, n_epochs=2, **settings):
    """Labels of each sequence in each epoch, by its bases, (epochs, N, T)."""
    data = ds.tf_data("train", 100, as_bases=True, repeat=True, **settings).take(6 * n_epochs)
    bases, labels = (np.concatenate(each) for each in zip(*data.as_numpy_iterator(), strict=True))
    found = []
    for own, of_these in zip(np.split(bases, n_epochs), np.split(labels, n_epochs), strict=True):
        found.append(of_these[np.lexsort(own.T)])
    return np.stack(found)


def test_each_sequence_has_the_labels_of_another_in_all_epochs(ds):
    true, shuffled = epochs(ds, seed=3), epochs(ds, seed=3, shuffled_labels=True)
    np.testing.assert_array_equal(shuffled[0], shuffled[1])
    # rows go together: as many of each pattern, and in another order
    np.testing.assert_array_equal(*(np.unique(each[0], axis=0, return_counts=True)[1] for each in (true, shuffled)))
    assert 0.4 < (true[0, :, 0] == shuffled[0, :, 0]).mean() < 0.6
    assert (epochs(ds, seed=4, shuffled_labels=True)[0] != shuffled[0]).any()


def test_a_part_too_large_for_memory_has_the_same_labels(ds):
    whole = epochs(ds, seed=3, shuffled_labels=True)
    np.testing.assert_array_equal(epochs(ds, seed=3, shuffled_labels=True, in_memory_bytes=1), whole)


def test_fresh_sequences_have_those_of_their_batch(tiny_run):
    grammar = grammar_of(open_dataset(tiny_run))
    pairs = zip(fresh_batches(grammar, 50, 1), fresh_batches(grammar, 50, 1, shuffled_labels=True), strict=True)
    for number, ((bases, labels), (same, shuffled)) in enumerate(itertools.islice(pairs, 3)):
        np.testing.assert_array_equal(bases, same)
        np.testing.assert_array_equal(shuffled, labels[permutation(1, f"labels of batch {number}", 50)])


def test_a_network_learns_from_labels_and_not_from_shuffled_ones(ds):
    measured = {}
    for shuffled in (False, True):
        found = train(network(), ds, recipe(batch_size=50, max_batches=240, patience=100, shuffled_labels=shuffled))
        measured[shuffled] = np.mean([each["auroc"] for each in found.metrics.values()])
        measured[shuffled, "valid"] = found.history["valid_auroc"].iloc[-1]
    assert measured[False] > 0.9
    assert measured[False, "valid"] > 0.9
    # of 300 and 200 sequences: three standard errors of a mean of two tasks are about .07 and .09
    assert abs(measured[True] - 0.5) < 0.1
    assert abs(measured[True, "valid"] - 0.5) < 0.1
