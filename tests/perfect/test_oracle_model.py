"""The oracle as a Keras model: it says what `simulate.oracle` says, and is explained, saved and refused like any."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

import simbench_tf as sb
from helpers.oracle_brute_force import BACKGROUNDS, SHORT
from helpers.oracle_grammars import ELEMENTS, LONG, drawn, grammar_of
from helpers.planted_words import make_dataset
from simbench_tf.attribution.receptive_field import visible_bases
from simbench_tf.config import load_config
from simbench_tf.dataset_grammar import grammar_of_run
from simbench_tf.errors import InputError
from simbench_tf.perfect.groups import arrange
from simbench_tf.perfect.likelihood import evidence
from simbench_tf.perfect.oracle import LogOdds, mixtures, oracle_of
from simbench_tf.simulate.grammar import Grammar, draw_bases
from simbench_tf.simulate.oracle import label_log_odds, log_likelihood
from simbench_tf.simulate.oracle.posterior import class_layouts

LENGTH = 16


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    elements = [
        {"motif": "ONE", "rate": 0.4, "enriched": {"x": 0.5}},
        {"motif": "TWO", "rate": 0.3, "enriched": {"y": 0.9}},
    ]
    return grammar_of(elements, SHORT, LENGTH)


@pytest.fixture(scope="module")
def model(grammar: Grammar) -> keras.Model:
    return oracle_of(grammar)


@pytest.fixture(scope="module")
def bases(grammar: Grammar) -> np.ndarray:
    return drawn(grammar, 12)[0]


def exact(grammar: Grammar, bases: np.ndarray) -> np.ndarray:
    return label_log_odds(grammar, log_likelihood(grammar, bases))


def log_odds_of(grammar: Grammar, bases: np.ndarray) -> np.ndarray:
    """The layer's log-odds, step by step and not compiled."""
    found = evidence(arrange(class_layouts(grammar)[0]), mixtures(sb.one_hot(bases))).numpy()
    return found[:, :, 1] - found[:, :, 0]


@pytest.mark.parametrize("preset", ["demo", pytest.param("five_lines", marks=pytest.mark.slow), "rules"])
def test_presets(preset: str, tmp_path: Path) -> None:
    grammar = grammar_of_run(load_config(preset).simulation, tmp_path)
    bases = draw_bases(grammar, 5, 0, 3)[0]
    np.testing.assert_allclose(log_odds_of(grammar, bases), exact(grammar, bases), rtol=0, atol=1e-9)


@pytest.mark.parametrize("background", ["human", "order 2"])
def test_pairs_correlated_labels_and_longer_memory(background: str) -> None:
    grammar = grammar_of(ELEMENTS, LONG, 70, label_correlation=0.6, **BACKGROUNDS[background])
    bases = drawn(grammar, 6)[0]
    np.testing.assert_allclose(log_odds_of(grammar, bases), exact(grammar, bases), rtol=0, atol=1e-9)


def test_the_model_gives_probabilities_and_its_logit_is_the_log_odds(model, grammar, bases) -> None:
    x = sb.one_hot(bases)
    predicted = model.predict_on_batch(x)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, expit(exact(grammar, bases)), rtol=0, atol=1e-6)
    explained = sb.attribute(model, x, "integrated_gradients", target=[0, 1], n_steps=1)
    # the sum of contributions less the delta is the difference of the logits to those of no base at all
    change = explained.scores.sum(axis=-1) - explained.convergence_delta
    nothing = model.layers[1](np.zeros((1, LENGTH, 4)))
    np.testing.assert_allclose(change.T, exact(grammar, bases) - nothing, rtol=0, atol=1e-5)


def test_of_no_base_at_all_the_prior_is_left(model, grammar) -> None:
    np.testing.assert_allclose(model(np.zeros((1, LENGTH, 4)))[0], grammar.fractions, rtol=0, atol=1e-6)


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_mutagenesis_by_one_gradient_is_that_of_whole_passes(model, bases, output) -> None:
    x = sb.one_hot(bases)
    x[2, 3:5] = 0  # N
    window = {"start": 2, "end": 11}
    at_once, passes = (
        sb.attribute(model, x, "ism", target=[1, 0], output=output, fast=fast, **window) for fast in (True, False)
    )
    assert np.abs(passes.hypothetical).max() > 0.05
    np.testing.assert_allclose(at_once.hypothetical, passes.hypothetical, rtol=0, atol=1e-5)
    assert not at_once.hypothetical[:, 2, 3:5].any()


def test_dependency_maps_are_exact(model, grammar, bases) -> None:
    found = sb.attribute(model, sb.one_hot(bases[:2]), "dependency_map", target=[1, 0], window=6, centre=9)
    pairs, letters = (list(itertools.product(range(n), repeat=2)) for n in (6, 4))
    for row in range(2):
        mutants = np.tile(bases[row], (len(pairs), len(letters), 1))
        for (number, (i, j)), (kind, (a, b)) in itertools.product(enumerate(pairs), enumerate(letters)):
            mutants[number, kind, [6 + i, 6 + j]] = a, b
        values = exact(grammar, mutants.reshape(-1, LENGTH)).reshape(6, 6, 4, 4, 2)
        # both bases of a pair are one in (i, i), where the second substitution is what stands: on its own
        alone = np.einsum("iiabt->ibt", values)[:, :] / 4
        known = exact(grammar, bases[row : row + 1])[0]
        effects = values - alone[:, None, :, None] - alone[None, :, None] + known
        expected = np.abs(effects).max(axis=(2, 3)) * (1 - np.eye(6))[:, :, None]
        assert expected.max() > 0.05
        np.testing.assert_allclose(found.dependency_maps[::-1, row], expected.transpose(2, 0, 1), rtol=0, atol=1e-5)


def test_substitutions_of_any_rows(model, bases) -> None:
    layer, rows = model.layers[1], 0.6 * sb.one_hot(bases[:2]) + 0.1
    found = layer.single_substitutions(tf.constant(rows), tf.constant([1])).numpy()
    for place, base in ((0, 2), (7, 3)):
        changed = rows.copy()
        changed[:, place] = np.eye(4)[base]
        np.testing.assert_allclose(found[0, :, place, base], layer(changed)[:, 1], rtol=0, atol=1e-12)


def test_other_methods_work_or_are_refused_by_name(model, bases) -> None:
    x = sb.one_hot(bases[:2])
    for method in ("saliency", "grad_x_input", "expected_gradients"):
        assert np.isfinite(sb.attribute(model, x, method, target=1).scores).all()
    takes = "choose saliency, grad_x_input, integrated_gradients, expected_gradients, ism or dependency_map$"
    refused = {
        "gradcam": "layers to read", "gradcam_channel": "layers to read", "grad_x_activation": "layers to read",
        "deeplift_rescale": "layers to read", "deepshap": "layers to read", "gradcam_tf_keras_vis": "layers to read",
        "smoothgrad": "no mixture of bases",
    }  # fmt: skip
    for method, why in refused.items():
        with pytest.raises(InputError, match=f"model oracle: does not take {method}: .*{why}.*; {takes}"):
            sb.attribute(model, x, method)


def test_it_sees_all_bases(model) -> None:
    assert visible_bases(model, LENGTH).all()


def test_a_saved_model_is_the_same_in_another_process(model, bases, tmp_path) -> None:
    model.save(tmp_path / "oracle.keras")
    np.save(tmp_path / "x.npy", sb.one_hot(bases))
    script = (
        "import keras, numpy as np, simbench_tf.perfect\n"
        "model = keras.saving.load_model('oracle.keras')\n"
        "np.save('y.npy', model(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    assert np.array_equal(np.load(tmp_path / "y.npy"), model(sb.one_hot(bases)))


def test_the_layer_is_made_again_from_its_settings(model) -> None:
    layer = model.layers[1]
    again = LogOdds.from_config(layer.get_config())
    for mine, other in zip(layer._layouts[0], again._layouts[0], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_the_oracle_of_a_run(tiny_run) -> None:
    dataset = sb.open_dataset(tiny_run)
    layout = sb.oracle_model(dataset).layers[1]._layouts[0]
    grammar = grammar_of_run(load_config(tiny_run / "config.yaml").simulation, tiny_run)
    np.testing.assert_array_equal(layout.rates, class_layouts(grammar)[0].rates)


def test_data_that_no_grammar_drew(tmp_path) -> None:
    import dataclasses

    dataset = dataclasses.replace(make_dataset(tmp_path / "dataset"), kind="peaks")
    with pytest.raises(
        InputError, match=r"oracle_model: .*dataset holds peaks data, which no grammar drew; give a data"
    ):
        sb.oracle_model(dataset)
    alone = dataclasses.replace(dataset, kind="grammar")
    with pytest.raises(InputError, match=r"oracle_model: needs the configuration .*there is no .*config.yaml"):
        sb.oracle_model(alone)
