"""The tables of a run that findings are made from, copied to results/NAME: networks, scores, what is found of sites."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from simbench_tf.dataset import covered
from simbench_tf.report.text import ratio
from simbench_tf.run.folder import config_of
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.results import read_ceilings, read_metrics, read_sequences, read_table, with_ceilings

RESULTS = Path(__file__).resolve().parents[1] / "results"
#: What is copied of a network's measures and their ceilings.
MEASURES = ("auroc", "auprc", "oracle_auroc", "oracle_auprc")
STRENGTHS = ["weak", "middling", "strong"]


def keep(run: Path, name: str) -> None:
    """Copy what a page is made from: configuration, networks, scores, comparisons, learning dynamics."""
    target = RESULTS / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(run / "config.yaml", target)
    networks_of(run).round(5).to_csv(RESULTS / f"{name}.csv", index=False)
    for table in ("summary", "comparisons", "faithfulness", "satisfiability", "misses", "site_importance"):
        if (run / "scores" / f"{table}.csv").is_file():  # without rules and perfect models there are no more than two
            read_table(run / "scores" / f"{table}.csv").round(5).to_csv(target / f"{table}.csv", index=False)
    recall_by_strength(run).round(5).to_csv(target / "recall_by_strength.csv", index=False)
    for path in run.glob("dynamics/*/*.csv"):
        if path.stem in ("learnt", "order"):
            (target / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, target / path.parent.name)


def networks_of(run: Path) -> pd.DataFrame:
    """A row per network and task: what it reaches, the exact ceiling, its share, how it was trained, and where."""
    ceilings, manifest, rows = read_ceilings(run), read_manifest(run), []
    for replicate in config_of(run).replicates:
        history = read_table(run / "models" / replicate.name / "history.csv")
        record = manifest[f"models/{replicate.name}/metrics.json"]
        cores = f"{os.cpu_count()} CPU cores" if record["device"] == "cpu" else record["device"]
        made = {  # a perfect model has seen none
            "n_sequences_seen": int(history["n_sequences_seen"].max()) if len(history) else 0,
            "machine": f"{cores}, {record['precision']}" if len(history) else cores,
            "minutes": record["seconds"] / 60,
        }
        metrics = with_ceilings(read_metrics(run, replicate.name), ceilings)
        for task, values in metrics.items():
            share = ratio(_number(values["auroc"]) - 0.5, _number(values.get("oracle_auroc")) - 0.5)
            reached = {name: _number(values.get(name)) for name in MEASURES} | {"share": share}
            rows.append({"model": replicate.name, "task": task} | reached | made)
    return pd.DataFrame(rows)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def recall_by_strength(run: Path) -> pd.DataFrame:
    """How much each method finds of true sites by their strength: columns model, task, key, strength, recall, n.

    A site is strong by the thirds of its motif's scores among the sites of that motif; what is found of it is the share
    of its bases among the sequence's highest, by |score|, of which there are as many as true bases.
    """
    rows = []
    for each in read_sequences(config_of(run), run):
        sites = each.sites[each.sites["counted"]].copy()
        rank = sites.groupby("motif")["score"].rank(pct=True)
        sites["strength"] = pd.cut(rank, [0, 1 / 3, 2 / 3, 1], labels=STRENGTHS)
        true = covered(sites, each.bases.shape)
        for key, scores in each.scores.items():
            order = np.argsort(np.argsort(-np.abs(scores), axis=1, kind="stable"), axis=1)
            highest = order < true.sum(axis=1, keepdims=True)
            found = [highest[site.row, site.start : site.end].mean() for site in sites.itertuples()]
            by_strength = pd.Series(found, sites.index).groupby(sites["strength"], observed=True)
            rows.append(
                pd.DataFrame({"recall": by_strength.mean(), "n": by_strength.size()})
                .rename_axis("strength")
                .reset_index()
                .assign(model=each.model, task=each.task, key=key)
            )
    return pd.concat(rows)[["model", "task", "key", "strength", "recall", "n"]]
