"""Sequences per second of in-silico mutagenesis: by windows, by whole passes, tangermeme and fastISM, in turns.

    python benchmarks/ism.py --tangermeme TORCH/bin/python --fastism TF215/bin/python
    python benchmarks/ism.py --model beluga --positions 256 --turns 2

The peers run in interpreters of their own (tangermeme with torch; fastISM 0.5.1 with TensorFlow 2.15, Keras 2 and
numpy 1), on the same weights and sequences; they stay up between turns, and while one is timed the others wait. What
they load, compile and check once is done before the first turn. `--positions` mutates that many bases in the middle of
the sequence and gives sequences per second for all. fastISM goes through the sequences together, a position at a
time, and tangermeme reads and checks the model at every call, so both are given more sequences than they would need
for a timing. Figures are medians over the turns. The goals: windows at least 15 times whole passes on Basset at
1,000 bp, 6 times on Beluga at 2,000 bp, and faster than both peers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# this file also runs inside the peers, where neither the package nor Keras 3 is: everything else is imported late

LENGTHS = {"basset": 1000, "beluga": 2000}
Run = Callable[[], Any]


# ours


def build(name: str) -> tuple[Any, list[dict[str, Any]]]:
    """A model with random weights, and its layers with these as plain arrays."""
    from simbench_tf import models

    model = getattr(models, name)(seq_length=LENGTHS[name], seed=1)
    rng = np.random.default_rng(0)
    layers: list[dict[str, Any]] = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "BatchNormalization":
            size = layer.gamma.shape
            normal = rng.normal(0, 0.2, size), rng.normal(0, 0.2, size)
            layer.set_weights([rng.uniform(0.5, 1.5, size), *normal, rng.uniform(0.5, 1.5, size)])
        if kind not in ("InputLayer", "Dropout", "Activation"):
            settings = {"pool": getattr(layer, "pool_size", [0])[0], "epsilon": getattr(layer, "epsilon", 0.0)}
            layers.append({"kind": kind, **settings, "weights": [np.asarray(w) for w in layer.weights]})
    return model, layers


def ours(model: Any, one_hot: Any, start: int, end: int, fast: bool) -> Run:
    from simbench_tf.attribution import attribute

    return lambda: attribute(model, one_hot, "ism", start=start, end=end, fast=fast).hypothetical


# the peers: each serves from a child process


def tangermeme(layers: list[dict[str, Any]], one_hot: Any, start: int, end: int) -> Run:
    import tangermeme.saturation_mutagenesis as module
    import torch

    # it would go the slow way where it guesses that the slow way takes less than half a minute
    module._FAST_MIN_SECONDS = 0.0

    class Transpose(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.transpose(1, 2)

    stack: list[Any] = []
    for layer in layers:
        tensors = [torch.from_numpy(w.copy()) for w in layer["weights"]]
        if layer["kind"] == "Conv1D":
            size, n_in, n_out = tensors[0].shape
            stack.append(torch.nn.Conv1d(n_in, n_out, size))
            stack[-1].weight.data, stack[-1].bias.data = tensors[0].permute(2, 1, 0).contiguous(), tensors[1]
        elif layer["kind"] == "BatchNormalization":
            stack.append(torch.nn.BatchNorm1d(len(tensors[0]), eps=layer["epsilon"]))
            stack[-1].weight.data, stack[-1].bias.data = tensors[:2]
            stack[-1].running_mean, stack[-1].running_var = tensors[2:]
        elif layer["kind"] == "Dense":
            stack.append(torch.nn.Linear(*tensors[0].shape))
            stack[-1].weight.data, stack[-1].bias.data = tensors[0].T.contiguous(), tensors[1]
        elif layer["kind"] == "MaxPooling1D":
            stack.append(torch.nn.MaxPool1d(layer["pool"]))
        else:
            stack.extend({"ReLU": [torch.nn.ReLU()], "Flatten": [Transpose(), torch.nn.Flatten()]}[layer["kind"]])
    model = torch.nn.Sequential(*stack).eval()
    x = torch.from_numpy(one_hot).permute(0, 2, 1).contiguous()

    def run() -> Any:
        settings = {"start": start, "end": end, "hypothetical": True, "device": "cpu", "batch_size": 128}
        return module.saturation_mutagenesis(model, x, **settings).permute(0, 2, 1).numpy()

    return run


def fastism(layers: list[dict[str, Any]], one_hot: Any, start: int, end: int) -> Run:
    import fastism
    import tensorflow as tf

    inputs = x = tf.keras.Input(one_hot.shape[1:])
    for layer in layers:
        kind, weights = layer["kind"], layer["weights"]
        settings: dict[str, dict[str, Any]] = {
            "MaxPooling1D": {"pool_size": layer["pool"]},
            "BatchNormalization": {"epsilon": layer["epsilon"]},
        }
        if kind == "Conv1D":
            settings[kind] = {"filters": weights[0].shape[2], "kernel_size": weights[0].shape[0]}
        elif kind == "Dense":
            settings[kind] = {"units": weights[0].shape[1]}
        made = getattr(tf.keras.layers, kind)(**settings.get(kind, {}))
        x = made(x)
        made.set_weights(weights)
    model = tf.keras.Model(inputs, x)
    positions = [(place, place + 1) for place in range(start, end)]
    fast = fastism.FastISM(model, change_ranges=positions, test_correctness=False)

    def run() -> Any:
        # one pass for each base that is put in; where it stands already nothing is computed
        outputs = np.stack([fast(one_hot, replace_with=list(row)) for row in np.eye(4)], axis=2)[..., 0]
        change = outputs - model(one_hot, training=False).numpy()[:, :, None]
        whole = np.zeros(one_hot.shape, np.float32)
        whole[:, start:end] = change - change.mean(axis=2, keepdims=True)
        return whole[:, start:end]

    return run


def serve(name: str, folder: Path) -> None:
    """Answer each line on standard input with the seconds of one run; the first also saves its values."""
    job = np.load(folder / "job.npz", allow_pickle=True)
    one_hot = job["one_hot"][: int(job[name])]
    run = {"tangermeme": tangermeme, "fastism": fastism}[name](list(job["layers"]), one_hot, *job["window"].tolist())
    np.save(folder / f"{name}.npy", run())
    print(json.dumps({"n": len(one_hot)}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)


class Peer:
    """A child process that runs `serve`."""

    def __init__(self, python: str, name: str, folder: Path) -> None:
        with (folder / f"{name}.log").open("w") as log:
            self.child = subprocess.Popen(
                [python, __file__, "--serve", name, "--folder", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.n = self.answer()["n"]

    def answer(self) -> dict[str, Any]:
        """Read the next line of JSON; libraries may print other lines."""
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the peer ended with {self.child.wait()}: see its log")

    def seconds(self) -> float:
        """Seconds of one run, by the peer's own clock."""
        assert self.child.stdin is not None
        self.child.stdin.write("run\n")
        self.child.stdin.flush()
        return self.answer()["seconds"]


def timed(run: Run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def report(seconds: dict[str, list[float]], counts: dict[str, int], share: float) -> None:
    """Print medians over the turns, and the lowest and highest ratio within a turn."""
    rates = {name: share * counts[name] / np.array(values) for name, values in seconds.items()}
    for name, rate in rates.items():
        ratios = rates["windows"] / rate
        print(
            f"{name:14s}{np.median(rate):10.4f} sequences/s; windows are {np.median(ratios):7.2f} times that "
            f"({ratios.min():.2f} to {ratios.max():.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=LENGTHS, default="basset")
    parser.add_argument("--positions", type=int, help="bases to mutate; all by default")
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--peers-sequences", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tangermeme", metavar="PYTHON")
    parser.add_argument("--fastism", metavar="PYTHON")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.folder)
        return
    length = LENGTHS[args.model]
    width = args.positions or length
    # where a block of either model begins
    start = (length - width) // 2 // 48 * 48
    end = start + width
    model, layers = build(args.model)
    rng = np.random.default_rng(0)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (max(args.sequences, args.peers_sequences), length))]
    peers = {name: getattr(args, name) for name in ("tangermeme", "fastism") if getattr(args, name)}
    counts = {"windows": args.sequences, "whole passes": 1, **dict.fromkeys(peers, args.peers_sequences)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held = np.empty(len(layers), object)
        held[:] = layers
        np.savez(folder / "job.npz", one_hot=x, layers=held, window=[start, end], **{p: counts[p] for p in peers})
        runs: dict[str, Callable[[], float]] = {}
        values = {}
        for kind, fast in (("windows", True), ("whole passes", False)):
            run = ours(model, x[: counts[kind]], start, end, fast)
            values[kind] = run()[:, start:end]
            runs[kind] = lambda run=run: timed(run)
        for peer, python in peers.items():
            runs[peer] = Peer(python, peer, folder).seconds
            # these take the mean over four bases, ours over the three others
            saved = np.load(folder / f"{peer}.npy")
            values[peer] = (saved if saved.shape[1] == width else saved[:, start:end]) * 4 / 3
        for kind, other in values.items():
            n = min(len(other), len(values["windows"]))
            error = abs(other[:n] - values["windows"][:n]).max() / abs(other[:n]).max()
            print(f"{kind:14s}differs from windows by {error:.1e} of its largest value")
        seconds: dict[str, list[float]] = {kind: [] for kind in runs}
        for _ in range(args.turns):
            for kind, run in runs.items():
                seconds[kind].append(run())
    print(f"{args.model} at {length} bp, {width} of its bases mutated, {args.turns} turns:")
    report(seconds, counts, width / length)


if __name__ == "__main__":
    main()
