"""Shuffles of DNA, exactly uniform over the sequences with the same dinucleotide (or mononucleotide) counts.

A shuffle is determined by its seed, the number of its sequence and the number of the shuffle, and by nothing else: the
same bytes come out however many sequences, shuffles or threads are computed with it.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from simbench_tf.dna.encoding import _checked
from simbench_tf.dna.euler_trails import (
    Bases,
    Counts,
    count_dinucleotides,
    shuffle_dinucleotides,
    shuffle_mononucleotides,
)
from simbench_tf.random_streams import stream_key


def dinucleotide_counts(bases: Bases) -> Counts:
    """How often each base follows each other one.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)

    Returns
    -------
    counts : int64 array, shape (N, 4, 4)
        ``counts[i, a, b]`` = number of positions of sequence i where b follows a; pairs that hold an N are left out.

    Raises
    ------
    ValueError
        `bases` is not a uint8 array of two axes with values 0-4.

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> dinucleotide_counts(encode("AACGNAC"))[0].tolist()
    [[1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    """
    counts = np.zeros((len(_checked(bases)), 4, 4), np.int64)
    count_dinucleotides(bases, counts)
    return counts


def dinucleotide_shuffle(
    bases: Bases, n_shuffles: int = 20, random_state: int = 0, indices: npt.ArrayLike | None = None
) -> Bases:
    """Shuffles that keep every dinucleotide count, drawn uniformly among all sequences that do.

    A sequence is a trail through a graph whose four vertices are the bases and whose edges are its dinucleotides; its
    shuffles are the Euler trails with the same ends. A random spanning arborescence into the last base (Wilson's
    loop-erased random walk) says by which edge each base is left for the last time; all other edges are then used in
    random order. This reaches every trail, each with the same probability. Each run of ACGT between Ns is shuffled
    by itself and keeps its first and last base; Ns keep their positions.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
    n_shuffles : int, default 20
        Shuffles of each sequence; the first k of them are those that ``n_shuffles=k`` gives.
    random_state : int, default 0
    indices : array of int, shape (N,), optional
        The number of each sequence, which chooses its random stream; 0 .. N-1 by default. A part of a larger set,
        shuffled with the numbers of its sequences in the whole set, comes out as in the whole set.

    Returns
    -------
    shuffled : uint8 array, shape (N, n_shuffles, L)

    Raises
    ------
    ValueError
        `bases` is not a uint8 array of two axes with values 0-4, `n_shuffles` is below 1, or `indices` do not fit.

    Warns
    -----
    UserWarning
        Once a call, when sequences have no other arrangement than themselves and so come back unchanged.

    References
    ----------
    Altschul & Erickson 1985, "Significance of nucleotide sequence alignments: a method for random sequence
    permutation that preserves dinucleotide and codon usage"; Wilson 1996, "Generating random spanning trees more
    quickly than the cover time"; Jiang et al. 2008, "uShuffle".

    Examples
    --------
    >>> from simbench_tf.dna import decode, encode
    >>> bases = encode("ACCCACGATGATGNNTACGTTACG")
    >>> shuffled = dinucleotide_shuffle(bases, n_shuffles=3)[0]
    >>> decode(shuffled[:, 13:15])
    ['NN', 'NN', 'NN']
    >>> bool((dinucleotide_counts(shuffled) == dinucleotide_counts(bases)).all())
    True
    """
    numbers = _checked_indices(_checked(bases), n_shuffles, indices)
    shuffled = np.empty((bases.shape[0], n_shuffles, bases.shape[1]), np.uint8)
    fixed = np.empty(len(bases), np.bool_)
    shuffle_dinucleotides(bases, stream_key(random_state, "dinucleotide_shuffle"), numbers, shuffled, fixed)
    if fixed.any():
        warnings.warn(
            f"{np.count_nonzero(fixed)} of {len(bases)} sequences (the first is row {fixed.argmax()}) have no other "
            "arrangement with their dinucleotide counts and come back unchanged",
            UserWarning,
            stacklevel=2,
        )
    return shuffled


def mononucleotide_shuffle(
    bases: Bases, n_shuffles: int = 20, random_state: int = 0, indices: npt.ArrayLike | None = None
) -> Bases:
    """Shuffles that keep the composition: the bases that are not N in uniformly random order; Ns keep their positions.

    Parameters
    ----------
    bases, n_shuffles, random_state, indices
        As in `dinucleotide_shuffle`.

    Returns
    -------
    shuffled : uint8 array, shape (N, n_shuffles, L)

    Raises
    ------
    ValueError
        As in `dinucleotide_shuffle`.

    Examples
    --------
    >>> from simbench_tf.dna import decode, encode
    >>> text = decode(mononucleotide_shuffle(encode("AACGTNNG"), n_shuffles=1)[0])[0]
    >>> text[5:7], "".join(sorted(text))
    ('NN', 'AACGGNNT')
    """
    numbers = _checked_indices(_checked(bases), n_shuffles, indices)
    shuffled = np.empty((bases.shape[0], n_shuffles, bases.shape[1]), np.uint8)
    shuffle_mononucleotides(bases, stream_key(random_state, "mononucleotide_shuffle"), numbers, shuffled)
    return shuffled


def _checked_indices(bases: Bases, n_shuffles: int, indices: npt.ArrayLike | None) -> Counts:
    if n_shuffles < 1:
        raise ValueError(f"n_shuffles must be 1 or more, not {n_shuffles}")
    if indices is None:
        return np.arange(len(bases))
    numbers = np.asarray(indices)
    if numbers.shape != (len(bases),) or (numbers.size and (numbers.dtype.kind not in "iu" or numbers.min() < 0)):
        raise ValueError(f"indices must be {len(bases)} integers of 0 or more, one per sequence")
    return numbers.astype(np.int64)
