"""What a user says of the form of a model: which output, which axis comes first, what is held; and how it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError

Layout = Literal["NLC", "NCL"]
#: A number, an array without the batch axis, or an .npy file with one.
Held = npt.ArrayLike | PathLike[str]
#: The key of `held` for the channels after the four of the bases.
CHANNELS = "channels"


class Form(NamedTuple):
    """How a model's inputs and outputs are to be read, where it isn't plain.

    Attributes
    ----------
    head : str or int, optional
        Name or number of the output to explain, of several.
    layout : {"NLC", "NCL"}, optional
        Whether positions (L) or channels (C) come first; by default as the model's input shape tells.
    held : mapping of str to number, array or path
        What further inputs, by name, are held at; and under "channels" the channels after the four of the bases.
    is_configured : bool
        Whether messages say what to write in a configuration, not in Python.
    """

    head: str | int | None = None
    layout: Layout | None = None
    held: Mapping[str, Held] = {}
    is_configured: bool = False

    def key(self) -> Hashable:
        """Equal for forms that say the same.

        Raises
        ------
        InputError
            The layout is another, or what is held is no number.
        """
        if self.layout not in (None, "NLC", "NCL"):
            raise InputError("layout", f"{self.layout!r} is not known", 'write "NLC" or "NCL"')
        held = tuple((name, _digest(name, value)) for name, value in sorted(self.held.items()))
        return (self.head, self.layout, held)

    def write(self, name: str, value: str) -> str:
        """What a user writes for one of these settings."""
        if not self.is_configured:
            return f"{name}={value}"
        return f"{'output' if name == 'head' else name}: {value}"


def array_of(name: str, value: Held) -> npt.NDArray[Any]:
    """What is held at `name`, float64, read from an .npy file where a path is given."""
    if isinstance(value, str | PathLike):
        path = Path(value)
        try:
            value = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                path, f"cannot be read for held.{name}: {error}", "give a number or an .npy file"
            ) from error
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"held.{name}", "is neither a number nor an array of numbers", "give one") from error
    if not np.isfinite(array).all():
        raise InputError(f"held.{name}", "has values that are not finite", "give numbers")
    return array


def broadcast(name: str, array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """What is held at `name` in the shape that the model wants."""
    try:
        return np.broadcast_to(array, shape)
    except ValueError as error:
        what = f"has the shape {array.shape}, the model wants {shape}"
        raise InputError(f"held.{name}", what, "give a number, or an array of that shape") from error


# words


def shape_of(tensor: Any) -> str:
    """A tensor's shape for messages: N sequences, L where a length is open."""
    sizes = ["L" if size is None else str(size) for size in tensor.shape[1:]]
    return f"({', '.join(['N', *sizes])})"


def quoted(name: str, form: Form) -> str:
    """A word as the user writes it."""
    return name if form.is_configured else f'"{name}"'


def _digest(name: str, value: Held) -> str:
    array = array_of(name, value)
    return f"{array.shape} {hashlib.blake2b(np.ascontiguousarray(array).tobytes()).hexdigest()}"


def names_of(model: Any, which: Literal["inputs", "outputs"]) -> list[list[str]]:
    """The names of each input or output of a functional model, the best first."""
    tensors = getattr(model, which)
    structure = getattr(functional(model), which[:-1])
    keys = {id(tensor): key for key, tensor in structure.items()} if isinstance(structure, dict) else {}
    names = []
    for number, tensor in enumerate(tensors):
        known = [keys.get(id(tensor)), tensor._keras_history.operation.name, str(number)]
        names.append(list(dict.fromkeys(name for name in known if name is not None)))
    return names


def functional(model: Any) -> Any:
    """The functional model that a Sequential one is underneath; another as it is."""
    import keras

    return model._functional if isinstance(model, keras.Sequential) else model
