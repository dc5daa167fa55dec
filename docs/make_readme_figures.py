"""The figure and table of the README, from a finished demo (`make figures`); `--check`: whether its numbers hold."""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from simbench_tf import one_hot, open_dataset, plot
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
    """The ranking of the methods on one task, and its best method's scores of one sequence, true sites marked."""
    summary = without_nulls(read_table(run / "scores" / "summary.csv"))
    summary = summary[summary.task == TASK]
    best = summary.loc[summary.auprc.idxmax()]
    scores, ids = read_attributions(run / "attributions" / best.model / TASK / f"{best.key}.h5")
    dataset = open_dataset(run / "dataset")
    # the sequence of median quality: neither the best nor the worst the method can show
    per_sequence = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    mine = per_sequence[(per_sequence.task == TASK) & (per_sequence.key == best.key)].dropna(subset="auprc")
    seq_id = mine.sort_values("auprc").seq_id.iloc[len(mine) // 2]
    row = ids.index(seq_id)
    bases = dataset.bases("test")[list(dataset.seq_ids("test")).index(seq_id)][None]
    sites = dataset.sites[dataset.sites.seq_id == seq_id]

    drawing = Figure(figsize=(10, 4.6), layout="constrained")
    above, below = drawing.subplots(2, 1, height_ratios=[1.2, 1])
    plot.method_ranking(summary, ax=above)
    above.set_title(f"{TASK}: which method finds the true motif bases?", loc="left")
    middle = int(sites.start.median())
    start = min(max(0, middle - SHOWN // 2), dataset.seq_length - SHOWN)
    plot.logo(one_hot(bases)[0] * scores[row][:, None], sites=sites, start=start, end=start + SHOWN, ax=below)
    title = f"{best.key}: {SHOWN} bp of the sequence of median quality, true sites shaded"
    below.set_title(title, loc="left", pad=22)
    return drawing


def rows(run: Path) -> pd.DataFrame:
    """Means over both tasks, by what the README calls each row, with errors of one task's size or less."""
    summary = read_table(run / "scores" / "summary.csv")
    columns = ["auprc", "auprc_se", "auroc", "auroc_se", "seconds_per_sequence"]
    ranked = without_nulls(summary).groupby("key")[columns].mean().sort_values("auprc", ascending=False)
    nulls = summary[summary["method"].str.startswith("null_")].groupby("method")[columns].mean()
    return pd.concat([ranked, nulls.loc[[name for name in NULLS if name in nulls.index]]])


def table(run: Path) -> str:
    """The demo's ranking as a Markdown table, over both tasks; below it what knowing nothing of the network reaches."""
    lines = ["| method | auPRC | auROC | seconds a sequence |", "|---|---|---|---|"]
    for key, row in rows(run).iterrows():
        cells = [f"`{key}`", *(f"{row[name]:.2f} ± {row[f'{name}_se']:.2f}" for name in ("auprc", "auroc"))]
        lines.append(f"| {' | '.join(cells)} | {NULLS.get(str(key)) or _seconds(row['seconds_per_sequence'])} |")
    return "\n".join(lines)


def _seconds(value: float) -> str:
    return f"{value:.1g}"


def of_network(run: Path) -> dict[str, float]:
    """What the page says of the network: its auROC, and the exact ceiling's, means over both tasks."""
    metrics = json.loads((run / "models" / "basset" / "metrics.json").read_text(encoding="utf-8"))
    ceilings = pd.read_csv(run / "oracle" / "ceilings.csv")
    return {
        "test auROC": float(np.mean([task["auroc"] for task in metrics.values()])),
        "exact ceiling is": float(ceilings["auroc"].mean()),
    }


def problems(run: Path, page: str) -> list[str]:
    """Numbers of a page that a run does not give: rows of the table, within twice their errors, and auROCs to .01."""
    found = rows(run)
    wrong = []
    for what, value in of_network(run).items():
        stated = re.search(rf"{what} (\.\d+)", page)
        if stated and abs(value - float(stated[1])) > 0.01:
            wrong.append(f"{what}: {value:.3f}, the page says {stated[1]}")
    for key, *numbers in re.findall(r"(?m)^\| `([^`]+)` \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) ± ([\d.]+) \|", page):
        if key not in found.index:
            wrong.append(f"{key}: the run has no such row")
            continue
        auprc, auprc_se, auroc, auroc_se = map(float, numbers)
        for name, stated, error in (("auprc", auprc, auprc_se), ("auroc", auroc, auroc_se)):
            if abs(found.loc[key, name] - stated) > 2 * max(error, 0.01):
                wrong.append(f"{key}: {name} is {found.loc[key, name]:.3f}, the page says {stated} ± {error}")
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
