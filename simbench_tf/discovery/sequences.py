"""Sequences that a caller of motifs was given, as its files name them: by id, by number, or by place in the genome."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.errors import InputError

Ints = npt.NDArray[np.int64]


class Sequences(NamedTuple):
    """The sequences of a split, and which of them are explained.

    Attributes
    ----------
    seq_ids : str array, shape (M,)
    bases : uint8 array, shape (M, L)
        0-3 for A, C, G, T and 4 for N.
    rows : int array, shape (N,)
        The explained ones, of M, in the order of the attribution files.
    loci : DataFrame, optional
        Columns chrom, start and end of the M sequences, 0-based and half-open; None where they lie in no genome.
    order : int array, optional
        The sequences, of M, in the order in which the caller got them; by default `rows`.
    """

    seq_ids: npt.NDArray[np.str_]
    bases: npt.NDArray[np.uint8]
    rows: Ints
    loci: pd.DataFrame | None = None
    order: Ints | None = None

    @property
    def length(self) -> int:
        """Bases of each sequence."""
        return self.bases.shape[1]

    def numbered(self, where: str | Path, column: str, numbers: npt.NDArray[np.integer]) -> Ints:
        """Those of the M sequences that a caller knows by number, from 0.

        Raises
        ------
        InputError
            There is no such number.
        """
        order = self.rows if self.order is None else self.order
        beyond = (numbers < 0) | (numbers >= len(order))
        if beyond.any():
            what = f"has the {column} {numbers[beyond][0]}, but there are {len(order)} sequences, numbered from 0"
            raise InputError(where, what, "say with --seq-ids FILE which sequences the caller was given, in order")
        return order[numbers]


def central_window(length: int, window: int) -> tuple[int, int]:
    """First and last end of the central bases that callers cut out: half of the window to either side of the middle.

    Examples
    --------
    >>> central_window(200, 100), central_window(7, 4)
    ((50, 150), (1, 5))
    """
    first = length // 2 - window // 2
    return first, first + window
