"""Standings of methods: means over sequences, ranked, and how far each method is behind the best one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from simbench_tf.score.significance import mean_and_error

#: Methods less than this many standard errors of the paired difference behind the best count as level with it.
LEVEL_WITHIN_ERRORS = 2.0


def standings(per_sequence: pd.DataFrame, metric: str = "auprc") -> pd.DataFrame:
    """Rank keys by the mean of a metric, every model x task counting the same, with how far each is behind.

    All methods attribute the same sequences, so differences are taken sequence by sequence. A sequence that occurs
    under several models or tasks is one observation, not several (`score.significance.mean_and_error`).

    Parameters
    ----------
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet, or rows of it: model, task, key, seq_id, `metric` and chance_auprc.
        Sequences without a value are skipped.
    metric : str, default "auprc"

    Returns
    -------
    DataFrame
        From the best down, one row per key: key, n (values), `metric`, ``{metric}_se``, chance_auprc, behind and
        behind_se (mean difference to the best on the sequences both have), level (whether `behind` is within
        `LEVEL_WITHIN_ERRORS` errors).

    Examples
    --------
    >>> rows = [("m", "t", key, f"s{i}", value, .1) for key, values in {"a": [.4, .6], "b": [.5, .9]}.items()
    ...         for i, value in enumerate(values)]
    >>> names = ["model", "task", "key", "seq_id", "auprc", "chance_auprc"]
    >>> standings(pd.DataFrame(rows, columns=names)).round(2)[["key", "auprc", "auprc_se", "behind", "behind_se"]]
      key  auprc  auprc_se  behind  behind_se
    0   b    0.7       0.2     0.0        0.0
    1   a    0.5       0.1     0.2        0.1
    """
    tables = {key: rows.set_index(["model", "task", "seq_id"]) for key, rows in per_sequence.groupby("key", sort=False)}
    values = {key: table[metric] for key, table in tables.items()}
    means = {key: _over_model_tasks(column) for key, column in values.items()}
    keys = sorted(means, key=lambda key: -means[key][0] if np.isfinite(means[key][0]) else math.inf)
    rows = []
    for key in keys:
        behind, behind_se = _over_model_tasks(values[keys[0]] - values[key])
        rows.append(
            {
                "key": key,
                "n": int(values[key].count()),
                metric: means[key][0],
                f"{metric}_se": means[key][1],
                "chance_auprc": _over_model_tasks(tables[key]["chance_auprc"].where(values[key].notna()))[0],
                "behind": behind,
                "behind_se": behind_se,
                "level": bool(behind <= LEVEL_WITHIN_ERRORS * behind_se),
            }
        )
    return pd.DataFrame(rows)


def _over_model_tasks(values: pd.Series) -> tuple[float, float]:
    """Mean over (model, task) of the means over sequences, and its error; `values` are by model, task and seq_id."""
    clusters, _ = pd.factorize(values.index.get_level_values("seq_id"))
    groups, _ = pd.factorize(values.index.droplevel("seq_id"))
    return mean_and_error(values, clusters, groups)


LEVEL = LEVEL_WITHIN_ERRORS  # its earlier name
