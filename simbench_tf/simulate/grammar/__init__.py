"""Sequences drawn from a stated model: motifs at label-dependent rates in a random background."""

from simbench_tf.simulate.drawn import Drawn
from simbench_tf.simulate.grammar.generative_model import (
    Grammar,
    build_grammar,
    class_prior,
    decision_points,
    element_tasks,
    hazards,
    label_prior,
    used_motifs,
    zero_order_background,
)
from simbench_tf.simulate.grammar.generator import draw, draw_background, draw_bases, draw_classes

__all__ = [
    "Drawn",
    "Grammar",
    "build_grammar",
    "class_prior",
    "decision_points",
    "draw",
    "draw_background",
    "draw_bases",
    "draw_classes",
    "element_tasks",
    "hazards",
    "label_prior",
    "used_motifs",
    "zero_order_background",
]
