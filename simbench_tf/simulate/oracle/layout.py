"""The semi-Markov model laid out for forward-backward: odds, footprints, and hazards as vectors over states.

A *state* is a label pattern y, a presence b and a kind of stretch z, ``(z B + b) 2 ** T + y``: a presence is which of
the elements that rules name were placed so far, and there are B. Without rules there is one presence, without stretches
one kind, and states are patterns. An *odds* is a probability of bases over that of uniform ones, ``x 4 ** bases``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.simulate.grammar.semi_markov import SemiMarkov, hazard_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class OracleLayout(NamedTuple):
    """What the recursions read. Forms that cover the same bases by the same motifs share a *footprint*.

    P label patterns, Z kinds of stretches, Q states, L positions, E elements, V forms, F footprints, S segments, W
    bases of the widest segment, M motifs, T tasks.

    Attributes
    ----------
    order : int
        How many bases before it a background base depends on.
    background : float64 (Z R, 4)
        Odds of a base after each context; rows as `SemiMarkov.background`.
    segment_odds : float64 (W, 4, S)
        Odds of a base at an offset of a segment; 1 beyond the segment's end.
    form_first, form_second, form_footprint : int64 (V,)
        Left segment, right segment (-1: none), and footprint.
    form_probability : float64 (V,)
        P(form | element).
    element, width : int64 (F,)
        Of each footprint, its element and its bases in all.
    first_width, second_start : int64 (F,)
        Bases of the left motif, and the offset of the right one (`width` where there is none).
    first_motif, second_motif : int64 (F,)
        Which motifs they are (-1: none).
    profile : float64 (L, E)
        How the starts of an element are spread over the positions.
    rates : float64 (E, Q)
        Expected number of starts of an element in a sequence of each state's pattern.
    start : float64 (L, Q)
        ``h_e(i | y) / r_e(i | y)``, the factor from expected starts to hazards, which all elements share.
    stay : float64 (L, Q)
        ``1 - sum_e h_e(i | y)``.
    jump : int64 (E,)
        What is set in the state when an element starts: 0 unless rules name it.
    end : float64 (Q,)
        What the rules weigh a whole placement by, given its last state.
    prior : float64 (P,)
        P(label pattern), or P(class and label pattern) where sequences are of classes.
    task_elements : bool (T, E)
        Whether an element's rate depends on a task's label.
    n_motifs : int
    stretch_weight, stretch_stay, stretch_start : float64 (Z,)
        As of `SemiMarkov`; by default those of one kind.
    """

    order: int
    background: Floats
    segment_odds: Floats
    form_first: Integers
    form_second: Integers
    form_footprint: Integers
    form_probability: Floats
    element: Integers
    width: Integers
    first_width: Integers
    second_start: Integers
    first_motif: Integers
    second_motif: Integers
    profile: Floats
    rates: Floats
    start: Floats
    stay: Floats
    jump: Integers
    end: Floats
    prior: Floats
    task_elements: npt.NDArray[np.bool_]
    n_motifs: int
    stretch_weight: Floats = np.ones(1)
    stretch_stay: Floats = np.ones(1)
    stretch_start: Floats = np.ones(1)


def layout_of(hmm: SemiMarkov, prior: Floats, task_elements: npt.NDArray[np.bool_]) -> OracleLayout:
    """Lay out a semi-Markov model for the recursions."""
    two = hmm.form_second >= 0
    # of one element, forms with the same motifs at the same offsets: strands of a motif, orientations of a pair
    element = np.repeat(np.arange(len(hmm.element_form) - 1), np.diff(hmm.element_form))
    first_width = hmm.segment_width[hmm.form_first]
    second_start = np.where(two, first_width + hmm.form_gap, hmm.form_width)
    first_motif = hmm.segment_motif[hmm.form_first]
    second_motif = np.where(two, hmm.segment_motif[hmm.form_second], -1)
    traits = np.stack([element, hmm.form_width, first_width, second_start, first_motif, second_motif], axis=1)
    footprints, form_footprint = np.unique(traits, axis=0, return_inverse=True)

    starts = np.einsum("pe,le->lp", hmm.rates, hmm.profile)
    hazard = np.stack([hazard_of(hmm, pattern).sum(axis=0) for pattern in range(len(hmm.rates))], axis=1)
    n_patterns, n_presences = hmm.presence_weight.shape
    n_kinds = len(hmm.stretch_weight)
    n_alike = n_kinds * n_presences
    return OracleLayout(
        order=hmm.order,
        background=4 * hmm.background,
        segment_odds=_segment_odds(hmm),
        form_first=hmm.form_first,
        form_second=hmm.form_second,
        form_footprint=form_footprint.ravel(),
        form_probability=hmm.form_probability,
        element=np.ascontiguousarray(footprints[:, 0]),
        width=np.ascontiguousarray(footprints[:, 1]),
        first_width=np.ascontiguousarray(footprints[:, 2]),
        second_start=np.ascontiguousarray(footprints[:, 3]),
        first_motif=np.ascontiguousarray(footprints[:, 4]),
        second_motif=np.ascontiguousarray(footprints[:, 5]),
        profile=hmm.profile,
        rates=_for_each(n_alike, hmm.rates.T),
        start=_for_each(n_alike, np.divide(hazard, starts, where=starts > 0, out=np.zeros_like(starts))),
        stay=_for_each(n_alike, np.maximum(1 - hazard, 0)),
        jump=hmm.element_bit * n_patterns,
        end=np.tile(hmm.presence_weight.T.ravel(), n_kinds),
        prior=prior,
        task_elements=task_elements,
        n_motifs=int(hmm.segment_motif.max()) + 1,
        stretch_weight=hmm.stretch_weight,
        stretch_stay=hmm.stretch_stay,
        stretch_start=hmm.stretch_start,
    )


def _for_each(n: int, values: Floats) -> Floats:
    """Repeat the patterns' values n times, in rows that lie in memory one after the other, as the recursions read."""
    return np.ascontiguousarray(np.tile(values, n))


def _segment_odds(hmm: SemiMarkov) -> Floats:
    odds = np.ones((hmm.segment_width.max(), 4, len(hmm.segment_width)))
    for segment, (row, width) in enumerate(zip(hmm.segment_row, hmm.segment_width, strict=True)):
        odds[:width, :, segment] = 4 * hmm.ppm[row : row + width]
    return odds


# numba reads the machine code that an earlier version cached, and that names this class so, before it discards it
Model = OracleLayout
