"""Perfect models: the exact posterior of a grammar as a Keras model, to tell a method's failure from a network's."""

from simbench_tf.perfect.oracle import LogOdds, oracle_model

__all__ = ["LogOdds", "oracle_model"]
