"""ChromBPNet's contribution HDF5: one-hot sequences, hypothetical and observed contributions, written and read.

The layout is that of ``chrombpnet contribs_bw``: ``raw/seq``, ``shap/seq`` and ``projected_shap/seq``, all (N, 4, L),
in the order of interpreted_regions.bed. TF-MoDISco (``modisco motifs -i``), Fi-NeMo and BPNet's tools read it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import one_hot
from simbench_tf.dna.encoding import N_BASE
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.hdf5 import read_array, whole_h5

#: The one-hot sequences; what each base would contribute if it stood there; what the base that stands there does.
RAW, HYPOTHETICAL, OBSERVED = "raw/seq", "shap/seq", "projected_shap/seq"


class Contributions(NamedTuple):
    """What such a file holds.

    Attributes
    ----------
    name : str
        Of the array of contributions in the file: `HYPOTHETICAL` or, where it has none, `OBSERVED`.
    values : array, shape (N, 4, L)
        Of any type, as the file holds it.
    bases : uint8 array, shape (N, L)
        The sequences: 0-3 for A, C, G, T and 4 for N.
    """

    name: str
    values: npt.NDArray[Any]
    bases: npt.NDArray[np.uint8]


def has_layout(names: Collection[str]) -> bool:
    """Whether arrays of these names are the layout, with at least one array of contributions."""
    return RAW in names and (HYPOTHETICAL in names or OBSERVED in names)


def read_contributions(h5: h5py.File) -> Contributions:
    """Read the contributions and sequences of an open file that has the layout.

    Raises
    ------
    InputError
        An array is damaged or of another shape, or the sequences are not one-hot.
    """
    name = HYPOTHETICAL if HYPOTHETICAL in h5 else OBSERVED
    where = str(h5.filename)
    bases = _bases(read_array(h5, RAW), where)
    values = read_array(h5, name)
    if values.shape != (len(bases), 4, bases.shape[1]):
        what = f"has the shape {values.shape}, {RAW} holds {len(bases)} sequences of {bases.shape[1]} bases"
        raise InputError(f"{where}: {name}", what, f"give ({len(bases)}, 4, {bases.shape[1]})")
    return Contributions(name, values, bases)


def _bases(raw: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    """Base codes of one-hot sequences (N, 4, L); an N has no base."""
    is_number = np.issubdtype(raw.dtype, np.number) or raw.dtype == np.bool_
    if not is_number or raw.ndim != 3 or raw.shape[1] != 4:
        raise InputError(f"{where}: {RAW}", f"is {raw.dtype} {raw.shape}", "give one-hot sequences, int8 (N, 4, L)")
    is_base = raw == 1
    if not (is_base | (raw == 0)).all() or (is_base.sum(axis=1) > 1).any():
        raise InputError(f"{where}: {RAW}", "is not one-hot", "give one 1 for each base, and zeros for an N")
    return np.where(is_base.any(axis=1), is_base.argmax(axis=1), N_BASE).astype(np.uint8)


def write_contributions(
    path: Path,
    bases: npt.NDArray[np.uint8],
    scores: npt.NDArray[np.float32],
    hypothetical: npt.NDArray[np.float32] | None,
) -> None:
    """Write contributions in ChromBPNet's layout.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    bases : uint8 array, shape (N, L)
    scores : float32 array, shape (N, L)
        Contribution of each observed base.
    hypothetical : float32 array, shape (N, L, 4), optional
        Without it the file has no `HYPOTHETICAL`.

    Notes
    -----
    Contributions are float32; ChromBPNet stores float16, in which a gradient of 1e-8 is 0. They are compressed by gzip,
    which every reader of HDF5 knows; ChromBPNet's own files are by Blosc, for which a reader needs ``hdf5plugin``.

    Raises
    ------
    InputError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.h5")
    >>> write_contributions(path, np.array([[2, 0]], np.uint8), np.array([[0.5, -1]], np.float32), None)
    >>> with h5py.File(path) as h5:
    ...     h5["raw/seq"][0].tolist(), h5["projected_shap/seq"][0].tolist()
    ([[0, 1], [0, 0], [1, 0], [0, 0]], [[0.0, -1.0], [0.0, 0.0], [0.5, 0.0], [0.0, 0.0]])
    """
    observed = one_hot(bases)
    # a product would have zeros with a minus
    arrays = {RAW: observed.astype(np.int8), OBSERVED: np.where(observed == 1, scores[..., None], np.float32(0))}
    if hypothetical is not None:
        arrays[HYPOTHETICAL] = hypothetical
    with whole_h5(path, most_bytes=sum(array.nbytes for array in arrays.values())) as h5:
        for name, array in arrays.items():
            h5.create_dataset(name, data=np.ascontiguousarray(array.transpose(0, 2, 1)), compression="gzip")


def write_regions(path: Path, regions: pd.DataFrame) -> None:
    """Write interpreted_regions.bed: narrowPeak without a header, whose summit is the middle of the sequence.

    Parameters
    ----------
    path : Path
    regions : DataFrame
        Columns chrom, start, end and name, in the order of the sequences.
    """
    peaks = regions.assign(
        score=1000, strand=".", signal=0, p=-1, q=-1, summit=(regions["end"] - regions["start"]) // 2
    )
    with whole_file(path) as partial:
        peaks.to_csv(partial, sep="\t", index=False, header=False, lineterminator="\n")
