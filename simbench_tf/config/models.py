"""Settings of a run's models, and the replicates that they stand for: one per seed, and ensembles of these."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError, WithJsonSchema, model_validator

from simbench_tf.architectures import FROM_DATA, LACKING, MACHINES, TRAINED
from simbench_tf.config.base import Strict
from simbench_tf.files import safe_name
from simbench_tf.plugins import checked_settings, load_named

#: A name of one of these, or of one that another package brings.
ArchitectureName = Annotated[str, WithJsonSchema({"enum": [*TRAINED, *MACHINES, *FROM_DATA], "type": "string"})]

#: What an input or a channel that is not explained is held at: a number, numbers, or an .npy file.
Held = float | list[float] | Path
#: Endings of the files that hold a Keras model; other paths are SavedModel folders.
_KERAS_FILES = (".keras", ".h5", ".hdf5")


class PlantedSettings(Strict):
    """Settings of a planted network, each of which breaks one thing: see `perfect.planted_network`."""

    window: Annotated[int, Field(ge=2)] | None = None
    """Bases of a window, in which one site is counted at most; by default 16, or 20 with pairs of motifs."""
    kernel_size: Annotated[int, Field(ge=1)] | None = None
    """Bases that each kernel is cut to, those with the most information; by default none is cut."""
    strands: Literal["both", "one"] = "both"
    """Whether it reads both strands or the forward one alone."""
    activation: Literal["exp", "relu"] = "exp"
    """exp as the posterior has it, or relu: hard thresholds."""
    pooling: Literal["sum", "max"] = "sum"
    """sum over the starts in a window as the posterior has it, or max: the best one."""
    without: tuple[str, ...] = ()
    """Elements or motifs that it does not know."""


class GkmSvmSettings(Strict):
    """Settings of a gkm-SVM, as LS-GKM calls them, and its defaults: see `models.gkmsvm`."""

    kernel: Literal["gkm", "wgkm"] = "gkm"
    """gkm, or wgkm: words near the middle of the sequence count more."""
    l: Annotated[int, Field(ge=3, le=12)] = 11  # noqa: E741 - the field's letter
    """Bases of a word."""
    k: Annotated[int, Field(ge=1)] = 7
    """Bases of it that count, the others are gaps."""
    d: Annotated[int, Field(ge=0, le=4)] = 3
    """Mismatches of two words, at most; l - k at most."""
    C: Annotated[float, Field(gt=0)] = 1.0
    """Cost of a training sequence on the wrong side."""
    M: Annotated[int, Field(ge=1, le=255)] = 50
    """Of wgkm: weight of words in the middle."""
    H: Annotated[float, Field(gt=0)] = 50.0
    """Of wgkm: bases from the middle at which it is half of that."""
    max_sequences: Annotated[int, Field(ge=2)] = 4000
    """Training sequences of a task, at most, half of them positives where there are as many; drawn by the seed."""

    @model_validator(mode="after")
    def _gaps_fit(self) -> GkmSvmSettings:
        if self.k > self.l:
            raise ValueError(f"k is {self.k}, more than the {self.l} bases of l; make it smaller")
        if self.d > self.l - self.k:
            raise ValueError(f"d is {self.d}, but words of l={self.l} and k={self.k} have {self.l - self.k} gaps")
        return self


class Model(Strict):
    """A network by `architecture`, `keras`, `python`, `kipoi`, `torch` or `onnx`: to be trained, or explained as it is.

    The function of `python` or `torch` is called with those of seq_length, n_tasks and seed that it accepts, and with
    `settings`.
    Two architectures are made from the grammar that drew the data, with nothing to train: `oracle` is the exact
    posterior of each task, `planted` a convolutional network near it, whose `settings` break one thing at a time
    (`PlantedSettings`). One that is trained is no network: `gkmsvm` is a support vector machine over gapped k-mers for
    each task (`GkmSvmSettings`; extra `gkm`).
    """

    name: str = "basset"
    """What files and tables call it."""
    architecture: ArchitectureName | None = None
    """One of ours, trained (basset, beluga, gkmsvm) or made of the grammar (oracle, planted), or a plug-in's."""
    keras: Path | None = None
    """A .keras or .h5 file, to be trained, or with `trained: true` as it is; or a SavedModel folder, as it is."""
    trained: bool = False
    """Whether `keras` is explained as it is."""
    output: Annotated[str, Field(coerce_numbers_to_str=True)] | None = None
    """Of a `keras` or `python` model with several outputs: the name or number of the one to use."""
    layout: Literal["NLC", "NCL"] | None = None
    """Of the input: NLC for (N, L, 4), NCL for (N, 4, L). By default NCL for `torch`; of others its shape tells."""
    held: dict[str, Held] = {}
    """Further inputs, by name, or `channels` after the four of the bases: a number, numbers or an .npy file each."""
    outputs: dict[str, Annotated[int, Field(ge=0)]] | None = None
    """Of a model explained as it is: task: number of the output that predicts it; by default the tasks in order."""
    python: str | None = None
    """A function that builds the model: MODULE:FUNCTION or FILE.py:FUNCTION."""
    settings: dict[str, Any] = {}
    """Of that function, of another package's architecture, of a gkm-SVM, or what is broken of a planted network."""
    kipoi: str | None = None
    """A Kipoi entry, explained as it is: its folder, or SOURCE/NAME."""
    torch: str | None = None
    """A function that builds a PyTorch module, explained as it is: MODULE:FUNCTION or FILE.py:FUNCTION."""
    weights: Path | None = None
    """Weights of that module, as torch.save(module.state_dict(), FILE) writes them; without, it is as it was built."""
    onnx: Path | None = None
    """An ONNX file, explained as it is, by methods that need predictions only."""
    width: Annotated[float, Field(gt=0)] = 1.0
    """Factor of the number of units of each layer of basset or beluga."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often it is trained, from different seeds, as NAME-seed1, NAME-seed2, ..."""
    ensemble: bool = False
    """Whether the mean of the logits of all its seeds is one more model, NAME-ensemble."""
    kernel_size: Annotated[int, Field(ge=1)] | None = None
    """Bases of the first convolution of basset or beluga."""
    padding: Literal["valid", "same"] = "valid"
    """valid as published, where the last bases may not be seen; same: all are."""
    training: dict[str, Any] = {}
    """Settings of `training` that are other for this model."""

    @property
    def is_trained(self) -> bool:
        """Whether the run trains it as networks are.

        Those of the data and models of others, trained or not Keras', are as they are; a gkm-SVM has its own solver.
        """
        taken = self.kipoi is not None or self.trained or self.is_from_data or self.is_outside
        return not taken and not self.is_gkmsvm

    @property
    def is_outside(self) -> bool:
        """Whether it is of another framework than Keras, and explained as it is."""
        return self.torch is not None or self.onnx is not None

    @property
    def is_gkmsvm(self) -> bool:
        """Whether it is a support vector machine over gapped k-mers."""
        return self.architecture in MACHINES

    @property
    def is_from_data(self) -> bool:
        """Whether the grammar that drew the data makes it."""
        return self.architecture in FROM_DATA

    @property
    def is_plugged(self) -> bool:
        """Whether another package brings its architecture."""
        return self.architecture is not None and self.architecture not in (*TRAINED, *MACHINES, *FROM_DATA)

    @property
    def is_saved_model(self) -> bool:
        """Whether `keras` is a SavedModel folder, a function without layers."""
        return self.keras is not None and self.keras.suffix not in _KERAS_FILES

    @property
    def is_perfect(self) -> bool:
        """Whether it is known to be right: made from the data, with no setting that breaks it."""
        return self.is_from_data and not self.settings

    @property
    def lacking(self) -> dict[str, str]:
        """What it cannot give to attribution methods, and why: a key of `LACKING`'s entry for each."""
        return LACKING.get(self.architecture or "", {})

    @model_validator(mode="after")
    def _architecture_or_keras(self) -> Model:
        if [self.architecture, self.keras, self.python, self.kipoi, self.torch, self.onnx].count(None) != 5:
            known = (
                "`architecture` (basset, beluga, gkmsvm, oracle or planted), `keras` (a .keras file), `python` (a "
                "function), `kipoi` (an entry), `torch` (a function), `onnx` (a file)"
            )
            raise ValueError(f"a model needs one of {known}")
        chosen = [name for name, value in (("width", 1.0), ("kernel_size", None), ("padding", "valid"))
                  if getattr(self, name) != value]  # fmt: skip
        if (self.is_from_data or self.is_gkmsvm or self.is_plugged) and chosen:
            raise ValueError(f"{chosen[0]} is a setting of `architecture` basset or beluga; leave it out")
        for name in ("seq_length", "n_tasks", "seed"):
            if name in self.settings:
                raise ValueError(f"settings.{name} is given by the run; leave it out")
        for key, function in (("python", self.python), ("torch", self.torch)):
            if function is not None and not re.fullmatch(r".+:[^\W\d]\w*", function):
                raise ValueError(f"{key} {function!r} names no function; write e.g. my_model.py:build")
        if self.architecture == "planted":
            _check_settings(self.settings, PlantedSettings, "a planted network")
        elif self.is_gkmsvm:
            _check_settings(self.settings, GkmSvmSettings, "a gkm-SVM")
        elif self.is_plugged:
            function = load_named("architecture", str(self.architecture), (*TRAINED, *MACHINES, *FROM_DATA))
            checked_settings(function, self.settings, f"architecture {self.architecture}")
        elif self.settings and self.python is None and self.torch is None:
            raise ValueError(
                "settings are those of the function of `python` or `torch`, a planted network or a gkm-SVM; "
                "leave them out"
            )
        if self.training and self.is_gkmsvm:
            raise ValueError("training is of networks, a gkm-SVM has `settings` alone; leave it out")
        if self.training and not self.is_trained:
            raise ValueError("training is of models that are trained, this one is taken as it is; leave it out")
        if self.kipoi is not None and self.seeds > 1:
            raise ValueError("seeds are of models that are trained, one of kipoi is taken as it is; leave them out")
        if self.is_from_data and self.seeds > 1:
            raise ValueError("seeds are of models that are trained, nothing is trained here; leave them out")
        if self.trained and self.keras is None:
            raise ValueError("trained is a setting of `keras`, a model's file; leave it out")
        if self.trained and self.seeds > 1:
            raise ValueError("seeds are of models that are trained, this one is taken as it is; leave them out")
        if self.is_outside and self.seeds > 1:
            raise ValueError("seeds are of models that are trained, this one is taken as it is; leave them out")
        if self.ensemble and self.is_gkmsvm:
            raise ValueError("ensemble is of networks, and a gkm-SVM is none; leave it out")
        if self.ensemble and self.seeds == 1:
            raise ValueError("ensemble is of several trainings; add seeds: 3, or leave it out")
        if self.weights is not None and self.torch is None:
            raise ValueError("weights are those of a `torch` module; leave them out")
        if self.outputs is not None and not self.trained and not self.is_outside:
            raise ValueError(
                "outputs are those of a `keras` model with `trained: true`, `torch` or `onnx`; leave them out"
            )
        form = [name for name in ("output", "layout", "held") if getattr(self, name)]
        of_keras = self.keras is not None or self.python is not None
        if form and not of_keras and not (form == ["layout"] and self.is_outside):
            known = "model of your own" if form[0] == "layout" else "`keras` or `python` model"
            raise ValueError(f"{form[0]} is a setting of a {known}; leave it out")
        if self.outputs == {}:
            raise ValueError("outputs names no task; write e.g. {K562: 0}, or leave it out")
        if self.kernel_size is not None and self.architecture is None:
            raise ValueError("kernel_size is a setting of `architecture` basset or beluga; leave it out")
        if self.padding != "valid" and self.architecture is None:
            raise ValueError("padding is a setting of `architecture` basset or beluga; leave it out")
        if not safe_name(self.name):
            raise ValueError(f"model name {self.name!r} cannot be a folder's name; use letters, digits, . _ -")
        return self


def _check_settings(settings: dict[str, Any], record: type[Strict], of_what: str) -> None:
    try:
        record.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(record.model_fields)
            raise ValueError(f"settings.{name} is no setting of {of_what}; choose among {known}") from error
        message = first["msg"].removeprefix("Value error, ")
        where = f"settings.{name}" if name else "settings"
        raise ValueError(f"{where} of {of_what}: {message[:1].lower()}{message[1:]}") from error


class Replicate(NamedTuple):
    """A model trained from one seed, or the ensemble of all its seeds.

    Attributes
    ----------
    name : str
        In files and tables.
    model : Model
        Its settings.
    seed : int
        Of an ensemble the run's own.
    members : tuple of str
        Names of an ensemble's members; empty where it is none.
    """

    name: str
    model: Model
    seed: int
    members: tuple[str, ...] = ()

    @property
    def is_trained(self) -> bool:
        """Whether the run trains it: not what is taken as it is, and not an ensemble, whose members it trains."""
        return self.model.is_trained and not self.members


def replicates(models: Iterable[Model], seed: int) -> list[Replicate]:
    """Every model once per seed: initial weights, the order of the data and dropout follow from the seed.

    The first of a model's seeds is the run's own. Where a model asks for it, the ensemble of its seeds follows them.

    Examples
    --------
    >>> found = replicates([Model(architecture="basset", seeds=2), Model(name="b", architecture="beluga")], seed=7)
    >>> [each.name for each in found], found[0].seed, found[2].seed
    (['basset-seed1', 'basset-seed2', 'b'], 7, 7)
    >>> replicates([Model(architecture="basset", seeds=2, ensemble=True)], seed=7)[-1].members
    ('basset-seed1', 'basset-seed2')
    """
    found = []
    for model in models:
        names = [f"{model.name}-seed{number + 1}" if model.seeds > 1 else model.name for number in range(model.seeds)]
        found += [Replicate(name, model, _seed(seed, number)) for number, name in enumerate(names)]
        if model.ensemble:
            found.append(Replicate(f"{model.name}-ensemble", model, seed, tuple(names)))
    return found


def _seed(seed: int, number: int) -> int:
    from simbench_tf.random_streams import stream_key

    return int(stream_key(seed, f"replicate {number}")) % 2**31 if number else seed
