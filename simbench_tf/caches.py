"""Folders of caches (numba, Matplotlib, Keras, fontconfig): a private temporary one where the home cannot be written.

In a container the package often lies in a folder that is read-only, and its user has no home. Matplotlib, Keras and
kipoi then take folders below /tmp, with names that another user may have made before; numba raises an error.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

_log = logging.getLogger(__name__)

#: For each variable that names a library's folder: that folder below the home, and below `private_folder`.
_FOLDERS = {
    "MPLCONFIGDIR": (".config/matplotlib", "matplotlib"),
    "KERAS_HOME": (".keras", "keras"),
    "XDG_CACHE_HOME": (".cache", "cache"),
}


def use_writable_caches() -> None:
    """Name a temporary folder, in the environment, for each library whose own folder below the home cannot be written.

    It is called before the libraries are loaded, as they read the environment then; processes begun later inherit it.

    Examples
    --------
    >>> use_writable_caches()  # nothing happens where the home can be written
    """
    try:
        home = Path.home()
    except RuntimeError:  # a user that the system does not know, as containers have
        home = Path("~")
    for variable, (own, ours) in _FOLDERS.items():
        if variable in os.environ or _can_be_made(home / own):
            continue
        folder = private_folder()
        if folder is None:
            return
        os.environ[variable] = str(folder / ours)


def _can_be_made(folder: Path) -> bool:
    """Whether a folder can be written, or made where it is missing."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    return folder.is_absolute() and there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


@cache
def private_folder() -> Path | None:
    """A folder below the temporary one that this user alone can read or write, told in one note; None if there is none.

    Its name is the same at each start, so that what numba compiled is kept. As cached code is run, a folder of that
    name that someone else made, or can write, is not used.
    """
    user = getattr(os, "getuid", lambda: 0)()
    try:
        folder = Path(tempfile.gettempdir(), f"simbench-cache-{user}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
        return None
    _log.warning(
        "the home folder cannot be written, so caches are kept in %s; NUMBA_CACHE_DIR, MPLCONFIGDIR, KERAS_HOME and "
        "XDG_CACHE_HOME name others",
        folder,
    )
    return folder
