"""Chromosome names: chr1 against 1, and one line about names that a genome lacks."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pandas as pd

from simbench_tf.errors import InputError, close_to
from simbench_tf.genome.fasta import Genome

_MITOCHONDRION = {"chrM": "MT", "MT": "chrM"}


def other_style(name: str) -> str:
    """The name of a chromosome in the other of the two styles: UCSC's, with chr, and Ensembl's, without.

    Examples
    --------
    >>> [other_style(name) for name in ("chr1", "X", "chrM", "MT")]
    ['1', 'chrX', 'MT', 'chrM']
    """
    plain = name.removeprefix("chr")
    return _MITOCHONDRION.get(name) or (plain if plain != name else f"chr{name}")


def unknown_chromosome(name: str, known: Iterable[str], whose: str) -> tuple[str, str]:
    """What to say of a chromosome that is not among those known, and how to mend it.

    Parameters
    ----------
    name : str
    known : iterable of str
        Names that there are.
    whose : str
        What has these: a file, or words such as "the genome".

    Returns
    -------
    what, mend : str
        The mend is empty where nothing like the name is known.

    Examples
    --------
    >>> unknown_chromosome("1", ["chr1", "chr2"], "hg38.fa")
    ("chromosome '1' is not in hg38.fa, which calls it 'chr1'", "write its chromosomes with 'chr', as hg38.fa does")
    >>> unknown_chromosome("chr22", ["chr2"], "the genome")
    ("chromosome 'chr22' is not in the genome", 'did you mean chr2?')
    """
    names = list(known)
    what, twin = f"chromosome {name!r} is not in {whose}", other_style(name)
    if twin in names:
        style = "with" if twin.startswith("chr") else "without"
        return f"{what}, which calls it {twin!r}", f"write its chromosomes {style} 'chr', as {whose} does"
    close = close_to(name, names)
    return what, f"did you mean {close}?" if close else ""


def check_chromosomes(peaks: pd.DataFrame, genome: Genome, path: str | os.PathLike[str]) -> None:
    """Check that the chromosomes of peaks read from `path` are contigs of the genome.

    Raises
    ------
    InputError
        Naming the first line whose chromosome the genome lacks, and what the genome calls it, or the nearest name.
    """
    unknown = peaks[~peaks["chrom"].isin(list(genome.lengths))]
    if len(unknown):
        raise _refused(unknown, genome, path)


def on_contigs(regions: pd.DataFrame, genome: Genome, path: str | os.PathLike[str]) -> pd.DataFrame:
    """Those of the regions read from `path` that lie on a contig of the genome.

    For files of a whole assembly, such as blacklists, beside a genome that holds some of its chromosomes.

    Raises
    ------
    InputError
        The genome has none of their chromosomes, or calls one otherwise (chr1 against 1).
    """
    names = list(genome.lengths)
    known = regions["chrom"].isin(names)
    otherwise = ~known & regions["chrom"].map(other_style).isin(names)
    if otherwise.any() or not known.any():
        raise _refused(regions[otherwise if otherwise.any() else ~known], genome, path)
    return regions[known].reset_index(drop=True)


def _refused(lines: pd.DataFrame, genome: Genome, path: str | os.PathLike[str]) -> InputError:
    first, names = lines.iloc[0], list(genome.lengths)
    what, mend = unknown_chromosome(first["chrom"], names, str(genome.source))
    if other_style(first["chrom"]) not in names:
        near = close_to(first["chrom"], names) or f"{', '.join(names[:3])}, ..."
        mend = f"drop these lines or give their genome; it has {near}"
    return InputError(f"{path}:{first['line']}", f"{what} ({len(lines)} such lines)", mend)
