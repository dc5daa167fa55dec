"""Fuzz the readers of files that others give: how many mutants of each were taken, refused, or ended otherwise.

python tests/fuzz.py --seconds 60 meme YAML        # these two, a minute each
python tests/fuzz.py --n 100000                    # all (of slow ones 10,000); ends with 1 where there is a fault
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from helpers.fuzzed_readers import READERS, SLOW
from helpers.fuzzing import fuzz

#: Mutants that are made and read together.
_TOGETHER = 1000


def main() -> None:
    """Fuzz, and print a row for each reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"By default all: {', '.join(READERS)}.")
    parser.add_argument(
        "--n", type=int, default=100_000, help="Mutants of each format; a tenth of those that take long to read."
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="The most for each reader.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="A folder for one mutant of each fault.")
    chosen = parser.parse_args()
    unknown = set(chosen.readers) - set(READERS)
    if unknown:
        parser.error(f"there is no reader {min(unknown)}, only {', '.join(READERS)}")
    print("reader,mutants,taken,refused,faults,slowest_seconds,seconds")
    n_faults = 0
    for name in chosen.readers or READERS:
        wanted = chosen.n if name not in SLOW else max(1, chosen.n // 10)
        faults = _fuzz_for(name, wanted, chosen.seconds, chosen.seed, chosen.keep)
        n_faults += faults.total()
        for said, count in faults.most_common():
            print(f"# {name}: {count} x {said}", flush=True)
    sys.exit(1 if n_faults else 0)


def _fuzz_for(name: str, n: int, seconds: float, seed: int, keep: Path | None) -> Counter[str]:
    start, slowest = time.perf_counter(), 0.0
    taken = refused = 0
    faults: Counter[str] = Counter()
    while (done := taken + refused + faults.total()) < n and time.perf_counter() - start < seconds:
        with tempfile.TemporaryDirectory() as folder:
            outcome = fuzz(READERS[name], Path(folder), min(_TOGETHER, n - done), seed + done)
        taken, refused, slowest = taken + outcome.n_taken, refused + outcome.n_refused, max(slowest, outcome.slowest)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for said in set(outcome.examples) - set(faults):
                (keep / f"{name} {said}".replace("/", "_")).write_bytes(outcome.examples[said])
        faults += outcome.faults
    spent = time.perf_counter() - start
    print(f"{name},{done},{taken},{refused},{faults.total()},{slowest:.2f},{spent:.0f}", flush=True)
    return faults


if __name__ == "__main__":
    main()
