"""Sweeps: in an entry of `attribution.methods` or `models`, a list as a value stands for one entry per value.

The entries are the product of all lists: the first list of the entry changes slowest, the last one fastest, each in its
own order. No setting of a method or a model is a list, so that a list always sweeps. Expanded entries hold no lists, so
that expanding them again changes nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

#: Entries that a list of methods or models may stand for.
MOST_ENTRIES = 10_000
Entry = dict[str, Any]


def expand_methods(entries: Any) -> Any:
    """One entry per combination of a method's settings; a bare name is a method without any.

    Anything but a list of names and mappings is returned unchanged.

    Raises
    ------
    ValueError
        A list is empty, holds a value twice, or holds lists or mappings; the message names the entry and its key. Or
        the entries are too many.

    Examples
    --------
    >>> for entry in expand_methods([{"method": "gradcam", "layer": ["first", "last"], "relu": [True, False]}]):
    ...     print(entry)
    {'method': 'gradcam', 'layer': 'first', 'relu': True}
    {'method': 'gradcam', 'layer': 'first', 'relu': False}
    {'method': 'gradcam', 'layer': 'last', 'relu': True}
    {'method': 'gradcam', 'layer': 'last', 'relu': False}
    >>> expand_methods(["ism"])
    [{'method': 'ism'}]
    """
    if isinstance(entries, list):
        entries = [{"method": entry} if isinstance(entry, str) else entry for entry in entries]
    return _expand(entries, lambda entry, _: entry)


def expand_models(entries: Any) -> Any:
    """One entry per model, named by what differs: NAME-KEYVALUE, with one more -KEYVALUE for each further list.

    Without a name, a model is called by its architecture; an architecture that is swept adds its own name only.

    Raises
    ------
    ValueError
        As `expand_methods`, or a swept value cannot be part of a name, such as a path.

    Examples
    --------
    >>> [entry["name"] for entry in expand_models([{"architecture": "basset", "kernel_size": [7, 19], "width": [0.5]}])]
    ['basset-kernel_size7-width0.5', 'basset-kernel_size19-width0.5']
    >>> [entry["name"] for entry in expand_models([{"architecture": ["basset", "beluga"], "width": 0.5}])]
    ['basset', 'beluga']
    """
    return _expand(entries, _named_by_values)


def _expand(entries: Any, finish: Callable[[Entry, Entry], Entry]) -> Any:
    """Each entry as it is or, where it has lists, `finish(entry with values chosen, these values)` for each choice."""
    if not isinstance(entries, list):
        return entries
    expanded: list[Any] = []
    for number, entry in enumerate(entries):
        lists = _lists_in(entry)
        if not lists:
            expanded.append(entry)
            continue
        for key, values in lists.items():
            _check(number, key, values)
        n = len(expanded) + math.prod(len(values) for values in lists.values())
        if n > MOST_ENTRIES:
            raise ValueError(
                f"entry {number}: makes {n:,} entries, {MOST_ENTRIES:,} are the most; sweep over fewer values"
            )
        for chosen in itertools.product(*lists.values()):
            swept = dict(zip(lists, chosen, strict=True))
            expanded.append(finish({**entry, **swept}, swept))
    return expanded


def _lists_in(entry: Any) -> dict[str, list[Any]]:
    if not isinstance(entry, dict):
        return {}
    return {key: value for key, value in entry.items() if isinstance(value, list)}


def _check(number: int, key: str, values: list[Any]) -> None:
    where = f"entry {number}: {key}"
    if not values:
        raise ValueError(f"{where} is an empty list; give it values, or leave it out")
    for index, value in enumerate(values):
        if isinstance(value, list | dict):
            mend = "give numbers, words or truth values"
            raise ValueError(f"{where} sweeps over {value!r}, which is no plain value; {mend}")
        # True == 1 in Python, but not in a configuration
        if any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values[:index]):
            raise ValueError(f"{where} holds {value!r} twice; leave one out")


def _named_by_values(entry: Entry, swept: Entry) -> Entry:
    """The entry with a name that tells it from the others of its sweep."""
    name, architecture = entry.get("name"), entry.get("architecture")
    parts = [name] if name else []
    if architecture and (not name or "architecture" in swept):
        parts.append(architecture)
    if not parts:
        parts.append("model")
    for key, value in swept.items():
        if key == "name" or not isinstance(value, int | float | str) or "/" in str(value):
            raise ValueError(f"{key} cannot be a list, a name cannot be made of {value!r}; write one model for each")
        if key != "architecture":
            parts.append(f"{key}{value:g}" if isinstance(value, float) else f"{key}{value}")
    return {**entry, "name": "-".join(map(str, parts))}
