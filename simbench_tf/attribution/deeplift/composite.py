"""DeepLIFT's rule for a layer as a whole that is made of primitives: normalisation, attention, gates, users' layers.

Each pair of a sequence and a reference goes through the layer's operations; multipliers come back from one operation
to the one before. Inside, elementwise functions are by Rescale. The difference of what comes out is split anew by its
sign, as it is after a max-pool, so that RevealCancel's parts add up to it exactly on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from simbench_tf.attribution.deeplift.primitives import Applied, Name, back, kept, primitive_of
from simbench_tf.attribution.deeplift.steps import ForwardPass, LayerStep, Pair, Tensor, by_sign, zeros
from simbench_tf.attribution.deeplift.trace import Trace, traced


class NoRuleError(Exception):
    """A layer has an operation without a rule, or can't be traced; the message says which."""


@dataclass(frozen=True)
class Composite:
    """A layer, or a function of tensors, by the primitives that it is made of.

    Attributes
    ----------
    function : callable
        Takes the layer's inputs and gives its outputs.
    which : int
        Which of the outputs.
    dtypes : tuple of dtype
        What the function expects.
    maxpool : {"rescale", "gradient"}
    dtype : tf.DType
        What is computed in.
    is_activation : bool
        Whether it is the activation in a layer, and takes what the layer would give without it.
    """

    function: Callable[..., Any]
    which: int
    dtypes: tuple[Any, ...]
    maxpool: str
    dtype: Any = tf.float32
    is_activation: bool = False
    _traces: dict[Any, Trace] = field(default_factory=dict, compare=False, repr=False)

    def trace(self, shapes: tuple[tuple[int, ...], ...]) -> Trace:
        """Trace the function for inputs of these shapes, once."""
        if shapes not in self._traces:
            self._traces[shapes] = traced(self.function, shapes, self.dtypes, self.which)
        return self._traces[shapes]

    def primitives(self, shapes: tuple[tuple[int, ...], ...]) -> list[Name]:
        """Which primitives it is made of, in the order of computation.

        Raises
        ------
        NoRuleError
            An operation has no rule, or the rows of the output are not those of the input.
        """
        try:
            trace = self.trace(shapes)
        except Exception as error:  # the layer may be anyone's code
            raise NoRuleError(f"it cannot be traced: {error}".splitlines()[0]) from error
        if not trace.output.dtype.is_floating:
            raise NoRuleError(f"it gives {trace.output.dtype.name}")
        if trace.output.shape.rank is None or None in trace.output.shape or trace.output.shape[0] != shapes[0][0]:
            raise NoRuleError("it moves or joins the rows of a batch")
        dependent = _dependent(trace)
        names = []
        for operation in trace.operations:
            name = primitive_of(operation, [t.ref() in dependent for t in operation.inputs])
            if name is None:
                raise NoRuleError(f"the operation {operation.type}")
            names.append(name)
        return names

    def forward(self, *values: Tensor) -> Tensor:
        trace = self.trace(tuple(tuple(value.shape) for value in values))
        return trace.values(values, trace.constants(self.dtype))[trace.output.ref()]

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        return by_sign(run.difference(step.output))

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Any]:
        x, r = ([end(number) for number in step.inputs] for end in (run.observed, run.reference))
        trace = self.trace(tuple(tuple(value.shape) for value in x))
        constants = trace.constants(self.dtype)
        at_x, at_r = trace.values(x, constants), trace.values(r, constants)
        keeping = []
        for _, inputs, applied, name in self._applied(trace, constants):
            keeping.append(kept(name, applied, *([at[t.ref()] for t in inputs] for at in (at_x, at_r))))
        signs = [tf.sign(run.difference(step.output))] if step.apart else []
        return [[run.empty(number) for number in step.inputs], signs, keeping]

    def backward(self, saved: list[Any], m: Pair) -> tuple[Pair, ...]:
        empty, signs, keeping = saved
        one = m.positive
        if signs and not m.is_one:
            # the change is split anew by its sign, so each takes the multiplier of its sign
            one = (m.positive + m.negative + signs[0] * (m.positive - m.negative)) / 2
        rows = one.shape[0]
        trace = self.trace(tuple((rows, *each.shape[1:]) for each in empty))
        reached: dict[Any, Tensor] = {trace.output.ref(): one}
        steps = list(zip(self._applied(trace, trace.constants(self.dtype)), keeping, strict=True))
        for (operation, inputs, applied, name), kept_here in reversed(steps):
            if not any(t.ref() in reached for t in operation.outputs):
                continue
            tops = [reached.get(t.ref(), _zeros_like(t, self.dtype)) for t in operation.outputs]
            shapes = [t.shape for t in inputs]
            for tensor, into in zip(inputs, back(name, applied, kept_here, tops, shapes), strict=True):
                before = reached.get(tensor.ref())
                reached[tensor.ref()] = into if before is None else before + into
        into_inputs = [reached.get(t.ref(), zeros(rows, each)) for t, each in zip(trace.inputs, empty, strict=True)]
        return tuple(Pair(each, each) for each in into_inputs)

    def takes_apart(self, apart: bool) -> bool:
        return False

    def _applied(self, trace: Trace, constants: dict[Any, Tensor]) -> list[tuple[Any, list[Any], Applied, Name]]:
        """Each operation with its inputs that depend on the sequence, its constants, and its rule's name."""
        dependent, found = _dependent(trace), []
        for operation in trace.operations:
            is_dependent = [t.ref() in dependent for t in operation.inputs]
            name = primitive_of(operation, is_dependent)
            assert name is not None  # the model was read
            given = [None if d else constants[t.ref()] for t, d in zip(operation.inputs, is_dependent, strict=True)]
            inputs = [t for t, d in zip(operation.inputs, is_dependent, strict=True) if d]
            found.append((operation, inputs, Applied(operation, given, self.dtype, self.maxpool), name))
        return found


def _dependent(trace: Trace) -> set[Any]:
    return {t.ref() for t in trace.inputs} | {t.ref() for op in trace.operations for t in op.outputs}


def _zeros_like(tensor: Any, dtype: Any) -> Tensor:
    return tf.zeros(tensor.shape, dtype)


@dataclass(frozen=True)
class Constant:
    """A layer whose output is the same for all sequences: no multiplier goes past it."""

    function: Callable[..., Any]
    dtype: Any = tf.float32

    def forward(self, *values: Tensor) -> Tensor:
        return tf.cast(self.function(*values), self.dtype)

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        return by_sign(run.difference(step.output))

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Tensor]:
        return [run.empty(number) for number in step.inputs]

    def backward(self, saved: list[Tensor], m: Pair) -> tuple[Pair, ...]:
        none = [zeros(m.positive.shape[0], empty) for empty in saved]
        return tuple(Pair(each, each) for each in none)

    def takes_apart(self, apart: bool) -> bool:
        return False
