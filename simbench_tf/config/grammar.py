"""Settings of a grammar: elements of motifs in a background, labels, and rules that labels depend on."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from simbench_tf.config.base import Strict
from simbench_tf.config.simulation_kind import SimulationSettings, Splits
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
#: Kinds of stretches at most.
MOST_STRETCHES = 32
Background = Literal["human"] | Path | tuple[tuple[float, ...], ...]
BackgroundOrder = Annotated[int, Field(ge=0, le=5)]


class Position(Strict):
    """Where along the sequence an element starts: a Gaussian around `centre` over a `floor`; no sd means anywhere."""

    centre: float | None = None
    """Base at which starts are most frequent; by default the middle of the sequence."""
    sd: Annotated[float, Field(gt=0)] | None = None
    """Standard deviation of starts about the centre, bases; without it an element starts anywhere alike."""
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Height (0 to 1) of a flat part under the Gaussian, as a share of its peak."""


def _gap(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


class Element(Strict):
    """A motif, or a spaced pair of motifs, and how often the generator starts one.

    With rules `rate` and `enriched` hold only for the placements that the rates alone draw. Rules keep some of these,
    so an element that they name may start far more or less often: its expected number then is the mean, over the
    presences that the rules ask for, of its mean number at each by the rates alone (1 or more where it is there, else
    0).
    """

    name: str = ""
    """What rules and sites.parquet call it; by default the motif, or a pair's motifs joined by +."""
    motif: str | None = None
    """Id or name of a motif in `simulation.motifs`; either this or `pair`."""
    pair: tuple[str, str] | None = None
    """Two motifs that stand together, at a distance of `gap`."""
    rate: Rate = 0.08
    """Expected starts in a sequence without any label."""
    enriched: dict[str, Rate] = {}
    """Task: how many starts are expected besides in a sequence with its label."""
    position: Position = Position()
    """Where along the sequence it starts."""
    strand: Literal["both", "+", "-"] = "both"
    """The strand it lies on; both: either, alike often."""
    gap: Annotated[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], BeforeValidator(_gap)] = (0, 0)
    """Background bases between a pair's motifs: a number, or the closed range they are drawn from."""
    orientation: Literal["same", "opposite", "any"] = "same"
    """Whether a pair's second motif lies on the strand of the first."""

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

    An element's name is true where the sequence has at least one of it; ``without`` is ``and not``.
    """

    task: str
    """The task whose label depends on it."""
    when: str
    """A condition on elements, by `and`, `or`, `not`, `without` and parentheses, such as GATA1 without TAL1."""
    with_label: Share = 0.9
    """Share of the sequences with the label in which it holds, exactly."""
    without_label: Share = 0.1
    """Share of the sequences without the label in which it holds, exactly."""


class Stretch(Strict):
    """A kind of stretch along a sequence, such as one rich in A and T, or a repeat: what its bases are drawn from.

    A sequence is one stretch after another. After each base of background its stretch ends with the probability
    ``1 / length``; then the next one's kind is drawn by the weights. Within a site, and in a pair's gap, none ends.
    """

    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often a next stretch is of this kind; weights are scaled to the sum 1."""
    length: Annotated[float, Field(ge=1)]
    """Mean number of background bases of a stretch."""
    background: Background
    """As `simulation.background`."""
    background_order: BackgroundOrder | None = None
    """As `simulation.background_order`; alike in all kinds."""


class SequenceClass(Strict):
    """A kind of sequences, such as CpG islands: what they are drawn from, and how rich in sites they are.

    Each sequence is of one class, drawn by its weight. So composition and numbers of sites vary more from sequence to
    sequence than one background and one set of rates let them.
    """

    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share of the sequences without any label; weights are scaled to the sum 1."""
    odds_ratio: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Task: what its weight is multiplied by in sequences with the label; 1: the label says nothing of the class."""
    background: Background | None = None
    """As `simulation.background`, which it is by default."""
    background_order: BackgroundOrder | None = None
    """As `simulation.background_order`, of a background of its own."""
    stretches: Annotated[list[Stretch], Field(max_length=MOST_STRETCHES)] = []
    """As `simulation.stretches`, in place of a background of its own."""
    rate: Rate = 1.0
    """What every element's rate and enrichments are multiplied by in its sequences."""

    @model_validator(mode="after")
    def _one_background(self) -> SequenceClass:
        if self.background is not None and self.stretches:
            raise ValueError("a class has a `background` or `stretches`, not both")
        return self


class Task(Strict):
    """A label: the fraction of sequences that carry it."""

    fraction: Fraction = 0.35
    """Share of the sequences that carry the label."""


#: What elements and classes have of each task, and a word for one of these numbers.
_BY_TASK = {"elements": ("enriched", "rate"), "classes": ("odds_ratio", "ratio")}


def _of_tasks(part: Any, key: str, tasks: Mapping[str, Any]) -> Any:
    """An element or a class without the numbers of tasks that are not in the data set, after a warning."""
    setting, word = _BY_TASK[key.split(".")[0]]
    given = part.get(setting) if isinstance(part, Mapping) else None
    if not isinstance(given, Mapping) or set(given) <= set(tasks):
        return part
    for task in set(given) - set(tasks):
        problem = f"{key}.{setting} names {task!r}, which is no task"
        if not isinstance(task, str) and str(task) in tasks:
            raise ValueError(f"{problem}; write '{task}' in quotes")
        if close_to(str(task), tasks):
            raise ValueError(f"{problem}{nearest(str(task), tasks)}")
        warnings.warn(f"{problem}; that {word} is ignored", UserWarning, stacklevel=2)
    return {**part, setting: {task: value for task, value in given.items() if task in tasks}}


_DEFAULT_POSITION = Position(centre=200, sd=80, floor=0.15)


_NEGATION = re.compile(r"\b(not|without)\b")


class GrammarSimulation(SimulationSettings):
    """Sequences drawn from a generative model of motifs in a background, no genome needed."""

    has_oracle: ClassVar[bool] = True
    kind: Literal["grammar"]
    """grammar: drawn from a generative model whose exact posterior is known."""
    seq_length: Annotated[int, Field(ge=20)] = 400
    """Bases of each sequence."""
    n_sequences: Annotated[int, Field(ge=1)] = 20_000
    """Sequences of all splits together."""
    background: Background = "human"
    """human, a FASTA file to estimate a Markov chain from, or its 4 ** k rows of P(A, C, G, T | k bases before)."""
    background_order: BackgroundOrder | None = None
    """k of the Markov chain; of a file 1 unless it is given."""
    classes: list[SequenceClass] = []
    """Kinds of sequences that differ in background and in how many sites they have; none: all are alike."""
    stretches: Annotated[list[Stretch], Field(max_length=MOST_STRETCHES)] = []
    """Kinds of stretches along sequences, in place of `background`; a class may have others, or a background."""
    motifs: str = "default"
    """default, jaspar:RELEASE, or a MEME, JASPAR or HOMER file."""
    tasks: Annotated[dict[str, Task], Field(min_length=1)] = {"HepG2": Task(), "K562": Task()}
    """Label: its settings; one column of labels each."""
    label_correlation: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    """Correlation of the Gaussians behind any two labels; 0: labels are independent."""
    elements: Annotated[list[Element], Field(min_length=1)] = [
        Element(motif="HNF4A", enriched={"HepG2": 0.9}, position=_DEFAULT_POSITION),
        Element(motif="GATA1", enriched={"K562": 0.9}, position=_DEFAULT_POSITION),
    ]
    """Motifs and pairs of motifs that are put into the background."""
    rules: list[Rule] = []
    """Conditions on combinations of elements that labels depend on."""
    splits: Splits = Splits()
    """What is held out."""

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
        """Accept elements and classes written for more tasks than there are; a misspelt task is an error."""
        tasks = raw.get("tasks", cls.model_fields["tasks"].default) if isinstance(raw, Mapping) else None
        if not isinstance(tasks, Mapping):
            return raw
        parts = {name: raw[name] for name in _BY_TASK if isinstance(raw.get(name), list)}
        return {
            **raw,
            **{
                name: [_of_tasks(part, f"{name}.{number}", tasks) for number, part in enumerate(given)]
                for name, given in parts.items()
            },
        }

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
