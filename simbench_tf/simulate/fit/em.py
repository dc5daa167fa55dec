"""EM of a grammar: expected sites under the parameters, the likeliest parameters for these, until it settles.

Squared extrapolation of each element's rates makes it short (Varadhan & Roland 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Position
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.simulate.fit.evidence import Profile, profile_kinds
from simbench_tf.simulate.fit.expected_sites import (
    Data,
    Expected,
    Parameters,
    design_of,
    expect,
    group_rates,
)
from simbench_tf.simulate.fit.maximise import fit_position, fit_rates
from simbench_tf.simulate.fit.motif_words import refitted_motifs
from simbench_tf.simulate.fit.spacings import Spacing

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


_MAX_STRIDE = 16.0
_MOTIF_STEPS = 2


# a class without any site would never get one again
_LEAST_FACTOR = 0.01


class Form(NamedTuple):
    """What is estimated: elements of one motif each, then pairs, and, where given, the positional profile of each.

    Pairs are few: they lie anywhere.
    """

    motifs: tuple[Motif, ...]
    pairs: tuple[Spacing, ...] = ()
    profiles: tuple[Profile, ...] | None = None

    @property
    def widths(self) -> Integers:
        """Bases of each element, int64 (E,)."""
        width_of = {motif.motif_id: len(motif.ppm) for motif in self.motifs}
        of_pairs = [width_of[pair.first] + pair.gap + width_of[pair.second] for pair in self.pairs]
        return np.array([*width_of.values(), *of_pairs])

    def with_pairs_flat(self, profiles: Sequence[Profile]) -> tuple[Profile, ...]:
        """These profiles of the single motifs, and flat ones of the pairs."""
        flat: list[Profile] = ["flat" for _ in self.pairs]
        return (*profiles[: len(self.motifs)], *flat)


class Climbed(NamedTuple):
    """Where EM ended: the parameters, the expected sites they were made from, and E steps over the data."""

    parameters: Parameters
    expected: Expected
    n_passes: int
    converged: bool


def climb(
    parameters: Parameters,
    form: Form,
    data: Data,
    max_passes: int,
    tolerance: float,
    advance: Callable[[int], None],
) -> Climbed:
    """EM until it settles, every second step stretched as far as the last two suggest."""
    before: Parameters | None = None
    fallback, to_beat = None, -np.inf
    n_passes = 0
    while True:
        n_passes += 1
        try:
            expected = expect(parameters, form.motifs, data, advance, form.pairs)
        except InputError:  # the stretched step needs more sites than fit the sequence
            if fallback is None:
                raise
            parameters, before, fallback = fallback, None, None
            continue
        if fallback is not None and expected.log_likelihood < to_beat and n_passes < max_passes:
            parameters, before, fallback = fallback, None, None
            continue
        after = _maximised(parameters, expected, form, data)
        converged = _movement(parameters, after, data) <= tolerance
        if converged or n_passes >= max_passes:
            return Climbed(after, expected, n_passes, converged)
        if before is None:
            before, parameters, fallback = parameters, after, None
        else:
            fallback, to_beat = after, expected.log_likelihood
            parameters, before = after._replace(rates=_stretched(before.rates, parameters.rates, after.rates)), None


def with_own_motifs(climbed: Climbed, form: Form, data: Data, advance: Callable[[int], None]) -> tuple[Climbed, Form]:
    """EM of the PPMs and of all else, a few steps of each."""
    database = form.motifs
    for _ in range(_MOTIF_STEPS):
        form = form._replace(motifs=refitted_motifs(climbed.parameters, form.motifs, database, data, form.pairs))
        expected = expect(climbed.parameters, form.motifs, data, advance, form.pairs)
        after = _maximised(climbed.parameters, expected, form, data)
        climbed = Climbed(after, expected, climbed.n_passes + 1, climbed.converged)
    return climbed, form


def _maximised(parameters: Parameters, expected: Expected, form: Form, data: Data) -> Parameters:
    counts, starts = expected.starts.sum(axis=1), expected.starts.sum(axis=0)
    rates = fit_rates(counts, data.sizes, design_of(data, parameters), parameters.rates)
    profiles = form.profiles or form.with_pairs_flat(profile_kinds(expected.resolved))
    words = data.words_of_classes(expected.words, len(parameters.backgrounds))
    backgrounds = data.backgrounds(words)
    class_rates = _class_rates(counts, np.einsum("kt,te->ke", data.design, rates), data, parameters.class_rates)
    return Parameters(rates, _positions(starts, form.widths, profiles), backgrounds, class_rates)


def _class_rates(counts: Floats, modelled: Floats, data: Data, before: Floats) -> Floats:
    """The factor of each class: expected starts over those by the labels alone (K, E); of all sequences it is 1."""
    n_classes = len(before)
    found, due = (
        np.bincount(data.classes, weights, n_classes)
        for weights in (counts.sum(axis=1), data.sizes * modelled.sum(axis=1))
    )
    factors = np.divide(found, due, where=due > 0, out=before.copy()).clip(_LEAST_FACTOR)
    sizes = np.bincount(data.classes, data.weights * data.sizes, n_classes)
    return factors * sizes.sum() / (sizes @ factors)


def _positions(starts: Floats, widths: Integers, profiles: Sequence[Profile]) -> tuple[Position, ...]:
    kinds = np.array(profiles)
    shared = fit_position(starts[:, kinds == "shared"], widths[kinds == "shared"])[0]
    own = {e: fit_position(starts[:, [e]], widths[[e]])[0] for e in np.flatnonzero(kinds == "own").tolist()}
    return tuple(own.get(e, Position() if kind == "flat" else shared) for e, kind in enumerate(profiles))


def _stretched(first: Floats, second: Floats, third: Floats) -> Floats:
    """Where two steps of each element's rates lead to when they go on shrinking as they did (SQUAREM, scheme S3).

    On square roots, whose sampling error is the same for rare and frequent elements.
    """
    start, step, last = np.sqrt(first), np.sqrt(second) - np.sqrt(first), np.sqrt(third)
    bend = last - start - 2 * step
    step_norm, bend_norm = np.sqrt((step**2).sum(axis=0)), np.sqrt((bend**2).sum(axis=0))
    stride = np.clip(np.divide(step_norm, bend_norm, where=bend_norm > 0, out=np.ones_like(bend_norm)), 1, _MAX_STRIDE)
    ahead = start + 2 * stride * step + stride**2 * bend
    return ahead.clip(last / 2, last * 2) ** 2


def _movement(parameters: Parameters, after: Parameters, data: Data) -> float:
    """The largest change of a number of starts, in its Poisson standard deviation (of one start at least)."""
    weights = data.sizes[:, None] * data.design
    old, new = (np.einsum("kt,ke->te", weights, group_rates(data, each)) for each in (parameters, after))
    return float((np.abs(new - old) / np.sqrt(np.maximum(new, 1))).max())
