"""The motifs stage: what motif callers find in a run's attributions, RUN/motifs, and how good it is.

RUN/motifs/MODEL/TASK/KEY/CALLER holds what each caller of `discovery.callers` found, RUN/motifs/MODEL/filters the
motifs of a network's first filters. All are scored against the truth into RUN/scores/instances.csv and motifs.csv,
beside the rows of files that were given to `simbench score --motifs`, which stay.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pandas as pd

from simbench_tf.architectures import LACKING
from simbench_tf.config import Config, Replicate
from simbench_tf.config.discovery import Caller
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.discovery import score_motifs
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.interchange.export_attributions import chromosome_sizes
from simbench_tf.motifs import read_motifs, write_meme
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.run.attributions import AttributionFile, attribution_files
from simbench_tf.run.manifest import discard, fingerprint, fresh_files, read_manifest
from simbench_tf.run.models import find_model, load_model
from simbench_tf.run.parts import discard_parts
from simbench_tf.stages import null_attributions
from simbench_tf.stages.attribute import common_inputs, inputs
from simbench_tf.stages.call_scores import COLUMNS, Place, made_from, place_of, read_rows, scored_tables, true_motifs
from simbench_tf.stages.found_motifs import FILE, earlier_rows, scores_key, write_scores
from simbench_tf.stages.motif_callers import (
    MOTIFS,
    PATTERNS,
    Explained,
    call,
    check_callers,
    read_calls,
    versions_of,
)
from simbench_tf.stages.step import Made, step

#: Sequences of the attributed split that a filter's motif is made from, at most.
FILTER_SEQUENCES = 5_000
#: The caller, and key, of rows of a network's first filters.
FILTERS = "filters"
_FOLDER = "motifs"


def motifs(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> Path:
    """Run the callers of `discovery` on every attribution file, score what they find; return RUN/scores/instances.csv.

    Methods of pairs of bases are left out, and attributions of other tools, whose method is not there to say what a
    null gets: score what a caller finds in those with `simbench score --motifs`.

    Raises
    ------
    InputError
        The configuration has no `discovery`; attributions are missing; a caller is not installed, or failed.
    """
    from simbench_tf.attribution import find_method

    if config.discovery is None:
        mend = "run it again with `--set discovery={}`, or score a caller's file with `simbench score --motifs`"
        raise InputError(folder, "was not asked for motif discovery", mend)
    check_callers(config.discovery)
    dataset = open_dataset(folder / "dataset")
    files = [each for each in attribution_files(config, folder) if not find_method(each.method.method).is_of_pairs]
    places = {task: place_of(config, folder, dataset, task) for task in dict.fromkeys(each.task for each in files)}
    scored: list[Path] = []
    n_callers = len(config.discovery.callers)
    with track("motifs", len(files) * n_callers) as advance:
        for file in files:
            if not file.path.is_file():
                raise InputError(file.path, "is missing", "make it with `simbench attribute`")
            scored += _of_file(file, config, folder, dataset, places[file.task], map_in_order)
            advance(n_callers)
    if config.discovery.filters:
        for replicate in config.replicates:
            scored += _of_filters(replicate, config, folder, dataset, places)
    discard_parts(folder / _FOLDER)
    discard(folder, _stale(folder, scored))
    return _gather(config, folder, scored)


def forget(config: Config, folder: Path) -> None:
    """Delete what the stage made of a run that is no longer asked for it, and rows of other data or settings.

    Rows of files that were given for these data stay.
    """
    names = _stale(folder, [])
    discard(folder, names)
    there = [path for table in COLUMNS if (path := folder / "scores" / f"{table}.csv").is_file()]
    if names or set(there) - set(fresh_files(folder, scores_key(config, folder))):
        _gather(config, folder, [])


def _of_file(
    file: AttributionFile, config: Config, folder: Path, dataset: Dataset, place: Place, map_in_order: MapInOrder
) -> list[Path]:
    """Run every caller on an attribution file; returns the tables of scores."""
    discovery = config.discovery
    assert discovery is not None
    target = folder / _FOLDER / file.model / file.task / file.key
    null = target / "null.h5" if "seqlets" in discovery.callers else None
    if null is not None:
        asked = {**inputs(file, common_inputs(config, folder)), "null": discovery.null_sequences}
        key = fingerprint("motifs", asked)

        def make_null(null: Path = null) -> Made:
            drawn = null_attributions.null_sequences(config, folder, dataset, file.task, place.sequences.rows)
            return null_attributions.write(file, config, drawn, null, key, map_in_order, silent)

        step(folder, {"motifs": key}, make_null)
    patterns = target / "modisco" / PATTERNS
    loci = place.sequences.loci
    sizes = None if loci is None else chromosome_sizes(config, folder, loci)
    explained = Explained(file, place.sequences, null, sizes)
    scored = []
    for caller in discovery.callers:
        made = _called(caller, explained, config, folder, target / caller, patterns)
        scored += _scored(caller, made, place, config, folder, dataset, target / caller)
    return scored


def _called(
    caller: Caller, explained: Explained, config: Config, folder: Path, target: Path, patterns: Path
) -> dict[str, str]:
    """Run one caller, unless what it found is there; returns what this was made from."""
    discovery = config.discovery
    assert discovery is not None
    settings = {"seqlets": {"fdr", "width"}, "modisco": {"n_seqlets", "hypothetical"}}
    settings["finemo"] = settings["modisco"]
    made_of = {
        "attributions": checksum(explained.file.path),
        "caller": caller,
        "versions": str(versions_of(caller)),
        "settings": discovery.model_dump_json(include=settings[caller])
        if caller in settings
        else str(sorted(discovery.settings.get(caller, {}).items())),
    }
    if caller == "seqlets" and explained.null is not None:
        made_of["null"] = checksum(explained.null)
    if caller == "finemo":
        made_of["patterns"] = checksum(patterns) if patterns.is_file() else "none"
    made = functools.partial(call, caller, explained, config, target, patterns)
    # the path is a part of it: two methods may say the same of a model
    place = target.relative_to(folder).as_posix()
    versions = ", ".join(f"{name} {version}" for name, version in versions_of(caller).items())
    details = {"versions": versions} if versions else {}
    key = fingerprint("motifs", {**made_of, "place": place})
    step(folder, {"motifs": key}, lambda: Made({"motifs": made()}, details=details))
    return made_of


def _scored(
    caller: Caller,
    made_of: dict[str, str],
    place: Place,
    config: Config,
    folder: Path,
    dataset: Dataset,
    target: Path,
) -> list[Path]:
    """Score what a caller found, unless that is there; returns the tables, beside the caller's own files."""
    files = [target / f"{table}.csv" for table in (COLUMNS if caller == "modisco" else ["instances"])]

    def make() -> Made:
        scored = scored_tables(read_calls(caller, target, place.sequences), place, dataset)
        return Made({"motifs": [_write(path, scored[path.stem]) for path in files]})

    from_what = {**made_of, **made_from(config, folder), "place": target.relative_to(folder).as_posix()}
    step(folder, {"motifs": fingerprint("motif scores", from_what)}, make)
    return files


def _of_filters(
    replicate: Replicate, config: Config, folder: Path, dataset: Dataset, places: dict[str, Place]
) -> list[Path]:
    """Motifs of a network's first filters, scored for each task; nothing of a model without a first convolution."""
    from simbench_tf.discovery import filter_motifs

    model_file = find_model(replicate, config.tasks, folder).file
    if replicate.members or replicate.model.architecture in LACKING:  # it has no filters of its own
        return []
    target = folder / _FOLDER / replicate.name / FILTERS
    files = {task: target / task / "motifs.csv" for task in places}

    def make() -> Made:
        model = load_model(model_file)
        try:
            found = filter_motifs(model, dataset.bases(config.attribution.split)[:FILTER_SEQUENCES])
        except InputError:
            return Made({"motifs": [_write(path, pd.DataFrame(columns=["kind"])) for path in files.values()]})
        target.mkdir(parents=True, exist_ok=True)
        write_meme(found.motifs, target / MOTIFS)
        made = [target / MOTIFS, _write(target / "filters.csv", found.table)]
        every = read_motifs(dataset.path / "motifs.meme")
        table = score_motifs(found.motifs, every, background=dataset.notes["background"])
        for task, place in places.items():
            mine = {motif.motif_id for motif in true_motifs(dataset, place.truth)}
            # a filter of another task's motif is no false one, but no motif of this task is found by it
            made.append(_write(files[task], table[(table["kind"] == "found") | table["motif"].isin(mine)]))
        return Made({"motifs": made})

    from_what = {"model": checksum(model_file), "name": replicate.name, **made_from(config, folder)}
    step(folder, {"motifs": fingerprint("filters", {**from_what, "sequences": FILTER_SEQUENCES})}, make)
    return list(files.values())


def _write(path: Path, table: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        table.to_csv(partial, index=False)
    return path


def _stale(folder: Path, scored: list[Path]) -> list[str]:
    """Files of the stage that belong to no table of scores: of callers, methods or models no longer asked for."""
    kept = {path.parent.relative_to(folder).as_posix() for path in scored}
    kept |= {place.rpartition("/")[0] for place in kept}  # the null of a method, the motifs of all filters
    names = [name for name, record in read_manifest(folder).items() if record["stage"] == "motifs"]
    return [name for name in names if name.startswith(f"{_FOLDER}/") and name.rpartition("/")[0] not in kept]


def _gather(config: Config, folder: Path, scored: list[Path]) -> Path:
    """Join all tables of scores, after the rows of files that were given."""
    key = scores_key(config, folder)
    rows = {table: [earlier[earlier["caller"] == FILE]] for table, earlier in earlier_rows(folder, key).items()}
    for path in scored:
        origin = path.parent.relative_to(folder / _FOLDER).parts
        if origin[1] == FILTERS:
            model, key_, task = origin
            names = {"model": model, "task": task, "key": key_, "caller": FILTERS}
        else:
            names = dict(zip(("model", "task", "key", "caller"), origin, strict=True))
        rows[path.stem].append(read_rows(path).assign(**names))

    step(folder, {"score": key}, lambda: Made({"score": list(write_scores(folder, rows).values())}), again=True)
    return folder / "scores" / "instances.csv"
