"""RUN/scores/kmer_classifier.csv: what counts of 5-mers tell of the labels, of data without an exact posterior.

It is made in the score stage, by a step of its own, since it depends on the data set alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.files import whole_file
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.manifest import fingerprint
from simbench_tf.score.kmer_classifier import kmer_auroc
from simbench_tf.stages.step import Made, dataset_checksums, step

#: Bases in a word, and sequences that it is trained on, and tested on, at most.
K = 5
MOST_SEQUENCES = 20_000


def kmer_classifier(config: Config, folder: Path, tasks: Sequence[str]) -> None:
    """Write RUN/scores/kmer_classifier.csv, unless the data are of a grammar, whose exact posterior tells more."""
    if config.simulation.has_oracle:
        return
    made_from = {"dataset": dataset_checksums(folder), "seed": config.seed, "tasks": list(tasks), "k": K}

    def make() -> Made:
        path = folder / "scores" / "kmer_classifier.csv"
        lines = measured(open_dataset(folder / "dataset"), config.seed, tasks)
        with whole_file(path) as partial:
            lines.to_csv(partial, index=False)
        return Made({"score": [path]})

    step(folder, {"score": fingerprint("kmer_classifier", made_from | {"most": MOST_SEQUENCES})}, make)


def measured(dataset: Dataset, seed: int, tasks: Sequence[str], k: int = K, most: int = MOST_SEQUENCES) -> pd.DataFrame:
    """Train on the train split and measure on the test split, one row for each task, of `tables.KMER_COLUMNS`.

    Sequences without a label of a task are left out; of more than `most`, so many are drawn by the seed.
    """
    splits = {split: (dataset.bases(split), dataset.labels(split)) for split in ("train", "test")}
    lines = []
    for task in tasks:
        number = dataset.tasks.index(task)
        chosen = []
        for split, (bases, labels) in splits.items():
            labelled = np.flatnonzero(labels[:, number] != tables.UNLABELLED)
            rows = choose_rows(seed, f"k-mer classifier {split} {task}", labelled, most)
            chosen.append((bases[rows], labels[rows, number]))
        (train, train_labels), (test, test_labels) = chosen
        auroc = kmer_auroc(train, train_labels, test, test_labels, k)
        lines.append({"task": task, "auroc": auroc, "n_train": len(train), "n_test": len(test), "k": k})
    return pd.DataFrame(lines, columns=list(tables.KMER_COLUMNS))
