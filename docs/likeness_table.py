"""The table of what each mend of a fitted grammar does to the likeness of its draws, for the page of findings.

python benchmarks/likeness.py             # results/likeness.csv
"""

import pandas as pd
from keep_results import RESULTS
from markdown_table import table

from simbench_tf.plot.numbers import fixed
from simbench_tf.run.results import read_table

TABLE = RESULTS / "likeness.csv"
#: What each mend adds, in the words of the page.
MENDS = {
    "none": "one background of order 3",
    "background": "of order 5",
    "classes": "+ four classes, with odds ratios of the label",
    "stretches": "+ four kinds of stretches in each",
    "motifs": "+ motifs' own PPMs",
    "pairs": "+ pairs at spacings",
}
#: The column for scale.
SHUFFLES = "shuffles"
TITLES = {**MENDS, SHUFFLES: "for scale: the windows' own dinucleotide shuffles"}
#: The measures that are shown, and what they are called; those held against .5 are of classifiers.
MEASURES = {
    "classifier_words": "auROC, real against drawn, 6-mers",
    "classifier_words_regulatory": "the same, regulatory regions alone",
    "classifier_cnn_few": "the same, small CNN, 300 windows",
    "classifier_cnn": "the same, small CNN, all windows",
    "network_regulatory": "auROC of *regulatory*, network trained on real",
    "spectrum_distance_6": "distance of 6-mer spectra",
    "gc_sd": "standard deviation of GC content",
    "dinucleotide_CG": "share of CG among dinucleotides",
    "hits_dispersion": "variance over mean of motif hits",
    "hits_distance": "hits' distance from the middle",
    "hits_spacing": "distance between hits",
}
GOAL = 0.65


def likeness() -> str:
    """The section's text: the classifier's auROC before and after all mends, and the table."""
    found = read_table(TABLE)
    twin = found.pivot_table("twin", "measure", "mend", sort=False)
    mends = [mend for mend in MENDS if mend in twin]
    columns = [*mends, SHUFFLES]
    rows = [
        [title, _real(found, name), *_drawn(found, name, columns)]
        for name, title in MEASURES.items()
        if name in twin.index
    ]
    first, last = mends[0], mends[-1]
    words, network = (found[found["measure"] == f"classifier_{name}"].set_index("mend") for name in ("words", "cnn"))
    text = (
        "`python benchmarks/likeness.py`: grammars fitted to windows of 2.3 Mb of human chromosome 2 "
        "(`examples/chr2.yaml`), their draws against all windows of the test split. A logistic regression on 6-mer "
        f"counts tells the two apart with an auROC of {_auroc(words, first)} without a mend and {_auroc(words, last)} "
        f"with those up to *{MENDS[last]}*, {_verdict(words, last)} the goal of {fixed(GOAL, 2)}. A small "
        f"convolutional network that has seen all windows comes to {_auroc(network, last)}, {_verdict(network, last)} "
        f"it; of the windows' own dinucleotide shuffles, whose composition is exactly theirs, to "
        f"{_auroc(network, SHUFFLES)}. {_like_hits(found, mends)} Rates are fitted to 1,000 windows, by 40 passes at "
        f"most. {_of_label(found, last)}"
    )
    return text + "\n\n" + table(["measure", "real", *(TITLES[column] for column in columns)], rows)


def _of_label(found: pd.DataFrame, mend: str) -> str:
    """How far draws hold what composition and sites say of the label."""
    row = found[(found["measure"] == "network_regulatory") & (found["mend"] == mend)].iloc[0]
    return (
        "What composition says of the label is in draws by classes, which have odds ratios: a network that was trained "
        f"to tell regulatory windows from others among real ones tells them among draws with an auROC of "
        f"{fixed(row['twin'])}, among real ones that it has not seen with {fixed(row['real'])} [{fixed(row['low'])}, "
        f"{fixed(row['high'])}]."
    )


def _auroc(found: pd.DataFrame, mend: str) -> str:
    row = found.loc[mend]
    return f"{fixed(row['twin'])} [{fixed(row['low'])}, {fixed(row['high'])}]"


def _verdict(found: pd.DataFrame, mend: str) -> str:
    row = found.loc[mend]
    return "below" if row["high"] < GOAL else "above" if row["low"] > GOAL else "not told apart from"


def _real(found: pd.DataFrame, measure: str) -> str:
    """The real regions' number, with its interval where that is theirs."""
    row = found[found["measure"] == measure].iloc[0]
    own = not measure.startswith(("classifier", "spectrum"))
    return fixed(row["real"]) + (f" [{fixed(row['low'])}, {fixed(row['high'])}]" if own else "")


def _drawn(found: pd.DataFrame, measure: str, mends: list[str]) -> list[str]:
    """The draws' number with each mend, with its interval where that is theirs; a dash where it was not measured."""
    rows = found[found["measure"] == measure].set_index("mend")
    own = measure.startswith(("classifier", "spectrum"))
    cells = []
    for mend in mends:
        if mend not in rows.index:
            cells.append("–")
            continue
        cells.append(_auroc(rows, mend) if own else fixed(rows.loc[mend, "twin"]))
    return cells


def _like_hits(found: pd.DataFrame, mends: list[str]) -> str:
    """How many motifs have as many hits in draws as the real regions' interval allows, before and after."""
    hits = found[found["measure"].str.startswith("hits_") & ~found["measure"].isin(MEASURES)]
    like = ((hits["low"] <= hits["twin"]) & (hits["twin"] <= hits["high"])).groupby(hits["mend"]).agg(["sum", "count"])
    before, after = (like.loc[mend] for mend in (mends[0], mends[-1]))
    return (
        f"Of {before['count']} motifs, {before['sum']} have as many hits in draws as the real windows' interval allows "
        f"without a mend, and {after['sum']} with these."
    )
