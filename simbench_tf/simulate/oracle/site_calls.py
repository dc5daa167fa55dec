"""The best calls of sites that can be made from sequences alone: placements by their exact posterior.

A call is right where it can be matched with a true site (`discovery.score_instances`): the two share `overlap` of the
longer one's bases, whatever their names. The sites of a grammar never share a base, neither those of two elements nor
the two of a pair, so that of the placements that would match a call at most one is true, and **the probability that the
call is right is the sum of their posteriors**. One case is left: at an overlap of exactly a half, two sites that abut
under the middle of a call both match it, one with each half. Of placements that end at the middle and those that start
there only the likelier side is summed: no call is worth more than one site, and a few worth a little less than is true.

A true site makes one call right. Calls are therefore kept one after the other, always the one that is likeliest to be
right by placements that no earlier call would match: it takes these placements, and what is left is scored anew. That a
second call is right since the first has another true site is left out (it takes two sites within a motif's width).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.compiled import njit
from simbench_tf.errors import InputError, nearest
from simbench_tf.simulate.grammar import Grammar, element_tasks
from simbench_tf.simulate.grammar.semi_markov import STRANDS
from simbench_tf.simulate.oracle.mixture import site_starts_of_classes
from simbench_tf.simulate.oracle.posterior import checked_bases, class_layouts, known_patterns
from simbench_tf.simulate.oracle.site_starts import SiteKinds, site_kinds

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Posteriors held at once, of 8 bytes each.
_CHUNK_VALUES = 2**24


def site_calls(
    grammar: Grammar,
    bases: Bases,
    *,
    labels: npt.NDArray[np.integer] | None = None,
    task: str | None = None,
    overlap: float = 0.5,
    at_least: float = 1e-3,
) -> pd.DataFrame:
    """Call the sites of sequences as well as it can be done, by the exact posterior of their placements.

    Parameters
    ----------
    grammar : Grammar
        That the sequences were drawn from.
    bases : uint8 (N, L)
        A, C, G, T as 0-3; L is the grammar's `seq_length`.
    labels : int (N, T), optional
        What is known of the labels, as in `explain`: -1 where one is not known. Where sequences were chosen by a label,
        give that label.
    task : str, optional
        Call only sites of elements that count as this task's truth: those whose rate its label changes, or that its
        rules name. By default of all elements.
    overlap : float, default .5
        Of a call and the site that makes it right, as in `discovery.score_instances`; at least .5.
    at_least : float, default .001
        The least posterior of a placement that is called, and the least score; placements below it still count to the
        scores of others.

    Returns
    -------
    DataFrame
        A row for each call, by row and start. Columns row (int64, of `bases`), start, end (int64, 0-based and
        half-open), strand ("+" or "-"), motif (its id), element (its name; a pair's two sites are called one by one)
        and score, the probability that the call is right beside those of higher score of its sequence. Of calls
        whose scores differ by less than `at_least` the likelier placement is taken; where several placements cover the
        same bases, motif and strand are the likeliest one's.

    Raises
    ------
    InputError
        `task` is unknown, or `overlap` or `at_least` out of range.
    ValueError
        Of bases and labels as in `explain`.

    Notes
    -----
    Scores are calibrated: of calls with score s a share s is right. Among callers that know the grammar and the same
    labels, but not the sites, none is expected to have a higher precision at a given number of calls, but for what
    the greedy choice loses (see the module's first lines).

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.dna import encode
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> settings = GrammarSimulation(kind="grammar", seq_length=20, tasks={"K562": {"fraction": 0.5}},
    ...                              elements=[{"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 0.5}}])
    >>> grammar = build_grammar(settings, load_motifs("default"))
    >>> calls = site_calls(grammar, encode(["CCATTTCTTATCAGCCCGTA"]), labels=np.array([[1]]), at_least=0.1)
    >>> calls[["row", "start", "end", "strand", "element"]].values.tolist()
    [[0, 4, 15, '+', 'GATA1']]
    """
    counted = _counted_elements(grammar, task)
    if not 0.5 <= overlap <= 1:
        mend = "give .5 up to 1: below, several true sites may match one call"
        raise InputError("overlap", f"is {overlap}, for which posteriors do not add up", mend)
    if not 0 < at_least <= 1:
        raise InputError("at_least", f"is {at_least}, no probability above 0", "give a small one, as .001")
    bases = checked_bases(grammar, bases)
    known, given = known_patterns(labels, len(bases), len(grammar.tasks))
    layouts, kinds = class_layouts(grammar), site_kinds(grammar.hmm)
    chunk = max(1, _CHUNK_VALUES // (len(kinds.width) * grammar.seq_length))
    found = []
    for first in range(0, len(bases), chunk):
        part = slice(first, first + chunk)
        starts, possible = site_starts_of_classes(layouts, kinds, bases[part], known[part], given[part])
        if not possible.all():
            row = first + int(np.flatnonzero(~possible)[0])
            raise ValueError(
                f"sequence {row} cannot come from this grammar{'' if labels is None else ' with its labels'}"
            )
        starts *= counted[kinds.element][:, None]
        found += [_calls_of_row(first + row, each, kinds, overlap, at_least) for row, each in enumerate(starts)]
    return _table(grammar, kinds, found)


def _table(
    grammar: Grammar, kinds: SiteKinds, found: list[tuple[Integers, Integers, Integers, Floats]]
) -> pd.DataFrame:
    """The calls of all sequences, from row, start, kind and score of each one's."""
    columns = [np.concatenate(column) for column in zip(*found, strict=True)] if found else [np.empty(0, np.int64)] * 4
    row, start, kind, score = columns
    motifs = np.array([motif.motif_id for motif in grammar.motifs], object)
    elements = np.array([element.name for element in grammar.elements], object)
    called = {
        "row": row,
        "start": start,
        "end": start + kinds.width[kind],
        "strand": STRANDS.astype(object)[kinds.strand[kind]],
        "motif": motifs[kinds.motif[kind]],
        "element": elements[kinds.element[kind]],
        "score": score.astype(np.float64),
    }
    return pd.DataFrame(called).sort_values(["row", "start", "end"], kind="stable", ignore_index=True)


def _counted_elements(grammar: Grammar, task: str | None) -> npt.NDArray[np.bool_]:
    if task is None:
        return np.ones(len(grammar.elements), bool)
    if task not in grammar.tasks:
        raise InputError("task", f"the grammar has no task {task!r}{nearest(task, grammar.tasks)}")
    depends = element_tasks(grammar)
    return np.array([task in depends[element.name] for element in grammar.elements])


def _calls_of_row(
    row: int, starts: Floats, kinds: SiteKinds, overlap: float, at_least: float
) -> tuple[Integers, Integers, Integers, Floats]:
    """Row, start, kind and score of a sequence's calls, from the posteriors of its placements (K, L)."""
    widths, of_kind = np.unique(kinds.width, return_inverse=True)
    mass = np.zeros((len(widths), starts.shape[1]))
    np.add.at(mass, of_kind, starts)
    width, start, score = _greedy_calls(mass, widths, _shifts(widths, overlap), at_least)
    likeliest = np.where(of_kind[:, None] == width, starts[:, start], -1.0).argmax(axis=0)
    return np.full(len(start), row), start, likeliest, np.minimum(score, 1.0)


def _shifts(widths: Integers, overlap: float) -> Integers:
    """For a call of each width and a site of each, the first and last shift of the site that match, (W, W, 2)."""
    call, site = widths[:, None], widths
    least = np.ceil(overlap * np.maximum(call, site) - 1e-9).astype(np.int64)
    matching = np.minimum(call, site) >= least
    # the site may reach out of the call, on either side, by what it need not share
    return np.stack([np.where(matching, least - site, 0), np.where(matching, call - least, -1)], axis=-1)


@njit()
def _greedy_calls(
    mass: Floats, widths: Integers, shifts: Integers, at_least: float
) -> tuple[Integers, Integers, Floats]:
    """Keep the best call, take the placements that it matches out of `mass`, and so on; returns width, start, score.

    `mass` (W, L) is the posterior of a site of each width at each start; it is overwritten. Widths are told by number.
    """
    n_widths, length = mass.shape
    reach = 2 * widths.max()
    scores = np.zeros((n_widths, length))
    for width in range(n_widths):
        for start in range(length):
            if mass[width, start] >= at_least:
                scores[width, start] = _score_of(mass, widths, shifts, width, start)[0]
    kept_width, kept_start, kept_score = [0 for _ in range(0)], [0 for _ in range(0)], [0.0 for _ in range(0)]
    while True:
        best = scores.max()
        if best < at_least:
            break
        width, start, own = -1, -1, -1.0
        for w in range(n_widths):
            for i in range(length):
                if scores[w, i] >= at_least and scores[w, i] > best - at_least and mass[w, i] > own:
                    width, start, own = w, i, mass[w, i]
        score, side = _score_of(mass, widths, shifts, width, start)
        kept_width.append(width)
        kept_start.append(start)
        kept_score.append(score)
        _take(mass, widths, shifts, width, start, side)
        for w in range(n_widths):
            for i in range(max(0, start - reach), min(length, start + reach + 1)):
                if scores[w, i] > 0:
                    callable_still = mass[w, i] >= at_least
                    scores[w, i] = _score_of(mass, widths, shifts, w, i)[0] if callable_still else 0.0
    return np.array(kept_width), np.array(kept_start), np.array(kept_score)


@njit()
def _score_of(mass: Floats, widths: Integers, shifts: Integers, width: int, start: int) -> tuple[float, int]:
    """Posterior that a site matches a call, and which side of its middle counts: 0 the left, 1 the right."""
    inner, sides = 0.0, np.zeros(2)
    for site in range(widths.size):
        for shift in range(shifts[width, site, 0], shifts[width, site, 1] + 1):
            if 0 <= start + shift < mass.shape[1]:
                side = _side(widths[width], widths[site], shift)
                if side < 0:
                    inner += mass[site, start + shift]
                else:
                    sides[side] += mass[site, start + shift]
    return inner + sides.max(), int(sides.argmax())


@njit()
def _take(mass: Floats, widths: Integers, shifts: Integers, width: int, start: int, counted: int) -> None:
    for site in range(widths.size):
        for shift in range(shifts[width, site, 0], shifts[width, site, 1] + 1):
            if 0 <= start + shift < mass.shape[1] and _side(widths[width], widths[site], shift) != 1 - counted:
                mass[site, start + shift] = 0.0


@njit()
def _side(call_width: int, site_width: int, shift: int) -> int:
    """0 for a site that ends at the middle of a call, 1 for one that starts there, else -1."""
    if 2 * (shift + site_width) == call_width:
        return 0
    return 1 if 2 * shift == call_width else -1
