"""Scores of motif calls: a caller's instances and motifs against the true ones of a task, beside the best possible.

Both `simbench motifs` and `simbench score --motifs` use it. On data of a grammar the exact posterior of every site's
place says how well calls can be made at all (`simulate.oracle.site_calls`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.dataset.files import read_loci
from simbench_tf.discovery import Found, Sequences, score_instances, score_motifs
from simbench_tf.errors import InputError
from simbench_tf.interchange.attribution_readers import read_seq_ids
from simbench_tf.motifs import Motif, read_motifs
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.simulate.oracle import site_calls
from simbench_tf.stages.simulate import grammar_of
from simbench_tf.stages.step import dataset_checksums
from simbench_tf.stages.truths import Truth, truths_of_rows

#: Bases that a call and its site have in common, as a share of the longer of the two.
OVERLAP = 0.5
#: What names a row's origin, in both tables; the caller of a file that was given is "file".
KEYS = ("model", "task", "key", "caller")
COLUMNS = {"instances": tables.INSTANCE_COLUMNS, "motifs": tables.FOUND_MOTIF_COLUMNS}
#: Counts, which may be missing.
_COUNTS = ("n_called", "n_clustered", "start_error", "end_error")
#: What the best possible calls reach, of `score_instances`.
_CEILINGS = ("ap", "best_f1", "best_recall")


class Place(NamedTuple):
    """The explained sequences of a task, their true sites, and the best calls of them.

    Attributes
    ----------
    sequences : Sequences
    truth : Truth
    overlap : float
    ceilings : callable
        Returns columns by, group, oracle_ap, oracle_best_f1 and oracle_best_recall, computed once, where something is
        scored; or None where they are not known.
    """

    sequences: Sequences
    truth: Truth
    overlap: float
    ceilings: Callable[[], pd.DataFrame | None]


def place_of(
    config: Config, folder: Path, dataset: Dataset, task: str, *, seq_ids: Path | None = None, overlap: float = OVERLAP
) -> Place:
    """What calls of a task are scored against.

    Parameters
    ----------
    config, folder, dataset
        Of the run.
    task : str
    seq_ids : path, optional
        The ids of the sequences in the order that a caller got them; by default the explained ones.
    overlap : float, default .5
        As in `score_instances`; below .5 the best possible calls are not known.

    Raises
    ------
    InputError
        `seq_ids` names no sequence, or one that is not of the split.
    """
    sequences = _sequences(config, dataset, task, seq_ids)
    truth = truths_of_rows(config, dataset, task, sequences.rows)[0]
    known = config.simulation.has_oracle and overlap >= OVERLAP

    @functools.cache
    def ceilings() -> pd.DataFrame | None:
        return _ceilings(config, folder, dataset, task, sequences, truth, overlap) if known else None

    return Place(sequences, truth, overlap, ceilings)


def made_from(config: Config, folder: Path) -> dict[str, object]:
    """What scores depend on beside the calls: those of different callers must have it in common."""
    return {
        "dataset": dataset_checksums(folder),
        "columns": list(COLUMNS.values()),
        "scoring": config.scoring.model_dump(mode="json", include={"truth", "motifs"}),
        "explained": config.attribution.model_dump(mode="json", include={"n_sequences", "split"}),
        "seed": config.seed,
    }


def scored_tables(found: Found, place: Place, dataset: Dataset) -> dict[str, pd.DataFrame]:
    """Rows of each table that a caller found something for, "instances" and "motifs", without the columns of `KEYS`."""
    scored = {}
    if found.instances is not None:
        called = _by_id(found.instances, dataset)
        sites, length = _sites(place.truth, place.sequences), place.sequences.length
        table = score_instances(called, sites, length=length, overlap=place.overlap, window=found.window)
        ceilings = place.ceilings()
        scored["instances"] = table if ceilings is None else table.merge(ceilings, "left", ["by", "group"])
    if found.motifs is not None:
        true = true_motifs(dataset, place.truth)
        scored["motifs"] = score_motifs(found.motifs, true, background=dataset.notes["background"])
    return scored


def true_motifs(dataset: Dataset, truth: Truth) -> list[Motif]:
    """Motifs with a true site in the explained sequences."""
    bearing = set(truth.sites["motif"])
    return [motif for motif in read_motifs(dataset.path / "motifs.meme") if motif.motif_id in bearing]


def read_rows(path: Path) -> pd.DataFrame:
    """Read a table of either kind."""
    names = dict.fromkeys((*KEYS, "by", "group", "kind", "motif", "best", "strand", "status"), str)
    table = pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
    return table.astype({name: "Int64" for name in _COUNTS if name in table})


def _sites(truth: Truth, sequences: Sequences) -> pd.DataFrame:
    return truth.sites.assign(row=pd.Index(sequences.rows).get_indexer(truth.sites["row"]))


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


def _ceilings(
    config: Config, folder: Path, dataset: Dataset, task: str, sequences: Sequences, truth: Truth, overlap: float
) -> pd.DataFrame:
    """What the best calls reach that know the grammar and, as the explained sequences were chosen, the task's label."""
    labels: npt.NDArray[np.int64] = np.full((len(sequences.rows), len(dataset.tasks)), -1, np.int64)
    labels[:, dataset.tasks.index(task)] = 1
    best = site_calls(
        grammar_of(config, folder),
        sequences.bases[sequences.rows],
        labels=labels,
        task=task if truth.motifs == "task" else None,
        overlap=overlap,
    )
    scored = score_instances(best, _sites(truth, sequences), length=sequences.length, overlap=overlap, n_shuffles=0)
    renamed = {name: f"oracle_{name}" for name in _CEILINGS}
    return scored[["by", "group", *_CEILINGS]].rename(columns=renamed)


def _by_id(instances: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Calls that are named as a factor get its motif's id, where the factor has one motif alone."""
    if "motif" not in instances:
        return instances
    motifs = dataset.motifs
    ids = motifs.drop_duplicates("tf", keep=False).set_index("tf")["motif"]
    is_factor = instances["motif"].isin(ids.index) & ~instances["motif"].isin(motifs["motif"])
    return instances.assign(motif=instances["motif"].where(~is_factor, instances["motif"].map(ids)))
