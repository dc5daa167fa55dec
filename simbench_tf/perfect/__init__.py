"""Perfect models, built from the grammar of the data, which tell a method's failure from the network's."""

from simbench_tf.perfect.oracle import LogOdds, oracle_model
from simbench_tf.perfect.planted import planted_model, planted_network
from simbench_tf.perfect.site_importance import site_importance

__all__ = ["LogOdds", "oracle_model", "planted_model", "planted_network", "site_importance"]
