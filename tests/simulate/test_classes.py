"""Classes of sequences: draws of each, and a posterior that sums over them, against every placement in every class."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from helpers.oracle_brute_force import CASES, LONG_MEMORY, RULES, SHORT, brute_force
from helpers.oracle_grammars import ELEMENTS, LONG, drawn, grammar_of
from simbench_tf.config import Config, GrammarSimulation
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.motifs import load_motifs
from simbench_tf.perfect.oracle import LogOdds, mixtures
from simbench_tf.perfect.planted import planted_network
from simbench_tf.report.data_section import _composition_story, class_table
from simbench_tf.simulate.grammar import (
    Grammar,
    build_grammar,
    class_prior,
    decision_points,
    draw,
    draw_background,
    draw_bases,
    draw_classes,
    hazards,
    label_prior,
    zero_order_background,
)
from simbench_tf.simulate.grammar.generative_model import class_shares
from simbench_tf.simulate.oracle import explain, label_log_odds, log_likelihood, site_calls
from simbench_tf.simulate.oracle.posterior import class_layouts
from simbench_tf.stages.simulate import by_content

GC_RICH = ((0.1, 0.4, 0.4, 0.1),)
CLASSES: list[dict[str, Any]] = [
    {"weight": 3, "background": GC_RICH, "rate": 0.9},
    {"weight": 1, "background": LONG_MEMORY, "rate": 0.4},
    {"weight": 2},
]
#: P(class | label pattern), whatever the pattern.
WEIGHTS = np.repeat([[3], [1], [2]], 4, axis=1) / 6
#: The same classes, of which labels know something.
TOLD = [
    {**CLASSES[0], "odds_ratio": {"x": 0.5}},
    {**CLASSES[1], "odds_ratio": {"x": 2.0, "y": 4.0}},
    CLASSES[2],
]
# without a label, with x, with y, with both
TOLD_WEIGHTS = np.stack(
    [np.array(each) / sum(each) for each in ([3, 1, 2], [1.5, 2, 2], [3, 4, 2], [1.5, 8, 2])], axis=1
)


def mixed(case: str, seq_length: int, classes: list[dict[str, Any]] = CLASSES) -> Grammar:
    return grammar_of(CASES[case], SHORT, seq_length, rules=RULES.get(case, []), classes=classes)


def apart(case: str, seq_length: int) -> list[Grammar]:
    """One grammar a class, with the rates multiplied in its configuration."""
    found = []
    for each in CLASSES:
        rate = each.get("rate", 1.0)
        elements = [
            {
                **element,
                "rate": rate * element["rate"],
                "enriched": {task: rate * more for task, more in element.get("enriched", {}).items()},
            }
            for element in CASES[case]
        ]
        background = each.get("background", "human")
        found.append(grammar_of(elements, SHORT, seq_length, rules=RULES.get(case, []), background=background))
    return found


@pytest.mark.parametrize(
    ("case", "classes", "given_labels"),
    [
        ("two motifs", CLASSES, WEIGHTS),
        ("two motifs", TOLD, TOLD_WEIGHTS),
        ("pair", TOLD, TOLD_WEIGHTS),
        ("and", TOLD, TOLD_WEIGHTS),
    ],
)
def test_the_posterior_is_that_of_every_placement_in_every_class(case, classes, given_labels):
    grammar = mixed(case, 10, classes)
    bases, labels, _ = drawn(grammar, 24)
    truths = [brute_force(each, bases) for each in apart(case, 10)]
    likelihood, elements, motifs = (
        np.einsum("cp,cnp...->np...", given_labels, each) for each in zip(*truths, strict=True)
    )
    with np.errstate(divide="ignore"):
        expected = np.log(likelihood)
    np.testing.assert_allclose(log_likelihood(grammar, bases), expected, rtol=0, atol=1e-10)

    prior = label_prior(grammar)
    share = likelihood * prior / (likelihood * prior).sum(axis=1, keepdims=True)
    carried = np.arange(4)[:, None] >> np.arange(2) & 1
    half_told = np.where(np.arange(24)[:, None] % 2 == np.arange(2), labels.astype(np.int64), -1)
    for known in (None, half_told):
        fits = np.ones((24, 4), bool) if known is None else ((known[:, None] == carried) | (known[:, None] < 0)).all(2)
        total = (likelihood * prior * fits).sum(axis=1)
        weights = prior * fits / total[:, None]
        posterior = explain(grammar, bases, known, by="motif")
        np.testing.assert_allclose(posterior.log_likelihood, expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(posterior.label_probability, share @ carried, rtol=0, atol=1e-10)
        in_motif = np.einsum("np,nplm->nlm", weights, motifs)
        np.testing.assert_allclose(posterior.part_occupancy, in_motif, rtol=0, atol=1e-10)
        in_element = np.einsum("np,nple->nle", weights, elements)
        np.testing.assert_allclose(posterior.occupancy, in_element.sum(axis=2), rtol=0, atol=1e-10)
        by_element = explain(grammar, bases, known, by="element").part_occupancy
        np.testing.assert_allclose(by_element, in_element, rtol=0, atol=1e-10)


def test_all_sequences_of_a_length_have_probability_one_together():
    every = np.array(list(itertools.product(range(4), repeat=8)), np.uint8)
    total = np.exp(log_likelihood(mixed("two motifs", 8), every)).sum(axis=0)
    np.testing.assert_allclose(total, 1, atol=1e-12)


@pytest.mark.slow
def test_the_oracle_as_a_network_has_the_same_log_odds_and_substitutions():
    grammar = mixed("two motifs", 10, TOLD)
    bases = drawn(grammar, 3)[0]
    layer = LogOdds.of(grammar)
    again = LogOdds.from_config(layer.get_config())
    expected = label_log_odds(grammar, log_likelihood(grammar, bases))
    for each in (layer, again):
        np.testing.assert_allclose(each(one_hot(bases)).numpy(), expected, rtol=0, atol=1e-9)
    found = layer.single_substitutions(one_hot(bases), np.array([1])).numpy()[0]
    changed = np.repeat(bases, 4, axis=0)
    changed[:, 5] = np.tile(np.arange(4), 3)
    wanted = label_log_odds(grammar, log_likelihood(grammar, changed))[:, 1].reshape(3, 4)
    np.testing.assert_allclose(found[:, 5], wanted, rtol=0, atol=1e-9)
    # a missing sequence says nothing of the labels but their prior
    assert mixtures(np.zeros((1, 10, 4))).numpy().min() == 1
    prior = np.log([[0.3 / 0.7, 0.55 / 0.45]])
    np.testing.assert_allclose(layer(np.zeros((1, 10, 4))).numpy(), prior, atol=1e-9)


@pytest.mark.slow
def test_an_oracle_saved_when_classes_knew_nothing_of_labels_says_the_same():
    grammar = mixed("two motifs", 10)
    bases = drawn(grammar, 3)[0]
    # then each class had the prior of the labels, and the layer P(class)
    layouts = [layout._replace(prior=label_prior(grammar)) for layout in class_layouts(grammar)]
    saved = LogOdds(layouts, class_weights=[3 / 6, 1 / 6, 2 / 6]).get_config()
    assert saved["class_weights"] == [3 / 6, 1 / 6, 2 / 6]
    expected = label_log_odds(grammar, log_likelihood(grammar, bases))
    np.testing.assert_allclose(LogOdds.from_config(saved)(one_hot(bases)).numpy(), expected, rtol=0, atol=1e-9)


def test_classes_that_are_alike_change_nothing():
    plain = grammar_of(ELEMENTS, LONG, 70)
    alike = grammar_of(ELEMENTS, LONG, 70, classes=[{}, {"background": "human"}])
    assert draw(alike, 3, 5, 60).sequences.equals(draw(plain, 3, 5, 60).sequences)
    assert draw(alike, 3, 5, 60).sites.equals(draw(plain, 3, 5, 60).sites)
    bases = drawn(plain, 5)[0]
    np.testing.assert_allclose(explain(alike, bases).occupancy, explain(plain, bases).occupancy, atol=1e-12)
    calls = [site_calls(grammar, bases, at_least=0.05) for grammar in (plain, alike)]
    assert calls[0].drop(columns="score").equals(calls[1].drop(columns="score"))
    np.testing.assert_allclose(calls[0]["score"], calls[1]["score"], atol=1e-9)


def test_sequences_are_of_their_class_whatever_stretch_they_are_drawn_in():
    classes = [{"weight": 1, "background": GC_RICH, "rate": 1.5}, {"weight": 1, "rate": 0.2}]
    grammar = grammar_of(ELEMENTS, LONG, 200, classes=classes)
    n = 4000
    bases, labels, mask = drawn(grammar, n)
    part = draw(grammar, 7, 100, 140)
    assert part.sequences.equals(draw(grammar, 7, 0, n).sequences.slice(100, 40))
    again = draw_bases(grammar, 7, 0, n)
    assert np.array_equal(again[0], bases)
    assert np.array_equal(again[1], labels)
    of_class = draw_classes(grammar, 7, np.arange(n))
    assert abs((of_class == 0).mean() - 0.5) < 0.03
    gc = np.isin(bases, (1, 2)).mean(axis=1)
    assert gc[of_class == 0].min() > gc[of_class == 1].mean()
    # labels know nothing of classes: sampling error .015
    assert abs(labels[of_class == 0].mean(axis=0) - labels[of_class == 1].mean(axis=0)).max() < 0.06
    rates = np.array([[0.3, 0.3, 0.2, 0.5], [1.0, 0.3, 0, 0], [0, 0.6, 0.4, 0]])
    for number, factor in enumerate((1.5, 0.2)):
        rows = of_class == number
        expected = factor * (np.concatenate([np.ones((rows.sum(), 1)), labels[rows]], axis=1) @ rates).mean(axis=0)
        # starts, from covered bases; a pair's two motifs have 17
        starts = mask[rows].sum(axis=(0, 1)) / rows.sum() / np.array([8, 11, 17, 6])
        np.testing.assert_allclose(starts, expected, rtol=0.12)


def test_labels_tell_of_classes_as_their_odds_ratios_say():
    classes = [
        {"weight": 3, "background": GC_RICH, "odds_ratio": {"x": 4.0}},
        {"weight": 1, "odds_ratio": {"y": 2.0}},
    ]
    grammar = grammar_of(ELEMENTS, LONG, 100, classes=classes)
    n = 8000
    bases, labels = draw_bases(grammar, 7, 0, n)
    of_class = draw_classes(grammar, 7, np.arange(n))
    expected = {(0, 0): 3 / 4, (1, 0): 12 / 13, (0, 1): 3 / 5, (1, 1): 12 / 14}
    for pattern, share in expected.items():
        chosen = (labels == pattern).all(axis=1)
        assert chosen.sum() > 500
        # sampling error at most .015
        assert abs((of_class[chosen] == 0).mean() - share) < 0.04
    gc = np.isin(bases, (1, 2)).mean(axis=1)
    assert gc[of_class == 0].mean() > gc[of_class == 1].mean() + 0.2
    plain = grammar_of(ELEMENTS, LONG, 100, classes=[{**each, "odds_ratio": {}} for each in classes])
    # sequences that stay in their class stay what they are
    same = of_class == draw_classes(plain, 7, np.arange(n))
    assert 0.6 < same.mean() < 1
    assert np.array_equal(bases[same], draw_bases(plain, 7, 0, n)[0][same])
    # what is drawn under another purpose has classes in the shares of all labels together
    background = draw_classes(grammar, 7, np.arange(n), "null background")
    assert abs((background == 0).mean() - class_shares(grammar)[0]) < 0.02
    np.testing.assert_allclose(class_prior(grammar).sum(), 1)
    np.testing.assert_allclose(class_prior(grammar).sum(axis=0), label_prior(grammar))


def test_composition_that_a_label_tells_of_is_in_the_ceiling():
    # sites say nothing here: the label is told by which of two backgrounds a sequence is of
    elements = [{"motif": "BETA", "rate": 0.2}]
    classes = [{"background": GC_RICH, "odds_ratio": {"x": 9.0}}, {"background": "human"}]
    grammar = grammar_of(elements, LONG, 200, classes=classes)
    bases, labels = draw_bases(grammar, 7, 0, 2000)
    told = explain(grammar, bases).label_probability[:, 0]
    for low, high in ((0, 0.3), (0.3, 1)):
        chosen = (told > low) & (told <= high)
        assert abs(told[chosen].mean() - labels[chosen, 0].mean()) < 0.06
    # P(x | class) is .3 x .9 / (.3 x .9 + .7 x .5) and .3 x .1 / (.3 x .1 + .7 x .5)
    np.testing.assert_allclose([told.max(), told.min()], [0.27 / 0.62, 0.03 / 0.38], rtol=0.01)


def test_calls_score_what_is_right_in_a_mixture():
    classes = [{"background": GC_RICH, "rate": 1.5, "odds_ratio": {"x": 3.0}}, {"rate": 0.2}]
    grammar = grammar_of(ELEMENTS, LONG, 100, classes=classes)
    bases, _, mask = drawn(grammar, 400)
    occupancy = explain(grammar, bases).occupancy
    truth = mask.any(axis=2)
    # 40,000 bases: each tenth of the occupancies is as often covered as it says
    for low in np.arange(0, 1, 0.25):
        chosen = (occupancy >= low) & (occupancy < low + 0.25)
        assert abs(occupancy[chosen].mean() - truth[chosen].mean()) < 0.04
    calls = site_calls(grammar, bases, at_least=0.01)
    assert abs(calls["score"].sum() / draw(grammar, 7, 0, 400).sites.num_rows - 1) < 0.15


def test_decision_points_and_hazards_of_a_mixture_are_what_is_seen_without_the_class():
    grammar, classes = mixed("two motifs", 10, TOLD), apart("two motifs", 10)
    for pattern in range(4):
        reached = [decision_points(each, pattern) for each in classes]
        weights = TOLD_WEIGHTS[:, pattern]
        begun = [decision_points(each, pattern) * hazards(each, pattern) for each in classes]
        np.testing.assert_allclose(decision_points(grammar, pattern), np.einsum("c,cl->l", weights, reached))
        expected = np.einsum("c,cel->el", weights, begun) / np.einsum("c,cl->l", weights, reached)
        np.testing.assert_allclose(hazards(grammar, pattern), expected)
    shares = TOLD_WEIGHTS @ label_prior(grammar)
    mean = np.einsum("c,cb->b", shares, [zero_order_background(each) for each in classes])
    np.testing.assert_allclose(zero_order_background(grammar), mean)


def test_backgrounds_are_drawn_of_every_class():
    classes = [
        {"weight": 1, "background": ((0.05, 0.45, 0.45, 0.05),)},
        {"weight": 3, "background": ((0.45, 0.05, 0.05, 0.45),)},
    ]
    grammar = grammar_of(ELEMENTS, LONG, 100, classes=classes)
    gc = np.isin(draw_background(grammar, 1, "test", np.arange(2000)), (1, 2)).mean(axis=1)
    assert ((gc < 0.35) | (gc > 0.65)).all()
    assert abs((gc > 0.5).mean() - 0.25) < 0.05


@pytest.mark.parametrize(
    ("classes", "where", "what"),
    [
        (
            [{}, {"background": ((0.5, 0.5, 0.5, 0.5),)}],
            r"simulation\.classes\.1\.background",
            "not four probabilities",
        ),
        ([{"background": ((0.25,) * 4,), "background_order": 2}], r"simulation\.classes\.0\.background_order", "is 2"),
        ([{}, {"rate": 500}], r"simulation\.classes\.1", "the rates are too high for the length"),
    ],
)
def test_what_is_wrong_with_a_class_is_told_by_its_key(classes, where, what):
    simulation = GrammarSimulation(kind="grammar", classes=classes)
    with pytest.raises(InputError, match=rf"^{where}: .*{what}"):
        build_grammar(simulation, load_motifs("default"))


def test_odds_ratios_are_of_tasks_that_there_are():
    with pytest.raises(ValidationError, match=r"classes\.1\.odds_ratio names 'K526', which is no task.*K562"):
        GrammarSimulation(kind="grammar", classes=[{}, {"odds_ratio": {"K526": 2}}])
    with pytest.raises(ValidationError, match="greater than 0"):
        GrammarSimulation(kind="grammar", classes=[{}, {"odds_ratio": {"K562": 0}}])
    with pytest.warns(
        UserWarning, match=r"classes\.0\.odds_ratio names 'liver', which is no task; that ratio is ignored"
    ):
        fewer = GrammarSimulation(kind="grammar", classes=[{"odds_ratio": {"liver": 2, "K562": 3}}])
    assert fewer.classes[0].odds_ratio == {"K562": 3}


def test_data_made_before_settings_of_classes_came_stay_fresh():
    config = Config(simulation={"kind": "grammar", "classes": [{"rate": 2}, {"odds_ratio": {"K562": 2}}]})
    first, second = by_content(config)["classes"]
    assert set(first) == {"weight", "rate", "background", "background_order"}
    assert set(second) == {*first, "odds_ratio"}
    assert not {"classes", "stretches"} & set(by_content(Config(simulation={"kind": "grammar"})))


def test_a_report_says_whether_composition_tells_of_a_label():
    stories = [
        _composition_story(GrammarSimulation(kind="grammar", classes=classes).model_dump(mode="json"))
        for classes in ([], [{}, {"rate": 2}], [{}, {"odds_ratio": {"K562": 2}}])
    ]
    assert stories[0] == stories[1] == "and nothing else, so those motifs are the only truth to find."
    assert stories[2].startswith("and how often a sequence is of a class. So composition says something of the label")


def test_a_report_has_a_table_of_classes():
    stretches = [
        {"weight": 3, "length": 10, "background": LONG_MEMORY},
        {"length": 90, "background": LONG_MEMORY[::-1]},
    ]
    classes = [
        {"weight": 3, "stretches": stretches, "odds_ratio": {"K562": 5.0}, "rate": 1e-5},
        {"background": "human"},
        {"weight": 4, "background": "islands.fa", "rate": 2},
        {"weight": 2},
    ]
    simulation = GrammarSimulation(kind="grammar", classes=classes).model_dump(mode="json")
    table = class_table(simulation)
    assert table.heads == ["class of sequences", "GC", "without a label", "with K562 alone", "sites, times"]
    # by base, and not by stretch
    gc = [zero_order_background(grammar_of(ELEMENTS, LONG, 100, **each)) for each in ({"stretches": stretches}, {})]
    assert table.rows == [
        ["1", f"{100 * sum(gc[0][1:3]):.0f}%", "30.0%", "68.2%", "< 0.0001"],
        ["2", f"{100 * sum(gc[1][1:3]):.0f}%", "10.0%", "4.5%", "1"],
        ["3", "of a file", "40.0%", "18.2%", "2"],
        ["4", "as of all", "20.0%", "9.1%", "1"],
    ]
    alike = class_table({"tasks": {"A": {}}, "classes": [{}, {}]})
    assert alike.heads == ["class of sequences", "GC", "of all sequences", "sites, times"]


def test_a_planted_network_is_of_one_background():
    with pytest.raises(InputError, match=r"simulation\.classes: are several"):
        planted_network(mixed("two motifs", 40))


def test_files_of_classes_are_found_beside_the_configuration(tmp_path):
    simulation = GrammarSimulation(kind="grammar", classes=[{}, {"background": tmp_path / "islands.fa"}])
    config = Config(simulation=simulation)
    told = {}
    changed = config.simulation.with_files(lambda path, key: told.setdefault(key, path.with_suffix(".gz")))
    assert told == {"simulation.classes.1.background": tmp_path / "islands.gz"}
    assert changed["classes"][1].background == tmp_path / "islands.gz"
    assert simulation.classes[1].background == tmp_path / "islands.fa"
