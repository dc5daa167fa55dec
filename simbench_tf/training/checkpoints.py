"""Checkpoints of training: everything the next batch depends on, in one file that appears whole or not at all.

A checkpoint holds the weights, the optimizer's variables, the states of dropout, the history, the running loss of the
round, and the state of early stopping. The order of the data needs no state: it follows from the seed and the number of
the batch. The checkpoint before it is kept, too: where the last one is damaged, training goes on from that.
"""

from __future__ import annotations

import json
import logging
import signal
import struct
import threading
import warnings
import zlib
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


#: What reading a damaged archive raises: of its directory, its headers, its checksums, or what a header promises.
_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    OSError,
    EOFError,
    RuntimeError,
    OverflowError,
    MemoryError,
    BadZipFile,
    zlib.error,
    struct.error,
)


class Checkpoint(NamedTuple):
    """Where checkpoints are written, and the fingerprint of the training that may resume from one."""

    path: Path
    key: str

    @property
    def generations(self) -> tuple[Path, Path]:
        """The last checkpoint and the one before it."""
        return self.path, self.path.with_name(f"{self.path.stem}.previous{self.path.suffix}")


class _Kept(NamedTuple):
    """What a checkpoint's file holds."""

    state: dict[str, Any]
    variables: Weights
    best: Weights


def write_checkpoint(checkpoint: Checkpoint, model: keras.Model, progress: Progress) -> None:
    """Write a checkpoint; the last one becomes the one before, which goes."""
    arrays = {
        **_named("variable", [variable.numpy() for variable in _variables(model)]),
        **_named("best", progress.best_weights or []),
    }
    state = {**progress._asdict(), "best_weights": None, "key": checkpoint.key, "n_arrays": len(arrays)}
    arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    last, previous = checkpoint.generations
    with whole_file(last) as partial:
        with partial.open("wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays)
        if last.is_file():  # killed here, training goes on from the one before
            last.replace(previous)


def read_checkpoint(checkpoint: Checkpoint, model: keras.Model) -> Progress | None:
    """Restore a model and its built optimizer from a checkpoint of this training; None where there is none.

    Warns
    -----
    UserWarning
        A checkpoint is damaged: it says where training goes on.
    """
    damaged = []
    progress = None
    for path in checkpoint.generations:
        kept = _read(path) if path.is_file() else None
        if isinstance(kept, str):
            damaged.append(f"{path} is damaged ({kept})")
        elif kept is not None and kept.state.get("key") == checkpoint.key and _fits(kept, model):
            progress = _restored(kept, model)
            break
    if damaged:
        where = "begins again" if progress is None else f"goes on from {path}, after batch {progress.done}"
        warnings.warn(f"{' and '.join(damaged)}: training {where}", UserWarning, stacklevel=2)
    return progress


def remove_checkpoints(checkpoint: Checkpoint) -> None:
    """Delete the checkpoints of a training that is done and recorded."""
    for path in checkpoint.generations:
        path.unlink(missing_ok=True)


def _read(path: Path) -> _Kept | str:
    """What a checkpoint's file holds or, of a damaged one, what is wrong with it."""
    try:
        # given a path, numpy leaves a file open that is no archive
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            state = json.loads(np.asarray(arrays["state"]).tobytes())
            kept = _Kept(state, _listed("variable", arrays), _listed("best", arrays))
        # names stand in the archive's directory, which has no checksum; earlier versions did not count them
        n_arrays = len(kept.variables) + len(kept.best)
        if n_arrays != state.get("n_arrays", n_arrays):
            return "arrays are missing"
    except _DAMAGED as error:
        return str(error) or type(error).__name__
    return kept


def _fits(kept: _Kept, model: keras.Model) -> bool:
    return [value.shape for value in kept.variables] == [tuple(each.shape) for each in _variables(model)]


def _restored(kept: _Kept, model: keras.Model) -> Progress:
    for variable, value in zip(_variables(model), kept.variables, strict=True):
        variable.assign(value)
    state = {name: value for name, value in kept.state.items() if name in Progress._fields}
    return Progress(**{**state, "history": tuple(state["history"]), "best_weights": kept.best or None})


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
    values = [arrays[f"{name}{number}"] for number in range(n)]
    if not all(isinstance(value, np.ndarray) for value in values):  # numpy gives bytes where the name is not an array's
        raise ValueError("an array has lost its name")
    return values
