"""Shared k-mers: which words of sequences stand in others too, on either strand; near-duplicates share most of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simbench_tf.dna.euler_trails import Bases

#: The longest word that 64 bits hold, two bits a base.
LONGEST = 31
# sequences whose words are made at once: they stay in the processor's cache
_ROWS = 256


def canonical_kmers(bases: Bases, k: int = 30) -> npt.NDArray[np.int64]:
    """The number of each word of sequences: of it or of its reverse complement, whichever is less.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
    k : int, default 30
        Letters of a word, up to 31.

    Returns
    -------
    int64 array, shape (N, L - k + 1)
        Two bits a base, A being 0 and T 3; -1 for a word with an N. No column where L is below k.

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> canonical_kmers(encode(["ACGNTT"]), 2).tolist()  # AC = GT, CG, two with an N, TT = AA
    [[1, 6, -1, -1, 0]]
    """
    if not 1 <= k <= LONGEST:
        raise ValueError(f"words have 1 to {LONGEST} letters, not {k}")
    n, length = bases.shape
    words = np.empty((n, max(length - k + 1, 0)), np.int64)
    for first in range(0, n, _ROWS):
        words[first : first + _ROWS] = _canonical(bases[first : first + _ROWS], k)
    return words


def _canonical(bases: Bases, k: int) -> npt.NDArray[np.int64]:
    width = max(bases.shape[1] - k + 1, 0)
    letters = (bases & 3).astype(np.int64)
    forward, backward = (_words(each, k, width, turned) for each, turned in ((letters, False), (3 - letters, True)))
    unknown = np.concatenate([np.zeros((len(bases), 1), np.int64), np.cumsum(bases > 3, axis=1)], axis=1)
    has_n = unknown[:, k : k + width] > unknown[:, :width]
    return np.where(has_n, -1, np.minimum(forward, backward))


def _words(letters: npt.NDArray[np.int64], k: int, width: int, turned: bool) -> npt.NDArray[np.int64]:
    """Numbers of the words of k letters, put together of words of 1, 2, 4, ... letters; turned, read from their end."""
    whole, done, size = np.zeros((len(letters), width), np.int64), 0, 1
    while True:
        if k & size:
            piece = letters[:, done : done + width]
            whole = whole | (piece << (2 * done)) if turned else (whole << (2 * size)) | piece
            done += size
        if done == k:
            return whole
        first, second = letters[:, :-size], letters[:, size:]
        letters = first | (second << (2 * size)) if turned else (first << (2 * size)) | second
        size *= 2


def kmer_set(bases: Bases, k: int = 30) -> npt.NDArray[np.int64]:
    """The different words of sequences, by `canonical_kmers`, in ascending order; those with an N are left out."""
    words = np.sort(canonical_kmers(bases, k), axis=None)  # np.unique hashes them, which takes a hundred times as long
    words = words[np.searchsorted(words, 0) :]
    return words[np.diff(words, prepend=-1) != 0]


def share_known(bases: Bases, known: npt.NDArray[np.int64], k: int = 30) -> npt.NDArray[np.float64]:
    """The share of each sequence's words that are among those known, on either strand.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
    known : int64 array
        Words in ascending order, as of `kmer_set`.
    k : int, default 30

    Returns
    -------
    float64 array, shape (N,)
        Of the words without an N; 0 where there is none.

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> share_known(encode(["AACC", "GGTT", "ACAC"]), kmer_set(encode(["AACC"]), 3), 3).tolist()
    [1.0, 1.0, 0.0]
    """
    shares = np.zeros(len(bases))
    for first in range(0, len(bases), _ROWS) if known.size else ():
        words = canonical_kmers(bases[first : first + _ROWS], k)
        place = np.minimum(np.searchsorted(known, words), known.size - 1)
        found, readable = (known[place] == words).sum(axis=1), (words >= 0).sum(axis=1)
        shares[first : first + _ROWS] = found / np.maximum(readable, 1)
    return shares
