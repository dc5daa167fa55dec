"""Commands that export and import: export, export-data, export-attributions, export-results, variants, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn

from simbench_tf import interchange
from simbench_tf.cli.app import EXCHANGE, Run, TrustCode, app, bars, note, one_of, say
from simbench_tf.cli.trust import trusted_config
from simbench_tf.errors import InputError
from simbench_tf.genome.sources import DATA_FOLDER
from simbench_tf.interchange.export_attributions import WRITERS as ATTRIBUTION_WRITERS
from simbench_tf.interchange.export_data import ALL
from simbench_tf.interchange.export_data import WRITERS as DATA_WRITERS
from simbench_tf.interchange.export_results import WRITERS as RESULT_WRITERS
from simbench_tf.run.folder import config_of
from simbench_tf.stages.step import check_earlier


@app.command(rich_help_panel=EXCHANGE)
def export(
    run: Run,
    model: Annotated[str | None, typer.Option("--model", help="One model of the run; by default every one.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The entry's folder; by default RUN/kipoi/MODEL.")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store weights in half the space.")] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Web folder where weights and examples will be stored; the entry holds addresses and md5."
        ),
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option("--author", help="An author of the model; give it again for each.")
    ] = None,
    group: Annotated[bool, typer.Option("--group", help="Write one group of all models, in --out.")] = False,
    trust_code: TrustCode = False,
) -> None:
    """Write trained models as Kipoi model-zoo entries.

    Example: [bold]simbench export runs/demo --model basset --out demo_basset[/]
    """
    from simbench_tf.export import export_run, export_run_group
    from simbench_tf.stages.export import write

    config = trusted_config(run, trust_code=trust_code)
    check_earlier(run, "dynamics")
    options: dict[str, Any] = {"float16": float16, "url": url} | ({"authors": author} if author else {})
    names = [model] if model is not None else [each.name for each in config.replicates if each.model.is_trained]
    if group:
        if out is None:
            raise InputError("--group", "needs a folder", "add --out DIR")
        entries = [export_run_group(run, names, out, overwrite=True, **options)]
    elif out is not None and len(names) > 1:
        mend = "add --model NAME or --group"
        raise InputError("--out", f"is one folder, but the run has the models {', '.join(names)}", mend)
    elif out is not None:
        entries = [export_run(run, name, out, overwrite=True, **options) for name in names]
    else:
        entries = write(run, names, again=True, **options)
    for exported in entries:
        change = f", no prediction changed by more than {exported.largest_change:.2g}" if float16 else ""
        say(f"entry: {exported.folder}{change}")
        for upload in exported.uploads:
            say(f"upload: {upload.path} to {upload.url}")


@app.command(name="export-data", rich_help_panel=EXCHANGE)
def export_data(
    run: Run,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The output folder; created where it is missing.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            **one_of(*DATA_WRITERS, ALL),
            help="FASTA, BED and TSV; the three-column text of the paper's own code; AnnData as CREsted reads it; "
            "TFRecord; or all that is text.",
        ),
    ] = next(iter(DATA_WRITERS)),
    compress: Annotated[bool, typer.Option("--gzip", help="Compress the files.")] = False,
    explained: Annotated[
        bool, typer.Option("--explained", help="Add explained.tsv: the sequences that the run attributes, by task.")
    ] = False,
) -> None:
    """Write the data set of a run as files that other tools read.

    Example: [bold]simbench export-data runs/demo --out demo_data --format all[/]
    """
    with bars() as track:
        chosen = config_of(run) if explained else None
        files = interchange.export_data(run, out, format_, compress=compress, explained=chosen, track=track)
    for file in files:
        say(file)


@app.command(name="export-attributions", rich_help_panel=EXCHANGE)
def export_attributions(
    run: Run,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The output folder; created where it is missing.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            **one_of(*ATTRIBUTION_WRITERS),
            help="Arrays for tfmodisco-lite; ChromBPNet's HDF5; scores along the genome (peaks data); or these with "
            "an IGV session.",
        ),
    ] = next(iter(ATTRIBUTION_WRITERS)),
) -> None:
    """Write the attributions of a run as files that other tools read.

    Example: [bold]simbench export-attributions runs/demo --out demo_attributions[/], then
    [bold]modisco motifs -s demo_attributions/K562/ohe.npz -a demo_attributions/K562/MODEL/KEY.npz[/]
    """
    check_earlier(run, "oracle")
    with bars() as track:
        files = interchange.export_attributions(config_of(run), run, out, format_, track=track)
    for file in files:
        say(file)


@app.command(name="export-results", rich_help_panel=EXCHANGE)
def export_results(
    run: Run,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The output folder; created where it is missing.")],
    format_: Annotated[
        str,
        typer.Option("--format", **one_of(*RESULT_WRITERS), help="Custom content that MultiQC finds and shows."),
    ] = next(iter(RESULT_WRITERS)),
) -> None:
    """Write the ranking, the scores and the models' quality as files that other tools read.

    Example: [bold]simbench export-results runs/demo --out qc[/], then [bold]multiqc qc[/]
    """
    for file in interchange.export_results(config_of(run), run, out, format_):
        say(file)


@app.command(rich_help_panel=EXCHANGE)
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

    Example: [bold]simbench variants model_zoo/five_lines_basset --vcf a.vcf --fasta hg38.fa --out a.tsv[/]
    """
    from simbench_tf.variants import score_variants

    with bars():
        scores = score_variants(entry, vcf, fasta, out, both_strands=both_strands)
    for line in scores.rejected[:20]:
        note(line)
    left_out = f", {len(scores.rejected)} rejected" if scores.rejected else ""
    say(f"{out}: {scores.n_scored} alleles of {scores.n_records} records{left_out}")


@app.command(rich_help_panel=EXCHANGE)
def fetch(
    what: Annotated[
        str, typer.Argument(metavar="hg38|hg19|encode-five", help="A genome, or hg19 with five lines' peaks.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FOLDER", help="The presets expect the folder data in the working directory."),
    ] = DATA_FOLDER,
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror", metavar="URL", envvar="SIMBENCH_MIRROR", help="A server with the same paths as UCSC's."
        ),
    ] = None,
) -> None:
    """Download a genome, or the genome and DNase peaks of the presets encode_five and encode_a549.

    An interrupted download is resumed.

    Example: [bold]simbench fetch encode-five[/]
    """
    from simbench_tf.genome.public_data import fetch_public as fetch_files

    with bars(DownloadColumn()) as track:
        for path, state in fetch_files(what, out, mirror=mirror, track=track):
            say(f"{path}: {state}")
