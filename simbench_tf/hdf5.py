"""HDF5 files: written whole or not at all, read with damage told in one line that names the file."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError
from simbench_tf.files import whole_file

#: Bytes that an array of others may have.
MOST_ARRAY_BYTES = 16_000_000_000
#: The largest file, in bytes, that is made in memory, where it lies twice for a moment.
_IN_MEMORY = 256 << 20


@contextmanager
def whole_h5(path: str | os.PathLike[str], most_bytes: int = 0) -> Iterator[h5py.File]:
    """Yield an empty HDF5 file; on success it is written to `path`, else nothing is.

    After a failed write HDF5 neither closes its file nor ends the process as it should (1.14 crashes, or prints
    "Disable slist on flush dest" without end). So it is given memory, and what it made is written as any file is.

    Parameters
    ----------
    path : path
    most_bytes : int, default 0
        How large the file may become, where what is written is not held in memory anyway. Over 256 MiB the file goes
        to the disk while it is made, by way of a file object that never fails to HDF5.

    Raises
    ------
    InputError
        The folder cannot be made or written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/new/a.h5"
    >>> with whole_h5(path) as h5:
    ...     h5["scores"] = [1, 2]
    >>> with h5py.File(path) as h5:
    ...     h5["scores"][:].tolist()
    [1, 2]
    """
    with whole_file(path) as partial:
        if most_bytes > _IN_MEMORY:
            with partial.open("r+b", buffering=0) as raw:
                file = _NeverFailing(raw)
                with h5py.File(file, "w") as h5:
                    yield h5
                file.check()
        else:
            # the bytes are those that HDF5 would write to a disk; those of a file object are laid out otherwise
            with h5py.File(partial, "w", driver="core", backing_store=False) as h5:
                yield h5
                h5.flush()
                image = h5.id.get_file_image()
            partial.write_bytes(image)


@contextmanager
def read_h5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file of a run; what is read of it is read within the `with` block.

    Raises
    ------
    InputError
        The file is missing or damaged, or lacks what is read of it.

    Examples
    --------
    >>> import tempfile
    >>> damaged = Path(tempfile.mkdtemp()) / "a.h5"
    >>> _ = damaged.write_bytes(b"no HDF5")
    >>> try:
    ...     with read_h5(damaged) as h5:
    ...         h5["scores"][:]
    ... except InputError as error:
    ...     print(error.what)
    cannot be read: Unable to synchronously open file (file signature not found)
    """
    try:
        with h5py.File(path) as h5:
            yield h5
    # h5py says KeyError for a missing or unreadable object, and nearly anything for other damage
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        mend = "delete it, and make it again with `simbench run RUN/config.yaml --out RUN`"
        raise InputError(path, f"cannot be read: {error}", mend) from error


def read_array(h5: h5py.Group, name: str) -> npt.NDArray[Any]:
    """Read an array of an HDF5 file that others made: of that file alone, and of a size that a memory may hold.

    HDF5 can keep an array's values in another file, or a link to one, which a file of others could point anywhere.

    Raises
    ------
    InputError
        The array lies outside the file, is damaged, is compressed in a way that HDF5 lacks here, or says that it has
        more than `MOST_ARRAY_BYTES`.
    KeyError
        There is none of this name.
    """
    where = str(h5.file.filename)
    try:
        return _values(h5, name, where)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(where, f"{name} cannot be read: {error}", "write it again, with plain arrays only") from error


def _values(h5: h5py.Group, name: str, where: str) -> npt.NDArray[Any]:
    array = h5[name]
    if not isinstance(array, h5py.Dataset):
        raise InputError(where, f"{name} is no array", "write it again, with plain arrays only")
    if array.file.filename != h5.file.filename or array.external or array.is_virtual:
        raise InputError(where, f"keeps {name} in another file", "write it again, with plain arrays only")
    _check_compression(array, where, name)
    if array.nbytes > MOST_ARRAY_BYTES:
        what = f"holds {name} of {array.nbytes / 1e9:,.0f} GB, {MOST_ARRAY_BYTES / 1e9:.0f} GB are the most"
        raise InputError(where, what, "give fewer sequences at a time")
    return np.asarray(array[()])


def _check_compression(array: h5py.Dataset, where: str, name: str) -> None:
    """Check that HDF5 can unpack an array; Blosc and others, which PyTables writes, come with a package."""
    properties = array.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, label = properties.get_filter(number)
        if h5py.h5z.filter_avail(code):
            continue
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  its import registers filters
        if not h5py.h5z.filter_avail(code):
            packed_by = label.decode(errors="replace") or f"filter {code}"
            what = f"keeps {name} compressed by {packed_by}, which HDF5 lacks here"
            raise InputError(where, what, "pip install hdf5plugin, or write it again with gzip")


class _NeverFailing(io.RawIOBase):
    """A file that seems to take what it cannot write, and tells of it by `check` once HDF5 has closed it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        wanted = memoryview(data).cast("B")
        if self._error is None:
            place = self._raw.tell()
            try:
                written = 0
                while written < len(wanted):
                    written += self._raw.write(wanted[written:]) or 0
                return written
            except OSError as error:
                self._error = error
                self._raw.seek(place)
        self._raw.seek(len(wanted), os.SEEK_CUR)
        return len(wanted)

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        found = self._raw.readinto(view)  # type: ignore[attr-defined]
        view[found:] = bytes(len(view) - found)  # what was not written
        return len(view)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(place, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def check(self) -> None:
        """Raise what a write ended with, if one did."""
        if self._error is not None:
            raise self._error
