"""Null attributions of a motif caller: RUN/motifs/MODEL/TASK/KEY/null.h5, what a method says where there is no motif.

The same model and method, put to sequences of `discovery.null_sequences`; bases that do not count are NaN.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.devices import device
from simbench_tf.discovery.null_sequences import NullSequences, shuffled_sequences, shuffled_stretches
from simbench_tf.errors import InputError
from simbench_tf.hdf5 import read_h5, whole_h5
from simbench_tf.parallel import MapInOrder, Track
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.attributions import AttributionFile
from simbench_tf.run.parts import PartsFolder, parts_of, read_scores
from simbench_tf.simulate.grammar import draw_background
from simbench_tf.stages.attribute_chunks import attribute_bases, job_of
from simbench_tf.stages.simulate import grammar_of
from simbench_tf.stages.step import Made


def null_sequences(
    config: Config, folder: Path, dataset: Dataset, task: str, rows: npt.NDArray[np.integer]
) -> NullSequences:
    """The null of a task's explained sequences: as many, or as many negatives as there are.

    Parameters
    ----------
    config, folder, dataset
        Of the run.
    task : str
    rows : int array, shape (N,)
        The explained sequences, of the attributed split.

    Raises
    ------
    InputError
        Negatives are asked for, and the split holds none.
    """
    assert config.discovery is not None
    split, kind = config.attribution.split, config.discovery.null_sequences
    bases = dataset.bases(split)
    if kind == "stretches":
        return shuffled_stretches(bases[rows], config.seed)
    if kind == "shuffles":
        return shuffled_sequences(bases[rows], config.seed)
    if kind == "background":
        drawn = draw_background(grammar_of(config, folder), config.seed, "null background", np.arange(len(rows)))
        return NullSequences(drawn, np.ones(drawn.shape, bool))
    negatives = np.flatnonzero(dataset.labels(split)[:, dataset.tasks.index(task)] == 0)
    if not negatives.size:
        mend = "take another null, or split"
        raise InputError("discovery.null_sequences", f"asks for negatives, and {split} holds none of {task}", mend)
    chosen = bases[choose_rows(config.seed, f"null {task}", negatives, len(rows))]
    return NullSequences(chosen, np.ones(chosen.shape, bool))


def write(
    file: AttributionFile,
    config: Config,
    null: NullSequences,
    path: Path,
    key: str,
    map_in_order: MapInOrder,
    track: Track,
) -> Made:
    """Attribute the null sequences by a file's model and method, and write `scores`, float32 (M, L)."""
    parts_folder = PartsFolder(parts_of(path), key)
    with track(f"{file.model} {file.task} {file.key} null", len(null.bases)) as advance:
        # without shuffles made before, the method makes its references of these sequences itself
        parts = attribute_bases(job_of(file, config), null.bases, None, ["scores"], parts_folder, map_in_order, advance)
        scores = np.where(null.counts, read_scores(parts), np.float32(np.nan))
        with whole_h5(path) as h5:
            h5.create_dataset("scores", data=scores, compression="gzip")
    return Made({"motifs": [path]}, device())


def read_null(path: Path) -> npt.NDArray[np.float32]:
    """Read null attributions, float32 (M, L), NaN where a base does not count."""
    with read_h5(path) as h5:
        return np.asarray(h5["scores"][:])
