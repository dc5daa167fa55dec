"""Sequences per second of in-silico mutagenesis: by windows, by whole passes, tangermeme and fastISM, in turns.

    python benchmarks/ism.py --tangermeme TORCH/bin/python --sequences 1 --peers-sequences 1 --positions 96 --write
    python benchmarks/ism.py --model basset beluga --fastism TF215/bin/python --peers-sequences 16

The peers run in interpreters of their own (tangermeme with torch; fastISM 0.5.1 with TensorFlow 2.15, Keras 2 and
numpy 1), on the same weights and sequences; they stay up between turns, and while one is timed the others wait. What
they load, compile and check once is done before the first turn. `--positions` mutates that many bases in the middle of
the sequence and gives sequences per second for all. fastISM goes through the sequences together, a position at a
time, so give it more of them (`--peers-sequences 16`) than a timing would need; what tangermeme captures and checks at
every call is captured once and not timed. Figures are medians over the turns. The goals: at least 2 times tangermeme,
and 60% of the bound counted from affected positions, on every network. `--write` keeps the figures in results/ism.csv.
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

LENGTHS = {"basset": 1000, "beluga": 2000, "bpnet": 2114, "bpnet64": 2114, "squeeze": 1000}
TABLE = Path(__file__).parents[1] / "results" / "ism.csv"
Run = Callable[[], Any]
Spec = list[dict[str, Any]]


# ours


def bpnet(n_dilated: int) -> Any:
    """A BPNet reduced to a count: dilated layers of 64 filters with residual connections, a mean over the middle."""
    from keras import Input, Model, layers

    inputs = Input((LENGTHS["bpnet"], 4))
    x = layers.Conv1D(64, 21, padding="same", activation="relu")(inputs)
    for number in range(1, n_dilated + 1):
        dilated = layers.Conv1D(64, 3, padding="same", dilation_rate=2**number, activation="relu")(x)
        x = layers.Add()([x, dilated])
    x = layers.Cropping1D((LENGTHS["bpnet"] - 1000) // 2)(x)
    return Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))


def squeeze() -> Any:
    """Two convolutions with pooling, a squeeze-excite block, and a convolution of what it gives."""
    from keras import Input, Model, layers

    inputs = x = Input((LENGTHS["squeeze"], 4))
    for size, pool in ((19, 3), (11, 4)):
        x = layers.Conv1D(160, size, padding="same", activation="relu")(x)
        x = layers.MaxPooling1D(pool)(x)
    gate = layers.Dense(20, activation="relu")(layers.GlobalAveragePooling1D()(x))
    gate = layers.Reshape((1, 160))(layers.Dense(160, activation="sigmoid")(gate))
    x = layers.Conv1D(160, 3, padding="same", activation="relu")(layers.Multiply()([x, gate]))
    return Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))


def build(name: str) -> tuple[Any, Spec]:
    """A model with random weights, and its layers with these as plain arrays."""
    import keras

    from simbench_tf import models

    keras.utils.set_random_seed(1)
    if name in ("basset", "beluga"):
        model = getattr(models, name)(seq_length=LENGTHS[name], seed=1)
    else:
        model = squeeze() if name == "squeeze" else bpnet(9 if name == "bpnet" else 6)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            size = layer.gamma.shape
            normal = rng.normal(0, 0.2, size), rng.normal(0, 0.2, size)
            layer.set_weights([rng.uniform(0.5, 1.5, size), *normal, rng.uniform(0.5, 1.5, size)])
    return model, described(model)


# settings of Keras' layers that the networks here use
SETTINGS = {
    "Conv1D": ("filters", "kernel_size", "padding", "dilation_rate"),
    "Dense": ("units",),
    "MaxPooling1D": ("pool_size",),
    "BatchNormalization": ("epsilon",),
    "Cropping1D": ("cropping",),
    "Reshape": ("target_shape",),
}


def described(model: Any) -> Spec:
    """Each layer's kind, name, inputs' names, settings, activation and weights; a last sigmoid is left out."""
    spec = []
    for layer in model.layers:
        kind = type(layer).__name__
        node = layer._inbound_nodes[0]
        spec.append(
            {
                "kind": kind,
                "name": layer.name,
                "inputs": [tensor._keras_history.operation.name for tensor in node.input_tensors],
                "settings": {key: getattr(layer, key) for key in SETTINGS.get(kind, ())},
                "activation": getattr(getattr(layer, "activation", None), "__name__", "linear"),
                "weights": [np.asarray(weight) for weight in layer.weights],
            }
        )
    # what is explained is the logit
    if spec[-1]["activation"] == "sigmoid":
        spec[-1]["activation"] = "linear"
    return spec


def ours(model: Any, one_hot: Any, start: int, end: int, fast: bool) -> Run:
    from simbench_tf.attribution import attribute

    return lambda: attribute(model, one_hot, "ism", start=start, end=end, fast=fast).hypothetical


# the peers: each serves from a child process


#: Which of its two ways a peer took, where it chooses.
_WAY: dict[str, str] = {}


def tangermeme(layers: Spec, one_hot: Any, start: int, end: int) -> Run:
    import tangermeme.saturation_mutagenesis as module
    import torch

    # it would go the slow way where it guesses that the slow way takes less than half a minute
    module._FAST_MIN_SECONDS = 0.0
    # what it captures and checks anew at every call is kept from the first on: none of the first edits is left out then
    capture, captured = module._fast_path, []

    def fast_path(*args: Any) -> Any:
        if not captured:
            captured.append(capture(*args)[0])
            _WAY["tangermeme"] = "fast" if captured[0] is not None else "slow"
        return captured[0], None, 0

    module._fast_path = fast_path

    model = torch_model(layers)
    x = torch.from_numpy(one_hot).permute(0, 2, 1).contiguous()

    def run() -> Any:
        settings = {"start": start, "end": end, "hypothetical": True, "device": "cpu", "batch_size": 128}
        return module.saturation_mutagenesis(model, x, **settings).permute(0, 2, 1).numpy()

    return run


def torch_model(layers: Spec) -> Any:
    """The same network in PyTorch, (N, 4, L) -> (N, 1)."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleDict(
                {layer["name"]: torch_layer(layer) for layer in layers if layer["weights"]}
            )

        def forward(self, x: Any) -> Any:
            values: dict[str, Any] = {}
            for layer in layers:
                given = [values[name] for name in layer["inputs"]]
                values[layer["name"]] = self.one(layer, given) if given else x
            return values[layers[-1]["name"]]

        def one(self, layer: dict[str, Any], given: list[Any]) -> Any:
            kind, x, settings = layer["kind"], given[0], layer["settings"]
            if layer["weights"]:
                x = self.parts[layer["name"]](x)
            elif kind in ("Add", "Multiply"):
                x = x + given[1] if kind == "Add" else x * given[1]
            elif kind == "MaxPooling1D":
                x = torch.nn.functional.max_pool1d(x, settings["pool_size"][0])
            elif kind == "Cropping1D":
                before, after = settings["cropping"]
                x = x[:, :, before : x.shape[2] - after]
            elif kind == "GlobalAveragePooling1D":
                x = x.mean(dim=2)
            elif kind == "Reshape":
                x = x.unsqueeze(2)
            elif kind == "Flatten":
                x = x.transpose(1, 2).flatten(1)
            elif kind not in ("ReLU", "Dropout", "Activation"):
                raise ValueError(f"no {kind} here")
            activation = "relu" if kind == "ReLU" else layer["activation"]
            return x if activation == "linear" else getattr(torch, activation)(x)

    return Network().eval()


def torch_layer(layer: dict[str, Any]) -> Any:
    """A layer of PyTorch with the weights of Keras' one."""
    import torch

    tensors = [torch.from_numpy(w.copy()) for w in layer["weights"]]
    settings = layer["settings"]
    if layer["kind"] == "Conv1D":
        size, n_in, n_out = tensors[0].shape
        dilation = settings["dilation_rate"][0]
        padding = (size - 1) * dilation // 2 if settings["padding"] == "same" else 0
        made: Any = torch.nn.Conv1d(n_in, n_out, size, padding=padding, dilation=dilation)
        made.weight.data, made.bias.data = tensors[0].permute(2, 1, 0).contiguous(), tensors[1]
    elif layer["kind"] == "Dense":
        made = torch.nn.Linear(*tensors[0].shape)
        made.weight.data, made.bias.data = tensors[0].T.contiguous(), tensors[1]
    else:
        made = torch.nn.BatchNorm1d(len(tensors[0]), eps=settings["epsilon"])
        made.weight.data, made.bias.data = tensors[:2]
        made.running_mean, made.running_var = tensors[2:]
    return made


def fastism(layers: Spec, one_hot: Any, start: int, end: int) -> Run:
    import fastism
    import tensorflow as tf

    inputs = tf.keras.Input(one_hot.shape[1:])
    values = {layers[0]["name"]: inputs}
    for layer in layers[1:]:
        settings = dict(layer["settings"])
        if layer["activation"] != "linear" or layer["kind"] == "Activation":
            settings["activation"] = layer["activation"]
        made = getattr(tf.keras.layers, layer["kind"])(**settings)
        given = [values[name] for name in layer["inputs"]]
        values[layer["name"]] = made(given if len(given) > 1 else given[0])
        made.set_weights(layer["weights"])
    model = tf.keras.Model(inputs, values[layers[-1]["name"]])
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
    print(json.dumps({"n": len(one_hot), "way": _WAY.get(name, "fast")}), flush=True)
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
        begun = self.answer()
        self.n, self.way = begun["n"], begun["way"]

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


def report(name: str, rates: dict[str, Any], bound: float) -> dict[str, Any]:
    """Print medians over the turns, and the lowest and highest ratio within a turn; the network's row of the table."""
    row: dict[str, Any] = {"network": name, "bases": LENGTHS[name], "bound": round(bound, 1)}
    for kind, rate in rates.items():
        ratios = rates["windows"] / rate
        print(
            f"{kind:14s}{np.median(rate):10.4f} sequences/s; windows are {np.median(ratios):7.2f} times that "
            f"({ratios.min():.2f} to {ratios.max():.2f})"
        )
        if kind == "windows":
            row["sequences_per_second"] = float(f"{np.median(rate):.3g}")
        else:
            row[f"times_{kind.replace(' ', '_')}"] = round(float(np.median(ratios)), 2)
            row[f"lowest_{kind.replace(' ', '_')}"] = round(float(ratios.min()), 2)
    row["share_of_bound"] = round(row["times_whole_passes"] / bound, 2)
    print(
        f"counted from affected positions {bound:.1f} times whole passes is the bound: windows reach "
        f"{row['share_of_bound']:.0%} of it"
    )
    return row


def write_rows(rows: list[dict[str, Any]]) -> None:
    """Put the rows of networks into the table, in the place of older ones."""
    import pandas as pd

    from simbench_tf.files import whole_file

    new = pd.DataFrame(rows)
    if TABLE.exists():
        old = pd.read_csv(TABLE)
        new = pd.concat([old[~old["network"].isin(new["network"])], new])
    order = list(LENGTHS)
    new = new.sort_values("network", key=lambda column: column.map(order.index))
    with whole_file(TABLE) as path:
        new.to_csv(path, index=False)


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Time one network, its windows, whole passes and peers in turns."""
    from simbench_tf.attribution.mutagenesis.bound import speed_bound
    from simbench_tf.attribution.mutagenesis.graph import read_graph
    from simbench_tf.attribution.mutagenesis.windows import plan_windows
    from simbench_tf.attribution.network import open_network

    length = LENGTHS[name]
    model, layers = build(name)
    network = open_network(model, length)
    graph = read_graph(network.graph, length)
    # a block is followed as a whole, however few of its positions are asked for
    block = plan_windows(graph, network.batch_size).block
    width = min(-(-(args.positions or length) // block) * block, length)
    # where a block of most networks may begin
    start = (length - width) // 2 // 48 * 48
    end = start + width
    rng = np.random.default_rng(0)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (max(args.sequences, args.peers_sequences), length))]
    peers = {peer: getattr(args, peer) for peer in ("tangermeme", "fastism") if getattr(args, peer)}
    counts = {"windows": args.sequences, "whole passes": 1, **dict.fromkeys(peers, args.peers_sequences)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        held = np.empty(len(layers), object)
        held[:] = layers
        np.savez(folder / "job.npz", one_hot=x, layers=held, window=[start, end], **{p: counts[p] for p in peers})
        runs: dict[str, Callable[[], float]] = {}
        values, ways = {}, {}
        for kind, fast in (("windows", True), ("whole passes", False)):
            run = ours(model, x[: counts[kind]], start, end, fast)
            values[kind] = run()[:, start:end]
            runs[kind] = lambda run=run: timed(run)
        for peer, python in peers.items():
            begun = Peer(python, peer, folder)
            runs[peer], ways[f"{peer}_way"] = begun.seconds, begun.way
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
    print(f"{name} at {length} bp, {width} of its bases mutated, {args.turns} turns:")
    rates = {kind: width / length * counts[kind] / np.array(each) for kind, each in seconds.items()}
    return report(name, rates, speed_bound(graph)) | {"positions": int(width), **ways}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=LENGTHS, nargs="+", default=list(LENGTHS))
    parser.add_argument("--positions", type=int, help="bases to mutate, filled up to whole blocks; all by default")
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--peers-sequences", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tangermeme", metavar="PYTHON")
    parser.add_argument("--fastism", metavar="PYTHON")
    parser.add_argument("--write", action="store_true", help="put the figures into results/ism.csv")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.folder)
        return
    rows = [measure(name, args) for name in args.model]
    if args.write:
        write_rows(rows)


if __name__ == "__main__":
    main()
