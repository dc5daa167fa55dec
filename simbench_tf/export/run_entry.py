"""Kipoi entries of a run's models, which say what these were trained on, how, and what they reach."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simbench_tf.errors import InputError
from simbench_tf.export.describe_run import DescribedModel, describe_model
from simbench_tf.export.entry import EntryInfo, Exported, GroupMember, export_kipoi, export_kipoi_group
from simbench_tf.export.people import Person


def export_run(
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
    url: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a model of a run as a Kipoi entry that describes its data, its training and its test metrics.

    Parameters
    ----------
    run : path
        A run directory, trained.
    model : str
        Name of its folder in RUN/models.
    folder : path, optional
        The entry; by default RUN/kipoi/MODEL.
    authors, contributors : sequence of str or mapping
    version, license : str
        As in `EntryInfo`.
    doi : str, optional
        Of the model's own paper or record, for cite_as; by default the architecture's.
    float16, url, overwrite
        As in `export_kipoi`.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        The run, its data set or the model is missing; and as `export_kipoi`.
    """
    trained = describe_model(Path(run), model)
    return export_kipoi(
        trained.model,
        Path(run) / "kipoi" / model if folder is None else folder,
        task_names=trained.task_names,
        sequences=trained.sequences,
        info=info_of(trained, authors, contributors, version, license, doi),
        float16=float16,
        url=url,
        overwrite=overwrite,
        metrics=trained.metrics,
    )


def export_run_group(
    run: str | os.PathLike[str],
    models: Sequence[str] | None,
    folder: str | os.PathLike[str],
    *,
    authors: Sequence[Person] = EntryInfo.authors,
    contributors: Sequence[Person] = (),
    version: str = EntryInfo.version,
    license: str = EntryInfo.license,
    doi: str | None = None,
    float16: bool = False,
    url: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write several models of a run (all, with None) as a Kipoi group; see `export_kipoi_group` and `export_run`."""
    run = Path(run)
    names = models or sorted(path.parent.name for path in run.glob("models/*/model.keras"))
    if not names:
        raise InputError(run, "has no trained model", "train one with `simbench train`")
    trained = {name: describe_model(run, name) for name in names}
    first = trained[names[0]]
    return export_kipoi_group(
        {
            name: GroupMember(one.model, one.task_names, one.doc, one.training_procedure)
            for name, one in trained.items()
        },
        folder,
        sequences=first.sequences,
        info=replace(
            info_of(first, authors, contributors, version, license, doi),
            doc=f"Models of the simulated data set {first.dataset_name}.",
            training_procedure="see each model",
        ),
        float16=float16,
        url=url,
        overwrite=overwrite,
    )


def info_of(
    trained: DescribedModel,
    authors: Sequence[Person],
    contributors: Sequence[Person],
    version: str,
    license: str,
    doi: str | None,
) -> EntryInfo:
    """The description of a model of a run with who made it and how it is cited.

    Raises
    ------
    InputError
        A person has no name, or `doi` is none.
    """
    return EntryInfo(
        doc=trained.doc,
        authors=tuple(authors),
        contributors=tuple(contributors),
        version=version,
        license=license,
        cite_as=trained.cite_as if doi is None else doi_address(doi),
        trained_on=trained.trained_on,
        training_procedure=trained.training_procedure,
        tags=("DNA accessibility", "simulated data"),
    )


def doi_address(doi: str) -> str:
    """The address of a DOI, given bare or with its resolver.

    Raises
    ------
    InputError
        It is no DOI.

    Examples
    --------
    >>> doi_address("10.5281/zenodo.1234567")
    'https://doi.org/10.5281/zenodo.1234567'
    """
    bare = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", doi.strip())
    if not re.fullmatch(r"10\.\d{4,9}/\S+", bare):
        raise InputError("doi", f"{doi!r} is no DOI", "write it as 10.5281/zenodo.NUMBER")
    return f"https://doi.org/{bare}"
