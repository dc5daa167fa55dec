"""A Keras functional model read as a list of DeepLIFT steps, nested models and shared layers unfolded.

A layer without a rule is an error: a gradient in its stead would look right and add up to nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from simbench_tf.attribution.deeplift.composite import Composite, Constant, NoRuleError
from simbench_tf.attribution.deeplift.linear import Linear, Scaled, Weighted
from simbench_tf.attribution.deeplift.nonlinear import Elementwise, MaxPool, Nonlinearity, exp_change, log1p_change
from simbench_tf.attribution.deeplift.steps import LayerStep, Rule
from simbench_tf.attribution.layer_geometry import DOING_NOTHING, is_quantized
from simbench_tf.attribution.model_graph import Call, Calls, call_on, read_calls, run_calls
from simbench_tf.errors import InputError

MaxPoolRule = Literal["rescale", "gradient"]
ActivationRule = Literal["rescale", "revealcancel", "genomics"]
# rows of the trial by which a layer's operations are read
_ROWS = 3
_IDENTITY = tuple(getattr(layers, name) for name in DOING_NOTHING)
_LINEAR = (
    layers.Flatten,
    layers.RepeatVector,
    layers.Reshape,
    layers.Permute,
    layers.Cropping1D,
    layers.ZeroPadding1D,
    layers.UpSampling1D,
    layers.AveragePooling1D,
    layers.GlobalAveragePooling1D,
)


# activations by the name that Keras and TensorFlow give them, and where they have kinks
_KINKS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("sigmoid", "log_sigmoid", "tanh", "softplus", "squareplus", "gelu", "silu", "mish"), ()),
    **dict.fromkeys(("exponential", "exp", "log1p"), ()),
    **dict.fromkeys(("elu", "selu", "celu", "softsign"), (0.0,)),
    **dict.fromkeys(("hard_sigmoid", "hard_silu"), (-3.0, 3.0)),
    "relu6": (0.0, 6.0),
    "hard_tanh": (-1.0, 1.0),
}
# and those whose change is not the difference of two values
_CHANGES = {"exponential": exp_change, "exp": exp_change, "log1p": log1p_change}


def read_steps(
    model: Any, rule: ActivationRule, maxpool: MaxPoolRule, length: int | None = None, dtype: Any = None
) -> list[LayerStep]:
    """Read a functional model with one input and one output.

    Parameters
    ----------
    model : keras.Model
    rule : {"rescale", "revealcancel", "genomics"}
        What activations get; "genomics": RevealCancel after dense layers, Rescale after convolutions.
    maxpool : {"rescale", "gradient"}
    length : int, optional
        Bases of a sequence, for a model that takes any number.
    dtype : tf.DType, optional
        What the steps compute in; by default what the model does.

    Returns
    -------
    steps : list of LayerStep
        In an order in which they can be computed; tensor 0 is the input, and the last step makes the output.

    Raises
    ------
    InputError
        A layer has no rule.
    """
    read = reading_of(model, length)
    read = read._replace(dtype=dtype or read.dtype)
    steps: list[LayerStep] = []
    new = itertools.count(1)
    numbers = {0: 0}  # from tensors of the calls to tensors of the steps: a call makes none, one or more steps
    for call in read.graph.calls:
        steps.extend(steps_of_call(call, rules_of_call(call, read, maxpool), numbers, new))
    steps = _with_exact_parts(_with_folded_normalisation(steps, numbers[read.graph.output]))
    return _marked([_with_activation_rule(step, rule, steps) for step in steps])


def steps_of_call(
    call: Call, rules: list[tuple[int, list[Rule]]], numbers: dict[int, int], new: Iterator[int]
) -> list[LayerStep]:
    """Steps of a call, by its rules; `numbers` of its outputs among the tensors of steps are noted."""
    steps = []
    for output, in_turn in rules:
        tensors = tuple(numbers[number] for number in call.inputs)
        for rule in in_turn:
            steps.append(LayerStep(rule, tensors, next(new)))
            tensors = (steps[-1].output,)
        (numbers[output],) = tensors
    return steps


class Reading(NamedTuple):
    """A model to be read: its calls, the shapes of tensors without rows, which are used, and what it computes in."""

    graph: Calls
    shapes: dict[int, tuple[int, ...]]
    used: set[int]
    dtype: Any


def reading_of(model: Any, length: int | None = None) -> Reading:
    """Calls of a model, with users' own layers unfolded where that can be done, and the shapes of all tensors."""
    graph = read_calls(model, own_layers=True)
    shapes = {0: tuple(model.inputs[0].shape[1:])}
    for call in graph.calls:
        shapes.update(zip(call.outputs, (tuple(t.shape[1:]) for t in call.node.output_tensors), strict=True))
    if any(None in shape for shape in shapes.values()):
        shapes = _shapes_for(graph, (length or shapes[0][0], 4))
    used = {number for call in graph.calls for number in call.inputs} | {graph.output}
    return Reading(graph, shapes, used, dtype_of(model))


def dtype_of(model: Any) -> Any:
    """What the rules compute in: float64 for a model that does, else float32."""
    kinds = {str(keras.backend.standardize_dtype(variable.dtype)) for variable in model.variables}
    kinds |= {str(tensor.dtype) for tensor in model.outputs}
    return tf.float64 if "float64" in kinds else tf.float32


def _shapes_for(graph: Calls, shape: tuple[int | None, ...]) -> dict[int, tuple[int, ...]]:
    """Shapes of all tensors, without rows, for a model that takes sequences of any length."""
    functional = tf.__internal__.FuncGraph("shapes")
    with functional.as_default():
        values = run_calls(graph.calls, tf.raw_ops.Placeholder(dtype=tf.float32, shape=(_ROWS, *shape)))
    return {number: tuple(value.shape[1:]) for number, value in values.items()}


# which rule a layer gets


def rules_of_call(call: Call, read: Reading, maxpool: MaxPoolRule) -> list[tuple[int, list[Rule]]]:
    """For each output of a call that is used, by number: what makes it, one after the other; [] for nothing at all."""
    if getattr(call.node.operation, "gives_constant", False):
        rules: list[list[Rule]] = [
            [Constant(_one_of(call.node, which), read.dtype)] for which in range(len(call.outputs))
        ]
        return list(zip(call.outputs, rules, strict=True))
    known = _rules(call.node, maxpool, read.dtype) if len(call.outputs) == 1 else None
    if known is not None:
        return [(call.outputs[0], [_checked(each, call, read) for each in known])]
    made = []
    for which, number in enumerate(call.outputs):
        if number in read.used:
            dtypes = tuple(keras.backend.standardize_dtype(tensor.dtype) for tensor in call.node.input_tensors)
            rule = Composite(_outputs_of(call.node), which, dtypes, maxpool, read.dtype)
            made.append((number, [_checked(rule, call, read)]))
    return made


def _one_of(node: Any, which: int) -> Callable[..., Any]:
    return lambda *values: call_on(node, values)[which]


def _outputs_of(node: Any) -> Callable[..., Any]:
    return lambda *values: call_on(node, values)


def _checked(rule: Rule, call: Call, read: Reading) -> Rule:
    """Refuse a layer of which an operation has no rule."""
    if not isinstance(rule, Composite):
        return rule
    try:
        rule.primitives(shapes_given(rule, call, read))
    except NoRuleError as error:
        raise _without_rule(call.node.operation, f"{type(call.node.operation).__name__} ({error})") from error
    return rule


def shapes_given(rule: Composite, call: Call, read: Reading) -> tuple[tuple[int, ...], ...]:
    """Shapes of what a layer takes, or of what its activation does, with some rows."""
    numbers = call.outputs if rule.is_activation else call.inputs
    return tuple((_ROWS, *read.shapes[number]) for number in numbers)


def _rules(node: Any, maxpool: MaxPoolRule, dtype: Any) -> list[Rule] | None:
    """What a layer does, one after the other; a layer that does nothing after training has an empty list.

    None: it is read by the operations that it is made of.
    """
    # subclasses may do anything, so only the very classes of Keras count
    layer, kind = node.operation, type(node.operation)
    if is_quantized(getattr(layer, "linear_part_of", layer)):
        raise _without_rule(layer, f"{kind.__name__} that computes in {layer.quantization_mode}")
    if isinstance(layer, (layers.Lambda, layers.RNN, layers.Bidirectional)):
        raise _without_rule(layer)
    if kind in _IDENTITY:
        return []
    if getattr(layer, "data_format", None) == "channels_first":
        return None
    if kind is layers.Conv1D:
        return [
            Weighted(layer, is_convolution=True, dtype=dtype),
            *_activation(layer, layer.activation, maxpool, dtype),
        ]
    if kind is layers.Dense:
        return [Weighted(layer, dtype=dtype), *_activation(layer, layer.activation, maxpool, dtype)]
    if hasattr(layer, "linear_part_of"):
        return [Weighted(layer.linear_part_of, dtype=dtype)]
    if kind is layers.BatchNormalization:
        if getattr(layer, "renorm", False):
            raise _without_rule(layer, "batch renormalisation")
        return [Scaled(layer, len(node.input_tensors[0].shape), dtype)]
    if kind is layers.Activation:
        return _activation(layer, layer.activation, maxpool, dtype)
    if kind in (layers.MaxPooling1D, layers.GlobalMaxPooling1D):
        return [_max_pool(layer, maxpool)]
    if kind in _LINEAR:
        return [Linear(layer.call)]
    merged = _merge(node)
    if merged is not None:
        return [merged]
    nonlinearity = _activation_layer(layer)
    return None if nonlinearity is None else [Elementwise(nonlinearity)]


def _without_rule(layer: Any, what: str = "") -> InputError:
    kind = what or type(layer).__name__
    return InputError(
        f"layer {layer.name!r}",
        f"DeepLIFT has no rule for {kind}",
        "rebuild the model from layers that are linear maps, elementwise functions, products, maxima or softmax "
        "(simbench doctor --model FILE lists them), or choose integrated_gradients or ism, which need no rules",
    )


def _max_pool(layer: Any, rule: MaxPoolRule) -> MaxPool:
    if type(layer) is layers.GlobalMaxPooling1D:
        return MaxPool(None, None, "valid", rule, keep_length=layer.keepdims)
    return MaxPool(layer.pool_size[0], layer.strides[0], layer.padding, rule)


def _merge(node: Any) -> Linear | None:
    """Add, Average and Concatenate, as layers or as operations on tensors."""
    layer, kind = node.operation, type(node.operation)
    if kind in (layers.Add, layers.Average, layers.Concatenate):
        return Linear(lambda *values: layer.call(list(values)))
    if not _is_operation(layer) or len(node.input_tensors) < 2:
        return None
    if kind.__name__ == "Add":
        return Linear(lambda a, b: a + b)
    if kind.__name__ == "Concatenate":
        return Linear(lambda *values: layer.call(list(values)))
    return None


def _is_operation(layer: Any) -> bool:
    """Whether it is one of keras.ops."""
    return not isinstance(layer, keras.Layer) and type(layer).__module__.startswith("keras.")


def _activation_layer(layer: Any) -> Nonlinearity | None:
    """Activations that are layers or operations of their own."""
    kind, name = type(layer), type(layer).__name__
    if kind is layers.ReLU:
        if layer.threshold:
            raise _without_rule(layer, "a ReLU with a threshold, which jumps there")
        if layer.max_value is None:
            return Nonlinearity(layer.call, float(layer.negative_slope))
        return Nonlinearity(layer.call, kinks=(0.0, float(layer.max_value)))
    if kind is layers.LeakyReLU:
        return Nonlinearity(layer.call, float(layer.negative_slope))
    if kind is layers.PReLU:
        return Nonlinearity(layer.call, layer.alpha)
    if kind is layers.ELU:
        return Nonlinearity(layer.call, kinks=(0.0,))
    if not _is_operation(layer):
        return None
    if name == "Relu":
        return Nonlinearity(layer.call, 0.0)
    if name == "LeakyRelu":
        return Nonlinearity(layer.call, float(layer.negative_slope))
    # operations of keras.ops go by their class, "LogSigmoid"; those with settings of their own keep them
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    kinks = _KINKS.get(name)
    return None if kinks is None else Nonlinearity(layer.call, kinks=kinks, change=_CHANGES.get(name))


def _activation(layer: Any, function: Callable[[Any], Any], maxpool: MaxPoolRule, dtype: Any) -> list[Rule]:
    if function is keras.activations.linear:
        return []
    known = _known_functions().get(function)
    if known is not None:
        return [Elementwise(known)]
    if not getattr(function, "__module__", "").startswith(("keras.", "tensorflow.")):
        raise _without_rule(layer, f"the activation {getattr(function, '__name__', function)!r}")
    # softmax, glu
    return [Composite(function, 0, (dtype,), maxpool, dtype, is_activation=True)]


def _known_functions() -> dict[Callable[[Any], Any], Nonlinearity]:
    """Elementwise functions that Keras and TensorFlow go by, and what is known of them."""
    known: dict[Callable[[Any], Any], Nonlinearity] = {}
    for module in (keras.activations, keras.ops, tf.nn, tf.math):
        for name, kinks in _KINKS.items():
            function = getattr(module, name, None)
            if function is not None:
                known[function] = Nonlinearity(function, kinks=kinks, change=_CHANGES.get(name))
        for name, slope in (("relu", 0.0), ("leaky_relu", 0.2)):
            function = getattr(module, name, None)
            if function is not None:
                known[function] = Nonlinearity(function, slope)
    return known


# the list as a whole


def _with_folded_normalisation(steps: list[LayerStep], output: int) -> list[LayerStep]:
    """Put each batch normalisation that alone follows a layer with weights into these weights."""
    uses = [number for step in steps for number in step.inputs] + [output]
    by_output = {step.output: step for step in steps}
    folded: list[LayerStep] = []
    for step in steps:
        before = by_output.get(step.inputs[0])
        if (
            isinstance(step.rule, Scaled)
            and step.rule.is_last_axis
            and before is not None
            and isinstance(before.rule, Weighted)
            and before.rule.normalisation is None
            and uses.count(before.output) == 1
        ):
            folded.remove(before)
            rule = dataclasses.replace(before.rule, normalisation=step.rule)
            step = LayerStep(rule, before.inputs, step.output)
        folded.append(step)
        by_output[step.output] = step
    return folded


def _with_exact_parts(steps: list[LayerStep]) -> list[LayerStep]:
    """Have both parts computed apart in layers before a function whose arguments span many powers of ten."""
    before = {
        step.inputs[0]
        for step in steps
        if isinstance(step.rule, Elementwise) and step.rule.nonlinearity.change is not None
    }
    return [
        step._replace(rule=dataclasses.replace(step.rule, each_part=True))
        if isinstance(step.rule, Weighted) and step.output in before
        else step
        for step in steps
    ]


def _with_activation_rule(step: LayerStep, rule: ActivationRule, steps: list[LayerStep]) -> LayerStep:
    if rule == "rescale" or not isinstance(step.rule, Elementwise):
        return step
    reveal = rule == "revealcancel" or _follows_dense(step, {s.output: s for s in steps})
    return step._replace(rule=Elementwise(step.rule.nonlinearity, reveal))


def _follows_dense(step: LayerStep, by_output: dict[int, LayerStep]) -> bool:
    """Whether all layers with weights that feed a step, looking through those without, are dense."""
    found, waiting = [], list(step.inputs)
    while waiting:
        before = by_output.get(waiting.pop())
        if before is not None and isinstance(before.rule, Weighted):
            found.append(not before.rule.is_convolution)
        elif before is not None:
            waiting.extend(before.inputs)
    return bool(found) and all(found)


def _marked(steps: list[LayerStep]) -> list[LayerStep]:
    """Mark the steps whose output has multipliers that differ by part."""
    apart: set[int] = set()
    marked: list[LayerStep] = []
    for step in reversed(steps):
        step = step._replace(apart=step.output in apart)
        marked.append(step)
        if step.rule.takes_apart(step.apart):
            apart.update(step.inputs)
    return marked[::-1]
