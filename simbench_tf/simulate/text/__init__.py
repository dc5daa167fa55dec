"""Sequences simulated elsewhere, read with their sites from the three-column text of the paper's own code."""

from simbench_tf.simulate.text.paper_format import HEADER, Site, read_paper_text, site_text
from simbench_tf.simulate.text.read import TextPlan, plan_text, take

__all__ = ["HEADER", "Site", "TextPlan", "plan_text", "read_paper_text", "site_text", "take"]
