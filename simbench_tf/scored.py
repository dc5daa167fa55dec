"""RUN/scores: every attribution file scored against the truth, a row a sequence and a row a file.

Where labels depend on how elements stand together, faithfulness.csv has a row a file and interaction, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.ceilings import read_ceilings, read_exact_answers
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.explained import Explained, read_explained
from simbench_tf.files import whole_file
from simbench_tf.manifest import read_manifest
from simbench_tf.probed import probed_file, probes_of, read_probed
from simbench_tf.score import faithfulness, pooled_scores, score_attributions, summarise


def write_scores(config: Config, folder: Path, files: list[Explained], advance: Callable[[int], None]) -> list[Path]:
    """Score attribution files against the truth the configuration names; returns the files written."""
    dataset = open_dataset(folder / "dataset")
    records, ceilings = read_manifest(folder), read_ceilings(folder)
    per_sequence, summary = [], []
    for file in files:
        rows, line = _score_one(config, dataset, file, ceilings)
        record = records[file.path.relative_to(folder).as_posix()]
        line["seconds_per_sequence"] = record.get("seconds_per_sequence")  # of other tools it is not known
        per_sequence.append(rows)
        summary.append(line)
        advance(1)
    target = folder / "scores"
    with whole_file(target / "per_sequence.parquet") as partial:
        pd.concat(per_sequence, ignore_index=True).to_parquet(partial, index=False)
    with whole_file(target / "summary.csv") as partial:
        pd.DataFrame(summary).reindex(columns=list(tables.SUMMARY_COLUMNS)).to_csv(partial, index=False)
    written = [target / "per_sequence.parquet", target / "summary.csv"]
    rows = _faithfulness(config, dataset, folder, files)
    (target / "faithfulness.csv").unlink(missing_ok=True)  # of rules that were dropped
    if rows:
        written.append(target / "faithfulness.csv")
        with whole_file(written[-1]) as partial:
            pd.DataFrame(rows).to_csv(partial, index=False)
    return written


def _faithfulness(config: Config, dataset: Dataset, folder: Path, files: list[Explained]) -> list[dict[str, Any]]:
    """Return a row a file and interaction of its task: what the probes say of it."""
    probes = probes_of(config, dataset, folder)
    # without the oracle stage its answers are not known
    exact = read_exact_answers(folder) or [np.full((len(each.rows), 4), np.nan) for each in probes]
    rows = []
    for file in files:
        mine = [pair for pair in zip(probes, exact, strict=True) if pair[0].interaction.task == file.task]
        if not mine or not probed_file(file, folder).is_file():  # of other tools' attributions there are none
            continue
        probed = read_probed(probed_file(file, folder))
        for (each, oracle), (scores, answers) in zip(mine, probed, strict=True):
            interaction = each.interaction
            line = {
                **_keys(file),
                "rule": interaction.rule,
                "first": interaction.first.name,
                "second": interaction.second.name,
                "expected": interaction.expected,
                "n_sequences": len(each.rows),
            }
            measured = faithfulness(scores, each.first, each.second, answers, oracle)
            rows.append({name: line[name] for name in tables.FAITHFULNESS_KEYS} | measured)
    return rows


def _keys(file: Explained) -> dict[str, Any]:
    from simbench_tf.attribution import methods

    return {
        "model": file.model,
        "task": file.task,
        "key": file.key,
        "method": file.method.method,
        "references": file.method.references or methods()[file.method.method].references or "none",
        "settings": json.dumps(file.method.settings, sort_keys=True),
    }


def _score_one(
    config: Config, dataset: Dataset, file: Explained, ceilings: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any]]:
    scores, seq_ids = read_explained(file.path)
    split = config.attribution.split
    rows = pd.Index(dataset.seq_ids(split)).get_indexer(pd.Index(seq_ids))
    # for peaks and text every site bears on every task
    which = config.scoring.motifs if dataset.kind == "grammar" else "all"
    mask = dataset.mask(split, task=file.task, motifs=which, truth=config.scoring.truth)[rows]
    table = score_attributions(scores, mask)
    keys = _keys(file)
    line = {
        **keys,
        "truth": f"{config.scoring.truth}:{which}",
        "n_sequences": len(table),
        **summarise(table),
        **pooled_scores(scores, mask),
    }
    if config.scoring.truth == "embedded" and file.task in ceilings.index:
        line["oracle_auprc"] = ceilings.loc[file.task, "attribution_auprc"]
    table = table.assign(**keys, seq_id=seq_ids)
    return table[[*tables.PER_SEQUENCE_KEYS, *(c for c in table if c not in tables.PER_SEQUENCE_KEYS)]], line
