"""The score stage: RUN/scores, every attribution file scored against the true sites.

One row per file and sequence in per_sequence.parquet, per file and truth in summary.csv, per file and group of sites in
motif_recall.csv, per pair of methods in comparisons.csv. Where models were trained from several seeds, variance.csv
separates their spread from that of sequences; beside perfect models, misses.csv takes apart what a method and what a
network misses; where labels depend on combinations of elements, faithfulness.csv and satisfiability.csv have one row
per file and interaction, interacting_pairs.csv one per file with dependency maps. Of data without an exact posterior,
kmer_classifier.csv has what counts of words tell of the labels. Where it is asked for, site_importance.csv says whether
credit is right, and truth_free.csv what can be told without sites.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.plugins import version_of
from simbench_tf.run.attributions import (
    AttributionFile,
    all_attribution_files,
    has_dependency_maps,
    null_files,
    read_seq_ids,
)
from simbench_tf.run.manifest import discard, fingerprint, read_manifest, stage_checksums
from simbench_tf.run.results import read_ceilings
from simbench_tf.score import (
    faithfulness,
    paired_comparisons,
    satisfiability,
    variance_components,
)
from simbench_tf.score.misses import split_misses
from simbench_tf.score.ranking import models_of_seeds, pairs_of, without_nulls
from simbench_tf.stages.interacting_pairs import interacting_pairs
from simbench_tf.stages.kmer_classifier import kmer_classifier
from simbench_tf.stages.knockouts import knock_outs_file, knock_outs_of, read_knock_outs
from simbench_tf.stages.nulls import NullScores, null_scores
from simbench_tf.stages.oracle import ceiling_of_bases, read_exact_answers
from simbench_tf.stages.score_files import COMPARED, FileToScore, against, score_against, score_file
from simbench_tf.stages.site_importance import site_importance
from simbench_tf.stages.step import Made, dataset_checksums, step
from simbench_tf.stages.truth_free import truth_free
from simbench_tf.stages.truths import Truth, scored_bases, truths_of


def score(config: Config, folder: Path, track: Track = silent, map_in_order: MapInOrder = map) -> Path:
    """Write RUN/scores from every attribution file of a run; return the path of summary.csv.

    Raises
    ------
    InputError
        There is no data set, an attribution file is missing, or the run has no models and no attributions.
    """
    files = all_attribution_files(config, folder)
    if not files:
        mend = "add some with `simbench score RUN --attributions FILE --task TASK --model-name NAME`"
        raise InputError(folder, "has no models and no attributions of other tools to score", mend)
    for file in files:
        if not file.path.is_file():
            raise InputError(file.path, "is missing", "make it with `simbench attribute`")

    def make() -> Made:
        with track("score", len(files)) as advance:
            return Made({"score": write(config, folder, files, map_in_order, advance)})

    step(folder, {"score": fingerprint("score", inputs(config, folder, files))}, make)
    kmer_classifier(config, folder, list(dict.fromkeys(file.task for file in files)))
    site_importance(config, folder, files, track)
    truth_free(config, folder, files, track)
    return folder / "scores" / "summary.csv"


def inputs(config: Config, folder: Path, files: list[AttributionFile]) -> dict[str, Any]:
    """What scores depend on: the data set, attributions and knock-outs, ceilings, and the settings of scoring."""
    read = [path for file in files for path in (file.path, knock_outs_file(file, folder))]
    return {
        "columns": tables.SUMMARY_COLUMNS,
        "rules": ("faithfulness", "satisfiability"),
        "dataset": dataset_checksums(folder),
        "attributions": {str(path.relative_to(folder)): checksum(path) for path in read if path.is_file()},
        "oracle": stage_checksums(folder, "oracle"),
        # the importance of sites and truth-free metrics are steps of their own
        "scoring": config.scoring.model_dump(mode="json", exclude={"site_importance", "truth_free", "metrics"}),
        "nulls": [checksum(file.path) for file in null_files(config, folder) if file.path.is_file()],
        **_truth_of_peaks(folder),
        **({"perfect": perfect} if (perfect := perfect_models(config)) else {}),
        # of runs without these, scores of earlier versions stay fresh
        **_plugged_metrics(config),
        **({"pairs": "interacting"} if any(has_dependency_maps(file.path) for file in files) else {}),
    }


def _plugged_metrics(config: Config) -> dict[str, Any]:
    """Metrics of other packages, their settings, and the versions of the packages."""
    metrics = config.scoring.metric_settings
    asked = {name: {**settings, **version_of("metric", name)} for name, settings in metrics.items()}
    return {"metrics": asked} if asked else {}


def _truth_of_peaks(folder: Path) -> dict[str, Any]:
    """Which motifs are a task's truth in peaks data: earlier versions counted those of all tasks for each."""
    dataset = open_dataset(folder / "dataset")
    return {} if dataset.kind == "grammar" or not dataset.element_tasks else {"truth": dataset.element_tasks}


def write(
    config: Config,
    folder: Path,
    files: list[AttributionFile],
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> list[Path]:
    """Score attribution files against the truths; all but summary.csv is of the one that the configuration names."""
    dataset = open_dataset(folder / "dataset")
    records = read_manifest(folder)
    truths = {task: truths_of(config, dataset, task, files) for task in dict.fromkeys(file.task for file in files)}
    parts, lines, recalls = [], [], []
    work = functools.partial(score_file, config.scoring.background_quantile)
    scored = map_in_order(work, (_to_score(config, dataset, file, truths[file.task]) for file in files))
    for file, (of_truths, table, recall) in zip(files, scored, strict=True):
        keys = _keys(file)
        # of other tools it is not known
        seconds = records[file.path.relative_to(folder).as_posix()].get("seconds_per_sequence")
        lines += [keys | line | {"seconds_per_sequence": seconds} for line in of_truths]
        parts.append(_per_sequence(table, keys))
        recalls.append(recall.assign(model=file.model, task=file.task, key=file.key))
        advance(1)
    lines += _null_lines(config, dataset, folder, files, truths, map_in_order)
    summary = _with_ceilings(pd.DataFrame(lines), config, dataset, folder, files)
    per_sequence = pd.concat(parts, ignore_index=True)
    misses = split_misses(per_sequence, read_ceilings(folder), perfect_models(config))
    faithful, satisfied = _rules(config, dataset, folder, files)
    target = folder / "scores"
    with whole_file(target / "per_sequence.parquet") as partial:
        per_sequence.to_parquet(partial, index=False)
    written = [target / "per_sequence.parquet"]
    for name, table, columns, always in (
        ("summary", summary, (*tables.SUMMARY_COLUMNS, *_columns_of(config.scoring.metric_settings)), True),
        ("motif_recall", pd.concat(recalls, ignore_index=True), tables.MOTIF_RECALL_COLUMNS, True),
        ("comparisons", compare_methods(per_sequence), tables.COMPARISON_COLUMNS, True),
        ("variance", variance_of_seeds(per_sequence), tables.VARIANCE_COLUMNS, False),
        ("misses", misses, tables.MISSES_COLUMNS, False),
        ("faithfulness", faithful, None, False),
        ("satisfiability", satisfied, None, False),
        ("interacting_pairs", interacting_pairs(config, dataset, folder, files), None, False),
    ):
        path = target / f"{name}.csv"
        if table.empty and not always:
            discard(folder, [f"scores/{name}.csv"])  # of rules, seeds or perfect models that were dropped
            continue
        with whole_file(path) as partial:
            (table if columns is None else table.reindex(columns=list(columns))).to_csv(partial, index=False)
        written.append(path)
    return written


def _columns_of(metrics: Iterable[str]) -> Iterator[str]:
    """Columns of summary.csv of metrics that other packages bring: each mean, and its standard error."""
    for name in metrics:
        yield from (name, f"{name}_se")


def perfect_models(config: Config) -> list[str]:
    """Models that are known to be right, the exact posterior first."""
    names = [(each.model.architecture != "oracle", each.name) for each in config.replicates if each.model.is_perfect]
    return [name for _, name in sorted(names, key=lambda pair: pair[0])]


def compare_methods(per_sequence: pd.DataFrame) -> pd.DataFrame:
    """Compare every two keys of a model and task; rows of comparisons.csv.

    Rows of one network are paired tests over sequences, and speak of this network alone. Where a model was trained from
    several seeds, rows with its name without a seed follow: differences for other trainings and sequences.

    Parameters
    ----------
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet, or rows of it. Null methods are left out.
    """
    parts, per_sequence = [], without_nulls(per_sequence)
    for (model, task), rows in per_sequence.groupby(["model", "task"], sort=False):
        keys = list(dict.fromkeys(rows["key"]))
        for metric in COMPARED:
            table = rows.pivot_table(metric, "seq_id", "key", dropna=False)[keys]
            parts.append(paired_comparisons(table).assign(model=model, task=task, metric=metric))
    seeds = models_of_seeds(per_sequence["model"].unique())
    trained = per_sequence[per_sequence["model"].isin(seeds)]
    for (base, task), rows in trained.groupby([trained["model"].map(seeds), "task"], sort=False):
        parts += [pairs_of(rows, metric).assign(model=base, task=task, metric=metric) for metric in COMPARED]
    return pd.concat(parts, ignore_index=True)


def variance_of_seeds(per_sequence: pd.DataFrame) -> pd.DataFrame:
    """Separate the spread between models of several seeds from that between sequences; rows of variance.csv.

    Parameters
    ----------
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet, or rows of it.
    """
    seeds = models_of_seeds(per_sequence["model"].unique())
    table = per_sequence[per_sequence["model"].isin(seeds)]
    lines = []
    for (model, task, key), rows in table.groupby([table["model"].map(seeds), "task", "key"], sort=False):
        for metric in COMPARED:
            values = rows.pivot_table(metric, "model", "seq_id", dropna=False)
            parts = variance_components(values)
            lines.append({"model": model, "task": task, "key": key, "metric": metric, **parts._asdict()})
    return pd.DataFrame(lines)


def _rules(
    config: Config, dataset: Dataset, folder: Path, files: list[AttributionFile]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of faithfulness.csv and of satisfiability.csv, one per file and interaction of its task."""
    knock_outs = knock_outs_of(config, dataset, folder)
    # without the oracle stage its answers are not known
    exact = read_exact_answers(folder) or [np.full((len(each.rows), 4), np.nan) for each in knock_outs]
    faithful, satisfied = [], []
    for file in files:
        mine = [pair for pair in zip(knock_outs, exact, strict=True) if pair[0].interaction.task == file.task]
        if not mine or not knock_outs_file(file, folder).is_file():  # of other tools' attributions there are none
            continue
        read = read_knock_outs(knock_outs_file(file, folder))
        for (each, oracle), (scores, answers) in zip(mine, read, strict=True):
            interaction = each.interaction
            line = {
                **_keys(file),
                "rule": interaction.rule,
                "first": interaction.first.name,
                "second": interaction.second.name,
                "expected": interaction.expected,
                "n_sequences": len(each.rows),
            }
            line = {name: line[name] for name in tables.INTERACTION_KEYS}
            faithful.append(line | faithfulness(scores, each.first, each.second, answers, oracle))
            satisfied.append(line | satisfiability(scores, each.first, each.second, interaction.truth))
    return pd.DataFrame(faithful), pd.DataFrame(satisfied)


def _keys(file: AttributionFile) -> dict[str, Any]:
    from simbench_tf.attribution import find_method

    return {
        "model": file.model,
        "task": file.task,
        "key": file.key,
        "method": file.method.method,
        "references": file.method.references or find_method(file.method.method).references or "none",
        "settings": json.dumps(file.method.settings, sort_keys=True),
    }


def _to_score(
    config: Config, dataset: Dataset, file: AttributionFile, truths: list[Truth], path: Path | None = None
) -> FileToScore:
    """A file as work, or the one at `path` in its place: of the truths what concerns its sequences."""
    path = (path or file.path).absolute()
    seq_ids = read_seq_ids(path)
    bases = scored_bases(config, file, dataset.seq_length)
    return FileToScore(path, bases, [against(truth, seq_ids) for truth in truths], config.scoring.metric_settings)


def _null_lines(
    config: Config,
    dataset: Dataset,
    folder: Path,
    files: list[AttributionFile],
    truths: dict[str, list[Truth]],
    map_in_order: MapInOrder,
) -> Iterator[dict[str, Any]]:
    """Lines of summary.csv that say what knowing nothing reaches, for each model and task; see `stages.nulls`."""
    if not config.scoring.nulls:
        return
    nulls = {(each.model, each.task, each.key): each.path for each in null_files(config, folder)}
    groups: dict[tuple[str, str], list[AttributionFile]] = {}
    for file in files:
        groups.setdefault((file.model, file.task), []).append(file)
    untrained = {
        place: [(file, path) for file in groups[place] if (path := nulls.get((*place, file.key))) and path.is_file()]
        for place in dict.fromkeys((file.model, file.task) for file in reversed(files))
    }
    works = [
        _to_score(config, dataset, groups[place][0], truths[place[1]], path)
        for place, pairs in untrained.items()
        for _, path in pairs
    ]
    scored = map_in_order(functools.partial(score_file, None), works)  # of them summary.csv alone has lines
    metrics = config.scoring.metric_settings
    without_model: dict[tuple[str, str, tuple[str, ...]], list[NullScores]] = {}
    for (model, task), pairs in untrained.items():
        first = groups[model, task][0]
        for (file, _), found in zip(pairs, scored, strict=False):
            keys = _keys(file) | {"key": f"null_untrained@{file.key}", "method": "null_untrained"}
            yield from (keys | line for line in found.lines)
        seq_ids, bases = read_seq_ids(first.path), scored_bases(config, first, dataset.seq_length)
        for truth in truths[task]:
            wanted = (task, truth.name, tuple(seq_ids))
            if wanted not in without_model:
                known = null_scores(config, dataset, task, seq_ids, truth.motifs, truth.origin)
                without_model[wanted] = list(known)
            for each in without_model[wanted]:
                keys = {"model": model, "task": task, "key": each.key, "method": each.method, "references": "none"}
                keys["settings"] = json.dumps(each.settings, sort_keys=True)
                yield keys | score_against(each.scores, against(truth, seq_ids), bases, metrics).line


def _per_sequence(table: pd.DataFrame, keys: dict[str, Any]) -> pd.DataFrame:
    """Rows of per_sequence.parquet of a file."""
    table = table.assign(**keys)
    return table[[*tables.PER_SEQUENCE_KEYS, *(column for column in table if column not in tables.PER_SEQUENCE_KEYS)]]


def _with_ceilings(
    summary: pd.DataFrame, config: Config, dataset: Dataset, folder: Path, files: list[AttributionFile]
) -> pd.DataFrame:
    """Add what could be reached: the oracle's auPRC of the sites put in, and that of a scan with the true matrices."""
    scans = summary[summary["method"] == "null_scan"].set_index(["model", "task", "truth"])["auprc"]
    places = pd.MultiIndex.from_frame(summary[["model", "task", "truth"]])
    summary = summary.assign(scan_auprc=scans.reindex(places).to_numpy())
    known, of_bases = read_ceilings(folder), functools.cache(functools.partial(_ceiling, config, dataset, folder))
    for (model, task), file in {(file.model, file.task): file for file in files}.items():
        if task not in known.index:
            continue
        bases = scored_bases(config, file, dataset.seq_length)
        ceiling = known.loc[task] if bases.all() else of_bases(task, tuple(bases))
        here = (summary["model"] == model) & (summary["task"] == task) & summary["truth"].str.startswith("embedded")
        for end in ("", "_se"):
            summary.loc[here, f"oracle_auprc{end}"] = ceiling[f"attribution_auprc{end}"]
    return summary


def _ceiling(config: Config, dataset: Dataset, folder: Path, task: str, bases: tuple[bool, ...]) -> dict[str, float]:
    """`ceiling_of_bases`, which networks that see the same bases have in common."""
    return ceiling_of_bases(config, dataset, folder, task, np.array(bases))
