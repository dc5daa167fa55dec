"""Settings of a simulation: real peaks, a grammar of motifs, text files, or a kind that another package brings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from simbench_tf.config.base import Strict
from simbench_tf.config.grammar import GrammarSimulation
from simbench_tf.config.simulation_kind import PluggedSimulation, SimulationSettings, Splits
from simbench_tf.errors import InputError, nearest
from simbench_tf.plugins import find_plugin, load_named, plugin_names


class MatchedBackground(Strict):
    """A background drawn from the genome to match the peaks, in place of files of regions."""

    matched: Annotated[list[Literal["gc", "repeats"]], Field(min_length=1)]
    """What negatives share with the peaks: their GC content, their share of repeats, or both."""
    ratio: Annotated[int, Field(ge=1)] = 1
    """Negatives for each positive region."""


class PeaksSimulation(SimulationSettings):
    """Real peaks, dinucleotide-shuffled, with their real motif hits put back."""

    has_chance_hits: ClassVar[bool] = True
    kind: Literal["peaks"]
    """peaks: real regions, dinucleotide-shuffled, with their real motif hits put back."""
    genome: Path
    """FASTA file, plain, gzip or bgzip; its index is made beside it."""
    peaks: Annotated[dict[str, Path], Field(min_length=1)]
    """Task: its peaks, narrowPeak or BED."""
    background: Path | MatchedBackground | list[Path] | None = None
    """Regions that are no peak, files or drawn from the genome; without it the tasks' peaks are each other's."""
    repeats: Path | None = None
    """Repeats of the genome, BED, where its lower-case letters are not to say them; for a background that matches."""
    blacklist: Path | list[Path] | None = None
    """Regions of the genome that no sequence may touch, BED, a file or several: ENCODE's, or your own."""
    region_size: Annotated[int, Field(ge=20)] = 400
    """Bases about each summit or middle."""
    motifs: str = "default"
    """default, jaspar:RELEASE, or a MEME, JASPAR or HOMER file."""
    scan_pvalue: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """p-value up to which a match of a motif is a hit."""
    min_pos_hits: Annotated[int, Field(ge=0)] = 100
    """Hits in positives that a motif needs to be kept."""
    min_enrichment: Annotated[float, Field(ge=0)] = 1.2
    """Density of hits near the centre in positives over that in negatives that a motif needs to be kept."""
    negative_implants: bool = True
    """Whether negatives get their own hits back, too."""
    clean_background: bool = False
    """Whether the background is shuffled on until it holds no chance hit of the kept motifs."""
    splits: Splits = Splits()
    """What is held out."""

    @property
    def task_names(self) -> list[str]:
        """Names of the label columns, in order."""
        return list(self.peaks)

    @property
    def length(self) -> int:
        """Bases of each region."""
        return self.region_size

    @property
    def tasks_only_raised(self) -> set[str]:
        """All tasks where the motifs that pass have more hits in positives."""
        return set(self.peaks) if self.min_enrichment >= 1 else set()

    @property
    def reference_genome(self) -> Path:
        """The FASTA file that the peaks lie in."""
        return self.genome

    @field_validator("background", "blacklist", mode="before")
    @classmethod
    def _one_file_or_several(cls, raw: Any, info: ValidationInfo) -> Any:
        # pydantic's message for a union names neither
        if info.field_name == "background" and isinstance(raw, Mapping | MatchedBackground):
            return MatchedBackground.model_validate(raw)
        files = raw if isinstance(raw, list) else [raw]
        if raw is not None and not (files and all(map(_is_path, files))):
            raise ValueError("is no file and no list of files; give the one or the other")
        return raw

    @property
    def files(self) -> dict[str, Path]:
        """The genome and every file of regions, by the key of the configuration that names it."""
        peaks = {f"simulation.peaks.{task}": file for task, file in self.peaks.items()}
        lists = {**self.background_files, **self.blacklist_files, **_by_key("simulation.repeats", self.repeats)}
        return {"simulation.genome": self.genome, **peaks, **lists}

    @property
    def background_files(self) -> dict[str, Path]:
        """The files of the background, by the key of the configuration that names each."""
        return _by_key("simulation.background", None if self.is_matched else self.background)

    @property
    def is_matched(self) -> bool:
        """Whether the background is drawn from the genome to match the peaks."""
        return isinstance(self.background, MatchedBackground)

    @property
    def matches_repeats(self) -> bool:
        """Whether it is drawn to match their repeats, too."""
        return isinstance(self.background, MatchedBackground) and "repeats" in self.background.matched

    @property
    def blacklist_files(self) -> dict[str, Path]:
        """The files of the blacklist, by the key of the configuration that names each."""
        return _by_key("simulation.blacklist", self.blacklist)


class TextSimulation(SimulationSettings):
    """Sequences simulated elsewhere, with their sites; a sequence in no file of a task is a negative of it."""

    kind: Literal["text"]
    """text: simulated elsewhere, in the three-column text of the paper's code."""
    positives: Annotated[dict[str, Path], Field(min_length=1)]
    """Task: its file of positives."""
    negatives: dict[str, Path]
    """One file of negatives for all tasks, or one for each."""
    motifs: str | None = None
    """A motif file in which the names of the sites are looked up; without it matrices are counted from the sites."""
    splits: Splits = Splits()
    """What is held out."""

    @property
    def task_names(self) -> list[str]:
        """Names of the label columns, in order."""
        return list(self.positives)

    @model_validator(mode="before")
    @classmethod
    def _negatives_of_every_task(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("positives"), Mapping):
            return raw
        negatives = raw.get("negatives")
        return {**raw, "negatives": dict.fromkeys(raw["positives"], negatives)} if _is_path(negatives) else raw

    @model_validator(mode="after")
    def _same_tasks(self) -> TextSimulation:
        for task in [*self.positives, *self.negatives]:
            if task not in self.negatives:
                raise ValueError(f"negatives: names no file for {task!r}; give one, or one file for all tasks")
            if task not in self.positives:
                raise ValueError(f"negatives: {task!r} is no task{nearest(task, self.positives)}")
        return self


def _by_key(key: str, given: Any) -> dict[str, Path]:
    if isinstance(given, list):
        return {f"{key}.{number}": file for number, file in enumerate(given)}
    return {} if given is None else {key: given}


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path)


#: The kinds of simulation, by `simulation.kind`.
KINDS: dict[str, type[SimulationSettings]] = {
    "peaks": PeaksSimulation,
    "grammar": GrammarSimulation,
    "text": TextSimulation,
}


def plugged_kind(kind: str) -> type[PluggedSimulation]:
    """The settings of a kind of simulation that another package brings.

    Raises
    ------
    InputError
        There is none of this name, it cannot be loaded, or it is no `PluggedSimulation`.
    """
    settings = load_named("simulator", kind, tuple(KINDS))
    if not (isinstance(settings, type) and issubclass(settings, PluggedSimulation)):
        plugin = find_plugin("simulator", kind)
        where = plugin.package if plugin is not None else "simulation.kind"
        raise InputError(where, f"its simulator {kind!r} is no PluggedSimulation", "mend the package")
    return settings


def kinds() -> list[str]:
    """Every kind of simulation, those of other packages among them."""
    return [*KINDS, *(name for name in plugin_names("simulator") if name not in KINDS)]


def _of_kind(raw: Any, ours: ValidatorFunctionWrapHandler) -> Any:
    """Settings checked by the record of their kind: one of ours, or another package's."""
    kind = raw.get("kind") if isinstance(raw, Mapping) else None
    if isinstance(raw, PluggedSimulation):
        return raw
    if not isinstance(kind, str) or kind in KINDS or find_plugin("simulator", kind) is None:
        return ours(raw)
    try:
        return plugged_kind(kind).model_validate(raw)
    except ValidationError as error:
        # places begin with the kind, as pydantic has it for ours
        found = [
            InitErrorDetails(type=_type_of(each), loc=(kind, *each["loc"]), input=each["input"])
            for each in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, found) from error


def _type_of(error: Any) -> PydanticCustomError:
    """The kind of a problem, its message as it was."""
    return PydanticCustomError(error["type"], "{text}", {"text": error["msg"].removeprefix("Value error, ")})


def _as_plain(settings: Any, ours: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    """Settings of any kind as plain values; pydantic's union knows ours alone."""
    if isinstance(settings, PluggedSimulation):
        return settings.model_dump(mode=info.mode, exclude_none=info.exclude_none)
    return ours(settings)


#: The settings of any kind of simulation.
AnySimulation = Annotated[
    Annotated[PeaksSimulation | GrammarSimulation | TextSimulation, Field(discriminator="kind")],
    WrapValidator(_of_kind),
    WrapSerializer(_as_plain),
]
