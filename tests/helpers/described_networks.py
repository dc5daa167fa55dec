"""Networks written down node by node and built in Keras, so that other programs can read the very same ones."""

import dataclasses

import keras
import numpy as np
from keras import layers

from simbench_tf.attribution import attribute
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import one_hot

LENGTH = 36


@dataclasses.dataclass
class Node:
    """A layer: its kind, numbers of the nodes it takes (0 is the input), settings and weights."""

    kind: str
    inputs: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)
    weights: dict = dataclasses.field(default_factory=dict)


class Net:
    """Draws up a network node by node, with weights of its own, and builds the Keras model of it."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes = [Node("input")]
        self.shapes = [(LENGTH, 4)]
        self.tensors = [keras.Input((LENGTH, 4))]

    def add(self, layer, kind, *inputs, weights=None, **settings):
        inputs = inputs or (len(self.nodes) - 1,)
        taken = [self.tensors[i] for i in inputs]
        self.tensors.append(layer(taken if len(taken) > 1 else taken[0]))
        if weights:
            layer.set_weights(list(weights.values()))
        self.nodes.append(Node(kind, inputs, settings, {k: v.astype(np.float64) for k, v in (weights or {}).items()}))
        return len(self.nodes) - 1

    def drawn(self, *shape):
        return self.rng.normal(0, 1.4 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    def conv(self, filters, size, *inputs, activation=None, strides=1, dilation_rate=1, groups=1, padding="valid"):
        source = inputs[0] if inputs else len(self.nodes) - 1
        settings = {"strides": strides, "dilation_rate": dilation_rate, "groups": groups, "padding": padding}
        layer = layers.Conv1D(filters, size, activation=activation, **settings)
        weights = {
            "kernel": self.drawn(size, self.tensors[source].shape[-1] // groups, filters),
            "bias": self.rng.normal(0, 0.2, filters).astype(np.float32),
        }
        self.add(layer, "conv", source, weights=weights, **settings)
        return self.fused(activation)

    def dense(self, units, *inputs, activation=None, only_adds=False):
        source = inputs[0] if inputs else len(self.nodes) - 1
        layer = layers.Dense(units, activation=activation)
        n_in = self.tensors[source].shape[-1]
        weights = {"kernel": self.drawn(n_in, units), "bias": self.rng.normal(0, 0.2, units).astype(np.float32)}
        if only_adds:
            weights = {name: np.abs(weight) for name, weight in weights.items()}
        self.add(layer, "dense", source, weights=weights)
        return self.fused(activation)

    def fused(self, activation):
        """Note down an activation that Keras has inside the layer before."""
        if activation is not None:
            self.tensors.append(self.tensors[-1])
            self.nodes.append(Node("activation", (len(self.nodes) - 1,), {"function": activation}))
        return len(self.nodes) - 1

    def bn(self, *inputs):
        """Batch normalisation whose factors have either sign."""
        source = inputs[0] if inputs else len(self.nodes) - 1
        size = self.tensors[source].shape[-1]
        weights = {
            "gamma": self.rng.uniform(0.5, 1.5, size) * self.rng.choice([-1, 1], size),
            "beta": self.rng.normal(0, 0.3, size),
            "mean": self.rng.normal(0, 0.3, size),
            "variance": self.rng.uniform(0.5, 2, size),
        }
        weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
        return self.add(layers.BatchNormalization(), "bn", source, weights=weights)

    def act(self, function, *inputs):
        return self.add(layers.Activation(function), "activation", *inputs, function=function)

    def log1p(self):
        """An operation, since Keras has no such layer."""
        return self.add(keras.ops.log1p, "activation", function="log1p")

    def pool(self, size, strides=None, padding="valid"):
        strides = strides or size
        layer = layers.MaxPooling1D(size, strides, padding)
        return self.add(layer, "max_pool", pool_size=size, strides=strides, padding=padding)

    def average(self, size, strides=None, padding="valid"):
        strides = strides or size
        layer = layers.AveragePooling1D(size, strides, padding)
        return self.add(layer, "average_pool", pool_size=size, strides=strides, padding=padding)

    def dropout(self):
        """Note down nothing: after training it does nothing."""
        self.tensors[-1] = layers.Dropout(0.5)(self.tensors[-1])

    def flatten(self, *inputs):
        return self.add(layers.Flatten(), "flatten", *inputs)

    def model(self):
        return keras.Model(self.tensors[0], self.tensors[-1])


def basset_like(seed=0, activation="relu"):
    net = Net(seed)
    for filters, size, pool in ((6, 5, 3), (5, 3, 2)):
        net.conv(filters, size)
        net.bn()
        net.act(activation)
        net.pool(pool)
    net.flatten()
    for units in (8, 7):
        net.dense(units)
        net.bn()
        net.act(activation)
        net.dropout()
    net.dense(2)
    return net


def every_convolution(seed=1):
    """Padding, strides, dilation and groups; fused activations; the layers that only move values."""
    net = Net(seed)
    net.conv(6, 5, padding="same", activation="relu")
    net.conv(4, 3, dilation_rate=2, groups=2, activation="softplus")
    net.conv(6, 4, strides=2, padding="same")
    net.act("gelu")
    net.add(layers.ZeroPadding1D((1, 2)), "zero_pad", padding=(1, 2))
    net.conv(4, 3, padding="causal", activation="tanh")
    net.add(layers.Cropping1D((2, 1)), "crop", cropping=(2, 1))
    net.average(3, 2, "same")
    net.bn()
    net.add(layers.Reshape((4, 8)), "reshape", target_shape=(4, 8))
    net.dense(5, activation="leaky_relu")
    net.flatten()
    net.dense(6, activation="sigmoid")
    net.dense(6, activation="exponential")
    net.dense(2)
    return net


def odds(seed=0):
    """Sums of odds and their logarithms, as in a network that is built from motifs: arguments up to e^18 or so."""
    net = Net(seed)
    net.conv(4, 6, padding="same")
    net.nodes[-1].weights["kernel"] *= 4
    net.tensors[-1]._keras_history.operation.set_weights(list(net.nodes[-1].weights.values()))
    net.act("exponential")
    net.average(8, 4, "same")
    net.flatten()
    net.dense(6, only_adds=True)
    net.log1p()
    net.dense(5, activation="softplus")
    net.dense(2)
    return net


def branches(seed=2):
    """A residual block, a tensor used three times, overlapping max-pools right before an activation, global pools."""
    net = Net(seed)
    start = net.conv(6, 5, padding="same")
    inner = net.bn()
    inner = net.act("relu")
    inner = net.conv(6, 3, inner, padding="same")
    inner = net.bn()
    net.add(layers.Add(), "add", start, inner)
    top = net.act("relu")
    net.pool(3, 2, "same")
    net.conv(5, 3)
    net.pool(4, 2)
    pooled = net.act("elu")
    left = net.add(layers.GlobalMaxPooling1D(), "global_max", pooled)
    right = net.add(layers.GlobalAveragePooling1D(), "global_average", top)
    wide = net.flatten(pooled)
    third = net.dense(4, wide, activation="relu")
    net.add(layers.Concatenate(), "concatenate", left, right, third)
    net.bn()
    net.dense(6, activation="relu")
    net.dense(2)
    return net


def sequences(n=2, n_references=3, seed=5):
    bases = np.random.default_rng(seed).integers(0, 4, (n, LENGTH)).astype(np.uint8)
    bases[0, 7:9] = 4
    return one_hot(bases), make_references(parse_references(f"shuffle:{n_references}"), bases, seed)


def check_against_peer(net, explain, tolerance):
    """`explain` gives the contributions, (L, 4), of a sequence (L, 4) and its references (R, L, 4)."""
    x, references = sequences(n=3, n_references=4)
    ours = attribute(net.model(), x, "deeplift_rescale", target=1, references=references).contributions
    for row in range(len(x)):
        theirs = explain(x[row], references[row])
        np.testing.assert_allclose(ours[row], theirs, rtol=0, atol=tolerance * abs(theirs).max())
