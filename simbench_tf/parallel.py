"""Parallel map in order: in this process, over worker processes on this machine, or over a Dask cluster.

Results come in the order of the items, whichever worker computed them, so what is written does not depend on the
workers; and only a few results are held at a time, so memory is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from simbench_tf.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


#: ``track(description, total)`` is a context manager that yields ``advance(n)``, to show progress.
Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


#: How long a scheduler may take to answer.
SCHEDULER_TIMEOUT = "10s"


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
        Local worker processes; None or 1 computes in this process.
    address : str, optional
        Address of a Dask scheduler, ``tcp://host:port``. Its workers must see the run folder under the same path.

    Raises
    ------
    InputError
        No scheduler answers at `address`.

    Examples
    --------
    >>> with workers() as map_in_order:
    ...     list(map_in_order(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    if address is None and (n_workers or 1) == 1:
        yield map
        return
    from distributed import Client, LocalCluster

    if address is not None:
        try:
            with Client(address, timeout=SCHEDULER_TIMEOUT) as client:
                yield _map_of(client)
        except OSError as error:
            raise InputError(
                f"--dask {address}", "no scheduler answers there", "start `dask scheduler` first"
            ) from error
        return
    cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield _map_of(client)


def _map_of(client: Any) -> MapInOrder:
    def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        ahead = 2 * max(1, len(client.scheduler_info()["workers"]))
        pending: deque[Any] = deque()
        for item in items:
            pending.append(client.submit(function, item, pure=False))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    return map_in_order
