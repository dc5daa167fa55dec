"""The README's figure and table, from a finished demo: ``python docs/make_readme_figures.py runs/demo``."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from simbench_tf import one_hot, open_dataset, plot
from simbench_tf.run.attributions import read_attributions

HERE = Path(__file__).parent
TASK = "HepG2"
#: Bases of the logo.
SHOWN = 160


def figure(run: Path) -> Figure:
    """The ranking of the methods on one task, and its best method's scores of one sequence, true sites marked."""
    summary = pd.read_csv(run / "scores" / "summary.csv", keep_default_na=False, na_values=[""])
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


def table(run: Path) -> str:
    """The demo's ranking as a Markdown table, over both tasks."""
    summary = pd.read_csv(run / "scores" / "summary.csv", keep_default_na=False, na_values=[""])
    columns = ["auprc", "auroc", "chance_auprc", "oracle_auprc", "seconds_per_sequence"]
    means = summary.groupby("key")[columns].mean().sort_values("auprc", ascending=False)
    lines = ["| method | auPRC | auROC | chance auPRC | ceiling | seconds a sequence |", "|---|---|---|---|---|---|"]
    for key, row in means.iterrows():
        cells = [f"`{key}`", *(f"{value:.3f}" for value in row[:-1]), f"{row.iloc[-1]:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    figure(run).savefig(HERE / "demo.png", dpi=110, facecolor="white")
    print(table(run))
