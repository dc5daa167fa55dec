"""Seconds the oracle takes as a Keras model: sequences forward, gradients, and mutagenesis by one gradient.

    python benchmarks/oracle_model.py                            # demo; the figure: 10,000 sequences forward in 10 s
    python benchmarks/oracle_model.py five_lines rules --sequences 1000
    python benchmarks/oracle_model.py demo --sequences 640 --whole-passes 8

What is compiled is compiled before the clock starts, and its time is said apart. Each is timed in turn, several times
over, and the least is taken: processor seconds, which other programs on the machine do not lengthen much, and the
clock's. `gradient` is of one task's log-odds, with what is computed forward for it; `all substitutions` are the
log-odds of one task after each of the 3 L substitutions, as method ism takes them; `whole passes` says what these
would take by one pass each, from the time of a pass forward and, with --whole-passes N, measured on N sequences.
Beside them `simulate.oracle`, which computes likelihoods of bases alone, without derivatives.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import simbench_tf as sb
from simbench_tf.attribution.network import open_network
from simbench_tf.config import load_config
from simbench_tf.dataset_grammar import grammar_of_run
from simbench_tf.perfect.oracle import oracle_of
from simbench_tf.simulate.grammar import Grammar, draw_bases
from simbench_tf.simulate.oracle import label_log_odds, log_likelihood

TURNS = 3


def spent(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of all processors together."""
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def report(preset: str, grammar: Grammar, n: int, n_passes: int) -> None:
    bases = draw_bases(grammar, 1, 0, n)[0]
    x, model = sb.one_hot(bases), oracle_of(grammar)
    network, layer = open_network(model, grammar.seq_length, 0, batch_size=min(n, 500)), model.layers[1]
    substitutions = tf.function(layer.single_substitutions, autograph=False)
    target = tf.constant([0])
    works: dict[str, Callable[[], Any]] = {
        "numba, likelihoods": lambda: log_likelihood(grammar, bases),
        "forward": lambda: network.outputs(x),
        "gradient": lambda: network.gradients(x),
        "all substitutions": lambda: network.in_batches(lambda batch: substitutions(batch, target), x, axis=1),
    }
    compiling = {name: spent(work)[1] for name, work in works.items()}
    seconds = {name: [spent(work) for work in works.values()] for name in range(TURNS)}
    least = {name: np.min([seconds[turn][at] for turn in seconds], axis=0) for at, name in enumerate(works)}
    difference = np.abs(network.outputs(x)[0] - label_log_odds(grammar, log_likelihood(grammar, bases))[:, 0]).max()
    states = f"{len(grammar.hmm.rates)} label patterns, {grammar.hmm.presence_weight.shape[1]} presences"
    print(f"\n{preset}: {n} sequences of {grammar.seq_length} bp, {len(grammar.elements)} elements, {states}")
    print(f"    log-odds differ from simulate.oracle's by {difference:.1e} at most")
    passes = 1 + 3 * grammar.seq_length
    for name, (wall, processor) in least.items():
        ratio = processor / least["forward"][1]
        print(
            f"    {name:20} {processor:8.2f} processor s, {wall:7.2f} s by the clock, {ratio:6.1f} x forward;"
            f" 10,000 take {1e4 / n * wall:.1f} s; the first call {compiling[name]:.1f} processor s"
        )
    cheaper = passes * least["forward"][1] / least["all substitutions"][1]
    print(f"    whole passes: {passes} a sequence, so that all substitutions at once are {cheaper:.0f} times cheaper")
    if n_passes:
        few = x[:n_passes]
        for fast in (True, False):
            sb.attribute(model, few[:1], "ism", fast=fast)
        slow, quick = (spent(lambda fast=fast: sb.attribute(model, few, "ism", fast=fast))[1] for fast in (False, True))
        print(f"    ism of {n_passes} sequences: {slow:.1f} processor s by whole passes, {quick:.2f} at once")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["demo"])
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--whole-passes", type=int, default=0, help="sequences to mutate by whole passes, too")
    args = parser.parse_args()
    for preset in args.presets or ["demo"]:
        with tempfile.TemporaryDirectory() as folder:
            grammar = grammar_of_run(load_config(preset).simulation, Path(folder))
        report(preset, grammar, args.sequences, args.whole_passes)


if __name__ == "__main__":
    main()
