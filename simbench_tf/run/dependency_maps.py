"""Dependency maps of a run, read back to be drawn: of each model, task and key one sequence that has much to show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.run.attributions import attribution_files, has_dependency_maps, read_dependency_maps, read_seq_ids


class DependencyMap(NamedTuple):
    """The map of one sequence.

    Attributes
    ----------
    model, task, key, seq_id : str
    start : int
        First base of the window.
    strengths : float32 array, shape (W, W)
    sites : DataFrame
        The sequence's sites, as of `AttributedSequences`.
    """

    model: str
    task: str
    key: str
    seq_id: str
    start: int
    strengths: npt.NDArray[np.floating]
    sites: pd.DataFrame


def read_maps(config: Config, folder: Path, sites_of: Callable[[str, list[str]], pd.DataFrame]) -> list[DependencyMap]:
    """Read a map for each model, task and key that has them: of the same sequence for all models of a task.

    Parameters
    ----------
    config : Config
    folder : Path
        The run.
    sites_of : callable
        From a task and seq_ids to their sites, with columns row and counted.
    """
    found = []
    for file in attribution_files(config, folder):
        if not has_dependency_maps(file.path):
            continue
        sites, best, most = sites_of(file.task, read_seq_ids(file.path)), None, -1
        for row, (seq_id, start, strengths) in enumerate(read_dependency_maps(file.path)):
            mine = sites[sites["row"] == row]
            n_kinds = _n_kinds_within(mine, start, start + len(strengths))
            if n_kinds > most:
                best = DependencyMap(file.model, file.task, file.key, seq_id, start, strengths, mine)
                most = n_kinds
        if best is not None:
            found.append(best)
    return found


def _n_kinds_within(sites: pd.DataFrame, start: int, end: int) -> int:
    """How many elements of the truth have a site wholly in the window."""
    inside = sites["counted"] & (sites["start"] >= start) & (sites["end"] <= end)
    return int(sites.loc[inside, "element"].nunique())
