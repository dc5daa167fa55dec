"""The head of the report: its contents, and what one must know before reading on, the networks' quality and n."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from simbench_tf.plot.numbers import fixed
from simbench_tf.score.ranking import base_models

#: Models told of one by one, at most.
_MOST_MODELS = 4

#: Sections by id: their title in the contents, and the value of the page without which they are not there.
SECTIONS = (
    ("ranking", "Ranking", None),
    ("data", "Data", None),
    ("models", "Models", "models"),
    ("scores", "All scores", None),
    ("methods", "Methods", "cards"),
    ("misses", "Whose miss", "misses"),
    ("rules", "Rules", "rules"),
    ("credit", "Credit", "credit"),
    ("worth", "Worth of a score", "worth"),
    ("truth-free", "Without truth", "truth_free"),
    ("dependencies", "Dependencies", "dependencies"),
    ("differences", "Differences", "differences"),
    ("motifs", "Motifs found", "found"),
    ("callers", "Callers", "callers"),
    ("seeds", "Other trainings", "seeds"),
    ("dynamics", "Learnt when", "learnt"),
    ("sequences", "Every sequence", "browsed"),
    ("examples", "Examples", "examples"),
    ("cost", "Cost", "cost"),
    ("made", "How it was made", None),
)


def contents(page: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Ids and titles of the sections that a page has.

    Examples
    --------
    >>> contents({"models": [1]})[:4]
    [('ranking', 'Ranking'), ('data', 'Data'), ('models', 'Models'), ('scores', 'All scores')]
    """
    return [(section, title) for section, title, value in SECTIONS if value is None or page.get(value)]


def at_the_top(
    summary: pd.DataFrame, metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]]
) -> list[tuple[str, str]]:
    """What stands beside the answer: sequences explained, methods, and the test auROC of each model.

    Parameters
    ----------
    summary : DataFrame
        RUN/scores/summary.csv without null methods.
    metrics : dict
        For each model and task auroc and, where it is known, oracle_auroc.

    Examples
    --------
    >>> summary = pd.DataFrame({"model": "basset", "task": "K562", "key": ["ism@none"], "n_sequences": [90]})
    >>> at_the_top(summary, {"basset": {"K562": {"auroc": .91, "oracle_auroc": .97}}})
    [('explained', '90 sequences'), ('methods', '1'), ('basset, test auROC', '0.91 of 0.97 reachable')]
    """
    counts = {str(task): int(n) for task, n in summary.groupby("task", sort=False)["n_sequences"].max().items()}
    of_tasks = ", ".join(f"{n:,} of {task}" for task, n in counts.items())
    explained = f"{sum(counts.values()):,} sequences" + (f": {of_tasks}" if 1 < len(counts) <= 5 else "")
    told = [("explained", explained), ("methods", str(summary["key"].nunique()))]
    names = pd.Series(list(metrics), dtype=object)
    trainings: dict[str, list[str]] = {}
    for name, base in zip(names, base_models(names) if len(names) else [], strict=True):
        trainings.setdefault(str(base), []).append(str(name))
    if len(trainings) > _MOST_MODELS:
        known = [value["auroc"] for tasks in metrics.values() for value in tasks.values() if value.get("auroc")]
        return [*told, (f"{len(trainings)} models, test auROC", _span([float(value or 0) for value in known]))]
    for base, models in trainings.items():
        label = f"{base}, {len(models)} trainings, test auROC" if len(models) > 1 else f"{base}, test auROC"
        told.append((label, "; ".join(_quality(task, models, metrics) for task in metrics[models[0]])))
    return told


def _quality(task: str, models: list[str], metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """The auROC of trainings of a model on a task, and what is reachable."""
    values = [metrics[model][task] for model in models if task in metrics[model]]
    known = [float(value["auroc"]) for value in values if value.get("auroc") is not None]  # type: ignore[arg-type]
    ceiling = fixed(values[0].get("oracle_auroc"), 2)
    of_ceiling = "" if ceiling == "–" else f" of {ceiling} reachable"
    alone = len(metrics[models[0]]) == 1
    return f"{'' if alone else task + ' '}{_span(known)}{of_ceiling}"


def _span(values: list[float]) -> str:
    ends = dict.fromkeys(fixed(value, 2) for value in (min(values), max(values))) if values else {"–": None}
    return " to ".join(ends)
