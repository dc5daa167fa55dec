"""A configuration file with comments: settings as YAML, each key with its meaning from the settings records."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simbench_tf.config.schema import keys
from simbench_tf.config.yaml_text import format_yaml

#: The record that a key's value is, where it has keys of its own.
_RECORDS = {"training": "Training", "attribution": "AttributionSettings", "scoring": "Scoring", "splits": "Splits"}
_WIDTH = 100


def commented_yaml(settings: Mapping[str, Any], head: Sequence[str], simulation: str) -> str:
    """Settings as the text of a configuration file, a comment after or above each key.

    Parameters
    ----------
    settings : dict
        As a file holds them; only what is in it is written.
    head : sequence of str
        Lines of the comment above all.
    simulation : str
        The record of `simulation`: PeaksSimulation, GrammarSimulation or TextSimulation.

    Examples
    --------
    >>> print(commented_yaml({"seed": 7, "training": {"max_batches": 400}}, ["Mine."], "PeaksSimulation"), end="")
    # Mine.
    seed: 7  # What everything random follows from.
    training:  # How networks are trained.
      max_batches: 400  # Batches after which training ends at the latest.
    """
    meanings = {(key.record, key.name): key.meaning for key in keys()}
    lines = [f"# {line}".rstrip() for line in head]
    lines += _lines(settings, "Config", meanings, {**_RECORDS, "simulation": simulation}, "")
    return "\n".join(lines) + "\n"


def _lines(
    settings: Mapping[str, Any],
    record: str,
    meanings: Mapping[tuple[str, str], str],
    records: Mapping[str, str],
    by: str,
) -> Iterator[str]:
    for key, value in settings.items():
        meaning = meanings.get((record, key), "")
        if isinstance(value, Mapping) and value and key in records:
            yield from _with_comment(f"{by}{_flow(key)}:", meaning, by)
            yield from _lines(value, records[key], meanings, records, f"{by}  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield from _with_comment(f"{by}{_flow(key)}:", meaning, by)
            yield from (f"{by}  - {_flow(each)}" for each in value)
        else:
            yield from _with_comment(f"{by}{_flow(key)}: {_flow(value)}", meaning, by)


def _with_comment(line: str, meaning: str, by: str) -> Iterator[str]:
    """The line with its comment behind it, or below comments where they don't fit."""
    if not meaning or len(line) + len(meaning) + 4 <= _WIDTH:
        yield f"{line}  # {meaning}" if meaning else line
        return
    yield from (f"{by}# {each}" for each in textwrap.wrap(meaning, _WIDTH - len(by) - 2))
    yield line


def _flow(value: Any) -> str:
    """A value on one line."""
    listed = format_yaml([value], default_flow_style=True, width=float("inf"), allow_unicode=True)
    return listed.strip()[1:-1]
