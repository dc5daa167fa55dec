"""Null sequences of a seqlet caller: what stands for sequence without a motif, and where.

Attributions of the null say how high they get by chance. A motif that lies in a sequence changes what a network says of
the rest, so the nearest null is a stretch without motifs in a sequence that keeps the others (`shuffled_stretches`).
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.dna import dinucleotide_shuffle
from simbench_tf.random_streams import stream_key

Bases = npt.NDArray[np.uint8]

#: A shuffled stretch is this part of its sequence.
STRETCH = 4


class NullSequences(NamedTuple):
    """Sequences to be attributed, and which of their bases count as the null.

    Attributes
    ----------
    bases : uint8 array, shape (M, L)
        0-3 for A, C, G, T and 4 for N.
    counts : bool array, shape (M, L)
    """

    bases: Bases
    counts: npt.NDArray[np.bool_]


def shuffled_stretches(bases: Bases, random_state: int = 0) -> NullSequences:
    """Shuffle a quarter of each sequence in place, at random, its dinucleotides kept; only it counts as the null.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
    random_state : int, default 0

    Returns
    -------
    NullSequences

    Examples
    --------
    >>> from simbench_tf.dna import decode, encode
    >>> bases = encode(["ACGTTTGACCATGCAACGTGTAACCGTATTGC"])
    >>> null = shuffled_stretches(bases, random_state=3)
    >>> int(null.counts.sum()), bool((null.bases == bases)[~null.counts].all())
    (8, True)
    """
    n, length = bases.shape
    width = max(1, length // STRETCH)
    rng = np.random.default_rng(int(stream_key(random_state, "null stretches")))
    places = rng.integers(0, length - width + 1, size=n)[:, None] + np.arange(width)
    counts = np.zeros(bases.shape, bool)
    np.put_along_axis(counts, places, True, axis=1)
    null = bases.copy()
    np.put_along_axis(null, places, _shuffled(np.take_along_axis(bases, places, axis=1), random_state), axis=1)
    return NullSequences(null, counts)


def shuffled_sequences(bases: Bases, random_state: int = 0) -> NullSequences:
    """Shuffle each sequence, its dinucleotides kept; every base counts.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
    random_state : int, default 0

    Returns
    -------
    NullSequences

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> null = shuffled_sequences(encode(["ACGTTTGACCATGCAACGTGTAACCGTATTGC"]))
    >>> null.bases.shape, bool(null.counts.all())
    ((1, 32), True)
    """
    return NullSequences(_shuffled(bases, random_state), np.ones(bases.shape, bool))


def _shuffled(bases: Bases, random_state: int) -> Bases:
    """One shuffle of each; a stretch of a repeat has no other arrangement, and is none that could hold a motif."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*have no other arrangement", UserWarning)
        # other random numbers than those of the references, or a null would be compared with itself
        shuffled = dinucleotide_shuffle(np.ascontiguousarray(bases), 1, int(stream_key(random_state, "null")) % 2**63)
    return shuffled[:, 0]
