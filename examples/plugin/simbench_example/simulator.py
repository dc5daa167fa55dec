"""A simulator: one word, planted into the sequences that have the label, on either strand."""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from simbench_tf.config import PluggedSimulation
from simbench_tf.dna import decode, encode, reverse_complement
from simbench_tf.motifs import Motif


class PlantedWords(PluggedSimulation):
    """Independent bases; sequences with the label hold `copies` of `word`, each on a strand by chance."""

    kind: Literal["planted_words"]
    word: Annotated[str, Field(pattern="^[ACGT]{4,30}$")] = "TGACTCAG"
    copies: Annotated[int, Field(ge=1, le=20)] = 2
    seq_length: Annotated[int, Field(ge=20)] = 200
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    gc: Annotated[float, Field(gt=0, lt=1)] = 0.42

    @property
    def task_names(self):
        return ["has_word"]

    @property
    def length(self):
        return self.seq_length

    def used_motifs(self):
        return [Motif("word", "word", np.eye(4)[encode([self.word])[0]], 100.0)]

    def draw(self, seed, first, last):
        # a stream for each sequence, so that it is the same in whatever stretch it is drawn
        drawn = [self._one(np.random.default_rng([seed, number])) for number in range(first, last)]
        sequences = pd.DataFrame(
            {"sequence": [text for text, _ in drawn], "has_word": [len(at) > 0 for _, at in drawn]}
        )
        sites = [
            {"row": row, "start": start, "end": start + len(self.word), "strand": strand, "motif": "word"}
            for row, (_, at) in enumerate(drawn)
            for start, strand in at
        ]
        columns = ["row", "start", "end", "strand", "motif"]
        return sequences.astype({"has_word": np.uint8}), pd.DataFrame(sites, columns=columns)

    def _one(self, random):
        """One sequence, and start and strand of each word in it."""
        at, gc = self.gc / 2, (1 - self.gc) / 2
        bases = random.choice(4, self.seq_length, p=[gc, at, at, gc])
        if random.random() >= self.fraction:
            return decode(bases[None].astype(np.uint8))[0], []
        word = encode([self.word])
        # equal stretches with a word in each, so that none lies over another
        stretch = self.seq_length // self.copies
        placed = []
        for number in range(self.copies):
            start = int(number * stretch + random.integers(0, stretch - len(self.word) + 1))
            strand = "+-"[random.integers(2)]
            bases[start : start + len(self.word)] = (word if strand == "+" else reverse_complement(word))[0]
            placed.append((start, strand))
        return decode(bases[None].astype(np.uint8))[0], placed
