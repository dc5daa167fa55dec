"""What sites are worth to a model: by hand for a grammar of one motif, and to a model that counts words."""

import keras
import numpy as np

from simbench_tf.dataset import open_dataset
from simbench_tf.perfect import site_importance


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
