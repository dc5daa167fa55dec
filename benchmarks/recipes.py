"""Which recipe brings a network nearest the exact ceiling for the same number of fresh sequences? One training each.

    python benchmarks/recipes.py                                             # the demo's data and networks
    python benchmarks/recipes.py --preset five_lines --sequences 200000 --recipes "constant, 100" "cosine, 100"

Every recipe sees as many sequences, so batches of twice the size are half as many. Reached is the share of
(oracle auROC - .5) on the test split, of the tasks' mean and of the worst one; the oracle's is that of the same
sequences. Rows are added to the table as they are done, and rows that are there are not made again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress

from simbench_tf.config import Config, load_config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.report.text import ratio
from simbench_tf.run.folder import begin
from simbench_tf.run.results import read_ceilings
from simbench_tf.stages.oracle import oracle
from simbench_tf.stages.simulate import simulate
from simbench_tf.training import build_model, train

#: Names of recipes, each with what it changes in a constant rate of .001.
RECIPES: dict[str, dict[str, Any]] = {
    "constant, 100": {"batch_size": 100},
    "constant, 50": {"batch_size": 50},
    "constant, 200": {"batch_size": 200},
    "constant .002, 100": {"batch_size": 100, "learning_rate": 0.002},
    "constant .0005, 100": {"batch_size": 100, "learning_rate": 0.0005},
    "cosine, 100": {"batch_size": 100, "schedule": "cosine"},
    "cosine .002, 100": {"batch_size": 100, "schedule": "cosine", "learning_rate": 0.002},
    "linear .002, 50": {"batch_size": 50, "schedule": "linear", "learning_rate": 0.002},
    "average .99, 100": {"batch_size": 100, "ema_momentum": 0.99},
    "average .99, 50": {"batch_size": 50, "ema_momentum": 0.99},
    "average .995, 50": {"batch_size": 50, "ema_momentum": 0.995},
    "warm-up, 50": {"batch_size": 50, "warmup_batches": 100},
}


def trained(config: Config, dataset: Dataset, model: Any, recipe: dict[str, Any], n_sequences: int) -> dict[str, float]:
    """Train a network by a recipe; returns the auROC of each task, and seconds by the clock and of the processor."""
    network = build_model(model, dataset.seq_length, len(dataset.tasks), config.seed)
    n_batches = n_sequences // recipe["batch_size"]
    settings = {"fresh": True, "max_batches": n_batches, "validate_every": n_batches, **recipe}
    clock, processor = time.perf_counter(), time.process_time()
    result = train(network, dataset, settings, config.seed, progress=lambda _n: None)
    seconds = {"seconds": time.perf_counter() - clock, "processor_seconds": time.process_time() - processor}
    return {task: float(values["auroc"] or np.nan) for task, values in result.metrics.items()} | seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo", help="a preset or a configuration file of a grammar")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--sequences", type=int, default=90_000, help="fresh sequences that each training sees")
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=list(RECIPES), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("results/recipes.csv"))
    args = parser.parse_args()
    config = load_config(args.preset, args.set)
    done = pd.read_csv(args.out) if args.out.is_file() else pd.DataFrame()
    with tempfile.TemporaryDirectory() as temporary, Progress(transient=True) as progress:
        folder = Path(temporary)
        begin(config, folder)
        simulate(config, folder)
        oracle(config, folder)
        dataset, ceilings = open_dataset(folder / "dataset"), read_ceilings(folder)["auroc"]
        wanted = [(model, name) for name in args.recipes for model in config.models]
        for model, name in progress.track(wanted, description="recipes"):
            row = {"preset": args.preset, "network": model.name, "width": model.width, "recipe": name}
            row |= {"n_sequences": args.sequences, "seed": config.seed}
            if len(done) and (done[list(row)] == pd.Series(row)).all(axis=1).any():
                continue
            values = trained(config, dataset, model, RECIPES[name], args.sequences)
            reached = [ratio(values[task] - 0.5, ceilings[task] - 0.5) for task in dataset.tasks]
            row |= {"reached": np.mean(reached), "reached_worst": min(reached)}
            row |= {name: round(values[name], 1) for name in ("seconds", "processor_seconds")}
            done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
            args.out.parent.mkdir(parents=True, exist_ok=True)
            done.round(4).to_csv(args.out, index=False)
    mine = done[(done["preset"] == args.preset) & (done["n_sequences"] == args.sequences)]
    shown = mine.pivot_table(["reached", "reached_worst"], "recipe", "network").round(3)
    Console(width=120).print(shown.to_string())


if __name__ == "__main__":
    main()
