"""Messages about a faulty configuration: the key at fault, and the nearest known one. Also `--set` overrides."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from simbench_tf.config.simulation import KINDS
from simbench_tf.errors import InputError, nearest


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem that pydantic found in a configuration, with the key as the file spells it."""
    # a mistyped key also leaves the right key missing: report the mistyped one first
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    location = _spelt(problem["loc"])
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(location[-1], _known_keys(problem['loc'], model))}"
    if problem["type"] == "missing":
        return f"{key}: is missing; give it"
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        *most, last = KINDS
        return f"simulation.kind: must be {', '.join(most)} or {last}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _spelt(location: tuple[int | str, ...]) -> list[str]:
    """A location as the file spells it: after ``simulation`` pydantic puts the kind, which is no key of the file."""
    return [str(part) for number, part in enumerate(location) if number != 1 or location[0] != "simulation"]


def _known_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
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
    return list(deref(node).get("properties", {}))


def apply_override(raw: dict[str, Any], override: str) -> None:
    """Set one dotted key of a raw configuration to a YAML value, in place.

    Raises
    ------
    InputError
        `override` is not ``key=value``, or its key leads through a value.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"--set {override}", "is not key=value", "write e.g. --set training.max_batches=100")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {override}", "the value is not YAML", "quote it") from error
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


def _list_item(items: list[Any], index: str, override: str) -> Any:
    if not index.isdecimal() or int(index) >= len(items):
        raise InputError(f"--set {override}", f"{index!r} is no item of a list of {len(items)}", "count from 0")
    return items[int(index)]
