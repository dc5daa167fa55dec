"""The exact posterior of a grammar: what a sequence says of its labels and of its sites."""

from simbench_tf.simulate.oracle.posterior import (
    Posterior,
    attribution_ceiling,
    explain,
    label_ceiling,
    label_log_odds,
    label_posterior,
    log_likelihood,
)
from simbench_tf.simulate.oracle.site_calls import site_calls

__all__ = [
    "Posterior",
    "attribution_ceiling",
    "explain",
    "label_ceiling",
    "label_log_odds",
    "label_posterior",
    "log_likelihood",
    "site_calls",
]
