"""The simulate stage: RUN/dataset, drawn part by part, whatever the kind of simulation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from simbench_tf.config import Config, GrammarSimulation, PeaksSimulation, TextSimulation
from simbench_tf.config.simulation_kind import PluggedSimulation
from simbench_tf.dataset import finish_dataset, write_part
from simbench_tf.dataset.write import site_part_path
from simbench_tf.dataset_grammar import grammar_of_run
from simbench_tf.genome.sources import check_fetched
from simbench_tf.motifs import Motif
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.plugins import version_of
from simbench_tf.run.manifest import (
    check_named,
    checksum_named,
    discard,
    discard_stale,
    fingerprint,
    fresh_files,
    read_manifest,
    tell_of_damage,
)
from simbench_tf.simulate.grammar import Grammar
from simbench_tf.stages.step import SITE_PARTS, Made, step

#: Sequences in a part file of the data set and in one file of work; a constant, so no result depends on the workers.
PART_SEQUENCES = 50_000


def simulate(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> None:
    """Write RUN/dataset; parts that an earlier, interrupted call finished are kept.

    Raises
    ------
    InputError
        A setting or one of the files is at fault.
    """
    key = fingerprint("simulate", inputs(config))
    discard_stale(folder, "simulate", key)
    if not fresh_files(folder, key):
        tell_of_damage(folder, key)
        simulation = prepare(config, folder, map_in_order)
        n_parts = _write_parts(simulation, folder, key, track)
        finish = functools.partial(_finish, config, folder, simulation, n_parts)
        step(folder, {"simulate": key}, lambda: Made({"simulate": finish()}), again=True)
    # only now that the whole is on record: killed before, the next call joins the parts again
    discard(folder, [name for name in read_manifest(folder) if name.startswith(SITE_PARTS)])


def inputs(config: Config) -> dict[str, Any]:
    """What a data set depends on: the settings of the simulation, its files by their content, the seed, the name."""
    return {"simulation": by_content(config), "seed": config.seed, "name": config.name}


#: Settings that came later, by what they are where nobody sets them: data that were made before stay fresh.
_LATER: dict[str, Any] = {
    "clean_background": False,
    "blacklist": None,
    "repeats": None,
    "classes": [],
    "stretches": [],
}
_LATER_OF_CLASSES: dict[str, Any] = {"stretches": [], "odds_ratio": {}}


def by_content(config: Config) -> dict[str, Any]:
    """Settings of the simulation with the checksum of every file in place of its path: moving a file changes nothing.

    Raises
    ------
    InputError
        A file is missing.
    """
    check_files(config)
    by_checksum = config.simulation.model_copy(update=config.simulation.with_files(checksum_named))
    # a checksum is no path, which pydantic would warn of
    settings = by_checksum.model_dump(mode="json", warnings=False)
    for part, later in [(settings, _LATER), *((each, _LATER_OF_CLASSES) for each in settings.get("classes", []))]:
        for name, left_out in later.items():
            if part.get(name, left_out) == left_out:
                part.pop(name, None)
    return settings | version_of("simulator", config.simulation.kind)


def check_files(config: Config) -> None:
    """Raise InputError where a file that the simulation names is missing; of a public one, with how to fetch it."""
    files = {}

    def note(path: Path, key: str) -> Path:
        files[key] = path
        return path

    config.simulation.with_files(note)
    check_fetched(files)
    for key, path in files.items():
        check_named(path, key)


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
    make_ready = _PREPARE.get(config.simulation.kind, _prepare_plugged)
    return make_ready(config.simulation, config.seed, folder, map_in_order)


def _write_parts(simulation: Simulation, folder: Path, key: str, track: Track) -> int:
    """Write the parts that are not there yet; return how many there are in all."""
    n = simulation.n_sequences
    ranges = [(first, min(first + PART_SEQUENCES, n)) for first in range(0, n, PART_SEQUENCES)]
    wanted = [number for number in range(len(ranges)) if not _is_whole(folder, key, number)]
    with track("simulate", len(ranges)) as advance:
        advance(len(ranges) - len(wanted))
        drawn = simulation.parts([ranges[number] for number in wanted])
        for number in wanted:

            def make(number: int = number) -> Made:
                return Made({"simulate": write_part(folder / "dataset", number, *next(drawn))})

            step(folder, {"simulate": f"{key}:{number}"}, make, again=True)
            advance(1)
    return len(ranges)


def _is_whole(folder: Path, key: str, number: int) -> bool:
    """Whether both files of a part are fresh; a record alone does not tell, since it goes with its file."""
    sites = site_part_path(folder / "dataset", number)
    return sites in fresh_files(folder, f"{key}:{number}")


def _finish(config: Config, folder: Path, simulation: Simulation, n_parts: int) -> list[Path]:
    return finish_dataset(
        folder / "dataset",
        name=config.name,
        n_parts=n_parts,
        kind=config.simulation.kind,
        tasks=config.tasks,
        motifs=simulation.motifs,
        notes=simulation.notes,
        motif_log=simulation.motif_log,
        keep_site_parts=True,
    )


def _prepare_grammar(settings: GrammarSimulation, seed: int, folder: Path, map_in_order: MapInOrder) -> Simulation:
    from simbench_tf.simulate import grammar as simulator

    grammar = grammar_of_run(settings, folder)
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


def grammar_of(config: Config, folder: Path) -> Grammar:
    """The grammar of a configuration whose simulation `has_oracle`."""
    assert isinstance(config.simulation, GrammarSimulation)
    return grammar_of_run(config.simulation, folder)


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


def _prepare_text(settings: TextSimulation, seed: int, _folder: Path, _map_in_order: MapInOrder) -> Simulation:
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


def _prepare_plugged(settings: PluggedSimulation, seed: int, _folder: Path, map_in_order: MapInOrder) -> Simulation:
    package = version_of("simulator", settings.kind)["plugin"]
    elements = settings.element_tasks
    return Simulation(
        n_sequences=settings.n_sequences,
        parts=lambda ranges: map_in_order(functools.partial(_draw_plugged, settings, seed, package), ranges),
        motifs=settings.used_motifs(),
        notes={} if elements is None else {"elements": elements},
        motif_log=None,
    )


def _draw_plugged(settings: PluggedSimulation, seed: int, package: str, bounds: tuple[int, int]) -> tuple[Any, Any]:
    from simbench_tf.simulate.plugged import draw_plugged

    return draw_plugged(settings, seed, package, *bounds)


#: How each kind of this package is made ready.
_PREPARE: dict[str, Callable[[Any, int, Path, MapInOrder], Simulation]] = {
    "peaks": _prepare_peaks,
    "grammar": _prepare_grammar,
    "text": _prepare_text,
}
