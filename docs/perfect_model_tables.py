"""Tables of perfect models for the page of findings: whose miss it is, and whether the credit of sites is right."""

import numpy as np
from keep_results import RESULTS
from markdown_table import table

from simbench_tf.plot.numbers import fixed
from simbench_tf.report.text import method_labels
from simbench_tf.run.results import read_table
from simbench_tf.score import without_nulls

MISSES = (
    "A miss is the exact posterior's auPRC less a method's, mean over tasks. Its own miss is what it misses on a model "
    "that is known to be right: the exact posterior, and the network built from the generator. After +, what another "
    "model adds to the miss on the exact posterior, where the method takes that, else on the planted network; below 0, "
    "more is found on the network than on the perfect model."
)
NEAR = "Of networks that reach over 95% of (ceiling - .5): the whole miss, and what is missed on a perfect model."
CREDIT = (
    "A method's sums over true sites against what the sites are worth: the exact Shapley value of their evidence "
    "([how](scoring.md#is-the-credit-right)). Spearman's correlation over the sites of a sequence, mean over sequences "
    "and tasks; in brackets that of the task's own sites alone. The last line is of the model's own worth of sites."
)


def misses(name: str) -> str:
    """For each method its miss on each perfect model and, for each other model, the part of its miss that this adds.

    Means over tasks. A network is held against the first perfect model that the method takes.
    """
    found = read_table(RESULTS / name / "misses.csv")
    labels = method_labels(without_nulls(read_table(RESULTS / name / "summary.csv")))
    of_method = found.drop_duplicates(["task", "key", "perfect"]).pivot_table(
        "method_miss", "key", "perfect", sort=False
    )
    first = found.drop_duplicates(["model", "task", "key"])
    added = first.pivot_table("network_miss", "key", "model", sort=False)
    rows = []
    for key in of_method.min(axis=1).sort_values(kind="stable").index:
        own = ["–" if np.isnan(value) else fixed(value, 2) for value in of_method.loc[key]]
        rows.append([labels[key], *own, *(fixed(value, 2) for value in added.loc[key])])
    return table(["method", *(f"its own miss on {each}" for each in of_method), *(f"+ {each}" for each in added)], rows)


def near_the_ceiling(name: str) -> str:
    """Of trained networks near the ceiling: each method's whole miss, and how much of it is its own."""
    trained = read_table(RESULTS / f"{name}.csv").query("n_sequences_seen > 0").groupby("model")["share"].mean()
    found = read_table(RESULTS / name / "misses.csv").drop_duplicates(["model", "task", "key"])
    labels = method_labels(without_nulls(read_table(RESULTS / name / "summary.csv")))
    means = found.groupby(["model", "key"], sort=False)[["method_miss", "network_miss"]].mean()
    models = [model for model, share in trained.items() if share > 0.95]
    if not models:
        return ""
    rows = []
    for key in found["key"].unique():
        parts = [means.loc[model, key] for model in models]
        whole = [f"{fixed(each.sum(), 2)}, its own {fixed(each['method_miss'], 2)}" for each in parts]
        rows.append([labels[key], *whole])
    return f"{NEAR}\n\n{table(['method', *models], rows)}"


def credit(name: str) -> str:
    """For each method and model the rank correlation of its credit of sites with what they are worth."""
    found = read_table(RESULTS / name / "site_importance.csv")
    labels = method_labels(without_nulls(read_table(RESULTS / name / "summary.csv")))
    columns = ["rank_correlation", "own_sites_rank_correlation"]
    means = found.pivot_table(columns, "key", "model", sort=False)
    models = list(found["model"].unique())
    order = means["rank_correlation"].max(axis=1).sort_values(ascending=False, kind="stable").index
    rows = [
        [labels[key], *(_two(*(means[column, model][key] for column in columns)) for model in models)] for key in order
    ]
    own = found.groupby("model")["model_rank_correlation"].mean()
    rows.append(["*the model itself*", *("–" if np.isnan(own[model]) else fixed(own[model], 2) for model in models)])
    return table(["method", *models], rows)


def _two(every: float, own: float) -> str:
    return "–" if np.isnan(every) else f"{fixed(every, 2)} ({fixed(own, 2)})"
