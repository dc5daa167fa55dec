"""Gradient methods: saliency, gradient x input, SmoothGrad, and integrated and expected gradients.

All take ``correct=True``: the mean over the four channels is subtracted from each gradient (Majdandzic et al. 2023),
which drops the part of it that points off the plane on which one-hot sequences lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simbench_tf.attribution.network import Forward, Network, input_gradients
from simbench_tf.attribution.references import References, content_index
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.dna import bases_of_one_hot
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms

Array = npt.NDArray[np.float32]


def _corrected(gradients: Array, correct: bool) -> Array:
    return gradients - gradients.mean(axis=-1, keepdims=True) if correct else gradients


@register_method("saliency", title="saliency", source="Simonyan et al. 2014", needs="gradients")
def saliency(network: Network, one_hot: Array, *, correct: bool = False) -> Parts:
    """The largest |gradient| over the four channels of a position.

    It stands at the observed base in `contributions`. |gradient| of the observed base alone would rank bases just as
    gradient x input does. There are no hypothetical values: a position has one.
    """
    largest = np.abs(_corrected(network.gradients(one_hot), correct)).max(axis=-1, keepdims=True)
    return Parts(largest * one_hot)


@register_method("grad_x_input", title="gradient × input", source="Shrikumar et al. 2016", needs="gradients")
def grad_x_input(network: Network, one_hot: Array, *, correct: bool = False) -> Parts:
    """Gradient times input: the gradient at the observed base; `hypothetical` is the gradient itself."""
    gradients = _corrected(network.gradients(one_hot), correct)
    return Parts(gradients * one_hot, gradients)


@register_method(
    "smoothgrad", title="SmoothGrad", source="Smilkov et al. 2017", chunk=256, needs=("gradients", "any_rows")
)
def smoothgrad(
    network: Network,
    one_hot: Array,
    *,
    n_samples: Annotated[int, Field(ge=1)] = 50,
    noise: Annotated[float, Field(gt=0)] = 0.15,
    correct: bool = False,
    random_state: int = 0,
) -> Parts:
    """SmoothGrad of gradient x input: the mean gradient at `n_samples` noisy copies of the input, times the input.

    Smilkov et al. average maps of gradients, whose sizes alone they show. Here the mean gradient is multiplied by the
    sequence without its noise, so that a base gets one value with a sign, and one that compares with gradient x input;
    `hypothetical` is the mean gradient itself. `noise` is the standard deviation of the Gaussian, as a share of the
    range of the input, which is 1; the paper advises 0.1 to 0.2. All four channels of a base get it, those of N none.
    """
    indices = content_index(bases_of_one_hot(one_hot))
    known = one_hot.any(axis=-1, keepdims=True)
    total = np.zeros((len(network.targets), *one_hot.shape))
    for sample in range(n_samples):
        # a stream for each copy, so that the first of many copies are those of few
        deviates = _normal(random_state, f"smoothgrad {sample}", indices, math.prod(one_hot.shape[1:]))
        total += network.gradients(one_hot + np.float32(noise) * deviates.reshape(one_hot.shape) * known)
    gradients = _corrected((total / n_samples).astype(np.float32), correct)
    return Parts(gradients * one_hot, gradients)


def _normal(random_state: int, purpose: str, indices: npt.NDArray[np.int64], n_draws: int) -> Array:
    """Standard normal draws for each index, (n, n_draws): Box and Muller 1958."""
    half = -(-n_draws // 2)
    radius, angle = np.split(uniforms(random_state, purpose, indices, 2 * half), 2, axis=1)
    # 1 - u lies in (0, 1], of which there is a logarithm
    radius, angle = np.sqrt(-2 * np.log1p(-radius)), 2 * np.pi * angle
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :n_draws].astype(np.float32)


# gradients between references and the sequence


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


@register_method(
    "integrated_gradients",
    title="integrated gradients",
    source="Sundararajan et al. 2017",
    references="zeros",
    check=_check_path,
    needs="gradients",
)
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
      does not vanish with n_steps; it shows how far they are from it.

    `hypothetical` at [l, c] = the mean over references of sum_k m[l, k] (c_k - reference[l, k]), m being the mean
    gradient and c the one-hot of base c: what base c would have been given, so that at the observed base it equals the
    score (the convention of TF-MoDISco). With ``correct=True`` and a reference of zeros, completeness is lost.
    """
    x, flat = _pairs(one_hot, references)
    path_gradient = network.compiled(_mean_gradient, path)
    steps = np.array(n_steps, np.int32)
    ways = [x, flat] if path == "linear" else [x, flat, _switch_points(one_hot, references, random_state)]
    gradients = network.all_targets(lambda *batch: path_gradient(steps, *batch), *ways)
    return contributions_from_references(network, one_hot, references, _corrected(gradients, correct))


@register_method(
    "expected_gradients",
    title="expected gradients",
    source="Erion et al. 2021",
    references="shuffle:20",
    needs="gradients",
)
def expected_gradients(
    network: Network,
    one_hot: Array,
    references: Array,
    *,
    n_samples: Annotated[int, Field(ge=1)] = 10,
    correct: bool = False,
    random_state: int = 0,
) -> Parts:
    """The mean gradient at random points between references and the sequence, times their difference.

    For each reference, `n_samples` points reference + alpha (input - reference) are drawn, alpha uniform in (0, 1).
    Erion et al. draw the reference of each point, too; here every one of a sequence's references has as many points,
    which has the same expectation and less variance. Contributions add up to the difference of the outputs as the
    number of points grows; `convergence_delta` shows how far they are from it, and `hypothetical` is defined as for
    integrated gradients. Points depend on the seed and on each sequence's own letters only.
    """
    n, n_references = references.shape[:2]
    indices = content_index(bases_of_one_hot(one_hot))
    draws = uniforms(random_state, "expected_gradients", indices, n_references * n_samples)
    alphas = draws.reshape(n * n_references, n_samples).astype(np.float32)
    gradients = network.all_targets(network.compiled(_mean_gradient_at), *_pairs(one_hot, references), alphas)
    return contributions_from_references(network, one_hot, references, _corrected(gradients, correct))


def _pairs(one_hot: Array, references: Array) -> tuple[Array, Array]:
    """Each sequence beside each of its references: (n R, L, 4) and (n R, L, 4)."""
    return np.repeat(one_hot, references.shape[1], axis=0), references.reshape(-1, *one_hot.shape[1:])


def contributions_from_references(network: Network, one_hot: Array, references: Array, gradients: Array) -> Parts:
    """Contributions, hypothetical ones and delta from mean gradients of all pairs, (T, n R, L, 4)."""
    n, n_references, length, _ = references.shape
    n_targets = len(network.targets)
    gradients = gradients.reshape(n_targets, n, n_references, length, 4)
    contributions = (gradients * (one_hot[:, None] - references)).mean(axis=2)
    hypothetical = (gradients - (gradients * references).sum(axis=-1, keepdims=True)).mean(axis=2)
    at_references = network.outputs(references.reshape(-1, length, 4)).reshape(n_targets, n, n_references)
    change = network.outputs(one_hot) - at_references.mean(axis=2)
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
    def mean_gradient(n_steps: Any, *way_and_targets: Any) -> Any:
        *way, targets = way_and_targets
        n = tf.cast(n_steps, tf.float32)

        def gradient(number: Any) -> Any:
            return input_gradients(forward, point((tf.cast(number, tf.float32) + 0.5) / n, *way), targets)

        return _mean_over_steps(gradient, n_steps, way[0], targets)

    return mean_gradient


def _mean_gradient_at(forward: Forward) -> Callable[..., Any]:
    """Compile the mean gradient over points of the straight path, each pair having its own: alphas (P, n_samples)."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def mean_gradient(x: Any, references: Any, alphas: Any, targets: Any) -> Any:
        def gradient(number: Any) -> Any:
            alpha = tf.gather(alphas, number, axis=1)[:, None, None]
            return input_gradients(forward, linear_point(alpha, x, references), targets)

        return _mean_over_steps(gradient, tf.shape(alphas)[1], x, targets)

    return mean_gradient


def _mean_over_steps(gradient: Callable[[Any], Any], n_steps: Any, x: Any, targets: Any) -> Any:
    """The mean of gradient(0), gradient(1), ... gradient(n_steps - 1), each (T, ...) as x has (...)."""
    import tensorflow as tf

    def step(number: Any, total: Any) -> Any:
        # a recurrent layer forgets how many sequences there are, and the loop wants one shape throughout
        return number + 1, tf.ensure_shape(total + gradient(number), total.shape)

    start = (tf.constant(0), tf.zeros((tf.size(targets), *tf.unstack(tf.shape(x)))))
    return tf.while_loop(lambda number, _: number < n_steps, step, start)[1] / tf.cast(n_steps, tf.float32)
