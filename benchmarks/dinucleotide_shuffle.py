"""Dinucleotide shuffles per second, ours and tangermeme's, timed in turns in one process.

Both shuffle the same random sequences. Ours takes bases and gives bases, on every core; tangermeme takes one-hot and
gives one-hot, on one thread unless told otherwise, and is timed both ways. As ours gives bases, the time to make
one-hot of all the shuffles is shown apart.

    python benchmarks/dinucleotide_shuffle.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from simbench_tf.dna import dinucleotide_shuffle, one_hot

N, LENGTH, N_SHUFFLES = 1_000, 1_000, 10


def peers(bases: np.ndarray) -> dict[str, Callable[[], object]]:
    try:
        import torch
        from tangermeme.ersatz import dinucleotide_shuffle as theirs
    except ImportError as error:
        sys.exit(f"{error}; install the peers with: pip install -e '.[parity]'")

    # tangermeme wants the channels before the positions
    theirs_input = torch.from_numpy(one_hot(bases)).permute(0, 2, 1).contiguous()
    shuffled = dinucleotide_shuffle(bases, N_SHUFFLES).reshape(-1, LENGTH)
    return {
        "simbench_tf": lambda: dinucleotide_shuffle(bases, N_SHUFFLES),
        "tangermeme": lambda: theirs(theirs_input, n=N_SHUFFLES, random_state=0),
        "tangermeme, n_jobs=-1": lambda: theirs(theirs_input, n=N_SHUFFLES, random_state=0, n_jobs=-1),
        "(one_hot of our shuffles)": lambda: one_hot(shuffled),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds

    bases = np.random.default_rng(0).integers(0, 4, (N, LENGTH)).astype(np.uint8)
    calls = peers(bases)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:  # the first turn compiles
                seconds[name].append(time.perf_counter() - start)

    print(f"{N:,} sequences x {LENGTH:,} bp x {N_SHUFFLES} shuffles, median of {rounds} rounds (least - most)")
    for name, times in seconds.items():
        print(f"{name:26} {statistics.median(times):7.3f} s   ({min(times):.3f} - {max(times):.3f})")
    ours = statistics.median(seconds["simbench_tf"])
    for name in list(seconds)[1:3]:
        print(f"{name} / simbench_tf: {statistics.median(seconds[name]) / ours:.1f}")


if __name__ == "__main__":
    main()
