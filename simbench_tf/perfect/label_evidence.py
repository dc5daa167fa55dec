"""Label evidence: a grammar's tasks as groups, and the weights of dense layers that make logits of windows' evidence.

Tasks stand in one *group* where what a sequence says of one label depends on another: they share an element that both
enrich, their labels correlate, or rules of both name one element. A group has label patterns y (of its own tasks; other
labels are averaged over), and the elements that its tasks' rules name.
"""

from __future__ import annotations

import itertools
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.simulate.grammar import Grammar, label_prior
from simbench_tf.simulate.grammar.labels import labels_of
from simbench_tf.simulate.grammar.rules import names_in, parse_rule
from simbench_tf.simulate.grammar.semi_markov import presence_by_rates

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Larger groups are taken apart: a group of n tasks has 2 ** n patterns, and a unit for each in every window.
LARGEST_GROUP = 6
#: What the odds of a named element in a window are kept above, since log(odds + it) = log(it) + log1p(odds / it).
LEAST_ODDS = 1e-4
# softplus changes numbers less than this below zero by nothing that float32 could hold
_FAR_OUT = 100.0


class Group(NamedTuple):
    """Tasks that are judged together; P patterns of their n labels, E elements, K of them named by their rules.

    Attributes
    ----------
    tasks : tuple of int
    prior : float64 (P,)
        P(y); bit j of a pattern is the label of ``tasks[j]``.
    rates : float64 (P, E)
        Expected number of starts of each element given y, or (1, E) where y does not change it.
    named : tuple of int
        Elements.
    presence : float64 (P, 2 ** K)
        P(b | y) / P_0(b | y): what rules multiply the probability of a presence by (`rules.presence_weights`).
    """

    tasks: tuple[int, ...]
    prior: Floats
    rates: Floats
    named: tuple[int, ...]
    presence: Floats


class Channel(NamedTuple):
    """What one unit of every window adds up; E elements.

    Attributes
    ----------
    rates : float64 (E,)
        Of the elements that may start there.
    all_rates : float64 (E,)
        Of those that leave room for each other.
    worth : float64 (E,), or None
        With hard thresholds, the log-odds that a site is worth against the group's lowest pattern; None: its own score.
    factor : float
        On the sum.
    """

    rates: Floats
    all_rates: Floats
    worth: Floats | None
    factor: float = 1.0


class DenseWeights(NamedTuple):
    """A dense layer, and the function after it."""

    name: str
    kernel: npt.NDArray[np.floating]  # (n_in, n_out)
    bias: Floats  # (n_out,)
    then: Literal["log1p", "softplus"] | None = None


class _Terms(NamedTuple):
    """Terms that are linear in a layer's n units; the likelihoods of those with one owner are to be added up."""

    kernel: Floats  # (n, terms)
    bias: Floats  # (terms,)
    owner: Integers  # (terms,) ascending


def groups_of(grammar: Grammar, kept: frozenset[int]) -> list[Group]:
    """Tasks of a grammar in groups; `kept` are the elements that the network has kernels of."""
    prior = label_prior(grammar)
    labels = labels_of(np.arange(len(prior)), len(grammar.tasks))
    by_rates = presence_by_rates(grammar.hmm) if grammar.rules else np.ones((len(prior), 1))
    return [_group(grammar, tasks, kept, prior, labels, by_rates) for tasks in _tied_tasks(grammar)]


def _tied_tasks(grammar: Grammar) -> list[tuple[int, ...]]:
    n_tasks = len(grammar.tasks)
    of_elements = [
        {t for t, task in enumerate(grammar.tasks) if element.enriched.get(task, 0.0) > 0}
        for element in grammar.elements
    ]
    for rule in grammar.rules:
        for name in names_in(parse_rule(rule.when)):
            number = [element.name for element in grammar.elements].index(name)
            of_elements[number].add(grammar.tasks.index(rule.task))
    if grammar.label_correlation:
        of_elements.append(set(range(n_tasks)))
    tied = [{task} for task in range(n_tasks)]
    for together in of_elements:
        touched = [group for group in tied if group & together]
        if len(touched) > 1:
            tied = [group for group in tied if group not in touched] + [set().union(*touched)]
    parts = [[group] if len(group) <= LARGEST_GROUP else [{task} for task in group] for group in tied]
    return sorted(tuple(sorted(group)) for group in itertools.chain(*parts))


def _group(
    grammar: Grammar,
    tasks: tuple[int, ...],
    kept: frozenset[int],
    prior: Floats,
    labels: npt.NDArray[np.uint8],
    by_rates: Floats,
) -> Group:
    hmm = grammar.hmm
    own = (labels[:, tasks].astype(np.int64) << np.arange(len(tasks))).sum(axis=1)
    # P(all labels | those of the group), a row for each pattern of the group
    given = np.where(own == np.arange(2 ** len(tasks))[:, None], prior, 0.0)
    group_prior = given.sum(axis=1)
    given /= group_prior[:, None]
    rates = given @ hmm.rates
    if np.ptp(rates, axis=0).max() <= 1e-12 * rates.max():
        rates = rates[:1]
    names = [element.name for element in grammar.elements]
    named = dict.fromkeys(
        names.index(name)
        for rule in grammar.rules
        if grammar.tasks.index(rule.task) in tasks
        for name in names_in(parse_rule(rule.when))
    )
    named_and_kept = tuple(element for element in named if element in kept)
    bits = [int(hmm.element_bit[element]) for element in named_and_kept]
    presences = np.arange(by_rates.shape[1])
    mine = np.zeros_like(presences)
    for place, bit in enumerate(bits):
        mine |= (presences & bit > 0).astype(np.int64) << place
    summed = (mine == np.arange(2 ** len(bits))[:, None]).astype(np.float64)
    with_rules = given @ (by_rates * hmm.presence_weight) @ summed.T
    without = given @ by_rates @ summed.T
    presence = np.divide(with_rules, without, where=without > 0, out=np.ones_like(without))
    return Group(tasks, group_prior, rates, named_and_kept, presence)


def channels_of(groups: list[Group]) -> list[Channel]:
    """The channels of all groups, one group after the other.

    A pattern's channel has the rates given the pattern, where patterns differ in rates. Each element that rules name
    has two: itself, and all others, at the mean rates over patterns; their ratio is the odds that it is there.
    """
    channels = []
    for group in groups:
        mean = group.rates[0] if len(group.rates) == 1 else group.prior @ group.rates
        if len(group.rates) > 1:
            lowest = np.where(group.rates[0] > 0, group.rates[0], 1.0)
            channels += [Channel(rates, rates, np.log(np.maximum(rates / lowest, 1.0))) for rates in group.rates]
        for element in group.named:
            itself = np.arange(len(mean)) == element
            channels.append(Channel(np.where(itself, mean, 0.0), mean, None, 1 / LEAST_ODDS))
            channels.append(Channel(np.where(itself, 0.0, mean), mean, np.zeros(len(mean))))
    return channels


def head_of(groups: list[Group], offsets: Floats, share: Floats, n_tasks: int) -> list[DenseWeights]:
    """Dense layers from the channels of all windows to the tasks' logits.

    Parameters
    ----------
    groups : list of Group
    offsets : float64 (W, C)
        What is added to each channel of a window: the log-probability that no element is there.
    share : float64 (W,)
        What each window counts, since a base lies in several.
    n_tasks : int

    Returns
    -------
    list of DenseWeights
        The first takes the windows' channels, flattened (N, W C). With tasks that stand alone it is the only one.
    """
    patterns, presences = _evidence(groups, offsets, share)
    terms, layers = _added_up(_joined([*patterns, *presences]), "presence")
    sides = _sides(groups, terms, len(patterns))
    terms, more = _added_up(_joined(sides), "labels")
    order = [task for group in groups for task in group.tasks]
    difference = np.zeros((2 * n_tasks, n_tasks))
    for place, task in enumerate(order):
        difference[[2 * place, 2 * place + 1], task] = -1.0, 1.0
    return [*layers, *more, DenseWeights("logits", terms.kernel @ difference, terms.bias @ difference)]


def _evidence(groups: list[Group], offsets: Floats, share: Floats) -> tuple[list[_Terms], list[_Terms]]:
    """Of each pattern the log-likelihood ratio, and of each named element the log-odds that a window has it.

    From the ratios of a group's patterns the mean of its lowest and highest is taken away, which keeps them small.
    """
    patterns, presences, channel = [], [], 0
    n_windows, n_channels = offsets.shape
    for group in groups:
        n = len(group.rates)
        for pattern in range(n):
            row = np.zeros(n_channels)
            if n > 1:
                row[channel + pattern] = 1.0
                row[[channel, channel + n - 1]] -= 0.5
            kernel, bias = (share[:, None] * row).reshape(-1, 1), (share @ offsets @ row)[None]
            patterns.append(_Terms(kernel, bias, np.zeros(1, np.int64)))
        channel += n if n > 1 else 0
        for _ in group.named:
            row = np.zeros(n_channels)
            row[[channel, channel + 1]] = 1.0, -1.0
            kernel = np.kron(_two_by_two(n_windows), row[:, None]).astype(np.float64)
            n_terms = kernel.shape[1]
            presences.append(_Terms(kernel, np.full(n_terms, np.log(LEAST_ODDS)), np.zeros(n_terms, np.int64)))
            channel += 2
    return patterns, presences


def _two_by_two(n_windows: int) -> Floats:
    """The mean of each window and the next, (W, W - 1): both see a site that lies where they overlap."""
    if n_windows == 1:
        return np.ones((1, 1))
    return (np.eye(n_windows, n_windows - 1) + np.eye(n_windows, n_windows - 1, -1)) / 2


def _sides(groups: list[Group], evidence: _Terms, n_patterns: int) -> list[_Terms]:
    """For each task of each group, the states without and with its label: their log-likelihoods with their prior.

    A state is a pattern y with a presence b; its likelihood is that of y times the odds of the elements in b, but for
    a factor that all states share.
    """
    sides, pattern, named = [], 0, n_patterns
    for group in groups:
        n, bits = len(group.rates), labels_of(np.arange(2 ** len(group.named)), len(group.named))
        joint = group.prior[:, None] * group.presence
        for place in range(len(group.tasks)):
            carries = np.arange(len(group.prior)) >> place & 1
            for label in (0, 1):
                weight = np.where(carries[:, None] == label, joint, 0.0)
                weight = weight if n > 1 else weight.sum(axis=0, keepdims=True)
                y, b = np.nonzero(weight > 0)
                chosen = np.zeros((len(evidence.owner), len(y)))
                chosen[pattern + y, range(len(y))] = 1.0
                chosen[named : named + len(group.named)] = bits[b].T
                bias = evidence.bias @ chosen + np.log(weight[y, b])
                sides.append(_Terms(evidence.kernel @ chosen, bias, np.zeros(len(y), np.int64)))
        pattern += n
        named += len(group.named)
    return sides


def _joined(terms: list[_Terms]) -> _Terms:
    """One list of terms, owned by their place among several."""
    owner = np.repeat(np.arange(len(terms)), [len(each.owner) for each in terms])
    return _Terms(np.hstack([each.kernel for each in terms]), np.concatenate([each.bias for each in terms]), owner)


def _added_up(terms: _Terms, name: str) -> tuple[_Terms, list[DenseWeights]]:
    """Layers that leave each owner one term, log sum exp of those it had: two and two, b + softplus(a - b)."""
    layers: list[DenseWeights] = []
    while len(terms.owner) > len(np.unique(terms.owner)):
        place = np.arange(len(terms.owner)) - np.searchsorted(terms.owner, terms.owner)
        size = np.bincount(terms.owner)[terms.owner]
        # b of each pair, and the last one of an odd number, go through a softplus so far out that it changes nothing
        carried = np.flatnonzero(place % 2 == 0)
        paired = carried[place[carried] + 1 < size[carried]]
        kernel = np.hstack([terms.kernel[:, carried], terms.kernel[:, paired + 1] - terms.kernel[:, paired]])
        bias = np.concatenate([terms.bias[carried] + _FAR_OUT, terms.bias[paired + 1] - terms.bias[paired]])
        layers.append(DenseWeights(f"{name}{len(layers) + 1}", kernel, bias, "softplus"))
        new = np.zeros((kernel.shape[1], len(carried)))
        new[range(len(carried)), range(len(carried))] = 1.0
        new[len(carried) + np.arange(len(paired)), np.searchsorted(carried, paired)] = 1.0
        terms = _Terms(new, np.full(len(carried), -_FAR_OUT), terms.owner[carried])
    return terms, layers
