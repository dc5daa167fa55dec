"""Plug-ins: methods, metrics, architectures, simulators and motif callers that other packages bring as entry points.

A package names each in its own metadata, in a group of `GROUPS`, where `installed_plugins` reads it. Nothing of a
plug-in is imported before its name is asked for. What it is given is checked against its own signature: its
keyword-only parameters are its settings, and pydantic holds values to their annotations.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from simbench_tf.errors import InputError, nearest

Kind = Literal["method", "metric", "architecture", "simulator", "caller"]

#: The entry-point group of each kind.
GROUPS: dict[Kind, str] = {
    "method": "simbench_tf.attribution_methods",
    "metric": "simbench_tf.metrics",
    "architecture": "simbench_tf.architectures",
    "simulator": "simbench_tf.simulators",
    "caller": "simbench_tf.callers",
}

#: Keyword-only parameters that are no settings: the run gives them.
_GIVEN = frozenset({"seq_length", "n_tasks", "seed"})


class Plugin(NamedTuple):
    """An entry point of an installed package.

    Attributes
    ----------
    kind : {"method", "metric", "architecture", "simulator", "caller"}
    name : str
        What configurations call it; of a method, the name of the entry, whose import registers methods.
    package : str
        Name and version of the package that brings it.
    entry : EntryPoint
    """

    kind: Kind
    name: str
    package: str
    entry: metadata.EntryPoint


def installed_plugins(kind: Kind | None = None) -> Iterator[Plugin]:
    """Every plug-in, or those of a kind, by name; read from the packages' metadata, nothing is imported.

    Examples
    --------
    >>> sorted(set(plugin.kind for plugin in installed_plugins()) - set(GROUPS))
    []
    """
    for each, group in GROUPS.items():
        if kind in (None, each):
            for entry in sorted(metadata.entry_points(group=group), key=lambda entry: entry.name):
                of = entry.dist
                yield Plugin(each, entry.name, "a package" if of is None else f"{of.name} {of.version}", entry)


def find_plugin(kind: Kind, name: str) -> Plugin | None:
    """The plug-in of a name, or None; nothing is imported.

    Raises
    ------
    InputError
        Two packages bring one of this name.
    """
    found = {plugin.package: plugin for plugin in installed_plugins(kind) if plugin.name == name}
    if len(found) > 1:
        raise InputError(" and ".join(found), f"bring a {kind} {name!r} each", "uninstall one of them")
    return next(iter(found.values()), None)


def plugin_names(kind: Kind) -> list[str]:
    """Names of the plug-ins of a kind."""
    return list(dict.fromkeys(plugin.name for plugin in installed_plugins(kind)))


def load_plugin(plugin: Plugin) -> Any:
    """Import a plug-in: a function, or of a simulator the class of its settings.

    Raises
    ------
    InputError
        It cannot be imported; the line names the package.
    """
    try:
        return plugin.entry.load()
    except Exception as error:
        what = f"its {plugin.kind} {plugin.name!r} cannot be loaded: {type(error).__name__}: {error}"
        raise InputError(plugin.package, what, "mend or uninstall the package") from error


def load_named(kind: Kind, name: str, known: tuple[str, ...] = ()) -> Any:
    """Import the plug-in of a name; `known` are names of this package's own, for the message where there is none.

    Raises
    ------
    InputError
        There is none of this name, or it cannot be imported.
    """
    plugin = find_plugin(kind, name)
    if plugin is None:
        raise InputError(kind, f"{name!r} is not known{nearest(name, [*known, *plugin_names(kind)])}")
    return load_plugin(plugin)


def version_of(kind: Kind, name: str) -> dict[str, str]:
    """The package of a plug-in and its version, on which results depend; nothing of a name that is no plug-in's."""
    plugin = find_plugin(kind, name)
    return {} if plugin is None else {"plugin": plugin.package}


def checked_settings(function: Callable[..., Any], settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings of a plug-in as its function takes them: checked, and defaults filled in.

    Parameters
    ----------
    function : callable
        Its keyword-only parameters, but for seq_length, n_tasks and seed, are its settings. Each has an annotation.
    settings : mapping
    where : str
        The key of the configuration, for errors.

    Raises
    ------
    InputError
        A setting is unknown, missing, or of another type or range.

    Examples
    --------
    >>> def smooth(scores, mask, *, width: int = 3): ...
    >>> checked_settings(smooth, {}, "scoring.metrics")
    {'width': 3}
    >>> checked_settings(smooth, {"with": 3}, "scoring.metrics")
    Traceback (most recent call last):
    simbench_tf.errors.InputError: scoring.metrics: unknown setting 'with'; did you mean 'width'?
    """
    record = _record_of(function)
    try:
        return dict(record.model_validate(dict(settings)))
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            rest = nearest(name, record.model_fields) if record.model_fields else "; it has none"
            raise InputError(where, f"unknown setting {name!r}{rest}") from error
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(where, f"{name}: {message[:1].lower()}{message[1:]}") from error


@functools.cache
def _record_of(function: Callable[..., Any]) -> type[BaseModel]:
    """The settings of a function as a pydantic record."""
    fields: dict[str, Any] = {}
    for name, each in inspect.signature(function, eval_str=True).parameters.items():
        if each.kind is each.KEYWORD_ONLY and name not in _GIVEN:
            if each.annotation is each.empty:
                place = f"{function.__module__}.{function.__qualname__}"
                raise InputError(place, f"setting {name!r} has no annotation", "say its type")
            fields[name] = (each.annotation, ... if each.default is each.empty else each.default)
    return create_model("Settings", __config__=ConfigDict(extra="forbid", strict=True), **fields)
