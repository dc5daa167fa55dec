"""The command line: one thin command a stage, errors in one line, progress bars on a terminal only."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from simbench_tf.config import load_config, presets, variants_of
from simbench_tf.errors import InputError

app = typer.Typer(
    name="simbench",
    help="Which attribution method finds the motifs? Simulate DNA whose motifs are known, train, attribute, score.",
    epilog="Add --debug to any command to see where an error comes from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_console = Console()
_errors = Console(stderr=True)

Source = Annotated[
    str,
    typer.Argument(
        metavar="PRESET|CONFIG.yaml",
        help="A built-in preset or a configuration file; with :VARIANT after it, a variant, e.g. five_lines:full.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that `simbench simulate` began.")]
Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="The folder of the run; made where it is missing.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. [bold]--set training.max_batches=100[/]."),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes on this machine.")]
Dask = Annotated[str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port.")]


@app.command()
def run(
    source: Source,
    out: Out,
    set_: Set = None,
    n_workers: Workers = None,
    dask: Dask = None,
) -> None:
    """From a preset or a configuration to a scored report.

    Example: [bold]simbench run demo --out runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.workers import workers

    config = load_config(source, set_ or ())
    with workers(n_workers, dask) as map_in_order, _bars() as track:
        report = pipeline.run(config, out, map_in_order=map_in_order, track=track)
    _console.print(f"report: {report}", soft_wrap=True)


@app.command()
def simulate(
    source: Source,
    out: Out,
    set_: Set = None,
    n_workers: Workers = None,
    dask: Dask = None,
) -> None:
    """Simulate the data set alone.

    Example: [bold]simbench simulate demo --out runs/demo --set simulation.n_sequences=1000[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.workers import workers

    config = load_config(source, set_ or ())
    with workers(n_workers, dask) as map_in_order, _bars() as track:
        pipeline.begin(config, out)
        pipeline.simulate(config, out, map_in_order=map_in_order, track=track)
    _console.print(f"dataset: {out / 'dataset'}", soft_wrap=True)


@app.command()
def fit(
    source: Source,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The grammar's configuration, as grammar.yaml.")],
    set_: Set = None,
    max_sequences: Annotated[
        int, typer.Option("--max-sequences", min=100, help="Fit to so many regions at most, a random part of them.")
    ] = 20_000,
    background_order: Annotated[
        int, typer.Option("--background-order", min=0, max=5, help="Bases before it that a background base depends on.")
    ] = 3,
    n_workers: Workers = None,
    dask: Dask = None,
) -> None:
    """Fit a grammar to real peaks: a configuration that draws any number of sequences like them, with their ceiling.

    Example: [bold]simbench fit peaks.yaml --out grammar.yaml[/]
    """
    from simbench_tf.fitted import write_fitted
    from simbench_tf.workers import workers

    if out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError(out, "is the configuration to fit to", "name another file for the grammar")
    config = load_config(source, set_ or ())
    with workers(n_workers, dask) as map_in_order, _bars() as track:
        fitted = write_fitted(
            config,
            out,
            max_sequences=max_sequences,
            background_order=background_order,
            map_in_order=map_in_order,
            track=track,
        )
    _console.print(fitted.summary, markup=False, highlight=False, soft_wrap=True)
    _console.print(f"grammar: {fitted.path}", soft_wrap=True)


@app.command()
def train(run: Run) -> None:
    """Train the models of a run on its data set.

    Example: [bold]simbench train runs/demo[/]
    """
    from simbench_tf import pipeline

    with _bars() as track:
        pipeline.train(pipeline.config_of(run), run, track=track)
    _console.print(f"models: {run / 'models'}", soft_wrap=True)


@app.command()
def attribute(run: Run, n_workers: Workers = None, dask: Dask = None) -> None:
    """Explain the trained models' predictions with each method of the run.

    Example: [bold]simbench attribute runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.workers import workers

    with workers(n_workers, dask) as map_in_order, _bars() as track:
        pipeline.attribute(pipeline.config_of(run), run, map_in_order=map_in_order, track=track)
    _console.print(f"attributions: {run / 'attributions'}", soft_wrap=True)


@app.command()
def oracle(run: Run, n_workers: Workers = None, dask: Dask = None) -> None:
    """Compute the exact ceilings of a grammar's data set: how well any model or method could do.

    Example: [bold]simbench oracle runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.workers import workers

    with workers(n_workers, dask) as map_in_order, _bars() as track:
        ceilings = pipeline.oracle(pipeline.config_of(run), run, map_in_order=map_in_order, track=track)
    _console.print(f"ceilings: {ceilings}", soft_wrap=True)


@app.command()
def score(run: Run) -> None:
    """Score the attributions against the true sites.

    Example: [bold]simbench score runs/demo[/]
    """
    from simbench_tf import pipeline

    with _bars() as track:
        summary = pipeline.score(pipeline.config_of(run), run, track=track)
    _console.print(f"scores: {summary}", soft_wrap=True)


@app.command()
def report(run: Run) -> None:
    """Write the report of a scored run.

    Example: [bold]simbench report runs/demo[/]
    """
    from simbench_tf import pipeline

    _console.print(f"report: {pipeline.report(pipeline.config_of(run), run)}", soft_wrap=True)


@app.command()
def export(
    run: Run,
    model: Annotated[str | None, typer.Option("--model", help="One model of the run; by default every one.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The entry; by default RUN/kipoi/MODEL.")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store weights in half the space.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="Where the weights will lie; the entry names this and their md5.")
    ] = None,
    group: Annotated[bool, typer.Option("--group", help="One group of all models, in --out.")] = False,
) -> None:
    """Write trained models as Kipoi model-zoo entries.

    Example: [bold]simbench export runs/demo --model basset --out model_zoo/demo_basset[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.export import export_run, export_run_group

    config = pipeline.config_of(run)
    names = [model] if model is not None else [each.name for each in config.models if each.kipoi is None]
    if group:
        if out is None:
            raise InputError("--group", "needs a folder", "add --out DIR")
        entries = [export_run_group(run, names, out, float16=float16, url=url, overwrite=True)]
    elif out is not None and len(names) > 1:
        mend = "add --model NAME or --group"
        raise InputError("--out", f"is one folder, but the run has the models {', '.join(names)}", mend)
    else:
        entries = [export_run(run, name, out, float16=float16, url=url, overwrite=True) for name in names]
    for exported in entries:
        change = f", no prediction changed by more than {exported.largest_change:.2g}" if float16 else ""
        _console.print(f"entry: {exported.folder}{change}", soft_wrap=True)
        for upload in exported.uploads:
            _console.print(f"upload: {upload.path} to {upload.url}", soft_wrap=True)


@app.command()
def variants(
    entry: Annotated[
        str, typer.Argument(metavar="ENTRY", help="A Kipoi entry's folder or SOURCE/NAME, or a .keras file.")
    ],
    vcf: Annotated[Path, typer.Option("--vcf", help="Variants, plain or gzip.")],
    fasta: Annotated[Path, typer.Option("--fasta", help="The genome they refer to.")],
    out: Annotated[Path, typer.Option("--out", help="A .tsv or .vcf file.")],
    both_strands: Annotated[bool, typer.Option("--both-strands", help="Average over both strands.")] = False,
) -> None:
    """Score variants: each alternative allele against the reference.

    Example: [bold]simbench variants model_zoo/demo_basset --vcf a.vcf --fasta hg38.fa --out a.tsv[/]
    """
    from simbench_tf.variants import score_variants

    with _bars():
        scores = score_variants(entry, vcf, fasta, out, both_strands=both_strands)
    for line in scores.rejected[:20]:
        _errors.print(line, markup=False, highlight=False, soft_wrap=True)
    left_out = f", {len(scores.rejected)} rejected" if scores.rejected else ""
    _console.print(f"{out}: {scores.n_scored} alleles of {scores.n_records} records{left_out}", soft_wrap=True)


@app.command(name="presets")
def list_presets() -> None:
    """List the built-in configurations and their variants, a line each."""
    for name, path in presets().items():
        first_line = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        _console.print(f"[bold]{name}[/]  {escape(first_line)}", soft_wrap=True)
        for variant, about in variants_of(path).items():
            _console.print(f"  [bold]{name}:{variant}[/]  {escape(about)}", soft_wrap=True)


@app.command()
def methods() -> None:
    """List attribution methods with their settings and references."""
    from simbench_tf.attribution import methods as registered

    table = Table("method", "settings (default)", "references", "what it does", box=None)
    for method in registered().values():
        settings = ", ".join(f"{name}={value}" for name, value in method.settings.items()) or "-"
        table.add_row(method.name, escape(settings), escape(method.references or "-"), escape(method.description))
    _console.print(table)


@app.command()
def doctor() -> None:
    """Show versions, devices, and which optional parts work here."""
    from simbench_tf.doctor import examine

    table = Table("part", "state", box=None)
    findings = examine()
    for finding in findings:
        table.add_row(finding.part, ("" if finding.works else "[red]missing[/] ") + escape(finding.state))
    _console.print(table)
    if any(finding.needed and not finding.works for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: bad input ends with exit code 2 and one line, a fault with 1; --debug shows the traceback."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    if not debug:
        _hush_native_notes()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app(args=arguments)
    except InputError as error:
        _fail(f"error: {error}", 2, debug)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped", 130, debug)
    except Exception as error:
        _fail(f"fault: {type(error).__name__}: {' '.join(str(error).split())}; --debug shows where", 1, debug)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _errors.print(f"warning: {' '.join(str(message).split())}", markup=False, highlight=False, soft_wrap=True)


def _hush_native_notes() -> None:
    """Keep what native libraries write at start-up off the terminal; Python's own messages still get there.

    TensorFlow's advice on how to write its functions is for those who do.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        if sys.stderr.fileno() != 2:
            return
    except (AttributeError, OSError):  # stderr was replaced by something that is no file
        return
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def _fail(message: str, code: int, debug: bool) -> None:
    if debug:
        _errors.print_exception()
    _errors.print(message, markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


@contextmanager
def _bars() -> Iterator[Callable]:
    """Progress bars on a terminal; elsewhere one line a finished step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_errors, disable=not _errors.is_terminal) as progress:

        @contextmanager
        def track(description: str, total: int) -> Iterator[Callable[[int], None]]:
            task = progress.add_task(escape(description), total=total)
            yield lambda n: progress.advance(task, n)
            progress.update(task, completed=total)

        yield track


if __name__ == "__main__":
    main()
