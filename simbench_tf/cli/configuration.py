"""Commands about configurations, which compute nothing: the schema for editors, and a preset written out."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from simbench_tf.cli.app import CONFIGURATION, Set, Source, TrustCode, app, console, note, say
from simbench_tf.cli.everywhere import is_quiet
from simbench_tf.cli.progress import duration
from simbench_tf.cli.trust import check_given
from simbench_tf.config import Config, config_dict, load_config
from simbench_tf.errors import InputError


@app.command(rich_help_panel=CONFIGURATION)
def show(source: Source, overrides: Set = None) -> None:
    """Print a preset or a configuration with every default written out; it can be changed and run as it is.

    Example: [bold]simbench show demo > mine.yaml[/]

    Example: [bold]simbench show five_lines:full --set training.batch_size=100[/]
    """
    from simbench_tf.config.yaml_text import format_yaml

    say(format_yaml(config_dict(load_config(source, overrides or []))).rstrip("\n"))


@app.command(rich_help_panel=CONFIGURATION)
def schema() -> None:
    """Print the JSON Schema of configuration files, by which editors check and complete them.

    Begin the file with [bold]# yaml-language-server: $schema=simbench.json[/].

    Example: [bold]simbench schema > simbench.json[/]
    """
    from simbench_tf.config.schema import json_schema

    say(json.dumps(json_schema(), indent=2))


@app.command(rich_help_panel=CONFIGURATION)
def init(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The configuration to write.")] = Path(
        "simbench.yaml"
    ),
    genome: Annotated[
        Path | None, typer.Option("--genome", metavar="FASTA", help="The genome, plain, gzip or bgzip.")
    ] = None,
    peaks: Annotated[
        list[str] | None,
        typer.Option("--peaks", metavar="TASK=FILE", help="Peaks of a task, narrowPeak or BED; again for each task."),
    ] = None,
    background: Annotated[
        list[Path] | None,
        typer.Option("--background", metavar="FILE", help="Regions that are no peak, e.g. of other samples."),
    ] = None,
    seq_length: Annotated[int, typer.Option("--seq-length", min=20, help="Bases of a sequence.")] = 400,
    n_sequences: Annotated[int, typer.Option("--n-sequences", min=100, help="Of a grammar: how many.")] = 20_000,
) -> None:
    """Write a commented configuration to begin with, from your peaks and genome; without them, from a few questions.

    Example: [bold]simbench init --out my.yaml --genome hg38.fa --peaks H1=h1.narrowPeak --background other.bed[/]

    Example: [bold]simbench init[/], which asks
    """
    from simbench_tf.simulate.new_configuration import new_configuration

    given, others = _named_files(peaks or []), list(background or [])
    if genome is None and not given:
        genome, given, others, seq_length = _asked(seq_length)
    if (genome is None) != (not given):
        raise InputError(
            "--genome" if genome is None else "--peaks", "is missing", "peaks and their genome go together"
        )
    about = new_configuration(out, genome, given, others, seq_length, n_sequences)
    say(f"{out}: {about}")
    say(f"next: `simbench check {out}`, then `simbench run {out} --out runs/{out.stem}`")


def _named_files(texts: Sequence[str]) -> dict[str, Path]:
    """Task -> file of TASK=FILE, or of FILE, whose name up to the first dot is the task's then."""
    pairs = [(text.partition("=")[0], text.partition("=")[2]) if "=" in text else ("", text) for text in texts]
    return {name or Path(file).name.split(".")[0]: Path(file) for name, file in pairs}


def _asked(seq_length: int) -> tuple[Path | None, dict[str, Path], list[Path], int]:
    """Genome, peaks, background and length, as answered on a terminal."""
    if not sys.stdin.isatty():
        raise InputError("--genome", "is missing, and there is no terminal to ask on", "add --genome and --peaks")
    note("Peaks of your own (narrowPeak or BED) and their genome, or nothing: then sequences are drawn from a grammar.")
    files = typer.prompt("Peaks, TASK=FILE, several with spaces between", default="", show_default=False, err=True)
    genome, others = None, ""
    if files.strip():
        genome = Path(typer.prompt("Genome (FASTA: plain, gzip or bgzip)", err=True))
        others = typer.prompt(
            "Regions that are no peak, e.g. of other samples; several with spaces",
            default="",
            show_default=False,
            err=True,
        )
    length = typer.prompt("Bases of a sequence", default=seq_length, type=int, err=True)
    return genome, _named_files(shlex.split(files)), [Path(each) for each in shlex.split(others)], length


@app.command(rich_help_panel=CONFIGURATION)
def check(
    source: Source,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="The folder that it is to run in; what is there counts.")
    ] = None,
    overrides: Set = None,
    trust_code: TrustCode = False,
) -> None:
    """Check all of a configuration that can be known without computing, and estimate what its run takes.

    Keys and values, the files that it names, every model against the data, every method against the models, the room
    on the disk; with --out, which results there would be lost. Models are built for it: code that they name runs.

    Example: [bold]simbench check my.yaml[/]

    Example: [bold]simbench check five_lines:full --set training.batch_size=100 --out runs/full[/]
    """
    from simbench_tf.run.folder import check_folder
    from simbench_tf.stages.checks import check_ahead
    from simbench_tf.stages.estimate import estimates
    from simbench_tf.stages.overwritten import overwritten
    from simbench_tf.stages.train import check_models

    config, folder = load_config(source, overrides or []), out or Path.cwd() / ".simbench-check"  # which is nowhere
    check_given(config, source, folder, trust_code=trust_code)
    if out is not None:
        check_folder(out)
    if config.models and not is_quiet():
        note("building the models to look at them: TensorFlow takes a while to load")
    check_ahead(config, folder)
    length = config.simulation.length
    networks = {} if length is None else check_models(config, config.replicates, length, config.tasks)
    say(_in_short(config))
    table = Table("stage", "about", "memory", "disk", box=None)
    for each in estimates(config, networks):
        table.add_row(each.stage, duration(each.seconds), f"{each.memory / 1e9:.1f} GB", f"{each.disk / 1e6:,.0f} MB")
    if table.row_count:
        console.print(table)
        say("from the beginning, on two cores; training and attributions take a small part of it on a GPU")
    for lost in overwritten(config, out) if out is not None else ():
        say(f"needs --overwrite: {lost.n_files} files of {lost.stage} are of another configuration")


def _in_short(config: Config) -> str:
    """What is computed, in a line."""
    counts: dict[str, Sequence[object]] = {
        "task": config.tasks,
        "model": config.replicates,
        "method": config.attribution.methods,
    }
    length = f" of {config.simulation.length:,} bases" if config.simulation.length else ""
    parts = [f"{len(each)} {name}{'' if len(each) == 1 else 's'}" for name, each in counts.items()]
    return f"no fault found: {config.simulation.kind}{length}, {', '.join(parts)}"
