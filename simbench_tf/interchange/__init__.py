"""Export of data sets, attributions and results to files that other tools read; import of other tools' attributions."""

from simbench_tf.interchange.export_attributions import export_attributions
from simbench_tf.interchange.export_data import export_data
from simbench_tf.interchange.export_results import export_results

__all__ = ["export_attributions", "export_data", "export_results"]
