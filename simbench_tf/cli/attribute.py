"""The command attribute: of a run, or of any FASTA or BED with a genome by any model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from simbench_tf.cli.app import OF_A_RUN, Dask, TrustCode, Workers, app, bars, one_of, say
from simbench_tf.cli.trust import trusted_config
from simbench_tf.errors import InputError
from simbench_tf.run.lock import locked
from simbench_tf.stages.step import check_earlier

_OF_FILES = "Files without a run"


@app.command(rich_help_panel=OF_A_RUN)
def attribute(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="The folder of a run; none with --fasta or --bed.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Of this model alone; with --fasta or --bed, a model's file: .keras, .h5, .onnx."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Of this task alone.")] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="By this method alone: its name, or with settings, as in the tables.")
    ] = None,
    n_workers: Workers = None,
    dask: Dask = None,
    trust_code: TrustCode = False,
    fasta: Annotated[
        Path | None,
        typer.Option("--fasta", metavar="FILE", help="Sequences of one length.", rich_help_panel=_OF_FILES),
    ] = None,
    bed: Annotated[
        Path | None,
        typer.Option("--bed", metavar="FILE", help="Peaks, with --genome.", rich_help_panel=_OF_FILES),
    ] = None,
    genome: Annotated[
        Path | None, typer.Option("--genome", metavar="FASTA", help="Of --bed.", rich_help_panel=_OF_FILES)
    ] = None,
    target: Annotated[
        int, typer.Option("--target", min=0, help="Number of the model's output.", rich_help_panel=_OF_FILES)
    ] = 0,
    references: Annotated[
        str | None,
        typer.Option("--references", help="zeros, frequency or shuffle:N.", rich_help_panel=_OF_FILES),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the method, as n_steps=50.", rich_help_panel=_OF_FILES
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", **one_of("logit", "probability"), help="What is explained.", rich_help_panel=_OF_FILES
        ),
    ] = "logit",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help=".npz, or .bw of places in a genome.", rich_help_panel=_OF_FILES),
    ] = None,
) -> None:
    """Compute attributions: of a run's models by each of its methods, or of any sequences by any model.

    With --model, --task or --method of a run, jobs for others can run beside (`simbench jobs`).

    Example: [bold]simbench attribute runs/demo[/]

    Example: [bold]simbench attribute runs/demo --model basset --task K562 --method ism[/]

    Example: [bold]simbench attribute --fasta peaks.fa --model my.keras --method grad_x_input --out peaks.npz[/]

    Example: [bold]simbench attribute --bed peaks.bed --genome hg38.fa --model my.keras --method ism --out ism.bw[/]
    """
    of_files = {"--fasta": fasta, "--bed": bed}
    given = [name for name, value in of_files.items() if value is not None]
    if run is not None:
        if given:
            raise InputError(given[0], "is for sequences without a run, and a run is given", "leave one of them out")
        _of_run(run, model, task, method, n_workers, dask, trust_code=trust_code)
        return
    if len(given) != 1:
        raise InputError("attribute", "needs a run, or one of --fasta and --bed", "see `simbench attribute --help`")
    for name, value in (("--model", model), ("--method", method), ("--out", out)):
        if value is None:
            raise InputError(name, f"is missing, and {given[0]} needs it", "see `simbench attribute --help`")
    if bed is not None and genome is None:
        raise InputError("--genome", "is missing, and --bed needs it", "give the FASTA that the peaks are of")
    _of_file(
        fasta, bed, genome, str(model), str(method), Path(str(out)),
        trust_code=trust_code, target=target, references=references, output=output, settings=_settings(set_ or ()),
    )  # fmt: skip


def _of_run(
    run: Path,
    model: str | None,
    task: str | None,
    method: str | None,
    n_workers: int | None,
    dask: str | None,
    *,
    trust_code: bool,
) -> None:
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers
    from simbench_tf.run.jobs import Job, parts_of_job

    config, job = trusted_config(run, trust_code=trust_code), Job(model, task, method)
    parts = parts_of_job(config, run, "attribute", job)
    with locked(run, parts), workers(n_workers, dask) as map_in_order, bars() as track:
        check_earlier(run, "attribute")
        pipeline.attribute(config, run, map_in_order=map_in_order, track=track, job=job)
    say(f"attributions: {run / 'attributions'}")


def _of_file(
    fasta: Path | None,
    bed: Path | None,
    genome: Path | None,
    model: str,
    method: str,
    out: Path,
    *,
    trust_code: bool,
    **how: Any,
) -> None:
    from simbench_tf.interchange.attribute_sequences import attribute_sequences, read_bed, read_fasta

    loaded, length = given_model(Path(model), trust_code=trust_code)
    if fasta is not None:
        sequences = read_fasta(fasta, length)
    else:
        assert bed is not None
        assert genome is not None
        if length is None:
            raise InputError(model, "takes sequences of any length, so none is known for --bed", "give --fasta")
        sequences = read_bed(bed, genome, length)
    with bars() as track:
        attribute_sequences(loaded, sequences, method, out, track=track, **how)
    say(f"attributions of {len(sequences.seq_ids):,} sequences: {out}")


def given_model(path: Path, *, trust_code: bool) -> tuple[Any, int | None]:
    """Load a model of any form as one over (N, L, 4), and L; code that comes with it only where it is trusted."""
    from simbench_tf.attribution import load_onnx
    from simbench_tf.attribution.model_forms import plain_model
    from simbench_tf.models.custom import FUNCTION_FILE, load_trained
    from simbench_tf.models.model_files import load_model_file

    if path.suffix == ".onnx":
        predict = load_onnx(path)
        return predict, predict.seq_length
    built_by = path.with_name(FUNCTION_FILE)
    code = path if path.is_dir() else built_by if built_by.is_file() else None
    if code is not None and not trust_code:
        what = "is a SavedModel, a program" if path.is_dir() else "names a Python function that built the model"
        raise InputError(code, f"{what}, and would be executed", "look at it, then add --trust-code")
    model = plain_model(load_trained(path) if built_by.is_file() else load_model_file(path))
    return model, model.input_shape[1]


def _settings(texts: list[str] | tuple[()]) -> dict[str, Any]:
    import yaml

    settings = {}
    for text in texts:
        key, is_pair, value = text.partition("=")
        if not is_pair or not key.isidentifier():
            raise InputError("--set", f"{text!r} is no KEY=VALUE", "write e.g. --set n_steps=50")
        settings[key] = yaml.safe_load(value)
    return settings
