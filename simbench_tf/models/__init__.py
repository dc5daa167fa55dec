"""Keras models: Basset and DeepSEA Beluga, models of the user's own, and models of a Kipoi zoo."""

from simbench_tf.models.basset import basset
from simbench_tf.models.beluga import beluga

__all__ = ["basset", "beluga"]
