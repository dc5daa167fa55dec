"""Zenodo: a flat folder for one record, with the metadata of its DOI, a citation file and checksums."""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from simbench_tf.export.describe_run import DescribedModel, describe_model, metrics_in_words
from simbench_tf.export.entry import EntryInfo, Exported
from simbench_tf.export.entry_files import example_of, whole_folder, write_example, write_json, write_predictions
from simbench_tf.export.model_card import model_card, title_of
from simbench_tf.export.people import Person, as_citation, as_zenodo
from simbench_tf.export.publishing import EXAMPLES
from simbench_tf.export.run_entry import info_of
from simbench_tf.export.shared_files import CONTENTS, write_beside
from simbench_tf.export.weights import example_predictions, write_model

#: Files by which a folder for Zenodo is known, so that it is replaced.
_KNOWN_BY = ((".zenodo.json", "CITATION.cff", "SHA256SUMS"),)
#: How the DOIs of Zenodo's records begin.
_OWN_DOI = "10.5281/"

_GET_IT = (
    "Download the files of the record into a folder; the lines of Python run in it. `sha256sum -c SHA256SUMS` tells",
    "whether they are whole.",
)


def export_zenodo(
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
    """Write a model of a run as the files of a Zenodo record, and what a DOI is registered with.

    A record has no folders, so the files lie side by side. Weights, example and expected predictions are named, and are
    to the byte, what the Kipoi entry of the folder's name fetches with ``url=https://zenodo.org/records/NUMBER/files``.

    Parameters
    ----------
    run, model, authors, contributors, version, license, float16, overwrite
        As in `export_run`.
    folder : path, optional
        By default RUN/zenodo/MODEL.
    doi : str, optional
        Of the record itself, reserved before, if it is one of Zenodo's; else of the paper that it belongs to.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        The run, its data set or the model is missing; the folder is something else; the model has layers of its own.
    """
    described = describe_model(Path(run), model)
    folder = Path(run) / "zenodo" / model if folder is None else Path(folder)
    info = info_of(described, authors, contributors, version, license, doi)
    name = folder.resolve().name
    with whole_folder(folder, overwrite, _KNOWN_BY, "folder for Zenodo") as partial:
        path = partial / f"{name}.keras"
        tasks, bases = described.task_names, described.sequences
        written = write_model(described.model, path, tasks, bases, described.summary, float16)
        write_beside(partial, described, written.model)
        write_example(partial, example_of(bases))
        for file in EXAMPLES.values():
            (partial / file).rename(partial / f"{name}-{file}")
        predictions = example_predictions(written, bases)
        write_predictions(partial / f"{name}-predictions.h5", example_of(bases), predictions)
        info = replace(info, doc=written.doc)
        contents = {
            path.name: "the model",
            **CONTENTS,
            **{f"{name}-{file}": "the example of its Kipoi entry" for file in EXAMPLES.values()},
            f"{name}-predictions.h5": "what that entry must predict for it",
            ".zenodo.json": "metadata of the record and its DOI",
            "CITATION.cff": "how it is cited",
            "SHA256SUMS": "checksums of the files",
        }
        card = model_card(described, info, model_file=path.name, get_it=_GET_IT, contents=contents)
        (partial / "README.md").write_text(card, encoding="utf-8")
        write_json(partial / ".zenodo.json", _metadata(described, info))
        citation = yaml.safe_dump(_citation(described, info), sort_keys=False, allow_unicode=True, width=100)
        (partial / "CITATION.cff").write_text(citation, encoding="utf-8")
        _write_checksums(partial)
    return Exported(folder, written.largest_change, ())


def _metadata(described: DescribedModel, info: EntryInfo) -> dict[str, Any]:
    """What Zenodo registers a DOI with, as its deposit API takes it."""
    paragraphs = (
        info.doc,
        metrics_in_words(described.metrics),
        described.trained_on,
        f"Trained by {described.training_procedure}",
        "For benchmarks of attribution methods: it has seen simulated DNA alone, and says nothing of a genome.",
    )
    related = [
        {"identifier": paper.doi or paper.url, "relation": "cites", "scheme": "doi" if paper.doi else "url"}
        for paper in described.papers
    ]
    doi = _given_doi(described, info)
    if doi is not None and not doi.startswith(_OWN_DOI):
        related.insert(0, {"identifier": doi, "relation": "isSupplementTo", "scheme": "doi"})
    record = {
        "upload_type": "software",
        "title": _title(described),
        "creators": as_zenodo(info.authors),
        "contributors": [{**each, "type": "Other"} for each in as_zenodo(info.contributors)],
        "description": "".join(f"<p>{html.escape(text, quote=False)}</p>" for text in paragraphs),
        "access_right": "open",
        "license": info.license,
        "version": info.version,
        "language": "eng",
        "keywords": ["regulatory genomics", "deep learning", "Keras", *info.tags],
        "related_identifiers": related,
    }
    own = {"doi": doi} if doi is not None and doi.startswith(_OWN_DOI) else {}
    return {key: value for key, value in (record | own).items() if value}


def _citation(described: DescribedModel, info: EntryInfo) -> dict[str, Any]:
    """CITATION.cff, version 1.2.0."""
    doi = _given_doi(described, info)
    return {
        "cff-version": "1.2.0",
        "message": "If you use this model, please cite it and the papers that it rests on.",
        "type": "software",
        "title": _title(described),
        "abstract": f"{info.doc} {metrics_in_words(described.metrics)}",
        "authors": as_citation(info.authors),
        "version": info.version,
        "license": info.license,
        **({"doi": doi} if doi is not None else {}),
        "keywords": ["regulatory genomics", "deep learning", *info.tags],
        "references": [paper.as_citation() for paper in described.papers],
    }


def _title(described: DescribedModel) -> str:
    return f"{title_of(described)}, trained on simulated regulatory DNA"


def _given_doi(described: DescribedModel, info: EntryInfo) -> str | None:
    """The model's own DOI, where one was given: else the architecture's stands there."""
    return None if info.cite_as == described.cite_as else info.cite_as.removeprefix("https://doi.org/")


def _write_checksums(folder: Path) -> None:
    """SHA256SUMS of every file of a folder, as `sha256sum -c` reads it."""
    lines = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as handle:
            lines.append(f"{hashlib.file_digest(handle, 'sha256').hexdigest()}  {path.name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="ascii")
