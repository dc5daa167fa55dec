"""The lock of a run: one process at a time writes into its folder, and the next one is told which that is.

Jobs of an array share a run: each holds the parts that it writes, and the manifest for the moment of a record.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
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

#: In a run that jobs share, while they do: a lock for each part that one of them writes, and one for the manifest.
JOBS = ".simbench.jobs"

#: Runs that this process has locked, by their folder: what it calls within goes on.
_mine: set[Path] = set()
#: Of these the ones that it shares with other jobs.
_shared: set[Path] = set()


@contextmanager
def locked(folder: Path, parts: Sequence[str] = ()) -> Iterator[None]:
    """Hold a run, so that no other process writes into it; those that only read need nothing.

    The kernel holds the lock (flock), and lets it go when the process ends, however it ends: the lock of the dead is no
    one's, and what they left half-written is removed. On NFS the server holds it, for all hosts. Where a file system
    has no locks the work goes on without, and says so. Of several hosts that train together the chief holds it for all.

    Parameters
    ----------
    folder : path
        RUN, made where missing.
    parts : sequence of str
        What alone is written, as paths below the run, so that jobs with other parts can go on beside; a process that
        holds the whole run, and they, keep each other out.

    Raises
    ------
    InputError
        Another process holds it, or one of the parts: its host, its number, and since when.

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
    file = _held(folder / LOCK, folder, shared=bool(parts))
    if file is None:
        if parts:
            mend = "do the whole stage by one process: leave out --model, --task and --method"
            raise InputError(folder, "lies on a file system without locks, so jobs cannot share it", mend)
        yield
        return
    _mine.add(place)
    held: dict[Path, int] = {}
    try:
        if parts:
            _shared.add(place)
            held |= _held_parts(folder, parts)
        else:
            shutil.rmtree(folder / JOBS, ignore_errors=True)  # of jobs that were killed
        remove_abandoned(folder)
        yield
    finally:
        _mine.discard(place)
        _shared.discard(place)
        for path, part in held.items():
            path.unlink(missing_ok=True)
            os.close(part)
        if not parts or _is_last(file):
            shutil.rmtree(folder / JOBS, ignore_errors=True)
            (folder / LOCK).unlink(missing_ok=True)
        os.close(file)  # and with it the lock


@contextmanager
def amending(folder: Path) -> Iterator[None]:
    """Hold the manifest of a run that jobs share, for as long as it is read, changed and written; wait for others."""
    if folder.resolve() not in _shared:
        yield
        return
    with (folder / JOBS / "manifest.lock").open("a") as file:  # which closes, and with it the lock
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _held_parts(folder: Path, parts: Sequence[str]) -> dict[Path, int]:
    held: dict[Path, int] = {}
    try:
        for part in parts:
            path = folder / JOBS / f"{part}.lock"
            file = _held(path, folder / part)
            assert file is not None, "the run itself was locked"
            held[path] = file
    except BaseException:
        for file in held.values():
            os.close(file)
        raise
    return held


def _is_last(file: int) -> bool:
    """Whether no other job shares the run; then none begins before this one is done with the lock's file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def holder_of(folder: Path) -> str | None:
    """Who holds a run now, in words; None where nobody does, or where there are no locks."""
    if fcntl is None or not (folder / LOCK).is_file() or folder.resolve() in _mine:
        return None
    jobs = (path for path in sorted((folder / JOBS).rglob("*.lock")) if path.name != "manifest.lock")
    found = {path.relative_to(folder / JOBS).with_suffix("").as_posix(): _holder_of(path) for path in jobs}
    held = [f"{holder} ({part})" for part, holder in found.items() if holder is not None]
    return "; ".join(held) or _holder_of(folder / LOCK)


def _holder_of(lock: Path) -> str | None:
    with contextlib.suppress(OSError), lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file.fileno())
    return None


def _held(lock: Path, what: Path, *, shared: bool = False) -> int | None:
    """The lock's file, locked; None where nothing can be written, or nothing locked."""
    while True:
        file = _opened(lock)
        if file is None:
            return None
        try:
            if not _lock(file, what, shared=shared):
                os.close(file)
                return None
            if _is_there(file, lock):
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


def _opened(lock: Path) -> int | None:
    """The lock's file; None where nothing can be written, which whoever writes next will say."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None


def _lock(file: int, what: Path, *, shared: bool) -> bool:
    """Lock the file and write who holds it; False where the file system has no locks."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        mend = "wait until it is done, stop it, or choose another folder"
        raise InputError(what, f"is being written by {_holder(file)}", mend) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            raise
        _log.warning("%s lies on a file system without locks: see that no second process writes into it", what)
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
