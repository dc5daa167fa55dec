"""Scores of genetic variants: a model's outputs for the reference and alternative alleles, and their differences."""

from simbench_tf.variants.predictor import Predictor, open_predictor
from simbench_tf.variants.scoring import MEASURES, VariantScores, score_variants

__all__ = ["MEASURES", "Predictor", "VariantScores", "open_predictor", "score_variants"]
