"""A grammar estimated from labelled sequences: background, motif rates, positional profiles, label correlation."""

from simbench_tf.simulate.fit.configuration import write_fitted
from simbench_tf.simulate.fit.fitter import NEGLIGIBLE_RATE, Fit, fit_grammar

NEGLIGIBLE = NEGLIGIBLE_RATE  # its earlier name

__all__ = ["NEGLIGIBLE", "NEGLIGIBLE_RATE", "Fit", "fit_grammar", "write_fitted"]
