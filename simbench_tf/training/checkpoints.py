"""Checkpoints of training: everything the next batch depends on, in one file that appears whole or not at all.

A checkpoint holds the weights, the optimizer's variables, the states of dropout, the history, the running loss of the
round, and the state of early stopping. The order of the data needs no state: it follows from the seed and the number of
the batch.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import keras
import numpy as np
import numpy.typing as npt

from simbench_tf.files import whole_file

Weights = list[npt.NDArray[Any]]
#: Signals that end training after a checkpoint; Windows has no SIGHUP.
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """The state of training beside the variables: batches done, history, early stopping.

    Attributes
    ----------
    done : int
        Batches trained on.
    loss_total : float
        Sum of the losses of the round's sequences so far.
    history : list of dict
        One row per finished round.
    best : float or None
        The best validation auPRC, and `best_weights` of that round; None before there is one.
    waited : int
        Rounds since then.
    """

    done: int = 0
    loss_total: float = 0.0
    history: tuple[dict[str, float], ...] = ()
    best: float | None = None
    waited: int = 0
    best_weights: Weights | None = None


class Checkpoint(NamedTuple):
    """Where checkpoints are written, and the fingerprint of the training that may resume from one."""

    path: Path
    key: str


def write_checkpoint(checkpoint: Checkpoint, model: keras.Model, progress: Progress) -> None:
    """Write a checkpoint; an earlier one is replaced."""
    state = {**progress._asdict(), "best_weights": None, "key": checkpoint.key}
    arrays = {
        **_named("variable", [variable.numpy() for variable in _variables(model)]),
        **_named("best", progress.best_weights or []),
        "state": np.frombuffer(json.dumps(state).encode(), np.uint8),
    }
    with whole_file(checkpoint.path) as partial, partial.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def read_checkpoint(checkpoint: Checkpoint, model: keras.Model) -> Progress | None:
    """Restore a model and its built optimizer from a checkpoint of this training; None where there is none."""
    if not checkpoint.path.is_file():
        return None
    try:
        with np.load(checkpoint.path) as arrays:
            state = json.loads(arrays["state"].tobytes())
            values, best = _listed("variable", arrays), _listed("best", arrays)
    except (ValueError, KeyError, OSError, BadZipFile):
        return None  # written by another version; a half-written one cannot exist
    variables = _variables(model)
    if state.pop("key") != checkpoint.key or len(values) != len(variables):
        return None
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    history = tuple(state.pop("history"))
    return Progress(**{**state, "history": history, "best_weights": best or None})


@contextmanager
def watch_for_stop(listening: bool) -> Iterator[Callable[[], int | None]]:
    """Yield a function that returns the signal that asks to stop, None without one.

    Signals are watched in the main thread alone, where they arrive. One that is ignored, as SIGHUP under nohup, stays
    ignored. A second Ctrl-C raises KeyboardInterrupt at once.
    """
    received: list[int] = []
    if not listening or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def note(number: int, _frame: object) -> None:
        if number == signal.SIGINT and number in received:
            raise KeyboardInterrupt
        received.append(number)
        _log.info("stopping after this batch, with a checkpoint")

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    watched = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in watched:
        signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number in watched:
            signal.signal(number, before[number])


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _named(name: str, values: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}{number}": value for number, value in enumerate(values)}


def _listed(name: str, arrays: Any) -> Weights:
    n = sum(key.startswith(name) for key in arrays)
    return [arrays[f"{name}{number}"] for number in range(n)]
