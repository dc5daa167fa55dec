"""A grammar estimated from labelled sequences: background, motif rates, positional profiles, label correlation."""

from simbench_tf.simulate.fit.configuration import write_fitted
from simbench_tf.simulate.fit.em import NEGLIGIBLE, Fit, fit_grammar

__all__ = ["NEGLIGIBLE", "Fit", "fit_grammar", "write_fitted"]
