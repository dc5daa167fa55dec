"""Motif discovery scored: what a caller found in attributions, instances and motifs, against those put in."""

from simbench_tf.discovery.calibration import fdr_curve, stated_fdr
from simbench_tf.discovery.clusters import cluster_agreement
from simbench_tf.discovery.instances import score_instances
from simbench_tf.discovery.learnt_filters import FilterMotifs, filter_motifs
from simbench_tf.discovery.motif_match import score_motifs
from simbench_tf.discovery.readers import Found, Sequences, read_found
from simbench_tf.discovery.seqlets import base_pvalues, call_seqlets
from simbench_tf.discovery.thresholds import BestF1, best_f1

__all__ = [
    "BestF1",
    "FilterMotifs",
    "Found",
    "Sequences",
    "base_pvalues",
    "best_f1",
    "call_seqlets",
    "cluster_agreement",
    "fdr_curve",
    "filter_motifs",
    "read_found",
    "score_instances",
    "score_motifs",
    "stated_fdr",
]
