"""The page of findings, docs/findings.md, from tables under results/; `--keep RUN NAME` puts a run's tables there.

simbench run demo:questions --out runs/questions
python docs/make_findings.py --keep runs/questions demo_questions
python docs/make_findings.py                      # writes docs/findings.md; with --check only compares it
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from simbench_tf.report.text import fixed, method_labels, percent, ratio, with_error
from simbench_tf.run.folder import config_of
from simbench_tf.run.results import read_ceilings, read_metrics, read_table
from simbench_tf.score import without_nulls

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "results", ROOT / "docs" / "findings.md"
#: A difference counts below this p, after Holm's correction for all pairs of methods on a network and task.
SIGNIFICANT = 0.05
#: auROC of the talk's networks on its five cell lines.
TALK = {
    "beluga": {"A549": 0.812, "GM12878": 0.800, "H1": 0.845, "HepG2": 0.795, "K562": 0.824},
    "basset": {"A549": 0.785, "GM12878": 0.767, "H1": 0.806, "HepG2": 0.777, "K562": 0.783},
}


NULLS = {"null_untrained": "best of them on an untrained network", "null_position": "positions of true bases"}


INTRODUCTION = """# Findings: what the paper and the talk say, and what is seen here

Every number on this page is from a table under [results/](../results), put there by `python docs/make_findings.py
--keep RUN NAME` from the run that each section names; `python docs/make_findings.py` writes the page, and `--check`
holds it to the tables. The simulated data are of a stated grammar, where the exact posterior says how far a network
is from the best that is possible, and where it is seen that no method ranks bases as the posterior does.

How to read a verdict: a claim is *confirmed* where the difference is significant (p < .05 after Holm's correction for
all pairs of methods) on every network and task, *the opposite* where it is so the other way round, *depends* where it
is shown on some, and *not confirmed* where on none. One training of each network is an anecdote: errors are those of
sequences alone, and another training may turn what lies close together.
"""


class Claim(NamedTuple):
    """A statement that one method is better than another, or no worse, by their keys, and who makes it."""

    text: str
    source: str
    better: str
    worse: str
    or_level: bool = False


DEEPLIFT = "deeplift_rescale@shuffle10"
ZEROS, PATH = "integrated_gradients@zeros", "integrated_gradients@shuffle5+n_steps=5"
CAM, ACTIVATION, FIRST = "gradcam@none", "grad_x_activation@none", "+layer=first"
POOLED = "pooling over positions adds nothing: gradient x activation is no worse"
CLAIMS = (
    Claim("DeepLIFT with shuffles is ahead of gradient x input", "paper", DEEPLIFT, "grad_x_input@none"),
    Claim("DeepLIFT with shuffles is ahead of saliency", "paper", DEEPLIFT, "saliency@none"),
    Claim("DeepLIFT with shuffles is ahead of integrated gradients from zeros", "paper", DEEPLIFT, ZEROS),
    Claim("DeepLIFT with shuffles is ahead of GradCAM of the first layer", "paper", DEEPLIFT, CAM + FIRST),
    Claim("in-silico mutagenesis is a little below DeepLIFT", "paper", DEEPLIFT, "ism@none"),
    Claim("shuffles are better references than zeros", "paper", DEEPLIFT, "deeplift_rescale@zeros"),
    Claim("shuffles are better references than the mean composition", "paper", DEEPLIFT, "deeplift_rescale@frequency"),
    Claim("10 shuffles are better than 1", "paper", DEEPLIFT, "deeplift_rescale@shuffle1"),
    Claim("50 shuffles are better than 10", "paper", "deeplift_rescale@shuffle50", DEEPLIFT),
    Claim("RevealCancel is better than Rescale", "paper", "deeplift_revealcancel@shuffle10", DEEPLIFT),
    Claim("the genomics default is better than Rescale", "DeepLIFT", "deeplift_genomics@shuffle10", DEEPLIFT),
    Claim("max-pooling's rescale rule is better than its gradient", "SHAP", DEEPLIFT, f"{DEEPLIFT}+maxpool=gradient"),
    Claim("integrated gradients from zeros trail gradient x input", "paper", "grad_x_input@none", ZEROS),
    Claim("a path through shuffles is better than the straight one to them", "talk", f"{PATH}+path=shuffle", PATH),
    Claim("GradCAM is better at the first layer than at the last", "talk", CAM + FIRST, CAM),
    Claim(f"at the first layer {POOLED}", "talk", ACTIVATION + FIRST, CAM + FIRST, or_level=True),
    Claim(f"at the last layer {POOLED}", "talk", ACTIVATION, CAM, or_level=True),
)


def keep(run: Path, name: str) -> None:
    """Copy what a page is made from: configuration, networks, scores, comparisons, learning dynamics."""
    target = RESULTS / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(run / "config.yaml", target)
    networks_of(run).to_csv(target / "networks.csv", index=False)
    for table in ("summary", "comparisons"):
        read_table(run / "scores" / f"{table}.csv").round(5).to_csv(target / f"{table}.csv", index=False)
    for path in run.glob("dynamics/*/*.csv"):
        if path.stem in ("learnt", "order"):
            (target / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, target / path.parent.name)


def networks_of(run: Path) -> pd.DataFrame:
    """A row per network and task: what it reaches, the exact ceiling, and how many sequences it saw."""
    ceilings, rows = read_ceilings(run), []
    for replicate in config_of(run).replicates:
        history = read_table(run / "models" / replicate.name / "history.csv")
        seen = int(history["n_sequences_seen"].iloc[-1])
        for task, values in read_metrics(run, replicate.name).items():
            ceiling = float(ceilings["auroc"].get(task, np.nan))
            row = {"network": replicate.name, "task": task, "auroc": values["auroc"], "oracle_auroc": ceiling}
            rows.append(row | {"reached": ratio(float(values["auroc"] or np.nan) - 0.5, ceiling - 0.5), "seen": seen})
    return pd.DataFrame(rows)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def networks(name: str) -> str:
    """The networks of a run beside the ceiling and, for the talk's lines, the talk's own."""
    found = pd.read_csv(RESULTS / name / "networks.csv")
    talks = name == "five_lines"
    rows = [
        [row.network, row.task, fixed(row.auroc), fixed(row.oracle_auroc), percent(row.reached), f"{row.seen:,}"]
        + ([fixed(TALK[row.network][row.task])] if talks else [])
        for row in found.itertuples()
    ]
    heads = ["network", "task", "test auROC", "exact ceiling", "reached of (ceiling - .5)", "sequences seen"]
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


def differences_of(name: str, claim: Claim) -> pd.DataFrame:
    """Mean difference, better less worse, of each network and task."""
    table = read_table(RESULTS / name / "comparisons.csv").query("metric == 'auprc'")
    straight = table[(table["first"] == claim.better) & (table["second"] == claim.worse)]
    turned = table[(table["first"] == claim.worse) & (table["second"] == claim.better)]
    found = pd.concat([straight, turned.assign(difference=-turned["difference"])])
    return found.sort_values(["model", "task"], kind="stable")


def claims(name: str) -> str:
    """A line a claim: the verdict, and for each network and task the difference in auPRC, * where it is significant."""
    rows = []
    for claim in CLAIMS:
        found = differences_of(name, claim)
        figures = [
            f"{model} " + ", ".join(_signed(row) for row in mine.itertuples()) for model, mine in found.groupby("model")
        ]
        rows.append([claim.text, claim.source, f"**{verdict(found, claim.or_level)}**", "; ".join(figures)])
    return table(["claim", "of", "here", "difference in auPRC on each task"], rows)


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


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name in ("demo_questions", "five_lines", "what_is_learnt_first"):
        if not (RESULTS / name).is_dir():
            continue
        config = yaml.safe_load((RESULTS / name / "config.yaml").read_text(encoding="utf-8"))
        seeds = sum(model["seeds"] for model in config["models"])
        n = config["attribution"]["n_sequences"]
        command = f"simbench run {name.replace('demo_', 'demo:')}"
        made = f"`{command}`, seed {config['seed']}, {seeds} networks, {n} sequences of each task."
        parts.append(f"## {name}\n\n{made}\n\n{networks(name)}")
        if name == "what_is_learnt_first":
            parts.append(f"### What explains the order of learning\n\n{learnt(name)}")
            continue
        parts.append(f"### Methods\n\nMean auPRC ± standard error.\n\n{ranking(name)}")
        if name == "demo_questions":
            parts.append(f"### Claims of the paper and the talk\n\n{claims(name)}")
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
