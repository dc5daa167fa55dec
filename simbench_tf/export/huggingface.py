"""Hugging Face: a folder for `hf upload` with model card, configuration and a Keras model in safe mode."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simbench_tf.export.describe_run import describe_model
from simbench_tf.export.entry import EntryInfo, Exported
from simbench_tf.export.entry_files import whole_folder
from simbench_tf.export.model_card import card_header, model_card
from simbench_tf.export.people import Person
from simbench_tf.export.run_entry import info_of
from simbench_tf.export.shared_files import CONTENTS, write_beside
from simbench_tf.export.weights import write_model

#: Files by which a folder for Hugging Face is known, so that it is replaced.
_KNOWN_BY = (("README.md", "config.json", "model.keras", "run.yaml"),)

_GET_IT = (
    "`USER` is whose it is on Hugging Face; the lines of Python run in the folder.",
    "",
    "```sh",
    "pip install huggingface_hub",
    "hf download USER/{name} --local-dir {name} && cd {name}",
    "```",
)


def export_huggingface(
    run: str | os.PathLike[str],
    model: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    authors: Sequence[Person] = EntryInfo.authors,
    contributors: Sequence[Person] = (),
    version: str = EntryInfo.version,
    license: str = EntryInfo.license,
    doi: str | None = None,
    float16: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a model of a run as a folder for the Hugging Face hub: `hf upload USER/NAME FOLDER`.

    README.md is the model card, whose header holds the metrics of each task as model-index; config.json has
    architecture, tasks and encoding; model.keras loads with plain Keras in safe mode.

    Parameters
    ----------
    run, model, authors, contributors, version, license, doi, float16, overwrite
        As in `export_run`.
    folder : path, optional
        By default RUN/huggingface/MODEL.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        The run, its data set or the model is missing; the folder is something else; the model has layers of its own.
    """
    described = describe_model(Path(run), model)
    folder = Path(run) / "huggingface" / model if folder is None else Path(folder)
    info = info_of(described, authors, contributors, version, license, doi)
    with whole_folder(folder, overwrite, _KNOWN_BY, "folder for Hugging Face") as partial:
        path = partial / "model.keras"
        tasks, bases = described.task_names, described.sequences
        written = write_model(described.model, path, tasks, bases, described.summary, float16)
        write_beside(partial, described, written.model)
        card = model_card(
            described,
            replace(info, doc=written.doc),
            model_file=path.name,
            get_it=[line.format(name=folder.name) for line in _GET_IT],
            contents={"model.keras": "the model", **CONTENTS},
        )
        (partial / "README.md").write_text(card_header(described, info) + card, encoding="utf-8")
    return Exported(folder, written.largest_change, ())
