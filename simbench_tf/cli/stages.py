"""Commands that make data and models: run, simulate, fit, train, dynamics, twin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simbench_tf.cli.app import (
    CONFIGURATION,
    OF_A_RUN,
    Dask,
    Out,
    Overwrite,
    Run,
    Set,
    Source,
    TrustCode,
    Workers,
    app,
    bars,
    say,
)
from simbench_tf.cli.trust import check_given, trusted_config
from simbench_tf.config import MOST_STRETCHES, Config, load_config
from simbench_tf.errors import InputError
from simbench_tf.run.folder import begin, check_folder
from simbench_tf.run.lock import locked
from simbench_tf.stages.step import STAGES, check_earlier

OfModel = Annotated[
    str | None,
    typer.Option("--model", help="Of this model alone: NAME or, of one trained K times, NAME-seedK or NAME-ensemble."),
]


@app.command(rich_help_panel=OF_A_RUN)
def run(
    source: Source,
    out: Out,
    set_: Set = None,
    overwrite: Overwrite = False,
    n_workers: Workers = None,
    dask: Dask = None,
    trust_code: TrustCode = False,
) -> None:
    """Run every stage, from a preset or a configuration to the report.

    Example: [bold]simbench run demo --out runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers

    config = load_config(source, set_ or ())
    check_given(config, source, out, trust_code=trust_code)
    with workers(n_workers, dask) as map_in_order, bars(stages=_stages_of(config)) as track:
        made = pipeline.run(config, out, map_in_order=map_in_order, track=track, overwrite=overwrite)
    if made.is_dir():
        say(f"dataset: {made}")
        add = f"simbench score {out} --attributions FILE --task TASK --model-name NAME"
        say(f"no models: add attributions of any tool with `{add}`")
        return
    for line in best_methods(config, out):
        say(line)
    say(f"report: {made}")


def _stages_of(config: Config) -> list[str]:
    """The stages of a run that take time."""
    left_out = {
        "report",
        *(() if config.models else ("train",)),
        *(() if config.dynamics else ("dynamics",)),
        *(() if config.discovery else ("motifs",)),
        *(() if config.simulation.has_oracle else ("oracle",)),
    }
    return [stage for stage in STAGES if stage not in left_out]


def best_methods(config: Config, run: Path) -> list[str]:
    """Lines that say which methods, and which callers, find the motifs best, as the report does."""
    from simbench_tf.report.answers import answers
    from simbench_tf.report.caller_answers import caller_answers
    from simbench_tf.report.text import method_labels
    from simbench_tf.run.results import read_results

    results = read_results(config, run, sequences=False)
    labels = method_labels(results.summary)
    found = answers(results.per_sequence, labels, results.metrics, results.nulls, results.apart)
    callers = caller_answers(results.instances, results.found_motifs, labels, results.metrics)
    return [*(f"{each.sentence} {each.remark}".strip() for each in found), *(each.sentence for each in callers)]


@app.command(rich_help_panel=OF_A_RUN)
def simulate(
    source: Source,
    out: Out,
    set_: Set = None,
    overwrite: Overwrite = False,
    n_workers: Workers = None,
    dask: Dask = None,
    trust_code: TrustCode = False,
) -> None:
    """Simulate the data set only.

    Example: [bold]simbench simulate demo --out runs/demo --set simulation.n_sequences=1000[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers
    from simbench_tf.stages.overwritten import check_overwrites
    from simbench_tf.stages.room import check_room
    from simbench_tf.stages.simulate import PART_SEQUENCES

    config = load_config(source, set_ or ())
    check_given(config, source, out, trust_code=trust_code)
    with workers(n_workers, dask) as map_in_order, bars() as track:
        check_folder(out)
        if not overwrite:
            check_overwrites(config, out)
        check_room(config, out, PART_SEQUENCES)
        with locked(out):
            begin(config, out)
            pipeline.simulate(config, out, map_in_order=map_in_order, track=track)
    say(f"dataset: {out / 'dataset'}")


@app.command(rich_help_panel=CONFIGURATION)
def fit(
    source: Source,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Where to write the grammar's configuration, e.g. grammar.yaml."),
    ],
    set_: Set = None,
    max_sequences: Annotated[
        int, typer.Option("--max-sequences", min=100, help="Fit to at most this many regions, chosen at random.")
    ] = 20_000,
    background_order: Annotated[
        int,
        typer.Option("--background-order", min=0, max=5, help="How many preceding bases a background base depends on."),
    ] = 3,
    classes: Annotated[
        int, typer.Option("--classes", min=1, max=20, help="Kinds of regions by composition, at most; twins have 4.")
    ] = 1,
    stretches: Annotated[
        int,
        typer.Option(
            "--stretches",
            min=1,
            max=MOST_STRETCHES,
            help="Kinds of stretches along regions of each class; twins have 4.",
        ),
    ] = 1,
    refit_motifs: Annotated[
        bool, typer.Option("--refit-motifs", help="Estimate the motifs' PPMs, too; written beside FILE, as .meme.")
    ] = False,
    n_pairs: Annotated[
        int, typer.Option("--pairs", min=0, help="Pairs of motifs that stand at a gap more often than chance, at most.")
    ] = 0,
    n_workers: Workers = None,
    dask: Dask = None,
) -> None:
    """Fit a grammar to real peaks: a configuration that draws any number of similar sequences, with exact ceilings.

    Example: [bold]simbench fit peaks.yaml --out grammar.yaml[/]
    """
    from simbench_tf.parallel import workers
    from simbench_tf.simulate.fit import write_fitted

    if out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError(out, "is the configuration to fit to", "name another file for the grammar")
    config = load_config(source, set_ or ())
    with workers(n_workers, dask) as map_in_order, bars() as track:
        fitted = write_fitted(
            config,
            out,
            max_sequences=max_sequences,
            background_order=background_order,
            n_classes=classes,
            n_stretches=stretches,
            refit_motifs=refit_motifs,
            n_pairs=n_pairs,
            map_in_order=map_in_order,
            track=track,
        )
    say(fitted.summary)
    say(f"grammar: {fitted.path}")


@app.command(rich_help_panel=OF_A_RUN)
def train(run: Run, model: OfModel = None, trust_code: TrustCode = False) -> None:
    """Train the models of a run on its data set, on all GPUs; after an interruption the same command resumes.

    On several hosts that share the run's folder: the same command on each, with TF_CONFIG naming the hosts. With
    --model, jobs for other models can run beside (`simbench jobs`).

    Example: [bold]simbench train runs/demo[/]

    Example: [bold]simbench train runs/demo --model basset[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.run.jobs import Job, parts_of_job

    config, job = trusted_config(run, trust_code=trust_code), Job(model)
    with locked(run, parts_of_job(config, run, "train", job)), bars() as track:
        check_earlier(run, "train")
        pipeline.train(config, run, track=track, job=job)
    say(f"models: {run / 'models'}")


@app.command(rich_help_panel=OF_A_RUN)
def dynamics(run: Run, n_workers: Workers = None, dask: Dask = None, trust_code: TrustCode = False) -> None:
    """Find which motifs each model had learnt after which batch, for a run whose configuration has `dynamics`.

    Example: [bold]simbench run demo --out runs/demo --set dynamics={}[/], then [bold]simbench dynamics runs/demo[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers

    config = trusted_config(run, trust_code=trust_code)
    with locked(run), workers(n_workers, dask) as map_in_order, bars() as track:
        check_earlier(run, "dynamics")
        target = pipeline.dynamics(config, run, map_in_order=map_in_order, track=track)
    say(f"dynamics: {target}")


@app.command(rich_help_panel=CONFIGURATION)
def twin(
    source: Source,
    out: Out,
    set_: Set = None,
    n_sequences: Annotated[int, typer.Option("--n-sequences", min=100, help="Sequences to draw.")] = 20_000,
    overwrite: Overwrite = False,
    n_workers: Workers = None,
    dask: Dask = None,
    trust_code: TrustCode = False,
) -> None:
    """Run every stage on a twin of real peaks: sequences like them, whose true sites are known.

    A grammar is fitted to the regions of the train and valid splits; likeness.csv says how like those of the test split
    its draws are. Models, methods and scoring are those of the peaks' own configuration.

    Example: [bold]simbench twin peaks.yaml --out runs/twin[/]
    """
    from simbench_tf import pipeline
    from simbench_tf.parallel import workers
    from simbench_tf.stages.twin import twin as make_twin

    config = load_config(source, set_ or ())
    check_given(config, source, out, trust_code=trust_code)
    with workers(n_workers, dask) as map_in_order, bars(stages=_stages_of(config)) as track:
        drawn = make_twin(config, out, n_sequences, map_in_order=map_in_order, track=track)
        made = pipeline.run(drawn, out, map_in_order=map_in_order, track=track, overwrite=overwrite)
    say(f"likeness: {out / 'likeness.csv'}")
    say(f"report: {made}")
