"""The oracle against brute force over every placement, and against a slow reference in log space."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numba
import numpy as np
import pytest
from scipy.special import logsumexp

from helpers.oracle_brute_force import (
    BACKGROUNDS,
    CASES,
    GAPPED,
    SHORT,
    background_probability,
    brute_force,
    layouts,
    short_grammar,
)
from helpers.oracle_grammars import ELEMENTS, LONG, drawn, grammar_of
from simbench_tf.simulate.grammar import Grammar, hazards, label_prior
from simbench_tf.simulate.oracle import explain, label_posterior, log_likelihood
from simbench_tf.simulate.oracle.occupancy import explain_rows
from simbench_tf.simulate.oracle.posterior import class_layouts


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("case", CASES)
def test_likelihood_and_occupancy_are_those_of_every_placement(case: str, background: str) -> None:
    grammar = short_grammar(case, background, 10)
    bases, labels, _ = drawn(grammar, 40)
    truth = brute_force(grammar, bases)
    expected = np.log(truth.likelihood, where=truth.likelihood > 0, out=np.full(truth.likelihood.shape, -np.inf))
    np.testing.assert_allclose(log_likelihood(grammar, bases), expected, rtol=0, atol=1e-10)

    joint = truth.likelihood * label_prior(grammar)
    share = joint / joint.sum(axis=1, keepdims=True)
    carried = np.arange(4)[:, None] >> np.arange(2) & 1
    told = labels.astype(np.int64)
    half_told = np.where(np.arange(40)[:, None] % 2 == np.arange(2), told, -1)
    for known in (None, told, half_told):
        fits = np.ones((40, 4), bool) if known is None else ((known[:, None] == carried) | (known[:, None] < 0)).all(2)
        weights = share * fits / (share * fits).sum(axis=1, keepdims=True)
        weights = np.divide(weights, truth.likelihood, where=truth.likelihood > 0, out=np.zeros_like(weights))
        in_element = np.einsum("np,nple->nle", weights, truth.elements)
        in_motif = np.einsum("np,nplm->nlm", weights, truth.motifs)
        posterior = explain(grammar, bases, known, by="motif")
        by_element = explain(grammar, bases, known, by="element").part_occupancy
        np.testing.assert_allclose(posterior.log_likelihood, expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(posterior.label_probability, share @ carried, rtol=0, atol=1e-10)
        np.testing.assert_allclose(posterior.occupancy, in_element.sum(axis=2), rtol=0, atol=1e-10)
        np.testing.assert_allclose(posterior.part_occupancy, in_motif, rtol=0, atol=1e-10)
        np.testing.assert_allclose(by_element, in_element, rtol=0, atol=1e-10)
        for task, name in enumerate(grammar.tasks):
            named = " ".join(rule.when for rule in grammar.rules if rule.task == name).split()
            depends = [element.enriched.get(name, 0) > 0 or element.name in named for element in grammar.elements]
            expected_task = in_element[:, :, depends].sum(axis=2)
            np.testing.assert_allclose(posterior.task_occupancy[task], expected_task, rtol=0, atol=1e-10)


def test_brute_force_places_pairs_as_they_are_described() -> None:
    """The enumeration itself, by hand: A then B, one apart, and its reverse complement."""
    element = {"pair": ["ONE", "TWO"], "gap": 1, "rate": 0.5}
    forward, backward = layouts(grammar_of([element], SHORT, 10), 0)
    one, two = (m.ppm for m in SHORT)
    assert (forward.width, forward.share, backward.width, backward.share) == (6, 0.5, 6, 0.5)
    for laid, expected in ((forward, [(0, 0, one), (4, 1, two)]), (backward, [(3, 0, one), (0, 1, two)])):
        for (at, number, ppm), (at_, number_, ppm_) in zip(laid.parts, expected, strict=True):
            assert (at, number) == (at_, number_)
            np.testing.assert_array_equal(ppm, ppm_ if laid is forward else ppm_[::-1, ::-1])


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("case", CASES)
def test_the_sequences_of_a_length_have_probability_one(case: str, background: str) -> None:
    grammar = short_grammar(case, background, 8)
    every = np.array(list(itertools.product(range(4), repeat=8)), np.uint8)
    total = logsumexp(log_likelihood(grammar, every), axis=0)
    np.testing.assert_allclose(total, 0, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- the same in log space, slowly


def log_space(grammar: Grammar, bases: np.ndarray, pattern: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log alpha and log beta (L + 1,) and the occupancy (L,) of one sequence given its label pattern."""
    length = len(bases)
    with np.errstate(divide="ignore"):
        hazard = np.log(hazards(grammar, pattern))
        stay = np.log1p(-hazards(grammar, pattern).sum(axis=0))
        background = np.log(background_probability(grammar, bases[None]))[0, 0]
        starts = []  # (position, width, log probability, mask of its sites' bases)
        for number in range(len(grammar.elements)):
            for laid in layouts(grammar, number):
                covered = np.zeros(laid.width, bool)
                for at, _, ppm in laid.parts:
                    covered[at : at + len(ppm)] = True
                for i in range(length - laid.width + 1):
                    weight = hazard[number, i] + math.log(laid.share)
                    if weight > -math.inf:
                        weight += background[i : i + laid.width][~covered].sum()
                        for at, _, ppm in laid.parts:
                            window = bases[i + at : i + at + len(ppm)]
                            weight += np.log(ppm[np.arange(len(ppm)), window]).sum()
                        starts.append((i, laid.width, weight, covered))
    alpha, beta = np.full(length + 1, -np.inf), np.full(length + 1, -np.inf)
    alpha[0] = beta[length] = 0
    at_position: list[list[Any]] = [[] for _ in range(length)]
    for start in starts:
        at_position[start[0]].append(start)
    for i in range(length):
        alpha[i + 1] = np.logaddexp(alpha[i + 1], alpha[i] + stay[i] + background[i])
        for _, width, weight, _ in at_position[i]:
            alpha[i + width] = np.logaddexp(alpha[i + width], alpha[i] + weight)
    for i in reversed(range(length)):
        beta[i] = stay[i] + background[i] + beta[i + 1]
        for _, width, weight, _ in at_position[i]:
            beta[i] = np.logaddexp(beta[i], weight + beta[i + width])
    occupancy = np.zeros(length)
    for i, width, weight, covered in starts:
        occupancy[i : i + width][covered] += math.exp(alpha[i] + weight + beta[i + width] - alpha[length])
    return alpha, beta, occupancy


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return grammar_of(ELEMENTS, LONG, 100)


def test_equal_to_the_log_space_reference(grammar: Grammar) -> None:
    bases, labels, _ = drawn(grammar, 6)
    posterior = explain(grammar, bases, labels)
    for row in range(6):
        for pattern in range(4):
            alpha, beta, occupancy = log_space(grammar, bases[row], pattern)
            assert beta[0] == pytest.approx(alpha[-1], abs=1e-10)
            assert posterior.log_likelihood[row, pattern] == pytest.approx(alpha[-1], abs=1e-9)
            if pattern == labels[row] @ [1, 2]:
                np.testing.assert_allclose(posterior.occupancy[row], occupancy, rtol=0, atol=1e-10)


def test_long_sequences_neither_overflow_nor_underflow() -> None:
    elements = [{"motif": "GAMMA", "rate": 200.0, "enriched": {"x": 60.0}}, {"motif": "ALPHA", "rate": 100.0}]
    grammar = grammar_of(elements, LONG, 6000, tasks={"x": {"fraction": 0.5}})
    bases, labels, _ = drawn(grammar, 2)
    alpha, _, occupancy = log_space(grammar, bases[0], labels[0, 0])
    posterior = explain(grammar, bases, labels)
    # odds against uniform bases are beyond what a double holds
    assert alpha[-1] + 6000 * math.log(4) > math.log(np.finfo(float).max)
    assert posterior.log_likelihood[0, labels[0, 0]] == pytest.approx(alpha[-1], rel=1e-11)
    np.testing.assert_allclose(posterior.occupancy[0], occupancy, rtol=0, atol=1e-9)
    # and a sequence no base of which looks like the model: far below the smallest double
    rare = grammar_of(elements, LONG, 6000, tasks={"x": {"fraction": 0.5}}, background=((0.97, 0.01, 0.01, 0.01),) * 4)
    surprise = log_likelihood(rare, np.full((1, 6000), 1, np.uint8))
    assert (surprise + 6000 * math.log(4) < -5000).all()
    assert surprise[0, 0] == pytest.approx(log_space(rare, np.full(6000, 1), 0)[0][-1], rel=1e-11)


def test_forward_and_backward_agree(grammar: Grammar) -> None:
    bases, _, _ = drawn(grammar, 500)
    nothing_known = np.zeros(500, np.int64)
    explained = explain_rows(class_layouts(grammar)[0], bases, nothing_known, nothing_known, None)
    np.testing.assert_allclose(explained.backward_log_likelihood, explained.log_likelihood, rtol=0, atol=1e-9)
    assert np.array_equal(log_likelihood(grammar, bases), explained.log_likelihood)


def test_parts_and_threads_change_no_bit(grammar: Grammar) -> None:
    bases, labels, _ = drawn(grammar, 100)
    whole = explain(grammar, bases, labels, by="element")
    parts = [explain(grammar, bases[part], labels[part], by="element") for part in (slice(0, 37), slice(37, None))]
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = explain(grammar, bases, labels, by="element")
    numba.set_num_threads(threads)
    for name in whole._fields:
        axis = 1 if name == "task_occupancy" else 0
        joined = np.concatenate([getattr(part, name) for part in parts], axis=axis)
        assert joined.tobytes() == getattr(whole, name).tobytes() == getattr(alone, name).tobytes(), name


def test_occupancies_add_up(grammar: Grammar) -> None:
    bases, _, _ = drawn(grammar, 200)
    posterior, by_motif = explain(grammar, bases, by="element"), explain(grammar, bases, by="motif")
    assert posterior.part_occupancy is not None
    assert by_motif.part_occupancy is not None
    for parts in (posterior.part_occupancy, by_motif.part_occupancy):
        np.testing.assert_allclose(parts.sum(axis=2), posterior.occupancy, atol=1e-12)
    np.testing.assert_allclose(posterior.part_occupancy[:, :, :2].sum(axis=2), posterior.task_occupancy[0], atol=1e-12)
    np.testing.assert_allclose(posterior.part_occupancy[:, :, 1:3].sum(axis=2), posterior.task_occupancy[1], atol=1e-12)
    assert explain(grammar, bases[:1]).part_occupancy is None
    assert posterior.occupancy.max() <= 1


# ---------------------------------------------------------------- bad input


def test_bad_arrays_are_told(grammar: Grammar) -> None:
    bases, labels, _ = drawn(grammar, 3)
    with pytest.raises(ValueError, match=r"uint8 \(N, 100\), as the grammar draws them, not uint8 \(3, 99\)"):
        explain(grammar, bases[:, 1:])
    with pytest.raises(ValueError, match=r"not int64 \(3, 100\)"):
        log_likelihood(grammar, bases.astype(np.int64))
    with_n = bases.copy()
    with_n[2, 5] = 4
    with pytest.raises(ValueError, match=r"bases\[2, 5\] is 4"):
        explain(grammar, with_n)
    with pytest.raises(ValueError, match=r"labels must be \(3, 2\), not \(3, 1\)"):
        explain(grammar, bases, labels[:, :1])
    with pytest.raises(ValueError, match="1, 0, or -1"):
        explain(grammar, bases, labels + 1)
    assert explain(grammar, bases[:0]).occupancy.shape == (0, 100)


def test_a_sequence_the_grammar_cannot_give_is_told() -> None:
    elements = [{"motif": "ONE", "rate": 0.1, "enriched": {"x": 0.2}}]
    grammar = grammar_of(elements, SHORT, 8, background=GAPPED)
    bases = np.array([[0, 1, 1, 1, 0, 0, 0, 0], [1, 2, 1, 2, 1, 2, 1, 2]], np.uint8)
    assert np.isneginf(log_likelihood(grammar, bases)).any(axis=1).tolist() == [False, True]
    assert np.isnan(label_posterior(grammar, log_likelihood(grammar, bases))).any(axis=1).tolist() == [False, True]
    with pytest.raises(ValueError, match=r"sequence 1 cannot come from this grammar$"):
        explain(grammar, bases)
    certain = grammar_of([{"motif": "TWO", "rate": 0, "enriched": {"x": 0.5}}], SHORT, 8, background=GAPPED)
    only_by_motif = drawn(certain, 500)[0]
    forbidden = np.isneginf(log_likelihood(certain, only_by_motif)[:, 0])
    assert forbidden.any()
    posterior = explain(certain, only_by_motif)
    np.testing.assert_allclose(posterior.label_probability[forbidden, 0], 1, rtol=0, atol=1e-15)
    row = np.flatnonzero(forbidden)[:1]
    with pytest.raises(ValueError, match="sequence 0 cannot come from this grammar with its labels"):
        explain(certain, only_by_motif[row], np.array([[0, -1]]))
