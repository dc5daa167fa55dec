"""Grammars small enough for an oracle's answers to be worked out in another way, and draws from them as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from simbench_tf.config import GrammarSimulation
from simbench_tf.dna.arrow import bases_of
from simbench_tf.motifs import Motif
from simbench_tf.simulate.grammar import Grammar, build_grammar, draw


def motif(name: str, width: int, seed: int) -> Motif:
    ppm = np.random.default_rng(seed).dirichlet(np.full(4, 0.4), width)
    ppm[-1] = [0.6, 0, 0, 0.4]  # bases that never occur
    return Motif(f"M{seed}", name, ppm / ppm.sum(axis=1, keepdims=True), 100.0)


LONG = [motif("ALPHA", 8, 3), motif("BETA", 6, 4), motif("GAMMA", 11, 5)]
TASKS = {"x": {"fraction": 0.3}, "y": {"fraction": 0.55}}
ELEMENTS = [
    {"motif": "ALPHA", "rate": 0.3, "enriched": {"x": 1.0}, "position": {"centre": 40, "sd": 25, "floor": 0.2}},
    {"motif": "GAMMA", "rate": 0.3, "enriched": {"x": 0.3, "y": 0.6}, "strand": "-"},
    {"pair": ["BETA", "GAMMA"], "gap": [0, 5], "orientation": "any", "rate": 0.2, "enriched": {"y": 0.4}},
    {"motif": "BETA", "rate": 0.5},
]


def grammar_of(elements: list[dict[str, Any]], motifs: list[Motif], seq_length: int, **settings: Any) -> Grammar:
    settings = {"tasks": TASKS, "label_correlation": 0.4, "background": "human", **settings}
    simulation = GrammarSimulation(kind="grammar", elements=elements, **settings)
    # a copy is not validated: sequences that can be enumerated are shorter than a configuration may ask for
    return build_grammar(simulation.model_copy(update={"seq_length": seq_length}), motifs)


def drawn(grammar: Grammar, n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bases (N, L), labels (N, T), and the true sites' mask of every element (N, L, E)."""
    data = draw(grammar, seed, 0, n)
    labels = np.stack([data.sequences[task].to_numpy() for task in grammar.tasks], axis=1)
    sites = data.sites.to_pandas()
    names = [element.name for element in grammar.elements]
    mask = np.zeros((n, grammar.seq_length, len(names)), bool)
    rows, columns = sites["seq_id"].str[3:].astype(int), sites["element"].map(names.index)
    for row, start, end, column in zip(rows, sites["start"], sites["end"], columns, strict=True):
        mask[row, start:end, column] = True
    return bases_of(data.sequences["sequence"]), labels, mask
