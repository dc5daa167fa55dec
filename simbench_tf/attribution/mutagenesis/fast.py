"""In-silico mutagenesis that computes, layer by layer, only what a substitution can change; exact but for rounding.

The unchanged sequence goes through the model once. Of a mutant there is only ever a window of each tensor: the first
convolution changes by the difference of two columns of its kernel; later ones turn a window of changes into a wider
one, being linear; activations, pooling and products are evaluated on unchanged values plus changes; branches come
together in the window that holds those of all. A layer that joins all positions is updated where it is linear or a
maximum; from a layer that is not known the mutant is put together and goes on as a whole. The idea is that of fastISM
(Nair et al. 2022); that linear layers see changes alone, which are short, is what makes it cheaper here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import UnsupportedModelError, linear_activation
from simbench_tf.attribution.mutagenesis.follow import (
    Block,
    before_functions,
    changes_of_bases,
    follow_bases,
    follow_merge,
    follow_move,
    follow_stage,
    in_order,
    merged,
    whole_tensors,
)
from simbench_tf.attribution.mutagenesis.gates import follow_gated, sums_of_channels
from simbench_tf.attribution.mutagenesis.graph import Graph, Unit, read_graph
from simbench_tf.attribution.mutagenesis.joins import follow_average, follow_dense, follow_maximum
from simbench_tf.attribution.mutagenesis.stage_layers import apply_dense, apply_functions, apply_linear
from simbench_tf.attribution.mutagenesis.windows import Flat, State, Window, WindowPlan, WindowStep, plan_windows

Array = npt.NDArray[np.float32]


# letters: 0-3, and 4 for N or a place beyond the end
_NOTHING = 4


class Engine(NamedTuple):
    """Compiled functions for one model and one length.

    Attributes
    ----------
    plan : WindowPlan
    unchanged : callable
        ``unchanged(one_hot)`` gives the tensors of unchanged sequences, (n, L, 4), that `block` looks at, by name.
    block : callable
        ``block(period, bases, targets, tensors)``: changes of the outputs by all single mutants of one block of
        positions, (P, n, 3, T). The block begins with that period, counted from 0. `bases` int32 (n, P) are the
        block's, 4 for N and beyond the end; mutant k has the base k + 1 further on, going round.
    """

    plan: WindowPlan
    unchanged: Callable[[Any], dict[str, Any]]
    block: Callable[..., Any]


def make_engine(graph: Graph, batch_size: int) -> Engine:
    """Compile the engine of a model.

    Parameters
    ----------
    graph : Graph
    batch_size : int
        Positions to be followed together, fewer where windows are large; and how many whole passes are made together.
    """
    import tensorflow as tf

    plan = plan_windows(graph, batch_size)
    unchanged = tf.function(lambda x: _unchanged(plan, x), autograph=False)
    return Engine(plan, unchanged, tf.function(_block(plan), autograph=False))


def find_graph(model: Any, seq_length: int) -> Graph | None:
    """Read a functional model that ends at the explained output, if following windows through it saves anything.

    Parameters
    ----------
    model : keras.Model, or None
        None for a model that is known only as a function.
    seq_length : int

    Returns
    -------
    graph : Graph or None
        None where windows would save too little; with a UserWarning where that is for layers that are not known.
    """
    try:
        if model is None:
            raise UnsupportedModelError("it shows no layers")
        graph = read_graph(model, seq_length)
    except UnsupportedModelError as error:
        reasons = [str(error)]
    else:
        plan = plan_windows(graph, 1)
        if plan.saves:
            return graph
        reasons = plan.reasons
    if reasons:
        warnings.warn(
            f"fast in-silico mutagenesis does not know this model ({reasons[0]}); "
            f"all mutants go through the whole model",
            UserWarning,
            stacklevel=2,
        )
    return None


def mutant_changes(
    engine: Engine, one_hot: Array, bases: npt.NDArray[np.uint8], targets: Sequence[int], start: int, end: int
) -> Array:
    """Changes of the outputs by single mutants of n sequences from start to end, float32 (T, n, end - start, 3).

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import encode, one_hot
    >>> layers = keras.layers
    >>> stack = [layers.Conv1D(1, 1), layers.MaxPooling1D(2), layers.Flatten(), layers.Dense(1)]
    >>> model = keras.Sequential([keras.Input((8, 4)), *stack])
    >>> model.set_weights([np.arange(4.0).reshape(1, 4, 1), np.zeros(1), np.ones((4, 1)), np.zeros(1)])
    >>> engine = make_engine(read_graph(model, 8), 8)
    >>> bases = encode(["ACGTAAAA"])
    >>> # the first bin holds max(0, 1): A becomes C, G, T and C becomes G, T, A
    >>> mutant_changes(engine, one_hot(bases), bases, [0], 0, 2).tolist()
    [[[[0.0, 1.0, 2.0], [1.0, 2.0, -1.0]]]]
    """
    import tensorflow as tf

    plan = engine.plan
    padded = np.pad(bases.astype(np.int32), [(0, 0), (0, plan.block)], constant_values=_NOTHING)
    chosen, tensors = tf.constant(targets, tf.int32), engine.unchanged(tf.constant(one_hot))
    first = start - start % plan.period
    outputs = [
        engine.block(tf.constant(place // plan.period), padded[:, place : place + plan.block], chosen, tensors)
        for place in range(first, end, plan.block)
    ]
    joined = tf.concat(outputs, axis=0)[start - first : end - first]
    return tf.transpose(joined, (3, 1, 0, 2)).numpy()


def _unchanged(plan: WindowPlan, x: Any) -> dict[str, Any]:
    """All tensors of unchanged sequences, and what is before the functions of each stage."""
    values, kept = {0: x}, {}
    for step in plan.steps:
        unit = step.unit
        if unit.stage is not None and step.how in ("bases", "windows"):
            before = apply_linear(unit.stage, values[unit.inputs[0]])
            kept[before_functions(unit)] = before
            values[unit.output] = apply_functions(unit.stage, before)
            continue
        if unit.stage is not None and step.how == "gated":
            kept[before_functions(unit)] = sums_of_channels(unit.stage, *(values[number] for number in unit.inputs))
        values.update(zip(unit.outputs, _run(unit, values), strict=True))
    return {**kept, **{str(number): value for number, value in values.items()}}


def _run(unit: Unit, values: Mapping[int, Any]) -> list[Any]:
    """The outputs of a unit from whole tensors."""
    import tensorflow as tf

    from simbench_tf.attribution.model_graph import call_on

    if unit.stage is None:
        return call_on(unit.call.node, [values[number] for number in unit.call.inputs])
    x = tf.cast(values[unit.inputs[0]], tf.float32)
    if unit.kind == "gated":
        x = x * values[unit.inputs[1]]
    return [apply_functions(unit.stage, apply_linear(unit.stage, x))]


def _block(plan: WindowPlan) -> Callable[..., Any]:
    """Make a function of a block: its first period, bases int32 (n, P), targets, tensors -> changes (P, n, 3, T)."""
    import tensorflow as tf

    before, after = plan.parts

    def function(period: Any, bases: Any, targets: Any, unchanged: Mapping[str, Any]) -> Any:
        block = Block(plan, period, bases, unchanged, plan.block)
        # windows and (P, n, 3, units) are changes; whole tensors are mutated, (P n 3, ...); of constants there is none
        values: dict[int, Any] = {}
        if any(0 in step.unit.inputs and step.how not in ("bases", "constant") for step in plan.steps):
            # each base by itself
            n_positions = np.zeros(plan.block, np.int64)
            values[0] = changes_of_bases(block, tf.eye(4)[None], np.zeros((1, 1), np.int64), n_positions)
        for step in before:
            values.update(zip(step.unit.outputs, _after(block, step, values), strict=True))
        change = _of_whole(block, after, values) if after else values[plan.output]
        if change is None:
            change = tf.zeros((plan.block, bases.shape[0], 3, block.value(plan.output).shape[1]))
        return tf.gather(change, targets, axis=3)

    return function


class _Placed(NamedTuple):
    """Windows in the order of the block's positions, and where they start, int32 (P,)."""

    change: Any
    start: Any


def _of_whole(block: Block, steps: Sequence[WindowStep], values: Mapping[int, Any]) -> Any:
    """Changes of the output, (P, n, 3, units), by steps on whole mutants, held so many together as the plan allows."""
    import tensorflow as tf

    n_positions, together = block.plan.block, max(1, block.plan.whole_mutants // (3 * block.bases.shape[0]))
    held: dict[int, Any] = {}
    for step in steps:
        for number, state in zip(step.unit.inputs, step.inputs, strict=True):
            if values.get(number) is not None:
                held[number] = _placed(block, values[number], state)

    def of_rows(rows: Any) -> Any:
        some: dict[int, Any] = dict.fromkeys(values)
        for number, value in held.items():
            some[number] = tf.nest.map_structure(lambda x: tf.gather(x, rows), value)
        part = block._replace(n_positions=rows.shape[0])
        for step in steps:
            some.update(zip(step.unit.outputs, _after(part, step, some), strict=True))
        return some[block.plan.output]

    if together >= n_positions:
        return of_rows(np.arange(n_positions, dtype=np.int32))
    rows = np.arange(-(-n_positions // together) * together, dtype=np.int32).reshape(-1, together)
    rows = np.minimum(rows, n_positions - 1)
    made = tf.map_fn(of_rows, rows, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.reshape(made, (-1, *made.shape[2:]))[:n_positions]


def _placed(block: Block, change: Any, state: State) -> Any:
    """What is known of a tensor, so that its first axis is that of the block's positions."""
    import tensorflow as tf

    if state == "whole":
        return tf.reshape(change, (block.plan.block, -1, *change.shape[1:]))
    window = state.window if isinstance(state, Flat) else state
    if not isinstance(window, Window):
        return change
    ordered = window.rows(np.argsort(window.order))
    return _Placed(in_order(window, change), ordered.start.astype(np.int32) + block.period * window.moves)


def _after(block: Block, step: WindowStep, values: Mapping[int, Any]) -> list[Any]:
    """What becomes of the outputs of one unit."""
    unit = step.unit
    if step.how == "constant":
        return [None] * len(unit.outputs)
    if step.how == "bases":
        return [follow_bases(block, step)]
    given = [values[number] for number in unit.inputs]
    if step.how == "same":
        return given
    if step.how == "joined":
        return [_joined(block, step, given)]
    if step.how == "windows":
        return [_windows(block, step, given)]
    if step.how == "gated":
        return [_gated(block, step, *given)]
    return _whole(block, step, given)


def _windows(block: Block, step: WindowStep, given: list[Any]) -> Any:
    """Windows from windows."""
    pairs = [
        (change, state) if isinstance(state, Window) else None for change, state in zip(given, step.inputs, strict=True)
    ]
    if step.unit.kind == "merge":
        return follow_merge(block, step, pairs)
    (pair,) = pairs
    assert pair is not None
    return (follow_stage if step.unit.stage is not None else follow_move)(block, step, *pair)


def _gated(block: Block, step: WindowStep, placed: _Placed, gates: Any) -> Any:
    """Whole mutants, (P n 3, ...), from windows of what a gate multiplies and the mutants' gates."""
    import tensorflow as tf

    unit = step.unit
    assert unit.stage is not None
    gate = block.value(unit.inputs[1])[:, 0]
    gates = tf.reshape(gates, (*placed.change.shape[:3], gate.shape[1]))
    sums = block.unchanged[before_functions(unit)]
    return apply_functions(unit.stage, follow_gated(unit.stage, *placed, gates, gate, sums))


def _joined(block: Block, step: WindowStep, given: list[Any]) -> Any:
    """Changes (P, n, 3, units) of what has no positions, from windows or from such changes."""
    import tensorflow as tf

    unit = step.unit
    if unit.kind == "merge":
        return merged(unit, given, lambda number: block.value(number)[None, :, None])
    number, (change,), (state,) = unit.inputs[0], given, step.inputs
    if unit.kind == "dense":
        return _activated(block, unit, _product(block, unit, change, state))
    assert isinstance(state, Window)
    average = unit.kind == "average"
    change = (
        follow_average(block, change, state) if average else follow_maximum(block, change, state, block.value(number))
    )
    if not unit.call.node.operation.keepdims:
        return change
    return tf.reshape(block.value(unit.output)[None, :, None, 0] + change, (-1, 1, change.shape[-1]))


def _product(block: Block, unit: Unit, change: Any, state: State) -> Any:
    """Changes of a dense layer before its activation: it is linear, and sees changes alone."""
    import tensorflow as tf

    dense = _dense(unit)
    if isinstance(state, Flat):
        return follow_dense(block, dense, change, state.window)
    rows = tf.matmul(tf.reshape(change, (-1, change.shape[3])), dense.kernel)
    return tf.reshape(rows, (*change.shape[:3], rows.shape[1]))


def _activated(block: Block, unit: Unit, change: Any) -> Any:
    import tensorflow as tf

    layer = unit.call.node.operation
    if layer is not _dense(unit) or layer.activation is linear_activation():
        return change
    before = apply_dense(layer, tf.reshape(block.value(unit.inputs[0]), (-1, layer.kernel.shape[0])))
    mutated = before[None, :, None] + change
    after = layer.activation(tf.reshape(mutated, (-1, mutated.shape[3])))
    return tf.reshape(after, mutated.shape) - layer.activation(before)[None, :, None]


def _dense(unit: Unit) -> Any:
    """The Dense layer of a call; what `network` makes of one without its activation is marked so."""
    layer = unit.call.node.operation
    return getattr(layer, "linear_part_of", layer)


def _whole(block: Block, step: WindowStep, given: list[Any]) -> list[Any]:
    """Outputs of a unit that is run on whole mutants; of outputs without positions the changes."""
    import tensorflow as tf

    n = block.bases.shape[0]
    inputs = {
        number: _mutated(block, change, state, block.value(number))
        for number, change, state in zip(step.unit.inputs, given, step.inputs, strict=True)
    }
    made = []
    for number, value in zip(step.unit.outputs, _run(step.unit, inputs), strict=True):
        if len(value.shape) == 2:
            value = tf.reshape(tf.cast(value, tf.float32), (-1, n, 3, value.shape[1]))
            value = value - tf.cast(block.value(number), tf.float32)[None, :, None]
        made.append(value)
    return made


def _mutated(block: Block, change: Any, state: State, values: Any) -> Any:
    """Mutated tensors, (P n 3, ...)."""
    import tensorflow as tf

    if state == "whole":
        return tf.reshape(change, (-1, *values.shape[1:]))
    if isinstance(change, _Placed):
        along = tf.reshape(values, (values.shape[0], -1, change.change.shape[-1]))
        mutated = whole_tensors(change.change, change.start, along)
    elif state == "joined":
        mutated = values[None, :, None] + change
    else:
        mutated = tf.broadcast_to(values[None, :, None], (block.n_positions, values.shape[0], 3, *values.shape[1:]))
    return tf.reshape(mutated, (-1, *values.shape[1:]))
