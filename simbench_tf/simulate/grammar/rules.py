"""Rules: which elements of a sequence a label requires together, as ``A and B`` or ``A without B``.

Elements are placed by their rates first. Of the placements that a label pattern y allows, those are kept that make the
rules hold as often as they should: every *presence* b (which of the elements that rules name are in the sequence) is
weighted by ``w(b | y) = P(b | y) / P_0(b | y)``, P_0 being that of the rates alone, and P the distribution nearest to
it (in Kullback-Leibler divergence) under which each rule holds with exactly its probability given its task's label.
Within a presence nothing changes, so a rule says nothing of position, strand or number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Rule
from simbench_tf.errors import InputError, nearest

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


# 2 ** this many presences, and a forward pass each
MAX_NAMED = 6


# how many placements may be drawn for one that is kept, on average
_MAX_DRAWS = 1_000
_TOLERANCE = 1e-12
_MAX_SWEEPS = 100_000
Expression = str | tuple["str | tuple", ...]


class Conditions(NamedTuple):
    """The rules of a grammar as tables over presences; bit k of a presence is the k-th element named.

    Attributes
    ----------
    named : tuple of int
        Numbers of the elements that rules name, in the order of their first mention.
    holds : bool (R, 2 ** K)
        Whether each rule holds at each presence.
    task : int64 (R,)
        Number of the rule's task.
    wanted : float64 (R, 2)
        P(rule holds | label 0), P(rule holds | label 1).
    """

    named: tuple[int, ...]
    holds: Booleans
    task: Integers
    wanted: Floats


def parse_rule(text: str) -> Expression:
    """Read a rule: names joined by and, or, not, without, and parentheses; ``A without B`` is ``A and not B``.

    Returns
    -------
    str or tuple
        A name, or ``("not", x)``, ``("and", x, y)``, ``("or", x, y)``.

    Raises
    ------
    ValueError
        The text is not such an expression.

    Examples
    --------
    >>> parse_rule("GATA1 without (TAL1 or SPI1)")
    ('and', 'GATA1', ('not', ('or', 'TAL1', 'SPI1')))
    """
    tokens = re.findall(r"[()]|[^\s()]+", text)
    expression, rest = _any_of(tokens)
    if rest:
        raise ValueError(f"{rest[0]!r} where `and`, `or` or the end should be")
    return expression


def names_in(expression: Expression) -> list[str]:
    """Names in an expression, each once, in order.

    Examples
    --------
    >>> names_in(parse_rule("A and not (B or A)"))
    ['A', 'B']
    """
    if isinstance(expression, str):
        return [expression]
    return list(dict.fromkeys(name for part in expression[1:] for name in names_in(part)))


def holds_at(expression: Expression, present: dict[str, Booleans]) -> Booleans:
    """Whether an expression holds, given an array of truth for each name.

    Examples
    --------
    >>> present = {"A": np.array([True, True, False]), "B": np.array([True, False, False])}
    >>> holds_at(parse_rule("A without B"), present).tolist()
    [False, True, False]
    """
    if isinstance(expression, str):
        return present[expression]
    parts = [holds_at(part, present) for part in expression[1:]]
    if expression[0] == "not":
        return ~parts[0]
    return parts[0] & parts[1] if expression[0] == "and" else parts[0] | parts[1]


def truth_table(expression: Expression, first: str, second: str) -> Floats:
    """What a rule says with two names, without the first, without the second, and without both, float64 (4,).

    1 where it holds and 0 where not, averaged over the others' presence.

    Examples
    --------
    >>> truth_table(parse_rule("A without B"), "A", "B").tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    presences = presences_of(names_in(expression))
    values = holds_at(expression, presences)
    return np.array(
        [
            values[(presences[first] == with_first) & (presences[second] == with_second)].mean()
            for with_first, with_second in ((True, True), (False, True), (True, False), (False, False))
        ]
    )


def main_effect(expression: Expression, name: str) -> float:
    """The effect of a name on a rule: f(with it) - f(without), averaged over the others' presence.

    Examples
    --------
    >>> main_effect(parse_rule("A without B"), "A"), main_effect(parse_rule("A without B"), "B")
    (0.5, -0.5)
    """
    presences = presences_of(names_in(expression))
    return float(2 * (np.where(presences[name], 1.0, -1.0) * holds_at(expression, presences)).mean())


def presences_of(names: Sequence[str]) -> dict[str, Booleans]:
    """Every presence of some names: for each, bool (2 ** K,)."""
    codes = np.arange(2 ** len(names))
    return {name: (codes >> bit & 1).astype(np.bool_) for bit, name in enumerate(names)}


def conditions_of(rules: Sequence[Rule], elements: Sequence[str], tasks: Sequence[str]) -> Conditions:
    """Lay out rules over the elements they name.

    Raises
    ------
    InputError
        Naming the rule: no expression, an unknown element, or more than `MAX_NAMED` elements in all.
    """
    expressions = [_parsed(rule, number, elements) for number, rule in enumerate(rules)]
    named = list(dict.fromkeys(name for expression in expressions for name in names_in(expression)))
    if len(named) > MAX_NAMED:
        raise InputError(
            "simulation.rules", f"name {len(named)} elements in all", f"a grammar takes {MAX_NAMED}; drop a rule"
        )
    presences = presences_of(named)
    holds = [holds_at(expression, presences) for expression in expressions]
    return Conditions(
        named=tuple(elements.index(name) for name in named),
        holds=np.array(holds, np.bool_).reshape(len(rules), 2 ** len(named)),
        task=np.array([tasks.index(rule.task) for rule in rules], np.int64),
        wanted=np.array([[rule.without_label, rule.with_label] for rule in rules]).reshape(-1, 2),
    )


def presence_weights(conditions: Conditions, by_rates: Floats, tasks: Sequence[str]) -> Floats:
    """Return w(b | y), float64 (P, 2 ** K): what each presence's probability is multiplied by to make the rules hold.

    Parameters
    ----------
    conditions : Conditions
    by_rates : float64 (P, 2 ** K)
        P_0(b | y), the probability of each presence given each label pattern by the rates alone.
    tasks : sequence of str

    Raises
    ------
    InputError
        Rules that cannot all hold as often as they should, or only in a share of placements that is too small to draw
        from.

    Notes
    -----
    The nearest distribution with given marginals, by iterative proportional fitting (Csiszar 1975).
    """
    weights = np.ones_like(by_rates)
    if not len(conditions.holds):
        return weights
    for pattern, start in enumerate(by_rates):
        asked = conditions.wanted[np.arange(len(conditions.task)), pattern >> conditions.task & 1]
        fitted = _fit(conditions.holds, asked, start)
        carried = [task for t, task in enumerate(tasks) if pattern >> t & 1]
        labels = f"with {' and '.join(carried)}" if carried else "without a label"
        if fitted is None:
            raise InputError(
                "simulation.rules",
                f"in sequences {labels} the rules cannot hold in shares of {', '.join(f'{q:g}' for q in asked)}",
                "bring with_label and without_label nearer to what the rates and the other rules allow",
            )
        weights[pattern] = np.divide(fitted, start, where=start > 0, out=np.zeros_like(start))
        if weights[pattern].max() > _MAX_DRAWS:
            raise InputError(
                "simulation.rules",
                f"in sequences {labels} only one placement in {weights[pattern].max():.0f} meets the rules",
                "raise the rates of the elements that should be there, lower those of the others",
            )
    return weights


def _fit(holds: Booleans, asked: Floats, start: Floats) -> Floats | None:
    """Scale a distribution until each rule holds in its share; None where that cannot be."""
    fitted = start.copy()
    for _ in range(_MAX_SWEEPS):
        for rule, share in zip(holds, asked, strict=True):
            for cells, wanted in ((rule, share), (~rule, 1 - share)):
                total = fitted[cells].sum()
                if wanted > 0 and total <= 0:
                    return None
                fitted[cells] *= wanted / total if wanted > 0 else 0.0
        shares = np.array([fitted[rule].sum() for rule in holds])
        if np.abs(shares - asked).max() <= _TOLERANCE:
            return fitted
    return None


def _parsed(rule: Rule, number: int, elements: Sequence[str]) -> Expression:
    key = f"simulation.rules.{number}.when"
    try:
        expression = parse_rule(rule.when)
    except ValueError as error:
        raise InputError(key, str(error), "write names with and, or, not, without and parentheses") from error
    for name in names_in(expression):
        if name not in elements:
            raise InputError(key, f"{name!r} is no element{nearest(name, elements)}", "add it to elements")
    return expression


def _any_of(tokens: list[str]) -> tuple[Expression, list[str]]:
    left, rest = _all_of(tokens)
    while rest and rest[0] == "or":
        right, rest = _all_of(rest[1:])
        left = ("or", left, right)
    return left, rest


def _all_of(tokens: list[str]) -> tuple[Expression, list[str]]:
    left, rest = _one(tokens)
    while rest and rest[0] in ("and", "without"):
        joint = rest[0]
        right, rest = _one(rest[1:])
        left = ("and", left, right if joint == "and" else ("not", right))
    return left, rest


def _one(tokens: list[str]) -> tuple[Expression, list[str]]:
    if not tokens or tokens[0] in (")", "and", "or", "without"):
        raise ValueError(f"a name is missing {f'before {tokens[0]!r}' if tokens else 'at the end'}")
    if tokens[0] == "not":
        inner, rest = _one(tokens[1:])
        return ("not", inner), rest
    if tokens[0] == "(":
        inner, rest = _any_of(tokens[1:])
        if not rest or rest[0] != ")":
            raise ValueError("a parenthesis is not closed")
        return inner, rest[1:]
    return tokens[0], tokens[1:]
