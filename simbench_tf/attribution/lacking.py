"""Which attribution methods a model takes: its layers say what it cannot give, and methods what they need.

A layer that only computes, as an exact likelihood, has the attribute `lacking`: a dictionary from what it cannot give
("layers" to read; values at "any_rows", those that are no mixture of bases among them) to why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simbench_tf.attribution.registry import find_method, methods
from simbench_tf.errors import InputError


def why_not(method: str, lacking: Mapping[str, str]) -> str | None:
    """Why a model that lacks something does not take a method; None where it does.

    Examples
    --------
    >>> import simbench_tf.attribution
    >>> why_not("gradcam", {"layers": "it has none"}), why_not("ism", {"layers": "it has none"})
    ('it has none', None)
    """
    needs = find_method(method).needs
    return None if needs is None else lacking.get(needs)


def taken(lacking: Mapping[str, str]) -> list[str]:
    """Names of the methods that a model takes which lacks something."""
    return [name for name in methods() if why_not(name, lacking) is None]


def check_taken(model: Any, method: str) -> None:
    """Raise InputError where a model does not take a method, with why, and which it takes."""
    lacking = {need: why for layer in model._flatten_layers() for need, why in getattr(layer, "lacking", {}).items()}
    why = why_not(method, lacking)
    if why is not None:
        raise InputError(f"model {model.name}", f"does not take {method}: {why}", f"choose {listed(taken(lacking))}")


def listed(names: list[str]) -> str:
    """Names in a sentence, any of which will do.

    Examples
    --------
    >>> listed(["ism", "saliency", "grad_x_input"])
    'ism, saliency or grad_x_input'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
