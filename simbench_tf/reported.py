"""RUN/report.html: what the report tells, gathered from the files of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config, config_dict, versions
from simbench_tf.dataset import open_dataset
from simbench_tf.explained import read_explained
from simbench_tf.others import all_explained
from simbench_tf.report import Example, write_report

#: Sequences drawn as logos.
EXAMPLES = 6


def write_run_report(config: Config, folder: Path, target: Path) -> Path:
    """Gather what a scored run holds and write its report; returns `target`."""
    from simbench_tf.attribution import methods

    models = {each.name: folder / "models" / each.name for each in config.replicates}
    motif_log = folder / "dataset" / "motif_log.csv"
    faithfulness = folder / "scores" / "faithfulness.csv"
    return write_report(
        target,
        config=config_dict(config),
        versions=versions(),
        dataset_info=json.loads((folder / "dataset" / "dataset.json").read_text(encoding="utf-8")),
        summary=pd.read_csv(folder / "scores" / "summary.csv", keep_default_na=False, na_values=[""]),
        per_sequence=pd.read_parquet(folder / "scores" / "per_sequence.parquet"),
        metrics={name: json.loads((path / "metrics.json").read_text("utf-8")) for name, path in models.items()},
        histories={name: pd.read_csv(path / "history.csv") for name, path in models.items()},
        examples=_examples(config, folder),
        faithfulness=pd.read_csv(faithfulness) if faithfulness.exists() else None,
        motif_log=pd.read_csv(motif_log) if motif_log.exists() else None,
        method_descriptions={name: method.description for name, method in methods().items()},
    )


def _examples(config: Config, folder: Path) -> list[Example]:
    """Six explained sequences with every method's attributions, the models and tasks taking turns."""
    from simbench_tf.dna import one_hot

    dataset = open_dataset(folder / "dataset")
    split = config.attribution.split
    rows = pd.Index(dataset.seq_ids(split))
    groups: dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]] = {}
    ids: dict[tuple[str, str], list[str]] = {}
    for file in all_explained(config, folder):
        scores, ids[file.model, file.task] = read_explained(file.path)
        groups.setdefault((file.model, file.task), {})[file.key] = scores
    turns = [(group, number) for number in range(EXAMPLES) for group in groups if number < len(ids[group])]
    examples = []
    for (model, task), number in turns[:EXAMPLES]:
        seq_id = ids[model, task][number]
        bases = dataset.bases(split)[[rows.get_loc(seq_id)]]
        sites = dataset.sites[dataset.sites["seq_id"] == seq_id]
        attributions = {key: scores[number] for key, scores in groups[model, task].items()}
        examples.append(Example(model, task, seq_id, one_hot(bases)[0], sites, attributions))
    return examples
