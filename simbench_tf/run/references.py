"""RUN/references/shuffles.h5: the shuffles of every attributed sequence, made once for all models, tasks and methods.

A method that asks for fewer takes the first ones. References of other kinds follow from a sequence at no cost.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config, MethodSettings
from simbench_tf.dataset import Dataset
from simbench_tf.hdf5 import read_h5, whole_h5
from simbench_tf.run.attributions import seq_id_bytes

_ROWS_TOGETHER = 1_000


def references_file(folder: Path) -> Path:
    """Where a run keeps its shuffles."""
    return folder / "references" / "shuffles.h5"


def n_shuffles(method: MethodSettings) -> int:
    """How many shuffles of each sequence a method compares it with; 0 for references of other kinds, or none."""
    from simbench_tf.attribution.registry import check_request

    references = check_request(method.method, method.references, method.settings).references
    return references.n if references is not None and references.kind == "shuffle" else 0


def write_references(config: Config, dataset: Dataset, rows: npt.NDArray[np.int64], path: Path) -> None:
    """Write as many shuffles as any method asks for: bases, uint8 (N, R, L), and seq_id, of some rows of the split."""
    from simbench_tf.attribution.references import shuffled

    split = config.attribution.split
    bases = dataset.bases(split)[rows]
    n = max(n_shuffles(method) for method in config.attribution.methods)
    shape = (len(bases), n, bases.shape[1])
    with whole_h5(path, most_bytes=math.prod(shape)) as h5:
        block = (1, *shape[1:])  # a sequence's shuffles are read together
        target = h5.create_dataset("bases", shape, np.uint8, chunks=block, compression="gzip", compression_opts=1)
        for first in range(0, len(bases), _ROWS_TOGETHER):
            some = slice(first, first + _ROWS_TOGETHER)
            target[some] = shuffled(bases[some], n, config.seed)
        h5.create_dataset("seq_id", data=seq_id_bytes(np.asarray(dataset.seq_ids(split))[rows]))
        h5.attrs["random_state"] = config.seed


def read_references(path: Path, seq_ids: npt.ArrayLike, n: int) -> npt.NDArray[np.uint8]:
    """Read the first `n` shuffles of some sequences, uint8 (N, n, L)."""
    with read_h5(path) as h5:
        rows = pd.Index(h5["seq_id"].asstr()[:]).get_indexer(pd.Index(np.asarray(seq_ids)))
        return np.stack([h5["bases"][row, :n] for row in rows])
