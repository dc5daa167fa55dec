"""DNA as Arrow string columns: bases to text and back without Python strings."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from simbench_tf.dna.encoding import CODES, LETTERS, Bases


def text_column(bases: Bases) -> pa.StringArray:
    """Bases, uint8 (N, L) with 0-3 and 4 for N, as an Arrow column of N strings (one look-up, no Python strings).

    Examples
    --------
    >>> text_column(np.array([[0, 1, 2, 3, 4]], np.uint8)).to_pylist()
    ['ACGTN']
    """
    n, length = bases.shape
    if n * length > np.iinfo(np.int32).max:
        raise ValueError(f"{n} x {length} bases do not fit one Arrow string column; write them in smaller parts")
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(length)
    letters = np.ascontiguousarray(LETTERS[bases])
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(letters))


def bases_of(column: pa.Array | pa.ChunkedArray) -> Bases:
    """An Arrow column of N strings of one length L as bases, uint8 (N, L); anything but ACGT (either case) is 4.

    Raises
    ------
    ValueError
        The strings differ in length.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    arrays = [_bases_of_chunk(chunk) for chunk in chunks if len(chunk)]
    if not arrays:
        return np.empty((0, 0), np.uint8)
    if len({array.shape[1] for array in arrays}) > 1:
        raise ValueError("sequences differ in length")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _bases_of_chunk(chunk: pa.Array) -> Bases:
    chunk = chunk.cast(pa.large_string())
    offsets = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    length = int(offsets[1] - offsets[0])
    if (np.diff(offsets) != length).any():
        raise ValueError("sequences differ in length")
    letters = np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return CODES[letters].reshape(len(chunk), length)
