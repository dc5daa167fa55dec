"""A genome in FASTA: opening it, its index, and the bases of regions."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyfaidx

from simbench_tf import dna
from simbench_tf.dna import Bases
from simbench_tf.errors import InputError, close_to
from simbench_tf.files import GZIP_ERRORS, damaged_gzip, is_gzip, whole_file

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


# bases of a contig that are read and held at once, and bytes that are decompressed at once
_CHUNK_SIZE = 1 << 22


@dataclass(frozen=True)
class Genome:
    """A FASTA file ready for random access: small, and picklable, since the file is opened by each `fetch`.

    Attributes
    ----------
    source : Path
        The file the user named.
    path : Path
        The file that is read: `source`, or its decompressed copy.
    index : Path
        Its .fai index; a bgzip file's .gzi lies beside it.
    lengths : dict of str to int
        Bases of each contig, in the file's order.
    """

    source: Path
    path: Path
    index: Path
    lengths: dict[str, int]


def open_genome(path: str | os.PathLike[str], index_dir: str | os.PathLike[str] | None = None) -> Genome:
    r"""Index a FASTA file (plain, gzip or bgzip) for `fetch`.

    The index is made by pyfaidx, beside the file, or in `index_dir` where that folder can't be written. Plain gzip has
    no random access, so such a file is decompressed once, into the same folder.

    Parameters
    ----------
    path : str or path
        The FASTA file.
    index_dir : str or path, optional
        Where the index (and a decompressed copy) goes when the file's own folder is read-only.

    Returns
    -------
    Genome

    Raises
    ------
    InputError
        The file is missing, empty, no FASTA, cut short, or can't be indexed anywhere.

    Examples
    --------
    >>> import tempfile
    >>> fasta = Path(tempfile.mkdtemp()) / "g.fa"
    >>> _ = fasta.write_text(">chr1\nACGTNacgt\n")
    >>> genome = open_genome(fasta)
    >>> genome.lengths
    {'chr1': 9}
    >>> fetch(genome, pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, 3], "end": [4, 7]})).tolist()
    [[0, 1, 2, 3], [3, 4, 0, 1]]
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(source, "no such FASTA file", "check the path of the genome")
    if source.stat().st_size == 0:
        raise InputError(source, "is empty", "give a FASTA file")
    folder = _index_folder(source, index_dir)
    read_from = source
    if is_gzip(source):
        if not _is_bgzf(source):
            read_from = _decompressed(source, folder)
        elif not _ends_whole(source):
            raise damaged_gzip(source)
    index = _index(source, read_from, folder)
    rows = (line.split("\t") for line in index.read_text(encoding="utf-8").splitlines())
    lengths = {fields[0]: int(fields[1]) for fields in rows}
    return Genome(source, read_from, index, lengths)


def _index_folder(source: Path, index_dir: str | os.PathLike[str] | None) -> Path:
    folder = source.parent
    # root may write anywhere; a folder without a write bit is left as it is all the same
    if os.access(folder, os.W_OK) and folder.stat().st_mode & 0o222:
        return folder
    if index_dir is None:
        beside = source.with_name(source.name + ".fai")
        if _fresh(beside, source):
            return folder
        raise InputError(source, "its folder is read-only and holds no index", "name a folder for the index")
    return Path(index_dir)


def _fresh(derived: Path, source: Path) -> bool:
    return derived.is_file() and derived.stat().st_mtime >= source.stat().st_mtime


def _is_bgzf(path: Path) -> bool:
    # pyfaidx goes by the name, so a bgzip file under another suffix is treated as plain gzip
    with path.open("rb") as handle:
        head = handle.read(16)
    return head[3:4] == b"\x04" and head[12:14] == b"BC" and path.suffix.lower() in (".gz", ".bgz")


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(-min(len(_BGZF_END), path.stat().st_size), os.SEEK_END)
        return handle.read() == _BGZF_END


def _decompressed(source: Path, folder: Path) -> Path:
    name = source.stem if Path(source.stem).suffix else source.stem + ".fa"
    copy = folder / f"{name}.decompressed.fa"
    if not _fresh(copy, source):
        with whole_file(copy) as partial:
            try:
                with gzip.open(source, "rb") as packed, partial.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, _CHUNK_SIZE)
            except GZIP_ERRORS as error:
                raise damaged_gzip(source) from error
            if partial.stat().st_size == 0:
                raise InputError(source, "is empty", "give a FASTA file")
    return copy


def _index(source: Path, read_from: Path, folder: Path) -> Path:
    """The .fai of `read_from`, made in `folder` where there is no fresh one beside it or in `folder`."""
    suffixes = (".fai", ".gzi") if read_from.suffix.lower() in (".gz", ".bgz") else (".fai",)
    for parent in (read_from.parent, folder):
        if all(_fresh(parent / (read_from.name + suffix), read_from) for suffix in suffixes):
            return parent / (read_from.name + ".fai")
    try:
        with ExitStack() as stack:
            partial = [stack.enter_context(whole_file(folder / (read_from.name + suffix))) for suffix in suffixes]
            for path in partial:
                path.unlink()  # pyfaidx would take the empty temporary file for an index
            pyfaidx.Faidx(str(read_from), str(partial[0]), gzi_indexname=str(partial[-1])).close()
    except InputError:
        raise
    except (pyfaidx.FastaIndexingError, ValueError, *GZIP_ERRORS) as error:
        raise InputError(source, f"is no FASTA file that can be indexed: {error}", "correct or replace it") from error
    return folder / (read_from.name + ".fai")


def check_chromosomes(peaks: pd.DataFrame, genome: Genome, path: str | os.PathLike[str]) -> None:
    """Check that the chromosomes of peaks read from `path` are contigs of the genome.

    Raises
    ------
    InputError
        Naming the first line whose chromosome the genome lacks, and the nearest names it has.
    """
    unknown = peaks[~peaks["chrom"].isin(list(genome.lengths))]
    if len(unknown):
        first = unknown.iloc[0]
        raise InputError(
            f"{path}:{first['line']}",
            f"chromosome {first['chrom']!r} is not in {genome.source} ({len(unknown)} such lines)",
            f"drop these lines or give their genome{_nearest(first['chrom'], genome.lengths)}",
        )


def _nearest(chrom: str, known: Iterable[str]) -> str:
    names = list(known)
    twin = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
    close = twin if twin in names else close_to(chrom, names)
    return f"; it has {close}" if close else f"; it has {', '.join(names[:3])}, ..."


def inside(genome: Genome, regions: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which regions lie wholly on their contig, shape (N,); one that fills it exactly does."""
    lengths = regions["chrom"].map(genome.lengths).to_numpy()
    return (regions["start"].to_numpy() >= 0) & (regions["end"].to_numpy() <= lengths)


def fetch(genome: Genome, regions: pd.DataFrame) -> Bases:
    """The bases of many regions of one size.

    Each stretch of 4 Mb in which a region starts is read once, so memory holds one stretch beside the result.

    Parameters
    ----------
    genome : Genome
        From `open_genome`.
    regions : DataFrame
        Columns chrom, start, end; all of one size and on their contig.

    Returns
    -------
    ndarray of uint8, shape (N, L)
        0-3 for A C G T (soft-masked bases count as such), 4 for any other letter; rows in the order of `regions`.

    Raises
    ------
    ValueError
        The regions differ in size or leave their contig.
    InputError
        The file is damaged, or changed since it was indexed.
    """
    starts = regions["start"].to_numpy(np.int64)
    sizes = np.unique(regions["end"].to_numpy(np.int64) - starts)
    if sizes.size != 1 or not inside(genome, regions).all():
        raise ValueError("regions must all have one size and lie on their contig")
    size = int(sizes[0])
    bases = np.empty((starts.size, size), np.uint8)
    chunks = pd.DataFrame({"chrom": regions["chrom"].to_numpy(), "chunk": starts // _CHUNK_SIZE})
    faidx = pyfaidx.Faidx(
        str(genome.path),
        str(genome.index),
        gzi_indexname=str(genome.index.with_suffix(".gzi")),
        as_raw=True,
        rebuild=False,
        build_index=False,
    )
    try:
        for (chrom, chunk), rows in chunks.groupby(["chrom", "chunk"]).indices.items():
            first = chunk * _CHUNK_SIZE
            last = min(first + _CHUNK_SIZE + size, genome.lengths[chrom])
            windows = np.lib.stride_tricks.sliding_window_view(_read(faidx, genome, chrom, first, last), size)
            bases[rows] = windows[starts[rows] - first]
    finally:
        faidx.close()
    return bases


def _read(faidx: pyfaidx.Faidx, genome: Genome, chrom: str, first: int, last: int) -> Bases:
    try:
        text = faidx.fetch(chrom, first + 1, last)  # pyfaidx counts from 1, both ends within
    except (OSError, ValueError, pyfaidx.FetchError, *GZIP_ERRORS) as error:
        raise InputError(genome.source, f"cannot be read at {chrom}:{first}-{last}: {error}", "replace it") from error
    if len(text) != last - first:
        raise InputError(
            genome.source,
            f"gives {len(text)} bases at {chrom}:{first}-{last}",
            f"it is not the file that {genome.index} was made from; delete that index",
        )
    return dna.encode(text)[0]


def has_n(bases: Bases) -> npt.NDArray[np.bool_]:
    """Which sequences hold a base other than A, C, G or T: bases (N, L) -> bool (N,).

    Examples
    --------
    >>> has_n(np.array([[0, 1, 2], [3, 4, 0]], np.uint8)).tolist()
    [False, True]
    """
    return np.asarray((bases > 3).any(axis=1))


def gc_content(bases: Bases) -> npt.NDArray[np.float64]:
    """Share of G and C among a sequence's A, C, G and T: bases (N, L) -> float64 (N,), NaN where there are none.

    Examples
    --------
    >>> gc_content(np.array([[0, 1, 2, 4], [3, 3, 3, 1]], np.uint8)).round(3).tolist()
    [0.667, 0.25]
    """
    known = (bases < 4).sum(axis=1)
    gc = ((bases == 1) | (bases == 2)).sum(axis=1)
    return np.divide(gc, known, out=np.full(len(bases), np.nan), where=known > 0)
