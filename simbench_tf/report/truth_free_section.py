"""The report's tables of truth-free metrics, beside what the true sites say: one sees which to trust."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from simbench_tf.report import text
from simbench_tf.report.text import fixed
from simbench_tf.score.correlation import rank_correlation
from simbench_tf.score.truth_free import TRUTH_FREE, TruthFreeMetric

#: Methods below which a rank correlation is not shown: of fewer it says nothing.
FEWEST_METHODS = 5


def truth_free_tables(
    found: pd.DataFrame | None, summary: pd.DataFrame, labels: Mapping[str, str]
) -> list[tuple[str, text.Table]]:
    """Per model and task a caption and a table: methods by auPRC, a column for each metric, and how the two agree.

    Parameters
    ----------
    found : DataFrame, optional
        RUN/scores/truth_free.csv.
    summary : DataFrame
        RUN/scores/summary.csv.
    labels : mapping
        What to call each method's key.
    """
    if found is None:
        return []
    true = summary[["model", "task", "key", "auprc"]]
    joined = found.merge(true, on=["model", "task", "key"], how="left")
    return [
        (f"On {task} with {model}: means over {int(rows['n_sequences'].max())} sequences", _table(rows, labels))
        for (model, task), rows in joined.groupby(["model", "task"], sort=False)
    ]


def agreement_with_truth(rows: pd.DataFrame) -> dict[str, float]:
    """Rank correlation over methods of each metric, turned so that more is better, with true auPRC; NaN of a few.

    Examples
    --------
    >>> rows = pd.DataFrame({"auprc": [.1, .2, .3, .4, .5], "infidelity": [.9, .8, .7, .5, .6]})
    >>> {name: round(value, 6) for name, value in agreement_with_truth(rows).items()}
    {'infidelity': 0.9}
    """
    agreement = {}
    for name, metric in TRUTH_FREE.items():
        if name in rows and rows[name].notna().any():
            known = rows[["auprc", name]].dropna()
            values = known[name] if metric.higher_is_better else -known[name]
            agreement[name] = rank_correlation(known["auprc"], values, FEWEST_METHODS)
    return agreement


def _table(rows: pd.DataFrame, labels: Mapping[str, str]) -> text.Table:
    agreement = agreement_with_truth(rows)
    names = list(agreement)
    heads = ["method", "true auPRC", *(f"{TRUTH_FREE[name].title} {_arrow(TRUTH_FREE[name])}" for name in names)]
    ranked = rows.sort_values("auprc", ascending=False, kind="stable", na_position="last")
    cells = [
        [labels.get(row["key"], row["key"]), fixed(row["auprc"], 2), *(fixed(row[name], 2) for name in names)]
        for row in ranked.to_dict("records")
    ]
    if not all(math.isnan(value) for value in agreement.values()):
        cells.append(["rank correlation with auPRC", "", *(fixed(agreement[name], 2) for name in names)])
    return text.Table(heads, cells, (1, 99))


def _arrow(metric: TruthFreeMetric) -> str:
    return "\N{UPWARDS ARROW}" if metric.higher_is_better else "\N{DOWNWARDS ARROW}"
