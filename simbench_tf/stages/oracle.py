"""The oracle stage: RUN/oracle, the exact ceilings of models and attribution methods on data of a grammar.

posteriors.parquet holds P(label | sequence) of every test and attributed sequence. occupancy.h5 holds, for each task,
P(a base lies in a site that counts as the task's truth | sequence, the task's own label), for attributed sequences
and others of their split. ceilings.csv scores both as models and methods are scored, occupancy on every positive kept,
attributed or not: of the attributed few alone a ceiling would be as unsure as a method's mean. Occupancy is the best
ranking of bases pooled over sequences, exactly; for the mean over sequences of each one's auPRC it is the best known.
knockouts.h5 holds the exact answers to the knock-outs of rules and pairs, where there are any.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.hdf5 import read_h5, whole_h5
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.run.attributions import attributed_rows, seq_id_bytes
from simbench_tf.run.manifest import discard_stale, fingerprint
from simbench_tf.score import score_attributions, summarise
from simbench_tf.simulate.grammar import Grammar
from simbench_tf.simulate.oracle import (
    attribution_ceiling,
    explain,
    label_ceiling,
    label_log_odds,
    label_posterior,
    log_likelihood,
)
from simbench_tf.stages.knockouts import KnockOuts, knock_outs_of
from simbench_tf.stages.simulate import grammar_of
from simbench_tf.stages.step import Made, dataset_checksums, step

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


#: Sequences in one piece of work, and sequences of a split whose occupancy is kept beside the attributed ones.
CHUNK_SEQUENCES = 2_000
KEPT_SEQUENCES = 5_000


def oracle(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> Path:
    """Write RUN/oracle for grammar data; return the path of ceilings.csv.

    Raises
    ------
    InputError
        There is no data set, or it is not a grammar's.
    """
    key = fingerprint("oracle", inputs(config, folder))
    discard_stale(folder, "oracle", key)

    def make() -> Made:
        dataset = open_dataset(folder / "dataset")
        with track("oracle", _n_looks(config, dataset)) as advance:
            return Made({"oracle": write(config, dataset, folder, map_in_order, advance)})

    step(folder, {"oracle": key}, make)
    return folder / "oracle" / "ceilings.csv"


def inputs(config: Config, folder: Path) -> dict[str, Any]:
    """What the oracle's files depend on: the data set, whose grammar the configuration has, and what is attributed."""
    return {
        "dataset": dataset_checksums(folder),
        "seed": config.seed,
        "motifs": config.scoring.motifs,
        "ceilings": f"of the positives among {KEPT_SEQUENCES} sequences",
        **config.attribution.model_dump(mode="json", include={"n_sequences", "split", "tasks", "output"}),
    }


def write(
    config: Config, dataset: Dataset, folder: Path, map_in_order: MapInOrder, advance: Callable[[int], None]
) -> list[Path]:
    """Compute posteriors, occupancies and ceilings of a grammar's data set and write RUN/oracle; returns its files.

    Raises
    ------
    InputError
        The data were not drawn from a grammar.
    """
    if not config.simulation.has_oracle:
        what = f"is {config.simulation.kind}, for which there is no exact posterior"
        raise InputError("simulation.kind", what, "an oracle needs kind: grammar")
    grammar = grammar_of(config, folder)
    posteriors = _posteriors(config, dataset, grammar, map_in_order, advance)
    rows = _kept_rows(config, dataset)
    occupancy = _occupancies(config, dataset, grammar, rows, map_in_order, advance)

    seq_ids = np.asarray(dataset.seq_ids(config.attribution.split))[rows]
    ceilings = label_ceiling(
        tuple(dataset.tasks),
        posteriors[posteriors["split"] == "test"][dataset.tasks].to_numpy(),
        dataset.labels("test"),
    )
    attribution = {
        task: attribution_ceiling(
            occupancy[task][np.searchsorted(rows, mine)],
            dataset.mask(config.attribution.split, task=task, motifs=config.scoring.motifs)[mine],
        )
        for task in _attributed(config, dataset)
        for mine in [_positives(config, dataset, task, rows)]
    }
    ceilings = ceilings.join(pd.DataFrame.from_dict(attribution, orient="index"), on="task")

    names = ("posteriors.parquet", "occupancy.h5", "ceilings.csv", "knockouts.h5")
    files = [folder / "oracle" / name for name in names]
    with whole_file(files[0]) as partial:
        posteriors.drop(columns="split").to_parquet(partial, index=False)
    with whole_h5(files[1]) as h5:
        for task, values in occupancy.items():
            h5.create_dataset(task, data=values, compression="gzip")
        h5.create_dataset("seq_id", data=seq_id_bytes(seq_ids))
    with whole_file(files[2]) as partial:
        ceilings.to_csv(partial, index=False)
    with whole_h5(files[3]) as h5:
        for number, knock_outs in enumerate(knock_outs_of(config, dataset, folder)):
            h5.create_dataset(str(number), data=_exact_answers(config, grammar, knock_outs))
    return files


def read_exact_answers(folder: Path) -> list[Floats]:
    """Read RUN/oracle/knockouts.h5: answers (N, 4) to each of the run's knock-outs, in order; none where it is not."""
    path = folder / "oracle" / "knockouts.h5"
    if not path.is_file():
        return []
    with read_h5(path) as h5:
        return [h5[str(number)][:] for number in range(len(h5))]


def ceiling_of_bases(
    config: Config, dataset: Dataset, folder: Path, task: str, bases: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """The ceiling of attributions of a task on some bases, bool (L,): means as ceilings.csv has them for all bases."""
    rows = _positives(config, dataset, task, _kept_rows(config, dataset))
    with read_h5(folder / "oracle" / "occupancy.h5") as h5:
        kept = pd.Index(h5["seq_id"].asstr()[:]).get_indexer(
            np.asarray(dataset.seq_ids(config.attribution.split))[rows]
        )
        occupancy = h5[task][:][kept]
    mask = dataset.mask(config.attribution.split, task=task, motifs=config.scoring.motifs)[rows]
    mean = summarise(score_attributions(occupancy[:, bases], mask[:, bases]))
    return {f"attribution_{name}": mean[name] for name in ("auroc", "auprc", "auroc_se", "auprc_se")}


def _n_looks(config: Config, dataset: Dataset) -> int:
    """Count the sequences the oracle looks at, a task's occupancy counting as one more look."""
    posteriors = sum(dataset.counts[split] for split in _splits(config))
    return posteriors + len(dataset.tasks) * len(_kept_rows(config, dataset))


def _exact_answers(config: Config, grammar: Grammar, knock_outs: KnockOuts) -> Floats:
    """Log-odds of the task, (N, 4), or its probability where that is what is attributed."""
    n, _, length = knock_outs.sequences.shape
    log_odds = label_log_odds(grammar, log_likelihood(grammar, knock_outs.sequences.reshape(-1, length)))
    answers = log_odds[:, grammar.tasks.index(knock_outs.interaction.task)].reshape(n, 4)
    return np.asarray(expit(answers)) if config.attribution.output == "probability" else answers


def _splits(config: Config) -> list[str]:
    return list(dict.fromkeys(["test", config.attribution.split]))


def _chunks(n: int) -> Iterator[slice]:
    return (slice(first, min(first + CHUNK_SEQUENCES, n)) for first in range(0, n, CHUNK_SEQUENCES))


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
    """Rows of the attributed split whose occupancy is kept: all that are attributed, and the first ones beside."""
    first = np.arange(min(KEPT_SEQUENCES, dataset.counts[config.attribution.split]))
    return np.unique(np.concatenate([first, *_attributed(config, dataset).values()]))


def _positives(config: Config, dataset: Dataset, task: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Those of some rows of the attributed split that are positive for a task: attributed, or might have been."""
    return rows[dataset.labels(config.attribution.split)[rows, dataset.tasks.index(task)] == 1]


def _attributed(config: Config, dataset: Dataset) -> dict[str, npt.NDArray[np.int64]]:
    """Rows that are attributed for each task; a task that the run leaves out may have no positive to look at."""
    wanted = config.attribution.tasks or config.tasks
    n_positives = np.count_nonzero(dataset.labels(config.attribution.split), axis=0)
    return {
        task: attributed_rows(dataset, config, task)
        for number, task in enumerate(dataset.tasks)
        if n_positives[number] or task in wanted
    }


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
        # attributed sequences were chosen by this label, so the best ranking of their bases knows it
        known = np.full(labels.shape, -1, np.int64)
        known[:, number] = labels[:, number]
        work = functools.partial(_occupancy_chunk, grammar, number if config.scoring.motifs == "task" else None)
        values = []
        for chunk in map_in_order(work, [(bases[part], known[part]) for part in parts]):
            values.append(chunk)
            advance(len(chunk))
        occupancy[task] = np.concatenate(values)
    return occupancy


def _occupancy_chunk(
    grammar: Grammar, task: int | None, chunk: tuple[Bases, npt.NDArray[np.int64]]
) -> npt.NDArray[np.float32]:
    posterior = explain(grammar, chunk[0], labels=chunk[1])
    return (posterior.occupancy if task is None else posterior.task_occupancy[task]).astype(np.float32)
