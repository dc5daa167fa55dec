"""Rules: how they are read, how often they hold in what is drawn, and that nothing else changes."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from helpers import grammars
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.simulate.grammar import Grammar, draw, element_tasks
from simbench_tf.simulate.grammar.labels import labels_of
from simbench_tf.simulate.grammar.rules import (
    holds_at,
    names_in,
    parse_rule,
    presence_weights,
    presences_of,
    truth_table,
)
from simbench_tf.simulate.grammar.semi_markov import presence_by_rates

N = 40_000
MOTIFS = [
    Motif(f"M{number}", name, np.random.default_rng(number).dirichlet(np.full(4, 0.3), width), 100.0)
    for number, (name, width) in enumerate([("A", 6), ("B", 8), ("C", 5), ("TAL1::GATA1", 9)])
]
ELEMENTS = [
    {"motif": "A", "rate": 0.4, "enriched": {"x": 0.3}, "position": {"centre": 30, "sd": 15, "floor": 0.1}},
    {"motif": "B", "rate": 0.6},
    {"motif": "C", "rate": 0.5, "enriched": {"y": 0.2}},
    {"pair": ["A", "C"], "gap": [0, 4], "rate": 0.2},
    {"motif": "TAL1::GATA1", "rate": 0.3},
]
RULES = [
    {"task": "x", "when": "A and B", "with_label": 0.85, "without_label": 0.1},
    {"task": "y", "when": "A without (C or A+C)", "with_label": 0.5, "without_label": 0.02},
]
TASKS = {"x": {"fraction": 0.4}, "y": {"fraction": 0.3}}


grammar_of = partial(
    grammars.grammar_of, MOTIFS, tasks=TASKS, label_correlation=0.3, elements=ELEMENTS, rules=RULES, seq_length=80
)


def presence_and_labels(grammar: Grammar, n: int = N) -> tuple[pd.DataFrame, np.ndarray]:
    """Whether each element is in each sequence, by the sites table, and the labels (N, T)."""
    drawn = draw(grammar, 11, 0, n)
    sites = drawn.sites.to_pandas()
    names = [element.name for element in grammar.elements]
    present = pd.DataFrame(False, index=range(n), columns=names)
    for name, rows in sites.groupby("element"):
        present.loc[rows["seq_id"].str[3:].astype(int).unique(), name] = True
    return present, np.stack([drawn.sequences[task].to_numpy() for task in grammar.tasks], axis=1)


def within(observed: float, expected: float, n: int) -> bool:
    """Within four standard errors of a share of n draws."""
    return abs(observed - expected) < 4 * np.sqrt(expected * (1 - expected) / n) + 1e-12


# ---------------------------------------------------------------- reading

EXPRESSIONS = st.recursive(
    st.sampled_from(["A", "B", "TAL1::GATA1", "A+C"]),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("or"), inner, inner),
    ),
    max_leaves=8,
)


def spelled(expression: Any) -> str:
    if isinstance(expression, str):
        return expression
    if expression[0] == "not":
        return f"not ({spelled(expression[1])})"
    return f"({spelled(expression[1])}) {expression[0]} ({spelled(expression[2])})"


@given(EXPRESSIONS)
def test_what_is_spelled_out_is_read_back(expression: Any) -> None:
    assert parse_rule(spelled(expression)) == expression


@given(EXPRESSIONS)
def test_an_expression_holds_where_python_says(expression: Any) -> None:
    names = names_in(expression)
    presences = presences_of(names)
    holds = holds_at(expression, presences)
    text = spelled(expression)
    for code, values in enumerate(itertools.product([False, True], repeat=len(names))):
        there = dict(zip(names, values[::-1], strict=True))
        python = text.replace("TAL1::GATA1", "T").replace("A+C", "P")
        assert holds[code] == eval(python, {}, {"T": there.get("TAL1::GATA1"), "P": there.get("A+C"), **there})


def test_precedence_is_pythons() -> None:
    assert parse_rule("A or B and not C") == ("or", "A", ("and", "B", ("not", "C")))
    assert parse_rule("A and B or C") == ("or", ("and", "A", "B"), "C")
    assert parse_rule("A without B and C") == ("and", ("and", "A", ("not", "B")), "C")


@pytest.mark.parametrize(
    ("rule", "first", "second", "expected"),
    [
        ("A and B", "A", "B", 1),
        ("A and not B", "A", "B", -1),
        ("A or B", "A", "B", -1),
        ("A and B and C", "A", "C", 0.5),
        ("(A and not B) or (B and not A)", "A", "B", -2),
        ("A or C and B", "C", "B", 0.5),
        ("A or not A and C", "A", "C", -1),
    ],
)
def test_interaction_by_hand(rule: str, first: str, second: str, expected: float) -> None:
    both, without_first, without_second, neither = truth_table(parse_rule(rule), first, second)
    assert both - without_first - without_second + neither == expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("A and", r"rules\.0\.when: a name is missing at the end; write names"),
        ("and A", "a name is missing before 'and'"),
        ("(A and B", "a parenthesis is not closed"),
        ("A B", "'B' where `and`, `or` or the end should be"),
        ("A and ()", r"a name is missing before '\)'"),
        ("", "a name is missing at the end"),
        ("A and TAL1::GATA", r"rules\.0\.when: 'TAL1::GATA' is no element; did you mean 'TAL1::GATA1'\?"),
    ],
)
def test_bad_rules_are_told(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        grammar_of(rules=[{"task": "x", "when": rule}])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rules": [{"task": "x", "when": "A"}, {"task": "x", "when": "not A"}]},
            r"simulation\.rules: in sequences without a label the rules cannot hold in shares of 0\.1, 0\.1",
        ),
        (
            {"elements": [{"motif": "A", "rate": 1e-5}], "rules": [{"task": "y", "when": "A"}]},
            r"simulation\.rules: in sequences without a label only one placement in \d+ meets the rules; raise",
        ),
        (
            {"elements": [{"motif": "A", "rate": 0}], "rules": [{"task": "y", "when": "A", "without_label": 0}]},
            "in sequences with y the rules cannot hold in shares of 0.9",
        ),
        (
            {
                "elements": [{"name": f"e{n}", "motif": "A"} for n in range(7)],
                "rules": [{"task": "x", "when": " or ".join(f"e{n}" for n in range(7))}],
            },
            r"simulation\.rules: name 7 elements in all; a grammar takes 6",
        ),
    ],
)
def test_rules_that_cannot_hold_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grammar_of(**settings)


def test_a_rule_of_no_task_is_told() -> None:
    with pytest.raises(ValueError, match=r"rules\.0\.task: 'z' is no task"):
        grammar_of(rules=[{"task": "z", "when": "A"}])


# ---------------------------------------------------------------- what is drawn


def test_rules_hold_as_often_as_asked() -> None:
    present, labels = presence_and_labels(grammar_of())
    first = (present["A"] & present["B"]).to_numpy()
    second = (present["A"] & ~(present["C"] | present["A+C"])).to_numpy()
    for rule, holds, task in zip(RULES, (first, second), (0, 1), strict=True):
        for value, key in ((1, "with_label"), (0, "without_label")):
            # in each pattern of the other label, too
            for other in (0, 1):
                chosen = (labels[:, task] == value) & (labels[:, 1 - task] == other)
                assert within(holds[chosen].mean(), rule[key], chosen.sum())


def test_labels_keep_their_fractions() -> None:
    _, labels = presence_and_labels(grammar_of())
    for task, settings in enumerate(TASKS.values()):
        assert within(labels[:, task].mean(), settings["fraction"], N)


def test_presence_by_rates_is_that_of_draws_without_rules() -> None:
    """Chi-square over all presences of the four elements named, in each label pattern."""
    with_rules = grammar_of()
    expected = presence_by_rates(with_rules.hmm)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-12)
    present, labels = presence_and_labels(grammar_of(rules=[]))
    names = ["A", "B", "C", "A+C"]
    codes = (present[names].to_numpy() * (1 << np.arange(4))).sum(axis=1)
    patterns = labels @ [1, 2]
    for pattern in range(4):
        observed = np.bincount(codes[patterns == pattern], minlength=16)
        assert stats.chisquare(observed, observed.sum() * expected[pattern]).pvalue > 1e-4


def test_presence_with_rules_is_weighted() -> None:
    grammar = grammar_of()
    expected = presence_by_rates(grammar.hmm) * grammar.hmm.presence_weight
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-9)
    present, labels = presence_and_labels(grammar)
    codes = (present[["A", "B", "C", "A+C"]].to_numpy() * (1 << np.arange(4))).sum(axis=1)
    for pattern in range(4):
        observed = np.bincount(codes[labels @ [1, 2] == pattern], minlength=16)
        assert stats.chisquare(observed, observed.sum() * expected[pattern]).pvalue > 1e-4


def test_weights_are_the_nearest_that_fit() -> None:
    """Given the rules' truth values, odds are those of the rates: nothing is changed that was not asked for."""
    grammar = grammar_of()
    weights = grammar.hmm.presence_weight
    presences = presences_of(["A", "B", "C", "A+C"])
    truth = np.stack([holds_at(parse_rule(rule["when"]), presences) for rule in RULES])
    for values in itertools.product([False, True], repeat=2):
        same = (truth == np.array(values)[:, None]).all(axis=0)
        for row in weights:
            np.testing.assert_allclose(row[same], row[same][0], rtol=1e-9)
    # and the weight of both is the product of the rules' own factors (no interaction beyond the rates')
    cells = {
        values: int(np.flatnonzero((truth == np.array(values)[:, None]).all(axis=0))[0])
        for values in itertools.product([False, True], repeat=2)
    }
    for row in weights:
        products = row[cells[True, True]] * row[cells[False, False]], row[cells[True, False]] * row[cells[False, True]]
        assert products[0] == pytest.approx(products[1], rel=1e-9)


def test_within_a_presence_nothing_changes() -> None:
    """Number and place of A's sites, among sequences with A, B and C: the same with rules and without."""
    starts, counts = [], []
    for rules in (RULES, []):
        grammar = grammar_of(rules=rules, tasks={"x": TASKS["x"], "y": TASKS["y"]})
        drawn = draw(grammar, 5, 0, N)
        sites = drawn.sites.to_pandas()
        labels = drawn.sequences.select(["seq_id", "x", "y"]).to_pandas().set_index("seq_id")
        alike = labels.index[(labels["x"] == 1) & (labels["y"] == 0)]
        elements = sites.groupby("seq_id")["element"].agg(set)
        both = elements.index[elements.map(lambda names: names - {"TAL1::GATA1"} == {"A", "B", "C"})]
        both = both.intersection(alike)
        a_sites = sites[sites["seq_id"].isin(both) & (sites["element"] == "A")]
        starts.append(a_sites["start"].to_numpy())
        counts.append(a_sites.groupby("seq_id").size().to_numpy())
        assert len(both) > 400
    assert stats.ks_2samp(*starts).pvalue > 1e-3
    assert stats.ks_2samp(*counts).pvalue > 1e-3


def test_starts_are_the_rates_without_rules_and_with_them_those_of_the_presences_asked_for() -> None:
    """Mean starts, in each label pattern: the rates; and of draws by the rates, weighed as rules weigh presences."""
    names = [str(element.get("motif") or "+".join(element["pair"])) for element in ELEMENTS]
    counts, labels, grammars_drawn = [], [], []
    for rules in ([], RULES):
        grammar = grammar_of(rules=rules)
        drawn = draw(grammar, 12, 0, N)
        sites = drawn.sites.to_pandas()
        # a pair starts once, though it has two sites
        halves = sites["element"].isin(["A+C"]).to_numpy() * 0.5
        rows = sites["seq_id"].str[3:].astype(int).to_numpy()
        table = np.zeros((N, len(names)))
        np.add.at(table, (rows, [names.index(name) for name in sites["element"]]), 1 - halves)
        counts.append(table)
        labels.append(np.stack([drawn.sequences[task].to_numpy() for task in TASKS], axis=1) @ [1, 2])
        grammars_drawn.append(grammar)
    codes = (counts[0][:, [names.index(name) for name in ("A", "B", "C", "A+C")]] > 0) @ (1 << np.arange(4))
    weights = grammars_drawn[1].hmm.presence_weight[labels[0], codes]
    for pattern in range(4):
        by_rates, by_rules = (each[label == pattern] for each, label in zip(counts, labels, strict=True))
        rates = grammars_drawn[0].hmm.rates[pattern]
        assert (np.abs(by_rates.mean(axis=0) - rates) < 4 * stats.sem(by_rates)).all()
        weighed = weights[labels[0] == pattern, None] * by_rates
        error = np.hypot(stats.sem(weighed), stats.sem(by_rules))
        assert (np.abs(by_rules.mean(axis=0) - weighed.mean(axis=0)) < 4 * error).all()
    # what the rules name has far from its rate: A in sequences with both labels (rate .7), C in those with y alone (.7)
    with_both, with_y = (counts[1][labels[1] == pattern].mean(axis=0) for pattern in (3, 2))
    assert with_both[0] > 1.0
    assert with_y[2] < 0.5


def test_draws_with_rules_are_the_same_in_any_stretch() -> None:
    grammar = grammar_of()
    whole = draw(grammar, 3, 0, 300)
    part = draw(grammar, 3, 123, 300)
    assert part.sequences.equals(whole.sequences.slice(123))
    ids = set(part.sequences["seq_id"].to_pylist())
    kept = [seq_id in ids for seq_id in whole.sites["seq_id"].to_pylist()]
    assert part.sites.equals(whole.sites.filter(kept))


def test_elements_that_rules_name_bear_on_the_task() -> None:
    assert element_tasks(grammar_of()) == {
        "A": ["x", "y"], "B": ["x"], "C": ["y"], "A+C": ["y"], "TAL1::GATA1": [],
    }  # fmt: skip


def test_without_rules_there_is_one_presence() -> None:
    hmm = grammar_of(rules=[]).hmm
    assert hmm.presence_weight.tolist() == [[1.0]] * 4
    assert not hmm.element_bit.any()
    assert (labels_of(np.arange(4), 2) @ [1, 2]).tolist() == [0, 1, 2, 3]
    from simbench_tf.simulate.grammar.rules import conditions_of

    np.testing.assert_array_equal(presence_weights(conditions_of([], ["A"], ["x"]), np.ones((2, 1)), ["x"]), 1)
