"""Result files of a run, read back: scores, measures of the models, ceilings, learning dynamics, attributed sequences.

This is the one reader of what stages write as tables and JSON. Names (tasks, models, motifs) are read as text, whatever
they look like; an empty cell is a missing value, and nothing else is.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config, config_dict, versions
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.dataset.files import read_description
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import NotTaken, all_attribution_files, not_taken, read_attributions
from simbench_tf.run.dependency_maps import DependencyMap, read_maps
from simbench_tf.run.models import is_measured, metrics_file
from simbench_tf.run.motif_pairs import MotifPair, read_motif_pairs

#: For each task: auroc, auprc, positive_fraction; where the exact posterior is known, oracle_auroc and oracle_auprc;
#: where a classifier of k-mers stands in for it, kmer_auroc and kmer_k.
Metrics = dict[str, dict[str, float | None]]

#: Columns that hold names: a task may be called NA, 1 or 1e3.
_NAMES = (
    "model", "task", "key", "method", "references", "settings", "truth", "seq_id", "by", "group", "metric", "first",
    "second", "rule", "motif", "tf", "element", "quantity", "step", "caller", "kind", "best", "status", "strand",
)  # fmt: skip


class AttributedSequences(NamedTuple):
    """Sequences of one model and task, and the attributions of every method.

    Attributes
    ----------
    model, task : str
    seq_ids : sequence of N str
    bases : uint8 array, shape (N, L)
        0-3 for A, C, G, T and 4 for N.
    sites : DataFrame
        Of `tables.SITE_COLUMNS`, with row (of these sequences) and counted: whether the site is truth for the task.
    scores : dict of str to float array, shape (N, L)
        For each key.
    """

    model: str
    task: str
    seq_ids: Sequence[str]
    bases: npt.NDArray[np.uint8]
    sites: pd.DataFrame
    scores: Mapping[str, npt.NDArray[np.floating]]


class RunResults(NamedTuple):
    """What a scored run holds.

    Attributes
    ----------
    config : dict
        The resolved configuration, as `config.config_dict` gives it.
    versions : dict
        Package and version.
    dataset_info : dict
        The content of dataset.json, with ``elements`` (element -> tasks whose truth it is in, or None); of peaks,
        ``lost`` is a list of records of step, positives, background, positives_left and background_left.
    summary : DataFrame
        RUN/scores/summary.csv, with `tables.SUMMARY_COLUMNS`, of the truth that rankings take, without null rows.
    nulls : DataFrame, optional
        The null rows: what knowing nothing of the model reaches (methods ``null_...``).
    other_truth : DataFrame, optional
        Of peaks, the rows of the other truth, null rows among them.
    per_sequence : DataFrame
        RUN/scores/per_sequence.parquet: `tables.PER_SEQUENCE_KEYS`, the metrics and chance_auprc.
    metrics : dict
        For each model, its `Metrics` on the test split; of an outside model where its predictions were given.
    histories : dict
        For each model of the run, RUN/models/MODEL/history.csv: batch, loss, valid_loss and any other ``valid_``
        columns.
    sequences : sequence of AttributedSequences
    comparisons, motif_recall, variance, misses, faithfulness, satisfiability, site_importance, truth_free,
    interacting_pairs : DataFrame, optional
        Of RUN/scores.
    likeness : DataFrame, optional
        RUN/likeness.csv, of a twin of real peaks.
    instances, found_motifs : DataFrame, optional
        RUN/scores/instances.csv and motifs.csv: what motif callers found (`tables.INSTANCE_COLUMNS`,
        `tables.FOUND_MOTIF_COLUMNS`).
    motif_names : dict
        What to call each true motif.
    dynamics : dict
        For each model the tables of RUN/dynamics/MODEL: ``dynamics``, ``learnt`` and, where there is one, ``order``.
    motif_log : DataFrame, optional
        RUN/dataset/motif_log.csv, for peaks.
    not_taken : sequence of NotTaken
        Methods of the run that some of its models do not take.
    apart : sequence of str
        Models that need not take each method: those that the grammar of the data made, and gkm-SVMs.
    maps : sequence of DependencyMap
        One sequence's for each model, task and key that has them.
    motif_pairs : sequence of MotifPair
        True motifs beside the found ones that are most like them.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    dataset_info: Mapping[str, Any]
    summary: pd.DataFrame
    per_sequence: pd.DataFrame
    metrics: Mapping[str, Metrics]
    histories: Mapping[str, pd.DataFrame]
    nulls: pd.DataFrame | None = None
    other_truth: pd.DataFrame | None = None
    sequences: Sequence[AttributedSequences] = ()
    comparisons: pd.DataFrame | None = None
    motif_recall: pd.DataFrame | None = None
    variance: pd.DataFrame | None = None
    misses: pd.DataFrame | None = None
    faithfulness: pd.DataFrame | None = None
    satisfiability: pd.DataFrame | None = None
    site_importance: pd.DataFrame | None = None
    truth_free: pd.DataFrame | None = None
    interacting_pairs: pd.DataFrame | None = None
    likeness: pd.DataFrame | None = None
    instances: pd.DataFrame | None = None
    found_motifs: pd.DataFrame | None = None
    motif_names: Mapping[str, str] = {}
    dynamics: Mapping[str, Mapping[str, pd.DataFrame]] = {}
    motif_log: pd.DataFrame | None = None
    not_taken: Sequence[NotTaken] = ()
    apart: Sequence[str] = ()
    maps: Sequence[DependencyMap] = ()
    motif_pairs: Sequence[MotifPair] = ()


def read_results(config: Config, folder: Path, *, sequences: bool = True) -> RunResults:
    """Read all that a scored run holds; its sequences with their attributions only where they are asked for.

    Raises
    ------
    InputError
        The run was not scored.
    """
    check_scored(folder)
    scores = folder / "scores"
    summary, other_truth = _by_truth(read_table(scores / "summary.csv"))
    is_null = summary["method"].str.startswith("null_")
    of_run = {each.name for each in config.replicates}  # other tools' models are known by name alone
    models = [name for name in summary["model"].unique() if name in of_run]
    dataset, ceilings, kmers = open_dataset(folder / "dataset"), read_ceilings(folder), read_kmer_classifier(folder)
    found_motifs = _calls(scores / "motifs.csv", tables.FOUND_MOTIF_COLUMNS)
    known = models if config.models else [name for name in summary["model"].unique() if is_measured(folder, name)]
    measured = {name: with_ceilings(read_metrics(folder, name), ceilings) for name in known}
    return RunResults(
        config=config_dict(config),
        versions=versions(),
        dataset_info=read_description(folder / "dataset") | {"elements": dataset.element_tasks},
        summary=summary[~is_null].reset_index(drop=True),
        nulls=summary[is_null].reset_index(drop=True),
        other_truth=None if other_truth.empty else other_truth,
        per_sequence=pd.read_parquet(scores / "per_sequence.parquet"),
        metrics={name: with_kmers(metrics, kmers) for name, metrics in measured.items()},
        histories={name: read_table(folder / "models" / name / "history.csv") for name in models},
        sequences=read_sequences(config, folder) if sequences else (),
        comparisons=_some_rows(scores / "comparisons.csv"),
        motif_recall=_some_rows(scores / "motif_recall.csv"),
        variance=_some_rows(scores / "variance.csv"),
        misses=_some_rows(scores / "misses.csv"),
        faithfulness=_some_rows(scores / "faithfulness.csv"),
        satisfiability=_some_rows(scores / "satisfiability.csv"),
        site_importance=_some_rows(scores / "site_importance.csv"),
        truth_free=_some_rows(scores / "truth_free.csv"),
        interacting_pairs=_some_rows(scores / "interacting_pairs.csv"),
        likeness=_some_rows(folder / "likeness.csv"),
        instances=_calls(scores / "instances.csv", tables.INSTANCE_COLUMNS),
        found_motifs=found_motifs,
        motif_names=dict(zip(dataset.motifs["motif"], dataset.motifs["tf"], strict=True)),
        dynamics=_read_dynamics(folder, models),
        motif_log=_some_rows(folder / "dataset" / "motif_log.csv"),
        not_taken=not_taken(config),
        apart=[model.name for model in config.models if model.is_from_data or model.is_gkmsvm],
        maps=read_maps(config, folder, functools.partial(_sites_of, config, dataset)) if sequences else (),
        motif_pairs=read_motif_pairs(folder, found_motifs) if sequences else (),
    )


def _by_truth(summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the truth that comes first, which rankings take, and of the other one."""
    origin = summary["truth"].str.partition(":")[0]
    first = origin == origin.iloc[0]
    return summary[first].reset_index(drop=True), summary[~first].reset_index(drop=True)


def check_scored(folder: Path) -> None:
    """Raise InputError where a run has no scores."""
    if not (folder / "scores" / "summary.csv").is_file():
        raise InputError(folder, "has no scores", "make them with `simbench score`")


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file of a run: names as text, empty cells as missing values."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(_NAMES, str))


def read_metrics(folder: Path, model: str) -> Metrics:
    """Read RUN/models/MODEL/metrics.json: what a model reaches on the test split.

    Raises
    ------
    InputError
        There is no such file.
    """
    path = metrics_file(folder, model)
    if not path.is_file():
        raise InputError(path, "is missing", "train the model again with `simbench train`")
    metrics = json.loads(path.read_text(encoding="utf-8"))
    # runs of earlier versions hold ceilings, too, with NaN where undefined
    measured = ("auroc", "auprc", "positive_fraction")
    return {task: {name: _defined(values[name]) for name in measured} for task, values in metrics.items()}


def read_ceilings(folder: Path) -> pd.DataFrame:
    """RUN/oracle/ceilings.csv by task; without rows where there is none.

    Columns auroc and auprc are those of P(label | sequence) on the test split; attribution_auroc and attribution_auprc
    are means over the kept positives of a task, and pooled_attribution_* pool their bases.
    """
    path = folder / "oracle" / "ceilings.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["auroc", "auprc", "attribution_auroc", "attribution_auprc"])
    return read_table(path).set_index("task")


def with_ceilings(metrics: Metrics, ceilings: pd.DataFrame) -> Metrics:
    """Add to each task what the exact posterior reaches on the same split, oracle_auroc and oracle_auprc.

    Examples
    --------
    >>> ceilings = pd.DataFrame({"auroc": [0.9], "auprc": [np.nan]}, index=["K562"])
    >>> with_ceilings({"K562": {"auroc": 0.8}, "H1": {"auroc": 0.7}}, ceilings)
    {'K562': {'auroc': 0.8, 'oracle_auroc': 0.9, 'oracle_auprc': None}, 'H1': {'auroc': 0.7}}
    """
    return {
        task: values
        | ({f"oracle_{name}": _defined(ceilings.loc[task, name]) for name in ("auroc", "auprc")} if known else {})
        for task, values in metrics.items()
        for known in [task in ceilings.index]
    }


def read_kmer_classifier(folder: Path) -> pd.DataFrame:
    """RUN/scores/kmer_classifier.csv by task; without rows where there is none."""
    path = folder / "scores" / "kmer_classifier.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["auroc", "k"])
    return read_table(path).set_index("task")


def with_kmers(metrics: Metrics, kmers: pd.DataFrame) -> Metrics:
    """Add to each task what a classifier of k-mers reaches on the same split, kmer_auroc, and the length of its words.

    Examples
    --------
    >>> kmers = pd.DataFrame({"auroc": [0.6], "k": [5]}, index=["K562"])
    >>> with_kmers({"K562": {"auroc": 0.8}, "H1": {"auroc": 0.7}}, kmers)
    {'K562': {'auroc': 0.8, 'kmer_auroc': 0.6, 'kmer_k': 5.0}, 'H1': {'auroc': 0.7}}
    """
    return {
        task: values
        | ({f"kmer_{name}": _defined(kmers.loc[task, name]) for name in ("auroc", "k")} if task in kmers.index else {})
        for task, values in metrics.items()
    }


def read_sequences(config: Config, folder: Path) -> list[AttributedSequences]:
    """Read every attributed sequence with the attributions of every method, by model and task."""
    dataset, split = open_dataset(folder / "dataset"), config.attribution.split
    rows, bases = pd.Index(dataset.seq_ids(split)), dataset.bases(split)
    scores: dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]] = {}
    ids: dict[tuple[str, str], list[str]] = {}
    for file in all_attribution_files(config, folder):
        values, ids[file.model, file.task] = read_attributions(file.path)
        scores.setdefault((file.model, file.task), {})[file.key] = values
    return [
        AttributedSequences(model, task, known, bases[rows.get_indexer(pd.Index(known))], sites, mine)
        for (model, task), mine in scores.items()
        for known in [ids[model, task]]
        for sites in [_sites_of(config, dataset, task, known)]
    ]


def _sites_of(config: Config, dataset: Dataset, task: str, seq_ids: list[str]) -> pd.DataFrame:
    known = pd.Index(seq_ids)
    elements = dataset.element_tasks if config.scoring.motifs == "task" else None
    sites = dataset.sites[dataset.sites["seq_id"].isin(known)]
    counted = [elements is None or task in elements.get(element, ()) for element in sites["element"]]
    return sites.assign(row=known.get_indexer(sites["seq_id"]), counted=np.array(counted, np.bool_))


def _read_dynamics(folder: Path, models: list[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """Tables of RUN/dynamics by model, of those models that have them."""
    found = {}
    for model in models:
        place = folder / "dynamics" / model
        named = {name: _some_rows(place / f"{name}.csv") for name in ("dynamics", "learnt", "order")}
        there = {name: table for name, table in named.items() if table is not None}
        if {"dynamics", "learnt"} <= set(there):
            found[model] = there
    return found


def _calls(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    """What motif callers found; earlier versions knew files that were given only, and fewer columns."""
    table = _some_rows(path)
    if table is None:
        return None
    return (table if "caller" in table else table.assign(caller="file")).reindex(columns=list(columns))


def _some_rows(path: Path) -> pd.DataFrame | None:
    """A table of the run; None where it has none, or an empty one."""
    if not path.is_file():
        return None
    table = read_table(path)
    return None if table.empty else table


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
