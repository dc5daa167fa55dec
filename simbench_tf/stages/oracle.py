"""RUN/oracle: how well any model, and any attribution method, could do on a grammar's data set, exactly.

posteriors.parquet holds P(label | sequence) of every test and explained sequence. occupancy.h5 holds, for each task,
P(a base lies in a site that counts as the task's truth), for explained sequences and others of their split, told the
task's own label and no other. ceilings.csv scores both as models and methods are scored. Occupancy is the best ranking
of bases pooled over sequences; for the mean over sequences of each one's auPRC it is a reference, not a strict bound.
knockouts.h5 holds the exact answers to the probes of rules and pairs, where there are any.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.explained import explained_rows
from simbench_tf.files import whole_file
from simbench_tf.motifs import load_motifs
from simbench_tf.probed import Probes, probes_of
from simbench_tf.score import pooled_scores, score_attributions, summarise
from simbench_tf.simulate.grammar import Grammar, build_grammar
from simbench_tf.simulate.oracle import explain, label_ceiling, label_log_odds, label_posterior, log_likelihood
from simbench_tf.simulation_config import GrammarSimulation
from simbench_tf.workers import MapInOrder

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Sequences in one piece of work, and sequences of a split whose occupancy is kept beside the explained ones.
TOGETHER = 2_000
KEPT = 5_000


def oracle_files(folder: Path) -> list[Path]:
    """List the files of RUN/oracle."""
    names = ("posteriors.parquet", "occupancy.h5", "ceilings.csv", "knockouts.h5")
    return [folder / "oracle" / name for name in names]


def n_explained_by_oracle(config: Config, dataset: Dataset) -> int:
    """Count the sequences the oracle looks at, a task's occupancy counting as one more look."""
    posteriors = sum(dataset.counts[split] for split in _splits(config))
    return posteriors + len(dataset.tasks) * len(_kept_rows(config, dataset))


def write_oracle(
    config: Config, dataset: Dataset, folder: Path, map_in_order: MapInOrder, advance: Callable[[int], None]
) -> list[Path]:
    """Compute posteriors, occupancies and ceilings of a grammar's data set and write RUN/oracle; returns its files.

    Raises
    ------
    InputError
        The data were not drawn from a grammar.
    """
    if not isinstance(config.simulation, GrammarSimulation):
        what = f"is {config.simulation.kind}, whose posterior nobody knows"
        raise InputError("simulation.kind", what, "an oracle needs kind: grammar")
    grammar = build_grammar(config.simulation, load_motifs(config.simulation.motifs), folder / "genome")
    posteriors = _posteriors(config, dataset, grammar, map_in_order, advance)
    rows = _kept_rows(config, dataset)
    occupancy = _occupancies(config, dataset, grammar, rows, map_in_order, advance)

    seq_ids = np.asarray(dataset.seq_ids(config.attribution.split))[rows]
    ceilings = label_ceiling(
        tuple(dataset.tasks),
        posteriors[posteriors["split"] == "test"][dataset.tasks].to_numpy(),
        dataset.labels("test"),
    )
    attribution = [_attribution_ceiling(config, dataset, task, rows, occupancy[task]) for task in dataset.tasks]
    ceilings = pd.concat([ceilings, pd.DataFrame(attribution)], axis=1)

    files = oracle_files(folder)
    with whole_file(files[0]) as partial:
        posteriors.drop(columns="split").to_parquet(partial, index=False)
    with whole_file(files[1]) as partial, h5py.File(partial, "w") as h5:
        for task, values in occupancy.items():
            h5.create_dataset(task, data=values, compression="gzip")
        h5.create_dataset("seq_id", data=seq_ids.astype("S"))
    with whole_file(files[2]) as partial:
        ceilings.to_csv(partial, index=False)
    with whole_file(files[3]) as partial, h5py.File(partial, "w") as h5:
        for number, probes in enumerate(probes_of(config, dataset, folder)):
            h5.create_dataset(str(number), data=_exact_answers(config, grammar, probes))
    return files


def read_exact_answers(folder: Path) -> list[Floats]:
    """Read RUN/oracle/knockouts.h5: answers (N, 4) to each of the run's probes, in order; none where it is not."""
    path = folder / "oracle" / "knockouts.h5"
    if not path.is_file():
        return []
    with h5py.File(path) as h5:
        return [h5[str(number)][:] for number in range(len(h5))]


def _exact_answers(config: Config, grammar: Grammar, probes: Probes) -> Floats:
    """Log-odds of the probes' task, or its probability where that is what methods explain, (N, 4)."""
    n, _, length = probes.variants.shape
    log_odds = label_log_odds(grammar, log_likelihood(grammar, probes.variants.reshape(-1, length)))
    answers = log_odds[:, grammar.tasks.index(probes.interaction.task)].reshape(n, 4)
    return np.asarray(expit(answers)) if config.attribution.output == "probability" else answers


def read_ceilings(folder: Path) -> pd.DataFrame:
    """RUN/oracle/ceilings.csv by task; without rows where there is none.

    Columns auroc and auprc are those of P(label | sequence) on the test split; attribution_auroc and attribution_auprc
    are means over the explained sequences of a task, and pooled_attribution_* pool their bases.
    """
    path = folder / "oracle" / "ceilings.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["auroc", "auprc", "attribution_auroc", "attribution_auprc"])
    return pd.read_csv(path).set_index("task")


def note_ceilings(path: Path, ceilings: pd.DataFrame) -> bool:
    """Write each task's ceilings into a model's metrics.json; whether that changed the file."""
    metrics = json.loads(path.read_text(encoding="utf-8"))
    noted = {
        task: values | {f"oracle_{name}": float(ceilings.loc[task, name]) for name in ("auroc", "auprc")}
        for task, values in metrics.items()
    }
    if noted == metrics:
        return False
    with whole_file(path) as partial:
        partial.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")
    return True


def _splits(config: Config) -> list[str]:
    return list(dict.fromkeys(["test", config.attribution.split]))


def _chunks(n: int) -> Iterator[slice]:
    return (slice(first, min(first + TOGETHER, n)) for first in range(0, n, TOGETHER))


def _posteriors(
    config: Config, dataset: Dataset, grammar: Grammar, map_in_order: MapInOrder, advance: Callable[[int], None]
) -> pd.DataFrame:
    tables = []
    for split in _splits(config):
        bases, seq_ids = dataset.bases(split), np.asarray(dataset.seq_ids(split))
        parts = list(_chunks(len(bases)))
        work = functools.partial(_posterior_chunk, grammar)
        for part, probability in zip(parts, map_in_order(work, [bases[part] for part in parts]), strict=True):
            table = pd.DataFrame(probability, columns=dataset.tasks)
            table.insert(0, "seq_id", seq_ids[part])
            tables.append(table.assign(split=split))
            advance(len(table))
    return pd.concat(tables, ignore_index=True)


def _posterior_chunk(grammar: Grammar, bases: Bases) -> npt.NDArray[np.float64]:
    return label_posterior(grammar, log_likelihood(grammar, bases))


def _kept_rows(config: Config, dataset: Dataset) -> npt.NDArray[np.int64]:
    """Rows of the explained split whose occupancy is kept: all that are explained, and the first ones beside."""
    first = np.arange(min(KEPT, dataset.counts[config.attribution.split]))
    tasks = config.attribution.tasks or config.tasks
    return np.unique(np.concatenate([first, *(explained_rows(dataset, config, task) for task in tasks)]))


def _occupancies(
    config: Config,
    dataset: Dataset,
    grammar: Grammar,
    rows: npt.NDArray[np.int64],
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> dict[str, npt.NDArray[np.float32]]:
    split = config.attribution.split
    bases, labels = dataset.bases(split)[rows], dataset.labels(split)[rows]
    parts = list(_chunks(len(rows)))
    occupancy = {}
    for number, task in enumerate(dataset.tasks):
        # explained sequences were chosen by this label, so the best ranking of their bases knows it
        told = np.full(labels.shape, -1, np.int64)
        told[:, number] = labels[:, number]
        work = functools.partial(_occupancy_chunk, grammar, number if config.scoring.motifs == "task" else None)
        values = []
        for chunk in map_in_order(work, [(bases[part], told[part]) for part in parts]):
            values.append(chunk)
            advance(len(chunk))
        occupancy[task] = np.concatenate(values)
    return occupancy


def _occupancy_chunk(
    grammar: Grammar, task: int | None, chunk: tuple[Bases, npt.NDArray[np.int64]]
) -> npt.NDArray[np.float32]:
    posterior = explain(grammar, chunk[0], labels=chunk[1])
    return (posterior.occupancy if task is None else posterior.task_occupancy[task]).astype(np.float32)


def _attribution_ceiling(
    config: Config, dataset: Dataset, task: str, rows: npt.NDArray[np.int64], occupancy: npt.NDArray[np.float32]
) -> dict[str, Any]:
    """Score the occupancy of a task's explained sequences as a method's attributions are scored."""
    split = config.attribution.split
    mine = explained_rows(dataset, config, task)
    mask = dataset.mask(split, task=task, motifs=config.scoring.motifs)[mine]
    values = occupancy[np.searchsorted(rows, mine)]
    mean, pooled = summarise(score_attributions(values, mask)), pooled_scores(values, mask)
    return {
        "attribution_auroc": mean["auroc"],
        "attribution_auprc": mean["auprc"],
        "pooled_attribution_auroc": pooled["pooled_auroc"],
        "pooled_attribution_auprc": pooled["pooled_auprc"],
    }
