"""Sequences per second of DeepLIFT: ours, Captum, tangermeme and SHAP's DeepExplainer, in turns in one process.

    python benchmarks/deeplift.py                    # the figures, some minutes
    python benchmarks/deeplift.py --sequences 8 --turns 3

Basset at 600 bp with random weights, batch normalisation of either sign, and 10 dinucleotide shuffles of its own for
each sequence: all programs get the very same weights, sequences and references, and explain the logit. All are made
ready before the first turn, and what they give is compared: by the median over sequences, since in a few of them
rounding decides which of two positions wins a max-pool. Captum and tangermeme get the batch size that is quickest
here. Captum takes no references of a sequence's own, so it gets pairs, and their mean is taken. SHAP is run in both
its ways: an explainer for each sequence, and one that asks a function for references. Then ours against ours: five
targets against one, and RevealCancel against Rescale.

The figures: Rescale at least 2.5 times as fast as the faster of Captum and tangermeme, and 5 times as fast as SHAP
with an explainer for each sequence; five targets at most 3.2 times the cost of one; RevealCancel at most 4 times that
of Rescale.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt
import shap

from simbench_tf import models
from simbench_tf.attribution import attribute
from simbench_tf.attribution.references import make_references, parse_references
from simbench_tf.dna import one_hot

if TYPE_CHECKING:  # the peers are imported where they are used, so that --help needs none
    import torch

LENGTH, N_REFERENCES, N_TASKS = 600, 10, 5
Array = npt.NDArray[np.float32]
#: Contributions (N, L, 4) of sequences (N, L, 4) against references (N, R, L, 4).
Explain = Callable[[Array, Array], Array]


def build() -> keras.Model:
    """Basset with random weights."""
    model = models.basset(seq_length=LENGTH, n_tasks=N_TASKS, seed=1)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            gamma = rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)
            layer.set_weights([gamma, *rng.normal(0, 0.2, (2, *size)), rng.uniform(0.5, 1.5, size)])
    return model


def in_torch(model: keras.Model) -> torch.nn.Module:
    """The same network in PyTorch, (N, 4, L) -> logits (N, n_tasks)."""
    import torch

    class Transpose(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.transpose(1, 2)

    class Same(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 1.0

    stack: list[torch.nn.Module] = []
    for layer in model.layers:
        weights = [torch.from_numpy(np.array(w)) for w in layer.weights]
        match type(layer).__name__:
            case "Conv1D":
                size, n_in, n_out = weights[0].shape
                stack.append(torch.nn.Conv1d(n_in, n_out, size))
                stack[-1].weight.data, stack[-1].bias.data = weights[0].permute(2, 1, 0).contiguous(), weights[1]
            case "BatchNormalization":
                stack.append(torch.nn.BatchNorm1d(len(weights[0]), eps=layer.epsilon))
                stack[-1].weight.data, stack[-1].bias.data = weights[:2]
                stack[-1].running_mean, stack[-1].running_var = weights[2:]
            case "Dense":
                stack.append(torch.nn.Linear(*weights[0].shape))
                stack[-1].weight.data, stack[-1].bias.data = weights[0].T.contiguous(), weights[1]
            case "MaxPooling1D":
                # Captum leaves its rule out where a ReLU stands right before the pool
                stack.extend([Same(), torch.nn.MaxPool1d(layer.pool_size[0])])
            case "ReLU":
                stack.append(torch.nn.ReLU())
            case "Flatten":
                stack.extend([Transpose(), torch.nn.Flatten()])
    return torch.nn.Sequential(*stack).eval()


def ours(model: keras.Model, method: str = "deeplift_rescale", targets: int | list[int] = 0) -> Explain:
    return lambda x, references: attribute(model, x, method, target=targets, references=references).contributions


def with_captum(network: torch.nn.Module, pairs: int) -> Explain:
    import captum.attr
    import torch

    together = max(1, pairs // N_REFERENCES)
    method = captum.attr.DeepLift(network)

    def explain(x: Array, references: Array) -> Array:
        pieces = []
        for start in range(0, len(x), together):
            background = torch.from_numpy(references[start : start + together])
            inputs = torch.from_numpy(x[start : start + together, None]).expand(background.shape)
            flat = [each.flatten(0, 1).transpose(1, 2).contiguous() for each in (inputs, background)]
            found = method.attribute(*flat, target=0).detach().numpy()
            pieces.append(found.reshape(len(background), N_REFERENCES, 4, LENGTH).mean(axis=1))
        return np.concatenate(pieces).transpose(0, 2, 1)

    return explain


def with_tangermeme(network: torch.nn.Module, pairs: int) -> Explain:
    import tangermeme.deep_lift_shap
    import torch

    def explain(x: Array, references: Array) -> Array:
        return (
            tangermeme.deep_lift_shap.deep_lift_shap(
                network,
                torch.from_numpy(x).transpose(1, 2).contiguous(),
                references=torch.from_numpy(references).transpose(2, 3).contiguous(),
                batch_size=pairs,
                device="cpu",
            )
            .transpose(1, 2)
            .numpy()
        )

    return explain


def with_shap(model: keras.Model, each_its_own: bool) -> Explain:
    """SHAP takes one sequence at a time, and its references as an array or as a function of the sequence.

    With an array each sequence needs an explainer of its own, whose graph is traced anew; with a function one does.
    """
    # it takes the output of the last layer, and explains all of it
    logits, first = model.get_layer("logits"), keras.layers.Dense(1)
    one_target = keras.Model(model.inputs, first(logits.input))
    first.set_weights([weight[..., :1] for weight in logits.get_weights()])
    known: dict[bytes, Array] = {}
    shared = shap.DeepExplainer(one_target, lambda example: known[np.asarray(example[0]).tobytes()])

    def explain(x: Array, references: Array) -> Array:
        if each_its_own:
            explainers = [shap.DeepExplainer(one_target, background) for background in references]
        else:
            known.update({row.tobytes(): background for row, background in zip(x, references, strict=True)})
            explainers = [shared] * len(x)
        rows = zip(explainers, x, strict=True)
        return np.concatenate([each.shap_values(row[None], check_additivity=False)[..., 0] for each, row in rows])

    return explain


def seconds(explain: Explain, x: Array, references: Array) -> float:
    begin = time.perf_counter()
    explain(x, references)
    return time.perf_counter() - begin


def quickest(make: Callable[[int], Explain], x: Array, references: Array) -> tuple[int, Explain]:
    """The best of some batch sizes, counted in pairs of sequence and reference."""
    made = {pairs: make(pairs) for pairs in (10, 20, 40, 80)}
    took = {pairs: min(seconds(explain, x, references) for _ in range(2)) for pairs, explain in made.items()}
    best = min(took, key=took.__getitem__)
    return best, made[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--turns", type=int, default=7)
    args = parser.parse_args()
    # Captum of its hooks, SHAP of TensorFlow's version, Keras of how SHAP calls it
    warnings.simplefilter("ignore")
    logging.getLogger("tensorflow").setLevel("ERROR")
    bases = np.random.default_rng(2).integers(0, 4, (args.sequences, LENGTH)).astype(np.uint8)
    x, references = one_hot(bases), make_references(parse_references(f"shuffle:{N_REFERENCES}"), bases, 0)
    model = build()
    network = in_torch(model)
    captum_pairs, by_captum = quickest(lambda pairs: with_captum(network, pairs), x[:8], references[:8])
    tangermeme_pairs, by_tangermeme = quickest(lambda pairs: with_tangermeme(network, pairs), x[:8], references[:8])
    programs = {
        "Rescale": ours(model),
        f"Captum ({captum_pairs} pairs together)": by_captum,
        f"tangermeme ({tangermeme_pairs} pairs together)": by_tangermeme,
        "SHAP, an explainer each": with_shap(model, each_its_own=True),
        "SHAP, references by function": with_shap(model, each_its_own=False),
        "five targets": ours(model, targets=list(range(N_TASKS))),
        "RevealCancel": ours(model, "deeplift_revealcancel"),
        "genomics default": ours(model, "deeplift_genomics"),
    }
    found = {name: explain(x, references) for name, explain in programs.items()}
    expected = found["Rescale"].sum(axis=2)
    for name in list(programs)[1:5]:
        differences = abs(found[name].sum(axis=2) - expected).max(axis=1) / abs(expected).max(axis=1)
        print(f"{name:32s} differs from Rescale by {np.median(differences):.1e} of a sequence's largest score (median)")
    took: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(args.turns):
        for name, explain in programs.items():
            took[name].append(seconds(explain, x, references))
    print(
        f"Basset, {LENGTH} bp, {N_REFERENCES} references each, {args.sequences} sequences, {args.turns} turns, medians:"
    )
    for name, values in took.items():
        # turn against turn: what else the machine did weighs on both
        ratio = float(np.median(np.divide(values, took["Rescale"])))
        print(f"{name:32s}{args.sequences / np.median(values):8.2f} sequences/s {ratio:8.2f} times the cost of Rescale")


if __name__ == "__main__":
    main()
