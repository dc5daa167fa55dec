"""Tables of a comparison of runs, as text. Plain values only: no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from simbench_tf.plot.numbers import fixed, with_error
from simbench_tf.report.answers import ENOUGH_SEEDS
from simbench_tf.report.text import Table

_QUALITY = {"auroc": "auROC", "auprc": "auPRC", "oracle_auroc": "oracle auROC", "oracle_auprc": "oracle auPRC"}


class Shown(NamedTuple):
    """A table of text under its title, and what there is to know to read it."""

    title: str
    note: str
    table: Table


def settings_shown(settings: pd.DataFrame) -> Shown:
    """Settings that differ: one row per dotted key, one column per run."""
    rows = [
        [str(key), *("–" if pd.isna(value) else str(value) for value in line)]
        for key, line in zip(settings.index, settings.itertuples(index=False), strict=True)
    ]
    return Shown("Settings that differ", "", Table(["setting", *map(str, settings.columns)], rows, (0, 0)))


def models_shown(models: pd.DataFrame) -> Shown:
    """Quality of the models, one row per model, task and run."""
    known = {column: head for column, head in _QUALITY.items() if models[column].notna().any()}
    rows = [
        [line["model"], line["task"], line["run"], *(fixed(line[column]) for column in known)]
        for line in models.sort_values(["model", "task"], kind="stable").to_dict("records")
    ]
    return Shown("Models on the test split", "", Table(["model", "task", "run", *known.values()], rows, (3, 99)))


def scores_shown(scores: pd.DataFrame, runs: Sequence[str], labels: Mapping[str, str]) -> Shown:
    """auPRC of the runs beside each other, one row per model, task and key, the best first within model and task."""
    keys = ["model", "task", "key"]
    means = scores.groupby(keys)["auprc"].mean().reset_index()
    order = means.sort_values(["model", "task", "auprc"], ascending=[True, True, False], kind="stable")[keys]
    lines = {(*(line[key] for key in keys), line["run"]): line for line in scores.to_dict("records")}
    rows = []
    for key in order.itertuples(index=False, name=None):
        here = {run: lines[*key, run] for run in runs if (*key, run) in lines}
        spans = (
            dict.fromkeys(fixed(line[column]) for line in here.values()) for column in ("chance_auprc", "oracle_auprc")
        )
        of_runs = [_auprc(here[run]) if run in here else "–" for run in runs]
        rows.append([*key[:2], labels.get(key[2], key[2]), *of_runs, *(" / ".join(span) for span in spans)])
    note = "auPRC: mean over sequences and its 95% interval, or ± its standard error; ceiling: the oracle's."
    return Shown("Scores", note, Table([*keys[:2], "method", *runs, "chance", "ceiling"], rows, (3, 99)))


def _auprc(line: Mapping[str, Any]) -> str:
    if pd.isna(line["auprc_low"]):
        return with_error(line["auprc"], line["auprc_se"])
    return f"{fixed(line['auprc'])} ({fixed(line['auprc_low'])}–{fixed(line['auprc_high'])})"


def _p_value(value: Any) -> str:
    """Format a p-value: no p-value is 0.

    Examples
    --------
    >>> _p_value(1e-9), _p_value(0.00006), _p_value(float("nan"))
    ('under 0.0001', '0.0001', '–')
    """
    return text if (text := fixed(value, 4)) != "0.0000" else "under 0.0001"


def differences_shown(differences: pd.DataFrame, labels: Mapping[str, str]) -> Shown:
    """Differences in auPRC, one row per model, task, key and pair of runs."""
    trained = bool(differences["p_welch"].notna().any())
    heads = ["model", "task", "method", "first − second", "difference", "95% interval", "p", "p (Holm)"]
    heads += [*(["p (Welch)"] if trained else []), "n", "trainings", "compared"]
    rows = [
        [
            line["model"],
            line["task"],
            labels.get(line["key"], line["key"]),
            f"{line['first']} − {line['second']}",
            f"{line['difference']:+.3f}",
            f"{line['low']:+.3f} to {line['high']:+.3f}",
            _p_value(line["p_value"]),
            _p_value(line["p_holm"]),
            *([_p_value(line["p_welch"])] if trained else []),
            fixed(line["n_sequences"], 0),
            fixed(line["n_models"], 0),
            "paired" if line["paired"] else "means",
        ]
        for line in differences.to_dict("records")
    ]
    note = (
        "Of auPRC. Paired: on the same sequences, by Wilcoxon's signed-rank test and a bootstrap interval; means: "
        "of other sequences, by their standard errors. Holm's correction is for the number of rows. "
        f"{_whose_trainings(differences['n_models'])}"
    )
    if trained:
        note += " Welch's t-test is of the trainings' means alone: for other trainings, on these sequences."
    return Shown("Differences", note, Table(heads, rows, (4, len(heads) - 1)))


def _whose_trainings(n_models: pd.Series) -> str:
    """Say what the p-values speak of: these trainings, or others, too.

    Examples
    --------
    >>> _whose_trainings(pd.Series([1, 1]))[:60]
    'Every p speaks of these trainings alone: other trainings may'
    """
    alone = "speaks of these trainings alone: other trainings may differ otherwise"
    if n_models.max() == 1:
        return f"Every p {alone}; train with seeds: {ENOUGH_SEEDS} or more in both runs."
    return (
        f"Of one training p {alone}. Of several, trainings and sequences are random effects, and p is for new ones of "
        "both."
    )
