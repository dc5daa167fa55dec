"""Gradient methods: saliency, gradient x input, and integrated gradients along two paths.

All take ``correct=True``: the mean over the four channels is subtracted from each gradient (Majdandzic et al. 2023),
which drops the part of it that points off the plane on which one-hot sequences lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simbench_tf.attribution.network import Forward, Network, input_gradient
from simbench_tf.attribution.references import References, content_index
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.dna import bases_of_one_hot
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms

Array = npt.NDArray[np.float32]


def _corrected(gradients: Array, correct: bool) -> Array:
    return gradients - gradients.mean(axis=-1, keepdims=True) if correct else gradients


@register_method("saliency", source="Simonyan et al. 2014")
def saliency(network: Network, one_hot: Array, *, correct: bool = False) -> Parts:
    """The largest |gradient| over the four channels of a position.

    It stands at the observed base in `contributions`. |gradient| of the observed base alone would rank bases just as
    gradient x input does. There are no hypothetical values: a position has one.
    """
    largest = np.abs(_corrected(network.gradients(one_hot), correct)).max(axis=-1, keepdims=True)
    return Parts(largest * one_hot)


@register_method("grad_x_input", source="Shrikumar et al. 2016")
def grad_x_input(network: Network, one_hot: Array, *, correct: bool = False) -> Parts:
    """Gradient times input: the gradient at the observed base; `hypothetical` is the gradient itself."""
    gradients = _corrected(network.gradients(one_hot), correct)
    return Parts(gradients * one_hot, gradients)


def _check_path(references: References, settings: Mapping[str, Any]) -> None:
    """Refuse a path of sequences that would begin at something else than a sequence."""
    array = references.array
    real = np.isin(array, (0, 1)).all() and array.sum(axis=-1).max() <= 1 if array is not None else False
    if settings["path"] == "shuffle" and references.kind != "shuffle" and not real:
        raise InputError(
            "integrated_gradients.references",
            f'{references.kind} is no set of sequences, which path "shuffle" leads from',
            'write references: "shuffle:20"',
        )


@register_method("integrated_gradients", source="Sundararajan et al. 2017", references="zeros", check=_check_path)
def integrated_gradients(
    network: Network,
    one_hot: Array,
    references: Array,
    *,
    n_steps: Annotated[int, Field(ge=1)] = 20,
    path: Literal["linear", "shuffle"] = "linear",
    correct: bool = False,
    random_state: int = 0,
) -> Parts:
    """The mean gradient on the way from a reference to the sequence, times their difference; mean over references.

    The way is cut into `n_steps` equal parts and the gradient taken in the middle of each, at alpha.

    - ``path="linear"``: the points are reference + alpha (input - reference). Contributions add up to the difference
      of the outputs as n_steps grows; `convergence_delta` = sum of contributions - (f(input) - mean f(reference)).
    - ``path="shuffle"``: every point is a real sequence. A position keeps the letter of its reference, a shuffle of
      the sequence, with probability 1 - alpha: it has one uniform number u and shows the input's letter once u <
      alpha, so letters change one by one and none changes back. Gradients at corners need not add up, so the delta
      does not vanish with n_steps; it says how far they are from it.

    `hypothetical` at [l, c] = the mean over references of sum_k m[l, k] (c_k - reference[l, k]), m being the mean
    gradient and c the one-hot of base c: what base c would have been given, so that at the observed base it equals the
    score (the convention of TF-MoDISco). With ``correct=True`` and a reference of zeros, completeness is lost.
    """
    n, n_references, length, _ = references.shape
    n_targets, pairs = len(network.targets), n * n_references
    x = np.repeat(one_hot, n_references, axis=0)
    flat = references.reshape(pairs, length, 4)
    path_gradient = network.compiled(_mean_gradient, path)
    steps = np.array(n_steps, np.int32)
    ways = [x, flat] if path == "linear" else [x, flat, _switch_points(one_hot, references, random_state)]
    gradients = network.each_target(lambda *batch: path_gradient(steps, *batch), *ways)
    gradients = _corrected(gradients, correct).reshape(n_targets, n, n_references, length, 4)
    contributions = (gradients * (one_hot[:, None] - references)).mean(axis=2)
    hypothetical = (gradients - (gradients * references).sum(axis=-1, keepdims=True)).mean(axis=2)
    change = network.outputs(one_hot) - network.outputs(flat).reshape(n_targets, n, n_references).mean(axis=2)
    delta = contributions.sum(axis=(2, 3), dtype=np.float64) - change
    return Parts(contributions, hypothetical, convergence_delta=delta.astype(np.float32))


def _switch_points(one_hot: Array, references: Array, random_state: int) -> Array:
    """The u of each position on each path, (n R, L): from the letters of the sequence alone, as its shuffles."""
    n, n_references, length, _ = references.shape
    indices = content_index(bases_of_one_hot(one_hot))
    draws = uniforms(random_state, "integrated_gradients path", indices, n_references * length)
    return draws.reshape(n * n_references, length).astype(np.float32)


def linear_point(alpha: Any, x: Any, reference: Any) -> Any:
    """The point alpha of the straight path; tensors (P, L, 4)."""
    return reference + alpha * (x - reference)


def shuffle_point(alpha: Any, x: Any, reference: Any, switch: Any) -> Any:
    """The point alpha of the path of sequences: the input's letter where `switch` (P, L) is below alpha."""
    import tensorflow as tf

    return tf.where(switch[:, :, None] < alpha, x, reference)


_POINTS: dict[str, Callable[..., Any]] = {"linear": linear_point, "shuffle": shuffle_point}


def _mean_gradient(forward: Forward, path: str) -> Callable[..., Any]:
    """Compile the mean gradient over the midpoints of a path, summed on the device step by step."""
    import tensorflow as tf

    point = _POINTS[path]

    @tf.function
    def mean_gradient(n_steps: Any, *way_and_target: Any) -> Any:
        *way, target = way_and_target
        n = tf.cast(n_steps, tf.float32)

        def step(number: Any, total: Any) -> Any:
            alpha = (tf.cast(number, tf.float32) + 0.5) / n
            return number + 1, total + input_gradient(forward, point(alpha, *way), target)

        start = (tf.constant(0), tf.zeros_like(way[0]))
        return tf.while_loop(lambda number, _: number < n_steps, step, start)[1] / n

    return mean_gradient
