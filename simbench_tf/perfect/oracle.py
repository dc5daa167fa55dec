"""The oracle as a Keras model: the exact posterior log-odds of each task, as a layer that is explained as any other.

The log-odds are ``log P(sequence, label) - log P(sequence, no label)`` under the grammar that drew the data; nothing
is trained. Both likelihoods are multilinear in the rows of the input: see `single_substitutions` for what follows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from simbench_tf.architectures import LACKING
from simbench_tf.dataset import Dataset
from simbench_tf.dataset_grammar import grammar_of
from simbench_tf.models.layers import read_array, written_array
from simbench_tf.perfect.groups import Arranged, arrange
from simbench_tf.perfect.likelihood import evidence
from simbench_tf.perfect.scan import in_chunks
from simbench_tf.simulate.grammar import Grammar
from simbench_tf.simulate.oracle.layout import OracleLayout
from simbench_tf.simulate.oracle.posterior import class_layouts

#: Sequences that are computed together, and bytes that a block of positions of theirs may take: a core's cache.
_MOST_TOGETHER = 64
_BYTES_TOGETHER = 2**21
_Layout = OracleLayout | Mapping[str, Any]


def oracle_model(dataset: Dataset) -> keras.Model:
    """The exact posterior of each task's label as a Keras model; of data drawn from a grammar.

    Parameters
    ----------
    dataset : Dataset
        From `open_dataset`, within the run that drew it: the grammar is built again from the config.yaml beside it.

    Returns
    -------
    keras.Model
        Input (N, L, 4) float, output float32 (N, T): P(label = 1 | sequence), by a sigmoid of the log-odds, which are
        float64. Nothing is to be trained. It can be saved, loaded (after ``import simbench_tf.perfect``), and
        explained by every method that asks for outputs or gradients alone.

    Raises
    ------
    InputError
        The data are of no grammar, there is no configuration beside them, or it draws other sequences.

    Notes
    -----
    A row r of the input enters the likelihood as ``r + (1 - sum(r)) (1, 1, 1, 1)``: one-hot is a base, a distribution
    a mixture of bases, and a row of zeros a missing base, summed out. The likelihood is linear in each row, and it is
    positive where rows are none below zero and sum to 1 at most; beyond, the log-odds may be nan. Forward recursion
    of a hidden semi-Markov model (Rabiner 1989, section IV.D), as `simulate.oracle`.

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> from simbench_tf.dna import one_hot
    >>> settings = GrammarSimulation(kind="grammar", seq_length=20, tasks={"K562": {"fraction": 0.5}},
    ...                              elements=[{"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 0.5}}])
    >>> model = oracle_of(build_grammar(settings, load_motifs("default")))
    >>> model(one_hot(["CCATTTCTTATCAGCCCGTA", "CCATTTCAATGCAGCCCGTA", "NNNNNNNNNNNNNNNNNNNN"])).numpy().round(2)
    array([[0.79], [0.31], [0.5 ]], dtype=float32)
    """
    return oracle_of(grammar_of(dataset, asked_by="oracle_model", mend="give a data set that was drawn from a grammar"))


def oracle_of(grammar: Grammar) -> keras.Model:
    """The model of `oracle_model`, of a grammar."""
    inputs = keras.Input((grammar.seq_length, 4), name="one_hot")
    log_odds = LogOdds.of(grammar)(inputs)
    probability = keras.layers.Activation("sigmoid", dtype="float64", name="probability")(log_odds)
    outputs = keras.layers.Activation("linear", dtype="float32", name="label")(probability)
    return keras.Model(inputs, outputs, name="oracle")


@keras.saving.register_keras_serializable("simbench_tf")
class LogOdds(keras.layers.Layer):
    """Log-odds of each label given the rows of a sequence: (N, L, 4) -> float64 (N, T).

    Parameters
    ----------
    layout : OracleLayout or mapping, or a list of these
        The grammar, laid out, or each class of its sequences; or what `get_config` has of them.
    class_weights : sequence of float, optional
        What the priors of classes are multiplied by: models saved before classes depended on labels have P(class).
    """

    # by these attribution knows what the layer cannot give, and that all bases are looked at
    lacking = LACKING["oracle"]
    joins_positions = True
    # it is compiled within, chunk by chunk, and not once more with what is around it
    supports_jit = False

    def __init__(self, layout: _Layout | list[_Layout], class_weights: Sequence[float] = (), **settings: Any) -> None:
        super().__init__(**{"dtype": "float64", "trainable": False, "name": "log_odds", **settings})
        given = layout if isinstance(layout, list) else [layout]
        self._layouts = tuple(each if isinstance(each, OracleLayout) else _read_layout(each) for each in given)
        self._class_weights = tuple(float(weight) for weight in class_weights or [1.0] * len(given))
        arranged = [arrange(each) for each in self._layouts]
        self._n_tasks = len(arranged[0].carried)
        self._of_classes = tuple(in_chunks(functools.partial(evidence, each), together(each)) for each in arranged)

    @classmethod
    def of(cls, grammar: Grammar) -> LogOdds:
        """The layer of a grammar."""
        layouts: list[_Layout] = [*class_layouts(grammar)]
        return cls(layouts[0] if len(layouts) == 1 else layouts)

    def call(self, inputs: Any) -> Any:
        """Log-odds, (N, T)."""
        without, with_it = tf.unstack(self.evidence(inputs), axis=-1)
        return with_it - without

    def evidence(self, inputs: Any) -> Any:
        """``log P(sequence, label)`` of each task without its label and with it, (N, L, 4) -> float64 (N, T, 2)."""
        return self._evidence(mixtures(inputs))

    def _evidence(self, rows: Any) -> Any:
        if len(self._of_classes) == 1:
            return self._of_classes[0](rows)
        weighted = zip(self._class_weights, self._of_classes, strict=True)
        return tf.reduce_logsumexp(tf.stack([math.log(weight) + of_class(rows) for weight, of_class in weighted]), 0)

    def single_substitutions(self, inputs: Any, targets: Any) -> Any:
        """The layer's outputs for every single substitution, (N, L, 4) and (n_targets,) -> (n_targets, N, L, 4).

        At [t, i, l, c]: the log-odds of task targets[t] if row l of sequence i were base c. A likelihood is linear in a
        row's mixture m, ``L = sum_c m_c A_c``, where A_c is what it is if the row is base c; so its gradient with
        regard to the mixture is that of all substitutions, from one pass forward and one backward, exactly.
        """
        rows = mixtures(inputs)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(rows)
            known = tf.unstack(self._evidence(rows), axis=-1)

        def of_target(target: Any) -> Any:
            chosen = tf.one_hot(tf.fill(tf.shape(rows)[:1], target), known[0].shape[1], dtype=tf.float64)
            # the gradient of log L is A / L
            without, with_it = (
                tf.reduce_sum(each * chosen, axis=1)[:, None, None] + tf.math.log(tape.gradient(each, rows, chosen))
                for each in known
            )
            return with_it - without

        return tf.map_fn(of_target, targets, fn_output_signature=tf.float64)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, int]:
        """(N, L, 4) -> (N, T)."""
        return (input_shape[0], self._n_tasks)

    def get_config(self) -> dict[str, Any]:
        """The layouts, whose arrays are written as text without loss."""
        written = [_written_layout(each) for each in self._layouts]
        if len(written) == 1:
            return {**super().get_config(), "layout": written[0]}
        return {**super().get_config(), "layout": written, "class_weights": list(self._class_weights)}


def mixtures(rows: Any) -> Any:
    """What the rows of a sequence say of its bases: r + (1 - sum r), (N, L, 4) -> float64 (N, L, 4)."""
    rows = tf.cast(rows, tf.float64)
    return rows + (1.0 - tf.reduce_sum(rows, axis=-1, keepdims=True))


def together(arranged: Arranged) -> int:
    """Sequences that are computed together: a power of two, fewer where the states of one take more memory."""
    states, ending = len(arranged.end) * arranged.start.shape[1], 4**arranged.order * arranged.block
    numbers = states * (arranged.reach * len(arranged.tails) + ending) + len(arranged.members) * ending
    fitting = max(1, _BYTES_TOGETHER // (8 * numbers))
    return min(_MOST_TOGETHER, 1 << (fitting.bit_length() - 1))


def _written_layout(layout: OracleLayout) -> dict[str, Any]:
    return {
        name: written_array(value) if isinstance(value, np.ndarray) else value
        for name, value in layout._asdict().items()
    }


def _read_layout(written: Mapping[str, Any]) -> OracleLayout:
    fields: dict[str, Any] = {
        name: read_array(value) if isinstance(value, Mapping) else value for name, value in written.items()
    }
    return OracleLayout(**fields)
