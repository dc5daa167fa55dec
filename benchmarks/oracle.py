"""Seconds the oracle takes: posteriors and occupancies of 10,000 sequences, and how they grow with length and motifs.

    python benchmarks/oracle.py                     # the figure: under 30 s on two cores
    python benchmarks/oracle.py --sequences 1000    # a quick look

400 bases, 24 motifs on both strands, five tasks (32 label patterns), rates as in a trial of the field's motifs. The
tables give processor seconds, which other programs on the machine do not lengthen, beside their ratio to the first
row: each row is twice the work of the one above, so linear time has ratios up to 1, 2, 4, 8.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numba

from simbench_tf.config import Element, GrammarSimulation, Position, Task
from simbench_tf.dna.arrow import bases_of
from simbench_tf.motifs import load_motifs
from simbench_tf.simulate.grammar import Grammar, build_grammar, draw
from simbench_tf.simulate.oracle import explain, log_likelihood

N_TASKS, LENGTH, N_MOTIFS = 5, 400, 24


def grammar_of(n_motifs: int, length: int) -> Grammar:
    """The first motifs of at most 16 bases, a fifth of them for each task; their rates follow the length."""
    motifs = [motif for motif in load_motifs("default") if 8 <= len(motif.ppm) <= 16][:n_motifs]
    tasks = {f"line{t}": Task(fraction=0.12) for t in range(N_TASKS)}
    per_motif = 24 / n_motifs * length / 400
    elements = [
        Element(
            motif=motif.motif_id,
            rate=0.13 * per_motif,
            enriched={f"line{number % N_TASKS}": 0.4 * per_motif},
            position=Position(centre=length / 2, sd=length / 5, floor=0.15),
        )
        for number, motif in enumerate(motifs)
    ]
    simulation = GrammarSimulation(
        kind="grammar", seq_length=length, tasks=tasks, label_correlation=0.3, elements=elements
    )
    return build_grammar(simulation, motifs)


class Seconds(NamedTuple):
    """By the clock and of all processors together."""

    wall: float
    processor: float


def seconds_of(grammar: Grammar, n_sequences: int, work: Callable[[Grammar, Any], Any], chunk: int = 2000) -> Seconds:
    """Seconds of `work` on sequences drawn a chunk at a time; drawing them is not counted."""
    wall = processor = 0.0
    for start in range(0, n_sequences, chunk):
        bases = bases_of(draw(grammar, 1, start, min(start + chunk, n_sequences)).sequences["sequence"])
        began = time.perf_counter(), time.process_time()
        work(grammar, bases)
        wall += time.perf_counter() - began[0]
        processor += time.process_time() - began[1]
    return Seconds(wall, processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=10_000)
    args = parser.parse_args()
    print(
        f"{args.sequences} sequences of {LENGTH} bp, {N_MOTIFS} motifs on both strands, {2**N_TASKS} label patterns, ",
        end="",
    )
    print(f"{numba.get_num_threads()} threads")
    for title, work in (("posteriors and occupancies", explain), ("likelihoods alone", log_likelihood)):
        seconds_of(grammar_of(2, 100), 1, work)  # compile
        seconds = seconds_of(grammar_of(N_MOTIFS, LENGTH), args.sequences, work)
        print(f"    {title}: {seconds.wall:.2f} s ({seconds.processor:.2f} processor s)")
    few = max(1, args.sequences // 5)
    for title, settings in (
        ("length", [(N_MOTIFS, length) for length in (200, 400, 800, 1600)]),
        ("motifs", [(n_motifs, LENGTH) for n_motifs in (12, 24, 48, 96)]),
    ):
        print(f"\n{title:>8} {'processor s':>12} {'ratio':>6}   ({few} sequences)")
        first = None
        for n_motifs, length in settings:
            spent = seconds_of(grammar_of(n_motifs, length), few, explain).processor
            first = first or spent
            print(f"{length if title == 'length' else n_motifs:>8} {spent:>12.2f} {spent / first:>6.2f}")


if __name__ == "__main__":
    main()
