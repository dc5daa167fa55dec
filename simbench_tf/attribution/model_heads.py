"""The output of a model that is explained: one of several, in the shape (N, T)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from simbench_tf.attribution.form_settings import Form, names_of, quoted, shape_of
from simbench_tf.attribution.two_classes import log_odds
from simbench_tf.errors import InputError, nearest


def chosen_head(model: Any, form: Form) -> Any:
    """The output of a functional model that is named, or the only one."""
    names = names_of(model, "outputs")
    if form.head is None:
        if len(names) == 1:
            return model.outputs[0]
        shown = ", ".join(f"{each[0]} {shape_of(tensor)}" for each, tensor in zip(names, model.outputs, strict=True))
        best = next((n for n, tensor in enumerate(model.outputs) if len(tensor.shape) == 2), 0)
        mend = form.write("head", quoted(names[best][0], form))
        counts = f"has {len(model.inputs)} inputs and {len(names)} outputs"
        raise InputError("model", f"{counts}, {shown}", f"name the one to explain, as {mend}")
    wanted = str(form.head)
    for each in zip(*(_padded(names)), strict=True):  # keys before layers' names before numbers
        if wanted in each:
            return model.outputs[each.index(wanted)]
    known = nearest(wanted, [each[0] for each in names])
    raise InputError("output" if form.is_configured else "head", f"the model has no output {wanted!r}{known}")


def _padded(names: list[list[str]]) -> list[list[str | None]]:
    most = max(map(len, names))
    return [[*each[:-1], *[None] * (most - len(each)), each[-1]] for each in names]


def in_one_row(end: Any, form: Form) -> Any:
    """An output as (N, T): of T softmaxes over two classes, (N, T, 2), their class 1."""
    shape = tuple(end.shape[1:])
    if len(shape) == 1 and shape[0] is not None:
        return end
    if len(shape) == 2 and shape[1] == 2 and shape[0] is not None:
        odds = log_odds(end, n_classes=1)
        if odds is not None:
            flat = keras.layers.Reshape((shape[0],), dtype=odds.dtype, name="simbench_tf_log_odds_of_tasks")(odds)
            return keras.layers.Activation("sigmoid", dtype="float32", name="simbench_tf_class_1")(flat)
    mend = "reduce it to (N, number of outputs) in a wrapper, as by a sum or keras.layers.GlobalAveragePooling1D"
    if form.head is not None:
        mend += ", or name another output"
    raise InputError("model", f"has output of shape {tuple(end.shape)}", mend)


def positive_class(model: Any) -> Any:
    """A plain model that ends in softmax over two classes as one that gives the probability of class 1, (N, 1).

    Any other model is returned as it is.
    """
    if model.output_shape != (None, 2):
        return model
    odds = log_odds(model.outputs[0], n_classes=1)
    if odds is None:
        return model
    probability = keras.layers.Activation("sigmoid", dtype="float32", name="simbench_tf_class_1")(odds)
    return keras.Model(model.inputs[0], probability)


def chosen_output(outputs: Any, form: Form) -> Any:
    """Of what a model that shows no layers returns, the output that is named, or the only one; (N,) as (N, 1)."""
    if isinstance(outputs, list | tuple | Mapping):
        named = outputs if isinstance(outputs, Mapping) else {str(n): each for n, each in enumerate(outputs)}
        wanted = str(form.head) if form.head is not None else next(iter(named)) if len(named) == 1 else None
        if wanted is None:
            mend = form.write("head", quoted(next(iter(named)), form))
            raise InputError("model", f"has the outputs {', '.join(named)}", f"name the one to explain, as {mend}")
        if wanted not in named:
            where = "output" if form.is_configured else "head"
            raise InputError(where, f"the model has no output {wanted!r}{nearest(wanted, named)}")
        outputs = named[wanted]
    return outputs[:, None] if len(outputs.shape) == 1 else outputs
