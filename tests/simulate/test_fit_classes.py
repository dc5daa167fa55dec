"""Classes of sequences and motifs of their own in a fit: told apart, estimated, written, and drawn from again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.drawn_peaks import LENGTH, ONE, arrays, settings, write_peaks
from helpers.grammars import sharp
from simbench_tf.config import HUMAN_BACKGROUND, load_config
from simbench_tf.motifs import load_motifs, read_motifs
from simbench_tf.simulate.fit import fit_grammar, fitter, write_fitted
from simbench_tf.simulate.fit.classes import class_odds, sequence_classes, suited_order
from simbench_tf.simulate.fit.expected_sites import Parameters, sorted_by_pattern
from simbench_tf.simulate.fit.motif_words import DATABASE_SITES, refitted_motifs, site_words
from simbench_tf.simulate.grammar import build_grammar, draw, draw_classes
from simbench_tf.simulate.grammar.background import one_background

ISLANDS = ((0.15, 0.35, 0.35, 0.15),)
REST = ((0.3, 0.2, 0.2, 0.3),)
BACKGROUND = (one_background(np.array(HUMAN_BACKGROUND)),)
CLASSES: list[dict[str, Any]] = [
    {"weight": 1, "background": ISLANDS, "rate": 2.0},
    {"weight": 2, "background": REST, "rate": 0.5},
]
MOTIFS = [sharp("TGACTCATGCAATT", share=0.97), sharp("CCGGAAGTACTGAC", share=0.97)]
ELEMENTS = [
    {"motif": MOTIFS[0].motif_id, "rate": 0.3, "enriched": {"A": 0.4}},
    {"motif": MOTIFS[1].motif_id, "rate": 0.4},
]


def test_classes_of_sequences_are_told_by_their_composition():
    rng = np.random.default_rng(0)
    tables = rng.dirichlet(np.full(4, 3.0), (3, 4))
    true = np.arange(300) % 3
    bases = np.zeros((300, 300), np.uint8)
    for i in range(1, 300):
        bases[:, i] = (rng.random(300)[:, None] > tables[true, bases[:, i - 1]].cumsum(axis=1)[:, :3]).sum(axis=1)
    found = sequence_classes(bases, 6)
    # the three that there are, in whatever order, and no more
    assert len(set(zip(true.tolist(), found.tolist(), strict=True))) == 3
    assert set(found.tolist()) == {0, 1, 2}
    # a sequence's reverse complement is of the same class
    both = sequence_classes(np.concatenate([bases, 3 - bases[:, ::-1]]), 6)
    assert (both[:300] == both[300:]).mean() > 0.98


def test_sequences_of_one_kind_are_one_class():
    bases = np.random.default_rng(1).choice(4, (200, 200), p=[0.3, 0.2, 0.2, 0.3]).astype(np.uint8)
    assert (sequence_classes(bases, 4) == 0).all()


def test_an_order_is_suited_where_its_words_are_seen():
    assert [suited_order(n, 4) for n in (0, 100 * 4 * 4**3, 100 * 4 * 4**6 - 1, 10**9)] == [1, 2, 4, 5]


def test_rates_backgrounds_and_factors_of_classes_are_recovered():
    true = build_grammar(settings(tasks=ONE["tasks"], elements=ELEMENTS, classes=CLASSES), MOTIFS)
    bases, labels = arrays(draw(true, 3, 0, 2500), ["A"])
    fit = fit_grammar(bases, labels, MOTIFS, ["A"], n_classes=3)
    found = sorted(fit.simulation.classes, key=lambda each: -each.rate)
    assert len(found) == 2
    share = (draw_classes(true, 3, np.arange(2500)) == 0).mean()
    # of 2500 sequences of 200 bases, few are of another class than they look
    assert found[0].weight == pytest.approx(share, abs=0.02)
    # factors have the mean 1 over sequences; sampling error of 1700 sites .04
    mean = share * 2.0 + (1 - share) * 0.5
    np.testing.assert_allclose([each.rate for each in found], np.array([2.0, 0.5]) / mean, rtol=0.1)
    for each, table in zip(found, (ISLANDS, REST), strict=True):
        np.testing.assert_allclose(each.background, np.tile(table, (4, 1)), atol=0.02)
    rates = np.array([[e.rate, e.enriched.get("A", 0.0)] for e in fit.simulation.elements])
    np.testing.assert_allclose(rates, mean * np.array([[0.3, 0.4], [0.4, 0]]), atol=4 * fit.rate_errors.max())
    # drawn again, sites are as uneven over sequences as they were
    again = draw(build_grammar(fit.simulation, MOTIFS), 5, 0, 2500)
    spread = [
        np.bincount(np.char.lstrip(each.sites["seq_id"].to_numpy().astype(str), "seq").astype(int), minlength=2500)
        for each in (draw(true, 3, 0, 2500), again)
    ]
    dispersions = [each.var() / each.mean() for each in spread]
    assert dispersions[0] > 1.1
    assert dispersions[1] == pytest.approx(dispersions[0], abs=0.15)


def test_what_labels_say_of_classes_is_recovered():
    told = [{**CLASSES[0], "odds_ratio": {"A": 4.0}}, CLASSES[1]]
    true = build_grammar(settings(tasks=ONE["tasks"], elements=ELEMENTS, classes=told), MOTIFS)
    bases, labels = arrays(draw(true, 3, 0, 2500), ["A"])
    fit = fit_grammar(bases, labels, MOTIFS, ["A"], n_classes=3)
    found = build_grammar(fit.simulation, fit.motifs).class_weights
    islands = np.argmax([each.rate for each in fit.simulation.classes])
    # 1/3 without the label, 4 : 2 with it; sampling error of 2500 sequences .015
    np.testing.assert_allclose(found[islands], [1 / 3, 2 / 3], atol=0.05)
    rates = np.array([[e.rate, e.enriched.get("A", 0.0)] for e in fit.simulation.elements])
    # that islands have more sites is no enrichment: of the second motif there is none
    assert rates[1, 1] == 0
    # ratios have the mean 1 over sequences without the label
    ratios = np.array([each.odds_ratio["A"] for each in fit.simulation.classes])
    assert np.array([each.weight for each in fit.simulation.classes]) @ ratios == pytest.approx(1, abs=1e-3)


def test_odds_ratios_of_several_tasks_are_kept_where_there_is_evidence():
    rng = np.random.default_rng(4)
    labels = (rng.random((3000, 2)) < [0.2, 0.5]).astype(np.uint8)
    ratios = np.array([[3.0, 1.0], [1.0, 0.5], [1.0, 1.0]])
    weights = np.array([0.2, 0.3, 0.5]) * np.where(labels[:, None], ratios, 1).prod(axis=2)
    bounds = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    classes = (rng.random(3000)[:, None] > bounds[:, :2]).sum(axis=1)
    found, odds = class_odds(classes, labels)
    np.testing.assert_allclose(found, [0.2, 0.3, 0.5], atol=0.03)
    # against the third class; sampling error of the logarithms .1
    np.testing.assert_allclose(np.log(odds / odds[2]), np.log(ratios), atol=0.3)
    # labels that know nothing of the classes
    by_chance = class_odds(classes, rng.permutation(labels))
    np.testing.assert_allclose(by_chance[0], np.bincount(classes) / 3000)
    assert (by_chance[1] == 1).all()


def test_a_class_without_a_positive_is_rare_with_the_label_and_not_impossible():
    classes, labels = np.repeat([0, 1, 1], [300, 300, 100]), np.repeat([0, 0, 1], [300, 300, 100])[:, None]
    weights, odds = class_odds(classes, labels.astype(np.uint8))
    assert 0 < odds[0, 0] < 0.2
    np.testing.assert_allclose(weights, 0.5, atol=0.05)


def test_of_many_sequences_as_many_of_each_label_are_fitted():
    labels = (np.arange(100) < 12).astype(np.uint8)[:, None]
    chosen = fitter._chosen(labels, 3, 40)
    assert len(set(chosen.tolist())) == 40
    assert labels[chosen].sum() == 12
    assert labels[fitter._chosen(labels, 3, 10)].sum() == 5
    assert sorted(fitter._chosen(labels, 3, 1000).tolist()) == list(range(100))


def test_backgrounds_are_those_of_all_sequences_though_few_are_fitted():
    true = settings(tasks=ONE["tasks"], elements=ELEMENTS, background=REST)
    bases, labels = arrays(draw(build_grammar(true, MOTIFS), 3, 0, 3000), ["A"])
    # with the label another composition, and of it as many are chosen
    bases = np.where((labels == 1) & (bases == 3), 1, bases).astype(np.uint8)
    found = [
        np.array(fit_grammar(bases, labels, MOTIFS, ["A"], max_sequences=n, background_order=2).simulation.background)
        for n in (300, 3000)
    ]
    # of 300 sequences alone errors are .02, and of a half with the label the means are off by .05
    np.testing.assert_allclose(found[0], found[1], atol=0.01)


def test_site_words_are_those_of_the_true_sites_where_these_are_unmistakable():
    drawn = draw(build_grammar(settings(tasks=ONE["tasks"], elements=ELEMENTS), MOTIFS), 1, 0, 400)
    bases, labels = arrays(drawn, ["A"])
    data = sorted_by_pattern(bases, labels)
    rates = np.array([[0.3, 0.4], [0.4, 0.0]])
    flat = settings(tasks=ONE["tasks"], elements=ELEMENTS).elements[0].position
    parameters = Parameters(rates, (flat, flat), BACKGROUND, np.ones(1))
    sites = drawn.sites.to_pandas()
    rows = sites["seq_id"].str[3:].astype(int).to_numpy()
    for number, words in enumerate(site_words(parameters, MOTIFS, data)):
        true = np.zeros_like(words)
        own = (sites["motif"] == MOTIFS[number].motif_id).to_numpy()
        for row, start, end, strand in zip(
            rows[own], sites["start"][own], sites["end"][own], sites["strand"][own], strict=True
        ):
            word = bases[row, start:end]
            word = word if strand == "+" else 3 - word[::-1]
            true[np.arange(len(word)), word] += 1
        # a few misread ones of hundreds
        assert words.sum(axis=1) == pytest.approx(true.sum(axis=1), rel=0.03)
        assert np.abs(words - true).max() < 0.04 * own.sum()


def test_motifs_move_to_the_words_of_the_regions_as_far_as_there_are_sites():
    weaker = [motif._replace(ppm=0.8 * motif.ppm + 0.05) for motif in MOTIFS]
    bases, labels = arrays(
        draw(build_grammar(settings(tasks=ONE["tasks"], elements=ELEMENTS), weaker), 3, 0, 1500), ["A"]
    )
    fit = fit_grammar(bases, labels, MOTIFS, ["A"], refit_motifs=True)
    for number in range(2):
        before, after = (np.abs(each[number].ppm - weaker[number].ppm).mean() for each in (MOTIFS, fit.motifs))
        assert after < 0.45 * before
    data = sorted_by_pattern(bases[:0], labels[:0])
    # without a site they stay what they were
    position = fit.simulation.elements[0].position
    nothing = Parameters(np.full((2, 2), 0.1), (position,) * 2, BACKGROUND, np.ones(1))
    for motif, same in zip(MOTIFS, refitted_motifs(nothing, MOTIFS, MOTIFS, data), strict=True):
        np.testing.assert_allclose(same.ppm, motif.ppm, atol=1e-5)
    assert DATABASE_SITES > 0


def test_a_fit_of_classes_and_motifs_is_written_and_drawn_from(tmp_path):
    peaks = write_peaks(tmp_path, settings(**ONE), 500)
    out = tmp_path / "new" / "g.yaml"
    fitted = write_fitted(
        load_config(peaks), out, background_order=None, n_classes=2, refit_motifs=True, tolerance=0.5, max_sequences=300
    )
    simulation = load_config(out).simulation
    motifs = read_motifs(out.with_suffix(".meme"))
    assert simulation.motifs == str(out.with_suffix(".meme"))
    assert [motif.motif_id for motif in motifs] == [motif.motif_id for motif in load_motifs(tmp_path / "motifs.meme")]
    assert simulation.length == LENGTH
    assert draw(build_grammar(simulation, load_motifs(simulation.motifs)), 1, 0, 5).sequences.num_rows == 5
    # the peaks are of one kind
    assert simulation.classes == []
    assert fitted.summary.startswith("3 of 3 motifs, fitted to 300 regions")
