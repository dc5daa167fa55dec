"""Write docs/metrics.md: each metric of a sequence, its formula, chance level and meaning, from the table of metrics.

python docs/make_metrics.py           # --check holds the page to the code
"""

from __future__ import annotations

from pathlib import Path

from markdown_table import table as markdown_table
from written_page import write_or_check

from simbench_tf.score import METRICS
from simbench_tf.score.facts import METRIC_FACTS
from simbench_tf.score.metrics import Metric

PAGE = Path(__file__).with_name("metrics.md")
HEAD = """# Metrics

Each compares the attributions of one sequence with its true bases; tables hold their means over sequences, with
standard errors. Made from the code by `python docs/make_metrics.py`. What all promise: higher is better; the truth
itself reaches the highest value; values lie between 0 and 1; what knows nothing reaches chance on average; ties are
broken by a fair coin; a sequence whose bases are all true, or all false, has no value. How means are compared is told
in [scoring](scoring.md).

Of the L bases of a sequence the set T is true, with n of them; s<sub>l</sub> is the attribution of base l,
a<sub>l</sub> its size |s<sub>l</sub>|. With `scoring.sign: signed`, all metrics take s in place of a.
"""
FURTHER = """## Of motifs, rules and pairs

These ask other questions than where the bases are, and have tables of their own: which sites are found
([`motif_recall.csv`](files.md#scoresmotif_recallcsv)), whether credit follows a rule ([rules](scoring.md#rules)),
whether each site gets what it is worth ([credit](scoring.md#is-the-credit-right)), pairs of bases
([pairs](scoring.md#pairs-of-bases)), called motif instances ([motifs](motifs.md#instances)).

Packages bring metrics of their own: [plug-ins](plugins.md#metrics-in-results).
"""


def page() -> str:
    """The whole page."""
    heads = ["metric", "column", "chance", "takes", "only ranks count"]
    rows = [
        [f"[{metric.title}](#{name})", f"`{name}`", _chance(metric), _takes(metric), _yes(metric.rank_based)]
        for name, metric in METRICS.items()
    ]
    sections = [_section(name, metric) for name, metric in METRICS.items()]
    return "\n".join([HEAD, markdown_table(heads, rows), "", *sections, FURTHER])


def _section(name: str, metric: Metric) -> str:
    facts = METRIC_FACTS[name]
    meaning = f"**{metric.title}**: {metric.description}. {facts.says}"
    formula = f"$$\n{facts.formula}\n$$"
    return "\n\n".join(
        [f"## {name}", meaning, formula, f"**What not to conclude.** {facts.doubt}", f"*{metric.source}*\n"]
    )


def _chance(metric: Metric) -> str:
    return f"`{metric.chance}`" if isinstance(metric.chance, str) else f"{metric.chance:g}"


def _takes(metric: Metric) -> str:
    return "s" if metric.signed else "a"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the table of metrics")
