"""The report's tables of truth-free metrics, beside what the true sites say: one sees which to trust."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

import pandas as pd

from simbench_tf.report import text
from simbench_tf.report.text import fixed
from simbench_tf.score.correlation import rank_correlation
from simbench_tf.score.truth_free import TRUTH_FREE, TruthFreeMetric

#: Methods below which a rank correlation is not shown: of fewer it says nothing.
FEWEST_METHODS = 5


class Evidence(NamedTuple):
    """How far a truth-free metric was seen to put methods, or networks, in the order of true auPRC.

    Attributes
    ----------
    correlation, low, high : float
        Mean rank correlation, turned so that more is better, and its 95% interval.
    """

    correlation: float
    low: float
    high: float

    @property
    def is_earned(self) -> bool:
        """Whether the interval is above 0."""
        return self.low > 0


@functools.cache
def evidence(over: str) -> dict[str, Evidence]:
    """What `benchmarks/truth_free.py` found of each metric, the best first.

    Parameters
    ----------
    over : {"methods", "models"}
        Within a network over methods, or within a method over networks.

    Examples
    --------
    >>> set(evidence("methods")) == set(TRUTH_FREE)
    True
    """
    text_of = resources.files("simbench_tf").joinpath("data", "truth_free_evidence.csv")
    with text_of.open(encoding="utf-8") as handle:
        table = pd.read_csv(handle)
    mine = table[table["over"] == over].sort_values("correlation", ascending=False, kind="stable")
    return {row.metric: Evidence(row.correlation, row.low, row.high) for row in mine.itertuples()}


def evidence_story() -> str:
    """In words, which metrics earned to be believed, and where that was seen."""
    told = []
    for over, what in (("methods", "methods on one network"), ("models", "networks explained by one method")):
        found = evidence(over)
        earned = [
            f"{TRUTH_FREE[name].title} ({fixed(each.correlation, 2)}, {fixed(each.low, 2)} to {fixed(each.high, 2)})"
            for name, each in found.items()
            if each.is_earned
        ]
        told.append(f"Of {what}: {', '.join(earned) if earned else 'none'}.")
    return (
        "Metrics in front put methods in the order of true auPRC on simulated data, where it is known; those in grey "
        "were not shown to (benchmarks/truth_free.py: mean rank correlation, its 95% interval above 0). "
        f"{' '.join(told)}"
    )


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
    known = evidence("methods")
    names = sorted(agreement, key=lambda name: (not known[name].is_earned, list(known).index(name)))
    n_earned = sum(known[name].is_earned for name in names)
    heads = ["method", "true auPRC", *(f"{TRUTH_FREE[name].title} {_arrow(TRUTH_FREE[name])}" for name in names)]
    ranked = rows.sort_values("auprc", ascending=False, kind="stable", na_position="last")
    cells = [
        [labels.get(row["key"], row["key"]), fixed(row["auprc"], 2), *(fixed(row[name], 2) for name in names)]
        for row in ranked.to_dict("records")
    ]
    if not all(math.isnan(value) for value in agreement.values()):
        cells.append(["rank correlation with auPRC", "", *(fixed(agreement[name], 2) for name in names)])
    return text.Table(heads, cells, (1, 99), faint=(2 + n_earned, 2 + len(names)))


def _arrow(metric: TruthFreeMetric) -> str:
    return "\N{UPWARDS ARROW}" if metric.higher_is_better else "\N{DOWNWARDS ARROW}"
