"""What ends at each position, whatever the labels: the odds of every form of an element there, by the bases it leaves.

A segment's odds are a product over its rows, whose last k are kept apart as the context that it leaves. Between the
segments of a pair the gap's background goes on from position to position, for all gaps at once: a *queue* holds, for
each first segment that ended some bases ago, the contexts since. Axes as in `likelihood`; S segments, F members (a form
with a tail).
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import tensorflow as tf

from simbench_tf.perfect.groups import Arranged, Tail
from simbench_tf.perfect.scan import Tensors, scan

# rows of a segment that are multiplied in one go
_ROWS_TOGETHER = 4


def nothing_read(arranged: Arranged, n: int) -> Tensors:
    """What `endings` remembers before the first row."""
    widest = len(arranged.segment_odds)
    seen = tf.ones((widest - 1, 4, n), tf.float64)  # what they give is times a profile of 0
    if not arranged.queues:
        return [seen]
    contexts, longest = 4**arranged.order, arranged.longest_gap
    queue = tf.zeros((len(arranged.queues), longest + 1, contexts, n), tf.float64)
    kept = (arranged.second_widest, len(arranged.queues), longest + 1, 4**arranged.kept, n)
    return [seen, queue, tf.zeros(kept, tf.float64)]


def endings(arranged: Arranged, read: Tensors, rows: Any, tables: Any, spread: Any) -> tuple[Any, Tensors]:
    """Odds x profile of each group that ends in a block, by the context that it leaves, (G, C, size, n).

    Parameters
    ----------
    arranged : Arranged
    read : list of tensors
        What was remembered of the rows before: the rows themselves, the queue, and what it held at some positions.
    rows : (size, 4, n)
    tables : (size, 4, R, 4)
    spread : (size, F)
    """
    seen, *pairs = read
    size, n = rows.shape[0], rows.shape[2]
    window = tf.concat([seen, rows], axis=0)
    products = _products(arranged, window, size)
    contexts: dict[tuple[int, Tail], Any] = {}

    def left_by(segment: int, before: Any) -> Any:
        return _left_by(arranged, window, products[segment], segment, before)

    def first_of(segment: int, tail: Tail) -> Any:
        if (segment, tail) not in contexts:
            there = np.zeros((4**tail.n, 1, 1))
            there[tail.code] = 1.0
            contexts[segment, tail] = left_by(segment, tf.constant(there))
        return contexts[segment, tail]

    remembered = [window[size:]]
    if pairs:
        queue, kept = pairs
        first = tf.stack([first_of(*each) for each in arranged.queues])  # (queues, C, size, n)
        (queue,), (held,) = scan(_queue_step(arranged), [queue], [tf.transpose(first, (2, 0, 1, 3)), rows], [tables])
        remembered += [queue, tf.concat([kept[size:], held], axis=0)]
    forms = []
    for form, tail in arranged.members:
        if form.second < 0:
            forms.append(first_of(form.first, tail))
        else:
            width = int(arranged.segment_width[form.second])
            position = arranged.second_widest - width
            held = kept[position : position + size, arranged.queues.index((form.first, tail)), form.gap]  # (size, K, n)
            before = tf.reshape(held, (size, -1, 4 ** max(arranged.order - width, 0), n))
            forms.append(left_by(form.second, tf.transpose(tf.reduce_sum(before, axis=1), (1, 0, 2))))
    each = tf.stack(forms) * tf.transpose(spread)[:, None, :, None]  # (F, C, size, n)
    together = tf.matmul(arranged.membership, tf.reshape(each, (len(forms), -1)))
    return tf.reshape(together, (-1, *each.shape[1:])), remembered


def _products(arranged: Arranged, window: Any, size: int) -> Any:
    """The product over each segment's rows but the last k, for ends at each position of a block: (S, size, n)."""
    widest, order = len(arranged.segment_odds), arranged.order
    n_segments, n = arranged.segment_odds.shape[2], window.shape[2]
    ones = tf.ones((n_segments, size * n), tf.float64)
    if widest > order:
        # from the farthest row to the nearest; where a segment does not reach, or there is no row, its factor is 1
        offsets = np.arange(widest, order, -1)
        offsets = np.pad(offsets, (-len(offsets) % _ROWS_TOGETHER, 0), mode="edge")
        beyond = offsets[:, None] > arranged.segment_width
        beyond[: len(offsets) - (widest - order)] = True
        odds = np.stack([arranged.row_from_end(int(offset)).T for offset in offsets])  # (offsets, S, 4)
        odds[beyond] = 0.0
        rows = tf.stack([window[widest - offset : widest - offset + size] for offset in offsets])
        rows = tf.reshape(tf.transpose(rows, (0, 2, 1, 3)), (-1, _ROWS_TOGETHER, 4, size * n))
        fixed = [odds.reshape(-1, _ROWS_TOGETHER, n_segments, 4), beyond.reshape(-1, _ROWS_TOGETHER, n_segments, 1)]
        (ones,), _ = scan(_times_rows, [ones], [rows], [tf.constant(each, tf.float64) for each in fixed])
    return tf.reshape(ones, (n_segments, size, n))


def _times_rows(carry: Tensors, given: Tensors, fixed: Tensors) -> tuple[Tensors, Tensors]:
    """A product (S, X) times the factors of some rows (r, 4, X), whose odds are (r, S, 4); `beyond` is (r, S, 1).

    The gradient takes the factors as one matrix product, which XLA does not compute anew for each of its uses.
    """
    (product,), (rows,), (odds, beyond) = carry, given, fixed

    @tf.custom_gradient
    def times(product: Any, rows: Any) -> Any:
        result = product
        for row in range(_ROWS_TOGETHER):
            result *= sum(rows[row, base] * odds[row, :, base, None] for base in range(4)) + beyond[row]

        def gradient(upstream: Any) -> tuple[Any, Any]:
            factors = tf.unstack(tf.matmul(odds, rows) + beyond)
            others = [_product(factors[:row] + factors[row + 1 :]) for row in range(_ROWS_TOGETHER)]
            of_factors = tf.stack([upstream * product * other for other in others])
            return upstream * _product(factors), tf.matmul(odds, of_factors, transpose_a=True)

        return result, gradient

    return [times(product, rows)], []


def _product(factors: Tensors) -> Any:
    return functools.reduce(operator.mul, factors)


def _left_by(arranged: Arranged, window: Any, product: Any, segment: int, before: Any) -> Any:
    """The context that a segment leaves where it ends, (C, size, n), after what it does not cover of the last k bases.

    before : (4 ** k, size or 1, n or 1) for the k - width last bases before it, else (1, ...)
    """
    widest, size = len(arranged.segment_odds), product.shape[0]
    context = before * product
    for offset in range(min(int(arranged.segment_width[segment]), arranged.order), 0, -1):
        shifted = tf.transpose(window[widest - offset : widest - offset + size], (1, 0, 2))
        emitted = shifted * arranged.row_from_end(offset)[:, segment][:, None, None]
        context = tf.reshape(context[:, None] * emitted, (-1, *product.shape))
    return context


def _queue_step(arranged: Arranged) -> Any:
    """A step of the queue: what a first segment left, and what was there, a background base later."""
    shape = (len(arranged.queues), arranged.longest_gap, 4, -1)

    def step(carry: Tensors, given: Tensors, fixed: Tensors) -> tuple[Tensors, Tensors]:
        (queue,), (first, row), (table,) = carry, given, fixed
        if arranged.longest_gap:
            oldest = tf.reshape(queue[:, :-1], (*shape, queue.shape[3]))
            following = sum(oldest[:, :, base][:, :, :, None] * table[base][..., None] for base in range(4))
            later = tf.reshape(following * row, (*shape[:2], *queue.shape[2:]))
            queue = tf.concat([first[:, None], later], axis=1)
        else:
            queue = first[:, None]
        apart = tf.reshape(queue, (*queue.shape[:2], -1, 4**arranged.kept, queue.shape[3]))
        return [queue], [tf.reduce_sum(apart, axis=2)]

    return step
