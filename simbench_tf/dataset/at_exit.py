"""Batches at a script's end: TensorFlow's threads ask Python for no more of them once Python shuts down.

A tf.data pipeline fetches batches ahead of time, in threads of its own. Python kills a thread that asks for anything
while the interpreter is shut down; TensorFlow then deletes the iterator that the script still held, and waits for that
thread for ever. So, before the shutdown, streams of batches end and the iterators that read them are emptied.
"""

from __future__ import annotations

import atexit
import gc
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from types import GeneratorType
from typing import Any, cast

from simbench_tf.dataset.batches import Arrays

_EXITING = threading.Event()
_STREAMS: weakref.WeakSet[GeneratorType[Arrays, None, None]] = weakref.WeakSet()
#: Seconds: for readers in other threads to come to the end by themselves, and for a part that is being read.
_PATIENCE, _LONGEST_READ = 0.1, 30.0


def until_exit(one_epoch: Callable[[], Iterator[Arrays]]) -> Callable[[], Iterator[Arrays]]:
    """`one_epoch`, whose batches end where the script does; for `tf.data.Dataset.from_generator`.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.zeros((1, 2), np.uint8)
    >>> len(list(until_exit(lambda: iter([(one, one)] * 3))()))
    3
    """
    # TensorFlow is loaded, so what it has registered is called after this
    atexit.unregister(_end)
    atexit.register(_end)

    def stream(batches: Iterator[Arrays]) -> Generator[Arrays]:
        for batch in batches:
            if _EXITING.is_set():
                return
            yield batch

    def begin() -> Iterator[Arrays]:
        begun = cast("GeneratorType[Arrays, None, None]", stream(iter(()) if _EXITING.is_set() else one_epoch()))
        _STREAMS.add(begun)
        return begun

    return begin


def _end() -> None:
    """End every stream of batches, and delete what reads them, while Python still answers."""
    _EXITING.set()
    _wait(_PATIENCE, lambda: bool(_STREAMS))
    # also where no stream is open: a pipeline that repeats may be about to begin the next
    for each in [each for each in gc.get_objects() if _is_iterator(type(each))]:
        each.__dict__.clear()  # TensorFlow joins its threads as the handle goes
    _wait(_PATIENCE, lambda: bool(_STREAMS))
    _wait(_LONGEST_READ, lambda: any(each.gi_running for each in list(_STREAMS)))


def _is_iterator(kind: type[Any]) -> bool:
    """Of an iterator of tf.data; asked of the type alone, since others' objects may do anything when looked at."""
    import tensorflow as tf

    return issubclass(kind, tf.data.Iterator) or kind.__name__ == "OwnedMultiDeviceIterator"


def _wait(seconds: float, waiting: Callable[[], bool]) -> None:
    last = time.monotonic() + seconds
    while waiting() and time.monotonic() < last:
        time.sleep(0.005)
