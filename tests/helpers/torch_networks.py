"""One network in Keras and in PyTorch, with the same weights. Import it after `pytest.importorskip("torch")`."""

import keras
import numpy as np
import torch

from helpers.models import with_weights

LENGTH, N_OUTPUTS = 120, 3
#: Layers of the network, by what both frameworks call them: Keras' name, PyTorch's number.
LAYERS = {"c2": "4", "pool": "3"}


def in_keras(last="sigmoid"):
    """Basset's kind: convolution, normalisation, ReLU and pooling twice, then dense layers."""
    layers = keras.layers
    stack = [
        keras.Input((LENGTH, 4)),
        layers.Conv1D(12, 9, padding="same"),
        layers.BatchNormalization(epsilon=1e-3),
        layers.ReLU(),
        layers.MaxPooling1D(3, name="pool"),
        layers.Conv1D(10, 5, name="c2"),
        layers.ReLU(),
        layers.MaxPooling1D(4),
        layers.Flatten(),
        layers.Dense(20),
        layers.ReLU(),
        layers.Dense(N_OUTPUTS, last),
    ]
    return with_weights(keras.Sequential(stack))


class KerasFlatten(torch.nn.Module):
    """Positions before channels, as Keras flattens."""

    def forward(self, x):
        return x.transpose(1, 2).flatten(1)


class Times(torch.nn.Module):
    """Captum leaves its rule for pooling out where a ReLU stands right before it."""

    def forward(self, x):
        return x * 1.0


def in_torch(model, last=torch.nn.Sigmoid, between=torch.nn.Identity):
    """The network of `in_keras`, with its weights."""
    nn = torch.nn
    stack = [
        nn.Conv1d(4, 12, 9, padding="same"),
        nn.BatchNorm1d(12, eps=1e-3),
        nn.ReLU(),
        nn.MaxPool1d(3) if between is nn.Identity else nn.Sequential(between(), nn.MaxPool1d(3)),
        nn.Conv1d(10 + 2, 10, 5),
        nn.ReLU(),
        nn.MaxPool1d(4) if between is nn.Identity else nn.Sequential(between(), nn.MaxPool1d(4)),
        KerasFlatten(),
        nn.Linear(90, 20),
        nn.ReLU(),
        nn.Linear(20, N_OUTPUTS),
        *([] if last is None else [last()]),
    ]
    module = nn.Sequential(*stack)
    carry_weights(model, module)
    return module


def carry_weights(model, module):
    """Give a PyTorch module the weights of the Keras model that it stands for, layer by layer."""
    layers = [layer for layer in model.layers if layer.weights]
    for layer, made in zip(layers, (each for each in module if list(each.parameters())), strict=True):
        weights = [torch.from_numpy(np.array(array)) for array in layer.get_weights()]
        if isinstance(made, torch.nn.Conv1d):
            weights[0] = weights[0].permute(2, 1, 0).contiguous()
        elif isinstance(made, torch.nn.Linear):
            weights[0] = weights[0].T.contiguous()
        made.weight.data, made.bias.data = weights[:2]
        if isinstance(made, torch.nn.BatchNorm1d):
            made.running_mean, made.running_var = weights[2:]
