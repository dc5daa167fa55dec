"""The filter of motifs enriched in positives: hit counts, centre-weighted densities, their ratio, and the verdict."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif

MOTIF_LOG_COLUMNS = (
    "motif", "tf", "task", "n_positives", "n_negatives", "pos_hits", "neg_hits", "pos_density", "neg_density",
    "ratio", "passes", "kept", "reason",
)  # fmt: skip


def centre_weights(starts: npt.ArrayLike, region_size: int) -> npt.NDArray[np.float64]:
    """The weight of a hit by its start: (half - abs(half - start))^2 with half = region_size / 2; same shape.

    Examples
    --------
    >>> centre_weights([0, 3, 5, 9], 10).tolist()
    [0.0, 9.0, 25.0, 1.0]
    """
    half = region_size / 2
    return np.asarray((half - np.abs(half - np.asarray(starts))) ** 2, np.float64)


def motif_log(
    hits: pd.DataFrame,
    labels: npt.NDArray[np.uint8],
    motifs: Sequence[Motif],
    tasks: Sequence[str],
    region_size: int,
    min_pos_hits: int,
    min_enrichment: float,
) -> pd.DataFrame:
    """Judge every motif for every task.

    A motif passes for a task when it has at least `min_pos_hits` hits in the task's positives and the ratio of its
    centre-weighted densities, positives over negatives, is at least `min_enrichment`. It is kept when it passes for
    any task.

    Parameters
    ----------
    hits : DataFrame
        row (into `labels`), motif (into `motifs`) and start of each hit.
    labels : uint8, shape (N, n_tasks)
        1, 0, or another number for a region that is neither.
    motifs, tasks : sequences
    region_size : int
        Bases of a region.
    min_pos_hits, min_enrichment
        The thresholds.

    Returns
    -------
    DataFrame
        MOTIF_LOG_COLUMNS, one row per motif and task: *_hits count hits, *_density is the sum of weights over the
        number of regions, ratio is inf where only the positives have weight and NaN where neither has.
    """
    row, motif = hits["row"].to_numpy(), hits["motif"].to_numpy()
    weights = centre_weights(hits["start"].to_numpy(), region_size)
    tables = []
    for column, task in enumerate(tasks):
        table = pd.DataFrame({"motif": [m.motif_id for m in motifs], "tf": [m.tf for m in motifs], "task": task})
        for prefix, regions in (("pos", labels[:, column] == 1), ("neg", labels[:, column] == 0)):
            chosen = regions[row]
            n_regions = int(regions.sum())
            table[{"pos": "n_positives", "neg": "n_negatives"}[prefix]] = n_regions
            table[f"{prefix}_hits"] = np.bincount(motif[chosen], minlength=len(motifs))
            total = np.bincount(motif[chosen], weights=weights[chosen], minlength=len(motifs))
            table[f"{prefix}_density"] = total / max(n_regions, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            table["ratio"] = table["pos_density"].to_numpy() / table["neg_density"].to_numpy()
        table["passes"] = (table["pos_hits"] >= min_pos_hits) & (table["ratio"] >= min_enrichment)
        tables.append(table)
    log = pd.concat(tables, ignore_index=True)
    log["kept"] = log.groupby("motif")["passes"].transform("any")
    log["reason"] = [_reason(entry, min_pos_hits, min_enrichment) for entry in log.itertuples()]
    in_order = log.sort_values(
        "motif", kind="stable", key=lambda ids: ids.map({m.motif_id: i for i, m in enumerate(motifs)})
    )
    return in_order[list(MOTIF_LOG_COLUMNS)].reset_index(drop=True)


def _reason(entry: Any, min_pos_hits: int, min_enrichment: float) -> str:
    if entry.passes:
        return "passes"
    reasons = []
    if entry.pos_hits < min_pos_hits:
        reasons.append(f"{entry.pos_hits} hits in positives, fewer than {min_pos_hits}")
    if np.isnan(entry.ratio):
        reasons.append("no weighted hits at all")
    elif entry.ratio < min_enrichment:
        reasons.append(f"ratio {entry.ratio:.3g}, below {min_enrichment:g}")
    return "; ".join(reasons) + ("; kept for another task" if entry.kept else "")


def check_any_passes(log: pd.DataFrame, min_pos_hits: int, min_enrichment: float) -> None:
    """Refuse a log in which no motif is kept, and warn of a task for which none passes.

    Raises
    ------
    InputError
        With the best ratio, the most hits, and the two settings to lower.
    """
    if log["kept"].any():
        for task, passes in log.groupby("task", sort=False)["passes"]:
            if not passes.any():
                what = f"no motif passes the filter for {task}: no base of its sequences will count as true"
                warnings.warn(what, UserWarning, stacklevel=4)
        return
    most = log.loc[log["pos_hits"].idxmax()]
    best = log.loc[log["ratio"].idxmax()] if log["ratio"].notna().any() else most
    raise InputError(
        "simulation.min_enrichment",
        f"none of {log['motif'].nunique()} motifs has {min_pos_hits} hits in positives and a ratio of "
        f"{min_enrichment:g}: "
        f"the best ratio is {best['ratio']:.3g} ({best['tf']}, {best['task']}, {best['pos_hits']} hits), "
        f"the most hits are {most['pos_hits']} ({most['tf']}, {most['task']}, ratio {most['ratio']:.3g})",
        "lower min_pos_hits or min_enrichment, or give motifs found in these peaks",
    )
