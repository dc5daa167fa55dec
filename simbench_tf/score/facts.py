r"""Facts of each metric and no code: its formula, what to read from it and what not to.

Kept once, for the page of metrics (docs/make_metrics.py) and for whatever else shows a metric. A formula is LaTeX: of
the L bases of a sequence the set T is true, with n of them; s_l is the attribution of base l, a_l = |s_l| its size.
"""

from __future__ import annotations

from typing import NamedTuple


class MetricFacts(NamedTuple):
    """What a user should know of a metric.

    Attributes
    ----------
    formula : str
        Its value, in LaTeX.
    says : str
        What a high or low value means.
    doubt : str
        What not to conclude from it.
    """

    formula: str
    says: str
    doubt: str


_ROC = (
    r"\frac{1}{n (L - n)} \sum_{i \in T} \sum_{j \notin T} "
    r"\Bigl( [%(v)s_i > %(v)s_j] + \tfrac{1}{2} [%(v)s_i = %(v)s_j] \Bigr)"
)
_PRECISION = r"\sum_k \bigl( R_k - R_{k-1} \bigr) P_k \quad \text{over thresholds } k \text{ of } %(v)s"
_SIGN_MATTERS = (
    "Where a site may also lower the label, as rules with `without` have it, negative credit is right, and this metric "
    "punishes it."
)

#: By the name of the metric, which is its column.
METRIC_FACTS: dict[str, MetricFacts] = {
    "auroc": MetricFacts(
        _ROC % {"v": "a"},
        "How well true bases are ranked above others, over the whole range.",
        "Most bases are not true, so false bases at the very top cost little: a method whose highest bases are all "
        "false may still stand well above .5. Rankings here are by auPRC.",
    ),
    "auprc": MetricFacts(
        _PRECISION % {"v": "a"},
        "How clean the top of the ranking is: the measure by which methods are ranked. P is the share of the bases "
        "above a threshold that are true, R the share of the true bases that are above it.",
        "Its chance level is the share of true bases, so values of two data sets compare only beside their "
        "`chance_auprc`. The most to be had is the ceiling, `oracle_auprc`, not 1: chance hits in the background look "
        "like motifs.",
    ),
    "mass_fraction": MetricFacts(
        r"\frac{\sum_{l \in T} a_l}{\sum_l a_l}",
        "How much of what a method gives away goes to true bases.",
        "It depends on sizes, not only on ranks, so a method that is squared looks better and ranks the same.",
    ),
    "rank_accuracy": MetricFacts(
        r"\frac{1}{n} \left| T \cap \text{the } n \text{ bases of the highest } a \right|",
        "The share of true bases found by one who knows how many there are.",
        "It has one threshold: what lies just below it counts for nothing.",
    ),
    "pointing_game": MetricFacts(
        r"[\arg\max_l a_l \in T]",
        "Whether the first base one would look at is true.",
        "A method that finds one strong site and misses nine has a full score.",
    ),
    "top_k": MetricFacts(
        r"\frac{1}{k} \left| T \cap \text{the } k \text{ bases of the highest } a \right|, "
        r"\quad k = \min\bigl( \max(1, L / 20), n \bigr)",
        "Whether the strongest peaks of a track are true.",
        "Weak sites are not asked for.",
    ),
    "signed_auroc": MetricFacts(
        _ROC % {"v": "s"},
        "As auROC, where credit should be positive.",
        _SIGN_MATTERS,
    ),
    "signed_auprc": MetricFacts(
        _PRECISION % {"v": "s"},
        "As auPRC, where credit should be positive.",
        _SIGN_MATTERS,
    ),
    "positive_mass_fraction": MetricFacts(
        r"\frac{\sum_{l \in T} \max(s_l, 0)}{\sum_l \max(s_l, 0)}",
        "How much of the positive credit goes to true bases.",
        _SIGN_MATTERS,
    ),
}
