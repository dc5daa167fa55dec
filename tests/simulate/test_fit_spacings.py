"""Pairs of motifs at a spacing: found where there are some, not where hits are independent, and fitted as elements."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.drawn_peaks import ONE, arrays, settings
from helpers.grammars import sharp
from simbench_tf.simulate.fit import fit_grammar
from simbench_tf.simulate.fit.spacings import enriched_spacings
from simbench_tf.simulate.grammar import build_grammar, draw

MOTIFS = [sharp("TGACTCATGCAATT", share=0.97), sharp("CCGGAAGTACTGAC", share=0.97), sharp("GGTTCAAAGTCCA", share=0.97)]
IDS = [motif.motif_id for motif in MOTIFS]
SINGLE = [{"motif": name, "rate": 0.6} for name in IDS]
PAIR = {"name": "near", "pair": [IDS[0], IDS[1]], "gap": 7, "orientation": "opposite", "rate": 0.1}
UNIFORM = np.full(4, 0.25)


def drawn(elements, n=1500):
    true = settings(tasks=ONE["tasks"], elements=elements, background=((0.25,) * 4,))
    return arrays(draw(build_grammar(true, MOTIFS), 3, 0, n), ["A"])


def test_a_spacing_is_found_and_single_rates_are_not():
    assert enriched_spacings(drawn(SINGLE)[0], MOTIFS, 1e-5, UNIFORM) == []
    bases = drawn([*SINGLE, PAIR])[0]
    (found,) = enriched_spacings(bases, MOTIFS, 1e-5, UNIFORM)
    # motifs that face each other are the same pair from either strand
    assert {found.first, found.second} == set(IDS[:2])
    assert (found.orientation, found.gap) == ("opposite", 7)
    # 150 pairs are drawn, and few others are at that gap
    assert found.seen == pytest.approx(150, abs=4 * 150**0.5)
    assert found.q < 1e-20
    # the other strand has the same
    (turned,) = enriched_spacings(np.ascontiguousarray(3 - bases[:, ::-1]), MOTIFS, 1e-5, UNIFORM)
    assert turned == found


@pytest.mark.parametrize("first", [0, 1])
def test_pairs_on_one_strand_are_named_as_they_read(first):
    pair = {"pair": [IDS[first], IDS[1 - first]], "gap": 3, "orientation": "same", "rate": 0.1}
    (found,) = enriched_spacings(drawn([*SINGLE, pair])[0], MOTIFS, 1e-5, UNIFORM)
    assert (found.first, found.second, found.orientation, found.gap) == (IDS[first], IDS[1 - first], "same", 3)


@pytest.mark.slow
def test_the_rate_of_a_pair_is_estimated_beside_those_of_its_motifs():
    bases, labels = drawn([{**PAIR, "enriched": {"A": 0.2}}, *SINGLE[:2]])
    pairs = enriched_spacings(bases, MOTIFS, 1e-5, UNIFORM)
    fit = fit_grammar(bases, labels, MOTIFS, ["A"], pairs=pairs, refit_motifs=True)
    *singles, pair = fit.simulation.elements
    assert [motif.motif_id for motif in fit.left_out] == [IDS[2]]
    assert [element.motif for element in singles] == IDS[:2]
    assert set(pair.pair) == set(IDS[:2])
    assert pair.gap == (7, 7)
    # 4 standard errors
    assert pair.rate == pytest.approx(0.1, abs=4 * fit.rate_errors[0, -1])
    assert pair.enriched["A"] == pytest.approx(0.2, abs=4 * fit.rate_errors[1, -1])
    assert fit.rate_errors[:, -1].max() < 0.04
    for single in singles:
        assert single.rate + 0.35 * single.enriched.get("A", 0) == pytest.approx(0.6, abs=0.1)
    for motif, own in zip(MOTIFS, fit.motifs, strict=False):
        np.testing.assert_allclose(own.ppm, motif.ppm, atol=0.04)
    again = draw(build_grammar(fit.simulation, fit.motifs), 1, 0, 1500).sites.to_pandas()
    assert (again["element"] == pair.name).sum() == pytest.approx(2 * 1500 * (0.1 + 0.35 * 0.2), rel=0.3)
