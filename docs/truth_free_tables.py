"""The table and figure of truth-free metrics for the page of findings: which of them put methods in the true order."""

from pathlib import Path

import pandas as pd
from keep_results import RESULTS
from markdown_table import table

from simbench_tf.plot.numbers import fixed
from simbench_tf.run.results import read_table
from simbench_tf.score.truth_free import TRUTH_FREE

TABLE, ROWS = RESULTS / "truth_free.csv", RESULTS / "truth_free_rows.csv"
FIGURE = Path(__file__).with_name("truth_free.png")
OVER = {"methods": "over methods, on one network", "models": "over networks, by one method"}
HOW = (
    "`python benchmarks/truth_free.py`: {n_methods} methods on {n_networks} networks - {n_models} architectures on "
    "{n_data} simulated data sets, after {levels} batches of 100, test auROC {auroc} - with {n} sequences each. "
    "Spearman's rank correlation of each metric, turned so that more is better, with the auPRC that the true sites "
    "give: within a network over methods (which method to take), and within a method over the networks of a data set "
    "(which network to believe). Means, with 95% intervals of a bootstrap of the {n_units} pairs of architecture and "
    "data set: few, so that an interval says what these networks say, and no more. **Bold** where it is above 0; the "
    "report puts those of the first column in front, and the others in grey."
)


def truth_free_metrics() -> str:
    """The whole section."""
    found, rows = read_table(TABLE), read_table(ROWS)
    networks = rows.drop_duplicates(["data", "model", "level"])
    how = HOW.format(
        n_methods=rows["method"].nunique(),
        n_networks=len(networks),
        n_models=rows["model"].nunique(),
        n_data=rows["data"].nunique(),
        levels=" and ".join(str(level) for level in sorted(rows["level"].unique())),
        auroc=f"{fixed(networks['auroc'].min(), 2)} to {fixed(networks['auroc'].max(), 2)}",
        n=rows["n"].max(),
        n_units=found["n_units"].max(),
    )
    by = {over: mine.set_index("metric") for over, mine in found.groupby("over")}
    order = by["methods"]["correlation"].sort_values(ascending=False, kind="stable").index
    cells = [[TRUTH_FREE[name].title, *(_cell(by[over].loc[name]) for over in OVER)] for name in order]
    return f"{how}\n\n{table(['metric', *OVER.values()], cells)}\n\n![Rank correlations with true auPRC]({FIGURE.name})"


def _cell(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return fixed(row["correlation"], 2)
    said = f"{fixed(row['correlation'], 2)} ({fixed(row['low'], 2)} to {fixed(row['high'], 2)})"
    return f"**{said}**" if row["low"] > 0 else said


def draw() -> None:
    """Write the figure."""
    from matplotlib.figure import Figure

    found = read_table(TABLE)
    figure = Figure(figsize=(8, 4), layout="constrained")
    order = found[found["over"] == "methods"].sort_values("correlation")["metric"].tolist()
    axes = figure.subplots(1, len(OVER), sharey=True)
    for place, (over, title) in zip(axes, OVER.items(), strict=True):
        mine = found[found["over"] == over].set_index("metric").loc[order]
        for height, row in enumerate(mine.itertuples()):
            colour = "#0b857d" if row.low > 0 else "#9aa5ae"
            place.plot([row.low, row.high], [height, height], color=colour)
            place.plot(row.correlation, height, "o", color=colour)
        place.axvline(0, color="#c3cad0", zorder=0)
        place.set(title=title, xlim=(-1.05, 1.05), xlabel="rank correlation with true auPRC")
        place.set_yticks(range(len(order)), [TRUTH_FREE[name].title for name in order])
    figure.savefig(FIGURE, dpi=130, metadata={"Software": None})
