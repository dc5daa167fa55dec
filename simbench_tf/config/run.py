"""Settings of a run: simulation, models, training, attribution, scoring, dynamics, discovery, export."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from simbench_tf import tables
from simbench_tf.config.base import Strict
from simbench_tf.config.discovery import Discovery
from simbench_tf.config.models import Model, Replicate, replicates, safe_name
from simbench_tf.config.simulation import AnySimulation
from simbench_tf.config.sweeps import expand_methods, expand_models
from simbench_tf.config.training import Training, training_of
from simbench_tf.errors import InputError, nearest
from simbench_tf.plugins import checked_settings, load_named


class MethodSettings(Strict):
    """An attribution method by name, its references, and its settings (checked by the method itself).

    Every method also takes `strands: both` and `shifts: K`, of which each copy of a sequence costs as much again.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    method: str
    """Name of the method (`simbench methods` lists them); a list is a sweep."""
    references: str | None = None
    """What it compares with, where it does: zeros, frequency, shuffle:N and others; a list is a sweep."""

    @property
    def settings(self) -> dict[str, Any]:
        """The method's own settings, such as n_steps."""
        return dict(self.model_extra or {})


class AttributionSettings(Strict):
    """Which sequences (positives of each task) are explained, and by which methods.

    Of `arrays`, contributions and hypothetical are (N, L, 4), DeepLIFT's positive and negative parts (N, L), and
    convergence_delta (N,).
    """

    n_sequences: Annotated[int, Field(ge=1)] = 100
    """Positives of each task that are explained, at most."""
    split: Literal["train", "valid", "test"] = "test"
    """The split they are drawn from."""
    tasks: list[str] | None = None
    """Tasks that are explained; by default all."""
    output: Literal["logit", "probability"] = "logit"
    """What is attributed: the logit, or the probability."""
    arrays: list[Literal["contributions", "hypothetical", "positive", "negative", "convergence_delta"]] = []
    """What is kept beside the scores, of methods that define it."""
    methods: Annotated[list[MethodSettings], Field(min_length=1), BeforeValidator(expand_methods)] = [
        MethodSettings(method="grad_x_input"),
        MethodSettings(method="saliency"),
        MethodSettings.model_validate({"method": "integrated_gradients", "references": "zeros", "n_steps": 20}),
    ]
    """Methods, by name or with their references and settings; a list as a value is a sweep."""


class MetricSettings(Strict):
    """A metric of another package (a plug-in) by name, and its settings (checked against the metric's function)."""

    model_config = ConfigDict(extra="allow", frozen=True)
    metric: str
    """Name of the metric (`simbench methods` lists those of installed packages)."""

    @property
    def settings(self) -> dict[str, Any]:
        """The metric's own settings."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _is_installed(self) -> MetricSettings:
        if self.metric in (*tables.SUMMARY_COLUMNS, *tables.PER_SEQUENCE_KEYS, "n_true"):
            raise ValueError(f"{self.metric!r} is a column of its own; leave it out")
        function = load_named("metric", self.metric)
        checked_settings(function, self.settings, f"metric {self.metric}")
        return self


def _metric_by_name(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


class Scoring(Strict):
    """The truth that attributions are scored against, and when a site counts as found.

    Of peaks both truths are scored; `truth` is the one that rankings hold attributions against.
    """

    truth: Literal["embedded", "rescanned"] = "embedded"
    """Which sites are true in rankings: those put in, or what a scan of the finished sequences finds."""
    motifs: Literal["task", "all"] = "task"
    """Whether sites count that bear on the task, or all."""
    background_quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """A site is found when its mean |attribution| is above this quantile of those of windows that lie in no site."""
    nulls: bool = True
    """Whether summary.csv says what knowing nothing reaches: untrained networks, positions, words, a scan."""
    sign: Literal["absolute", "signed", "auto"] = "absolute"
    """What ranks bases: |attribution|, the attribution itself, or auto: itself where sites only raise the label."""
    bases: Literal["visible", "all"] = "visible"
    """Whether bases are scored that the network can see, or all."""
    site_importance: bool = False
    """Whether sums over sites are held against the exact Shapley values of the sites' evidence."""
    truth_free: bool = False
    """Whether attributions are also measured by metrics that need no true sites (truth_free.csv)."""
    metrics: list[Annotated[MetricSettings, BeforeValidator(_metric_by_name)]] = []
    """Metrics that other packages bring, beside our own: by name, or with their settings."""

    @property
    def metric_settings(self) -> dict[str, dict[str, Any]]:
        """The settings of each metric that another package brings, by name."""
        return {each.metric: each.settings for each in self.metrics}

    @model_validator(mode="after")
    def _each_metric_once(self) -> Scoring:
        if len(self.metric_settings) < len(self.metrics):
            raise ValueError("metrics names one twice; leave one out")
        return self


def _method_by_name(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


class Dynamics(Strict):
    """Learning dynamics: weights are kept at log-spaced batches, and evaluated on fixed sequences."""

    checkpoints: Annotated[int, Field(ge=2)] = 12
    """Batches, log-spaced, at which the model is looked at; 0 and the last included."""
    n_sequences: Annotated[int, Field(ge=2)] = 64
    """Positives of each task that are watched, and as many others."""
    split: Literal["train", "valid", "test"] = "test"
    """The split they are drawn from."""
    tasks: list[str] | None = None
    """Tasks that are watched; by default all."""
    models: list[str] | None = None
    """Models that are watched; by default all that are trained."""
    method: Annotated[MethodSettings, BeforeValidator(_method_by_name)] = MethodSettings(method="grad_x_input")
    """The method whose recall is followed: a name, or a method with references and settings."""


class Export(Strict):
    """Products of the trained models beside the report."""

    kipoi: bool = False
    """Whether each model becomes a Kipoi entry, RUN/kipoi/MODEL."""


class Config(Strict):
    """A whole run; without models it simulates, and scores the attributions of other tools that are given to it."""

    name: str = "run"
    """Of the run and its data set, for titles."""
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)] = 1234
    """What everything random follows from."""
    simulation: AnySimulation
    """The data: `kind` and the settings of that kind."""
    models: Annotated[list[Model], BeforeValidator(expand_models)] = [Model(architecture="basset")]
    """Networks; a list as a value is a sweep. None: the attributions of other tools are scored."""
    training: Training = Training()
    """How networks are trained."""
    attribution: AttributionSettings = AttributionSettings()
    """What is explained, by which methods."""
    dynamics: Dynamics | None = None
    """Learning dynamics; nothing is watched without it."""
    scoring: Scoring = Scoring()
    """What is true, and when a site is found."""
    discovery: Discovery | None = None
    """Motif callers that are given the attributions; none without it."""
    export: Export = Export()
    """What becomes of trained models beside the report."""

    @property
    def tasks(self) -> list[str]:
        """Names of the label columns, in order."""
        return self.simulation.task_names

    @property
    def attributed_tasks(self) -> list[str]:
        """Tasks whose predictions are attributed: all, unless the configuration names some."""
        return self.attribution.tasks or self.tasks

    @property
    def replicates(self) -> list[Replicate]:
        """Every model once per seed, and ensembles."""
        return replicates(self.models, self.seed)

    @property
    def watched(self) -> list[Replicate]:
        """Models whose learning is watched: where there is `dynamics`, those it names, of those that are trained."""
        chosen = self.dynamics and (self.dynamics.models or [model.name for model in self.models])
        return [each for each in self.replicates if each.is_trained and each.model.name in (chosen or ())]

    def training_for(self, model: Model) -> Training:
        """How a model is trained: as all are, but for what the model itself says.

        Raises
        ------
        InputError
            A setting of the model's own is unknown or out of range.
        """
        return training_of(self.training, **model.training) if model.training else self.training

    @model_validator(mode="after")
    def _names_fit(self) -> Config:
        for task in self.tasks:
            if task in tables.SEQUENCE_COLUMNS or not safe_name(task):
                raise ValueError(
                    f"task name {task!r} cannot be used; use letters, digits, . _ - "
                    f"and none of {list(tables.SEQUENCE_COLUMNS)}"
                )
        weighed = self.training.class_weight
        chosen = {
            "attribution.tasks": self.attribution.tasks,
            "dynamics.tasks": self.dynamics and self.dynamics.tasks,
            "training.class_weight": weighed if isinstance(weighed, dict) else None,
        }
        for key, task in ((key, task) for key, tasks in chosen.items() for task in tasks or []):
            if task not in self.tasks:
                raise ValueError(f"{key} names {task!r}, which is no task{nearest(task, self.tasks)}")
        for name in (self.dynamics and self.dynamics.models) or []:
            if name not in (known := [model.name for model in self.models if model.is_trained]):
                raise ValueError(f"dynamics.models names {name!r}, which is no model trained{nearest(name, known)}")
        for model in self.models:
            try:
                self.training_for(model)
            except InputError as error:
                raise ValueError(f"training of model {model.name}: {error.what}; {error.mend}") from error
            _check_outputs(model, self.tasks, self.attributed_tasks)
            if model.is_from_data and not self.simulation.has_oracle:
                what = (
                    f"needs data of kind grammar, not {self.simulation.kind}: of these the exact posterior is unknown"
                )
                raise ValueError(f"architecture {model.architecture} of model {model.name} {what}")
        if self.discovery and self.discovery.null_sequences == "background" and not self.simulation.has_oracle:
            raise ValueError(
                "discovery.null_sequences background draws from a grammar, and the data are of kind "
                f"{self.simulation.kind}; take stretches, shuffles or negatives"
            )
        if self.scoring.site_importance:
            _check_site_importance(self.simulation, self.tasks)
        if self.attribution.output == "probability" and "gkmexplain" in (
            each.method for each in self.attribution.methods
        ):
            what = "attribution.output is probability, and gkmexplain explains the decision value of a gkm-SVM"
            raise ValueError(f"{what}; take logit, or leave gkmexplain out")
        names = [each.name for each in self.replicates]
        if len(set(names)) < len(names):
            raise ValueError(f"models share a name: {names}")
        for what, each in (("models", names), ("tasks", self.tasks)):
            _check_cases(what, each)
        return self


def _check_cases(what: str, names: list[str]) -> None:
    """Check that no two names, of which folders are called, are one where the file system knows no cases."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(
                f"{what} {other!r} and {name!r} differ in case only, and would share a folder on macOS and Windows; "
                "call one otherwise"
            )


def _check_site_importance(simulation: Any, tasks: list[str]) -> None:
    """Check that sites have an exact worth, and that no task is called like another column of the tables of it."""
    if not simulation.has_oracle:
        what = (
            f"needs data of kind grammar, not {simulation.kind}: of these the exact posterior is unknown; leave it out"
        )
        raise ValueError(f"scoring.site_importance {what}")
    sides = [f"{side}_{name}" for side in ("first", "second") for name in ("element", "motif", "start", "end")]
    taken = {"row", "element", "motif", "strand", *sides, *(f"{task}_error" for task in tasks)}
    for task in tasks:
        if task in taken:
            raise ValueError(f"task name {task!r} is a column of scoring.site_importance; call the task otherwise")


def _check_outputs(model: Model, tasks: list[str], attributed: list[str]) -> None:
    """Check the tasks of a trained model's outputs: each is a task, and none that is attributed is missing."""
    if model.outputs is None:
        return
    for task in model.outputs:
        if task not in tasks:
            raise ValueError(f"outputs of model {model.name} names {task!r}, which is no task{nearest(task, tasks)}")
    for task in attributed:
        if task not in model.outputs:
            raise ValueError(
                f"outputs of model {model.name} lacks {task!r}; add its number, or leave the task out of "
                "attribution.tasks"
            )
