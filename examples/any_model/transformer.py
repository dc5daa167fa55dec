"""A small transformer: a convolution, positions, two blocks of attention, and pooling by attention."""

import keras
from keras import layers

WIDTH, HEADS, BASES_A_TOKEN = 32, 4, 8


@keras.saving.register_keras_serializable("any_model")
class Positions(layers.Layer):
    """A vector for each position, the same for every sequence."""

    gives_constant = True  # by this attribution methods know that it does not look at the sequence

    def build(self, shape):
        self.vectors = self.add_weight(shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02))

    def call(self, x):
        return keras.ops.zeros_like(x) + self.vectors


def build(seq_length: int, n_tasks: int) -> keras.Model:
    """The network: (N, L, 4) -> (N, n_tasks)."""
    inputs = keras.Input((seq_length, 4))
    x = layers.Conv1D(2 * WIDTH, 19, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling1D(BASES_A_TOKEN)(x)
    x = layers.Dense(WIDTH)(x)
    x = layers.Add()([x, Positions()(x)])
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)])
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, "gelu")(y))])
    x = layers.LayerNormalization()(x)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))  # of each token
    pooled = layers.Flatten()(layers.Dot(axes=1)([weights, x]))
    return keras.Model(inputs, layers.Dense(n_tasks, "sigmoid")(pooled), name="transformer")
