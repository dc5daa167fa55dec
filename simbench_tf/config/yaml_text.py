"""YAML of configurations: numbers as YAML 1.2 has them (1e-3), no key twice, and how each scalar is spelt in the file.

PyYAML follows YAML 1.1, in which 1e-3 is text, unquoted NO is false, and the last of two equal keys wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from simbench_tf.errors import InputError

#: Keys and list indices from the top of a file to a value; for a key itself, its own location and `KEY`.
Location = tuple[Any, ...]
#: The last part of a location that means a mapping's key, not its value; as pydantic writes it.
KEY = "[key]"

#: Values of one configuration, lists and mappings counted too.
MOST_VALUES = 1_000_000
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with the floats of YAML 1.2."""


class _Dumper(yaml.SafeDumper):
    """The writer that quotes text which `_Loader` would read as a number."""


for _each in (_Loader, _Dumper):
    _each.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(rf"(?:{_FLOAT.pattern})\Z"), list("-+.0123456789")
    )


class YamlContent(NamedTuple):
    """What a YAML text holds.

    Attributes
    ----------
    data : object
        Mappings, lists, text, numbers, truth values, None.
    spellings : dict
        For each scalar that is not text, by its location, how it is spelt: NO for False. Locations are as pydantic
        has them: keys are text or whole numbers.
    """

    data: Any
    spellings: dict[Location, str]


def parse_yaml(text: str, where: str, *, numbered: bool = True) -> YamlContent:
    """Parse YAML text.

    Parameters
    ----------
    text : str
    where : str
        What errors name: a file, or an option.
    numbered : bool
        Whether errors add the line to it.

    Raises
    ------
    InputError
        The text is no YAML, a mapping has a key twice, a list or mapping holds itself, or it is larger or deeper than
        any configuration: an alias can stand for any number of copies.

    Examples
    --------
    >>> parse_yaml("{rate: 1e-3, NO: [8]}", "a.yaml")
    YamlContent(data={'rate': 0.001, False: [8]},
                spellings={('rate',): '1e-3', (False, '[key]'): 'NO', (False, 0): '8'})
    """

    def at(mark: Any) -> str:
        return f"{where}:{mark.line + 1}" if numbered and mark else where

    loader = None
    try:
        loader = _Loader(text)  # which refuses control characters
        node = loader.get_single_node()
        if node is None:
            return YamlContent(None, {})
        for what, mend, mark in _problems(node, (), set()):
            raise InputError(at(mark), what, mend)
        if (n := _n_values(node, {})) > MOST_VALUES:
            what = f"holds {n:,} values once its aliases are written out; a configuration holds {MOST_VALUES:,} at most"
            raise InputError(where, what, "write fewer")
        spellings = dict(_spellings(loader, node, ()))
        return YamlContent(loader.construct_document(node), spellings)
    except RecursionError as error:
        raise InputError(where, "is nested too deeply", "write it flatter") from error
    except ValueError as error:  # what a date or a number of thousands of digits raises
        if isinstance(error, InputError):
            raise
        raise InputError(where, f"holds a value that cannot be read: {error}", "write it as text, in quotes") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(at(mark), f"is not YAML: {getattr(error, 'problem', None) or error}", "correct it") from error
    finally:
        if loader is not None:
            loader.dispose()


def format_yaml(data: Any, **options: Any) -> str:
    """Plain values as YAML that `parse_yaml` reads back, keys in the order given; `options` as of `yaml.dump`."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, **options)


def _n_values(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Count the values of a node with its aliases written out."""
    if node not in known:
        each = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = (part for pair in each for part in (pair if isinstance(pair, tuple) else (pair,)))
        known[node] = 1 + sum(_n_values(part, known) for part in parts)
    return known[node]


def _problems(node: yaml.Node, above: tuple[yaml.Node, ...], seen: set[yaml.Node]) -> Iterator[tuple[str, str, Any]]:
    """Yield what is wrong, how to fix it and where, of nodes that PyYAML accepts."""
    if node in above:
        yield "a list or mapping holds itself by an alias", "write it out", node.start_mark
    if node in seen:
        return
    seen.add(node)
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _problems(each, (*above, node), seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], Any] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                mark: Any = key.start_mark
                before = first.setdefault((key.tag, key.value), mark)
                if before is not mark:
                    what = f"{key.value!r} is given twice, first in line {before.line + 1}"
                    yield what, "leave one out, or join what they hold", mark
            yield from _problems(value, (*above, node), seen)


def _spellings(loader: yaml.SafeLoader, node: yaml.Node, location: Location) -> Iterator[tuple[Location, str]]:
    """Yield location and spelling of every scalar that is not text."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag != "tag:yaml.org,2002:str":
            yield location, node.value
    elif isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            yield from _spellings(loader, each, (*location, number))
    else:
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name = loader.construct_object(key)
                inside = (*location, name if isinstance(name, int | str) else str(name))
                yield from _spellings(loader, key, (*inside, KEY))
                yield from _spellings(loader, value, inside)
