"""Is a model that is trained in bfloat16 as accurate as one that is trained in float32? A run of each, from one seed.

    python benchmarks/precision.py                            # the demo's data set and models
    python benchmarks/precision.py --preset five_lines        # on a GPU

Both are measured in float32 on the test split. The standard error of the difference is that over test sequences (a
paired bootstrap of 500 draws); beside it stands the difference of two float32 runs from different seeds, which is what
another order of the data and other initial weights make of the same recipe.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.run.folder import begin
from simbench_tf.training import build_model, predict, train

_DRAWS = 500
_METRICS: dict[str, Callable[..., float]] = {"auROC": roc_auc_score, "auPRC": average_precision_score}


def probabilities(config: Any, model: Any, dataset: Dataset, seed: int, precision: str) -> np.ndarray:
    """Train one model and predict the test split, (N, T)."""
    network = build_model(model, dataset.seq_length, len(dataset.tasks), seed)
    train(network, dataset, config.training.model_copy(update={"precision": precision}), seed)
    return predict(network, dataset.bases("test"))


def standard_error(metric: Callable[..., float], labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Of the difference of a metric between two models over draws of the test sequences."""
    random = np.random.default_rng(0)
    draws = (random.integers(len(labels), size=len(labels)) for _ in range(_DRAWS))
    return float(np.std([metric(labels[rows], one[rows]) - metric(labels[rows], other[rows]) for rows in draws]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo", help="a preset or a configuration file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    config = load_config(args.preset, args.set)
    heads = ("model", "task", "metric", "float32", "bfloat16", "difference", "its s.e.", "another seed's difference")
    table = Table(*heads, title=f"{args.preset}, seed {config.seed}", title_justify="left")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        begin(config, folder)
        pipeline.simulate(config, folder)
        dataset = open_dataset(folder / "dataset")
        labels = dataset.labels("test")
        for model in config.models:
            full, half, other = (
                probabilities(config, model, dataset, seed, precision)
                for seed, precision in (
                    (config.seed, "float32"),
                    (config.seed, "bfloat16"),
                    (config.seed + 1, "float32"),
                )
            )
            for number, task in enumerate(dataset.tasks):
                truth = labels[:, number]
                for name, metric in _METRICS.items():
                    one, two, three = (metric(truth, each[:, number]) for each in (full, half, other))
                    error = standard_error(metric, truth, full[:, number], half[:, number])
                    values = (one, two, two - one, error, three - one)
                    table.add_row(model.name, task, name, *(f"{value:.4f}" for value in values))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
