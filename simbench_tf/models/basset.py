"""The two networks of the field as functional Keras models that anyone can open: one-hot in, probabilities out.

Both take float32 one-hot DNA, shape (N, seq_length, 4) with channels A, C, G, T, and end in a Dense layer named
``logits`` without activation and a float32 sigmoid named ``probabilities``, so that a method which explains the logit
finds it by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from simbench_tf.random_streams import stream_key


class _Convolution(NamedTuple):
    """One convolution, and the max-pooling after it (1 for none)."""

    channels: int
    kernel_size: int
    pool_size: int


_BASSET = (_Convolution(300, 19, 3), _Convolution(200, 11, 4), _Convolution(200, 7, 4))
_BASSET_DENSE = (1000, 1000)
_BASSET_DROPOUT = 0.3

_BELUGA = (
    _Convolution(320, 8, 1),
    _Convolution(320, 8, 4),
    _Convolution(480, 8, 1),
    _Convolution(480, 8, 4),
    _Convolution(640, 8, 1),
    _Convolution(640, 8, 1),
)
_BELUGA_DENSE = 2003
# after the convolution of that number
_BELUGA_DROPOUT = {2: 0.2, 4: 0.2, 6: 0.5}


def basset(
    seq_length: int = 600,
    n_tasks: int = 1,
    width: float = 1.0,
    padding: str = "valid",
    max_norm: float | None = None,
    seed: int | None = None,
    name: str = "basset",
    *,
    kernel_size: int = _BASSET[0].kernel_size,
) -> keras.Model:
    """Basset: three convolutions and two dense layers, batch-normalised before each ReLU.

    Convolutions 300 x 19, 200 x 11 and 200 x 7 with max-pooling by 3, 4 and 4, then two dense layers of 1000 with
    dropout .3. At 600 bp the convolutions leave 10 positions of 200 channels.

    Parameters
    ----------
    seq_length : int
        Length of the input in bases; at least 168 with valid convolutions and the paper's kernels.
    n_tasks : int
        Number of outputs.
    width : float
        Factor on the channels of every convolution and the units of every dense layer, rounded, at least 1 each.
    padding : {"valid", "same"}
        Of the convolutions; pooling never pads.
    max_norm : float, optional
        Largest norm of the weights into each unit; the original trained with 7.
    seed : int, optional
        Makes the initial weights and the dropout reproducible; without it they differ at each call.
    name : str
        The model's name.
    kernel_size : int, default 19
        Of the first convolution; a short one sees parts of motifs only.

    Returns
    -------
    keras.Model
        Input float32 (N, seq_length, 4); output float32 (N, n_tasks), probabilities.

    Raises
    ------
    ValueError
        The length is too short for the layers (the least length is told), or another argument is out of range.

    References
    ----------
    Kelley, Snoek and Rinn, "Basset: learning the regulatory code of the accessible genome with deep convolutional
    neural networks", Genome Research 2016; hyperparameters of ``pretrained_params.txt`` in its repository.

    Examples
    --------
    >>> model = basset(seq_length=600, n_tasks=164, width=0.1)
    >>> model.output_shape, model.get_layer("flatten").output.shape
    ((None, 164), (None, 200))
    """
    convolutions = _with_first_kernel(_BASSET, kernel_size)
    _check(seq_length, n_tasks, width, padding, convolutions)
    inputs = x = keras.Input((seq_length, 4), name="one_hot")
    for number, (channels, kernel, pool_size) in enumerate(convolutions, 1):
        x = keras.layers.Conv1D(
            _scaled(channels, width),
            kernel,
            padding=padding,
            kernel_initializer=_glorot(seed, f"conv{number}"),
            kernel_constraint=_norm_at_most(max_norm, [0, 1]),
            name=f"conv{number}",
        )(x)
        x = _batch_norm(f"conv{number}")(x)
        x = keras.layers.ReLU(name=f"conv{number}_relu")(x)
        x = keras.layers.MaxPooling1D(pool_size, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(_BASSET_DENSE, 1):
        x = keras.layers.Dense(
            _scaled(units, width),
            kernel_initializer=_glorot(seed, f"dense{number}"),
            kernel_constraint=_norm_at_most(max_norm, 0),
            name=f"dense{number}",
        )(x)
        x = _batch_norm(f"dense{number}")(x)
        x = keras.layers.ReLU(name=f"dense{number}_relu")(x)
        x = _dropout(_BASSET_DROPOUT, seed, f"dropout{number}")(x)
    return keras.Model(inputs, _outputs(x, n_tasks, seed, _norm_at_most(max_norm, 0)), name=name)


def beluga(
    seq_length: int = 2000,
    n_tasks: int = 1,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "beluga",
    *,
    kernel_size: int = _BELUGA[0].kernel_size,
) -> keras.Model:
    """DeepSEA Beluga: three pairs of convolutions of width 8 and one dense layer, without batch normalisation.

    Channels 320, 480 and 640; each pair ends in dropout (.2, .2, .5), the first two in max-pooling by 4; then a dense
    layer of 2003. With 2002 tasks at 2000 bp it has 149,536,251 parameters, as published.

    Parameters
    ----------
    seq_length : int
        Length of the input in bases; at least 310.
    n_tasks : int
        Number of outputs.
    width : float
        Factor on the channels of every convolution and the units of the dense layer, rounded, at least 1 each.
    seed : int, optional
        Makes the initial weights and the dropout reproducible; without it they differ at each call.
    name : str
        The model's name.
    kernel_size : int, default 8
        Of the first convolution; a short one sees parts of motifs only.

    Returns
    -------
    keras.Model
        Input float32 (N, seq_length, 4); output float32 (N, n_tasks), probabilities.

    Raises
    ------
    ValueError
        The length is too short for the layers (the least length is told), or another argument is out of range.

    References
    ----------
    Zhou et al., "Deep learning sequence-based ab initio prediction of variant effects on expression and disease risk",
    Nature Genetics 2018.

    Examples
    --------
    >>> beluga(seq_length=400, width=0.01).get_layer("flatten").output.shape  # 6 positions of 6 channels
    (None, 36)
    """
    convolutions = _with_first_kernel(_BELUGA, kernel_size)
    _check(seq_length, n_tasks, width, "valid", convolutions)
    inputs = x = keras.Input((seq_length, 4), name="one_hot")
    for number, (channels, kernel, pool_size) in enumerate(convolutions, 1):
        x = keras.layers.Conv1D(
            _scaled(channels, width),
            kernel,
            kernel_initializer=_glorot(seed, f"conv{number}"),
            name=f"conv{number}",
        )(x)
        x = keras.layers.ReLU(name=f"conv{number}_relu")(x)
        if number in _BELUGA_DROPOUT:
            x = _dropout(_BELUGA_DROPOUT[number], seed, f"dropout{number}")(x)
        if pool_size > 1:
            x = keras.layers.MaxPooling1D(pool_size, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(_scaled(_BELUGA_DENSE, width), kernel_initializer=_glorot(seed, "dense1"), name="dense1")(x)
    x = keras.layers.ReLU(name="dense1_relu")(x)
    return keras.Model(inputs, _outputs(x, n_tasks, seed, None), name=name)


def _check(seq_length: int, n_tasks: int, width: float, padding: str, convolutions: Sequence[_Convolution]) -> None:
    if padding not in ("valid", "same"):
        raise ValueError(f'padding must be "valid" or "same", not {padding!r}')
    if n_tasks < 1 or not width > 0:
        raise ValueError(f"need at least one task and a width above 0, not {n_tasks} and {width}")
    if convolutions[0].kernel_size < 1:
        raise ValueError(f"kernel_size must be at least 1, not {convolutions[0].kernel_size}")
    least = _least_length(convolutions, padding)
    if seq_length < least:
        raise ValueError(f"seq_length {seq_length} is too short for the layers, the least that works is {least}")


def _with_first_kernel(convolutions: Sequence[_Convolution], kernel_size: int) -> list[_Convolution]:
    return [convolutions[0]._replace(kernel_size=kernel_size), *convolutions[1:]]


def _least_length(convolutions: Sequence[_Convolution], padding: str) -> int:
    """The shortest input that leaves one position after the last layer, found from the end."""
    length = 1
    for layer in reversed(convolutions):
        length *= layer.pool_size
        if padding == "valid":
            length += layer.kernel_size - 1
    return length


def _scaled(size: int, width: float) -> int:
    return max(1, round(size * width))


def _layer_seed(seed: int | None, layer: str) -> int | None:
    # one stream a layer: layers of the same shape must not start alike
    return None if seed is None else int(stream_key(seed, f"layer {layer}")) % 2**31


def _glorot(seed: int | None, layer: str) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=_layer_seed(seed, layer))


def _dropout(rate: float, seed: int | None, name: str) -> keras.layers.Layer:
    return keras.layers.Dropout(rate, seed=_layer_seed(seed, name), name=name)


def _batch_norm(layer: str) -> keras.layers.Layer:
    # Torch's constants, with which Basset was trained; Keras' slower momentum would need 500 batches to settle
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{layer}_bn")


def _norm_at_most(max_norm: float | None, axis: int | list[int]) -> keras.constraints.Constraint | None:
    """Bound the norm of the weights into each unit: over all axes but the last, which counts the units."""
    return None if max_norm is None else keras.constraints.MaxNorm(max_norm, axis=axis)


def _outputs(x: Any, n_tasks: int, seed: int | None, constraint: keras.constraints.Constraint | None) -> Any:
    logits = keras.layers.Dense(
        n_tasks, kernel_initializer=_glorot(seed, "logits"), kernel_constraint=constraint, name="logits"
    )(x)
    # float32 even where the layers before compute in less: a probability near 1 needs the digits
    return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits)
