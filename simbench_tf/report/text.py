"""Sentences and tables of the report, made from the numbers of the run. Plain values only: no markup."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from simbench_tf.attribution import methods
from simbench_tf.plot.curves import metric_title
from simbench_tf.plot.numbers import fixed, percent, with_error
from simbench_tf.score.ranking import without_nulls


class Table(NamedTuple):
    """Heads and rows of text; the columns from `numbers` start to stop are numbers, those of `faint` are grey."""

    heads: list[str]
    rows: list[list[str]]
    numbers: tuple[int, int] = (1, 99)
    faint: tuple[int, int] = (0, 0)


#: What null methods, which know nothing of the network, are called.
_NULLS = {
    "null_position": "positions of true bases, no network",
    "null_kmer": "words at true bases, no network",
    "null_scan": "scan with the true motifs, no network",
}


def method_title(name: str) -> str:
    """What a method is called in sentences and tables; one that is not registered here goes by its name.

    Examples
    --------
    >>> method_title("grad_x_input"), method_title("of_another_tool")
    ('gradient × input', 'of_another_tool')
    """
    known = methods()
    return known[name].title if name in known else _NULLS.get(name, name)


def method_labels(summary: pd.DataFrame) -> dict[str, str]:
    """Plain names of the keys, with the references and settings given; a name that two would share stays the key.

    Examples
    --------
    >>> row = {"key": "integrated_gradients@zeros+n_steps=20", "method": "integrated_gradients", "references": "zeros",
    ...        "settings": '{"n_steps": 20}'}
    >>> method_labels(pd.DataFrame([row]))
    {'integrated_gradients@zeros+n_steps=20': 'integrated gradients (zeros, n_steps 20)'}
    """
    labels: dict[str, str] = {}
    for row in summary.drop_duplicates("key").itertuples():
        given = [] if pd.isna(row.references) or row.references in ("none", "-") else [str(row.references)]
        settings = json.loads(row.settings) if isinstance(row.settings, str) and row.settings else {}
        given += [_setting(name, value) for name, value in settings.items()]
        title = method_title(str(row.method))
        labels[row.key] = title + (f" ({', '.join(given)})" if given else "")
    names = list(labels.values())
    labels = {key: name if names.count(name) == 1 else str(key) for key, name in labels.items()}
    untrained = {key: str(key).partition("@")[2] for key in labels if str(key).startswith("null_untrained@")}
    return labels | {key: f"{labels.get(base, base)}, untrained network" for key, base in untrained.items()}


def _setting(name: str, value: Any) -> str:
    """A setting as it is given: of one that is on or off, its name.

    Examples
    --------
    >>> _setting("n_steps", 20), _setting("multiply_by_inputs", False)
    ('n_steps 20', 'no multiply_by_inputs')
    """
    return f"{name} {value}" if not isinstance(value, bool) else name if value else f"no {name}"


def plugged_titles(config: Mapping[str, Any]) -> dict[str, str]:
    """Metrics of other packages by their column, and what to call them: the name, with the settings given.

    Examples
    --------
    >>> plugged_titles({"scoring": {"metrics": [{"metric": "window_auprc", "width": 7}]}})
    {'window_auprc': 'window auprc (width 7)'}
    """
    titles = {}
    for asked in config.get("scoring", {}).get("metrics", []):
        name = str(asked["metric"])
        given = ", ".join(_setting(*each) for each in asked.items() if each[0] != "metric")
        titles[name] = metric_title(name) + (f" ({given})" if given else "")
    return titles


def score_table(
    summary: pd.DataFrame,
    labels: Mapping[str, str],
    standing: pd.DataFrame | None = None,
    plugged: Mapping[str, str] | None = None,
) -> Table:
    """All numbers of the summary rows of one model and task, best first; null methods come last and have no rank.

    With `standing`, of `score.ranking.standings`, = marks methods to which the best shows no difference; `plugged` are
    metrics of other packages, of `plugged_titles`, each a column.
    """
    level = {} if standing is None else dict(zip(standing["key"], standing["level"], strict=True))
    with_oracle = summary["oracle_auprc"].notna().any()
    other, other_head = _other_sign(summary)
    # rounding apart
    unseen = "auprc_all_bases" in summary and (summary["auprc_all_bases"] - summary["auprc"]).abs().max() > 1e-9
    heads = ["rank", "method", "auPRC", *(["share of the oracle's"] if with_oracle else []), other_head]
    heads += [*(["auPRC on all bases"] if unseen else []), "auROC"]
    plugged = plugged or {}
    heads += ["mass on true bases", *plugged.values(), "pooled auPRC", "pooled auROC", "seconds a sequence"]
    rows = []
    ordered = summary.sort_values("auprc", ascending=False, kind="stable", na_position="last")
    ranked = without_nulls(ordered)
    nulls = ordered.drop(ranked.index)
    ranks = [f"{place}{'=' if place > 1 and level.get(key) else ''}" for place, key in enumerate(ranked["key"], 1)]
    for rank, row in zip(
        [*ranks, *["–"] * len(nulls)], [*ranked.to_dict("records"), *nulls.to_dict("records")], strict=True
    ):
        cells = [rank, labels[row["key"]]]
        cells.append(with_error(row["auprc"], row["auprc_se"]))
        cells += [percent(ratio(row["auprc"], row["oracle_auprc"]))] if with_oracle else []
        cells += [fixed(row.get(other)), *([fixed(row["auprc_all_bases"])] if unseen else [])]
        cells += [with_error(row[name], row[f"{name}_se"]) for name in ("auroc", "mass_fraction", *plugged)]
        cells += [fixed(row["pooled_auprc"]), fixed(row["pooled_auroc"]), seconds(row["seconds_per_sequence"])]
        rows.append(cells)
    return Table(heads, rows, (2, 99))


def is_signed(summary: pd.DataFrame) -> bool:
    """Whether the scores rank bases by the attribution itself, and not by its size."""
    return "sign" in summary and bool((summary["sign"] == "signed").all())


def _other_sign(summary: pd.DataFrame) -> tuple[str, str]:
    """The column with auPRC by the other sign than the ranking takes, and its head."""
    return ("absolute_auprc", "auPRC by size") if is_signed(summary) else ("signed_auprc", "signed auPRC")


def truth_table(summary: pd.DataFrame, other: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """The auPRC of one model's methods on one task against both truths, best first by the ranking's own."""
    by_origin = {str(rows["truth"].iloc[0]).partition(":")[0]: rows.set_index("key") for rows in (summary, other)}
    ordered = summary.sort_values("auprc", ascending=False, kind="stable", na_position="last")["key"]
    heads = ["method", "sites put in", "chance", "hits of a scan", "chance"]
    rows = []
    for key in ordered:
        cells = [labels[key]]
        for origin in ("embedded", "rescanned"):
            mine = by_origin[origin].loc[key]
            cells += [with_error(mine["auprc"], mine["auprc_se"]), fixed(mine["chance_auprc"])]
        rows.append(cells)
    return Table(heads, rows)


def score_caption(place: str, summary: pd.DataFrame) -> str:
    """What holds for all methods on one model and task: sequences, chance level, and ceiling where there is one."""
    first = summary.iloc[0]
    caption = f"{place}: {fixed(first['n_sequences'], 0)} sequences, chance auPRC {fixed(first['chance_auprc'])}"
    oracle = with_error(first["oracle_auprc"], first.get("oracle_auprc_se"))
    # of all bases pooled no ranking is better than the oracle's; of each sequence by itself one may be, by a little
    if oracle != "–":
        caption += f", oracle auPRC {oracle} (a reference, not a strict bound)"
    elif fixed(first.get("scan_auprc")) != "–":
        caption += f"; a scan with the true matrices reaches {fixed(first['scan_auprc'])}"
    return caption


def rule_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Attributions and one interaction, one row per method, the one nearest to the model's own answer first."""
    heads = ["method", "change of the first", "change of the second", "agreement", "agreement with the oracle"]
    heads.append("rule satisfied")
    ranked = rows.sort_values("agreement", ascending=False, kind="stable", na_position="last")
    cells = [
        [
            labels[row["key"]],
            *(with_error(row[name], row[f"{name}_se"], 2) for name in ("first_change", "second_change")),
            *(fixed(row[name], 2) for name in ("agreement", "oracle_agreement")),
            with_error(row["satisfied"], row["satisfied_se"], 2),
        ]
        for row in ranked.to_dict("records")
    ]
    return Table(heads, cells, (1, 99))


def rule_caption(row: Mapping[str, Any]) -> str:
    """Which interaction it is, what should be seen, and what the model and the oracle answer."""
    first, second = row["first"], row["second"]
    what = f"{first} beside {second}" if row["rule"] in (first, second) else f"{row['rule']}: {first} beside {second}"
    should = "counts for more" if row["expected"] > 0 else "counts for less"
    answers = ", ".join(
        f"{who} {with_error(row[name], row[f'{name}_se'], 2)}"
        for who, name in (("model's interaction", "interaction"), ("oracle's", "oracle_interaction"))
    )
    return f"{row['task']}, {row['model']}; {what} {should} ({fixed(row['n_sequences'], 0)} sequences; {answers})"


def seconds(value: Any) -> str:
    """Format a duration to two significant digits.

    Examples
    --------
    >>> seconds(.012345), seconds(123.4), seconds(None)
    ('0.012', '123', '–')
    """
    if fixed(value) == "–":
        return "–"
    return f"{value:.0f}" if value >= 10 else f"{value:#.2g}"


def quality_table(metrics: Mapping[str, Mapping[str, float | None]]) -> Table:
    """The test metrics of one model; columns of the oracle, with the share reached, and of k-mers only where known."""
    with_oracle, with_kmers = (
        any(fixed(values.get(name)) != "–" for values in metrics.values()) for name in ("oracle_auroc", "kmer_auroc")
    )
    columns = {
        "auROC": "auroc",
        **({"oracle auROC": "oracle_auroc", "reached": "reached"} if with_oracle else {}),
        **({"k-mer auROC": "kmer_auroc"} if with_kmers else {}),
        "auPRC": "auprc",
        **({"oracle auPRC": "oracle_auprc"} if with_oracle else {}),
        "positives (chance auPRC)": "positive_fraction",
    }
    rows = []
    for task, values in metrics.items():
        cells = {head: fixed(values.get(name)) for head, name in columns.items()}
        if with_oracle:
            cells["reached"] = percent(ratio(above(values.get("auroc"), 0.5), above(values.get("oracle_auroc"), 0.5)))
        rows.append([task, *cells.values()])
    return Table(["task", *columns], rows)


def above(value: Any, chance: float) -> float:
    """How far a value is above chance; NaN where it is not known."""
    return np.nan if value is None else float(value) - chance


def ratio(part: Any, whole: Any) -> float:
    """Return the part of a whole; NaN where either is not known or the whole is nothing.

    Examples
    --------
    >>> ratio(.3, .4), ratio(.3, 0), ratio(None, .4)
    (0.75, nan, nan)
    """
    if part is None or whole is None or not whole > 0:
        return float("nan")
    return round(float(part) / float(whole), 12)
