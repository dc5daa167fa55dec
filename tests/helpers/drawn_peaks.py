"""Peaks whose grammar is known: sequences drawn from it, end to end as a genome, with BED files and a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from simbench_tf.config import GrammarSimulation
from simbench_tf.dna import decode
from simbench_tf.dna.arrow import bases_of
from simbench_tf.motifs import Motif, find_motif, load_motifs, write_meme
from simbench_tf.simulate.grammar import Drawn, Grammar, build_grammar, draw

LENGTH = 200
POSITION = {"centre": 110, "sd": 60, "floor": 0.2}
ONE = {
    "tasks": {"A": {"fraction": 0.35}},
    "elements": [
        {"motif": "CTCF", "rate": 0.3, "enriched": {"A": 0.6}, "position": POSITION},
        {"motif": "GATA1::TAL1", "rate": 0.5, "enriched": {"A": 0.3}, "position": POSITION},
        {"motif": "HNF4A", "rate": 0.4, "position": {"centre": 100, "sd": 70, "floor": 0.1}},
    ],
}


def settings(**more: Any) -> GrammarSimulation:
    return GrammarSimulation.model_validate({"kind": "grammar", "seq_length": LENGTH, **more})


def motifs_of(simulation: GrammarSimulation) -> list[Motif]:
    motifs = load_motifs()
    return [find_motif(motifs, str(element.motif)) for element in simulation.elements]


def grammar_of(simulation: GrammarSimulation) -> Grammar:
    return build_grammar(simulation, motifs_of(simulation))


def arrays(drawn: Drawn, tasks: list[str]) -> tuple[np.ndarray, np.ndarray]:
    return bases_of(drawn.sequences["sequence"]), np.stack([drawn.sequences[t].to_numpy() for t in tasks], axis=1)


def drawn_from(simulation: GrammarSimulation, n: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return arrays(draw(grammar_of(simulation), seed, 0, n), list(simulation.tasks))


def write_peaks(folder: Path, simulation: GrammarSimulation, n: int, **more: Any) -> Path:
    """Sequences of a grammar end to end as a genome, a BED file a task, and the rest as background."""
    (bases, labels), length = drawn_from(simulation, n), simulation.seq_length
    (folder / "genome.fa").write_text(">chr1\n" + "".join(decode(bases)) + "\n")
    files = {task: labels[:, t] == 1 for t, task in enumerate(simulation.tasks)}
    for name, chosen in {**files, "background": ~labels.any(axis=1)}.items():
        lines = [f"chr1\t{row * length}\t{(row + 1) * length}\n" for row in np.flatnonzero(chosen)]
        (folder / f"{name}.bed").write_text("".join(lines))
    write_meme(motifs_of(simulation), folder / "motifs.meme")
    peaks = {
        "kind": "peaks",
        "genome": "genome.fa",
        "peaks": {task: f"{task}.bed" for task in simulation.tasks},
        "background": "background.bed",
        "region_size": length,
        "motifs": "motifs.meme",
        "min_pos_hits": 10,
        "min_enrichment": 0,
        "splits": {"valid": 0.15, "test": 0.25},
    }
    config = {
        "name": "world",
        "seed": 5,
        "simulation": {**peaks, **more},
        "models": [{"name": "small", "architecture": "basset", "width": 0.1}, {"name": "mine", "keras": "mine.keras"}],
        "training": {"max_batches": 7},
        "attribution": {"n_sequences": 9, "methods": [{"method": "grad_x_input"}, {"method": "ism"}]},
        "scoring": {"motifs": "all"},
    }
    path = folder / "peaks.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
