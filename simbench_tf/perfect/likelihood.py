"""The likelihood of a grammar as TensorFlow computes it: multilinear in the rows of a sequence, forward over positions.

The recursion is that of `simulate.oracle`, in odds against uniform bases, over states (label class, presence) x (the
last k bases). With the bases in the state each row enters every placement's product once, as a factor of its own: so
the likelihood is linear in each row, whatever numbers the row holds.

Arrays have the sequences last, (..., n): what is done for one is done for all of them by the same vector instruction.
A *position* j = 0 ... L counts the bases before it. C = 4 ** k contexts, R = C / 4 of all but the oldest base, U
classes, B presences, G groups (see `groups`). Positions are taken in blocks. What ends in a block began before it, so
only the background goes from position to position.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from simbench_tf.perfect.endings import endings, nothing_read
from simbench_tf.perfect.groups import Arranged, Group
from simbench_tf.perfect.scan import Tensors, scan

# of a power of e, that it neither overflows nor becomes nothing where it is times 0
_LARGEST_POWER = 700.0


def evidence(arranged: Arranged, mixtures: Any) -> Any:
    """``log P(sequence, label)`` of each task without its label and with it: mixtures (n, L, 4) -> float64 (n, T, 2).

    The labels of the other tasks are summed out; natural logarithm, -inf where it cannot be.
    """
    odds, log_scale = pattern_odds(arranged, mixtures)
    with_it = arranged.carried * arranged.prior
    shares = tf.constant(np.stack([arranged.prior - with_it, with_it], axis=1))  # (T, 2, P)
    # of each sum the largest term, so that no other overflows; terms far below it may become nothing
    terms = tf.math.log(odds * shares[..., None]) + log_scale
    largest = tf.stop_gradient(tf.reduce_max(terms, axis=2))
    largest = tf.where(tf.math.is_finite(largest), largest, 0.0)
    powers = tf.minimum(log_scale - largest[:, :, None], _LARGEST_POWER)
    total = tf.reduce_sum(odds * shares[..., None] * tf.stop_gradient(tf.exp(powers)), axis=2)
    return tf.transpose(_log(total) + largest - arranged.length * np.log(4), (2, 0, 1))


def _log(values: Any) -> Any:
    """The logarithm, whose gradient at 0 is 0: what cannot be does not make all else nan."""
    nothing = tf.equal(values, 0.0)
    logarithm = tf.math.log(tf.where(nothing, tf.ones_like(values), values))
    return tf.where(nothing, tf.constant(-np.inf, values.dtype), logarithm)


def pattern_odds(arranged: Arranged, mixtures: Any) -> tuple[Any, Any]:
    """Odds of each pattern against uniform bases, (P, n), over ``exp`` of a logarithm (P, n) that has no gradient.

    Mixtures are (n, L, 4): of a row (a, c, g, t) the odds are a times those of A, and so on.
    """
    last, log_scale = _forward(arranged, tf.transpose(mixtures, (1, 2, 0)))
    by_pattern = tf.gather(tf.reduce_sum(last, axis=0), arranged.class_of, axis=1)  # (B, P, n)
    odds = tf.reduce_sum(by_pattern * arranged.end[:, :, None], axis=0)
    return odds, tf.gather(log_scale, arranged.class_of)


class _Fixed(NamedTuple):
    """What is known of the positions of a block beforehand; `size` of them.

    Attributes
    ----------
    stay, start : float64 (size, U)
        That nothing starts at the position before each; what may start at each.
    tables : float64 (size, 4, R, 4)
        Odds of the base before each.
    spread : float64 (size, F)
        Share of each member's starts whose end is there.
    """

    stay: Any
    start: Any
    tables: Any
    spread: Any


def _forward(arranged: Arranged, rows: Any) -> tuple[Any, Any]:
    """States at the end, (C, B, U, n), over ``exp`` of a logarithm of each class, (U, n); rows are (L, 4, n)."""
    size, n = arranged.block, rows.shape[2]
    n_presences, n_classes = len(arranged.end), arranged.start.shape[1]
    first = np.zeros((4**arranged.order, n_presences, n_classes, 1))
    first[0, 0] = 1.0  # nothing is placed yet, and no base is known
    state = first + tf.zeros((1, 1, 1, n), tf.float64)
    begun = _begun(arranged, state[None], arranged.start[:1])
    begun = tf.pad(begun, ((0, 0), (arranged.reach - 1, 0), (0, 0), (0, 0), (0, 0)))
    carry = [state, begun, tf.zeros((n_classes, n), tf.float64), *nothing_read(arranged, n)]
    # the positions that blocks leave over come first
    rest = arranged.length % size
    if rest:
        fixed = [each[0] for each in _fixed(arranged, 0, 1, rest)]
        carry, _ = _block(arranged, carry, [rows[:rest]], fixed)
    n_blocks = arranged.length // size
    blocks = tf.reshape(rows[rest:], (n_blocks, size, 4, n))
    fixed = [tf.constant(each) for each in _fixed(arranged, rest, n_blocks, size)]
    carry, _ = scan(lambda *given: _block(arranged, *given), carry, [blocks], fixed)
    return carry[0], carry[2]


def _fixed(arranged: Arranged, first: int, n_blocks: int, size: int) -> _Fixed:
    """`_Fixed` of some blocks, an axis more in front."""
    before = first + np.arange(n_blocks * size).reshape(n_blocks, size)
    tables = arranged.background[np.minimum(before, arranged.order)]
    return _Fixed(arranged.stay[before], arranged.start[before + 1], tables, arranged.spread[before + 1])


def _begun(arranged: Arranged, states: Any, start: Any) -> Any:
    """What may start at some positions, after each tail: (positions, C, B, U, n) -> (tails, positions, B, U, n)."""
    found = []
    for tail in arranged.tails:
        shape = (states.shape[0], -1, 4**tail.n, *states.shape[2:])
        found.append(tf.reduce_sum(tf.reshape(states, shape)[:, :, tail.code], axis=1))
    return tf.stack(found) * start[:, None, :, None]


def _block(arranged: Arranged, carry: Tensors, given: Tensors, fixed: Tensors) -> tuple[Tensors, Tensors]:
    """A few positions more.

    carry : states (C, B, U, n); starts of the last `reach` positions, (tails, reach, B, U, n); logarithms (U, n); what
        `endings` remembers.
    given : rows (size, 4, n).
    fixed : as `_Fixed`.
    """
    (state, begun, log_scale, *read), (rows,) = carry, given
    known = _Fixed(*fixed)
    weights, read = endings(arranged, read, rows, known.tables, known.spread)
    ended = _ended(arranged, begun, weights)
    _, (states,) = scan(_background_step, [state], [rows, ended], [known.stay, known.tables])
    state = states[-1]
    begun = tf.concat([begun[:, rows.shape[0] :], _begun(arranged, states, known.start)], axis=1)
    largest = tf.maximum(tf.reduce_max(state, axis=(0, 1)), tf.reduce_max(begun, axis=(0, 1, 2)))
    scale = tf.stop_gradient(tf.where(largest > 0, largest, 1.0))
    return [state / scale, begun / scale, log_scale + tf.math.log(scale), *read], []


def _background_step(carry: Tensors, given: Tensors, fixed: Tensors) -> tuple[Tensors, Tensors]:
    """States after a base more of background, and those in which an element ended: (C, B, U, n)."""
    (state,), (row, ended), (stay, table) = carry, given, fixed
    oldest = tf.reshape(state, (4, -1, *state.shape[1:]))
    following = sum(oldest[base][:, None] * table[base][..., None, None, None] for base in range(4))
    emitted = following * row[:, None, None] * stay[:, None]
    state = tf.reshape(emitted, state.shape) + ended
    return [state], [state]


def _ended(arranged: Arranged, begun: Any, weights: Any) -> Any:
    """Odds of the states in which an element ended at each position of a block, (size, C, B, U, n).

    weights : (G, C, size, n)
    """
    size = weights.shape[2]
    by_bit: dict[int, Any] = {}
    for number, group in enumerate(arranged.groups):
        first = begun.shape[1] - group.width
        starts = _entering(begun[group.tail, first : first + size], group) * group.rates[:, None]
        ending = tf.transpose(weights[number], (1, 0, 2))[:, :, None, None] * starts[:, None]
        by_bit[group.bit] = by_bit[group.bit] + ending if group.bit in by_bit else ending
    return sum(_with_bit(ending, bit) for bit, ending in by_bit.items())


def _entering(starts: Any, group: Group) -> Any:
    """Starts that come to have the group's bit, whether it was set before or not; axis 1, B, loses that bit."""
    if not group.bit:
        return starts
    apart = tf.reshape(starts, (starts.shape[0], -1, 2, group.bit, *starts.shape[2:]))
    return tf.reshape(apart[:, :, 0] + apart[:, :, 1], (starts.shape[0], -1, *starts.shape[2:]))


def _with_bit(ending: Any, bit: int) -> Any:
    """Presences without a bit, on axis 2, put where it is set; 0 where it is not."""
    if not bit:
        return ending
    apart = tf.reshape(ending, [*ending.shape[:2], -1, 1, bit, *ending.shape[3:]])
    # a product, since XLA computes a choice number by number
    is_set = np.array([0.0, 1.0])[:, None, None, None]
    return tf.reshape(apart * is_set, (*ending.shape[:2], -1, *ending.shape[3:]))
