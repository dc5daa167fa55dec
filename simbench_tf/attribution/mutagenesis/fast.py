"""In-silico mutagenesis that computes, layer by layer, only what a substitution can change; exact but for rounding.

The unchanged sequence goes through the model once. Of a mutant there is only ever a window of each layer: the first
convolution changes by the difference of two columns of its kernel; later ones turn a window of changes into a wider
one, being linear; activations and pooling are evaluated on unchanged values plus changes; a dense layer multiplies the
window by the rows of its kernel that meet it. The idea is that of fastISM (Nair et al. 2022); that linear layers see
changes alone, which are short, is what makes it cheaper here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import UnsupportedModelError
from simbench_tf.attribution.mutagenesis.chain import Chain, Product, read_chain
from simbench_tf.attribution.mutagenesis.chain_layers import (
    apply_dense,
    apply_functions,
    apply_linear,
    apply_pointwise,
    apply_stages,
    bin_sizes,
    convolve,
    pool_bins,
)
from simbench_tf.attribution.mutagenesis.windows import Window, WindowPlan, WindowStep, plan_windows

Array = npt.NDArray[np.float32]


# letters: 0-3, and 4 for N or a place beyond the end
_NOTHING = 4


class Engine(NamedTuple):
    """Compiled functions for one model and one length.

    Attributes
    ----------
    plan : WindowPlan
    unchanged : callable
        ``unchanged(one_hot)`` gives the tensors of unchanged sequences, (n, L, 4), that `block` looks at.
    block : callable
        ``block(period, bases, targets, *tensors)``: changes of the outputs by all single mutants of one block of
        positions, (P, n, 3, T). The block begins with that period, counted from 0. `bases` int32 (n, P) are the
        block's, 4 for N and beyond the end; mutant k has the base k + 1 further on, going round.
    """

    plan: WindowPlan
    unchanged: Callable[[Any], list[Any]]
    block: Callable[..., Any]


def find_chain(model: Any, seq_length: int) -> Chain | None:
    """Read a functional model that ends at the explained output as a chain.

    Parameters
    ----------
    model : keras.Model, or None
        None for a model that is known only as a function.
    seq_length : int

    Returns
    -------
    chain : Chain or None
        None, with a UserWarning, where the model is no chain of layers whose windows are known.
    """
    try:
        if model is None:
            raise UnsupportedModelError("it shows no layers")
        return read_chain(model, seq_length)
    except UnsupportedModelError as error:
        warnings.warn(
            f"fast in-silico mutagenesis does not know this model ({error}); all mutants go through the whole model",
            UserWarning,
            stacklevel=2,
        )
        return None


def make_engine(chain: Chain, seq_length: int, largest_block: int) -> Engine | None:
    """Compile the engine of a model, or give None where windows would save too little.

    Parameters
    ----------
    chain : Chain
    seq_length : int
    largest_block : int
        Positions to be followed together.
    """
    import tensorflow as tf

    plan = plan_windows(chain, seq_length, largest_block)
    if plan is None:
        return None
    unchanged = tf.function(lambda x: _unchanged(chain, plan, x), autograph=False)
    return Engine(plan, unchanged, tf.function(_block(chain, plan), autograph=False))


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
    >>> engine = make_engine(read_chain(model, 8), 8, 8)
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
        engine.block(tf.constant(place // plan.period), padded[:, place : place + plan.block], chosen, *tensors)
        for place in range(first, end, plan.block)
    ]
    joined = tf.concat(outputs, axis=0)[start - first : end - first]
    return tf.transpose(joined, (3, 1, 0, 2)).numpy()


def _unchanged(chain: Chain, plan: WindowPlan, x: Any) -> list[Any]:
    """Two tensors a step, what is before and after its functions, with margins; then what the head needs."""
    import tensorflow as tf

    tensors = []
    for step in plan.steps:
        convolved = apply_linear(step.stage, x)
        x = apply_functions(step.stage, convolved)
        for values, window in ((convolved, step.convolved), (x, step.changed)):
            left, right = window.margins(plan.n_periods)
            tensors.append(tf.pad(values, [[0, 0], [left, right], [0, 0]]))
    if len(plan.steps) < len(chain.stages):
        return tensors
    if chain.head == "dense":
        return [*tensors, apply_dense(chain.dense, x)]
    return [*tensors, x]


# windows: tensors (P, n, 3, w, channels), positions leading


def _block(chain: Chain, plan: WindowPlan) -> Callable[..., Any]:
    """Make a function of a block: its first period, bases int32 (n, P), targets, tensors -> changes (P, n, 3, T)."""
    import tensorflow as tf

    def block(period: Any, bases: Any, targets: Any, *tensors: Any) -> Any:
        change = _first_changes(plan, bases)
        for index in range(len(plan.steps)):
            before, after = tensors[2 * index : 2 * index + 2]
            change = _follow(plan, index, period, change, before, after)
        change = tf.gather(_finish(chain, plan, period, change, tensors), targets, axis=3)
        return tf.gather(change, np.argsort(plan.order))

    return block


def _first_changes(plan: WindowPlan, bases: Any) -> Any:
    """Changes of the first linear layer: at each position the rows of two letters differ."""
    import tensorflow as tf

    step, n_kinds = plan.steps[0], len(plan.taps)
    linear = step.stage.linear
    kernel = tf.eye(4)[None] if linear is None else tf.convert_to_tensor(linear.kernel)
    if len(kernel.shape) == 2:
        kernel = kernel[None]
    # a letter and a tap that change nothing
    kernel = tf.pad(kernel, [[0, 1], [0, 1], [0, 0]])
    table = tf.transpose(tf.gather(kernel, plan.taps), (0, 2, 1, 3))
    table = tf.reshape(table, (n_kinds * 5, step.convolved.width, kernel.shape[-1]))
    letters = tf.transpose(bases)
    kinds = plan.kinds.astype(np.int32)[:, None]
    mutated = (letters[..., None] + np.arange(1, 4, dtype=np.int32)) % 4
    observed = tf.gather(table, 5 * kinds + letters)
    return tf.gather(table, 5 * kinds[..., None] + mutated) - observed[:, :, None]


def _follow(plan: WindowPlan, index: int, period: Any, change: Any, before: Any, after: Any) -> Any:
    """Changes of a stage's output from those of its input, or for the first from those of its linear layer."""
    import tensorflow as tf

    step = plan.steps[index]
    if index > 0 and step.stage.geometry.pads:
        # what a convolution finds beyond the ends are zeros
        change = _within(plan, plan.steps[index - 1].changed, period, change)
    results, done = [], 0
    for group in step.classes:
        rows = slice(done, done + len(group.rows))
        done += len(group.rows)
        part = change
        if index > 0:
            if len(step.classes) > 1:
                part = tf.gather(change, group.rows)
            _, n, _, width, channels = part.shape
            part = convolve(tf.reshape(part, (-1, width, channels)), step.stage, group.before, group.after)
            part = tf.reshape(part, (len(group.rows), n, 3, step.convolved.width, part.shape[-1]))
        results.append(_changed_functions(plan, step, rows, period, part, before, after))
    return results[0] if len(results) == 1 else tf.concat(results, axis=0)


def _changed_functions(
    plan: WindowPlan, step: WindowStep, rows: slice, period: Any, change: Any, before: Any, after: Any
) -> Any:
    """Changes after the functions and the pooling of a stage."""
    import tensorflow as tf

    stage = step.stage
    if not stage.pointwise and stage.pooling is None:
        return change
    values = _cut(plan, step.convolved, rows, period, before)[:, :, None] + change
    leading = values.shape[:3]
    # layers and pooling take sequences, whatever these are
    values = apply_pointwise(stage, tf.reshape(values, (-1, *values.shape[3:])))
    if stage.pooling is not None:
        values = _pooled_windows(step, rows, period, values)
    values = tf.reshape(values, (*leading, *values.shape[1:]))
    return values - _cut(plan, step.changed, rows, period, after)[:, :, None]


def _pooled_windows(step: WindowStep, rows: slice, period: Any, values: Any) -> Any:
    """Pool windows (mutants, w, channels) whose ends may hang over the layer's."""
    import tensorflow as tf

    pooling = step.stage.pooling
    assert pooling is not None
    geometry = pooling.geometry

    def of_mutants(table: Any) -> Any:
        return tf.repeat(table, values.shape[0] // table.shape[0], axis=0)[:, :, None]

    if geometry.pads:
        inside = of_mutants(_inside(step.convolved, rows, period))
        values = tf.where(inside, values, -np.inf if pooling.kind == "max" else 0.0)
    pooled = pool_bins(pooling, values)
    if pooling.kind == "max":
        return pooled
    outputs = tf.clip_by_value(_places(step.changed, rows, period), 0, geometry.length - 1)
    return pooled / of_mutants(tf.gather(bin_sizes(geometry), outputs))


def _places(window: Window, rows: slice, period: Any) -> Any:
    """Positions of the layer that windows cover, int32 (P, w); some may lie beyond its ends."""
    places = (window.start[rows, None] + np.arange(window.width)).astype(np.int32)
    return places + period * window.moves


def _inside(window: Window, rows: slice, period: Any) -> Any:
    places = _places(window, rows, period)
    return (places >= 0) & (places < window.length)


def _within(plan: WindowPlan, window: Window, period: Any, change: Any) -> Any:
    """Changes, with zeros beyond the ends of the layer."""
    import tensorflow as tf

    if window.margins(plan.n_periods) == (0, 0):
        return change
    return tf.where(_inside(window, slice(None), period)[:, None, None, :, None], change, 0.0)


def _cut(plan: WindowPlan, window: Window, rows: slice, period: Any, values: Any) -> Any:
    """Windows of unchanged values with margins, (n, length, channels) -> (P, n, w, channels)."""
    import tensorflow as tf

    places = _places(window, rows, period) + window.margins(plan.n_periods)[0]
    return tf.transpose(tf.gather(values, places, axis=1), (1, 0, 2, 3))


# from windows to outputs


def _finish(chain: Chain, plan: WindowPlan, period: Any, change: Any, tensors: Sequence[Any]) -> Any:
    """Changes of the outputs, (P, n, 3, number of outputs), from those of the last step."""
    import tensorflow as tf

    window, last = plan.steps[-1].changed, tensors[-1]
    if len(plan.steps) < len(chain.stages):
        return _follow_tail(chain, *_finish_whole(chain, plan, period, change, last))
    if chain.head == "dense":
        return _follow_tail(chain, last, _changed_dense(chain, plan, period, change))
    if chain.head == "average":
        total = tf.reduce_sum(_within(plan, window, period, change), axis=3)
        return _follow_tail(chain, tf.reduce_mean(last, axis=1), total / window.length)
    unchanged = tf.reduce_max(last, axis=1)
    mutated = _changed_maximum(plan, period, change, tensors[-2], last)
    return _follow_tail(chain, unchanged, mutated - unchanged[None, :, None])


def _finish_whole(chain: Chain, plan: WindowPlan, period: Any, change: Any, padded: Any) -> tuple[Any, Any]:
    """Put whole layers together and run them through the other stages and the head: unchanged outputs, changes."""
    import tensorflow as tf

    window, stages = plan.steps[-1].changed, chain.stages[len(plan.steps) :]
    left = window.margins(plan.n_periods)[0]
    before = padded[:, left : left + window.length]
    mutated = before[None, :, None] + _put_together(window, period, change)
    leading = mutated.shape[:3]
    mutated = apply_stages(stages, tf.reshape(mutated, (-1, *mutated.shape[3:])))
    mutated = tf.reshape(mutated, (*leading, *mutated.shape[1:]))
    after = apply_stages(stages, before)
    if chain.head == "dense":
        kernel = chain.dense.kernel
        difference = tf.reshape(mutated - after[None, :, None], (-1, kernel.shape[0]))
        return apply_dense(chain.dense, after), tf.reshape(tf.matmul(difference, kernel), (*leading, kernel.shape[1]))
    join = tf.reduce_max if chain.head == "max" else tf.reduce_mean
    return join(after, axis=1), join(mutated, axis=3) - join(after, axis=1)[None, :, None]


def _follow_tail(chain: Chain, unchanged: Any, change: Any) -> Any:
    """Changes after the last layers, (n, units) and (P, n, 3, units): products see changes alone here as well."""
    import tensorflow as tf

    for part in chain.tail:
        leading, rows = change.shape[:3], tf.reshape(change, (-1, change.shape[3]))
        if isinstance(part, Product):
            unchanged, rows = apply_dense(part.layer, unchanged), tf.matmul(rows, part.layer.kernel)
            change = tf.reshape(rows, (*leading, rows.shape[1]))
        else:
            mutated = part(tf.reshape(unchanged[None, :, None] + change, rows.shape))
            unchanged = part(unchanged)
            change = tf.reshape(mutated, (*leading, mutated.shape[1])) - unchanged[None, :, None]
    return change


def _changed_dense(chain: Chain, plan: WindowPlan, period: Any, change: Any) -> Any:
    """Changes of a dense layer; mutants whose windows lie alike share the rows of its kernel."""
    import tensorflow as tf

    window = plan.steps[-1].changed
    _, n, _, _, channels = change.shape
    kernel = tf.convert_to_tensor(chain.dense.kernel)
    order = np.argsort(window.start, kind="stable")
    starts, sizes = np.unique(window.start, return_counts=True)
    groups = tf.split(tf.gather(change, order), sizes, axis=0)
    products = []
    for start, size, part in zip(starts, sizes, groups, strict=True):
        first = int(start) + period * window.moves
        low, high = (tf.clip_by_value(place, 0, window.length) for place in (first, first + window.width))
        part = tf.reshape(part[..., low - first : high - first, :], (size * n * 3, (high - low) * channels))
        rows = tf.slice(kernel, [low * channels, 0], [(high - low) * channels, -1])
        products.append(tf.reshape(tf.matmul(part, rows), (size, n, 3, kernel.shape[1])))
    return tf.gather(tf.concat(products, axis=0), np.argsort(order))


def _changed_maximum(plan: WindowPlan, period: Any, change: Any, padded: Any, values: Any) -> Any:
    """Maximum over all positions: of the window, and of what is unchanged on its left and on its right."""
    import tensorflow as tf

    window, everything = plan.steps[-1].changed, slice(None)
    inside = _inside(window, everything, period)[:, None, None, :, None]
    mutated = _cut(plan, window, everything, period, padded)[:, :, None] + change
    most = tf.reduce_max(tf.where(inside, mutated, -np.inf), axis=3)
    edge = [[0, 0], [1, 0], [0, 0]]
    from_left = _running_maximum(tf.pad(values, edge, constant_values=-np.inf))
    from_right = _running_maximum(tf.pad(tf.reverse(values, [1]), edge, constant_values=-np.inf))
    low = tf.clip_by_value(_places(window, everything, period)[:, 0], 0, window.length)
    high = tf.clip_by_value(_places(window, everything, period)[:, -1] + 1, 0, window.length)
    left, right = tf.gather(from_left, low, axis=1), tf.gather(from_right, window.length - high, axis=1)
    return tf.maximum(most, tf.transpose(tf.maximum(left, right), (1, 0, 2))[:, :, None])


def _running_maximum(values: Any) -> Any:
    """Maximum of each position and all before it."""
    import tensorflow as tf

    step = 1
    while step < values.shape[1]:
        moved = tf.pad(values[:, :-step], [[0, 0], [step, 0], [0, 0]], constant_values=-np.inf)
        values, step = tf.maximum(values, moved), 2 * step
    return values


def _put_together(window: Window, period: Any, change: Any) -> Any:
    """Changes of the whole layer, (P, n, 3, length, channels)."""
    import tensorflow as tf

    n_rows, n, _, width, channels = change.shape
    # one more position on either side, for those that do not change
    change = tf.reshape(tf.pad(change, [[0, 0]] * 3 + [[1, 1], [0, 0]]), (n_rows, n * 3, width + 2, channels))
    start = window.start.astype(np.int32)[:, None] + period * window.moves
    places = tf.clip_by_value(np.arange(window.length, dtype=np.int32) - start, -1, width) + 1
    return tf.reshape(tf.gather(change, places, axis=2, batch_dims=1), (n_rows, n, 3, window.length, channels))
