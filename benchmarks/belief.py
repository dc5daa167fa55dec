"""How well probabilities of true sites hold on other draws: of the fitted grammar, and where the twin is misfitted.

    python benchmarks/belief.py > results/belief.csv     # a quarter of an hour on two cores
    python docs/make_belief.py                           # its table and figure in docs/what_may_i_believe.md

Of a grammar that plays the real regions a network is trained, and explained; of another, the twin, too. What is fitted
to the twin is read on the real regions, whose truth is known here. Rows are bins of reliability (of bases and of
candidates), and one row a case and method for the sites that are called at probability .5.

Networks differ from training to training, in what they know and so in what scores are worth. So the fitted twin is
tried `N_PAIRS` times more, each twin and each real network from sequences of its own: cases *pair 0*, *pair 1*, ...,
with the row of the called sites alone.
"""

from __future__ import annotations

import copy
import sys
import time
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from simbench_tf.config import GrammarSimulation
from simbench_tf.dataset import covered
from simbench_tf.discovery.belief import Pooled, believed_calls, fit_belief, pooled, scaled, stands_on_site
from simbench_tf.dna.arrow import bases_of
from simbench_tf.motifs import load_motifs
from simbench_tf.score import reliability
from simbench_tf.score.calibration import share_interval
from simbench_tf.simulate.grammar import build_grammar, draw, element_tasks

TASK, LENGTH, LEAST = "open", 150, 0.5
N_TRAIN, N_DRAWN = 8_000, 10_000  # the rest is explained: its positives, some 700
EPOCHS, POORER = 8, 2
N_TRAININGS, N_PAIRS = 3, 12
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "grad_x_input@none": ("grad_x_input", {}),
    "saliency@none": ("saliency", {}),
    "integrated_gradients@zeros+n_steps=10": ("integrated_gradients", {"references": "zeros", "n_steps": 10}),
}
REAL: dict[str, Any] = {
    "kind": "grammar",
    "seq_length": LENGTH,
    "tasks": {TASK: {"fraction": 0.35}},
    "elements": [
        {"motif": motif, "rate": 0.05, "enriched": {TASK: 0.4}} for motif in ("CTCF", "GATA1::TAL1", "NRF1", "FOSL1")
    ],
}
#: Independent bases, poor in C and G, where the real background is human and each base depends on the one before.
AT_RICH = ((0.35, 0.15, 0.15, 0.35),)


class Explained(NamedTuple):
    """A network's auROC, its attributions of positives, (N, L) for each method, and the true sites by row."""

    auroc: float
    scores: dict[str, npt.NDArray[np.float64]]
    sites: pd.DataFrame


def network(seed: int) -> keras.Model:
    """A small convolutional network."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    stack = [
        layers.Conv1D(48, 15, activation="relu"),
        layers.MaxPooling1D(8),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(32, activation="relu"),
        layers.Dense(1, "sigmoid"),
    ]
    model = keras.Sequential([keras.Input((LENGTH, 4)), *stack])
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    return model


def explained(settings: dict[str, Any], seed: int, epochs: int = EPOCHS, training: int = 0) -> Explained:
    """Draw from a grammar, train on most of it, explain the positives of the rest."""
    simulation = GrammarSimulation.model_validate(settings)
    grammar = build_grammar(simulation, load_motifs(simulation.motifs))
    drawn = draw(grammar, seed, 0, N_DRAWN)
    x, labels = sb.one_hot(bases_of(drawn.sequences["sequence"])), drawn.sequences[TASK].to_numpy()
    model = network(100 * seed + training)
    model.fit(x[:N_TRAIN], labels[:N_TRAIN], batch_size=64, epochs=epochs, verbose=0)
    auroc = roc_auc_score(labels[N_TRAIN:], model.predict(x[N_TRAIN:], verbose=0)[:, 0])
    rows = N_TRAIN + np.flatnonzero(labels[N_TRAIN:] == 1)
    sites = drawn.sites.to_pandas()
    bears = {name for name, tasks in element_tasks(grammar).items() if TASK in tasks}
    row = pd.Index(rows).get_indexer(sites["seq_id"].str[3:].astype(int))
    scores = {
        key: np.asarray(sb.attribute(model, x[rows], method, **how).scores, np.float64)
        for key, (method, how) in METHODS.items()
    }
    return Explained(float(auroc), scores, sites.assign(row=row)[(row >= 0) & sites["element"].isin(bears)])


def without(settings: dict[str, Any], motif: str) -> dict[str, Any]:
    """The same grammar without a motif."""
    changed = copy.deepcopy(settings)
    changed["elements"] = [each for each in changed["elements"] if each["motif"] != motif]
    return changed


def with_rate(settings: dict[str, Any], factor: float) -> dict[str, Any]:
    """The same grammar with more, or fewer, sites of each motif."""
    changed = copy.deepcopy(settings)
    for each in changed["elements"]:
        each["rate"] *= factor
        each["enriched"][TASK] *= factor
    return changed


def held_against(case: str, twins: list[Explained], real: Explained, *, in_units: bool = True) -> list[pd.DataFrame]:
    """Reliability of what is fitted to the trainings of the twin's network, on the real regions."""
    tables = []
    auroc = float(np.mean([each.auroc for each in twins]))
    for key in METHODS:
        found, read = pooled([each.scores[key] for each in twins], twins[0].sites), scaled(real.scores[key])
        if not in_units:
            found, read = as_they_are(found, [each.scores[key] for each in twins]), real.scores[key]
        belief = fit_belief(found.scores, found.sites)
        calls = believed_calls(belief, read)
        right = stands_on_site(calls, real.sites)
        mask, number = covered(real.sites, read.shape), np.arange(len(read))[:, None]
        sure = calls["probability"] >= LEAST
        low, high = share_interval(right[sure], calls["row"][sure])
        called = {
            "predicted": calls["probability"][sure].mean(),
            "observed": right[sure].mean() if sure.any() else np.nan,
            "low": low,
            "high": high,
            "n": int(sure.sum()),
        }
        for what, table in (
            ("bases", reliability(belief.bases.predict(read), mask, sequences=number)),
            ("candidates", reliability(calls["probability"], right, sequences=calls["row"])),
            ("called", pd.DataFrame([called])),
        ):
            stated = {"case": case, "key": key, "twin_auroc": auroc, "auroc": real.auroc, "what": what}
            tables.append(table.assign(**stated)[[*stated, *table.columns]])
    return tables


def as_they_are(found: Pooled, scores: list[npt.NDArray[np.float64]]) -> Pooled:
    """The same with scores that no mean size was taken of."""
    return found._replace(scores=np.concatenate(scores))


def main() -> None:
    """Print the table; what was timed goes to standard error."""
    begun = time.perf_counter()
    real, poorer_real = explained(REAL, 2), explained(REAL, 2, POORER)
    fitted = [explained(REAL, 1, training=number) for number in range(N_TRAININGS)]
    poor = [explained(REAL, 1, POORER, number) for number in range(N_TRAININGS)]
    tables = [
        *held_against("fitted", fitted, real),
        *held_against("fitted, one training", fitted[:1], real),
        *held_against("fitted, both networks poor", poor, poorer_real),
        *held_against("its network is better", fitted, poorer_real),
        *held_against("its network is better, scores not in units", fitted, poorer_real, in_units=False),
        *held_against("wrong background", [explained({**REAL, "background": AT_RICH}, 1)], real),
        *held_against("a motif is missing", [explained(without(REAL, "CTCF"), 1)], real),
        *held_against("twice the sites", [explained(with_rate(REAL, 2.0), 1)], real),
    ]
    for number in range(N_PAIRS):
        twins = [explained(REAL, 100 + number, training=training) for training in range(N_TRAININGS)]
        pair = held_against(f"pair {number}", twins, explained(REAL, 200 + number))
        tables += [table[table["what"] == "called"] for table in pair]
        print(f"pair {number}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    pd.concat(tables, ignore_index=True).round(4).to_csv(sys.stdout, index=False)
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
