"""A model as a function from bases to outputs and logits: Kipoi entries, .keras files and Keras models alike."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf import dna
from simbench_tf.dna import Bases
from simbench_tf.errors import InputError
from simbench_tf.models.kipoi import KipoiModel, load_kipoi_model
from simbench_tf.random_streams import uniforms

# Keras and what needs it are imported where they are used, so that importing this module does not wait for them.

_log = logging.getLogger(__name__)
Array = npt.NDArray[np.float32]
_BATCH_WINDOWS = 256


#: Random sequences that show whether a model without layers gives probabilities.
_N_TRIALS = 64


#: float32 probabilities nearer to 0 or 1 than this have no logit to speak of.
_LEAST_PROBABILITY = 1e-7


class Predictor(NamedTuple):
    """A model as a function of bases.

    Attributes
    ----------
    seq_length : int
    task_names : list of str
    predict : callable
        uint8 (N, L) -> (outputs, logits), float32 (N, T) each.
    """

    seq_length: int
    task_names: list[str]
    predict: Callable[[Bases], tuple[Array, Array]]


def open_predictor(model: Any, task_names: Sequence[str] | None = None, both_strands: bool = False) -> Predictor:
    """Make a `Predictor` of a Kipoi entry, a .keras or .h5 file or a Keras model; see `score_variants`."""
    network, seq_length, own_names = _opened(model)
    n_tasks = _n_outputs(network, seq_length)
    names = list(task_names or own_names or map(str, range(n_tasks)))
    if len(names) != n_tasks:
        raise InputError("task names", f"are {len(names)}, the model has {n_tasks} outputs", "name each output")
    both = _outputs_and_logits(network, seq_length)

    def predict(bases: Bases) -> tuple[Array, Array]:
        outputs, logits = both(dna.one_hot(bases))
        if both_strands:
            other_outputs, other_logits = both(dna.one_hot(dna.reverse_complement(bases)))
            half = np.float32(0.5)
            outputs, logits = (outputs + other_outputs) * half, (logits + other_logits) * half
        return outputs, logits

    return Predictor(seq_length, names, predict)


def _opened(model: Any) -> tuple[Any, int, list[str] | None]:
    """The Keras model, the length of its input, and the names of its outputs where it has them."""
    import keras

    from simbench_tf.attribution.model_forms import plain_model

    if isinstance(model, (str, os.PathLike)) and Path(model).suffix in (".keras", ".h5", ".hdf5"):
        model = _loaded(Path(model))
    if not isinstance(model, keras.Model):
        entry = model if isinstance(model, KipoiModel) else load_kipoi_model(model)
        return entry.model, entry.seq_length, entry.task_names
    if not getattr(model, "inputs", None):
        what = "shows no layers (subclassed, or not built yet)"
        raise InputError("model", what, "give a functional or Sequential model that begins with keras.Input")
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        counts = f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise InputError("model", counts, "wrap it by sb.plain_model(model, head=..., held=...)")
    model = plain_model(model)
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 3 or shape[1] is None or shape[2] != 4:
        raise InputError("model", f"takes input of shape {shape}", "it must be (N, L, 4) with a fixed L")
    return model, int(shape[1]), None


def _loaded(path: Path) -> Any:
    from simbench_tf.models.custom import load_trained
    from simbench_tf.models.model_files import load_model_file

    if not path.is_file():
        raise InputError(path, "no such model file", "check the path")
    return load_trained(path) if path.suffix == ".keras" else load_model_file(path)


def _n_outputs(network: Any, seq_length: int) -> int:
    from simbench_tf.attribution.network import open_network

    open_network(network, seq_length, output="probability")  # refuses models of other forms than (N, L, 4) -> (N, T)
    return int(network(np.zeros((1, seq_length, 4), np.float32), training=False).shape[1])


def _outputs_and_logits(network: Any, seq_length: int) -> Callable[[Array], tuple[Array, Array]]:
    """The model's outputs and logits, float32 (N, T) each.

    A logit is the input of the final sigmoid where the graph shows it, else that of the output if this is a
    probability, else nan.
    """
    import keras

    from simbench_tf.attribution.network import open_network

    pair = None
    if getattr(network, "outputs", None):
        # of a model that ends in neither a sigmoid nor a linear layer no logit is found
        with suppress(InputError):
            # as the model computes: of a copy in float32 the logit would hang on another input
            logit = open_network(network, seq_length, precision="model").graph.outputs[0]
            pair = keras.Model(network.inputs[0], [network.outputs[0], logit])

    def predict(one_hot: Array) -> Array:
        firsts = range(0, len(one_hot), _BATCH_WINDOWS)
        batches = [np.asarray(network(one_hot[first : first + _BATCH_WINDOWS], training=False)) for first in firsts]
        return np.concatenate(batches).astype(np.float32)

    probabilities = pair is not None or _are_probabilities(network, predict, seq_length)
    if not probabilities:
        _log.warning("the model's outputs are no probabilities, so differences of logits are left empty")

    def run(one_hot: Array) -> tuple[Array, Array]:
        if pair is not None:
            outputs, logits = pair.predict(one_hot, batch_size=_BATCH_WINDOWS, verbose=0)
            return np.asarray(outputs, np.float32), np.asarray(logits, np.float32)
        outputs = predict(one_hot)
        return outputs, _logits(outputs) if probabilities else np.full_like(outputs, np.nan)

    return run


def _are_probabilities(network: Any, predict: Callable[[Array], Array], seq_length: int) -> bool:
    """Whether a model without a final sigmoid gives probabilities: it ends in a softmax, or shows no layers.

    In the latter case its outputs for some random sequences decide.
    """
    import keras

    if getattr(network, "outputs", None):
        last = network.outputs[0]._keras_history.operation
        activation = getattr(last, "activation", None)
        return activation is keras.activations.softmax or isinstance(last, keras.layers.Softmax)
    bases = (4 * uniforms(0, "variants: trial", range(_N_TRIALS), seq_length)).astype(np.uint8)
    outputs = predict(dna.one_hot(bases))
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _logits(probabilities: Array) -> Array:
    """Log odds, kept finite; nan for what is no probability."""
    bounded = np.clip(probabilities.astype(np.float64), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    logits = np.log(bounded) - np.log1p(-bounded)
    return np.where((probabilities >= 0) & (probabilities <= 1), logits, np.nan).astype(np.float32)
