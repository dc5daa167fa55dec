"""Export of data sets and attributions to files that other tools read; import of other tools' attributions."""

from simbench_tf.interchange.export_attributions import export_attributions
from simbench_tf.interchange.export_data import export_data

__all__ = ["export_attributions", "export_data"]
