"""Steps per second of training: the whole fit, one repeated batch, and PyTorch eager, in turns.

    python benchmarks/training.py --torch TORCH/bin/python                                  # Basset at 600 bp
    python benchmarks/training.py --torch TORCH/bin/python --model beluga --length 1000 --batches 4
    python benchmarks/training.py --model beluga --length 400 --batches 1000                # on a GPU; also 1000,
    python benchmarks/training.py --model basset --length 1000 --batches 1000               # and Basset at 400

`fit` is `simbench_tf.train` on a data set on disk, `repeated` the same compiled step on one batch that never changes:
their ratio tells what the input pipeline costs (goal: .95 or more); `input alone` is how fast it could feed a device.
Batches until all is compiled and has run once are not timed. The share is that of the rate of a large matrix product in
the same precision, measured in the same turn. PyTorch runs in an interpreter of its own, with the same layers, Adam and
one repeated batch that is encoded beforehand; while one is timed the others wait. Figures are medians over the turns.
Goals: 1.2 times PyTorch eager on a CPU for Basset at 600 bp and Beluga at 1,000 bp; on an H100 1.3 times 173 steps/s
(Beluga, 400 bp), 77 (Beluga, 1,000 bp) and 139 (Basset, 1,000 bp).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

# this file also runs inside the peer, where neither the package nor Keras is: everything else is imported late

_WARM_UP = 3


# ours


def layers_of(model: Any) -> list[dict[str, Any]]:
    """The layers in order, as plain values."""
    kinds = {"Conv1D": "filters", "Dense": "units", "MaxPooling1D": "pool_size", "Dropout": "rate"}
    described = []
    for layer in model.layers:
        kind = type(layer).__name__
        size = getattr(layer, kinds[kind]) if kind in kinds else 0
        shapes = [list(weight.shape) for weight in layer.weights]
        # positions at which a kernel is applied
        places = layer.output.shape[1] if kind == "Conv1D" else 1
        described.append(
            {"kind": kind, "size": size[0] if isinstance(size, tuple) else size, "shapes": shapes, "places": places}
        )
    return described


def flop_of_a_sequence(layers: list[dict[str, Any]]) -> float:
    """Multiplications and additions of kernels: forward, for the weights, and, but for the first layer, the inputs."""
    forward = [
        2 * np.prod(each["shapes"][0]) * each["places"] for each in layers if each["kind"] in ("Conv1D", "Dense")
    ]
    return float(3 * sum(forward) - forward[0])


def write_random_dataset(folder: Path, length: int, n: int) -> Any:
    """A data set of random bases and labels with nothing to validate on."""
    import pyarrow as pa

    from simbench_tf.dataset import open_dataset, write_dataset
    from simbench_tf.dna.arrow import text_column
    from simbench_tf.motifs import Motif
    from simbench_tf.tables import SITES_SCHEMA, sequence_schema

    random, tasks = np.random.default_rng(0), [f"task{number}" for number in range(5)]
    columns = {
        "seq_id": [f"s{row}" for row in range(n)],
        **dict.fromkeys(("chrom", "start", "end"), [None] * n),
        "split": ["train"] * n,
        "sequence": text_column(random.integers(4, size=(n, length)).astype(np.uint8)),
        **{task: random.integers(2, size=n).astype(np.uint8) for task in tasks},
    }
    parts = [(pa.table(columns, schema=sequence_schema(tasks)), SITES_SCHEMA.empty_table())]
    motif = Motif("none", "none", np.full((1, 4), 0.25), 1.0)
    notes: dict[str, Any] = {"elements": {}}
    write_dataset(folder, name="random", kind="grammar", tasks=tasks, motifs=[motif], parts=parts, notes=notes)
    return open_dataset(folder)


def fit_rate(model: Any, dataset: Any, training: Any) -> float:
    """Batches per second of `train`, from the first call after the warm-up to the end."""
    from simbench_tf.training import train

    ends: list[tuple[float, int]] = []
    train(model, dataset, training, progress=lambda n: ends.append((time.perf_counter(), n)))
    ends = ends[1 + _WARM_UP :]  # the first tells of batches done before
    return sum(n for _, n in ends[1:]) / (ends[-1][0] - ends[0][0])


def input_rate(dataset: Any, training: Any, n_batches: int = 400) -> float:
    """Batches per second of the input pipeline alone: shuffled, each sequence from either strand."""
    data = dataset.tf_data("train", training.batch_size, repeat=True, reverse_complement=True, as_bases=True)
    batches = iter(data)
    next(batches)
    begin = time.perf_counter()
    for _ in range(n_batches):
        next(batches)
    return n_batches / (time.perf_counter() - begin)


def repeated_rate(shell: Any, dataset: Any, training: Any, n_batches: int) -> float:
    """Batches per second of the same step on one batch, over and over."""
    import keras
    import tensorflow as tf

    batch = next(iter(dataset.tf_data("train", training.batch_size, as_bases=True)))
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: ends.append(time.perf_counter()))
    data = tf.data.Dataset.from_tensors(batch).repeat()
    shell.fit(data, steps_per_epoch=n_batches, shuffle=False, verbose=0, callbacks=[clock])
    ends = ends[_WARM_UP:]
    return (len(ends) - 1) * shell.steps_per_execution / (ends[-1] - ends[0])


def product_rate(precision: str, on_gpu: bool) -> float:
    """Multiplications and additions a second of a large matrix product."""
    import tensorflow as tf

    size, n_times = (8192, 50) if on_gpu else (2048, 5)
    one = tf.random.normal((size, size), dtype=precision)
    product = tf.function(lambda x: tf.reduce_sum(tf.linalg.matmul(x, one)), jit_compile=on_gpu)
    float(product(one))
    begin = time.perf_counter()
    for _ in range(n_times):
        last = product(one)
    float(last)
    return 2 * size**3 * n_times / (time.perf_counter() - begin)


# the peer: PyTorch, from a child process


def serve(folder: Path) -> None:
    """Answer each line on standard input, a number of batches, with batches per second."""
    import torch

    job = json.loads((folder / "job.json").read_text())
    stack: list[Any] = []
    for layer in job["layers"]:
        kind, shapes, size = layer["kind"], layer["shapes"], layer["size"]
        if kind == "Conv1D":
            stack.append(torch.nn.Conv1d(shapes[0][1], shapes[0][2], shapes[0][0]))
        elif kind == "Dense":
            stack.append(torch.nn.Linear(*shapes[0]))
        elif kind == "BatchNormalization":
            stack.append(torch.nn.BatchNorm1d(shapes[0][0]))
        elif kind in ("MaxPooling1D", "Dropout"):
            stack.append({"MaxPooling1D": torch.nn.MaxPool1d, "Dropout": torch.nn.Dropout}[kind](size))
        elif kind != "InputLayer":
            stack.append({"ReLU": torch.nn.ReLU, "Flatten": torch.nn.Flatten, "Activation": torch.nn.Sigmoid}[kind]())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.Sequential(*stack).to(device).train()
    random = np.random.default_rng(0)
    bases = random.integers(4, size=(job["batch_size"], job["length"]))
    x = torch.from_numpy(np.eye(4, dtype=np.float32)[bases]).permute(0, 2, 1).contiguous().to(device)
    y = torch.from_numpy(random.integers(2, size=(job["batch_size"], 5)).astype(np.float32)).to(device)
    optimizer, loss = torch.optim.Adam(model.parameters(), 0.001), torch.nn.BCELoss()

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return float(value)

    step()
    print(json.dumps({"ready": torch.__version__}), flush=True)
    for line in sys.stdin:
        step()
        begin = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(json.dumps({"rate": int(line) / (time.perf_counter() - begin)}), flush=True)


class Peer:
    """A child process that runs `serve`."""

    def __init__(self, python: str, folder: Path) -> None:
        self.child = subprocess.Popen(
            [python, __file__, "--serve", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        print(f"PyTorch {self.answer()['ready']}")

    def answer(self) -> dict[str, Any]:
        """Read the next line."""
        assert self.child.stdout is not None
        return json.loads(self.child.stdout.readline())

    def rate(self, n_batches: int) -> float:
        """Batches per second, by the peer's own clock."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{n_batches}\n")
        self.child.stdin.flush()
        return self.answer()["rate"]


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Time all in turns and print medians with the ratios within a turn."""
    import tensorflow as tf

    import simbench_tf as sb
    from simbench_tf.config import Training
    from simbench_tf.devices import computation, strategy
    from simbench_tf.training.wrapper import make_shell

    model = getattr(sb, args.model)(seq_length=args.length, n_tasks=5, seed=1)
    layers = layers_of(model)
    dataset = write_random_dataset(folder / "dataset", args.length, 40 * args.batch_size)
    how = computation(Training(precision=args.precision), 1, [args.batches])
    n_batches = args.batches + (_WARM_UP + 1) * how.steps_per_execution
    training = Training(
        batch_size=args.batch_size, max_batches=n_batches, validate_every=n_batches, precision=args.precision,
        checkpoint_interval=n_batches, steps_per_execution=how.steps_per_execution,
    )  # fmt: skip
    how = computation(training, 1, [n_batches])
    print(f"{args.model}, {args.length} bp, batches of {args.batch_size}, on {how}")
    shell = make_shell(model, args.length, training, how, strategy())
    job = {"layers": layers, "length": args.length, "batch_size": args.batch_size}
    (folder / "job.json").write_text(json.dumps(job))
    peer = Peer(args.torch, folder) if args.torch else None
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    rates: dict[str, list[float]] = {}
    for _ in range(args.turns):
        turn = {
            "fit": fit_rate(model, dataset, training),
            "input alone": input_rate(dataset, training),
            "repeated": repeated_rate(shell, dataset, training, n_batches),
            **({"PyTorch eager": peer.rate(args.batches)} if peer else {}),
            "product": product_rate(how.precision, on_gpu),
        }
        for name, rate in turn.items():
            rates.setdefault(name, []).append(rate)
    flop = flop_of_a_sequence(layers) * args.batch_size
    fit, product, given = (np.array(rates.pop(name)) for name in ("fit", "product", "input alone"))
    shares = fit * flop / product
    print(f"fit{np.median(fit):23.3f} batches/s, {np.median(fit) * flop / 1e12:.2f} TFLOP/s, ", end="")
    print(f"{np.median(shares):.2f} of a matrix product's {np.median(product) / 1e12:.2f}")
    print(f"input alone{np.median(given):15.0f} batches/s")
    for name, values in rates.items():
        ratios = fit / np.array(values)
        print(
            f"{name:16s}{np.median(values):10.3f} batches/s; fit is {np.median(ratios):.2f} times that "
            f"({ratios.min():.2f} to {ratios.max():.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("basset", "beluga"), default="basset")
    parser.add_argument("--length", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=300)
    parser.add_argument("--batches", type=int, default=10, help="timed in each turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(args, Path(folder))


if __name__ == "__main__":
    main()
