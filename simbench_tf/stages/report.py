"""RUN/report.html: what the report tells, gathered from the files of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config, config_dict, versions
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.report import Browsed, Example, write_report
from simbench_tf.run.attributions import all_explained, read_explained
from simbench_tf.run.manifest import stage_checksums
from simbench_tf.stages.step import STAGES, _step

#: Sequences drawn as logos.
EXAMPLES = 6


def write_run_report(config: Config, folder: Path, target: Path) -> Path:
    """Gather what a scored run holds and write its report; returns `target`."""
    from simbench_tf.attribution import methods

    models = {each.name: folder / "models" / each.name for each in config.replicates}
    dataset = open_dataset(folder / "dataset")
    motifs, browsed = dataset.motifs, _browsed(config, folder, dataset)
    return write_report(
        target,
        config=config_dict(config),
        versions=versions(),
        dataset_info={
            **json.loads((folder / "dataset" / "dataset.json").read_text(encoding="utf-8")),
            "elements": dataset.element_tasks,
        },
        summary=pd.read_csv(folder / "scores" / "summary.csv", keep_default_na=False, na_values=[""]),
        per_sequence=pd.read_parquet(folder / "scores" / "per_sequence.parquet"),
        metrics={name: json.loads((path / "metrics.json").read_text("utf-8")) for name, path in models.items()},
        histories={name: pd.read_csv(path / "history.csv") for name, path in models.items()},
        examples=_examples(browsed),
        browsed=browsed,
        comparisons=_table(folder / "scores" / "comparisons.csv"),
        recall=_table(folder / "scores" / "motif_recall.csv"),
        motif_names=dict(zip(motifs["motif"], motifs["tf"], strict=True)),
        variance=_table(folder / "scores" / "variance.csv"),
        dynamics=_dynamics(folder, list(models)),
        faithfulness=_table(folder / "scores" / "faithfulness.csv"),
        motif_log=_table(folder / "dataset" / "motif_log.csv"),
        method_descriptions={name: method.description for name, method in methods().items()},
    )


def _table(path: Path) -> pd.DataFrame | None:
    """A table of the run; None where it has none, or an empty one."""
    if not path.is_file():
        return None
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return None if table.empty else table


def _dynamics(folder: Path, models: list[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of RUN/dynamics, by model, of those models that have them."""
    found = {}
    for model in models:
        tables = {name: _table(folder / "dynamics" / model / f"{name}.csv") for name in ("dynamics", "learnt", "order")}
        there = {name: table for name, table in tables.items() if table is not None}
        if {"dynamics", "learnt"} <= set(there):
            found[model] = there
    return found


def _browsed(config: Config, folder: Path, dataset: Dataset) -> list[Browsed]:
    """Every explained sequence, with every method's attributions, by model and task."""
    split = config.attribution.split
    rows, bases = pd.Index(dataset.seq_ids(split)), dataset.bases(split)
    scores: dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]] = {}
    ids: dict[tuple[str, str], list[str]] = {}
    for file in all_explained(config, folder):
        values, ids[file.model, file.task] = read_explained(file.path)
        scores.setdefault((file.model, file.task), {})[file.key] = values
    elements = dataset.element_tasks if config.scoring.motifs == "task" else None
    places = []
    for (model, task), mine in scores.items():
        known = pd.Index(ids[model, task])
        sites = dataset.sites[dataset.sites["seq_id"].isin(known)]
        counted = [elements is None or task in elements.get(element, ()) for element in sites["element"]]
        sites = sites.assign(row=known.get_indexer(sites["seq_id"]), counted=np.array(counted, np.bool_))
        places.append(Browsed(model, task, ids[model, task], bases[rows.get_indexer(known)], sites, mine))
    return places


def _examples(browsed: list[Browsed]) -> list[Example]:
    """Six explained sequences with every method's attributions, the models and tasks taking turns."""
    from simbench_tf.dna import one_hot

    turns = [(place, number) for number in range(EXAMPLES) for place in browsed if number < len(place.seq_ids)]
    examples = []
    for place, number in turns[:EXAMPLES]:
        sites = place.sites[place.sites["row"] == number].drop(columns=["row", "counted"])
        attributions = {key: scores[number] for key, scores in place.scores.items()}
        x = one_hot(place.bases[[number]])[0]
        examples.append(Example(place.model, place.task, place.seq_ids[number], x, sites, attributions))
    return examples


# report


def report(config: Config, folder: Path) -> Path:
    """Write RUN/report.html and return its path.

    Raises
    ------
    InputError
        The run was not scored.
    """
    target = folder / "report.html"
    if not (folder / "scores" / "summary.csv").is_file():
        raise InputError(folder, "has no scores", "make them with `simbench score`")
    made_from = {stage: stage_checksums(folder, stage) for stage in STAGES[:-1]}
    _step(
        folder,
        "report",
        {**made_from, "config": config.model_dump(mode="json")},
        lambda: ([write_run_report(config, folder, target)], {}),
    )
    return target
