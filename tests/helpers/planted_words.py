"""A data set whose labels follow planted words, and a network that can learn them."""

import keras
import numpy as np
import pyarrow as pa

from simbench_tf.config import Training
from simbench_tf.dataset import open_dataset, write_dataset
from simbench_tf.dna import encode, one_hot
from simbench_tf.dna.arrow import text_column
from simbench_tf.motifs import Motif
from simbench_tf.tables import SITES_SCHEMA, sequence_schema

WORDS = {"HepG2": "CAAAGTCC", "K562": "AGATAAGA"}
TASKS = list(WORDS)
LENGTH = 40
COUNTS = {"train": 100, "valid": 60, "test": 80}


def make_dataset(folder, counts=COUNTS, seq_length=LENGTH, one_class=False):
    """Random bases; each task's positives, every other and every third, hold its word near the middle."""
    random = np.random.default_rng(5)
    n = sum(counts.values())
    bases = random.integers(4, size=(n, seq_length)).astype(np.uint8)
    labels = np.stack([np.arange(n) % 2 == 0, np.arange(n) % 3 == 0], axis=1)
    split = np.repeat(list(counts), list(counts.values()))
    if one_class:
        labels[split != "train", 1] = False
    for target, word in enumerate(WORDS.values()):
        for row in np.flatnonzero(labels[:, target]):
            # each task on its own side, so that neither word covers the other
            start = seq_length // 2 - target * 9 + (1 - 2 * target) * random.integers(0, 10)
            bases[row, start : start + 8] = encode([word])[0]
    columns = {
        "seq_id": [f"s{row}" for row in range(n)],
        **dict.fromkeys(("chrom", "start", "end"), [None] * n),
        "split": split,
        "sequence": text_column(bases),
        **{task: labels[:, target].astype(np.uint8) for target, task in enumerate(TASKS)},
    }
    write_dataset(
        folder,
        name="planted",
        kind="grammar",
        tasks=TASKS,
        motifs=[Motif(f"M{word}", task, np.eye(4)[encode([word])[0]], 100.0) for task, word in WORDS.items()],
        parts=[(pa.table(columns, schema=sequence_schema(TASKS)), SITES_SCHEMA.empty_table())],
        notes={"elements": {}},
    )
    return open_dataset(folder)


def network(*tail, seq_length=LENGTH, seed=0):
    """A convolution of 8 bases, the strongest match anywhere, and a dense layer a task (or another tail)."""
    keras.utils.set_random_seed(seed)
    layers = tail or (keras.layers.Dropout(0.2), keras.layers.Dense(2, "sigmoid"))
    first = keras.layers.Conv1D(16, 8, activation="relu")
    return keras.Sequential([keras.Input((seq_length, 4)), first, keras.layers.GlobalMaxPooling1D(), *layers])


def probabilities_of(model, dataset, split, rows=slice(None)):
    """By Keras alone."""
    return model.predict(one_hot(dataset.bases(split)[rows]), verbose=0)


def recipe(**settings):
    """Computed alike on every device."""
    return Training(**{"precision": "float32", "xla": False, **settings})
