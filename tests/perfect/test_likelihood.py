"""The likelihood in TensorFlow against that of `simulate.oracle`, and its derivatives against finite differences."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.oracle_brute_force import BACKGROUNDS, CASES, RULES, SHORT, short_grammar
from helpers.oracle_grammars import LONG, drawn, grammar_of, motif
from simbench_tf.dna import one_hot
from simbench_tf.perfect.groups import Tail, arrange
from simbench_tf.perfect.likelihood import evidence, pattern_odds
from simbench_tf.perfect.oracle import mixtures
from simbench_tf.perfect.scan import in_chunks, scan
from simbench_tf.simulate.grammar import Grammar, label_prior
from simbench_tf.simulate.oracle import label_log_odds, log_likelihood
from simbench_tf.simulate.oracle.posterior import class_layouts

LENGTH = 10


def pattern_log_likelihood(grammar: Grammar, rows: np.ndarray) -> np.ndarray:
    """``log P(rows | pattern)``, (N, P), by the recursion in TensorFlow, as a graph that XLA does not compile."""
    layout = arrange(class_layouts(grammar)[0])
    odds, log_scale = tf.function(lambda x: pattern_odds(layout, x), autograph=False)(mixtures(rows))
    with np.errstate(divide="ignore"):
        return (np.log(odds.numpy()) + log_scale.numpy()).T - grammar.seq_length * np.log(4)


@pytest.mark.parametrize("background", [name for name in BACKGROUNDS if "stretches" not in name])
@pytest.mark.parametrize("case", CASES)
def test_likelihoods_of_sequences_are_those_of_the_oracle(case: str, background: str) -> None:
    grammar = short_grammar(case, background, LENGTH)
    bases, _, _ = drawn(grammar, 40)
    expected = log_likelihood(grammar, bases)
    np.testing.assert_allclose(pattern_log_likelihood(grammar, one_hot(bases)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("case", "order", "tail"),
    [
        ("two motifs", 4, Tail(2, 7)),
        ("pair", 3, Tail(1, 2)),
        ("pair of one strand", 3, Tail(1, 2)),
        ("and", 4, Tail(1, 3)),
        ("two rules", 3, Tail(0, 0)),
    ],
)
def test_elements_narrower_than_the_memory_of_the_background(case: str, order: int, tail: Tail) -> None:
    # motifs of two and three bases leave some of the bases before them among those that the next one depends on
    table = np.random.default_rng(8).dirichlet(np.full(4, 0.7), 4**order) + 0.001
    background = tuple(map(tuple, (table / table.sum(axis=1, keepdims=True)).tolist()))
    grammar = grammar_of(CASES[case], SHORT, LENGTH, background=background, rules=RULES.get(case, []))
    assert tail in arrange(class_layouts(grammar)[0]).tails
    bases, _, _ = drawn(grammar, 30)
    rows = one_hot(bases)
    np.testing.assert_allclose(pattern_log_likelihood(grammar, rows), log_likelihood(grammar, bases), rtol=0, atol=1e-9)


def test_evidence_sums_over_the_labels_of_other_tasks() -> None:
    grammar = short_grammar("two motifs", "human", LENGTH)
    bases, _, _ = drawn(grammar, 20)
    joint = np.exp(log_likelihood(grammar, bases)) * label_prior(grammar)  # patterns 0, x, y, xy
    expected = np.stack([[joint[:, [0, 2]], joint[:, [1, 3]]], [joint[:, [0, 1]], joint[:, [2, 3]]]]).sum(axis=-1)
    found = evidence(arrange(class_layouts(grammar)[0]), mixtures(one_hot(bases)))
    np.testing.assert_allclose(found, np.log(np.moveaxis(expected, 2, 0)), rtol=0, atol=1e-10)


def test_a_pattern_that_cannot_be_has_no_weight() -> None:
    # every sequence with the label holds a motif, and the motif ends in A or T
    certain = [{"motif": "ONE", "rate": 0, "enriched": {"x": 1}, "position": {"centre": 3.5, "sd": 0.01}}]
    grammar = grammar_of(certain, [motif("ONE", 3, 1)], 6, tasks={"x": {"fraction": 0.5}})
    bases = np.array([[1, 1, 1, 1, 1, 1], drawn(grammar, 8)[0][0].tolist()], np.uint8)
    layout = arrange(class_layouts(grammar)[0])
    rows = tf.constant(one_hot(bases), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        found = evidence(layout, mixtures(rows))
        without = found[:, 0, 0]
    expected = label_log_odds(grammar, log_likelihood(grammar, bases))[:, 0]
    np.testing.assert_allclose((found[:, 0, 1] - without).numpy(), expected, rtol=0, atol=1e-10)
    assert np.isneginf(expected[0])
    assert np.isfinite(tape.gradient(without, rows)).all()


def test_long_sequences_neither_overflow_nor_underflow() -> None:
    elements = [{"motif": "GAMMA", "rate": 200.0, "enriched": {"x": 60.0}}, {"motif": "ALPHA", "rate": 100.0}]
    one_task = {"x": {"fraction": 0.5}}
    for background in ("human", ((0.97, 0.01, 0.01, 0.01),) * 4):
        grammar = grammar_of(elements, LONG, 6000, tasks=one_task, background=background)
        bases = np.concatenate([drawn(grammar, 1)[0], np.full((1, 6000), 1, np.uint8)])
        found = pattern_log_likelihood(grammar, one_hot(bases))
        np.testing.assert_allclose(found, log_likelihood(grammar, bases), rtol=1e-11, atol=0)


# ---------------------------------------------------------------- linear in each row

MIXED = {
    "pair": short_grammar("pair", "order 2", LENGTH),
    "two rules": short_grammar("two rules", "human", LENGTH),
    "two motifs": short_grammar("two motifs", "order 0", LENGTH),
}


@st.composite
def rows_of_a_sequence(draw: Any) -> np.ndarray:
    """Mostly one-hot, some mixtures, some zero, some any numbers whatever."""
    kinds = draw(st.lists(st.sampled_from(["base"] * 6 + ["mixture", "none", "any"]), min_size=LENGTH, max_size=LENGTH))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = [kind if kinds[:number].count(kind) < 2 else "base" for number, kind in enumerate(kinds)]
    made = {
        "base": lambda: np.eye(4)[random.integers(4)],
        "mixture": lambda: random.dirichlet(np.ones(4)),
        "none": lambda: np.zeros(4),
        "any": lambda: random.normal(size=4),
    }
    return np.stack([made[kind]() for kind in kinds])


@settings(max_examples=15)
@given(rows=rows_of_a_sequence(), case=st.sampled_from(sorted(MIXED)))
def test_the_likelihood_is_the_mean_over_all_sequences_that_the_rows_mix(rows: np.ndarray, case: str) -> None:
    grammar = MIXED[case]
    weights = rows + (1 - rows.sum(axis=1, keepdims=True))  # a row of zeros: 1 for each base
    choices = [np.flatnonzero(weight) for weight in weights]
    bases = np.array(list(itertools.product(*choices)), np.uint8)
    share = weights[np.arange(LENGTH), bases].prod(axis=1)
    expected = share @ np.exp(log_likelihood(grammar, bases))
    odds, log_scale = pattern_odds(arrange(class_layouts(grammar)[0]), mixtures(rows[None]))
    found = (odds * tf.exp(log_scale)).numpy()[:, 0] / 4**LENGTH
    size = np.abs(share) @ np.exp(log_likelihood(grammar, bases))
    assert (np.abs(found - expected) <= 1e-11 * size).all()


# ---------------------------------------------------------------- derivatives


def central(function: Any, at: np.ndarray, where: list[tuple[int, ...]], step: float = 1e-5) -> np.ndarray:
    """Central differences of a function's values with regard to some of the numbers it depends on."""
    found = []
    for place in where:
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        found.append((ends[0] - ends[1]) / (2 * step))
    return np.array(found)


EVERYWHERE = list(itertools.product([0], range(LENGTH), range(4)))


@pytest.mark.parametrize("case", ["pair", "two rules"])
def test_gradients_are_those_of_finite_differences(case: str) -> None:
    layout = arrange(class_layouts(MIXED[case])[0])
    at = np.random.default_rng(1).dirichlet(np.ones(4), (1, LENGTH))
    weights = np.random.default_rng(2).normal(size=(1, 2, 2))

    @tf.function(autograph=False)
    def value_and_gradient(rows: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(rows)
            value = tf.reduce_sum(evidence(layout, mixtures(rows)) * weights)
        return value, tape.gradient(value, rows)

    found = value_and_gradient(tf.constant(at))[1].numpy().ravel()
    expected = central(lambda rows: float(value_and_gradient(tf.constant(rows))[0]), at, EVERYWHERE)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(found).max())


def test_a_scan_is_a_loop_with_all_its_derivatives() -> None:
    def step(carry: Any, given: Any, fixed: Any) -> Any:
        return [carry[0] * given[0] + fixed[0]], [tf.sin(carry[0]) * given[0]]

    def looped(start: Any, xs: Any, fixed: Any, order: Any) -> Any:
        carry, ys = start, [None] * len(order)
        for number in order:
            (carry,), (ys[number],) = step([carry], [xs[number]], [fixed[number]])
        return carry + tf.reduce_sum(tf.stack(ys) * np.arange(1.0, 6.0))

    def scanned(start: Any, xs: Any, fixed: Any, order: Any) -> Any:
        (carry,), (ys,) = scan(step, [start], [xs], [fixed], backward=order[0] > 0)
        return carry + tf.reduce_sum(ys * np.arange(1.0, 6.0))

    start, xs = tf.constant(0.7, tf.float64), tf.constant([0.5, -1.2, 0.8, 1.5, 0.3], tf.float64)
    fixed = tf.constant([0.1, 0.4, -0.3, 0.2, 0.6], tf.float64)
    for order in (range(5), range(4, -1, -1)):
        found = []
        for function in (looped, scanned):
            with tf.GradientTape() as third, tf.GradientTape() as second, tf.GradientTape() as first:
                for tape in (first, second, third):
                    tape.watch([start, xs])
                value = function(start, xs, fixed, order)
                gradient = first.gradient(value, [start, xs])
                curved = second.gradient(gradient[1][1] * gradient[0], [start, xs])
            found.append([value, *gradient, *curved, third.gradient(curved[0], xs)])
        for expected, mine in zip(*found, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-12)


@pytest.mark.slow
def test_what_is_compiled_has_second_derivatives_too() -> None:
    layout = arrange(class_layouts(MIXED["two motifs"])[0])
    bases, _, _ = drawn(MIXED["two motifs"], 5)
    compiled = in_chunks(lambda x: evidence(layout, x), 2)
    at = mixtures(0.7 * one_hot(bases) + 0.3 * one_hot(bases[::-1])).numpy()
    chosen = 5, 2

    def derivatives(rows: np.ndarray) -> list[np.ndarray]:
        x = tf.constant(rows)
        with tf.GradientTape() as outer, tf.GradientTape() as inner:
            inner.watch(x)
            outer.watch(x)
            value = compiled(x)
            gradient = inner.gradient(value[:, 1, 1] - value[:, 1, 0], x)
            one = gradient[:, *chosen]
        return [each.numpy() for each in (value, gradient, outer.gradient(one, x))]

    def one_value(value: np.ndarray, gradient: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.array([value[0, 1, 1] - value[0, 1, 0], gradient[0, *chosen]])

    value, gradient, second = derivatives(at)
    np.testing.assert_allclose(value, evidence(layout, tf.constant(at)), rtol=1e-12)
    for number in range(len(at)):
        rows = at[[number]]
        expected = central(lambda each: one_value(*derivatives(each)), rows, EVERYWHERE).T
        for found, by_steps in zip((gradient[number], second[number]), expected, strict=True):
            np.testing.assert_allclose(found.ravel(), by_steps, rtol=1e-5, atol=1e-6 * np.abs(found).max())
