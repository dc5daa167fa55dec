"""DeepLIFT's linear rule: layers with weights, batch normalisation, layers that only move, add or average values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from simbench_tf.attribution.deeplift.steps import ForwardPass, LayerStep, Pair, Tensor, by_sign, pulled_back, zeros
from simbench_tf.attribution.layer_geometry import geometry_of

# up to this many input channels a transposed convolution is quicker as a matrix product
_FEW_CHANNELS = 8


# layers with weights


@dataclass(frozen=True)
class Weighted:
    """Dense or Conv1D, with the batch normalisation right after it, if any, in its weights.

    The difference is split anew by its sign: P = d+ * W+ + d- * W-, N = d- * W+ + d+ * W-, without the bias. Since
    P + N = d * W and P - N = |d| * |W|, one more product with |W| gives both; likewise in the backward pass.
    With `each_part`, they are computed as they are written: where they differ by many powers of ten, as before a
    logarithm, their sum and difference do not hold the smaller one.
    """

    layer: Any
    is_convolution: bool = False
    normalisation: Scaled | None = None
    each_part: bool = False
    dtype: Any = tf.float32

    def kernel(self) -> Tensor:
        """Weights with all groups in one, shape (..., n_in, n_out)."""
        kernel = tf.cast(tf.convert_to_tensor(self.layer.kernel), self.dtype)
        groups = getattr(self.layer, "groups", 1)
        if groups > 1:
            n_in = kernel.shape[1]
            pieces = tf.split(kernel, groups, axis=2)
            # a group sees its own channels: zeros for all others
            before_after = [(group * n_in, (groups - 1 - group) * n_in) for group in range(groups)]
            kernel = tf.concat(
                [tf.pad(w, [[0, 0], pad, [0, 0]]) for w, pad in zip(pieces, before_after, strict=True)], 2
            )
        return kernel if self.normalisation is None else kernel * self.normalisation.scale_and_shift()[0]

    def forward(self, value: Tensor) -> Tensor:
        bias = None if self.layer.bias is None else tf.cast(tf.convert_to_tensor(self.layer.bias), self.dtype)
        if self.normalisation is not None:
            scale, shift = self.normalisation.scale_and_shift()
            bias = shift if bias is None else bias * scale + shift
        product = self._product(value, self.kernel())
        return product if bias is None else product + bias

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        if self.each_part:
            kernel, (up, down) = by_sign(self.kernel()), by_sign(run.difference(step.inputs[0]))
            return Pair(
                self._product(up, kernel.positive) + self._product(down, kernel.negative),
                self._product(up, kernel.negative) + self._product(down, kernel.positive),
            )
        whole = run.difference(step.output)
        spread = self._product(tf.abs(run.difference(step.inputs[0])), tf.abs(self.kernel()))
        # max and min take away what rounding leaves where a part is empty
        return Pair(tf.maximum((whole + spread) / 2, 0.0), tf.minimum((whole - spread) / 2, 0.0))

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Tensor]:
        (number,) = step.inputs
        return [run.empty(number), *([tf.sign(run.difference(number))] if step.apart else [])]

    def backward(self, saved: list[Tensor], m: Pair) -> tuple[Pair, ...]:
        (empty, *signs), kernel = saved, self.kernel()
        if m.is_one:
            into = self._transposed(m.positive, kernel, empty.shape)
        elif self.each_part:
            up, down = by_sign(kernel)
            rising, falling = (
                self._transposed(m.positive, first, empty.shape) + self._transposed(m.negative, second, empty.shape)
                for first, second in ((up, down), (down, up))
            )
            into = tf.where(signs[0] > 0, rising, tf.where(signs[0] < 0, falling, (rising + falling) / 2))
        else:
            # d > 0: T(m+, W+) + T(m-, W-), and d < 0: T(m+, W-) + T(m-, W+), as mean and half difference
            mean, half = (m.positive + m.negative) / 2, (m.positive - m.negative) / 2
            apart = self._transposed(half, tf.abs(kernel), empty.shape)
            into = self._transposed(mean, kernel, empty.shape) + signs[0] * apart
        return (Pair(into, into),)

    def takes_apart(self, apart: bool) -> bool:
        return False

    def _product(self, x: Tensor, kernel: Tensor) -> Tensor:
        if not self.is_convolution:
            return _matmul(x, kernel)
        geometry = geometry_of(self.layer, x.shape[1])
        x = tf.pad(x, [[0, 0], geometry.padding, [0, 0]]) if any(geometry.padding) else x
        return tf.nn.conv1d(x, kernel, geometry.stride, "VALID", dilations=geometry.dilation)

    def _transposed(self, m: Tensor, kernel: Tensor, shape: Any) -> Tensor:
        """Multipliers (N R, ..., n_out) of the output -> of the input, (N R, *shape[1:])."""
        if not self.is_convolution:
            return _matmul(m, tf.transpose(kernel))
        geometry = geometry_of(self.layer, shape[1])
        left, right = geometry.padding
        padded = left + shape[1] + right
        if geometry.dilation > 1:
            into = _transposed_dilated(m, kernel, padded, geometry.dilation)
        elif geometry.stride == 1 and shape[2] <= _FEW_CHANNELS:
            into = _transposed_to_few(m, kernel, padded)
        else:
            target = (m.shape[0], padded, shape[2])
            into = tf.nn.conv1d_transpose(m, kernel, target, geometry.stride, "VALID")
        return into[:, left : padded - right]


def _matmul(x: Tensor, kernel: Tensor) -> Tensor:
    flat = tf.reshape(x, (-1, x.shape[-1]))
    return tf.reshape(flat @ kernel, (*x.shape[:-1], kernel.shape[1]))


def _transposed_dilated(m: Tensor, kernel: Tensor, length: int, dilation: int) -> Tensor:
    """Convolve with the reversed kernel: TensorFlow has no transposed convolution with dilation on CPU."""
    span = (kernel.shape[0] - 1) * dilation
    m = tf.pad(m, [[0, 0], [span, length - m.shape[1]], [0, 0]])
    return tf.nn.conv1d(m, tf.transpose(kernel[::-1], (0, 2, 1)), 1, "VALID", dilations=dilation)


def _transposed_to_few(m: Tensor, kernel: Tensor, length: int) -> Tensor:
    """One matrix product over all offsets of the kernel, then shift and add: quick where few channels come out."""
    width, n_in, n_out = kernel.shape
    shares = _matmul(m, tf.reshape(tf.transpose(kernel, (2, 0, 1)), (n_out, width * n_in)))
    shares = tf.reshape(shares, (*m.shape[:2], width, n_in))
    after = length - m.shape[1]
    return tf.add_n([tf.pad(shares[:, :, k], [[0, 0], [k, after - k], [0, 0]]) for k in range(width)])


# layers without weights that are linear


@dataclass(frozen=True)
class Scaled:
    """BatchNormalization as it is after training: one factor for each channel; a negative one exchanges P and N."""

    layer: Any
    rank: int
    dtype: Any = tf.float32

    @property
    def is_last_axis(self) -> bool:
        return self.layer.axis % self.rank == self.rank - 1

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Factor and offset, shaped so that they fit the tensor, or (channels,) where these stand last."""
        layer = self.layer
        scale = tf.math.rsqrt(tf.cast(tf.convert_to_tensor(layer.moving_variance), self.dtype) + layer.epsilon)
        if layer.scale:
            scale *= tf.cast(tf.convert_to_tensor(layer.gamma), self.dtype)
        shift = -tf.cast(tf.convert_to_tensor(layer.moving_mean), self.dtype) * scale
        if layer.center:
            shift += tf.cast(tf.convert_to_tensor(layer.beta), self.dtype)
        after = (1,) * (self.rank - 1 - layer.axis % self.rank)
        return tf.reshape(scale, (-1, *after)), tf.reshape(shift, (-1, *after))

    def forward(self, value: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift()
        return value * scale + shift

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        return self._exchanged(run.parts(step.inputs[0]))

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Tensor]:
        return []

    def backward(self, saved: list[Tensor], m: Pair) -> tuple[Pair, ...]:
        return (self._exchanged(m),)

    def takes_apart(self, apart: bool) -> bool:
        return apart

    def _exchanged(self, pair: Pair) -> Pair:
        scale, _ = self.scale_and_shift()
        if pair.is_one:
            return pair.map(lambda both: both * scale)
        upright = scale >= 0
        return Pair(
            tf.where(upright, pair.positive, pair.negative) * scale,
            tf.where(upright, pair.negative, pair.positive) * scale,
        )


@dataclass(frozen=True)
class Linear:
    """A layer that moves, adds or averages: P and N go through it separately."""

    function: Callable[..., Tensor]

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(*values)

    def parts(self, run: ForwardPass, step: LayerStep) -> Pair:
        inputs = [run.parts(number) for number in step.inputs]
        return Pair(self.function(*(p.positive for p in inputs)), self.function(*(p.negative for p in inputs)))

    def saved(self, run: ForwardPass, step: LayerStep) -> list[Tensor]:
        return [run.empty(number) for number in step.inputs]

    def backward(self, saved: list[Tensor], m: Pair) -> tuple[Pair, ...]:
        # being linear, it comes back alike from any point
        at = [zeros(m.positive.shape[0], empty) for empty in saved]
        positive = pulled_back(self.function, at, m.positive)
        negative = positive if m.is_one else pulled_back(self.function, at, m.negative)
        return tuple(Pair(p, n) for p, n in zip(positive, negative, strict=True))

    def takes_apart(self, apart: bool) -> bool:
        return apart
