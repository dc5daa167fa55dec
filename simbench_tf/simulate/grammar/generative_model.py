"""A grammar as a generative model of labelled sequences: its elements, rates and rules as arrays.

:class:`Grammar` holds everything that drawing (see `generator`) and an exact posterior need (see `SemiMarkov`): labels
are a Gaussian copula, a sequence's class depends on them, and a sequence given both is a semi-Markov hidden Markov
chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Element, GrammarSimulation, Rule, SequenceClass, Splits
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, find_motif
from simbench_tf.simulate.grammar.background import backgrounds_of
from simbench_tf.simulate.grammar.labels import check_labels, labels_of, pattern_probabilities
from simbench_tf.simulate.grammar.rules import names_in, parse_rule
from simbench_tf.simulate.grammar.semi_markov import SemiMarkov, build_semi_markov, hazard_of

Floats = npt.NDArray[np.float64]


class Grammar(NamedTuple):
    """A generative model of labelled sequences.

    Attributes
    ----------
    tasks : tuple of str
        Names of the labels; bit t of a label pattern is the label of task t.
    fractions : float64 (T,)
        P(label) of each task.
    label_correlation : float
        Correlation of the latent normals behind any two labels.
    seq_length : int
        Bases of a sequence, L.
    elements : tuple of Element
        What may start, in the order of `hmm`'s element axes.
    motifs : tuple of Motif
        Every motif the elements use, once, in the order of their first use.
    rules : tuple of Rule
        What labels require of the elements of a sequence.
    splits : Splits
        Fractions held out for validation and test.
    hmms : tuple of SemiMarkov
        For each class of sequences, the sequence model given the labels, as arrays. Classes differ in backgrounds and
        rates, and share elements, forms, segments and profiles.
    class_weights : float64 (C, 2 ** T)
        P(class | label pattern); one class of weight 1 where the configuration has none.
    """

    tasks: tuple[str, ...]
    fractions: Floats
    label_correlation: float
    seq_length: int
    elements: tuple[Element, ...]
    motifs: tuple[Motif, ...]
    rules: tuple[Rule, ...]
    splits: Splits
    hmms: tuple[SemiMarkov, ...]
    class_weights: Floats

    @property
    def hmm(self) -> SemiMarkov:
        """The sequence model of the first class: what all have in common, and all there is without classes."""
        return self.hmms[0]


def build_grammar(
    simulation: GrammarSimulation, motifs: Sequence[Motif], index_dir: str | PathLike[str] | None = None
) -> Grammar:
    """Make the model a configuration describes.

    An element starts at position i with weight ``floor + (1 - floor) exp(-(i + W / 2 - centre)^2 / (2 sd^2))``, W being
    the width of its widest variant (largest gap), for every i where that fits; so `centre` is where the element's
    middle likes to be, and ``seq_length / 2`` by default. Without `sd` all these starts are as likely.

    Parameters
    ----------
    simulation : config.GrammarSimulation
    motifs : sequence of Motif
        Where the elements' motifs are looked up.
    index_dir : str or path, optional
        Where the index of a background FASTA goes when its own folder is read-only.

    Raises
    ------
    InputError
        Naming the key: unknown motif, element wider than the sequence, rates too high for the length, impossible
        correlation, more than 10 tasks, a background that is no table or FASTA file, or rules that cannot hold.

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> grammar = build_grammar(GrammarSimulation(kind="grammar"), load_motifs("default"))
    >>> grammar.tasks, [motif.tf for motif in grammar.motifs], grammar.hmm.rates.round(2).tolist()
    (('HepG2', 'K562'), ['HNF4A', 'GATA1'], [[0.08, 0.08], [0.98, 0.08], [0.08, 0.98], [0.98, 0.98]])
    """
    check_labels(len(simulation.tasks), simulation.label_correlation)
    used: list[Motif] = []
    element_motifs = []
    for number, element in enumerate(simulation.elements):
        found = [_look_up(motifs, name, number) for name in element.pair or (element.motif,)]
        for motif in found:
            if motif.motif_id not in [other.motif_id for other in used]:
                used.append(motif)
        ids = [motif.motif_id for motif in used]
        element_motifs.append(tuple(ids.index(motif.motif_id) for motif in found))
    classes = simulation.classes or [SequenceClass()]
    return Grammar(
        tasks=tuple(simulation.tasks),
        fractions=np.array([task.fraction for task in simulation.tasks.values()]),
        label_correlation=simulation.label_correlation,
        seq_length=simulation.seq_length,
        elements=tuple(simulation.elements),
        motifs=tuple(used),
        rules=tuple(simulation.rules),
        splits=simulation.splits,
        hmms=tuple(_class_model(simulation, number, element_motifs, used, index_dir) for number in range(len(classes))),
        class_weights=_class_weights(classes, list(simulation.tasks)),
    )


def _class_weights(classes: Sequence[SequenceClass], tasks: Sequence[str]) -> Floats:
    """P(class | label pattern), float64 (C, 2 ** T): weights times the odds ratios of the pattern's labels."""
    carried = labels_of(np.arange(2 ** len(tasks)), len(tasks)).astype(np.bool_)
    ratios = np.array([[each.odds_ratio.get(task, 1.0) for task in tasks] for each in classes])
    weights = np.array([each.weight for each in classes])[:, None] * np.where(carried, ratios[:, None], 1.0).prod(
        axis=2
    )
    return np.asarray(weights / weights.sum(axis=0))


def _class_model(
    simulation: GrammarSimulation,
    number: int,
    element_motifs: Sequence[tuple[int, ...]],
    used: Sequence[Motif],
    index_dir: str | PathLike[str] | None,
) -> SemiMarkov:
    """The sequence model of a class."""
    key = f"simulation.classes.{number}" if simulation.classes else "simulation"
    one = simulation.classes[number] if simulation.classes else SequenceClass()
    has_own = one.background is not None or one.stretches
    background = backgrounds_of(one, index_dir, key) if has_own else backgrounds_of(simulation, index_dir)
    tasks, length = list(simulation.tasks), simulation.seq_length
    try:
        return build_semi_markov(
            simulation.elements, element_motifs, used, tasks, length, background, simulation.rules, one.rate
        )
    except InputError as error:
        if not simulation.classes:
            raise
        raise InputError(key, f"{error.where}: {error.what}", error.mend) from error


def _look_up(motifs: Sequence[Motif], name: str | None, number: int) -> Motif:
    try:
        return find_motif(motifs, str(name))
    except InputError as error:
        raise InputError(f"simulation.elements.{number}", f"{error.where}: {error.what}", error.mend) from error


def label_prior(grammar: Grammar) -> Floats:
    """Probability of every label pattern, float64 (2 ** T,), to about 1e-10; pattern ``sum_t y_t << t``.

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> settings = GrammarSimulation(kind="grammar", tasks={"a": {"fraction": 0.5}, "b": {"fraction": 0.5}},
    ...                              label_correlation=0.5, elements=[{"motif": "GATA1"}])
    >>> label_prior(build_grammar(settings, load_motifs("default"))).round(6).tolist()
    [0.333333, 0.166667, 0.166667, 0.333333]
    """
    return pattern_probabilities(grammar.fractions, grammar.label_correlation)


def class_prior(grammar: Grammar) -> Floats:
    """P(class and label pattern), float64 (C, 2 ** T)."""
    return grammar.class_weights * label_prior(grammar)


def class_shares(grammar: Grammar) -> Floats:
    """P(class), float64 (C,), whatever the labels."""
    weights = grammar.class_weights
    if (weights == weights[:, :1]).all():
        return weights[:, 0]  # what a sum over the labels is but for rounding
    return class_prior(grammar).sum(axis=1)


def decision_points(grammar: Grammar, pattern: int) -> Floats:
    """Probability that each position is a decision point (covered by no element that began before it), float64 (L,).

    By the rates alone, as :func:`hazards`: rules then keep some of the placements. The mean over classes.
    """
    return np.einsum("c,cl->l", grammar.class_weights[:, pattern], [hmm.decision[pattern] for hmm in grammar.hmms])


def hazards(grammar: Grammar, pattern: int) -> Floats:
    """Probability that each element starts at each decision point, float64 (E, L), given the label pattern.

    With classes, of a sequence whose class is not known.
    """
    if len(grammar.hmms) == 1:
        return hazard_of(grammar.hmm, pattern)
    reached = grammar.class_weights[:, pattern, None] * [hmm.decision[pattern] for hmm in grammar.hmms]
    starts = np.einsum("cl,cel->el", reached, [hazard_of(hmm, pattern) for hmm in grammar.hmms])
    reached = reached.sum(axis=0)
    return np.divide(starts, reached, where=reached > 0, out=np.zeros_like(starts))


def element_tasks(grammar: Grammar) -> dict[str, list[str]]:
    """For each element, by name, the tasks whose label changes its rate, or whose rules name it.

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> element_tasks(build_grammar(GrammarSimulation(kind="grammar"), load_motifs("default")))
    {'HNF4A': ['HepG2'], 'GATA1': ['K562']}
    """
    named = {
        task: [name for rule in grammar.rules if rule.task == task for name in names_in(parse_rule(rule.when))]
        for task in grammar.tasks
    }
    return {
        element.name: [
            task for task in grammar.tasks if element.enriched.get(task, 0.0) > 0 or element.name in named[task]
        ]
        for element in grammar.elements
    }


def used_motifs(grammar: Grammar) -> list[Motif]:
    """Every motif the grammar's elements use, once."""
    return list(grammar.motifs)


def zero_order_background(grammar: Grammar) -> tuple[float, ...]:
    """Base frequencies A, C, G, T of the background (the mean over classes), against which sites are scored."""
    of_classes = [_first_base(hmm) for hmm in grammar.hmms]
    if len(of_classes) == 1:
        return tuple(of_classes[0].tolist())
    return tuple(np.einsum("c,cb->b", class_shares(grammar), of_classes).tolist())


def _first_base(hmm: SemiMarkov) -> Floats:
    """Base frequencies of the first base of a background, float64 (4,): the mean over the kinds of stretches."""
    n_kinds = len(hmm.stretch_start)
    first = hmm.background[:: len(hmm.background) // n_kinds]
    return first[0] if n_kinds == 1 else np.einsum("z,zb->b", hmm.stretch_start, first)
