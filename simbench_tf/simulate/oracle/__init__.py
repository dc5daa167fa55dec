"""The exact posterior of a grammar: what a sequence says of its labels and sites; no model can know better."""

from simbench_tf.simulate.oracle.posterior import (
    Posterior,
    explain,
    label_ceiling,
    label_log_odds,
    label_posterior,
    log_likelihood,
)

__all__ = ["Posterior", "explain", "label_ceiling", "label_log_odds", "label_posterior", "log_likelihood"]
