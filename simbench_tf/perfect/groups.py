"""A grammar's layout arranged for vectors over sequences: what is the same for several patterns or forms is kept once.

A *class* is what label patterns have in common under which all elements start at the same rates: to the recursion they
are one. A *group* is what forms have in common that have the same width, start at the same rates after the same bases,
and lead to the same presence: the recursion adds up their odds first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError
from simbench_tf.simulate.oracle.layout import OracleLayout

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Positions that the recursion takes together at most: between two of these its numbers are brought back to about 1.
LONGEST_BLOCK = 12


class Form(NamedTuple):
    """One way in which an element may lie: its segments from left to right (second -1: none), and the gap between."""

    first: int
    second: int
    gap: int
    probability: float
    element: int


class Tail(NamedTuple):
    """A condition on the bases before a start: that the last `n` of them have this code; n = 0 is no condition.

    An element narrower than the k bases that a background base depends on leaves some of those before it among the last
    k, so that its forms are told apart by these.
    """

    n: int
    code: int


class Group(NamedTuple):
    """Forms that the recursion takes for one.

    Attributes
    ----------
    width : int
    rates : float64 (U,)
        Expected number of starts in a sequence of each class; those of the forms differ by their profiles only.
    bit : int
        Which bit of the presence is set at a start, ``1 << k``; 0 for none.
    tail : int
        Index into `Arranged.tails`.
    forms : tuple of Form
    """

    width: int
    rates: Floats
    bit: int
    tail: int
    forms: tuple[Form, ...]


class Arranged(NamedTuple):
    """What the recursion reads; P label patterns in U classes, B presences, L positions, T tasks, S segments.

    Attributes
    ----------
    order : int
        k, bases in a context: at least 1, since a background of order 0 is one of order 1 with equal rows.
    background : float64 (k + 1, 4, R, 4)
        Odds of a base at position 0, 1, ..., k and beyond, given the oldest base of the context, the R = 4 ** (k - 1)
        codes of the others, and the base. Before position k contexts begin with zeros.
    segment_odds : float64 (W, 4, S)
    segment_width : int64 (S,)
    profile : float64 (L, E)
    tails : tuple of Tail
        The first is no condition.
    groups : tuple of Group
    members : tuple of (Form, Tail)
        The forms of all groups, those of the first group first.
    membership : float64 (G, F)
        1 where a member is of a group.
    spread : float64 (L + 1, F)
        Of a member's expected starts, the share that end before each position.
    queues : tuple of (int, Tail)
        The first segments of pairs, with the tails before them.
    start, stay : float64 (L + 1, U)
        From expected starts to hazards, and the probability that nothing starts; a row of zeros ends them.
    end : float64 (B, P)
        What the rules weigh a whole placement by.
    class_of : int64 (P,)
    prior : float64 (P,)
    carried : bool (T, P)
        Whether a pattern has a task's label.
    """

    order: int
    background: Floats
    segment_odds: Floats
    segment_width: Integers
    profile: Floats
    tails: tuple[Tail, ...]
    groups: tuple[Group, ...]
    members: tuple[tuple[Form, Tail], ...]
    membership: Floats
    spread: Floats
    queues: tuple[tuple[int, Tail], ...]
    start: Floats
    stay: Floats
    end: Floats
    class_of: Integers
    prior: Floats
    carried: npt.NDArray[np.bool_]

    @property
    def length(self) -> int:
        """L."""
        return len(self.profile)

    @property
    def block(self) -> int:
        """Positions of a block: no more than the narrowest group, or a pair's second segment, has.

        So an element that ends in a block began before it, and so did the second segment of a pair. Where a number not
        much smaller divides the length, that one, which leaves no positions over.
        """
        widths = [group.width for group in self.groups] + [self.segment_width[form.second] for form in self.pairs]
        longest = int(min(LONGEST_BLOCK, self.length, *widths))
        dividing = [size for size in range(1, longest + 1) if self.length % size == 0]
        return dividing[-1] if 2 * dividing[-1] > longest else longest

    @property
    def reach(self) -> int:
        """Positions that a start is looked back for."""
        return max(self.block, *(group.width for group in self.groups))

    @property
    def pairs(self) -> list[Form]:
        """Forms of two segments."""
        return [form for form, _ in self.members if form.second >= 0]

    @property
    def longest_gap(self) -> int:
        """Bases of the longest gap of a pair."""
        return max(form.gap for form in self.pairs)

    @property
    def second_widest(self) -> int:
        """Bases of the widest second segment of a pair."""
        return int(max(self.segment_width[form.second] for form in self.pairs))

    @property
    def kept(self) -> int:
        """Bases before the narrowest second segment that are still in a context after it."""
        return max(0, self.order - int(min(self.segment_width[form.second] for form in self.pairs)))

    def row_from_end(self, offset: int) -> Floats:
        """Odds in the row that is `offset` before each segment's end, float64 (4, S); 0 where it is not so long."""
        row = self.segment_width - offset
        chosen = self.segment_odds[np.maximum(row, 0), :, np.arange(len(row))]
        return np.where(row[:, None] >= 0, chosen, 0.0).T


def arrange(layout: OracleLayout) -> Arranged:
    """Arrange a layout; nothing is dropped but forms that never start.

    Raises
    ------
    InputError
        It has stretches.
    """
    if len(layout.stretch_weight) > 1:
        what = "are not among what the oracle as a network sums over"
        raise InputError(
            "simulation.stretches", what, "leave the model out; sites, labels and ceilings are exact as ever"
        )
    n_patterns, n_tasks = len(layout.prior), len(layout.task_elements)
    order = max(layout.order, 1)
    rates, class_of = np.unique(layout.rates[:, :n_patterns].T, axis=0, return_inverse=True)
    class_of = class_of.ravel()
    chosen = np.array([np.flatnonzero(class_of == number)[0] for number in range(len(rates))])
    segment_width = _segment_widths(layout)
    tails, groups = _groups(layout, rates, segment_width, order)
    members = [(form, tails[group.tail]) for group in groups for form in group.forms]
    of_group = np.repeat(np.arange(len(groups)), [len(group.forms) for group in groups])
    return Arranged(
        order=order,
        background=_background(layout, order),
        segment_odds=layout.segment_odds,
        segment_width=segment_width,
        profile=layout.profile,
        tails=tails,
        groups=groups,
        members=tuple(members),
        membership=(of_group == np.arange(len(groups))[:, None]).astype(np.float64),
        spread=_spread(layout.profile, members, [groups[number].width for number in of_group]),
        queues=tuple(dict.fromkeys((form.first, tail) for form, tail in members if form.second >= 0)),
        start=np.pad(layout.start[:, chosen], ((0, 1), (0, 0))),
        stay=np.pad(layout.stay[:, chosen], ((0, 1), (0, 0))),
        end=layout.end.reshape(-1, n_patterns),
        class_of=class_of,
        prior=layout.prior,
        carried=(np.arange(n_patterns) >> np.arange(n_tasks)[:, None] & 1).astype(np.bool_),
    )


def _background(layout: OracleLayout, order: int) -> Floats:
    """The tables of contexts of 0, 1, ..., k bases, each given for all contexts of k, whose oldest are left out."""
    tables = []
    for n_known in range(order + 1):
        known = min(n_known, layout.order)
        first = (4**known - 1) // 3
        tables.append(layout.background[first + np.arange(4**order) % 4**known].reshape(4, -1, 4))
    return np.stack(tables)


def _segment_widths(layout: OracleLayout) -> Integers:
    width = np.zeros(layout.segment_odds.shape[2], np.int64)
    of_form = layout.form_footprint
    width[layout.form_first] = layout.first_width[of_form]
    two = layout.form_second >= 0
    width[layout.form_second[two]] = (layout.width - layout.second_start)[of_form][two]
    return width


def _groups(
    layout: OracleLayout, rates: Floats, segment_width: Integers, order: int
) -> tuple[tuple[Tail, ...], tuple[Group, ...]]:
    tails, groups = [Tail(0, 0)], dict[tuple[int, bytes, int, Tail], list[Form]]()
    for form, (width, bit) in _forms(layout):
        mine = np.ascontiguousarray(rates[:, form.element])
        if not mine.any() or not layout.profile[:, form.element].any():
            continue
        for tail in _tails(order - int(segment_width[form.first])):
            groups.setdefault((width, mine.tobytes(), bit, tail), []).append(form)
            tails.append(tail)
    tails = list(dict.fromkeys(tails))
    return tuple(tails), tuple(
        Group(width, np.frombuffer(mine), bit, tails.index(tail), tuple(forms))
        for (width, mine, bit, tail), forms in groups.items()
    )


def _spread(profile: Floats, members: list[tuple[Form, Tail]], widths: list[int]) -> Floats:
    spread = np.zeros((len(profile) + 1, len(members)))
    for number, ((form, _), width) in enumerate(zip(members, widths, strict=True)):
        spread[width:, number] = form.probability * profile[: len(profile) + 1 - width, form.element]
    return spread


def _forms(layout: OracleLayout) -> Iterator[tuple[Form, tuple[int, int]]]:
    """Every form, with its bases in all and the bit that it sets."""
    for number, footprint in enumerate(layout.form_footprint):
        element, first_width = int(layout.element[footprint]), int(layout.first_width[footprint])
        second = int(layout.form_second[number])
        gap = int(layout.second_start[footprint]) - first_width if second >= 0 else 0
        form = Form(int(layout.form_first[number]), second, gap, float(layout.form_probability[number]), element)
        yield form, (int(layout.width[footprint]), int(layout.jump[element]) // len(layout.prior))


def _tails(n: int) -> Iterable[Tail]:
    """The conditions that tell apart what n bases before a start may be; one that is none where n is not above 0."""
    return [Tail(n, code) for code in range(4**n)] if n > 0 else [Tail(0, 0)]
