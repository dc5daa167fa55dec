"""Shared parts of the commands: the app, arguments and options, printing, progress."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import ProgressColumn
from typer.core import TyperGroup

from simbench_tf.cli import progress
from simbench_tf.cli.everywhere import HELP, is_quiet
from simbench_tf.errors import nearest, printable
from simbench_tf.parallel import Track, silent


class _TellsAnExample(TyperGroup):
    """Commands; where one lacks something, its first example says how it is called."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            # of which module the class is depends on the version of typer
            if type(error).__name__ == "MissingParameter":
                command = getattr(error, "ctx", ctx).command
                shown = re.search(r"Example: \[bold\](.*?)\[/\]", " ".join((command.help or "").split()))
                error.message = f"For example: {shown[1]}" if shown else ""  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    name="simbench",
    cls=_TellsAnExample,
    epilog=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
#: Groups of commands in the help, in the order in which the commands are registered.
OF_A_RUN, CONFIGURATION = "A run and its stages", "Configurations"
EXCHANGE, LOOK = "Other tools and other people", "Look, and change nothing"


class _Printer(Console):
    """A console for whose output the work never ends: a reader that has gone away, as `head` does, misses the rest."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # what Python still holds for the closed pipe would fail when the program ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


# a path may hold [brackets] and :colons:, which rich would take for markup and emoji
console = _Printer(emoji=False)
errors = _Printer(stderr=True, emoji=False)


def _lines(text: object) -> str:
    return "\n".join(map(printable, str(text).split("\n")))


def say(text: object) -> None:
    """Print a result as it is, unbroken, on standard output."""
    console.print(_lines(text), markup=False, highlight=False, soft_wrap=True)


def note(text: object) -> None:
    """Print a remark as it is, unbroken, on standard error."""
    errors.print(_lines(text), markup=False, highlight=False, soft_wrap=True)


def _complete_preset(begun: str) -> list[str]:
    """Presets and their variants that begin so, for TAB."""
    from simbench_tf.config import presets, variants_of

    of_each = ([name, *(f"{name}:{variant}" for variant in variants_of(path))] for name, path in presets().items())
    return [name for names in of_each for name in names if name.startswith(begun)]


Source = Annotated[
    str,
    typer.Argument(
        autocompletion=_complete_preset,
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
TrustCode = Annotated[
    bool,
    typer.Option("--trust-code", help="Execute what a run made by others names: functions, Kipoi entries. Look first."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Worker processes on this machine; no port is opened.")
]
Dask = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port or, with TLS, tls://host:port."),
]


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
def bars(count: ProgressColumn | None = None, stages: Sequence[str] = ()) -> Iterator[Track]:
    """Show progress on standard error, unless --quiet; `count` and `stages` as in `progress.bars`."""
    if is_quiet():
        yield silent
        return
    with progress.bars(errors, count, stages) as track:
        yield track
