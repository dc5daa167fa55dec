"""Readers of what motif callers find: instances and motifs, placed in the sequences that a run explains.

TF-MoDISco's results (`modisco`), Fi-NeMo's hits.tsv, BED and other tables of instances (`call_tables`), and motif files
(MEME, JASPAR, HOMER) for motifs alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.call_tables import read_call_table
from simbench_tf.discovery.modisco import read_modisco
from simbench_tf.discovery.sequences import Sequences, central_window
from simbench_tf.errors import InputError
from simbench_tf.files import text_lines
from simbench_tf.motifs import Motif, read_motifs

#: What a file of instances or motifs may be, for messages.
EXPECTED = "give modisco's .h5, Fi-NeMo's hits.tsv, BED, a table of instances, or a MEME file"
#: Suffixes of TF-MoDISco's results.
_HDF5 = (".h5", ".hdf5")


class Found(NamedTuple):
    """What a caller found.

    Attributes
    ----------
    instances : DataFrame, optional
        A row for each call in an explained sequence: row (of the explained sequences), seq_id, start, end, strand,
        motif, score (NaN where the file has none), and qvalue or pvalue where it has them. None where the file holds
        motifs alone.
    motifs : list of Motif, optional
        None where it holds instances alone.
    window : (int, int), optional
        The part of each sequence that the caller looked at, where it is known.
    """

    instances: pd.DataFrame | None
    motifs: list[Motif] | None
    window: tuple[int, int] | None = None


def read_found(path: Path, sequences: Sequences, *, window: int | None = None, subpatterns: bool = False) -> Found:
    """Read a caller's file; its form is recognised by the suffix (.h5) or the content.

    Parameters
    ----------
    path : Path
        Text may be gzip.
    sequences : Sequences
        Of the run.
    window : int, optional
        The central bases that the caller was given, where its positions count from there and the file does not say so:
        Fi-NeMo without peak coordinates (its -w), and modisco's older files.
    subpatterns : bool, default False
        Take modisco's sub-patterns, where a pattern has any, in place of the pattern.

    Raises
    ------
    InputError
        The file is missing, empty, damaged or of another form; it names sequences or places that the run has not; it
        has no scores; or it holds no call in an explained sequence.
    """
    if window is not None and not 0 < window <= sequences.length:
        what = f"{window} is not between 1 and the {sequences.length} bases of a sequence"
        raise InputError("--window", what, "give the central bases that the caller looked at")
    span = None if window is None else central_window(sequences.length, window)
    if path.suffix in _HDF5:
        patterns = read_modisco(path, sequences, span, subpatterns=subpatterns)
        table = patterns.instances
        return Found(None if table is None else _explained(path, table, sequences), patterns.motifs, patterns.window)
    first = next((line for _, line in text_lines(path, EXPECTED) if line.strip()), None)
    if first is None:
        raise InputError(path, "is empty", EXPECTED)
    if first.startswith(("MEME version", ">")):
        return Found(None, read_motifs(path))
    return Found(_explained(path, read_call_table(path, sequences, span), sequences), None, span)


def _explained(path: Path, table: pd.DataFrame, sequences: Sequences) -> pd.DataFrame:
    """Calls in explained sequences, whose numbers are counted among these."""
    rows: npt.NDArray[np.int64] = pd.Index(sequences.rows).get_indexer(table["at"]).astype(np.int64)
    instances = table.drop(columns="at")
    instances.insert(0, "row", rows)
    instances.insert(1, "seq_id", sequences.seq_ids[table["at"]])
    instances = instances[rows >= 0].reset_index(drop=True)
    if instances.empty:
        what = f"has no call in any of the {len(sequences.rows)} explained sequences"
        raise InputError(path, what, "call motifs in the sequences that `simbench export-attributions` writes")
    return instances
