"""DeepLIFT over Keras functional models: Rescale, RevealCancel and the genomics default; both parts are returned.

The rules are those of Shrikumar, Greenside and Kundaje (2017, arXiv:1704.02685) as the authors' own program has them;
so are the small constants. Each sequence is compared with references of its own. It goes through the network once,
its references once, and only the multipliers come back once for every target.

Contributions = multiplier x (input - reference), mean over references. `positive` and `negative` are what of them
comes from positive and from negative differences, summed over channels: a base that stands in the sequence and not in
the reference, and one that stands in the reference only. `hypothetical` at [l, c] = the mean over references of
sum_k m[l, k] (c_k - reference[l, k]), c being the one-hot of base c, as TF-MoDISco takes it. `convergence_delta` = sum
of contributions - (f(input) - mean f(reference)), f being the model itself and not what its layers are read as: zero
but for rounding, save with ``maxpool="gradient"`` and for layers that compute in less than float32, as the rules do.
Where an output changes by so little that float32's rounding shows, both are computed in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.deeplift.own_change import outputs_in_float64, own_change
from simbench_tf.attribution.network import Forward, Network
from simbench_tf.attribution.registry import Parts, register_method

Array = npt.NDArray[np.float32]
MaxPoolRule = Literal["rescale", "gradient"]
_SOURCE = "Shrikumar et al. 2017"
_REFERENCES = "shuffle:10"


# a delta that is more than this share of the contributions' sizes, and no more than so many times what float32 rounds
# off an output, may be rounding: float64 tells
_LACKING, _LAST_DIGITS = 5e-6, 32
#: Sequences and references that go through the network together on a CPU; more of them only leave its caches.
_ROWS_ON_CPU = 88


@register_method("deeplift_rescale", title="DeepLIFT Rescale", source=_SOURCE, references=_REFERENCES, needs="layers")
def deeplift_rescale(network: Network, one_hot: Array, references: Array, *, maxpool: MaxPoolRule = "rescale") -> Parts:
    """DeepLIFT, Rescale rule: an activation passes on the ratio of its output's change to its input's."""
    return _deeplift(network, one_hot, references, "rescale", maxpool)


@register_method(
    "deeplift_revealcancel", title="DeepLIFT RevealCancel", source=_SOURCE, references=_REFERENCES, needs="layers"
)
def deeplift_revealcancel(
    network: Network, one_hot: Array, references: Array, *, maxpool: MaxPoolRule = "rescale"
) -> Parts:
    """DeepLIFT, RevealCancel rule: what raises an activation's input and what lowers it get multipliers apart."""
    return _deeplift(network, one_hot, references, "revealcancel", maxpool)


@register_method(
    "deeplift_genomics", title="DeepLIFT (genomics)", source=_SOURCE, references=_REFERENCES, needs="layers"
)
def deeplift_genomics(
    network: Network, one_hot: Array, references: Array, *, maxpool: MaxPoolRule = "rescale"
) -> Parts:
    """DeepLIFT as its authors advise for DNA: Rescale after convolutions, RevealCancel after dense layers."""
    return _deeplift(network, one_hot, references, "genomics", maxpool)


def _deeplift(network: Network, one_hot: Array, references: Array, rule: str, maxpool: MaxPoolRule) -> Parts:
    from simbench_tf.attribution.deeplift.read_model import dtype_of

    dtype = dtype_of(network.graph).name
    found, n_together = _found(network, one_hot, references, rule, maxpool, dtype)
    outputs = network.outputs if dtype == "float32" else functools.partial(outputs_in_float64, network)
    change, last_digit = own_change(outputs, one_hot, references, found.change, n_together)
    off = np.abs(found.delta(change))
    rows = np.flatnonzero(((off > _LACKING * found.sizes()) & (off <= _LAST_DIGITS * last_digit)).any(axis=0))
    if dtype == "float32" and len(rows):
        x, background = one_hot[rows], references[rows]
        exact, _ = _found(network, x, background, rule, maxpool, "float64")
        for all_rows, some in zip(found, exact, strict=True):
            all_rows[:, rows] = some
        # what the layers give stands for the model only where the model gives the same, to its last digits
        same = np.abs(exact.change - change[:, rows]) <= _LAST_DIGITS * last_digit
        change[:, rows] = np.where(same, exact.change, change[:, rows])
    delta = found.delta(change).astype(found.positive.dtype)
    parts = found.positive.sum(axis=-1), found.negative.sum(axis=-1)
    return Parts(found.positive + found.negative, found.hypothetical, *parts, delta)


class _Found(NamedTuple):
    """Contributions of positive and negative differences, and hypothetical ones, (T, n, L, 4); the change, (T, n)."""

    positive: Array
    negative: Array
    hypothetical: Array
    change: Array

    def delta(self, change: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """By how much contributions add up to more than the change of the outputs, (T, n)."""
        return (self.positive + self.negative).sum(axis=(2, 3), dtype=np.float64) - change

    def sizes(self) -> npt.NDArray[np.float64]:
        """Sums of the contributions' sizes, (T, n)."""
        return np.abs(self.positive + self.negative).sum(axis=(2, 3), dtype=np.float64)


def _found(
    network: Network, one_hot: Array, references: Array, rule: str, maxpool: MaxPoolRule, dtype: str
) -> tuple[_Found, int]:
    """Explain sequences in float32 or float64, and tell how many went through the model together."""
    n, n_references, length, _ = references.shape
    how = (network.graph, rule, maxpool, dtype)
    size = _size(network, n, how, (n_references, length))
    explain = network.compiled(_explainer, *how, size, n_references, length)
    pieces = []
    for start in range(0, max(n, 1), size):
        x, background = one_hot[start : start + size], references[start : start + size]
        results = explain(_filled(x, size), _filled(background, size), network.targets)
        pieces.append([result[:, : len(x)] for result in results])
    return _Found(*(np.concatenate(piece, axis=1) for piece in zip(*pieces, strict=True))), size


def _size(network: Network, n: int, of_model: tuple[Any, ...], of_references: tuple[int, int]) -> int:
    """Sequences explained together: what fits, in pieces about equal, or the next size that is compiled already.

    XLA compiles each size anew, which takes longer than to explain some sequences more. Sizes are powers of two, or
    all that fit.
    """
    fitting = max(1, _rows(network) // (of_references[0] + 1))
    equal = -(-n // -(-n // fitting)) if n else 1
    size = min(fitting, 1 << max(equal - 1, 0).bit_length())
    made = (options for options in network.compiled_options(_explainer) if options[:4] == of_model)
    known = (options[4] for options in made if options[5:] == of_references)
    return min((each for each in known if size <= each <= fitting), default=size)


def _rows(network: Network) -> int:
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return network.batch_size if on_gpu else min(_ROWS_ON_CPU, network.batch_size)


def _filled(array: Array, size: int) -> Any:
    """Fill a batch up to `size` rows, so that one compiled function serves many sizes."""
    import tensorflow as tf

    return tf.constant(np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), np.float32)]))


def _explainer(
    forward: Forward,  # noqa: ARG001
    graph: Any,
    rule: Any,
    maxpool: Any,
    dtype_name: str,
    n: int,
    n_references: int,
    length: int,
) -> Callable[..., list[Array]]:
    """Compile DeepLIFT for a model and a shape of its input: the forward pass, and the backward pass of one target.

    What is returned takes x (n, L, 4), references (n, R, L, 4) and a tuple of T targets, and gives contributions of
    positive and of negative differences and the hypothetical ones, (T, n, L, 4), and f(x) - mean f(reference), (T, n).
    """
    import tensorflow as tf

    from simbench_tf.attribution.deeplift.read_model import read_steps
    from simbench_tf.attribution.deeplift.steps import ForwardPass, contributions, multipliers

    dtype = tf.as_dtype(dtype_name)
    steps = read_steps(graph, rule, maxpool, length, dtype)

    @tf.function(jit_compile=True)
    def forward_pass(x: Any, references: Any) -> tuple[Any, Any]:
        run = ForwardPass(steps, tf.cast(x, dtype), tf.cast(references, dtype))
        at_x, at_references = run.ends(run.values[steps[-1].output])
        return [step.rule.saved(run, step) for step in steps], tf.reduce_mean(at_x - at_references, axis=1)

    @tf.function(jit_compile=True)
    def backward_pass(x: Any, references: Any, saved: Any, top: Any) -> Any:
        pairs = x.shape[0] * references.shape[1]
        m = multipliers(steps, saved, tf.broadcast_to(top, (pairs, top.shape[0])))
        ends = tf.cast(x, dtype), tf.cast(references, dtype)
        return contributions(m.map(lambda both: tf.reshape(both, references.shape)), *ends)

    forward_of_shape, backward_of_shape = forward_pass, backward_pass
    if not tf.config.functions_run_eagerly():
        # concrete functions: a `tf.function` counts the traces of all models and shapes together, and warns of them
        inputs = [tf.TensorSpec((n, length, 4), tf.float32), tf.TensorSpec((n, n_references, length, 4), tf.float32)]
        forward_of_shape = forward_pass.get_concrete_function(*inputs)
        saved, change = forward_of_shape.structured_outputs
        top = tf.TensorSpec(change.shape[1:], dtype)
        backward_of_shape = backward_pass.get_concrete_function(*inputs, saved, top)

    def explain(x: Any, references: Any, targets: tuple[int, ...]) -> list[Array]:
        saved, change = forward_of_shape(x, references)
        tops = [tf.one_hot(target, change.shape[1], dtype=dtype) for target in targets]
        results = zip(*(backward_of_shape(x, references, saved, top) for top in tops), strict=True)
        return [*(np.stack([each.numpy() for each in result]) for result in results), change.numpy().T[list(targets)]]

    return explain
