"""The export stage: RUN/kipoi/MODEL, a Kipoi entry of every trained model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simbench_tf.config import Config
from simbench_tf.run.manifest import fingerprint, stage_checksums
from simbench_tf.stages.step import Made, step

if TYPE_CHECKING:  # TensorFlow waits until something is exported
    from simbench_tf.export import Exported


def export(config: Config, folder: Path) -> list[Path]:
    """Write RUN/kipoi/MODEL, a Kipoi entry of every model that the run trained; return the entries' folders."""
    names = [each.name for each in config.replicates if each.model.is_trained]  # the others are entries already
    write(folder, names)
    return [entry_folder(folder, name) for name in names]


def entry_folder(folder: Path, model: str) -> Path:
    """RUN/kipoi/MODEL."""
    return folder / "kipoi" / model


def inputs(folder: Path, model: str, options: dict[str, Any]) -> dict[str, Any]:
    """What an entry depends on: the trained models, and how it is stored where that is not the default."""
    changed = {name: value for name, value in options.items() if value}
    return {"train": stage_checksums(folder, "train"), "model": model, **changed}


def write(folder: Path, models: Iterable[str], *, again: bool = False, **options: Any) -> list[Exported]:
    """Write the entries of some models and record them in the manifest; return those that were made.

    Parameters
    ----------
    folder : path
        The run.
    models : iterable of str
    again : bool, default False
        Make entries that are fresh, too.
    **options
        float16, url and authors, as `export.export_run` takes them.
    """
    exported: list[Exported] = []
    for model in models:

        def make(model: str = model) -> Made:
            from simbench_tf.export import export_run

            target = entry_folder(folder, model)
            exported.append(export_run(folder, model, target, overwrite=True, **options))
            return Made({"export": [path for path in sorted(target.rglob("*")) if path.is_file()]})

        step(folder, {"export": fingerprint("export", inputs(folder, model, options))}, make, again=again)
    return exported
