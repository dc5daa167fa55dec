"""Results that a changed configuration would overwrite: which recorded files of a run it makes again, or drops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simbench_tf.config import Config
from simbench_tf.errors import InputError
from simbench_tf.run.attributions import attribution_files
from simbench_tf.run.manifest import Record, fingerprint, read_manifest
from simbench_tf.run.models import ENSEMBLE, OUTSIDE
from simbench_tf.stages import attribute, dynamics, oracle, simulate, train
from simbench_tf.stages.step import dataset_checksums

#: Stages whose results take long, in order, and what to call their files; the others follow from these in seconds.
_COSTLY = {
    "simulate": "the data set",
    "train": "models",
    "dynamics": "learning dynamics",
    "attribute": "attributions",
    "oracle": "the oracle's answers",
    "motifs": "motif calls",
}


class Overwritten(NamedTuple):
    """Results of one stage that would be lost: how many recorded files, and the seconds that making them took."""

    stage: str
    n_files: int
    seconds: float


def check_overwrites(config: Config, folder: Path) -> None:
    """Raise InputError where running a configuration in a folder would overwrite results that are there."""
    lost = overwritten(config, folder)
    if lost:
        listed = ", ".join(f"{_COSTLY[each.stage]} ({_files(each.n_files)}, {_time(each.seconds)})" for each in lost)
        mend = "add --overwrite to make them again, or choose another folder with --out"
        raise InputError(folder, f"holds results of another configuration, which would be lost: {listed}", mend)


def overwritten(config: Config, folder: Path) -> list[Overwritten]:
    """List the results in a folder that a run of a configuration would overwrite or drop, by stage.

    Parameters
    ----------
    config : Config
    folder : path
        A run, or a folder that is none, where nothing is lost.

    Raises
    ------
    InputError
        A file that the configuration names is missing.
    """
    records = read_manifest(folder)
    names = set(_overwritten_names(config, folder, records))
    lost = []
    for stage in _COSTLY:
        mine = [records[name] for name in sorted(names) if records[name]["stage"] == stage]
        if mine:
            # the files of one step share its seconds
            steps = {record["fingerprint"]: float(record.get("seconds", 0)) for record in mine}
            lost.append(Overwritten(stage, len(mine), sum(steps.values())))
    return lost


def _overwritten_names(config: Config, folder: Path, records: dict[str, Record]) -> Iterator[str]:
    if not records:
        return
    data_key = fingerprint("simulate", simulate.inputs(config))
    if any(r["stage"] == "simulate" and not r["fingerprint"].startswith(data_key) for r in records.values()):
        yield from records  # all else is made from the data
        return
    if "dataset/dataset.json" not in records or not (folder / "dataset" / "dataset.json").is_file():
        return  # half-made, or lost: the same data are made, and all else is of them
    yield from dynamics.unwatched(config, records)
    yield from (name for name, r in records.items() if r["stage"] == "oracle" and not _is_of(r, config, folder))
    if config.discovery is None:
        yield from (name for name, record in records.items() if record["stage"] == "motifs")
    lost_models = set()
    for replicate in (each for each in config.replicates if not each.members):
        names = [f"models/{replicate.name}/{file}" for file in ("model.keras", *OUTSIDE)]
        key = fingerprint("train", {"dataset": dataset_checksums(folder), **train.inputs(config, replicate)})
        if any(name in records and not _has_key(records[name], key) for name in names):
            lost_models.add(replicate.name)
    lost_models |= set(_lost_ensembles(config, folder, records, lost_models))
    for name in records:
        if len(Path(name).parts) > 1 and Path(name).parts[1] in lost_models:
            yield name
    yield from _overwritten_attributions(config, folder, records, lost_models)


def _lost_ensembles(config: Config, folder: Path, records: dict[str, Record], lost: set[str]) -> Iterator[str]:
    """Recorded ensembles that are measured again: with a member, or by another output."""
    for replicate in (each for each in config.replicates if each.members):
        name = f"models/{replicate.name}/{ENSEMBLE}"
        if name not in records or not all((folder / "models" / each / "model.keras").is_file()
                                          for each in replicate.members):  # fmt: skip
            continue
        key = train.ensemble_key(config, folder, replicate, dataset_checksums(folder))
        if lost & set(replicate.members) or not _has_key(records[name], key):
            yield replicate.name


def _overwritten_attributions(
    config: Config, folder: Path, records: dict[str, Record], lost_models: set[str]
) -> Iterator[str]:
    # of a model of Kipoi that was not taken yet the outputs are not known, and nothing of it can be lost
    known = [each for each in config.models if each.kipoi is None or _is_taken(folder, each.name)]
    common = attribute.common_inputs(config, folder)
    for file in attribution_files(config.model_copy(update={"models": known}), folder):
        name = file.path.relative_to(folder).as_posix()
        if file.model in lost_models or name not in records or not file.model_file.is_file():
            continue
        if not _has_key(records[name], fingerprint("attribute", attribute.inputs(file, common))):
            yield name
            calls = f"motifs/{file.model}/{file.task}/{file.key}/"
            yield from (each for each in records if each.startswith(calls))


def _is_taken(folder: Path, model: str) -> bool:
    return (folder / "models" / model / "kipoi.json").is_file()


def _is_of(record: Record, config: Config, folder: Path) -> bool:
    return _has_key(record, fingerprint("oracle", oracle.inputs(config, folder)))


def _has_key(record: Record, key: str) -> bool:
    return bool(record["fingerprint"] == key)


def _files(n: int) -> str:
    return "1 file" if n == 1 else f"{n} files"


def _time(seconds: float) -> str:
    """Seconds in words.

    Examples
    --------
    >>> _time(4.2), _time(483)
    ('4 s', '8 min 3 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
