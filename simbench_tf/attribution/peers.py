"""Methods of other packages, run as they are behind the same call: SHAP's DeepExplainer, tf-keras-vis' Gradcam.

Nothing of them is changed or reimplemented here; they stand beside our own methods to be compared with these. SHAP's
table of rules gains one line: log1p has its rule for functions of single numbers, as exp has. Both packages are
imported when they are first used. Deprecation warnings of their imports, about packages that *they* use, are for their
authors and not shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Forward, Network
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]


# SHAP has a rule for it, whose shapes fit no maximum over an axis (shap 0.51)
_RULES_THAT_FAIL = ("Max",)


@contextmanager
def _their_imports() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        yield


# SHAP


@register_method(
    "deepshap",
    title="SHAP DeepExplainer",
    source="Lundberg & Lee 2017",
    references="shuffle:20",
    chunk=16,
    needs="layers",
    one_device=True,  # SHAP changes TensorFlow's tables while it works
)
def deepshap(network: Network, one_hot: Array, references: Array) -> Parts:
    """SHAP's DeepExplainer, run as it is: Rescale over the references of each sequence as its background.

    SHAP takes one sequence at a time. It gives no multipliers, so there are no hypothetical contributions; its own
    check that contributions add up is left out for `convergence_delta`, which shows how far they are from it. A model
    with an operation that it has no rule for is refused.
    """
    explain = network.compiled(_explainer, network.graph, network.targets)
    contributions = np.zeros((len(network.targets), *one_hot.shape), np.float32)
    for row, (x, background) in enumerate(zip(one_hot, references, strict=True)):
        contributions[:, row] = explain(x[None], np.ascontiguousarray(background))
    n, n_references = references.shape[:2]
    at_references = network.outputs(references.reshape(n * n_references, *one_hot.shape[1:]))
    change = network.outputs(one_hot) - at_references.reshape(len(network.targets), n, n_references).mean(axis=2)
    delta = contributions.sum(axis=(2, 3), dtype=np.float64) - change
    return Parts(contributions, convergence_delta=delta.astype(np.float32))


def _explainer(forward: Forward, graph: Any, targets: tuple[int, ...]) -> Callable[[Array, Array], Array]:  # noqa: ARG001
    """Make an explainer once for a model, since it compiles a graph for each target.

    The function takes a sequence (1, L, 4) and its background (R, L, 4) and gives contributions (T, L, 4).
    """
    import keras

    with _their_imports():
        import shap
    _shap_rules()

    class Chosen(keras.layers.Layer):
        """SHAP explains every output of a model's last layer, so the others are left out, in a layer of their own."""

        def call(self, outputs: Any) -> Any:
            ends = [outputs[:, target : target + 1] for target in targets]
            return ends[0] if len(ends) == 1 else keras.ops.concatenate(ends, axis=1)

    # it passes a list of inputs
    model = keras.Model([graph.inputs[0]], Chosen(dtype="float32")(graph.outputs[0]))
    backgrounds: list[Array] = []
    with warnings.catch_warnings():
        # that static graphs may not be supported in TensorFlow 2; operations are checked below, one by one
        warnings.filterwarnings("ignore", "Your TensorFlow version is newer than 2.4.0", UserWarning)
        explainer = shap.DeepExplainer(model, lambda _: backgrounds[-1])

    checked_lengths: set[int] = set()

    def explain(x: Array, background: Array) -> Array:
        if x.shape[1] not in checked_lengths:
            _check_operations(model, x.shape[1])
            checked_lengths.add(x.shape[1])
        backgrounds[:] = [background]
        with _gradients_put_back():
            values = explainer.shap_values(x, check_additivity=False)
        return np.moveaxis(values[0], -1, 0)

    return explain


def _shap_rules() -> dict[str, Any]:
    """SHAP's table of rules by TensorFlow's names of operations, with log1p in it."""
    with _their_imports():
        from shap.explainers._deep.deep_tf import nonlinearity_1d, op_handlers
    op_handlers.setdefault("Log1p", nonlinearity_1d(0))
    rules: dict[str, Any] = op_handlers
    return rules


def _check_operations(model: Any, seq_length: int) -> None:
    """Refuse a model with an operation that SHAP has no rule for.

    It would fail at most of them, in the middle of TensorFlow; through a function within the graph it would take the
    gradient without a warning.
    """
    import keras
    import tensorflow as tf

    op_handlers = _shap_rules()
    break_dependence = op_handlers["Shape"]
    function = tf.function(lambda x: model([x], training=False), autograph=False)
    operations = function.get_concrete_function(tf.TensorSpec((2, seq_length, 4), tf.float32)).graph
    depend: set[str] = {operations.inputs[0].name}
    for operation in operations.get_operations():
        rule = None if operation.type in _RULES_THAT_FAIL else op_handlers.get(operation.type)
        # what a shape is computed from does not matter
        if rule is break_dependence or not depend.intersection(tensor.name for tensor in operation.inputs):
            continue
        if rule is None and operation.outputs:
            raise InputError(
                "deepshap",
                f"SHAP has no rule that works for {operation.type} in {operation.name!r}",
                _instead(keras.Model(model.inputs[0], model.layers[-1].input)),
            )
        depend.update(tensor.name for tensor in operation.outputs)


def _instead(graph: Any) -> str:
    """A method that works for a model that SHAP has no rules for."""
    from simbench_tf.attribution.deeplift.read_model import read_steps

    try:
        read_steps(graph, "rescale", "rescale")
    except InputError:
        return "choose integrated_gradients or ism, which need no rules"
    return "choose deeplift_rescale, which has rules for all layers of this model"


@contextmanager
def _gradients_put_back() -> Iterator[None]:
    """SHAP takes the place of TensorFlow's record of gradients while it works, and leaves it there if it fails."""
    from tensorflow.python.eager import execute

    record_gradient = execute.record_gradient
    try:
        yield
    finally:
        execute.record_gradient = record_gradient


# tf-keras-vis


@register_method(
    "gradcam_tf_keras_vis",
    title="Grad-CAM (tf-keras-vis)",
    source="tf-keras-vis; Selvaraju et al. 2017",
    needs="layers",
    one_device=True,
)
def gradcam_tf_keras_vis(network: Network, one_hot: Array, *, layer: str = "last", normalize: bool = True) -> Parts:
    """Grad-CAM of tf-keras-vis, run as it is: mean pooling, ReLU, stretched to the sequence by linear interpolation.

    `layer` means the same layer as for `gradcam`. By default each map is scaled to 0 to 1, as tf-keras-vis does.
    """
    with _their_imports():
        from tf_keras_vis.gradcam import Gradcam

    read = _layer_of_graph(network.graph, layer)
    explainer = Gradcam(network.graph)

    def explain(x: Any, target: Any) -> Any:
        import tensorflow as tf

        return tf.constant(
            explainer(
                lambda outputs: tf.gather(outputs, target, axis=1),
                x,
                penultimate_layer=read,
                seek_penultimate_conv_layer=False,
                normalize_cam=normalize,
                # SciPy, which stretches the map, knows no bfloat16
                gradient_modifier=lambda gradients: tf.cast(gradients, tf.float32),
            ),
            tf.float32,
        )

    return Parts(network.each_target(explain, one_hot)[..., None] * one_hot)


def _layer_of_graph(graph: Any, layer: str) -> Any:
    """The layer that `layer` stands for, if tf-keras-vis can read it."""
    from simbench_tf.attribution.model_graph import find_output, read_calls

    call = find_output(read_calls(graph).calls, layer)
    read = call.node.operation
    # it takes a layer of the model itself, and the output of that layer's first call
    if read not in graph.layers or read.output is not call.node.output_tensors[0]:
        raise InputError(
            f"layer {call.name!r}",
            "tf-keras-vis cannot read it: it stands in a nested model, is no layer, or was called before",
            "name another layer, or choose gradcam",
        )
    if len(read.output.shape) != 3:
        raise InputError(f"layer {call.name!r}", "has no positions", "name a layer before the model is flattened")
    return read
