"""KnockOuts of rules and pairs: which interactions there are, what is replaced, and what is measured on it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import spearmanr

from helpers import grammars
from helpers.folders import times
from helpers.grammars import sharp
from simbench_tf.dna.arrow import bases_of
from simbench_tf.score import faithfulness, satisfiability
from simbench_tf.simulate.grammar import Grammar, draw
from simbench_tf.simulate.grammar.knockouts import InteractionPart, interaction_of, interactions, knock_out, part_mask
from simbench_tf.simulate.oracle import label_log_odds, label_posterior, log_likelihood

MOTIFS = [sharp("TGACTCATGC", tf="A"), sharp("GGGTTCCCAA", tf="B"), sharp("CATTCATTCG", tf="C")]
ELEMENTS = [{"motif": name, "rate": 0.8} for name in "ABC"]


grammar_of = partial(grammars.grammar_of, MOTIFS, tasks={"x": {"fraction": 0.5}}, elements=ELEMENTS, seq_length=100)


def probes(grammar: Grammar, n: int = 3000) -> tuple[np.ndarray, pd.DataFrame, list[str]]:
    drawn = draw(grammar, 3, 0, n)
    return bases_of(drawn.sequences["sequence"]), drawn.sites.to_pandas(), drawn.sequences["seq_id"].to_pylist()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("A and B", [("A", "B", 1)]),
        ("A without B", [("A", "B", -1)]),
        ("A or B", [("A", "B", -1)]),
        ("A and B and C", [("A", "B", 1), ("A", "C", 1), ("B", "C", 1)]),
        ("A", []),
    ],
)
def test_interactions_of_a_rule(when: str, expected: list[tuple[str, str, int]]) -> None:
    rule = {"task": "x", "when": when, "with_label": 0.6, "without_label": 0.2}
    found = interactions(grammar_of(rules=[rule]))
    assert [(each.first.name, each.second.name, each.expected) for each in found] == expected
    turned = {"task": "x", "when": when, "with_label": 0.2, "without_label": 0.6}
    assert [each.expected for each in interactions(grammar_of(rules=[turned]))] == [-sign for _, _, sign in expected]


def test_interactions_of_pairs() -> None:
    near = {"name": "near", "pair": ["A", "B"], "rate": 0.5}
    far = {"name": "far", "pair": ["A", "B"], "gap": [20, 30], "rate": 0.5}
    found = interactions(grammar_of(rules=[{"task": "x", "when": "near without far"}], elements=[near, far]))
    described = [(each.rule, each.first.name, each.second.name, each.expected) for each in found]
    assert described == [("near without far", "near", "far", -1), ("near", "A", "B", 1), ("far", "A", "B", -1)]
    enriched = interactions(grammar_of(elements=[{**near, "enriched": {"x": 0.4}}, far]))
    assert [(each.rule, each.expected) for each in enriched] == [("near", 1)]


def test_parts_are_where_their_sites_are() -> None:
    pair = {"name": "pair", "pair": ["A", "B"], "gap": [2, 5], "orientation": "any", "rate": 0.9}
    alike = {"name": "twice", "pair": ["C", "C"], "gap": 1, "rate": 0.6}
    grammar = grammar_of(elements=[pair, alike, {"motif": "A", "rate": 0.5}])
    bases, sites, seq_ids = probes(grammar, 400)
    by_motif = {
        InteractionPart("pair", "A", 0): sites[(sites["element"] == "pair") & (sites["tf"] == "A")],
        InteractionPart("pair", "B", 1): sites[(sites["element"] == "pair") & (sites["tf"] == "B")],
        InteractionPart("A", "A"): sites[sites["element"] == "A"],
        InteractionPart("twice", "C", 0): sites[sites["element"] == "twice"].iloc[::2],
        InteractionPart("twice", "C", 1): sites[sites["element"] == "twice"].iloc[1::2],
    }
    for part, rows in by_motif.items():
        expected = np.zeros(bases.shape, bool)
        for row in rows.itertuples():
            expected[seq_ids.index(row.seq_id), row.start : row.end] = True
        np.testing.assert_array_equal(part_mask(grammar, sites, seq_ids, part), expected)
        np.testing.assert_array_equal(part_mask(grammar, sites, seq_ids[100:200], part), expected[100:200])


def test_knock_outs_replace_the_parts_and_nothing_else() -> None:
    grammar = grammar_of()
    bases, sites, seq_ids = probes(grammar, 2000)
    first, second = (part_mask(grammar, sites, seq_ids, InteractionPart(name, name)) for name in "AB")
    variants = knock_out(grammar, bases, first, second, 1, np.arange(2000))
    np.testing.assert_array_equal(variants[:, 0], bases)
    for number, gone in ((1, first), (2, second), (3, first | second)):
        np.testing.assert_array_equal(variants[:, number][~gone], bases[~gone])
    np.testing.assert_array_equal(variants[:, 1][first], variants[:, 3][first])
    np.testing.assert_array_equal(variants[:, 2][second], variants[:, 3][second])
    # what stands there instead is background: the motif's letters no more often than by chance
    start = sites[sites["element"] == "A"].groupby("seq_id")["start"].first()
    plus = sites[(sites["element"] == "A") & (sites["strand"] == "+")].groupby("seq_id")["start"].first()
    rows = [seq_ids.index(seq_id) for seq_id in plus.index if start[seq_id] == plus[seq_id]]
    third = np.array([variants[row, 1, plus[seq_ids[row]] + 2] for row in rows])
    share = np.bincount(third, minlength=4) / len(third)
    np.testing.assert_allclose(share, grammar.hmm.background[0], atol=4 * 0.5 / np.sqrt(len(third)))
    again = knock_out(grammar, bases[500:], first[500:], second[500:], 1, np.arange(500, 2000))
    np.testing.assert_array_equal(again, variants[500:])


@pytest.mark.parametrize(("when", "sign"), [("A and B", 1), ("A without B", -1), ("A or B", -1)])
def test_the_oracle_has_the_interaction_that_the_rule_says(when: str, sign: int) -> None:
    grammar = grammar_of(rules=[{"task": "x", "when": when, "with_label": 0.9, "without_label": 0.1}])
    bases, sites, seq_ids = probes(grammar)
    first, second = (part_mask(grammar, sites, seq_ids, InteractionPart(name, name)) for name in "AB")
    rows = np.flatnonzero(first.any(axis=1) & second.any(axis=1))
    variants = knock_out(grammar, bases[rows], first[rows], second[rows], 1, rows)
    log_odds = label_log_odds(grammar, log_likelihood(grammar, variants.reshape(-1, 100)))[:, 0].reshape(-1, 4)
    # by the rule alone: log(.9 / .1) where it holds, its opposite where not
    step = 2 * np.log(9)
    assert np.median(interaction_of(log_odds)) == pytest.approx(sign * step, abs=0.3)


def test_log_odds_are_those_of_the_posterior() -> None:
    grammar = grammar_of(rules=[{"task": "x", "when": "A and B"}])
    bases, _, _ = probes(grammar, 200)
    likelihood = log_likelihood(grammar, bases)
    posterior = label_posterior(grammar, likelihood)
    np.testing.assert_allclose(expit(label_log_odds(grammar, likelihood)), posterior, atol=1e-14)
    direct = np.exp(likelihood - likelihood.max(axis=1, keepdims=True)) * 0.5
    np.testing.assert_allclose(posterior[:, 0], direct[:, 1] / direct.sum(axis=1), atol=1e-12)


# ---------------------------------------------------------------- what is measured


def exact_credit(answers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Attributions (N, 3, 2) of a method that gives each part what its loss costs, and the parts' masks."""
    with_both, without_first, without_second, neither = answers.T
    scores = np.zeros((len(answers), 3, 2))
    scores[:, 0] = np.stack([with_both - without_first, with_both - without_second], axis=1)
    scores[:, 1, 1] = without_first - neither
    scores[:, 2, 0] = without_second - neither
    masks = np.tile(np.eye(2, dtype=bool), (len(answers), 1, 1))
    return scores, masks[:, 0], masks[:, 1]


def test_credit_by_loss_changes_as_the_model_does() -> None:
    rng = np.random.default_rng(2)
    answers, oracle = rng.normal(size=(50, 4)), rng.normal(size=(50, 4))
    measured = faithfulness(*exact_credit(answers), answers, oracle)
    expected = interaction_of(answers)
    for name in ("first_change", "second_change", "interaction"):
        assert measured[name] == pytest.approx(expected.mean(), abs=1e-12)
        assert measured[f"{name}_se"] == pytest.approx(expected.std(ddof=1) / np.sqrt(50), abs=1e-12)
    assert measured["agreement"] == pytest.approx(1)
    assert measured["oracle_agreement"] == pytest.approx(spearmanr(expected, interaction_of(oracle)).statistic)
    for name, without in (("first", 1), ("second", 2)):
        assert measured[f"{name}_effect"] == pytest.approx((answers[:, 0] - answers[:, without]).mean())
        assert measured[f"{name}_credit"] == pytest.approx(measured[f"{name}_effect"])
        assert measured[f"{name}_oracle_effect"] == pytest.approx((oracle[:, 0] - oracle[:, without]).mean())


def test_credit_that_never_changes_is_not_faithful() -> None:
    answers = np.random.default_rng(2).normal(size=(20, 4))
    scores, first, second = exact_credit(answers)
    scores[:] = 1.0
    measured = faithfulness(scores, first, second, answers, answers)
    assert measured["first_change"] == measured["second_change"] == 0
    assert np.isnan(measured["agreement"])


def test_without_an_oracle_its_answers_are_unknown() -> None:
    answers = np.random.default_rng(2).normal(size=(20, 4))
    measured = faithfulness(*exact_credit(answers), answers, np.full((20, 4), np.nan))
    assert measured["agreement"] == pytest.approx(1)
    assert np.isnan([measured["oracle_agreement"], measured["oracle_interaction"]]).all()


def test_wrong_shapes_are_told() -> None:
    answers = np.zeros((3, 4))
    scores, first, second = exact_credit(answers)
    with pytest.raises(ValueError, match=r"need scores \(N, 3, L\)"):
        faithfulness(scores[:, :2], first, second, answers, answers)
    with pytest.raises(ValueError, match=r"need answers \(3, 4\)"):
        faithfulness(scores, first, second, answers[:, :3], answers)


# ---------------------------------------------------------------- rules satisfied


@pytest.mark.parametrize("when", ["A and B", "A without B", "B without A", "A or B", "not (A and B)"])
def test_exact_losses_satisfy_the_rule_and_random_scores_are_at_chance(when: str) -> None:
    """Of the oracle's log-odds: what the loss of each part costs, beside the other and alone."""
    grammar = grammar_of(rules=[{"task": "x", "when": when, "with_label": 0.9, "without_label": 0.1}])
    (tied,) = interactions(grammar)
    bases, sites, seq_ids = probes(grammar)
    first, second = (part_mask(grammar, sites, seq_ids, part) for part in (tied.first, tied.second))
    rows = np.flatnonzero(first.any(axis=1) & second.any(axis=1))
    variants = knock_out(grammar, bases[rows], first[rows], second[rows], 1, rows)
    exact = label_log_odds(grammar, log_likelihood(grammar, variants.reshape(-1, 100)))[:, 0].reshape(-1, 4)
    measured = satisfiability(*exact_credit(exact), tied.truth)
    assert len(rows) > 100
    # a site of few bases may look like background, and then its loss costs nothing
    assert measured["satisfied"] > 0.95
    by_rule = np.tile(tied.truth, (7, 1))
    assert satisfiability(*exact_credit(by_rule), tied.truth)["satisfied"] == 1
    assert satisfiability(*exact_credit(by_rule), tied.truth)["wholly_satisfied"] == 1
    opposite = satisfiability(*exact_credit(-by_rule), tied.truth)
    assert opposite["satisfied"] == opposite["wholly_satisfied"] == 0
    scores, masks = np.random.default_rng(0).normal(size=(4000, 3, 2)), exact_credit(np.zeros((4000, 4)))[1:]
    chance = satisfiability(scores, *masks, tied.truth)
    assert chance["satisfied"] == pytest.approx(0.5, abs=4 * chance["satisfied_se"])
    assert chance["satisfied_se"] < 0.01


def test_credit_of_either_sign_counts_by_its_order() -> None:
    """A and B: the first part is credited beside the second alone, the second part always."""
    scores, first, second = exact_credit(np.zeros((1, 4)))
    scores[0, 0], scores[0, 1, 1] = [3.0, 2.0], 2.0
    # worths: first beside 1, second beside 1, either alone 0, nothing 0; six pairs differ
    measured = satisfiability(scores, first, second, (1, 0, 0, 0))
    # of second beside with second alone there is a tie
    assert measured["satisfied"] == pytest.approx(5.5 / 6)
    assert measured["wholly_satisfied"] == 0
    with pytest.raises(ValueError, match="depends on neither part"):
        satisfiability(scores, first, second, (1, 1, 1, 1))


# ---------------------------------------------------------------- a whole run


@pytest.mark.slow
def test_a_run_with_rules_has_its_table(tmp_path: Path) -> None:
    from simbench_tf import pipeline
    from simbench_tf.config import load_config

    small = [
        "simulation.n_sequences=600", "simulation.splits={valid: .1, test: .4}", "training.max_batches=4",
        "models.0.width=0.05",
        "attribution.n_sequences=12",
        "attribution.methods=[{method: grad_x_input}, {method: saliency}]",
    ]  # fmt: skip
    config = load_config("rules", small)
    report = pipeline.run(config, tmp_path)
    table = pd.read_csv(tmp_path / "scores" / "faithfulness.csv")
    described = table[["task", "rule", "first", "second", "expected"]].drop_duplicates().to_numpy().tolist()
    assert described == [
        ["paired", "near without far", "near", "far", -1],
        ["paired", "near", "SOX2", "POU5F1", 1],
        ["paired", "far", "SOX2", "POU5F1", -1],
        ["joint", "HNF4A and CEBPB", "HNF4A", "CEBPB", 1],
        ["alone", "GATA1 without SPI1", "GATA1", "SPI1", -1],
    ]
    assert len(table) == 10
    # the oracle knows the rules from so few sequences, too
    assert (np.sign(table["oracle_interaction"]) == table["expected"]).all()
    assert table["oracle_agreement"].notna().all()
    satisfied = pd.read_csv(tmp_path / "scores" / "satisfiability.csv")
    same = ["model", "task", "key", "rule", "first", "second", "expected", "n_sequences"]
    pd.testing.assert_frame_equal(satisfied[same], table[same])
    assert satisfied["satisfied"].between(0, 1).all()
    # sizes alone know no sign: a part that lowers the label is credited, too
    saliency = satisfied[(satisfied["key"] == "saliency@none") & (satisfied["rule"] == "GATA1 without SPI1")]
    assert (saliency["wholly_satisfied"] == 0).all()
    page = report.read_text(encoding="utf-8")
    assert "rule satisfied" in page
    assert "Do methods honour the rules?" in page
    assert "alone, basset; GATA1 without SPI1: GATA1 beside SPI1 counts for less (12 sequences" in page
    # nothing is made again, and the files are recorded
    before = times(tmp_path, "*.h5")
    pipeline.run(config, tmp_path)
    assert times(tmp_path, "*.h5") == before
    recorded = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert "knockouts/basset/joint/saliency@none.h5" in json.dumps(recorded)
