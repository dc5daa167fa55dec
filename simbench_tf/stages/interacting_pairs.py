"""Rows of RUN/scores/interacting_pairs.csv: dependency maps against the pairs of bases that rules tie together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.run.attributions import AttributionFile, has_dependency_maps, read_dependency_maps
from simbench_tf.score import mean_pair_score, pair_score, pair_truth
from simbench_tf.simulate.grammar.knockouts import interactions
from simbench_tf.stages.simulate import grammar_of


def interacting_pairs(config: Config, dataset: Dataset, folder: Path, files: list[AttributionFile]) -> pd.DataFrame:
    """One row per file with dependency maps, in whose window a sequence has sites that a rule of the task ties.

    Parameters
    ----------
    config : Config
    dataset : Dataset
    folder : Path
        The run.
    files : list of AttributionFile
        All that are scored; those of other methods are skipped. Their sequences have the task's label.

    Returns
    -------
    DataFrame
        `tables.INTERACTING_PAIRS_COLUMNS`; empty without rules.
    """
    lines = []
    mapped = [file for file in files if has_dependency_maps(file.path)]
    tied = interacting_elements(config, folder) if mapped else {}
    # all sites, those of elements that do not bear on the task among them: their pairs do not count either
    of_sequence = dict(iter(dataset.sites.groupby("seq_id"))) if tied else {}
    for file in mapped:
        if file.task not in tied:
            continue
        scores = []
        for seq_id, start, strengths in read_dependency_maps(file.path):
            if seq_id not in of_sequence:
                continue
            sites = of_sequence[seq_id]
            window = (start, start + len(strengths))
            truth = pair_truth(sites["start"], sites["end"], sites["element"].tolist(), tied[file.task], window)
            scores.append(pair_score(strengths, truth))
        mean = mean_pair_score(scores)
        if mean["n_sequences"]:
            lines.append({"model": file.model, "task": file.task, "key": file.key, **mean})
    return pd.DataFrame(lines, columns=list(tables.INTERACTING_PAIRS_COLUMNS))


def interacting_elements(config: Config, folder: Path) -> dict[str, set[tuple[str, str]]]:
    """For each task with rules, two by two the elements that one rule names and whose effects do not just add."""
    if not config.simulation.has_oracle:
        return {}
    tied: dict[str, set[tuple[str, str]]] = {}
    for each in interactions(grammar_of(config, folder)):
        if each.first.motif < 0:  # a rule's; the two motifs of a spaced pair are of one element
            tied.setdefault(each.task, set()).add((each.first.element, each.second.element))
    return tied
