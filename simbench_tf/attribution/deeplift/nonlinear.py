"""DeepLIFT's rules for what is not linear: activations by Rescale or RevealCancel, and max-pooling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from simbench_tf.attribution.deeplift.steps import (
    ForwardPass,
    LayerStep,
    Pair,
    Tensor,
    by_sign,
    near_zero,
    pulled_back,
    zeros,
)
from simbench_tf.attribution.layer_geometry import padded_geometry

# steps below which derivatives give a slope more exactly than a quotient does, whose digits are lost
_SHORT_STEP = {tf.float32: 0.1, tf.float64: 2e-3}
# the logarithm below is taken for this: log(1e-6) is -14
_LOG1P_FROM = -1.0 + 1e-6
# by what share of its terms a sum may be off
_LOST_DIGITS = {tf.float32: 1e-6, tf.float64: 1e-14}


# activations


@dataclass(frozen=True)
class Nonlinearity:
    """A function of single numbers.

    Attributes
    ----------
    function : callable
    negative_slope : float, Keras variable or None
        For the family of ReLU, whose slopes are then computed without rounding: the slope below zero.
    kinks : tuple of float
        Where it lacks a derivative of some order, at least `_SHORT_STEP` apart; between them it is smooth.
    change : callable, optional
        ``change(start, step, end)``, f(end) - f(start) where end is start + step: for functions whose values and
        arguments span so many powers of ten that the difference has to be written in another way.
    """

    function: Callable[[Tensor], Tensor]
    negative_slope: Any = None
    kinks: tuple[float, ...] = ()
    change: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    def derivative(self, at: Tensor) -> Tensor:
        if self.negative_slope is not None:
            return tf.where(at > 0, tf.ones_like(at), self._below(at))
        return pulled_back(self.function, [at], tf.ones_like(at))[0]

    def slope(self, start: Tensor, step: Tensor, end: Tensor | None = None) -> Tensor:
        """(f(start + step) - f(start)) / step; step must not be zero.

        `end` is start + step where that is known with digits that the sum of the two, far larger, would lose.
        """
        if self.change is not None:
            return self.change(start, step, start + step if end is None else end) / step
        if self.negative_slope is not None:
            size = tf.abs(step)
            share = tf.clip_by_value(tf.maximum(start, start + step), 0.0, size) / size
            below = self._below(step)
            return below + (1.0 - below) * share
        quotient = (self.function(start + step) - self.function(start)) / step
        return tf.where(tf.abs(step) < _SHORT_STEP[step.dtype], self._slope_of_short_step(start, step), quotient)

    def rescale(self, reference: Tensor, difference: Tensor, end: Tensor | None = None) -> Tensor:
        """Rescale's multiplier: the slope, or the derivative where there is no difference."""
        near = tf.abs(difference) < near_zero(difference)
        slope = self.slope(reference, tf.where(~near, difference, 1.0), end)
        return tf.where(near, self.derivative(reference), slope)

    def _slope_of_short_step(self, start: Tensor, step: Tensor) -> Tensor:
        """Mean derivative from start to start + step, taken apart at the kink between them, if there is one."""
        before = step
        for kink in self.kinks:
            is_between = (start < kink) != (start + step < kink)
            before = tf.where(is_between, kink - start, before)
        slope = self._mean_derivative(start, before)
        if not self.kinks:
            return slope
        share = tf.clip_by_value(before / step, 0.0, 1.0)
        return share * slope + (1.0 - share) * self._mean_derivative(start + before, step - before)

    def _mean_derivative(self, start: Tensor, step: Tensor) -> Tensor:
        """Gauss' rule with two points, for a short step without kinks."""
        middle, off = start + step / 2, step / math.sqrt(12)
        return (self.derivative(middle - off) + self.derivative(middle + off)) / 2

    def _below(self, like: Tensor) -> Tensor:
        return tf.cast(tf.convert_to_tensor(self.negative_slope), like.dtype)


def exp_change(start: Tensor, step: Tensor, end: Tensor) -> Tensor:
    """e^end - e^start."""
    return -tf.sign(step) * tf.exp(tf.maximum(start, end)) * tf.math.expm1(-tf.abs(step))


def log1p_change(start: Tensor, step: Tensor, end: Tensor) -> Tensor:
    """log(1 + end) - log(1 + start), with what RevealCancel's sums of parts take below -1 put at the edge."""
    start, end = tf.maximum(start, _LOG1P_FROM), tf.maximum(end, _LOG1P_FROM)
    ratio = step / (1.0 + start)
    # far steps by the ends' own digits, near ones by the step's
    near = tf.abs(ratio) < 0.5
    return tf.where(near, tf.math.log1p(tf.where(near, ratio, 0.0)), tf.math.log1p(end) - tf.math.log1p(start))


@dataclass(frozen=True)
class Elementwise:
    """An activation, under Rescale or RevealCancel."""

    nonlinearity: Nonlinearity
    reveal_cancel: bool = False

    def forward(self, value: Tensor) -> Tensor:
        return self.nonlinearity.function(value)

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        slopes, parts = self._slopes(run, step), run.parts(step.inputs[0])
        if self.reveal_cancel:
            parts = parts.map(_away_from_zero)
        return Pair(slopes.positive * parts.positive, slopes.negative * parts.negative)

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Tensor]:
        slopes = self._slopes(run, step)
        return [slopes.positive] if slopes.is_one else list(slopes)

    def backward(self, saved: list[Tensor], m: Pair) -> tuple[Pair, ...]:
        positive = m.positive * saved[0]
        one = m.is_one and len(saved) == 1
        return (Pair(positive, positive if one else m.negative * saved[-1]),)

    def takes_apart(self, apart: bool) -> bool:
        return apart or self.reveal_cancel

    def _slopes(self, run: ForwardPass, step: LayerStep) -> Pair:
        """dy / dx of both parts."""
        (number,) = step.inputs
        reference, slope = run.reference(number), self.nonlinearity.slope
        end = None if self.nonlinearity.change is None else run.observed(number)
        if self.reveal_cancel:
            p, n = run.parts(number).map(_away_from_zero)
            if end is None:
                with_p, with_n = reference + p, reference + n
            else:
                with_p, with_n = _with_part(reference, p, end, n), _with_part(reference, n, end, p)
            return Pair(
                (slope(reference, p, with_p) + slope(with_n, p, end)) / 2,
                (slope(reference, n, with_n) + slope(with_p, n, end)) / 2,
            )
        both = self.nonlinearity.rescale(reference, run.difference(number), end)
        return Pair(both, both)


def _away_from_zero(part: Tensor) -> Tensor:
    """Let no part vanish, so that it can be divided by."""
    least = near_zero(part)
    nudge = tf.where(part < 0, -least, least)
    return tf.where(tf.abs(part) < least / 2, part + tf.cast(nudge, part.dtype), part)


def _with_part(reference: Tensor, part: Tensor, observed: Tensor, other: Tensor) -> Tensor:
    """The reference with one part of the difference, from the end that loses fewer digits; 0 where all are lost."""
    from_reference = tf.abs(reference) + tf.abs(part) <= tf.abs(observed) + tf.abs(other)
    total = tf.where(from_reference, reference + part, observed - other)
    lost = _LOST_DIGITS[total.dtype] * tf.minimum(tf.abs(reference) + tf.abs(part), tf.abs(observed) + tf.abs(other))
    return tf.where(tf.abs(total) >= lost, total, 0.0)


# max-pooling


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling over windows of `size` positions (None: all), `stride` apart.

    - rule "rescale": of the change from the reference's maximum to the sequence's, what lies above the reference's
      goes to where the sequence has its maximum, and what lies below to where the reference has its own; adds up.
    - rule "gradient", the original's: all goes to where the sequence has its maximum, which adds up only when the
      reference has its maximum there as well; and no part is passed on forward.
    """

    size: int | None
    stride: int | None
    padding: str
    rule: Literal["rescale", "gradient"]
    keep_length: bool = True

    def forward(self, value: Tensor) -> Tensor:
        return self._pooled(self._windows(value))

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        difference = run.difference(step.output)
        if self.rule == "rescale":
            return by_sign(difference)
        nothing = tf.zeros_like(difference)
        return Pair(nothing, nothing)

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Tensor]:
        (number,) = step.inputs
        shares = self._rescaled(run, number) if self.rule == "rescale" else self._all_or_none(run, number)
        signs = [tf.sign(run.difference(step.output))] if step.apart and self.rule == "rescale" else []
        return [run.empty(number), run.flat(shares), *signs]

    def backward(self, saved: list[Tensor], m: Pair) -> tuple[Pair, ...]:
        empty, shares, *signs = saved
        if signs and not m.is_one:
            # the change is split anew by its sign, so each takes the multiplier of its sign
            one = (m.positive + m.negative + signs[0] * (m.positive - m.negative)) / 2
            m = Pair(one, one)

        def into(both: Tensor) -> Tensor:
            per_window = both[:, :, None] if self.keep_length else both[:, None, None]
            return pulled_back(self._windows, [zeros(both.shape[0], empty)], per_window * shares)[0]

        return (m.map(into),)

    def takes_apart(self, apart: bool) -> bool:
        return apart and self.rule == "gradient"

    def _all_or_none(self, run: ForwardPass, number: int) -> Tensor:
        """Multiplier of each position of each window, (n, R, windows, size, channels): one at the maximum of x."""
        first = _is_first_maximum(self._windows(run.values[number][: run.n]))[:, None]
        return tf.repeat(tf.cast(first, run.values[number].dtype), run.n_references, axis=1)

    def _rescaled(self, run: ForwardPass, number: int) -> Tensor:
        """Multiplier of each position of each window, (n, R, windows, size, channels)."""
        windows = self._windows(run.values[number])
        maxima = run.ends(tf.reduce_max(windows, axis=2, keepdims=True))
        first = run.ends(_is_first_maximum(windows))
        higher = tf.maximum(*maxima)
        change = tf.where(first[0], higher - maxima[1], 0.0) + tf.where(first[1], maxima[0] - higher, 0.0)
        x, references = run.ends(windows)
        near = tf.abs(x - references) < near_zero(x)
        return tf.where(~near, change / tf.where(~near, x - references, 1.0), 0.0)

    def _pooled(self, windows: Tensor) -> Tensor:
        pooled = tf.reduce_max(windows, axis=2)
        return pooled if self.keep_length else pooled[:, 0]

    def _windows(self, value: Tensor) -> Tensor:
        """(B, L, C) -> (B, windows, size, C); what lies beyond the ends is lower than anything."""
        length = value.shape[1]
        size = length if self.size is None else self.size
        stride = size if self.stride is None else self.stride
        geometry = padded_geometry(length, size, stride, 1, self.padding)
        if geometry.pads:
            value = tf.pad(value, [[0, 0], geometry.padding, [0, 0]], constant_values=value.dtype.min)
        n_windows = geometry.length
        if stride == size:
            return tf.reshape(value[:, : n_windows * size], (-1, n_windows, size, value.shape[2]))
        offsets = [value[:, k : k + (n_windows - 1) * stride + 1 : stride] for k in range(size)]
        return tf.stack(offsets, axis=2)


def _is_first_maximum(windows: Tensor) -> Tensor:
    """Whether a position is the first that holds the maximum of its window, (B, windows, size, C)."""
    first = tf.argmax(windows, axis=2, output_type=tf.int32)
    return first[:, :, None] == tf.range(windows.shape[2])[:, None]
