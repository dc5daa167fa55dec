"""Sweeps: in an entry of `attribution.methods` or `models`, a value that is a list stands for one entry a value.

The entries are the product of all lists, in the order in which a reader writes them down: the list that stands first
in the entry changes slowest, the last one fastest, each in its own order. No setting of a method or a model is a list
by nature, so that a list always sweeps; that an expanded entry holds none makes the expansion of an expansion itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]


def expand_methods(entries: Any) -> Any:
    """One entry a method and combination of settings; what is no list of mappings is left for others to refuse.

    Raises
    ------
    ValueError
        A list is empty, holds a value twice, or holds lists or mappings; the message names the entry and its key.

    Examples
    --------
    >>> for entry in expand_methods([{"method": "gradcam", "layer": ["first", "last"], "relu": [True, False]}]):
    ...     print(entry)
    {'method': 'gradcam', 'layer': 'first', 'relu': True}
    {'method': 'gradcam', 'layer': 'first', 'relu': False}
    {'method': 'gradcam', 'layer': 'last', 'relu': True}
    {'method': 'gradcam', 'layer': 'last', 'relu': False}
    """
    return _expand(entries, lambda entry, _: entry)


def expand_models(entries: Any) -> Any:
    """One entry a model, named by what differs: NAME-KEYVALUE, and KEYVALUE again for each further list.

    Without a name, a model is called by its architecture; an architecture that is swept adds its own name only.

    Raises
    ------
    ValueError
        As `expand_methods`, or a value that is swept cannot be a part of a name, as that of a path.

    Examples
    --------
    >>> [entry["name"] for entry in expand_models([{"architecture": "basset", "kernel_size": [7, 19], "width": [0.5]}])]
    ['basset-kernel_size7-width0.5', 'basset-kernel_size19-width0.5']
    >>> [entry["name"] for entry in expand_models([{"architecture": ["basset", "beluga"], "width": 0.5}])]
    ['basset', 'beluga']
    """
    return _expand(entries, _named)


def _expand(entries: Any, finish: Callable[[Entry, Entry], Entry]) -> Any:
    """Each entry as it is or, where it has lists, one of `finish(entry with the values chosen, these values)` each."""
    if not isinstance(entries, list):
        return entries
    expanded: list[Any] = []
    for number, entry in enumerate(entries):
        lists = (
            {key: value for key, value in entry.items() if isinstance(value, list)} if isinstance(entry, dict) else {}
        )
        if not lists:
            expanded.append(entry)
            continue
        for key, values in lists.items():
            _check(number, key, values)
        for chosen in itertools.product(*lists.values()):
            swept = dict(zip(lists, chosen, strict=True))
            expanded.append(finish({**entry, **swept}, swept))
    return expanded


def _check(number: int, key: str, values: list[Any]) -> None:
    where = f"entry {number}: {key}"
    if not values:
        raise ValueError(f"{where} is an empty list; give it values, or leave it out")
    for place, value in enumerate(values):
        if isinstance(value, list | dict):
            mend = "give numbers, words or truth values"
            raise ValueError(f"{where} sweeps over {value!r}, which is no plain value; {mend}")
        # True == 1 in Python, but not in a configuration
        if any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values[:place]):
            raise ValueError(f"{where} holds {value!r} twice; leave one out")


def _named(entry: Entry, swept: Entry) -> Entry:
    architecture = entry.get("architecture")
    parts = [entry["name"]] if entry.get("name") else [] if architecture else ["model"]
    if architecture and (not parts or "architecture" in swept):
        parts.append(architecture)
    for key, value in swept.items():
        if key == "name" or not isinstance(value, int | float | str) or "/" in str(value):
            raise ValueError(f"{key} cannot be a list, a name cannot be made of {value!r}; write a model each")
        if key != "architecture":
            parts.append(f"{key}{value:g}" if isinstance(value, float) else f"{key}{value}")
    return {**entry, "name": "-".join(map(str, parts))}
