"""The posterior of single sites: where each motif of each element starts, and on which strand.

Forward-backward gives the posterior of a footprint, which the two strands of a motif share. Each form has of it what
its own bases weigh in the footprint's; a pair's form is one site of each of its two motifs.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.simulate.grammar.semi_markov import SemiMarkov
from simbench_tf.simulate.oracle.forward_backward import (
    CHUNK_SEQUENCES,
    Scratch,
    form_weight,
    new_scratch,
    posterior_starts,
)
from simbench_tf.simulate.oracle.layout import OracleLayout

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class SiteKinds(NamedTuple):
    """What a site may be, K kinds: a motif on a strand, as a part of an element.

    Attributes
    ----------
    element, motif : int64 (K,)
        Index into `Grammar.elements` and `Grammar.motifs`.
    strand : int64 (K,)
        0 for + and 1 for -.
    width : int64 (K,)
        Bases.
    of_first, of_second : int64 (V,)
        The kind of each form's left and right motif (-1: none).
    """

    element: Integers
    motif: Integers
    strand: Integers
    width: Integers
    of_first: Integers
    of_second: Integers


def site_kinds(hmm: SemiMarkov) -> SiteKinds:
    """The kinds of sites that a semi-Markov model's forms are made of."""
    n_forms = len(hmm.form_first)
    element = np.repeat(np.arange(len(hmm.element_form) - 1), np.diff(hmm.element_form))
    segment = np.concatenate([hmm.form_first, hmm.form_second])
    traits = np.stack([np.tile(element, 2), segment], axis=1)
    kinds, number = np.unique(traits[segment >= 0], axis=0, return_inverse=True)
    of = np.full(2 * n_forms, -1)
    of[segment >= 0] = number.ravel()
    return SiteKinds(
        element=np.ascontiguousarray(kinds[:, 0]),
        motif=hmm.segment_motif[kinds[:, 1]],
        strand=hmm.segment_strand[kinds[:, 1]],
        width=hmm.segment_width[kinds[:, 1]],
        of_first=of[:n_forms],
        of_second=of[n_forms:],
    )


def site_start_rows(
    layout: OracleLayout, kinds: SiteKinds, bases: Bases, known: Integers, labels: Integers
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """P(a site of each kind starts at each position | sequence, labels).

    Parameters
    ----------
    layout : OracleLayout
    kinds : SiteKinds
        Of the same model.
    bases : uint8 (N, L)
    known, labels : int64 (N,)
        As in `occupancy.explain_rows`.

    Returns
    -------
    starts : float64 (N, K, L)
    possible : bool (N,)
        Whether any pattern that fits the labels can give the sequence; the starts of others are 0.
    """
    starts = np.zeros((len(bases), len(kinds.width), bases.shape[1]))
    possible = np.empty(len(bases), np.bool_)
    _site_start_rows(layout, kinds.of_first, kinds.of_second, bases, known, labels, starts, possible)
    return starts, possible


@njit(parallel=True)
def _site_start_rows(
    layout: OracleLayout,
    of_first: Integers,
    of_second: Integers,
    bases: Bases,
    known: Integers,
    labels: Integers,
    starts: Floats,
    possible: npt.NDArray[np.bool_],
) -> None:
    n = bases.shape[0]
    for block in nb.prange((n + CHUNK_SEQUENCES - 1) // CHUNK_SEQUENCES):
        scratch = new_scratch(layout, 0)
        forward, backward = np.empty(layout.prior.size), np.empty(layout.prior.size)
        for row in range(block * CHUNK_SEQUENCES, min(n, (block + 1) * CHUNK_SEQUENCES)):
            possible[row] = posterior_starts(layout, bases[row], known[row], labels[row], scratch, forward, backward)
            if possible[row]:
                _share_among_forms(layout, of_first, of_second, scratch, starts[row])


@njit()
def _share_among_forms(
    layout: OracleLayout, of_first: Integers, of_second: Integers, scratch: Scratch, starts: Floats
) -> None:
    """Give each form its share of its footprint's posterior, and add it to the kinds of its one or two sites."""
    n_forms = of_first.size
    weight, total = np.empty(n_forms), np.empty(layout.element.size)
    for i in range(starts.shape[1]):
        total[:] = 0.0
        for form in range(n_forms):
            weight[form] = form_weight(layout, i, form, scratch)
            total[layout.form_footprint[form]] += weight[form]
        for form in range(n_forms):
            footprint = layout.form_footprint[form]
            if weight[form] > 0:
                probability = scratch.weights[i, footprint] * (weight[form] / total[footprint])
                starts[of_first[form], i] += probability
                if of_second[form] >= 0:
                    starts[of_second[form], i + layout.second_start[footprint]] += probability
