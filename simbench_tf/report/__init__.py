"""The report of a run, one self-contained HTML file, and the comparison of several runs."""

from simbench_tf.report.browser import Browsed
from simbench_tf.report.page import Example, write_report

__all__ = ["Browsed", "Example", "write_report"]
