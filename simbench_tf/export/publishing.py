"""Publish an entry: rewrite its description so that the weights come from a web address, with their md5."""

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


class Upload(NamedTuple):
    """A file of weights, and the address from which the published entry will fetch it."""

    path: Path
    url: str


def publish(entry: str | os.PathLike[str], url: str) -> tuple[Upload, ...]:
    """Rewrite an entry, or a group, so that its weights come from a web address, with their md5.

    Parameters
    ----------
    entry : path
        A folder that `export_kipoi` or `export_kipoi_group` wrote.
    url : str
        Web folder, such as ``https://zenodo.org/records/1/files``. The files are named after the entry:
        ENTRY.keras, or GROUP-MODEL.keras.

    Returns
    -------
    tuple of Upload
        The files to upload, and their addresses. They stay in the entry until you delete them.

    Raises
    ------
    InputError
        The folder is no entry of ours, its weights are missing, or `url` is no address.
    """
    entry = Path(entry)
    return publish_as(entry, entry.resolve().name, url)


def publish_as(entry: Path, name: str, url: str) -> tuple[Upload, ...]:
    """Publish the entry in folder `entry` under its final name."""
    if "://" not in url:
        raise InputError("url", f"{url!r} is no address", "write it with its scheme, as https://...")
    if (entry / "models.tsv").is_file():
        rows = pd.read_csv(entry / "models.tsv", sep="\t", dtype=str, keep_default_na=False).to_dict("records")
        uploads = []
        for row in rows:
            upload = _upload(entry, f"{row['model']}.keras", f"{url.rstrip('/')}/{name}-{row['model']}.keras")
            row.update(weights=upload.url, md5=_md5(upload.path))
            uploads.append(upload)
        write_models(entry, rows)
        return tuple(uploads)
    if not (entry / "model.yaml").is_file():
        raise InputError(entry, "is no Kipoi entry: it has neither model.yaml nor models.tsv", "export a model first")
    description = yaml.safe_load((entry / "model.yaml").read_text(encoding="utf-8"))
    upload = _upload(entry, "model.keras", f"{url.rstrip('/')}/{name}.keras")
    description["args"]["weights"] = {"url": upload.url, "md5": _md5(upload.path)}
    with whole_file(entry / "model.yaml") as partial:
        write_yaml(partial, description)
    return (upload,)


def _upload(entry: Path, file_name: str, url: str) -> Upload:
    path = entry / "model_files" / file_name
    if not path.is_file():
        raise InputError(path, "the weights are missing", "export the model again")
    return Upload(path, url)


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
