"""tangermeme explains the same weights, in PyTorch: normalisation, attention, softmax and gates are the same there."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from helpers.random_graphs import draw_weights
from simbench_tf.attribution import attribute
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import one_hot

needed = "tangermeme and torch are not installed: pip install 'simbench_tf[parity]'"
torch, peer = (pytest.importorskip(name, reason=needed) for name in ("torch", "tangermeme.deep_lift_shap"))
if not hasattr(peer, "BilinearOp"):
    pytest.skip("this tangermeme has no rule for products", allow_module_level=True)

LENGTH, WIDTH = 18, 6


def tensor(variable):
    return torch.from_numpy(variable.numpy().astype(float))


def given(module, **parameters):
    """Put weights into a module."""
    for name, value in parameters.items():
        getattr(module, name).data = value
    return module


def conv(layer):
    made = torch.nn.Conv1d(4, WIDTH, layer.kernel_size[0])
    return given(made, weight=tensor(layer.kernel).permute(2, 1, 0), bias=tensor(layer.bias))


def dense(layer):
    return given(
        torch.nn.Linear(*layer.kernel.shape), weight=tensor(layer.kernel).T.contiguous(), bias=tensor(layer.bias)
    )


class Positionwise(torch.nn.Module):
    """A module that reads channels last."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x.transpose(1, 2)).transpose(1, 2)


class Gate(torch.nn.Module):
    """x times the sigmoid of its mean over positions, as in squeeze and excite."""

    def __init__(self):
        super().__init__()
        self.times, self.sigmoid = peer.BilinearOp("...,...->..."), torch.nn.Sigmoid()

    def forward(self, x):
        return self.times(x, self.sigmoid(x.mean(dim=2, keepdim=True)).expand(x.shape))


class SelfAttention(torch.nn.Module):
    """One head, with Keras' weights."""

    def __init__(self, layer):
        super().__init__()
        parts = (layer._query_dense, layer._key_dense, layer._value_dense)
        self.inner = torch.nn.ModuleList(
            given(torch.nn.Linear(WIDTH, 3), weight=tensor(p.kernel)[:, 0].T.contiguous(), bias=tensor(p.bias)[0])
            for p in parts
        )
        out = layer._output_dense
        self.out = given(torch.nn.Linear(3, WIDTH), weight=tensor(out.kernel)[0].T.contiguous(), bias=tensor(out.bias))
        self.first, self.second = (peer.BilinearOp() for _ in range(2))
        self.softmax = torch.nn.Softmax(dim=-1)

    def forward(self, x):
        q, k, v = (module(x.transpose(1, 2)) for module in self.inner)
        weights = self.softmax(self.first(q / np.sqrt(3), k.transpose(1, 2)))
        return self.out(self.second(weights, v)).transpose(1, 2)


def norm_of(layer):
    return Positionwise(
        given(torch.nn.LayerNorm(WIDTH, eps=layer.epsilon), weight=tensor(layer.gamma), bias=tensor(layer.beta))
    )


def rms_of(layer):
    return Positionwise(given(torch.nn.RMSNorm(WIDTH, eps=layer.epsilon), weight=tensor(layer.scale)))


#: What a layer is in Keras, and in PyTorch.
LAYERS = {
    "LayerNormalization": (layers.LayerNormalization, lambda layer, x: layer(x), norm_of),
    "RMSNormalization": (layers.RMSNormalization, lambda layer, x: layer(x), rms_of),
    "Softmax": (layers.Softmax, lambda layer, x: layer(x), lambda layer: torch.nn.Softmax(dim=1)),
    "GLU": (None, lambda layer, x: ops.glu(x, axis=-1), lambda layer: torch.nn.GLU(dim=1)),
    "GELU": (None, lambda layer, x: ops.gelu(x, approximate=False), lambda layer: torch.nn.GELU()),
    "SiLU": (None, lambda layer, x: ops.silu(x), lambda layer: torch.nn.SiLU()),
    "MaxPooling1D": (None, lambda layer, x: ops.max_pool(x, 4, 4), lambda layer: torch.nn.MaxPool1d(4)),
    "squeeze and excite": (
        None,
        lambda layer, x: x * ops.sigmoid(ops.mean(x, axis=1, keepdims=True)),
        lambda layer: Gate(),
    ),
    "MultiHeadAttention": (lambda: layers.MultiHeadAttention(1, 3), lambda layer, x: layer(x, x), SelfAttention),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_tangermeme(name):
    make, apply, in_torch = LAYERS[name]
    layer, first, last = make and make(), layers.Conv1D(WIDTH, 3), layers.Dense(1)
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, last(layers.Flatten()(apply(layer, first(inputs)))))
    draw_weights(model, seed=2)

    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.transpose(1, 2).flatten(1)

    network = torch.nn.Sequential(conv(first), in_torch(layer), Flat(), dense(last)).double().eval()
    bases = np.random.default_rng(3).integers(0, 4, (3, LENGTH)).astype(np.uint8)
    x, references = one_hot(bases), make_references(parse_references("shuffle:4"), bases, 0)
    np.testing.assert_allclose(
        network(torch.from_numpy(x.astype(float)).transpose(1, 2)).detach().numpy(), model(x).numpy(), atol=1e-5
    )
    theirs = peer.deep_lift_shap(
        network,
        torch.from_numpy(x.astype(float)).transpose(1, 2).contiguous(),
        references=torch.from_numpy(references.astype(float)).transpose(2, 3).contiguous(),
        device="cpu",
    )
    theirs = theirs.detach().numpy().transpose(0, 2, 1)
    tf.config.run_functions_eagerly(True)
    try:
        ours = attribute(model, x, "deeplift_rescale", references=references)
    finally:
        tf.config.run_functions_eagerly(False)
    # theirs are hypothetical contributions times the sequence
    expected = (ours.hypothetical * x).sum(axis=2)
    np.testing.assert_allclose(expected, theirs.sum(axis=2), rtol=0, atol=1e-5 * abs(theirs).max())
