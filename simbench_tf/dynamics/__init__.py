"""Learning dynamics: which motif a network has learnt by which batch of its training, and why that one first."""

from simbench_tf.dynamics.learnt import (
    LEARNT_COLUMNS,
    LEARNT_SHARE,
    MIN_EFFECT,
    MIN_ENRICHMENT,
    MIN_OVER_CHANCE,
    MIN_RISE_IN_ERRORS,
    learnt_at,
    order_of_learning,
)
from simbench_tf.dynamics.measures import (
    DYNAMICS_COLUMNS,
    MIN_SEQUENCES,
    WatchedSequences,
    delete_sites,
    effect_of_motifs,
    measure,
    recall_of_motifs,
)

# earlier names
Probe, FEWEST, LEVEL, ENRICHED = WatchedSequences, MIN_SEQUENCES, MIN_RISE_IN_ERRORS, MIN_ENRICHMENT

__all__ = [
    "DYNAMICS_COLUMNS",
    "LEARNT_COLUMNS",
    "LEARNT_SHARE",
    "MIN_EFFECT",
    "MIN_ENRICHMENT",
    "MIN_OVER_CHANCE",
    "MIN_RISE_IN_ERRORS",
    "MIN_SEQUENCES",
    "WatchedSequences",
    "delete_sites",
    "effect_of_motifs",
    "learnt_at",
    "measure",
    "order_of_learning",
    "recall_of_motifs",
]
