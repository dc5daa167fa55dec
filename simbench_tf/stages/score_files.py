"""Scores of one attribution file against the truths of its task: a piece of work that any process can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dataset import covered
from simbench_tf.run.attributions import read_attributions
from simbench_tf.score import bootstrap_interval, pooled_scores, score_attributions, summarise
from simbench_tf.score.motif_recall import motif_recall
from simbench_tf.score.plugged_metrics import Asked
from simbench_tf.stages.truths import Bools, Truth

#: Metrics of comparisons.csv and variance.csv, and those with an interval in summary.csv.
COMPARED = ("auroc", "auprc")


class Against(NamedTuple):
    """A truth of one file's sequences: its name, what bases are ranked by, and the true sites by the file's rows."""

    name: str
    sign: Literal["absolute", "signed"]
    sites: pd.DataFrame


class FileToScore(NamedTuple):
    """An attribution file as work.

    The bases that count (bool, (L,)), the truths, the first of which is the run's own, and metrics of other packages
    with their settings.
    """

    path: Path
    bases: Bools
    truths: list[Against]
    metrics: Asked


class Scored(NamedTuple):
    """Metrics of each sequence, their means as summary.csv has them, and the true sites that lie wholly in `bases`."""

    table: pd.DataFrame
    line: dict[str, Any]
    sites: pd.DataFrame


class FileScores(NamedTuple):
    """A line of summary.csv for each truth; of the first also each sequence, and the recall of groups of sites."""

    lines: list[dict[str, Any]]
    table: pd.DataFrame
    recall: pd.DataFrame


def against(truth: Truth, seq_ids: list[str]) -> Against:
    """What of a truth concerns some sequences."""
    place = np.full(len(truth.seq_ids), -1)  # of a sequence of the split among these
    place[truth.seq_ids.get_indexer(pd.Index(seq_ids))] = np.arange(len(seq_ids))
    sites = truth.sites.assign(row=place[truth.sites["row"]])
    return Against(truth.name, truth.sign, sites[sites["row"] >= 0])


def score_file(background_quantile: float | None, file: FileToScore) -> FileScores:
    """Read a file and score it; the recall's quantile is that of `scoring`, and without one no recall is computed."""
    scores, seq_ids = read_attributions(file.path)
    scored = [score_against(scores, truth, file.bases, file.metrics) for truth in file.truths]
    recall = pd.DataFrame()
    if background_quantile is not None:
        recall = motif_recall(scores, scored[0].sites, background_quantile)
    return FileScores([each.line for each in scored], scored[0].table.assign(seq_id=seq_ids), recall)


def score_against(scores: npt.NDArray[np.float32], truth: Against, bases: Bools, metrics: Asked) -> Scored:
    """Score attributions, (N, L), on some of the bases; of sites those are kept that lie wholly in these."""
    mask = covered(truth.sites, scores.shape)
    table = score_attributions(scores[:, bases], mask[:, bases], truth.sign, metrics=metrics)
    n = int(table["auprc"].count())  # without a true base, or without any other, a sequence has no value
    line = {"truth": truth.name, "n_sequences": n, **summarise(table, metrics)}
    line |= pooled_scores(scores[:, bases], mask[:, bases], "signed" if truth.sign == "signed" else "abs")
    for metric in COMPARED:
        line[f"{metric}_low"], line[f"{metric}_high"] = bootstrap_interval(table[metric])
    line |= {"sign": truth.sign, "scored_bases": int(bases.sum())}
    by_size = table if truth.sign == "absolute" else score_attributions(scores[:, bases], mask[:, bases])
    everywhere = table if bases.all() else score_attributions(scores, mask, truth.sign)
    line |= {"absolute_auprc": by_size["auprc"].mean(), "auprc_all_bases": everywhere["auprc"].mean()}
    unseen = np.concatenate([[0], np.cumsum(~bases)])
    sites = truth.sites
    whole = unseen[sites["end"].to_numpy()] == unseen[sites["start"].to_numpy()]
    return Scored(table, line, sites[whole])
