"""Publish an entry: rewrite its descriptions so that weights and examples come from the web, with their md5."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from simbench_tf.errors import InputError
from simbench_tf.export.entry_files import write_yaml
from simbench_tf.files import whole_file

#: In place of the md5 where the weights are in the entry itself.
LOCAL = "-"


#: Example files by the argument of the data loader that takes them.
EXAMPLES = {"fasta_file": "genome.fa", "intervals_file": "intervals.bed"}


class Upload(NamedTuple):
    """A file of an entry, and the address from which the published entry will fetch it."""

    path: Path
    url: str


def publish(entry: str | os.PathLike[str], url: str) -> tuple[Upload, ...]:
    """Rewrite an entry, or a group, so that its weights and example files come from the web, with their md5.

    `kipoi test` then compares predictions with the expected ones (``test.expect``), and `kipoi get-example` downloads
    the example.

    Parameters
    ----------
    entry : path
        A folder that `export_kipoi` or `export_kipoi_group` wrote.
    url : str
        Web folder, such as ``https://zenodo.org/records/1/files``. The files are named after the entry:
        ENTRY.keras, or GROUP-MODEL.keras; ENTRY-genome.fa, ENTRY-intervals.bed and ENTRY-predictions.h5, or
        GROUP-MODEL-predictions.h5.

    Returns
    -------
    tuple of Upload
        The files to upload, weights first, and their addresses. They stay in the entry until you delete them.

    Raises
    ------
    InputError
        The folder is no entry of ours, one of its files is missing, or `url` is no address.
    """
    entry = Path(entry)
    return publish_as(entry, entry.resolve().name, url)


def publish_as(entry: Path, name: str, url: str) -> tuple[Upload, ...]:
    """Publish the entry in folder `entry` under its final name."""
    if "://" not in url:
        raise InputError("url", f"{url!r} is no address", "write it with its scheme, as https://...")
    base = f"{url.rstrip('/')}/{name}"
    is_group = (entry / "models.tsv").is_file()
    if not is_group and not (entry / "model.yaml").is_file():
        raise InputError(entry, "is no Kipoi entry: it has neither model.yaml nor models.tsv", "export a model first")
    examples = {
        argument: _upload(entry, f"example_files/{file}", f"{base}-{file}") for argument, file in EXAMPLES.items()
    }
    uploads = _publish_group(entry, base) if is_group else _publish_model(entry, base)
    description = yaml.safe_load((entry / "dataloader.yaml").read_text(encoding="utf-8"))
    for argument, upload in examples.items():
        description["args"][argument]["example"] = {**_remote(upload), "name": EXAMPLES[argument]}
    with whole_file(entry / "dataloader.yaml") as partial:
        write_yaml(partial, description)
    return (*uploads, *examples.values())


def _publish_model(entry: Path, base: str) -> list[Upload]:
    weights = _upload(entry, "model_files/model.keras", f"{base}.keras")
    expected = _upload(entry, "example_files/predictions.h5", f"{base}-predictions.h5")
    description = yaml.safe_load((entry / "model.yaml").read_text(encoding="utf-8"))
    description["args"]["weights"] = _remote(weights)
    description["test"]["expect"] = _remote(expected)
    with whole_file(entry / "model.yaml") as partial:
        write_yaml(partial, description)
    return [weights, expected]


def _publish_group(entry: Path, base: str) -> list[Upload]:
    rows = pd.read_csv(entry / "models.tsv", sep="\t", dtype=str, keep_default_na=False).to_dict("records")
    weights, expected = [], []
    for row in rows:
        model = row["model"]
        weights.append(_upload(entry, f"model_files/{model}.keras", f"{base}-{model}.keras"))
        expected.append(_upload(entry, f"example_files/{model}.h5", f"{base}-{model}-predictions.h5"))
        row.update(weights=weights[-1].url, md5=_md5(weights[-1].path))
        row.update(expect=expected[-1].url, expect_md5=_md5(expected[-1].path))
    write_models(entry, rows)
    return [*weights, *expected]


def _upload(entry: Path, file: str, url: str) -> Upload:
    path = entry / file
    if not path.is_file():
        what = "the weights are missing" if path.suffix == ".keras" else "is missing"
        raise InputError(path, what, "export the model again")
    return Upload(path, url)


def _remote(upload: Upload) -> dict[str, str]:
    return {"url": upload.url, "md5": _md5(upload.path)}


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def write_models(folder: Path, rows: list[dict[str, str]]) -> None:
    """Write models.tsv of a group: one row per model.

    Raises
    ------
    InputError
        Kipoi would read a name as a number or a missing value.
    """
    text = pd.DataFrame(rows).to_csv(sep="\t", index=False)
    for row, read in zip(rows, pd.read_csv(io.StringIO(text), sep="\t", comment="#").to_dict("records"), strict=True):
        for column in ("model", "tasks"):
            if read[column] != row[column]:
                what = f"kipoi reads {row[column]!r} as {read[column]!r}"
                raise InputError(f"models.tsv: {column}", what, "choose a name that is neither a number nor NA")
    with whole_file(folder / "models.tsv") as partial:
        partial.write_text(text, encoding="utf-8")
