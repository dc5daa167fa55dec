"""Methods against a model, before either is used: whether each takes its layers, and which bases it cannot see."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from simbench_tf.config import Config, MethodSettings, Model
from simbench_tf.run.attributions import not_taken, taken_methods

_log = logging.getLogger(__name__)


def asked_methods(config: Config, model: Model) -> list[MethodSettings]:
    """Every method that a run uses on a model, on attributed sequences or to watch learning."""
    watched = [config.dynamics.method] if config.dynamics is not None and model.is_trained else []
    return [*taken_methods(config, model), *watched]


def check_methods(config: Config, network: Any, seq_length: int, asked: Iterable[MethodSettings]) -> None:
    """Attribute two random sequences by every method asked for that the model takes.

    But not by mutagenesis, which takes any model and long.

    Raises
    ------
    InputError
        A method has no rule for a layer of the model, or finds no layer to look at.
    """
    from simbench_tf.attribution import attribute, dependency_map, find_method
    from simbench_tf.attribution.averaged import Copies
    from simbench_tf.attribution.lacking import lacks, why_not
    from simbench_tf.dna import one_hot

    x = one_hot(np.random.default_rng(0).integers(0, 4, (2, seq_length), np.uint8))
    for method in asked:
        known = find_method(method.method)
        settings = {name: value for name, value in method.settings.items() if name not in Copies._fields}
        is_mutagenesis = known.function.__module__.startswith("simbench_tf.attribution.mutagenesis")
        if is_mutagenesis or why_not(method.method, lacks(network)) is not None:
            continue
        if "n_steps" in known.settings:
            settings["n_steps"] = 1  # more of the same
        if known.function is dependency_map:
            settings |= {"window": 2, "fast": False}  # the same, but for what is compiled for a network thrown away
        few = "shuffle:1" if (method.references or "").startswith("shuffle") else method.references
        # what DeepLIFT compiles for a network takes seconds, and this network is thrown away
        is_deeplift = known.function.__module__.startswith("simbench_tf.attribution.deeplift")
        with _uncompiled() if is_deeplift else contextlib.nullcontext():
            attribute(network, x, method.method, references=few, output=config.attribution.output, **settings)


@contextlib.contextmanager
def _uncompiled() -> Iterator[None]:
    """Run TensorFlow's functions operation by operation."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def say_not_taken(config: Config) -> None:
    """Say in a note, for each model, which of the run's methods it does not take, and why."""
    left_out: dict[str, dict[str, list[str]]] = {}
    for each in not_taken(config):
        left_out.setdefault(each.model, {}).setdefault(each.why, []).append(each.method)
    for model, reasons in left_out.items():
        why = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        _log.warning("models.%s is not explained by %s", model, why)


def say_unseen(model: Model, network: Any, seq_length: int) -> None:
    """Say in a note which bases a network cannot see, whatever it learns, and what would change that."""
    from simbench_tf.attribution.receptive_field import visible_bases

    unseen = np.flatnonzero(~visible_bases(network, seq_length))
    if unseen.size:
        where = f"{unseen.size} of {seq_length} bases, from {unseen[0]} to {unseen[-1]}"
        _log.warning("models.%s cannot see %s, and is not scored there%s", model.name, where, _to_see_all(model))


def _to_see_all(model: Model) -> str:
    if model.architecture is not None:
        return "; `padding: same` sees all"
    if not model.is_trained:
        return ""  # taken as it is
    return '; give its convolutions padding="same", or choose a length that its pooling divides'
