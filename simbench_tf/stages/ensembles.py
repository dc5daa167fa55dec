"""Ensembles: RUN/models/NAME-ensemble, the mean of the logits of a model's seeds, measured, and explained by theirs.

Nothing is trained: ensemble.json names the members and metrics.json has what their mean reaches on the test split.
Where the members' attributions are there, an ensemble's are their mean, and nothing is computed again; both ways give
the same numbers. With ``attribution.output: probability`` it is the mean of probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simbench_tf.config import Config, Replicate
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.hdf5 import read_h5, whole_h5
from simbench_tf.run.attributions import AttributionFile
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.models import ENSEMBLE, outputs_of_tasks
from simbench_tf.stages.attribute_chunks import mean_outputs
from simbench_tf.stages.from_data import write_empty_history
from simbench_tf.stages.resident_models import WantedModel
from simbench_tf.stages.step import Made


def inputs(config: Config, folder: Path, replicate: Replicate) -> dict[str, Any]:
    """What an ensemble depends on beside the data set: its members' files, by their checksums, and the output.

    Raises
    ------
    InputError
        A member is not trained yet.
    """
    files = [folder / "models" / name / "model.keras" for name in replicate.members]
    for file in files:
        if not file.is_file():
            raise InputError(file, "is missing", f"train it first: {replicate.name} is the mean of its members")
    members = {file.parent.name: checksum(file) for file in files}
    return {"ensemble": replicate.name, "members": members, "output": config.attribution.output}


def write(config: Config, folder: Path, replicate: Replicate) -> Made:
    """Measure an ensemble on the test split, and write RUN/models/NAME-ensemble."""
    from simbench_tf.devices import device, is_chief
    from simbench_tf.training import split_metrics, write_metrics

    if not is_chief():
        return Made({}, device())
    dataset, target = open_dataset(folder / "dataset"), folder / "models" / replicate.name
    made_from = inputs(config, folder, replicate)
    predicted = _predictions(config, folder, replicate, dataset, made_from["members"])
    # measures last: where they are, the model is whole
    files = [target / name for name in (ENSEMBLE, "history.csv", "metrics.json")]
    with whole_file(files[0]) as partial:
        record = {"members": made_from["members"], "output": made_from["output"]}
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_empty_history(files[1])
    write_metrics(files[2], split_metrics(dataset.labels("test"), predicted, dataset.tasks))
    return Made({"train": files}, device())


def _predictions(
    config: Config, folder: Path, replicate: Replicate, dataset: Dataset, members: dict[str, str]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The mean output for the test split, (N, T): which order logits bring sequences in is all that is measured."""
    wanted = [WantedModel(str(folder / "models" / name / "model.keras"), known) for name, known in members.items()]
    outputs = list(outputs_of_tasks(replicate.model, dataset.tasks).values())
    return mean_outputs(wanted, dataset.bases("test"), outputs, config.attribution.output).T


def mean_of_files(paths: list[Path], target: Path, **attributes: str) -> None:
    """Write the mean of files of attributions or knock-outs, array by array; places and names are the first's.

    Parameters
    ----------
    paths : list of path
        Of the members: the same sequences by the same method.
    target : path
    **attributes
        Of the file.
    """
    with whole_h5(target, most_bytes=paths[0].stat().st_size) as h5:
        for name, first in _datasets(paths[0]):
            values = first[:]
            if values.dtype.kind == "f":
                total = values.astype(np.float64)
                for path in paths[1:]:
                    with read_h5(path) as other:
                        total += other[name][:]
                values = (total / len(paths)).astype(values.dtype)
            h5.create_dataset(name, data=values, chunks=first.chunks, compression=first.compression)
        h5.attrs.update(attributes)


def _datasets(path: Path) -> Iterable[tuple[str, h5py.Dataset]]:
    """Arrays of a file by name, those in groups, too; the order is that in which stages write them."""
    with read_h5(path) as h5:
        names: list[str] = []
        h5.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in sorted(names, key=lambda name: ("scores" not in name, "seq_id" in name, name)):
            yield name, h5[name]


def seconds_of_members(folder: Path, files: Iterable[AttributionFile]) -> float:
    """Seconds a sequence takes an ensemble: those of all its members together; NaN where they are not known."""
    records = read_manifest(folder)
    known = [records.get(each.path.relative_to(folder).as_posix(), {}).get("seconds_per_sequence") for each in files]
    return float(np.sum([np.nan if each is None else each for each in known]))
