"""True motifs of a run and the found ones that come nearest, read back to be drawn above each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from simbench_tf.motifs import Motif, read_motifs

#: The file of motifs beside a caller's tables, and the caller whose motifs are of a network and not of a method.
_FILE, _FILTERS = "motifs.meme", "filters"


class MotifPair(NamedTuple):
    """A true motif and the found one that is most like it.

    Attributes
    ----------
    model, task, key, caller : str
    true, found : Motif
    strand : {"+", "-"}
        Of the found one, as it lies on the true one.
    start : int
        Bases by which the found one, so turned, begins after the true one; negative: before.
    correlation : float
    status : {"found", "split", "missed"}
    """

    model: str
    task: str
    key: str
    caller: str
    true: Motif
    found: Motif
    strand: str
    start: int
    correlation: float
    status: str


def read_motif_pairs(folder: Path, found_motifs: pd.DataFrame | None) -> list[MotifPair]:
    """Read the pairs of every caller whose matrices the run holds; files that were scored from elsewhere have none.

    Parameters
    ----------
    folder : Path
        The run.
    found_motifs : DataFrame, optional
        RUN/scores/motifs.csv.

    Returns
    -------
    list of MotifPair
        In the order of the table; true motifs without any found one beside them are left out.

    Examples
    --------
    >>> read_motif_pairs(Path("no_such_run"), None)
    []
    """
    if found_motifs is None:
        return []
    of_file: Callable[[Path], dict[str, Motif]] = cache(_motifs_of)
    true = of_file(folder / "dataset" / _FILE)
    pairs = []
    for row in found_motifs[(found_motifs["kind"] == "true") & found_motifs["best"].notna()].to_dict("records"):
        found = of_file(_place(folder, row["model"], row["task"], row["key"], row["caller"])).get(row["best"])
        if found is None or row["motif"] not in true:
            continue
        names = (row["model"], row["task"], row["key"], row["caller"])
        lies = (row["strand"], int(row["start_error"]), float(row["correlation"]), row["status"])
        pairs.append(MotifPair(*names, true[row["motif"]], found, *lies))
    return pairs


def _place(folder: Path, model: str, task: str, key: str, caller: str) -> Path:
    """The file of a caller's motifs."""
    if caller == _FILTERS:
        return folder / "motifs" / model / _FILTERS / _FILE
    return folder / "motifs" / model / task / key / caller / _FILE


def _motifs_of(path: Path) -> dict[str, Motif]:
    return {motif.motif_id: motif for motif in read_motifs(path)} if path.is_file() else {}
