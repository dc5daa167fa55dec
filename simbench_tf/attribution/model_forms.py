"""Models as people have them, made plain: one input (N, L, 4), one output (N, T), over the same layers and weights.

What is turned here: channels before positions, or an axis of length 1 beside them; further channels and inputs, held at
a value; several outputs, of which one is named; softmax over two classes. Methods that read layers see the user's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.form_settings import (
    CHANNELS,
    Form,
    Held,
    Layout,
    array_of,
    broadcast,
    functional,
    names_of,
    quoted,
    shape_of,
)
from simbench_tf.attribution.held_values import HeldValue
from simbench_tf.attribution.model_graph import is_graph
from simbench_tf.attribution.model_heads import chosen_head, in_one_row
from simbench_tf.attribution.shared_copies import NOT_COPIED, shared_copy
from simbench_tf.errors import InputError, nearest

_AS_IT_IS = Form()


def plain_model(
    model: Any,
    seq_length: int | None = None,
    head: str | int | None = None,
    layout: Layout | None = None,
    held: Mapping[str, Held] | None = None,
) -> Any:
    """Make a model of any form a plain one, for `attribute` and all that takes a model.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential; not changed.
    seq_length : int, optional
        L; by default what the model's input says.
    head : str or int, optional
        Name or number of the output to explain, where the model has several.
    layout : {"NLC", "NCL"}, optional
        NCL for input (N, 4, L), which is recognised by its shape unless L is 4 or unknown.
    held : mapping of str to number, array or path, optional
        By name what each further input is held at: a number, an array of the input's shape without the batch axis, or
        an .npy file; and as "channels" the same for the channels after the first four, A, C, G and T.

    Returns
    -------
    keras.Model
        Input (N, L, 4), output (N, T), over the same layers and weights; `model` itself where it is plain.

    Raises
    ------
    InputError
        The model has no such form; the line says what to write.

    Examples
    --------
    >>> dna, cells = keras.Input((4, 5), name="dna"), keras.Input((1,), name="cells")
    >>> both = keras.layers.Concatenate()([keras.layers.Flatten()(dna), cells])
    >>> model = keras.Model([dna, cells], keras.layers.Dense(2)(both))
    >>> plain = plain_model(model, held={"cells": 0.5})
    >>> plain.input_shape, plain.output_shape
    ((None, 5, 4), (None, 2))
    """
    return made_plain(model, seq_length, Form(head, layout, held or {}))


def made_plain(model: Any, seq_length: int | None, form: Form = _AS_IT_IS) -> Any:
    """Make a functional model plain, as `plain_model`, by what a `Form` says."""
    whole = model
    if not isinstance(model, keras.Model):
        raise InputError("model", f"is a {type(model).__name__}, not a Keras model", "give a keras.Model")
    if not is_graph(model):
        what = "shows no layers (subclassed, or not built yet)"
        raise InputError("model", what, "give a functional or Sequential model that begins with keras.Input")
    model = functional(model)
    number, held = _explained_input(model, form)
    given = model.inputs[number]
    length, steps = _to_input(given, seq_length, form)
    end = in_one_row(chosen_head(model, form), form)
    if not steps and len(model.inputs) == 1:
        return whole if model.input is given and model.output is end else keras.Model(given, end)
    # a model of our own over the same layers: holding the user's one would keep it alive as long as this one
    inner = keras.Model(model.inputs, end, name="given")
    if steps and steps[-1] is _turn and (turned := _turned(model, number, form)) is not None:
        inner, steps = turned, steps[:-1]
    x = keras.Input((length, 4), name="one_hot")
    adapted = functools.reduce(lambda tensor, step: step(tensor), steps, x)
    values = {n: HeldValue(value, name=f"held_{n}")(x) for n, value in held.items()}
    inputs = [adapted if n == number else values[n] for n in range(len(model.inputs))]
    return keras.Model(x, inner(inputs if len(inputs) > 1 else inputs[0]))


# inputs


#: What is done to one-hot (N, L, 4) on the way to a model's input.
Step = Callable[[Any], Any]


def _with_channels(x: Any, value: npt.NDArray[Any]) -> Any:
    held = HeldValue(value, name="held_channels")(x)
    return keras.layers.Concatenate(axis=-1, dtype="float32", name="with_held_channels")([x, held])


def _turn(x: Any) -> Any:
    return keras.layers.Permute((2, 1), dtype="float32", name="channels_first")(x)


def _reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return keras.layers.Reshape(shape, dtype="float32", name="as_given")(x)


def _explained_input(model: Any, form: Form) -> tuple[int, dict[int, npt.NDArray[Any]]]:
    """Number of the input that takes DNA, and what the others, by number, are held at."""
    names = names_of(model, "inputs")
    shown = ", ".join(f"{each[0]} {shape_of(tensor)}" for each, tensor in zip(names, model.inputs, strict=True))
    numbers = {name: number for number, each in enumerate(names) for name in each[::-1]}
    held: dict[int, npt.NDArray[Any]] = {}
    for name, value in form.held.items():
        if name in numbers and len(names) > 1:
            held[numbers[name]] = _value_for(name, value, model.inputs[numbers[name]])
        elif name != CHANNELS:
            known = [CHANNELS, *(each[0] for each in names if len(names) > 1)]
            raise InputError("held", f"the model has no input {name!r}{nearest(name, known)}")
    left = [number for number in range(len(names)) if number not in held]
    if len(left) == 1:
        return left[0], held
    if not left:
        raise InputError("held", "holds every input of the model", f"leave out the one that takes DNA, of {shown}")
    others = [names[n][0] for n in left if n != _like_dna(model, left)]
    mend = form.write("held", "{" + ", ".join(f"{quoted(name, form)}: 0.0" for name in others) + "}")
    counts = f"has {len(names)} inputs and {len(model.outputs)} outputs"
    raise InputError("model", f"{counts}, the former {shown}", f"say what all but one are held at, as {mend}")


def _like_dna(model: Any, numbers: Sequence[int]) -> int:
    """The input that looks most like one-hot DNA."""
    return max(numbers, key=lambda n: (4 in model.inputs[n].shape, len(model.inputs[n].shape) == 3, -n))


def _to_input(given: Any, seq_length: int | None, form: Form) -> tuple[int | None, list[Step]]:
    """L of the plain model, and the steps from its input (N, L, 4) to the input that is given."""
    shape, held = tuple(given.shape[1:]), form.held.get(CHANNELS)
    if not keras.backend.is_float_dtype(given.dtype):
        what = f"takes {given.dtype} of shape {shape_of(given)}, which have no gradient"
        mend = (
            "give the part of it after its lookup or Embedding, with a Dense layer of the Embedding's rows in its place"
        )
        raise InputError("model", what, mend)
    axes = [size for size in shape if size != 1] if len(shape) > 2 else list(shape)
    if len(axes) == 1 and axes[0] and axes[0] % 4 == 0 and form.layout is not None:  # flattened
        axes = [axes[0] // 4, 4] if form.layout == "NLC" else [4, axes[0] // 4]
    if len(axes) != 2:
        raise InputError("model", f"takes input of shape {shape_of(given)}", _wanted_input(axes, form))
    layout = form.layout or _layout(axes, seq_length)
    length, n_channels = axes if layout == "NLC" else axes[::-1]
    if n_channels is None or n_channels < 4:
        raise InputError("model", f"takes input of shape {shape_of(given)}", _wanted_input(axes, form))
    length = length if length is not None or not (len(shape) > 2 or held is not None) else seq_length
    steps: list[Step] = []
    if n_channels > 4 or held is not None:
        channels = _channels(given, held, length, n_channels - 4, form)
        steps.append(functools.partial(_with_channels, value=channels))
    if layout == "NCL":
        steps.append(_turn)
    if shape != tuple(axes):
        if length is None:
            raise InputError("model", f"takes input of shape {shape_of(given)}", "give plain_model a seq_length")
        whole = tuple(length if size is None else size for size in shape)
        steps.append(functools.partial(_reshape, shape=whole))
    return length, steps


def _layout(axes: Sequence[int | None], seq_length: int | None) -> Layout:
    """Which axis has the channels, where nobody said."""
    first, last = axes
    if last in (4, None):
        return "NLC"
    further = first is not None and first > 4 and first != seq_length == last
    return "NCL" if first == 4 or further else "NLC"


def _wanted_input(axes: Sequence[int | None], form: Form) -> str:
    ways = [f"{form.write('layout', quoted('NCL', form))} for (N, 4, L)"]
    if len(axes) == 1:
        ways.append(f"{form.write('layout', quoted('NLC', form))} where it is that, flattened")
    return "it must be (N, L, 4), channels A, C, G, T; write " + ", or ".join(ways)


def _channels(given: Any, held: Held | None, length: int | None, n: int, form: Form) -> npt.NDArray[Any]:
    """What the channels after the bases are held at, float32 (L, n)."""
    if n == 0:
        raise InputError(f"held.{CHANNELS}", "the model has no channel but the four of the bases", "leave it out")
    if held is None:
        what = f"takes input of shape {shape_of(given)}, {n} more than the four channels A, C, G, T"
        zeros = "0.0" if n == 1 else str([0.0] * n)
        mend = form.write("held", f"{{{quoted(CHANNELS, form)}: {zeros}}}")
        raise InputError("model", what, f"say what channels after A, C, G and T are held at, as {mend}")
    if length is None:
        raise InputError("model", f"takes input of shape {shape_of(given)}", "give plain_model a seq_length")
    return broadcast(CHANNELS, array_of(CHANNELS, held), (length, n)).astype(np.float32)


def _value_for(name: str, value: Held, tensor: Any) -> npt.NDArray[Any]:
    array, shape = array_of(name, value), tuple(tensor.shape[1:])
    if None in shape:
        shape = array.shape
        if len(shape) != len(tensor.shape) - 1:
            raise InputError(f"held.{name}", "is a number, of an input of unknown size", "give an array")
    return broadcast(name, array, shape).astype(tensor.dtype)


def _turned(model: Any, number: int, form: Form) -> Any | None:
    """A model that begins by turning its input (N, C, L), without that: turning there and back would hide windows.

    None where the input goes elsewhere too.
    """
    if _after_turn(model, number) is None:
        return None
    try:
        copy = functional(shared_copy(model))  # a layer of the user's, called a second time, could not be saved
    except NOT_COPIED:
        return None
    inputs = list(copy.inputs)
    inputs[number] = _after_turn(copy, number)
    return keras.Model(inputs, in_one_row(chosen_head(copy, form), form), name="given")


def _after_turn(model: Any, number: int) -> Any | None:
    """What comes out of the Permute that alone takes an input; None where others do."""
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes if not node.is_input]
    users = [node for node in nodes if any(each is model.inputs[number] for each in node.input_tensors)]
    if len(users) != 1 or type(users[0].operation) is not keras.layers.Permute or users[0].operation.dims != (2, 1):
        return None
    return users[0].output_tensors[0]


# models that show no layers


def turned_input(form: Form, seq_length: int) -> Callable[[Any], Any]:
    """What turns one-hot (N, L, 4) into the input of a model that shows no layers, by what a `Form` says."""
    others = [name for name in form.held if name != CHANNELS]
    if others:
        what = f"shows no layers (subclassed, or not built yet), so it is not known which input {others[0]!r} is"
        raise InputError("model", what, "wrap it in a functional model: keras.Model(inputs, model(inputs))")
    held = array_of(CHANNELS, form.held[CHANNELS]) if form.held else np.zeros(0)
    channels = np.broadcast_to(held, (seq_length, held.shape[-1] if held.ndim else 1)).astype(np.float32)

    def turned(x: Any) -> Any:
        x = _with_channels(x, channels) if channels.size else x
        return keras.ops.transpose(x, (0, 2, 1)) if form.layout == "NCL" else x

    return turned
