"""What the settings of every kind of simulation have in common: tasks, files, and how data are held out."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from simbench_tf.config.base import Strict

if TYPE_CHECKING:
    import pandas as pd


class Splits(Strict):
    """Fractions of the data held out for validation and test, or lists of chromosomes."""

    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the sequences (0 to 1) held out to choose the best round of training."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the sequences (0 to 1) held out to measure and explain models."""
    chromosomes: dict[Literal["valid", "test"], list[str]] | None = None
    """For peaks, or text whose ids are loci: the chromosomes of valid and test, in place of shares."""

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Splits:
        if self.valid + self.test >= 1:
            raise ValueError("valid and test together leave nothing to train on")
        return self


class SimulationSettings(Strict):
    """The base class of the settings of every kind of simulation.

    Each kind has `motifs`: ``default``, ``jaspar:RELEASE``, a file, or None where it needs no motifs.
    """

    #: Whether the exact posterior of labels and sites is known.
    has_oracle: ClassVar[bool] = False
    #: Whether the sequences hold chance hits of the motifs that are like those put in, so that two truths are scored.
    has_chance_hits: ClassVar[bool] = False

    @property
    @abstractmethod
    def task_names(self) -> list[str]:
        """Names of the label columns, in order."""

    @property
    def length(self) -> int | None:
        """Bases of each sequence; None where only the data say it."""
        return None

    @property
    def reference_genome(self) -> Path | None:
        """The FASTA file that regions lie in, for kinds that have one."""
        return None

    @property
    def tasks_only_raised(self) -> set[str]:
        """Tasks where a site of the truth can only raise the probability of the label, as far as it is known."""
        return set()

    def with_files(self, change: Callable[[Path, str], Path | str]) -> dict[str, Any]:
        """Settings that name files, each file replaced by ``change(file, key)``; for `model_copy` and the like.

        `key` is the configuration's key of the file, such as ``simulation.peaks.K562``.
        """
        given = {name: getattr(self, name) for name in type(self).model_fields}
        if self.motifs_file is not None:
            given["motifs"] = self.motifs_file
        changed = {name: _with_files(value, f"simulation.{name}", change) for name, value in given.items()}
        update = {name: value for name, value in changed.items() if value is not given[name]}
        return update | ({"motifs": str(update["motifs"])} if "motifs" in update else {})

    @property
    def motifs_file(self) -> Path | None:
        """The file that `motifs` names; None for a built-in set."""
        motifs: str | None = getattr(self, "motifs", None)
        return None if motifs in (None, "default") or motifs.startswith("jaspar:") else Path(motifs)


class PluggedSimulation(SimulationSettings):
    """The base class of a kind of simulation that another package brings as an entry point of `simbench_tf.simulators`.

    The entry's name is the kind. The class has a field ``kind: Literal["NAME"]`` and whatever settings it takes, with
    `task_names`, and draws sequences by `draw`. Its `draw` runs in worker processes.
    """

    kind: str
    """The name of the kind."""
    n_sequences: Annotated[int, Field(ge=1)] = 1000
    """Sequences in all."""
    motifs: str | None = None
    """default, jaspar:RELEASE, or a motif file, where the simulation needs motifs."""
    splits: Splits = Splits()
    """What is held out, as shares; a simulation may say itself which split each sequence is of."""

    @abstractmethod
    def draw(self, seed: int, first: int, last: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Draw sequences `first` to `last` (exclusive) of the data set of `seed`, the same in whatever stretches.

        Returns
        -------
        sequences : DataFrame
            A row for each: `sequence` (text, all of one length) and a column of 0 and 1 for each task; `seq_id`
            and `split` where it says these itself.
        sites : DataFrame
            A row for each true site: `row` (of `sequences`), `start`, `end` (0-based, half-open), `strand` (+ or -),
            `motif` (id of one of `used_motifs`), and `element` where that is not the motif.
        """

    @abstractmethod
    def used_motifs(self) -> list[Any]:
        """The motifs of the sites, as `simbench_tf.motifs.Motif`."""

    @property
    def element_tasks(self) -> dict[str, list[str]] | None:
        """For each element of the sites, the tasks on which it bears; None where each site is in every task's truth."""
        return None


def _with_files(value: Any, key: str, change: Callable[[Path, str], Path | str]) -> Any:
    """`value` with each path in it, in lists, mappings and records too, replaced; the same object without one."""
    if isinstance(value, Path):
        return change(value, key)
    if isinstance(value, list) and any(isinstance(each, Path) for each in value):
        return [_with_files(each, f"{key}.{number}", change) for number, each in enumerate(value)]
    if isinstance(value, dict) and any(isinstance(each, Path) for each in value.values()):
        return {name: _with_files(each, f"{key}.{name}", change) for name, each in value.items()}
    if isinstance(value, list) and any(isinstance(each, Strict) for each in value):
        records = [_with_files(each, f"{key}.{number}", change) for number, each in enumerate(value)]
        return value if all(map(operator.is_, records, value)) else records
    if isinstance(value, Strict):
        given = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: _with_files(each, f"{key}.{name}", change) for name, each in given.items()}
        update = {name: each for name, each in changed.items() if each is not given[name]}
        return value.model_copy(update=update) if update else value
    return value
