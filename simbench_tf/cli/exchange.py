"""Commands that export and import: export, export-data, export-attributions, export-results, variants, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import DownloadColumn

from simbench_tf.cli.app import EXCHANGE, Run, TrustCode, app, bars, note, one_of, say
from simbench_tf.cli.trust import trusted_config
from simbench_tf.errors import InputError
from simbench_tf.run.folder import config_of, is_run
from simbench_tf.stages.step import check_earlier

# names, since the help must not wait for the modules that have them; a test holds them to theirs
DATA_FORMATS = ("fasta", "paper", "anndata", "tfrecord", "all")
ATTRIBUTION_FORMATS = ("npz", "chrombpnet", "bigwig", "igv")
RESULT_FORMATS = ("multiqc",)
DATA_FOLDER = Path("data")
PLACES = ("kipoi", "huggingface", "zenodo")
PERSON = "'NAME @GITHUB ORCID'"


@app.command(rich_help_panel=EXCHANGE)
def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN|ENTRY", help="A run; with --check an entry, or a run with entries.")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", **one_of(*PLACES), help="A Kipoi entry; or a folder for the Hugging Face hub, or for Zenodo."
        ),
    ] = PLACES[0],
    model: Annotated[str | None, typer.Option("--model", help="One model of the run; by default every one.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder; by default RUN/kipoi/MODEL and the like.")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store weights in half the space.")] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Web folder where weights and examples will be stored; the entry holds addresses and md5."
        ),
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            "--author",
            metavar=PERSON,
            help="An author of the model, with GitHub name and ORCID if you like; give it again for each.",
        ),
    ] = None,
    contributor: Annotated[
        list[str] | None,
        typer.Option("--contributor", metavar=PERSON, help="Who made the entry and answers for it; again for each."),
    ] = None,
    doi: Annotated[
        str | None, typer.Option("--doi", help="Under which the model is cited: of its paper, or its Zenodo record.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="SPDX name of the model's licence; by default MIT.")
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="Of what is shared; by default 0.1.")] = None,
    group: Annotated[bool, typer.Option("--group", help="Write one Kipoi group of all models, in --out.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing: list what the zoo's maintainers would object to in an entry."),
    ] = False,
    trust_code: TrustCode = False,
) -> None:
    """Write trained models as folders to share: Kipoi entries, or for Hugging Face or Zenodo; or check an entry.

    Example: [bold]simbench export runs/demo --model basset --to huggingface --author 'Lovelace, Ada @ada'[/]

    Example: [bold]simbench export --check runs/demo/kipoi/basset[/]
    """
    if check:
        _check_entries(run)
        return
    from simbench_tf.export import export_run_group
    from simbench_tf.export.people import read_person
    from simbench_tf.stages.export import exporter, write

    config = trusted_config(run, trust_code=trust_code)
    check_earlier(run, "dynamics")
    given: dict[str, Any] = {"doi": doi, "license": license_, "version": version}
    people = {"authors": author, "contributors": contributor}
    given |= {who: [read_person(each) for each in named or ()] for who, named in people.items()}
    options: dict[str, Any] = {"float16": float16} | {name: value for name, value in given.items() if value}
    if to == "kipoi":
        options["url"] = url
    elif url is not None or group:
        raise InputError("--url" if url is not None else "--group", "is of Kipoi entries", "add --to kipoi")
    names = [model] if model is not None else [each.name for each in config.replicates if each.is_trained]
    if group:
        if out is None:
            raise InputError("--group", "needs a folder", "add --out DIR")
        entries = [export_run_group(run, names, out, overwrite=True, **options)]
    elif out is not None and len(names) > 1:
        mend = "add --model NAME or --group"
        raise InputError("--out", f"is one folder, but the run has the models {', '.join(names)}", mend)
    elif out is not None:
        entries = [exporter(to)(run, name, out, overwrite=True, **options) for name in names]
    else:
        entries = write(run, names, to=to, again=True, **options)
    for exported in entries:
        change = f", no prediction changed by more than {exported.largest_change:.2g}" if float16 else ""
        say(f"{'entry' if to == 'kipoi' else 'folder'}: {exported.folder}{change}")
        for upload in exported.uploads:
            say(f"upload: {upload.path} to {upload.url}")


def _check_entries(path: Path) -> None:
    """Say what a maintainer would object to, a line each; exit code 1 where something must be mended."""
    from simbench_tf.export.review import objections

    entries = sorted(each for each in path.glob("kipoi/*") if each.is_dir()) if is_run(path) else [path]
    if not entries:
        raise InputError(path, "has no Kipoi entries", "write them with `simbench export RUN`")
    must = False
    for entry in entries:
        found = objections(entry)
        for each in found:
            say(f"{'must be mended' if each.must else 'may be asked for'}: {each.text}")
        must = must or any(each.must for each in found)
        if not found:
            say(f"{entry}: a maintainer has nothing to object to")
    if must:
        raise typer.Exit(1)


@app.command(name="export-data", rich_help_panel=EXCHANGE)
def export_data(
    run: Run,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The output folder; created where it is missing.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            **one_of(*DATA_FORMATS),
            help="FASTA, BED and TSV; the three-column text of the paper's own code; AnnData as CREsted reads it; "
            "TFRecord; or all that is text.",
        ),
    ] = DATA_FORMATS[0],
    compress: Annotated[bool, typer.Option("--gzip", help="Compress the files.")] = False,
    explained: Annotated[
        bool, typer.Option("--explained", help="Add explained.tsv: the sequences that the run attributes, by task.")
    ] = False,
) -> None:
    """Write the data set of a run as files that other tools read.

    Example: [bold]simbench export-data runs/demo --out demo_data --format all[/]
    """
    from simbench_tf import interchange

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
            **one_of(*ATTRIBUTION_FORMATS),
            help="Arrays for tfmodisco-lite; ChromBPNet's HDF5; scores along the genome (peaks data); or these with "
            "an IGV session.",
        ),
    ] = ATTRIBUTION_FORMATS[0],
) -> None:
    """Write the attributions of a run as files that other tools read.

    Example: [bold]simbench export-attributions runs/demo --out demo_attributions[/], then
    [bold]modisco motifs -s demo_attributions/K562/ohe.npz -a demo_attributions/K562/MODEL/KEY.npz[/]
    """
    from simbench_tf import interchange

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
        typer.Option("--format", **one_of(*RESULT_FORMATS), help="Custom content that MultiQC finds and shows."),
    ] = RESULT_FORMATS[0],
) -> None:
    """Write the ranking, the scores and the models' quality as files that other tools read.

    Example: [bold]simbench export-results runs/demo --out qc[/], then [bold]multiqc qc[/]
    """
    from simbench_tf import interchange

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
