"""The JSON Schema of a configuration file, for editors, and every key with its type, default and meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from simbench_tf.config.models import GkmSvmSettings, PlantedSettings
from simbench_tf.config.run import Config
from simbench_tf.config.simulation import KINDS, kinds, plugged_kind
from simbench_tf.errors import InputError
from simbench_tf.plugins import plugin_names

#: Records whose settings may be lists, which are sweeps.
_SWEPT = ("Model", "MethodSettings")
#: What a file may hold besides: variants of itself, and the versions that RUN/config.yaml records.
_BESIDES = {
    "variants": {
        "type": "object",
        "description": "Name: what the variant changes, and what it is `about`; chosen by CONFIG.yaml:NAME.",
    },
    "versions": {"type": "object", "description": "Packages that made RUN/config.yaml; ignored."},
}


class Key(NamedTuple):
    """A key of the configuration: the record it is in, its name, type, default and meaning."""

    record: str
    name: str
    type: str
    default: str
    meaning: str


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a configuration file, sweeps and short forms included.

    Editors that know YAML check and complete a file that begins with ``# yaml-language-server: $schema=FILE``.

    Examples
    --------
    >>> json_schema()["properties"]["seed"]["description"]
    'What everything random follows from.'
    """
    schema = Config.model_json_schema()
    records = schema["$defs"]
    (architecture,) = (each for each in records["Model"]["properties"]["architecture"]["anyOf"] if "enum" in each)
    architecture["enum"] += plugin_names("architecture")
    records["Discovery"]["properties"]["callers"]["items"]["enum"] += plugin_names("caller")
    for name in _SWEPT:
        properties = records[name]["properties"]
        records[name]["properties"] = {key: _or_list(each) for key, each in properties.items()}
    # short forms, which are written out as the file is read
    dynamics, text, element = (records[name]["properties"] for name in ("Dynamics", "TextSimulation", "Element"))
    dynamics["method"] = _or(dynamics["method"], {"type": "string"})
    text["negatives"] = _or(text["negatives"], {"type": "string"})
    element["gap"] = _or(element["gap"], {"type": "integer"})
    methods = records["AttributionSettings"]["properties"]["methods"]
    methods["items"] = _or(methods["items"], {"type": "string"})
    metrics = records["Scoring"]["properties"]["metrics"]
    metrics["items"] = _or(metrics["items"], {"type": "string"})
    schema["properties"] |= _BESIDES
    for kind in kinds()[len(KINDS) :]:  # of other packages; one that cannot be loaded cannot be used
        with suppress(InputError):
            plugged = plugged_kind(kind).model_json_schema()
            schema["$defs"] |= plugged.pop("$defs", {})
            schema["properties"]["simulation"]["oneOf"].append(plugged)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "simbench configuration"}


def _or_list(given: dict[str, Any]) -> dict[str, Any]:
    return _or(given, {"type": "array", "items": {key: each for key, each in given.items() if key != "description"}})


def _or(given: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    about = {key: given[key] for key in ("description", "default") if key in given}
    return about | {"anyOf": [{key: each for key, each in given.items() if key not in about}, other]}


_OF_MODELS = (PlantedSettings, GkmSvmSettings)


def keys() -> Iterator[Key]:
    """Every key, record by record, in the order of the file.

    Examples
    --------
    >>> next(keys())
    Key(record='Config', name='name', type='text', default='run', meaning='Of the run and its data set, for titles.')
    """
    schema = Config.model_json_schema()
    # of models, whose `settings` are any mapping
    schema["$defs"] |= (more := {record.__name__: record.model_json_schema() for record in _OF_MODELS})
    for record, of_record in (*_records(schema, "Config", schema, []), *more.items()):
        for name, given in of_record["properties"].items():
            default = "needed" if name in of_record.get("required", ()) else default_words(given.get("default"))
            yield Key(record, name, type_words(given, schema["$defs"]), default, given.get("description", ""))


def _records(
    schema: dict[str, Any], name: str, record: dict[str, Any], seen: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A record and those that its settings are, each once, depth first."""
    seen.append(name)
    yield name, record
    for given in record["properties"].values():
        for other in _named(given):
            if other not in seen and "properties" in schema["$defs"][other]:
                yield from _records(schema, other, schema["$defs"][other], seen)


def _named(given: Any) -> Iterator[str]:
    """Names of the records in a part of the schema, in order."""
    if isinstance(given, dict):
        if "$ref" in given:
            yield given["$ref"].rpartition("/")[2]
        for key, each in given.items():
            if key not in ("default", "discriminator"):
                yield from _named(each)
    elif isinstance(given, list):
        for each in given:
            yield from _named(each)


_TYPES = {"string": "text", "integer": "int", "number": "float", "boolean": "bool", "null": "null", "object": "mapping"}


def type_words(given: dict[str, Any], records: dict[str, Any]) -> str:
    """A type and its range in words, from a part of a schema and the records that it names."""
    for several in ("anyOf", "oneOf"):
        if several in given:
            kinds = [type_words(each, records) for each in given[several] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "$ref" in given:
        name = given["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if "properties" in records[name] else type_words(records[name], records)
    if "const" in given or "enum" in given:
        return ", ".join(map(str, given.get("enum", [given.get("const")])))
    if given.get("type") == "array":
        inner = given.get("items") or (given.get("prefixItems") or [{}])[0]
        return f"list of {type_words(inner, records)}" if inner else "list"
    if given.get("type") == "object":
        inner = given.get("additionalProperties")
        return f"mapping to {type_words(inner, records)}" if isinstance(inner, dict) and inner else "mapping"
    text = "path" if given.get("format") == "path" else _TYPES.get(given.get("type", ""), "any")
    return text + _range(given)


def _range(given: dict[str, Any]) -> str:
    limits = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    words = [f"{word} {given[limit]:g}" for limit, word in limits.items() if limit in given]
    return f", {' '.join(words)}" if words else ""


def default_words(value: Any) -> str:
    """Write a default in words."""
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value or "none"
    records = isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))
    return "its own" if records else json.dumps(value)
