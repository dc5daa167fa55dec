"""Commands that look and change nothing: presets, methods, this machine (doctor), a run's state (verify) and log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from simbench_tf.architectures import LACKING
from simbench_tf.cli.app import CONFIGURATION, LOOK, Run, app, bars, console, say
from simbench_tf.cli.progress import duration
from simbench_tf.config import presets, variants_of
from simbench_tf.plugins import Kind, installed_plugins


@app.command(name="presets", rich_help_panel=CONFIGURATION)
def list_presets() -> None:
    """List the built-in configurations and their variants, one per line."""
    for name, path in presets().items():
        first_line = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        console.print(f"[bold]{name}[/]  {escape(first_line)}", soft_wrap=True)
        for variant, about in variants_of(path).items():
            console.print(f"  [bold]{name}:{variant}[/]  {escape(about)}", soft_wrap=True)


@app.command(rich_help_panel=CONFIGURATION)
def methods() -> None:
    r"""List attribution methods with their settings and references.

    In a configuration, a list as a value is a sweep: each of its values is combined with each of every other list's.

    Example: [bold]{method: integrated_gradients, references: \[zeros, "shuffle:20"], n_steps: \[5, 20]}[/], 4 entries

    Example: [bold]{method: \[gradcam, grad_x_activation], layer: \[first, last]}[/]

    Models are swept in the same way: [bold]{architecture: basset, kernel_size: \[7, 19], width: \[0.5, 1]}[/]
    """
    from simbench_tf.attribution import methods as registered
    from simbench_tf.attribution.lacking import why_not

    table = Table("method", "settings (default)", "references", "what it does", box=None)
    for method in registered().values():
        settings = ", ".join(f"{name}={value}" for name, value in method.settings.items()) or "-"
        table.add_row(method.name, escape(settings), escape(method.references or "-"), escape(method.description))
    console.print(table)
    console.print(
        "\nEvery method also takes strands (one; both) and shifts (0; K), the mean over copies of each sequence."
    )
    for kind, key in _KEYS.items():
        _say_plugged(kind, f"Of other packages, for `{key}`:")
    for architecture, lacking in LACKING.items():
        console.print(f"\nNot for models of `architecture: {architecture}`:")
        for why in dict.fromkeys(lacking.values()):
            names = [name for name in registered() if why_not(name, lacking) == why]
            console.print(f"  {', '.join(names)}: {escape(why)}")


#: Where a configuration names each kind of plug-in, but for methods, which are in the table.
_KEYS: dict[Kind, str] = {
    "metric": "scoring.metrics",
    "architecture": "models.N.architecture",
    "simulator": "simulation.kind",
    "caller": "discovery.callers",
}


def _say_plugged(kind: Kind, title: str) -> None:
    """Name the plug-ins of a kind, where there are any, with the packages that bring them."""
    for number, plugin in enumerate(installed_plugins(kind)):
        if number == 0:
            console.print(f"\n{title}")
        console.print(f"  {escape(plugin.name)}  ({escape(plugin.package)})", highlight=False)


@app.command(rich_help_panel=LOOK)
def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile what a run uses, up to two minutes, so that no run has to.")
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="FILE", help="Instead: a model's operations (.keras, .h5), DeepLIFT's rules, deltas."
        ),
    ] = None,
) -> None:
    """Show versions, devices, which optional parts work here, and which plug-ins other packages bring.

    Example: [bold]simbench doctor --warm[/]

    Example: [bold]simbench doctor --model my_model.keras[/]
    """
    from simbench_tf.cli.doctor import examine

    if model is not None:
        _audit(model)
        return
    table = Table("part", "state", box=None)
    findings = examine()
    for finding in findings:
        table.add_row(finding.part, ("" if finding.works else "[red]missing[/] ") + escape(finding.state))
    console.print(table)
    if warm:
        _warm()
    if any(finding.needed and not finding.works for finding in findings):
        raise typer.Exit(1)


def _audit(path: Path) -> None:
    from simbench_tf.attribution import audit
    from simbench_tf.attribution.audit import summary_of
    from simbench_tf.models.model_files import load_model_file

    found = audit(load_model_file(path))
    table = Table("layer", "kind", "rule", "delta", box=None)
    for row in found.itertuples():
        delta = "" if row.delta != row.delta else f"{row.delta:.1e}"
        rule = f"[red]{escape(row.rule)}[/]: {escape(row.note)}" if row.note else escape(row.rule)
        table.add_row(escape(row.layer), escape(row.kind), rule, delta)
    console.print(table)
    say(summary_of(found))


def _warm() -> None:
    from simbench_tf.cli import warm

    with bars() as track:
        warmed = warm.warm(track)
    took = f"compiled in {duration(warmed.seconds)}" if warmed.seconds else "nothing was left to compile"
    where = f"kept below {warmed.folder}" if warmed.folder else "kept nowhere; set NUMBA_CACHE_DIR"
    say(f"warm: {took}; {where}")


@app.command(rich_help_panel=LOOK)
def verify(
    path: Annotated[Path, typer.Argument(metavar="RUN|DATASET|ENTRY", help="A run, RUN/dataset, or a Kipoi entry.")],
) -> None:
    """Check that what is there is what was made: checksums, schemas, cross-references; one line a problem.

    Each site reads as it says, each attribution is of a known sequence, each score of an attribution. Nothing is
    changed; the exit code is 1 where there is a problem.

    Example: [bold]simbench verify runs/demo[/]
    """
    from simbench_tf.run.verify import problems

    n_problems = 0
    for problem in problems(path):
        say(problem)
        n_problems += 1
    if n_problems:
        raise typer.Exit(1)
    say(f"{path}: nothing is missing or changed")


@app.command(rich_help_panel=LOOK)
def log(run: Run) -> None:
    """Show what was done in a run: when, how long it took, how much memory, what was resumed and what was mended.

    The log itself is RUN/logs/*.jsonl, one JSON object a line.

    Example: [bold]simbench log runs/demo[/]
    """
    from simbench_tf.run.logs import read_logs

    for event in read_logs(run):
        say(f"{event.get('time')}  {_in_words(event)}")


@app.command(rich_help_panel=LOOK)
def status(run: Run) -> None:
    """Show how far each stage of a run is, what was cut off, and who is writing into it now.

    Example: [bold]simbench status runs/demo[/]
    """
    from simbench_tf.run.lock import holder_of
    from simbench_tf.run.status import state_of_run

    table, unfinished, all_done = Table("stage", "done", "seconds", box=None), [], True
    for each in state_of_run(run):
        table.add_row(each.stage, f"{each.done} of {each.wanted}", f"{each.seconds:,.0f}")
        unfinished += each.unfinished
        all_done &= each.done == each.wanted
    console.print(table)
    for line in unfinished:
        say(f"cut off: {line}")
    holder = holder_of(run)
    if holder is not None:
        say(f"being written by {holder}")
    elif not all_done:
        say(f"`simbench run {run / 'config.yaml'} --out {run}` goes on")


def _in_words(event: dict[str, Any]) -> str:
    """One event of a log as a line."""
    if event.get("event") == "begun":
        return f"$ {' '.join(map(str, event.get('command') or []))}"
    if event.get("event") == "kept":
        return f"  {event.get('stage')}: {event.get('steps')} up to date"
    files, mended = (event.get(key) or [] for key in ("files", "mended"))
    made = files[0] if len(files) == 1 else f"{len(files)} files"
    memory = f", {event['peak_memory_mb']} MB at most" if event.get("peak_memory_mb") else ""
    again = f"; made again: {', '.join(map(str, mended))}" if mended else ""
    return f"  {event.get('stage')}: {made}, {event.get('seconds')} s{memory}{again}"
