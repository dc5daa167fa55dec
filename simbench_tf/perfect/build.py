"""Models that are built from the grammar of the data, by the name of their architecture."""

from __future__ import annotations

from collections.abc import Callable

import keras

from simbench_tf.config import Model
from simbench_tf.perfect.oracle import oracle_of
from simbench_tf.perfect.planted import planted_network
from simbench_tf.simulate.grammar import Grammar

#: For each of `architectures.FROM_DATA` what makes the model: of a grammar, and with the model's `settings`.
BUILDERS: dict[str, Callable[..., keras.Model]] = {"oracle": oracle_of, "planted": planted_network}

#: Of models with layers of their own: what is noted beside the saved model, so that who loads it imports them first.
MODULES = {"oracle": "simbench_tf.perfect:oracle_model"}


def build_from_data(model: Model, grammar: Grammar) -> keras.Model:
    """The model that a configuration names, of a grammar: nothing is trained.

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> grammar = build_grammar(GrammarSimulation(kind="grammar"), load_motifs("default"))
    >>> build_from_data(Model(architecture="oracle"), grammar).output_shape
    (None, 2)
    """
    return BUILDERS[str(model.architecture)](grammar, **model.settings)
