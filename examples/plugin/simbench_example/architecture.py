"""An architecture: a small network of dilated convolutions with residuals, as in Basenji and BPNet."""

from typing import Annotated

from pydantic import Field


def dilated(
    seq_length: int,
    n_tasks: int,
    seed: int,
    *,
    n_filters: Annotated[int, Field(ge=1)] = 32,
    n_layers: Annotated[int, Field(ge=1, le=10)] = 4,
):
    """One convolution of 15 bases, then dilated ones of 3 that look 2, 4, 8, ... bases away, and a mean over places."""
    import keras  # here, so that reading a configuration loads no TensorFlow

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((seq_length, 4))
    x = keras.layers.Conv1D(n_filters, 15, padding="same", activation="relu")(inputs)
    for layer in range(1, n_layers + 1):
        further = keras.layers.Conv1D(n_filters, 3, padding="same", dilation_rate=2**layer, activation="relu")(x)
        x = keras.layers.Add()([x, further])
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(n_tasks, activation="sigmoid")(x))
