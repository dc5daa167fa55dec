"""`attribute`: any method, any model, one call; arrays in, arrays out."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.lacking import check_taken
from simbench_tf.attribution.network import Network, Output, open_network
from simbench_tf.attribution.outside_model import Layout
from simbench_tf.attribution.references import ReferencesLike, check_fit, make_references
from simbench_tf.attribution.registry import Parts, Request, check_request
from simbench_tf.dna import bases_of_one_hot

Array = npt.NDArray[np.float32]


#: Batches that a method is given at a time, so that its last, half-filled one costs little.
_BATCHES_TOGETHER = 8


class Attribution(NamedTuple):
    """The result of a method for N sequences; with a list of T targets every array has a leading axis T.

    Attributes
    ----------
    scores : float32 array, shape (N, L)
        Contribution of the observed base: the sum of `contributions` over channels.
    contributions : float32 array, shape (N, L, 4)
        Multiplier x (input - reference), mean over references.
    hypothetical : float32 array, shape (N, L, 4), or None
        What each base would have been given had it stood there; at the observed base it equals the score.
    positive, negative : float32 array, shape (N, L), or None
        DeepLIFT's parts apart.
    convergence_delta : float32 array, shape (N,), or None
        Sum of contributions less the difference of the outputs, for methods that promise completeness.
    dependency_maps : float32 array, shape (N, W, W), or None
        Strengths of pairs of bases of a window, for methods of pairs.
    window_start : int64 array, shape (N,), or None
        The window's first base.
    """

    scores: Array
    contributions: Array
    hypothetical: Array | None = None
    positive: Array | None = None
    negative: Array | None = None
    convergence_delta: Array | None = None
    dependency_maps: Array | None = None
    window_start: npt.NDArray[np.int64] | None = None


def attribute(
    model: Any,
    one_hot: npt.NDArray[np.floating],
    method: str = "grad_x_input",
    target: int | Sequence[int] = 0,
    references: ReferencesLike | None = None,
    random_state: int = 0,
    output: Output = "logit",
    batch_size: int | None = None,
    progress: Callable[[int], None] | None = None,
    layout: Layout | None = None,
    **settings: Any,
) -> Attribution:
    """Compute how much each base contributes to a model's output.

    Parameters
    ----------
    model : keras.Model, torch.nn.Module or callable
        Input (N, L, 4), output (N, n_outputs); it is not changed. A PyTorch module takes (N, 4, L) and gives (N,
        n_outputs), logits or what ends in a sigmoid. Any other callable is a function that predicts, from float32
        (N, L, 4) to (N, n_outputs), as `load_onnx` returns; methods that need no gradient take it.
    one_hot : float array, shape (N, L, 4)
        Channels A, C, G, T; rows of zeros for N. N may be 0.
    method : str, default "grad_x_input"
        A name that ``methods()`` lists.
    target : int or sequence of int, default 0
        Which output, or several: then every array has a leading axis of that length.
    references : str or array, optional
        "zeros", "frequency", "shuffle:20" (dinucleotide), or an array (R, L, 4) or (N, R, L, 4); the method's default
        where left out. Shuffles depend on `random_state` and on each sequence's own letters only.
    random_state : int, default 0
    output : {"logit", "probability"}, default "logit"
        Explain the input of the final sigmoid, or what the model returns. Of a function nothing is known but what it
        returns, so that is explained.
    batch_size : int, optional
        Sequences that go through the model together; by default as many as fit the memory, at most 256, which keeps a
        GPU busy. Where the device's memory runs out all the same, half as many are tried, and so on.
    progress : callable, optional
        Called with the number of sequences just explained.
    layout : {"NCL", "NLC"}, optional
        Of the input of a PyTorch module (by default NCL) or a function (by default NLC).
    **settings
        Settings of the method, as ``n_steps=50``.

    Returns
    -------
    attribution : Attribution

    Raises
    ------
    InputError
        Unknown method or setting, references that do not fit, a model of another form, or one that cannot give what the
        method needs.
    ValueError
        `one_hot` has another shape, or a row that is neither one-hot nor zero.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import one_hot
    >>> model = keras.Sequential([keras.Input((3, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])
    >>> model.set_weights([np.arange(12).reshape(12, 1), np.zeros(1)])
    >>> attribute(model, one_hot("ACN"), method="grad_x_input").scores.tolist()
    [[0.0, 5.0, 0.0]]
    """
    request = check_request(method, references, settings)
    bases = bases_of_one_hot(np.asarray(one_hot))
    x = np.ascontiguousarray(one_hot, np.float32)
    network = open_network(model, x.shape[1], target, output, batch_size, layout=layout)
    check_taken(model, method)
    if request.references is not None:
        check_fit(request.references, *bases.shape)
    together = _chunk(request, network)
    parts = []
    # no sequences at all are one empty chunk, so that the arrays come out with their right shapes
    for first in range(0, max(len(x), 1), together):
        rows = slice(first, first + together)
        inputs = (x[rows], bases[rows], first, random_state)
        explained, network = _within_memory(functools.partial(_explain, request, *inputs), network)
        parts.append(explained)
        if progress is not None and len(x):
            progress(len(x[rows]))
    return _joined(parts, single=np.ndim(target) == 0)


def _within_memory(explain: Callable[[Network], Parts], network: Network) -> tuple[Parts, Network]:
    """Explain with batches that the device has memory for: what comes out, and the network with such batches."""
    import tensorflow as tf

    while True:
        try:
            return explain(network), network
        except (tf.errors.ResourceExhaustedError, MemoryError):
            if network.batch_size == 1:
                raise
            network = dataclasses.replace(network, batch_size=network.batch_size // 2)


def _chunk(request: Request, network: Network) -> int:
    """Sequences that the method is given at a time."""
    if request.method.chunk is not None:
        return request.method.chunk
    passes = 1 if request.references is None else request.references.n
    return max(1, _BATCHES_TOGETHER * network.batch_size // passes)


def _explain(
    request: Request, one_hot: Array, bases: npt.NDArray[np.uint8], first_row: int, random_state: int, network: Network
) -> Parts:
    seed = {"random_state": random_state} if request.method.takes_seed else {}
    inputs = [one_hot]
    if request.references is not None:
        inputs.append(make_references(request.references, bases, random_state, first_row))
    return request.method.function(network, *inputs, **request.settings, **seed)


def _joined(parts: list[Parts], single: bool) -> Attribution:
    joined: list[npt.NDArray[Any] | None] = []
    for pieces in zip(*parts, strict=True):
        array = None if pieces[0] is None else np.concatenate(pieces, axis=1)
        joined.append(array[0] if array is not None and single else array)
    contributions = joined[0]
    assert contributions is not None
    return Attribution(contributions.sum(axis=-1), contributions, *joined[1:])
