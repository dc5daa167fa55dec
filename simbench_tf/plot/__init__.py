"""Plots of attributions, training and scores: each function draws into matplotlib axes and returns them."""

from simbench_tf.plot.cost import quality_against_cost
from simbench_tf.plot.curves import in_order, learning_curve, method_ranking, task_quality
from simbench_tf.plot.dependency_maps import dependency_map
from simbench_tf.plot.figure import BASE_COLOURS, svg
from simbench_tf.plot.formula import formula
from simbench_tf.plot.found_motifs import AlignedMotifs, aligned_logos, stated_against_true
from simbench_tf.plot.heat_maps import correlation_heat_map, learnt_against, motif_dynamics, motif_heat_map
from simbench_tf.plot.logos import attribution_panels, bars, logo, mark_sites
from simbench_tf.plot.misses import split_of_misses
from simbench_tf.plot.rank_diagram import critical_difference_diagram, difference_diagram
from simbench_tf.plot.reliability import calibration_curves, reliability_curves
from simbench_tf.plot.side_by_side import difference_intervals, runs_side_by_side

__all__ = [
    "BASE_COLOURS",
    "AlignedMotifs",
    "aligned_logos",
    "attribution_panels",
    "bars",
    "calibration_curves",
    "correlation_heat_map",
    "critical_difference_diagram",
    "dependency_map",
    "difference_diagram",
    "difference_intervals",
    "formula",
    "in_order",
    "learning_curve",
    "learnt_against",
    "logo",
    "mark_sites",
    "method_ranking",
    "motif_dynamics",
    "motif_heat_map",
    "quality_against_cost",
    "reliability_curves",
    "runs_side_by_side",
    "split_of_misses",
    "stated_against_true",
    "svg",
    "task_quality",
]
