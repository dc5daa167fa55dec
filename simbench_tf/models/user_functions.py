"""A user's Python function that builds a model: found in a module or a file, its arguments checked, and called.

A function, given as ``my_package.my_module:build`` or ``my_model.py:build``, is called with those of `seq_length`,
`n_tasks` and `seed` that it accepts, and with the settings that the configuration gives.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from simbench_tf.errors import InputError, nearest
from simbench_tf.files import checksum


@contextmanager
def function_of(function: str, where: str) -> Iterator[Callable[..., Any]]:
    """The user's function MODULE:FUNCTION or FILE.py:FUNCTION; within, its file may import what stands beside it.

    Raises
    ------
    InputError
        There is no such function.
    """
    with _importing_from(function):
        build = getattr(_module(function, where), function.rpartition(":")[2], None)
        if not callable(build):
            raise InputError(where, f"{function} is no function", "name one as my_model.py:build")
        yield build


def called(
    build: Callable[..., Any], settings: Mapping[str, Any], ours: tuple[int, int, int], where: str, name: str
) -> Any:
    """What a function returns for those of seq_length, n_tasks and seed that it accepts, and its settings.

    Raises
    ------
    InputError
        It does not take the settings, or raises.
    """
    arguments = _arguments(build, settings, dict(zip(("seq_length", "n_tasks", "seed"), ours, strict=True)), where)
    try:
        return build(**arguments)
    except Exception as error:
        what = f"{name} failed: {type(error).__name__}: {error}"
        raise InputError(where, what, "fix the function; --debug shows where") from error


def import_function(function: str, where: str) -> None:
    """Import the module or file that holds a function, and with it the layers that it knows.

    Raises
    ------
    InputError
        There is none, or it cannot be imported.
    """
    with _importing_from(function):
        _module(function, where)


def source_file(function: str, where: str) -> Path | None:
    """The file that holds a function, for a fingerprint; None for a module without one.

    Raises
    ------
    InputError
        There is no such file or module.
    """
    source = function.rpartition(":")[0]
    if source.endswith(".py"):
        return _existing(Path(source), where)
    file = getattr(_module(function, where), "__file__", None)
    return None if file is None else Path(file)


# modules and files


def _arguments(
    build: Callable[..., Any], settings: Mapping[str, Any], ours: Mapping[str, int], where: str
) -> dict[str, Any]:
    """What a function is called with: those of `ours` that it accepts, and all settings."""
    try:
        parameters = inspect.signature(build).parameters
    except (ValueError, TypeError):  # of some that are written in C nothing is known
        return {**ours, **settings}
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    named = {name for name, each in parameters.items() if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
    for name in settings:
        if name not in named and not takes_all:
            own = named - set(ours)
            rest = nearest(name, own) if own else ", it takes none"
            raise InputError(
                re.sub(r"\.(python|torch)$", ".settings", where), f"{name!r} is no argument of the function{rest}"
            )
    arguments = {**{name: value for name, value in ours.items() if takes_all or name in named}, **settings}
    for name, each in parameters.items():
        if each.default is each.empty and name in named and name not in arguments:
            what = f"the function needs {name!r}, which is not given"
            raise InputError(where, what, f"add settings: {{{name}: ...}} to the model")
    return arguments


def _module(function: str, where: str) -> ModuleType:
    source = function.rpartition(":")[0]
    try:
        if source.endswith(".py"):
            return _module_of_file(_existing(Path(source), where))
        return importlib.import_module(source)
    except InputError:
        raise
    except Exception as error:
        what = f"{source} cannot be imported: {type(error).__name__}: {error}"
        raise InputError(where, what, "fix it, install it, or put its folder on PYTHONPATH") from error


def _existing(path: Path, where: str) -> Path:
    if not path.is_file():
        mend = "correct the path; it is taken from the configuration's folder"
        raise InputError(where, f"there is no file {path}", mend)
    return path


def _module_of_file(path: Path) -> ModuleType:
    """Import a file once, under a name of its own, so that it hides no other module and a changed one is read anew."""
    name = f"simbench_own_{path.stem}_{checksum(path)[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _importing_from(function: str) -> Iterator[None]:
    """Let a file import what stands beside it, as a script may."""
    source = function.rpartition(":")[0]
    beside = [str(Path(source).parent)] if source.endswith(".py") else []
    sys.path[:0] = beside
    try:
        yield
    finally:
        for folder in beside:
            sys.path.remove(folder)
