"""The report of a run, one self-contained HTML file, and the comparison of several runs."""

from simbench_tf.report.page import Example, write_report
from simbench_tf.run.results import AttributedSequences

# its name when it belonged to the report
Browsed = AttributedSequences

__all__ = ["AttributedSequences", "Browsed", "Example", "write_report"]
