"""Attributions of any FASTA or BED with a genome by any model, without a run: one .npz, or a bigWig track.

What is read first is checked first: nothing is computed for a file that could not be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import Bases, one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.genome import check_chromosomes, fetch, inside, open_genome, read_peaks, regions_at
from simbench_tf.interchange.export_attributions import genome_stretches, write_bigwig
from simbench_tf.parallel import Track, silent

#: Sequences that are one-hot encoded and explained at a time.
_CHUNK_SEQUENCES = 256
_LOCUS = re.compile(r"(?P<chrom>\S+):(?P<start>\d+)-(?P<end>\d+)")
_TRACKS = (".bw", ".bigwig")


class Sequences(NamedTuple):
    """Sequences to explain.

    Attributes
    ----------
    seq_ids : list of str
    bases : uint8 array, shape (N, L)
    loci : DataFrame, or None
        Columns chrom and start, 0-based, where all have a place in a genome.
    lengths : dict of str to int, or None
        Of the genome's chromosomes, where it is known.
    """

    seq_ids: list[str]
    bases: Bases
    loci: pd.DataFrame | None
    lengths: Mapping[str, int] | None = None


def read_fasta(path: Path, seq_length: int | None = None) -> Sequences:
    r"""Read sequences of one length from a FASTA file; names like ``chr1:100-300`` are their places in a genome.

    Parameters
    ----------
    path : Path
        Plain, gzip or bgzip.
    seq_length : int, optional
        Bases that the model takes; by default those of the first sequence.

    Raises
    ------
    InputError
        The file is no FASTA, or a sequence has another length.

    Examples
    --------
    >>> import tempfile
    >>> fasta = Path(tempfile.mkdtemp()) / "s.fa"
    >>> _ = fasta.write_text(">chr2:10-14\nACGT\n>chr2:40-44\nGGGG\n")
    >>> read_fasta(fasta).loci.to_numpy().tolist()
    [['chr2', 10], ['chr2', 40]]
    """
    genome = open_genome(path)
    names = list(genome.lengths)
    length = next(iter(genome.lengths.values())) if seq_length is None else seq_length
    for name, found in genome.lengths.items():
        if found != length:
            whose = "the first sequence" if seq_length is None else "the model"
            mend = "cut all to one length, centred on what is looked at"
            raise InputError(f"{path}: {name}", f"has {found} bases, {whose} {length}", mend)
    bases = fetch(genome, pd.DataFrame({"chrom": names, "start": 0, "end": length}))
    return Sequences(names, bases, loci_of(names, length))


def loci_of(seq_ids: Iterable[str], length: int) -> pd.DataFrame | None:
    """Places of sequences that are named CHROM:START-END, as bedtools (from 0) or samtools (from 1) count.

    Which of the two it is follows from their length. None where a name is of another form, or fits neither.

    Examples
    --------
    >>> loci_of(["chr1:100-104"], 4).to_numpy().tolist(), loci_of(["chr1:101-104"], 4).to_numpy().tolist()
    ([['chr1', 100]], [['chr1', 100]])
    >>> loci_of(["chr1:100-104", "peak 7"], 4) is None
    True
    """
    rows = []
    for seq_id in seq_ids:
        match = _LOCUS.fullmatch(seq_id)
        if match is None:
            return None
        start, end = int(match["start"]), int(match["end"])
        if end - start not in (length, length - 1):
            return None
        rows.append((match["chrom"], start - (length - (end - start))))
    return pd.DataFrame(rows, columns=["chrom", "start"])


def read_bed(path: Path, genome_path: Path, seq_length: int) -> Sequences:
    """Read the sequences around the summits, or middles, of the intervals of a BED or narrowPeak file.

    Parameters
    ----------
    path, genome_path : Path
    seq_length : int
        Bases that the model takes.

    Raises
    ------
    InputError
        A file cannot be read, or a region reaches beyond its chromosome.
    """
    peaks, genome = read_peaks(path), open_genome(genome_path)
    regions = regions_at(peaks["chrom"], peaks["summit"], seq_length)
    check_chromosomes(peaks, genome, path)
    outside = ~inside(genome, regions)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        what = f"{seq_length} bases around {peaks['chrom'][first]}:{peaks['summit'][first]} are not in {genome_path}"
        raise InputError(f"{path}:{peaks['line'][first]}", what, "leave the line out, or give the peaks' own genome")
    seq_ids = [f"{row.chrom}:{row.start}-{row.end}" for row in regions.itertuples()]
    return Sequences(seq_ids, fetch(genome, regions), regions[["chrom", "start"]], genome.lengths)


def attribute_sequences(
    model: Any,
    sequences: Sequences,
    method: str,
    out: Path,
    *,
    target: int = 0,
    references: str | None = None,
    output: str = "logit",
    random_state: int = 0,
    settings: Mapping[str, Any] | None = None,
    track: Track = silent,
) -> Path:
    """Attribute sequences and write them: `out` ends in .npz, .bw or .bigwig.

    An .npz holds ``seq_id``, text (N,), ``scores``, float32 (N, L), ``contributions``, float32 (N, L, 4), and
    ``hypothetical``, the same, where the method gives them. A track holds the scores along the genome; where sequences
    overlap, their mean.

    Raises
    ------
    InputError
        The file's ending is another, sequences have no place in a genome, or `attribute` raises one.
    """
    from simbench_tf.attribution import attribute

    ending = out.suffix.lower()
    if ending not in (".npz", *_TRACKS):
        raise InputError(out, "has another ending than .npz, .bw or .bigwig", "choose one of these")
    if ending in _TRACKS and sequences.loci is None:
        what = "needs sequences with a place in a genome, and not all are named CHROM:START-END"
        raise InputError(out, what, "name them so, give --bed and --genome, or write .npz")
    found: dict[str, list[npt.NDArray[np.float32]]] = {"scores": [], "contributions": [], "hypothetical": []}
    with track(f"attribute {method}", len(sequences.bases)) as advance:
        for first in range(0, len(sequences.bases), _CHUNK_SEQUENCES):
            chunk = one_hot(sequences.bases[first : first + _CHUNK_SEQUENCES])
            made = attribute(model, chunk, method, target, references, random_state, output, **(settings or {}))  # type: ignore[arg-type]
            for name, kept in found.items():
                if (array := getattr(made, name)) is not None and not (ending in _TRACKS and name != "scores"):
                    kept.append(array)
            advance(len(chunk))
    arrays = {name: np.concatenate(kept) for name, kept in found.items() if kept}
    if ending in _TRACKS:
        _write_track(out, sequences, arrays["scores"])
    else:
        named: dict[str, Any] = {"seq_id": np.array(sequences.seq_ids), **arrays}
        with whole_file(out) as partial:
            np.savez_compressed(partial, **named)
    return out


def _write_track(out: Path, sequences: Sequences, scores: npt.NDArray[np.float32]) -> None:
    assert sequences.loci is not None, "attribute_sequences has checked it"
    chrom, start = sequences.loci["chrom"].to_numpy(object), sequences.loci["start"].to_numpy(np.int64)
    lengths = sequences.lengths
    if lengths is None:  # of a FASTA of pieces the genome is not known: chromosomes end with the last piece
        lengths = (sequences.loci.groupby("chrom")["start"].max() + scores.shape[1]).to_dict()
    write_bigwig(out, {name: int(length) for name, length in lengths.items()}, genome_stretches(chrom, start, scores))
