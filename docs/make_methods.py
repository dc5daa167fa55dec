"""Write docs/methods.md and a page for each attribution method, docs/methods/NAME.md: formula, settings, cost, trust.

python docs/make_methods.py           # --check holds the pages to the code and to the tables under results/

What a method is comes from its docstring and signature, when to trust it from `simbench_tf.attribution.facts`, and what
it took and reached from results/.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_type_hints

import pandas as pd
from markdown_table import table as markdown_table
from pydantic import TypeAdapter
from written_page import write_or_check_all

from simbench_tf.attribution.averaged import Copies
from simbench_tf.attribution.facts import FACTS, meaning
from simbench_tf.attribution.registry import Method, methods
from simbench_tf.config.schema import default_words, type_words
from simbench_tf.report.text import method_labels, method_title
from simbench_tf.run.results import read_table

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
#: Runs whose tables are shown, and which of their networks; of the last only for methods that the others lack.
RUNS = {
    "five_lines": ("basset", "beluga"),
    "demo_questions": ("basset", "beluga"),
    "perfect_models": ("basset-6000", "beluga-2500"),
}
LAST = "perfect_models"
HEAD = """# Attribution methods

Each has a page: its formula, settings, cost, when to trust it, its paper. Pages are made from the code and from the
tables under [results/](../results) by `python docs/make_methods.py`. The auPRC is the mean over tasks on `five_lines`,
two well-trained networks that saturate where motifs are strong; [findings](findings.md) has every figure with its
error, and [which method](which_method.md) says what to take when.
"""
NOTATION = """f is the explained output (the logit, unless `output: probability`), x the one-hot sequence, r one of R
references, l a position of L, c a channel."""
OF_LAYERS = """ A are the activations of the chosen layer at its P positions and K channels, and w<sub>lp</sub> the
share of position p that base l gets: one over the number of positions that see l, where p does."""
#: Standing of a table's figures.
CAVEAT = (
    "Means over tasks, one training of each network; seconds are of 400 bp on two cores that other work shared, so "
    "compare them within a run only. Errors and tests are in [findings](../findings.md)."
)


def pages() -> dict[Path, str]:
    """Every page, by its path."""
    ours = {name: method for name, method in methods().items() if name in FACTS}
    measured = _measured()
    found = {DOCS / "methods.md": _index(ours, measured)}
    return found | {DOCS / "methods" / f"{name}.md": _page(method, measured) for name, method in ours.items()}


def _measured() -> pd.DataFrame:
    """A row for each run, key and network that is shown: mean auPRC over tasks, and seconds a sequence."""
    tables = []
    for run, networks in RUNS.items():
        summary = read_table(RESULTS / run / "summary.csv").query("model in @networks")
        summary = summary.assign(label=summary["key"].map(method_labels(summary)), run=run)
        summary["network"] = summary["model"].map(dict(zip(networks, ("Basset", "Beluga"), strict=True)))
        tables.append(summary)
    columns = ["run", "method", "key", "label", "network"]
    found = pd.concat(tables).groupby(columns, sort=False)[["auprc", "seconds_per_sequence"]].mean().reset_index()
    elsewhere = set(found.loc[found["run"] != LAST, "method"])
    return found[(found["run"] != LAST) | ~found["method"].isin(elsewhere)]


def _index(ours: dict[str, Method], measured: pd.DataFrame) -> str:
    best = measured.query("run == 'five_lines'").pivot_table("auprc", "method", "network", aggfunc="max")
    order = [*best.mean(axis=1).sort_values(ascending=False).index, *ours]
    rows = []
    for name in dict.fromkeys(each for each in order if each in ours):
        reached = [f"{best.loc[name, network]:.2f}" if name in best.index else "" for network in best]
        link = f"[{method_title(name)}](methods/{name}.md)"
        rows.append(
            [link, f"`{name}`", ours[name].references or "none", *reached, ours[name].description.replace("|", "\\|")]
        )
    heads = ["method", "name", "references", "auPRC, Basset", "auPRC, Beluga", "what it is"]
    return f"{HEAD}\nOf each the best setting that was tried:\n\n{markdown_table(heads, rows)}\n"


def _page(method: Method, measured: pd.DataFrame) -> str:
    facts = FACTS[method.name]
    docstring = inspect.getdoc(method.function) or ""
    first, _, rest = docstring.partition("\n\n")
    notation = NOTATION + (OF_LAYERS if "A_{pk}" in facts.formula else "")
    title = method_title(method.name)
    parts = [
        f"# {title[0].upper()}{title[1:]}",
        f"`{{method: {method.name}}}`. {first}",
        f"$$\n{facts.formula}\n$$",
        notation,
        rest,
        "## When to trust it",
        facts.trust,
        "## When to doubt it",
        facts.doubt,
        "## Settings",
        _settings(method),
        "## Cost, and what it reached",
        facts.cost,
        _reached(method.name, measured),
        "## Paper",
        facts.paper,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _settings(method: Method) -> str:
    parameters = inspect.signature(method.function, eval_str=True).parameters
    rows = []
    if method.references is not None:
        rows.append(
            ["`references`", "zeros, frequency, shuffle:N or an array", method.references, "What it compares with."]
        )
    for name, default in method.settings.items():
        schema = TypeAdapter(parameters[name].annotation).json_schema()
        rows.append([f"`{name}`", type_words(schema, {}), default_words(default), meaning(method.name, name)])
    for name, default in Copies._field_defaults.items():  # which every method takes
        kind = type_words(TypeAdapter(get_type_hints(Copies, include_extras=True)[name]).json_schema(), {})
        rows.append([f"`{name}`", kind, default_words(default), meaning(method.name, name)])
    return markdown_table(["setting", "type", "default", "meaning"], rows)


def _reached(name: str, measured: pd.DataFrame) -> str:
    mine = measured[measured["method"] == name]
    if mine.empty:
        return "It is in no table under results/."
    wide = mine.pivot_table(["auprc", "seconds_per_sequence"], ["run", "key", "label"], "network", sort=False)
    rows = [
        [
            f"[{run}](../findings.md#{run})",
            label,
            *(f"{row['auprc', network]:.2f}" for network in ("Basset", "Beluga")),
            *(f"{row['seconds_per_sequence', network]:.2g}" for network in ("Basset", "Beluga")),
        ]
        for (run, _, label), row in wide.iterrows()
    ]
    heads = ["run", "settings", "auPRC, Basset", "auPRC, Beluga", "seconds, Basset", "seconds, Beluga"]
    return f"{markdown_table(heads, rows)}\n\n{CAVEAT}"


if __name__ == "__main__":
    write_or_check_all(pages(), "the code and the tables")
