"""Any model over one-hot DNA as a function to explain: logit or probability, some targets, batches of one shape.

The model is never edited. Where it ends in a sigmoid, a second model over the same layers and weights ends at that
sigmoid's input. Compiled functions are kept as long as the model lives and is not edited, and batches are padded to a
few sizes, so that TensorFlow traces a function once and not at each call.
"""

from __future__ import annotations

import logging
import operator
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.batch_size import fitting_batch_size
from simbench_tf.attribution.model_state import state_of
from simbench_tf.attribution.outside_model import OutsideModel, forward_of, open_outside
from simbench_tf.errors import InputError

# TensorFlow is imported where it is used, so that listing and checking methods does not wait for it.
if TYPE_CHECKING:
    from simbench_tf.attribution.form_settings import Form, Held, Layout

_log = logging.getLogger(__name__)
Array = npt.NDArray[np.float32]
Output = Literal["logit", "probability"]
#: What is computed in: float32, or as the model says.
Precision = Literal["float32", "model"]
Forward = Callable[[Any], Any]


@dataclass(frozen=True)
class _ModelFunction:
    """One output of one model: a function from one-hot (N, L, 4) to float32 (N, n_outputs), and what is compiled."""

    forward: Forward
    graph: Any | None
    n_outputs: int
    seq_length: int | None
    outside: OutsideModel | None = None
    #: Weights in float32, and those of half precision that they come from.
    converted: Sequence[tuple[Any, Any]] = ()
    compiled: dict[tuple[Any, ...], Callable[..., Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """What a method sees of a model.

    Attributes
    ----------
    targets : tuple of int
        Indices of the outputs to explain; T of them.
    batch_size : int
        How many sequences go through the model together.
    """

    _function: _ModelFunction
    targets: tuple[int, ...]
    batch_size: int

    @property
    def n_outputs(self) -> int:
        """How many outputs the model has."""
        return self._function.n_outputs

    @property
    def graph(self) -> Any:
        """The functional Keras model that ends at the explained output, for methods that look at layers.

        Raises
        ------
        InputError
            The model is a subclassed one, whose layers are not connected in a graph, or none of Keras'.
        """
        if self._function.graph is None:
            raise InputError("model", "is not a functional or Sequential model", "choose a method that reads no layers")
        return self._function.graph

    @property
    def is_outside(self) -> bool:
        """Whether the model is none of Keras', so that it shows no layers here."""
        return self._function.outside is not None

    @property
    def torch_module(self) -> Any:
        """The PyTorch module from (N, 4, L) to the explained outputs; None where the model is another."""
        outside = self._function.outside
        return None if outside is None or outside.module is None else outside.module()

    def compiled(self, make: Callable[..., Callable[..., Any]], *options: Hashable) -> Callable[..., Any]:
        """Return ``make(forward, *options)``, made once for the model; `make` returns a `tf.function`.

        `forward` maps a float32 tensor (n, L, 4) to the explained outputs, float32 (n, n_outputs).
        """
        functions = self._function.compiled
        if (make, *options) not in functions:
            functions[(make, *options)] = make(self._function.forward, *options)
        return functions[(make, *options)]

    def compiled_options(self, make: Callable[..., Callable[..., Any]]) -> list[tuple[Any, ...]]:
        """List the options with which `compiled` made functions of the model by `make` so far."""
        return [tuple(options) for made, *options in self._function.compiled if made is make]

    def in_batches(self, function: Callable[..., Any], *arrays: npt.NDArray[Any], axis: int = 0) -> Array:
        """Call ``function(*batches)`` on batches of the rows of `arrays` and join what comes out along an axis.

        The last batch is filled up with zeros, and what comes out for these is dropped.
        """
        n = len(arrays[0])
        results = []
        for start in range(0, max(n, 1), self.batch_size):
            batches = [array[start : start + self.batch_size] for array in arrays]
            rows = len(batches[0])
            size = padded_size(rows, self.batch_size)
            result = function(*(_padded(batch, size) for batch in batches)).numpy()
            results.append(result[:rows] if axis == 0 else result[:, :rows])
        return np.concatenate(results, axis) if len(results) > 1 else np.ascontiguousarray(results[0])

    def outputs(self, one_hot: Array) -> Array:
        """Explained outputs of each sequence, (n, L, 4) -> float32 (T, n)."""
        import tensorflow as tf

        values, targets = self.compiled(_values), tf.constant(self.targets)
        return np.ascontiguousarray(self.in_batches(lambda batch: values(batch, targets), one_hot).T)

    def gradients(self, one_hot: Array) -> Array:
        """Gradients of each target with regard to the input, (n, L, 4) -> float32 (T, n, L, 4)."""
        return self.all_targets(self.compiled(_gradients), one_hot)

    def all_targets(self, function: Callable[..., Any], *arrays: npt.NDArray[Any]) -> Array:
        """Run `in_batches` with a function that is given all targets as its last argument and returns (T, n, ...)."""
        import tensorflow as tf

        targets = tf.constant(self.targets)
        return self.in_batches(lambda *batches: function(*batches, targets), *arrays, axis=1)

    def each_target(self, function: Callable[..., Any], *arrays: npt.NDArray[Any]) -> Array:
        """Run `in_batches` anew for each target, which is given to `function` as its last argument: (T, n, ...)."""
        import tensorflow as tf

        def one(target: int) -> Array:
            index = tf.constant(target)
            return self.in_batches(lambda *batches: function(*batches, index), *arrays)

        return np.stack([one(target) for target in self.targets])


def input_gradients(forward: Forward, x: Any, targets: Any) -> Any:
    """Gradients of outputs with regard to the inputs, from one forward pass: (n, L, 4), (T,) -> (T, n, L, 4)."""
    import tensorflow as tf

    if hasattr(forward, "gradients"):  # another framework's
        return forward.gradients(x, targets)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = forward(x)
    return target_gradients(tape, outputs, x, targets)


def target_gradients(tape: Any, outputs: Any, at: Any, targets: Any) -> Any:
    """Gradients of each target among `outputs`, (n, n_outputs), with regard to `at`, (n, ...): (T, n, ...).

    The forward pass is on the tape, and only the backward pass is computed for each target.
    """
    import tensorflow as tf

    n, n_outputs = tf.unstack(tf.shape(outputs))

    def gradient(target: Any) -> Any:
        # sequences do not act on each other, so the gradient of the sum over them holds that of each
        chosen = tf.one_hot(tf.fill((n,), target), n_outputs)
        return tape.gradient(outputs, at, chosen, tf.UnconnectedGradients.ZERO)

    return tf.map_fn(gradient, targets, fn_output_signature=at.dtype)


def _values(forward: Forward) -> Callable[..., Any]:
    import tensorflow as tf

    # batches come in a few sizes: one graph serves them all
    return tf.function(
        lambda x, targets: tf.gather(forward(x), targets, axis=1), autograph=False, reduce_retracing=True
    )


def _gradients(forward: Forward) -> Callable[..., Any]:
    import tensorflow as tf

    return tf.function(lambda x, targets: input_gradients(forward, x, targets), autograph=False, reduce_retracing=True)


def padded_size(n: int, batch_size: int) -> int:
    """Rows of the batch that n rows are filled up to: one of a dozen sizes, little above n, up to `batch_size`."""
    eighth = max(batch_size // 8, 1)
    if n > eighth:
        return min(batch_size, -(-n // eighth) * eighth)
    return min(batch_size, 1 << max(n - 1, 0).bit_length())


def _padded(array: npt.NDArray[Any], size: int) -> Any:
    import tensorflow as tf

    if len(array) < size:
        array = np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])
    return tf.convert_to_tensor(array)


# what is explained of a model

# with the state that the model was in
_CACHE: weakref.WeakKeyDictionary[Any, tuple[Hashable, dict[Hashable, _ModelFunction]]] = weakref.WeakKeyDictionary()


def open_network(
    model: Any,
    seq_length: int,
    target: int | Sequence[int] = 0,
    output: Output = "logit",
    batch_size: int | None = None,
    head: str | int | None = None,
    layout: Layout | None = None,
    held: Mapping[str, Held] | None = None,
    precision: Precision = "float32",
) -> Network:
    """Open a model to attribution methods.

    Parameters
    ----------
    model : keras.Model, keras.layers.Layer, torch.nn.Module or callable
        Input (N, L, 4), output (N, n_outputs), or another form that `head`, `layout` and `held` make so. Functional
        and Sequential models of any origin; subclassed ones, and layers such as TFSMLayer, with
        ``output="probability"`` only, since their last layer can't be seen. A PyTorch module takes (N, 4, L). Any
        other callable is a function that predicts, from float32 (N, L, 4) to (N, n_outputs).
    seq_length : int
        L of the sequences to be explained.
    target : int or sequence of int, default 0
        Which outputs.
    output : {"logit", "probability"}, default "logit"
        The input of the final sigmoid, or what the model returns. A model that ends in a linear layer returns its
        logit; of softmax over two classes the logit of a class is the difference of the softmax's two inputs.
    batch_size : int, optional
        By default as many as fit the memory, at most 256.
    head, layout, held
        As `plain_model` takes them, of a Keras model; `layout` also of a PyTorch module (by default NCL) or a function
        (by default NLC).
    precision : {"float32", "model"}, default "float32"
        "model" computes in half precision where a Keras model does.

    Returns
    -------
    network : Network

    Raises
    ------
    InputError
        The model has another form, it has no known logit, or a target is not among its outputs.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((5, 4)), keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")])
    >>> network = open_network(model, 5, target=[0, 1])
    >>> network.outputs(np.zeros((3, 5, 4), np.float32)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    import keras

    from simbench_tf.attribution.form_settings import Form

    if output not in ("logit", "probability"):
        raise InputError("output", f"{output!r} is not known", 'write "logit" or "probability"')
    if batch_size is not None and operator.index(batch_size) < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    if precision not in ("float32", "model"):
        raise InputError("precision", f"{precision!r} is not known", 'write "float32" or "model"')
    if isinstance(model, keras.layers.Layer):
        explained = _model_function(model, output, seq_length, Form(head, layout, held or {}), precision)
    else:
        _check_only_layout(head, held)
        explained = _outside_function(model, output, seq_length, layout)
    if explained.seq_length not in (None, seq_length):
        raise InputError("model", f"takes {explained.seq_length} bases, the sequences have {seq_length}", "match them")
    targets = _checked_targets(target, explained.n_outputs)
    n_bytes = None if explained.outside is None else explained.outside.bytes_of_outputs
    return Network(explained, targets, batch_size or fitting_batch_size(explained.graph, seq_length, n_bytes=n_bytes))


def _check_only_layout(head: str | int | None, held: Mapping[str, Held] | None) -> None:
    """Refuse for models that are not Keras' what only those take."""
    for name, value in (("head", head), ("held", held)):
        if value:
            mend = "wrap the model in one with one input and one output"
            raise InputError(name, "is of Keras models, and this model is none", mend)


def _model_function(model: Any, output: Output, seq_length: int, form: Form, precision: Precision) -> _ModelFunction:
    """The function of a model as it is now: one that was edited in place is read anew."""
    state = state_of(model)
    kept, functions = _CACHE.get(model, (None, {}))
    if kept != state:
        functions = {}
        _CACHE[model] = (state, functions)
    # an input of any length may be held, or turned, for one length only
    key = (output, form.key(), precision, seq_length if form.held or form.layout else None)
    if key not in functions:
        functions[key] = _explain(model, output, seq_length, form, precision)
    for ours, theirs in functions[key].converted:
        ours.assign(theirs)
    return functions[key]


def _outside_function(model: Any, output: Output, seq_length: int, layout: Layout | None) -> _ModelFunction:
    """The function of a model of another framework, as it is now; kept as those of Keras models are."""
    outside = open_outside(model, seq_length, output, layout)
    made = _ModelFunction(forward_of(outside), None, outside.n_outputs, seq_length, outside)
    try:
        kept, functions = _CACHE.get(model, (None, {}))
        if kept != outside.state:
            functions = {}
            _CACHE[model] = (outside.state, functions)
    except TypeError:  # what cannot be a key is compiled at each call
        return made
    return functions.setdefault(output, made)


def _checked_targets(target: int | Sequence[int], n_outputs: int) -> tuple[int, ...]:
    targets = tuple(operator.index(index) for index in ([target] if np.ndim(target) == 0 else target))  # type: ignore[union-attr,arg-type]
    for index in targets:
        if not 0 <= index < n_outputs:
            raise InputError("target", f"{index} is no output of the model", f"choose among 0 to {n_outputs - 1}")
    if not targets:
        raise ValueError("target is an empty list")
    return targets


def _explain(model: Any, output: Output, seq_length: int, form: Form, precision: Precision) -> _ModelFunction:
    import keras
    import tensorflow as tf

    from simbench_tf.attribution.logit import logit_of
    from simbench_tf.attribution.model_forms import made_plain
    from simbench_tf.attribution.model_graph import is_graph

    if not is_graph(model):
        return _explain_subclassed(model, output, seq_length, form)
    plain = made_plain(model, seq_length, form)
    result = tuple(plain.outputs[0].shape)
    plain, converted = _in_float32(plain) if precision == "float32" else (plain, ())
    end = logit_of(plain) if output == "logit" else plain.outputs[0]
    # a model of our own over the same layers: holding the user's one here would keep it alive for ever
    graph = keras.Model(plain.inputs[0], end)
    length = plain.inputs[0].shape[1]
    return _ModelFunction(
        lambda x: tf.cast(graph(x, training=False), tf.float32), graph, result[1], length, converted=converted
    )


def _in_float32(model: Any) -> tuple[Any, Sequence[tuple[Any, Any]]]:
    """A model that computes in float32, and weights that were converted; where it can't be copied, as it is."""
    from simbench_tf.attribution.shared_copies import NOT_COPIED, computes_in_half, in_float32

    if not computes_in_half(model):
        return model, ()
    try:
        return in_float32(model)
    except NOT_COPIED as error:
        _log.warning(
            "model: is explained in half precision, since it can't be copied: %s", " ".join(str(error).split())
        )
        return model, ()


def _explain_subclassed(model: Any, output: Output, seq_length: int, form: Form) -> _ModelFunction:
    import tensorflow as tf

    from simbench_tf.attribution.logit import AS_IT_IS
    from simbench_tf.attribution.model_forms import turned_input
    from simbench_tf.attribution.model_heads import chosen_output

    if output == "logit":
        raise InputError("model", "shows no layers (subclassed, or not built yet), so no logit can be told", AS_IT_IS)
    living: Callable[[], Any] = weakref.ref(model)  # which lives: only a call upon it leads here
    turned = turned_input(form, seq_length)

    def forward(x: Any) -> Any:
        return tf.cast(chosen_output(living()(turned(x), training=False), form), tf.float32)

    result = tuple(forward(tf.zeros((1, seq_length, 4))).shape)
    _check_output_shape(result)
    return _ModelFunction(forward, None, result[1], None)


def _check_output_shape(shape: tuple[int | None, ...]) -> None:
    if len(shape) != 2 or shape[1] is None:
        raise InputError("model", f"has output of shape {shape}", "reduce it to (N, number of outputs) in a wrapper")
