"""DNA as text, as bases and as one-hot arrays: the letters and their codes, conversions, the reverse complement.

Three forms, and nothing else, are accepted and returned here:

- text: ``str``, or a list of strings of one length; case does not matter, every letter but A, C, G and T counts as N;
- `bases`: uint8, shape (N, L), 0-3 for A, C, G, T and 4 for N;
- `one_hot`: float32, shape (N, L, 4), channels A, C, G, T, rows of zeros for N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from simbench_tf.dna.euler_trails import N_BASE, Bases

#: The ASCII letter of each base code 0-4: A, C, G, T and N.
LETTERS = np.frombuffer(b"ACGTN", np.uint8)
#: The base code of each byte: 0-3 for A, C, G, T in either case, 4 for every other one.
CODES = np.full(256, N_BASE, np.uint8)
for _letters in (b"ACGT", b"acgt"):
    CODES[np.frombuffer(_letters, np.uint8)] = range(4)
_ONE_HOT = np.eye(5, 4, dtype=np.float32)
_COMPLEMENT = np.array([3, 2, 1, 0, N_BASE], np.uint8)
_COMPLEMENT_LETTERS = str.maketrans("ACGTRYKMBVDHacgtrykmbvdh", "TGCAYRMKVBHDtgcayrmkvbhd")


def encode(text: str | Sequence[str]) -> Bases:
    """Bases of one sequence or of several of one length.

    Parameters
    ----------
    text : str or sequence of str
        One sequence (N = 1), or N sequences of L letters each; lower case (soft-masked) letters count as upper case.

    Returns
    -------
    bases : uint8 array, shape (N, L)
        0-3 for A, C, G, T, and 4 for every other character.

    Raises
    ------
    ValueError
        The sequences differ in length.

    Examples
    --------
    >>> encode(["ACGT", "acRn"])
    array([[0, 1, 2, 3],
           [0, 1, 4, 4]], dtype=uint8)
    """
    sequences = [text] if isinstance(text, str) else list(text)
    length = len(sequences[0]) if sequences else 0
    for row, sequence in enumerate(sequences):
        if len(sequence) != length:
            raise ValueError(f"sequence {row} has {len(sequence)} letters, sequence 0 has {length}: give one length")
    # "replace" keeps one byte a character, so that a stray non-ASCII one is an N and shifts nothing
    letters = np.frombuffer("".join(sequences).encode("ascii", "replace"), np.uint8)
    return CODES[letters].reshape(len(sequences), length)


def decode(bases: Bases) -> list[str]:
    """The upper-case text of `bases`, uint8 (N, L): N strings of L letters among ``ACGTN``.

    Raises
    ------
    ValueError
        `bases` is not a uint8 array of two axes with values 0-4.

    Examples
    --------
    >>> decode(encode(["acgt", "TTNA"]))
    ['ACGT', 'TTNA']
    """
    n, length = _checked(bases).shape
    text = LETTERS[bases].tobytes().decode("ascii")
    return [text[row * length : (row + 1) * length] for row in range(n)]


def one_hot(sequences: Bases | str | Sequence[str]) -> npt.NDArray[np.float32]:
    """One-hot of bases or of text.

    Parameters
    ----------
    sequences : uint8 array of shape (N, L), str, or sequence of N str of one length
        What `encode` takes, or what it returns.

    Returns
    -------
    one_hot : float32 array, shape (N, L, 4)
        Channels A, C, G, T; rows of zeros where the base is none of these.

    Raises
    ------
    ValueError
        Strings of unlike length, or an array that is not bases.

    Examples
    --------
    >>> one_hot("CN")
    array([[[0., 1., 0., 0.],
            [0., 0., 0., 0.]]], dtype=float32)
    """
    bases = _checked(sequences) if isinstance(sequences, np.ndarray) else encode(sequences)
    return np.take(_ONE_HOT, bases, axis=0)


def bases_of_one_hot(one_hot: npt.NDArray[np.floating]) -> Bases:
    """Bases, uint8 (N, L), of a one-hot array (N, L, 4) of any number type; rows of zeros are N (4).

    Raises
    ------
    ValueError
        Not three axes of which the last is 4, or a row that is neither one-hot nor zero.

    Examples
    --------
    >>> decode(bases_of_one_hot(one_hot(["GATTACA", "NNNACGT"])))
    ['GATTACA', 'NNNACGT']
    """
    if one_hot.ndim != 3 or one_hot.shape[2] != 4:
        raise ValueError(f"one_hot must have shape (N, L, 4), not {one_hot.shape}")
    bases = np.where(one_hot.any(axis=2), one_hot.argmax(axis=2), N_BASE).astype(np.uint8)
    wrong = (np.take(_ONE_HOT, bases, axis=0) != one_hot).any(axis=2)
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        raise ValueError(f"one_hot[{row}, {position}] = {one_hot[row, position].tolist()} is neither one-hot nor zero")
    return bases


@overload
def reverse_complement(sequence: str) -> str: ...


@overload
def reverse_complement(sequence: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]: ...


@overload
def reverse_complement(sequence: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...


def reverse_complement(
    sequence: str | npt.NDArray[Any],
) -> str | npt.NDArray[Any]:
    """The other strand, read 5' to 3', in the form of the input.

    Parameters
    ----------
    sequence : str, bases (N, L), or one_hot (N, L, 4)
        Text keeps its case, and its ambiguity codes are complemented (R and Y, K and M, B and V, D and H). An array
        of shape (N, L, 4) may hold any numbers, attributions as well: positions and channels are reversed.

    Returns
    -------
    str or array of the shape and dtype of `sequence`

    Raises
    ------
    ValueError
        An array of another shape.

    Examples
    --------
    >>> reverse_complement("AACGrn")
    'nyCGTT'
    >>> decode(reverse_complement(encode("AACGN")))
    ['NCGTT']
    """
    if isinstance(sequence, str):
        return sequence.translate(_COMPLEMENT_LETTERS)[::-1]
    if sequence.ndim == 3 and sequence.shape[2] == 4:
        return np.ascontiguousarray(sequence[:, ::-1, ::-1])
    return np.take(_COMPLEMENT, _checked(sequence)[:, ::-1])


def _checked(bases: npt.NDArray[np.generic]) -> Bases:
    if bases.dtype != np.uint8 or bases.ndim != 2:
        raise ValueError(f"bases must be a uint8 array of shape (N, L), not {bases.dtype} of shape {bases.shape}")
    if bases.size and bases.max() > N_BASE:
        raise ValueError(f"bases must lie in 0-{N_BASE}, not reach {bases.max()}; make them with dna.encode")
    return bases.view(np.uint8)
