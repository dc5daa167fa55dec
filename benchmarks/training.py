"""Steps per second of training in both precisions: the whole fit, kept or fresh sequences, one repeated batch, PyTorch.

    python benchmarks/training.py --torch TORCH/bin/python                                  # Basset at 600 bp
    python benchmarks/training.py --torch TORCH/bin/python --model beluga --length 1000 --batches 4
    python benchmarks/training.py --length 400 --batch-size 64 --width .25                  # a narrow one
    python benchmarks/training.py --model beluga --length 400 --batches 1000                # on a GPU; also 1000,
    python benchmarks/training.py --model basset --length 1000 --batches 1000               # and Basset at 400

`fit` is `simbench_tf.train` on a data set on disk, `fresh` the same on sequences drawn anew, `repeated` the same
compiled step on one batch that never changes: their ratios to it tell what the input pipelines cost (goal: .95 or
more); `input alone` and `drawing alone` are how fast these could feed a device (an H100 takes about 60,000 sequences a
second for Basset at 400 bp). Batches until all is compiled and has run once are not timed. Beside the batches a second
stand the processor's seconds of a batch, which other work on the machine changes less. The share is that of the rate
of a large matrix product in the same precision, measured in the same turn. PyTorch runs in an interpreter of its own,
in float32, with the same layers, Adam and one repeated batch that is encoded beforehand; while one is timed the others
wait. Figures are medians over the turns. Goals: 1.2 times PyTorch eager on a CPU for Basset at 600 bp and Beluga at
1,000 bp; on an H100 1.3 times 173 steps/s (Beluga, 400 bp), 77 (Beluga, 1,000 bp) and 139 (Basset, 1,000 bp).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

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


def simulate(folder: Path, length: int, n: int) -> Any:
    """A data set of five tasks, nearly all of it to train on."""
    from simbench_tf import pipeline
    from simbench_tf.config import load_config
    from simbench_tf.dataset import open_dataset
    from simbench_tf.run.folder import begin

    sizes = {"seq_length": length, "n_sequences": n, "splits": "{valid: 0, test: .01}"}
    config = load_config("five_lines", [f"simulation.{key}={value}" for key, value in sizes.items()])
    begin(config, folder)
    pipeline.simulate(config, folder)
    return open_dataset(folder)


class Rate(NamedTuple):
    """Batches a second, and seconds of the processor, all cores together, for each."""

    batches: float
    processor: float


class Clock:
    """Notes the time whenever it is told of batches."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float, int]] = []

    def __call__(self, n: int) -> None:
        """Note that n batches are done."""
        self.ends.append((time.perf_counter(), time.process_time(), n))

    def rate(self, n_left_out: int) -> Rate:
        """The rate from the end of so many calls on."""
        (begin, busy, _), *rest = self.ends[n_left_out:]
        n = sum(each[2] for each in rest)
        return Rate(n / (rest[-1][0] - begin), (rest[-1][1] - busy) / n)


def fit_rate(model: Any, dataset: Any, training: Any, **settings: Any) -> Rate:
    """The rate of `train`, from the first call after the warm-up to the end."""
    from simbench_tf.training import train

    clock = Clock()
    train(model, dataset, training, progress=clock, **settings)
    return clock.rate(1 + _WARM_UP)  # the first tells of batches done before


def input_rate(dataset: Any, training: Any, n_batches: int = 400) -> float:
    """Batches per second of the input pipeline alone: shuffled, each sequence from either strand."""
    data = dataset.tf_data("train", training.batch_size, repeat=True, reverse_complement=True, as_bases=True)
    batches = iter(data)
    next(batches)
    begin = time.perf_counter()
    for _ in range(n_batches):
        next(batches)
    return n_batches / (time.perf_counter() - begin)


def drawing_rate(dataset: Any, batch_size: int, n_batches: int = 400) -> float:
    """Batches per second of fresh sequences alone, on all cores that draw."""
    from simbench_tf.dataset_grammar import grammar_of
    from simbench_tf.training.fresh_batches import fresh_batches

    batches = fresh_batches(grammar_of(dataset), batch_size, seed=0)
    for _ in range(20):
        next(batches)
    begin = time.perf_counter()
    for _ in range(n_batches):
        next(batches)
    return n_batches / (time.perf_counter() - begin)


def repeated_rate(shell: Any, dataset: Any, training: Any, n_batches: int) -> Rate:
    """The rate of the same step on one batch, over and over."""
    import keras
    import tensorflow as tf

    batch = next(iter(dataset.tf_data("train", training.batch_size, as_bases=True)))
    clock = Clock()
    tell = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: clock(shell.steps_per_execution))
    data = tf.data.Dataset.from_tensors(batch).repeat()
    shell.fit(data, steps_per_epoch=n_batches, shuffle=False, verbose=0, callbacks=[tell])
    return clock.rate(_WARM_UP)


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


class Contender(NamedTuple):
    """A precision with what is timed in it."""

    training: Any
    shell: Any
    n_batches: int


def contender(args: argparse.Namespace, model: Any, precision: str) -> Contender:
    """Compile the step of a precision."""
    from simbench_tf.config import Training
    from simbench_tf.devices import computation, strategy
    from simbench_tf.training.wrapper import make_shell

    how = computation(Training(precision=precision), 1, [args.batches])
    n_batches = args.batches + (_WARM_UP + 1) * how.steps_per_execution
    training = Training(
        batch_size=args.batch_size, max_batches=n_batches, validate_every=n_batches, precision=precision,
        checkpoint_interval=n_batches, steps_per_execution=how.steps_per_execution,
    )  # fmt: skip
    how = computation(training, 1, [n_batches])
    print(f"{args.model}, width {args.width}, {args.length} bp, batches of {args.batch_size}, on {how}")
    return Contender(training, make_shell(model, args.length, training, how, strategy()), n_batches)


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Time all in turns and print medians with the ratios within a turn."""
    import tensorflow as tf

    import simbench_tf as sb

    model = getattr(sb, args.model)(seq_length=args.length, n_tasks=5, width=args.width, seed=1)
    layers = layers_of(model)
    dataset = simulate(folder, args.length, 40 * args.batch_size)
    contenders = {precision: contender(args, model, precision) for precision in args.precision}
    job = {"layers": layers, "length": args.length, "batch_size": args.batch_size}
    (folder / "job.json").write_text(json.dumps(job))
    peer = Peer(args.torch, folder) if args.torch else None
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    turns: list[dict[tuple[str, str], Any]] = []
    for _ in range(args.turns):
        turn: dict[tuple[str, str], Any] = {}
        for precision, (training, shell, n_batches) in contenders.items():
            turn[precision, "fit"] = fit_rate(model, dataset, training)
            turn[precision, "fresh"] = fit_rate(model, dataset, training, fresh=True)
            turn[precision, "repeated"] = repeated_rate(shell, dataset, training, n_batches)
            turn[precision, "product"] = product_rate(precision, on_gpu)
        turn["", "input"] = input_rate(dataset, contenders[args.precision[0]].training)
        turn["", "drawing"] = drawing_rate(dataset, args.batch_size)
        if peer:
            turn["", "PyTorch"] = Rate(peer.rate(args.batches), float("nan"))
        turns.append(turn)
    tell(args, turns, flop_of_a_sequence(layers) * args.batch_size)


def tell(args: argparse.Namespace, turns: list[dict[tuple[str, str], Any]], flop: float) -> None:
    """Print the medians over turns, and ratios within them."""

    def compared(mine: tuple[str, str], theirs: tuple[str, str], what: int = 0) -> str:
        ratios = np.array([turn[mine][what] / turn[theirs][what] for turn in turns])
        return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"

    for precision in args.precision:
        for name in ("fit", "fresh", "repeated"):
            rates = np.median([turn[precision, name] for turn in turns], axis=0)
            line = f"{precision:9s} {name:9s}{rates[0]:9.3f} batches/s, {rates[1]:6.3f} processor s a batch"
            if name != "repeated":
                pair = (precision, name), (precision, "repeated")
                line += f"; {compared(*pair)} of repeated, {compared(*pair, 1)} times its processor seconds"
            print(line)
        products = np.array([turn[precision, "product"] for turn in turns])
        shares = np.array([turn[precision, "fit"].batches for turn in turns]) * flop / products
        whole = f"a matrix product's {np.median(products) / 1e12:.2f} TFLOP/s"
        print(f"{precision:9s} fit is {np.median(shares):.2f} of {whole}")
        if ("", "PyTorch") in turns[0]:
            print(f"{precision:9s} fit is {compared((precision, 'fit'), ('', 'PyTorch'))} times PyTorch eager")
    if len(args.precision) > 1:
        one, other = args.precision[:2]
        print(f"fit in {other}: {compared((other, 'fit'), (one, 'fit'))} times the batches/s of {one}, ", end="")
        print(f"{compared((other, 'fit'), (one, 'fit'), 1)} times its processor seconds")
    for name in ("input", "drawing"):
        rate = float(np.median([turn["", name] for turn in turns]))
        print(f"{name} alone: {rate:.0f} batches/s, {rate * args.batch_size:,.0f} sequences/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("basset", "beluga"), default="basset")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--length", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=300)
    parser.add_argument("--batches", type=int, default=10, help="timed in each turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--precision", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"], help="one or both"
    )
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
