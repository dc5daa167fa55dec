"""The dynamics stage: RUN/dynamics, which motif each model had learnt by which batch of its training.

One folder per model: dynamics.csv (one row per task, motif and batch), learnt.csv (one row per task and motif: when it
was learnt, how often it occurs in positives and in the others, and its information) and order.csv (which of these
quantities go with being learnt sooner).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config, Dynamics
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.devices import device
from simbench_tf.dynamics import (
    DYNAMICS_COLUMNS,
    LEARNT_COLUMNS,
    LEARNT_SHARE,
    MIN_EFFECT,
    MIN_OVER_CHANCE,
    WatchedSequences,
    delete_sites,
    effect_of_motifs,
    learnt_at,
    measure,
    order_of_learning,
    recall_of_motifs,
)
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.motifs import information_content, read_motifs
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.manifest import fingerprint
from simbench_tf.run.models import snapshots_of
from simbench_tf.stages.simulate import grammar_of
from simbench_tf.stages.step import Made, dataset_checksums, step

#: Batches trained so far, and the file of the weights.
Checkpoint = tuple[int, str]


def dynamics(config: Config, folder: Path, map_in_order: MapInOrder = map, track: Track = silent) -> Path:
    """Write RUN/dynamics/MODEL: which motif each trained model had learnt by which batch; return RUN/dynamics.

    Raises
    ------
    InputError
        The configuration asks for none, or a model was trained without snapshots of its weights.
    """
    if config.dynamics is None:
        mend = "add `dynamics: {}` to the configuration, or `--set dynamics={}` to `simbench run`, and train with it"
        raise InputError(folder, "was not asked for learning dynamics", mend)
    dataset, target = open_dataset(folder / "dataset"), folder / "dynamics"
    for name in (each.name for each in config.watched):
        model_file = folder / "models" / name / "model.keras"
        checkpoints = checkpoints_of(model_file, snapshots_of(folder, name))

        def make(name: str = name, model_file: Path = model_file, found: list[Checkpoint] = checkpoints) -> Made:
            with track(f"dynamics {name}", len(found)) as advance:
                files = write(config, dataset, model_file, found, target / name, map_in_order, advance)
            return Made({"dynamics": files}, device())

        step(folder, {"dynamics": fingerprint("dynamics", inputs(config, folder, name, checkpoints))}, make)
    return target


def unwatched(config: Config, names: Iterable[str]) -> list[str]:
    """Of files of a run, the learning dynamics of models that are not watched."""
    watched = tuple(f"dynamics/{each.name}/" for each in config.watched)
    return [name for name in names if name.startswith("dynamics/") and not name.startswith(watched)]


def inputs(config: Config, folder: Path, model: str, checkpoints: list[Checkpoint]) -> dict[str, Any]:
    """What a model's learning dynamics depend on: the data set, the weights, and the settings of `dynamics`."""
    assert config.dynamics is not None
    return {
        "model": model,
        "dataset": dataset_checksums(folder),
        "dynamics": config.dynamics.model_dump(mode="json", exclude={"models"}),
        "seed": config.seed,
        "learnt": [LEARNT_SHARE, MIN_OVER_CHANCE, MIN_EFFECT],
        "weights": [(batch, checksum(Path(path))) for batch, path in checkpoints],
    }


def checkpoints_of(model_file: Path, snapshots: Path) -> list[Checkpoint]:
    """The batches at which a model is measured: its snapshots, and last the model that was kept.

    After the best round, whose weights are kept, training continues for a while: later snapshots are left out.

    Raises
    ------
    InputError
        The model was not trained, or without snapshots.
    """
    from simbench_tf.training import read_snapshots

    if not model_file.is_file():
        raise InputError(model_file, "is missing", "train it with `simbench train`")
    history = pd.read_csv(model_file.with_name("history.csv"))
    best = history.index[-1]
    if "valid_auprc" in history and history["valid_auprc"].notna().any():
        best = history["valid_auprc"].idxmax()
    kept = int(history["batch"][best])
    steps = [(batch, str(path)) for batch, path in read_snapshots(snapshots) if batch < kept]
    if not steps or steps[0][0] != 0:
        mend = f"delete {model_file} and train it again with `simbench train`"
        raise InputError(snapshots, "lacks the weights of the start of training", mend)
    return [*steps, (kept, str(model_file))]


def write(
    config: Config,
    dataset: Dataset,
    model_file: Path,
    checkpoints: list[Checkpoint],
    target: Path,
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> list[Path]:
    """Measure a model at every checkpoint, and write the tables; returns their files.

    Raises
    ------
    InputError
        The split holds no positive of a task.
    """
    dynamics = config.dynamics
    assert dynamics is not None
    tasks = dynamics.tasks or dataset.tasks
    probes = {task: probe_of(config.seed, dynamics, dataset, task) for task in tasks}
    targets = {task: dataset.tasks.index(task) for task in tasks}
    file, version = str(model_file.absolute()), checksum(model_file)  # a worker may have begun in another folder
    look = functools.partial(_look, file, version, probes, targets, dynamics, config.seed)
    tables = []
    for table in map_in_order(look, [(batch, str(Path(path).absolute())) for batch, path in checkpoints]):
        tables.append(table)
        advance(1)
    table = pd.concat(tables, ignore_index=True)
    order = ["task", "motif", "batch"]
    table["task"] = pd.Categorical(table["task"], tasks)
    table = table.sort_values(order).astype({"task": str})[list(DYNAMICS_COLUMNS)]
    learnt = learnt_at(table, oracle_measures(config, dataset, model_file.parents[2], probes)).merge(
        motif_rates(dataset, tasks), on=["task", "motif"], how="left"
    )
    written = {
        "dynamics.csv": table,
        "learnt.csv": learnt[list(LEARNT_COLUMNS)],
        "order.csv": order_of_learning(learnt),
    }
    for name, each in written.items():
        with whole_file(target / name) as partial:
            each.to_csv(partial, index=False)
    return [target / name for name in written]


def probe_of(seed: int, dynamics: Dynamics, dataset: Dataset, task: str) -> WatchedSequences:
    """Draw the probe of a task: positives, as many others, every site of the positives, and these without each.

    Raises
    ------
    InputError
        The split holds no positive of the task.
    """
    split = dynamics.split
    bases, labels = dataset.bases(split), dataset.labels(split)[:, dataset.tasks.index(task)]
    chosen = []
    for label in (1, 0):
        rows = np.flatnonzero(labels == label)
        chosen.append(choose_rows(seed, f"probe of dynamics {task}", rows, dynamics.n_sequences))
    positives, others = chosen
    if not positives.size:
        raise InputError("dynamics.split", f"{split} holds no positive of {task}", "choose another split or task")
    sites = dataset.true_sites(split)
    row = pd.Index(positives).get_indexer(sites["row"])
    sites = sites.assign(row=row)[row >= 0].sort_values(["row", "start", "motif"], ignore_index=True)
    deleted = delete_sites(bases[positives], sites, dataset.notes["background"], random_state=seed)
    return WatchedSequences(bases[positives], bases[others], sites, deleted)


def oracle_measures(
    config: Config, dataset: Dataset, folder: Path, watched: dict[str, WatchedSequences]
) -> pd.DataFrame | None:
    """What the exact posterior of a grammar reaches of each motif: task, motif, recall and effect; None for others.

    Its occupancy of the positives, given the task's label, is ranked as attributions are; its log-odds of the label
    take the place of the logit.
    """
    if not config.simulation.has_oracle:
        return None
    from simbench_tf.simulate.oracle import explain, label_log_odds, log_likelihood

    grammar = grammar_of(config, folder)
    tables = []
    for task, sequences in watched.items():
        labels = np.full((len(sequences.positives), len(dataset.tasks)), -1)
        labels[:, dataset.tasks.index(task)] = 1
        occupancy = explain(grammar, sequences.positives, labels=labels).occupancy
        recall = recall_of_motifs(occupancy, sequences.sites)
        # with the sequences' own log-odds before those without a site, K each
        n_sites, n_deletions, length = sequences.deleted.shape
        both = np.concatenate([sequences.positives, sequences.deleted.reshape(-1, length)])
        log_odds = label_log_odds(grammar, log_likelihood(grammar, both))[:, dataset.tasks.index(task)]
        own, without = np.split(log_odds, [len(sequences.positives)])
        drops = own[sequences.sites["row"].to_numpy()] - without.reshape(n_sites, n_deletions).mean(axis=1)
        effect = effect_of_motifs(drops, sequences.sites)
        tables.append(recall.join(effect).reset_index().assign(task=task))
    return pd.concat(tables, ignore_index=True)


def motif_rates(dataset: Dataset, tasks: list[str]) -> pd.DataFrame:
    """How often each motif starts in a sequence of the train split with a task's label, and without; and its bits.

    Returns
    -------
    DataFrame
        A row a task and motif: task, motif, tf, rate, rate_without, information (bits against uniform bases), surplus
        (bits against the data set's own bases, less the log2(2 L) that it takes to tell one place, on either strand,
        from all others: with none to spare, chance has as many sites; Schneider et al. 1986).
    """
    motifs = dataset.motifs.rename(columns={"bits": "information"})[["motif", "tf", "information"]]
    matrices = read_motifs(dataset.path / "motifs.meme")
    bits = np.array([information_content(each, dataset.notes["background"]).sum() for each in matrices])
    motifs["surplus"] = bits - np.log2(2 * dataset.seq_length)
    sites = dataset.true_sites("train")
    motif, row = sites["motif"], sites["row"]
    labels = dataset.labels("train")
    tables = []
    for task in tasks:
        own = labels[:, dataset.tasks.index(task)]
        rates = {}
        for name, there in (("rate", own == 1), ("rate_without", own == 0)):
            rates[name] = motifs["motif"].map(motif[there[row]].value_counts()).fillna(0) / max(there.sum(), 1)
        tables.append(motifs.assign(task=task, **rates))
    return pd.concat(tables, ignore_index=True)


def _look(
    model_file: str,
    version: str,
    probes: dict[str, WatchedSequences],
    targets: dict[str, int],
    dynamics: Dynamics,
    seed: int,
    checkpoint: Checkpoint,
) -> pd.DataFrame:
    """What a model says of every probe with the weights of one step; a worker keeps the network it compiled."""
    model, kept = _network(model_file, version)
    batch, path = checkpoint
    if path == model_file:
        model.set_weights(kept)
    else:
        model.load_weights(path)
    method = dynamics.method
    tables = [
        measure(model, probe, targets[task], method.method, method.references, seed, **method.settings).assign(
            task=task, batch=batch
        )
        for task, probe in probes.items()
    ]
    return pd.concat(tables, ignore_index=True)


@functools.lru_cache(maxsize=1)
def _network(model_file: str, version: str) -> tuple[Any, list[npt.NDArray[Any]]]:  # noqa: ARG001 - a file that changed is another model
    """A model, which is this module's own since its weights change, and the weights it was kept with."""
    from simbench_tf.models.custom import load_trained

    model = load_trained(Path(model_file))
    return model, model.get_weights()
