"""A Keras functional model read as a list of DeepLIFT steps, nested models and shared layers unfolded.

A layer without a rule is an error: a gradient in its stead would look right and add up to nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers

from simbench_tf.attribution.deeplift.linear import Linear, Scaled, Weighted
from simbench_tf.attribution.deeplift.nonlinear import Elementwise, MaxPool, Nonlinearity, exp_change, log1p_change
from simbench_tf.attribution.deeplift.steps import LayerStep, Rule
from simbench_tf.attribution.layer_geometry import DOING_NOTHING, is_quantized
from simbench_tf.attribution.model_graph import Calls, read_calls
from simbench_tf.errors import InputError

MaxPoolRule = Literal["rescale", "gradient"]
ActivationRule = Literal["rescale", "revealcancel", "genomics"]
_IDENTITY = tuple(getattr(layers, name) for name in DOING_NOTHING)
_LINEAR = (
    layers.Flatten,
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


def read_steps(model: Any, rule: ActivationRule, maxpool: MaxPoolRule) -> list[LayerStep]:
    """Read a functional model with one input and one output.

    Parameters
    ----------
    model : keras.Model
    rule : {"rescale", "revealcancel", "genomics"}
        What activations get; "genomics": RevealCancel after dense layers, Rescale after convolutions.
    maxpool : {"rescale", "gradient"}

    Returns
    -------
    steps : list of LayerStep
        In an order in which they can be computed; tensor 0 is the input, and the last step makes the output.

    Raises
    ------
    InputError
        A layer has no rule.
    """
    steps, output = _steps_of(read_calls(model), maxpool)
    steps = _with_exact_parts(_with_folded_normalisation(steps, output))
    return _marked([_with_activation_rule(step, rule, steps) for step in steps])


def _steps_of(graph: Calls, maxpool: MaxPoolRule) -> tuple[list[LayerStep], int]:
    """Steps of all calls, and the number of the output among the tensors of the steps."""
    steps: list[LayerStep] = []
    new = itertools.count(1)
    numbers = {0: 0}  # from tensors of the calls to tensors of the steps: a call makes none, one or two steps
    for call in graph.calls:
        tensors = tuple(numbers[number] for number in call.inputs)
        for rule in _rules(call.node, maxpool):
            steps.append(LayerStep(rule, tensors, next(new)))
            tensors = (steps[-1].output,)
        numbers.update(zip(call.outputs, tensors, strict=True))
    return steps, numbers[graph.output]


# which rule a layer gets


def _rules(node: Any, maxpool: MaxPoolRule) -> list[Rule]:
    """What a layer does, one after the other; a layer that does nothing after training has an empty list."""
    # subclasses may do anything, so only the very classes of Keras count
    layer, kind = node.operation, type(node.operation)
    if is_quantized(getattr(layer, "linear_part_of", layer)):
        raise _without_rule(layer, f"{kind.__name__} that computes in {layer.quantization_mode}")
    if kind in _IDENTITY:
        return []
    if kind is layers.Conv1D:
        return [_convolution(layer), *_activation(layer, layer.activation)]
    if kind is layers.Dense:
        return [Weighted(layer), *_activation(layer, layer.activation)]
    if hasattr(layer, "linear_part_of"):
        return [Weighted(layer.linear_part_of)]
    if kind is layers.BatchNormalization:
        if getattr(layer, "renorm", False):
            raise _without_rule(layer, "batch renormalisation")
        return [Scaled(layer, len(node.input_tensors[0].shape))]
    if kind is layers.Activation:
        return _activation(layer, layer.activation)
    if kind in (layers.MaxPooling1D, layers.GlobalMaxPooling1D):
        return [_max_pool(layer, maxpool)]
    if kind in _LINEAR:
        return [Linear(layer.call)]
    merged = _merge(node)
    if merged is not None:
        return [merged]
    nonlinearity = _activation_layer(layer)
    if nonlinearity is not None:
        return [Elementwise(nonlinearity)]
    raise _without_rule(layer)


def _without_rule(layer: Any, what: str = "") -> InputError:
    kind = what or type(layer).__name__
    return InputError(
        f"layer {layer.name!r}",
        f"DeepLIFT has no rule for {kind}",
        "rebuild the model from Conv1D, Dense, BatchNormalization, elementwise activations, pooling, Add and "
        "Concatenate, or choose integrated_gradients or ism, which need no rules",
    )


def _check_channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise _without_rule(layer, f"{type(layer).__name__} with channels first")


def _convolution(layer: Any) -> Weighted:
    _check_channels_last(layer)
    return Weighted(layer, is_convolution=True)


def _max_pool(layer: Any, rule: MaxPoolRule) -> MaxPool:
    _check_channels_last(layer)
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


def _activation(layer: Any, function: Callable[[Any], Any]) -> list[Rule]:
    if function is keras.activations.linear:
        return []
    known = _known_functions().get(function)
    if known is None:
        raise _without_rule(layer, f"the activation {getattr(function, '__name__', function)!r}")
    return [Elementwise(known)]


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
            rule = Weighted(before.rule.layer, before.rule.is_convolution, step.rule)
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
