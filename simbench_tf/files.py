"""Files appear whole or not at all: written beside their place under a temporary name, then renamed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simbench_tf.errors import InputError

TEMPORARY_PREFIX = ".partial-"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it is renamed to `path`, else removed.

    The temporary name keeps the suffix of `path`, since Keras and others choose a format by it.

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
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
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
        reason = error.strerror or str(error)
        raise InputError(
            path, f"cannot be written: {reason}", "choose another output folder or free some space"
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def checksum(path: str | os.PathLike[str]) -> str:
    """BLAKE2b-128 of a file's bytes, as hex."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
