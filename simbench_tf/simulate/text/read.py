"""Sequences simulated elsewhere, read with their sites from the three-column text of the paper's own code.

A task has a file of positives and one of negatives; see `_paper_text` for what a line holds. `plan_text` reads them all
and decides labels, splits and motifs; `take` cuts any stretch out of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from simbench_tf.config import Splits, TextSimulation
from simbench_tf.dna import decode, reverse_complement
from simbench_tf.dna.arrow import text_column
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, find_motif, load_motifs
from simbench_tf.motifs.files import motif_of_counts
from simbench_tf.random_streams import permutation, uniforms
from simbench_tf.simulate.drawn import Drawn
from simbench_tf.simulate.peaks.regions import assign_splits, check_splits
from simbench_tf.simulate.peaks.scanning import composition
from simbench_tf.simulate.text.paper_format import PaperText, read_paper_text
from simbench_tf.tables import SITES_SCHEMA, sequence_schema

Bases = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
_LOCUS = re.compile(r"(\S+):(\d{1,12})-(\d{1,12})", re.ASCII)


class TextPlan(NamedTuple):
    """All that was read, in the order of the data set.

    Attributes
    ----------
    tasks : tuple of str
    sequences : DataFrame
        seq_id, chrom, start, end, split and one uint8 label column per task; N rows.
    bases : uint8, shape (N, L)
    sites : DataFrame
        Sorted by row and start: row, motif (index into `motifs`), start, end, minus, score, pvalue.
    motifs : list of Motif
    notes : dict
        Entries of dataset.json beside the counts: the composition, and how each file counts positions.
    """

    tasks: tuple[str, ...]
    sequences: pd.DataFrame
    bases: Bases
    sites: pd.DataFrame
    motifs: list[Motif]
    notes: dict[str, Any]


def plan_text(simulation: TextSimulation, seed: int) -> TextPlan:
    r"""Read every file, and decide labels, splits and motifs.

    A sequence that several files name is one sequence, and has to have the same bases and sites in all; it is a
    positive of the tasks whose positives name it and a negative of the others. Where every id is ``chrom:start-end``
    and as long as the sequences, these are their loci in a genome, and sequences that overlap there share a split.
    The order is drawn by the seed, so that part files hold positives and negatives alike.

    Parameters
    ----------
    simulation : TextSimulation
        The `simulation` block of a configuration.
    seed : int
        Chooses splits and order.

    Returns
    -------
    TextPlan

    Raises
    ------
    InputError
        A file or setting is at fault; a name means two sequences, or a positive and a negative of one task; no sequence
        has a site; a motif is not found or of another width; a split lacks positives or negatives of a task.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> lines = [f"s{i}\tTTGATAAC\tGATA_pos-True_2-6_9.5_1e-4_0.03_GATA\n" for i in range(20)]
    >>> _ = (folder / "pos.txt").write_text("".join(lines))
    >>> _ = (folder / "neg.txt").write_text("".join(f"n{i}\tACGTACGT\t\n" for i in range(20)))
    >>> files = {"positives": {"K562": folder / "pos.txt"}, "negatives": folder / "neg.txt"}
    >>> plan = plan_text(TextSimulation(kind="text", splits={"valid": 0, "test": 0.3}, **files), seed=1)
    >>> len(plan.sequences), [motif.tf for motif in plan.motifs], plan.notes["files"][0]["coordinates"]
    (40, ['GATA'], '0-based, half-open')
    >>> take(plan, 0, 40).sites["matched"].to_pylist() == 20 * ["GATA"]
    True
    """
    tasks = list(simulation.positives)
    paths = [simulation.positives[task] for task in tasks] + [simulation.negatives[task] for task in tasks]
    texts = {path: read_paper_text(path) for path in dict.fromkeys(paths)}
    rows, bases, sites, widths = _pooled(list(texts.values()))
    sequences = pd.DataFrame({"seq_id": list(rows)}, dtype=object)
    for task in tasks:
        positives, negatives = texts[simulation.positives[task]], texts[simulation.negatives[task]]
        sequences[task] = _labels(rows, positives, negatives)
    sequences = pd.concat([sequences, _loci(sequences["seq_id"], bases.shape[1], simulation.splits)], axis=1)
    sequences["split"] = _split(sequences, simulation.splits, seed)
    check_splits(sequences, tasks, simulation.splits)
    motifs, numbers = _motifs(simulation.motifs, widths, bases, sites)
    order = permutation(seed, "text: order", len(sequences))
    row_of = np.argsort(order)
    sites = sites.assign(row=row_of[sites["row"].to_numpy()], motif=numbers[sites["motif"].to_numpy()])
    return TextPlan(
        tasks=tuple(tasks),
        sequences=sequences.iloc[order].reset_index(drop=True),
        bases=bases[order],
        sites=sites.sort_values(["row", "start"], kind="stable", ignore_index=True),
        motifs=motifs,
        notes={"background": composition(bases).tolist(), "files": _file_notes(simulation, texts)},
    )


def take(plan: TextPlan, start: int, stop: int) -> Drawn:
    """Sequences start..stop of a plan, and their sites, as tables of the data set."""
    sequences, bases = plan.sequences.iloc[start:stop], plan.bases[start:stop]
    schema = sequence_schema(plan.tasks)
    columns = {
        field.name: text_column(bases)
        if field.name == "sequence"
        else pa.array(sequences[field.name], field.type, from_pandas=True)
        for field in schema
    }
    first, last = np.searchsorted(plan.sites["row"].to_numpy(), [start, stop])
    sites = plan.sites.iloc[first:last]
    row, motif = sites["row"].to_numpy() - start, sites["motif"].to_numpy()
    texts, ids = decode(bases), np.array([motif.motif_id for motif in plan.motifs], object)[motif]
    values = {
        "seq_id": sequences["seq_id"].to_numpy()[row],
        "motif": ids,
        "tf": np.array([motif.tf for motif in plan.motifs], object)[motif],
        **{name: sites[name].to_numpy() for name in ("start", "end", "score", "pvalue")},
        "strand": np.where(sites["minus"], "-", "+"),
        "matched": [texts[i][a:b] for i, a, b in zip(row, sites["start"], sites["end"], strict=True)],
        "element": ids,
    }
    arrays = [pa.array(values[field.name]).cast(field.type) for field in SITES_SCHEMA]
    return Drawn(pa.table(columns, schema=schema), pa.table(arrays, schema=SITES_SCHEMA))


def _pooled(texts: Sequence[PaperText]) -> tuple[dict[str, int], Bases, pd.DataFrame, dict[str, int]]:
    """Every sequence once: the row of each id, bases, sites, and the width of each motif in the order of its number."""
    first: dict[str, tuple[PaperText, int]] = {}
    widths: dict[str, int] = {}
    bases, sites = [], []
    for text in texts:
        new = []
        for row, seq_id in enumerate(text.seq_ids):
            before, other = first.setdefault(seq_id, (text, row))
            if before.contents[other] != text.contents[row]:
                what = f"{seq_id} has another sequence or other sites than in {before.path}:{before.lines[other]}"
                mend = "rename it, or give each task a run of its own"
                raise InputError(f"{text.path}:{text.lines[row]}", what, mend)
            if before is text:
                new.append(row)
        fresh = np.full(len(text.seq_ids), -1, np.int64)
        fresh[new] = np.arange(len(first) - len(new), len(first))
        for motif, width in text.motifs.items():
            if widths.setdefault(motif, width) != width:
                what = f"sites of {motif} cover {width} bases, in another file {widths[motif]}"
                raise InputError(text.path, what, "give motifs of another width another name")
        if text.bases.shape[1] != texts[0].bases.shape[1]:
            what = f"its sequences have {text.bases.shape[1]} bases, those of {texts[0].path} {texts[0].bases.shape[1]}"
            raise InputError(text.path, what, "give sequences of one length")
        names = list(widths)
        numbers = np.array([names.index(motif) for motif in text.motifs], np.int64)
        own = text.sites[fresh[text.sites["row"].to_numpy()] >= 0]
        sites.append(own.assign(row=fresh[own["row"].to_numpy()], motif=numbers[own["motif"].to_numpy()]))
        bases.append(text.bases[fresh >= 0])
    if not widths:
        raise InputError(
            "simulation.positives", "no sequence has a site, so there is no truth", "give files with sites"
        )
    rows = {seq_id: row for row, seq_id in enumerate(first)}
    return rows, np.concatenate(bases), pd.concat(sites, ignore_index=True), widths


def _labels(rows: Mapping[str, int], positives: PaperText, negatives: PaperText) -> npt.NDArray[np.uint8]:
    """Labels of a task, uint8 (N,)."""
    labels = np.zeros(len(rows), np.uint8)
    labels[[rows[seq_id] for seq_id in positives.seq_ids]] = 1
    for seq_id, line in zip(negatives.seq_ids, negatives.lines, strict=True):
        if labels[rows[seq_id]]:
            other = positives.lines[positives.seq_ids.index(seq_id)]
            what = f"{seq_id} is a negative here and a positive in {positives.path}:{other}"
            raise InputError(f"{negatives.path}:{line}", what, "drop one of them")
    return labels


def _loci(seq_ids: pd.Series, length: int, splits: Splits) -> pd.DataFrame:
    """Columns chrom, start, end: as the ids say, or missing where any of them is no locus of a sequence."""
    matches = [_LOCUS.fullmatch(seq_id) for seq_id in seq_ids]
    loci = [(match[1], int(match[2]), int(match[3])) for match in matches if match is not None]
    located = len(loci) == len(matches) and all(end - start == length for _, start, end in loci)
    if not located and splits.chromosomes is not None:
        what = f"the ids of the sequences are not all chrom:start-end over {length} bases"
        raise InputError("simulation.splits.chromosomes", what, "give fractions, or such ids")
    columns = ["chrom", "start", "end"]
    return pd.DataFrame(loci, columns=columns) if located else pd.DataFrame(None, seq_ids.index, columns, object)


def _split(sequences: pd.DataFrame, splits: Splits, seed: int) -> npt.NDArray[np.object_]:
    """The split of each sequence: by chromosomes or groups of overlaps where these are known, else one by one."""
    if sequences["chrom"].notna().all():
        return assign_splits(sequences, splits, seed, list(sequences["chrom"].unique()))
    draws = uniforms(seed, "text: splits", np.arange(len(sequences)))[:, 0]
    names = np.select([draws < splits.test, draws < splits.test + splits.valid], ["test", "valid"], "train")
    return names.astype(object)


def _motifs(
    source: str | None, widths: Mapping[str, int], bases: Bases, sites: pd.DataFrame
) -> tuple[list[Motif], Integers]:
    """The motifs of the data set, and for each of the names that sites bear, which it is."""
    if source is None:
        return [
            _counted(name, bases, sites[sites["motif"] == number]) for number, name in enumerate(widths)
        ], np.arange(len(widths))
    known = load_motifs(source)
    found: dict[str, Motif] = {}
    numbers = []
    for name, width in widths.items():
        try:
            motif = find_motif(known, name)
        except InputError as error:
            raise InputError("simulation.motifs", f"{name}: {error.what}", error.mend) from error
        if len(motif.ppm) != width:
            what = f"{motif.motif_id} has {len(motif.ppm)} positions, sites of {name} cover {width} bases"
            raise InputError("simulation.motifs", what, "give the motifs the sites were found with, or none")
        found.setdefault(motif.motif_id, motif)
        numbers.append(list(found).index(motif.motif_id))
    return list(found.values()), np.array(numbers, np.int64)


def _counted(name: str, bases: Bases, sites: pd.DataFrame) -> Motif:
    """A motif from its sites, read along it and counted; an N counts a quarter for each base."""
    start, end = (sites[column].to_numpy() for column in ("start", "end"))
    words = bases[sites["row"].to_numpy()[:, None], start[:, None] + np.arange(end[0] - start[0])]
    minus = sites["minus"].to_numpy()
    words[minus] = reverse_complement(words[minus])
    counts = np.stack([(words == base).sum(axis=0) for base in range(5)], axis=1)
    return motif_of_counts(name, name, counts[:, :4] + counts[:, 4:] / 4)


def _file_notes(simulation: TextSimulation, texts: Mapping[Path, PaperText]) -> list[dict[str, Any]]:
    return [
        {
            "task": task,
            "label": label,
            "file": path.name,
            "n_sequences": len(texts[path].seq_ids),
            "n_sites": len(texts[path].sites),
            "coordinates": texts[path].coordinates,
        }
        for label, files in (("positive", simulation.positives), ("negative", simulation.negatives))
        for task, path in files.items()
    ]
