"""Room for a data set: what it will take on the disk and in memory is estimated before anything is drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

from simbench_tf.attribution.batch_size import machine_memory
from simbench_tf.config import Config, GrammarSimulation
from simbench_tf.errors import InputError

#: Bytes of a base and of the rest of a sequence in a part file (measured: 400 and 4,000 bases, 50,000 sequences).
DISK = (0.31, 60)
#: Bytes of memory that a base of a part takes while it is drawn (measured likewise), and one of the split that is read.
MEMORY = (2.5, 2.0)


def check_room(config: Config, folder: Path, part_sequences: int) -> None:
    """Check that the sequences of a grammar fit the disk and the memory; of other kinds the files say how many.

    Parameters
    ----------
    config : Config
    folder : path
        The run, whether it exists or not.
    part_sequences : int
        Sequences in one part file.

    Raises
    ------
    InputError
        They don't, with the estimate and what there is.
    """
    simulation = config.simulation
    if not isinstance(simulation, GrammarSimulation):
        return
    n, length = simulation.n_sequences, simulation.seq_length
    what = f"{n:,} sequences of {length:,} bases take about"
    disk, free = n * (length * DISK[0] + DISK[1]), _free(folder)
    if disk > free:
        mend = "take fewer or shorter sequences, or another folder"
        raise InputError("simulation.n_sequences", f"{what} {_size(disk)} on the disk, {_size(free)} are free", mend)
    read = n * (simulation.splits.test if simulation.splits.chromosomes is None else 1)
    memory, there = length * max(min(n, part_sequences) * MEMORY[0], read * MEMORY[1]), machine_memory()
    if memory > there:
        mend = "take fewer or shorter sequences"
        raise InputError("simulation.n_sequences", f"{what} {_size(memory)} of memory, there are {_size(there)}", mend)


def _free(folder: Path) -> int:
    """Bytes that are free where a run is to be, with those of the data set that is there already."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    mine = sum(path.stat().st_size for path in (folder / "dataset").rglob("*") if path.is_file())
    return shutil.disk_usage(there).free + mine


def _size(n_bytes: float) -> str:
    """Bytes in words.

    Examples
    --------
    >>> _size(1.24e14), _size(2.6e10)
    ('124 TB', '26 GB')
    """
    unit = next((unit for unit in ("MB", "GB", "TB", "PB") if n_bytes < 1000 * _UNITS[unit]), "EB")
    return f"{n_bytes / _UNITS[unit]:,.3g} {unit}"


_UNITS = {"MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "EB": 1e18}
