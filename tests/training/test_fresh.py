"""Fresh training batches: of the data set's grammar, never of its sequences, the same however they are drawn."""

import dataclasses
import itertools
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from helpers.interruptions import CutError, cut_after
from helpers.planted_words import make_dataset, network, recipe
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dataset_grammar import grammar_of
from simbench_tf.dna import encode, reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.motifs import load_motifs
from simbench_tf.random_streams import stream_key
from simbench_tf.simulate.grammar import build_grammar, draw, draw_bases
from simbench_tf.stages.train import inputs as training_inputs
from simbench_tf.training import train
from simbench_tf.training.checkpoints import Checkpoint
from simbench_tf.training.fresh_batches import PURPOSE, fresh_batches, fresh_data

WORDS = [encode(["".join(word)])[0] for word in itertools.product("ACGT", repeat=4)]


@pytest.fixture(scope="module")
def ds(tiny_run):
    return open_dataset(tiny_run)


@pytest.fixture(scope="module")
def grammar(ds):
    return grammar_of(ds)


def grammar_from(*settings, source="demo"):
    simulation = load_config(source, settings).simulation
    return build_grammar(simulation, load_motifs(simulation.motifs))


def joined(batches, n):
    bases, labels = zip(*itertools.islice(batches, n), strict=True)
    return np.concatenate(bases), np.concatenate(labels)


# what is drawn


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("demo", []),
        ("rules", []),
        ("demo", ["simulation.background=[[.4, .1, .2, .3]]"]),
        ("demo", ["simulation.label_correlation=.5", "simulation.elements.0.rate=2"]),
    ],
    ids=["motifs", "pairs and rules", "order 0", "correlated labels and many sites"],
)
def test_bases_and_labels_are_those_of_the_simulator(source, settings):
    grammar = grammar_from(*settings, source=source)
    sequences = draw(grammar, 7, 10, 200).sequences
    bases, labels = draw_bases(grammar, 7, 10, 200)
    np.testing.assert_array_equal(bases, encode(sequences["sequence"].to_pylist()))
    np.testing.assert_array_equal(labels, np.stack([np.asarray(sequences[task]) for task in grammar.tasks], axis=1))
    assert (bases.dtype, labels.dtype) == (np.uint8, np.uint8)


def word_rates(bases):
    """How often each word of four bases stands in each sequence, float64 (N, 256)."""
    codes = bases.astype(np.int64)
    codes = ((codes[:, :-3] * 4 + codes[:, 1:-2]) * 4 + codes[:, 2:-1]) * 4 + codes[:, 3:]
    return np.stack([(codes == word).sum(axis=1) for word in range(256)], axis=1).astype(np.float64)


def standardised(one, other):
    """The differences of means in their standard errors, (256,)."""
    errors = np.sqrt(one.var(axis=0) / len(one) + other.var(axis=0) / len(other))
    return (one.mean(axis=0) - other.mean(axis=0)) / errors


def test_fresh_sequences_have_the_statistics_of_the_data_set(ds, grammar):
    """Words of four bases among positives and among negatives, against 5,000 sequences of the simulator.

    The same test tells a grammar whose motifs are a tenth less frequent with their label.
    """
    bases, labels = joined(fresh_batches(grammar, 500, seed=3), 10)
    fractions = labels.mean(axis=0)
    assert (np.abs(fractions - [0.4, 0.3]) < 4 * np.sqrt([0.24 / 5000, 0.21 / 5000])).all()
    together = (labels == 1).all(axis=1).mean()
    assert abs(together - 0.12) < 4 * np.sqrt(0.12 * 0.88 / 5000)
    theirs, their_labels = draw_bases(grammar, 11, 0, 5000)
    for task, label in itertools.product((0, 1), (0, 1)):
        rows, their_rows = labels[:, task] == label, their_labels[:, task] == label
        differences = standardised(word_rates(bases[rows]), word_rates(theirs[their_rows]))
        assert np.abs(differences).max() < 4.5
        assert 0.8 < differences.std() < 1.2
    fewer = ["simulation.elements.1.enriched={K562: .8}"]
    config = load_config(ds.path.parent / "config.yaml", fewer).simulation
    others, other_labels = draw_bases(build_grammar(config, load_motifs("default")), 11, 0, 5000)
    rows, other_rows = labels[:, 1] == 1, other_labels[:, 1] == 1
    assert np.abs(standardised(word_rates(bases[rows]), word_rates(others[other_rows]))).max() > 6


def test_fresh_sequences_are_none_of_a_data_set(grammar):
    """Keys differ for each use and seed, so random numbers do; the same numbers are equal in a quarter of places."""
    uses = ("elements", "bases", "labels")
    keys = [stream_key(seed, f"{use} {what}") for seed in range(300) for use in ("grammar", PURPOSE) for what in uses]
    assert len(set(map(int, keys))) == len(keys)
    kept, _ = draw_bases(grammar, 7, 0, 3000)
    drawn, _ = joined(fresh_batches(grammar, 500, seed=7), 6)
    assert not {row.tobytes() for row in kept} & {row.tobytes() for row in drawn}
    same = (kept == drawn).mean()
    unrelated = (kept == np.roll(drawn, 1, axis=0)).mean()
    assert abs(same - unrelated) < 4 * np.sqrt(2 * 0.25 * 0.75 / kept.size)
    np.testing.assert_array_equal(kept, draw_bases(grammar, 7, 0, 3000)[0])


# determinism


def test_batches_are_the_same_on_any_number_of_threads_and_from_any_batch(grammar):
    expected = joined(fresh_batches(grammar, 40, seed=5, n_threads=1), 9)
    for n_threads in (2, 5):
        for mine, theirs in zip(joined(fresh_batches(grammar, 40, 5, n_threads=n_threads), 9), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(joined(fresh_batches(grammar, 40, 5, first_batch=4), 5), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs[160:])
    for mine, theirs in zip(joined(fresh_batches(grammar, 90, 5), 4), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(joined(fresh_batches(grammar, 40, 6), 9)[0], expected[0])


def test_strands_and_shifts_of_fresh_sequences_go_on_where_they_were(grammar):
    plain, labels = joined(fresh_batches(grammar, 50, seed=5), 8)
    turned, same_labels = joined(fresh_batches(grammar, 50, seed=5, reverse_complement=True), 8)
    is_other = (turned == reverse_complement(plain)).all(axis=1)
    assert (is_other | (turned == plain).all(axis=1)).all()
    assert abs(is_other.sum() - 200) < 5 * 10
    np.testing.assert_array_equal(labels, same_labels)
    varied = joined(fresh_batches(grammar, 50, seed=5, reverse_complement=True, shift=2), 8)[0]
    later = joined(fresh_batches(grammar, 50, 5, 3, reverse_complement=True, shift=2), 5)[0]
    np.testing.assert_array_equal(later, varied[150:])
    assert (varied == 4).any()


def test_batches_for_keras(grammar):
    data = fresh_data(grammar, 30, seed=5, first_batch=2)
    assert data.options().autotune.enabled is False, "deleting an iterator would wait for the thread that tunes"
    expected, labels = joined(fresh_batches(grammar, 30, seed=5, first_batch=2), 3)
    got = [(bases.numpy(), marks.numpy()) for bases, marks in data.take(3)]
    np.testing.assert_array_equal(np.concatenate([bases for bases, _ in got]), expected)
    np.testing.assert_array_equal(np.concatenate([marks for _, marks in got]), labels)


# training


def small(ds):
    start = keras.initializers.GlorotUniform(seed=1)  # made before `network` sets Keras' seed
    return network(keras.layers.Dense(2, "sigmoid", kernel_initializer=start), seq_length=ds.seq_length)


def seen_by(ds, **settings):
    """The history and the weights of 12 batches in rounds of 5."""
    model = small(ds)
    given = {"batch_size": 30, "max_batches": 12, "validate_every": 5, "fresh": True, "patience": 9}
    trained = train(model, ds, recipe(**{**given, **settings}), seed=3)
    return trained.history, model.get_weights()


def test_training_sees_fresh_sequences_and_counts_them(ds, grammar):
    """A rate too small to move anything: the loss is that of the model as it was given, on those sequences."""
    model = small(ds)
    bases, labels = joined(fresh_batches(grammar, 30, seed=3), 12)
    probabilities = model.predict(np.eye(5, 4, dtype=np.float32)[bases], verbose=0).astype(float)
    losses = -np.where(labels == 1, np.log(probabilities), np.log1p(-probabilities)).mean(axis=1)
    history, _ = seen_by(ds, learning_rate=1e-12)
    assert list(history)[:3] == ["batch", "n_sequences_seen", "loss"]
    assert history["batch"].tolist() == [5, 10, 12]
    assert history["n_sequences_seen"].tolist() == [150, 300, 360]
    expected = [losses[:150].mean(), losses[150:300].mean(), losses[300:].mean()]
    assert history["loss"].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_round_is_as_long_as_an_epoch_would_be(ds):
    """Of 900 sequences some 630 are trained on: 22 batches of 30."""
    n_batches = -(-ds.counts["train"] // 30)
    history, _ = seen_by(ds, validate_every=None, max_batches=30)
    assert history["batch"].tolist() == [n_batches, 30]
    assert history["n_sequences_seen"].tolist() == [30 * n_batches, 900]


def test_another_seed_sees_others(ds):
    history, _ = seen_by(ds)
    other = train(small(ds), ds, recipe(batch_size=30, max_batches=12, validate_every=5, fresh=True), seed=4).history
    assert not np.allclose(history["loss"], other["loss"], rtol=1e-3)


def test_training_that_was_cut_off_goes_on_with_the_sequences_it_had_not_seen(ds, tmp_path):
    training = recipe(batch_size=30, max_batches=20, validate_every=7, fresh=True, checkpoint_interval=3)
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "a")
    unbroken = small(ds)
    expected = train(unbroken, ds, training, seed=3).history
    for cut in (4, 8):
        with pytest.raises(CutError):
            train(small(ds), ds, training, seed=3, progress=cut_after(cut), checkpoint=checkpoint)
    begun, model = [], small(ds)
    history = train(model, ds, training, seed=3, progress=begun.append, checkpoint=checkpoint).history
    assert begun[0] in (6, 7)
    pd.testing.assert_frame_equal(history, expected, rtol=1e-5)
    for mine, theirs in zip(model.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_run_trains_on_fresh_sequences(ds, tiny_run, tiny_config, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    config = load_config(tiny_config, ["training.fresh=true", "training.max_batches=3"])
    pipeline.train(config, run)
    history = pd.read_csv(run / "models" / "basset" / "history.csv")
    assert history["n_sequences_seen"].tolist() == [150]


def test_models_of_before_are_not_trained_again_for_settings_that_are_off():
    def made_from(*settings):
        config = load_config("demo", ["training={max_batches: 9}", *settings])
        return training_inputs(config, config.replicates[0])["training"]

    assert not {"fresh", "augment", "ema_momentum"} & set(made_from())
    assert made_from("training.fresh=true")["fresh"] is True
    assert made_from("training.augment.shift=2")["augment"] == {"shift": 2}
    assert made_from("training.ema_momentum=.9")["ema_momentum"] == 0.9


# what cannot be


def test_data_without_their_configuration(ds, tmp_path):
    shutil.copytree(ds.path, tmp_path / "dataset")
    with pytest.raises(InputError, match=r"training\.fresh: .*there is no .*config\.yaml; open the data set within"):
        train(small(ds), open_dataset(tmp_path), fresh=True)


@pytest.mark.parametrize(
    "changed", ["seed=8", "simulation.elements.0.rate=.3", "simulation.seq_length=300", "simulation.tasks.H1={}"]
)
def test_a_configuration_that_draws_other_sequences(ds, tiny_config, changed):
    config = load_config(tiny_config, [changed])
    with pytest.raises(InputError, match=r"draws other sequences than .*dataset holds; simulate again"):
        train(small(ds), ds, recipe(fresh=True), drawn_by=config)


@pytest.mark.parametrize(
    ("kind", "notes", "message"),
    [
        ("text", {}, r"holds text data, and how these were drawn is not known; leave it out"),
        ("peaks", {"clean_background": True}, r"would bring back the chance hits that .* was cleared of; leave it out"),
    ],
)
def test_data_that_cannot_be_drawn_anew(tmp_path, kind, notes, message):
    dataset = dataclasses.replace(make_dataset(tmp_path / "dataset"), kind=kind, notes=notes)
    with pytest.raises(InputError, match=rf"training\.fresh: .*{message}") as error:
        train(network(), dataset, fresh=True)
    assert "\n" not in str(error.value)


# new backgrounds of peaks data


@pytest.fixture(scope="module")
def peaks(ds):
    """The same sequences and sites, as if they were made from peaks."""
    return dataclasses.replace(ds, kind="peaks")


def stretches(bases, is_free):
    """The runs of free bases of one sequence, as lists."""
    runs, run = [], []
    for base, free in zip(bases.tolist(), is_free.tolist(), strict=True):
        if free:
            run.append(base)
        elif run:
            runs, run = [*runs, run], []
    return [*runs, run] if run else runs


def test_new_backgrounds_leave_sites_and_keep_dinucleotides_of_every_stretch(peaks):
    def batches(first_batch=0, n=24, **settings):
        data = peaks.tf_data("train", 60, seed=3, repeat=True, first_batch=first_batch, as_bases=True, **settings)
        return [(bases.numpy(), labels.numpy()) for bases, labels in data.take(n)]

    masks = dict(zip(map(bytes, peaks.bases("train")), peaks.mask("train"), strict=True))
    n_changed = n_free = 0
    for (bases, labels), (given, same) in zip(batches(new_background=True), batches(), strict=True):
        np.testing.assert_array_equal(labels, same)
        for mine, theirs in zip(bases, given, strict=True):
            sites = masks[bytes(theirs)]
            np.testing.assert_array_equal(mine[sites], theirs[sites])
            for one, other in zip(stretches(mine, ~sites), stretches(theirs, ~sites), strict=True):
                assert sorted(itertools.pairwise(one)) == sorted(itertools.pairwise(other))
                assert (one[0], one[-1]) == (other[0], other[-1])
            n_changed, n_free = n_changed + (mine != theirs)[~sites].sum(), n_free + (~sites).sum()
    assert 0.6 < n_changed / n_free < 0.76, "unrelated bases differ in about 3/4 of places"
    shown, later = batches(new_background=True), batches(5, 10, new_background=True)
    for (mine, _), (theirs, _) in zip(later, shown[5:], strict=False):
        np.testing.assert_array_equal(mine, theirs)
    whole = [bases.tobytes() for batch, _ in shown for bases in batch]
    assert len(set(whole)) == len(whole), "no sequence twice in two epochs"


def test_training_sees_new_backgrounds_of_peaks(peaks):
    """A rate too small to move anything: the loss is that of the model as it was given, on those sequences."""
    model = small(peaks)
    data = peaks.tf_data("train", 30, seed=3, repeat=True, as_bases=True, new_background=True).take(5)
    bases, labels = (np.concatenate(each) for each in zip(*data.as_numpy_iterator(), strict=True))
    probabilities = model.predict(np.eye(5, 4, dtype=np.float32)[bases], verbose=0).astype(float)
    expected = -np.where(labels == 1, np.log(probabilities), np.log1p(-probabilities)).mean()
    settings = {"batch_size": 30, "learning_rate": 1e-12, "max_batches": 5, "fresh": True}
    assert train(model, peaks, recipe(**settings), seed=3).history["loss"].item() == pytest.approx(expected, abs=1e-5)
