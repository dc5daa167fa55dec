"""What the settings of every kind of simulation have in common: tasks, files, and how data are held out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from simbench_tf.config.base import Strict


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


def _with_files(value: Any, key: str, change: Callable[[Path, str], Path | str]) -> Any:
    """`value` with each path in it, in lists and mappings too, replaced; the same object where there is none."""
    if isinstance(value, Path):
        return change(value, key)
    if isinstance(value, list) and any(isinstance(each, Path) for each in value):
        return [_with_files(each, f"{key}.{number}", change) for number, each in enumerate(value)]
    if isinstance(value, dict) and any(isinstance(each, Path) for each in value.values()):
        return {name: _with_files(each, f"{key}.{name}", change) for name, each in value.items()}
    return value


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
