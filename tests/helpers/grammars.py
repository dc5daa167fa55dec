"""Motifs and grammars that tests make up."""

from __future__ import annotations

from typing import Any

import numpy as np

from simbench_tf.config import GrammarSimulation
from simbench_tf.dna import encode
from simbench_tf.motifs import Motif
from simbench_tf.simulate.grammar import Grammar, build_grammar


def sharp(word: str, motif_id: str = "", tf: str = "", share: float = 0.97) -> Motif:
    """A motif that is nearly one word: each base of it has this share, the others a third of the rest each."""
    ppm = np.full((len(word), 4), (1 - share) / 3)
    ppm[np.arange(len(word)), encode(word)[0]] = share
    return Motif(motif_id or f"M_{word}", tf or f"TF_{motif_id or word}", ppm, 100.0)


def grammar_of(motifs: list[Motif], **settings: Any) -> Grammar:
    """The grammar of a simulation with these settings."""
    return build_grammar(GrammarSimulation(kind="grammar", **settings), motifs)
