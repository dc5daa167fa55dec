"""Grammars of a few bases, and the likelihood of a sequence as a sum over every placement, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from helpers.oracle_grammars import grammar_of, motif
from simbench_tf.simulate.grammar import Grammar, hazards

SHORT = [motif("ONE", 3, 1), motif("TWO", 2, 2)]

# no C after G, no G after C: such neighbours can only come from motifs
GAPPED = ((0.4, 0.2, 0.2, 0.2), (0.5, 0.2, 0, 0.3), (0.3, 0, 0.4, 0.3), (0.1, 0.4, 0.3, 0.2))

# a base given the two before it, some steps impossible
ORDER_2 = np.random.default_rng(6).dirichlet(np.full(4, 0.7), 16).round(3)
ORDER_2[[3, 9]] = [[0.5, 0, 0.25, 0.25], [0, 0.2, 0.4, 0.4]]
LONG_MEMORY = tuple(map(tuple, (ORDER_2 / ORDER_2.sum(axis=1, keepdims=True)).tolist()))

#: Settings of a grammar each.
BACKGROUNDS: dict[str, dict[str, Any]] = {
    "human": {"background": "human"},
    "impossible steps": {"background": GAPPED},
    "order 0": {"background": ((0.1, 0.2, 0.3, 0.4),)},
    "order 2": {"background": LONG_MEMORY},
    "stretches": {
        "stretches": [
            {"weight": 2, "length": 3, "background": ((0.4, 0.1, 0.1, 0.4),)},
            {"weight": 1, "length": 1, "background": ((0.04, 0.46, 0.3, 0.2),)},
            {"weight": 3, "length": 6, "background": ((0.1, 0.2, 0.6, 0.1),)},
        ]
    },
    "stretches of order 2": {
        "stretches": [{"length": 2, "background": LONG_MEMORY}, {"length": 4, "background": LONG_MEMORY[::-1]}]
    },
}

CASES: dict[str, list[dict[str, Any]]] = {
    "two motifs": [
        {"motif": "ONE", "rate": 0.4, "enriched": {"x": 0.5}, "position": {"centre": 4, "sd": 2, "floor": 0.1}},
        {"motif": "TWO", "rate": 0.3, "enriched": {"x": 0.2, "y": 0.6}},
    ],
    "one strand": [
        {"motif": "ONE", "rate": 0.5, "strand": "-"},
        {"motif": "TWO", "rate": 0.2, "enriched": {"y": 0.5}, "strand": "+"},
    ],
    "pair": [
        {"pair": ["ONE", "TWO"], "gap": [0, 2], "orientation": "any", "rate": 0.2, "enriched": {"y": 0.3}},
        {"motif": "TWO", "rate": 0.3, "enriched": {"x": 0.3}, "position": {"centre": 3, "sd": 1.5}},
    ],
    "pair of one strand": [
        {
            "pair": ["TWO", "ONE"],
            "gap": 1,
            "orientation": "opposite",
            "strand": "-",
            "rate": 0.1,
            "enriched": {"x": 0.4},
        },
        {"pair": ["TWO", "TWO"], "gap": [1, 2], "rate": 0.2},
    ],
    "certain": [{"motif": "ONE", "rate": 1, "position": {"centre": 4.5, "sd": 0.01}}],
    "and": [
        {"motif": "ONE", "rate": 0.6, "enriched": {"x": 0.5}, "position": {"centre": 4, "sd": 2, "floor": 0.1}},
        {"motif": "TWO", "rate": 0.5},
    ],
    "two rules": [
        {"motif": "ONE", "rate": 0.4},
        {"name": "near", "pair": ["ONE", "TWO"], "gap": 0, "rate": 0.3},
        {"name": "far", "pair": ["ONE", "TWO"], "gap": [1, 2], "rate": 0.3, "orientation": "any"},
    ],
    "never": [{"motif": "ONE", "rate": 0.4, "enriched": {"y": 0.3}}, {"motif": "TWO", "rate": 0.6}],
}
RULES: dict[str, list[dict[str, Any]]] = {
    "and": [{"task": "x", "when": "ONE and TWO", "with_label": 0.8, "without_label": 0.05}],
    "two rules": [
        {"task": "x", "when": "near without far", "with_label": 0.6, "without_label": 0.1},
        {"task": "y", "when": "ONE or far", "with_label": 0.9, "without_label": 0.3},
    ],
    "never": [{"task": "y", "when": "not ONE and TWO", "with_label": 1.0, "without_label": 0.0}],
}


def short_grammar(case: str, background: str, seq_length: int) -> Grammar:
    rules = RULES.get(case, [])
    return grammar_of(CASES[case], SHORT, seq_length, rules=rules, **BACKGROUNDS[background])


# ---------------------------------------------------------------- every placement, one by one


class Laid(NamedTuple):
    """An element laid out on the sequence: its share among its variants, and (offset, motif, ppm) of its motifs."""

    share: float
    width: int
    parts: list[tuple[int, int, np.ndarray]]


def layouts(grammar: Grammar, number: int) -> list[Laid]:
    """Every way an element may lie, from its configuration."""
    element = grammar.elements[number]
    names = element.pair or (element.motif,)
    index = [next(m for m, one in enumerate(grammar.motifs) if one.tf == name) for name in names]
    ppms = [grammar.motifs[m].ppm for m in index]
    forward = []
    if len(names) == 1:
        forward.append((len(ppms[0]), [(0, index[0], ppms[0])]))
    else:
        turned = ppms[1][::-1, ::-1]
        seconds = {"same": [ppms[1]], "opposite": [turned], "any": [ppms[1], turned]}[element.orientation]
        for gap in range(element.gap[0], element.gap[1] + 1):
            for second in seconds:
                at = len(ppms[0]) + gap
                forward.append((at + len(second), [(0, index[0], ppms[0]), (at, index[1], second)]))
    found = forward if element.strand in ("both", "+") else []
    if element.strand in ("both", "-"):
        for width, parts in forward:
            found = [*found, (width, [(width - at - len(ppm), m, ppm[::-1, ::-1]) for at, m, ppm in parts])]
    return [Laid(1 / len(found), width, parts) for width, parts in found]


def placements(grammar: Grammar, pattern: int) -> list[tuple[float, list[tuple[int, int, Laid]]]]:
    """Every placement of elements with its probability: by the rates, then as the rules ask."""
    by_rates = list(placements_by_rates(grammar, pattern))
    if not grammar.rules:
        return by_rates
    # a truth value of every rule for every placement, by Python's own reading of it
    names = [element.name for element in grammar.elements]
    truths = []
    for _, placed in by_rates:
        there = {name: any(number == n for _, n, _ in placed) for number, name in enumerate(names)}
        truths.append([eval(rule.when.replace("without", "and not"), {}, there) for rule in grammar.rules])
    holds, probability = np.array(truths), np.array([probability for probability, _ in by_rates])
    for _ in range(2_000 if len(grammar.rules) > 1 else 1):
        for number, rule in enumerate(grammar.rules):
            share = rule.with_label if pattern >> grammar.tasks.index(rule.task) & 1 else rule.without_label
            for those, wanted in ((holds[:, number], share), (~holds[:, number], 1 - share)):
                probability[those] *= wanted / probability[those].sum() if wanted else 0
    return [(weight, placed) for weight, (_, placed) in zip(probability, by_rates, strict=True) if weight > 0]


def placements_by_rates(grammar: Grammar, pattern: int) -> Iterator[tuple[float, list[tuple[int, int, Laid]]]]:
    hazard, length = hazards(grammar, pattern), grammar.seq_length
    variants = [layouts(grammar, number) for number in range(len(grammar.elements))]

    def go(i: int, probability: float, placed: list[tuple[int, int, Laid]]) -> Iterator[Any]:
        if probability == 0:
            return
        if i == length:
            yield probability, placed
            return
        yield from go(i + 1, probability * max(0.0, 1 - hazard[:, i].sum()), placed)
        for number, laid in enumerate(variants):
            for one in laid:
                if hazard[number, i] > 0:
                    yield from go(
                        i + one.width, probability * hazard[number, i] * one.share, [*placed, (i, number, one)]
                    )

    return go(0, 1.0, [])


def background_probability(grammar: Grammar, bases: np.ndarray) -> np.ndarray:
    """P(base | up to k bases before) as a background base, in each kind of stretch, (Z, N, L)."""
    kinds = grammar.hmm.background.reshape(len(grammar.hmm.stretch_weight), -1, 4)
    probability = np.empty((len(kinds), *bases.shape))
    for row, position in np.ndindex(*bases.shape):
        context = bases[row, max(0, position - grammar.hmm.order) : position]
        block = sum(4**j for j in range(len(context)))
        code = sum(int(base) * 4**j for j, base in enumerate(context[::-1]))
        probability[:, row, position] = kinds[:, block + code, bases[row, position]]
    return probability


def placed_probability(
    grammar: Grammar, background: np.ndarray, bases: np.ndarray, placed: list[tuple[int, int, Laid]]
) -> np.ndarray:
    """P(sequence | a placement), (N,), from the probabilities of its bases as background, (Z, N, L)."""
    factors, in_element = background.copy(), np.zeros(bases.shape[1], bool)
    for start, _, laid in placed:
        in_element[start : start + laid.width] = True
        for at, _, ppm in laid.parts:
            for offset, row in enumerate(ppm):
                factors[:, :, start + at + offset] = row[bases[:, start + at + offset]]
    if len(factors) == 1:
        return factors[0].prod(axis=1)
    # a step from one kind of stretch to another, and what steps leave as it is
    ends = 1 - grammar.hmm.stretch_stay
    step = np.diag(1 - ends) + ends[:, None] * grammar.hmm.stretch_weight
    values, vectors = np.linalg.eig(step.T)
    long_run = np.real(vectors[:, np.argmax(np.real(values))])
    state = np.repeat((long_run / long_run.sum())[:, None], len(bases), axis=1)
    for position in range(bases.shape[1]):
        state = state * factors[:, :, position]
        if not in_element[position]:
            state = step.T @ state
    return state.sum(axis=0)


class BruteForce(NamedTuple):
    likelihood: np.ndarray  # (N, P)
    elements: np.ndarray  # (N, P, L, E): joint probability of the sequence and of the base lying in the element
    motifs: np.ndarray  # (N, P, L, M)


def brute_force(grammar: Grammar, bases: np.ndarray) -> BruteForce:
    n, length = bases.shape
    n_patterns = 2 ** len(grammar.tasks)
    background = background_probability(grammar, bases)
    likelihood = np.zeros((n, n_patterns))
    elements = np.zeros((n, n_patterns, length, len(grammar.elements)))
    motifs = np.zeros((n, n_patterns, length, len(grammar.motifs)))
    for pattern in range(n_patterns):
        for probability, placed in placements(grammar, pattern):
            joint = probability * placed_probability(grammar, background, bases, placed)
            likelihood[:, pattern] += joint
            for start, number, laid in placed:
                for at, m, ppm in laid.parts:
                    covered = slice(start + at, start + at + len(ppm))
                    elements[:, pattern, covered, number] += joint[:, None]
                    motifs[:, pattern, covered, m] += joint[:, None]
    return BruteForce(likelihood, elements, motifs)
