"""Verification of what stages computed: each sequence, task, motif and place that tables and arrays name is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd

from simbench_tf.run.results import read_table as read_csv

#: What an unreadable HDF5, Parquet or CSV file raises, or one that holds other things than it should.
DAMAGED = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError)
#: Folders whose tables are looked through, those whose motifs are the data set's own, and what all tasks are called.
_TABLES, _OWN_MOTIFS, _ALL_TASKS = ("dynamics/", "oracle/", "scores/", "motifs/"), ("dynamics/", "oracle/"), "(all)"


class Known(NamedTuple):
    """What a data set has: names of sequences, tasks and motifs, and the bases of each sequence."""

    seq_ids: frozenset[str]
    tasks: frozenset[str]
    motifs: frozenset[str]
    seq_length: int


def table_problems(run: Path, names: Iterable[str], known: Known) -> Iterator[str]:
    """What is wrong with the tables among `names`, files of a run whose checksums are right, in a line each."""
    for name in names:
        if not name.startswith(_TABLES) or not name.endswith((".csv", ".tsv", ".parquet")):
            continue
        file = run / name
        try:
            table = _read(file)
        except DAMAGED as error:
            yield f"{file}: cannot be read: {error}"
            continue
        columns = {"seq_id": known.seq_ids, "task": known.tasks | {_ALL_TASKS}}
        columns |= {"motif": known.motifs} if name.startswith(_OWN_MOTIFS) else {}
        for column, names_known in columns.items():
            strange = sorted(set(table[column].dropna().astype(str)) - names_known) if column in table else []
            if strange:
                yield f"{file}: names the {_NOUNS[column]} {strange[0]!r}, which the data set has not"
        for first, last in (("start", "end"), ("first_start", "first_end"), ("second_start", "second_end")):
            if "seq_id" in table and first in table:
                outside = table[(table[first] < 0) | (table[first] >= table[last]) | (table[last] > known.seq_length)]
                if len(outside):
                    place = f"{outside[first].iloc[0]} to {outside[last].iloc[0]}"
                    yield f"{file}: {place} is no place in {outside['seq_id'].iloc[0]}"


_NOUNS = {"seq_id": "sequence", "task": "task", "motif": "motif"}


def _read(file: Path) -> pd.DataFrame:
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    return read_csv(file) if file.suffix == ".csv" else pd.read_csv(file, sep="\t", dtype={"seq_id": str})


def array_problems(run: Path, names: Iterable[str], known: Known) -> Iterator[str]:
    """What is wrong with arrays beside the attributions: their sequences, their shapes, and numbers that are none."""
    names = list(names)
    for name in names:
        look = next((look for place, look in _ARRAYS.items() if fnmatch(name, place)), None)
        if look is None:
            continue
        try:
            with h5py.File(run / name) as h5:
                ids = h5["seq_id"].asstr()[:].tolist() if "seq_id" in h5 else None
                strange = [seq_id for seq_id in ids or () if seq_id not in known.seq_ids]
                found = [f"names the sequence {strange[0]!r}, which the data set has not"] if strange else []
                found += look(h5, ids, known)
        except DAMAGED as error:
            found = [f"cannot be read: {error}"]
        if name.startswith("knockouts/") and f"attributions/{name.removeprefix('knockouts/')}" not in names:
            found.append("knocks out sequences that no attribution of this name explains")
        for wrong in found:
            yield f"{run / name}: {wrong}"


def _of_references(h5: h5py.File, ids: list[str] | None, known: Known) -> list[str]:
    bases = h5["bases"]
    wrong = _shape(bases, (len(ids or ()), bases.shape[1], known.seq_length))
    return wrong or (["holds bases that are none"] if (bases[:] > 4).any() else [])


def _of_knockouts(h5: h5py.File, _ids: list[str] | None, known: Known) -> list[str]:
    wrong = []
    for number, group in h5.items():
        n = len(group["answers"])
        wrong += _shape(group["scores"], (n, 3, known.seq_length)) + _shape(group["answers"], (n, 4))
        wrong += [f"holds {name} {number} that are no numbers" for name in group if not np.isfinite(group[name]).all()]
    return wrong


def _of_occupancy(h5: h5py.File, ids: list[str] | None, known: Known) -> list[str]:
    wrong = []
    for task in sorted(set(h5) - {"seq_id"}):
        wrong += _shape(h5[task], (len(ids or ()), known.seq_length))
        wrong += [] if task in known.tasks else [f"names the task {task!r}, which the data set has not"]
        values = h5[task][:]
        wrong += [] if ((values >= 0) & (values <= 1)).all() else [f"holds probabilities of {task} that are none"]
    return wrong


def _of_exact_answers(h5: h5py.File, _ids: list[str] | None, _known: Known) -> list[str]:
    shaped = [wrong for number in h5 for wrong in _shape(h5[number], (len(h5[number]), 4))]
    return shaped + [f"holds answers {number} that are no numbers" for number in h5 if np.isnan(h5[number]).any()]


def _of_calls(h5: h5py.File, ids: list[str] | None, known: Known) -> list[str]:
    """Scores of null sequences, which have no ids, and p-values of bases."""
    name = "scores" if "scores" in h5 else "pvalues"
    wrong = _shape(h5[name], (len(h5[name]) if ids is None else len(ids), known.seq_length))
    values = h5[name][:]
    no_rates = name == "pvalues" and not ((values > 0) & (values <= 1)).all()
    return wrong + (["holds p-values that are none"] if no_rates else [])


def _of_modisco(h5: h5py.File, _ids: list[str] | None, known: Known) -> list[str]:
    """TF-MoDISco's own file: places of seqlets, which count from its window, and mean contributions."""
    signs = sorted({"pos_patterns", "neg_patterns"} & set(h5))
    wrong = [] if signs else ["holds no patterns"]
    for sign in signs:
        for name, pattern in h5[sign].items():
            start, end = (pattern["seqlets"][each][:] for each in ("start", "end"))
            if not ((start >= 0) & (start < end) & (end <= known.seq_length)).all():
                wrong.append(f"has seqlets of {sign}/{name} outside the sequences")
            if not np.isfinite(pattern["contrib_scores"][:]).all():
                wrong.append(f"holds contributions of {sign}/{name} that are no numbers")
    return wrong


def _shape(array: h5py.Dataset, expected: tuple[int, ...]) -> list[str]:
    return [] if array.shape == expected else [f"holds {array.name} of shape {array.shape}, not {expected}"]


#: The pattern of a path -> what looks through the file; the first that fits.
_ARRAYS: dict[str, Callable[[h5py.File, list[str] | None, Known], list[str]]] = {
    "references/*.h5": _of_references,
    "knockouts/*.h5": _of_knockouts,
    "oracle/occupancy.h5": _of_occupancy,
    "oracle/knockouts.h5": _of_exact_answers,
    "motifs/*/modisco/modisco.h5": _of_modisco,
    "motifs/*.h5": _of_calls,
}
