"""A genome in FASTA: opening it, its index, and the bases of regions."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import CODES, Bases
from simbench_tf.errors import InputError
from simbench_tf.files import GZIP_ERRORS, check_expansion, damaged_gzip, is_gzip, whole_file
from simbench_tf.genome.bgzf import ReadAt, ends_whole, is_bgzf, open_bytes
from simbench_tf.genome.fasta_index import (
    CASED_LETTER_OF,
    LETTER_OF,
    Records,
    index_fasta,
    read_index,
    read_letters,
    write_index,
)

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
        Its .fai index.
    records : dict of str to Record
        What the index says of each contig, in the file's order.
    """

    source: Path
    path: Path
    index: Path
    records: Records

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Bases of each contig, in the file's order."""
        return {name: record.length for name, record in self.records.items()}


def open_genome(path: str | os.PathLike[str], index_dir: str | os.PathLike[str] | None = None) -> Genome:
    r"""Index a FASTA file (plain, gzip or bgzip) for `fetch`.

    The index (.fai, as of samtools) goes beside the file, or into `index_dir` where that folder can't be written. One
    that is there is used if it describes the file: each record's header stands where it must, and nothing else does;
    otherwise it is made anew. Plain gzip has no random access, so such a file is decompressed once, into that folder.

    Letters are A, C, G, T, N and the other IUPAC codes of nucleotides in either case, U counting as T; anything else is
    an error.

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
        The file is missing, empty, no FASTA, cut short or damaged, or can't be indexed anywhere.

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
    folder = _writable_folder(source, index_dir)
    read_from = source
    if is_bgzf(source):
        if not ends_whole(source):
            raise damaged_gzip(source)
    elif is_gzip(source):
        read_from = _decompressed(source, folder)
    return _indexed(source, read_from, folder)


def _writable_folder(source: Path, index_dir: str | os.PathLike[str] | None) -> Path | None:
    # root may write anywhere; a folder without a write bit is left as it is all the same
    if os.access(source.parent, os.W_OK) and source.parent.stat().st_mode & 0o222:
        return source.parent
    return None if index_dir is None else Path(index_dir)


def _read_only(source: Path) -> InputError:
    return InputError(source, "its folder is read-only and holds no index that fits", "name a folder for the index")


def _decompressed(source: Path, folder: Path | None) -> Path:
    name = source.stem if Path(source.stem).suffix else source.stem + ".fa"
    copies = [parent / f"{name}.decompressed.fa" for parent in (source.parent, folder) if parent is not None]
    for copy in copies:
        # the copy has its source's time, so that another source is noticed whichever of the two is older
        if copy.is_file() and int(copy.stat().st_mtime) == int(source.stat().st_mtime):
            return copy
    if folder is None:
        raise _read_only(source)
    with whole_file(copies[-1]) as partial:
        try:
            with gzip.open(source, "rb") as packed, partial.open("wb") as plain:
                while block := packed.read(_CHUNK_SIZE):
                    plain.write(block)
                    check_expansion(source, plain.tell())
        except GZIP_ERRORS as error:
            raise damaged_gzip(source) from error
        if partial.stat().st_size == 0:
            raise InputError(source, "is empty", "give a FASTA file")
        times = source.stat()
        os.utime(partial, ns=(times.st_atime_ns, times.st_mtime_ns))
    return copies[-1]


def _indexed(source: Path, read_from: Path, folder: Path | None) -> Genome:
    """The genome with the index that lies beside `read_from` or in `folder`, or else is made there."""
    name = f"{read_from.name}.fai"
    with open_bytes(read_from) as read_at:
        for parent in dict.fromkeys((read_from.parent, folder)):
            if parent is not None and (records := read_index(parent / name, read_at)):
                return Genome(source, read_from, parent / name, records)
    if folder is None:
        raise _read_only(source)
    records = index_fasta(read_from, source)
    write_index(records, folder / name)
    return Genome(source, read_from, folder / name, records)


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
        0-3 for A C G T (soft-masked bases count as such, U as T), 4 for any other nucleotide letter; rows in the order
        of `regions`.

    Raises
    ------
    ValueError
        The regions differ in size or leave their contig.
    InputError
        The file is damaged, changed since it was indexed, or holds a character that is no nucleotide letter there.
    """
    return CODES[fetch_letters(genome, regions)]


def fetch_letters(genome: Genome, regions: pd.DataFrame) -> npt.NDArray[np.uint8]:
    r"""The letters of many regions of one size, uint8 (N, L): as `fetch`, but upper-case ASCII with all IUPAC codes.

    Examples
    --------
    >>> import tempfile
    >>> fasta = Path(tempfile.mkdtemp()) / "g.fa"
    >>> _ = fasta.write_text(">chr1\nACGURacgu\n")
    >>> fetch_letters(open_genome(fasta), pd.DataFrame({"chrom": ["chr1"], "start": [2], "end": [7]})).tobytes()
    b'GTRAC'
    """
    return _fetch(genome, regions, LETTER_OF)


def soft_masked(genome: Genome, regions: pd.DataFrame) -> npt.NDArray[np.bool_]:
    r"""Which bases of regions of one size are soft-masked, lower-case letters as of RepeatMasker: bool (N, L).

    Examples
    --------
    >>> import tempfile
    >>> fasta = Path(tempfile.mkdtemp()) / "g.fa"
    >>> _ = fasta.write_text(">chr1\nACGTacgt\n")
    >>> soft_masked(open_genome(fasta), pd.DataFrame({"chrom": ["chr1"], "start": [2], "end": [6]})).tolist()
    [[False, False, True, True]]
    """
    return np.asarray(_fetch(genome, regions, CASED_LETTER_OF) >= ord("a"))


def read_stretch(genome: Genome, chrom: str, first: int, last: int) -> tuple[Bases, npt.NDArray[np.bool_]]:
    """Bases `first` to `last` of a contig, uint8 (last - first,), and which of them are soft-masked."""
    with open_bytes(genome.path) as read_at:
        letters = _read(read_at, genome, chrom, first, last, CASED_LETTER_OF)
    return CODES[letters], letters >= ord("a")


def _fetch(genome: Genome, regions: pd.DataFrame, letter_of: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    starts = regions["start"].to_numpy(np.int64)
    sizes = np.unique(regions["end"].to_numpy(np.int64) - starts)
    if sizes.size != 1 or not inside(genome, regions).all():
        raise ValueError("regions must all have one size and lie on their contig")
    size = int(sizes[0])
    letters = np.empty((starts.size, size), np.uint8)
    chunks = pd.DataFrame({"chrom": regions["chrom"].to_numpy(), "chunk": starts // _CHUNK_SIZE})
    with open_bytes(genome.path) as read_at:
        for (chrom, chunk), rows in chunks.groupby(["chrom", "chunk"]).indices.items():
            first = int(chunk) * _CHUNK_SIZE
            last = min(first + _CHUNK_SIZE + size, genome.lengths[chrom])
            windows = np.lib.stride_tricks.sliding_window_view(
                _read(read_at, genome, chrom, first, last, letter_of), size
            )
            letters[rows] = windows[starts[rows] - first]
    return letters


def _read(
    read_at: ReadAt, genome: Genome, chrom: str, first: int, last: int, letter_of: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    try:
        letters = read_letters(read_at, genome.records[chrom], first, last, letter_of)
    except OSError as error:
        raise InputError(genome.source, f"cannot be read at {chrom}:{first}-{last}: {error}", "replace it") from error
    if not letters.all():
        position = first + int((letters == 0).argmax()) + 1
        raise InputError(
            genome.source,
            f"has no nucleotide letter where base {position} of {chrom} should be",
            f"correct it, or delete {genome.index} if that was made from another file",
        )
    return letters


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
