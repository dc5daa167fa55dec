"""Export of a data set: FASTA, BED and TSV, the three-column text of the paper's own code, AnnData, TFRecord.

Text is UTF-8 with one kind of line end; the same run gives the same bytes, compressed or not.
"""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.config.yaml_text import format_yaml
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.dataset.files import part_path, read_loci, read_table
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.interchange.anndata_file import write_anndata
from simbench_tf.interchange.tfrecord import write_tfrecord
from simbench_tf.parallel import Track, silent
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.simulate.text import HEADER, Site, site_text

Advance = Callable[[int], None]


def export_data(
    run: Path,
    out: Path,
    format_: str = "fasta",
    *,
    compress: bool = False,
    explained: Config | None = None,
    track: Track = silent,
) -> list[Path]:
    """Write the data set of a run as files that other tools read, one part in memory at a time.

    ``fasta``: SPLIT.fa; labels.tsv (seq_id, split, one column per task); sites.bed (chrom is the seq_id) and, where the
    sequences have loci in a genome, sites_genome.bed. Column 5 of both is ``-10 log10 p``, from 0 to 1000 as BED
    requires; the exact numbers follow from column 7 on, and line 1 names the columns. ``paper``: TASK.positives.txt and
    TASK.negatives.txt, the three-column text of Prakash, Shrikumar and Kundaje's own code, with every site of a
    sequence, and paper.yaml, a configuration that reads them. ``anndata``: dataset.h5ad and genome.fa, for CREsted
    (`anndata_file.write_anndata`). ``tfrecord``: SPLIT.tfrecord and features.json (`tfrecord.write_tfrecord`).
    motifs.meme is always written.

    Parameters
    ----------
    run : path
        RUN, with a finished data set.
    out : path
        A folder, made where missing.
    format_ : {"fasta", "paper", "anndata", "tfrecord", "all"}
        A key of `WRITERS`, or all that is text (`TEXTS`).
    compress : bool
        Gzip all but motifs.meme, paper.yaml, features.json and AnnData's files, and add .gz to their names.
    explained : Config, optional
        The run's configuration: write explained.tsv, too, the sequences that the run attributes, in the order of its
        attribution files. Columns task, seq_id and row, the number of the sequence in SPLIT.fa, from 0.
    track : callable, optional
        ``track(description, total)`` is a context manager that yields ``advance(n)``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        There is no data set, a file cannot be written, a motif's name has a comma, which the text cannot hold, or
        anndata is not installed where it is needed.

    Examples
    --------
    >>> import tempfile
    >>> from simbench_tf import pipeline
    >>> from simbench_tf.config import load_config
    >>> folder = Path(tempfile.mkdtemp())
    >>> pipeline.simulate(load_config("demo", ["simulation.n_sequences=50"]), folder / "run")
    >>> [file.name for file in export_data(folder / "run", folder / "data")]
    ['train.fa', 'valid.fa', 'test.fa', 'labels.tsv', 'sites.bed', 'motifs.meme']
    """
    dataset = open_dataset(run / "dataset")
    suffix = ".gz" if compress else ""
    files = []
    chosen = TEXTS if format_ == ALL else (format_,)
    with track("export", len(dataset.parts) * len(chosen)) as advance:
        for name in chosen:
            files += WRITERS[name](dataset, out, suffix, advance)
    if explained is not None:
        files.append(_write_explained(dataset, explained, out / f"explained.tsv{suffix}"))
    with whole_file(out / "motifs.meme") as partial:
        shutil.copyfile(dataset.path / "motifs.meme", partial)
    return [*files, out / "motifs.meme"]


def write_fasta(dataset: Dataset, out: Path, suffix: str, advance: Advance) -> list[Path]:
    """SPLIT.fa, labels.tsv, sites.bed and, with a genome, sites_genome.bed; advances by one for each part."""
    return [*_write_sequences(dataset, out, suffix, advance), *_write_sites(dataset, out, suffix)]


def _write_explained(dataset: Dataset, config: Config, path: Path) -> Path:
    seq_ids = np.asarray(dataset.seq_ids(config.attribution.split))
    parts = []
    for task in config.attributed_tasks:
        rows = attributed_rows(dataset, config, task)
        parts.append(pd.DataFrame({"task": task, "seq_id": seq_ids[rows], "row": rows}))
    with _text_file(path) as handle:
        pd.concat(parts).to_csv(handle, sep="\t", index=False, lineterminator="\n")
    return path


def _write_sequences(dataset: Dataset, out: Path, suffix: str, advance: Advance) -> list[Path]:
    """SPLIT.fa and labels.tsv."""
    fasta = {split: out / f"{split}.fa{suffix}" for split in tables.SPLITS if dataset.counts[split]}
    labels = out / f"labels.tsv{suffix}"
    columns = ["seq_id", "split", *dataset.tasks]
    with ExitStack() as stack:
        handles = {split: stack.enter_context(_text_file(path)) for split, path in fasta.items()}
        table = stack.enter_context(_text_file(labels))
        table.write("\t".join(columns) + "\n")
        for part in _parts(dataset):
            part[columns].to_csv(table, sep="\t", index=False, header=False, lineterminator="\n")
            for split, seq_id, sequence in zip(part["split"], part["seq_id"], part["sequence"], strict=True):
                handles[split].write(f">{seq_id}\n{sequence}\n")
            advance(1)
    return [*fasta.values(), labels]


def _write_sites(dataset: Dataset, out: Path, suffix: str) -> list[Path]:
    """sites.bed, and sites_genome.bed where the sequences have loci."""
    sites = dataset.sites
    # a p-value of 0 means that float64 has no number as small
    tens = -10 * np.log10(np.maximum(sites["pvalue"], np.finfo(np.float64).tiny))
    bed = pd.DataFrame(
        {
            "chrom": sites["seq_id"],
            "start": sites["start"],
            "end": sites["end"],
            "name": sites["motif"],
            "score": tens.round().clip(0, 1000).astype(np.int64),
            "strand": sites["strand"],
            "tf": sites["tf"],
            "bits": sites["score"],
            "pvalue": sites["pvalue"],
            "matched": sites["matched"],
            "element": sites["element"],
        }
    )
    written = {out / f"sites.bed{suffix}": bed}
    loci = read_loci(dataset.path, len(dataset.parts))
    if loci is not None:
        loci = loci.loc[sites["seq_id"]]
        start = loci["start"].to_numpy()
        moved = bed.assign(chrom=loci["chrom"].to_numpy(), start=start + bed["start"], end=start + bed["end"])
        moved = moved.assign(seq_id=sites["seq_id"]).sort_values(["chrom", "start", "end"], kind="stable")
        written[out / f"sites_genome.bed{suffix}"] = moved
    for path, table in written.items():
        with _text_file(path) as handle:
            handle.write("#")
            table.to_csv(handle, sep="\t", index=False, lineterminator="\n")
    return list(written)


def write_paper(dataset: Dataset, out: Path, suffix: str, advance: Advance) -> list[Path]:
    """TASK.positives.txt, TASK.negatives.txt and paper.yaml; advances by one for each part."""
    names = {
        label: {task: f"{task}.{label}.txt{suffix}" for task in dataset.tasks} for label in ("negatives", "positives")
    }
    listed = _listed_sites(dataset)
    with ExitStack() as stack:
        handles = [[stack.enter_context(_text_file(out / name)) for name in files.values()] for files in names.values()]
        for handle in (handle for group in handles for handle in group):
            handle.write(HEADER + "\n")
        for part in _parts(dataset):
            labels = part[dataset.tasks].to_numpy()
            for row, (seq_id, sequence) in enumerate(zip(part["seq_id"], part["sequence"], strict=True)):
                line = f"{seq_id}\t{sequence}\t{listed.get(seq_id, '')}\n"
                for number, label in enumerate(labels[row]):
                    if label != tables.UNLABELLED:  # neither a positive nor a negative of the task
                        handles[label][number].write(line)
            advance(1)
    simulation = {"kind": "text", "positives": names["positives"], "negatives": names["negatives"]}
    raw = {"name": dataset.name, "simulation": {**simulation, "motifs": "motifs.meme"}}
    with whole_file(out / "paper.yaml") as partial:
        partial.write_text(format_yaml(raw), encoding="utf-8")
    return [*(out / name for files in names.values() for name in files.values()), out / "paper.yaml"]


#: Writers by format; each takes a data set, the output folder, the suffix of names and a function to advance progress.
WRITERS: dict[str, Callable[[Dataset, Path, str, Advance], list[Path]]] = {
    "fasta": write_fasta,
    "paper": write_paper,
    "anndata": write_anndata,
    "tfrecord": write_tfrecord,
}
#: Formats that are text, and the one that stands for all of these.
TEXTS, ALL = ("fasta", "paper"), "all"


def _listed_sites(dataset: Dataset) -> dict[str, str]:
    """For each sequence that has sites, the third column of the paper's text."""
    sites = dataset.sites
    for motif in sites["motif"].unique():
        if "," in motif:
            raise InputError(
                motif, "is a motif whose name holds a comma, which separates sites in the text", "rename it"
            )
    # NumPy prints the fewest digits that read back as the same number
    columns = [sites[name].to_numpy() for name in ("start", "end", "score")]
    texts = [
        site_text(Site(motif, strand == "-", start, end, score, pvalue, matched))
        for motif, strand, start, end, score, pvalue, matched in zip(
            sites["motif"], sites["strand"], *columns, sites["pvalue"].tolist(), sites["matched"], strict=True
        )
    ]
    return pd.Series(texts, dtype=object).groupby(sites["seq_id"].to_numpy(), sort=False).agg(",".join).to_dict()


def _parts(dataset: Dataset) -> Iterator[pd.DataFrame]:
    for number in range(len(dataset.parts)):
        yield read_table(part_path(dataset.path, number)).to_pandas()


@contextmanager
def _text_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears whole; gzip where its name ends in .gz, with neither a name nor a time inside."""
    with whole_file(path) as partial, partial.open("wb") as raw:
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else raw
        with io.TextIOWrapper(cast(IO[bytes], packed), encoding="utf-8", newline="\n") as text:
            yield text
