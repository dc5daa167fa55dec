"""Schemas of every table that one stage writes and another reads: columns, their types, and checks of them.

Coordinates are 0-based and half-open. In `sites`, start and end are offsets within the sequence, and
``matched == sequence[start:end]`` on the forward strand, whatever `strand` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SPLITS = ("train", "valid", "test")


#: The label of a sequence that is neither positive nor negative of a task: left out of its loss, measures and counts.
UNLABELLED = 255
# (name, type, whether values may be missing): pyarrow is loaded by those who make tables, not by those who name columns
_SEQUENCE_FIELDS = (
    ("seq_id", "string", False),
    ("chrom", "string", True),
    ("start", "int64", True),
    ("end", "int64", True),
    ("split", "string", False),
    ("sequence", "string", False),
)
SEQUENCE_COLUMNS = tuple(name for name, *_ in _SEQUENCE_FIELDS)
_SITES_FIELDS = (
    ("seq_id", "string", False),
    ("motif", "string", False),
    ("tf", "string", False),
    ("start", "int32", False),
    ("end", "int32", False),
    ("strand", "string", False),
    ("score", "float32", False),
    ("pvalue", "float64", False),
    ("matched", "string", False),
    # what the generator put there: an element of the grammar, or for peaks the motif itself
    ("element", "string", False),
)
SITE_COLUMNS = tuple(name for name, *_ in _SITES_FIELDS)


#: One row per model, task, key and sequence (RUN/scores/per_sequence.parquet); the columns of the metrics follow.
PER_SEQUENCE_KEYS = ("model", "task", "key", "method", "references", "settings", "seq_id")


#: One row per model, task, key and group of sites (RUN/scores/motif_recall.csv), from `score.motif_recall`.
MOTIF_RECALL_COLUMNS = ("model", "task", "key", "by", "group", "n_sites", "recall", "recall_se", "auprc")


#: One row per model, task, metric and pair of keys (RUN/scores/comparisons.csv), from `score.paired_comparisons`;
#: of the name of a model without its seed, from `score.comparisons_over_models`.
COMPARISON_COLUMNS = (
    "model", "task", "metric", "first", "second", "n_sequences", "difference", "low", "high",
    "effect_size", "p_value", "p_holm", "n_needed",
)  # fmt: skip


#: One row per task, key and metric of a model of several seeds (RUN/scores/variance.csv), from
#: `score.significance.variance_components`; `model` is the name without its seed.
VARIANCE_COLUMNS = (
    "model", "task", "key", "metric", "mean", "sd_models", "sd_sequences", "sd_residual", "n_models", "n_sequences",
)  # fmt: skip


#: One row per model, task, key and perfect model (RUN/scores/misses.csv), from `score.misses.split_misses`.
MISSES_COLUMNS = (
    "model", "task", "key", "perfect", "n_sequences", "oracle_auprc", "perfect_auprc", "auprc",
    "method_miss", "method_miss_se", "network_miss", "network_miss_se",
)  # fmt: skip


#: One row per model, task and key (RUN/scores/truth_free.csv), with `scoring.truth_free`; a column for each metric of
#: `score.truth_free.TRUTH_FREE` follows, with its standard error.
TRUTH_FREE_KEYS = ("model", "task", "key", "n_sequences")


#: One row per model, task and key (RUN/scores/site_importance.csv), with `scoring.site_importance`.
SITE_IMPORTANCE_COLUMNS = (
    "model", "task", "key", "n_sites", "n_sequences", "rank_correlation", "rank_correlation_se", "correlation", "slope",
    "error", "scaled_error", "own_sites_rank_correlation", "own_sites_rank_correlation_se", "model_rank_correlation",
    "model_rank_correlation_se", "against_model_rank_correlation", "against_model_rank_correlation_se",
)  # fmt: skip


#: One row per model, task, key and group of sites (RUN/scores/instances.csv), from `discovery.score_instances`.
INSTANCE_COLUMNS = (
    "model", "task", "key", "caller", "by", "group", "n_sites", "n_called", "n_matched", "precision", "recall", "f1",
    "ap", "best_f1", "best_f1_se", "best_recall", "on_site", "boundary_error", "strand_accuracy", "motif_accuracy",
    "recall_cap", "chance_precision", "chance_recall", "chance_f1", "n_clustered", "purity", "adjusted_rand",
    "v_measure", "oracle_ap", "oracle_best_f1", "oracle_best_recall",
)  # fmt: skip


#: One row per model, task, key and motif, true or found (RUN/scores/motifs.csv), from `discovery.score_motifs`.
FOUND_MOTIF_COLUMNS = (
    "model", "task", "key", "caller", "kind", "motif", "best", "correlation", "strand", "start_error", "end_error",
    "n_matches", "status", "chance_correlation", "tomtom_p",
)  # fmt: skip


#: One row per task (RUN/scores/kmer_classifier.csv), of data without an exact posterior.
KMER_COLUMNS = ("task", "auroc", "n_train", "n_test", "k")


#: One row per model, task, key and interaction (RUN/scores/faithfulness.csv, satisfiability.csv); what
#: `score.faithfulness` and `score.satisfiability` give follows.
INTERACTION_KEYS = (
    "model", "task", "key", "method", "references", "settings", "rule", "first", "second", "expected", "n_sequences",
)  # fmt: skip


#: One row per model, task and key with dependency maps (RUN/scores/interacting_pairs.csv); after the keys, from
#: `score.mean_pair_score`.
INTERACTING_PAIRS_COLUMNS = (
    "model", "task", "key", "n_sequences", "average_precision", "average_precision_se", "chance", "strength_ratio",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """What loads numba or pyarrow, half a second each that reading a configuration must not wait for, on first use."""
    if name == "SITES_SCHEMA":
        return _schema(_SITES_FIELDS)
    if name == "SUMMARY_COLUMNS":  # one row per model, task and key (RUN/scores/summary.csv)
        from simbench_tf.score.scores import summary_columns

        return (*PER_SEQUENCE_KEYS[:-1], "truth", "n_sequences", *summary_columns(), "sign", "scored_bases")
    if name in ("bases_of", "text_column"):
        from simbench_tf.dna import arrow

        return getattr(arrow, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def sequence_schema(tasks: Sequence[str]) -> pa.Schema:
    """The schema of RUN/dataset/sequences/part-*.parquet: the fixed columns, then one uint8 label column per task."""
    return _schema((*_SEQUENCE_FIELDS, *((task, "uint8", False) for task in tasks)))


def _schema(fields: Sequence[tuple[str, str, bool]]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.type_for_alias(kind), nullable=nullable) for name, kind, nullable in fields])


def check_sequences(table: pa.Table, tasks: Sequence[str]) -> None:
    """Check a sequence table against its schema: columns, no nulls, splits, labels 0, 1 or `UNLABELLED`, ids.

    Raises
    ------
    ValueError
        Naming the first column that breaks the rule.
    """
    import pyarrow.compute as pc

    schema = sequence_schema(tasks)
    if table.schema.names != schema.names:
        raise ValueError(f"sequence columns are {table.schema.names}, should be {schema.names}")
    for field in schema:
        if table.schema.field(field.name).type != field.type:
            raise ValueError(f"column {field.name} is {table.schema.field(field.name).type}, should be {field.type}")
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"column {field.name} has missing values")
    unknown = set(pc.unique(table["split"]).to_pylist()) - set(SPLITS)
    if unknown:
        raise ValueError(f"column split holds {sorted(unknown)}, should be among {list(SPLITS)}")
    for task in tasks:
        if not set(pc.unique(table[task]).to_pylist()) <= {0, 1, UNLABELLED}:
            raise ValueError(f"column {task} holds labels other than 0, 1 and {UNLABELLED} (neither)")
    if pc.count_distinct(table["seq_id"]).as_py() != table.num_rows:
        raise ValueError("column seq_id holds an id twice")


def check_sites(sites: pd.DataFrame, sequences: pd.Series) -> None:
    """Check that every site has ``matched == sequence[start:end]``; `sequences` is indexed by seq_id.

    Raises
    ------
    ValueError
        Naming the first site that breaks it.
    """
    missing = [column for column in SITE_COLUMNS if column not in sites]
    if missing:
        raise ValueError(f"sites lack the columns {missing}")
    for row in sites.itertuples(index=False):
        if sequences[row.seq_id][row.start : row.end] != row.matched:
            raise ValueError(f"site of {row.motif} at {row.seq_id}:{row.start}-{row.end} does not read {row.matched}")
    if not sites["strand"].isin(["+", "-"]).all():
        raise ValueError("strand must be + or -")
