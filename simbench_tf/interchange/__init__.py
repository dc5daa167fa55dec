"""Data sets and attributions as files that other tools read, and the attributions of other tools read back."""

from simbench_tf.interchange.export_attributions import export_attributions
from simbench_tf.interchange.export_data import export_data

__all__ = ["export_attributions", "export_data"]
