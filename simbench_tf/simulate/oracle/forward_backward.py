"""Forward-backward over the decision points of a semi-Markov grammar, for all states of a sequence at once.

Probabilities are kept as odds against a sequence of uniform bases, ``x 4 ** bases``: then an element's odds at a
position are a few numbers a motif, the same for every label pattern, and what depends on the pattern is one product
of vectors over states, which the compiler turns into vector instructions. Only background bases depend on the kind of
stretch, and so do the gaps of pairs. Every start counts, however unlikely: no
term is dropped. Every `_BLOCK` positions the states of each pattern are rescaled by a power of two, which is exact, so
sequences may be as long as they like.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from simbench_tf.compiled import njit
from simbench_tf.simulate.oracle.layout import OracleLayout

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_BLOCK = 16


# this many sequences share one set of working arrays
CHUNK_SEQUENCES = 32


class Scratch(NamedTuple):
    """Working arrays of one sequence; `posterior_starts` fills them."""

    background: Floats  # (L, Z) odds of each base as a background base, in a stretch of each kind
    gaps: Floats  # (Z, L + 1, longest gap + 1) odds of the background bases from a position on
    segments: Floats  # (L, S) odds of each segment from a position on
    weights: Floats  # (L, F) odds x profile of each footprint by `form_weight`, then the posterior that it starts
    alpha: Floats  # (L + 1, Q)
    beta: Floats  # (L + 1, Q)
    total: Floats  # (P,) odds of the whole sequence, of the exponents of alpha's last row
    exponents: Integers  # (blocks, P) powers of two taken out of alpha up to each block
    covered: Floats  # (E or M, L)


def log_likelihood_rows(layout: OracleLayout, bases: Bases) -> Floats:
    """``log P(sequence | pattern)`` by the forward pass alone, (N, P)."""
    log_likelihood = np.empty((len(bases), len(layout.prior)))
    _log_likelihood_rows(layout, bases, log_likelihood)
    return log_likelihood


@njit(parallel=True)
def _log_likelihood_rows(layout: OracleLayout, bases: Bases, log_likelihood: Floats) -> None:
    n = bases.shape[0]
    for block in nb.prange((n + CHUNK_SEQUENCES - 1) // CHUNK_SEQUENCES):
        scratch = new_scratch(layout, 0)
        for row in range(block * CHUNK_SEQUENCES, min(n, (block + 1) * CHUNK_SEQUENCES)):
            _read(layout, bases[row], scratch)
            _forward(layout, scratch, log_likelihood[row])


@njit()
def posterior_starts(
    layout: OracleLayout,
    bases: Bases,
    known: int,
    labels: int,
    scratch: Scratch,
    likelihood: Floats,
    backward: Floats,
) -> bool:
    """Fill the weights of `scratch` with P(each footprint starts | sequence, labels); False if no pattern fits."""
    _read(layout, bases, scratch)
    share = np.empty(layout.prior.size)
    final = _forward(layout, scratch, likelihood)
    possible = _pattern_posterior(layout.prior, likelihood, known, labels, share)
    _backward(layout, scratch, share, final, backward)
    return possible


@njit()
def new_scratch(layout: OracleLayout, n_covered: int) -> Scratch:
    """Working arrays for sequences of this layout; `n_covered` rows for what occupancies are summed in."""
    length, n_states = layout.stay.shape
    n_patterns, n_kinds = layout.prior.size, layout.stretch_weight.size
    longest_gap = (layout.second_start - layout.first_width).max() if (layout.second_motif >= 0).any() else 0
    return Scratch(
        np.empty((length, n_kinds)),
        np.empty((n_kinds, length + 1, longest_gap + 1)),
        np.empty((length, layout.segment_odds.shape[2])),
        np.empty((length, layout.element.size)),
        np.empty((length + 1, n_states)),
        np.empty((length + 1, n_states)),
        np.empty(n_patterns),
        np.empty(((length + _BLOCK - 1) // _BLOCK, n_patterns), np.int64),
        np.empty((n_covered, length)),
    )


@njit()
def _read(layout: OracleLayout, bases: Bases, scratch: Scratch) -> None:
    """All that does not depend on the label pattern: the odds of background, segments and footprints."""
    length = bases.size
    rows = layout.background.shape[0] // layout.stretch_weight.size
    context = 0  # the code of up to k bases before; fewer than k precede the first ones: blocks of 1, 4, ... rows
    for i in range(length):
        row = (4 ** min(i, layout.order) - 1) // 3 + context
        for kind in range(layout.stretch_weight.size):
            scratch.background[i, kind] = layout.background[kind * rows + row, bases[i]]
        context = (4 * context + bases[i]) & (4**layout.order - 1)
    for kind in range(layout.stretch_weight.size):
        gaps = scratch.gaps[kind]
        for i in range(length + 1):
            gaps[i, 0] = 1.0
            for gap in range(1, gaps.shape[1]):
                odds = scratch.background[i + gap - 1, kind] if i + gap <= length else 0.0
                gaps[i, gap] = gaps[i, gap - 1] * odds
    widest, _, n_segments = layout.segment_odds.shape
    for i in range(length):
        # a segment that leaves the sequence is read as far as it goes: no profile lets it start there
        row = scratch.segments[i]
        row[:] = 1.0
        for offset in range(min(widest, length - i)):
            odds = layout.segment_odds[offset, bases[i + offset]]
            for segment in range(n_segments):
                row[segment] *= odds[segment]
    for i in range(length):
        _read_footprints(layout, i, scratch)


@njit()
def _read_footprints(layout: OracleLayout, i: int, scratch: Scratch) -> None:
    weights = scratch.weights[i]
    weights[:] = 0.0
    for form in range(layout.form_first.size):
        weights[layout.form_footprint[form]] += form_weight(layout, i, form, scratch)


@njit()
def form_weight(layout: OracleLayout, i: int, form: int, scratch: Scratch) -> float:
    """Odds x profile of a form at a position; with stretches but for its gap, which forms of a footprint share."""
    footprint = layout.form_footprint[form]
    spread = layout.profile[i, layout.element[footprint]]
    if spread == 0:
        return 0.0
    odds = spread * layout.form_probability[form] * scratch.segments[i, layout.form_first[form]]
    if layout.form_second[form] >= 0:
        first_width, second_start = layout.first_width[footprint], layout.second_start[footprint]
        if layout.stretch_weight.size == 1:
            odds *= scratch.gaps[0, i + first_width, second_start - first_width]
        odds *= scratch.segments[i + second_start, layout.form_second[form]]
    return odds


@njit()
def _forward(layout: OracleLayout, scratch: Scratch, log_likelihood: Floats) -> Integers:
    """Fill alpha, ``P(bases before i, i is a decision point)``, and the log-likelihood; returns the last exponents."""
    alpha, elements, rates = scratch.alpha, layout.element, layout.rates
    length, n_states = layout.stay.shape
    n_kinds = layout.stretch_weight.size
    n_of_kind = n_states // n_kinds
    exponents = np.zeros(layout.prior.size, np.int64)
    begun = np.empty(n_states)
    reach = layout.width.max()
    alpha[:] = 0.0
    for kind in range(n_kinds):  # nothing is placed yet
        alpha[0, kind * n_of_kind : kind * n_of_kind + layout.prior.size] = layout.stretch_start[kind]
    for i in range(length):
        if i % _BLOCK == 0:
            _rescale(alpha[i : i + reach], exponents)
            scratch.exponents[i // _BLOCK] = exponents
        now, start = alpha[i], layout.start[i]
        for q in range(n_states):
            begun[q] = now[q] * start[q]
        _emit(layout, scratch.background[i], now, layout.stay[i], alpha[i + 1])
        for footprint in range(elements.size):
            weight = scratch.weights[i, footprint]
            if weight > 0:
                element = elements[footprint]
                jump, after = layout.jump[element], alpha[i + layout.width[footprint]]
                gap = _gap(layout, footprint) if n_kinds > 1 else 0
                if gap == 0:
                    _begin(begun, rates[element], weight, jump, after)
                for kind in range(n_kinds if gap else 0):
                    own = slice(kind * n_of_kind, (kind + 1) * n_of_kind)
                    odds = weight * scratch.gaps[kind, i + layout.first_width[footprint], gap]
                    _begin(begun[own], rates[element, own], odds, jump, after[own])
    _total(alpha[length], layout.end, scratch.total)
    _log_of(scratch.total, exponents, length, log_likelihood)
    return exponents


@njit()
def _gap(layout: OracleLayout, footprint: int) -> int:
    """Background bases between the two motifs of a footprint."""
    if layout.second_motif[footprint] < 0:
        return 0
    return int(layout.second_start[footprint] - layout.first_width[footprint])


@njit()
def _begin(begun: Floats, rates: Floats, weight: float, jump: int, after: Floats) -> None:
    """Add to the states after an element those in which it began."""
    if jump == 0:  # a case of its own, so that this loop runs in vectors
        for q in range(begun.size):
            after[q] += begun[q] * rates[q] * weight
    else:
        for q in range(begun.size):
            after[q | jump] += begun[q] * rates[q] * weight


@njit()
def _before(
    begun: Floats, rates: Floats, weight: float, jump: int, following: Floats, added: Floats, product: Floats
) -> None:
    """The way back of `_begin`: add what begins here, and fill its product with what comes before."""
    if jump == 0:
        for q in range(begun.size):
            after = rates[q] * following[q] * weight
            added[q] += after
            product[q] = begun[q] * after
    else:
        for q in range(begun.size):
            after = rates[q] * following[q | jump] * weight
            added[q] += after
            product[q] = begun[q] * after


@njit()
def _emit(layout: OracleLayout, background: Floats, now: Floats, stay: Floats, after: Floats) -> None:
    """A base of background, after which its stretch may end; `background` has its odds in each kind, (Z,)."""
    n_kinds = background.size
    n_of_kind = now.size // n_kinds
    if n_kinds == 1:
        for q in range(now.size):
            after[q] += now[q] * stay[q] * background[0]
        return
    ended = np.zeros(n_of_kind)
    for kind in range(n_kinds):
        goes_on, first = layout.stretch_stay[kind], kind * n_of_kind
        for q in range(n_of_kind):
            emitted = now[first + q] * stay[first + q] * background[kind]
            after[first + q] += emitted * goes_on
            ended[q] += emitted * (1 - goes_on)
    for kind in range(n_kinds):
        for q in range(n_of_kind):
            after[kind * n_of_kind + q] += ended[q] * layout.stretch_weight[kind]


@njit()
def _before_base(layout: OracleLayout, background: Floats, after: Floats, stay: Floats, before: Floats) -> None:
    """The way back of `_emit`: what bases from a position on weigh, of which the first is background."""
    n_kinds = background.size
    n_of_kind = after.size // n_kinds
    if n_kinds == 1:
        for q in range(after.size):
            before[q] = after[q] * stay[q] * background[0]
        return
    ended = np.zeros(n_of_kind)
    for kind in range(n_kinds):
        for q in range(n_of_kind):
            ended[q] += after[kind * n_of_kind + q] * layout.stretch_weight[kind]
    for kind in range(n_kinds):
        goes_on, first = layout.stretch_stay[kind], kind * n_of_kind
        for q in range(n_of_kind):
            following = after[first + q] * goes_on + ended[q] * (1 - goes_on)
            before[first + q] = following * stay[first + q] * background[kind]


@njit()
def _backward(layout: OracleLayout, scratch: Scratch, share: Floats, final: Integers, log_likelihood: Floats) -> None:
    """Fill beta, ``P(bases from i on | i is a decision point)``, and turn weights into posterior starts.

    `share` is the weight of each pattern in the starts, `final` the exponents of alpha's last row.
    """
    alpha, beta, weights = scratch.alpha, scratch.beta, scratch.weights
    elements, rates = layout.element, layout.rates
    length, n_states = layout.stay.shape
    n_patterns, n_kinds = layout.prior.size, layout.stretch_weight.size
    n_of_kind = n_states // n_kinds
    exponents = np.zeros(n_patterns, np.int64)
    scale, begun = np.empty(n_states), np.empty(n_states)
    added, product = np.empty(n_states), np.empty(n_states)
    reach = layout.width.max()
    beta[length] = layout.end
    for i in range(length - 1, -1, -1):
        if i % _BLOCK == _BLOCK - 1 or i == length - 1:
            _rescale(beta[i + 1 : i + 1 + reach], exponents)
            for first in range(0, n_states, n_patterns):
                for p in range(n_patterns):
                    power = scratch.exponents[i // _BLOCK, p] + exponents[p] - final[p]
                    scale[first + p] = math.ldexp(share[p] / scratch.total[p], power) if share[p] > 0 else 0.0
        now, start = beta[i], layout.start[i]
        for q in range(n_states):
            begun[q] = alpha[i, q] * start[q] * scale[q]
            added[q] = 0.0
        for footprint in range(elements.size):
            weight = weights[i, footprint]
            if weight > 0:
                element = elements[footprint]
                jump, following = layout.jump[element], beta[i + layout.width[footprint]]
                gap = _gap(layout, footprint) if n_kinds > 1 else 0
                if gap == 0:
                    _before(begun, rates[element], weight, jump, following, added, product)
                for kind in range(n_kinds if gap else 0):
                    own = slice(kind * n_of_kind, (kind + 1) * n_of_kind)
                    odds = weight * scratch.gaps[kind, i + layout.first_width[footprint], gap]
                    _before(begun[own], rates[element, own], odds, jump, following[own], added[own], product[own])
                weights[i, footprint] = _sum(product)
        _before_base(layout, scratch.background[i], beta[i + 1], layout.stay[i], now)
        for q in range(n_states):
            now[q] += start[q] * added[q]
    # a sequence begins with nothing placed
    first_odds = np.zeros(n_patterns)
    for kind in range(n_kinds):
        for p in range(n_patterns):
            first_odds[p] += layout.stretch_start[kind] * beta[0, kind * n_of_kind + p]
    _log_of(first_odds, exponents, length, log_likelihood)


@njit()
def _sum(values: Floats) -> float:
    """Sum of values, halves first: in vectors, in the same order everywhere. Overwrites them."""
    left = values.size
    while left > 1:
        half = (left + 1) // 2
        for q in range(left - half):
            values[q] += values[q + half]
        left = half
    return values[0]


@njit()
def _total(last: Floats, end: Floats, total: Floats) -> None:
    """Sum the states of each pattern, weighed by what the rules make of them."""
    total[:] = 0.0
    for first in range(0, last.size, total.size):
        for p in range(total.size):
            total[p] += last[first + p] * end[first + p]


@njit()
def _rescale(rows: Floats, exponents: Integers) -> None:
    """Bring the largest of the pending rows to [0.5, 1) for each pattern, by a power of two; its states alike."""
    n_patterns = exponents.size
    largest = np.zeros(n_patterns)
    for i in range(rows.shape[0]):
        for first in range(0, rows.shape[1], n_patterns):
            for p in range(n_patterns):
                largest[p] = max(largest[p], rows[i, first + p])
    for p in range(n_patterns):
        # bounded, since the inverse of the smallest numbers is beyond the largest
        power = max(math.frexp(largest[p])[1], -1000)
        exponents[p] += power
        largest[p] = math.ldexp(1.0, -power)
    for i in range(rows.shape[0]):
        for first in range(0, rows.shape[1], n_patterns):
            for p in range(n_patterns):
                rows[i, first + p] *= largest[p]


@njit()
def _log_of(odds: Floats, exponents: Integers, length: int, log_likelihood: Floats) -> None:
    for p in range(odds.size):
        # a base is a quarter of its odds: two powers of two
        power = exponents[p] - 2 * length
        log_likelihood[p] = math.log(odds[p]) + power * math.log(2.0) if odds[p] > 0 else -np.inf


@njit()
def _pattern_posterior(prior: Floats, log_likelihood: Floats, known: int, labels: int, share: Floats) -> bool:
    """P(pattern | sequence) among the patterns that fit the known labels; False where none of them is possible."""
    highest = -np.inf
    for p in range(prior.size):
        if p & known == labels and prior[p] > 0:
            highest = max(highest, log_likelihood[p])
    share[:] = 0.0
    if highest == -np.inf:
        return False
    total = 0.0
    for p in range(prior.size):
        if p & known == labels:
            share[p] = prior[p] * math.exp(log_likelihood[p] - highest)
            total += share[p]
    share /= total
    return True


_Scratch = Scratch  # as `layout.Model`, for the cached machine code of earlier versions
