"""Stretches along sequences: drawn with their lengths, summed over exactly, told apart and fitted, and refused."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from pydantic import ValidationError

from helpers.drawn_peaks import LENGTH, ONE, arrays, settings, write_peaks
from helpers.grammars import sharp
from helpers.oracle_grammars import ELEMENTS, LONG, drawn, grammar_of
from simbench_tf.config import GrammarSimulation, load_config
from simbench_tf.errors import InputError
from simbench_tf.motifs import load_motifs
from simbench_tf.perfect.oracle import oracle_of
from simbench_tf.perfect.planted import planted_network
from simbench_tf.report.data_section import _background_story
from simbench_tf.simulate.fit import fit_grammar, write_fitted
from simbench_tf.simulate.fit.background_words import background_words, backgrounds_of_words
from simbench_tf.simulate.fit.stretches import fitted_stretches, stretch_posterior, table_of_words
from simbench_tf.simulate.grammar import build_grammar, draw, draw_background, draw_bases, zero_order_background
from simbench_tf.simulate.grammar.background import Backgrounds
from simbench_tf.simulate.oracle import explain, site_calls

POOR, RICH = ((0.45, 0.05, 0.05, 0.45),), ((0.05, 0.45, 0.45, 0.05),)
STRETCHES = [{"weight": 1, "length": 60, "background": POOR}, {"weight": 3, "length": 10, "background": RICH}]
# 1 x 60 bases to 3 x 10
SHARE_OF_POOR = 60 / 90
MOTIFS = [sharp("TGACTCATGCAATT", share=0.97), sharp("CCGGAAGTACTGAC", share=0.97)]
OF_MOTIFS = [
    {"motif": MOTIFS[0].motif_id, "rate": 0.3, "enriched": {"A": 0.4}},
    {"motif": MOTIFS[1].motif_id, "rate": 0.4},
]


def stretchy(seq_length=200, **more):
    return grammar_of(ELEMENTS, LONG, seq_length, stretches=STRETCHES, **more)


# draws


def test_stretches_have_their_shares_and_lengths_all_along_a_sequence():
    gc = np.isin(draw_background(stretchy(400), 1, "test", np.arange(4000)), (1, 2))
    share_of_gc = SHARE_OF_POOR * 0.1 + (1 - SHARE_OF_POOR) * 0.9
    # the first base is of the long run as any other is; sampling error of 4,000 sequences .008
    assert abs(gc[:, 0].mean() - share_of_gc) < 0.03
    assert abs(gc[:, -1].mean() - share_of_gc) < 0.03
    assert zero_order_background(stretchy())[1] == pytest.approx(share_of_gc / 2)
    # two bases are of one kind with the probabilities of a Markov chain of two states, which moves to the other kind
    # at 1/60 x 3/4 and 1/10 x 1/4
    goes = 1 - 1 / 60 * 3 / 4 - 1 / 10 * 1 / 4
    centred = gc - share_of_gc
    for apart in (1, 10, 40):
        expected = SHARE_OF_POOR * (1 - SHARE_OF_POOR) * 0.8**2 * goes**apart
        assert abs((centred[:, :-apart] * centred[:, apart:]).mean() - expected) < 0.004


def test_a_sequence_is_the_same_whatever_it_is_drawn_with():
    grammar = stretchy()
    whole = draw(grammar, 7, 0, 300)
    part = draw(grammar, 7, 100, 140)
    assert part.sequences.equals(whole.sequences.slice(100, 40))
    bases, labels, _ = drawn(grammar, 300)
    again = draw_bases(grammar, 7, 0, 300)
    assert np.array_equal(again[0], bases)
    assert np.array_equal(again[1], labels)


def test_no_stretch_ends_within_an_element():
    # stretches of one base each, of one of two bases
    kinds = [{"length": 1, "background": ((0.998, 0, 0.002, 0),)}, {"length": 1, "background": ((0.002, 0, 0.998, 0),)}]
    kinds = [{**each, "background": ((0.997, 0.001, 0.001, 0.001),) if n else ((0.001,) * 3 + (0.997,),)}
             for n, each in enumerate(kinds)]  # fmt: skip
    pair = {"pair": ["ALPHA", "BETA"], "gap": 12, "rate": 1, "position": {"centre": 50, "sd": 0.01}, "strand": "+"}
    grammar = grammar_of([pair], LONG, 100, stretches=kinds, tasks={"x": {"fraction": 0.5}})
    found = draw(grammar, 1, 0, 200)
    bases = np.array([list(each) for each in found.sequences["sequence"].to_pylist()])
    ends = found.sites["end"].to_numpy()[::2]
    gaps = np.stack([row[end : end + 12] for row, end in zip(bases, ends, strict=True)])
    # 12 bases of one kind, but for what .003 of them are
    assert (np.abs((gaps == "A").mean(axis=1) - 0.5) > 0.4).mean() > 0.95
    before = bases[:, :12]
    assert (np.abs((before == "A").mean(axis=1) - 0.5) > 0.4).mean() < 0.2


# the posterior


def test_stretches_that_are_alike_change_nothing():
    plain = grammar_of(ELEMENTS, LONG, 70)
    table = [list(row) for row in plain.hmm.background[-4:]]
    alike = grammar_of(ELEMENTS, LONG, 70, stretches=[{"length": n, "background": table} for n in (5, 50, 1)])
    bases = drawn(plain, 20)[0]
    one, other = explain(plain, bases), explain(alike, bases)
    np.testing.assert_allclose(other.log_likelihood, one.log_likelihood, atol=1e-9)
    np.testing.assert_allclose(other.occupancy, one.occupancy, atol=1e-9)
    np.testing.assert_allclose(other.label_probability, one.label_probability, atol=1e-9)


def test_the_posterior_of_stretches_is_right_as_often_as_it_says():
    grammar = stretchy(100)
    bases, labels, mask = drawn(grammar, 400)
    posterior = explain(grammar, bases)
    truth = mask.any(axis=2)
    # 40,000 bases
    for low in np.arange(0, 1, 0.25):
        chosen = (posterior.occupancy >= low) & (posterior.occupancy < low + 0.25)
        assert abs(posterior.occupancy[chosen].mean() - truth[chosen].mean()) < 0.04
    assert abs(posterior.label_probability.mean(axis=0) - labels.mean(axis=0)).max() < 0.07
    calls = site_calls(grammar, bases, at_least=0.01)
    assert abs(calls["score"].sum() / draw(grammar, 7, 0, 400).sites.num_rows - 1) < 0.15
    # who does not know of stretches takes their changes for sites
    blind = grammar_of(ELEMENTS, LONG, 100, background=np.array(zero_order_background(grammar))[None].tolist())
    assert posterior.log_likelihood.mean() > explain(blind, bases).log_likelihood.mean() + 10


def test_long_sequences_neither_overflow_nor_underflow():
    grammar = stretchy(3000)
    bases = drawn(grammar, 3)[0]
    posterior = explain(grammar, bases)
    assert np.isfinite(posterior.log_likelihood).all()
    assert posterior.occupancy.max() <= 1


def test_a_class_with_a_background_of_its_own_has_no_stretches():
    grammar = stretchy(70, classes=[{"rate": 0.5}, {"background": RICH}])
    assert [len(hmm.stretch_weight) for hmm in grammar.hmms] == [2, 1]
    bases = drawn(grammar, 30)[0]
    of_classes = [
        explain(grammar_of(ELEMENTS, LONG, 70, classes=[each], **more), bases).log_likelihood
        for each, more in (({"rate": 0.5}, {"stretches": STRETCHES}), ({"background": RICH}, {}))
    ]
    expected = np.logaddexp(*of_classes) - np.log(2)
    np.testing.assert_allclose(explain(grammar, bases).log_likelihood, expected, atol=1e-9)


# fits


def test_kinds_are_told_apart_with_their_lengths():
    bases = draw_background(stretchy(400), 1, "test", np.arange(1500))
    found = fitted_stretches(bases, 2, 0)
    np.testing.assert_allclose(found.tables, [POOR, RICH], atol=0.01)
    # 600,000 bases in 20,000 stretches of two kinds, of which the shorter ones are hard to see
    np.testing.assert_allclose(found.start, [SHARE_OF_POOR, 1 - SHARE_OF_POOR], atol=0.02)
    # in what is seen of them: how often one kind follows the other
    to_rich, to_poor = (1 - found.stay) * found.weights[::-1]
    assert to_rich == pytest.approx(1 / 60 * 3 / 4, rel=0.1)
    assert to_poor == pytest.approx(1 / 10 * 1 / 4, rel=0.1)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_posterior_of_kinds_is_that_of_every_path(order):
    rng = np.random.default_rng(order)
    kinds = Backgrounds(rng.dirichlet(np.ones(4), (3, 4**order)), np.array([0.2, 0.5, 0.3]), np.array([0.8, 0.0, 0.95]))
    bases = rng.integers(0, 4, (5, 7)).astype(np.uint8)
    step = np.diag(kinds.stay) + (1 - kinds.stay)[:, None] * kinds.weights
    paths = np.stack(np.meshgrid(*[np.arange(3)] * 7, indexing="ij"), axis=-1).reshape(-1, 7)
    prior = kinds.start[paths[:, 0]] * step[paths[:, :-1], paths[:, 1:]].prod(axis=1)
    for row, sequence in enumerate(bases):
        joint = prior.copy()
        for i in range(order, 7):
            context = sum(int(base) * 4**j for j, base in enumerate(sequence[i - order : i][::-1]))
            joint *= kinds.tables[paths[:, i], context, sequence[i]]
        expected = np.stack([(joint[:, None] * (paths == kind)).sum(axis=0) for kind in range(3)], axis=1) / joint.sum()
        np.testing.assert_allclose(stretch_posterior(kinds, bases)[row], expected, atol=1e-6)


def test_a_fit_is_the_same_on_any_number_of_threads():
    bases = draw_background(stretchy(100), 1, "test", np.arange(300))
    found = []
    for n in (1, 2):
        numba.set_num_threads(n)
        found.append(fitted_stretches(bases, 4, 1))
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


def test_words_of_kinds_are_counted_on_both_strands_outside_sites():
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    kinds = Backgrounds(rng.dirichlet(np.ones(4), (2, 1)), np.array([0.5, 0.5]), np.array([0.9, 0.9]))
    covered = np.zeros((20, 30))
    covered[:, 10:15] = 1
    words = background_words(bases, 1, covered, kinds)
    # pairs of which both bases lie outside: 29 less 6
    assert words.sum() == pytest.approx(2 * 20 * 23)
    both = words.reshape(2, 4, 4).sum(axis=0)
    np.testing.assert_allclose(both, both[::-1, ::-1].T)
    alone = background_words(bases, 1, covered).reshape(4, 4)
    np.testing.assert_allclose(both, alone + alone[::-1, ::-1].T)
    assert backgrounds_of_words(words, kinds).tables.shape == (2, 4, 4)


def test_a_table_of_few_words_is_that_of_fewer_bases_before():
    words = np.zeros(64)
    words[:4] = [300, 100, 0, 0]
    table = table_of_words(words)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    # AA is seen, CA leans on A, CC on all bases, and little on anything
    assert table[0, 0] == pytest.approx(0.75, abs=0.03)
    assert table[4, 0] > 0.7
    assert table_of_words(1000 * words)[0, 0] == pytest.approx(0.75, abs=0.001)


def test_rates_and_backgrounds_of_stretches_are_recovered():
    true = settings(tasks=ONE["tasks"], elements=OF_MOTIFS, stretches=STRETCHES)
    bases, labels = arrays(draw(build_grammar(true, MOTIFS), 3, 0, 2500), ["A"])
    fit = fit_grammar(bases, labels, MOTIFS, ["A"], n_stretches=2, background_order=0)
    assert fit.simulation.classes == []
    for each, table in zip(fit.simulation.stretches, (POOR, RICH), strict=True):
        np.testing.assert_allclose(each.background, table, atol=0.02)
    rates = np.array([[e.rate, e.enriched.get("A", 0.0)] for e in fit.simulation.elements])
    np.testing.assert_allclose(rates, [[0.3, 0.4], [0.4, 0]], atol=4 * fit.rate_errors.max())


def test_a_fit_of_stretches_is_written_and_drawn_from(tmp_path):
    peaks = write_peaks(tmp_path, settings(**ONE), 500)
    out = tmp_path / "g.yaml"
    fitted = write_fitted(
        load_config(peaks), out, background_order=1, n_stretches=3, tolerance=0.5, max_sequences=300, n_sequences=50
    )
    simulation = load_config(out).simulation
    assert len(simulation.stretches) == 3
    assert simulation.length == LENGTH
    grammar = build_grammar(simulation, load_motifs(simulation.motifs))
    assert draw(grammar, 1, 0, 5).sequences.num_rows == 5
    assert "3 kinds of stretches" in fitted.summary


def test_each_class_has_stretches_of_its_own(tmp_path):
    islands = [{"length": 60, "background": RICH}, {"length": 20, "background": ((0.2, 0.3, 0.3, 0.2),)}]
    classes = [{"weight": 1, "stretches": STRETCHES, "rate": 0.7}, {"weight": 1, "stretches": islands, "rate": 1.3}]
    true = build_grammar(settings(tasks=ONE["tasks"], elements=OF_MOTIFS, classes=classes), MOTIFS)
    bases, labels = arrays(draw(true, 3, 0, 2500), ["A"])
    fit = fit_grammar(bases, labels, MOTIFS, ["A"], n_stretches=2, n_classes=2, background_order=0)
    found = sorted(fit.simulation.classes, key=lambda each: each.rate)
    assert [len(each.stretches) for each in found] == [2, 2]
    for each, kinds in zip(found, (STRETCHES, islands), strict=True):
        assert each.background is None
        tables = sorted((kind.background for kind in each.stretches), key=lambda table: table[0][1])
        wanted = sorted((kind["background"] for kind in kinds), key=lambda table: table[0][1])
        np.testing.assert_allclose(tables, wanted, atol=0.03)
    # of what is drawn again the mean composition, and how much it differs, are as before
    gc = [np.isin(draw_bases(grammar, 5, 0, 2500)[0], (1, 2)).mean(axis=1)
          for grammar in (true, build_grammar(fit.simulation, MOTIFS))]  # fmt: skip
    assert gc[1].mean() == pytest.approx(gc[0].mean(), abs=0.02)
    assert gc[1].std() == pytest.approx(gc[0].std(), rel=0.05)


# refused, and told


@pytest.mark.parametrize(
    ("second", "where", "what"),
    [
        ({"background": ((0.5,) * 4,)}, r"simulation\.stretches\.1\.background", "not four probabilities"),
        ({"background": "human"}, r"simulation\.stretches\.1\.background", "depends on 1 bases before, that of the"),
        ({"background": ((0.5, 0.5, 0, 0),)}, r"simulation\.stretches\.1\.background", "never comes back"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_stretch_is_told_by_its_key(second, where, what):
    simulation = GrammarSimulation(kind="grammar", stretches=[STRETCHES[0], {"length": 9, **second}])
    with pytest.raises(InputError, match=rf"^{where}: .*{what}"):
        build_grammar(simulation, load_motifs("default"))


def test_a_class_has_one_background_or_stretches():
    with pytest.raises(ValidationError, match=r"a class has a `background` or `stretches`, not both"):
        GrammarSimulation(kind="grammar", classes=[{"background": RICH, "stretches": STRETCHES}])
    wrong = GrammarSimulation(
        kind="grammar", classes=[{}, {"stretches": [STRETCHES[0], {"length": 2, "background": "human"}]}]
    )
    with pytest.raises(InputError, match=r"^simulation\.classes\.1\.stretches\.1\.background: depends on 1 bases"):
        build_grammar(wrong, load_motifs("default"))


def test_networks_of_one_background_refuse_stretches():
    for build in (planted_network, oracle_of):
        with pytest.raises(InputError, match=r"^simulation\.stretches: "):
            build(stretchy(60))


def test_files_of_stretches_are_found_beside_the_configuration(tmp_path):
    simulation = GrammarSimulation(
        kind="grammar",
        stretches=[STRETCHES[0], {"length": 9, "background": tmp_path / "islands.fa"}],
        classes=[{}, {"stretches": [{"length": 9, "background": tmp_path / "shores.fa"}]}],
    )
    told = {}
    changed = simulation.with_files(lambda path, key: told.setdefault(key, path.with_suffix(".gz")))
    assert told == {
        "simulation.stretches.1.background": tmp_path / "islands.gz",
        "simulation.classes.1.stretches.0.background": tmp_path / "shores.gz",
    }
    assert changed["stretches"][1].background == tmp_path / "islands.gz"
    assert changed["classes"][1].stretches[0].background == tmp_path / "shores.gz"


def test_a_report_says_that_composition_changes_along_sequences():
    story = _background_story(GrammarSimulation(kind="grammar", stretches=STRETCHES).model_dump(mode="json"))
    assert story == (
        "a random background in which each base is drawn by itself, in stretches of 2 kinds that differ in it"
    )
    classes = [{"stretches": STRETCHES}, {"background": "human"}]
    story = _background_story(GrammarSimulation(kind="grammar", classes=classes).model_dump(mode="json"))
    assert story == (
        "a random background in which each base depends on the one before, in stretches of 2 kinds that differ in it, "
        "in 2 classes of sequences that differ in it and in how many sites they have"
    )
