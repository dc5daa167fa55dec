"""Varied training sequences, against a plain loop: shifts, after strands, drawn anew each epoch."""

import numpy as np
import pytest

from helpers.planted_words import LENGTH, make_dataset, network, recipe
from simbench_tf.dataset.batches import augmented
from simbench_tf.dna import reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms
from simbench_tf.training import train


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("planted"))


def moved(sequence, by):
    """Base i of the result is base i + by, or N where there is none."""
    return [sequence[i + by] if 0 <= i + by < len(sequence) else 4 for i in range(len(sequence))]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("shift", [1, 3, 11])
def test_shifts_by_a_plain_loop(both, shift):
    bases = np.random.default_rng(1).integers(0, 5, (300, 12)).astype(np.uint8)
    got = augmented(bases, 4, "epoch 2", 50, both, shift)
    turned = reverse_complement(bases)
    other = uniforms(4, "epoch 2 strand", np.arange(50, 350))[:, 0] < 0.5 if both else np.zeros(300, bool)
    by = np.floor(uniforms(4, "epoch 2 shift", np.arange(50, 350))[:, 0] * (2 * shift + 1)).astype(int) - shift
    assert set(by) == set(range(-shift, shift + 1))
    expected = [moved((turned if other[row] else bases)[row], by[row]) for row in range(300)]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(
        augmented(bases, 4, "epoch 2", 50, both, 0), turned * other[:, None] + bases * ~other[:, None]
    )


def test_every_shift_is_as_likely(ds):
    """Chi-square of 7 shifts in 20 epochs of 100 sequences: 99.9% lie below 22.5."""
    plain = {row.tobytes(): row for row in ds.bases("train")}
    counts = np.zeros(7)
    batches = list(ds.tf_data("train", 50, seed=3, repeat=True, as_bases=True, shift=3).take(40))
    same = list(ds.tf_data("train", 50, seed=3, repeat=True, as_bases=True).take(40))
    for (bases, labels), (given, same_labels) in zip(batches, same, strict=True):
        np.testing.assert_array_equal(labels, same_labels)
        for mine, theirs in zip(bases.numpy(), given.numpy(), strict=True):
            assert theirs.tobytes() in plain
            fits = [by for by in range(-3, 4) if mine.tolist() == moved(theirs, by)]
            assert len(fits) == 1
            counts[fits[0] + 3] += 1
    expected = counts.sum() / 7
    assert ((counts - expected) ** 2 / expected).sum() < 22.5
    epochs = [np.concatenate([bases.numpy() for bases, _ in batches[first : first + 2]]) for first in (0, 2)]
    assert {row.tobytes() for row in epochs[0]} != {row.tobytes() for row in epochs[1]}, "drawn anew each epoch"


def test_shifted_batches_go_on_where_they_were(ds):
    def batches(first_batch, n):
        data = ds.tf_data(
            "train", 30, 3, repeat=True, first_batch=first_batch, as_bases=True, shift=2, reverse_complement=True
        )
        return [bases.numpy() for bases, _ in data.take(n)]

    for mine, theirs in zip(batches(5, 4), batches(0, 9)[5:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_training_sees_shifted_sequences(ds):
    """A rate too small to move anything: the loss is that of the model as it was given, on those sequences."""
    model = network()
    rows = list(ds.tf_data("train", 50, seed=1, repeat=True, as_bases=True, shift=9).take(2))
    bases, labels = (np.concatenate([row[number].numpy() for row in rows]) for number in (0, 1))
    probabilities = model.predict(np.eye(5, 4, dtype=np.float32)[bases], verbose=0).astype(float)
    expected = -np.where(labels == 1, np.log(probabilities), np.log1p(-probabilities)).mean()
    model.layers[-2].rate = 0.0
    settings = {"batch_size": 50, "learning_rate": 1e-12, "max_batches": 2, "augment": {"shift": 9}}
    assert train(model, ds, recipe(**settings), seed=1).history["loss"].item() == pytest.approx(expected, abs=1e-5)


def test_shifts_beyond_the_sequence(ds):
    with pytest.raises(InputError, match=rf"training\.augment\.shift: {LENGTH} bases are no less than the {LENGTH} of"):
        train(network(), ds, augment={"shift": LENGTH})
    with pytest.raises(ValueError, match="cannot move sequences of 40 bases by 40"):
        ds.tf_data("train", shift=LENGTH)
