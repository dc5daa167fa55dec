"""The export stage: RUN/kipoi/MODEL, a Kipoi entry of every trained model; RUN/huggingface and RUN/zenodo on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simbench_tf.config import Config
from simbench_tf.errors import InputError, nearest
from simbench_tf.run.manifest import fingerprint, stage_checksums
from simbench_tf.stages.step import Made, step

if TYPE_CHECKING:  # TensorFlow waits until something is exported
    from simbench_tf.export import Exported


def export(config: Config, folder: Path) -> list[Path]:
    """Write RUN/kipoi/MODEL, a Kipoi entry of every model that the run trained; return the entries' folders."""
    names = [each.name for each in config.replicates if each.is_trained]  # the others are entries already
    write(folder, names)
    return [entry_folder(folder, name) for name in names]


#: Where models are shared: folders of a run, each with a function of `simbench_tf.export` that writes one.
PLACES = ("kipoi", "huggingface", "zenodo")


def entry_folder(folder: Path, model: str, to: str = "kipoi") -> Path:
    """RUN/kipoi/MODEL, or that of another place."""
    return folder / to / model


def exporter(to: str) -> Callable[..., Exported]:
    """The function that writes a model of a run for a place.

    Raises
    ------
    InputError
        There is no such place.
    """
    from simbench_tf.export import export_huggingface, export_run, export_zenodo

    writers = dict(zip(PLACES, (export_run, export_huggingface, export_zenodo), strict=True))
    if to not in writers:
        raise InputError("--to", f"{to!r} is no place for models{nearest(to, PLACES)}", "choose one of them")
    return writers[to]


def inputs(folder: Path, model: str, options: dict[str, Any], to: str = "kipoi") -> dict[str, Any]:
    """What an entry depends on: the trained models, the ceilings, and how it is stored."""
    changed = {name: value for name, value in options.items() if value}
    ceilings = stage_checksums(folder, "oracle").get("oracle/ceilings.csv")
    known = {"ceilings": ceilings} if ceilings else {}
    return {"train": stage_checksums(folder, "train"), "model": model, "to": to, **known, **changed}


def write(
    folder: Path, models: Iterable[str], *, to: str = "kipoi", again: bool = False, **options: Any
) -> list[Exported]:
    """Write the entries of some models and record them in the manifest; return those that were made.

    Parameters
    ----------
    folder : path
        The run.
    models : iterable of str
    to : {"kipoi", "huggingface", "zenodo"}
        Where they are to be shared.
    again : bool, default False
        Make entries that are fresh, too.
    **options
        float16, authors and others, as the place's function takes them.
    """
    exported: list[Exported] = []
    for model in models:

        def make(model: str = model) -> Made:
            target = entry_folder(folder, model, to)
            exported.append(exporter(to)(folder, model, target, overwrite=True, **options))
            return Made({"export": [path for path in sorted(target.rglob("*")) if path.is_file()]})

        step(folder, {"export": fingerprint("export", inputs(folder, model, options, to))}, make, again=again)
    return exported
