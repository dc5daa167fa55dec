"""Misses of methods taken apart: what is missed on a model that is known to be right, and what the network adds.

Of a trained network's auPRC that lies below the exact posterior's, one part is missed by the method on a perfect model
too, and the network is not to blame for it; the rest is what the network adds, because it knows less, or knows it in
another way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from simbench_tf.score.ranking import without_nulls
from simbench_tf.score.significance import mean_and_error


def split_misses(per_sequence: pd.DataFrame, ceilings: pd.DataFrame, perfect: Sequence[str]) -> pd.DataFrame:
    """Of every method and model, the part of its miss that remains on a perfect model, and the part that is added.

    Parameters
    ----------
    per_sequence : DataFrame
        Rows of RUN/scores/per_sequence.parquet: model, task, key, method, seq_id and auprc. Null methods are left out.
    ceilings : DataFrame
        By task, the exact posterior's ``attribution_auprc`` and ``attribution_auprc_se``.
    perfect : sequence of str
        Models that are known to be right.

    Returns
    -------
    DataFrame
        A row per model that is not perfect, task, key and perfect model that was explained by this key: columns model,
        task, key, perfect, n_sequences (those that both have a value of), oracle_auprc, perfect_auprc, auprc,
        ``method_miss = oracle_auprc - perfect_auprc`` and ``network_miss = perfect_auprc - auprc``, each with a
        standard error ``_se``. That of network_miss is of differences sequence by sequence. Both together are the whole
        miss; either may be below 0, where a method does better on the network, or than the posterior's own ranking.

    Examples
    --------
    >>> scores = {"exact": [.9, .8], "trained": [.7, .4]}
    >>> rows = [{"model": model, "task": "K562", "key": "ism@none", "method": "ism", "seq_id": i, "auprc": value}
    ...         for model, values in scores.items() for i, value in enumerate(values)]
    >>> ceilings = pd.DataFrame({"attribution_auprc": [.95], "attribution_auprc_se": [.01]}, index=["K562"])
    >>> split_misses(pd.DataFrame(rows), ceilings, ["exact"])[["method_miss", "network_miss"]].round(2).values.tolist()
    [[0.1, 0.3]]
    """
    found = []
    for (task, key), rows in without_nulls(per_sequence).groupby(["task", "key"], sort=False):
        if task not in ceilings.index:
            continue
        ceiling, ceiling_se = ceilings.loc[task, ["attribution_auprc", "attribution_auprc_se"]]
        values = rows.pivot_table("auprc", "seq_id", "model", sort=False, dropna=False)
        for model in [name for name in values if name not in perfect]:
            for right in [name for name in perfect if name in values]:
                pair = values[[right, model]].dropna().to_numpy(np.float64)
                found.append(
                    {"model": model, "task": task, "key": key, "perfect": right, "n_sequences": len(pair)}
                    | _split(pair[:, 0], pair[:, 1], float(ceiling), float(ceiling_se))
                )
    return pd.DataFrame(found)


def _split(right: np.ndarray, found: np.ndarray, ceiling: float, ceiling_se: float) -> dict[str, float]:
    """The parts of a miss, from what a method reaches in the same sequences on a perfect model and on another."""
    each = np.arange(len(right))
    (on_right, on_right_se), (on_model, _) = mean_and_error(right, each), mean_and_error(found, each)
    added, added_se = mean_and_error(right - found, each)
    return {
        "oracle_auprc": ceiling,
        "perfect_auprc": on_right,
        "auprc": on_model,
        "method_miss": ceiling - on_right,
        # the posterior's mean is over more sequences, these among them: taken as apart, which errs to the large side
        "method_miss_se": float(np.hypot(on_right_se, ceiling_se)),
        "network_miss": added,
        "network_miss_se": added_se,
    }
