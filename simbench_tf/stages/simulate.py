"""A simulation made ready from its configuration: what it depends on, and its parts in order, whatever its kind."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from simbench_tf.config import Config, GrammarSimulation, PeaksSimulation, TextSimulation
from simbench_tf.dataset import finish_dataset, write_part
from simbench_tf.genome.sources import check_fetched
from simbench_tf.motifs import Motif, load_motifs
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.run.manifest import checksum_named, discard_stale, fingerprint, fresh_files, write_records


class Simulation(NamedTuple):
    """A simulation ready to be drawn: `parts` gives (sequences, sites) of the ranges asked for, in order."""

    n_sequences: int
    parts: Callable[[list[tuple[int, int]]], Iterator[tuple[Any, Any]]]
    motifs: list[Motif]
    notes: dict[str, Any]
    motif_log: pd.DataFrame | None


def prepare(config: Config, folder: Path, map_in_order: MapInOrder) -> Simulation:
    """Make the simulation of a configuration ready; for peaks this reads, scans and filters.

    Parameters
    ----------
    config : Config
    folder : path
        The run, where a genome's index goes when it cannot stand beside the genome.
    map_in_order : callable
        From `simbench_tf.parallel.workers`.

    Raises
    ------
    InputError
        A setting or one of the files is at fault.
    """
    if isinstance(config.simulation, PeaksSimulation):
        return _prepare_peaks(config.simulation, config.seed, folder, map_in_order)
    if isinstance(config.simulation, TextSimulation):
        return _prepare_text(config.simulation, config.seed)
    return _prepare_grammar(config.simulation, config.seed, folder, map_in_order)


def by_content(config: Config) -> dict[str, Any]:
    """The simulation's settings with every file's checksum in place of its path: moving a file changes nothing."""
    simulation = config.simulation
    settings = simulation.model_dump(mode="json")
    if isinstance(simulation, PeaksSimulation):
        check_fetched(simulation.files)
        if not simulation.clean_background:
            del settings["clean_background"]  # what was made before there was this setting stays as it is
    if simulation.motifs not in (None, "default") and not simulation.motifs.startswith("jaspar:"):
        settings["motifs"] = checksum_named(Path(simulation.motifs), "simulation.motifs")
    if isinstance(simulation, TextSimulation):
        for label, given in (("positives", simulation.positives), ("negatives", simulation.negatives)):
            settings[label] = {task: checksum_named(file, f"simulation.{label}.{task}") for task, file in given.items()}
        return settings
    if isinstance(simulation.background, Path):
        settings["background"] = checksum_named(simulation.background, "simulation.background")
    if isinstance(simulation, PeaksSimulation):
        if isinstance(simulation.background, list):
            settings["background"] = [checksum_named(file, key) for key, file in simulation.background_files.items()]
        settings["genome"] = checksum_named(simulation.genome, "simulation.genome")
        files = simulation.peaks.items()
        settings["peaks"] = {task: checksum_named(file, f"simulation.peaks.{task}") for task, file in files}
    return settings


def _prepare_grammar(settings: GrammarSimulation, seed: int, folder: Path, map_in_order: MapInOrder) -> Simulation:
    from simbench_tf.simulate import grammar as simulator

    grammar = simulator.build_grammar(settings, load_motifs(settings.motifs), folder / "genome")
    draw = functools.partial(_draw_range, grammar, seed)
    return Simulation(
        n_sequences=settings.n_sequences,
        parts=lambda ranges: map_in_order(draw, ranges),
        motifs=simulator.used_motifs(grammar),
        notes={
            "elements": simulator.element_tasks(grammar),
            "background": list(simulator.zero_order_background(grammar)),
        },
        motif_log=None,
    )


def _draw_range(grammar: Any, seed: int, bounds: tuple[int, int]) -> tuple[Any, Any]:
    from simbench_tf.simulate.grammar import draw

    return draw(grammar, seed, *bounds)


def _prepare_peaks(settings: PeaksSimulation, seed: int, folder: Path, map_in_order: MapInOrder) -> Simulation:
    from simbench_tf.simulate.peaks import implant_part, plan_peaks, take_part

    plan = plan_peaks(settings, seed, index_dir=folder / "genome", map_chunks=map_in_order)
    return Simulation(
        n_sequences=plan.n_regions,
        parts=lambda ranges: map_in_order(implant_part, (take_part(plan, *bounds) for bounds in ranges)),
        motifs=plan.motifs,
        notes=plan.notes,
        motif_log=plan.motif_log,
    )


def _prepare_text(settings: TextSimulation, seed: int) -> Simulation:
    from simbench_tf.simulate.text import plan_text, take

    plan = plan_text(settings, seed)
    return Simulation(
        n_sequences=len(plan.sequences),
        # cutting up what was read is quicker than sending it to a worker
        parts=lambda ranges: (take(plan, *bounds) for bounds in ranges),
        motifs=plan.motifs,
        notes=plan.notes,
        motif_log=None,
    )


#: Sequences in a part file of the data set and in one file of work; constants, so no result depends on the workers.
PART_SEQUENCES = 50_000


# simulate


def simulate(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> None:
    """Write RUN/dataset; parts that an earlier, interrupted call finished are kept."""
    key = fingerprint("simulate", {"simulation": by_content(config), "seed": config.seed, "name": config.name})
    discard_stale(folder, "simulate", key)
    if fresh_files(folder, key):
        return
    start = time.perf_counter()

    def record(files: list[Path], part: str = "") -> None:
        write_records(folder, files, "simulate", key + part, time.perf_counter() - start, "cpu")

    simulation = prepare(config, folder, map_in_order)
    n = simulation.n_sequences
    ranges = [(first, min(first + PART_SEQUENCES, n)) for first in range(0, n, PART_SEQUENCES)]
    wanted = [number for number in range(len(ranges)) if not fresh_files(folder, f"{key}:{number}")]
    with track("simulate", len(ranges)) as advance:
        advance(len(ranges) - len(wanted))
        drawn = simulation.parts([ranges[number] for number in wanted])
        for number, (sequences, sites) in zip(wanted, drawn, strict=True):
            record(write_part(folder / "dataset", number, sequences, sites), f":{number}")
            advance(1)
    record(
        finish_dataset(
            folder / "dataset",
            name=config.name,
            n_parts=len(ranges),
            kind=config.simulation.kind,
            tasks=config.tasks,
            motifs=simulation.motifs,
            notes=simulation.notes,
            motif_log=simulation.motif_log,
        )
    )
