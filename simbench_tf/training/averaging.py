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
    """Exchange a compiled model's weights for their averages within the context, where its optimizer keeps any.

    Statistics of batch normalisation are those of the weights that were trained.
    """
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
