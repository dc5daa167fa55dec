"""The DeepSEA Beluga network as a functional Keras model: one-hot in, probabilities out."""

from __future__ import annotations

import keras

from simbench_tf.models.layers import (
    Convolution,
    check_arguments,
    dropout,
    glorot,
    scaled,
    sigmoid_outputs,
    with_first_kernel,
)

_BELUGA = (
    Convolution(320, 8, 1),
    Convolution(320, 8, 4),
    Convolution(480, 8, 1),
    Convolution(480, 8, 4),
    Convolution(640, 8, 1),
    Convolution(640, 8, 1),
)
_BELUGA_DENSE = 2003


# after the convolution of that number
_BELUGA_DROPOUT = {2: 0.2, 4: 0.2, 6: 0.5}


def beluga(
    seq_length: int = 2000,
    n_tasks: int = 1,
    width: float = 1.0,
    seed: int | None = None,
    name: str = "beluga",
    *,
    kernel_size: int = _BELUGA[0].kernel_size,
    padding: str = "valid",
) -> keras.Model:
    """DeepSEA Beluga: three pairs of convolutions of width 8 and one dense layer, without batch normalisation.

    Channels 320, 480 and 640; each pair ends in dropout (.2, .2, .5), the first two in max-pooling by 4; then a dense
    layer of 2003. With 2002 tasks at 2000 bp it has 149,536,251 parameters, as published. The output cannot see bases
    that pooling leaves over at the end: the last 10 of 2000 (1990-1999), and of 400 those from 390 on;
    ``padding="same"`` sees all.

    Parameters
    ----------
    seq_length : int
        Length of the input in bases; at least 310 with valid convolutions and the paper's kernels.
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
    padding : {"valid", "same"}
        Of the convolutions; pooling never pads.

    Returns
    -------
    keras.Model
        Input float32 (N, seq_length, 4); output float32 (N, n_tasks), probabilities.

    Raises
    ------
    ValueError
        The length is too short for the layers (the least is named), or another argument is out of range.

    References
    ----------
    Zhou et al., "Deep learning sequence-based ab initio prediction of variant effects on expression and disease risk",
    Nature Genetics 2018.

    Examples
    --------
    >>> beluga(seq_length=400, width=0.01).get_layer("flatten").output.shape  # 6 positions of 6 channels
    (None, 36)
    """
    convolutions = with_first_kernel(_BELUGA, kernel_size)
    check_arguments(seq_length, n_tasks, width, padding, convolutions)
    inputs = x = keras.Input((seq_length, 4), name="one_hot")
    for number, (channels, kernel, pool_size) in enumerate(convolutions, 1):
        x = keras.layers.Conv1D(
            scaled(channels, width),
            kernel,
            padding=padding,
            kernel_initializer=glorot(seed, f"conv{number}"),
            name=f"conv{number}",
        )(x)
        x = keras.layers.ReLU(name=f"conv{number}_relu")(x)
        if number in _BELUGA_DROPOUT:
            x = dropout(_BELUGA_DROPOUT[number], seed, f"dropout{number}")(x)
        if pool_size > 1:
            x = keras.layers.MaxPooling1D(pool_size, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(scaled(_BELUGA_DENSE, width), kernel_initializer=glorot(seed, "dense1"), name="dense1")(x)
    x = keras.layers.ReLU(name="dense1_relu")(x)
    return keras.Model(inputs, sigmoid_outputs(x, n_tasks, seed, None), name=name)
