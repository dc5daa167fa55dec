"""The page of findings, docs/findings.md, from tables under results/; `--keep RUN NAME` puts a run's tables there.

simbench run demo:questions --out runs/questions
python docs/make_findings.py --keep runs/questions demo_questions
python docs/make_findings.py                      # writes docs/findings.md; with --check only compares it
"""

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from averaging_table import averages
from discovery_tables import motif_callers
from keep_results import RESULTS, STRENGTHS, keep
from likeness_table import likeness
from markdown_table import table
from perfect_model_tables import CREDIT, MISSES, credit, misses, near_the_ceiling
from scipy.stats import kendalltau
from truth_free_tables import draw, truth_free_metrics

from simbench_tf.plot.numbers import fixed, percent, with_error
from simbench_tf.report.text import method_labels
from simbench_tf.run.folder import config_of
from simbench_tf.run.results import read_table
from simbench_tf.score import without_nulls

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "findings.md"
#: A difference counts below this p, after Holm's correction for all pairs of methods on a network and task.
SIGNIFICANT = 0.05
#: auROC of the talk's networks on its five cell lines.
TALK = {
    "beluga": {"A549": 0.812, "GM12878": 0.800, "H1": 0.845, "HepG2": 0.795, "K562": 0.824},
    "basset": {"A549": 0.785, "GM12878": 0.767, "H1": 0.806, "HepG2": 0.777, "K562": 0.783},
}


#: The end of the name of one of several trainings.
SEED = r"-seed\d+$"

RANKED = "Mean auPRC ± standard error."
ALONG = (
    "Mean auPRC over trainings and tasks. Below it, how far two trainings from different seeds agree on the methods' "
    "order (Kendall's tau: 1 is the same order, 0 none): one of this length and one of the greatest, and two of this."
)
OVER_TRAININGS = (
    "Differences for other trainings and sequences: three trainings of each network and 50 sequences a task."
)
RULES = (
    "How far signed credit stands in the order of the rule's truth table, beside the other part and alone, mean over "
    "sequences ± standard error: 1 wholly, .5 at chance ([how](scoring.md#rules)). A network without the interaction "
    "cannot be explained by it."
)
NULLS = {"null_untrained": "best of them on an untrained network", "null_position": "positions of true bases"}


INTRODUCTION = """# Findings: what the paper and the talk say, and what is seen here

Every number on this page is from a table under [results/](../results), put there by `python docs/make_findings.py
--keep RUN NAME` from the run that each section names, or by the command that it names; `python docs/make_findings.py`
writes the page, and `--check` holds it to the tables. The simulated data are of a stated grammar, where the exact
posterior says how far a network is from the best that is possible, and where it is seen that no method ranks bases as
the posterior does.

How to read a verdict: a claim is *confirmed* where the difference is significant (p < .05 after Holm's correction for
all pairs of methods) on every network and task, *the opposite* where it is so the other way round, *depends* where it
is shown on some, and *not confirmed* where on none. One training of each network is an anecdote: errors are those of
sequences alone, and another training may turn what lies close together. Only `how_well_trained` has several, and its
verdicts are over them: trainings and sequences are both a random effect there.
"""


ZEROS = "integrated_gradients@zeros"
#: Methods whose recall of weak and strong sites is shown, and what these are called.
OF_SITES = (
    *("ism@none", "deeplift_rescale@shuffle10", "grad_x_input@none", "saliency@none"),
    "grad_x_activation@none+layer=first",
)
SITES = (
    "The share of a site's bases among the sequence's highest (as many as are true), by whether the site is in the "
    "lowest, middle or highest third of its motif's scores."
)
#: Statements that one method is better than another, or no worse, by their keys, and who makes them.
CLAIMS = read_table(ROOT / "docs" / "claims.csv")


def networks(name: str) -> str:
    """The networks of a run beside the ceiling and, for the talk's lines, the talk's own; means over trainings."""
    found = read_table(RESULTS / f"{name}.csv")
    found["network"] = found["model"].str.replace(SEED, "", regex=True)
    talks = name == "five_lines"
    rows = []
    for (network, task), those in found.groupby(["network", "task"], sort=False):
        reached = " to ".join(dict.fromkeys((percent(those["share"].min()), percent(those["share"].max()))))
        cells = [network, task, fixed(those["auroc"].mean()), fixed(those["oracle_auroc"].iloc[0]), reached]
        cells += [f"{those['n_sequences_seen'].max():,}", str(len(those)), fixed(those["minutes"].mean(), 0)]
        rows.append(cells + ([fixed(TALK[network][task])] if talks else []))
    heads = ["network", "task", "test auROC", "exact ceiling", "reached of (ceiling - .5)", "sequences seen"]
    heads += ["trainings", "minutes each"]
    return table(heads + (["the talk's (its own data)"] if talks else []), rows)


def ranking(name: str) -> str:
    """The auPRC of every method on every network, means over tasks, with errors of one task's size or less."""
    summary = read_table(RESULTS / name / "summary.csv")
    ranked = without_nulls(summary)
    labels = method_labels(ranked)
    means = ranked.pivot_table(["auprc", "auprc_se"], "key", "model", sort=False)
    order = means["auprc"].mean(axis=1).sort_values(ascending=False).index
    models = list(means["auprc"])
    rows = [
        [labels[key], *(with_error(means["auprc"][m][key], means["auprc_se"][m][key], 2) for m in models)]
        for key in order
    ]
    for method, title in NULLS.items():
        nulls = summary[summary["method"] == method].groupby(["model", "key"])["auprc"].mean()
        rows.append([f"*{title}*", *(fixed(nulls[model].max(), 2) for model in models)])
    oracle = ranked.groupby("model")["oracle_auprc"].mean()
    rows.append(["*exact posterior*", *(fixed(oracle[model], 2) for model in models)])
    return table(["method", *models], rows)


def strengths(name: str) -> str:
    """What mutagenesis and others find of weak and strong sites, means over tasks."""
    labels = method_labels(without_nulls(read_table(RESULTS / name / "summary.csv")))
    table_ = read_table(RESULTS / name / "recall_by_strength.csv")
    means = table_.pivot_table("recall", "key", ["model", "strength"], sort=False)
    columns = [(model, strength) for model in table_["model"].unique() for strength in STRENGTHS]
    rows = [
        [labels[key], *(fixed(means.loc[key, column], 2) for column in columns)]
        for key in OF_SITES
        if key in means.index
    ]
    return table(["method", *(f"{model}, {strength}" for model, strength in columns)], rows)


def verdict(differences: pd.DataFrame, or_level: bool = False) -> str:
    """Confirmed where every network and task shows it, not confirmed where none does, else it depends.

    A claim that one is better `or_level` with the other is confirmed where it is shown to be worse nowhere.
    """
    shown = (differences["p_holm"] < SIGNIFICANT) & (differences["difference"] > 0)
    against = (differences["p_holm"] < SIGNIFICANT) & (differences["difference"] < 0)
    if against.all():
        return "the opposite"
    if shown.all() or (or_level and not against.any()):
        return "confirmed"
    return "depends" if shown.any() or or_level else "not confirmed"


def differences_of(name: str, claim: NamedTuple, models: list[str] | None = None) -> pd.DataFrame:
    """Mean difference, better less worse, of each network and task, or of some networks alone."""
    table = read_table(RESULTS / name / "comparisons.csv").query("metric == 'auprc'")
    table = table if models is None else table[table["model"].isin(models)]
    if ZEROS not in set(table["first"]) | set(table["second"]):  # in 10 steps where not in 20
        table = table.replace({"first": {f"{ZEROS}+n_steps=10": ZEROS}, "second": {f"{ZEROS}+n_steps=10": ZEROS}})
    straight = table[(table["first"] == claim.better) & (table["second"] == claim.worse)]
    turned = table[(table["first"] == claim.worse) & (table["second"] == claim.better)]
    found = pd.concat([straight, turned.assign(difference=-turned["difference"])])
    return found.sort_values(["model", "task"], kind="stable")


def claims(name: str, models: list[str] | None = None) -> str:
    """A line a claim: the verdict, and for each network and task the difference in auPRC, * where it is significant."""
    rows = []
    for claim in CLAIMS.itertuples():
        found = differences_of(name, claim, models)
        if found.empty:
            continue  # the run has not both methods
        figures = [
            f"{model} " + ", ".join(_signed(row) for row in mine.itertuples()) for model, mine in found.groupby("model")
        ]
        rows.append([claim.text, claim.source, f"**{verdict(found, claim.or_level)}**", "; ".join(figures)])
    return table(["claim", "of", "here", "difference in auPRC on each task"], rows)


def verdicts(names: list[str]) -> str:
    """The verdict on every claim in each run that has both methods."""
    rows = []
    for claim in CLAIMS.itertuples():
        found = {name: differences_of(name, claim, longest(name)) for name in names}
        cells = ["" if each.empty else verdict(each, claim.or_level) for each in found.values()]
        rows.append([claim.text, claim.source, *cells])
    return table(["claim", "of", *(f"[{name}](#{name})" for name in names)], rows)


def _signed(row: NamedTuple) -> str:
    star = "\\*" if row.p_holm < SIGNIFICANT else ""
    return f"{row.difference:+.3f}{star}".replace("0.", ".")


def learnt(name: str) -> str:
    """Spearman's correlations of the order of learning with what might explain it, a column a network."""
    folders = [path.parent for path in sorted((RESULTS / name).glob("*/order.csv"))]
    tables = {folder.name: read_table(folder / "order.csv").query("task == '(all)'") for folder in folders}
    rho = pd.DataFrame({name: each.set_index("quantity")["rho"] for name, each in tables.items()})
    rows = [[quantity, *(fixed(value, 2) for value in values)] for quantity, *values in rho.itertuples()]
    return table(["rho with the batch of learning", *rho], rows)


def along_training(name: str) -> str:
    """The auPRC of every method beside how far the networks come, and how its order of methods is kept.

    Cells are means over trainings and tasks; Kendall's tau is that of the methods' order with the order of the longest
    training, and between trainings of one length, over all methods and as a mean over pairs of trainings.
    """
    shares = read_table(RESULTS / f"{name}.csv").groupby("model")["share"].mean()
    summary = without_nulls(read_table(RESULTS / name / "summary.csv"))
    labels = method_labels(summary)
    scores = summary.pivot_table("auprc", "key", "model", sort=False)
    lengths = pd.Series({model: re.sub(SEED, "", model) for model in scores})
    stages = list(dict.fromkeys(lengths))
    longest = {stage: [each for each in stages if each.split("-")[0] == stage.split("-")[0]][-1] for stage in stages}
    trainings = {stage: scores[lengths.index[lengths == stage]] for stage in stages}
    last = pd.concat([trainings[stage] for stage in set(longest.values())], axis=1).mean(axis=1)
    rows = [["*reached of (ceiling - .5)*", *(percent(shares[list(trainings[stage])].mean()) for stage in stages)]]
    rows += [
        [labels[key], *(fixed(trainings[stage].loc[key].mean(), 2) for stage in stages)]
        for key in last.sort_values(ascending=False).index
    ]
    with_longest = (fixed(_agreement(trainings[each], trainings[longest[each]]), 2) for each in stages)
    rows.append(["*tau with the longest, other trainings*", *with_longest])
    rows.append(["*tau between trainings*", *(fixed(_agreement(own, own), 2) for own in trainings.values())])
    return table(["network, batches", *(stage.replace("-", ", ") for stage in stages)], rows)


def _agreement(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """Mean of Kendall's tau over pairs of two columns, from either table, that are trainings from different seeds."""
    pairs = [
        kendalltau(first[one], second[other]).statistic
        for one, other in itertools.product(first, second)
        if one.rpartition("-")[2] != other.rpartition("-")[2]
    ]
    return float(np.mean(pairs))


def side_by_side(names: Mapping[str, str]) -> str:
    """The auPRC of every method on each network in each of several runs, by what each is called, means over tasks."""
    tables = {title: without_nulls(read_table(RESULTS / name / "summary.csv")) for name, title in names.items()}
    means = {
        (model, title): of_model.groupby("key", sort=False)[["auprc", "auprc_se"]].mean()
        for title, each in tables.items()
        for model, of_model in each.groupby("model", sort=False)
    }
    first = next(iter(tables.values()))
    columns = [(model, title) for model in first["model"].unique() for title in tables]
    labels = method_labels(first)
    rows = [
        [labels[key], *(with_error(*means[column].loc[key, ["auprc", "auprc_se"]], 2) for column in columns)]
        for key in first["key"].unique()
    ]
    return table(["method", *(f"{model}, {title}" for model, title in columns)], rows)


def longest(name: str) -> list[str] | None:
    """Names without seeds of each network's longest trainings, in a run of several lengths."""
    if name != "how_well_trained":
        return None
    names = read_table(RESULTS / f"{name}.csv")["model"].str.replace(SEED, "", regex=True)
    lengths = names.str.extract(r"^(.*)-(\d+)$").astype({1: int})
    return [f"{network}-{batches}" for network, batches in lengths.groupby(0)[1].max().items()]


def longest_trained(name: str) -> str:
    """The auPRC along training, and the claims of the longest trainings, over their seeds."""
    return (
        f"### Methods as networks near the ceiling\n\n{ALONG}\n\n{along_training(name)}\n\n"
        f"### Claims of the paper and the talk, of the longest trainings\n\n{OVER_TRAININGS}\n\n"
        f"{claims(name, longest(name))}"
    )


def rules(name: str) -> str:
    """How far each method satisfies each rule, beside how much of the interaction the network has."""
    measured = read_table(RESULTS / name / "satisfiability.csv")
    labels = method_labels(without_nulls(read_table(RESULTS / name / "summary.csv")))
    place = ["model", "task", "rule", "first", "second"]
    whole = measured.merge(read_table(RESULTS / name / "faithfulness.csv"), on=[*place, "key"])
    rows = []
    for (model, _, rule, first, second), those in whole.groupby(place, sort=False):
        what = rule if rule not in (first, second) else f"{rule}: {first} beside {second}"
        learnt = f"{fixed(those['interaction'].iloc[0], 2)} of {fixed(those['oracle_interaction'].iloc[0], 2)}"
        scores = those.set_index("key")[["satisfied", "satisfied_se"]].reindex(list(labels))
        cells = ["–" if np.isnan(score) else with_error(score, error, 2) for score, error in scores.to_numpy()]
        rows.append([model, what, learnt, *cells])
    return table(["network", "rule", "interaction, of the exact one", *labels.values()], rows)


def of_run(name: str) -> str:
    """The head of a run's section: the command that makes it and its networks."""
    config = config_of(RESULTS / name)
    preset = re.sub("^(demo|negative_implants)_", r"\1:", name)
    made = f"`simbench run {preset}`, seed {config.seed}, {config.attribution.n_sequences} sequences of each task."
    return f"{made}\n\n{networks(name)}"


def methods_and_claims(name: str) -> str:
    """The ranking of methods, and what is claimed of them."""
    return f"### Methods\n\n{RANKED}\n\n{ranking(name)}\n\n### Claims of the paper and the talk\n\n{claims(name)}"


def claims_and_sites(name: str) -> str:
    """The same, and what methods find of weak and strong sites."""
    return f"{methods_and_claims(name)}\n\n### Weak and strong sites\n\n{SITES}\n\n{strengths(name)}"


def perfect_models(name: str) -> str:
    """The split of misses, and where labels follow rules how far methods honour them on a model that has the rule."""
    split = (
        f"### How much of the miss is the method's\n\n{MISSES}\n\n{misses(name)}\n\n{near_the_ceiling(name)}".strip()
    )
    split += f"\n\n### Is the credit right?\n\n{CREDIT}\n\n{credit(name)}"
    ruled = (RESULTS / name / "satisfiability.csv").is_file()
    return f"{split}\n\n### Rules\n\n{RULES}\n\n{rules(name)}" if ruled else split


IMPLANTS = {"negative_implants_with": "in negatives, too", "negative_implants_without": "in positives only"}
#: What each section of the page holds below the networks of its run.
SECTIONS: dict[str, Callable[[str], str]] = {
    "demo_questions": claims_and_sites,
    "five_lines": claims_and_sites,
    "how_well_trained": longest_trained,
    "which_reference": methods_and_claims,
    "how_many_shuffles": methods_and_claims,
    "gradient_paths": methods_and_claims,
    "cam_layers": methods_and_claims,
    "rules": lambda name: f"{methods_and_claims(name)}\n\n### Rules\n\n{RULES}\n\n{rules(name)}",
    "kernel_length": lambda name: f"### Lengths of the first kernels\n\n{RANKED}\n\n{ranking(name)}",
    "perfect_models": perfect_models,
    "perfect_models_rules": perfect_models,
    "what_is_learnt_first": lambda name: f"### What explains the order of learning\n\n{learnt(name)}",
}


HOLDING_CLAIMS = (methods_and_claims, claims_and_sites, longest_trained)


def page() -> str:
    """The whole page."""
    with_claims = [name for name, section in SECTIONS.items() if section in HOLDING_CLAIMS]
    parts = [INTRODUCTION, f"## The claims, in short\n\n{verdicts(with_claims)}"]
    parts += [f"## {name}\n\n{of_run(name)}\n\n{section(name)}" for name, section in SECTIONS.items()]
    runs = "\n\n".join(of_run(name) for name in IMPLANTS)
    parts.append(f"## Motifs in negatives, or not\n\n{runs}\n\n{RANKED}\n\n{side_by_side(IMPLANTS)}")
    parts.append(f"## Is it worth averaging?\n\n{averages()}")
    parts.append(f"## Do motif callers find the motifs?\n\n{motif_callers()}")
    parts.append(f"## How like real regions are draws of a grammar that was fitted to them?\n\n{likeness()}")
    parts.append(f"## Which signs tell the truth, without it?\n\n{truth_free_metrics()}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", nargs=2, metavar=("RUN", "NAME"), help="copy a run's tables to results/NAME")
    parser.add_argument("--check", action="store_true", help="only say whether the page is that of the tables")
    options = parser.parse_args()
    if options.keep:
        keep(Path(options.keep[0]), options.keep[1])
    elif options.check:
        sys.exit(
            None if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE} is not that of {RESULTS}: make it again"
        )
    else:
        PAGE.write_text(page(), encoding="utf-8")
        draw()
