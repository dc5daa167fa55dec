"""DeepLIFT's primitives in plain NumPy, forward, in float64: it shares no code with the package and knows no Keras.

A `Value` is a tensor in the sequence and in the reference, with what each input number contributes to each difference:
`given[..., k]`. Contributions of the primitives are added up from input to output; the package goes the other way.
"""

import numpy as np


class Value:
    def __init__(self, x, r, given):
        self.x, self.r, self.given = x, r, given

    @classmethod
    def of_input(cls, x, r):
        difference = x - r
        return cls(x, r, np.diag(difference.ravel()).reshape(*x.shape, -1))

    def linear(self, function):
        """A linear map, of one column of contributions after the other."""
        columns = [function(column) for column in np.moveaxis(self.given, -1, 0)]
        return Value(function(self.x), function(self.r), np.stack(columns, axis=-1))

    def __add__(self, other):
        if not isinstance(other, Value):
            return Value(
                self.x + other,
                self.r + other,
                np.broadcast_to(self.given, (*(self.x + other).shape, self.given.shape[-1])),
            )
        return Value(self.x + other.x, self.r + other.r, self.given + other.given)

    def __neg__(self):
        return Value(-self.x, -self.r, -self.given)

    def __sub__(self, other):
        return self + (-other)

    def __mul__(self, other):
        if not isinstance(other, Value):
            return self.linear(lambda v: v * other)
        middle = [((v.x + v.r) / 2)[..., None] for v in (self, other)]
        return Value(self.x * other.x, self.r * other.r, self.given * middle[1] + other.given * middle[0])

    def __matmul__(self, kernel):
        return self.linear(lambda v: v @ kernel)

    def apply(self, function, derivative):
        """Rescale; shuffles hold the same bases, so sums over positions differ by nothing but rounding."""
        near = abs(self.x - self.r) < 1e-6
        quotient = (function(self.x) - function(self.r)) / np.where(near, 1, self.x - self.r)
        slope = np.where(near, derivative((self.x + self.r) / 2), quotient)
        return Value(function(self.x), function(self.r), self.given * slope[..., None])

    def mean(self, axis):
        return self.linear(lambda v: v.mean(axis=axis, keepdims=True))

    def sum(self, axis):
        return self.linear(lambda v: v.sum(axis=axis, keepdims=True))

    def max(self, axis):
        """What is above the reference's maximum goes to where x has its own, what is below to where r has."""
        x, r = self.x.max(axis=axis, keepdims=True), self.r.max(axis=axis, keepdims=True)
        place = np.where(x >= r, self.x.argmax(axis=axis, keepdims=True), self.r.argmax(axis=axis, keepdims=True))
        step, given = (np.take_along_axis(v, place, axis) for v in (self.x - self.r, np.zeros_like(self.x)))
        given = np.take_along_axis(self.given, place[..., None], axis)
        return Value(x, r, given * np.divide(x - r, step, out=np.zeros_like(step), where=step != 0)[..., None])


def stacked(*values):
    return Value(np.stack([v.x for v in values]), np.stack([v.r for v in values]), np.stack([v.given for v in values]))


def maximum(a, b):
    both = stacked(a, b).max(0)
    return Value(both.x[0], both.r[0], both.given[0])


def einsum(equation, a, b):
    """A product of two values, pair of factors by pair of factors."""
    inputs, output = equation.split("->")
    left, right = inputs.split(",")
    middle = [(v.x + v.r) / 2 for v in (a, b)]
    given = np.einsum(f"{left}Z,{right}->{output}Z", a.given, middle[1])
    given = given + np.einsum(f"{left},{right}Z->{output}Z", middle[0], b.given)
    return Value(np.einsum(equation, a.x, b.x), np.einsum(equation, a.r, b.r), given)


def exp(value):
    return value.apply(np.exp, np.exp)


def log(value):
    return value.apply(np.log, lambda u: 1 / u)


def softmax(value, axis=-1):
    return exp(value - log(exp(value).sum(axis)))


def power(value, p):
    return value.apply(lambda u: u**p, lambda u: p * u ** (p - 1))


def sigmoid(value):
    return value.apply(lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2)


def tanh(value):
    return value.apply(np.tanh, lambda z: 1 - np.tanh(z) ** 2)


def relu(value):
    return value.apply(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0))


def normalised(value, axes, epsilon, centred=True):
    """Over axes: x less its mean, by the root of its mean square and epsilon."""
    inner = value - value.mean(axes) if centred else value
    return inner * power((inner * inner).mean(axes) + epsilon, -0.5)


def attention(query, key, weights, causal=False):
    """Multi-head attention with Keras' weights; where there are fewer heads of keys, groups of queries share one."""
    (wq, bq), (wk, bk), (wv, bv), (wo, bo) = weights
    q, k, v = (
        t.linear(lambda z, w=w: np.einsum("ld,dhk->lhk", z, w)) + b
        for t, w, b in ((query, wq, bq), (key, wk, bk), (key, wv, bv))
    )
    shared = wq.shape[1] // wk.shape[1]
    k, v = (t.linear(lambda z: np.repeat(z, shared, axis=1)) for t in (k, v))
    # Keras rounds this factor to float32 whatever it computes in
    logits = einsum("lhk,mhk->hlm", q * float(np.float32(1 / np.sqrt(wq.shape[2]))), k)
    if causal:
        logits = logits + np.where(np.tri(logits.x.shape[1]), 0.0, -1e9)
    mixed = einsum("hlm,mhk->lhk", softmax(logits), v)
    return mixed.linear(lambda z: np.einsum("lhk,hkd->ld", z, wo)) + bo
