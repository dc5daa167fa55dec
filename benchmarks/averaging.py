"""What averaging brings each method: both strands, shifts, an ensemble of three seeds; auPRC and cost.

    python benchmarks/averaging.py > results/averaging.csv                  # ten minutes on two cores
    python benchmarks/averaging.py --folder runs/averaging --n 100          # keep the run; more sequences

The data are the demo's, and so is the network, its Basset, trained from three seeds. Of each method every way of
averaging is explained in one run, on the same sequences. A gain is the mean difference in auPRC to the method without
averaging, network by network and sequence by sequence, with trainings and sequences as random effects; of the ensemble
to each of its members. The cost is how many times as much is computed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from simbench_tf import pipeline
from simbench_tf.config import Config, load_config
from simbench_tf.run.folder import begin
from simbench_tf.score.between_models import mean_over_models

SEEDS, SHIFTS = 3, 3
_COPIES: list[dict[str, Any]] = [
    {},
    {"strands": "both"},
    {"shifts": SHIFTS},
    {"strands": "both", "shifts": SHIFTS},
]
_METHODS: list[dict[str, Any]] = [
    {"method": "grad_x_input"},
    {"method": "saliency"},
    {"method": "gradcam", "layer": "first"},
    {"method": "integrated_gradients", "references": "shuffle:3", "n_steps": 5},
    {"method": "deeplift_rescale", "references": "shuffle:5"},
    {"method": "ism"},
]
#: Of methods as dear as this one, both strands alone.
_DEAR = ("ism",)
COLUMNS = ("method", "averaging", "networks", "cost", "auprc", "auprc_se", "gain", "gain_se", "p_value", "n_sequences")


def main() -> None:
    """Make the run, and print a row for each method and way of averaging."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50, help="Sequences explained of each of two tasks.")
    parser.add_argument("--batches", type=int, default=1800, help="Batches of each training; the demo's are 1,800.")
    parser.add_argument("--folder", type=Path, help="Where the run goes, and stays; by default nowhere.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(sys.stderr):
        folder = chosen.folder or Path(scratch) / "run"
        make_run(configured(chosen.n, chosen.batches), folder)
        table = gains(pd.read_parquet(folder / "scores" / "per_sequence.parquet"), _settings(folder))
    table.to_csv(sys.stdout, index=False, float_format="%.5g")


def configured(n_sequences: int, batches: int) -> Config:
    """The demo's data and Basset, from three seeds, with every method averaged in every way."""
    methods = [{**method, **copies} for method in _METHODS for copies in _COPIES
               if method["method"] not in _DEAR or "shifts" not in copies]  # fmt: skip
    changes = {
        "dynamics": None,
        "models.0.seeds": SEEDS,
        "models.0.ensemble": True,
        "models.0.training.max_batches": batches,
        "attribution.n_sequences": n_sequences,
        "attribution.methods": methods,
        "scoring.nulls": False,
    }
    config = load_config("demo", [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    return config.model_copy(update={"models": config.models[:1]})


def make_run(config: Config, folder: Path) -> None:
    """The stages that scores need."""
    begin(config, folder)
    for stage in (pipeline.simulate, pipeline.train, pipeline.attribute, pipeline.score):
        stage(config, folder)
        print(f"{stage.__name__} done", flush=True)


def _settings(folder: Path) -> pd.DataFrame:
    """Of each key its method, with references and settings, without those of averaging, and these apart."""
    summary = pd.read_csv(folder / "scores" / "summary.csv", keep_default_na=False).drop_duplicates("key")
    rows = []
    for row in summary.itertuples():
        settings = json.loads(row.settings)
        copies = {"strands": settings.pop("strands", "one"), "shifts": settings.pop("shifts", 0)}
        own = [f"{name} {value}" for name, value in settings.items()]
        given = [*([row.references] if row.references != "none" else []), *own]
        title = row.method + (f" ({', '.join(given)})" if given else "")
        rows.append({"key": row.key, "method": title, **copies})
    return pd.DataFrame(rows)


def gains(per_sequence: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """A row for each method and way of averaging.

    Parameters
    ----------
    per_sequence : DataFrame
        Of a run: model, task, key, seq_id and auprc.
    settings : DataFrame
        Of each key: method, strands, shifts.

    Returns
    -------
    DataFrame
        With `COLUMNS`. networks is what is averaged: one training at a time (of three), or their ensemble.
    """
    table = per_sequence[["model", "task", "key", "seq_id", "auprc"]].merge(settings, on="key")
    is_ensemble = table["model"].str.endswith("-ensemble")
    return pd.DataFrame(_rows(table, is_ensemble), columns=list(COLUMNS))


def _rows(table: pd.DataFrame, is_ensemble: pd.Series) -> Iterator[tuple[Any, ...]]:
    place = ["task", "seq_id"]
    for method in table["method"].unique():
        mine = table["method"] == method
        plain = table[mine & ~is_ensemble & (table["strands"] == "one") & (table["shifts"] == 0)]
        for (strands, shifts), of_copies in table[mine].groupby(["strands", "shifts"], sort=False):
            copies = (2 if strands == "both" else 1) * (2 * shifts + 1)
            ways = [*(["both strands"] if strands == "both" else []), *([f"shifts {shifts}"] if shifts else [])]
            for together in (False, True):
                own = of_copies[is_ensemble[of_copies.index] == together]
                on = place if together else ["model", *place]
                beside = plain.merge(own, on=on, suffixes=("", "_averaged"))
                reached = _mean(own, own["auprc"])
                gain = _mean(beside, beside["auprc_averaged"] - beside["auprc"])
                is_first = not together and not ways
                yield (
                    method,
                    ", ".join([*(["ensemble"] if together else []), *ways]) or "none",
                    "ensemble of 3" if together else "one of 3",
                    copies * (SEEDS if together else 1),
                    reached.mean,
                    reached.error,
                    *((0.0, 0.0, 1.0) if is_first else (gain.mean, gain.error, gain.p_value)),
                    reached.n_sequences,
                )


def _mean(rows: pd.DataFrame, values: pd.Series) -> Any:
    return mean_over_models(values, rows["model"], rows["seq_id"], tasks=rows["task"], n_resamples=0)


if __name__ == "__main__":
    main()
