"""The table of averages for the page of findings: what both strands, shifts and ensembles bring, for what cost."""

import pandas as pd
from keep_results import RESULTS
from markdown_table import table

from simbench_tf.plot.numbers import fixed, with_error
from simbench_tf.report.text import method_title
from simbench_tf.run.results import read_table
from simbench_tf.score.significance import holm

TABLE = RESULTS / "averaging.csv"
#: A gain counts below this p, after Holm's correction for all of the table.
SIGNIFICANT = 0.05
HOW = (
    "`python benchmarks/averaging.py`: the demo's data and its Basset, trained from three seeds; {n} sequences of both "
    "tasks together. Mean auPRC ± standard error, with trainings and sequences as random effects, and below it the "
    "gain over the same method without averaging, of the ensemble over its members one by one: \\* where p < .05 "
    "after Holm's correction for all of the table. The cost is how many times as much is computed; an ensemble has to "
    "be trained three times, too."
)


def averages() -> str:
    """The whole section."""
    found = read_table(TABLE)
    ways = sorted(dict.fromkeys(found["averaging"]), key=lambda way: way.startswith("ensemble"))
    averaged = found["averaging"] != "none"
    shown = pd.Series(1.0, found.index)
    shown[averaged] = holm(found.loc[averaged, "p_value"].to_numpy())
    found = found.assign(is_shown=shown < SIGNIFICANT)
    cells = {(row.method, row.averaging): _cell(row) for row in found.itertuples()}
    rows = [[_title(method), *(cells.get((method, way), "") for way in ways)] for method in found["method"].unique()]
    costs = found.groupby("averaging")["cost"].first()
    rows.append(["*cost*", *(str(costs[way]) for way in ways)])
    how = HOW.format(n=found["n_sequences"].max())
    return f"{how}\n\n{table(['method', *ways], rows)}\n\n{_in_words(found[averaged])}"


def _title(method: str) -> str:
    name, _, settings = method.partition(" ")
    return f"{method_title(name)} {settings}".strip()


def _cell(row: tuple) -> str:
    reached = with_error(row.auprc, row.auprc_se)
    star = "\\*" if row.is_shown else ""
    return reached if row.averaging == "none" else f"{reached}<br>{_signed(row.gain)}{star}"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{fixed(abs(value))}"


def _in_words(averaged: pd.DataFrame) -> str:
    """A line for each way: of how many methods a gain or a loss is shown, and how large gains are."""
    lines = []
    for way, those in sorted(averaged.groupby("averaging", sort=False), key=lambda pair: pair[1]["cost"].iloc[0]):
        up, down = ((those["is_shown"] & (sign * those["gain"] > 0)).sum() for sign in (1, -1))
        worse = f", a loss for {down}" if down else ""
        span = f"{_signed(those['gain'].min())} to {_signed(those['gain'].max())}"
        cost = those["cost"].iloc[0]
        shown = f"a gain is shown for {up} of {len(those)} methods{worse}"
        lines.append(f"- **{way}**, {cost} times the cost: {shown}; {span}.")
    return "\n".join(lines)
