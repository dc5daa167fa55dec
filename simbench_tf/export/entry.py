"""Kipoi entries of trained models: self-contained folders that `kipoi` tests and predicts with as they are.

An entry imports neither this package nor kipoiseq; it appears whole or not at all.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf import dna
from simbench_tf.errors import InputError
from simbench_tf.export import entry_files as files
from simbench_tf.export.people import NOBODY, Person, as_kipoi, check_person
from simbench_tf.export.publishing import LOCAL, Upload, publish_as, write_models
from simbench_tf.export.weights import check_names, store_model
from simbench_tf.run.results import Metrics

Bases = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EntryInfo:
    """The description of an entry that the zoo shows.

    Attributes
    ----------
    doc : str
        What the model predicts, in a few sentences.
    authors : tuple of str or mapping
        Names, or mappings with name and, if you like, github, email and orcid.
    cite_as : str
        The address of a DOI, which the zoo wants, or how to cite.
    trained_on : str
        The training data.
    training_procedure : str
    license : str
        Of the model; an SPDX name.
    tags : tuple of str
    contributors : tuple of str or mapping
        Who made the entry, as `authors`; none by default.
    version : str
        Of the entry.
    """

    doc: str
    authors: tuple[Person, ...] = (NOBODY,)
    cite_as: str = "https://github.com/kundajelab/interpret-benchmark"
    trained_on: str = "not stated"
    training_procedure: str = "not stated"
    license: str = "MIT"
    tags: tuple[str, ...] = ("DNA accessibility",)
    contributors: tuple[Person, ...] = ()
    version: str = "0.1"

    def __post_init__(self) -> None:
        for name in ("authors", "contributors"):
            for person in getattr(self, name):
                check_person(f"info.{name}", person)
        # kipoi warns of an empty field, and a warning fails the zoo's tests
        for name, value in asdict(self).items():
            if name == "contributors" and not value:
                continue
            if not value or not all(str(part).strip() for part in ([value] if isinstance(value, str) else value)):
                raise InputError(f"info.{name}", "is empty", "write a few words")


class Exported(NamedTuple):
    """A Kipoi entry that was written.

    Attributes
    ----------
    folder : Path
    largest_change : float
        Largest change of any prediction by storing the weights as float16; 0 with float32.
    uploads : tuple of Upload
        The files to upload, where they are given by url.
    """

    folder: Path
    largest_change: float
    uploads: tuple[Upload, ...]


def export_kipoi(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    task_names: Sequence[str],
    sequences: Bases | Sequence[str],
    info: EntryInfo,
    float16: bool = False,
    url: str | None = None,
    overwrite: bool = False,
    metrics: Metrics | None = None,
) -> Exported:
    """Write a Keras model as a Kipoi entry: model, data loader, descriptions, example files, expected predictions.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential, input (N, L, 4), output (N, T).
    folder : path
        The entry; its last part is the model's name in the zoo.
    task_names : sequence of str
        Names of the T outputs, in order.
    sequences : uint8 (N, L) or list of str
        DNA like the training data. The first sequences become the example genome; the change by `float16` is measured
        on all of them.
    info : EntryInfo
    float16 : bool, default False
        Store weights in half the space; the largest change of a prediction is returned and written into the entry.
    url : str, optional
        Web folder where weights and example files will be stored; see `publish`.
    overwrite : bool, default False
        Replace an existing entry.
    metrics : mapping, optional
        For each task what the model reaches and what can be reached, for the entry's metrics.json.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        The folder exists already, or holds something other than an entry; the model has another form; a name is not
        allowed.

    Examples
    --------
    >>> import keras, tempfile
    >>> layers = [keras.Input((20, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    >>> folder = Path(tempfile.mkdtemp()) / "toy"
    >>> entry = export_kipoi(
    ...     keras.Sequential(layers), folder, task_names=["K562"], sequences=["ACGTA" * 4, "CCGTA" * 4],
    ...     info=EntryInfo(doc="A toy."),
    ... )
    >>> sorted(path.name for path in entry.folder.iterdir())
    ['dataloader.py', 'dataloader.yaml', 'example_files', 'model.py', 'model.yaml', 'model_files']
    """
    folder = Path(folder)
    with files.whole_folder(folder, overwrite, files.ENTRY) as partial:
        bases = _as_bases(sequences)
        stored = store_model(model, partial, "model", "predictions", task_names, bases, info.doc, float16)
        description = {
            "defined_as": "model.KerasSequenceModel",
            "args": {"weights": "model_files/model.keras"},
            "default_dataloader": ".",
            **_shared_description(replace(info, doc=stored.doc), stored.seq_length),
        }
        targets = {
            "name": "targets",
            "shape": f"({len(task_names)},)",
            "doc": "Predicted probability of each task's label.",
            "column_labels": list(task_names),
        }
        description["schema"]["targets"] = targets
        files.write_yaml(partial / "model.yaml", description)
        _write_shared(partial, bases, info)
        if metrics is not None:
            files.write_json(partial / "metrics.json", metrics)
        uploads = publish_as(partial, folder.name, url) if url is not None else ()
    return Exported(folder, stored.largest_change, _in_place(uploads, partial, folder))


class GroupMember(NamedTuple):
    """One model of a group."""

    model: Any
    task_names: Sequence[str]
    doc: str
    training_procedure: str = "not stated"


def export_kipoi_group(
    members: Mapping[str, GroupMember],
    folder: str | os.PathLike[str],
    *,
    sequences: Bases | Sequence[str],
    info: EntryInfo,
    float16: bool = False,
    url: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write several models of one input length as a group: one template, one data loader, one line each in models.tsv.

    Parameters
    ----------
    members : mapping of str to GroupMember
        The models by their name within the group.
    folder : path
        The group; a model's name in the zoo is the group's, a slash, and its own.
    sequences, float16, url, overwrite
        As in `export_kipoi`.
    info : EntryInfo
        Of the group; each member has its own doc and training procedure.

    Returns
    -------
    Exported
        With the largest change among the members.

    Raises
    ------
    InputError
        As `export_kipoi`, or the models' inputs differ in length.
    """
    folder = Path(folder)
    if not members:
        raise InputError(folder, "a group needs a model", "name at least one")
    with files.whole_folder(folder, overwrite, files.ENTRY) as partial:
        bases = _as_bases(sequences)
        rows, stored = [], []
        for name, member in members.items():
            check_names("group", [name])
            stored.append(store_model(member.model, partial, name, name, member.task_names, bases, member.doc, float16))
            row = {
                "model": name,
                "weights": f"model_files/{name}.keras",
                "md5": LOCAL,
                "expect": LOCAL,
                "expect_md5": LOCAL,
                "tasks": ",".join(member.task_names),
                "training_procedure": _one_line(member.training_procedure),
                "doc": _one_line(stored[-1].doc),
            }
            rows.append(row)
        write_models(partial, rows)
        (partial / "model-template.yaml").write_text(_group_template(info, stored[0].seq_length), encoding="utf-8")
        (partial / "test_subset.txt").write_text("".join(f"{name}\n" for name in members), encoding="utf-8")
        _write_shared(partial, bases, info)
        uploads = publish_as(partial, folder.name, url) if url is not None else ()
    return Exported(folder, max(each.largest_change for each in stored), _in_place(uploads, partial, folder))


# what an entry and a group have in common


def _shared_description(info: EntryInfo, seq_length: int) -> dict[str, Any]:
    return {
        "info": _info(info),
        "dependencies": files.pinned(files.MODEL_PACKAGES),
        "schema": {"inputs": files.schema_inputs(seq_length)},
        "test": {"precision_decimal": files.PRECISION_DECIMAL},
    }


def _group_template(info: EntryInfo, seq_length: int) -> str:
    """Fill in what the group's models share; kipoi fills in the rest from models.tsv."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["tojson"] = functools.partial(json.dumps, ensure_ascii=False)  # Jinja's own filter is for HTML
    shared = _shared_description(info, seq_length)
    return environment.from_string(files.template("model-template.yaml.j2")).render(
        **shared, inputs=shared["schema"]["inputs"], precision_decimal=files.PRECISION_DECIMAL
    )


def _write_shared(folder: Path, bases: Bases, info: EntryInfo) -> None:
    for name in ("model.py", "dataloader.py"):
        (folder / name).write_text(files.template(name), encoding="utf-8")
    description = files.dataloader_description(bases.shape[1], as_kipoi(info.authors), info.license)
    files.write_yaml(folder / "dataloader.yaml", description)
    files.write_example(folder / "example_files", files.example_of(bases))


def _info(info: EntryInfo) -> dict[str, Any]:
    described = {**asdict(info), "authors": as_kipoi(info.authors), "tags": list(info.tags)}
    described["contributors"] = as_kipoi(info.contributors)
    return {name: value for name, value in described.items() if value}


def _one_line(text: str) -> str:
    # kipoi reads what follows a # in models.tsv as a comment
    return " ".join(text.replace("#", "no. ").split())


def _as_bases(sequences: Bases | Sequence[str]) -> Bases:
    bases = sequences if isinstance(sequences, np.ndarray) else dna.encode(list(sequences))
    if bases.ndim != 2 or len(bases) < 2:
        raise InputError("sequences", f"have shape {bases.shape}", "give at least two of one length")
    return bases


def _in_place(uploads: Sequence[Upload], partial: Path, folder: Path) -> tuple[Upload, ...]:
    return tuple(Upload(folder / upload.path.relative_to(partial), upload.url) for upload in uploads)
