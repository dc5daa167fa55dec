"""Random functional Keras models over one-hot DNA: branches, attention, normalisation, gates, shared layers.

A model is written as a seed and a list of block names; weights are drawn from the seed, of either sign.
"""

import keras
import numpy as np
from keras import layers, ops

LENGTH = 24
WIDTH = 4


@keras.saving.register_keras_serializable("simbench_tf.tests")
class AddPositions(layers.Layer):
    """An embedding of positions that is added."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(64, WIDTH, dtype=self.dtype_policy)

    def build(self, shape):
        self.embedding.build()
        self.built = True

    def call(self, x):
        return x + self.embedding(ops.arange(x.shape[1]))


@keras.saving.register_keras_serializable("simbench_tf.tests")
class TransformerBlock(layers.Layer):
    """A layer of the user's own, made of Keras' layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.first, self.second = (layers.LayerNormalization(**policy) for _ in range(2))
        self.attention = layers.MultiHeadAttention(2, 3, **policy)
        self.wide, self.narrow = layers.Dense(6, "gelu", **policy), layers.Dense(WIDTH, **policy)

    def build(self, shape):
        self.first.build(shape)
        self.attention.build(shape, shape)
        self.second.build(shape)
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 6))
        self.built = True

    def call(self, x, training=None):
        inner = self.first(x)
        x = x + self.attention(inner, inner, training=training)
        return x + self.narrow(self.wide(self.second(x)))


@keras.saving.register_keras_serializable("simbench_tf.tests")
class Scaled(layers.Layer):
    """A layer of the user's own, with a weight and operations of its own."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")
        self.built = True

    def call(self, x):
        return ops.tanh(x) * ops.exp(self.scale) + ops.sqrt(ops.square(x) + 0.5) * x


def _attention_pooling(x):
    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))
    return layers.RepeatVector(x.shape[1])(ops.sum(weights * x, axis=1))


def _squeeze_excite(x):
    squeezed = layers.Dense(3, "relu")(layers.GlobalAveragePooling1D()(x))
    return layers.Multiply()([x, layers.Reshape((1, WIDTH))(layers.Dense(WIDTH, "sigmoid")(squeezed))])


def _statistics(x):
    mean, largest = ops.mean(x, axis=1, keepdims=True), ops.max(x, axis=1, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=1, keepdims=True)
    return ops.concatenate([(x - mean) * ops.rsqrt(variance + 0.1), x / (1.0 + ops.exp(-largest))], axis=-1)


def _products(x):
    gram = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    mixed = ops.einsum("bij,bjc->bic", ops.softmax(gram, axis=-1), layers.Dense(WIDTH)(x))
    return ops.stack([mixed, ops.log(ops.square(mixed) + 1.0)], axis=-1)[..., 1] + ops.power(mixed, 3) * 0.1


def _twice(x):
    shared = layers.Dense(WIDTH, "tanh")
    return layers.Average()([shared(x), shared(shared(x))])


def _dot(x):
    left, right = layers.Dense(WIDTH)(x), layers.Dense(WIDTH, "tanh")(x)
    return layers.Dense(WIDTH)(layers.Dot(axes=2)([left, right]))


def _reach(x):
    other = layers.DepthwiseConv1D(3, padding="same")(x)
    return layers.Concatenate()([layers.Maximum()([x, other]), layers.Minimum()([x, other])])


def _transposed(x):
    return layers.Conv1DTranspose(WIDTH, 4, strides=2, padding="same")(layers.AveragePooling1D(2)(x))


def _pooled(x):
    return layers.UpSampling1D(2)(layers.MaxPooling1D(2)(x))


def _cropped(x):
    return ops.pad(ops.split(x, 2, axis=1)[1], ((0, 0), (0, x.shape[1] - x.shape[1] // 2), (0, 0)))


def _glu(x):
    return ops.glu(layers.Dense(2 * WIDTH)(x), axis=-1)


def _swiglu(x):
    return layers.Dense(WIDTH, "silu")(x) * layers.Dense(WIDTH)(x)


def _channels(x):
    return layers.Permute((2, 1))(layers.BatchNormalization(axis=1)(layers.Permute((2, 1))(x)))


BLOCKS = {
    "conv": lambda x: layers.Conv1D(WIDTH, 5, padding="same", activation="relu")(x),
    "batch_norm": lambda x: layers.ReLU()(layers.BatchNormalization()(x)),
    "channels": _channels,
    "layer_norm": lambda x: layers.LayerNormalization()(x),
    "group_norm": lambda x: layers.GroupNormalization(2)(x),
    "rms_norm": lambda x: layers.RMSNormalization()(x),
    "unit_norm": lambda x: layers.UnitNormalization()(layers.Dense(WIDTH)(x)),
    "attention": lambda x: layers.MultiHeadAttention(2, 3)(x, x),
    "causal_attention": lambda x: layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    "grouped_attention": lambda x: layers.GroupQueryAttention(3, 4, 2)(x, x),
    "attention_layer": lambda x: layers.Attention()([x, layers.Dense(WIDTH)(x)]),
    "attention_pooling": _attention_pooling,
    "transformer": lambda x: TransformerBlock()(x),
    "positions": lambda x: AddPositions()(x),
    "own_layer": lambda x: Scaled()(x),
    "squeeze_excite": _squeeze_excite,
    "glu": _glu,
    "swiglu": _swiglu,
    "subtract": lambda x: layers.Subtract()([layers.Dense(WIDTH, "elu")(x), x]),
    "dot": _dot,
    "reach": _reach,
    "separable": lambda x: layers.SeparableConv1D(WIDTH, 3, padding="same", dilation_rate=2)(x),
    "transposed": _transposed,
    "pooled": _pooled,
    "statistics": _statistics,
    "products": _products,
    "twice": _twice,
    "cropped": _cropped,
}
ENDS = {
    "flatten": lambda x: layers.Dense(6, "relu")(layers.Flatten()(x)),
    "average": lambda x: layers.GlobalAveragePooling1D()(x),
    "max": lambda x: layers.GlobalMaxPooling1D()(x),
    # of few numbers: where a softmax is saturated, the output's change is nothing but rounding
    "softmax": lambda x: layers.Dense(5, "softmax")(layers.LayerNormalization()(layers.GlobalAveragePooling1D()(x))),
}


def random_model(seed, blocks, residual, end, length=LENGTH):
    """Build a model of some blocks, each maybe with a residual sum around it, under Keras' present precision."""
    keras.backend.clear_session()
    inputs = keras.Input((length, 4))
    x = layers.Conv1D(WIDTH, 5, padding="same")(inputs)
    for block, is_residual in zip(blocks, residual, strict=True):
        made = BLOCKS[block](x)
        if made.shape[-1] != WIDTH:
            made = layers.Dense(WIDTH)(made)
        x = layers.Add()([x, made]) if is_residual else made
    model = keras.Model(inputs, layers.Dense(2)(ENDS[end](x)))
    draw_weights(model, seed)
    return model


def draw_weights(model, seed):
    """Weights of either sign; variances and factors of normalisation away from zero."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if "variance" in weight.name:
            value = rng.uniform(0.5, 2, shape)
        elif "gamma" in weight.name or weight.name == "scale":
            value = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
        elif len(shape) > 1:
            value = rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
        else:
            value = rng.normal(0, 0.2, shape)
        weight.assign(value)


def random_recipe(rng, most=4):
    """A recipe of a model: what `random_model` takes after the seed."""
    blocks = rng.choice(sorted(BLOCKS), rng.integers(1, most + 1)).tolist()
    return blocks, [bool(b) for b in rng.integers(0, 2, len(blocks))], str(rng.choice(sorted(ENDS)))
