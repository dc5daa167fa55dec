"""Scores of genetic variants: a model's outputs for the reference and the alternative allele, and their difference.

A window of the model's length L has the first base of the record at offset L // 2. The alternative window holds the
same bases before it, then the alternative allele, then the genome that follows the reference allele, as many bases as
fill the window: an insertion pushes the right flank out, a deletion pulls more of it in. Windows that leave the
chromosome are reported, not padded.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import dna
from simbench_tf.dna import CODES, Bases
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.genome import Genome, open_genome
from simbench_tf.genome.chromosomes import other_style
from simbench_tf.genome.fasta import fetch_letters
from simbench_tf.genome.vcf import Record, Unreadable, read_header, read_records, with_info
from simbench_tf.variants.predictor import Predictor, open_predictor

Array = npt.NDArray[np.float32]
Letters = npt.NDArray[np.uint8]


#: What the standard of VCF makes of the IUPAC codes for several bases: the first in the alphabet (4.3, section 1.6.1).
_REDUCED = dict(zip("RYSWKMBDHV", "ACCAGACAAA", strict=True))


#: What is written of each task and allele.
MEASURES = ("ref", "alt", "diff", "logit_diff")
_CHUNK_RECORDS = 2048


class VariantScores(NamedTuple):
    """Counts of a scored VCF, and what could not be scored.

    Attributes
    ----------
    n_records : int
        Lines of the VCF after its header.
    n_scored : int
        Alternative alleles scored; a record may have several.
    rejected : list of str
        ``FILE:LINE: reason`` for each record or allele that was not.
    """

    n_records: int
    n_scored: int
    rejected: list[str]


def score_variants(
    model: Any,
    vcf: str | os.PathLike[str],
    fasta: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    task_names: Sequence[str] | None = None,
    both_strands: bool = False,
    progress: Callable[[int], None] | None = None,
) -> VariantScores:
    """Score the alleles of a VCF with a model and write a table or a VCF.

    Parameters
    ----------
    model : path, str, KipoiModel or keras.Model
        A Kipoi entry (a folder, or SOURCE/NAME), one that was loaded, a .keras file, or a Keras model with input
        (N, L, 4) and output (N, T).
    vcf : path
        Plain or gzip; the reference alleles must be those of `fasta`. Where that has an IUPAC code for several bases,
        REF may have the alphabetically first of them, as the standard of VCF has it, or N; the model then sees REF.
        Alternative alleles are scored one by one.
    fasta : path
        Genome, plain, gzip or bgzip.
    out : path
        ``.tsv``: one row per alternative allele with chrom, pos (from 1), id, ref, alt, and for each task TASK_ref and
        TASK_alt (the model's outputs), TASK_diff (their difference) and TASK_logit_diff (the difference of the logits,
        that is, the log odds ratio; empty where the outputs are no probabilities). ``.vcf``: every line of the input,
        with these as INFO fields SB_TASK_REF, ...
    task_names : sequence of str, optional
        One per output; by default an entry's own, or 0, 1, ...
    both_strands : bool, default False
        Average the outputs, and the logits, for the window and its reverse complement.
    progress : callable, optional
        Called with the number of records done since the last call.

    Returns
    -------
    VariantScores

    Raises
    ------
    InputError
        A file is missing or of the wrong form, no allele could be scored, or `out` cannot be written. Single bad
        records are no error; they are in the result's `rejected`.
    """
    vcf, out = Path(vcf), Path(out)
    if out.suffix not in (".tsv", ".vcf"):
        raise InputError(out, "must end in .tsv or .vcf", "rename the output")
    predictor = open_predictor(model, task_names, both_strands)
    header = read_header(vcf)
    n_records, n_scored, rejected = 0, 0, []
    with tempfile.TemporaryDirectory() as index_dir, whole_file(out) as partial:
        genome = open_genome(fasta, index_dir)
        with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as handle:
            write = _vcf_writer(handle, header, predictor) if out.suffix == ".vcf" else _tsv_writer(handle, predictor)
            for chunk in _chunks(read_records(vcf)):
                scored = _score(chunk, genome, predictor)
                write(scored)
                n_records += len(chunk)
                n_scored += sum(reason is None for one in scored for reason in one.reasons)
                rejected += _rejections(vcf, scored)
                if progress is not None:
                    progress(len(chunk))
        if not n_records:
            raise InputError(vcf, "holds no record", "give a VCF with variants")
        if not n_scored:
            where, _, reason = rejected[0].partition(": ")
            raise InputError(where, f"{reason}; and none of {n_records} records could be scored", "match the files")
    return VariantScores(n_records, n_scored, rejected)


class _Scored(NamedTuple):
    """A line of the VCF with, for each alternative allele, why it was rejected (None if not) and its measures.

    `measures` is float32 (alleles, T, 4), nan where rejected; a line that is no record has one reason and no measure.
    """

    record: Record | Unreadable
    reasons: list[str | None]
    measures: Array


def _chunks(records: Iterable[Record | Unreadable]) -> Iterator[list[Record | Unreadable]]:
    records = iter(records)
    while chunk := list(itertools.islice(records, _CHUNK_RECORDS)):
        yield chunk


def _score(chunk: list[Record | Unreadable], genome: Genome, predictor: Predictor) -> list[_Scored]:
    length, n_tasks = predictor.seq_length, len(predictor.task_names)
    reasons = [_reasons(record, genome, length) for record in chunk]
    windows = _genome_windows(chunk, reasons, genome, length)
    stack: list[Bases] = []
    alleles: list[tuple[int, int, int, int]] = []  # row of the chunk, allele, rows of reference and alternative
    for row, window in windows.items():
        record = chunk[row]
        assert isinstance(record, Record)
        found = window[length // 2 : length // 2 + len(record.ref)].tobytes().decode()
        if not _stands_for(found, record.ref):
            reasons[row] = [f"REF is {record.ref}, the FASTA has {found}"] * len(record.alts)
            continue
        reference = len(stack)
        stack.append(_with_allele(window, record.ref, record.ref, length))
        for allele, alt in enumerate(record.alts):
            if reasons[row][allele] is None:
                alleles.append((row, allele, reference, len(stack)))
                stack.append(_with_allele(window, record.ref, alt, length))
    measures = [np.full((len(each), n_tasks, len(MEASURES)), np.nan, np.float32) for each in reasons]
    if alleles:
        outputs, logits = predictor.predict(np.stack(stack))
        for row, allele, ref, alt_row in alleles:
            changes = (outputs[alt_row] - outputs[ref], logits[alt_row] - logits[ref])
            measures[row][allele] = np.stack([outputs[ref], outputs[alt_row], *changes], axis=1)
    return [_Scored(*each) for each in zip(chunk, reasons, measures, strict=True)]


def _reasons(record: Record | Unreadable, genome: Genome, length: int) -> list[str | None]:
    """Why each allele cannot be scored, as far as the record and the genome's index show."""
    if isinstance(record, Unreadable):
        return [record.reason]
    problem = _record_problem(record, genome, length)
    if problem:
        return [problem] * len(record.alts)
    room = genome.lengths[record.chrom] - record.position - (length - length // 2)
    return [_allele_problem(alt, record.ref, length, room) for alt in record.alts]


def _record_problem(record: Record, genome: Genome, length: int) -> str | None:
    if record.chrom not in genome.lengths:
        other = other_style(record.chrom)
        hint = f", which has {other}" if other in genome.lengths else ""
        return f"chromosome {record.chrom} is not in the FASTA{hint}"
    if not re.fullmatch("[ACGTN]+", record.ref):
        return f"REF {record.ref[:20]!r} is no DNA"
    if len(record.ref) > length - length // 2:
        return f"REF of {len(record.ref)} bases does not fit the right half of a window of {length}"
    start = record.position - length // 2
    if start < 0 or start + length > genome.lengths[record.chrom]:
        return f"the window of {length} bases leaves {record.chrom} of {genome.lengths[record.chrom]}"
    return None


def _allele_problem(alt: str, ref: str, length: int, room: int) -> str | None:
    if alt in (".", "*", ""):
        return f"ALT {alt!r} is no allele"
    if not re.fullmatch("[ACGTN]+", alt):
        return f"ALT {alt[:20]!r} is symbolic or no DNA"
    if alt == ref:
        return f"ALT {alt[:20]} is REF"
    if len(alt) > length - length // 2:
        return f"ALT of {len(alt)} bases does not fit the right half of a window of {length}"
    if len(ref) - len(alt) > room:
        return "the window leaves the chromosome when it is filled up for the deleted bases"
    return None


def _genome_windows(
    chunk: list[Record | Unreadable], reasons: list[list[str | None]], genome: Genome, length: int
) -> dict[int, Letters]:
    """Letters of each record with an allele to score, in order: a window and what its longest deletion pulls in."""
    rows = []
    for row, record in enumerate(chunk):
        alts = [alt for alt, reason in zip(getattr(record, "alts", []), reasons[row], strict=False) if reason is None]
        if isinstance(record, Record) and alts:
            more = max(0, *(len(record.ref) - len(alt) for alt in alts))
            start = record.position - length // 2
            rows.append((row, record.chrom, start, start + length + more, more))
    table = pd.DataFrame(rows, columns=["row", "chrom", "start", "end", "more"])
    windows: dict[int, Letters] = {}
    for _, same_size in table.groupby("more"):
        windows.update(zip(same_size["row"].tolist(), fetch_letters(genome, same_size), strict=True))
    return dict(sorted(windows.items()))


def _with_allele(window: Letters, ref: str, alt: str, length: int) -> Bases:
    """Bases, (length,), of a window of letters with an allele in the place of the reference one."""
    half = length // 2
    bases = CODES[window]
    return np.concatenate([bases[:half], dna.encode(alt)[0], bases[half + len(ref) :]])[:length]


def _stands_for(letters: str, ref: str) -> bool:
    """Whether REF is what VCF makes of letters of a FASTA file; N stands for any code of several bases."""
    return all(
        theirs == own or (own in _REDUCED and theirs in (_REDUCED[own], "N"))
        for own, theirs in zip(letters, ref, strict=True)
    )


def _rejections(vcf: Path, scored: list[_Scored]) -> list[str]:
    """One line per allele, but one per record where the reason is the record's."""
    lines = [
        str(InputError(f"{vcf}:{one.record.line}", reason))
        for one in scored
        for reason in one.reasons
        if reason is not None
    ]
    return list(dict.fromkeys(lines))


# output


def _tsv_writer(handle: TextIO, predictor: Predictor) -> Callable[[list[_Scored]], None]:
    columns = [f"{task}_{measure}" for task in predictor.task_names for measure in MEASURES]
    handle.write("\t".join(["chrom", "pos", "id", "ref", "alt", *columns]) + "\n")

    def write(scored: list[_Scored]) -> None:
        for record, reasons, measures in scored:
            for allele, reason in enumerate(reasons):
                if reason is None:
                    assert isinstance(record, Record)
                    locus = (record.chrom, record.position + 1, record.identifier, record.ref, record.alts[allele])
                    handle.write(
                        "\t".join([*map(str, locus), *(_number(value) for value in measures[allele].ravel())]) + "\n"
                    )

    return write


def _vcf_writer(handle: TextIO, header: list[str], predictor: Predictor) -> Callable[[list[_Scored]], None]:
    keys = [f"SB_{re.sub('[^0-9A-Za-z_.]', '_', task)}" for task in predictor.task_names]
    if len(set(keys)) < len(keys):
        raise InputError("task names", f"{predictor.task_names} give the same INFO keys", "write a .tsv")
    descriptions = {
        "ref": ("1", "Output for the reference allele"),
        "alt": ("A", "Output for the alternative allele"),
        "diff": ("A", "Alternative less reference output"),
        "logit_diff": ("A", "Alternative less reference logit"),
    }
    lines = [
        f'##INFO=<ID={key}_{measure.upper()},Number={number},Type=Float,Description="{text}, task {task}">'
        for key, task in zip(keys, predictor.task_names, strict=True)
        for measure, (number, text) in descriptions.items()
    ]
    handle.write("\n".join([*header[:-1], *lines, header[-1]]) + "\n")

    def write(scored: list[_Scored]) -> None:
        for record, reasons, measures in scored:
            scorable = [reason is None for reason in reasons]
            info = _info(keys, measures, scorable.index(True)) if any(scorable) else ""
            handle.write((with_info(record.fields, info) if info else "\t".join(record.fields)) + "\n")

    return write


def _info(keys: list[str], measures: Array, first: int) -> str:
    """INFO fields of a record: one reference value, of the first allele scored; the others one per allele."""
    parts = []
    for task, key in enumerate(keys):
        parts.append(f"{key}_REF={_number(measures[first, task, 0], '.')}")
        for column, measure in enumerate(MEASURES[1:], 1):
            parts.append(
                f"{key}_{measure.upper()}={','.join(_number(value, '.') for value in measures[:, task, column])}"
            )
    return ";".join(parts)


def _number(value: np.float32, missing: str = "") -> str:
    return missing if np.isnan(value) else f"{value:.6g}"
