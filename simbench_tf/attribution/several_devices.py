"""Several GPUs: a copy of the model on each, and the sequences shared among them.

A copy has the model's layers, built anew on its device, and takes the model's weights at each call; it gives what the
model gives, or is not used. So a method runs on each device as it would on one. A model that cannot be copied
(subclassed, with layers that do not say how to build them) and a method that asks for one device keep to the first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import weakref
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.model_state import state_of
from simbench_tf.attribution.network import Network, Output, open_network
from simbench_tf.attribution.registry import Parts

# TensorFlow is imported where it is used, as in `network`

_log = logging.getLogger(__name__)
Array = npt.NDArray[np.float32]
#: By which share of the largest output a copy may differ from its model: devices round differently.
_ROUNDING = 1e-3
#: Copies of a model by device, None where it cannot be copied, with the state that the model was in.
_COPIES: weakref.WeakKeyDictionary[Any, tuple[Hashable, dict[str, Any]]] = weakref.WeakKeyDictionary()


class OnDevice(NamedTuple):
    """A network, and the device that its copy of the model is on; None where TensorFlow chooses."""

    network: Network
    device: str | None = None


def shared_devices() -> list[str]:
    """Devices that sequences are shared among: this process's GPUs or, without one, its logical CPUs.

    There is one CPU unless `tf.config.set_logical_device_configuration` makes more.
    """
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


def open_on_devices(
    model: Any,
    seq_length: int,
    target: int | Sequence[int],
    output: Output,
    batch_size: int | None,
    *,
    one_device: bool = False,
    **form: Any,
) -> list[OnDevice]:
    """Open a model as `open_network` does, once for each device that takes part, its own place first.

    Parameters
    ----------
    model, seq_length, target, output, batch_size
        As of `open_network`.
    one_device : bool, default False
        Keep to the first device.
    **form
        As of `open_network`: head, layout, held and precision.

    Returns
    -------
    list of OnDevice
    """
    import keras

    network = open_network(model, seq_length, target, output, batch_size, **form)
    devices = [] if one_device or not isinstance(model, keras.Model) else shared_devices()
    if len(devices) < 2:
        return [OnDevice(network)]
    import tensorflow as tf

    places = [OnDevice(network, devices[0])]
    for device in devices[1:]:
        copy = _copy_of(model, device, seq_length)
        if copy is None:
            return [OnDevice(network)]
        with tf.device(device):
            mine = open_network(copy, seq_length, target, output, network.batch_size, **form)
        places.append(OnDevice(mine, device))
    return places


def _copy_of(model: Any, device: str, seq_length: int) -> Any | None:
    """The model's copy on a device, with its weights as they are now; None where there can be none."""
    import tensorflow as tf

    state = state_of(model)
    kept, copies = _COPIES.get(model, (None, {}))
    if kept != state:
        copies = {}
        _COPIES[model] = (state, copies)
    if device not in copies:
        copies[device] = _made_copy(model, device, seq_length)
    elif copies[device] is not None:
        with tf.device(device):
            _take_weights(copies[device], model)
    return copies[device]


def _made_copy(model: Any, device: str, seq_length: int) -> Any | None:
    """Build a model anew on a device and see that it is the same; None, with a line, where it is not."""
    import keras
    import tensorflow as tf

    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (2, seq_length))]
    try:
        with tf.device(device):
            copy = keras.models.clone_model(model)
            _take_weights(copy, model)
            theirs = np.asarray(copy(x, training=False), np.float32)
        mine = np.asarray(model(x, training=False), np.float32)
        what = f"its copy gives values that differ by {np.abs(theirs - mine).max():.2g}"
        if np.abs(theirs - mine).max() <= _ROUNDING * np.abs(mine).max():
            return copy
    except (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError, KeyError) as error:
        what = " ".join(str(error).split())[:200]
    _log.warning("model %s cannot be copied to %s, so one device explains it alone: %s", model.name, device, what)
    return None


def _take_weights(copy: Any, model: Any) -> None:
    for mine, theirs in zip(copy.weights, model.weights, strict=True):
        mine.assign(theirs)  # from device to device


def explain_shared(
    explain: Callable[..., Parts], inputs: Sequence[Array], places: list[OnDevice]
) -> tuple[Parts, list[OnDevice]]:
    """Explain sequences, an equal share of them on each device at the same time, with batches that memory holds.

    Parameters
    ----------
    explain : callable
        ``explain(network, *inputs)``.
    inputs : sequence of array, shape (n, ...)
        Sequences, and what goes with each.
    places : list of OnDevice

    Returns
    -------
    parts : Parts
        Of all sequences, in order.
    places : list of OnDevice
        With smaller batches, where a device's memory ran out.
    """
    import tensorflow as tf

    while True:
        try:
            return _explained(explain, inputs, places), places
        except (tf.errors.ResourceExhaustedError, MemoryError):
            if any(place.network.batch_size == 1 for place in places):
                raise
            places = [
                place._replace(network=dataclasses.replace(place.network, batch_size=place.network.batch_size // 2))
                for place in places
            ]


def _explained(explain: Callable[..., Parts], inputs: Sequence[Array], places: list[OnDevice]) -> Parts:
    n = len(inputs[0])
    # at least one sequence each; none at all are the first device's
    used = places[: max(1, min(n, len(places)))]
    shares = list(zip(*(np.array_split(array, len(used)) for array in inputs), strict=True))
    if len(used) == 1:
        return _on_device(explain, used[0], shares[0])
    with ThreadPoolExecutor(len(used)) as threads:
        found = list(threads.map(lambda place, share: _on_device(explain, place, share), used, shares))
    joined = (None if each[0] is None else np.concatenate(each, axis=1) for each in zip(*found, strict=True))
    return Parts(*joined)  # type: ignore[arg-type]


def _on_device(explain: Callable[..., Parts], place: OnDevice, share: Sequence[Array]) -> Parts:
    import tensorflow as tf

    with contextlib.nullcontext() if place.device is None else tf.device(place.device):
        return explain(place.network, *share)
