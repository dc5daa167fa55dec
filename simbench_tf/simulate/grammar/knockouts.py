"""Knock-outs: sequences of a grammar in which one site, another, or both were replaced by background.

Where a label depends on how elements stand together (a rule, a spaced pair), place is not all of the truth: the effect
of A should change when B is gone. The four sequences of a *probe* (as it is, without A, without B, without both) ask
that of the oracle, of a model, and of an attribution method.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Element
from simbench_tf.motifs import find_motif
from simbench_tf.random_streams import stream_key
from simbench_tf.simulate.grammar.generator import Grammar
from simbench_tf.simulate.grammar.rules import interaction, main_effect, names_in, parse_rule
from simbench_tf.simulate.grammar.sampler import background_letters

Bases = npt.NDArray[np.uint8]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


#: The sequences of a probe, in order.
VARIANTS = ("as it is", "without the first", "without the second", "without both")


class Part(NamedTuple):
    """Sites of an element, or those of one motif of a pair: `place` 0 or 1, -1 for all."""

    element: str
    name: str
    place: int = -1


class Interaction(NamedTuple):
    """Two parts whose standing together a task's label depends on.

    Attributes
    ----------
    task : str
    rule : str
        The rule, or the name of the pair.
    first, second : Part
    expected : {1, -1}
        1 where each counts for more beside the other, as in ``A and B`` or a pair; -1 where for less, as in
        ``A without B``.
    """

    task: str
    rule: str
    first: Part
    second: Part
    expected: int


def interactions(grammar: Grammar) -> list[Interaction]:
    """Every interaction the labels depend on: two names of a rule, and the two motifs of a pair.

    Of a rule, names whose effects simply add make none. The motifs of a pair that speaks against a label, by a rule,
    do so together only: each counts for less beside the other.

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
            sign = np.sign(interaction(expression, one, other) * (rule.with_label - rule.without_label))
            if sign:
                found.append(Interaction(rule.task, rule.when, Part(one, one), Part(other, other), int(sign)))
    for task, element in itertools.product(grammar.tasks, grammar.elements):
        sign = _bearing(grammar, task, element)
        if element.pair and sign:
            first, second = (Part(element.name, motif, place) for place, motif in enumerate(element.pair))
            found.append(Interaction(task, element.name, first, second, sign))
    return found


def _bearing(grammar: Grammar, task: str, element: Element) -> int:
    """Whether an element speaks for a task's label (1), against it (-1), or neither (0)."""
    if element.enriched.get(task, 0.0) > 0:
        return 1
    for rule in grammar.rules:
        expression = parse_rule(rule.when)
        if rule.task == task and element.name in names_in(expression):
            return int(np.sign(main_effect(expression, element.name) * (rule.with_label - rule.without_label)))
    return 0


def part_mask(
    grammar: Grammar, sites: pd.DataFrame, seq_ids: Sequence[str] | npt.NDArray[np.str_], part: Part
) -> Booleans:
    """Bases that lie in sites of a part, bool (N, L).

    Parameters
    ----------
    grammar : Grammar
    sites : DataFrame
        tables.SITE_COLUMNS, each sequence's rows together and sorted by start.
    seq_ids : sequence of str
        Ids of the N sequences; sites of others are passed over.
    part : Part
    """
    own = sites[sites["element"] == part.element]
    if part.place >= 0:
        own = own[_places(grammar, own["motif"].to_numpy(), part.element) == part.place]
    row = pd.Index(seq_ids).get_indexer(pd.Index(own["seq_id"]))
    own, row = own[row >= 0], row[row >= 0]
    edges = np.zeros((len(seq_ids), grammar.seq_length + 1), np.int64)
    np.add.at(edges, (row, own["start"].to_numpy()), 1)
    np.add.at(edges, (row, own["end"].to_numpy()), -1)
    return np.asarray(np.cumsum(edges, axis=1)[:, :-1] > 0)


def _places(grammar: Grammar, motifs: npt.NDArray[np.object_], element: str) -> npt.NDArray[np.int64]:
    """Which of a pair's two motifs each of its sites is; of two alike, the left one is the first."""
    pair = next(each.pair for each in grammar.elements if each.name == element)
    ids = [find_motif(grammar.motifs, name).motif_id for name in pair or ()]
    if ids[0] == ids[1]:
        # the two sites of a pair follow each other, with nothing of the element between them
        return np.arange(len(motifs)) % 2
    return (motifs == ids[1]).astype(np.int64)


def knock_out(grammar: Grammar, bases: Bases, first: Booleans, second: Booleans, seed: int, indices: Integers) -> Bases:
    """The four sequences of each probe, uint8 (N, 4, L), in the order of `VARIANTS`.

    What is knocked out is replaced by the same stretch of a random background sequence, one for each probe, so that
    the two single knock-outs and the joint one differ in nothing else.

    Parameters
    ----------
    grammar : Grammar
    bases : uint8 (N, L)
    first, second : bool (N, L)
        Bases of either part.
    seed : int
    indices : int64 (N,)
        A number for each probe, for its random stream.
    """
    letters = background_letters(grammar.hmm, stream_key(seed, "knock-outs"), np.asarray(indices, np.int64))
    other = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), letters).astype(np.uint8)
    gone = np.stack([np.zeros_like(first), first, second, first | second], axis=1)
    return np.where(gone, other[:, None], bases[:, None])


def interaction_of(answers: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Effect of the first beside the second, less its effect alone, (N,), from answers to the four variants (N, 4).

    Examples
    --------
    >>> interaction_of(np.array([[3.0, 1.0, 1.0, 1.0], [3.0, 2.0, 1.0, 0.0]])).tolist()
    [2.0, 0.0]
    """
    return answers[:, 0] - answers[:, 1] - answers[:, 2] + answers[:, 3]
