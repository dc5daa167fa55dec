"""Averages of the weights along training: Keras' exponential moving average, put in their place to validate and keep.

The averages are variables of the optimizer, so that checkpoints hold them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


class Adam(keras.optimizers.Adam):
    """Keras' Adam, whose weights the end of a `fit` leaves as they are: an interrupted round is another `fit`."""

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Do nothing; Keras would overwrite the weights by their averages."""


@contextmanager
def averages_in_place(model: keras.Model) -> Iterator[None]:
    """Exchange a compiled model's weights for their averages within the context, where its optimizer keeps any."""
    optimizer = model.optimizer
    if not optimizer.use_ema:
        yield
        return
    weights = model.trainable_variables
    before = [variable.numpy() for variable in weights]
    for variable, average in zip(weights, optimizer._model_variables_moving_average, strict=True):
        variable.assign(average.numpy())
    try:
        yield
    finally:
        for variable, value in zip(weights, before, strict=True):
            variable.assign(value)


@contextmanager
def statistics_as_slow_as_averages(model: keras.Model, ema_momentum: float | None) -> Iterator[None]:
    """Let batch normalisation's running statistics lag as far behind as averages of the weights, within the context.

    Those of its own, shorter memory are of newer weights than the averages, and do not fit them.
    """
    layers = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = max(layer.momentum, ema_momentum or 0.0)
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
