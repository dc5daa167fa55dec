"""Leakage between splits: regions that overlap, and near-duplicates, which share words of 30 bases on either strand.

A model that is tested on a copy of what it was trained on is tested on nothing. Regions of one place of the genome
overlap; copies of one sequence in different places - segmental duplications, repeats, gene families - share words.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import Bases
from simbench_tf.dna.shared_kmers import kmer_set, share_known
from simbench_tf.genome.regions import overlaps_any

#: Letters of the words that are compared: unrelated sequences share hardly one.
K = 30
#: The share of a sequence's words, from which it is told as a near-duplicate.
NEAR_DUPLICATE = 0.5
_SPLITS = ("train", "valid", "test")


def between_splits(sequences: pd.DataFrame, bases: Bases, k: int = K) -> pd.DataFrame:
    """Compare every two splits: overlaps by coordinates, and shared words.

    Parameters
    ----------
    sequences : DataFrame
        split, and chrom, start and end where they have a place in a genome; N rows.
    bases : uint8 array, shape (N, L)
    k : int, default 30
        Letters of a word, up to 31.

    Returns
    -------
    DataFrame
        A row for each two splits that hold sequences: first, second, n (sequences of the second), and of these
        overlapping (one of the first at some base; NaN where not all have a place), sharing (a word with the first, on
        either strand) and near_duplicates (half of their words or more).

    Examples
    --------
    >>> from simbench_tf.dna import encode
    >>> at = {"chrom": ["chr1", "chr1"], "start": [0, 4], "end": [6, 10], "split": ["train", "test"]}
    >>> between_splits(pd.DataFrame(at), encode(["ACGTAA", "GGTTAC"]), k=4).to_dict("records")
    [{'first': 'train', 'second': 'test', 'n': 1, 'overlapping': 1, 'sharing': 1, 'near_duplicates': 0}]
    """
    split = sequences["split"].to_numpy()
    rows = {name: np.flatnonzero(split == name) for name in _SPLITS if (split == name).any()}
    words = {name: kmer_set(bases[own], k) for name, own in rows.items()}
    records = []
    for first, second in itertools.combinations(rows, 2):
        shared = np.intersect1d(words[first], words[second], assume_unique=True)
        shares = share_known(bases[rows[second]], shared, k)
        overlapping = overlaps_of(sequences.iloc[rows[second]], sequences.iloc[rows[first]])
        records.append(
            {
                "first": first,
                "second": second,
                "n": len(rows[second]),
                "overlapping": np.nan if overlapping is None else int(overlapping.sum()),
                "sharing": int((shares > 0).sum()),
                "near_duplicates": int((shares >= NEAR_DUPLICATE).sum()),
            }
        )
    columns = ["first", "second", "n", "overlapping", "sharing", "near_duplicates"]
    return pd.DataFrame(records, columns=columns)


def overlaps_of(sequences: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_] | None:
    """Which sequences share a base of the genome with any of `others`; None where not all have a place in it."""
    if any("chrom" not in each or each["chrom"].isna().any() for each in (sequences, others)):
        return None
    return overlaps_any(sequences, others)
