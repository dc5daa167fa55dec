"""Changes after a gate (squeeze and excite) and the convolution of what it gives, for less than the convolution takes.

A gate multiplies each channel by one number, at all positions. It changes with the substitution, and so does every
position after it; but a convolution is linear, and what it makes of each channel alone is known of the unchanged
sequence. With g for the gate, x for what it multiplies and W for the convolution, of a mutant

    W (x' g') = W (x g) + sum_c (g'_c - g_c) W x_c + W ((x' - x) g'),

where the sum takes one multiplication for all taps of a kernel, and the last term is a window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simbench_tf.attribution.mutagenesis.graph import Stage
from simbench_tf.attribution.mutagenesis.stage_layers import apply_linear, convolve


def sums_of_channels(stage: Stage, x: Any, gate: Any) -> Any:
    """What a convolution makes of each channel, and last of the gated tensor: (n, channels + 1, length filters).

    Parameters
    ----------
    stage : Stage
    x : float32 tensor, shape (n, length, channels)
    gate : float32 tensor, shape (n, 1, channels)
    """
    import tensorflow as tf

    assert stage.linear is not None
    geometry, kernel = stage.geometry, tf.convert_to_tensor(stage.linear.kernel)
    padded = tf.pad(x, [[0, 0], geometry.padding, [0, 0]])
    taps = [padded[:, first : first + geometry.length] for first in range(0, geometry.reach + 1, geometry.dilation)]
    sums = tf.einsum("knlc,kco->nclo", tf.stack(taps), kernel)
    together = tf.concat([sums, apply_linear(stage, x * gate)[:, None]], axis=1)
    return tf.reshape(together, (*together.shape[:2], -1))


def follow_gated(stage: Stage, change: Any, start: Any, gates: Any, gate: Any, sums: Any) -> Any:
    """What the convolution gives of whole mutants, (P n 3, length, filters).

    Parameters
    ----------
    stage : Stage
    change : float32 tensor, shape (P, n, 3, w, channels)
        Windows of what the gate multiplies.
    start : int32 tensor, shape (P,)
        Where they start; they may hang over the ends.
    gates : float32 tensor, shape (P, n, 3, channels)
        Of the mutants.
    gate : float32 tensor, shape (n, channels)
        Of the unchanged sequences.
    sums : float32 tensor
        From `sums_of_channels`.
    """
    import tensorflow as tf

    n_rows, n, _, width, channels = change.shape
    factors = tf.concat([gates - gate[None, :, None], tf.ones((n_rows, n, 3, 1))], axis=-1)
    if n == 1:  # by far the fastest product
        whole = tf.matmul(tf.reshape(factors, (n_rows * 3, channels + 1)), sums[0])
    else:
        factors = tf.reshape(tf.transpose(factors, (1, 0, 2, 3)), (n, n_rows * 3, channels + 1))
        whole = tf.transpose(tf.reshape(tf.matmul(factors, sums), (n, n_rows, 3, -1)), (1, 0, 2, 3))
    geometry = stage.geometry
    inside = start[:, None] + np.arange(width, dtype=np.int32)
    inside = (inside >= 0) & (inside < geometry.length_in)
    gated = tf.where(inside[:, None, None, :, None], change * gates[:, :, :, None], 0.0)
    windows = convolve(tf.reshape(gated, (-1, width, channels)), stage, geometry.reach, geometry.reach)
    place = start[:, None] + (geometry.left - geometry.reach + np.arange(windows.shape[1])).astype(np.int32)
    place = tf.repeat(place, 3 * n, axis=0)
    known = (place >= 0) & (place < geometry.length)
    # of what is beyond the ends nothing is added to a position of its own, so that no position is written twice
    row = geometry.length * tf.range(n_rows * n * 3)[:, None] + place % geometry.length
    windows = tf.where(known[..., None], windows, 0.0)
    filters = windows.shape[-1]
    # in place, on what nothing else reads: a scatter that returns a new tensor takes three times as long
    whole = tf.raw_ops.InplaceAdd(
        x=tf.reshape(whole, (-1, filters)), i=tf.reshape(row, [-1]), v=tf.reshape(windows, (-1, filters))
    )
    return tf.reshape(whole, (-1, geometry.length, filters))
