"""DeepLIFT's primitives: rules for TensorFlow's operations, whose contributions sum to the delta exactly.

- linear: adds, moves or averages values, or multiplies them by constants; multipliers go through its transpose.
- product: of two tensors, with matrix products, convolutions and squares. Delta(ab) = mean(a, a0) Delta b +
  mean(b, b0) Delta a, the Shapley value of two factors; that is the gradient midway between both ends.
- quotient: a product with the reciprocal.
- elementwise: Rescale; powers and logarithms by formulas that lose no digits where the step is short.
- maximum and minimum, of an axis, of windows or of two tensors: what lies above the reference's maximum goes to where
  the sequence has its maximum, and what lies below to where the reference has its own.
- softmax: exp(z - log sum exp z), a linear map between elementwise functions. Delta log sum exp z = sum_j w_j Delta z_j
  with w_j = L(e_j, e0_j) / L(S, S0), L being the logarithmic mean, e = exp z and S its sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from simbench_tf.attribution.deeplift.nonlinear import Nonlinearity, exp_change, log1p_change
from simbench_tf.attribution.deeplift.trace import ALIASES, computed

Tensor = Any
Name = Literal["linear", "product", "quotient", "elementwise", "maximum", "minimum", "softmax"]

_LINEAR = {
    *("AddV2", "Add", "AddN", "Sub", "Neg", "BiasAdd", "Mean", "Sum", "Cumsum", "Cast"),
    *("Reshape", "Transpose", "ConcatV2", "Pack", "Unpack", "Split", "SplitV", "StridedSlice", "Slice", "ExpandDims"),
    *("Squeeze", "Pad", "PadV2", "MirrorPad", "Tile", "BroadcastTo", "ReverseV2", "Roll", "AvgPool", "GatherV2"),
    *("GatherNd", "Select", "SelectV2", "ResizeNearestNeighbor", "SpaceToBatchND", "BatchToSpaceND", "MatrixBandPart"),
    *("MatrixDiagV3", "MatrixDiagPartV3", *ALIASES),
}
_PRODUCTS = {
    *("Mul", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Square", "SquaredDifference"),
    *("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "L2Loss"),
}
# operations in which some inputs have to be constant: conditions, indices
_CONSTANT = {"Select": (0,), "SelectV2": (0,), "GatherV2": (1, 2), "GatherNd": (1,)}
# of single numbers, with where they have kinks
_ELEMENTWISE: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("Sigmoid", "Tanh", "Softplus", "Erf", "Erfc", "Sin", "Cos", "Atan", "Asinh", "Exp", "Log1p"), ()),
    **dict.fromkeys(("Elu", "Selu", "Softsign", "Abs"), (0.0,)),
    "Relu6": (0.0, 6.0),
}
_CHANGES = {"Exp": exp_change, "Log1p": log1p_change}


@dataclass(frozen=True)
class Applied:
    """An operation at work: its inputs in their order, None for those that depend on the sequence.

    Attributes
    ----------
    operation : tf.Operation
    constants : list of tensor or None
    dtype : tf.DType
        What is computed in.
    maxpool : {"rescale", "gradient"}
    """

    operation: Any
    constants: list[Tensor | None]
    dtype: Any
    maxpool: str

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Compute its outputs from the inputs that depend on the sequence."""
        given = iter(inputs)
        return computed(self.operation, [next(given) if c is None else c for c in self.constants], self.dtype)

    def transposed(self, at: Sequence[Tensor], multipliers: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of the inputs, at some values of them, from those of the outputs."""
        at = list(at)
        return _pulled(lambda: self(*at), at, multipliers)


def _pulled(function: Callable[[], Any], at: list[Tensor], multipliers: Any) -> list[Tensor]:
    with tf.GradientTape(persistent=False) as tape:
        tape.watch(at)
        outputs = function()
    zero = tf.UnconnectedGradients.ZERO
    result: list[Tensor] = tape.gradient(outputs, at, output_gradients=multipliers, unconnected_gradients=zero)
    return result


def primitive_of(operation: Any, is_dependent: Sequence[bool]) -> Name | None:
    """Which rule an operation gets.

    Parameters
    ----------
    operation : tf.Operation
    is_dependent : sequence of bool
        Which of its inputs depend on the sequence.

    Returns
    -------
    name : str or None
        None: no rule is known.
    """
    kind, n = operation.type, sum(is_dependent)
    floats = all(t.dtype.is_floating for t in operation.outputs)
    if not floats or any(is_dependent[i] for i in _CONSTANT.get(kind, ())):
        return None
    if kind in _LINEAR:
        return "linear"
    if kind in _PRODUCTS:
        return "linear" if n == 1 and kind not in ("Square", "SquaredDifference", "L2Loss") else "product"
    if kind in ("RealDiv", "Div", "DivNoNan"):
        return "quotient" if is_dependent[1] else "linear"
    if kind in _ELEMENTWISE or kind in _SLOPES or kind in ("Relu", "LeakyRelu"):
        return "elementwise"
    if kind == "Pow":
        exponent = tf.get_static_value(operation.inputs[1])
        return "elementwise" if exponent is not None and exponent.size == 1 else None
    if kind in ("Max", "Maximum", "MaxPool"):
        return "maximum"
    if kind in ("Min", "Minimum"):
        return "minimum"
    return "softmax" if kind in ("Softmax", "LogSoftmax") else None


# what is kept of the forward pass, and the way back


def kept(name: Name, applied: Applied, x: list[Tensor], r: list[Tensor]) -> list[Tensor]:
    """What the backward pass needs of an operation whose inputs are x in the sequence and r in the reference."""
    middle = [(a + b) / 2 for a, b in zip(x, r, strict=True)]
    if name == "linear":
        return []
    if name == "product":
        return middle
    if name == "quotient":
        return _kept_of_quotient(applied, x, r, middle)
    if name == "elementwise":
        return [_slope(applied, x[0], r[0])]
    if name == "softmax":
        return _kept_of_softmax(applied, x[0], r[0])
    (y_x,), (y_r,) = applied(*x), applied(*r)
    return [*x, *r, y_x - y_r]


def back(name: Name, applied: Applied, saved: list[Tensor], m: list[Tensor], shapes: list[Any]) -> list[Tensor]:
    """From multipliers of an operation's outputs to those of its inputs, which have these shapes."""
    if name == "linear":
        # alike at any point
        return applied.transposed([tf.zeros(shape, applied.dtype) for shape in shapes], m)
    if name == "product":
        return applied.transposed(saved, m)
    if name == "elementwise":
        return [m[0] * saved[0]]
    if name == "quotient":
        at = [tf.zeros(shape, applied.dtype) for shape in shapes]
        return _pulled(
            lambda: tf.add_n([a * k + tf.zeros_like(m[0]) for a, k in zip(at, saved, strict=True)]), at, m[0]
        )
    if name == "softmax":
        *mean, weights = saved
        inner = m[0] * mean[0] if mean else m[0]
        return [inner - weights * tf.reduce_sum(inner, axis=-1, keepdims=True)]
    return _back_of_maximum(name, applied, saved, m[0])


def _kept_of_quotient(applied: Applied, x: list[Tensor], r: list[Tensor], middle: list[Tensor]) -> list[Tensor]:
    """Multipliers of a and of b in a / b: mean(1/b, 1/b0) and -mean(a, a0) / (b b0)."""
    above = applied.constants[0] if applied.constants[0] is not None else middle[0]
    inverse = tf.math.divide_no_nan
    one = tf.ones((), applied.dtype)
    factors = [(inverse(one, x[-1]) + inverse(one, r[-1])) / 2] if len(x) == 2 else []
    return [*factors, -inverse(above, x[-1] * r[-1])]


def _kept_of_softmax(applied: Applied, x: Tensor, r: Tensor) -> list[Tensor]:
    """Of softmax the logarithmic means of both probabilities; and the weights w of Delta log sum exp."""
    exponential = Nonlinearity(tf.exp, change=exp_change)
    total_x, total_r = (tf.reduce_logsumexp(z, axis=-1, keepdims=True) for z in (x, r))
    highest = tf.maximum(total_x, total_r)
    weights = exponential.rescale(r - highest, x - r, x - highest) / exponential.rescale(
        total_r - highest, total_x - total_r, total_x - highest
    )
    if applied.operation.type == "LogSoftmax":
        return [weights]
    u_x, u_r = x - total_x, r - total_r
    return [exponential.rescale(u_r, (x - r) - (total_x - total_r), u_x), weights]


def _back_of_maximum(name: Name, applied: Applied, saved: list[Tensor], m: Tensor) -> list[Tensor]:
    *ends, change = saved
    x, r = ends[: len(ends) // 2], ends[len(ends) // 2 :]
    if applied.maxpool == "gradient" and applied.operation.type in ("Max", "MaxPool"):
        return applied.transposed(x, [m])
    up, down = tf.maximum(change, 0.0), tf.minimum(change, 0.0)
    at_x, at_r = (up, down) if name == "maximum" else (down, up)
    routed = zip(applied.transposed(x, [m * at_x]), applied.transposed(r, [m * at_r]), x, r, strict=True)
    # no position is given more than its own step, so only one without any step needs care
    return [tf.math.divide_no_nan(from_x + from_r, a - b) for from_x, from_r, a, b in routed]


# elementwise functions


def _slope(applied: Applied, x: Tensor, r: Tensor) -> Tensor:
    """(f(x) - f(r)) / (x - r), or the derivative where they are the same."""
    kind = applied.operation.type
    if kind == "Pow":
        return _slope_of_power(float(tf.get_static_value(applied.operation.inputs[1])), r, x)
    if kind in _SLOPES:
        return _SLOPES[kind](r, x)
    if kind in ("Relu", "LeakyRelu"):
        below = 0.0 if kind == "Relu" else applied.operation.get_attr("alpha")
        function = Nonlinearity(lambda z: applied(z)[0], below)
    else:
        function = Nonlinearity(lambda z: applied(z)[0], kinks=_ELEMENTWISE[kind], change=_CHANGES.get(kind))
    return function.rescale(r, x - r, x)


def _log_slope(a: Tensor, b: Tensor) -> Tensor:
    """Of the logarithm, by the step's own digits where it is short."""
    ratio = tf.math.divide_no_nan(b - a, a)
    far, differ = tf.abs(ratio) >= 0.5, b != a
    series = tf.math.log1p(tf.where(~far, ratio, 0.0)) / tf.where(differ, ratio, 1.0)
    near = tf.where(differ, series, 1.0) / a
    return tf.where(far, (tf.math.log(b) - tf.math.log(a)) / tf.where(far, b - a, 1.0), near)


def _rsqrt_slope(a: Tensor, b: Tensor) -> Tensor:
    u, v = tf.math.rsqrt(a), tf.math.rsqrt(b)
    return -tf.square(u * v) / (u + v)


#: (f(b) - f(a)) / (b - a), written without a difference that would lose digits.
_SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Sqrt": lambda a, b: tf.math.divide_no_nan(tf.ones_like(a), tf.sqrt(a) + tf.sqrt(b)),
    "Rsqrt": _rsqrt_slope,
    "Reciprocal": lambda a, b: -1.0 / (a * b),
    "Inv": lambda a, b: -1.0 / (a * b),
    "Log": _log_slope,
    "Expm1": lambda a, b: Nonlinearity(tf.exp, change=exp_change).rescale(a, b - a, b),
}


def _slope_of_power(exponent: float, a: Tensor, b: Tensor) -> Tensor:
    """Of u ** p: whole numbers by a polynomial; others, for positive u, as exp(p log u)."""
    if exponent < 0:
        return -_slope_of_power(-exponent, a, b) / (tf.pow(a, -exponent) * tf.pow(b, -exponent))
    if exponent == int(exponent):
        terms = [tf.pow(a, float(k)) * tf.pow(b, exponent - 1 - k) for k in range(int(exponent))]
        return tf.add_n(terms) if terms else tf.zeros_like(a)
    step = exponent * _log_slope(a, b)
    start, end = exponent * tf.math.log(a), exponent * tf.math.log(b)
    return step * Nonlinearity(tf.exp, change=exp_change).rescale(start, step * (b - a), end)
