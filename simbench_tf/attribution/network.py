"""Any model over one-hot DNA as a function to explain: logit or probability, some targets, batches of one shape.

The model is never edited. Where it ends in a sigmoid, a second model over the same layers and weights ends at that
sigmoid's input. Compiled functions are kept as long as the model lives and is not edited, and batches are padded to a
few sizes, so that TensorFlow traces a function once and not at each call.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.batch_size import fitting_batch_size
from simbench_tf.attribution.layer_geometry import is_quantized, kind_of, named
from simbench_tf.attribution.model_state import state_of
from simbench_tf.attribution.outside_model import Layout, OutsideModel, forward_of, open_outside
from simbench_tf.errors import InputError

# TensorFlow is imported where it is used, so that listing and checking methods does not wait for it.

Array = npt.NDArray[np.float32]
Output = Literal["logit", "probability"]
Forward = Callable[[Any], Any]


# names in a Keras model must differ
_NEW_NAME = "simbench_tf_logits_of_"
_AS_IT_IS = 'explain what the model returns, as it is, with output="probability"'


@dataclass(frozen=True)
class _ModelFunction:
    """One output of one model: a function from one-hot (N, L, 4) to float32 (N, n_outputs), and what is compiled."""

    forward: Forward
    graph: Any | None
    n_outputs: int
    seq_length: int | None
    outside: OutsideModel | None = None
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
_CACHE: weakref.WeakKeyDictionary[Any, tuple[Hashable, dict[Output, _ModelFunction]]] = weakref.WeakKeyDictionary()


def open_network(
    model: Any,
    seq_length: int,
    target: int | Sequence[int] = 0,
    output: Output = "logit",
    batch_size: int | None = None,
    layout: Layout | None = None,
) -> Network:
    """Open a model to attribution methods.

    Parameters
    ----------
    model : keras.Model, torch.nn.Module or callable
        Input (N, L, 4), output (N, n_outputs). Functional and Sequential models of any origin; subclassed ones with
        ``output="probability"`` only, since their last layer can't be seen. A PyTorch module takes (N, 4, L). Any
        other callable is a function that predicts, from float32 (N, L, 4) to (N, n_outputs).
    seq_length : int
        L of the sequences to be explained.
    target : int or sequence of int, default 0
        Which outputs.
    output : {"logit", "probability"}, default "logit"
        The input of the final sigmoid, or what the model returns. A model that ends in a linear layer returns its
        logit.
    batch_size : int, optional
        By default as many as fit the memory, at most 256.
    layout : {"NCL", "NLC"}, optional
        Of the input of a PyTorch module (by default NCL) or a function (by default NLC).

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

    if output not in ("logit", "probability"):
        raise InputError("output", f"{output!r} is not known", 'write "logit" or "probability"')
    if batch_size is not None and operator.index(batch_size) < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    if isinstance(model, keras.Model):
        explained = _model_function(model, output, seq_length)
    else:
        explained = _outside_function(model, output, seq_length, layout)
    if explained.seq_length not in (None, seq_length):
        raise InputError("model", f"takes {explained.seq_length} bases, the sequences have {seq_length}", "match them")
    targets = _checked_targets(target, explained.n_outputs)
    n_bytes = None if explained.outside is None else explained.outside.bytes_of_outputs
    return Network(explained, targets, batch_size or fitting_batch_size(explained.graph, seq_length, n_bytes=n_bytes))


def _model_function(model: Any, output: Output, seq_length: int) -> _ModelFunction:
    """The function of a model as it is now: one that was edited in place is read anew."""
    state = state_of(model)
    kept, functions = _CACHE.get(model, (None, {}))
    if kept != state:
        functions = {}
        _CACHE[model] = (state, functions)
    if output not in functions:
        functions[output] = _explain(model, output, seq_length)
    return functions[output]


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


def _explain(model: Any, output: Output, seq_length: int) -> _ModelFunction:
    import keras
    import tensorflow as tf

    from simbench_tf.attribution.model_graph import is_graph

    if not is_graph(model):
        return _explain_subclassed(model, output, seq_length)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise InputError("model", f"has {counts}", "wrap it in one with a single input and a single output")
    shape, result = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(shape) != 3 or shape[2] != 4:
        raise InputError("model", f"takes input of shape {shape}", "it must be (N, L, 4), channels A, C, G, T")
    _check_output_shape(result)
    end = _logit(model) if output == "logit" else model.outputs[0]
    # a model of our own over the same layers: holding the user's one here would keep it alive for ever
    graph = keras.Model(model.inputs[0], end)
    return _ModelFunction(lambda x: tf.cast(graph(x, training=False), tf.float32), graph, result[1], shape[1])


def _explain_subclassed(model: Any, output: Output, seq_length: int) -> _ModelFunction:
    import tensorflow as tf

    if output == "logit":
        raise InputError("model", "shows no layers (subclassed, or not built yet), so no logit can be told", _AS_IT_IS)
    living: Callable[[], Any] = weakref.ref(model)  # which lives: only a call upon it leads here

    def forward(x: Any) -> Any:
        return tf.cast(living()(x, training=False), tf.float32)

    result = tuple(forward(tf.zeros((1, seq_length, 4))).shape)
    _check_output_shape(result)
    return _ModelFunction(forward, None, result[1], None)


def _check_output_shape(shape: tuple[int | None, ...]) -> None:
    if len(shape) != 2 or shape[1] is None:
        raise InputError("model", f"has output of shape {shape}", "reduce it to (N, number of outputs) in a wrapper")


def _logit(model: Any) -> Any:
    """The tensor that goes into the final sigmoid of a functional model; the output where the ending is linear."""
    import keras

    end = model.outputs[0]
    logit = _into_sigmoid(end)
    if logit is None:
        return end
    if logit.shape == end.shape:
        return logit
    return keras.layers.Reshape(end.shape[1:], dtype=logit.dtype, name=_NEW_NAME + "shape")(logit)


def _into_sigmoid(tensor: Any, said_linear: bool = False) -> Any | None:
    """What goes into the sigmoid that a tensor comes out of, looking through what changes nothing; None for logits.

    `said_linear`: a linear activation follows, so that what any operation but an activation gives is taken for logits.
    """
    import keras

    from simbench_tf.attribution.ending import changes_nothing, is_linear, is_no_activation, is_sigmoid
    from simbench_tf.attribution.model_graph import is_graph

    history = tensor._keras_history
    last = history.operation
    node = last._inbound_nodes[history.node_index]
    if node.is_input:
        raise InputError("model", "returns its input as it is, so no logit can be told", _AS_IT_IS)
    if changes_nothing(node):
        return _into_sigmoid(node.input_tensors[0], said_linear or kind_of(last) == "Activation")
    if is_graph(last) and len(node.input_tensors) == 1:
        inner = _into_sigmoid(last.outputs[history.tensor_index], said_linear)
        if inner is None:
            return None
        return keras.Model(last.inputs[0], inner, name=_NEW_NAME + last.name)(node.input_tensors[0])
    if is_linear(last) or (said_linear and is_no_activation(last)):
        return None
    if is_sigmoid(last):
        return node.input_tensors[0] if kind_of(last) != "Dense" else _without_activation(last)(node.input_tensors[0])
    activation = getattr(last, "activation", None)
    ending = named(last) if kind_of(last) else f"{named(last)}, a class that is not Keras' own"
    if activation is not None:
        ending += f" with activation {getattr(activation, '__name__', activation)}"
    raise InputError("model", f"ends in {ending}, neither a sigmoid nor a linear layer", _AS_IT_IS)


def _without_activation(dense: Any) -> Any:
    """A layer that does what `dense` does before its activation, with the very same weights."""
    import keras

    if is_quantized(dense):
        what = f"{named(dense)} computes in {dense.quantization_mode}, so what goes into its sigmoid cannot be read"
        raise InputError("model", what, _AS_IT_IS)

    class Linear(keras.layers.Layer):
        linear_part_of = dense  # for methods that look at layers

        def call(self, inputs: Any) -> Any:
            product = keras.ops.matmul(inputs, dense.kernel)
            return product if dense.bias is None else keras.ops.add(product, dense.bias)

    return Linear(dtype=dense.dtype_policy, name=_NEW_NAME + dense.name)
