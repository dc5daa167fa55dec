"""Knock-outs: sequences of a grammar in which one site, another, or both were replaced by background.

Where a label depends on how elements occur together (a rule, a spaced pair), where they lie is not all of the truth:
the effect of A should change when B is gone. Four versions of a sequence (as it is, without A, without B, without both)
test that for the oracle, for a model, and for an attribution method.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Element
from simbench_tf.intervals import covered_bases
from simbench_tf.motifs import find_motif
from simbench_tf.simulate.grammar.generative_model import Grammar
from simbench_tf.simulate.grammar.generator import draw_background
from simbench_tf.simulate.grammar.rules import main_effect, names_in, parse_rule, truth_table

Bases = npt.NDArray[np.uint8]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


#: The four versions of a sequence, in order.
KNOCK_OUTS = ("as it is", "without the first", "without the second", "without both")


class InteractionPart(NamedTuple):
    """Sites of an element; of a pair's two motifs, those of the motif numbered `motif` (0 or 1), or of both (-1)."""

    element: str
    name: str
    motif: int = -1


class Interaction(NamedTuple):
    """Two parts on whose joint presence a task's label depends.

    Attributes
    ----------
    task : str
    rule : str
        The rule, or the name of the pair.
    first, second : InteractionPart
    truth : tuple of float
        How far the four versions of a sequence, in the order of `KNOCK_OUTS`, speak for the label by the rule alone, up
        to a constant: (1, 0, 0, 0) of ``A and B`` and of a pair; negative where what holds makes the label less likely.
    """

    task: str
    rule: str
    first: InteractionPart
    second: InteractionPart
    truth: tuple[float, ...]

    @property
    def expected(self) -> int:
        """1 where each counts for more beside the other, as in ``A and B``; -1 where for less, as ``A without B``."""
        return int(np.sign(interaction_of(np.array([self.truth]))[0]))


def interactions(grammar: Grammar) -> list[Interaction]:
    """Every interaction the labels depend on: two names of a rule, and the two motifs of a pair.

    Two names of a rule whose effects simply add have no interaction. The motifs of a pair that makes a label less
    likely, by a rule, do so only together: each counts for less beside the other.

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> from simbench_tf.config import GrammarSimulation
    >>> settings = GrammarSimulation(
    ...     kind="grammar", tasks={"K562": {}}, rules=[{"task": "K562", "when": "GATA1 without SPI1"}],
    ...     elements=[{"motif": "GATA1", "rate": 0.5}, {"motif": "SPI1", "rate": 0.5}])
    >>> [(found.first.name, found.second.name, found.expected)
    ...  for found in interactions(build_grammar(settings, load_motifs("default")))]
    [('GATA1', 'SPI1', -1)]
    """
    found = []
    for rule in grammar.rules:
        expression = parse_rule(rule.when)
        for one, other in itertools.combinations(names_in(expression), 2):
            truth = truth_table(expression, one, other) * np.sign(rule.with_label - rule.without_label)
            tied = Interaction(
                rule.task, rule.when, InteractionPart(one, one), InteractionPart(other, other), tuple(truth.tolist())
            )
            if tied.expected:
                found.append(tied)
    for task, element in itertools.product(grammar.tasks, grammar.elements):
        sign = _bearing(grammar, task, element)
        if element.pair and sign:
            first, second = (InteractionPart(element.name, motif, number) for number, motif in enumerate(element.pair))
            found.append(Interaction(task, element.name, first, second, (float(sign), 0.0, 0.0, 0.0)))
    return found


def _bearing(grammar: Grammar, task: str, element: Element) -> int:
    """Whether an element makes a task's label likelier (1), less likely (-1), or neither (0)."""
    if element.enriched.get(task, 0.0) > 0:
        return 1
    for rule in grammar.rules:
        expression = parse_rule(rule.when)
        if rule.task == task and element.name in names_in(expression):
            return int(np.sign(main_effect(expression, element.name) * (rule.with_label - rule.without_label)))
    return 0


def part_mask(
    grammar: Grammar, sites: pd.DataFrame, seq_ids: Sequence[str] | npt.NDArray[np.str_], part: InteractionPart
) -> Booleans:
    """Bases that lie in sites of a part, bool (N, L).

    Parameters
    ----------
    grammar : Grammar
    sites : DataFrame
        tables.SITE_COLUMNS, each sequence's rows together and sorted by start.
    seq_ids : sequence of str
        Ids of the N sequences; sites of others are skipped.
    part : InteractionPart
    """
    own = sites[sites["element"] == part.element]
    if part.motif >= 0:
        own = own[_motif_numbers(grammar, own["motif"].to_numpy(), part.element) == part.motif]
    row = pd.Index(seq_ids).get_indexer(pd.Index(own["seq_id"]))
    own, row = own[row >= 0], row[row >= 0]
    return covered_bases(row, own["start"], own["end"], (len(seq_ids), grammar.seq_length))


def _motif_numbers(grammar: Grammar, motifs: npt.NDArray[np.object_], element: str) -> npt.NDArray[np.int64]:
    """Which of a pair's two motifs each of its sites is; of two alike, the left one is the first."""
    pair = next(each.pair for each in grammar.elements if each.name == element)
    ids = [find_motif(grammar.motifs, name).motif_id for name in pair or ()]
    if ids[0] == ids[1]:
        # the two sites of a pair follow each other, with nothing of the element between them
        return np.arange(len(motifs)) % 2
    return (motifs == ids[1]).astype(np.int64)


def knock_out(grammar: Grammar, bases: Bases, first: Booleans, second: Booleans, seed: int, indices: Integers) -> Bases:
    """The four versions of each sequence, uint8 (N, 4, L), in the order of `KNOCK_OUTS`.

    What is knocked out is replaced by the same stretch of a random background sequence, one for each sequence, so that
    the two single knock-outs and the joint one differ in nothing else. With classes, its class is drawn by the weights.

    Parameters
    ----------
    grammar : Grammar
    bases : uint8 (N, L)
    first, second : bool (N, L)
        Bases of each part.
    seed : int
    indices : int64 (N,)
        A number for each sequence, for its random stream.
    """
    other = draw_background(grammar, seed, "knock-outs", indices)
    gone = np.stack([np.zeros_like(first), first, second, first | second], axis=1)
    return np.where(gone, other[:, None], bases[:, None])


def interaction_of(answers: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Effect of the first beside the second, less its effect alone, (N,), from answers to the four versions (N, 4).

    Examples
    --------
    >>> interaction_of(np.array([[3.0, 1.0, 1.0, 1.0], [3.0, 2.0, 1.0, 0.0]])).tolist()
    [2.0, 0.0]
    """
    return answers[:, 0] - answers[:, 1] - answers[:, 2] + answers[:, 3]
