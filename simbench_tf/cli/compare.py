"""The command that compares runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from simbench_tf.cli.app import LOOK, app, console, say
from simbench_tf.stages.step import check_earlier


@app.command(rich_help_panel=LOOK)
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN1 RUN2 ...", help="The folders of scored runs.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.html|.csv", help="Write the comparison, as a page or as tables."),
    ] = None,
) -> None:
    """Compare runs: settings that differ, models, scores, and paired differences between sequences.

    Example: [bold]simbench compare runs/with runs/without --out compared.html[/]
    """
    from simbench_tf.report.compare import compare_runs, shown, write_comparison

    for folder in runs:
        check_earlier(folder, "report")
    comparison = compare_runs(runs)
    files = write_comparison(comparison, out) if out is not None else []
    for each in shown(comparison):
        table = Table(
            *map(escape, each.table.heads), title=each.title, caption=each.note, title_justify="left", box=None
        )
        for row in each.table.rows:
            table.add_row(*map(escape, row))
        console.print(table, "")
    for file in files:
        say(f"written: {file}")
