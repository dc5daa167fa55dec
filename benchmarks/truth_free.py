"""Which truth-free metrics tell the truth: their rank correlation with true auPRC, over methods and over networks.

    python benchmarks/truth_free.py             # a quarter of an hour; rows that results/ has are not made again
    python benchmarks/truth_free.py --summarise # only the correlations, from the rows

Three grammars are drawn, with motifs of the demo, with others, and with a label that two motifs make together; three
networks are trained on each - a small Basset, one wide convolution, three narrow ones - and taken at two levels, after
50 and after 600 batches. Each of seven methods explains 100 positives of the test split; every truth-free metric of it
is measured, and the auPRC that the true sites give. `results/truth_free_rows.csv` has a row for each method, network
and data set.

`results/truth_free.csv`, and the copy in the package, has Spearman's correlation of each metric, turned so that more is
better, with auPRC: *methods*, within a network over methods (which method to take), and *models*, within a method over
the networks of a data set (which network to believe). Means over networks, and over methods and data sets; 95%
intervals of a bootstrap of whole units, a network architecture on a data set, with both its levels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.score.correlation import rank_correlation
from simbench_tf.score.truth_free import TRUTH_FREE

ROOT = Path(__file__).resolve().parents[1]
ROWS, TABLE = ROOT / "results" / "truth_free_rows.csv", ROOT / "results" / "truth_free.csv"
SHIPPED = ROOT / "simbench_tf" / "data" / "truth_free_evidence.csv"
LENGTH, N_SEQUENCES, N_EXPLAINED = 150, 8_000, 100
#: Batches of 100 after which a network is taken.
LEVELS = (50, 600)
METHODS: list[dict[str, Any]] = [
    {"method": "saliency"},
    {"method": "grad_x_input"},
    {"method": "integrated_gradients", "references": "zeros", "n_steps": 5},
    {"method": "deeplift_rescale", "references": "shuffle:2"},
    {"method": "grad_x_activation", "layer": "first"},
    {"method": "gradcam"},
    {"method": "ism"},
]
DATA: dict[str, dict[str, Any]] = {
    "demo": {
        "tasks": {"HepG2": {"fraction": 0.5}},
        "elements": [
            {"motif": "HNF4A", "rate": 0.1, "enriched": {"HepG2": 0.9}},
            {"motif": "CEBPB", "rate": 0.1, "enriched": {"HepG2": 0.9}},
            {"motif": "SP1", "rate": 0.1},
        ],
    },
    "other": {
        "tasks": {"K562": {"fraction": 0.4}},
        "elements": [
            {"motif": "GATA1", "rate": 0.2, "enriched": {"K562": 1.0}},
            {"motif": "NRF1", "rate": 0.05, "enriched": {"K562": 0.4}},
            {"motif": "ELK4", "rate": 0.1, "enriched": {"K562": 0.4}},
            {"motif": "CTCF", "rate": 0.2},
        ],
    },
    "together": {
        "tasks": {"K562": {"fraction": 0.5}},
        "elements": [
            {"motif": "GATA1", "rate": 0.8},
            {"motif": "SPI1", "rate": 0.8},
            {"motif": "SP1", "rate": 0.1, "enriched": {"K562": 0.3}},
            {"motif": "NRF1", "rate": 0.1},
        ],
        "rules": [{"task": "K562", "when": "GATA1 and SPI1"}],
    },
}
NETWORKS = ("basset", "wide", "deep")
UNIT = ["data", "model"]
#: Resamples of an interval, and units below which there is none.
N_RESAMPLES, FEWEST_UNITS = 2_000, 4


class Trained(NamedTuple):
    """Networks of one architecture on one data set at one level: its own, of another seed, and on shuffled labels."""

    own: Any
    other_seed: Any
    shuffled_labels: Any
    auroc: float


def main() -> None:
    """Make the rows that are missing, then the correlations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--summarise", action="store_true", help="Make no rows.")
    if not parser.parse_args().summarise:
        make_rows()
    table = correlations(pd.read_csv(ROWS))
    for path in (TABLE, SHIPPED):
        table.to_csv(path, index=False, float_format="%.4f")


def make_rows() -> None:
    """Append a row for each data set, network, level and method that results/ has none of."""
    done = set(map(tuple, pd.read_csv(ROWS)[[*UNIT, "level", "method"]].to_numpy())) if ROWS.exists() else set()
    for name, data in itertools.product(NETWORKS, DATA):
        wanted = [(level, m) for level in LEVELS for m in METHODS if (data, name, level, m["method"]) not in done]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            dataset = _simulated(data, Path(folder))
            for row in _rows(dataset, name, wanted):
                line = pd.DataFrame([{"data": data, "model": name, **row}])
                line.to_csv(ROWS, mode="a", header=not ROWS.exists(), index=False, float_format="%.5g")


def _simulated(data: str, folder: Path) -> Dataset:
    from simbench_tf import pipeline
    from simbench_tf.config import load_config

    changes = {"seq_length": LENGTH, "n_sequences": N_SEQUENCES, **DATA[data]}
    sets = [f"simulation.{key}={json.dumps(value)}" for key, value in changes.items()]
    config = load_config("demo", [*sets, "dynamics=null"])
    pipeline.simulate(config, folder)
    return open_dataset(folder)


def _rows(dataset: Dataset, name: str, wanted: list[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    from simbench_tf.attribution import attribute
    from simbench_tf.attribution.truth_free import truth_free
    from simbench_tf.dna import one_hot
    from simbench_tf.motifs import read_motifs
    from simbench_tf.score.metrics import METRICS, sequence_metrics

    (task,) = dataset.tasks
    rows = np.flatnonzero(dataset.labels("test")[:, 0] == 1)[:N_EXPLAINED]
    x, mask = one_hot(dataset.bases("test")[rows]), dataset.mask("test", task)[rows]
    bearing = [each for each, tasks in (dataset.element_tasks or {}).items() if task in tasks]
    motifs = read_motifs(dataset.path / "motifs.meme")
    decoys = [m.ppm for m in motifs if dataset.motif_elements.get(m.motif_id, set()) & set(bearing)]
    trained = _trained(dataset, name)
    for level in LEVELS:
        networks, methods = trained[level], [method for at, method in wanted if at == level]
        if not methods:
            continue
        made = {method["method"]: attribute(networks.own, x, **method, random_state=1) for method in METHODS}
        for method in methods:
            start = time.process_time()
            own = made[method["method"]]
            found = truth_free(
                networks.own,
                x,
                own,
                others=[each for key, each in made.items() if key != method["method"]],
                seeds=[networks.other_seed],
                shuffled_labels=networks.shuffled_labels,
                decoys=decoys,
                random_state=1,
                **method,
            )
            auprc = sequence_metrics(own.scores, mask)[:, list(METRICS).index("auprc")]
            yield {
                "level": level,
                "method": method["method"],
                "auroc": networks.auroc,
                "n": len(rows),
                "auprc": float(np.nanmean(auprc)),
                **{metric: float(found[metric].mean()) for metric in TRUTH_FREE},
                "cpu_seconds": time.process_time() - start,
            }
            print(dataset.name, name, level, method["method"], f"{time.process_time() - start:.0f} s", file=sys.stderr)


def _trained(dataset: Dataset, name: str) -> dict[int, Trained]:
    """The networks at each level."""
    from sklearn.metrics import roc_auc_score

    from simbench_tf.dna import one_hot

    x, y = one_hot(dataset.bases("train")), dataset.labels("train").astype(np.float32)
    shuffled = np.random.default_rng(5).permutation(y)
    stages = [_snapshots(name, x, labels, seed) for labels, seed in ((y, 1), (y, 2), (shuffled, 3))]
    test, labels = one_hot(dataset.bases("test")), dataset.labels("test")[:, 0]
    found = {}
    for level in LEVELS:
        own, other, none = (each[level] for each in stages)
        found[level] = Trained(own, other, none, float(roc_auc_score(labels, own.predict(test, verbose=0)[:, 0])))
    return found


def _snapshots(name: str, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], seed: int) -> dict[int, Any]:
    """Copies of a network after each level's batches of 100."""
    import keras

    keras.utils.set_random_seed(seed)
    model, rng = _network(name, seed), np.random.default_rng(seed)
    model.compile("adam", "binary_crossentropy")
    taken, order = {}, np.concatenate([rng.permutation(len(x)) for _ in range(-(-100 * LEVELS[-1] // len(x)))])
    for first, last in zip((0, *LEVELS), LEVELS, strict=False):
        rows = order[100 * first : 100 * last]
        model.fit(x[rows], y[rows], batch_size=100, shuffle=False, verbose=0)
        taken[last] = keras.models.clone_model(model)
        taken[last].set_weights(model.get_weights())
    return taken


def _network(name: str, seed: int) -> Any:
    import keras

    from simbench_tf.models import basset

    if name == "basset":
        return basset(LENGTH, 1, width=0.12, padding="same", seed=seed)
    layers = keras.layers
    inputs = keras.Input((LENGTH, 4))
    if name == "wide":
        hidden = layers.Conv1D(48, 15, padding="same", activation="relu")(inputs)
        hidden = layers.MaxPooling1D(10)(hidden)
    else:
        hidden = inputs
        for filters, pool in ((32, 2), (32, 5), (32, 5)):
            hidden = layers.Conv1D(filters, 7, padding="same", activation="relu")(hidden)
            hidden = layers.MaxPooling1D(pool)(hidden)
    hidden = layers.Dense(32, activation="relu")(layers.Flatten()(hidden))
    logits = layers.Dense(1, name="logits")(hidden)
    return keras.Model(inputs, layers.Activation("sigmoid", name="probabilities")(logits))


def correlations(rows: pd.DataFrame) -> pd.DataFrame:
    """Each metric's mean rank correlation with auPRC, within networks over methods and within methods over networks.

    Parameters
    ----------
    rows : DataFrame
        data, model, level, method, auprc, and a column for each metric.

    Returns
    -------
    DataFrame
        metric, over (methods or models), correlation, low and high (95%; NaN of fewer than four units), n_units.
    """
    found = []
    for over in ("methods", "models"):
        for metric, about in TRUTH_FREE.items():
            turned = rows.assign(value=rows[metric] * (1 if about.higher_is_better else -1))
            mean, low, high, n = _with_interval(turned.dropna(subset=["value", "auprc"]), over)
            found.append({"metric": metric, "over": over, "correlation": mean, "low": low, "high": high, "n_units": n})
    return pd.DataFrame(found)


def _with_interval(rows: pd.DataFrame, over: str) -> tuple[float, float, float, int]:
    units = [unit for _, unit in rows.groupby(UNIT)]
    rng = np.random.default_rng(0)
    if over == "methods":  # each unit's own mean over its levels is all that it adds
        each = np.array([_mean_correlation(unit, ["level"], 4) for unit in units])
        each = each[~np.isnan(each)]
        mean = float(each.mean())
        drawn = each[rng.integers(0, len(each), (N_RESAMPLES, len(each)))].mean(axis=1)
    else:
        mean = _mean_correlation(rows, ["data", "method"], 4)
        resampled = (
            pd.concat([units[k] for k in rng.integers(0, len(units), len(units))]) for _ in range(N_RESAMPLES // 10)
        )
        drawn = np.array([_mean_correlation(each, ["data", "method"], 4) for each in resampled])
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if len(units) >= FEWEST_UNITS else (np.nan, np.nan)
    return mean, float(low), float(high), len(units)


def _mean_correlation(rows: pd.DataFrame, within: list[str], least: int) -> float:
    values = [rank_correlation(each["auprc"], each["value"], least) for _, each in rows.groupby(within)]
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


if __name__ == "__main__":
    main()
