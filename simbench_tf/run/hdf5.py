"""HDF5 files of a run, read: a damaged one is an error in one line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from simbench_tf.errors import InputError


@contextmanager
def read_hdf5(path: Path) -> Iterator[h5py.File]:
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
    ...     with read_hdf5(damaged) as h5:
    ...         h5["scores"][:]
    ... except InputError as error:
    ...     print(error.what)
    cannot be read: Unable to synchronously open file (file signature not found)
    """
    try:
        with h5py.File(path) as h5:
            yield h5
    # h5py says KeyError for a missing or unreadable object, and RuntimeError or ValueError for other damage
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        mend = "delete it, and make it again with `simbench run RUN/config.yaml --out RUN`"
        raise InputError(path, f"cannot be read: {error}", mend) from error
