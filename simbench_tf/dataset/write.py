"""Writing a data set: its parts, in any order, then the files that join them; no file is ever left half-written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simbench_tf import tables
from simbench_tf.dataset.files import (
    CHECKSUMS,
    DEFAULT_SCAN,
    DESCRIPTION,
    MAKE_AGAIN,
    OWN_CHECKSUM,
    description_checksum,
    part_path,
    read_table,
)
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.motifs import Motif, write_meme

_SITES_DICTIONARY = ["motif", "tf", "strand", "element"]


def write_dataset(
    folder: str | PathLike[str],
    *,
    name: str,
    kind: str,
    tasks: Sequence[str],
    motifs: Sequence[Motif],
    parts: Iterable[tuple[pa.Table, pa.Table]],
    notes: Mapping[str, Any] | None = None,
    motif_log: pd.DataFrame | None = None,
) -> list[Path]:
    """Write a data set from an iterable of its parts; one part is held at a time.

    Parameters
    ----------
    folder : path
        RUN/dataset, made where missing.
    name : str
        The data set's name.
    kind : {"peaks", "grammar", "text"}
        What simulated it.
    tasks : sequence of str
        Names of the label columns, in order.
    motifs : sequence of Motif
        Every motif it used.
    parts : iterable of (sequences, sites)
        Arrow tables of `tables.sequence_schema` and `tables.SITES_SCHEMA`, in the order of the sequences.
    notes, motif_log
        As for `finish_dataset`.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        The folder cannot be written.
    ValueError
        A table is not what `tables` says.
    """
    number = -1
    for number, (sequences, sites) in enumerate(parts):
        write_part(folder, number, sequences, sites)
    return finish_dataset(
        folder, name=name, kind=kind, tasks=tasks, motifs=motifs, notes=notes, motif_log=motif_log, n_parts=number + 1
    )


def write_part(folder: str | PathLike[str], number: int, sequences: pa.Table, sites: pa.Table) -> list[Path]:
    """Write one part of a data set; parts may be written in any order, by several processes at once.

    The folder stops being a data set (dataset.json is removed) until `finish_dataset` makes it one again.

    Parameters
    ----------
    folder : path
        RUN/dataset, made where missing.
    number : int
        The part's number in the order, from 0.
    sequences : pa.Table
        Of `tables.sequence_schema`; all of one length.
    sites : pa.Table
        Of `tables.SITES_SCHEMA`, sites of these sequences; they are written in the order of sequence and start.

    Returns
    -------
    list of Path
        The part's sequences, and its sites, which `finish_dataset` moves into sites.parquet.

    Raises
    ------
    InputError
        The folder cannot be written.
    ValueError
        A table is not what `tables` says; a site belongs to none of the sequences or does not read `matched`.
    """
    folder = Path(folder)
    tasks = sequences.schema.names[len(tables.SEQUENCE_COLUMNS) :]
    tables.check_sequences(sequences, tasks)
    sites = _ordered_sites(sites, sequences)
    (folder / "dataset.json").unlink(missing_ok=True)
    paths = [part_path(folder, number), site_part_path(folder, number)]
    _write_parquet(sequences.cast(tables.sequence_schema(tasks)), paths[0], dictionary=["chrom", "split"])
    _write_parquet(sites, paths[1], dictionary=_SITES_DICTIONARY)
    return paths


def finish_dataset(
    folder: str | PathLike[str],
    *,
    name: str,
    kind: str,
    tasks: Sequence[str],
    motifs: Sequence[Motif],
    notes: Mapping[str, Any] | None = None,
    motif_log: pd.DataFrame | None = None,
    n_parts: int | None = None,
    keep_site_parts: bool = False,
) -> list[Path]:
    """Make a data set of the parts in a folder: join their sites, write the motifs and, last, dataset.json.

    Parameters
    ----------
    folder : path
        Where `write_part` wrote.
    name, kind, tasks, motifs
        As for `write_dataset`.
    notes : mapping, optional
        Further keys of dataset.json. ``background`` (4 base frequencies) and ``scan_pvalue`` are those of re-scanning;
        ``elements``, element -> tasks whose label changes its rate, says which sites bear on a task.
    motif_log : DataFrame, optional
        Written as motif_log.csv.
    n_parts : int, optional
        How many parts there must be; further ones, left by an earlier call, are removed. Default: those there.
    keep_site_parts : bool, default False
        Leave the parts' sites beside sites.parquet, to `discard_site_parts` when it is on record that all is there.

    Returns
    -------
    list of Path
        The files of the data set.

    Raises
    ------
    InputError
        A part is missing, or the folder cannot be written.
    ValueError
        The parts differ in tasks or in length; `notes` holds a key of dataset.json's own, or lacks the elements of
        grammar data.
    """
    folder = Path(folder)
    clash = set(notes or {}) & {*DESCRIPTION, CHECKSUMS, OWN_CHECKSUM}
    if clash:
        raise ValueError(f"notes may not hold {sorted(clash)}: dataset.json has these of its own")
    if kind == "grammar" and "elements" not in (notes or {}):
        raise ValueError("notes of grammar data must say on which tasks each of its elements bears")
    found = sorted(folder.glob("sequences/part-*.parquet"))
    parts = [part_path(folder, number) for number in range(len(found) if n_parts is None else n_parts)]
    for part in parts:
        if part not in found:
            raise InputError(part, "is missing", MAKE_AGAIN)
    if not parts:
        raise ValueError("a data set needs at least one part")
    for leftover in set(found) - set(parts):
        leftover.unlink()
    summary = _summary(parts, tasks)
    site_parts = [site_part_path(folder, number) for number in range(len(parts))]
    _join_sites(site_parts, folder / "sites.parquet")
    scanning = {**DEFAULT_SCAN, **(notes or {})}
    write_meme(motifs, folder / "motifs.meme", background=scanning["background"])
    files = [*parts, folder / "sites.parquet", folder / "motifs.meme", folder / "dataset.json"]
    if motif_log is not None:
        files.insert(-1, folder / "motif_log.csv")
        with whole_file(folder / "motif_log.csv") as partial:
            motif_log.to_csv(partial, index=False)
    description = {"name": name, "kind": kind, "tasks": list(tasks), **summary, **scanning}
    description[CHECKSUMS] = {path.relative_to(folder).as_posix(): checksum(path) for path in files[:-1]}
    description[OWN_CHECKSUM] = description_checksum(description)
    text = json.dumps(description, indent=1, allow_nan=False) + "\n"
    with whole_file(folder / "dataset.json") as partial:
        partial.write_text(text, encoding="utf-8")
    if not keep_site_parts:
        discard_site_parts(folder, len(parts))
    return files


def discard_site_parts(folder: str | PathLike[str], n_parts: int) -> None:
    """Delete the parts' sites, which a finished data set has in one file."""
    place = Path(folder) / "sites"
    for number in range(n_parts):
        site_part_path(folder, number).unlink(missing_ok=True)
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def site_part_path(folder: str | PathLike[str], number: int) -> Path:
    """Path of a part's sites, until the data set is finished."""
    return Path(folder) / "sites" / f"part-{number:05d}.parquet"


def _write_parquet(table: pa.Table, path: Path, dictionary: list[str]) -> None:
    with whole_file(path) as partial:
        pq.write_table(table, partial, compression="zstd", use_dictionary=dictionary)


def _join_sites(parts: Sequence[Path], path: Path) -> None:
    """One file of all parts' sites, one row group per part."""
    with (
        whole_file(path) as partial,
        pq.ParquetWriter(partial, tables.SITES_SCHEMA, compression="zstd", use_dictionary=_SITES_DICTIONARY) as writer,
    ):
        for part in parts:
            writer.write_table(read_table(part).cast(tables.SITES_SCHEMA))


def _summary(parts: Sequence[Path], tasks: Sequence[str]) -> dict[str, Any]:
    """seq_length, counts, positive_fraction and rows of the parts, read a part at a time."""
    lengths, rows = set(), []
    counts = dict.fromkeys(tables.SPLITS, 0)
    positives, labelled = dict.fromkeys(tasks, 0), dict.fromkeys(tasks, 0)
    for path in parts:
        schema = pq.read_schema(path)
        if schema.names != [*tables.SEQUENCE_COLUMNS, *tasks]:
            raise ValueError(f"{path} has the columns {schema.names}, which are not those of the tasks {list(tasks)}")
        table = read_table(path, ["split", "sequence", *tasks])
        rows.append(table.num_rows)
        lengths |= set(pc.unique(pc.utf8_length(table["sequence"])).to_pylist())
        for count in pc.value_counts(table["split"]).to_pylist():
            counts[count["values"]] += count["counts"]
        for task in tasks:
            labels = np.asarray(table[task])
            positives[task] += int((labels == 1).sum())
            labelled[task] += int((labels != tables.UNLABELLED).sum())
    if len(lengths) != 1:
        raise ValueError(f"the sequences have the lengths {sorted(lengths)}, should have one")
    return {
        "seq_length": lengths.pop(),
        "counts": counts,
        "positive_fraction": {task: positives[task] / max(labelled[task], 1) for task in tasks},
        "parts": rows,
    }


def _ordered_sites(sites: pa.Table, sequences: pa.Table) -> pa.Table:
    """`sites` by sequence and start, checked: columns, owners, and ``matched == sequence[start:end]``."""
    if sites.schema.names != tables.SITES_SCHEMA.names:
        raise ValueError(f"site columns are {sites.schema.names}, should be {tables.SITES_SCHEMA.names}")
    sites = sites.cast(tables.SITES_SCHEMA)
    bases = bases_of(sequences["sequence"])
    rows = pc.index_in(sites["seq_id"], pc.cast(sequences["seq_id"], pa.string()).combine_chunks())
    if rows.null_count:
        stray = sites["seq_id"].filter(pc.is_null(rows))[0]
        raise ValueError(f"a site belongs to {stray}, which is not among the sequences")
    if not set(pc.unique(sites["strand"]).to_pylist()) <= {"+", "-"}:
        raise ValueError("strand must be + or -")
    row, start, end = (np.asarray(column).astype(np.int64) for column in (rows, sites["start"], sites["end"]))
    _check_matched(sites, bases, row, start, end)
    return sites.take(pa.array(np.lexsort((start, row))))


def _check_matched(
    sites: pa.Table,
    bases: npt.NDArray[np.uint8],
    row: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
) -> None:
    """Check that ``matched == sequence[start:end]`` holds for every site, all of one width at a time."""
    widths = end - start
    wrong = (widths < 1) | (start < 0) | (end > bases.shape[1])
    wrong |= np.asarray(pc.utf8_length(sites["matched"])) != widths
    for width in np.unique(widths[~wrong]):
        at = np.flatnonzero(~wrong & (widths == width))
        found = bases[row[at, None], start[at, None] + np.arange(width)]
        wrong[at] = (bases_of(sites["matched"].take(pa.array(at))) != found).any(axis=1)
    if wrong.any():
        site = sites.slice(int(np.flatnonzero(wrong)[0]), 1).to_pylist()[0]
        where = f"{site['seq_id']}:{site['start']}-{site['end']}"
        raise ValueError(f"site of {site['motif']} at {where} does not read {site['matched']}")
