"""numba's `njit`, which keeps on disk what it compiled, and does without where no folder for that can be written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numba as nb

from simbench_tf.caches import private_folder

_log = logging.getLogger(__name__)


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
                return nb.njit(cache=True, **options)(function)
            except RuntimeError as error:
                if "cannot cache function" not in str(error):
                    raise
            use_other_cache()
        return nb.njit(**options)(function)

    return decorate


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
