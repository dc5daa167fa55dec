"""Random access to the bytes of a file, plain or bgzip (BGZF: gzip in blocks of at most 64 kB, each by itself)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from simbench_tf.files import damaged_gzip

#: ``read_at(offset, n)`` gives n bytes from `offset` on, fewer at the file's end; those of bgzip are decompressed.
ReadAt = Callable[[int, int], bytes]
_END_MARK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEADER_BYTES = 18


def is_bgzf(path: Path) -> bool:
    """Whether a file's content (not its name) is bgzip."""
    with path.open("rb") as handle:
        return _block_size(handle.read(_HEADER_BYTES)) > 0


def ends_whole(path: Path) -> bool:
    """Whether a bgzip file ends in its end mark: without it, it was cut short."""
    with path.open("rb") as handle:
        handle.seek(-min(len(_END_MARK), path.stat().st_size), 2)
        return handle.read() == _END_MARK


@contextmanager
def open_bytes(path: Path) -> Iterator[ReadAt]:
    """Yield a function that reads bytes anywhere in a file, plain or bgzip."""
    with path.open("rb") as handle:
        yield _bgzf_reader(path, handle) if is_bgzf(path) else _plain_reader(handle)


def _plain_reader(handle: BinaryIO) -> ReadAt:
    def read_at(offset: int, n: int) -> bytes:
        handle.seek(offset)
        return handle.read(n)

    return read_at


def _bgzf_reader(path: Path, handle: BinaryIO) -> ReadAt:
    stat = path.stat()
    starts, offsets = _blocks(path, stat.st_size, stat.st_mtime_ns)

    @lru_cache(maxsize=1)
    def block(number: int) -> bytes:
        handle.seek(starts[number])
        try:
            return zlib.decompress(handle.read(starts[number + 1] - starts[number]), wbits=31)  # with a gzip header
        except zlib.error as error:
            raise damaged_gzip(path) from error

    def read_at(offset: int, n: int) -> bytes:
        first, last = np.searchsorted(offsets, [offset, offset + n], side="right") - 1
        data = b"".join(block(number) for number in range(first, min(int(last) + 1, len(starts) - 1)))
        return data[offset - offsets[first] :][:n]

    return read_at


@lru_cache(maxsize=4)
def _blocks(path: Path, _size: int, _mtime: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each block starts in the file, and its data in the decompressed whole; the last entries are their ends."""
    starts, offsets = [0], [0]
    with path.open("rb") as handle:
        while header := handle.read(_HEADER_BYTES):
            size = _block_size(header)
            handle.seek(starts[-1] + size - 4)
            n_bytes = handle.read(4)
            if not size or len(n_bytes) < 4:
                raise damaged_gzip(path)
            starts.append(starts[-1] + size)
            offsets.append(offsets[-1] + int.from_bytes(n_bytes, "little"))
    return np.array(starts), np.array(offsets)


def _block_size(header: bytes) -> int:
    """Bytes of the block that begins with these; 0 where it is no block of BGZF."""
    if header[:4] == b"\x1f\x8b\x08\x04" and header[12:14] == b"BC" and len(header) == _HEADER_BYTES:
        return int.from_bytes(header[16:18], "little") + 1
    return 0
