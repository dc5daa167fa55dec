"""Write the table of fast in-silico mutagenesis in docs/attribution.md from results/ism.csv.

python benchmarks/ism.py --tangermeme TORCH/bin/python --sequences 1 --peers-sequences 1 --positions 144 --write
python docs/make_ism_speed.py                   # writes the table; --check holds the page to it
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markdown_table import table as markdown_table
from written_page import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "attribution.md"
RESULTS = ROOT / "results" / "ism.csv"

START, END = "<!-- speed of ism -->\n\n", "\n<!-- end -->\n"
NAMES = {
    "basset": "Basset",
    "beluga": "Beluga",
    "bpnet": "BPNet, dilations up to 512",
    "bpnet64": "BPNet, dilations up to 64",
    "squeeze": "squeeze-excite",
}


def page() -> str:
    """The whole page: its text as it is, with the table made anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    return f"{before}{START}{speeds(pd.read_csv(RESULTS))}\n{END}{rest.split(END, 1)[1]}"


def speeds(rows: pd.DataFrame) -> str:
    """What each network gained: medians over turns, and the lowest turn in brackets."""
    heads = ["network", "bases", "times whole passes", "bound", "share of the bound", "times tangermeme"]
    cells = [
        [
            NAMES[row.network],
            f"{row.bases:,}",
            f"{row.times_whole_passes:.1f} ({row.lowest_whole_passes:.1f})",
            f"{row.bound:.1f}",
            f"{row.share_of_bound:.0%}",
            f"{row.times_tangermeme:.1f} ({row.lowest_tangermeme:.1f})",
        ]
        for row in rows.itertuples()
    ]
    return markdown_table(heads, cells)


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the table")
