"""Export of attributions: arrays for tfmodisco-lite, ChromBPNet's HDF5, bigWig tracks for genome browsers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

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
from simbench_tf.hdf5 import read_h5
from simbench_tf.interchange import chrombpnet, igv_session
from simbench_tf.parallel import Track, silent
from simbench_tf.run.attributions import AttributionFile, attribution_files, read_attributions, read_seq_ids

_NO_PLACE = "have no place in a genome, which bigWig needs"


class GenomeStretch(NamedTuple):
    """Values along a stretch of a chromosome without a gap, from `start` (0-based) on."""

    chrom: str
    start: int
    values: npt.NDArray[np.float64]


def export_attributions(
    config: Config, run: Path, out: Path, format_: str = "npz", *, track: Track = silent
) -> list[Path]:
    """Write the attributions of a run as files that other tools read.

    ``npz`` is what tfmodisco-lite takes: TASK/ohe.npz (``-s``), the one-hot explained sequences, int8
    (N, 4, L), and TASK/MODEL/KEY.npz (``-a``), their hypothetical contributions, float32 (N, 4, L), each under
    ``arr_0``. TASK/regions.bed lists these sequences, in order; without a genome chrom is the seq_id.
    ``chrombpnet``: TASK/MODEL/KEY.h5 in ChromBPNet's layout, and TASK/interpreted_regions.bed (`chrombpnet`).
    ``bigwig``: TASK/MODEL/KEY.bw, the scores along the genome; where regions overlap, their mean. Chromosomes have the
    genome's lengths or, where the genome is not available, end with the last region. ``igv``: the same,
    TASK/regions.bed and TASK/sites.bed, the true sites of these regions, and igv_session.xml, which opens all.

    Parameters
    ----------
    config : Config
        Of the run.
    run, out : path
        RUN, and a folder that is made where missing.
    format_ : {"npz", "chrombpnet", "bigwig", "igv"}
        A key of `WRITERS`.
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
        written = []
        for paths in WRITERS[format_](config, run, dataset, files, out):
            written += paths
            advance(1)
    return written


def write_arrays(
    config: Config, _run: Path, dataset: Dataset, files: list[AttributionFile], out: Path
) -> Iterator[list[Path]]:
    """Write the arrays of tfmodisco-lite; yields the paths written for each attribution file."""
    split = config.attribution.split
    bases, known = dataset.bases(split), pd.Index(dataset.seq_ids(split))
    loci = read_loci(dataset.path, len(dataset.parts))
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
        with read_h5(file.path) as h5:
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
                _regions(seq_ids, dataset.seq_length, loci).to_csv(partial, sep="\t", index=False, header=False)
        yield written


def _holds_hypothetical(file: AttributionFile) -> bool:
    with read_h5(file.path) as h5:
        return "hypothetical" in h5


def _rows(known: pd.Index, seq_ids: list[str], file: AttributionFile) -> npt.NDArray[np.int64]:
    rows = known.get_indexer(pd.Index(seq_ids))
    if (rows < 0).any():
        raise InputError(file.path, "explains sequences that the data set lacks", "make it again: `simbench attribute`")
    return np.asarray(rows, np.int64)


def _save(path: Path, values: npt.NDArray[np.generic]) -> None:
    with whole_file(path) as partial:
        np.savez_compressed(partial, np.ascontiguousarray(values))


def _regions(seq_ids: list[str], length: int, loci: pd.DataFrame | None) -> pd.DataFrame:
    """BED of sequences, in their order: chrom, start, end, name."""
    if loci is None:
        return pd.DataFrame({"chrom": seq_ids, "start": 0, "end": length, "name": seq_ids})
    return loci.loc[seq_ids].assign(name=seq_ids)


def write_chrombpnet(
    config: Config, _run: Path, dataset: Dataset, files: list[AttributionFile], out: Path
) -> Iterator[list[Path]]:
    """Write ChromBPNet's files; yields the paths written for each attribution file."""
    split = config.attribution.split
    bases, known = dataset.bases(split), pd.Index(dataset.seq_ids(split))
    loci = read_loci(dataset.path, len(dataset.parts))
    done: set[str] = set()
    for file in files:
        scores, seq_ids = read_attributions(file.path)
        with read_h5(file.path) as h5:
            hypothetical = h5["hypothetical"][:] if "hypothetical" in h5 else None
        written = [out / file.task / file.model / f"{file.key}.h5"]
        chrombpnet.write_contributions(written[0], bases[_rows(known, seq_ids, file)], scores, hypothetical)
        if file.task not in done:
            done.add(file.task)
            written.append(out / file.task / "interpreted_regions.bed")
            chrombpnet.write_regions(written[1], _regions(seq_ids, dataset.seq_length, loci))
        yield written


def write_tracks(
    config: Config, run: Path, dataset: Dataset, files: list[AttributionFile], out: Path
) -> Iterator[list[Path]]:
    """Write bigWig tracks; yields the path written for each attribution file."""
    loci = read_loci(dataset.path, len(dataset.parts))
    if loci is None:
        raise InputError(run, f"holds sequences that {_NO_PLACE}", "use data of kind peaks, or --format npz")
    sizes = chromosome_sizes(config, run, loci)
    for file in files:
        scores, seq_ids = read_attributions(file.path)
        explained = loci.iloc[_rows(loci.index, seq_ids, file)]
        path = out / file.task / file.model / f"{file.key}.bw"
        stretches = genome_stretches(explained["chrom"].to_numpy(), explained["start"].to_numpy(), scores)
        write_bigwig(path, sizes, stretches)
        yield [path]


def write_igv(
    config: Config, run: Path, dataset: Dataset, files: list[AttributionFile], out: Path
) -> Iterator[list[Path]]:
    """Write bigWig tracks, the explained regions, their true sites, and the IGV session that opens them.

    Yields the paths written for each attribution file; the session is with the last of them.
    """
    tracks: dict[str, list[igv_session.Track]] = {}  # a task's tracks stand together
    for number, (file, written) in enumerate(zip(files, write_tracks(config, run, dataset, files, out), strict=True)):
        if file.task not in tracks:
            beds = _write_beds(config, dataset, file, out / file.task)
            tracks[file.task] = [igv_session.Track(path, f"{file.task}: {name}") for name, path in beds.items()]
            written += beds.values()
        tracks[file.task].append(igv_session.Track(written[0], f"{file.task}: {file.key} ({file.model})"))
        if number == len(files) - 1:
            written.append(out / "igv_session.xml")
            igv_session.write_session(
                written[-1], _genome_of(config), _first_locus(dataset, files[0]), list(chain(*tracks.values()))
            )
        yield written


def _write_beds(config: Config, dataset: Dataset, file: AttributionFile, folder: Path) -> dict[str, Path]:
    """BED files of the sequences that a task's files explain, and of those of their sites that are its truth."""
    split, seq_ids = config.attribution.split, read_seq_ids(file.path)
    regions = _regions(seq_ids, dataset.seq_length, read_loci(dataset.path, len(dataset.parts)))
    rows = _rows(pd.Index(dataset.seq_ids(split)), seq_ids, file)
    starts = pd.Series(regions["start"].to_numpy(), index=rows)
    chroms = pd.Series(regions["chrom"].to_numpy(), index=rows)
    sites = dataset.true_sites(split, file.task, rows=rows)
    sites = sites[sites["row"].isin(rows)]
    first = starts.loc[sites["row"]].to_numpy()
    placed = sites.assign(
        chrom=chroms.loc[sites["row"]].to_numpy(), start=first + sites["start"], end=first + sites["end"], score=0
    )
    tables = {
        "explained regions": ("regions.bed", regions),
        "true sites": ("sites.bed", placed[["chrom", "start", "end", "motif", "score", "strand"]]),
    }
    for name, table in tables.values():
        ordered = table.sort_values(["chrom", "start", "end"], kind="stable")
        with whole_file(folder / name) as partial:
            ordered.to_csv(partial, sep="\t", index=False, header=False, lineterminator="\n")
    return {track: folder / name for track, (name, _) in tables.items()}


def _genome_of(config: Config) -> str:
    genome = config.simulation.reference_genome
    if genome is None:
        raise InputError("simulation", "names no genome, which an IGV session opens", "use --format bigwig")
    return igv_session.genome_id(genome)


def _first_locus(dataset: Dataset, file: AttributionFile) -> str:
    loci = read_loci(dataset.path, len(dataset.parts))
    assert loci is not None, "write_tracks has written tracks along the genome"
    first = loci.loc[read_seq_ids(file.path)[0]]
    return f"{first['chrom']}:{first['start'] + 1}-{first['end']}"


#: Writers by format. A writer takes config, run, data set, attribution files and output folder, and yields the paths
#: written for each attribution file.
WRITERS: dict[str, Callable[[Config, Path, Dataset, list[AttributionFile], Path], Iterator[list[Path]]]] = {
    "npz": write_arrays,
    "chrombpnet": write_chrombpnet,
    "bigwig": write_tracks,
    "igv": write_igv,
}


def chromosome_sizes(config: Config, run: Path, loci: pd.DataFrame) -> dict[str, int]:
    """Lengths of the genome's chromosomes or, where it is not at hand, where the last of the regions ends on each."""
    genome = config.simulation.reference_genome
    if genome is not None and genome.is_file():
        return open_genome(genome, run / "genome").lengths
    return loci.groupby("chrom")["end"].max().to_dict()


def genome_stretches(
    chrom: npt.NDArray[np.object_], starts: npt.NDArray[np.int64], scores: npt.NDArray[np.floating]
) -> Iterator[GenomeStretch]:
    """Scores of regions laid along the genome: every covered base has the mean of the regions that cover it.

    Bases that are NaN count as not covered.

    Parameters
    ----------
    chrom : array of str, shape (N,)
    starts : int64 array, shape (N,)
        Where each region begins, 0-based.
    scores : float array, shape (N, L)
        In the order of the genome's forward strand.

    Yields
    ------
    GenomeStretch
        One for each stretch without a gap, sorted along each chromosome.

    Examples
    --------
    >>> scores = np.array([[1.0, 2, 3], [5, 6, 7], [0, 0, 9]])
    >>> for stretch in genome_stretches(np.array(["chr1"] * 3), np.array([10, 12, 20]), scores):
    ...     print(stretch.start, stretch.values.tolist())
    10 [1.0, 2.0, 4.0, 6.0, 7.0]
    20 [0.0, 0.0, 9.0]
    """
    for name in np.unique(chrom.astype(str)):
        rows = np.flatnonzero(chrom == name)
        positions = starts[rows, None] + np.arange(scores.shape[1])
        own = scores[rows].ravel()
        known = ~np.isnan(own)
        if not known.any():
            continue
        covered, inverse = np.unique(positions.ravel()[known], return_inverse=True)
        values = np.bincount(inverse, own[known]) / np.bincount(inverse)
        gaps = np.flatnonzero(np.diff(covered) > 1) + 1
        for bases, piece in zip(np.split(covered, gaps), np.split(values, gaps), strict=True):
            yield GenomeStretch(str(name), int(bases[0]), piece)


def write_bigwig(path: Path, sizes: dict[str, int], stretches: Iterable[GenomeStretch]) -> None:
    """Write a bigWig file (Kent et al. 2010) of float32 values, one per base.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    sizes : dict of str to int
        Bases of each chromosome.
    stretches : iterable of GenomeStretch
        Without overlaps, in any order.

    Raises
    ------
    InputError
        pyBigWig is not installed, a stretch leaves its chromosome, or the file cannot be written.
    """
    try:
        import pyBigWig
    except ImportError as error:
        what = "needs pyBigWig, which is not installed"
        raise InputError("--format bigwig", what, "pip install 'simbench_tf[bigwig]'") from error
    # a file's chromosomes are in the order of its header, and so must its values be
    order = {chrom: number for number, chrom in enumerate(sizes)}
    in_order = sorted(stretches, key=lambda each: (order.get(each.chrom, -1), each.start))
    for chrom, start, values in in_order:
        if start < 0 or start + len(values) > sizes.get(chrom, 0):
            locus = f"{chrom}:{start}-{start + len(values)}"
            raise InputError(path, f"would hold {locus}, which is not in the genome", "give the genome of the data set")
    with whole_file(path) as partial:
        bigwig = pyBigWig.open(str(partial), "w")
        bigwig.addHeader(list(sizes.items()))
        for chrom, start, values in in_order:
            bigwig.addEntries(chrom, start, values=values.tolist(), span=1, step=1)
        bigwig.close()
