"""Settings of a simulation: real peaks, a grammar of motifs, or text files."""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from simbench_tf.config.base import Strict
from simbench_tf.errors import close_to, nearest
from simbench_tf.files import is_formula

HUMAN_BACKGROUND = (
    (0.3057, 0.1898, 0.2614, 0.2431),
    (0.3434, 0.2737, 0.0619, 0.3210),
    (0.2723, 0.2209, 0.2737, 0.2331),
    (0.1929, 0.2218, 0.2796, 0.3057),
)
"""First-order background of human DNA: P(column base | row base), A C G T (hg38 chr2 + hg19 chr20, both strands)."""
Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


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
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    chromosomes: dict[Literal["valid", "test"], list[str]] | None = None

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Splits:
        if self.valid + self.test >= 1:
            raise ValueError("valid and test together leave nothing to train on")
        return self


class Position(Strict):
    """Where along the sequence an element starts: a Gaussian around `centre` over a `floor`; no sd means anywhere."""

    centre: float | None = None
    sd: Annotated[float, Field(gt=0)] | None = None
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0


def _gap(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


class Element(Strict):
    """A motif, or a spaced pair of motifs, and how often the generator starts one.

    `rate` is the expected number of starts in a sequence without any label, `enriched` how many more there are with
    a task's label. With rules both hold only for the placements that the rates alone draw. Rules keep some of these, so
    an element that they name may start far more or less often: its expected number then is the mean, over the presences
    that the rules ask for, of its mean number at each by the rates alone (1 or more where it is there, else 0).
    `gap` counts the background bases between a pair's motifs, drawn uniformly in the closed range.
    `name` is used by rules and in the sites table: by default the motif, or both motifs of a pair joined by +.
    """

    name: str = ""
    motif: str | None = None
    pair: tuple[str, str] | None = None
    rate: Rate = 0.08
    enriched: dict[str, Rate] = {}
    position: Position = Position()
    strand: Literal["both", "+", "-"] = "both"
    gap: Annotated[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], BeforeValidator(_gap)] = (0, 0)
    orientation: Literal["same", "opposite", "any"] = "same"

    @model_validator(mode="before")
    @classmethod
    def _named_by_motifs(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or raw.get("name"):
            return raw
        motifs = raw.get("pair") or [raw.get("motif")]
        return {**raw, "name": "+".join(map(str, motifs))} if isinstance(motifs, list | tuple) else raw

    @model_validator(mode="after")
    def _motif_or_pair(self) -> Element:
        if (self.motif is None) == (self.pair is None):
            raise ValueError("an element needs either `motif` or `pair`")
        if is_formula(self.name):
            raise ValueError(f"a spreadsheet would execute the name {self.name!r}; call the element otherwise")
        if self.gap[0] > self.gap[1]:
            raise ValueError(f"gap {list(self.gap)} ends below its start")
        return self


class Rule(Strict):
    """A condition on the elements of a sequence that a task's label depends on, such as ``GATA1 and not GATA1::TAL1``.

    `when` names elements, each true where the sequence has at least one of it, joined by ``and``, ``or``, ``not``,
    ``without`` (``and not``) and parentheses. The rule holds in a share `with_label` of the sequences with the task's
    label and in a share `without_label` of the others; both exactly.
    """

    task: str
    when: str
    with_label: Share = 0.9
    without_label: Share = 0.1


class Task(Strict):
    """A label: the fraction of sequences that carry it."""

    fraction: Fraction = 0.35


def _of_tasks(element: Any, number: int, tasks: Mapping[str, Any]) -> Any:
    """An element without the rates of tasks that are not in the data set, after a warning."""
    enriched = element.get("enriched") if isinstance(element, Mapping) else None
    if not isinstance(enriched, Mapping) or set(enriched) <= set(tasks):
        return element
    for task in set(enriched) - set(tasks):
        problem = f"elements.{number}.enriched names {task!r}, which is no task"
        if not isinstance(task, str) and str(task) in tasks:
            raise ValueError(f"{problem}; write '{task}' in quotes")
        if close_to(str(task), tasks):
            raise ValueError(f"{problem}{nearest(str(task), tasks)}")
        warnings.warn(f"{problem}; that rate is ignored", UserWarning, stacklevel=2)
    return {**element, "enriched": {task: rate for task, rate in enriched.items() if task in tasks}}


_DEFAULT_POSITION = Position(centre=200, sd=80, floor=0.15)


_NEGATION = re.compile(r"\b(not|without)\b")


class GrammarSimulation(SimulationSettings):
    """Sequences drawn from a generative model of motifs in a background, no genome needed.

    `background` is the built-in human table, P(column base | the k bases before, A first) as 4 ** k rows of four, or a
    FASTA file to estimate such a table from; `background_order` is k, needed for a file unless it is 1.
    """

    has_oracle: ClassVar[bool] = True
    kind: Literal["grammar"]
    seq_length: Annotated[int, Field(ge=20)] = 400
    n_sequences: Annotated[int, Field(ge=1)] = 20_000
    background: Literal["human"] | Path | tuple[tuple[float, ...], ...] = "human"
    background_order: Annotated[int, Field(ge=0, le=5)] | None = None
    motifs: str = "default"
    tasks: Annotated[dict[str, Task], Field(min_length=1)] = {"HepG2": Task(), "K562": Task()}
    label_correlation: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    elements: Annotated[list[Element], Field(min_length=1)] = [
        Element(motif="HNF4A", enriched={"HepG2": 0.9}, position=_DEFAULT_POSITION),
        Element(motif="GATA1", enriched={"K562": 0.9}, position=_DEFAULT_POSITION),
    ]
    rules: list[Rule] = []
    splits: Splits = Splits()

    @property
    def task_names(self) -> list[str]:
        """Names of the label columns, in order."""
        return list(self.tasks)

    @property
    def length(self) -> int:
        """Bases of each sequence."""
        return self.seq_length

    @property
    def tasks_only_raised(self) -> set[str]:
        """Tasks without a rule that counts against an element; rates with a label are never lower than without."""
        # a rule may also name an element "not": in doubt the sign of a site is not known
        against = [rule for rule in self.rules if _NEGATION.search(rule.when) or rule.with_label < rule.without_label]
        return set(self.tasks) - {rule.task for rule in against}

    @model_validator(mode="before")
    @classmethod
    def _ignore_other_tasks(cls, raw: Any) -> Any:
        """Accept elements written for more tasks than there are; a misspelt task is an error."""
        tasks = raw.get("tasks", cls.model_fields["tasks"].default) if isinstance(raw, Mapping) else None
        elements = raw.get("elements") if isinstance(raw, Mapping) else None
        if not isinstance(tasks, Mapping) or not isinstance(elements, list):
            return raw
        return {**raw, "elements": [_of_tasks(element, number, tasks) for number, element in enumerate(elements)]}

    @model_validator(mode="after")
    def _elements_differ(self) -> GrammarSimulation:
        names = [element.name for element in self.elements]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"elements names {name!r} twice; put its rates into one element, or give them names")
        for number, rule in enumerate(self.rules):
            if rule.task not in self.tasks:
                raise ValueError(f"rules.{number}.task: {rule.task!r} is no task{nearest(rule.task, self.tasks)}")
        if self.splits.chromosomes is not None:
            raise ValueError("splits.chromosomes: a grammar has no chromosomes, give fractions")
        return self


class PeaksSimulation(SimulationSettings):
    """Real peaks, dinucleotide-shuffled, with their real motif hits put back.

    `background` is one file of regions or a list of them, such as the peaks of cell lines that are no task. With
    `clean_background`, stretches of the shuffles are shuffled again until they hold no chance hit of the kept motifs.
    """

    has_chance_hits: ClassVar[bool] = True
    kind: Literal["peaks"]
    genome: Path
    peaks: Annotated[dict[str, Path], Field(min_length=1)]
    background: Path | list[Path] | None = None
    region_size: Annotated[int, Field(ge=20)] = 400
    motifs: str = "default"
    scan_pvalue: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    min_pos_hits: Annotated[int, Field(ge=0)] = 100
    min_enrichment: Annotated[float, Field(ge=0)] = 1.2
    negative_implants: bool = True
    clean_background: bool = False
    splits: Splits = Splits()

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

    @field_validator("background", mode="before")
    @classmethod
    def _one_file_or_several(cls, raw: Any) -> Any:
        # pydantic's message for a union names neither
        files = raw if isinstance(raw, list) else [raw]
        if raw is not None and not (files and all(map(_is_path, files))):
            raise ValueError("is no file and no list of files; give the one or the other")
        return raw

    @property
    def files(self) -> dict[str, Path]:
        """The genome and every file of regions, by the key of the configuration that names it."""
        peaks = {f"simulation.peaks.{task}": file for task, file in self.peaks.items()}
        return {"simulation.genome": self.genome, **peaks, **self.background_files}

    @property
    def background_files(self) -> dict[str, Path]:
        """The files of the background, by the key of the configuration that names each."""
        if isinstance(self.background, list):
            return {f"simulation.background.{number}": file for number, file in enumerate(self.background)}
        return {} if self.background is None else {"simulation.background": self.background}


class TextSimulation(SimulationSettings):
    """Sequences simulated elsewhere, with their sites: files in the three-column text of the paper's own code.

    `positives` is one file per task; `negatives` is one file for all tasks, or one per task. A sequence in no file of
    a task is a negative of it. `motifs` is the file in which the motifs' matrices are looked up, by the names of the
    sites; without it they are counted from the sites. `splits.chromosomes` needs ids of the form ``chrom:start-end``.
    """

    kind: Literal["text"]
    positives: Annotated[dict[str, Path], Field(min_length=1)]
    negatives: dict[str, Path]
    motifs: str | None = None
    splits: Splits = Splits()

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


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path)


#: The kinds of simulation, by `simulation.kind`.
KINDS: dict[str, type[SimulationSettings]] = {
    "peaks": PeaksSimulation,
    "grammar": GrammarSimulation,
    "text": TextSimulation,
}
