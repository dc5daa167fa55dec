"""Audit of a model: its operations, the rule DeepLIFT has for each, and how exactly their contributions add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from simbench_tf.attribution.network import open_network
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

N_SEQUENCES = 10
#: Bases of a sequence where the model takes any number.
_LENGTH = 200
NO_RULE = "no rule"


def audit(model: Any, target: int = 0, random_state: int = 0) -> pd.DataFrame:
    """List what a model computes, which rule DeepLIFT has for each part, and the convergence delta on ten sequences.

    Random sequences are explained by Rescale, each against another one. A layer's delta is the difference
    between the sum of contributions of its output and of its inputs, by the sum of the output's contributions' sizes
    (its mean over sequences); that of the model, between the sum of contributions of all bases and the change of its
    output.

    Parameters
    ----------
    model : keras.Model
        As `attribute` takes it: functional, input (N, L, 4) or (N, 4, L). `plain_model` makes one of several inputs or
        outputs so.
    target : int, default 0
        The output whose contributions are summed.
    random_state : int, default 0
        Of the ten sequences.

    Returns
    -------
    table : pandas.DataFrame
        A row an operation up to the logit, in the order of computation; nested models and users' own layers that only
        call other layers are unfolded:

        - layer: its name.
        - kind: its class.
        - rule: the primitives that it is made of: linear, product, quotient, elementwise, maximum, minimum, softmax;
          "nothing to do" for a layer that does nothing after training, "constant" for one whose output is the same for
          all sequences, "no rule" for one that DeepLIFT refuses.
        - delta: the largest relative convergence delta of ten sequences, float; NaN where any layer has no rule.
        - note: why there is no rule, else "".

        ``table.attrs["delta"]`` is that of the whole model.

    Raises
    ------
    InputError
        The model has another form than `attribute` takes.

    Examples
    --------
    >>> import keras
    >>> stack = [keras.Input((8, 4)), keras.layers.LayerNormalization(name="norm"), keras.layers.Flatten(name="flat")]
    >>> table = audit(keras.Sequential([*stack, keras.layers.Dense(1, "sigmoid", name="end")]))
    >>> table[["layer", "rule"]].values.tolist()
    [['norm', 'linear, product, elementwise'], ['flat', 'linear'], ['end', 'linear']]
    >>> bool(table.attrs["delta"] < 1e-5)
    True
    """
    # Keras is loaded with them
    from simbench_tf.attribution.deeplift.read_model import reading_of, rules_of_call, shapes_given

    graph, length = _graph_of(model, target)
    read = reading_of(graph, length)
    rows, steps_by_row = [], []
    for call in read.graph.calls:
        row = {"layer": call.name, "kind": _kind(call), "delta": np.nan, "note": ""}
        try:
            rules = rules_of_call(call, read, "rescale")
        except InputError as error:
            rows.append({**row, "rule": NO_RULE, "note": error.what})
            continue
        rows.append({**row, "rule": _named(rules, lambda rule, call=call: shapes_given(rule, call, read))})
        steps_by_row.append((len(rows) - 1, call, rules))
    table = pd.DataFrame(rows, columns=["layer", "kind", "rule", "delta", "note"])
    table.attrs["delta"] = np.nan
    if NO_RULE not in set(table["rule"]):
        deltas, table.attrs["delta"] = _deltas(read, steps_by_row, length, target, random_state)
        for number, delta in deltas.items():
            table.loc[number, "delta"] = delta
    return table


def summary_of(table: pd.DataFrame) -> str:
    """One line about an audit: can DeepLIFT explain the model, and how exactly.

    Examples
    --------
    >>> table = pd.DataFrame({"layer": ["a", "b"], "kind": ["Dense", "LSTM"], "rule": ["linear", "no rule"]})
    >>> summary_of(table)
    '1 of 2 operations have no rule (b): DeepLIFT refuses the model; integrated_gradients and ism need no rules'
    """
    without = table.loc[table["rule"] == NO_RULE, "layer"]
    if len(without):
        names = ", ".join(without)
        refused = "DeepLIFT refuses the model; integrated_gradients and ism need no rules"
        return f"{len(without)} of {len(table)} operations have no rule ({names}): {refused}"
    exactly = f"contributions add up to the change of the output within {table.attrs['delta']:.1e} of their sizes' sum"
    return f"all {len(table)} operations have a rule; on {N_SEQUENCES} sequences {exactly}"


def _graph_of(model: Any, target: int) -> tuple[Any, int]:
    """The functional model that `attribute` would explain, and how many bases it is given."""
    from simbench_tf.attribution.model_forms import plain_model

    plain = plain_model(model)
    length = plain.input_shape[1] or _LENGTH
    try:
        return open_network(plain, length, target).graph, length
    except InputError:
        # one that has no known logit, as after a softmax
        return open_network(plain, length, target, "probability").graph, length


def _kind(call: Any) -> str:
    # a layer whose activation is left out is another class than the user's
    operation = call.node.operation
    return type(getattr(operation, "linear_part_of", operation)).__name__


def _named(rules: list[tuple[int, list[Any]]], shapes_of: Any) -> str:
    """The primitives of a call, each once, in the order of computation."""
    from simbench_tf.attribution.deeplift.composite import Composite, Constant
    from simbench_tf.attribution.deeplift.nonlinear import Elementwise, MaxPool

    names: list[str] = []
    for _, made in rules:
        for rule in made:
            if isinstance(rule, Composite):
                names.extend(rule.primitives(shapes_of(rule)) or ["constant"])
            else:
                kinds = {Elementwise: "elementwise", MaxPool: "maximum", Constant: "constant"}
                names.append(kinds.get(type(rule), "linear"))
    return ", ".join(dict.fromkeys(names)) or "nothing to do"


def _deltas(
    read: Any, rules_by_row: list[tuple[int, Any, Any]], length: int, target: int, random_state: int
) -> tuple[dict[int, float], float]:
    """Largest relative delta of each row and of the model."""
    import tensorflow as tf

    from simbench_tf.attribution.deeplift.read_model import steps_of_call
    from simbench_tf.attribution.deeplift.steps import ForwardPass, multipliers_of_all

    numbers, new, steps, row_of = {0: 0}, iter(range(1, 10**9)), [], []
    for row, call, rules in rules_by_row:
        made = steps_of_call(call, rules, numbers, new)
        steps.extend(made)
        row_of.extend([row] * len(made))
    bases, others = np.random.default_rng(random_state).integers(0, 4, (2, N_SEQUENCES, length)).astype(np.uint8)
    run = ForwardPass(steps, tf.cast(one_hot(bases), read.dtype), tf.cast(one_hot(others)[:, None], read.dtype))
    saved = [step.rule.saved(run, step) for step in steps]
    change = run.difference(steps[-1].output)
    top = tf.one_hot(tf.fill((len(change),), target), change.shape[1], dtype=read.dtype)
    per_step, m = multipliers_of_all(steps, saved, top)

    def given(number: int, multiplier: Any) -> np.ndarray:
        flat: np.ndarray = tf.reshape(multiplier.positive * run.difference(number), (len(change), -1)).numpy()
        return flat.astype(np.float64)

    deltas: dict[int, float] = {}
    for row, step, (out, into) in zip(reversed(row_of), reversed(steps), per_step, strict=True):
        given_out = given(step.output, out)
        given_in = sum(given(number, each).sum(axis=1) for number, each in zip(step.inputs, into, strict=True))
        deltas[row] = max(deltas.get(row, 0.0), _relative(given_out.sum(axis=1) - given_in, given_out))
    contributions = given(0, m)
    own = change.numpy().astype(np.float64)[:, target]
    return deltas, _relative(contributions.sum(axis=1) - own, contributions)


def _relative(delta: np.ndarray, contributions: np.ndarray) -> float:
    # by the mean of all sequences: the change of a saturated one may be nothing but rounding
    size = np.abs(contributions).sum(axis=1).mean()
    return float(np.abs(delta).max() / size) if size > 0 else 0.0
