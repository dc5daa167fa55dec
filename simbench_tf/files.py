"""Reading and writing files: written whole or not at all, text lines of plain or gzip files, checksums, safe names."""

from __future__ import annotations

import codecs
import contextlib
import functools
import gzip
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from simbench_tf.errors import InputError

#: How the names of files and folders begin that are not whole yet.
TEMPORARY_PREFIX = ".partial-"

#: Letters that a line of text may have: a gzip file of kilobytes can hold a line that fills the memory.
MOST_LETTERS = 20_000_000
#: From how many bytes on, and how many times its size, a gzip file holds more than any data do: one byte over and over.
_BOMB_BYTES, _BOMB_TIMES = 10**9, 200
#: After how long a file's time tells that it did not change since.
_SETTLED_SECONDS = 2
#: What the gzip module raises for a file that was cut short or damaged.
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it is renamed to `path`, else removed.

    The temporary name keeps the suffix of `path`, since Keras and others choose a format by it. What killed calls left
    in that folder is removed.

    Raises
    ------
    InputError
        The folder cannot be made or written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "new" / "a.txt") as partial:
    ...     _ = partial.write_text("done")
    >>> (folder / "new" / "a.txt").read_text()
    'done'
    """
    path = Path(path)
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_ended(path.parent.glob(f"{TEMPORARY_PREFIX}*"))
        handle, name = tempfile.mkstemp(prefix=temporary_prefix(), suffix=path.suffix, dir=path.parent)
        os.close(handle)
        partial = Path(name)
        yield partial
        # mkstemp makes private files; the result gets what the user's umask grants
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in (partial, path, *path.parents):
            raise
        raise InputError(path, f"cannot be written: {error.strerror or error}", _mend_of(error)) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _mend_of(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "remove or rename the folder that has this name"
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "remove or rename the file that stands where a folder should be"
    return "choose another output folder or free some space"


def temporary_prefix() -> str:
    """How this process begins the names of what is not whole yet: with its host and number, so that others know it."""
    return f"{TEMPORARY_PREFIX}{_host()}-{os.getpid()}-"


def is_abandoned(path: Path) -> bool:
    """Whether a file or folder was begun by `whole_file` or its like, on this host, by a process that has ended."""
    match = re.match(rf"{re.escape(TEMPORARY_PREFIX)}{_host()}-(\d+)-", path.name)
    if match is None or int(match[1]) == os.getpid():
        return False
    try:
        os.kill(int(match[1]), 0)  # signal 0 only asks whether the process is there
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and another user's
        return False
    return False


def remove_abandoned(folder: Path) -> None:
    """Remove what killed calls left half-written below a folder; what another call is writing stays."""
    _remove_ended(folder.rglob(f"{TEMPORARY_PREFIX}*"))


def _remove_ended(leftovers: Iterable[Path]) -> None:
    for leftover in leftovers:
        if is_abandoned(leftover):
            with contextlib.suppress(OSError):  # another user's, or another call removes it, too
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _host() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def checksum(path: str | os.PathLike[str]) -> str:
    """BLAKE2b-128 of a file's bytes, as hex."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def to_disk(paths: Iterable[Path]) -> None:
    """Have the system write files, and the names of their folders, to the disk: a power cut then loses none of them.

    A file that is closed may stay in memory for half a minute, and its name reach the disk before its content does.
    """
    paths = list(paths)
    for path in (*paths, *dict.fromkeys(path.parent for path in paths)):
        with contextlib.suppress(OSError):  # of folders on Windows, and of file systems that know no such call
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def known_checksum(path: str | os.PathLike[str]) -> str:
    """`checksum` of a file that is opened again and again: read once a process, unless its size or time changes.

    A file that was written in the last seconds is read each time: it could change again within one tick of the clock.
    """
    status = Path(path).stat()
    if time.time() - status.st_mtime < _SETTLED_SECONDS:
        return checksum(path)
    return _checksum_of(os.fspath(path), status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _checksum_of(path: str, _inode: int, _size: int, _mtime_ns: int) -> str:
    return checksum(path)


def bytes_checksum(content: bytes | memoryview) -> str:
    """`checksum` of what is not on disk yet."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def safe_name(name: str) -> bool:
    """Whether a name can be that of a file or folder: letters, digits and ``. _ -``, and no . or - at the front.

    Examples
    --------
    >>> safe_name("basset-seed1"), safe_name("../basset"), safe_name("")
    (True, False, False)
    """
    return bool(name) and not name.startswith((".", "-")) and all(c.isalnum() or c in "._-" for c in name)


def is_gzip(path: Path) -> bool:
    """Whether a file's content (not its name) is gzip, bgzip included."""
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def damaged_gzip(where: str | Path) -> InputError:
    """The error of a gzip file that ends before its end mark, or does not decompress."""
    return InputError(where, "the gzip file is cut short or damaged", "copy or download it again")


def text_lines(path: Path, expected: str, other_encodings: bool = False) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a plain or gzip text file, numbered from 1, without their line ends.

    Parameters
    ----------
    path : path
        UTF-8 text, with any line ends and with or without a byte order mark; gzip is recognised by its content.
    expected : str
        How to fix a file that is not text: what should be given.
    other_encodings : bool, default False
        Whether bytes that are not UTF-8 are taken, as lone surrogates ("surrogateescape"): for formats with columns
        that are not used, in which older programs write names in encodings of their own.

    Raises
    ------
    InputError
        The file cannot be read or is not text, has a line of over `MOST_LETTERS`, or is a gzip file that is cut short
        or damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_bytes(gzip.compress(b"one\r\ntwo"))
    >>> list(text_lines(path, "give a text file"))
    [(1, 'one'), (2, 'two')]
    """
    number, n_read = 0, 0
    try:
        with _open_text(path) as handle:
            for number, line in enumerate(iter(lambda: handle.readline(MOST_LETTERS), ""), start=1):
                n_read += len(line)
                if n_read > _BOMB_BYTES:
                    check_expansion(path, n_read)
                if len(line) == MOST_LETTERS:
                    what = f"is a line of over {MOST_LETTERS // 10**6} million letters"
                    raise InputError(f"{path}:{number}", what, expected)
                if "\0" in line or not (other_encodings or is_utf8(line)):
                    raise InputError(f"{path}:{number}", _no_text(path), expected)
                # a mark also stands at the seams of files that were joined
                yield number, line.rstrip("\n").removeprefix("\ufeff")
    except GZIP_ERRORS as error:
        raise damaged_gzip(f"{path}:{number + 1}") from error
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}", "check the path") from error


def check_expansion(path: Path, n_bytes: int) -> None:
    """Raise InputError if a gzip file from which so many bytes came is no data, but made to fill memory or disk."""
    if n_bytes > _BOMB_BYTES and n_bytes > _BOMB_TIMES * path.stat().st_size and is_gzip(path):
        what = f"expands to over {_BOMB_BYTES // 10**9} GB, more than {_BOMB_TIMES} times its size"
        raise InputError(path, what, "give a file of data")


def is_utf8(text: str) -> bool:
    """Whether text from `text_lines` holds no byte of another encoding."""
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute or execute a cell with this text, and not show it.

    Names of others come into tables, and tables are opened with a spreadsheet: what reads a name refuses such ones.

    Examples
    --------
    >>> is_formula("=HYPERLINK(A1)"), is_formula("@SUM(1)"), is_formula("GATA1::TAL1"), is_formula("")
    (True, True, False, False)
    """
    return text.startswith(("=", "+", "-", "@"))


def _no_text(path: Path) -> str:
    with path.open("rb") as handle:
        utf16 = handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "is UTF-16 text, not UTF-8" if utf16 else "is not text"


def _open_text(path: Path) -> IO[str]:
    if is_gzip(path):
        return cast(IO[str], gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape"))
    return path.open(encoding="utf-8-sig", errors="surrogateescape")
