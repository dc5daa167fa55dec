"""Attributions as other tools read them: arrays for tfmodisco-lite, scores along the genome for its browsers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.dataset.files import read_loci
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.genome import open_genome
from simbench_tf.parallel import Track, silent
from simbench_tf.run.attributions import AttributionFile, attribution_files, read_attributions

_NO_PLACE = "have no place in a genome, which bigWig needs"


class Run(NamedTuple):
    """Values along a stretch of a chromosome without a gap, from `start` (0-based) on."""

    chrom: str
    start: int
    values: npt.NDArray[np.float64]


def export_attributions(
    config: Config, run: Path, out: Path, format_: str = "npz", *, track: Track = silent
) -> list[Path]:
    """Write the attributions of a run as files that other tools read.

    ``npz`` is what tfmodisco-lite takes: TASK/ohe.npz (``-s``), the one-hot sequences that were explained, int8
    (N, 4, L), and TASK/MODEL/KEY.npz (``-a``), their hypothetical contributions, float32 (N, 4, L), each under
    ``arr_0``. TASK/regions.bed says which sequences these are, in order; without a genome chrom is the seq_id.
    ``bigwig``: TASK/MODEL/KEY.bw, the scores at the bases' places in the genome; where regions overlap, their mean.
    Chromosomes have the genome's lengths or, where the genome is not to be had, end with the last region.

    Parameters
    ----------
    config : Config
        Of the run.
    run, out : path
        RUN, and a folder that is made where missing.
    format_ : {"npz", "bigwig"}
    track : callable, optional
        ``track(description, total)`` is a context manager that yields ``advance(n)``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        Attributions are missing or not of this data set; their file keeps no hypothetical contributions; sequences have
        no place in a genome; pyBigWig is not installed; a file cannot be written.
    """
    dataset = open_dataset(run / "dataset")
    files = attribution_files(config, run)
    if not files:
        what = "has no models, so no attributions of its own"
        raise InputError(run, what, "export those of a run with models; other tools' are as they were given")
    for file in files:
        if not file.path.is_file():
            raise InputError(file.path, "is missing", "make it with `simbench attribute`")
    with track("export", len(files)) as advance:
        steps = _arrays(config, dataset, files, out) if format_ == "npz" else _tracks(config, run, dataset, files, out)
        written = []
        for paths in steps:
            written += paths
            advance(1)
    return written


def _arrays(config: Config, dataset: Dataset, files: list[AttributionFile], out: Path) -> Iterator[list[Path]]:
    split = config.attribution.split
    bases, known = dataset.bases(split), pd.Index(dataset.seq_ids(split))
    places = read_loci(dataset.path, len(dataset.parts))
    done: set[str] = set()
    holding = [file for file in files if _holds_hypothetical(file)]
    if not holding:
        mend = "set attribution.arrays=[hypothetical] (with methods that give them) and attribute again"
        raise InputError(files[0].path, "keeps no hypothetical contributions, as no file of the run does", mend)
    for file in files:
        if file not in holding:
            warnings.warn(f"{file.path}: left out, it keeps no hypothetical contributions", UserWarning, stacklevel=2)
            yield []
            continue
        with h5py.File(file.path) as h5:
            hypothetical = h5["hypothetical"][:]
        _, seq_ids = read_attributions(file.path)
        written = [out / file.task / file.model / f"{file.key}.npz"]
        _save(written[0], hypothetical.transpose(0, 2, 1))
        if file.task not in done:  # every model and method of a task explains the same sequences
            done.add(file.task)
            written += [out / file.task / "ohe.npz", out / file.task / "regions.bed"]
            explained_bases = bases[_rows(known, seq_ids, file)]
            _save(written[1], one_hot(explained_bases).astype(np.int8).transpose(0, 2, 1))
            with whole_file(written[2]) as partial:
                _regions(seq_ids, dataset.seq_length, places).to_csv(partial, sep="\t", index=False, header=False)
        yield written


def _holds_hypothetical(file: AttributionFile) -> bool:
    with h5py.File(file.path) as h5:
        return "hypothetical" in h5


def _rows(known: pd.Index, seq_ids: list[str], file: AttributionFile) -> npt.NDArray[np.int64]:
    rows = known.get_indexer(pd.Index(seq_ids))
    if (rows < 0).any():
        raise InputError(file.path, "explains sequences that the data set lacks", "make it anew: `simbench attribute`")
    return np.asarray(rows, np.int64)


def _save(path: Path, values: npt.NDArray[np.generic]) -> None:
    with whole_file(path) as partial:
        np.savez_compressed(partial, np.ascontiguousarray(values))


def _regions(seq_ids: list[str], length: int, places: pd.DataFrame | None) -> pd.DataFrame:
    """BED of sequences, in their order: chrom, start, end, name."""
    if places is None:
        return pd.DataFrame({"chrom": seq_ids, "start": 0, "end": length, "name": seq_ids})
    return places.loc[seq_ids].assign(name=seq_ids)


def _tracks(
    config: Config, run: Path, dataset: Dataset, files: list[AttributionFile], out: Path
) -> Iterator[list[Path]]:
    places = read_loci(dataset.path, len(dataset.parts))
    if places is None:
        raise InputError(run, f"holds sequences that {_NO_PLACE}", "give data of kind peaks, or take --format npz")
    sizes = _chromosome_sizes(config, run, places)
    for file in files:
        scores, seq_ids = read_attributions(file.path)
        here = places.iloc[_rows(places.index, seq_ids, file)]
        path = out / file.task / file.model / f"{file.key}.bw"
        write_bigwig(path, sizes, genome_runs(here["chrom"].to_numpy(), here["start"].to_numpy(), scores))
        yield [path]


def _chromosome_sizes(config: Config, run: Path, places: pd.DataFrame) -> dict[str, int]:
    genome = config.simulation.reference_genome
    if genome is not None and genome.is_file():
        return open_genome(genome, run / "genome").lengths
    return places.groupby("chrom")["end"].max().to_dict()


def genome_runs(
    chrom: npt.NDArray[np.object_], starts: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]
) -> Iterator[Run]:
    """Scores of regions laid along the genome: every covered base has the mean of the regions over it.

    Parameters
    ----------
    chrom : array of str, shape (N,)
    starts : int64 array, shape (N,)
        Where each region begins, 0-based.
    scores : float array, shape (N, L)
        In the order of the genome's forward strand.

    Yields
    ------
    Run
        One for each stretch without a gap, sorted along each chromosome.

    Examples
    --------
    >>> scores = np.array([[1.0, 2, 3], [5, 6, 7], [0, 0, 9]])
    >>> for run in genome_runs(np.array(["chr1"] * 3), np.array([10, 12, 20]), scores):
    ...     print(run.start, run.values.tolist())
    10 [1.0, 2.0, 4.0, 6.0, 7.0]
    20 [0.0, 0.0, 9.0]
    """
    for name in np.unique(chrom.astype(str)):
        rows = np.flatnonzero(chrom == name)
        positions = starts[rows, None] + np.arange(scores.shape[1])
        places, inverse = np.unique(positions.ravel(), return_inverse=True)
        values = np.bincount(inverse, scores[rows].ravel()) / np.bincount(inverse)
        gaps = np.flatnonzero(np.diff(places) > 1) + 1
        for stretch, piece in zip(np.split(places, gaps), np.split(values, gaps), strict=True):
            yield Run(str(name), int(stretch[0]), piece)


def write_bigwig(path: Path, sizes: dict[str, int], runs: Iterable[Run]) -> None:
    """Write a bigWig file (Kent et al. 2010) of float32 values, a base each.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    sizes : dict of str to int
        Bases of each chromosome.
    runs : iterable of Run
        Without overlaps, sorted along each chromosome, and each chromosome's together.

    Raises
    ------
    InputError
        pyBigWig is not installed, a run leaves its chromosome, or the file cannot be written.
    """
    try:
        import pyBigWig
    except ImportError as error:
        what = "needs pyBigWig, which is not installed"
        raise InputError("--format bigwig", what, "pip install 'simbench_tf[bigwig]'") from error
    # a file's chromosomes are in the order of its header, and so must its values be
    order = {chrom: number for number, chrom in enumerate(sizes)}
    in_order = sorted(runs, key=lambda run: (order.get(run.chrom, -1), run.start))
    for run in in_order:
        if run.start < 0 or run.start + len(run.values) > sizes.get(run.chrom, 0):
            place = f"{run.chrom}:{run.start}-{run.start + len(run.values)}"
            raise InputError(path, f"would hold {place}, which is not in the genome", "give the genome of the data set")
    with whole_file(path) as partial:
        bigwig = pyBigWig.open(str(partial), "w")
        bigwig.addHeader(list(sizes.items()))
        for run in in_order:
            bigwig.addEntries(run.chrom, run.start, values=run.values.tolist(), span=1, step=1)
        bigwig.close()
