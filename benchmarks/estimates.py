"""What `simbench check` estimates, against what finished runs took by their manifests: results/estimates.csv.

python benchmarks/estimates.py runs/demo runs/rules
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from simbench_tf.run.folder import config_of
from simbench_tf.run.status import state_of_run
from simbench_tf.stages.estimate import estimates
from simbench_tf.stages.train import check_models

RESULTS = Path(__file__).parents[1] / "results" / "estimates.csv"


def compared(run: Path) -> list[dict[str, str | float]]:
    """A row for each stage: estimated seconds, and those that it took."""
    config = config_of(run)
    length = config.simulation.length
    assert length is not None, "the data of text say how long it is"
    took = {state.stage: state.seconds for state in state_of_run(run)}
    networks = check_models(config, config.replicates, length, config.tasks)
    return [
        {
            "run": config.name,
            "stage": each.stage,
            "estimated": round(each.seconds, 1),
            "took": round(took[each.stage], 1),
        }
        for each in estimates(config, networks)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    table = pd.DataFrame([row for run in parser.parse_args().runs for row in compared(run)])
    table.to_csv(RESULTS, index=False)
    print(table.to_string(index=False))
