"""How near the planted network is to the exact ceiling, what each broken setting costs, and what methods find in it.

    python benchmarks/planted.py                    # auROC beside the ceiling: demo, five_lines, rules, and demo broken
    python benchmarks/planted.py --presets demo --methods 100    # and auPRC of methods beside the exact posterior's

Of a preset the sequences of its own test split; a gap is the ceiling's auROC less the network's, on the same sequences.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from simbench_tf.config import load_config
from simbench_tf.dna.arrow import bases_of
from simbench_tf.motifs import load_motifs
from simbench_tf.perfect import planted_network
from simbench_tf.simulate.grammar import Grammar, build_grammar, draw, element_tasks
from simbench_tf.simulate.oracle import explain, label_log_odds, log_likelihood

CHUNK = 2_000
BROKEN: tuple[dict[str, Any], ...] = (
    {"window": 8},
    {"kernel_size": 12},
    {"kernel_size": 8},
    {"kernel_size": 6},
    {"kernel_size": 4},
    {"strands": "one"},
    {"activation": "relu"},
    {"pooling": "max"},
    {"without": ["GATA1"]},
    {"without": ["HNF4A"]},
)
METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ism", {}),
    ("grad_x_input", {}),
    ("saliency", {}),
    ("gradcam", {"layer": "first"}),
    ("gradcam", {"layer": "last"}),
    ("integrated_gradients", {"references": "zeros", "n_steps": 20}),
    ("integrated_gradients", {"references": "shuffle:3", "n_steps": 5}),
    ("integrated_gradients", {"references": "shuffle:3", "n_steps": 5, "path": "shuffle"}),
    ("deeplift_rescale", {"references": "shuffle:5"}),
    ("deeplift_revealcancel", {"references": "shuffle:5"}),
    ("deeplift_genomics", {"references": "shuffle:5"}),
    ("deepshap", {"references": "shuffle:5"}),
)


class TestSplit(NamedTuple):
    """Bases (N, L), labels (N, T), and each task's true bases (T, N, L)."""

    bases: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]


def read_preset(name: str) -> tuple[Grammar, TestSplit]:
    """The grammar of a preset, and its test split drawn again."""
    config = load_config(name)
    grammar = build_grammar(config.simulation, load_motifs(config.simulation.motifs))
    depends = element_tasks(grammar)
    parts = []
    for start in range(0, config.simulation.n_sequences, CHUNK):
        drawn = draw(grammar, config.seed, start, min(start + CHUNK, config.simulation.n_sequences))
        rows = np.flatnonzero(np.array(drawn.sequences["split"].to_pylist()) == "test")
        labels = np.stack([drawn.sequences[task].to_numpy()[rows] for task in grammar.tasks], axis=1)
        mask = np.zeros((len(grammar.tasks), len(drawn.sequences), grammar.seq_length), np.bool_)
        for site in drawn.sites.to_pandas().itertuples():
            for task in depends[site.element]:
                mask[grammar.tasks.index(task), int(site.seq_id[3:]) - start, site.start : site.end] = True
        parts.append(TestSplit(bases_of(drawn.sequences["sequence"])[rows], labels, mask[:, rows]))
    bases, labels, masks = zip(*parts, strict=True)
    return grammar, TestSplit(np.concatenate(bases), np.concatenate(labels), np.concatenate(masks, axis=1))


def aurocs(labels: npt.NDArray[np.uint8], scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.array([roc_auc_score(truth, score) for truth, score in zip(labels.T, scores.T, strict=True)])


def logits_of(model: keras.Model, bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    logits = keras.Model(model.inputs[0], model.get_layer("logits").output)
    return np.concatenate([logits(sb.one_hot(bases[i : i + CHUNK])).numpy() for i in range(0, len(bases), CHUNK)])


def told(values: npt.NDArray[np.floating], digits: int = 4) -> str:
    return " ".join(f"{value:8.{digits}f}" for value in values)


def compare(name: str, n_explained: int) -> None:
    """Print a preset's ceiling, and the auROC, gap and share of the ceiling above chance of its planted networks."""
    grammar, test = read_preset(name)
    exact = label_log_odds(grammar, log_likelihood(grammar, test.bases))
    ceiling = aurocs(test.labels, exact)
    print(f"\n{name}: {len(test.bases)} test sequences\n{'':34} {' '.join(f'{task:>8}' for task in grammar.tasks)}")
    print(f"{'ceiling':34} {told(ceiling)}")
    for settings in ({}, *(BROKEN if name == "demo" else ())):
        logits = logits_of(planted_network(grammar, **settings), test.bases)
        title = ", ".join(f"{key}={value}" for key, value in settings.items()) or "planted"
        found = aurocs(test.labels, logits)
        print(f"{title:34} {told(found)}\n{'    gap':34} {told(ceiling - found)}")
        if not settings:
            print(f"{'    share of the way from .5':34} {told((found - 0.5) / (ceiling - 0.5))}")
            correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(exact.T, logits.T, strict=True)]
            print(f"{'    correlation with log-odds':34} {told(np.array(correlations))}")
    if n_explained:
        explain_by_methods(grammar, test, n_explained)


def explain_by_methods(grammar: Grammar, test: TestSplit, n_explained: int) -> None:
    """Print the mean auPRC of each method on positives of each task, beside that of the exact posterior."""
    model = planted_network(grammar)
    chosen = [
        np.flatnonzero((test.labels[:, t] == 1) & test.mask[t].any(axis=1))[:n_explained]
        for t in range(len(grammar.tasks))
    ]
    posterior = []
    for task, rows in enumerate(chosen):
        known = np.full((len(rows), len(grammar.tasks)), -1)
        known[:, task] = 1
        occupancy = explain(grammar, test.bases[rows], labels=known).task_occupancy[task]
        posterior.append(sb.score_attributions(occupancy, test.mask[task, rows])["auprc"].mean())
    print(f"auPRC, {n_explained} positives a task\n{'exact posterior':66} {told(np.array(posterior), 3)}")
    for method, settings in METHODS:
        found = []
        for task, rows in enumerate(chosen):
            result = sb.attribute(model, sb.one_hot(test.bases[rows]), method, target=task, random_state=0, **settings)
            found.append(sb.score_attributions(result.scores, test.mask[task, rows])["auprc"].mean())
        title = ", ".join([method, *(f"{key}={value}" for key, value in settings.items())])
        print(f"{title:66} {told(np.array(found), 3)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["demo", "five_lines", "rules"])
    parser.add_argument("--methods", type=int, default=0, metavar="N", help="explain N positives of each task")
    args = parser.parse_args()
    for name in args.presets:
        compare(name, args.methods)


if __name__ == "__main__":
    main()
