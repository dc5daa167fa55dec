"""The grammar as a semi-Markov hidden Markov model in flat arrays, which a sampler and an exact posterior both read.

Reading left to right, position i is a *decision point* when no element covers it. There, element e starts with hazard
``h_e(i | y)``, y being the label pattern; otherwise one background base is emitted and i + 1 is the next decision
point. An element that starts takes one of its *forms* (one strand, relative orientation and gap), emits it whole, and
the position after it is a decision point again. A form is one or two *segments* (a motif on a strand, drawn from its
PPM) with background bases in the gap between them. A background base depends on the k bases before it, whether those
are background or motif, and on the kind of stretch that it lies in: after a background base outside elements, a stretch
may end and another begin.

Hazards follow from the rates that are set. Let ``r_e(i | y) = rate_e(y) profile_e(i)``, with profiles that sum to 1,
and ``u(i | y)`` the probability that i is a decision point. An element starts at i with probability ``u h_e``, so that
``h_e = r_e / u`` makes the expected number of starts exactly rate_e(y). Since an element of width w that starts at j
covers j + 1 ... j + w - 1 beyond the decision point, ``u(0) = 1`` and ``u(i + 1) = u(i) - sum_e r_e(i) + sum_(e, w)
P_e(w) r_e(i + 1 - w)``.

Rules weigh whole placements by which elements are among them (see `rules`): by the weights, a sampler keeps or rejects
a placement, and a posterior that keeps the presence of those elements beside the position sums over all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Element, Position, Rule
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.simulate.grammar.background import Backgrounds, order_of, with_lower_orders
from simbench_tf.simulate.grammar.rules import conditions_of, presence_weights

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
STRANDS = np.array(["+", "-"])


# u(i) is a difference of sums of rates: shortfalls within this are round-off, not infeasible rates
_ROUND_OFF = 1e-9


# the cumulative hazard of a certain start: a 53-bit uniform draw never survives more than 37
_CERTAIN = 64.0


class SemiMarkov(NamedTuple):
    """The model's arrays; P = 2 ** T label patterns, L positions, E elements, V forms, S segments, R PPM rows.

    Z kinds of stretches.

    Attributes
    ----------
    order : int
        k, the number of bases before that a background base depends on.
    background : float64 (Z x sum of 4 ** j for j up to k, 4)
        P(base | bases before), of one kind of stretch after the other: row 0 at the start of the sequence, then after
        one base, and so on to k, each block's rows in the order of the bases before, the oldest first.
    background_steps : int64, (rows of `background`, 3)
        Cumulative probabilities of A, C, G, in units of 2 ** -32.
    stretch_weight, stretch_stay, stretch_start : float64 (Z,)
        As of `background.Backgrounds`.
    ppm : float64 (R, 4)
        The rows of all segments as they read on the forward strand, one segment after the other.
    ppm_steps : int64 (R, 3)
        Their cumulative probabilities in units of 2 ** -32.
    segment_row, segment_width, segment_motif, segment_strand : int64 (S,)
        First row in `ppm`, bases, index into the grammar's motifs, and 0 for the + and 1 for the - strand.
    form_first, form_second, form_gap, form_width : int64 (V,)
        Left segment, right segment (-1: none), background bases between them, and bases in all.
    form_probability : float64 (V,)
        P(form | element).
    element_form : int64 (E + 1,)
        The forms of element e are ``element_form[e]`` up to ``element_form[e + 1]``.
    rates : float64 (P, E)
        Expected number of starts in a sequence of each pattern.
    profile : float64 (L, E)
        How the starts of an element are spread over the positions; columns sum to 1.
    decision : float64 (P, L)
        u, the probability that a position is a decision point.
    cumulative_hazard : float64 (P, L + 1)
        ``-sum_(j < i) log(1 - sum_e h_e(j))``, by which the next start is found with one draw.
    element_bit : int64 (E,)
        ``1 << k`` for the k-th element that rules name, 0 for others; a *presence* is the sum over those placed.
    presence_weight : float64 (P, 2 ** K)
        w(b | y): what rules multiply the probability of a presence by. Without rules (1 for the single presence).
    """

    order: int
    background: Floats
    background_steps: Integers
    stretch_weight: Floats
    stretch_stay: Floats
    stretch_start: Floats
    ppm: Floats
    ppm_steps: Integers
    segment_row: Integers
    segment_width: Integers
    segment_motif: Integers
    segment_strand: Integers
    form_first: Integers
    form_second: Integers
    form_gap: Integers
    form_width: Integers
    form_probability: Floats
    element_form: Integers
    rates: Floats
    profile: Floats
    decision: Floats
    cumulative_hazard: Floats
    element_bit: Integers
    presence_weight: Floats


class _Form(NamedTuple):
    probability: float
    segments: tuple[tuple[int, int], ...]  # (motif, strand) from left to right
    gap: int


def build_semi_markov(
    elements: Sequence[Element],
    element_motifs: Sequence[tuple[int, ...]],
    motifs: Sequence[Motif],
    tasks: Sequence[str],
    seq_length: int,
    background: Backgrounds,
    rules: Sequence[Rule],
    factor: float = 1.0,
) -> SemiMarkov:
    """The arrays of elements whose motifs are given as indices into `motifs`.

    `factor` multiplies all rates.

    Raises
    ------
    InputError
        An element does not fit the sequence, the rates are too high for its length, or the rules cannot hold.
    """
    forms = [_forms(element, chosen) for element, chosen in zip(elements, element_motifs, strict=True)]
    segments = sorted({segment for group in forms for form in group for segment in form.segments})
    widths = np.array([len(motifs[motif].ppm) for motif, _ in segments])
    ppm = np.concatenate([motifs[m].ppm[::-1, ::-1] if strand else motifs[m].ppm for m, strand in segments])
    number = {segment: index for index, segment in enumerate(segments)}
    flat = [form for group in forms for form in group]
    first = np.array([number[form.segments[0]] for form in flat])
    second = np.array([number[form.segments[1]] if len(form.segments) > 1 else -1 for form in flat])
    gap = np.array([form.gap for form in flat])
    form_width = widths[first] + gap + np.where(second >= 0, widths[second], 0)
    probability = np.array([form.probability for form in flat])
    element_form = np.cumsum([0, *map(len, forms)])

    parts = [slice(*bounds) for bounds in itertools.pairwise(element_form)]
    spread = [
        _profile(e, elements[e].position, seq_length, int(form_width[part].max())) for e, part in enumerate(parts)
    ]
    profile = np.stack(spread, axis=1)
    ends = np.stack([_ends(profile[:, e], form_width[part], probability[part]) for e, part in enumerate(parts)], axis=1)
    rates = factor * _rates(elements, tasks)
    # not matrix products: the rounding of those depends on the number of threads
    starts = np.einsum("pe,le->pl", rates, profile)
    decision = np.ones_like(starts)
    decision[:, 1:] += np.cumsum(np.einsum("pe,le->pl", rates, ends)[:, 1:] - starts[:, :-1], axis=1)
    _check_feasible(starts, decision, tasks)
    conditions = conditions_of(rules, [element.name for element in elements], tasks)
    element_bit = np.zeros(len(elements), np.int64)
    element_bit[list(conditions.named)] = 1 << np.arange(len(conditions.named))
    backgrounds = np.concatenate([with_lower_orders(table) for table in background.tables])
    hmm = SemiMarkov(
        order=order_of(background.tables[0]),
        background=backgrounds,
        background_steps=_steps(backgrounds),
        stretch_weight=background.weights,
        stretch_stay=background.stay,
        stretch_start=background.start,
        ppm=ppm,
        ppm_steps=_steps(ppm),
        segment_row=np.cumsum(widths) - widths,
        segment_width=widths,
        segment_motif=np.array([motif for motif, _ in segments]),
        segment_strand=np.array([strand for _, strand in segments]),
        form_first=first,
        form_second=second,
        form_gap=gap,
        form_width=form_width,
        form_probability=probability,
        element_form=element_form,
        rates=rates,
        profile=profile,
        decision=decision,
        cumulative_hazard=_cumulative_hazard(_ratio(starts, decision)),
        element_bit=element_bit,
        presence_weight=np.ones((len(rates), 2 ** len(conditions.named))),
    )
    return hmm._replace(presence_weight=presence_weights(conditions, presence_by_rates(hmm), tasks)) if rules else hmm


def presence_by_rates(hmm: SemiMarkov) -> Floats:
    """P_0(b | y), the probability of each presence by the rates alone, float64 (P, 2 ** K): a walk over positions."""
    n_patterns, length = hmm.decision.shape
    hazard = np.stack([hazard_of(hmm, pattern) for pattern in range(n_patterns)])
    presences = np.arange(hmm.presence_weight.shape[1])
    # at[i, y, b]: i is a decision point, and b the elements placed before it
    at = np.zeros((length + 1, n_patterns, len(presences)))
    at[0, :, 0] = 1.0
    for i in range(length):
        at[i + 1] += at[i] * np.maximum(1 - hazard[:, :, i].sum(axis=1), 0)[:, None]
        for element, (first, last) in enumerate(itertools.pairwise(hmm.element_form)):
            if hmm.profile[i, element] == 0:
                continue
            begun, bit = at[i] * hazard[:, element, i, None], hmm.element_bit[element]
            if bit:
                lacking = presences[presences & bit == 0]
                begun[:, lacking | bit] += begun[:, lacking]
                begun[:, lacking] = 0.0
            for form in range(first, last):
                at[i + hmm.form_width[form]] += begun * hmm.form_probability[form]
    return np.asarray(at[length])


def hazard_of(hmm: SemiMarkov, pattern: int) -> Floats:
    """h, the probability that each element starts at each decision point, (E, L)."""
    starts = np.einsum("e,le->el", hmm.rates[pattern], hmm.profile)
    total = starts.sum(axis=0)
    share = np.divide(starts, total, where=total > 0, out=np.zeros_like(starts))
    return share * _ratio(total, hmm.decision[pattern])


def _ratio(starts: Floats, decision: Floats) -> Floats:
    """Hazards r / u: 0 where nothing starts, at most 1 whatever the round-off in u."""
    return np.divide(starts, decision, where=starts < decision, out=(starts > 0).astype(np.float64))


def _forms(element: Element, motifs: tuple[int, ...]) -> list[_Form]:
    """Strand x relative orientation x gap; the minus strand is the reverse complement of the whole, motifs and all."""
    strands = {"both": (0, 1), "+": (0,), "-": (1,)}[element.strand]
    if len(motifs) == 1:
        return [_Form(1 / len(strands), ((motifs[0], strand),), 0) for strand in strands]
    turns = {"same": (0,), "opposite": (1,), "any": (0, 1)}[element.orientation]
    gaps = range(element.gap[0], element.gap[1] + 1)
    share = 1 / (len(strands) * len(turns) * len(gaps))
    forward = [((motifs[0], 0), (motifs[1], turn)) for turn in turns]
    backward = [((motifs[1], 1 - turn), (motifs[0], 1)) for turn in turns]
    pairs = [pair for strand in strands for pair in (forward, backward)[strand]]
    return [_Form(share, pair, gap) for pair in pairs for gap in gaps]


def _profile(number: int, position: Position, seq_length: int, width: int) -> Floats:
    """Share of an element's starts at each position, (L,): wherever its widest form fits, most about `centre`."""
    key = f"simulation.elements.{number}"
    if width > seq_length:
        raise InputError(
            key, f"takes up to {width} bases, but seq_length is {seq_length}", "raise seq_length or drop it"
        )
    starts = np.arange(seq_length - width + 1)
    if position.sd is None:
        weights = np.ones(len(starts))
    else:
        centre = seq_length / 2 if position.centre is None else position.centre
        bell = np.exp(-(((starts + width / 2 - centre) / position.sd) ** 2) / 2)
        weights = position.floor + (1 - position.floor) * bell
    if not weights.sum() > 1e-200:
        raise InputError(
            f"{key}.position", "allows no start within the sequence", "move centre into it, or raise sd or floor"
        )
    profile = np.zeros(seq_length)
    profile[: len(starts)] = weights / weights.sum()
    return profile


def _ends(profile: Floats, widths: Integers, probabilities: Floats) -> Floats:
    """P(an element ends just before i), (L,), for one expected start."""
    ends = np.zeros_like(profile)
    for width, probability in zip(widths, probabilities, strict=True):
        ends[width:] += probability * profile[: len(profile) - width]
    return ends


def _rates(elements: Sequence[Element], tasks: Sequence[str]) -> Floats:
    base = np.array([element.rate for element in elements])
    enriched = np.array([[element.enriched.get(task, 0.0) for element in elements] for task in tasks])
    labels = np.arange(2 ** len(tasks))[:, None] >> np.arange(len(tasks)) & 1
    return base + np.einsum("pt,te->pe", labels, enriched)


def _check_feasible(starts: Floats, decision: Floats, tasks: Sequence[str]) -> None:
    shortfall = starts - decision
    pattern, position = np.unravel_index(shortfall.argmax(), shortfall.shape)
    if shortfall[pattern, position] <= _ROUND_OFF:
        return
    carried = [task for t, task in enumerate(tasks) if pattern >> t & 1]
    labels = f"with the label{'s' * (len(carried) > 1)} {' and '.join(carried)}" if carried else "without a label"
    free = max(0.0, decision[pattern, position])
    raise InputError(
        "simulation.elements",
        f"the rates are too high for the length: in sequences {labels}, elements should start at position {position} "
        f"with probability {starts[pattern, position]:.3g}, but earlier ones leave it free with only {free:.3g}",
        "lower rate or enriched, spread the position, or raise seq_length",
    )


def _cumulative_hazard(hazard: Floats) -> Floats:
    certain = hazard >= 1
    steps = np.where(certain, _CERTAIN, -np.log1p(-np.where(certain, 0, hazard)))
    return np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))


def _steps(probabilities: Floats) -> Integers:
    """Thresholds of a 32-bit draw, (n, 3): base = how many of them it reaches. Off by at most 2 ** -33 each."""
    return np.rint(np.cumsum(probabilities, axis=1)[:, :3] * 2.0**32).astype(np.int64)
