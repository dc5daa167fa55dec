"""Write docs/scale.md: what steps take at a million sequences, what larger ones would, and memory over many models.

python benchmarks/scale.py > results/scale.csv                        # half an hour on two cores
python benchmarks/models_in_memory.py > results/models_in_memory.csv  # three minutes
python docs/make_scale.py                                             # writes the page; --check holds it to the tables
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markdown_table import table as markdown_table
from written_page import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scale.md"
RESULTS, MODELS = ROOT / "results" / "scale.csv", ROOT / "results" / "models_in_memory.csv"

#: Between which lines of the page each table stands.
PLACES = {name: f"<!-- {name} -->\n\n" for name in ("measured", "expected", "models")}
END = "\n<!-- end -->\n"
#: For how many sequences the second table says what to expect.
LARGER = 10_000_000


def page() -> str:
    """The whole page: its text as it is, with the tables made anew."""
    text = PAGE.read_text(encoding="utf-8")
    costs = pd.read_csv(RESULTS)
    tables = {"measured": measured(costs), "expected": expected(costs), "models": of_models(pd.read_csv(MODELS))}
    for name, made in tables.items():
        before, rest = text.split(PLACES[name])
        text = f"{before}{PLACES[name]}{made}\n{END}{rest.split(END, 1)[1]}"
    return text


def measured(costs: pd.DataFrame) -> str:
    """Seconds and memory of each step at each size."""
    sizes = sorted(costs["n_sequences"].unique())
    heads = ["step", *(f"{n:,}: {what}" for n in sizes for what in ("seconds", "peak MB"))]
    rows = []
    for step, of_step in costs.groupby("step", sort=False):
        by_size = of_step.set_index("n_sequences")
        cells = [(_seconds(by_size.seconds[n]), f"{by_size.peak_mb[n]:,.0f}") for n in sizes]
        rows.append([str(step), *(cell for pair in cells for cell in pair)])
    return markdown_table(heads, rows)


def expected(costs: pd.DataFrame) -> str:
    """What ten times the largest size would take, by straight lines through the two sizes measured."""
    small, large = sorted(costs["n_sequences"].unique())
    rows = []
    for step, of_step in costs.groupby("step", sort=False):
        by_size = of_step.set_index("n_sequences")
        seconds, memory = (_line(by_size[name], small, large) for name in ("seconds", "peak_mb"))
        rows.append([str(step), f"{LARGER:,}", f"{seconds / 60:,.1f}", f"{memory / 1000:,.1f}"])
    return markdown_table(["step", "sequences", "minutes", "GB"], rows)


def of_models(found: pd.DataFrame) -> str:
    """Memory, and what TensorFlow holds, after the first models of each method and after the last."""
    first, last = found["models"].min(), found["models"].max()
    heads = [
        "method",
        f"MB after {first} models",
        f"after {last}",
        f"graphs and variables held, after {first} and {last}",
    ]
    rows = []
    for method, of_method in found.groupby("method", sort=False):
        both = of_method.set_index("models").loc[[first, last]]
        held = ", ".join(map(str, both["held"]))
        rows.append([f"`{method}`", *(f"{megabytes:,}" for megabytes in both["resident_mb"]), held])
    return markdown_table(heads, rows)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"


def _line(values: pd.Series, small: int, large: int) -> float:
    slope = (values[large] - values[small]) / (large - small)
    return float(values[large] + max(slope, 0) * (LARGER - large))


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the table")
