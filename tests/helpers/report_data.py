"""What a report is made from: tables, settings and examples of runs that never were."""

import json

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.run.results import AttributedSequences, RunResults

LENGTH = 120
KEYS = {
    "ism@none": ("ism", "none", {}),
    "integrated_gradients@zeros+n_steps=20": ("integrated_gradients", "zeros", {"n_steps": 20}),
    "saliency@none": ("saliency", "none", {}),
}
LABELS = {
    "ism@none": "in-silico mutagenesis",
    "integrated_gradients@zeros+n_steps=20": "integrated gradients (zeros, n_steps 20)",
    "saliency@none": "saliency",
}
METRICS = ["auroc", "auprc", "mass_fraction"]


def per_sequence(models=("basset",), tasks=("HepG2", "K562"), means=(0.6, 0.4, 0.2), n=30, seed=0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    blocks = []
    for model in models:
        for task in tasks:
            shared = random.normal(0, 0.1, n)
            for (key, (method, references, settings)), mean in zip(KEYS.items(), means, strict=False):
                values = mean + shared + random.normal(0, 0.03, n)
                row = {"model": model, "task": task, "key": key, "method": method, "references": references}
                row |= {"settings": json.dumps(settings), "seq_id": [f"seq{i}" for i in range(n)]}
                metrics = {"auprc": values, "auroc": values + 0.1, "mass_fraction": values / 2, "chance_auprc": 0.08}
                blocks.append(pd.DataFrame(row | metrics))
    return pd.concat(blocks, ignore_index=True)


def summarised(table: pd.DataFrame, **more) -> pd.DataFrame:
    rows = []
    for keys, group in table.groupby(["model", "task", "key", "method", "references", "settings"], sort=False):
        row = dict(zip(["model", "task", "key", "method", "references", "settings"], keys, strict=True))
        row |= {"truth": "embedded:task", "n_sequences": len(group), "chance_auprc": group["chance_auprc"].mean()}
        row |= {metric: group[metric].mean() for metric in METRICS}
        row |= {f"{metric}_se": group[metric].sem() for metric in METRICS}
        row |= {"pooled_auroc": row["auroc"] - 0.0123, "pooled_auprc": row["auprc"] - 0.0234}
        rows.append(row | {"seconds_per_sequence": 0.0456 * (1 + len(rows)), **more})
    return pd.DataFrame(rows).reindex(columns=list(tables.SUMMARY_COLUMNS))


def sites(*rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["tf", "start", "end", "strand", "element"])
    table = table.assign(seq_id="seq0", motif=table["tf"], score=9.0, pvalue=1e-5, matched="")
    return table[list(tables.SITE_COLUMNS)]


def example(task="HepG2", model="basset", counted=(False, False)) -> AttributedSequences:
    """One sequence, with two sites."""
    bases = (np.arange(LENGTH) % 4).astype(np.uint8)[None]
    scores = np.sin(np.arange(LENGTH))[None]
    where = sites(("HNF4A", 20, 35, "+", "HNF4A"), ("CTCF", 60, 79, "-", "CTCF")).assign(row=0, counted=counted)
    return AttributedSequences(model, task, ["seq0"], bases, where, dict.fromkeys(KEYS, scores))


def results(run: dict, **more) -> RunResults:
    """What a report is made from, of the fields of `grammar_run` or `peaks_run`."""
    return RunResults(**run, **more)


def grammar_run(**changes) -> dict:
    table = changes.pop("per_sequence", per_sequence())
    element = {"motif": "HNF4A", "rate": 0.08, "enriched": {"HepG2": 0.9}, "position": {"centre": 60, "sd": 80.0}}
    pair = {"pair": ["SOX2", "POU5F1"], "gap": [0, 6], "orientation": "same", "rate": 0.02, "enriched": {}}
    run = {
        "config": {
            "name": "demo",
            "seed": 4321,
            "simulation": {"kind": "grammar", "motifs": "default", "elements": [element, pair]},
            "attribution": {"split": "test", "output": "logit"},
            "scoring": {"truth": "embedded", "motifs": "task"},
        },
        "versions": {"simbench_tf": "0.1.0", "numpy": "9.8.7"},
        "dataset_info": {
            "name": "demo",
            "kind": "grammar",
            "tasks": ["HepG2", "K562"],
            "seq_length": LENGTH,
            "counts": {"train": 14000, "valid": 2001, "test": 4002},
            "positive_fraction": {"HepG2": 0.351, "K562": 0.348},
            "elements": {"HNF4A": ["HepG2"], "CTCF": []},
        },
        "summary": summarised(table),
        "per_sequence": table,
        "metrics": {
            "basset": {
                "HepG2": {"auroc": 0.8123, "auprc": 0.7012, "positive_fraction": 0.351},
                "K562": {"auroc": 0.7961, "auprc": 0.6843, "positive_fraction": 0.348},
            }
        },
        "histories": {
            "basset": pd.DataFrame(
                {"batch": [50, 100], "loss": [0.6, 0.5], "valid_loss": [0.61, 0.55], "valid_auprc": [0.4, 0.7]}
            )
        },
        "sequences": [example("HepG2", counted=(True, False)), example("K562")],
    }
    return run | changes


def peaks_run(**changes) -> dict:
    table = per_sequence(tasks=("A549",))
    log = pd.DataFrame(
        {
            "motif": ["MA1", "MA2", "MA3", "MA4"],
            "tf": ["CEBPB", "FOXA1", "SP1", "KLF4"],
            "task": "A549",
            "pos_hits": [400, 250, 20, 300],
            "neg_hits": [100, 0, 5, 290],
            "ratio": [3.456, np.inf, 2.0, 1.01],
            "passes": [True, True, False, False],
            "kept": [True, True, False, False],
        }
    )
    simulation = {"kind": "peaks", "genome": "/data/chr2.fa.gz", "peaks": {"A549": "/data/a549.narrowPeak"}}
    simulation |= {"motifs": "/data/homer.motifs", "scan_pvalue": 1e-4, "min_pos_hits": 100, "min_enrichment": 1.2}
    run = grammar_run(per_sequence=table, summary=summarised(table, truth="embedded:all"), motif_log=log)
    run["config"] |= {"name": "chr2", "simulation": simulation}
    run["dataset_info"] = {
        "name": "chr2",
        "kind": "peaks",
        "tasks": ["A549"],
        "seq_length": LENGTH,
        "counts": {"train": 180, "valid": 26, "test": 52},
        "positive_fraction": {"A549": 0.22},
        "lost": [
            {"step": "read", "positives": 0, "background": 0, "positives_left": 260, "background_left": 951},
            {"step": "off the contig", "positives": 2, "background": 3, "positives_left": 258, "background_left": 948},
        ],
        "composition": [{"measure": "gc", "positives": 0.512, "negatives": 0.498, "ks": 0.037, "ks_chance": 0.0954}],
        "leakage": [
            {"first": "train", "second": "test", "n": 52, "overlapping": 0, "sharing": 7, "near_duplicates": 3}
        ],
    }
    run["metrics"] = {"basset": {"A549": {"auroc": 0.75, "auprc": 0.5, "positive_fraction": 0.22}}}
    run["sequences"] = [example("A549", counted=(True, True))]
    return run | changes


def comparisons(table: pd.DataFrame) -> pd.DataFrame:
    from simbench_tf.stages.score import compare_methods

    return compare_methods(table)


def recall_rows() -> pd.DataFrame:
    rows = [
        ("basset", "HepG2", key, by, group, 10 * (place + 1), value, 0.05, value)
        for key, value in zip(KEYS, (0.7, 0.5, 0.25), strict=True)
        for by, groups in (("motif", ("MA1", "MA2")), ("strand", ("+", "-")))
        for place, group in enumerate(groups)
    ]
    return pd.DataFrame(rows, columns=list(tables.MOTIF_RECALL_COLUMNS))


def credit_rows() -> pd.DataFrame:
    """Of two tasks, on the second of which the network's own worth of sites is not known."""
    rows = []
    for task in ("HepG2", "K562"):
        for key, value in zip(KEYS, (0.31, 0.82, np.nan), strict=True):
            row = dict.fromkeys(tables.SITE_IMPORTANCE_COLUMNS, value)
            row |= {"model": "basset", "task": task, "key": key, "n_sites": 1234, "n_sequences": 56, "slope": 4.5}
            row |= {name: 0.04 for name in row if name.endswith("_se")}
            row["model_rank_correlation"] = 0.67 if task == "HepG2" else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def dynamics_tables() -> dict:
    rows = [
        ("HepG2", motif, batch, 12, r, 0.1, 0.7 - r / 2)
        for motif in ("MA1", "MA2")
        for batch, r in ((0, 0.1), (9, 0.6))
    ]
    columns = ["task", "motif", "batch", "n_sites", "recall", "effect", "loss"]
    learnt = {"task": "HepG2", "motif": ["MA1", "MA2"], "tf": ["HNF4A", "CTCF"], "n_sites": 12, "final_recall": 0.6}
    learnt |= {"learnt_at": [4.0, np.nan], "rate": 0.9, "information": [11.0, 17.0]}
    order = pd.DataFrame({"task": ["HepG2"], "quantity": ["information"], "rho": [-0.71], "n": [9], "n_learnt": [6]})
    return {"basset": {"dynamics": pd.DataFrame(rows, columns=columns), "learnt": pd.DataFrame(learnt), "order": order}}


def browsed(n=4, keys=tuple(KEYS), length=LENGTH, seq_id="seq{}") -> AttributedSequences:
    rng = np.random.default_rng(0)
    where = pd.DataFrame({"row": range(n), "tf": "HNF4A", "start": 20, "end": 35, "strand": "+", "counted": True})
    scores = {key: rng.normal(size=(n, length)).astype(np.float32) for key in keys}
    ids = [seq_id.format(number) for number in range(n)]
    return AttributedSequences("basset", "HepG2", ids, rng.integers(0, 5, (n, length)).astype(np.uint8), where, scores)


def instance_rows(
    model="basset", task="HepG2", f1=(0.7, 0.5, 0.25), caller="seqlets", error=0.01, oracle=0.8, chance=0.1
) -> pd.DataFrame:
    """What a caller found of each method: all sites, two motifs, and calls at two stated rates, the first of none."""
    rows = []
    for key, value in zip(KEYS, f1, strict=True):
        names = {"model": model, "task": task, "key": key, "caller": caller}
        rows.append(
            names
            | {"by": "all", "group": "all", "n_sites": 30, "n_called": 90, "best_f1": value, "best_f1_se": error}
            | {"ap": value - 0.05, "recall_cap": 1.0, "chance_f1": chance, "oracle_best_f1": oracle}
        )
        for motif, n_sites, recall in (("MA1", 10, value / 2), ("MA2", 20, value)):
            rows.append(names | {"by": "motif", "group": motif, "n_sites": n_sites, "best_recall": recall})
        rows.append(names | {"by": "stated_fdr", "group": "0.01", "n_sites": 30, "n_called": 0})
        rows.append(names | {"by": "stated_fdr", "group": "0.05", "n_sites": 30, "n_called": 40, "on_site": value})
    return pd.DataFrame(rows).reindex(columns=list(tables.INSTANCE_COLUMNS))


def found_motif_rows(found: dict, model="basset", task="HepG2", caller="modisco") -> pd.DataFrame:
    """For each key the correlations of the best found motifs with MA1 and MA2, None where nothing was found."""
    rows = []
    for key, correlations in found.items():
        for motif, value in zip(("MA1", "MA2"), correlations, strict=True):
            row = {"model": model, "task": task, "key": key, "caller": caller, "kind": "true", "motif": motif}
            row |= {"status": "found" if value is not None and value >= 0.9 else "missed", "n_matches": 1}
            if value is not None:
                row |= {"best": f"pattern_{motif}", "correlation": value, "strand": "-", "start_error": 1}
            rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(tables.FOUND_MOTIF_COLUMNS))
