"""The batch at which each motif is learnt, and what might explain the order.

A motif is learnt at the batch at which its recall and its effect have passed levels that are the same for all motifs:
half of what the exact posterior reaches.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.score import rank_correlation

#: Standard errors of the difference by which recall must have risen for a motif to count as learnt.
MIN_RISE_IN_ERRORS = 2.0


#: A motif is learnt when its recall is this share of the recall that can be reached, ...
LEARNT_SHARE = 0.5


#: ... and is above chance by this much at least.
MIN_OVER_CHANCE = 0.1


#: ... and when its effect on the logit is that share of the oracle's, and at least this.
MIN_EFFECT = 0.1


#: Motifs that occur this many times as often with a label as without mark it; the paper keeps those of its motifs.
MIN_ENRICHMENT = 1.2


#: Columns of a table of what was learnt, one row per task and motif.
LEARNT_COLUMNS = (
    "task", "motif", "n_sites", "final_recall", "learnt_at", "rate", "information", "rate_without", "surplus", "tf",
    "level", "status", "final_effect", "effect_level",
)  # fmt: skip


def learnt_at(
    table: pd.DataFrame,
    oracle: pd.DataFrame | None = None,
    share: float = LEARNT_SHARE,
    attainable: float = 1.0,
    min_over_chance: float = MIN_OVER_CHANCE,
) -> pd.DataFrame:
    """The batch at which each motif is learnt: where recall and effect first pass a share of what can be reached.

    The *level* of recall is ``max(share * attainable recall, chance + min_over_chance)``, and that of the effect
    ``max(share * the oracle's effect, MIN_EFFECT)``, by size and in the oracle's direction. So a motif of which little
    is learnt is not learnt early, as it would be at half of its own small rise, and motifs are compared at a common
    level; and one that is seen but not used for the task is not learnt for it.

    A motif is learnt if both are at their levels at the end, and recall is above its first by more than
    `MIN_RISE_IN_ERRORS` standard errors of the difference (of two independent means, which errs on the side of
    caution). Between two batches both are taken to change linearly with log(1 + batch).

    Parameters
    ----------
    table : DataFrame
        task, motif, batch, n_sites, recall, recall_se; for the floor over chance, chance; for effects, effect and
        effect_se.
    oracle : DataFrame, optional
        task, motif, recall and perhaps effect: what the exact posterior reaches, by the same measures
        (`recall_of_motifs` of its occupancy, `effect_of_motifs` of its log-odds). Then that is attainable. Without
        effect, recall alone decides.
    share : float, default .5
    attainable : float, default 1
        The attainable recall of motifs that have none in `oracle`.
    min_over_chance : float, default .1
        How far the level is above chance at least; with no column chance, there is no such floor.

    Returns
    -------
    DataFrame
        One row per task and motif, in the order of the table: task, motif, n_sites, final_recall, learnt_at (NaN where
        the motif is not learnt), level, status, final_effect and effect_level (NaN where recall alone decides). Status
        is "learnt"; "not yet", where what is below its level has risen and is at its highest at the end; or "not
        learnt".

    Examples
    --------
    >>> table = pd.DataFrame({"task": "K562", "motif": "GATA1", "batch": [0, 9, 99], "n_sites": 50,
    ...                       "recall": [0.1, 0.3, 0.7], "recall_se": 0.02, "chance": 0.1})
    >>> learnt_at(table).round(1)[["final_recall", "learnt_at", "level", "status"]]  # .5 is halfway from .3 to .7
       final_recall  learnt_at  level  status
    0           0.7       30.6    0.5  learnt
    >>> oracle = pd.DataFrame({"task": "K562", "motif": ["GATA1"], "recall": 0.9, "effect": 4.0})
    >>> table = table.assign(effect=[0.0, 0.0, 1.5], effect_se=0.1)
    >>> learnt_at(table, oracle).round(2)[["learnt_at", "level", "status", "final_effect", "effect_level"]]
       learnt_at  level   status  final_effect  effect_level
    0        NaN   0.45  not yet           1.5           2.0
    """
    known = {} if oracle is None else oracle.set_index(["task", "motif"]).to_dict("index")
    lines = []
    for (task, motif), rows in table.groupby(["task", "motif"], sort=False):
        rows = rows.sort_values("batch")
        reached = known.get((task, motif), {})
        chance = float(rows["chance"].iloc[-1]) + min_over_chance if "chance" in rows else -math.inf
        level = max(share * reached.get("recall", attainable), chance)
        recall = _curve(rows, "recall", level)
        curves, final_effect, effect_level = [recall], math.nan, math.nan
        if "effect" in reached and "effect" in rows:
            direction = -1 if reached["effect"] < 0 else 1
            effect_level = direction * max(share * abs(reached["effect"]), MIN_EFFECT)
            final_effect = float(rows["effect"].iloc[-1])
            turned = rows.assign(effect=direction * rows["effect"])
            curves.append(_curve(turned, "effect", abs(effect_level)))
        missing = [curve for curve in curves if not curve.is_there]
        at, status = math.nan, "not learnt"
        if recall.has_risen and not missing:
            at, status = max(curve.first_passing for curve in curves), "learnt"
        elif recall.has_risen and all(curve.is_climbing for curve in missing):
            status = "not yet"
        n_sites = int(rows["n_sites"].iloc[-1])
        lines.append((task, motif, n_sites, recall.values[-1], at, level, status, final_effect, effect_level))
    return pd.DataFrame(lines, columns=[*LEARNT_COLUMNS[:5], *LEARNT_COLUMNS[-4:]])


class _Curve(NamedTuple):
    """A measure of a motif along training, and the level at which it counts."""

    batches: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    level: float

    @property
    def has_risen(self) -> bool:
        error = math.hypot(self.errors[0], self.errors[-1])
        return bool(self.values[-1] - self.values[0] > MIN_RISE_IN_ERRORS * error)

    @property
    def is_there(self) -> bool:
        return bool(self.values[-1] >= self.level)

    @property
    def is_climbing(self) -> bool:
        return self.has_risen and bool(self.values[-1] >= self.values.max())

    @property
    def first_passing(self) -> float:
        """The batch at which a line through the points first reaches the level, which the last one is not below."""
        x, y = np.log1p(self.batches), self.values
        after = int(np.argmax(y >= self.level))
        if after == 0:
            return float(self.batches[0])
        share = (self.level - y[after - 1]) / (y[after] - y[after - 1])
        return math.expm1(x[after - 1] + share * (x[after] - x[after - 1]))


def _curve(rows: pd.DataFrame, name: str, level: float) -> _Curve:
    batches, values, errors = (rows[column].to_numpy(float) for column in ("batch", name, f"{name}_se"))
    return _Curve(batches, values, errors, level)


def order_of_learning(learnt: pd.DataFrame) -> pd.DataFrame:
    """What is learnt first, and why: rank correlations of `learnt_at` with what might make a motif easy to learn.

    Only motifs that mark a task's label, by `MIN_ENRICHMENT`, are compared; those not learnt come last, tied.

    Parameters
    ----------
    learnt : DataFrame
        task, learnt_at, rate, rate_without (expected starts in a sequence with and without the task's label),
        information and surplus (bits).

    Returns
    -------
    DataFrame
        One row per task, and one for all tasks together (task "(all)") where there are several, and a quantity: task,
        quantity, rho (Spearman; negative where more of it means sooner; NaN for fewer than three motifs, or where
        one of both is the same for all), n (motifs compared), n_learnt. "enrichment" is the difference of the rates.

    Examples
    --------
    >>> learnt = pd.DataFrame({"task": "K562", "learnt_at": [10, 20, 40, None], "rate": [1.0, 0.8, 0.5, 0.9],
    ...                        "rate_without": [0.1, 0.1, 0.1, 0.9], "information": [9.0, 12.0, 8.0, 20.0],
    ...                        "surplus": [3.0, 2.0, 1.0, 9.0]})
    >>> order_of_learning(learnt)[["quantity", "rho", "n"]]  # the last one does not mark the label
                       quantity  rho  n
    0                      rate -1.0  3
    1               information -0.5  3
    2                   surplus -1.0  3
    3                enrichment -1.0  3
    4  enrichment x information -0.5  3
    5      enrichment x surplus -1.0  3
    """
    compared = learnt[learnt["rate"] > MIN_ENRICHMENT * learnt["rate_without"]]
    at = compared["learnt_at"].fillna(math.inf).rank()
    enrichment = compared["rate"] - compared["rate_without"]
    quantities = {
        "rate": compared["rate"],
        "information": compared["information"],
        "surplus": compared["surplus"],
        "enrichment": enrichment,
        "enrichment x information": enrichment * compared["information"],
        "enrichment x surplus": enrichment * compared["surplus"],
    }
    tasks = list(learnt["task"].unique())
    groups = {task: compared["task"] == task for task in tasks}
    if len(tasks) > 1:
        groups["(all)"] = pd.Series(True, index=compared.index)
    lines = [
        (
            task,
            name,
            rank_correlation(at[rows], values[rows], min_values=3),
            int(rows.sum()),
            compared["learnt_at"][rows].count(),
        )
        for task, rows in groups.items()
        for name, values in quantities.items()
    ]
    return pd.DataFrame(lines, columns=["task", "quantity", "rho", "n", "n_learnt"])
