"""Seconds of each step of the peaks pipeline, on a genome drawn here: 100,000 regions of 400 bp, 100 motifs.

    python benchmarks/peaks_pipeline.py                # the figure: whole path in under 3 minutes on two cores
    python benchmarks/peaks_pipeline.py --regions 5000 # a quick look
    python benchmarks/peaks_pipeline.py --workers 2    # scanning in two processes

A fifth of the regions are positives, into which sites of twenty of the motifs are planted, so that the filter keeps
something; the rest is the background.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from simbench_tf.config import PeaksSimulation
from simbench_tf.genome import open_genome
from simbench_tf.motifs import Motif, load_motifs, write_meme
from simbench_tf.parallel import workers
from simbench_tf.simulate.peaks import implant, plan_peaks

SPACING, SIZE, N_MOTIFS, N_PLANTED, LINE, CHUNK = 600, 400, 100, 20, 60, 4096
LETTERS = np.frombuffer(b"ACGT", np.uint8)


def draw_genome(folder: Path, n_regions: int, motifs: list[Motif]) -> None:
    """A FASTA of one contig with a region every 600 bp, peaks.bed (a fifth of them) and background.bed."""
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 4, n_regions * SPACING, dtype=np.uint8)
    positive = rng.random(n_regions) < 0.2
    centres = np.arange(n_regions) * SPACING + SPACING // 2
    for motif in motifs[:N_PLANTED]:
        starts = rng.choice(centres[positive], positive.sum() // 10, replace=False)
        starts += rng.integers(-100, 80, starts.size)
        cumulative = motif.ppm.cumsum(axis=1)
        for offset, thresholds in enumerate(cumulative):
            bases[starts + offset] = np.searchsorted(thresholds[:3], rng.random(starts.size))
    letters = LETTERS[bases].reshape(-1, LINE)
    lines = np.concatenate([letters, np.full((len(letters), 1), ord("\n"), np.uint8)], axis=1)
    (folder / "genome.fa").write_bytes(b">chr1\n" + lines.tobytes())
    for name, chosen in (("peaks.bed", positive), ("background.bed", ~positive)):
        text = "".join(f"chr1\t{centre - 100}\t{centre + 100}\n" for centre in centres[chosen])
        (folder / name).write_text(text)


@contextmanager
def timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - start


def timing_map(map_in_order: Callable[..., Any], step: str, seconds: dict[str, float]) -> Callable[..., list[Any]]:
    def run(function: Callable[[Any], Any], items: Any) -> list[Any]:
        with timed(step, seconds):
            return list(map_in_order(function, items))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, workers(args.workers) as map_in_order:
        folder = Path(name)
        motifs = load_motifs("default")[:N_MOTIFS]
        write_meme(motifs, folder / "motifs.meme")
        draw_genome(folder, args.regions, motifs)
        simulation = PeaksSimulation(
            kind="peaks",
            genome=folder / "genome.fa",
            peaks={"task": folder / "peaks.bed"},
            background=folder / "background.bed",
            region_size=SIZE,
            motifs=str(folder / "motifs.meme"),
        )
        begin = time.perf_counter()
        with timed("index the genome", seconds):
            open_genome(simulation.genome)
        with timed("read, place, fetch, filter", seconds):
            plan = plan_peaks(simulation, seed=0, map_chunks=timing_map(map_in_order, "scan", seconds))
        seconds["read, place, fetch, filter"] -= seconds["scan"]
        n_sites = 0
        for start in range(0, plan.n_regions, CHUNK):
            with timed("shuffle and implant", seconds):
                drawn = implant(plan, start, start + CHUNK)
            with timed("write parquet", seconds):
                pq.write_table(drawn.sequences, folder / f"sequences-{start}.parquet")
                pq.write_table(drawn.sites, folder / f"sites-{start}.parquet")
            n_sites += drawn.sites.num_rows
        total = time.perf_counter() - begin
    print(f"{args.regions} regions of {SIZE} bp, {N_MOTIFS} motifs, {args.workers} worker(s)")
    print(f"{plan.n_regions} sequences, {len(plan.motifs)} motifs kept, {n_sites} sites")
    for step, spent in seconds.items():
        print(f"{step:28s}{spent:8.1f} s")
    print(f"{'in all':28s}{total:8.1f} s")
    print(f"largest memory{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:22.2f} GB")


if __name__ == "__main__":
    main()
