"""Write docs/reliability.md from results/fuzzing.csv: what becomes of damaged files, and how it was found out.

python tests/fuzz.py > results/fuzzing.csv      # an hour on one core
python docs/make_reliability.py                 # writes the page; --check holds it to the table
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markdown_table import table as markdown_table
from written_page import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "results" / "fuzzing.csv"

#: Between which lines of the page the table stands.
BEGIN, END = "<!-- table -->\n\n", "\n<!-- end -->\n"
#: Formats whose files carry checksums.
GUARDED = ("part", "sites", "checkpoint")


def page() -> str:
    """The whole page: its text as it is, with the table made anew."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}{fuzzing_table()}\n{END}{rest.split(END)[1]}"


def fuzzing_table() -> str:
    """What became of the damaged files of each format."""
    table = pd.read_csv(RESULTS, comment="#")
    heads = ["format", "damaged files", "taken", "refused in a line", "faults", "slowest"]
    rows = [
        [
            f"{row.reader} (guarded)" if row.reader in GUARDED else row.reader,
            *(f"{n:,}" for n in (row.mutants, row.taken, row.refused, row.faults)),
            f"{row.slowest_seconds:.2f} s",
        ]
        for row in table.itertuples()
    ]
    return markdown_table(heads, rows)


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the table")
