"""A layer's call as TensorFlow's operations: traced for a number of rows, and computed again on any values.

What a layer computes, whoever wrote it, is a graph of a few dozen kinds of operations; DeepLIFT's primitives are rules
for these. Everything is computed in one precision, float32 or float64, whatever the layer casts to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

Tensor = Any
Function = Callable[..., Any]

# they change no value; custom gradients of TensorFlow's own functions leave them behind
ALIASES = ("Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape", "Snapshot")
# what they give depends on shapes only, or is the same for all finite numbers
_SAME_FOR_ALL = ("Shape", "ShapeN", "Rank", "Size", "ZerosLike", "OnesLike", "IsFinite", "IsNan", "IsInf")


@dataclass(frozen=True)
class Trace:
    """Operations that lead from some inputs to one output.

    Attributes
    ----------
    inputs : list of symbolic tensor
    output : symbolic tensor
    operations : list of tf.Operation
        Those that depend on the inputs and that the output depends on, in an order in which they can be computed.
    """

    inputs: list[Any]
    output: Any
    operations: list[Any]
    _constants: list[Any]
    _captured: dict[Any, Any]
    _graph: Any = field(repr=False)

    def constants(self, dtype: Any) -> dict[Any, Tensor]:
        """Compute what does not depend on the inputs, as weights are now; by symbolic tensor (`ref`)."""
        values: dict[Any, Tensor] = {ref: _in(dtype, value) for ref, value in self._captured.items()}
        for operation in self._constants:
            # of these only the shape matters, or that it is a finite number
            given = [
                values[t.ref()] if t.ref() in values else tf.zeros(t.shape, _dtype_in(dtype, t.dtype))
                for t in operation.inputs
            ]
            note(values, operation, computed(operation, given, dtype))
        return values

    def values(self, inputs: Sequence[Tensor], constants: dict[Any, Tensor]) -> dict[Any, Tensor]:
        """Compute all tensors from values of the inputs, which are of the precision wanted."""
        values = {**constants, **{t.ref(): value for t, value in zip(self.inputs, inputs, strict=True)}}
        for operation in self.operations:
            given = [values[t.ref()] for t in operation.inputs]
            note(values, operation, computed(operation, given, inputs[0].dtype))
        return values


def note(values: dict[Any, Tensor], operation: Any, outputs: Sequence[Tensor]) -> None:
    """Put an operation's outputs among the values."""
    values.update({t.ref(): value for t, value in zip(operation.outputs, outputs, strict=True)})


def traced(function: Function, shapes: Sequence[Sequence[int]], dtypes: Sequence[Any], which: int = 0) -> Trace:
    """Trace a function of tensors.

    Parameters
    ----------
    function : callable
        Takes tensors and gives a tensor or a structure of them.
    shapes : sequence of tuple of int
        Shapes of the inputs, with the number of rows.
    dtypes : sequence of dtype
        What the function expects.
    which : int, default 0
        Which of its outputs.

    Returns
    -------
    trace : Trace
    """
    # a plain `tf.function` would leave functions within it as calls
    graph = tf.__internal__.FuncGraph("deeplift")
    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with graph.as_default():
            inputs = [tf.raw_ops.Placeholder(dtype=d, shape=tuple(s)) for s, d in zip(shapes, dtypes, strict=True)]
            output = tf.convert_to_tensor(tf.nest.flatten(function(*inputs))[which])
    finally:
        tf.config.run_functions_eagerly(eagerly)
    return _leading_to(output, inputs, graph)


def _leading_to(output: Any, inputs: list[Any], graph: Any) -> Trace:
    captured = {inside.ref(): outside for outside, inside in graph.captures}
    given = {t.ref() for t in inputs} | set(captured)
    dependent, wanted = {t.ref() for t in inputs}, {output.ref()}
    operations = graph.get_operations()  # in the order in which they were made
    for operation in operations:
        if operation.type not in _SAME_FOR_ALL and any(t.ref() in dependent for t in operation.inputs):
            dependent.update(t.ref() for t in operation.outputs)
    kept, constants = [], []
    for operation in reversed(operations):
        outputs = {t.ref() for t in operation.outputs}
        if not outputs & wanted or outputs & given:
            continue
        if outputs & dependent:
            kept.append(operation)
        else:
            constants.append(operation)
        if operation.type not in _SAME_FOR_ALL:
            wanted.update(t.ref() for t in operation.inputs)
        else:
            wanted.update(t.ref() for t in operation.inputs if t.ref() not in dependent)
    return Trace(inputs, output, kept[::-1], constants[::-1], captured, graph)


def computed(operation: Any, inputs: Sequence[Tensor], dtype: Any) -> list[Tensor]:
    """Compute one operation on other values: its outputs, those of fractions in `dtype`."""
    if operation.type in ALIASES:
        return list(inputs)
    if operation.type == "Const":
        return [_in(dtype, tf.constant(tf.make_ndarray(operation.get_attr("value"))))]
    if operation.type == "Cast" and operation.outputs[0].dtype.is_floating:
        return [tf.cast(inputs[0], dtype)]
    function = getattr(tf.raw_ops, operation.type)
    made = function(**_as_called_in_python(function, _arguments(operation, list(inputs))))
    outputs = list(made) if isinstance(made, (list, tuple)) else [made]
    return [_in(dtype, output) for output in outputs]


def _arguments(operation: Any, inputs: list[Tensor]) -> dict[str, Any]:
    """Inputs and settings of an operation by name; types and counts are told from the inputs."""
    definition = operation.op_def
    told: set[str] = set()
    arguments: dict[str, Any] = {}
    for argument in definition.input_arg:
        told.update((argument.type_attr, argument.number_attr, argument.type_list_attr))
        if argument.number_attr:
            n = operation.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            n = len(operation.get_attr(argument.type_list_attr))
        else:
            arguments[argument.name] = inputs.pop(0)
            continue
        arguments[argument.name], inputs = inputs[:n], inputs[n:]
    settings = [attr.name for attr in definition.attr if attr.name not in told]
    return {**arguments, **{name: operation.get_attr(name) for name in settings}}


def _as_called_in_python(function: Function, arguments: dict[str, Any]) -> dict[str, Any]:
    """Some arguments have another name in Python, as `axis` for `reduction_indices`; their order is the same."""
    known = [name for name in inspect.signature(function).parameters if name != "name"]
    renamed = zip(
        [name for name in arguments if name not in known],
        [name for name in known if name not in arguments],
        strict=False,
    )
    new = dict(renamed)
    return {new.get(name, name): value for name, value in arguments.items()}


def _dtype_in(dtype: Any, own: Any) -> Any:
    return dtype if own.is_floating else own


def _in(dtype: Any, value: Any) -> Any:
    return tf.cast(value, dtype) if value.dtype.is_floating and value.dtype != dtype else value
