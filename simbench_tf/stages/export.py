"""The export stage: RUN/kipoi/MODEL, a Kipoi entry of every trained model."""

from __future__ import annotations

import functools
from pathlib import Path

from simbench_tf.config import Config
from simbench_tf.run.manifest import stage_checksums
from simbench_tf.stages.step import _step

# export


def export(config: Config, folder: Path) -> list[Path]:
    """Write RUN/kipoi/MODEL, a Kipoi entry of every model of the run; return the entries' folders."""
    entries = []
    for name in (each.name for each in config.replicates if each.model.kipoi is None):  # the others are entries
        target = folder / "kipoi" / name
        _step(
            folder,
            "export",
            {"train": stage_checksums(folder, "train"), "model": name},
            functools.partial(_export_one, folder, name, target),
        )
        entries.append(target)
    return entries


def _export_one(folder: Path, model: str, target: Path) -> tuple[list[Path], dict[str, float]]:
    from simbench_tf.export import export_run

    export_run(folder, model, target, overwrite=True)
    return [path for path in sorted(target.rglob("*")) if path.is_file()], {}
