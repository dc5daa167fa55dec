"""The truths that attributions are scored against: true sites, the sign asked of attributions, the bases that count.

Of peaks there are two, side by side: the sites put in, and what a scan finds in the finished sequences, since chance
hits in the shuffled background are like those put in. A base that a network cannot see is nothing an attribution can be
right or wrong about.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import AttributionFile, read_seq_ids
from simbench_tf.run.models import is_held, load_model, member_files
from simbench_tf.score import takes_sign
from simbench_tf.stages.nulls import Motifs, Origin

Bools = npt.NDArray[np.bool_]


class Truth(NamedTuple):
    """The true sites that attributions of a task are scored against.

    Attributes
    ----------
    origin : {"embedded", "rescanned"}
    motifs : {"task", "all"}
    sites : DataFrame
        From `Dataset.true_sites`, with the bits of their motifs; of the explained sequences.
    seq_ids : Index
        Of the whole split, which the sites' rows count in.
    sign : {"absolute", "signed"}
        What bases are ranked by.
    """

    origin: Origin
    motifs: Motifs
    sites: pd.DataFrame
    seq_ids: pd.Index
    sign: Literal["absolute", "signed"]

    @property
    def name(self) -> str:
        """As in the column truth of summary.csv."""
        return f"{self.origin}:{self.motifs}"


def truths_of(config: Config, dataset: Dataset, task: str, files: list[AttributionFile]) -> list[Truth]:
    """The truths of a task, first the one that the configuration names; of the sequences that `files` explain."""
    seq_ids = pd.Index(dataset.seq_ids(config.attribution.split))
    explained = [seq_ids.get_indexer(read_seq_ids(file.path)) for file in files if file.task == task]
    return truths_of_rows(config, dataset, task, np.unique(np.concatenate(explained)))


def truths_of_rows(config: Config, dataset: Dataset, task: str, rows: npt.NDArray[np.integer]) -> list[Truth]:
    """The truths of a task, as `truths_of`, of some sequences of the attributed split."""
    split = config.attribution.split
    motifs = config.scoring.motifs if dataset.element_tasks is not None else "all"
    seq_ids = pd.Index(dataset.seq_ids(split))
    bits = dataset.motifs.set_index("motif")["bits"]
    # of motifs that do not bear on the task it is not known what they do
    raises = motifs == "task" and dataset.element_tasks is not None and task in config.simulation.tasks_only_raised
    sign: Literal["absolute", "signed"] = "signed" if takes_sign(config.scoring.sign, raises) else "absolute"
    truths = []
    for origin in origins(config):
        sites = dataset.true_sites(split, task=task, motifs=motifs, truth=origin, rows=rows)
        truths.append(Truth(origin, motifs, sites.assign(bits=sites["motif"].map(bits)), seq_ids, sign))
    return truths


def origins(config: Config) -> list[Origin]:
    """Where the truths of a configuration come from, first the one that it names."""
    first = config.scoring.truth
    second: Origin = "embedded" if first == "rescanned" else "rescanned"
    return [first, second] if config.simulation.has_chance_hits else [first]


@functools.cache
def _seen(model_file: Path, _changed: int, seq_length: int) -> Bools:
    from simbench_tf.attribution.receptive_field import visible_bases

    try:
        return visible_bases(load_model(model_file), seq_length)
    except InputError:  # a model of another form is explained as it is, and may see any base
        return np.ones(seq_length, bool)


def scored_bases(config: Config, file: AttributionFile, seq_length: int) -> Bools:
    """Bases that are scored, bool (L,): those that the network can see, where that is asked for and it is known."""
    path = file.model_file
    if file.members and path.is_file():
        path = member_files(path)[0]  # they are of one architecture
    if config.scoring.bases == "all" or not is_held(path):
        return np.ones(seq_length, bool)
    return _seen(path, path.stat().st_mtime_ns, seq_length)
