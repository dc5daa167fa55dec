"""A small BPNet, a tower of dilated residual convolutions, in Keras and the same in PyTorch.

Avsec et al., Base-resolution models of transcription-factor binding reveal soft motif syntax, Nature Genetics 2021.
"""

import keras

CHANNELS, FIRST_KERNEL, DILATIONS = 32, 21, (2, 4, 8, 16, 32)


def build(seq_length: int, n_tasks: int) -> keras.Model:
    """The network in Keras: (N, L, 4) -> (N, n_tasks)."""
    layers = keras.layers
    inputs = keras.Input((seq_length, 4))
    x = layers.Conv1D(CHANNELS, FIRST_KERNEL, padding="same", activation="relu")(inputs)
    for dilation in DILATIONS:
        change = layers.Conv1D(CHANNELS, 3, padding="same", dilation_rate=dilation, activation="relu")(x)
        x = layers.Add()([x, change])
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, layers.Dense(n_tasks, "sigmoid")(x), name="bpnet")


def build_torch(n_tasks: int):
    """The same in PyTorch: (N, 4, L) -> (N, n_tasks)."""
    import torch

    class BPNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv1d(4, CHANNELS, FIRST_KERNEL, padding="same")
            self.tower = torch.nn.ModuleList(
                torch.nn.Conv1d(CHANNELS, CHANNELS, 3, padding="same", dilation=dilation) for dilation in DILATIONS
            )
            self.last = torch.nn.Linear(CHANNELS, n_tasks)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.first(x))
            for layer in self.tower:
                x = x + torch.relu(layer(x))
            return torch.sigmoid(self.last(x.amax(dim=-1)))

    return BPNet()
