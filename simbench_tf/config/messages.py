"""Messages about a faulty configuration: the key at fault, and the nearest known one. Also `--set` overrides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from simbench_tf.config.simulation import KINDS, kinds, plugged_kind
from simbench_tf.config.yaml_text import KEY, Location, parse_yaml
from simbench_tf.errors import InputError, nearest

#: What pydantic calls a value that is not the text or the path that it should be.
_NOT_TEXT = ("string_type", "path_type")


class Problem(NamedTuple):
    """What is wrong with a configuration: where in the file, in words, and how to fix it."""

    location: Location
    text: str
    mend: str = ""


def first_problem(error: ValidationError, model: type[BaseModel], spellings: Mapping[Location, str]) -> Problem:
    """The first problem that pydantic found in a configuration, with the key as the file spells it.

    `spellings` is how the file spells what it holds beside text (`YamlContent`).
    """
    # a mistyped key also leaves the right key missing, and a mapping with a faulty key fits no type: report these first
    problem = min(error.errors(), key=lambda problem: (problem["type"] != "extra_forbidden", KEY not in problem["loc"]))
    return Problem(_without_kind(problem["loc"]), _in_words(problem, model, spellings))


def _in_words(problem: Any, model: type[BaseModel], spellings: Mapping[Location, str]) -> str:
    location = _without_kind(problem["loc"])
    key = _dotted(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(str(location[-1]), _known_keys(problem['loc'], model))}"
    if problem["type"] == "missing":
        return f"{key}: is missing; give it"
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        *most, last = kinds()
        return f"simulation.kind: must be {', '.join(most)} or {last}"
    if problem["type"] in _NOT_TEXT and isinstance(problem["input"], bool | int | float | date | None):
        return _unquoted(location, problem["input"], spellings)
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _unquoted(location: Location, value: Any, spellings: Mapping[Location, str]) -> str:
    """What to say of a number or truth value where text is wanted."""
    text = spellings.get(location, str(value))
    where, what = (location[:-2], "has the key") if location[-1] == KEY else (location, "is")
    return f"{_dotted(where)}: {what} {text}, which YAML does not read as text; write '{text}' in quotes"


def _without_kind(location: Location) -> Location:
    """A location in the file: after ``simulation`` pydantic puts the kind, which is no key of the file."""
    return tuple(part for number, part in enumerate(location) if number != 1 or location[0] != "simulation")


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))


def _known_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    if location[0] == "simulation" and len(location) > 2 and location[1] not in KINDS:
        return _known_keys(location[2:], plugged_kind(str(location[1])))
    schema = model.model_json_schema()
    node: dict[str, Any] = schema

    def deref(item: dict[str, Any]) -> dict[str, Any]:
        given = [each for each in item.get("anyOf", []) if each.get("type") != "null"]
        if len(given) == 1:  # an optional value, which adds no part to the location
            return deref(given[0])
        if "$ref" in item:
            return deref(schema["$defs"][item["$ref"].rpartition("/")[2]])
        return deref(item["allOf"][0]) if "allOf" in item else item

    for part in location[:-1]:
        node = deref(node)
        if "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"][part]}
        elif "anyOf" in node:
            node = next((item for item in node["anyOf"] if "$ref" in item or "items" in item), {})
        elif isinstance(part, int):
            node = node.get("items", {})
        else:
            more = node.get("additionalProperties")
            node = node.get("properties", {}).get(part) or (more if isinstance(more, dict) else {})
    last = deref(node)
    last = deref(next((item for item in last.get("anyOf", []) if "$ref" in item), last))  # keys beside a plain value
    return list(last.get("properties", {}))


#: The largest whole number that HDF5 and NumPy hold.
MAX_INTEGER = 2**64 - 1


def large_integers(raw: Any, location: Location = ()) -> Iterator[Problem]:
    """Yield a problem for each whole number of more than 64 bits in a raw configuration."""
    if isinstance(raw, int) and not -(2**63) <= raw <= MAX_INTEGER:
        mend = f"give at most {MAX_INTEGER}, which is 2^64 - 1"
        yield Problem(location, f"{_dotted(location)}: {raw} needs more than 64 bits", mend)
    items = raw.items() if isinstance(raw, Mapping) else enumerate(raw) if isinstance(raw, list) else ()
    for key, value in items:
        yield from large_integers(value, (*location, key))


def overrides_at(location: Location, overrides: Sequence[str]) -> list[str]:
    """The overrides, ``key=value``, that set a key at, above or below a location."""
    keys = [override.partition("=")[0].split(".") for override in overrides]
    found = []
    for key, override in zip(keys, overrides, strict=True):
        shared = min(len(key), len(location))
        if shared and key[:shared] == [str(part) for part in location[:shared]]:
            found.append(override)
    return found


def apply_override(raw: dict[str, Any], override: str) -> dict[Location, str]:
    """Set one dotted key of a raw configuration to a YAML value, in place; returns the spellings of the value.

    Raises
    ------
    InputError
        `override` is not ``key=value``, or its key leads through a value.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"--set {override}", "is not key=value", "write e.g. --set training.max_batches=100")
    value, spellings = parse_yaml(text, f"--set {override}", numbered=False)
    *parents, last = key.split(".")
    node: Any = raw
    for part in parents:
        if isinstance(node, list):
            node = _list_item(node, part, override)
        else:
            node = node.setdefault(part, {})
        if not isinstance(node, dict | list):
            raise InputError(f"--set {override}", f"{part!r} holds a value, not keys", "name the key itself")
    if isinstance(node, list):
        _list_item(node, last, override)
        node[int(last)] = value
    else:
        node[last] = value
    place = tuple(int(part) if _is_number(part) else part for part in key.split("."))
    return {(*place, *location): text for location, text in spellings.items()}


def _is_number(part: str) -> bool:
    """Whether a part of a key counts the items of a list; Python reads no more than some thousand digits."""
    return part.isdecimal() and len(part) < 10


def _list_item(items: list[Any], index: str, override: str) -> Any:
    if not _is_number(index) or int(index) >= len(items):
        raise InputError(f"--set {override}", f"{index!r} is no item of a list of {len(items)}", "count from 0")
    return items[int(index)]
