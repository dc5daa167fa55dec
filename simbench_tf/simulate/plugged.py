"""Data of a simulator that another package brings (a plug-in): its tables, completed and checked as ours are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from simbench_tf import tables
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms
from simbench_tf.simulate.drawn import Drawn

if TYPE_CHECKING:
    from simbench_tf.config.simulation_kind import PluggedSimulation


def draw_plugged(simulation: PluggedSimulation, seed: int, package: str, first: int, last: int) -> Drawn:
    """Draw sequences `first` to `last` (exclusive) by another package's simulator.

    Parameters
    ----------
    simulation : PluggedSimulation
    seed : int
    package : str
        The package's name, for errors.
    first, last : int

    Returns
    -------
    Drawn
        Sequence ids are ``seq000000000`` onward and splits drawn as shares, unless the simulator says them; `matched`
        is read off the sequences, score and p-value of a site are NaN unless they are said.

    Raises
    ------
    InputError
        The simulator fails, or what it draws is no data set; the line names the package.
    """
    try:
        sequences, sites = simulation.draw(seed, first, last)
        drawn = Drawn(_sequences(sequences, simulation, seed, first, last), _sites(sites, sequences, simulation, first))
        tables.check_sequences(drawn.sequences, simulation.task_names)
    except Exception as error:
        what = f"its simulator failed on sequences {first} to {last}: {type(error).__name__}: {error}"
        raise InputError(package, what, "mend or uninstall the package") from error
    return drawn


def _sequences(given: pd.DataFrame, simulation: PluggedSimulation, seed: int, first: int, last: int) -> pa.Table:
    """The sequences as a table of `tables.sequence_schema`."""
    if len(given) != last - first:
        raise ValueError(f"{len(given)} sequences for the {last - first} asked for")
    lengths = set(given["sequence"].str.len())
    if len(lengths) != 1:
        raise ValueError(f"sequences of {min(lengths)} to {max(lengths)} bases; give one length")
    if simulation.length not in (None, *lengths):
        raise ValueError(f"sequences of {lengths.pop()} bases, not of the {simulation.length} that it says")
    columns: dict[str, Any] = {name: given.get(name) for name in tables.SEQUENCE_COLUMNS}
    columns["seq_id"] = given["seq_id"] if "seq_id" in given else _ids(first, last)
    columns["split"] = given["split"] if "split" in given else _splits(simulation, seed, first, last)
    columns |= {task: given[task] for task in simulation.task_names}
    schema = tables.sequence_schema(simulation.task_names)
    return pa.Table.from_pandas(pd.DataFrame(columns), schema, preserve_index=False)


def _ids(first: int, last: int) -> list[str]:
    return [f"seq{number:09d}" for number in range(first, last)]


def _splits(simulation: PluggedSimulation, seed: int, first: int, last: int) -> Any:
    """The split of each sequence by its own number, whatever stretch it is drawn in."""
    held = simulation.splits
    draws = uniforms(seed, "plugged: splits", np.arange(first, last))[:, 0]
    return np.select([draws < held.test, draws < held.test + held.valid], ["test", "valid"], "train").astype(object)


def _sites(given: pd.DataFrame, sequences: pd.DataFrame, simulation: PluggedSimulation, first: int) -> pa.Table:
    """The sites as a table of `tables.SITES_SCHEMA`."""
    names = {motif.motif_id: motif.tf for motif in simulation.used_motifs()}
    unknown = set(given["motif"]) - set(names)
    if unknown:
        raise ValueError(f"a site of {sorted(unknown)[0]!r}, which used_motifs lacks")
    rows = given["row"].to_numpy(np.int64)
    texts = sequences["sequence"].to_numpy(object)[rows] if len(rows) else []
    ids = (
        sequences["seq_id"].to_numpy(object) if "seq_id" in sequences else np.array(_ids(first, first + len(sequences)))
    )
    places = zip(texts, given["start"], given["end"], strict=True)
    full = given.assign(
        seq_id=ids[rows].astype(object),
        tf=given["motif"].map(names),
        matched=[text[start:end] for text, start, end in places],
        element=given["element"] if "element" in given else given["motif"],
        **{name: given.get(name, np.nan) for name in ("score", "pvalue")},
    )
    # NaN is a value here: pandas' own way to Arrow would make it a missing one
    columns = [pa.array(full[field.name].to_numpy(), field.type, from_pandas=False) for field in tables.SITES_SCHEMA]
    return pa.Table.from_arrays(columns, schema=tables.SITES_SCHEMA)
