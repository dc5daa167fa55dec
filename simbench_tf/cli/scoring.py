"""Commands that say how good attributions are: oracle, score, motifs, report, jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simbench_tf.cli.app import (
    OF_A_RUN,
    Dask,
    Run,
    TrustCode,
    Workers,
    app,
    bars,
    one_of,
    say,
)
from simbench_tf.cli.trust import trusted_config
from simbench_tf.errors import InputError
from simbench_tf.run.folder import config_of
from simbench_tf.run.lock import locked
from simbench_tf.stages.step import check_earlier

#: Stages that can be done in jobs.
IN_JOBS = ("train", "attribute")


@app.command(rich_help_panel=OF_A_RUN)
def oracle(run: Run, n_workers: Workers = None, dask: Dask = None) -> None:
    """Compute the ceilings of a grammar's data set: what its exact posterior reaches, as model and as method.

    For labels, and for true bases pooled over sequences, no model or method can be better in expectation. For the mean
    over sequences of each one's score it is the best known.

    Example: [bold]simbench oracle runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers

    config = config_of(run)
    with locked(run), workers(n_workers, dask) as map_in_order, bars() as track:
        check_earlier(run, "oracle")
        ceilings = pipeline.oracle(config, run, map_in_order=map_in_order, track=track)
    say(f"ceilings: {ceilings}")


@app.command(rich_help_panel=OF_A_RUN)
def score(
    run: Run,
    attributions: Annotated[
        Path | None,
        typer.Option(
            "--attributions",
            metavar="FILE",
            help="Attributions of its sequences by any other tool: .npz, .npy, .h5, .hdf5, .bw, .bigwig, .bigWig.",
        ),
    ] = None,
    motifs: Annotated[
        Path | None,
        typer.Option(
            "--motifs",
            metavar="FILE",
            help="Motifs or instances found by any caller: modisco's .h5, Fi-NeMo's hits.tsv, BED, MEME.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Their name in the tables; by default the file's name.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model that was explained, where there are several.")
    ] = None,
    model_name: Annotated[
        str | None, typer.Option("--model-name", help="The explained model's name, in a run without models.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="That model's probabilities for the test split, to say how good it is: an array or a table.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="The task that was explained, where there are several.")
    ] = None,
    references: Annotated[str, typer.Option("--references", help="Its references, for the report.")] = "-",
    seq_ids: Annotated[
        Path | None,
        typer.Option("--seq-ids", metavar="FILE", help="The rows' seq_id, one per line; or a BED file. Plain or gzip."),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option("--window", help="With --motifs: the central bases that the caller's positions count from."),
    ] = None,
    overlap: Annotated[
        float, typer.Option("--overlap", help="With --motifs: bases in common, as a share of the longer of the two.")
    ] = 0.5,
    subpatterns: Annotated[
        bool, typer.Option("--subpatterns", help="With --motifs: modisco's sub-patterns in place of their patterns.")
    ] = False,
    n_workers: Workers = None,
    dask: Dask = None,
    trust_code: TrustCode = False,
) -> None:
    """Score the attributions against the true sites; with --attributions, also those of another tool.

    Such a file has an array scores (N, L), contributions or hypothetical (N, L, 4), or arr_0; and seq_id (or ids, or
    names), unless its rows are the explained sequences in order. It is imported to
    RUN/attributions/others/MODEL/TASK/NAME.h5 and stays part of the run.

    A file of predictions has a column for each task, or an array predictions (N, T); and seq_id, unless its rows are
    the test split in order.

    With --motifs nothing but that file is scored, unless --attributions or --predictions are given, too: called
    instances into RUN/scores/instances.csv, motifs into RUN/scores/motifs.csv.

    Example: [bold]simbench score runs/demo[/]

    Example: [bold]simbench score runs/demo --attributions captum.npz --task K562[/]

    Example: [bold]simbench score runs/demo --motifs modisco.h5 --model basset --task K562[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.interchange.import_attributions import take_attributions
    from simbench_tf.interchange.import_predictions import take_predictions
    from simbench_tf.parallel import workers

    config = trusted_config(run, trust_code=trust_code)
    of_a_file = name or model or task or seq_ids or (model_name and predictions is None)
    if attributions is None and motifs is None and of_a_file:
        raise InputError("--attributions", "is needed with the other options", "add --attributions FILE")
    if attributions is not None and motifs is not None and (name or seq_ids):
        what = "cannot be given with --name or --seq-ids where there is --attributions, too"
        raise InputError("--motifs", what, "score one file at a time")
    if motifs is not None:
        from simbench_tf.stages.found_motifs import score_found

        with locked(run), bars():
            check_earlier(run, "score")
            tables = score_found(
                config,
                run,
                motifs,
                name=name,
                model=model,
                model_name=model_name,
                task=task,
                seq_ids=seq_ids,
                window=window,
                overlap=overlap,
                subpatterns=subpatterns,
            )
        for table in tables:
            say(f"scored: {table}")
        if attributions is None and predictions is None:
            return
    if predictions is not None:
        say(f"taken: {take_predictions(config, run, predictions, model_name=model_name)}")
    if attributions is not None:
        taken = take_attributions(
            config,
            run,
            attributions,
            name=name,
            model=model,
            model_name=model_name,
            task=task,
            references=references,
            seq_ids=seq_ids,
        )
        say(f"taken: {taken.path}")
    with locked(run), workers(n_workers, dask) as map_in_order, bars() as track:
        check_earlier(run, "score")
        summary = pipeline.score(config, run, track, map_in_order)
    say(f"scores: {summary}")


@app.command(rich_help_panel=OF_A_RUN)
def motifs(run: Run, n_workers: Workers = None, dask: Dask = None, trust_code: TrustCode = False) -> None:
    """Call motifs in the attributions, for a run whose configuration has `discovery`, and score the calls.

    Calls are written to RUN/motifs/MODEL/TASK/KEY/CALLER (BED, MEME), their scores to RUN/scores/instances.csv and
    motifs.csv.

    Example: [bold]simbench run demo --out runs/demo --set discovery={}[/], then [bold]simbench motifs runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers

    config = trusted_config(run, trust_code=trust_code)
    with locked(run), workers(n_workers, dask) as map_in_order, bars() as track:
        check_earlier(run, "motifs")
        instances = pipeline.motifs(config, run, map_in_order=map_in_order, track=track)
    say(f"instances: {instances}")


@app.command(rich_help_panel=OF_A_RUN)
def report(run: Run) -> None:
    """Write the report of a scored run.

    Example: [bold]simbench report runs/demo[/]
    """
    from simbench_tf import pipeline

    config = config_of(run)
    with locked(run):
        check_earlier(run, "report")
        say(f"report: {pipeline.report(config, run)}")


@app.command(rich_help_panel=OF_A_RUN)
def jobs(
    run: Run, stage: Annotated[str, typer.Argument(help="Which stage is to be done.", **one_of(*IN_JOBS))]
) -> None:
    """List the commands that together do a stage, a line each, so that a scheduler can spread them over machines.

    They can run in any order and side by side, in one folder that all see. What is done is skipped, and
    `simbench run RUN/config.yaml --out RUN` does the rest.

    Example: [bold]simbench jobs runs/demo train > train.txt[/], then in an array of as many jobs
    [bold]bash -c "$(sed -n "${SLURM_ARRAY_TASK_ID}p" train.txt)"[/]
    """
    from simbench_tf.run.jobs import job_commands

    for line in job_commands(config_of(run), run, stage):
        say(line)
