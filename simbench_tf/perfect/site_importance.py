"""Importance of sites with a truth: exact Shapley values of the evidence that each true site gives for a label.

The players are the true sites of a sequence. A coalition is what is left of the sequence when the bases of all other
sites are missing, which the exact posterior sums out; a base that two sites share stays while either stays. What a
coalition is worth is its log-odds of the label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dataset import Dataset
from simbench_tf.score.shapley import SiteValues, kept_bases, site_values

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class SequenceValues(NamedTuple):
    """What the K sites of a sequence are worth: their places in the table of all sites, and their values."""

    places: Integers
    values: SiteValues


def sites_of(dataset: Dataset, rows: npt.ArrayLike, split: str = "test") -> pd.DataFrame:
    """The true sites of some sequences, in the order of `rows`, and of start within each.

    Columns seq_id, row (its sequence's place in `rows`), element, motif, start, end, strand.
    """
    seq_ids = np.asarray(dataset.seq_ids(split))[np.asarray(rows, np.int64)]
    sites = dataset.sites[["seq_id", "element", "motif", "start", "end", "strand"]].copy()
    sites.insert(1, "row", pd.Index(seq_ids).get_indexer(pd.Index(sites["seq_id"])))
    return sites[sites["row"] >= 0].sort_values(["row", "start"], kind="stable", ignore_index=True)


def outputs_of(model: Any, seq_length: int, targets: list[int], output: Any = "logit") -> Callable[[Any], Floats]:
    """What a coalition is worth by a model: one-hot (C, L, 4), rows of zeros where a base is missing, -> (C, T).

    Of a list of models, an ensemble, the mean.
    """
    from simbench_tf.attribution.network import open_network

    members = model if isinstance(model, list) else [model]
    networks = [open_network(each, seq_length, target=targets, output=output) for each in members]
    return lambda letters: np.mean([network.outputs(letters).T for network in networks], axis=0, dtype=np.float64)


def values_by_sequence(
    outputs: Callable[[Any], Floats], one_hot: npt.NDArray[np.float32], sites: pd.DataFrame, random_state: int = 0
) -> Iterator[SequenceValues]:
    """Shapley values of the sites of sequences, one sequence after the other; those without a site are passed over.

    Parameters
    ----------
    outputs : callable
        From `outputs_of`.
    one_hot : float32 (N, L, 4)
    sites : DataFrame
        From `sites_of`: row, start, end.
    random_state : int, default 0
        Of orders that are drawn where a sequence has more than `score.shapley.MAX_EXACT_SITES` sites.
    """
    row, start, end = (sites[name].to_numpy(np.int64) for name in ("row", "start", "end"))
    for sequence in np.unique(row):
        places, letters = np.flatnonzero(row == sequence), one_hot[sequence]

        def worth_of(coalitions: npt.NDArray[np.bool_], places: Integers = places, letters: Any = letters) -> Floats:
            kept = kept_bases(coalitions, start[places], end[places], len(letters))
            return outputs(letters * kept[:, :, None])

        yield SequenceValues(places, site_values(worth_of, len(places), random_state))


def site_importance(model: Any, dataset: Dataset, rows: npt.ArrayLike, split: str = "test") -> pd.DataFrame:
    """What each true site of some sequences gives for each task's label: its exact Shapley value on a model.

    On the exact posterior (`perfect.oracle_model`) this is the truth that a method's credit of sites can be held
    against (`score.site_credit`). On another model a missing base is a row of zeros, whatever the model makes of it.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), one output a task.
    dataset : Dataset
        With sites.
    rows : int (N,)
        Sequences of the split.
    split : str, default "test"

    Returns
    -------
    DataFrame
        A row per site, whatever tasks its element bears on: columns seq_id, row (its sequence's place in `rows`),
        element, motif, start, end, strand, and for each task TASK and TASK_error, in log-odds. Error is 0 where every
        coalition of a sequence's sites was looked at, which is up to 12 of them.
    """
    from simbench_tf.dna import one_hot

    sites = sites_of(dataset, rows, split)
    outputs = outputs_of(model, dataset.seq_length, list(range(len(dataset.tasks))))
    letters = one_hot(dataset.bases(split)[np.asarray(rows, np.int64)])
    value, error = np.zeros((2, len(sites), len(dataset.tasks)))
    for places, found in values_by_sequence(outputs, letters, sites):
        value[places], error[places] = found.value, found.error
    for number, task in enumerate(dataset.tasks):
        sites[task], sites[f"{task}_error"] = value[:, number], error[:, number]
    return sites
