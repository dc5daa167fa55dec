"""References: the sequences that a prediction is compared with, one set for each sequence explained.

"zeros"      all channels zero (R = 1);
"frequency"  every position holds the base composition of the sequence itself (R = 1);
"shuffle:20" twenty dinucleotide shuffles of the sequence itself (R = 20);
an array     (R, L, 4) for all sequences alike, or (N, R, L, 4) with a set for each.

Positions that are N in the sequence are rows of zeros in every reference that is made here, so that they explain
nothing. A shuffle depends on the seed and on the sequence alone: neither its place in the input nor what stands
beside it plays a part.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.dna import N_BASE, dinucleotide_shuffle, one_hot
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]
ReferencesLike = str | npt.NDArray[np.floating]
_KINDS = 'write "zeros", "frequency", "shuffle:20", or give an array (R, L, 4) or (N, R, L, 4)'


class References(NamedTuple):
    """Which references, parsed.

    Attributes
    ----------
    kind : {"zeros", "frequency", "shuffle", "array"}
    n : int
        R, the number of references of a sequence.
    array : float32 array, shape (R, L, 4) or (N, R, L, 4), or None
    """

    kind: Literal["zeros", "frequency", "shuffle", "array"]
    n: int = 1
    array: Array | None = None

    @property
    def key(self) -> str:
        """A name that is safe in a file name and the same for the same references only."""
        if self.array is not None:
            shape = "x".join(map(str, self.array.shape))
            return f"array{shape}-{hashlib.blake2b(self.array.tobytes(), digest_size=16).hexdigest()}"
        return f"shuffle{self.n}" if self.kind == "shuffle" else self.kind


def parse_references(references: ReferencesLike) -> References:
    """Parse references as a user gives them.

    Raises
    ------
    InputError
        They are none of the kinds above, or an array holds NaN or infinities.

    Examples
    --------
    >>> parse_references("shuffle:20").n
    20
    """
    if isinstance(references, str):
        kind, _, number = references.partition(":")
        if references in ("zeros", "frequency"):
            return References(references)  # type: ignore[arg-type]
        if kind == "shuffle" and number.isascii() and number.isdecimal() and int(number) > 0:
            return References("shuffle", int(number))
        raise InputError("references", f"{references!r} is not known", _KINDS)
    array = np.array(references, np.float32)
    if array.ndim not in (3, 4) or array.shape[-1] != 4 or array.shape[-3] == 0:
        raise InputError("references", f"an array of shape {array.shape} does not fit", _KINDS)
    if not np.isfinite(array).all():
        raise InputError("references", "the array holds NaN or infinite values", "leave these out")
    return References("array", array.shape[-3], array)


def check_fit(references: References, n: int, length: int) -> None:
    """Check that an array of references fits N sequences of L bases.

    Raises
    ------
    InputError
        The array has another number of sequences or another length.
    """
    if references.array is None:
        return
    expected = (references.n, length, 4) if references.array.ndim == 3 else (n, references.n, length, 4)
    if references.array.shape != expected:
        raise InputError("references", f"the array has shape {references.array.shape}, not {expected}", _KINDS)


def make_references(
    references: References, bases: npt.NDArray[np.uint8], random_state: int = 0, first_row: int = 0
) -> Array:
    """References of some of the sequences.

    Parameters
    ----------
    references : References
    bases : uint8 array, shape (n, L)
        The sequences, 0-3 and 4 for N.
    random_state : int, default 0
        The seed of the shuffles.
    first_row : int, default 0
        Where these sequences begin in the whole input; matters only to an array (N, R, L, 4).

    Returns
    -------
    references : float32 array, shape (n, R, L, 4)
        May be a read-only view.

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> make_references(parse_references("frequency"), encode("AAGN"))[0, 0, [0, 3]].round(2).tolist()
    [[0.6700000166893005, 0.0, 0.33000001311302185, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    n, length = bases.shape
    shape = (n, references.n, length, 4)
    if references.array is not None:
        array = references.array
        return np.broadcast_to(array, shape) if array.ndim == 3 else array[first_row : first_row + n]
    if references.kind == "shuffle":
        return sequences_as_references(shuffled(bases, references.n, random_state))
    if references.kind == "zeros":
        return np.broadcast_to(np.float32(0), shape)
    known = bases != N_BASE
    counts = one_hot(bases).sum(axis=1)
    composition = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return (known[:, :, None] * composition[:, None, :]).astype(np.float32)[:, None]


def shuffled(bases: npt.NDArray[np.uint8], n: int, random_state: int = 0) -> npt.NDArray[np.uint8]:
    """The bases of ``"shuffle:n"``, uint8 (N, L) -> (N, n, L); those of fewer shuffles are the first of more.

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> bases = encode("ACGTTGCAACCAGTTGACCA")
    >>> bool((shuffled(bases, 2) == shuffled(bases, 5)[:, :2]).all())
    True
    """
    return dinucleotide_shuffle(bases, n, random_state, content_index(bases))


def sequences_as_references(bases: npt.NDArray[np.uint8]) -> Array:
    """One-hot of sets of sequences, uint8 (N, R, L) -> float32 (N, R, L, 4)."""
    return one_hot(bases.reshape(-1, bases.shape[-1])).reshape(*bases.shape, 4)


def content_index(bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Give each sequence a number by its letters alone, to choose its random stream; int64 (N,), never negative.

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> first, second, third = content_index(encode(["ACGT", "TTTT", "ACGT"]))
    >>> bool(first == third), bool(first == second)
    (True, False)
    """
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in bases)
    return (np.frombuffer(digests, np.uint64) >> np.uint64(1)).astype(np.int64)
