"""Tables of motif callers for the page of findings: three callers, what TF-MoDISco finds, and rates of false calls.

simbench run discovery:full --out runs/full
python docs/discovery_tables.py --keep runs/full      # to results/discovery_full.csv
"""

import argparse
from pathlib import Path

import pandas as pd
from keep_results import RESULTS
from markdown_table import table

from simbench_tf.plot.numbers import fixed, percent, with_error
from simbench_tf.report.text import method_title
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.results import read_table

TABLE = RESULTS / "discovery.csv"
#: Of `discovery:full`: a row for each network, task, attribution and caller.
CALLERS_TABLE = RESULTS / "discovery_full.csv"
CALLERS = {"seqlets": "our seqlets", "finemo": "Fi-NeMo", "modisco": "TF-MoDISco"}
KEPT = (
    "model", "task", "key", "caller", "n_called", "precision", "recall", "ap", "best_f1", "best_f1_se",
    "n_found", "n_true", "oracle_best_f1", "oracle_ap", "versions",
)  # fmt: skip
#: What the questions have in common, where they do not ask for it; a window of 0 is the whole sequence.
METHOD = "deeplift_rescale@shuffle5"
COMMON = {"method": METHOD, "input": "hypothetical", "n_sequences": 2_000, "window": 0}
INPUTS = {"hypothetical": "hypothetical contributions", "scores": "scores of the observed bases"}
NULLS = {
    "stretches": "a quarter of each sequence shuffled in place",
    "shuffles": "shuffled sequences",
    "background": "drawn background without a motif",
    "negatives": "negatives",
}
NETWORKS = ("trained", "planted")
HOW = (
    "Patterns are TF-MoDISco's, with its own defaults. A motif is found where a pattern's correlation with it is .9. A "
    "pattern is merged where it is the best of several motifs, another's where it is a motif that the task's label "
    "does not change, and false where it is like none put in. Calls are its seqlets, right where they share half of "
    "the longer's bases with a site of the task; recall is beside the most that so many calls could reach. Seconds are "
    "the processor's ([columns](motifs.md))."
)
RATES = (
    "The table has the true rate of false calls, those that stand on no site of the task, ± standard error over "
    "sequences, at the rates that our own caller (`discovery.call_seqlets`) states; in brackets the share of calls "
    "that stand on a site of another motif, whose high attributions are no chance, and the number of calls."
)


def motif_callers() -> str:
    """The whole section: each question, its answer in a sentence, and the table that holds it."""
    found = read_table(TABLE).fillna({"null": ""})
    modisco, own = (found[found["caller"] == name] for name in ("modisco", "seqlets"))
    parts = [_head(found)]
    for title, asked, question in (
        ("How many sequences are enough?", "n_sequences", number),
        ("Does TF-MoDISco need hypothetical contributions?", "input", inputs),
        ("Which attributions should it be given?", "method", methods),
        ("How wide a window?", "window", windows),
    ):
        rows = at_hand(modisco, asked)
        if len(rows) > 1:  # a study of some questions has no answer to others
            parts.append(f"### {title}\n\n{question(rows)}")
    parts.append(f"### Which caller, on which attributions?\n\n{callers(read_table(CALLERS_TABLE))}")
    parts.append(f"### Are calls as often false as they are said to be?\n\n{rates(own)}")
    return "\n\n".join(parts)


def keep(run: Path) -> None:
    """Copy what `callers` is made from: the calls of a run, and how many true motifs were found by them."""
    calls, motifs = (read_table(run / "scores" / f"{name}.csv") for name in ("instances", "motifs"))
    each = ["model", "task", "key", "caller"]
    true = motifs[motifs["kind"] == "true"].groupby(each)["status"]
    found = pd.DataFrame({"n_found": true.agg(lambda status: (status != "missed").sum()), "n_true": true.size()})
    named = {each for record in read_manifest(run).values() for each in record.get("versions", "").split(", ")} - {""}
    table_ = calls[calls["by"] == "all"].merge(found.reset_index(), on=each, how="left")
    table_ = table_.assign(versions=", ".join(sorted(named)))
    table_[list(KEPT)].round(4).to_csv(CALLERS_TABLE, index=False)


def callers(found: pd.DataFrame) -> str:
    """Each caller's F1 on each network's attributions, and how often each is first."""
    each = ["model", "task", "key"]
    values = found.pivot_table(index=each, columns="caller", values="best_f1", sort=False)[list(CALLERS)]
    first = values.idxmax(axis=1).value_counts()
    cells = [f"{CALLERS[name]} {first.get(name, 0)} times" for name in CALLERS]
    ceiling = found.groupby("task", sort=False)["oracle_best_f1"].first()
    exact = ", ".join(f"{fixed(value, 2)} on {task}" for task, value in ceiling.items())
    versions = found["versions"].iloc[0]
    answer = (
        f"`simbench run discovery:full` (500 sequences a task, {versions}): of {len(values)} attributions first by F1 "
        f"at the best threshold are {', '.join(cells)}. The exact posterior's calls reach {exact}. Mean ± standard "
        "error over sequences; behind TF-MoDISco's, how many of the task's motifs it found."
    )
    lines = []
    for (model, task, key), rows in found.groupby(each, sort=False):
        by = rows.set_index("caller").to_dict("index")
        cells = [with_error(by[name]["best_f1"], by[name]["best_f1_se"]) if name in by else "–" for name in CALLERS]
        cells[-1] += f" ({by['modisco']['n_found']:.0f} of {by['modisco']['n_true']:.0f})" if "modisco" in by else ""
        lines.append([model, task, label(key), *cells])
    return f"{answer}\n\n{table(['network', 'task', 'attribution', *CALLERS.values()], lines)}"


def _head(found: pd.DataFrame) -> str:
    first = found[found["network"] == "trained"].iloc[0]
    versions = ", ".join(dict.fromkeys(found["versions"])).replace("=", " ")
    return (
        f"`python benchmarks/discovery.py`: positives of {first['task']}, drawn afresh, and one Beluga that reaches "
        f"{percent(first['reached'])} of (ceiling - .5); one draw and one training, so small differences say nothing. "
        f"{HOW} Versions: {versions}."
    )


def at_hand(rows: pd.DataFrame, asked: str) -> pd.DataFrame:
    """Rows of TF-MoDISco that differ from the common setting in the column that is asked of, or in none."""
    for name, value in COMMON.items():
        rows = rows if name == asked else rows[rows[name] == value]
    return rows


def patterns(head: str, labels: list[str], rows: pd.DataFrame) -> str:
    """A table of what TF-MoDISco finds, a line a row."""
    heads = [
        head,
        "motifs found",
        "patterns",
        "another's",
        "false",
        "merged",
        "calls",
        "precision",
        "recall (at most)",
        "F1",
    ]
    lines = [
        [
            label,
            _of(row),
            *(fixed(row[name], 0) for name in ("n_patterns", "n_other", "n_false", "n_merged", "n_called")),
            fixed(row["precision"], 2),
            f"{fixed(row['recall'], 2)} ({fixed(row['recall_cap'], 2)})",
            *(fixed(row["f1"], 2), fixed(row["ap"], 2), fixed(row["processor_seconds"], 0), fixed(row["peak_mb"], 0)),
        ]
        for label, row in zip(labels, rows.to_dict("records"), strict=True)
    ]
    return table([*heads, "average precision", "seconds", "MB at most"], lines)


def _of(row: dict[str, float]) -> str:
    return f"{row['n_found']:.0f} of {row['n_true']:.0f}"


def number(rows: pd.DataFrame) -> str:
    """From how many sequences on the most motifs are found."""
    rows = rows.sort_values("n_sequences")
    most, last = rows["n_found"].max(), rows.iloc[-1]
    enough = rows[rows["n_found"] == most].iloc[0]
    answer = (
        f"{_of(enough)} motifs are found from {enough['n_sequences']:,} sequences, and no more from "
        f"{last['n_sequences']:,}; of the patterns {last['n_other']:.0f} are other motifs' and {last['n_false']:.0f} "
        f"false at {last['n_sequences']:,}, {rows['n_other'].iloc[0]:.0f} and {rows['n_false'].iloc[0]:.0f} at "
        f"{rows['n_sequences'].iloc[0]:,}. F1 of the calls goes from {fixed(rows['f1'].iloc[0], 2)} at "
        f"{rows['n_sequences'].iloc[0]:,} to {fixed(last['f1'], 2)}."
    )
    return f"{answer}\n\n{patterns('sequences', [f'{n:,}' for n in rows['n_sequences']], rows)}"


def inputs(rows: pd.DataFrame) -> str:
    """Hypothetical contributions beside the observed bases' scores."""
    rows = rows.set_index("input").loc[list(INPUTS)]
    whole, scores = (rows.loc[name] for name in INPUTS)
    answer = (
        f"With hypothetical contributions {_of(whole)} motifs are found and F1 is {fixed(whole['f1'], 2)}; with scores "
        f"of the observed bases alone {_of(scores)}, and {fixed(scores['f1'], 2)}."
    )
    return f"{answer}\n\n{patterns('what it is given', list(INPUTS.values()), rows)}"


def methods(rows: pd.DataFrame) -> str:
    """Methods by the F1 of the calls."""
    rows = rows.sort_values("f1", ascending=False, kind="stable")
    labels = [label(key) for key in rows["method"]]
    answer = (
        f"By F1 of the calls {labels[0]} is first ({fixed(rows['f1'].iloc[0], 2)}, {_of(rows.iloc[0])} motifs), "
        f"{labels[-1]} last ({fixed(rows['f1'].iloc[-1], 2)}, {_of(rows.iloc[-1])})."
    )
    return f"{answer}\n\n{patterns('attribution', labels, rows)}"


def label(key: str) -> str:
    """What a key's method is called, with its references."""
    method, _, references = key.partition("@")
    return method_title(method) + ("" if references == "none" else f" ({references})")


def windows(rows: pd.DataFrame) -> str:
    """Central windows beside whole sequences."""
    rows = rows.assign(order=rows["window"].replace(0, 10**9)).sort_values("order")
    labels = ["whole sequences" if width == 0 else f"{width} central bases" for width in rows["window"]]
    cells = [
        f"{_of(row)} motifs and {fixed(row['recall'], 2)} of the sites in {name}"
        for name, row in zip(labels, rows.to_dict("records"), strict=True)
    ]
    return f"Found are {', '.join(cells)}.\n\n{patterns('window', labels, rows)}"


def is_held(row: pd.Series) -> bool:
    """Whether a true rate is no more than two standard errors above the stated one."""
    return bool(row["true_fdr"] - 2 * row["true_fdr_se"] <= row["stated"])


def rates(own: pd.DataFrame) -> str:
    """Which null holds the stated rates, and the true rates."""
    own = own.sort_values(["network", "method", "null", "stated"], key=_place)
    told = [f"{_kept(those)} with {NULLS[null]}" for null, those in own.groupby("null", sort=False)]
    answer = f"Stated rates are held, within two standard errors, in {', '.join(told)}; {_calls(own)}."
    lines = []
    for (network, method, null), those in own.groupby(["network", "method", "null"], sort=False):
        cells = [_rate(row) for row in those.to_dict("records")]
        lines.append([network, label(method), NULLS[null], *cells])
    stated = sorted(own["stated"].unique())
    heads = ["network", "attribution", "null", *(f"stated {fixed(rate, 2)}" for rate in stated)]
    return f"{answer} {RATES}\n\n{table(heads, lines)}"


def _place(column: pd.Series) -> pd.Series:
    """Where a value stands in the tables; a rate or method stands by itself."""
    order = [*NETWORKS, *NULLS]
    return column.map(order.index) if column.isin(order).all() else column


def _rate(row: dict[str, float]) -> str:
    if not row["n_called"]:
        return "– (no call)"
    rate = with_error(row["true_fdr"], row["true_fdr_se"])
    return f"{rate} ({fixed(row['on_other'], 2)}; {row['n_called']:,.0f})"


def _calls(own: pd.DataFrame) -> str:
    """How many calls each null leaves at the lowest rate, on the trained network by the common method."""
    rows = own[(own["network"] == "trained") & (own["method"] == METHOD) & (own["stated"] == own["stated"].min())]
    cells = [f"{row['n_called']:,.0f} by {row['null']}" for row in rows.to_dict("records")]
    return f"calls at {fixed(own['stated'].min(), 2)} are {', '.join(cells)} ({label(METHOD)}, trained network)"


def _kept(own: pd.DataFrame) -> str:
    some = own[own["n_called"] > 0]
    none = f" ({len(own) - len(some)} more without a call)" if len(some) < len(own) else ""
    return f"{some.apply(is_held, axis=1).sum()} of {len(some)} cases{none}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="RUN", required=True, help="Copy a run's calls to results/.")
    keep(parser.parse_args().keep)
