"""Shared parts of the commands: the app, arguments and options, the two consoles, progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from simbench_tf.errors import nearest

app = typer.Typer(
    name="simbench",
    epilog="Add --debug to any command to see where an error comes from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

console = Console()
errors = Console(stderr=True)

Source = Annotated[
    str,
    typer.Argument(
        metavar="PRESET|CONFIG.yaml",
        help="A built-in preset or a configuration file; either with :VARIANT, as in five_lines:full.",
    ),
]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a run, made by `simbench run` or `simbench simulate`.")
]
Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="The folder of the run; created where it is missing.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. [bold]--set training.max_batches=100[/]."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Make results again that another configuration left in the folder.")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes on this machine.")]
Dask = Annotated[str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port.")]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"simbench {metadata.version('simbench_tf')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Which attribution method finds the motifs? Simulate DNA whose motifs are known, train, attribute, score."""


def one_of(*names: str) -> dict[str, Any]:
    """Keywords of `typer.Option` for a value that is one of some names."""

    def check(value: str) -> str:
        if value not in names:
            raise typer.BadParameter(f"{value!r} is none of its values{nearest(value, names)}")
        return value

    return {"metavar": "|".join(names), "callback": check}


@contextmanager
def bars(count: ProgressColumn | None = None) -> Iterator[Callable]:
    """Progress bars on a terminal, nothing elsewhere; `count` is the column of the amount done, by default steps."""
    columns = (TextColumn("{task.description}"), BarColumn(), count or MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:

        @contextmanager
        def track(description: str, total: int) -> Iterator[Callable[[int], None]]:
            task = progress.add_task(escape(description), total=total)
            yield lambda n: progress.advance(task, n)
            progress.update(task, completed=total)

        yield track
