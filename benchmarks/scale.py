"""Seconds and peak memory of every step at up to a million sequences of 400 bp, each in a process of its own.

    python benchmarks/scale.py > results/scale.csv           # 100,000 and 1,000,000; 5,000 explained by twelve methods
    python benchmarks/scale.py --n 20000 --explained 200     # a quick look
    python docs/make_scale.py                                # docs/scale.md from the table

The data are the demo's grammar; the network is a small one, trained for 200 batches, since its quality changes nothing
here. The oracle looks at the test split, a fifth of the sequences. Goal: 2 GB for each step.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from simbench_tf.config import config_dict, load_config

#: Twelve methods that are quick on a small network: what is measured is what their scores cost in memory.
_METHODS: list[dict[str, Any]] = [
    {"method": ["grad_x_input", "saliency"]},
    {"method": "gradcam", "layer": ["first", "last"]},
    {"method": "grad_x_activation", "layer": "first"},
    {"method": "integrated_gradients", "references": ["zeros", "frequency"], "n_steps": 5},
    {"method": "deeplift_rescale", "references": ["zeros", "frequency", "shuffle:2"]},
    {"method": "deeplift_genomics", "references": ["zeros", "shuffle:2"]},
]
#: Step -> arguments of `simbench` (RUN stands for the run), or a program that has the run as its argument.
_STEPS: dict[str, list[str] | str] = {
    "simulate": ["simulate", "CONFIG", "--out", "RUN"],
    "open": "dataset = open_dataset(RUN / 'dataset'); assert len(dataset.seq_ids('train')) > 0",
    "mask": "assert open_dataset(RUN / 'dataset').mask('train', task='HepG2').any()",
    "tf.data pass": (
        "n = sum(len(x) for x, y in open_dataset(RUN / 'dataset').tf_data('train', batch_size=500, repeat=False));"
        "print(n, file=sys.stderr)"
    ),
    "train": ["train", "RUN"],
    "attribute": ["attribute", "RUN"],
    "oracle": ["oracle", "RUN"],
    "score": ["score", "RUN"],
    "report": ["report", "RUN"],
    "verify": ["verify", "RUN"],
    # what one process does with the attributions that others made: as many as the data set has, whatever made them
    "gather": (
        "import h5py; import numpy as np; from simbench_tf.run.parts import PartsFolder, join_parts, write_part;"
        "n = sum(open_dataset(RUN / 'dataset').counts.values()) // 10;"
        "folder = PartsFolder(RUN / 'gather.parts', 'key');"
        "rng = np.random.default_rng(0);"
        "parts = [write_part(folder, first, {'scores': rng.normal(size=(10_000, 400)).astype(np.float32)})"
        " for first in range(0, n - n % 10_000, 10_000)];"
        "join_parts(parts, h5py.File(RUN / 'gather.h5', 'w'), 100)"
    ),
}
_BEFORE = "import sys; from pathlib import Path; from simbench_tf import open_dataset; RUN = Path(sys.argv[1]);"


def main() -> None:
    """Print a row for each step as it ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[100_000, 1_000_000], help="Sequences.")
    parser.add_argument("--explained", type=int, default=5_000, help="Positives of each of two tasks.")
    parser.add_argument("--folder", type=Path, help="Where the run goes, and stays; by default nowhere.")
    chosen = parser.parse_args()
    print("step,n_sequences,seconds,processor_seconds,peak_mb", flush=True)
    for n in chosen.n:
        with tempfile.TemporaryDirectory() as scratch:
            run = (chosen.folder or Path(scratch)) / f"run-{n}"
            config = Path(scratch) / "scale.yaml"
            config.write_text(yaml.safe_dump(_config(n, chosen.explained)))
            for step, work in _STEPS.items():
                seconds, processor, peak = _measured(_command(work, config, run))
                print(f"{step},{n},{seconds:.1f},{processor:.1f},{peak:.0f}", flush=True)


def _config(n: int, explained: int) -> dict[str, Any]:
    config = config_dict(load_config("demo", [f"simulation.n_sequences={n}", f"attribution.n_sequences={explained}"]))
    config.pop("dynamics", None)
    config["models"] = [{"name": "basset", "architecture": "basset", "padding": "same", "width": 0.05}]
    config["training"] = {"max_batches": 200, "batch_size": 100, "fresh": False}
    config["attribution"]["methods"] = _METHODS
    return config


def _command(work: list[str] | str, config: Path, run: Path) -> list[str]:
    if isinstance(work, str):
        return [sys.executable, "-c", _BEFORE + work, str(run)]
    paths = {"RUN": str(run), "CONFIG": str(config)}
    return [sys.executable, "-m", "simbench_tf.cli", *(paths.get(word, word) for word in work)]


def _measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds by the clock and of the processor, and the most memory, MB, of a command; its output goes to stderr."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
