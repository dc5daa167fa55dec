"""The E step of a fit: expected starts of each element by position, and expected background words, given labels.

The exact posterior (`oracle.explain`) gives the probability that a base lies in an element. All that estimation needs
follows from sums of it over sequences of one group: one class and one label pattern. So each group has a pass of its
own: with its rates and background, in a grammar whose only label changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import MOST_STRETCHES, Element, GrammarSimulation, Position, Stretch, Task
from simbench_tf.motifs import Motif
from simbench_tf.simulate.fit.background_words import background_words, backgrounds_of_words
from simbench_tf.simulate.fit.spacings import Spacing
from simbench_tf.simulate.grammar import Grammar, build_grammar
from simbench_tf.simulate.grammar.background import Backgrounds, order_of
from simbench_tf.simulate.grammar.labels import labels_of
from simbench_tf.simulate.oracle import explain

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


# the occupancies of one chunk, an element's base at 8 bytes
_CHUNK_BYTES = 2**27


class Data(NamedTuple):
    """Sequences sorted by class and label pattern; K groups of these that occur, T tasks.

    Attributes
    ----------
    bases : uint8 (N, L)
    bounds : int64 (K + 1,)
        Group k's sequences are ``bases[bounds[k]:bounds[k + 1]]``.
    design : float64 (K, T + 1)
        1, then the labels of each group: ``design @ rates`` are its rates, but for the factor of its class.
    classes : int64 (K,)
        The class of each group.
    weights : float64 (K,)
        How many of all sequences each one stands for: 1 where all are here.
    rest : float64 (C, W), or 0
        Words of all sequences of each class, less those of the sequences here times their weight.
    stretches : tuple of Backgrounds, or None
        The kinds by which stretches are told apart in each class.
    """

    bases: Bases
    bounds: Integers
    design: Floats
    classes: Integers
    weights: Floats
    rest: Floats | float = 0.0
    stretches: tuple[Backgrounds, ...] | None = None

    @property
    def sizes(self) -> Integers:
        """Sequences of each group, int64 (K,)."""
        return np.diff(self.bounds)

    def of_group(self, k: int) -> Bases:
        """The sequences of a group, uint8 (n, L)."""
        return self.bases[self.bounds[k] : self.bounds[k + 1]]

    def background_words(self, k: int, order: int, bases: Bases, occupancy: Floats) -> Floats:
        """`background_words` of some sequences of a group."""
        return background_words(bases, order, occupancy, self.stretches[self.classes[k]] if self.stretches else None)

    def backgrounds(self, words: Floats) -> tuple[Backgrounds, ...]:
        """The background of each class, from words (C, W)."""
        kinds = self.stretches or (None,) * len(words)
        return tuple(backgrounds_of_words(each, of_class) for each, of_class in zip(words, kinds, strict=True))

    def words_of_classes(self, words: Floats, n_classes: int) -> Floats:
        """Words of all sequences by class, (C, W), from words of the groups here, (K, W)."""
        total = np.zeros((n_classes, words.shape[1]))
        np.add.at(total, self.classes, self.weights[:, None] * words)
        # what is not here was estimated, too: a word may come out below none
        return np.maximum(total + self.rest, 0.0)


class Parameters(NamedTuple):
    """The parameters that a fit changes; E elements of one motif each, on both strands, and C classes of sequences.

    Attributes
    ----------
    rates : float64 (T + 1, E)
        Expected starts without a label, then how many more with each task's.
    positions : tuple of Position
        One per element.
    backgrounds : tuple of Backgrounds
        Of each class.
    class_rates : float64 (C,)
        What all rates are multiplied by in each class.
    """

    rates: Floats
    positions: tuple[Position, ...]
    backgrounds: tuple[Backgrounds, ...]
    class_rates: Floats


class Expected(NamedTuple):
    """Posterior expectations under some parameters.

    Attributes
    ----------
    starts : float64 (K, L, E)
        Expected starts of each element at each position, summed over the sequences of each group.
    scores : float64 (K, E, E)
        ``sum_n s_n s_n'`` over sequences, ``s_n = expected starts / rate - 1``: how much the sequences of a group
        disagree on a rate, from which its standard error follows.
    resolved : float64 (E,)
        ``sum_n (expected starts - rate)^2``: the information on how many starts there are, counted in starts that are
        seen beyond doubt. Less than all starts, as far as chance matches look like sites.
    words : float64 (K, W)
        Expected words of background bases in the sequences of each group, as `background_words` counts them.
    log_likelihood : float
        Of all sequences given their labels and classes, natural logarithm.
    """

    starts: Floats
    scores: Floats
    resolved: Floats
    words: Floats
    log_likelihood: float


def sorted_by_pattern(
    bases: Bases,
    labels: npt.NDArray[np.integer],
    classes: Integers | None = None,
    stretches: tuple[Backgrounds, ...] | None = None,
) -> Data:
    """Sequences (N, L), labels (N, T) and classes (N,), 0 by default, laid out for `expect`."""
    n_tasks = labels.shape[1]
    codes = pattern_codes(labels) + (0 if classes is None else classes << n_tasks)
    groups, counts = np.unique(codes, return_counts=True)
    of_class, patterns = np.divmod(groups, 2**n_tasks)
    design = np.concatenate([np.ones((len(groups), 1)), labels_of(patterns, n_tasks)], axis=1)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    ordered = np.ascontiguousarray(bases[np.argsort(codes, kind="stable")])
    return Data(ordered, bounds, design, of_class, np.ones(len(groups)), stretches=stretches)


def standing_for(data: Data, whole: Data, order: int) -> Data:
    """Sequences that stand for more of the same groups: backgrounds are then estimated from all words of these.

    Sites are looked for in `data` alone. A word of the background is one that lies in no site, so that of all words
    those in sites are taken away, by the share that they have in the sequences of the same group here.

    Parameters
    ----------
    data, whole : Data
        Of some sequences and of all.
    order : int
        Of the background.
    """
    groups = [(number, tuple(row)) for number, row in zip(whole.classes.tolist(), whole.design.tolist(), strict=True)]
    own = [groups.index(each) for each in zip(data.classes.tolist(), map(tuple, data.design.tolist()), strict=True)]
    weighted = data._replace(weights=whole.sizes[own] / data.sizes)
    n_classes = int(whole.classes.max()) + 1
    here = weighted.words_of_classes(whole_words(data, order), n_classes)
    return weighted._replace(rest=whole.words_of_classes(whole_words(whole, order), n_classes) - here)


def whole_words(data: Data, order: int) -> Floats:
    """Words of `order` + 1 bases in the sequences of each group, whether in sites or not, float64 (K, W)."""
    counts = []
    for k in range(len(data.sizes)):
        parts = _chunks(data.of_group(k), MOST_STRETCHES)
        counts.append(sum(data.background_words(k, order, each, np.zeros(each.shape)) for each in parts))
    return np.stack(counts)


def pattern_codes(labels: npt.NDArray[np.integer]) -> Integers:
    """The pattern ``sum_t y_t << t`` of each row of labels (N, T), int64 (N,)."""
    return (labels.astype(np.int64) << np.arange(labels.shape[1])).sum(axis=1)


def design_of(data: Data, parameters: Parameters) -> Floats:
    """The design with the factors of the classes, float64 (K, T + 1): its product with the rates is each group's."""
    return data.design * parameters.class_rates[data.classes, None]


def group_rates(data: Data, parameters: Parameters) -> Floats:
    """Expected starts in a sequence of each group, float64 (K, E)."""
    return np.einsum("kt,te->ke", design_of(data, parameters), parameters.rates)


def expect(
    parameters: Parameters,
    motifs: Sequence[Motif],
    data: Data,
    advance: Callable[[int], None],
    pairs: Sequence[Spacing] = (),
) -> Expected:
    """Posterior expectations of every sequence, summed; memory is bounded whatever their number.

    Parameters
    ----------
    parameters : Parameters
    motifs : sequence of Motif
        One per element.
    data : Data
    advance : callable
        Called with each number of sequences done.
    pairs : sequence of Spacing
        Further elements, of two of the motifs each. Their starts are counted where their bases are.

    Raises
    ------
    InputError
        The rates are too high for the length.
    """
    n_groups, length, n_elements = len(data.sizes), data.bases.shape[1], len(motifs) + len(pairs)
    width_of = {motif.motif_id: len(motif.ppm) for motif in motifs}
    widths = np.array([*width_of.values(), *(width_of[pair.first] + width_of[pair.second] for pair in pairs)])
    coverage = np.zeros((n_groups, length, n_elements))
    scores = np.zeros((n_groups, n_elements, n_elements))
    tables = parameters.backgrounds[0].tables
    words, log_likelihood = np.zeros((n_groups, tables.size)), 0.0
    rates_of_groups = group_rates(data, parameters)
    for k, rates in enumerate(rates_of_groups):
        grammar = grammar_of_group(parameters, rates, data.classes[k], motifs, length, pairs)
        for bases in _chunks(data.of_group(k), n_elements):
            posterior = explain(grammar, bases, by="element")
            covered = posterior.part_occupancy
            assert covered is not None
            coverage[k] += covered.sum(axis=0)
            score = covered.sum(axis=1) / (widths * rates) - 1
            scores[k] += np.einsum("ne,nf->ef", score, score)
            words[k] += data.background_words(k, order_of(tables[0]), bases, posterior.occupancy)
            log_likelihood += float(posterior.log_likelihood[:, 0].sum())
            advance(len(bases))
    squares = rates_of_groups**2 * np.einsum("kee->ke", scores)
    n_single = len(motifs)
    starts = np.concatenate(
        [start_counts(coverage[..., :n_single], widths[:n_single]), coverage[..., n_single:] / widths[n_single:]],
        axis=2,
    )
    return Expected(starts, scores, squares.sum(axis=0), words, log_likelihood)


def start_counts(coverage: Floats, widths: npt.ArrayLike) -> Floats:
    """Expected starts at each position, from how often each base is expected to be covered; same shape.

    An element of width w covers base i when it starts at i or covers i - 1 without having started at i - w, so
    ``start[i] = coverage[i] - coverage[i - 1] + start[i - w]``.

    Parameters
    ----------
    coverage : float64 (..., L, E)
    widths : int (E,)
        Bases of each element.

    Examples
    --------
    >>> start_counts(np.array([[0.0, 1.0, 1.0, 0.5, 0.5]]).T, [2]).ravel().tolist()
    [0.0, 1.0, 0.0, 0.5, 0.0]
    """
    starts = np.diff(coverage, axis=-2, prepend=0.0)
    for element, width in enumerate(np.asarray(widths).tolist()):
        column = starts[..., element]
        for first in range(width, column.shape[-1], width):
            block = column[..., first : first + width]
            block += column[..., first - width : first - width + block.shape[-1]]
    return starts


def grammar_of_group(
    parameters: Parameters,
    rates: Floats,
    number: int,
    motifs: Sequence[Motif],
    length: int,
    pairs: Sequence[Spacing] = (),
) -> Grammar:
    """The grammar of sequences of one class that all have these rates (E,); its only label changes nothing."""
    elements = [
        Element(motif=motif.motif_id, rate=rate, position=position)
        for motif, rate, position in zip(motifs, rates.tolist(), parameters.positions, strict=False)
    ]
    elements += [element_of(pair, rate) for pair, rate in zip(pairs, rates[len(motifs) :].tolist(), strict=True)]
    settings = GrammarSimulation(
        kind="grammar",
        seq_length=length,
        tasks={"any": Task(fraction=0.5)},
        elements=elements,
        **background_settings(parameters.backgrounds[number]),
    )
    return build_grammar(settings, motifs)


def background_settings(backgrounds: Backgrounds) -> dict[str, Any]:
    """The background of a grammar as its settings: one table, or stretches."""
    tables = [tuple(map(tuple, table)) for table in backgrounds.tables.tolist()]
    if len(tables) == 1:
        return {"background": tables[0]}
    lengths = (1 / (1 - backgrounds.stay)).tolist()
    of_kinds = zip(backgrounds.weights.tolist(), lengths, tables, strict=True)
    return {
        "stretches": [Stretch(weight=weight, length=length, background=table) for weight, length, table in of_kinds]
    }


def element_of(pair: Spacing, rate: float, enriched: dict[str, float] | None = None) -> Element:
    """A pair as an element, anywhere in the sequence, on both strands."""
    return Element(
        name=f"{pair.first}+{pair.second} {pair.orientation} {pair.gap}",
        pair=(pair.first, pair.second),
        gap=(pair.gap, pair.gap),
        orientation=pair.orientation,
        rate=rate,
        enriched=enriched or {},
    )


def _chunks(bases: Bases, n_elements: int) -> Iterator[Bases]:
    rows = max(32, _CHUNK_BYTES // (8 * bases.shape[1] * n_elements))
    return (bases[first : first + rows] for first in range(0, len(bases), rows))
