"""The command believe: probabilities of true sites for a model of real peaks, from a twin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simbench_tf.cli.app import OF_A_RUN, Run, TrustCode, app, bars, note, say
from simbench_tf.cli.attribute import given_model
from simbench_tf.cli.trust import trusted_config
from simbench_tf.errors import InputError

_FEW = 100  # a calibration on fewer sequences is rough


@app.command(rich_help_panel=OF_A_RUN)
def believe(
    run: Run,
    model: Annotated[
        Path, typer.Option("--model", metavar="FILE", help="The model of real peaks: .keras, .h5, .onnx.")
    ],
    bed: Annotated[Path, typer.Option("--bed", metavar="FILE", help="The peaks to explain.")],
    genome: Annotated[Path, typer.Option("--genome", metavar="FASTA", help="Of --bed.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write; created where it is missing.")],
    auroc: Annotated[
        float | None,
        typer.Option(
            "--auroc",
            min=0.0,
            max=1.0,
            help="What the model reaches on held-out regions; by default that of metrics.json beside it.",
        ),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Of the run, where it has several.")] = None,
    target: Annotated[
        int | None, typer.Option("--target", min=0, help="Number of the model's output; by default the task's place.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="By this method alone: its name, or with settings, as in the tables.")
    ] = None,
    least: Annotated[float, typer.Option("--least", help="Call sites from this probability on.")] = 0.5,
    trust_code: TrustCode = False,
) -> None:
    """Say what may be believed of a model of real peaks: how likely each base and called site is a true one.

    RUN is a twin of the peaks, where the truth is known: each method's scores are calibrated there, for the model that
    is as good as yours, and read so on your peaks.

    Example: [bold]simbench believe runs/twin --model my.keras --bed peaks.bed --genome hg38.fa --out believed[/]
    """
    from simbench_tf.interchange.attribute_sequences import read_bed
    from simbench_tf.stages.belief import RealModel
    from simbench_tf.stages.belief import believe as write
    from simbench_tf.stages.model_quality import auroc_beside

    config = trusted_config(run, trust_code=trust_code)
    loaded, length = given_model(model, trust_code=trust_code)
    if length is None:
        raise InputError(model, "takes sequences of any length, so none is known", "save it with a fixed length")
    of_task = task or config.attributed_tasks[0]
    if target is None:
        target = config.tasks.index(of_task) if of_task in config.tasks else 0
    if auroc is None:
        auroc = auroc_beside(model.with_name("metrics.json"), of_task)
    real = RealModel(loaded, str(model), target, auroc)
    with bars() as track:
        peaks = read_bed(bed, genome, length)
        table = write(config, run, real, peaks, out, task=task, method=method, least=least, track=track)
    for each in table.itertuples():
        say(_line(each, least))
    if not (run / "likeness.csv").is_file():
        note(f"{run} is no twin (it has no likeness.csv): nothing says how like your peaks its sequences are")
    if config.attribution.n_sequences < _FEW:
        note(f"fitted on {config.attribution.n_sequences} sequences: more attribution.n_sequences say it more surely")
    say(f"belief: {out / 'belief.json'}")


def _line(each: object, least: float) -> str:
    """What is said of a method."""
    start = f"{each.key}: {each.n_calls} sites of probability {least:g} or more"  # type: ignore[attr-defined]
    if not each.n_calls:  # type: ignore[attr-defined]
        return start
    return f"{start}, {each.expected_precision:.0%} of them expected to be true"  # type: ignore[attr-defined]
