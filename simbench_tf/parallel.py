"""Parallel map in order: in this process, over worker processes on this machine, or over a Dask cluster.

Results come in the order of the items, whichever worker computed them, so what is written does not depend on the
workers; and only a few results are held at a time, so memory is bounded. Worker processes are reached by pipes: no port
is opened. A cluster is the user's own, and as safe as docs/workers.md makes it.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any, Protocol, TypeVar

from simbench_tf.errors import InputError, WorkersLost

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


#: ``track(description, total)`` is a context manager that yields ``advance(n)``, to show progress.
Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


#: How long a scheduler may take to answer.
SCHEDULER_TIMEOUT = "10s"
#: Seconds of waiting after which a scheduler without workers is told, and then told again.
FIRST_NOTE, NEXT_NOTE = 5.0, 30.0
#: Seconds after which the workers of a cluster are counted again.
_COUNT_AGAIN = 10.0


class MapInOrder(Protocol):
    """A map of one function over one iterable; the built-in `map` is one."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yield function(item) for every item, in order."""
        ...


@contextmanager
def silent(_description: str, _total: int) -> Iterator[Callable[[int], None]]:
    """Track progress without showing it."""
    yield lambda _n: None


@contextmanager
def workers(n_workers: int | None = None, address: str | None = None) -> Iterator[MapInOrder]:
    """Yield an ordered map: the built-in one, over `n_workers` local processes, or over the scheduler at `address`.

    Parameters
    ----------
    n_workers : int, optional
        Local worker processes; None or 1 computes in this process. A script that asks for more keeps what it does
        below ``if __name__ == "__main__":``, since each process reads it.
    address : str, optional
        Address of a Dask scheduler, ``tcp://host:port`` or ``tls://host:port``. Its workers must see the run folder
        under the same path.

    Raises
    ------
    InputError
        No scheduler answers at `address`, or its workers lack a file that is here.
    WorkersLost
        A worker process was killed, or the scheduler ended.

    Examples
    --------
    >>> with workers() as map_in_order:
    ...     list(map_in_order(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    if address is not None:
        with _cluster(address) as map_in_order:
            yield map_in_order
    elif (n_workers or 1) == 1:
        yield map
    else:
        with _processes(n_workers or 1) as map_in_order:
            yield map_in_order


def _in_order(submit: Callable[..., Any], result: Callable[[Any], Any], ahead: Callable[[], int]) -> MapInOrder:
    """A map that has `ahead` items at work, or waiting for it, beside the one whose result is next."""

    def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        pending: deque[Any] = deque()
        for item in items:
            pending.append(submit(function, item))
            if len(pending) >= ahead():
                yield result(pending.popleft())
        while pending:
            yield result(pending.popleft())

    return map_in_order


# processes of this machine


@contextmanager
def _processes(n: int) -> Iterator[MapInOrder]:
    before = set(multiprocessing.active_children())
    # forked, processes could not use TensorFlow
    pool = ProcessPoolExecutor(n, multiprocessing.get_context("spawn"), _begin_worker)

    def submit(function: Callable[[Item], Result], item: Item) -> Any:
        with _no_ctrl_c():  # a process may be begun here
            return pool.submit(function, item)

    try:
        yield _in_order(submit, lambda future: future.result(), lambda: 2 * n)
    except BaseException as error:
        # what they work on is of no use now, and may take minutes
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        if isinstance(error, BrokenProcessPool):
            what = "was ended from outside, perhaps for want of memory"
            raise WorkersLost(
                f"a worker process {what}; the same command goes on, perhaps with fewer workers"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Have processes that are begun here not see Ctrl-C, which the terminal sends to all: this process ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where there is no mask to inherit
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker once the process that began it is gone: killed, it could not say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


# a Dask cluster


@contextmanager
def _cluster(address: str) -> Iterator[MapInOrder]:
    where = f"--dask {address}"
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        what = f"needs Dask, which cannot be imported: {error}"
        raise InputError(where, what, "pip install 'simbench_tf[dask]', or --workers") from error
    for name in list(logging.root.manager.loggerDict):  # what they would log, we say in a line
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        # first, since a client that finds nobody stays behind; collected while the next one begins, it waits for ever
        # for the lock that this one holds (distributed 2026.8: Client.__del__ stops its LoopRunner)
        with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop of its own in this one
            thread.submit(asyncio.run, _knock(address)).result()
        client = Client(address, timeout=SCHEDULER_TIMEOUT)
    except OSError as error:
        raise InputError(where, "no scheduler answers there", "start `dask scheduler` first") from error
    except (TypeError, ValueError) as error:
        what = f"is no address of a scheduler: {error}"
        raise InputError(where, what, "write tcp://host:port, as `dask scheduler` prints it") from error

    def result(future: Any) -> Any:
        try:
            _wait(client, future, address)
            return future.result()
        except CancelledError as error:
            what = "no longer answers; once it is started again, with its workers, the same command goes on"
            raise WorkersLost(f"the scheduler at {address} {what}") from error
        except KilledWorker as error:
            what = "ended again and again, perhaps for want of memory; the same command goes on"
            raise WorkersLost(f"workers of the scheduler at {address} {what}") from error
        except (FileNotFoundError, InputError) as error:
            _check_seen(client, getattr(error, "filename", None) or getattr(error, "where", None), where)
            raise

    with client:
        yield _in_order(lambda *work: client.submit(*work, pure=False), result, _ahead(client))


async def _knock(address: str) -> None:
    """Connect to a scheduler and leave; raises as a client does, and leaves nothing behind."""
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, timeout=SCHEDULER_TIMEOUT, **Security().get_connection_args("client"))
    await comm.close()


def _ahead(client: Any) -> Callable[[], int]:
    """Twice the threads of the cluster's workers, which come and go."""
    counted, n = float("-inf"), 2

    def ahead() -> int:
        nonlocal counted, n
        if time.monotonic() - counted > _COUNT_AGAIN:
            counted, n = time.monotonic(), 2 * max(1, _n_threads(client) or 0)
        return n

    return ahead


def _n_threads(client: Any) -> int | None:
    """Threads of all workers; None where the scheduler does not answer, which the wait for a result will tell."""
    try:
        return sum(client.nthreads().values())
    except (OSError, CancelledError):
        return None


def _wait(client: Any, future: Any, address: str) -> None:
    """Wait for a result; while the scheduler has no workers say so, again and again."""
    from distributed import TimeoutError as NotYet
    from distributed import wait

    patience = FIRST_NOTE
    while True:
        try:
            wait(future, timeout=patience)
        except NotYet:
            if _n_threads(client) == 0:
                _log.warning("the scheduler at %s has no workers: start some by `dask worker %s`", address, address)
                patience = NEXT_NOTE
        else:
            return


def _check_seen(client: Any, path: Any, where: str) -> None:
    """Raise InputError if a file that is here is lacking on a worker."""
    if not isinstance(path, str) or not Path(path).exists():
        return
    if not all(client.run(os.path.exists, path).values()):
        mend = "have them see the run, and what it reads, under the same paths as this machine"
        raise InputError(where, f"its workers do not see {path}", mend)
