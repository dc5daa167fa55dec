"""DeepLIFT's forward and backward pass: the interface of a layer's rule (`Rule`), and the values that rules read.

A `ForwardPass` is N sequences and R references of each, which go through the network in one batch. A tensor's
difference d = x - reference has a positive and a negative part, d = P + N, and a multiplier for each; both are a
`Pair`. Where one tensor is both multipliers, `Pair.negative` is the very same object as `Pair.positive`, which saves
half the work: that is so everywhere until RevealCancel gives the parts different multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

Tensor = Any


# differences smaller than this count as none; in float32 the original's NEAR_ZERO_THRESHOLD
_NEAR_ZERO = {tf.float32: 1e-7, tf.float64: 1e-15}


def near_zero(like: Tensor) -> float:
    """What counts as no difference among numbers of a tensor's precision."""
    return _NEAR_ZERO[like.dtype]


class Pair(NamedTuple):
    """Something for the positive part of a difference and for its negative part; shape (N R, ...) each."""

    positive: Tensor
    negative: Tensor

    @property
    def is_one(self) -> bool:
        return self.positive is self.negative

    def map(self, function: Callable[[Tensor], Tensor]) -> Pair:
        positive = function(self.positive)
        return Pair(positive, positive if self.is_one else function(self.negative))


def plus(a: Pair, b: Pair) -> Pair:
    """Sum of two pairs."""
    positive = a.positive + b.positive
    return Pair(positive, positive if a.is_one and b.is_one else a.negative + b.negative)


class LayerStep(NamedTuple):
    """One layer at work.

    Attributes
    ----------
    rule : Rule
    inputs : tuple of int
        Numbers of the tensors it takes.
    output : int
        Number of the tensor it makes.
    apart : bool
        Whether its output has a multiplier for each part, not one for both.
    """

    rule: Rule
    inputs: tuple[int, ...]
    output: int
    apart: bool = False


class Rule(Protocol):
    """What DeepLIFT needs to know of a kind of layer."""

    def forward(self, *values: Tensor) -> Tensor:
        """Return the layer's output."""

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        """Return P and N of the layer's output."""

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Any]:
        """Return what of the forward pass the backward pass needs, whatever the target."""

    def backward(self, saved: list[Any], m: Pair) -> tuple[Pair, ...]:
        """Return the multipliers of each input from those of the output."""

    def takes_apart(self, apart: bool) -> bool:
        """Whether the inputs' multipliers differ by part when the output's do (`apart`) or don't."""


class ForwardPass:
    """Forward pass of n sequences and of n_references references of each; tensor 0 is the input, (n (1 + R), L, 4).

    The n sequences stand first in the batch of every tensor, then the references of the first one, of the second...
    """

    def __init__(self, steps: list[LayerStep], one_hot: Tensor, references: Tensor) -> None:
        self.n, self.n_references = references.shape[:2]
        self._made_by = {step.output: step for step in steps}
        flat = tf.reshape(references, (-1, *references.shape[2:]))
        self.values: dict[int, Tensor] = {0: tf.concat([one_hot, flat], axis=0)}
        for step in steps:
            self.values[step.output] = step.rule.forward(*(self.values[number] for number in step.inputs))
        self._differences: dict[int, Tensor] = {}
        self._parts: dict[int, Pair] = {}

    def ends(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Split a batch into x, (n, 1, ...), and its references, (n, R, ...)."""
        shape = values.shape[1:]
        references = tf.reshape(values[self.n :], (self.n, self.n_references, *shape))
        return values[: self.n, None], references

    def reference(self, number: int) -> Tensor:
        return self.values[number][self.n :]

    def observed(self, number: int) -> Tensor:
        """x of a tensor once for each of its references, (n R, ...)."""
        return tf.repeat(self.values[number][: self.n], self.n_references, axis=0)

    def difference(self, number: int) -> Tensor:
        """x - reference of a tensor, (n R, ...)."""
        if number not in self._differences:
            x, references = self.ends(self.values[number])
            self._differences[number] = self.flat(x - references)
        return self._differences[number]

    def parts(self, number: int) -> Pair:
        """P and N of a tensor; made only where RevealCancel asks for them."""
        if number not in self._parts:
            if number in self._made_by:
                step = self._made_by[number]
                self._parts[number] = step.rule.parts(self, step)
            else:
                self._parts[number] = by_sign(self.difference(number))
        return self._parts[number]

    def empty(self, number: int) -> Tensor:
        """No rows of a tensor: carries its shape to the backward pass, and takes no memory."""
        return self.values[number][:0]

    def flat(self, tensor: Tensor) -> Tensor:
        """(n, R, ...) -> (n R, ...)."""
        return tf.reshape(tensor, (-1, *tensor.shape[2:]))


def by_sign(difference: Tensor) -> Pair:
    """Split a tensor into its positive and its negative part."""
    return Pair(tf.maximum(difference, 0.0), tf.minimum(difference, 0.0))


def zeros(n: int, empty: Tensor) -> Tensor:
    """Zeros of the shape of `empty`, with `n` rows."""
    return tf.zeros((n, *empty.shape[1:]), empty.dtype)


def pulled_back(function: Callable[..., Tensor], at: list[Tensor], multipliers: Tensor) -> list[Tensor]:
    """Multipliers of the inputs of a function that is linear near `at`."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        output = function(*at)
    return tape.gradient(output, at, output_gradients=multipliers)


# the backward pass


def multipliers(steps: list[LayerStep], saved: list[list[Any]], top: Tensor) -> Pair:
    """From the output's multipliers (n R, n_outputs) to the input's; where a tensor is used twice they add up."""
    return multipliers_of_all(steps, saved, top)[1]


def multipliers_of_all(
    steps: list[LayerStep], saved: list[list[Any]], top: Tensor
) -> tuple[list[tuple[Pair, tuple[Pair, ...]]], Pair]:
    """Multipliers of each step's output and those it gives its inputs, from the last step on; and the input's."""
    reached = {steps[-1].output: Pair(top, top)}
    of_steps = []
    for step, kept in zip(reversed(steps), reversed(saved), strict=True):
        out = reached.pop(step.output)
        of_steps.append((out, step.rule.backward(kept, out)))
        for number, into in zip(step.inputs, of_steps[-1][1], strict=True):
            reached[number] = plus(reached[number], into) if number in reached else into
    return of_steps, reached[0]


def contributions(m: Pair, x: Tensor, references: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means over references of m+ d+, of m- d-, and of what each base would be given; (n, L, 4) each.

    Multipliers and references are (n, R, L, 4), x is (n, L, 4).
    """
    parts = by_sign(x[:, None] - references)
    # base c would differ by 1 - r in its own channel, and by -r in the three others
    absent = m.negative * references
    others = tf.reduce_sum(absent, axis=-1, keepdims=True) - absent
    hypothetical = m.positive * (1.0 - references) - others
    means = (m.positive * parts.positive, m.negative * parts.negative, hypothetical)
    return tuple(tf.reduce_mean(each, axis=1) for each in means)
