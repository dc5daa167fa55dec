"""What `clean_background: true` of peaks data costs: bases changed, composition moved, and seconds.

Random sequences of 400 bases, at the base frequencies of human DNA and of CpG islands, are cleaned of every hit at a
p-value of 1e-4 of so many motifs of the default compendium. Run with:

    python benchmarks/clean_background.py
"""

from __future__ import annotations

import time
import warnings

import numpy as np

from simbench_tf.dna import dinucleotide_counts
from simbench_tf.motifs import load_motifs
from simbench_tf.simulate.peaks.clean_background import Scan, chance_hits, without_chance_hits

N, LENGTH = 1_000, 400
COMPOSITIONS = {"41% GC": (0.295, 0.205, 0.205, 0.295), "65% GC": (0.175, 0.325, 0.325, 0.175)}


def main() -> None:
    motifs = load_motifs("default")
    print("| composition | motifs | hits per sequence | not clean | bases changed | pairs changed | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, frequencies in COMPOSITIONS.items():
        for n_motifs in (20, 80, len(motifs)):
            chosen = [motifs[number] for number in np.linspace(0, len(motifs) - 1, n_motifs).round().astype(int)]
            rng = np.random.default_rng(1)
            bases = rng.choice(4, size=(N, LENGTH), p=frequencies).astype(np.uint8)
            scanned, true = Scan(chosen, 1e-4, np.array(frequencies)), np.zeros(bases.shape, bool)
            hits = len(chance_hits(bases, true, scanned)) / N
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                clean = without_chance_hits(bases, true, scanned, 1, np.arange(N))
            seconds = time.perf_counter() - start
            left = chance_hits(clean, true, scanned)["row"].nunique()
            counts = [np.stack([(each == base).sum(axis=1) for base in range(4)]) for each in (bases, clean)]
            moved = np.abs(counts[0] - counts[1]).sum() / 2 / bases.size
            pairs = [dinucleotide_counts(each).sum(axis=0) / (N * (LENGTH - 1)) for each in (bases, clean)]
            shift = np.abs(pairs[0] - pairs[1]).sum() / 2
            print(
                f"| {name} | {n_motifs} | {hits:.2f} | {left} | {moved:.2%} | {shift:.2%} | {seconds:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
