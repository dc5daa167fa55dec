"""Changes of tensors from those of the tensors before, window by window: (P, n, 3, w, channels), positions leading.

P positions of a block are substituted in n sequences by three bases each. What a window holds beyond the ends of its
tensor is unspecified, and left out where a layer looks there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simbench_tf.attribution.mutagenesis.graph import LINEAR_MERGES, Stage, Unit
from simbench_tf.attribution.mutagenesis.stage_layers import apply_pointwise, bin_sizes, convolve, pool_bins
from simbench_tf.attribution.mutagenesis.windows import (
    Places,
    Window,
    WindowPlan,
    WindowStep,
    in_order_of,
    taps_of,
)


class Block(NamedTuple):
    """One block of positions of some sequences.

    Attributes
    ----------
    plan : WindowPlan
    period : int tensor, scalar
        The block's first.
    bases : int32 tensor, shape (n, P)
        0-3, and 4 for N or a place beyond the end.
    unchanged : dict of tensors
        Of the unchanged sequences, by number, and `before_functions` of stages.
    n_positions : int
        P, or how many of them are gone on with.
    """

    plan: WindowPlan
    period: Any
    bases: Any
    unchanged: Mapping[str, Any]
    n_positions: int

    def value(self, number: int) -> Any:
        """A tensor of the unchanged sequences."""
        return self.unchanged[str(number)]


def before_functions(unit: Unit) -> str:
    """Name of what the linear layer of a stage gives, of unchanged sequences."""
    return f"before {unit.output}"


# windows


def places(window: Window, period: Any) -> Any:
    """Positions of the tensor that windows cover, int32 (P, w); some may lie beyond its ends."""
    covered = (window.start[:, None] + np.arange(window.width)).astype(np.int32)
    return covered + period * window.moves


def inside(window: Window, period: Any) -> Any:
    """Whether positions that windows cover are within the tensor, (P, w)."""
    covered = places(window, period)
    return (covered >= 0) & (covered < window.length)


def within(block: Block, window: Window, change: Any) -> Any:
    """Changes, with zeros beyond the ends of the tensor."""
    import tensorflow as tf

    last = int(window.start.max()) + (block.plan.n_periods - 1) * window.moves + window.width
    if window.start.min() >= 0 and last <= window.length:
        return change
    return tf.where(inside(window, block.period)[:, None, None, :, None], change, 0.0)


def cut(block: Block, window: Window, values: Any) -> Any:
    """Windows of unchanged values, (n, length, channels) -> (P, n, 1, w, channels)."""
    import tensorflow as tf

    covered = tf.clip_by_value(places(window, block.period), 0, window.length - 1)
    return tf.transpose(tf.gather(values, covered, axis=1), (1, 0, 2, 3))[:, :, None]


def moved(block: Block, change: Any, window: Window, to: Window) -> Any:
    """Changes in other windows of the same tensor, with zeros for what was not in theirs."""
    import tensorflow as tf

    rows = in_order_of(window, to)
    if not np.array_equal(rows, np.arange(len(rows))):
        change, window = tf.gather(change, rows), window.rows(rows)
    further = window.start - to.start
    if window.moves == to.moves and len(np.unique(further)) == 1:
        before, after = int(further[0]), int(to.width - further[0] - window.width)
        change = change[:, :, :, max(-before, 0) : window.width - max(-after, 0)]
        if before <= 0 and after <= 0:
            return change
        return tf.pad(change, [[0, 0]] * 3 + [[max(before, 0), max(after, 0)], [0, 0]])
    n_rows, n, _, width, channels = change.shape
    # one more position on either side, for those that do not change
    change = tf.reshape(tf.pad(change, [[0, 0]] * 3 + [[1, 1], [0, 0]]), (n_rows, n * 3, width + 2, channels))
    index = places(to, block.period) - (window.start.astype(np.int32)[:, None] + block.period * window.moves)
    index = tf.clip_by_value(index, -1, width) + 1
    return tf.reshape(tf.gather(change, index, axis=2, batch_dims=1), (n_rows, n, 3, to.width, channels))


def whole_tensors(change: Any, start: Any, values: Any) -> Any:
    """Mutated tensors put together, (P, n, 3, length, channels), from windows that start there, int32 (P,)."""
    import tensorflow as tf

    n_rows, n, _, width, channels = change.shape
    length = values.shape[1]
    # one more position on either side, for those that do not change
    change = tf.reshape(tf.pad(change, [[0, 0]] * 3 + [[1, 1], [0, 0]]), (n_rows, n * 3, width + 2, channels))
    index = tf.clip_by_value(np.arange(length, dtype=np.int32) - start[:, None], -1, width) + 1
    change = tf.gather(change, index, axis=2, batch_dims=1)
    return values[None, :, None] + tf.reshape(change, (n_rows, n, 3, length, channels))


def in_order(window: Window, change: Any) -> Any:
    """Rows in the order of the block's positions."""
    import tensorflow as tf

    rows = np.argsort(window.order)
    return change if np.array_equal(rows, np.arange(len(rows))) else tf.gather(change, rows)


# stages


def changes_of_bases(block: Block, kernel: Any, taps: Places, kinds: Places) -> Any:
    """Changes of a kernel's outputs over the bases: at each position the rows of two letters differ."""
    import tensorflow as tf

    # a letter and a tap that change nothing
    kernel = tf.pad(kernel, [[0, 1], [0, 1], [0, 0]])
    table = tf.transpose(tf.gather(kernel, taps), (0, 2, 1, 3))
    table = tf.reshape(table, (len(taps) * 5, taps.shape[1], kernel.shape[-1]))
    letters, index = tf.transpose(block.bases), kinds.astype(np.int32)[:, None]
    mutated = (letters[..., None] + np.arange(1, 4, dtype=np.int32)) % 4
    observed = tf.gather(table, 5 * index + letters)
    return tf.gather(table, 5 * index[..., None] + mutated) - observed[:, :, None]


def follow_bases(block: Block, step: WindowStep) -> Any:
    """Changes of a stage that sees the bases themselves."""
    import tensorflow as tf

    assert step.unit.stage is not None
    assert step.convolved is not None
    linear = step.unit.stage.linear
    kernel = tf.eye(4)[None] if linear is None else tf.convert_to_tensor(linear.kernel)
    change = changes_of_bases(block, kernel[None] if len(kernel.shape) == 2 else kernel, *taps_of(step))
    return _changed_functions(block, step, slice(None), change)


def follow_stage(block: Block, step: WindowStep, change: Any, window: Window) -> Any:
    """Changes of a stage's output from those of its input."""
    import tensorflow as tf

    stage = step.unit.stage
    assert stage is not None
    if stage.geometry.pads:
        # what a convolution finds beyond the ends are zeros
        change = within(block, window, change)
    reach = stage.geometry.reach
    # one product of all rows is faster than one of each class; strides see unlike inputs
    together = len(step.classes) > 1 and stage.linear is not None and stage.geometry.stride == 1
    together = together and min(min(group.before, group.after) for group in step.classes) >= reach
    if together:
        change = _convolved(stage, change, reach, reach)
    results, done = [], 0
    for group in step.classes:
        rows = slice(done, done + len(group.rows))
        done += len(group.rows)
        part = change if len(step.classes) == 1 else tf.gather(change, group.rows)
        if together:
            part = tf.pad(part, [[0, 0]] * 3 + [[group.before - reach, group.after - reach], [0, 0]])
        else:
            part = _convolved(stage, part, group.before, group.after)
        results.append(_changed_functions(block, step, rows, part))
    return results[0] if len(results) == 1 else tf.concat(results, axis=0)


def _convolved(stage: Stage, change: Any, before: int, after: int) -> Any:
    """Changes (P, n, 3, w, channels) multiplied by the kernel of a linear layer, with so many zeros on both sides."""
    import tensorflow as tf

    rows, n, _, width, channels = change.shape
    change = convolve(tf.reshape(change, (-1, width, channels)), stage, before, after)
    return tf.reshape(change, (rows, n, 3, *change.shape[1:]))


def _changed_functions(block: Block, step: WindowStep, rows: slice, change: Any) -> Any:
    """Changes after the functions and the pooling of a stage."""
    import tensorflow as tf

    stage, convolved, changed = step.unit.stage, step.convolved, step.changed
    assert stage is not None
    assert convolved is not None
    assert changed is not None
    if not stage.pointwise and stage.pooling is None:
        return change
    every = np.arange(len(convolved.start))[rows]
    convolved, changed = convolved.rows(every), changed.rows(every)
    values = cut(block, convolved, block.unchanged[before_functions(step.unit)]) + change
    leading = values.shape[:3]
    # layers and pooling take sequences, whatever these are
    values = apply_pointwise(stage, tf.reshape(values, (-1, *values.shape[3:])))
    if stage.pooling is not None:
        values = _pooled_windows(block, step, convolved, changed, values)
    values = tf.reshape(values, (*leading, *values.shape[1:]))
    return values - cut(block, changed, block.value(step.unit.output))


def _pooled_windows(block: Block, step: WindowStep, convolved: Window, changed: Window, values: Any) -> Any:
    """Pool windows (mutants, w, channels) whose ends may hang over the layer's."""
    import tensorflow as tf

    assert step.unit.stage is not None
    pooling = step.unit.stage.pooling
    assert pooling is not None
    geometry = pooling.geometry

    def of_mutants(table: Any) -> Any:
        return tf.repeat(table, values.shape[0] // table.shape[0], axis=0)[:, :, None]

    if geometry.pads:
        covered = of_mutants(inside(convolved, block.period))
        values = tf.where(covered, values, -np.inf if pooling.kind == "max" else 0.0)
    pooled = pool_bins(pooling, values)
    if pooling.kind == "max":
        return pooled
    outputs = tf.clip_by_value(places(changed, block.period), 0, geometry.length - 1)
    return pooled / of_mutants(tf.gather(bin_sizes(geometry), outputs))


# merges and moves


def follow_merge(block: Block, step: WindowStep, changes: Sequence[tuple[Any, Window] | None]) -> Any:
    """Changes of a merge of windows, where None stands for a constant tensor."""
    window = step.changed
    assert window is not None
    parts = [None if part is None else moved(block, *part, window) for part in changes]

    def value(number: int) -> Any:
        return cut(block, window, block.value(number))

    return merged(step.unit, parts, value)


def merged(unit: Unit, changes: Sequence[Any], value: Callable[[int], Any]) -> Any:
    """Changes (P, n, 3, ...) of a merge, from those of its inputs, None being no change, and from unchanged tensors."""
    import tensorflow as tf

    kind = unit.call.kind
    if kind in LINEAR_MERGES:
        signs = [1, -1] if kind == "Subtract" else [1] * len(changes)
        signed = [part if sign > 0 else -part for sign, part in zip(signs, changes, strict=True) if part is not None]
        return tf.add_n(signed) / (len(changes) if kind == "Average" else 1)
    if kind == "Concatenate":
        shape = next(part.shape for part in changes if part is not None)[:-1]
        channels = [tensor.shape[-1] for tensor in unit.call.node.input_tensors]
        parts = zip(changes, channels, strict=True)
        return tf.concat([tf.zeros((*shape, size)) if part is None else part for part, size in parts], axis=-1)
    mutated = [
        value(number) if part is None else value(number) + part
        for number, part in zip(unit.inputs, changes, strict=True)
    ]
    function = {"Multiply": tf.multiply, "Maximum": tf.maximum, "Minimum": tf.minimum}[kind]
    result = mutated[0]
    for other in mutated[1:]:
        result = function(result, other)
    return result - value(unit.output)


def follow_move(block: Block, step: WindowStep, change: Any, window: Window) -> Any:
    """Changes after cropping, padding or repeating positions."""
    import tensorflow as tf

    move = step.unit.move
    assert move is not None
    if move.before > 0 or move.after > 0:
        # what hangs over the ends would be taken for padding
        change = within(block, window, change)
    return change if move.size == 1 else tf.repeat(change, move.size, axis=3)
