"""Sequences per second of every attribution method, on whatever device TensorFlow finds.

    python benchmarks/attribution.py                                  # Basset at 600 bp
    python benchmarks/attribution.py --model beluga --length 2000 --sequences 256   # for a GPU

Random weights, one target, each method with its own settings and references, both as `simbench methods` lists them.
Every method is run once to compile; then all are timed in turns, and the median over the turns is shown, with its
ratio to gradient x input, the cheapest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import simbench_tf as sb
from simbench_tf.attribution import methods
from simbench_tf.dna import one_hot


def device() -> str:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("basset", "beluga"), default="basset")
    parser.add_argument("--length", type=int, default=600)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=sorted(methods()), default=sorted(methods()))
    args = parser.parse_args()
    model = getattr(sb, args.model)(seq_length=args.length, n_tasks=5, seed=1)
    bases = np.random.default_rng(0).integers(0, 4, (args.sequences, args.length)).astype(np.uint8)
    x = one_hot(bases)
    runs = {name: lambda name=name: sb.attribute(model, x, name) for name in args.methods}
    for run in runs.values():
        run()
    turns = [{name: seconds(run) for name, run in runs.items()} for _ in range(args.turns)]
    medians = {name: float(np.median([turn[name] for turn in turns])) for name in runs}
    title = f"{args.model}, {args.length} bp, {args.sequences} sequences, {args.turns} turns, on {device()}"
    table = Table(
        "method", "references", "sequences/s", "times the cost of grad_x_input", title=title, title_justify="left"
    )
    for name, median in sorted(medians.items(), key=lambda item: item[1]):
        cost = f"{median / medians['grad_x_input']:.1f}" if "grad_x_input" in medians else "-"
        table.add_row(name, methods()[name].references or "-", f"{args.sequences / median:.2f}", cost)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
