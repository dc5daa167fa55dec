"""The report stage: RUN/report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simbench_tf.config import Config
from simbench_tf.report import write_report
from simbench_tf.run.manifest import fingerprint, stage_checksums
from simbench_tf.run.results import check_scored, read_results
from simbench_tf.stages.step import STAGES, Made, step


def report(config: Config, folder: Path) -> Path:
    """Write RUN/report.html and return its path.

    Raises
    ------
    InputError
        The run was not scored.
    """
    check_scored(folder)
    target = folder / "report.html"
    step(
        folder,
        {"report": fingerprint("report", inputs(config, folder))},
        lambda: Made({"report": [write_report(target, read_results(config, folder))]}),
    )
    return target


def inputs(config: Config, folder: Path) -> dict[str, Any]:
    """What the report depends on: every file of every earlier stage, and the whole configuration."""
    return {
        **{stage: stage_checksums(folder, stage) for stage in STAGES[:-1]},
        "config": config.model_dump(mode="json"),
    }
