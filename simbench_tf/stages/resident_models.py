"""Models in memory: one of each architecture, which takes the weights that are asked for and is compiled once.

A method's functions are compiled for a model, which may take longer than all that is then computed with them, and they
see new values of weights. So trainings from several seeds, and the untrained network of null rows, share one model.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from simbench_tf.run.models import load_model

#: Architectures, and weights of as many models, that stay in memory.
MODELS_TOGETHER = 4
#: Held while a model is used: another thread of a worker may ask for other weights.
IN_USE = threading.Lock()


class WantedModel(NamedTuple):
    """A model of a run: its file, that file's checksum, and the seed of initial weights in place of its own."""

    file: str
    checksum: str
    untrained_seed: int | None = None


class Weights(NamedTuple):
    """The weights of a model, and what they fit: its architecture, in text."""

    architecture: str
    arrays: list[npt.NDArray[Any]]


@dataclass
class Resident:
    """The model of an architecture, and whose weights it has now."""

    model: Any = None
    holds: WantedModel | None = None


def resident_model(wanted: WantedModel) -> Any:
    """Load a model, or give its weights to the one of the same architecture that is in memory.

    It has these weights until another is asked for, so hold `IN_USE` as long as it is used.
    """
    weights = _weights(wanted)
    resident = _resident(weights.architecture)
    if resident.model is None:  # no longer in memory, its weights still are
        resident.model = _load(wanted)
    elif resident.holds != wanted:
        resident.model.set_weights(weights.arrays)
    resident.holds = wanted
    return resident.model


def compiled_for(wanted: WantedModel) -> Hashable:
    """What a function is compiled for: models of which it is the same share what is compiled."""
    return _weights(wanted).architecture


@functools.lru_cache(maxsize=MODELS_TOGETHER)
def _resident(architecture: str) -> Resident:  # noqa: ARG001 - one for each
    return Resident()


@functools.lru_cache(maxsize=MODELS_TOGETHER)
def _weights(wanted: WantedModel) -> Weights:
    model = _load(wanted)
    weights = Weights(_architecture(model) or repr(wanted), model.get_weights() if is_keras(model) else [])
    resident = _resident(weights.architecture)
    if resident.model is None:
        resident.model, resident.holds = model, wanted
    return weights


def _load(wanted: WantedModel) -> Any:
    model = load_model(Path(wanted.file), wanted.untrained_seed)
    if wanted.untrained_seed is None or not is_keras(model):
        return model
    import keras

    keras.utils.set_random_seed(wanted.untrained_seed % 2**32)  # for initialisers without a seed of their own
    return keras.models.clone_model(model)


def is_keras(model: Any) -> bool:
    """Whether a model is Keras', whose weights can be put into another."""
    import keras

    return isinstance(model, keras.Model)


def _architecture(model: Any) -> str | None:
    """What a model computes but for its weights, as text; None where it has classes of others, which may hold more."""
    from simbench_tf.attribution.layer_geometry import is_quantized, kind_of

    if not is_keras(model) or any(not kind_of(layer) or is_quantized(layer) for layer in model._flatten_layers()):
        return None
    return json.dumps(_of_inference(json.loads(model.to_json())), sort_keys=True)


def _of_inference(config: Any) -> Any:
    """A configuration without what only drawing and training weights depend on."""
    if isinstance(config, list):
        return [_of_inference(each) for each in config]
    if not isinstance(config, dict):
        return config
    endings = ("initializer", "regularizer", "constraint", "compile_config")
    return {key: _of_inference(value) for key, value in config.items() if key != "seed" and not key.endswith(endings)}
