"""Per-sequence auROC and auPRC, ours and scikit-learn's in a loop, timed in turns in one process.

Ours scores 10,000 sequences of 400 bases for 12 methods, and gives every metric of `METRICS`; scikit-learn gives auROC
and auPRC of |attribution| alone. A scikit-learn loop over all 120,000 takes minutes, so it is timed on the first rows
of each method, as many as `--rows` says, and its time for all is that many times as long. The values are held equal.

    python benchmarks/scores.py [--rounds 5] [--rows 20]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf.score import METRICS, score_attributions

N, LENGTH, N_METHODS = 10_000, 400, 12
GOAL = 30


def simulated(n: int = N) -> tuple[list[np.ndarray], np.ndarray]:
    """Attributions of each method, float32 (N, L), better from one to the next; and sites over a fifth of the bases."""
    rng = np.random.default_rng(0)
    mask = np.repeat(rng.random((n, LENGTH // 10)) < 0.2, 10, axis=1)
    mask[:, 0], mask[:, 10] = True, False
    methods = [
        (rng.normal(size=mask.shape) + number / 6 * mask).astype(np.float32) for number in range(1, N_METHODS + 1)
    ]
    return methods, mask


def loop(methods: list[np.ndarray], mask: np.ndarray) -> list[pd.DataFrame]:
    tables = []
    for scores in methods:
        rows = [
            (roc_auc_score(truth, values), average_precision_score(truth, values))
            for values, truth in zip(np.abs(scores), mask, strict=True)
        ]
        tables.append(pd.DataFrame(rows, columns=["auroc", "auprc"]))
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20, help="sequences of each method that scikit-learn scores")
    chosen = parser.parse_args()

    methods, mask = simulated()
    some = [scores[: chosen.rows] for scores in methods]
    score_attributions(some[0], mask[: chosen.rows])  # compiles
    ours_seconds, loop_seconds = [], []
    for _ in range(chosen.rounds):
        start = time.perf_counter()
        ours = [score_attributions(scores, mask) for scores in methods]
        ours_seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        theirs = loop(some, mask[: chosen.rows])
        loop_seconds.append((time.perf_counter() - start) * N / chosen.rows)
    for table, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(table.loc[: chosen.rows - 1, ["auroc", "auprc"]], expected, rtol=1e-12)

    fast, slow = statistics.median(ours_seconds), statistics.median(loop_seconds)
    print(f"{N:,} sequences x {LENGTH} bp x {N_METHODS} methods, median of {chosen.rounds} rounds (least - most)")
    print(f"simbench_tf, {len(METRICS)} metrics: {fast:.2f} s   ({min(ours_seconds):.2f} - {max(ours_seconds):.2f})")
    print(
        f"scikit-learn, 2 metrics: {slow:.0f} s   ({min(loop_seconds):.0f} - {max(loop_seconds):.0f}),"
        f" from {chosen.rows * N_METHODS} of {N * N_METHODS:,} sequences"
    )
    print(f"scikit-learn / simbench_tf: {slow / fast:.0f} (goal {GOAL})")


if __name__ == "__main__":
    main()
