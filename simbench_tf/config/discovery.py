"""Settings of motif discovery: which callers are given the attributions, and what their false calls are held by."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simbench_tf.config.base import Strict

Caller = Literal["seqlets", "modisco", "finemo"]
Null = Literal["stretches", "shuffles", "negatives", "background"]


class Discovery(Strict):
    """Motif callers that every model's, task's and method's attributions are given to; scored against the truth.

    ``seqlets`` is our own, ``modisco`` TF-MoDISco (extra ``motif``), ``finemo`` Fi-NeMo, which takes TF-MoDISco's
    motifs (package finemo, which needs torch). ``stretches`` shuffles a quarter of each explained sequence,
    ``shuffles`` all of it, ``negatives`` are sequences without the task's label, ``background`` draws of the grammar
    without any site.
    """

    callers: Annotated[list[Caller], Field(min_length=1)] = ["seqlets"]
    """Which motif callers get the attributions: our own seqlets, TF-MoDISco, Fi-NeMo."""
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

    @model_validator(mode="after")
    def _callers_fit(self) -> Discovery:
        if len(set(self.callers)) < len(self.callers):
            raise ValueError(f"callers names one twice: {self.callers}")
        if "finemo" in self.callers and "modisco" not in self.callers:
            raise ValueError("callers names finemo, which looks for modisco's motifs; add modisco")
        return self
