"""Settings of motif discovery: which callers are given the attributions, and what their false calls are held by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from simbench_tf.config.base import Strict
from simbench_tf.files import safe_name
from simbench_tf.plugins import checked_settings, load_named

#: Callers that need no plug-in.
CALLERS = ("seqlets", "modisco", "finemo")
#: A name of one of these, or of one that another package brings.
Caller = Annotated[str, WithJsonSchema({"enum": list(CALLERS), "type": "string"})]
Null = Literal["stretches", "shuffles", "negatives", "background"]


#: What else stands where callers have their folders, or in their column.
_TAKEN = ("filters", "file")


class Discovery(Strict):
    """Motif callers that every model's, task's and method's attributions are given to; scored against the truth.

    ``seqlets`` is our own, ``modisco`` TF-MoDISco (extra ``motif``), ``finemo`` Fi-NeMo, which takes TF-MoDISco's
    motifs (extra ``finemo``, which brings torch). ``stretches`` shuffles a quarter of each explained sequence,
    ``shuffles`` all of it, ``negatives`` are sequences without the task's label, ``background`` draws of the grammar
    without any site.
    """

    callers: Annotated[list[Caller], Field(min_length=1)] = ["seqlets"]
    """Which motif callers get the attributions: our own seqlets, TF-MoDISco, Fi-NeMo, or another package's."""
    fdr: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Rate of false calls that our own caller states."""
    null_sequences: Null = "stretches"
    """What our own caller takes for sequence without a motif."""
    width: Annotated[int, Field(ge=1, le=100)] = 9
    """Bases of its windows."""
    n_seqlets: Annotated[int, Field(ge=100)] = 20_000
    """Seqlets of each sign that TF-MoDISco clusters, at most."""
    hypothetical: bool = True
    """Whether TF-MoDISco and Fi-NeMo get hypothetical contributions, of methods that have them."""
    filters: bool = True
    """Whether the motifs of each network's first filters are scored, too."""
    settings: dict[str, dict[str, Any]] = {}
    """Settings of callers that other packages bring, by the caller's name."""

    @model_validator(mode="after")
    def _callers_fit(self) -> Discovery:
        if len(set(self.callers)) < len(self.callers):
            raise ValueError(f"callers names one twice: {self.callers}")
        if "finemo" in self.callers and "modisco" not in self.callers:
            raise ValueError("callers names finemo, which looks for modisco's motifs; add modisco")
        plugged = [name for name in self.callers if name not in CALLERS]
        for name in plugged:
            if not safe_name(name) or name in _TAKEN:
                raise ValueError(f"callers: {name!r} cannot be a folder's name")
            function = load_named("caller", name, CALLERS)
            checked_settings(function, self.settings.get(name, {}), f"discovery.settings.{name}")
        for name in self.settings:
            if name not in plugged:
                raise ValueError(f"settings names {name!r}, which is no caller of another package among callers")
        return self
