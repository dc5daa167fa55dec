"""Which attribution methods a model takes: its layers say what it cannot give, and methods what they need.

A layer that only computes, as an exact likelihood, has the attribute `lacking`: a dictionary from what it cannot give
("layers" to read; gradients at "any_rows", those that are no mixture of bases among them; "gradients" at all) to why.
"gapped_kmers" every model lacks that has no layer with `gapped_kmer_contributions`, as a gkm-SVM has. Models that are
not Keras' lack what follows from what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from simbench_tf.architectures import NO_GKMSVM
from simbench_tf.attribution.outside_model import is_torch_module
from simbench_tf.attribution.registry import find_method, methods
from simbench_tf.errors import InputError

Kind = Literal["keras", "torch", "function"]

_ONLY_PREDICTS = "it is a function, or a file, that only predicts"
#: What a model cannot give for what it is, and why.
LACKING: dict[Kind, dict[str, str]] = {
    "keras": {"torch": "it is no PyTorch module", **NO_GKMSVM},
    "torch": {"layers": "it is a PyTorch module, whose layers the method cannot read", **NO_GKMSVM},
    "function": {**dict.fromkeys(("layers", "feature_maps", "gradients", "torch"), _ONLY_PREDICTS), **NO_GKMSVM},
}


def why_not(method: str, lacking: Mapping[str, str]) -> str | None:
    """Why a model that lacks something does not take a method; None where it does.

    Examples
    --------
    >>> import simbench_tf.attribution
    >>> why_not("deeplift_rescale", {"layers": "it has none"}), why_not("ism", {"layers": "it has none"})
    ('it has none', None)
    """
    return next((lacking[need] for need in find_method(method).needs if need in lacking), None)


def taken(lacking: Mapping[str, str]) -> list[str]:
    """Names of the methods that a model takes which lacks something."""
    return [name for name in methods() if why_not(name, lacking) is None]


def check_taken(model: Any, method: str) -> None:
    """Raise InputError where a model does not take a method, with why, and which it takes."""
    lacking, name = lacks(model), getattr(model, "name", type(model).__name__)
    why = why_not(method, lacking)
    if why is not None:
        raise InputError(f"model {name}", f"does not take {method}: {why}", f"choose {listed(taken(lacking))}")


def lacks(model: Any) -> dict[str, str]:
    """What a model cannot give to methods, and why, by what it is and as its layers say it."""
    if not hasattr(model, "_flatten_layers"):
        return LACKING["torch" if is_torch_module(model) else "function"]
    lacking = dict(LACKING["keras"])
    for layer in model._flatten_layers():
        lacking |= getattr(layer, "lacking", {})
        if hasattr(layer, "gapped_kmer_contributions"):
            del lacking["gapped_kmers"]
    return lacking


def listed(names: list[str]) -> str:
    """Names in a sentence, any of which will do.

    Examples
    --------
    >>> listed(["ism", "saliency", "grad_x_input"])
    'ism, saliency or grad_x_input'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
