"""A twin of real peaks: a run on sequences drawn from a grammar fitted to them, and how like the real ones these are.

RUN/twin.yaml is the fitted configuration, RUN/twin.meme its motifs, RUN/likeness.csv holds the drawn sequences against
real regions that the fit has not seen: those of the test split. All else is a run as any other, on data whose true
sites are known.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config, PeaksSimulation, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.motifs import Motif, read_motifs, scan
from simbench_tf.parallel import MapInOrder, Track, silent
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.folder import begin, check_folder
from simbench_tf.run.lock import locked
from simbench_tf.run.manifest import fingerprint, fresh_files
from simbench_tf.score.likeness import (
    Measure,
    by_words,
    classifier_measure,
    composition_measures,
    dispersion_measure,
    hit_measures,
    place_measures,
    spectrum_distance,
    transfer_measure,
)
from simbench_tf.simulate.fit import write_fitted
from simbench_tf.simulate.fit.spacings import MOST_PAIRS
from simbench_tf.simulate.peaks.scanning import scan_regions
from simbench_tf.stages.simulate import simulate
from simbench_tf.stages.step import Made, dataset_checksums, step

#: Splits whose regions are fitted; the others are what the twin is held against.
FITTED_SPLITS = ("train", "valid")
N_SEQUENCES = 20_000
#: Classes of regions by composition, at most, and kinds of stretches along the regions of each. With four of both,
#: composition varies over draws, and along them, nearly as over real regions.
N_CLASSES, N_STRETCHES = 4, 4
#: Regions that rates are fitted to at most; a fit's time is in proportion.
MAX_SEQUENCES = 1_000
#: When EM ends; see `fit_grammar`.
TOLERANCE = 0.2
_STAGE = "twin"
#: Drawn sequences that real regions are held against, for each real one.
_DRAWN_PER_REGION = 10
Labelled = tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]


def twin(
    config: Config,
    folder: Path,
    n_sequences: int = N_SEQUENCES,
    map_in_order: MapInOrder = map,
    track: Track = silent,
) -> Config:
    """Fit a grammar to peaks, draw sequences from it into RUN, and write RUN/likeness.csv.

    Parameters
    ----------
    config : Config
        Of kind peaks.
    folder : path
        RUN, made where it is missing.
    n_sequences : int
        Sequences to draw.
    map_in_order, track : callable
        As of `pipeline.run`.

    Returns
    -------
    config : Config
        The twin's: of kind grammar, with the models, methods and scoring of the peaks' own; `pipeline.run` does the
        rest.

    Raises
    ------
    InputError
        The configuration is not of peaks, or `write_fitted` raises one.
    """
    simulation = config.simulation
    if not isinstance(simulation, PeaksSimulation):
        what = f"is {simulation.kind}, and a twin is of real peaks"
        raise InputError("simulation.kind", what, "give a configuration of kind peaks")
    check_folder(folder)
    key = fingerprint(_STAGE, {**_inputs(config, simulation), "n_sequences": n_sequences})
    files = _fitted(config, folder, key, n_sequences, map_in_order, track)
    with tempfile.TemporaryDirectory() as place:
        for name, text in files.items():
            (Path(place) / name).write_text(text, encoding="utf-8")
        drawn = load_config(Path(place) / "twin.yaml")
    motifs = str((folder / "twin.meme").resolve())
    drawn = drawn.model_copy(update={"simulation": drawn.simulation.model_copy(update={"motifs": motifs})})
    with locked(folder):
        begin(drawn, folder)
        step(folder, {_STAGE: key}, functools.partial(_write_texts, folder, files))
        simulate(drawn, folder, map_in_order, track)
        made_from = {"twin": key, "dataset": dataset_checksums(folder)}
        measure = functools.partial(_write_likeness, config, simulation, drawn, folder, map_in_order, track)
        step(folder, {_STAGE: fingerprint("likeness", made_from)}, measure)
    return drawn


def _inputs(config: Config, simulation: PeaksSimulation) -> dict[str, Any]:
    """What a fit depends on: the configuration, and the content of its files."""
    files = {key: checksum(path) for key, path in simulation.files.items() if path.is_file()}
    return {
        "config": config.model_dump(mode="json"),
        "files": files,
        "splits": FITTED_SPLITS,
        "fit": (N_CLASSES, N_STRETCHES, MOST_PAIRS, MAX_SEQUENCES, TOLERANCE),
    }


def _fitted(
    config: Config, folder: Path, key: str, n_sequences: int, map_in_order: MapInOrder, track: Track
) -> dict[str, str]:
    """The fitted configuration and its motifs, by file: those of the run, if of the same peaks, else new ones."""
    if fresh_files(folder, key):
        return _texts(folder)
    with tempfile.TemporaryDirectory() as place:
        write_fitted(
            config,
            Path(place) / "twin.yaml",
            n_sequences=n_sequences,
            max_sequences=MAX_SEQUENCES,
            background_order=None,
            n_classes=N_CLASSES,
            n_stretches=N_STRETCHES,
            refit_motifs=True,
            n_pairs=MOST_PAIRS,
            tolerance=TOLERANCE,
            splits=FITTED_SPLITS,
            map_in_order=map_in_order,
            track=track,
        )
        return _texts(Path(place))


def _texts(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text(encoding="utf-8") for name in ("twin.yaml", "twin.meme")}


def _write_texts(folder: Path, files: dict[str, str]) -> Made:
    for name, text in files.items():
        with whole_file(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return Made({_STAGE: [folder / name for name in files]})


# likeness


def _write_likeness(
    config: Config, simulation: PeaksSimulation, drawn: Config, folder: Path, map_in_order: MapInOrder, track: Track
) -> Made:
    with tempfile.TemporaryDirectory() as index_dir:
        scanned = scan_regions(simulation, config.seed, index_dir, map_in_order)
    held_out = ~scanned.regions["split"].isin(FITTED_SPLITS).to_numpy(np.bool_)
    labels = scanned.regions[config.tasks].to_numpy()
    held_out &= (labels != tables.UNLABELLED).all(axis=1)
    real, real_labels = scanned.bases[held_out], labels[held_out]
    twin_bases, twin_labels = _alike(folder, real_labels, drawn.seed)
    motifs = read_motifs(folder / "dataset" / "motifs.meme")
    with track("likeness", 2 + len(config.tasks)) as advance:
        found = measures(real, twin_bases, motifs, simulation.scan_pvalue, scanned.background, config.seed)
        advance(1)
        found.append(classifier_measure("classifier_cnn", real, twin_bases, by_network, config.seed))
        advance(1)
        known = (labels != tables.UNLABELLED).all(axis=1) & ~held_out
        for number, task in enumerate(config.tasks):
            train = scanned.bases[known], labels[known, number].astype(np.int64)
            held_against = (real, real_labels[:, number]), (twin_bases, twin_labels[:, number])
            found.append(transfer(f"network_{task}", train, *held_against, config.seed))
            advance(1)
    path = folder / "likeness.csv"
    with whole_file(path) as partial:
        pd.DataFrame(found, columns=list(Measure._fields)).to_csv(partial, index=False)
    return Made({_STAGE: [path]})


def transfer(name: str, train: Labelled, real: Labelled, drawn: Labelled, seed: int) -> Measure:
    """How well a small network that was trained on real sequences tells a label, of real and of drawn ones.

    It is trained on as many sequences with the label as without it.

    Parameters
    ----------
    name : str
    train, real, drawn : tuple of uint8 (N, L) and int (N,)
        Sequences and their labels.
    seed : int
    """
    bases, labels = train
    rows = [np.flatnonzero(labels == label) for label in (0, 1)]
    fewest = min(map(len, rows))
    both = np.concatenate([choose_rows(seed, f"{name} {label}", rows[label], fewest) for label in (0, 1)])
    scores = by_network(bases[both], labels[both], np.concatenate([real[0], drawn[0]]))
    return transfer_measure(name, (scores[: len(real[0])], scores[len(real[0]) :]), (real[1], drawn[1]), seed)


def _alike(
    folder: Path, labels: npt.NDArray[np.uint8], seed: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Drawn sequences with labels in the same proportions as those of real regions, uint8 (M, L) and (M, T)."""
    dataset = open_dataset(folder / "dataset")
    chosen = rows_alike(dataset.labels("train"), labels, seed)
    return dataset.bases("train")[chosen], dataset.labels("train")[chosen]


def rows_alike(drawn: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.int64]:
    """Rows of drawn labels (M, T) in the proportions of real ones (N, T), at most ten for each real one.

    Raises
    ------
    InputError
        Of some labels fewer were drawn than there are real regions.
    """
    patterns, counts = np.unique(labels, axis=0, return_counts=True)
    rows = [np.flatnonzero((drawn == pattern).all(axis=1)) for pattern in patterns]
    each = min(_DRAWN_PER_REGION, *(len(found) // count for found, count in zip(rows, counts, strict=True)))
    if not each:
        what = f"draws too few sequences to be held against {len(labels)} regions"
        raise InputError("n_sequences", what, "draw more")
    chosen = [
        choose_rows(seed, f"likeness {number}", found, each * int(count))
        for number, (found, count) in enumerate(zip(rows, counts, strict=True))
    ]
    return np.sort(np.concatenate(chosen))


def measures(
    real: npt.NDArray[np.uint8],
    drawn: npt.NDArray[np.uint8],
    motifs: Sequence[Motif],
    pvalue: float,
    background: npt.NDArray[np.float64],
    seed: int,
) -> list[Measure]:
    """All lines of likeness.csv but those that train networks."""
    found = [*composition_measures(real, drawn, seed), spectrum_distance(real, drawn, seed=seed)]
    scanned = [scan(bases, motifs, pvalue, background) for bases in (real, drawn)]
    hits, drawn_hits = (_counts(each, len(bases), motifs) for each, bases in zip(scanned, (real, drawn), strict=True))
    for number, motif in enumerate(motifs):
        found.append(hit_measures(motif.tf, hits[:, number], drawn_hits[:, number], seed))
    found.append(dispersion_measure(hits.sum(axis=1), drawn_hits.sum(axis=1), seed))
    places, drawn_places = (
        (len(bases), each["row"].to_numpy(), ((each["start"] + each["end"]) / 2).to_numpy())
        for each, bases in zip(scanned, (real, drawn), strict=True)
    )
    found += place_measures(places, drawn_places, real.shape[1], seed)
    found.append(classifier_measure("classifier_words", real, drawn, by_words, seed))
    return found


def _counts(found: pd.DataFrame, n: int, motifs: Sequence[Motif]) -> npt.NDArray[np.int64]:
    """Hits of each motif in each of n sequences, int64 (n, number of motifs)."""
    number = {motif.motif_id: place for place, motif in enumerate(motifs)}
    cells = found["row"].to_numpy() * len(motifs) + found["motif"].map(number).to_numpy()
    return np.bincount(cells, minlength=n * len(motifs)).reshape(n, len(motifs))


def by_network(
    train: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], test: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Score sequences by a small convolutional network trained on others; a tenth of these say when to stop."""
    import keras

    from simbench_tf.dna import one_hot

    keras.utils.set_random_seed(0)
    layers = keras.layers
    stack = [
        layers.Conv1D(32, 11, activation="relu"),
        layers.MaxPooling1D(4),
        layers.Conv1D(32, 5, activation="relu"),
        layers.GlobalMaxPooling1D(),
        layers.Dropout(0.3),
        layers.Dense(1, "sigmoid"),
    ]
    model = keras.Sequential([keras.Input((train.shape[1], 4)), *stack])
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    order = np.random.default_rng(0).permutation(len(train))
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    model.fit(
        one_hot(train[order]),
        labels[order],
        batch_size=32,
        epochs=30,
        validation_split=0.1,
        callbacks=[stop],
        verbose=0,
    )
    return np.asarray(model.predict(one_hot(test), verbose=0)[:, 0], np.float64)
