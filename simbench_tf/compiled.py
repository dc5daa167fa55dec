"""numba's `njit`, which keeps on disk what it compiled, tells of it, and does without where nothing can be kept.

The first call of a function compiles it for this processor; of all that a run uses that takes up to two minutes, once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numba as nb
from numba.core import event

from simbench_tf.caches import private_folder

_log = logging.getLogger(__name__)

#: Every function that `njit` decorated: numba's dispatchers, which know what they are compiled for and where that is.
_functions: list[Any] = []


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function to be compiled by ``numba.njit(**options)``, with its cache on disk where one can be written.

    numba itself raises a RuntimeError at the import of a package that lies in a folder that is read-only, as in a
    container, if the user's home is so too; the cache then lies in a temporary folder.

    Examples
    --------
    >>> @njit()
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """

    def decorate(function: Callable[..., Any]) -> Any:
        for use_other_cache in (_use_private_folder, _say_once):
            try:
                return _known(nb.njit(cache=True, **options)(function))
            except RuntimeError as error:
                if "cannot cache function" not in str(error):
                    raise
            use_other_cache()
        return _known(nb.njit(**options)(function))

    return decorate


def _known(dispatcher: Any) -> Any:
    _functions.append(dispatcher)
    return dispatcher


def compiled_functions() -> list[Any]:
    """The functions of the modules loaded so far that numba compiles, as its dispatchers.

    Examples
    --------
    >>> import simbench_tf.dna
    >>> "shuffle_dinucleotides" in {each.__name__ for each in compiled_functions()}
    True
    """
    return list(_functions)


def compiling_seconds() -> float:
    """Seconds that this process spent on compiling so far; what was read from the cache is not in it.

    Examples
    --------
    >>> compiling_seconds() >= 0
    True
    """
    return _compilations.seconds


class _Compilations(event.Listener):
    """Told by numba of each compilation; says so at the first, as bars stand still meanwhile, and adds up the time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began: list[float] = []
        self._is_said = False

    def on_start(self, begun: Any) -> None:
        self._began.append(time.perf_counter())
        dispatcher = begun.data["dispatcher"]
        if self._is_said or not any(each is dispatcher for each in _functions):
            return
        self._is_said = True
        kept = dispatcher.stats.cache_path
        where = f"kept in {kept}" if kept else "not kept"
        _log.info(
            "compiling for this processor (numba): up to two minutes at the first run, in which bars stand still; %s; "
            "`simbench doctor --warm` does it ahead",
            where,
        )

    def on_end(self, ended: Any) -> None:  # noqa: ARG002
        began = self._began.pop()
        if not self._began:  # one that compiles another counts once
            self.seconds += time.perf_counter() - began


_compilations = _Compilations()
event.register("numba:compile", _compilations)


def _use_private_folder() -> None:
    folder = private_folder()
    if folder is not None:
        nb.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")  # of processes begun later, too


@cache
def _say_once() -> None:
    _log.warning(
        "code is compiled anew at each start, since neither the package's folder, the home nor a temporary folder can "
        "be written; to keep what is compiled, set NUMBA_CACHE_DIR to a folder that can"
    )
