"""Standings of methods: means over networks and sequences, ranked, and which differ from the best one.

One rule of significance holds for all that is said of a ranking: p < `SIGNIFICANT` after Holm's correction for all
pairs of methods, of differences with trainings and sequences as random effects
(`between_models.comparisons_over_models`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from simbench_tf.score.between_models import comparisons_over_models, estimated

#: Two methods differ where the corrected p-value is below this.
SIGNIFICANT = 0.05

#: How names of methods start that only show what knowing nothing scores; they are never ranked.
NULL_PREFIX = "null_"


def without_nulls(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table of scores without null methods, which are no competitors: no ranking or comparison has them.

    Parameters
    ----------
    table : DataFrame
        With the column method or, where there is none, key.

    Examples
    --------
    >>> without_nulls(pd.DataFrame({"method": ["ism", "null_kmer"], "auprc": [.6, .1]}))["method"].tolist()
    ['ism']
    """
    names = table["method" if "method" in table else "key"].astype(str)
    return table[~names.str.startswith(NULL_PREFIX)]


def models_of_seeds(models: Iterable[str]) -> dict[str, str]:
    """Name the model behind each that was trained from several seeds: NAME-seed1, NAME-seed2, ... are of NAME.

    Examples
    --------
    >>> models_of_seeds(["basset-seed1", "basset-seed2", "beluga", "mine-seed1"])
    {'basset-seed1': 'basset', 'basset-seed2': 'basset'}
    """
    matches = {model: re.fullmatch(r"(.+)-seed\d+", model) for model in models}
    bases = {model: match[1] for model, match in matches.items() if match}
    counts = Counter(bases.values())
    return {model: base for model, base in bases.items() if counts[base] > 1}


def base_models(models: pd.Series) -> pd.Series:
    """The model behind each network: NAME of NAME-seed1, NAME-seed2, ..., else the network itself.

    Examples
    --------
    >>> base_models(pd.Series(["basset-seed1", "basset-seed2", "beluga"])).tolist()
    ['basset', 'basset', 'beluga']
    """
    return models.replace(models_of_seeds(models.unique()))


def by_network(per_sequence: pd.DataFrame, metric: str = "auprc") -> pd.DataFrame:
    """Values of a metric, one column per key in the table's order, by base, model, task and seq_id."""
    rows = per_sequence.assign(base=base_models(per_sequence["model"]))
    keys = list(rows["key"].unique())
    return rows.pivot_table(metric, ["base", "model", "task", "seq_id"], "key").reindex(columns=keys)


def standings(per_sequence: pd.DataFrame, metric: str = "auprc", pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rank keys by the mean of a metric, every base model x task counting the same, with how far each is behind.

    Parameters
    ----------
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet, or rows of it: model, task, key, seq_id, `metric` and chance_auprc.
        Sequences without a value are skipped; null methods are left out.
    metric : str, default "auprc"
    pairs : DataFrame, optional
        Of `comparisons_over_models` for these rows, where it is known already.

    Returns
    -------
    DataFrame
        From the best down, one row per key: key, n (sequences), `metric`, ``{metric}_se``, ``{metric}_low``,
        ``{metric}_high`` (95%), chance_auprc, p_chance (of no difference to chance), behind and behind_se (mean
        difference to the best on the sequences that all methods have), p_holm of that difference, level (whether no
        difference to the best is shown).

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
    ranked = without_nulls(per_sequence)
    values, chances = by_network(ranked, metric), by_network(ranked, "chance_auprc")
    if pairs is None:
        pairs = comparisons_over_models(_with_a_value(values))
    means = {key: estimated(values[key]) for key in values}
    keys = sorted(means, key=lambda key: -means[key].mean if np.isfinite(means[key].mean) else math.inf)
    rows = []
    for key in keys:
        mine = means[key]
        low, high = mine.interval()
        behind, behind_se, p_holm = _behind(pairs, keys[0], key)
        chance = chances[key].where(values[key].notna())
        rows.append(
            {
                "key": key,
                "n": mine.n_sequences,
                metric: mine.mean,
                f"{metric}_se": mine.error,
                f"{metric}_low": low,
                f"{metric}_high": high,
                "chance_auprc": estimated(chance, n_resamples=0).mean,
                "p_chance": estimated(values[key] - chance).p_value,
                "behind": behind,
                "behind_se": behind_se,
                "p_holm": p_holm,
                "level": bool(np.isfinite(mine.mean) and not p_holm < SIGNIFICANT),
            }
        )
    return pd.DataFrame(rows)


def pairs_of(per_sequence: pd.DataFrame, metric: str = "auprc") -> pd.DataFrame:
    """`comparisons_over_models` of rows of per_sequence.parquet; methods without any value and nulls are left out."""
    return comparisons_over_models(_with_a_value(by_network(without_nulls(per_sequence), metric)))


def _with_a_value(values: pd.DataFrame) -> pd.DataFrame:
    return values.dropna(axis=1, how="all")


def _behind(pairs: pd.DataFrame, best: str, key: str) -> tuple[float, float, float]:
    """Difference of the best to a key, its error and corrected p-value."""
    if key == best:
        return 0.0, 0.0, 1.0
    for first, second, sign in ((best, key, 1), (key, best, -1)):
        rows = pairs[(pairs["first"] == first) & (pairs["second"] == second)]
        if len(rows):
            line = rows.iloc[0]
            return sign * float(line["difference"]), float(line["error"]), float(line["p_holm"])
    return math.nan, math.nan, math.nan
