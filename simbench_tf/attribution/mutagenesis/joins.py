"""Changes after layers that join all positions, from windows of changes: (P, n, 3, units), in the block's order.

Where the layer is linear the change of its output is that of the window alone; a maximum is that of the window and of
what lies unchanged on either side of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simbench_tf.attribution.mutagenesis.follow import Block, cut, in_order, inside, places, within
from simbench_tf.attribution.mutagenesis.windows import Window


def follow_average(block: Block, change: Any, window: Window) -> Any:
    """Changes of the mean over all positions."""
    import tensorflow as tf

    return in_order(window, tf.reduce_sum(within(block, window, change), axis=3) / window.length)


def follow_dense(block: Block, dense: Any, change: Any, window: Window) -> Any:
    """Changes of a dense layer over flattened tensors; mutants whose windows lie alike share the rows of its kernel."""
    import tensorflow as tf

    change = in_order(window, change)
    window = window.rows(np.argsort(window.order))
    _, n, _, _, channels = change.shape
    kernel = tf.convert_to_tensor(dense.kernel)
    order = np.argsort(window.start, kind="stable")
    starts, sizes = np.unique(window.start, return_counts=True)
    groups = tf.split(tf.gather(change, order), sizes, axis=0)
    products = []
    for start, size, part in zip(starts, sizes, groups, strict=True):
        first = int(start) + block.period * window.moves
        low, high = (tf.clip_by_value(place, 0, window.length) for place in (first, first + window.width))
        part = tf.reshape(part[..., low - first : high - first, :], (size * n * 3, (high - low) * channels))
        rows = tf.slice(kernel, [low * channels, 0], [(high - low) * channels, -1])
        products.append(tf.reshape(tf.matmul(part, rows), (size, n, 3, kernel.shape[1])))
    return tf.gather(tf.concat(products, axis=0), np.argsort(order))


def follow_maximum(block: Block, change: Any, window: Window, values: Any) -> Any:
    """Changes of the maximum over all positions of unchanged `values`, (n, length, channels)."""
    import tensorflow as tf

    covered = inside(window, block.period)[:, None, None, :, None]
    mutated = cut(block, window, values) + change
    most = tf.reduce_max(tf.where(covered, mutated, -np.inf), axis=3)
    edge = [[0, 0], [1, 0], [0, 0]]
    from_left = _running_maximum(tf.pad(values, edge, constant_values=-np.inf))
    from_right = _running_maximum(tf.pad(tf.reverse(values, [1]), edge, constant_values=-np.inf))
    low = tf.clip_by_value(places(window, block.period)[:, 0], 0, window.length)
    high = tf.clip_by_value(places(window, block.period)[:, -1] + 1, 0, window.length)
    left, right = tf.gather(from_left, low, axis=1), tf.gather(from_right, window.length - high, axis=1)
    most = tf.maximum(most, tf.transpose(tf.maximum(left, right), (1, 0, 2))[:, :, None])
    return in_order(window, most - tf.reduce_max(values, axis=1)[None, :, None])


def _running_maximum(values: Any) -> Any:
    """Maximum of each position and all before it."""
    import tensorflow as tf

    step = 1
    while step < values.shape[1]:
        moved = tf.pad(values[:, :-step], [[0, 0], [step, 0], [0, 0]], constant_values=-np.inf)
        values, step = tf.maximum(values, moved), 2 * step
    return values
