"""Memory of this process while one new model after the other is explained and forgotten: 60 for each method.

    python benchmarks/models_in_memory.py > results/models_in_memory.csv
    python benchmarks/models_in_memory.py deeplift_rescale --models 12

Beside it stands how many graphs and variables of TensorFlow the process still holds: where these do not grow, what does
is what TensorFlow's compiler (XLA) keeps of each program until the process ends. Runs put the weights of each network
into one model of its architecture, so that it is compiled once.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys

import numpy as np
import psutil

METHODS = ("grad_x_input", "integrated_gradients", "gradcam", "ism", "deeplift_rescale")
_HELD = ("FuncGraph", "ConcreteFunction", "Functional", "Variable")


def main() -> None:
    """Print a row for every sixth model; each method in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS, metavar="METHOD")
    parser.add_argument("--models", type=int, default=60)
    parser.add_argument("--here", action="store_true", help="In this process; used for each method.")
    chosen = parser.parse_args()
    if chosen.here:
        explain_new_models(chosen.methods[0], chosen.models)
        return
    print("method,models,resident_mb,held", flush=True)
    for method in chosen.methods:
        subprocess.run([sys.executable, __file__, method, "--models", str(chosen.models), "--here"], check=True)


def explain_new_models(method: str, n_models: int) -> None:
    """Build, explain and forget models, and print what this process holds."""
    import simbench_tf as sb

    bases = np.random.default_rng(0).integers(0, 4, (8, 200))
    one_hot = np.eye(4, dtype=np.float32)[bases]
    for number in range(1, n_models + 1):
        sb.attribute(sb.basset(200, 2, width=0.05, padding="same"), one_hot, method=method, target=0)
        if number % 6 == 0:
            gc.collect()
            held = sum(type(each).__name__ in _HELD for each in gc.get_objects())
            print(f"{method},{number},{psutil.Process().memory_info().rss / 1e6:.0f},{held}", flush=True)


if __name__ == "__main__":
    main()
