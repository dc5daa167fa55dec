"""DeepLIFT's convergence over random graphs: branches, attention, normalisation, gates, users' own layers.

    python benchmarks/deeplift_graphs.py --out results/deeplift_graphs.csv     # 300 graphs, five minutes

Each graph is one to four blocks drawn from those of `tests/helpers/random_graphs.py`, with random weights; two
sequences of 24 bases and two dinucleotide shuffles of each. The convergence delta is divided by the sum of the
contributions' sizes; a graph's is the larger of both sequences'. The table has a row for each precision: how many
graphs, the largest delta and the median.

The goals: at most 1e-5 in float32 and 1e-10 in float64.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from simbench_tf.attribution import attribute
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import one_hot

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.random_graphs import LENGTH, random_model, random_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a CSV file; default: the table is printed")
    args = parser.parse_args()
    # such small networks take longer to compile than to explain
    tf.config.run_functions_eagerly(True)
    bases = np.random.default_rng(args.seed).integers(0, 4, (2, LENGTH)).astype(np.uint8)
    x, references = one_hot(bases), make_references(parse_references("shuffle:2"), bases, args.seed)
    measured = []
    for graph in range(args.graphs):
        recipe = random_recipe(np.random.default_rng((args.seed, graph)))
        for precision in ("float32", "float64"):
            keras.config.set_floatx(precision)
            model = random_model(graph, *recipe)
            found = attribute(model, x, "deeplift_rescale", references=references)
            size = abs(found.contributions).sum(axis=(1, 2))
            # a network of which nothing changes has neither
            delta = abs(found.convergence_delta) / np.where(size > 0, size, 1)
            measured.append({"precision": precision, "delta": delta.max()})
            print(graph, *recipe, precision, f"{delta.max():.1e}", file=sys.stderr, flush=True)
    rows = pd.DataFrame(measured).groupby("precision")["delta"]
    table = rows.agg(graphs="size", largest="max", median="median").reset_index()
    table.to_csv(args.out or sys.stdout, index=False, float_format="%.2g")


if __name__ == "__main__":
    main()
