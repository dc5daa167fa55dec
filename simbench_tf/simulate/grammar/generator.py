"""Sequences drawn from a stated model: motifs at label-dependent rates in a random background, no genome needed.

The same :class:`Grammar` that :func:`draw` samples from holds everything an exact posterior needs (see
`SemiMarkov`): labels are a Gaussian copula, and a sequence given its labels and its class is a semi-Markov hidden
Markov chain. Classes are independent of the labels.
Sequence i of a seed is the same bytes whatever stretch it is drawn in and however many threads draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simbench_tf.config import Element, GrammarSimulation, Rule, SequenceClass, Splits
from simbench_tf.dna.arrow import bases_of
from simbench_tf.dna.encoding import CODES
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, find_motif, score_sites
from simbench_tf.random_streams import stream_key, uniforms
from simbench_tf.simulate.drawn import Drawn
from simbench_tf.simulate.grammar.background import background_of
from simbench_tf.simulate.grammar.labels import check_labels, draw_patterns, labels_of, pattern_probabilities
from simbench_tf.simulate.grammar.rules import names_in, parse_rule
from simbench_tf.simulate.grammar.sampler import background_letters, count_sites, cut_out, fill, fill_letters
from simbench_tf.simulate.grammar.semi_markov import STRANDS, SemiMarkov, build_semi_markov, hazard_of
from simbench_tf.tables import SITES_SCHEMA, sequence_schema

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Letters = npt.NDArray[np.uint8]


# ids have nine digits, so that they sort as text
_MAX_SEQUENCES = 10**9


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
        For each class of sequences, the sequence model given the labels, as arrays. Classes differ in background and
        rates, and share elements, forms, segments and profiles.
    class_weights : float64 (C,)
        P(class); one class of weight 1 where the configuration has none.
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
    weights = np.array([each.weight for each in classes])
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
        class_weights=weights / weights.sum(),
    )


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
    has_own = one.background is not None
    background = background_of(one, index_dir, key) if has_own else background_of(simulation, index_dir)
    tasks, length = list(simulation.tasks), simulation.seq_length
    try:
        return build_semi_markov(
            simulation.elements, element_motifs, used, tasks, length, background, simulation.rules, one.rate
        )
    except InputError as error:
        if not simulation.classes:
            raise
        raise InputError(key, f"{error.where}: {error.what}", error.mend) from error


def draw(grammar: Grammar, seed: int, start: int, stop: int) -> Drawn:
    """Draw sequences start..stop of the data set of this `seed`.

    Parameters
    ----------
    grammar : Grammar
    seed : int
    start, stop : int
        Numbers of the first sequence and of the one after the last.

    Returns
    -------
    Drawn
        `sequences`, with seq_id ``seq000000000`` onward and no chrom, start, end; and `sites`, sorted by sequence and
        start: one row per motif, so two for a pair, with score and p-value against :func:`zero_order_background`. Equal
        to the same rows of any longer stretch.

    Raises
    ------
    ValueError
        Not ``0 <= start <= stop <= 10**9``, or more than 2 ** 31 bases in one draw.

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> grammar = build_grammar(GrammarSimulation(kind="grammar"), load_motifs("default"))
    >>> drawn = draw(grammar, seed=1, start=5, stop=8)
    >>> drawn.sequences["seq_id"].to_pylist()
    ['seq000000005', 'seq000000006', 'seq000000007']
    >>> drawn.sequences.slice(1).equals(draw(grammar, seed=1, start=6, stop=8).sequences)
    True
    """
    if not 0 <= start <= stop <= _MAX_SEQUENCES:
        raise ValueError(f"need 0 <= start <= stop <= {_MAX_SEQUENCES}, not {start} and {stop}")
    indices = np.arange(start, stop, dtype=np.int64)
    patterns = draw_patterns(grammar.fractions, grammar.label_correlation, seed, indices)
    letters, sites = _letters_and_sites(grammar, seed, patterns, indices)

    seq_ids = _seq_ids(indices)
    labels = labels_of(patterns, len(grammar.tasks))
    columns = [
        seq_ids,
        pa.nulls(len(indices), pa.string()),
        pa.nulls(len(indices), pa.int64()),
        pa.nulls(len(indices), pa.int64()),
        _split_column(grammar.splits, seed, indices),
        _strings(letters, np.arange(len(indices) + 1) * grammar.seq_length),
        *(pa.array(np.ascontiguousarray(column)) for column in labels.T),
    ]
    sequences = pa.Table.from_arrays(columns, schema=sequence_schema(grammar.tasks))
    return Drawn(sequences, _sites_table(grammar, letters, sites, seq_ids))


def _letters_and_sites(grammar: Grammar, seed: int, patterns: Integers, indices: Integers) -> tuple[Letters, Integers]:
    """What `sampler.fill` writes, each sequence by the model of its class."""
    keys = stream_key(seed, "grammar elements"), stream_key(seed, "grammar bases")
    letters = np.empty((len(indices), grammar.seq_length), np.uint8)
    parts = []
    for hmm, rows in _rows_of_classes(grammar, seed, "grammar", indices):
        offsets = np.zeros(len(indices[rows]) + 1, np.int64)
        np.cumsum(count_sites(hmm, keys[0], patterns[rows], indices[rows]), out=offsets[1:])
        own, sites = letters[rows], np.empty((offsets[-1], 4), np.int64)
        fill(hmm, *keys, patterns[rows], indices[rows], offsets, own, sites)
        letters[rows] = own
        sites[:, 0] = np.arange(len(indices))[rows][sites[:, 0]]
        parts.append(sites)
    if len(parts) == 1:
        return letters, parts[0]
    together = np.concatenate(parts)
    return letters, together[np.argsort(together[:, 0], kind="stable")]


def _rows_of_classes(
    grammar: Grammar, seed: int, purpose: str, indices: Integers
) -> list[tuple[SemiMarkov, Integers | slice]]:
    """The model of each class, and the rows of `indices` that are of the class."""
    if len(grammar.hmms) == 1:
        return [(grammar.hmm, slice(None))]
    classes = draw_classes(grammar, seed, indices, purpose)
    return [(hmm, np.flatnonzero(classes == number)) for number, hmm in enumerate(grammar.hmms)]


def draw_classes(grammar: Grammar, seed: int, indices: npt.ArrayLike, purpose: str = "grammar") -> Integers:
    """Which class each sequence is of, int64 (N,): by a draw of its own, so that nothing else depends on it.

    Parameters
    ----------
    grammar : Grammar
    seed : int
    indices : int64 (N,)
        Numbers of the sequences.
    purpose : str
        As of :func:`draw_bases`.

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> settings = GrammarSimulation(kind="grammar", classes=[{"weight": 3}, {"weight": 1, "rate": 2}])
    >>> grammar = build_grammar(settings, load_motifs("default"))
    >>> np.bincount(draw_classes(grammar, 1, np.arange(4000))).tolist()
    [3003, 997]
    """
    draws = uniforms(seed, f"{purpose} classes", indices)[:, 0]
    # the last bound is left out: it may fall short of 1 by round-off
    return np.searchsorted(np.cumsum(grammar.class_weights)[:-1], draws, side="right")


def draw_background(grammar: Grammar, seed: int, purpose: str, indices: Integers) -> Letters:
    """Random background without any element, uint8 (N, L), 0-3: one sequence for each index, of a class of its own.

    Parameters
    ----------
    grammar : Grammar
    seed : int
    purpose : str
        Of the random numbers.
    indices : int64 (N,)
    """
    indices = np.asarray(indices, np.int64)
    letters = np.empty((len(indices), grammar.seq_length), np.uint8)
    for hmm, rows in _rows_of_classes(grammar, seed, purpose, indices):
        letters[rows] = background_letters(hmm, stream_key(seed, purpose), indices[rows])
    return CODES[letters]


def draw_bases(
    grammar: Grammar, seed: int, start: int, stop: int, purpose: str = "grammar"
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw the bases and labels of sequences start..stop without their sites, ids and splits: three times as fast.

    Other Python threads run meanwhile, and several may draw at once.

    Parameters
    ----------
    grammar : Grammar
    seed : int
    start, stop : int
        Numbers of the first sequence and of the one after the last, below 2 ** 63.
    purpose : str
        Which random numbers of the seed: "grammar" are those of :func:`draw`, and under another purpose no sequence
        has numbers in common with a data set of any seed.

    Returns
    -------
    bases : uint8 (N, L)
    labels : uint8 (N, T)

    Examples
    --------
    >>> from simbench_tf.motifs import load_motifs
    >>> grammar = build_grammar(GrammarSimulation(kind="grammar"), load_motifs("default"))
    >>> bases, labels = draw_bases(grammar, 1, 5, 8)
    >>> bool((bases == bases_of(draw(grammar, 1, 5, 8).sequences["sequence"])).all())
    True
    """
    indices = np.arange(start, stop, dtype=np.int64)
    patterns = draw_patterns(grammar.fractions, grammar.label_correlation, seed, indices, f"{purpose} labels")
    letters = np.empty((len(indices), grammar.seq_length), np.uint8)
    keys = stream_key(seed, f"{purpose} elements"), stream_key(seed, f"{purpose} bases")
    for hmm, rows in _rows_of_classes(grammar, seed, purpose, indices):
        own = letters[rows]
        fill_letters(hmm, *keys, patterns[rows], indices[rows], own)
        letters[rows] = own
    return CODES[letters], labels_of(patterns, len(grammar.tasks))


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


def decision_points(grammar: Grammar, pattern: int) -> Floats:
    """Probability that each position is a decision point (covered by no element that began before it), float64 (L,).

    By the rates alone, as :func:`hazards`: rules then keep some of the placements. The mean over classes.
    """
    return np.einsum("c,cl->l", grammar.class_weights, [hmm.decision[pattern] for hmm in grammar.hmms])


def hazards(grammar: Grammar, pattern: int) -> Floats:
    """Probability that each element starts at each decision point, float64 (E, L), given the label pattern.

    With classes, of a sequence whose class is not known.
    """
    if len(grammar.hmms) == 1:
        return hazard_of(grammar.hmm, pattern)
    reached = grammar.class_weights[:, None] * [hmm.decision[pattern] for hmm in grammar.hmms]
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
    if len(grammar.hmms) == 1:
        return tuple(grammar.hmm.background[0].tolist())
    return tuple(np.einsum("c,cb->b", grammar.class_weights, [hmm.background[0] for hmm in grammar.hmms]).tolist())


def _look_up(motifs: Sequence[Motif], name: str | None, number: int) -> Motif:
    try:
        return find_motif(motifs, str(name))
    except InputError as error:
        raise InputError(f"simulation.elements.{number}", f"{error.where}: {error.what}", error.mend) from error


def _seq_ids(indices: Integers) -> pa.StringArray:
    """``seq`` and nine digits each, without a Python string a sequence."""
    letters = np.empty((len(indices), 12), np.uint8)
    letters[:, :3] = np.frombuffer(b"seq", np.uint8)
    letters[:, 3:] = indices[:, None] // 10 ** np.arange(8, -1, -1) % 10 + ord("0")
    return _strings(letters, np.arange(len(indices) + 1) * 12)


def _strings(letters: npt.NDArray[np.uint8], offsets: Integers) -> pa.StringArray:
    """ASCII letters as an Arrow column, as they lie in memory: string i is ``offsets[i]`` up to ``offsets[i + 1]``."""
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{offsets[-1]} bases do not fit one Arrow string column; draw them in smaller parts")
    return pa.StringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(letters))
    )


def _split_column(splits: Splits, seed: int, indices: Integers) -> pa.StringArray:
    """Each sequence falls into test, then valid, then train by a draw of its own."""
    draws = uniforms(seed, "grammar split", indices)[:, 0]
    bounds = {"test": splits.test, "valid": splits.test + splits.valid, "train": 1.0}
    codes = np.searchsorted(list(bounds.values()), draws, side="right")
    return pa.array(list(bounds)).take(pa.array(codes))


def _sites_table(
    grammar: Grammar, letters: npt.NDArray[np.uint8], sites: Integers, seq_ids: pa.StringArray
) -> pa.Table:
    row, start, segment, element = np.ascontiguousarray(sites.T)
    motif = grammar.hmm.segment_motif[segment]
    widths = grammar.hmm.segment_width[segment]
    strand = grammar.hmm.segment_strand[segment]
    offsets = np.concatenate([[0], np.cumsum(widths)])
    matched = _strings(cut_out(letters, row, start, offsets), offsets)
    scores, pvalues = _scores(grammar, matched, motif, STRANDS[strand])
    columns = [
        seq_ids.take(pa.array(row)),
        pa.array([motif.motif_id for motif in grammar.motifs]).take(pa.array(motif)),
        pa.array([motif.tf for motif in grammar.motifs]).take(pa.array(motif)),
        pa.array(start.astype(np.int32)),
        pa.array((start + widths).astype(np.int32)),
        pa.array(STRANDS.tolist()).take(pa.array(strand)),
        pa.array(scores),
        pa.array(pvalues),
        matched,
        pa.array([element.name for element in grammar.elements]).take(pa.array(element)),
    ]
    return pa.Table.from_arrays(columns, schema=SITES_SCHEMA)


def _scores(
    grammar: Grammar, matched: pa.StringArray, motif: Integers, strands: npt.NDArray[np.str_]
) -> tuple[npt.NDArray[np.float32], Floats]:
    scores, pvalues = np.empty(len(motif), np.float32), np.empty(len(motif))
    for number in np.unique(motif):
        chosen = np.flatnonzero(motif == number)
        windows = bases_of(matched.take(pa.array(chosen)))
        scores[chosen], pvalues[chosen] = score_sites(
            windows, strands[chosen], grammar.motifs[number], np.array(zero_order_background(grammar))
        )
    return scores, pvalues
