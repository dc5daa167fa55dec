"""The Basset network as a functional Keras model: one-hot DNA in, probabilities out.

It and `beluga` take float32 one-hot DNA, shape (N, seq_length, 4) with channels A, C, G, T, and end in a Dense layer
named ``logits`` without activation and a float32 sigmoid named ``probabilities``, so that the logit can be found by
name.
"""

from __future__ import annotations

import keras

from simbench_tf.models.layers import (
    Convolution,
    batch_norm,
    check_arguments,
    dropout,
    glorot,
    norm_at_most,
    scaled,
    sigmoid_outputs,
    with_first_kernel,
)

_BASSET = (Convolution(300, 19, 3), Convolution(200, 11, 4), Convolution(200, 7, 4))
_BASSET_DENSE = (1000, 1000)
_BASSET_DROPOUT = 0.3


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
    dropout .3. At 600 bp the convolutions leave 10 positions of 200 channels, and the output depends on all bases. At
    other lengths valid convolutions and pooling leave bases over at the end, which it cannot see: of 400 the last 40
    (360-399), as `simbench_tf.attribution.receptive_field.visible_bases` finds; ``padding="same"`` sees all 400.

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
        The length is too short for the layers (the least is named), or another argument is out of range.

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
    convolutions = with_first_kernel(_BASSET, kernel_size)
    check_arguments(seq_length, n_tasks, width, padding, convolutions)
    inputs = x = keras.Input((seq_length, 4), name="one_hot")
    for number, (channels, kernel, pool_size) in enumerate(convolutions, 1):
        x = keras.layers.Conv1D(
            scaled(channels, width),
            kernel,
            padding=padding,
            kernel_initializer=glorot(seed, f"conv{number}"),
            kernel_constraint=norm_at_most(max_norm, [0, 1]),
            name=f"conv{number}",
        )(x)
        x = batch_norm(f"conv{number}")(x)
        x = keras.layers.ReLU(name=f"conv{number}_relu")(x)
        x = keras.layers.MaxPooling1D(pool_size, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(_BASSET_DENSE, 1):
        x = keras.layers.Dense(
            scaled(units, width),
            kernel_initializer=glorot(seed, f"dense{number}"),
            kernel_constraint=norm_at_most(max_norm, 0),
            name=f"dense{number}",
        )(x)
        x = batch_norm(f"dense{number}")(x)
        x = keras.layers.ReLU(name=f"dense{number}_relu")(x)
        x = dropout(_BASSET_DROPOUT, seed, f"dropout{number}")(x)
    return keras.Model(inputs, sigmoid_outputs(x, n_tasks, seed, norm_at_most(max_norm, 0)), name=name)
