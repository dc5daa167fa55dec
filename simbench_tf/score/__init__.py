"""How well attributions find the true bases: metrics, their means and intervals, tests, ranks and motif recall."""

from simbench_tf.score.area_errors import AreaErrors, area_errors, pooled_errors
from simbench_tf.score.between_models import MeanOverModels, comparisons_over_models, mean_over_models
from simbench_tf.score.calibration import Calibration, calibrate, reliability
from simbench_tf.score.correlation import rank_correlation
from simbench_tf.score.interacting_pairs import PairScore, PairTruth, mean_pair_score, pair_score, pair_truth
from simbench_tf.score.metrics import METRICS, TOP_SHARE, Metric, Sign, areas, sequence_metrics, takes_sign
from simbench_tf.score.null_scores import kmer_position_scores, kmer_scores, position_scores
from simbench_tf.score.ranking import models_of_seeds, standings, without_nulls
from simbench_tf.score.rule_faithfulness import faithfulness, satisfiability
from simbench_tf.score.scores import pooled_scores, score_attributions, summarise, summary_columns
from simbench_tf.score.shapley import shapley_interactions, shapley_values
from simbench_tf.score.significance import (
    MIN_SEQUENCES,
    VarianceComponents,
    bootstrap_interval,
    critical_difference,
    holm,
    mean_and_error,
    mean_ranks,
    n_needed,
    paired_comparisons,
    pareto_front,
    variance_components,
)
from simbench_tf.score.site_credit import credit_scores, site_credit

FEWEST = MIN_SEQUENCES  # its earlier name

__all__ = [
    "FEWEST",
    "METRICS",
    "MIN_SEQUENCES",
    "TOP_SHARE",
    "AreaErrors",
    "Calibration",
    "MeanOverModels",
    "Metric",
    "PairScore",
    "PairTruth",
    "Sign",
    "VarianceComponents",
    "area_errors",
    "areas",
    "bootstrap_interval",
    "calibrate",
    "comparisons_over_models",
    "credit_scores",
    "critical_difference",
    "faithfulness",
    "holm",
    "kmer_position_scores",
    "kmer_scores",
    "mean_and_error",
    "mean_over_models",
    "mean_pair_score",
    "mean_ranks",
    "models_of_seeds",
    "n_needed",
    "pair_score",
    "pair_truth",
    "paired_comparisons",
    "pareto_front",
    "pooled_errors",
    "pooled_scores",
    "position_scores",
    "rank_correlation",
    "reliability",
    "satisfiability",
    "score_attributions",
    "sequence_metrics",
    "shapley_interactions",
    "shapley_values",
    "site_credit",
    "standings",
    "summarise",
    "summary_columns",
    "takes_sign",
    "variance_components",
    "without_nulls",
]
