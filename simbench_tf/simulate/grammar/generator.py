"""Sequences drawn from a stated model: motifs at label-dependent rates in a random background, no genome needed.

Sequence i of a seed is the same bytes whatever stretch it is drawn in and however many threads draw.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simbench_tf.config import Splits
from simbench_tf.dna.arrow import bases_of
from simbench_tf.dna.encoding import CODES
from simbench_tf.motifs import score_sites
from simbench_tf.random_streams import stream_key, uniforms
from simbench_tf.simulate.drawn import Drawn
from simbench_tf.simulate.grammar.generative_model import Grammar, zero_order_background
from simbench_tf.simulate.grammar.labels import draw_patterns, labels_of
from simbench_tf.simulate.grammar.sampler import background_letters, count_sites, cut_out, fill, fill_letters
from simbench_tf.simulate.grammar.semi_markov import STRANDS, SemiMarkov
from simbench_tf.tables import SITES_SCHEMA, sequence_schema

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Letters = npt.NDArray[np.uint8]


# ids have nine digits, so that they sort as text
_MAX_SEQUENCES = 10**9


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
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
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
    """Which class each sequence is of, int64 (N,), given its labels: by a draw of its own.

    Nothing else depends on that draw, so that classes which are alike change no sequence.

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
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> settings = GrammarSimulation(kind="grammar", classes=[{"weight": 3}, {"weight": 1, "rate": 2}])
    >>> grammar = build_grammar(settings, load_motifs("default"))
    >>> np.bincount(draw_classes(grammar, 1, np.arange(4000))).tolist()
    [3003, 997]
    """
    indices = np.asarray(indices, np.int64)
    draws = uniforms(seed, f"{purpose} classes", indices)[:, 0]
    patterns = draw_patterns(grammar.fractions, grammar.label_correlation, seed, indices, f"{purpose} labels")
    # the last bound is left out: it may fall short of 1 by round-off
    bounds = np.cumsum(grammar.class_weights, axis=0)[:-1]
    return (draws >= bounds[:, patterns]).sum(axis=0)


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
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
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
