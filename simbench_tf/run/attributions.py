"""Attribution files of a run (RUN/attributions): which there are, of which sequences, and how one is read."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config, MethodSettings, Model
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.hdf5 import read_h5
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.manifest import fingerprint, fresh_files, stage_checksums
from simbench_tf.run.models import find_model, lacking_of


class AttributionFile(NamedTuple):
    """One file of attributions: of a model's output for a task, by a method."""

    model: str
    task: str
    target: int
    method: MethodSettings
    key: str
    path: Path
    model_file: Path
    chosen_output: int | None = None  # `target` where the configuration chose it, not the place of the task
    members: tuple[str, ...] = ()  # of an ensemble, by name


def attribution_files(config: Config, folder: Path, models: Container[str] | None = None) -> list[AttributionFile]:
    """List the attribution files that a configuration asks for, in order: model, task, method.

    Of each model, without the methods that it does not take (`not_taken`). With `models`, names of replicates, of
    these alone.

    Raises
    ------
    InputError
        A method or one of its settings is unknown, or a model from Kipoi was not taken yet.
    """
    from simbench_tf.attribution import method_key

    files = []
    for model in config.replicates:
        if models is not None and model.name not in models:
            continue
        model_file, outputs = find_model(model, config.tasks, folder)
        for task in config.attributed_tasks:
            for method in taken_methods(config, model.model):
                key = method_key(method.method, method.references, method.settings)
                path = folder / "attributions" / model.name / task / f"{key}.h5"
                target, chosen = outputs[task], (model.model.outputs or {}).get(task)
                of_model = (model_file, chosen, model.members)
                files.append(AttributionFile(model.name, task, target, method, key, path, *of_model))
    return files


def files_of_members(file: AttributionFile, folder: Path) -> list[AttributionFile]:
    """The files of an ensemble's members, of the same task and method; none of a model that is no ensemble."""
    return [
        file._replace(
            model=name,
            path=folder / "attributions" / name / file.task / file.path.name,
            model_file=folder / "models" / name / "model.keras",
            members=(),
        )
        for name in file.members
    ]


def taken_methods(config: Config, model: Model) -> list[MethodSettings]:
    """Those of the run's methods that a model takes: of Keras' all but those for others alone, of others fewer."""
    from simbench_tf.attribution.lacking import why_not

    return [each for each in config.attribution.methods if why_not(each.method, lacking_of(model)) is None]


class NotTaken(NamedTuple):
    """A method that a model does not take, and is not explained by."""

    model: str
    method: str
    why: str


def not_taken(config: Config) -> list[NotTaken]:
    """Methods of a run that some of its models do not take, once each."""
    from simbench_tf.attribution.lacking import why_not

    names = dict.fromkeys(each.method for each in config.attribution.methods)
    found = [(model.name, name, why_not(name, lacking_of(model))) for model in config.models for name in names]
    return [NotTaken(model, name, why) for model, name, why in found if why is not None]


def null_files(config: Config, folder: Path, files: Iterable[AttributionFile] | None = None) -> list[AttributionFile]:
    """List RUN/nulls/MODEL/TASK/KEY.h5: attributions by each method of an untrained network like each model.

    None for models that can only predict, that show no layers, that the data make or that are no networks, which have
    no weights to be drawn anew, nor for ensembles, whose members have theirs, and none where `scoring.nulls` is off.
    With `files`, what is beside these alone.
    """
    if not config.scoring.nulls:
        return []
    models = {each.name: each.model for each in config.replicates}
    made = {name for name, each in models.items() if each.is_from_data or each.is_saved_model or each.is_gkmsvm}
    return [
        file._replace(path=folder / "nulls" / file.model / file.task / f"{file.key}.h5")
        for file in (attribution_files(config, folder) if files is None else files)
        if (file.model_file.suffix == ".keras" or file.model_file.name == "torch.json") and file.model not in made
    ]


def attributed_rows(dataset: Dataset, config: Config, task: str) -> npt.NDArray[np.int64]:
    """Rows of the split that are attributed for a task: at most n_sequences of its positives, drawn by the seed.

    Raises
    ------
    InputError
        The split holds no positive of the task.
    """
    split = config.attribution.split
    positives = np.flatnonzero(dataset.labels(split)[:, dataset.tasks.index(task)] == 1)
    if not positives.size:
        raise InputError("attribution.split", f"{split} holds no positive of {task}", "choose another split or task")
    return choose_rows(config.seed, f"explained {task}", positives, config.attribution.n_sequences)


def seq_id_bytes(seq_ids: npt.ArrayLike) -> npt.NDArray[np.bytes_]:
    r"""Ids of sequences as HDF5 files of a run hold them: bytes of one length, marked as UTF-8 unless all are ASCII.

    Examples
    --------
    >>> seq_id_bytes(["s1", "s10"]), seq_id_bytes(["é"])
    (array([b's1', b's10'], dtype='|S3'), array([b'\xc3\xa9'], dtype='|S2'))
    """
    encoded = np.char.encode(np.asarray(seq_ids, np.str_), "utf-8")
    is_ascii = all(each.isascii() for each in encoded.tolist())
    return encoded if is_ascii else encoded.astype(h5py.string_dtype("utf-8", encoded.dtype.itemsize))


def read_attributions(path: Path) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Read scores, float32 (N, L), and the N seq_id of an attribution file."""
    with read_h5(path) as h5:
        return h5["scores"][:], list(h5["seq_id"].asstr()[:])


def read_seq_ids(path: Path) -> list[str]:
    """Read the N seq_id of an attribution file, and not its scores."""
    with read_h5(path) as h5:
        return list(h5["seq_id"].asstr()[:])


def has_dependency_maps(path: Path) -> bool:
    """Whether an attribution file is of a method of pairs of bases."""
    with read_h5(path) as h5:
        return "dependency_maps" in h5


def read_dependency_maps(path: Path) -> Iterator[tuple[str, int, npt.NDArray[np.float32]]]:
    """Read, sequence by sequence, its seq_id, the first base of the window, and the map, float32 (W, W)."""
    with read_h5(path) as h5:
        for row, (seq_id, start) in enumerate(zip(h5["seq_id"].asstr()[:], h5["window_start"][:], strict=True)):
            yield seq_id, int(start), h5["dependency_maps"][row]


#: The references of a tool that does not state them.
UNKNOWN_REFERENCES = "-"


def attributions_of_other_tools(config: Config, folder: Path) -> list[AttributionFile]:
    """List the attributions of other tools that a run holds, in order: model, task, name.

    They are of the models that the run has; a run without models has those that its folder names. Those of other
    sequences than the run attributes now are left out, with a warning.
    """
    files = []
    for (model, task), own in model_tasks(config, folder).items():
        for path in sorted((_folder(folder) / model / task).glob("*.h5")):
            with read_h5(path) as h5:
                references = str(h5.attrs["references"])
            file = other_file(folder, path.stem, own, references)
            if fresh_files(folder, other_fingerprint(config, folder, file)):
                files.append(file)
            else:
                mend = f"take it again with `simbench score RUN --attributions FILE --name {path.stem}`, or delete it"
                warnings.warn(f"{path}: left out, it is not of the sequences explained now; {mend}", stacklevel=2)
    return files


def all_attribution_files(config: Config, folder: Path) -> list[AttributionFile]:
    """List what a run scores: the files of its own methods, then those of other tools."""
    return [*attribution_files(config, folder), *attributions_of_other_tools(config, folder)]


def _folder(run: Path) -> Path:
    return run / "attributions" / "others"


def model_tasks(config: Config, folder: Path) -> dict[tuple[str, str], AttributionFile]:
    """Each model and task that the run attributes, in order, with one of our own files of it, where there is one."""
    if not config.models:
        folders = sorted(path.name for path in _folder(folder).glob("*") if path.is_dir())
        return {
            (model, task): unknown_model(config, folder, model, task)
            for model in folders
            for task in config.attributed_tasks
        }
    return {(file.model, file.task): file for file in attribution_files(config, folder)}


def unknown_model(config: Config, folder: Path, model: str, task: str) -> AttributionFile:
    """Stand for a file of our own where the model is only known by name; method, key and path are still to come."""
    model_file = folder / "models" / model / "model.keras"  # which does not exist
    return AttributionFile(model, task, config.tasks.index(task), MethodSettings(method=""), "", folder, model_file)


def other_file(folder: Path, name: str, own: AttributionFile, references: str) -> AttributionFile:
    """Where another tool's attributions of a model and task are kept; `own` is one of our own files of these."""
    path = _folder(folder) / own.model / own.task / f"{name}.h5"
    return own._replace(method=MethodSettings(method=name, references=references), key=name, path=path)


def other_fingerprint(config: Config, folder: Path, file: AttributionFile) -> str:
    """Hash of what decides which sequences are attributed, and of the file's path."""
    explained_by = config.attribution.model_dump(mode="json", include={"n_sequences", "split"})
    made_from = {"dataset": stage_checksums(folder, "simulate"), "seed": config.seed, **explained_by}
    return fingerprint("others", {**made_from, "file": str(file.path.relative_to(folder))})
