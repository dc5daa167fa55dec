"""Write the table and the figure of docs/what_may_i_believe.md from results/belief.csv.

python benchmarks/belief.py > results/belief.csv
python docs/make_belief.py    # --check holds both to the table
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from markdown_table import table as markdown_table
from scipy import stats
from written_page import write_or_check_all

from simbench_tf import plot
from simbench_tf.plot.numbers import fixed, percent

ROOT = Path(__file__).parents[1]
PAGE, FIGURE = ROOT / "docs" / "what_may_i_believe.md", ROOT / "docs" / "belief.svg"
RESULTS = ROOT / "results" / "belief.csv"
KEY = "integrated_gradients@zeros+n_steps=10"
PARTS = {name: (f"<!-- {name} -->\n\n", "\n<!-- end -->\n") for name in ("table", "methods")}
#: Cases of pairs of a fitted twin and a real network begin so.
PAIR = "pair "
RELIABILITY = ("error, bases", "error, candidates", "called", "stated", "true")
#: Cases of the figure; the table has all.
DRAWN = ("fitted", "fitted, both networks poor", "its network is better", "a motif is missing", "twice the sites")


def page(found: pd.DataFrame) -> str:
    """The whole page: its text as it is, with the tables made anew."""
    text = PAGE.read_text(encoding="utf-8")
    for name, made in {"table": cases(found), "methods": methods(found)}.items():
        start, end = PARTS[name]
        before, rest = text.split(start)
        text = f"{before}{start}{made}\n{end}{rest.split(end, 1)[1]}"
    return text


def cases(found: pd.DataFrame) -> str:
    """A row for each case: auROC of both networks, errors, and what became of the called sites."""
    heads = ["the twin", "its auROC", "real auROC", *RELIABILITY]
    rows = []
    of_key = found[(found["key"] == KEY) & ~found["case"].str.startswith(PAIR)]
    for case, own in of_key.groupby("case", sort=False):
        called = own[own["what"] == "called"].iloc[0]
        rows.append([str(case), fixed(called.twin_auroc), fixed(called.auroc), *reliability(own)])
    return markdown_table(heads, rows)


def methods(found: pd.DataFrame) -> str:
    """A row for each method: how far what it states of called sites is from the truth, over pairs of networks."""
    heads = ["method", "called", "stated", "true", "stated less true, in points", "from network to network"]
    rows = []
    for key, own in found[found["case"].str.startswith(PAIR)].groupby("key", sort=False):
        off = 100 * (own["predicted"] - own["observed"])
        mean, sd = float(off.mean()), float(off.std())
        half = float(stats.t.ppf(0.975, len(off) - 1)) * sd / len(off) ** 0.5
        apart = f"{fixed(mean, 1)} ({fixed(mean - half, 1)} to {fixed(mean + half, 1)})"
        stated, true = (percent(own[name].mean()) for name in ("predicted", "observed"))
        rows.append([f"`{key}`", f"{own['n'].mean():,.0f}", stated, true, apart, f"±{fixed(sd, 1)}"])
    return markdown_table(heads, rows)


def reliability(own: pd.DataFrame) -> list[str]:
    """Errors of bases and candidates, and what became of the called sites."""
    called = own[own["what"] == "called"].iloc[0]
    true = f"{percent(called.observed)} ({percent(called.low)} to {percent(called.high)})"
    stated = [percent(called.predicted), true] if called.n else ["", ""]
    errors = [fixed(error(own[own["what"] == what]), 3) for what in ("bases", "candidates")]
    return [*errors, f"{int(called.n):,}", *stated]


def error(bins: pd.DataFrame) -> float:
    """Mean |stated - true|, by how many are in each bin."""
    return float(np.average((bins["predicted"] - bins["observed"]).abs(), weights=bins["n"]))


def figure(found: pd.DataFrame) -> str:
    """Reliability of candidates, a line for each of some cases."""
    of_key = found[(found["key"] == KEY) & (found["what"] == "candidates")]
    ax = plot.reliability_curves({case: of_key[of_key["case"] == case] for case in DRAWN})
    return _alone(plot.svg(ax, "Reliability of candidates: stated probability against the share that is true"))


def _alone(markup: str) -> str:
    """As a file of its own: with a name space, a size and a font."""
    words = 'xmlns="http://www.w3.org/2000/svg" width="460" font-family="sans-serif" '
    return markup.replace("<svg ", f"<svg {words}", 1) + "\n"


if __name__ == "__main__":
    table = pd.read_csv(RESULTS)
    write_or_check_all({PAGE: page(table), FIGURE: figure(table)}, "python docs/make_belief.py")
