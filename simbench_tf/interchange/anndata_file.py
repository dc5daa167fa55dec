"""AnnData (.h5ad) of a data set, as CREsted reads it: tasks x regions, with a genome of the simulated sequences.

CREsted cuts the sequence of each region out of a FASTA file. Simulated sequences stand in no genome - those of peaks
are shuffled - so genome.fa is written with the file: a contig for each split, on which the sequences follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.dataset import Dataset
from simbench_tf.dataset.files import read_loci
from simbench_tf.dna import decode
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.hdf5 import whole_h5

#: Ns before each sequence and behind the last one, so that a region can be shifted without running into the next.
GAP = 100
#: CREsted's name of each split.
SPLITS = {"train": "train", "valid": "val", "test": "test"}
#: Bytes of the file for each base, at most: one where nothing can be compressed, as much again for labels and sites.
_BYTES_PER_BASE = 2


def write_anndata(dataset: Dataset, out: Path, _suffix: str, advance: Callable[[int], None]) -> list[Path]:
    """dataset.h5ad and genome.fa, neither of which is compressed as a whole; advances by one for each part.

    ``X`` is float32 (tasks, regions): 1 and 0, and NaN where a region is neither positive nor negative. ``obs_names``
    are the tasks, ``var_names`` the regions, CONTIG:START-END of genome.fa. ``var`` has chrom (chr, too, which CREsted
    reads), start and end of the same; split (train, val or test); n_classes; seq_id; and where sequences have a place
    in a real genome, locus_chrom, locus_start and locus_end. ``varm["bases"]`` is uint8 (regions, L), 0-3 for A, C, G,
    T and 4 for N. ``uns["sites"]`` are the true sites, with their region and, for each task, truth_TASK;
    ``uns["motifs"]`` the motifs; ``uns["simbench"]`` what the data set is.

    Raises
    ------
    InputError
        anndata is not installed, or a file cannot be written.
    """
    try:
        from anndata import AnnData
        from anndata.io import write_elem
    except ImportError as error:
        what = "needs anndata, which is not installed"
        raise InputError("--format anndata", what, "pip install 'simbench_tf[anndata]'") from error
    splits = [split for split in tables.SPLITS if dataset.counts[split]]
    _write_genome(dataset, splits, out / "genome.fa")
    regions = pd.concat([_regions(dataset, split) for split in splits])
    labels = np.concatenate([dataset.labels(split) for split in splits]).astype(np.float32)
    labels[labels == tables.UNLABELLED] = np.nan
    counts = np.nansum(labels, axis=0).astype(np.int64)
    data = AnnData(
        labels.T,
        obs=pd.DataFrame({"n_open_regions": counts}, index=_texts(dataset.tasks)),
        var=regions.assign(n_classes=np.nansum(labels, axis=1).astype(np.int64)),
        varm={"bases": np.concatenate([dataset.bases(split) for split in splits])},
        uns={
            "sites": _sites(dataset, regions),
            "motifs": _with_texts(dataset.motifs),
            "simbench": {"name": dataset.name, "kind": dataset.kind, "genome": "genome.fa"},
        },
    )
    path = out / "dataset.h5ad"
    with whole_h5(path, most_bytes=_BYTES_PER_BASE * sum(dataset.counts.values()) * dataset.seq_length) as h5:
        write_elem(h5, "/", data, dataset_kwargs={"compression": "gzip"})
    advance(len(dataset.parts))
    return [path, out / "genome.fa"]


def _write_genome(dataset: Dataset, splits: list[str], path: Path) -> None:
    """A contig for each split; a line is a gap and a sequence, so that all have one length, as an index wants them."""
    with whole_file(path) as partial, partial.open("w", encoding="ascii", newline="\n") as fasta:
        for split in splits:
            fasta.write(f">{split}\n")
            fasta.writelines(f"{'N' * GAP}{sequence}\n" for sequence in decode(dataset.bases(split)))
            fasta.write(f"{'N' * GAP}\n")


def _regions(dataset: Dataset, split: str) -> pd.DataFrame:
    """A row for each sequence of a split, by its place in genome.fa."""
    starts = GAP + np.arange(dataset.counts[split]) * (GAP + dataset.seq_length)
    table = pd.DataFrame(
        {"chrom": split, "chr": split, "start": starts, "end": starts + dataset.seq_length, "split": SPLITS[split]}
    )
    table["seq_id"] = dataset.seq_ids(split)
    loci = read_loci(dataset.path, len(dataset.parts))
    if loci is not None:
        table = table.join(loci.loc[table["seq_id"]].reset_index(drop=True).add_prefix("locus_"))
    names = table["chr"] + ":" + table["start"].astype(str) + "-" + table["end"].astype(str)
    return _with_texts(table).set_index(_texts(names))


def _sites(dataset: Dataset, regions: pd.DataFrame) -> pd.DataFrame:
    """The true sites, each with its region and whether it is in the truth of each task."""
    by_id = pd.Series(regions.index, index=regions["seq_id"])
    sites = dataset.sites.assign(region=by_id.loc[dataset.sites["seq_id"]].to_numpy())
    elements = dataset.element_tasks
    for task in dataset.tasks:
        sites[f"truth_{task}"] = [elements is None or task in elements.get(each, ()) for each in sites["element"]]
    return _with_texts(sites)


def _with_texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose text columns are of plain str, the one kind that every version of anndata reads."""
    plain = table.assign(**{name: _texts(column) for name, column in table.items() if column.dtype.kind in "OTU"})
    return plain.set_axis(_texts(plain.columns), axis=1).set_index(_texts(plain.index.astype(str)))


def _texts(values: object) -> pd.Index:
    return pd.Index(np.asarray(values, dtype=object), dtype=object)
