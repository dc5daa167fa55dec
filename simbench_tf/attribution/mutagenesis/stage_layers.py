"""The layers of a stage as functions of tensors, on whole sequences or on windows of them: (M, positions, channels)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import Geometry, kind_of
from simbench_tf.attribution.mutagenesis.graph import Pooling, Stage


def apply_linear(stage: Stage, x: Any) -> Any:
    """Outputs of the linear layer, without its activation."""
    if stage.linear is None:
        return x
    geometry = stage.geometry
    convolved = convolve(x, stage, geometry.left, geometry.right)
    return convolved if stage.linear.bias is None else convolved + stage.linear.bias


def apply_functions(stage: Stage, x: Any) -> Any:
    """What follows the linear layer of a stage, on whole sequences."""
    x = apply_pointwise(stage, x)
    return x if stage.pooling is None else pool(stage.pooling, x)


def apply_pointwise(stage: Stage, x: Any) -> Any:
    """The functions of single positions."""
    for function in stage.pointwise:
        x = function(x)
    return x


def apply_dense(dense: Any, x: Any) -> Any:
    """A dense layer on (M, units), without its activation."""
    import tensorflow as tf

    product = tf.matmul(x, dense.kernel)
    return product if dense.bias is None else product + dense.bias


def convolve(x: Any, stage: Stage, before: int, after: int) -> Any:
    """Multiply by the kernel of a linear layer, (M, w, channels), with zeros on both sides (cut, where negative)."""
    import tensorflow as tf

    x = x[:, max(-before, 0) : x.shape[1] - max(-after, 0)]
    sides = [max(before, 0), max(after, 0)]
    if stage.linear is None:
        return tf.pad(x, [[0, 0], sides, [0, 0]])
    if kind_of(stage.linear) in ("DepthwiseConv1D", "SeparableConv1D"):
        return _convolve_each_channel(tf.pad(x, [[0, 0], sides, [0, 0]]), stage)
    kernel = tf.convert_to_tensor(stage.linear.kernel)
    if len(kernel.shape) == 2:
        kernel = kernel[None]
    geometry = stage.geometry

    def of_group(x: Any, kernel: Any) -> Any:
        # explicit padding, since the library then skips the zeros
        return tf.nn.conv2d(
            x[:, None],
            kernel[None],
            strides=[1, geometry.stride],
            padding=[[0, 0], [0, 0], sides, [0, 0]],
            dilations=[1, geometry.dilation],
        )[:, 0]

    if stage.groups == 1:
        return of_group(x, kernel)
    parts = zip(tf.split(x, stage.groups, axis=-1), tf.split(kernel, stage.groups, axis=-1), strict=True)
    return tf.concat([of_group(*part) for part in parts], axis=-1)


def _convolve_each_channel(x: Any, stage: Stage) -> Any:
    """A convolution of each channel by itself, of what is padded already; of a separable one also its second part."""
    from keras import ops

    layer, geometry = stage.linear, stage.geometry
    assert layer is not None
    kernel = layer.depthwise_kernel if kind_of(layer) == "SeparableConv1D" else layer.kernel
    x = ops.depthwise_conv(x, kernel, geometry.stride, "valid", "channels_last", geometry.dilation)
    return (
        x if kind_of(layer) == "DepthwiseConv1D" else ops.conv(x, layer.pointwise_kernel, 1, "valid", "channels_last")
    )


def pool(pooling: Pooling, x: Any) -> Any:
    """Pool whole sequences, (N, length_in, channels); padding never counts."""
    import tensorflow as tf

    geometry = pooling.geometry
    fill = -np.inf if pooling.kind == "max" else 0.0
    end = x.shape[1] + min(geometry.right, 0)
    x = tf.pad(x[:, :end], [[0, 0], [geometry.left, max(geometry.right, 0)], [0, 0]], constant_values=fill)
    pooled = pool_bins(pooling, x)
    if pooling.kind == "max":
        return pooled
    return pooled / bin_sizes(geometry)[:, None]


def pool_bins(pooling: Pooling, x: Any) -> Any:
    """Maximum or sum of each bin, (M, w, channels); w holds whole bins only."""
    import tensorflow as tf

    size, stride = pooling.geometry.size, pooling.geometry.stride
    if pooling.kind == "max":
        return tf.nn.max_pool1d(x, size, stride, "VALID")
    return size * tf.nn.avg_pool1d(x, size, stride, "VALID")


def bin_sizes(geometry: Geometry) -> npt.NDArray[np.float32]:
    """How many inputs each output of a pooling has."""
    first = np.arange(geometry.length) * geometry.stride - geometry.left
    last = np.minimum(first + geometry.size, geometry.length_in)
    return (last - np.maximum(first, 0)).astype(np.float32)
