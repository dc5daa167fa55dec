"""Kipoi entries of a run's models, which say what these were trained on, how, and what they reach."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from simbench_tf.errors import InputError
from simbench_tf.export.describe_run import DescribedModel, describe_model
from simbench_tf.export.entry import EntryInfo, Exported, GroupMember, Person, export_kipoi, export_kipoi_group


def export_run(
    run: str | os.PathLike[str],
    model: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    authors: Sequence[Person] = EntryInfo.authors,
    contributors: Sequence[Person] = (),
    version: str = EntryInfo.version,
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
    version : str
        As in `EntryInfo`.
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
        info=_run_info(trained, trained.doc, trained.training_procedure, tuple(authors), tuple(contributors), version),
        float16=float16,
        url=url,
        overwrite=overwrite,
    )


def export_run_group(
    run: str | os.PathLike[str],
    models: Sequence[str] | None,
    folder: str | os.PathLike[str],
    *,
    authors: Sequence[Person] = EntryInfo.authors,
    contributors: Sequence[Person] = (),
    version: str = EntryInfo.version,
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
        info=_run_info(
            first,
            f"Models of the simulated data set {first.dataset_name}.",
            "see each model",
            tuple(authors),
            tuple(contributors),
            version,
        ),
        float16=float16,
        url=url,
        overwrite=overwrite,
    )


def _run_info(
    trained: DescribedModel,
    doc: str,
    training_procedure: str,
    authors: tuple[Person, ...],
    contributors: tuple[Person, ...],
    version: str,
) -> EntryInfo:
    return EntryInfo(
        doc=doc,
        authors=authors,
        contributors=contributors,
        version=version,
        cite_as=trained.cite_as,
        trained_on=trained.trained_on,
        training_procedure=training_procedure,
        tags=("DNA accessibility", "simulated data"),
    )
