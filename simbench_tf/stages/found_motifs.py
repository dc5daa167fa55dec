"""Motifs that a caller found: `simbench score RUN --motifs FILE`, scored into RUN/scores/instances.csv and motifs.csv.

Each file adds its rows, under its model, task and name, to those of earlier ones of the same data and settings.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pandas as pd

from simbench_tf.config import Config
from simbench_tf.dataset import open_dataset
from simbench_tf.discovery import read_found
from simbench_tf.errors import InputError
from simbench_tf.files import safe_name, whole_file
from simbench_tf.interchange.import_attributions import explained_place, one_of
from simbench_tf.run.manifest import discard, fingerprint, fresh_files, write_records
from simbench_tf.stages.call_scores import COLUMNS, KEYS, OVERLAP, made_from, place_of, read_rows, scored_tables

#: The caller of rows that come from a file that was given.
FILE = "file"


def score_found(
    config: Config,
    folder: Path,
    file: Path,
    *,
    name: str | None = None,
    model: str | None = None,
    model_name: str | None = None,
    task: str | None = None,
    seq_ids: Path | None = None,
    window: int | None = None,
    overlap: float = OVERLAP,
    subpatterns: bool = False,
) -> list[Path]:
    """Score the instances and motifs of a caller's file against the true ones; return the tables that have its rows.

    Parameters
    ----------
    config : Config
        Of the run.
    folder : path
        RUN.
    file : path
        What `discovery.read_found` reads.
    name : str, optional
        The key of its rows; by default the file's name.
    model, model_name, task : str, optional
        What was explained, as in `take_attributions`.
    seq_ids : path, optional
        The ids of the sequences in the order that the caller got them; by default the explained ones.
    window, subpatterns
        As in `discovery.read_found`.
    overlap : float, default .5
        As in `discovery.score_instances`.

    Raises
    ------
    InputError
        The run has no data set; the model or task is unknown or not given; the file is none of a caller's, or not of
        the run's sequences.
    """
    name = file.name.removesuffix(".gz").rsplit(".", 1)[0] if name is None else name
    if not safe_name(name):
        raise InputError("--name", f"{name!r} cannot be a key", "give one of letters, digits, . _ -")
    if not 0 < overlap <= 1:
        raise InputError("--overlap", f"{overlap} is not above 0 and up to 1", "give a share of the longer of the two")
    start = time.perf_counter()
    key = scores_key(config, folder)
    explained = explained_place(config, folder, model, model_name, one_of("--task", task, config.attributed_tasks))
    dataset = open_dataset(folder / "dataset")
    place = place_of(config, folder, dataset, explained.task, seq_ids=seq_ids, overlap=overlap)
    found = read_found(file, place.sequences, window=window, subpatterns=subpatterns)
    scored = scored_tables(found, place, dataset)
    origin = {"model": explained.model, "task": explained.task, "key": name, "caller": FILE}
    written = write_scores(folder, _with_others(folder, key, origin, scored))
    write_records(folder, list(written.values()), "score", key, time.perf_counter() - start, "cpu")
    return [path for table, path in written.items() if table in scored]


def scores_key(config: Config, folder: Path) -> str:
    """The fingerprint of RUN/scores/instances.csv and motifs.csv: rows of other data or settings are no neighbours."""
    return fingerprint("found_motifs", made_from(config, folder))


def earlier_rows(folder: Path, key: str) -> dict[str, pd.DataFrame]:
    """The rows of both tables that were made under a fingerprint; of other ones, which are lost, a warning says so."""
    fresh = fresh_files(folder, key)
    rows = {}
    for table, columns in COLUMNS.items():
        path = folder / "scores" / f"{table}.csv"
        there = read_rows(path) if path.is_file() else pd.DataFrame(columns=list(columns))
        rows[table] = there if path in fresh else there.reindex(columns=list(columns))[:0]
        if path not in fresh and ("caller" not in there or (there["caller"] == FILE).any()):
            warnings.warn(f"{path}: its rows are of other data or settings, and are dropped", stacklevel=2)
    return rows


def write_scores(folder: Path, rows: dict[str, list[pd.DataFrame]]) -> dict[str, Path]:
    """Write both tables, each from some tables one below the other; a table without a row is deleted.

    Parameters
    ----------
    folder : path
        RUN.
    rows : dict of str to list of DataFrame
        "instances" and "motifs".

    Returns
    -------
    dict of str to Path
        The tables that there are.
    """
    written = {}
    for table, columns in COLUMNS.items():
        path = folder / "scores" / f"{table}.csv"
        some = [each for each in rows.get(table, []) if len(each)]
        if not some:
            discard(folder, [path.relative_to(folder).as_posix()])
            continue
        with whole_file(path) as partial:
            pd.concat(some).reindex(columns=list(columns)).to_csv(partial, index=False)
        written[table] = path
    return written


def _with_others(
    folder: Path, key: str, origin: dict[str, str], scored: dict[str, pd.DataFrame]
) -> dict[str, list[pd.DataFrame]]:
    """Rows of both tables with those of a file in place of its earlier ones."""
    rows = {}
    for table, earlier in earlier_rows(folder, key).items():
        others = earlier[~(earlier[list(KEYS)] == pd.Series(origin)).all(axis=1)]
        rows[table] = [others, scored.get(table, pd.DataFrame()).assign(**origin)]
    return rows
