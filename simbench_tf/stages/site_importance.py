"""Importance of sites, in the score stage, with `scoring.site_importance`: is the credit that a method gives right?

RUN/oracle/site_values.parquet has what each true site of the explained sequences is worth for each task, the exact
Shapley value of its evidence, and site_pairs.parquet what two of them add together; they are made once for a data set.
RUN/scores/site_values/MODEL.parquet has what the sites are worth to a model itself, a missing base being a row of
zeros: that tells what the network has wrong from what the method has. RUN/scores/site_importance.csv holds each
method's sums over sites against both. Each file is a step of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.files import checksum, whole_file
from simbench_tf.hdf5 import read_h5
from simbench_tf.parallel import Track, silent
from simbench_tf.run.attributions import AttributionFile, attributed_rows, read_attributions
from simbench_tf.run.manifest import discard, fingerprint, read_manifest
from simbench_tf.run.models import is_held, load_model
from simbench_tf.run.parts import PartsFolder, discard_parts, parts_of, read_parts, write_part
from simbench_tf.score.shapley import MAX_EXACT_SITES, N_ORDERS
from simbench_tf.score.site_credit import credit_scores, site_credit
from simbench_tf.stages.simulate import grammar_of
from simbench_tf.stages.step import Made, dataset_checksums, step
from simbench_tf.stages.truths import scored_bases

#: Sites of a sequence up to which it is asked what they are worth to a model: K of them are 2 ** K looks.
MOST_SITES_OF_MODELS = 8
#: Sequences whose values are kept together, from which a killed call goes on.
_CHUNK_SEQUENCES = 16

_VALUES, _PAIRS = "oracle/site_values.parquet", "oracle/site_pairs.parquet"
_OF_MODELS, _TABLE = "scores/site_values", "scores/site_importance.csv"

Arrays = dict[str, npt.NDArray[Any]]


def site_importance(config: Config, folder: Path, files: list[AttributionFile], track: Track = silent) -> None:
    """Write the tables of the importance of sites where the configuration asks for them, else drop those there are."""
    models = {file.model: file for file in reversed(files) if is_held(file.model_file)}
    discard(folder, _not_wanted(config, folder, list(models)))  # the report would take those of an earlier one
    if not config.scoring.site_importance:
        return
    dataset, common = open_dataset(folder / "dataset"), inputs(config, folder)
    truth = fingerprint("site_values", common)
    step(folder, {"score": truth}, functools.partial(write_truth, config, dataset, folder, truth, track))
    for name, file in models.items():
        targets = {each.task: each.target for each in files if each.model == name}
        own = {**common, "model": checksum(file.model_file), "targets": targets, "most": MOST_SITES_OF_MODELS}
        key = fingerprint("site_values", own)
        make = functools.partial(write_of_model, config, dataset, folder, file, targets, key, track)
        step(folder, {"score": key}, make)
    key = fingerprint("site_importance", _table_inputs(config, folder, files))
    step(folder, {"score": key}, functools.partial(write_table, config, dataset, folder, files, track))
    for place in ("oracle", "scores"):
        discard_parts(folder / place)


def _not_wanted(config: Config, folder: Path, models: list[str]) -> list[str]:
    """Recorded files of models that are gone or, where nothing is asked for, all."""
    of_models = [name for name in read_manifest(folder) if name.startswith(f"{_OF_MODELS}/")]
    if not config.scoring.site_importance:
        return [_VALUES, _PAIRS, _TABLE, *of_models]
    return [name for name in of_models if Path(name).stem not in models]


def inputs(config: Config, folder: Path) -> dict[str, Any]:
    """What the worth of sites depends on, but for the model: the data, whose grammar the configuration has, and which
    sequences, tasks and output are explained.
    """
    return {
        "dataset": dataset_checksums(folder),
        "seed": config.seed,
        "tasks": config.attributed_tasks,
        "sites": [MAX_EXACT_SITES, N_ORDERS],
        **config.attribution.model_dump(mode="json", include={"n_sequences", "split", "output"}),
    }


def _table_inputs(config: Config, folder: Path, files: list[AttributionFile]) -> dict[str, Any]:
    worth = [folder / _VALUES, *sorted((folder / _OF_MODELS).glob("*.parquet"))]
    return {
        "columns": tables.SITE_IMPORTANCE_COLUMNS,
        "dataset": dataset_checksums(folder),
        "bases": config.scoring.bases,
        "models": sorted({checksum(file.model_file) for file in files if is_held(file.model_file)}),
        "files": {str(path.relative_to(folder)): checksum(path) for path in (*worth, *(file.path for file in files))},
    }


# what sites are worth


class _Game(NamedTuple):
    """Sites of explained sequences, and what their coalitions are worth by.

    Attributes
    ----------
    bases : uint8 (N, L)
    sites : DataFrame
        From `perfect.site_importance.sites_of`.
    outputs : callable
        From `perfect.site_importance.outputs_of`, for T tasks.
    n_tasks : int
        T.
    """

    bases: npt.NDArray[np.uint8]
    sites: pd.DataFrame
    outputs: Callable[[Any], npt.NDArray[np.float64]]
    n_tasks: int


def write_truth(config: Config, dataset: Dataset, folder: Path, key: str, track: Track) -> Made:
    """Write site_values.parquet and site_pairs.parquet: by the exact posterior, of every task."""
    from simbench_tf.perfect.oracle import oracle_of
    from simbench_tf.perfect.site_importance import outputs_of

    model, numbers = oracle_of(grammar_of(config, folder)), list(range(len(dataset.tasks)))
    outputs = outputs_of(model, dataset.seq_length, numbers, config.attribution.output)
    bases, sites = _explained(config, dataset)
    path = folder / _VALUES
    found = _computed(_Game(bases, sites, outputs, len(numbers)), PartsFolder(parts_of(path), key), "sites", track)
    columns = {task: found["scores"][:, number] for number, task in enumerate(dataset.tasks)}
    columns |= {f"{task}_error": found["error"][:, number] for number, task in enumerate(dataset.tasks)}
    _write_parquet(pd.concat([sites.drop(columns="row"), pd.DataFrame(columns)], axis=1), path)
    _write_parquet(_pairs(sites, found, dataset.tasks), folder / _PAIRS)
    return Made({"score": [path, folder / _PAIRS]})


def _pairs(sites: pd.DataFrame, found: Arrays, tasks: list[str]) -> pd.DataFrame:
    """Rows of site_pairs.parquet."""
    first, second = found["pair"].T
    named = sites[["element", "motif", "start", "end"]]
    sides = [
        named.iloc[side].add_prefix(prefix).reset_index(drop=True)
        for side, prefix in ((first, "first_"), (second, "second_"))
    ]
    seq_ids = sites["seq_id"].iloc[first].reset_index(drop=True)
    return pd.concat([seq_ids, *sides, pd.DataFrame(found["together"], columns=tasks)], axis=1)


def write_of_model(
    config: Config,
    dataset: Dataset,
    folder: Path,
    file: AttributionFile,
    targets: dict[str, int],
    key: str,
    track: Track,
) -> Made:
    """Write RUN/scores/site_values/MODEL.parquet, rows as in site_values.parquet; NaN where a sequence has too many."""
    from simbench_tf.perfect.site_importance import outputs_of

    model = load_model(file.model_file)
    outputs = outputs_of(model, dataset.seq_length, list(targets.values()), config.attribution.output)
    bases, sites = _explained(config, dataset)
    few = (sites.groupby("row")["start"].transform("size") <= MOST_SITES_OF_MODELS).to_numpy(np.bool_)
    path = folder / _OF_MODELS / f"{file.model}.parquet"
    game = _Game(bases, sites[few].reset_index(drop=True), outputs, len(targets))
    found = _computed(game, PartsFolder(parts_of(path), key), file.model, track)
    values = np.full((len(sites), len(targets)), np.nan)
    values[few] = found["scores"]
    table = pd.concat([sites.drop(columns="row"), pd.DataFrame(values, columns=list(targets))], axis=1)
    _write_parquet(table, path)
    return Made({"score": [path]})


def _explained(config: Config, dataset: Dataset) -> tuple[npt.NDArray[np.uint8], pd.DataFrame]:
    """Sequences that are explained for any task, uint8 (N, L), and all sites in them."""
    from simbench_tf.perfect.site_importance import sites_of

    split = config.attribution.split
    rows = np.unique(np.concatenate([attributed_rows(dataset, config, task) for task in config.attributed_tasks]))
    return dataset.bases(split)[rows], sites_of(dataset, rows, split)


def _computed(game: _Game, parts: PartsFolder, title: str, track: Track) -> Arrays:
    """Values of all sites, `scores` and `error`, (S, T); of each `pair`, (P, 2), its index, `together`, (P, T).

    What a killed call has done is kept, in parts of whole sequences.
    """
    done = read_parts(parts)
    first = done[-1].stop if done else 0
    sequences = game.sites["row"].iloc[first:].unique()
    with track(f"score {title}", game.sites["row"].nunique()) as advance:
        advance(game.sites["row"].nunique() - len(sequences))
        for start in range(0, len(sequences), _CHUNK_SEQUENCES):
            chunk = sequences[start : start + _CHUNK_SEQUENCES]
            places = np.flatnonzero(game.sites["row"].isin(chunk))
            done.append(write_part(parts, int(places[0]), _chunk_values(game, chunk, places)))
            advance(len(chunk))
    read = [_nothing(game.n_tasks), *map(_read_part, (part.path for part in done))]
    return {name: np.concatenate([each[name] for each in read]) for name in read[0]}


def _chunk_values(game: _Game, chunk: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> Arrays:
    """As of `_computed`, of the sites at some places, those of a chunk of sequences."""
    from simbench_tf.perfect.site_importance import values_by_sequence

    mine = game.sites.iloc[places]
    mine = mine.assign(row=np.searchsorted(chunk, mine["row"]))
    found = [_nothing(game.n_tasks)]
    for here, values in values_by_sequence(game.outputs, one_hot(game.bases[chunk]), mine):
        pairs = np.triu_indices(len(here) if values.together is not None else 0, 1)
        found.append(
            {
                "scores": values.value,
                "error": values.error,
                "pair": np.stack([places[here[each]] for each in pairs], axis=1),
                "together": _nothing(game.n_tasks)["together"] if values.together is None else values.together[pairs],
            }
        )
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _nothing(n_tasks: int) -> Arrays:
    none = np.zeros((0, n_tasks))
    return {"scores": none, "error": none, "pair": np.zeros((0, 2), np.int64), "together": none}


def _read_part(path: Path) -> Arrays:
    with read_h5(path) as h5:
        return {name: h5[name][:] for name in h5}


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


# what methods give them


def write_table(config: Config, dataset: Dataset, folder: Path, files: list[AttributionFile], track: Track) -> Made:
    """Write RUN/scores/site_importance.csv, one row per attribution file."""
    with track("score credit", len(files)) as advance:
        lines = list(_lines(config, dataset, folder, files, advance))
    with whole_file(folder / _TABLE) as partial:
        pd.DataFrame(lines, columns=list(tables.SITE_IMPORTANCE_COLUMNS)).to_csv(partial, index=False)
    return Made({"score": [folder / _TABLE]})


def _lines(
    config: Config, dataset: Dataset, folder: Path, files: list[AttributionFile], advance: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    truth, tasks_of = pd.read_parquet(folder / _VALUES), dataset.element_tasks or {}
    for file in files:
        scores, seq_ids = read_attributions(file.path)
        row = pd.Index(seq_ids).get_indexer(pd.Index(truth["seq_id"]))
        mine, row = truth[row >= 0], row[row >= 0]
        start, end = (mine[name].to_numpy(np.int64) for name in ("start", "end"))
        own = np.array([file.task in tasks_of.get(element, ()) for element in mine["element"]], np.bool_)
        seen = _whole(scored_bases(config, file, dataset.seq_length), start, end)
        by_model = _of_model(folder, file, len(truth))[mine.index]
        given = pd.DataFrame(
            {
                "row": row,
                "credit": site_credit(scores, row, start, end),
                "value": mine[file.task].to_numpy(),
                "model": by_model,
                "own": own,
            }
        )
        yield {"model": file.model, "task": file.task, "key": file.key, **credit_of(given[seen])}
        advance(1)


def credit_of(sites: pd.DataFrame) -> dict[str, float]:
    """Columns of site_importance.csv, from a row per site: row, credit, value, model (its value there), own.

    `own` is whether the site's element bears on the task; of a model's value NaN is not known.
    """
    known = sites[sites["model"].notna()]
    compared = {
        "own_sites_": (sites[sites["own"]], "credit", "value"),
        "model_": (known, "model", "value"),
        "against_model_": (known, "credit", "model"),
    }
    line = credit_scores(sites["credit"].to_numpy(), sites["value"].to_numpy(), sites["row"])
    for prefix, (rows, given, due) in compared.items():
        measured = credit_scores(rows[given].to_numpy(), rows[due].to_numpy(), rows["row"])
        line |= {f"{prefix}{name}": measured[name] for name in ("rank_correlation", "rank_correlation_se")}
    return line


def _whole(bases: npt.NDArray[np.bool_], start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> Any:
    """Whether each site lies wholly in some bases, bool (L,)."""
    outside = np.concatenate([[0], np.cumsum(~bases)])
    return outside[end] == outside[start]


def _of_model(folder: Path, file: AttributionFile, n_sites: int) -> npt.NDArray[np.float64]:
    """What each site of site_values.parquet is worth to a file's model; NaN where that is not known."""
    path = folder / _OF_MODELS / f"{file.model}.parquet"
    if not path.is_file():
        return np.full(n_sites, np.nan)
    return pd.read_parquet(path, columns=[file.task])[file.task].to_numpy(np.float64)
