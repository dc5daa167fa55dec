"""Models that are not Keras' as functions to explain: PyTorch modules, and any function that predicts (ONNX files).

TensorFlow calls them from within its graphs, so every method that asks for outputs, or for gradients with regard to the
input, works on them as it does on a Keras model. Methods that read layers do not.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.form_settings import Layout
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms

# TensorFlow is imported where it is used, PyTorch never: whoever has a module of it has imported it.

Array = npt.NDArray[np.float32]
#: Random sequences that a model is tried on when it is opened.
TRIED = 2


@dataclass(frozen=True, eq=False)
class OutsideModel:
    """What is known of a model of another framework, opened for sequences of a length and an output to explain.

    Attributes
    ----------
    n_outputs : int
    predict : callable
        float32 (n, L, 4) -> float32 (n, n_outputs).
    pull_back : callable or None
        The inputs (n, L, 4) and weights of outputs (T, n, n_outputs) -> gradients of the T weighted sums of outputs,
        float32 (T, n, L, 4). None where there are no gradients.
    no_gradients : str
        Why there are none.
    state : hashable
        What it computes but for its weights; a model of another state is another function.
    module : callable or None
        Makes a PyTorch module (N, 4, L) -> (N, n_outputs) of the explained outputs; None for other models.
    bytes_of_outputs : int or None
        Bytes of what all modules give for one sequence, where these can be counted.
    """

    n_outputs: int
    predict: Callable[[Array], Array]
    state: Hashable
    pull_back: Callable[[Array, Array], Array] | None = None
    no_gradients: str = ""
    module: Callable[[], Any] | None = None
    bytes_of_outputs: int | None = None


def is_torch_module(model: Any) -> bool:
    """Whether a model is a module of PyTorch, which is not imported to find out."""
    return any(each.__module__ == "torch.nn.modules.module" and each.__name__ == "Module" for each in type(model).mro())


def open_outside(model: Any, seq_length: int, output: str, layout: Layout | None) -> OutsideModel:
    """Open a PyTorch module, or a function that predicts, to be explained.

    Raises
    ------
    InputError
        It is neither, it fails, or what it gives has another form.
    """
    if is_torch_module(model):
        from simbench_tf.attribution.torch_model import open_torch

        return open_torch(model, seq_length, output, layout or "NCL")
    if not callable(model):
        what, known = f"is a {type(model).__name__}, not a Keras model", "a torch.nn.Module, load_onnx(FILE)"
        raise InputError("model", what, f"give a keras.Model, {known} or a function predict(one_hot) -> (N, T)")
    return _open_function(model, seq_length, output, layout or "NLC")


def _open_function(function: Callable[..., Any], seq_length: int, output: str, layout: Layout) -> OutsideModel:
    living = weakref.ref(function)  # a method of an object lives as long as the call that it was given to
    # of ONNX files it is known what goes into the final sigmoid
    name = "logits" if output == "logit" and hasattr(function, "logits") else "__call__"

    def predict(x: Array) -> Array:
        called = getattr(living(), name)
        return as_outputs(called(x if layout == "NLC" else np.ascontiguousarray(x.transpose(0, 2, 1))), len(x))

    tried = tried_on(predict, trial(seq_length))
    why = "it only predicts, and has no gradients"
    return OutsideModel(tried.shape[1], predict, (layout, seq_length, tried.shape[1]), no_gradients=why)


def trial(seq_length: int) -> Array:
    """A few random sequences, (n, L, 4)."""
    return one_hot((4 * uniforms(0, "trial", range(TRIED), seq_length)).astype(np.uint8))


def tried_on(function: Callable[[Array], Any], x: Array) -> Any:
    """What a model gives for a trial; InputError, in one line, where it fails.

    Raises
    ------
    InputError
    """
    try:
        return function(x)
    except InputError:
        raise
    except Exception as error:  # a model of others may raise anything
        shown = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        what = f"fails on {len(x)} sequences of {x.shape[1]} bases: {shown}"
        raise InputError("model", what, "see that it takes this length, and its layout (NCL or NLC)") from error


def as_outputs(values: Any, n: int) -> Array:
    """Predictions for n sequences as float32 (n, T).

    Raises
    ------
    InputError
        They are no array (n, T) or (n,).

    Examples
    --------
    >>> as_outputs([0.5, 1], 2).tolist()
    [[0.5], [1.0]]
    """
    if isinstance(values, (dict, tuple)):
        what = f"gives a {type(values).__name__} of {len(values)}"
        raise InputError("model", what, "wrap it in a function that gives one array (N, number of outputs)")
    found = np.asarray(values, np.float32)
    if found.shape[:1] != (n,) or found.ndim not in (1, 2):
        what = f"has output of shape {found.shape} for {n} sequences"
        raise InputError("model", what, "reduce it to (N, number of outputs) in a wrapper")
    return np.ascontiguousarray(found.reshape(n, -1))


def forward_of(outside: OutsideModel) -> Callable[[Any], Any]:
    """The function from a tensor (n, L, 4) to outputs (n, n_outputs), with gradients where the model has them.

    Its attribute `gradients` is a function from (n, L, 4) and targets (T,) to gradients (T, n, L, 4), by one forward
    pass of the model and T back, where a tape would run the model forward again for each.
    """
    import tensorflow as tf

    def pulled_back(x: Any, weights: Any) -> Any:
        if outside.pull_back is None:
            raise InputError("model", outside.no_gradients, "choose ism or dependency_map, which need predictions only")
        gradients = tf.numpy_function(outside.pull_back, [x, weights], tf.float32)
        gradients.set_shape((weights.shape[0], *x.shape))
        return gradients

    @tf.custom_gradient
    def forward(x: Any) -> Any:
        values = tf.numpy_function(outside.predict, [x], tf.float32)
        values.set_shape((x.shape[0], outside.n_outputs))
        return values, lambda weights: pulled_back(x, weights[None])[0]

    def gradients(x: Any, targets: Any) -> Any:
        chosen = tf.one_hot(targets, outside.n_outputs)[:, None, :]
        return pulled_back(x, tf.tile(chosen, (1, tf.shape(x)[0], 1)))

    forward.gradients, forward.module = gradients, outside.module
    return forward
