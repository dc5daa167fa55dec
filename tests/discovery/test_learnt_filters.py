"""Motifs of first filters: of kernels that are the motifs, of untrained ones, and against a plain loop."""

import keras
import numpy as np
import pytest

from helpers.models import random_bases, with_weights
from simbench_tf.config import load_config
from simbench_tf.discovery import filter_motifs, learnt_filters, score_motifs
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.models import basset
from simbench_tf.motifs import load_motifs
from simbench_tf.perfect import planted_network
from simbench_tf.simulate.grammar import build_grammar, draw_bases, zero_order_background


@pytest.fixture(scope="module")
def demo():
    """The demo's grammar, and sequences of it."""
    grammar = build_grammar(load_config("demo").simulation, load_motifs("default"))
    return grammar, draw_bases(grammar, 3, 0, 1_500)[0]


def true_rows(found, grammar):
    scored = score_motifs(found, grammar.motifs, background=zero_order_background(grammar))
    return scored[scored["kind"] == "true"]


def test_kernels_that_are_the_motifs_give_the_motifs(demo):
    grammar, bases = demo
    found = filter_motifs(planted_network(grammar, activation="relu"), bases)
    true = true_rows(found.motifs, grammar)
    assert true["status"].isin(["found", "split"]).all()
    assert (true["correlation"] > 0.95).all()
    # each of the two strands is a filter
    assert len(found.motifs) == 2 * len(grammar.motifs) == len(found.table)
    assert (found.table["information"] > 8).all()


def test_an_untrained_network_has_found_few(demo):
    grammar, bases = demo
    found = filter_motifs(basset(seq_length=400, width=0.1, seed=1), bases[:500])
    assert len(found.motifs) > 20
    assert true_rows(found.motifs, grammar)["status"].eq("missed").mean() > 0.8


def plain(activations, bases, span, stride, left, threshold, weighted, pseudocount):
    """The motif of each filter, window by window and base by base; None where it never activates."""
    known = [base for base in bases.ravel() if base < 4]
    frequencies = np.array([known.count(base) / len(known) for base in range(4)])
    motifs = []
    for values in np.moveaxis(activations.astype(float), 2, 0):
        above = [place for place in np.ndindex(*values.shape) if values[place] > max(threshold * values.max(), 0)]
        if not above:
            motifs.append((None, 0))
            continue
        mean = np.mean([values[place] for place in above])
        counts = np.tile(pseudocount * frequencies, (span, 1))
        for row, position in above:
            for offset in range(span):
                at = position * stride - left + offset
                if 0 <= at < bases.shape[1] and bases[row, at] < 4:
                    counts[offset, bases[row, at]] += values[row, position] / mean if weighted else 1
        motifs.append((counts / counts.sum(axis=1, keepdims=True), len(above)))
    return motifs


@pytest.mark.parametrize(
    ("settings", "stride", "left", "span"),
    [
        ({"padding": "valid"}, 1, 0, 5),
        ({"padding": "same"}, 1, 2, 5),
        ({"padding": "same", "strides": 3}, 3, 1, 5),
        ({"padding": "causal", "dilation_rate": 2}, 1, 8, 9),
    ],
)
@pytest.mark.parametrize("weighted", [True, False])
def test_equal_to_a_plain_loop(settings, stride, left, span, weighted, monkeypatch):
    monkeypatch.setattr(learnt_filters, "_BATCH_VALUES", 500)  # several batches
    monkeypatch.setattr(learnt_filters, "_WINDOWS", 7)
    inputs = keras.Input((30, 4))
    x = keras.layers.Conv1D(6, 5, **settings)(keras.layers.Dropout(0.2)(inputs))
    unit = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    model = with_weights(keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(unit))))
    layer = next(each for each in model.layers if isinstance(each, keras.layers.BatchNormalization))
    layer.beta.assign([-100, 0.5, -0.5, 0, 0.2, -1])  # the first filter never activates
    bases = random_bases(20, 30)
    bases[3, 7:9] = 4
    activations = keras.Model(inputs, unit).predict(one_hot(bases), verbose=0)
    found = filter_motifs(model, bases, threshold=0.4, weighted=weighted, pseudocount=0.5)
    expected = plain(activations, bases, span, stride, left, 0.4, weighted, 0.5)
    assert found.table["n_windows"].tolist() == [n for _, n in expected]
    assert found.table["motif"].tolist() == [f"filter{f}" if n else None for f, (_, n) in enumerate(expected)]
    assert found.table["motif"][0] is None
    np.testing.assert_allclose(found.table["largest"], activations.max(axis=(0, 1)), rtol=1e-5)
    for motif, ppm in zip(found.motifs, [ppm for ppm, n in expected if n], strict=True):
        np.testing.assert_allclose(motif.ppm, ppm, rtol=0, atol=1e-6)


def test_a_model_within_a_model_is_read():
    inner = keras.Sequential([keras.Input((30, 4)), keras.layers.Conv1D(3, 5, activation="relu")])
    model = keras.Sequential([keras.Input((30, 4)), inner, keras.layers.Flatten(), keras.layers.Dense(1)])
    bases = random_bases(10, 30)
    alone, within = filter_motifs(inner, bases), filter_motifs(model, bases)
    assert alone.table.equals(within.table)


def test_bad_input_is_told_in_one_line():
    bases = random_bases(5, 30)
    inputs = keras.Input((30, 4))
    flat = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    mend = "give a Keras model whose first convolution reads one-hot DNA, \\(N, L, 4\\)$"
    with pytest.raises(InputError, match=f"^model: the model has no one-dimensional convolution; {mend}"):
        filter_motifs(flat, bases)
    late = keras.layers.Conv1D(2, 3, activation="relu")(keras.layers.Dense(4, name="mixed")(inputs))
    with pytest.raises(InputError, match=f"^model: its first convolution reads what 'mixed' makes of .* {mend}"):
        filter_motifs(keras.Model(inputs, late), bases)
    with pytest.raises(InputError, match=r"^model: has no graph of Keras layers"):
        filter_motifs(lambda x: x, bases)
    model = keras.Model(inputs, keras.layers.Conv1D(2, 3, activation="relu")(inputs))
    with pytest.raises(InputError, match=r"^model: takes \(30, 4\), not \(29, 4\)"):
        filter_motifs(model, bases[:, 1:])
    for settings, message in (({"threshold": 1.0}, "^threshold: is 1.0"), ({"pseudocount": 0}, "^pseudocount: is 0")):
        with pytest.raises(InputError, match=message):
            filter_motifs(model, bases, **settings)
    for nothing in (bases[:0], np.full((2, 30), 4, np.uint8), bases.astype(int)):
        with pytest.raises(InputError, match=r"^bases: "):
            filter_motifs(model, nothing)
    model.layers[-1].set_weights([np.full((3, 4, 2), np.nan, np.float32), np.zeros(2, np.float32)])
    with pytest.raises(InputError, match=r"^model: its first filters give activations that are no finite numbers"):
        filter_motifs(model, bases)
