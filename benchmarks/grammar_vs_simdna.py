"""Sequences per second, ours and simdna's, in turns in one run; and the memory ours takes.

    python3.11 -m venv simdna-env && simdna-env/bin/pip install simdna "numpy<2"
    python benchmarks/grammar_vs_simdna.py --simdna-python simdna-env/bin/python

Both make sequences of 1,000 bp over an order-1 background with six motifs, half a site of each expected in a sequence,
on either strand and anywhere, and keep the sequences and their sites in memory. simdna needs numpy<2, so it runs in an
interpreter of its own (this same file with --peer), on the same PPMs. It uses one core, as it can; ours uses them all.
Beside the ratio by the clock, which other work on the machine upsets, stands the one by processor time, core for core.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

SEQ_LENGTH, RATE = 1000, 0.5
MOTIFS = ("GATA1", "HNF4A", "CTCF", "SP1", "FOXA1", "NFE2")


def peer() -> None:
    """In simdna's interpreter: read PPMs, then a number of sequences a line, and answer seconds and sites."""
    from simdna import synthetic
    from simdna.pwm import PWM

    embedders = []
    for name, ppm in json.loads(sys.stdin.readline()).items():
        matrix = PWM(name)
        matrix.addRows(ppm)
        matrix.finalise(pseudocountProb=0.001)
        sampler = synthetic.ReverseComplementWrapper(synthetic.PwmSampler(matrix), reverseComplementProb=0.5)
        site = synthetic.SubstringEmbedder(sampler, positionGenerator=synthetic.UniformPositionGenerator())
        embedders.append(synthetic.RepeatedEmbedder(site, quantityGenerator=synthetic.PoissonQuantityGenerator(RATE)))
    background = synthetic.FirstOrderBackgroundGenerator(seqLength=SEQ_LENGTH)
    generator = synthetic.EmbedInABackground(background, embedders)
    for line in sys.stdin:
        began, cpu_began = time.perf_counter(), time.process_time()
        sequences = list(synthetic.GenerateSequenceNTimes(generator, int(line)).generateSequences())
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
        print(json.dumps([seconds, cpu_seconds, sum(len(sequence.embeddings) for sequence in sequences)]), flush=True)


def draw_all(n_sequences: int, chunk: int) -> tuple[float, float, int]:
    """Draw the whole data set in chunks, keeping none: seconds, processor seconds and sites."""
    from simbench_tf.config import GrammarSimulation
    from simbench_tf.motifs import load_motifs
    from simbench_tf.simulate.grammar import build_grammar, draw

    elements = [{"motif": name, "rate": RATE} for name in MOTIFS]
    settings = {"kind": "grammar", "seq_length": SEQ_LENGTH, "tasks": {"any": {}}, "elements": elements}
    grammar = build_grammar(GrammarSimulation.model_validate(settings), load_motifs("default"))
    draw(grammar, 0, 0, 10)  # compiled outside the clock
    began, cpu_began = time.perf_counter(), time.process_time()
    n_sites = 0
    for start in range(0, n_sequences, chunk):
        n_sites += draw(grammar, 1, start, min(start + chunk, n_sequences)).sites.num_rows
    return time.perf_counter() - began, time.process_time() - cpu_began, n_sites


def speed(options: argparse.Namespace) -> None:
    from simbench_tf.motifs import find_motif, load_motifs

    motifs = load_motifs("default")
    ppms = {name: find_motif(motifs, name).ppm.tolist() for name in MOTIFS}
    command = [options.simdna_python, __file__, "--peer"]
    rates, ratios, cpu_ratios = [], [], []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(ppms), file=process.stdin, flush=True)
        for turn in range(options.turns):
            print(options.simdna_sequences, file=process.stdin, flush=True)
            theirs = [value / options.simdna_sequences for value in json.loads(process.stdout.readline())]
            ours = [value / options.sequences for value in draw_all(options.sequences, options.chunk)]
            rates.append(1 / ours[0])
            ratios.append(theirs[0] / ours[0])
            cpu_ratios.append(theirs[1] / ours[1])
            print(
                f"turn {turn + 1}: simdna {1 / theirs[0]:,.0f}/s ({theirs[2]:.2f} sites each), "
                f"ours {1 / ours[0]:,.0f}/s ({ours[2]:.2f} sites each): "
                f"{ratios[-1]:,.0f} times, core for core {cpu_ratios[-1]:,.0f} times"
            )
        process.stdin.close()
    print(
        f"median: ours {statistics.median(rates):,.0f} sequences/s, {statistics.median(ratios):,.0f} times simdna, "
        f"core for core {statistics.median(cpu_ratios):,.0f} times"
    )


def memory(options: argparse.Namespace) -> None:
    for n_sequences in (options.sequences, 4 * options.sequences):
        command = [sys.executable, __file__, "--memory-of", str(n_sequences), "--chunk", str(options.chunk)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"peak memory, {n_sequences:,} sequences in chunks of {options.chunk:,}: {peak} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simdna-python", help="interpreter that has simdna; without it only memory is measured")
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--simdna-sequences", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer()
    elif options.memory_of:
        draw_all(options.memory_of, options.chunk)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    else:
        if options.simdna_python:
            speed(options)
        memory(options)


if __name__ == "__main__":
    main()
