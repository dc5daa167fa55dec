"""The lock of a run: one process at a time writes into its folder, and the next one is told which that is."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from simbench_tf.devices import is_chief
from simbench_tf.errors import InputError
from simbench_tf.files import remove_abandoned

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

#: The file in a run's folder that is locked; it says who holds it, and goes when they are done.
LOCK = ".simbench.lock"

#: Runs that this process has locked, by their folder: what it calls within goes on.
_mine: set[Path] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run, so that no other process writes into it; those that only read need nothing.

    The kernel holds the lock (flock), and lets it go when the process ends, however it ends: the lock of the dead is no
    one's, and what they left half-written is removed. On NFS the server holds it, for all hosts. Where a file system
    has no locks the work goes on without, and says so. Of several hosts that train together the chief holds it for all.

    Parameters
    ----------
    folder : path
        RUN, made where missing.

    Raises
    ------
    InputError
        Another process holds it: its host, its number, and since when.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with locked(folder):
    ...     sorted(json.loads((folder / LOCK).read_text()))
    ['host', 'pid', 'since']
    """
    place = folder.resolve()
    if place in _mine or fcntl is None or not is_chief():
        yield
        return
    file = _held(folder)
    if file is None:
        yield
        return
    _mine.add(place)
    try:
        remove_abandoned(folder)
        yield
    finally:
        _mine.discard(place)
        (folder / LOCK).unlink(missing_ok=True)
        os.close(file)  # and with it the lock


def holder_of(folder: Path) -> str | None:
    """Who holds a run now, in words; None where nobody does, or where there are no locks."""
    if fcntl is None or not (folder / LOCK).is_file() or folder.resolve() in _mine:
        return None
    with (folder / LOCK).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file.fileno())
        except OSError:
            return None
    return None


def _held(folder: Path) -> int | None:
    """The lock's file, locked; None where nothing can be written, or nothing locked."""
    while True:
        file = _opened(folder)
        if file is None:
            return None
        try:
            if not _lock(file, folder):
                os.close(file)
                return None
            if _is_there(file, folder / LOCK):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # who held it has just removed it


def _is_there(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _opened(folder: Path) -> int | None:
    """The lock's file; None where nothing can be written, which whoever writes next will say."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None


def _lock(file: int, folder: Path) -> bool:
    """Lock the file and write who holds it; False where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        mend = "wait until it is done, stop it, or choose another folder"
        raise InputError(folder, f"is being written by {_holder(file)}", mend) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            raise
        _log.warning("%s lies on a file system without locks: see that no second process writes into it", folder)
        return False
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}
    os.ftruncate(file, 0)
    os.pwrite(file, (json.dumps(holder) + "\n").encode(), 0)
    return True


def _holder(file: int) -> str:
    """Who holds the lock, as it wrote."""
    try:
        known = json.loads(os.pread(file, 4096, 0))
        return f"another process: {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):  # it has not written yet
        return "another process"
