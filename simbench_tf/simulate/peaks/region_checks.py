"""Checks of real regions, told in dataset.json: composition of positives and negatives, and leakage between splits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import ks_2samp

from simbench_tf.dna import Bases
from simbench_tf.genome.leakage import between_splits

#: Smirnov's factor of the 5% level.
_SMIRNOV = 1.358


def compared(shares: Mapping[str, npt.NDArray[np.float64]], positive: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """How alike positives and negatives are in each measure.

    Parameters
    ----------
    shares : mapping of str to float array, shape (N,)
        Measure, such as gc, and its value of each region.
    positive : bool array, shape (N,)

    Returns
    -------
    list of dict
        measure, positives and negatives (means), ks (the Kolmogorov-Smirnov distance of the two distributions: 0 alike,
        1 apart) and ks_chance (what two samples of one distribution exceed in 5 of 100 cases). None where all regions
        are positive.

    Examples
    --------
    >>> compared({"gc": np.array([0.2, 0.4, 0.5, 0.9])}, np.array([True, True, False, False]))
    [{'measure': 'gc', 'positives': 0.3, 'negatives': 0.7, 'ks': 1.0, 'ks_chance': 1.0}]
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return []
    return [
        {
            "measure": measure,
            "positives": round(float(values[positive].mean()), 4),
            "negatives": round(float(values[~positive].mean()), 4),
            "ks": round(float(ks_2samp(values[positive], values[~positive]).statistic), 4),
            "ks_chance": round(min(1.0, _SMIRNOV * math.sqrt((n + m) / (n * m))), 4),
        }
        for measure, values in shares.items()
    ]


def leaking(regions: pd.DataFrame, bases: Bases) -> list[dict[str, Any]]:
    """What the splits' real regions share, a record for each two splits; see `genome.leakage.between_splits`."""
    records: list[dict[str, Any]] = between_splits(regions, bases).to_dict("records")
    return records
