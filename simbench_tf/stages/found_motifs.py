"""Motifs that a caller found: `simbench score RUN --motifs FILE`, scored into RUN/scores/instances.csv and motifs.csv.

Each file adds its rows, under its model, task and name, to those of earlier ones of the same data and settings.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.dataset.files import read_loci
from simbench_tf.discovery import Found, Sequences, read_found, score_instances, score_motifs
from simbench_tf.errors import InputError
from simbench_tf.files import safe_name, whole_file
from simbench_tf.interchange.attribution_readers import read_seq_ids
from simbench_tf.interchange.import_attributions import explained_place, one_of
from simbench_tf.motifs import read_motifs
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.run.manifest import discard, fingerprint, fresh_files, write_records
from simbench_tf.stages.step import dataset_checksums
from simbench_tf.stages.truths import Truth, truths_of_rows

#: What names a row's origin, in both tables.
KEYS = ("model", "task", "key")
_COLUMNS = {"instances": tables.INSTANCE_COLUMNS, "motifs": tables.FOUND_MOTIF_COLUMNS}
#: Counts, which may be missing.
_COUNTS = ("n_called", "n_clustered", "start_error", "end_error")


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
    overlap: float = 0.5,
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
    key = fingerprint("found_motifs", _made_from(config, folder))
    place = explained_place(config, folder, model, model_name, one_of("--task", task, config.attributed_tasks))
    dataset = open_dataset(folder / "dataset")
    sequences = _sequences(config, dataset, place.task, seq_ids)
    found = read_found(file, sequences, window=window, subpatterns=subpatterns)
    truth = truths_of_rows(config, dataset, place.task, sequences.rows)[0]
    scored = _scored(found, truth, sequences, dataset, overlap)
    written = _add_rows(folder, key, {"model": place.model, "task": place.task, "key": name}, scored)
    write_records(folder, list(written.values()), "score", key, time.perf_counter() - start, "cpu")
    return [path for table, path in written.items() if table in scored]


def _made_from(config: Config, folder: Path) -> dict[str, object]:
    """What rows of different files must have in common to stand in one table."""
    return {
        "dataset": dataset_checksums(folder),
        "columns": list(_COLUMNS.values()),
        "scoring": config.scoring.model_dump(mode="json", include={"truth", "motifs"}),
        "explained": config.attribution.model_dump(mode="json", include={"n_sequences", "split"}),
        "seed": config.seed,
    }


def _sequences(config: Config, dataset: Dataset, task: str, seq_ids: Path | None) -> Sequences:
    split = config.attribution.split
    ids, loci = dataset.seq_ids(split), read_loci(dataset.path, len(dataset.parts))
    order = None
    if seq_ids is not None:
        given = read_seq_ids(seq_ids)
        order = pd.Index(ids).get_indexer(pd.Index(given)).astype(np.int64)
        if not len(order) or (order < 0).any():
            what = f"names {given[int(np.argmin(order))]!r}" if len(order) else "names no sequence"
            raise InputError(seq_ids, f"{what}, which is no sequence of the explained split" if len(order) else what)
    places = None if loci is None else loci.loc[ids].reset_index(drop=True)
    return Sequences(ids, dataset.bases(split), attributed_rows(dataset, config, task), places, order)


def _scored(
    found: Found, truth: Truth, sequences: Sequences, dataset: Dataset, overlap: float
) -> dict[str, pd.DataFrame]:
    """Rows of each table that the file has something for, without the columns of `KEYS`."""
    scored = {}
    if found.instances is not None:
        sites = truth.sites.assign(row=pd.Index(sequences.rows).get_indexer(truth.sites["row"]))
        called = _by_id(found.instances, dataset)
        scored["instances"] = score_instances(
            called, sites, length=sequences.length, overlap=overlap, window=found.window
        )
    if found.motifs is not None:
        bearing = set(truth.sites["motif"])
        true = [motif for motif in read_motifs(dataset.path / "motifs.meme") if motif.motif_id in bearing]
        scored["motifs"] = score_motifs(found.motifs, true, background=dataset.notes["background"])
    return scored


def _by_id(instances: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Calls that are named as a factor get its motif's id, where the factor has one motif alone."""
    motifs = dataset.motifs
    ids = motifs.drop_duplicates("tf", keep=False).set_index("tf")["motif"]
    is_factor = instances["motif"].isin(ids.index) & ~instances["motif"].isin(motifs["motif"])
    return instances.assign(motif=instances["motif"].where(~is_factor, instances["motif"].map(ids)))


def _add_rows(folder: Path, key: str, origin: dict[str, str], scored: dict[str, pd.DataFrame]) -> dict[str, Path]:
    """Write both tables with the rows of a file in place of its earlier ones; return those that there are."""
    fresh = fresh_files(folder, key)
    written = {}
    for table, columns in _COLUMNS.items():
        path = folder / "scores" / f"{table}.csv"
        earlier = _read(path) if path in fresh else pd.DataFrame(columns=list(columns))
        if path.is_file() and path not in fresh:
            warnings.warn(f"{path}: its rows are of other data or settings, and are dropped", stacklevel=2)
        others = earlier[~(earlier[list(KEYS)] == pd.Series(origin)).all(axis=1)]
        new = scored.get(table, pd.DataFrame()).assign(**origin)
        rows = pd.concat([each for each in (others, new) if len(each)]) if len(others) + len(new) else others
        if rows.empty:
            discard(folder, [path.relative_to(folder).as_posix()])
            continue
        with whole_file(path) as partial:
            rows.reindex(columns=list(columns)).to_csv(partial, index=False)
        written[table] = path
    return written


def _read(path: Path) -> pd.DataFrame:
    names = dict.fromkeys((*KEYS, "by", "group", "kind", "motif", "best", "strand", "status"), str)
    table = pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
    return table.astype({name: "Int64" for name in _COUNTS if name in table})
