"""The figure and table of the README, from a finished demo (`make figures`); `--check`: whether its numbers hold."""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simbench_tf import one_hot, open_dataset, plot
from simbench_tf.report.answers import knowing_nothing
from simbench_tf.report.text import method_labels
from simbench_tf.run.attributions import read_attributions
from simbench_tf.run.results import read_table
from simbench_tf.score import without_nulls

HERE = Path(__file__).parent
TASK = "HepG2"
#: Bases of the logo.
SHOWN = 160
#: Null rows of the table, and what each knows.
NULLS = {
    "null_untrained": "the methods on an untrained network",
    "null_position": "positions of training sites, no network",
    "null_scan": "the true motifs, no network",
}


def figure(run: Path) -> Figure:
    """The rankings of the methods on one task, a network each, and the best method's scores of one sequence."""
    summary = read_table(run / "scores" / "summary.csv").query("task == @TASK")
    ranked, nulls = without_nulls(summary), summary[summary["method"].str.startswith("null_")]
    models = list(ranked["model"].unique())
    drawing = Figure(figsize=(10, 1.9 + 0.42 * ranked["key"].nunique()), layout="constrained")
    above, below = drawing.subfigures(2, 1, height_ratios=[0.42 * ranked["key"].nunique(), 1.9])
    labels = method_labels(ranked)
    for model, ax in zip(models, above.subplots(1, len(models), squeeze=False)[0], strict=True):
        mine = ranked[ranked["model"] == model]
        plot.method_ranking(mine.assign(null_auprc=knowing_nothing(mine, nulls)), labels=labels, ax=ax)
        ax.set_title(f"{TASK}, {_title(model)}", loc="left")
    ax = below.subplots()
    best = ranked.loc[ranked["auprc"].idxmax()]
    _draw_sequence(run, best, ax)
    title = (
        f"{labels[best.key]} of {_title(best.model)}: {SHOWN} bp of the sequence of median quality, true sites shaded"
    )
    ax.set_title(title, loc="left", pad=22)
    return drawing


def _draw_sequence(run: Path, best: pd.Series, ax: Axes) -> None:
    """The sequence of median quality: neither the best nor the worst the method can show."""
    scores, ids = read_attributions(run / "attributions" / best.model / TASK / f"{best.key}.h5")
    dataset = open_dataset(run / "dataset")
    table = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    mine = table[(table.model == best.model) & (table.task == TASK) & (table.key == best.key)].dropna(subset="auprc")
    seq_id = mine.sort_values("auprc").seq_id.iloc[len(mine) // 2]
    bases = dataset.bases("test")[list(dataset.seq_ids("test")).index(seq_id)][None]
    sites = dataset.sites[dataset.sites.seq_id == seq_id]
    start = min(max(0, int(sites.start.median()) - SHOWN // 2), dataset.seq_length - SHOWN)
    contributions = one_hot(bases)[0] * scores[ids.index(seq_id)][:, None]
    plot.logo(contributions, sites=sites, start=start, end=start + SHOWN, ax=ax)


def rows(run: Path) -> pd.DataFrame:
    """Mean auPRC over both tasks and its error, of one task's size or less, a column a network; seconds; best first."""
    summary = read_table(run / "scores" / "summary.csv")
    is_null = summary["method"].str.startswith("null_")
    summary = summary.assign(row=summary["method"].where(is_null, summary["key"]))
    means = summary.pivot_table(["auprc", "auprc_se"], "row", "model", sort=False)
    means["seconds", ""] = summary.groupby("row")["seconds_per_sequence"].mean()
    order = means["auprc"].mean(axis=1).sort_values(ascending=False).index
    ranked = [row for row in order if not row.startswith("null_")]
    return means.loc[[*ranked, *(row for row in NULLS if row in means.index)]]


def table(run: Path) -> str:
    """The demo's ranking as a Markdown table; below it what knowing nothing of the networks reaches."""
    found = rows(run)
    models = list(found["auprc"])
    heads = ["method", *(f"auPRC, {_title(model)}" for model in models), "seconds a sequence"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for key, row in found.iterrows():
        cells = [f"`{key}`", *(f"{row['auprc', model]:.2f} ± {row['auprc_se', model]:.2f}" for model in models)]
        lines.append(f"| {' | '.join(cells)} | {NULLS.get(str(key)) or _seconds(row['seconds', ''])} |")
    return "\n".join(lines)


def _title(model: str) -> str:
    return model.capitalize()


def _seconds(value: float) -> str:
    return f"{value:.1g}"


def of_networks(run: Path) -> dict[str, float]:
    """What the page says of each network: its auROC, and the exact ceiling's, means over both tasks."""
    found = {}
    for file in sorted(run.glob("models/*/metrics.json")):
        metrics = json.loads(file.read_text(encoding="utf-8"))
        name = f"{_title(file.parent.name)} (test auROC"
        found[name] = float(np.mean([task["auroc"] for task in metrics.values()]))
    ceilings = pd.read_csv(run / "oracle" / "ceilings.csv")
    return {**found, "exact ceiling is": float(ceilings["auroc"].mean())}


def problems(run: Path, page: str) -> list[str]:
    """Numbers of a page that a run does not give: rows of the table, within twice their errors, and auROCs to .01."""
    found = rows(run)
    wrong = []
    for what, value in of_networks(run).items():
        stated = re.search(rf"{re.escape(what)} (\.\d+)", page)
        if stated and abs(value - float(stated[1])) > 0.01:
            wrong.append(f"{what}: {value:.3f}, the page says {stated[1]}")
    for key, numbers in re.findall(r"(?m)^\| `([^`]+)` ((?:\| [\d.]+ ± [\d.]+ )+)\|", page):
        if key not in found.index:
            wrong.append(f"{key}: the run has no such row")
            continue
        pairs = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ± ([\d.]+)", numbers)]
        for model, (auprc, error) in zip(found["auprc"], pairs, strict=True):
            value = found.loc[key, ("auprc", model)]
            if abs(value - auprc) > 2 * max(error, 0.01):
                wrong.append(f"{key}: auPRC in {model} is {value:.3f}, the page says {auprc} ± {error}")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--check", type=Path, metavar="README.md", help="only compare the numbers of a page with the run"
    )
    options = parser.parse_args()
    if options.check is not None:
        wrong = problems(options.run, options.check.read_text(encoding="utf-8"))
        sys.exit("\n".join(wrong) or None)
    figure(options.run).savefig(HERE / "demo.png", dpi=110, facecolor="white")
    print(table(options.run))
