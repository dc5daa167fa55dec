"""Leakage of a data set: what its splits share, by place in the genome and by words of 30 bases."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simbench_tf.dataset.dataset import Dataset
from simbench_tf.genome.leakage import K, between_splits
from simbench_tf.tables import SPLITS


def leakage(dataset: Dataset, k: int = K) -> pd.DataFrame:
    """What the splits of a data set share, so that a test would not be one.

    The sequences are compared as they are in the data set. Of peaks data these are shuffles with hits put back, which
    are of no place in the genome: the real regions before that are compared when they are made, and
    ``dataset.notes["leakage"]`` has what was found.

    Parameters
    ----------
    dataset : Dataset
        From `open_dataset`.
    k : int, default 30
        Letters of a word, up to 31.

    Returns
    -------
    DataFrame
        A row for each two splits: first, second, n (sequences of the second), and of these overlapping (a region of the
        first, by coordinates; NaN where sequences have none), sharing (a word with a sequence of the first, on either
        strand) and near_duplicates (half of their words or more).

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> from simbench_tf import tables
    >>> from simbench_tf.dataset import open_dataset, write_dataset
    >>> texts = {"s0": ("train", "ACGTTG"), "s1": ("test", "CAACGT"), "s2": ("test", "GGGGGG")}
    >>> rows = [{"seq_id": name, "split": split, "sequence": text, "A": 1} for name, (split, text) in texts.items()]
    >>> sequences = pa.Table.from_pylist(rows, tables.sequence_schema(["A"]))
    >>> sites, folder = tables.SITES_SCHEMA.empty_table(), tempfile.mkdtemp()
    >>> _ = write_dataset(
    ...     folder, name="tiny", kind="text", tasks=["A"], motifs=[], parts=[(sequences, sites)]
    ... )
    >>> leakage(open_dataset(folder), k=5).drop(columns="overlapping").to_dict("records")
    [{'first': 'train', 'second': 'test', 'n': 2, 'sharing': 1, 'near_duplicates': 1}]
    """
    known = dataset.sequences[["chrom", "start", "end", "split"]]
    parts = [(known[known["split"] == split], dataset.bases(split)) for split in SPLITS if dataset.counts[split]]
    return between_splits(pd.concat([each for each, _ in parts]), np.concatenate([each for _, each in parts]), k)
