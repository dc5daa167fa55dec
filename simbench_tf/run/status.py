"""The state of a run: what of each stage is done, what is not, and who is writing into it now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simbench_tf.config import Config
from simbench_tf.run.attributions import all_attribution_files
from simbench_tf.run.folder import config_of
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.results import read_table


class StageState(NamedTuple):
    """How far a stage is.

    Attributes
    ----------
    stage : str
    done, wanted : int
        What is recorded and there, of what the configuration asks for: models, attribution files, or the stage's last
        file.
    seconds : float
        That what is done took.
    unfinished : list of str
        Models whose training was cut off, and after how many batches.
    """

    stage: str
    done: int
    wanted: int
    seconds: float
    unfinished: list[str]


def state_of_run(run: Path) -> Iterator[StageState]:
    """Say of each stage that a run's configuration asks for how far it is.

    Whether what is there still fits the configuration is not asked: `simbench run` makes again what does not.

    Raises
    ------
    InputError
        There is no run, or its configuration or manifest cannot be read.
    """
    config, records = config_of(run), read_manifest(run)
    for stage, wanted in _wanted(config, run).items():
        done = [name for name in wanted if name in records and (run / name).is_file()]
        took = {
            (record["fingerprint"], record.get("seconds") or 0.0)
            for record in records.values()
            if record["stage"] == stage
        }
        seconds = sum(seconds for _, seconds in took)
        unfinished = list(_cut_off(config, run, set(wanted) - set(done))) if stage == "train" else []
        yield StageState(stage, len(done), len(wanted), seconds, unfinished)


def _wanted(config: Config, run: Path) -> dict[str, list[str]]:
    """For each stage the files by which it is known to be done, as paths below the run."""
    files = [file.path.relative_to(run).as_posix() for file in all_attribution_files(config, run)]
    wanted = {
        "simulate": ["dataset/dataset.json"],
        "train": [f"models/{each.name}/metrics.json" for each in config.replicates],
        "dynamics": [f"dynamics/{each.name}/learnt.csv" for each in config.watched],
        "attribute": files,
        "oracle": ["oracle/ceilings.csv"] if config.simulation.has_oracle else [],
        "score": ["scores/summary.csv"] if files else [],
        "motifs": ["scores/instances.csv"] if config.discovery is not None else [],
        "report": ["report.html"] if files else [],
        "export": [f"kipoi/{each.name}/model.yaml" for each in config.replicates if not each.members]
        if config.export.kipoi
        else [],
    }
    return {stage: names for stage, names in wanted.items() if names}


def _cut_off(config: Config, run: Path, missing: set[str]) -> Iterator[str]:
    for each in (each for each in config.replicates if not each.members):
        history = run / "models" / each.name / "history.csv"
        if f"models/{each.name}/metrics.json" in missing and history.is_file():
            batches = read_table(history)["batch"].max()
            yield f"{each.name}: {batches:,} of at most {config.training_for(each.model).max_batches:,} batches"
