"""Tables of the study of motif callers for the page of findings: what TF-MoDISco finds, and rates of false calls."""

import pandas as pd
from keep_results import RESULTS
from markdown_table import table

from simbench_tf.report.text import fixed, method_title, percent, with_error
from simbench_tf.run.results import read_table

TABLE = RESULTS / "discovery.csv"
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
    parts.append(f"### Are calls as often false as they are said to be?\n\n{rates(own)}")
    return "\n\n".join(parts)


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
