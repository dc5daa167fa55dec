"""A functional Keras model as a list of layer calls in the order of computation, nested models unfolded.

The one reader of Keras graphs: methods run the calls again, follow them from input to output, or find a layer in them.
A layer is known only if its class is Keras' own: a class of the user's may do anything, whatever its name.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras

from simbench_tf.attribution.layer_geometry import UnsupportedModelError, check_positionwise, kind_of
from simbench_tf.errors import InputError, nearest

CONVOLUTIONS = ("Conv1D", "SeparableConv1D", "DepthwiseConv1D")


class Call(NamedTuple):
    """One call of a layer or operation; tensors go by number, 0 being the model's input."""

    node: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The class of what is called, where it is one of Keras' own, else ""."""
        return kind_of(self.node.operation)

    @property
    def name(self) -> str:
        """The name it has in the user's model, where a Dense layer may have an activation that is left out here."""
        layer = self.node.operation
        name: str = getattr(layer, "linear_part_of", layer).name
        return name


class Calls(NamedTuple):
    """What a model's output is computed from, in an order in which it can be computed, and the output's number."""

    calls: list[Call]
    output: int


def read_calls(model: Any, own_layers: bool = False) -> Calls:
    """Read a functional model of one input and one output; nested models are unfolded in their place.

    With `own_layers`, so are layers of the user's own that only call other layers and operations.
    """
    calls: list[Call] = []
    (output,) = _read(model, [0], calls, itertools.count(1), own_layers)
    # a nested model may have outputs that nothing uses
    return Calls(leading_to(calls, output), output)


def _read(model: Any, inputs: Sequence[int], calls: list[Call], new: Iterator[int], own_layers: bool) -> list[int]:
    """Add the calls of a model whose inputs have these numbers; give the numbers of its outputs."""
    model = model._functional if isinstance(model, keras.Sequential) else model
    numbers = dict(zip(map(id, model.inputs), inputs, strict=True))
    for node in _nodes(model):
        given = [numbers[id(tensor)] for tensor in node.input_tensors]
        inner = node.operation if is_graph(node.operation) else _inside(node) if own_layers else None
        if inner is not None:
            made = _read(inner, given, calls, new, own_layers)
        else:
            made = [next(new) for _ in node.output_tensors]
            calls.append(Call(node, tuple(given), tuple(made)))
        numbers.update(zip(map(id, node.output_tensors), made, strict=True))
    return [numbers[id(tensor)] for tensor in model.outputs]


def is_graph(operation: Any) -> bool:
    """Whether a layer is a model that computes what its graph says, and has no `call` of its own."""
    is_built = isinstance(operation, keras.Model) and bool(getattr(operation, "outputs", None))
    return is_built and type(operation).call.__module__.startswith("keras.")


def _nodes(model: Any) -> Iterator[Any]:
    """Calls of the model's own layers, each after those it depends on."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def _inside(node: Any) -> Any | None:
    """The graph of layers and operations that a layer of the user's own calls; None where it can't be told.

    It can't where the layer holds no layers, calls another library, or computes with its weights before it looks at
    the input: that would be noted as numbers which later weights don't change.
    """
    layer = node.operation
    own = isinstance(layer, keras.Layer) and not kind_of(layer) and not getattr(layer, "gives_constant", False)
    if not own or len(held := list(layer._flatten_layers())) < 2:
        return None
    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in node.input_tensors]
    notes = [(each, list(each._inbound_nodes), list(each._outbound_nodes)) for each in held]
    try:
        arguments, settings = _arguments(node, inputs)
        graph = keras.Function(inputs, layer.call(*arguments, **settings))
    except Exception:  # whatever the user's code raises of symbolic tensors
        return None
    finally:
        # the layers shall not look as if they had been called once more
        for each, inbound, outbound in notes:
            each._inbound_nodes, each._outbound_nodes = inbound, outbound
    given = (
        value for inner in _nodes(graph) for value in keras.tree.flatten([inner.arguments.args, inner.arguments.kwargs])
    )
    return None if any(keras.ops.is_tensor(value) for value in given) else graph


def _arguments(node: Any, inputs: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments and settings with which a layer is called on other inputs, when it predicts."""
    given = {id(tensor): value for tensor, value in zip(node.input_tensors, inputs, strict=True)}
    arguments, settings = node.arguments.fill_in(given)
    if "training" in inspect.signature(node.operation.call).parameters:
        settings = {**settings, "training": False}
    return arguments, settings


def call_on(node: Any, inputs: Sequence[Any]) -> list[Any]:
    """Call a node's layer or operation on other inputs as the model does when it predicts: a list of its outputs."""
    arguments, settings = _arguments(node, inputs)
    outputs: list[Any] = keras.tree.flatten(node.operation(*arguments, **settings))
    return outputs


def run_calls(calls: Sequence[Call], x: Any) -> dict[int, Any]:
    """Compute all tensors, by number, as the model does when it predicts."""
    values = {0: x}
    for call in calls:
        made = call_on(call.node, [values[n] for n in call.inputs])
        values.update(zip(call.outputs, made, strict=True))
    return values


def leading_to(calls: Sequence[Call], output: int) -> list[Call]:
    """The calls that a tensor, given by its number, depends on, in the order of `calls`."""
    wanted, kept = {output}, []
    for call in reversed(calls):
        if wanted.intersection(call.outputs):
            kept.append(call)
            wanted.update(call.inputs)
    return kept[::-1]


def find_output(calls: Sequence[Call], layer: str) -> Call:
    """Find the call whose output `layer` stands for.

    Parameters
    ----------
    calls : sequence of Call
    layer : str
        "first" or "last": the convolution before, or after, all others, with the batch normalisation and the
        activation that alone follow it. Else the name of a layer, for that layer's own output.

    Raises
    ------
    InputError
        There is no convolution, none that is before or after all others, no layer of that name, or it is called more
        than once.
    """
    if layer in ("first", "last"):
        return _end_of_block(calls, _only_call(calls, _outermost_convolution(calls, layer)))
    named = [call for call in calls if call.name == layer]
    if not named:
        known = nearest(layer, ["first", "last", *(call.name for call in calls)])
        raise InputError("layer", f"the model has no layer {layer!r}{known}")
    return _only_call(calls, named[0])


def _outermost_convolution(calls: Sequence[Call], which: str) -> Call:
    """The convolution that comes before, or after, all others; Keras' order of branches would be an accident."""
    # also those of the user's own classes, which is then for the method to refuse by name
    kinds = tuple(getattr(keras.layers, name) for name in CONVOLUTIONS)
    convolutions = {call.outputs[0]: call for call in calls if isinstance(call.node.operation, kinds)}
    if not convolutions:
        raise InputError("layer", "the model has no one-dimensional convolution", "name the layer to read")
    before = {
        output: {other.outputs[0] for other in leading_to(calls, output)} & set(convolutions) - {output}
        for output in convolutions
    }
    behind = set() if which == "first" else set().union(*before.values())
    outermost = [
        call for output, call in convolutions.items() if not (before[output] if which == "first" else output in behind)
    ]
    if len({id(call.node.operation) for call in outermost}) > 1:
        names = ", ".join(call.name for call in outermost)
        raise InputError("layer", f"{which!r} may be any of {names}, which are in branches of the model", "name one")
    return outermost[0]


def _only_call(calls: Sequence[Call], call: Call) -> Call:
    """Refuse a layer that is called again elsewhere, as on both strands: one of its outputs is not the whole."""
    times = sum(other.node.operation is call.node.operation for other in calls)
    if times > 1:
        raise InputError("layer", f"{call.name!r} is called {times} times", "name one that is called once")
    return call


def _end_of_block(calls: Sequence[Call], convolution: Call) -> Call:
    """The last of: a convolution, the normalisation after it, the activation after that."""
    end = convolution
    activated = convolution.node.operation.activation is not keras.activations.linear
    while not activated:
        users = [call for call in calls if end.outputs[0] in call.inputs]
        if len(users) != 1 or not _is_positionwise(users[0].node.operation):
            break
        end = users[0]
        activated = not end.kind.endswith("Normalization")
    return end


def _is_positionwise(layer: Any) -> bool:
    try:
        check_positionwise(layer)
    except UnsupportedModelError:
        return False
    return True
