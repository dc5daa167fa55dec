"""Null rows of summary.csv: what scores reach that know nothing of the model, computed from the run's own data.

``null_untrained`` is a method on a network that was never trained. ``null_position`` ranks bases by how often training
positives have a true base there, ``null_kmer`` by the word about them (by 3-mers and positions, and by 5-mers), and
``null_scan`` by the best match of the true motifs. A method is worth something where it beats the first two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, covered
from simbench_tf.motifs import read_motifs, scan_scores
from simbench_tf.score import kmer_position_scores, kmer_scores, position_scores

#: Training positives that positions and words are counted in, at most.
_TRAIN_SEQUENCES = 20_000


Motifs = Literal["task", "all"]
Origin = Literal["embedded", "rescanned"]


class NullScores(NamedTuple):
    """Scores (N, L) of some sequences, what they are called, and the settings they were made with."""

    method: str
    key: str
    settings: dict[str, int | bool]
    scores: npt.NDArray[np.float32]


def null_scores(
    config: Config, dataset: Dataset, task: str, seq_ids: Sequence[str], motifs: Motifs, truth: Origin
) -> Iterator[NullScores]:
    """Score sequences of the attributed split without any model.

    Parameters
    ----------
    config : Config
    dataset : Dataset
    task : str
    seq_ids : sequence of N str
        Of the attributed split.
    motifs : {"task", "all"}
        Which motifs count as the task's truth.
    truth : {"embedded", "rescanned"}
        Which sites of the training positives positions and words are counted in.
    """
    split = config.attribution.split
    bases = dataset.bases(split)[pd.Index(dataset.seq_ids(split)).get_indexer(pd.Index(seq_ids))]
    train = np.flatnonzero(dataset.labels("train")[:, dataset.tasks.index(task)] == 1)[:_TRAIN_SEQUENCES]
    if train.size:
        sites = dataset.true_sites("train", task=task, motifs=motifs, truth=truth, rows=train)
        place = np.full(dataset.counts["train"], -1)
        place[train] = np.arange(len(train))
        sites = sites.assign(row=place[sites["row"]])
        known = dataset.bases("train")[train]
        mask = covered(sites, known.shape)
        yield NullScores("null_position", "null_position", {}, position_scores(mask, len(bases)))
        both = kmer_position_scores(known, mask, bases, 3)
        yield NullScores("null_kmer", "null_kmer+k=3+position=True", {"k": 3, "position": True}, both)
        words = kmer_scores(known, mask, bases, 5)
        yield NullScores("null_kmer", "null_kmer+k=5", {"k": 5, "position": False}, words)
    known_motifs = read_motifs(dataset.path / "motifs.meme")
    matrices = [each for each in known_motifs if motifs == "all" or _is_true(dataset, each.motif_id, task)]
    yield NullScores("null_scan", "null_scan", {}, scan_scores(bases, matrices, dataset.notes["background"]))


def _is_true(dataset: Dataset, motif: str, task: str) -> bool:
    """Whether a motif is in the truth of a task: one of its elements is."""
    tasks = dataset.element_tasks
    if tasks is None:
        return True
    return any(task in tasks.get(element, ()) for element in dataset.motif_elements.get(motif, ()))
