"""Truth-free metrics, in the score stage, with `scoring.truth_free`: RUN/scores/truth_free.csv, one row a method.

They ask the model and the method again, of the first explained sequences. Each attribution file is a step of its own,
RUN/scores/truth_free/MODEL/TASK/KEY.parquet, with one row a sequence.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf import tables
from simbench_tf.config import Config, Replicate
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.devices import device
from simbench_tf.dna import one_hot
from simbench_tf.files import checksum, whole_file
from simbench_tf.motifs import read_motifs
from simbench_tf.parallel import Track, silent
from simbench_tf.run.attributions import AttributionFile, read_attributions
from simbench_tf.run.manifest import discard, fingerprint, read_manifest
from simbench_tf.run.models import find_model, load_model
from simbench_tf.score.significance import mean_and_error
from simbench_tf.score.truth_free import TRUTH_FREE
from simbench_tf.stages.step import Made, dataset_checksums, step

#: Explained sequences that are measured, at most: each is explained some ten times more.
N_SEQUENCES = 32

_FOLDER, _TABLE = "scores/truth_free", "scores/truth_free.csv"


def truth_free(config: Config, folder: Path, files: list[AttributionFile], track: Track = silent) -> None:
    """Write truth_free.csv where the configuration asks for it, else drop what there is."""
    wanted = [file for file in files if _is_keras(file)] if config.scoring.truth_free else []
    paths = {_path(folder, file): file for file in wanted}
    kept = {path.relative_to(folder).as_posix() for path in paths}
    recorded = [name for name in read_manifest(folder) if name.startswith(f"{_FOLDER}/")]
    discard(folder, [*(name for name in recorded if name not in kept), *([] if wanted else [_TABLE])])
    if not wanted:
        return
    with track("score without truth", len(wanted)) as advance:
        for path, file in paths.items():
            key = fingerprint("truth_free", _inputs(config, folder, file, wanted))
            step(folder, {"score": key}, functools.partial(_write, config, folder, file, wanted, path))
            advance(1)
    made = {path.relative_to(folder).as_posix(): checksum(path) for path in paths}
    table_key = fingerprint("truth_free", {"files": made, "metrics": list(TRUTH_FREE)})
    step(folder, {"score": table_key}, functools.partial(_write_table, folder, paths))


def _is_keras(file: AttributionFile) -> bool:
    return file.model_file.suffix == ".keras" and file.model_file.is_file()


def _path(folder: Path, file: AttributionFile) -> Path:
    return folder / _FOLDER / file.model / file.task / f"{file.path.stem}.parquet"


def _inputs(config: Config, folder: Path, file: AttributionFile, files: Sequence[AttributionFile]) -> dict[str, Any]:
    """What the metrics of a file depend on: it, its model, and the models and methods that it is held against."""
    null = _of_shuffled_labels(config, folder, file)
    return {
        "dataset": dataset_checksums(folder),
        "sequences": N_SEQUENCES,
        "seed": config.seed,
        "output": config.attribution.output,
        "file": checksum(file.path),
        "model": checksum(file.model_file),
        "others": [checksum(each.path) for each in _others(file, files)],
        "seeds": [checksum(path) for path in _seeds(config, file, files)],
        "without_weights": file.model in _without_weights(config),
        **({} if null is None else {"shuffled_labels": checksum(null)}),
    }


def _others(file: AttributionFile, files: Sequence[AttributionFile]) -> list[AttributionFile]:
    """Attributions of the same model and task by other methods."""
    return [each for each in files if (each.model, each.task) == (file.model, file.task) and each.path != file.path]


def _seeds(config: Config, file: AttributionFile, files: Sequence[AttributionFile]) -> list[Path]:
    """Models trained like the file's own from other seeds."""
    name_of = {each.name: each.model.name for each in config.replicates if each.model.seeds > 1}
    if file.model not in name_of:
        return []
    paths = {each.model: each.model_file for each in files if name_of.get(each.model) == name_of[file.model]}
    return [path for model, path in paths.items() if model != file.model]


def _of_shuffled_labels(config: Config, folder: Path, file: AttributionFile) -> Path | None:
    """The network that differs from the file's own in that it was trained on shuffled labels; None where none was."""

    def recipe(replicate: Replicate) -> tuple[dict[str, Any], dict[str, Any]]:
        model = replicate.model
        said = model.model_dump(exclude={"name", "training", "seeds", "ensemble"})
        return said, config.training_for(model).model_dump(exclude={"shuffled_labels"})

    trained = [each for each in config.replicates if each.is_trained]
    mine = next((each for each in trained if each.name == file.model), None)
    if mine is None or config.training_for(mine.model).shuffled_labels:
        return None
    others = [each for each in trained if config.training_for(each.model).shuffled_labels]
    found = next((each for each in others if recipe(each) == recipe(mine)), None)
    return None if found is None else find_model(found, config.tasks, folder)[0]


def _without_weights(config: Config) -> set[str]:
    """Models that have no weights to be drawn anew."""
    models = {each.name: each.model for each in config.replicates}
    return {name for name, each in models.items() if each.is_from_data or each.is_gkmsvm or each.is_saved_model}


def _write(config: Config, folder: Path, file: AttributionFile, files: Sequence[AttributionFile], path: Path) -> Made:
    from simbench_tf.attribution.truth_free import truth_free as measure

    dataset = open_dataset(folder / "dataset")
    scores, seq_ids = read_attributions(file.path)
    scores, seq_ids = scores[:N_SEQUENCES], seq_ids[:N_SEQUENCES]
    split = config.attribution.split
    rows = pd.Index(dataset.seq_ids(split)).get_indexer(pd.Index(seq_ids))
    model = load_model(file.model_file)
    measured = measure(
        model,
        one_hot(dataset.bases(split)[rows]),
        scores,
        target=file.target,
        output=config.attribution.output,
        others=[_scores_of(each, seq_ids) for each in _others(file, files)],
        random_state=config.seed,
        **_explained_again(config, folder, dataset, file, files),
    )
    with whole_file(path) as partial:
        measured.assign(seq_id=seq_ids).to_parquet(partial, index=False)
    return Made({"score": [path]}, device())


def _scores_of(file: AttributionFile, seq_ids: list[str]) -> npt.NDArray[np.float32]:
    scores, known = read_attributions(file.path)
    return scores[pd.Index(known).get_indexer(pd.Index(seq_ids))]


def _explained_again(
    config: Config, folder: Path, dataset: Dataset, file: AttributionFile, files: Sequence[AttributionFile]
) -> dict[str, Any]:
    """How `truth_free` explains sequences anew; nothing for other tools' methods, and those of pairs take too long."""
    from simbench_tf.attribution import methods

    known = methods().get(file.method.method)
    if known is None or known.is_of_pairs:
        return {}
    tasks = dataset.element_tasks or {}
    mine = {element for element, of in tasks.items() if file.task in of}
    motifs = [
        motif.ppm
        for motif in read_motifs(dataset.path / "motifs.meme")
        if not tasks or dataset.motif_elements.get(motif.motif_id, set()) & mine
    ]
    null = _of_shuffled_labels(config, folder, file)
    return {
        "method": file.method.method,
        "references": file.method.references,
        "seeds": [load_model(path) for path in _seeds(config, file, files)],
        "shuffled_labels": None if null is None else load_model(null),
        "decoys": motifs,
        "randomise": file.model not in _without_weights(config),
        **file.method.settings,
    }


def _write_table(folder: Path, paths: dict[Path, AttributionFile]) -> Made:
    """Write truth_free.csv: means over sequences, and their standard errors."""
    lines = []
    for path, file in paths.items():
        measured = pd.read_parquet(path)
        line = {"model": file.model, "task": file.task, "key": file.key, "n_sequences": len(measured)}
        for name in TRUTH_FREE:
            values = measured[name].to_numpy(np.float64) if name in measured else np.full(1, np.nan)
            line[name], line[f"{name}_se"] = mean_and_error(values, np.arange(len(values)))
        lines.append(line)
    columns = [*tables.TRUTH_FREE_KEYS, *(column for name in TRUTH_FREE for column in (name, f"{name}_se"))]
    with whole_file(folder / _TABLE) as partial:
        pd.DataFrame(lines, columns=columns).to_csv(partial, index=False)
    return Made({"score": [folder / _TABLE]})
