"""The one list of attribution methods: how a method joins it, and how a request for one is checked and named.

A method is a function ``(network, one_hot, references, *, setting=default, ...) -> Parts``, or without `references`
where it compares with nothing. Its keyword-only parameters are its settings, and their annotations define what is
allowed, so that a mistyped setting is found before anything is computed. Every method takes `strands` and `shifts`
beside them (`averaged.Copies`). Packages add methods by the entry-point group `simbench_tf.attribution_methods`
(`plugins`), read when a name is not found here or all are listed.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_type_hints
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from simbench_tf.attribution.averaged import Copies, Moved
from simbench_tf.attribution.references import References, ReferencesLike, parse_references
from simbench_tf.errors import InputError, nearest
from simbench_tf.plugins import find_plugin, installed_plugins, load_plugin

# a keyword-only parameter of this name is no setting: it is given the seed of the whole call
_SEED = "random_state"
_RESERVED = {"true", "false", "none"}
_LONGEST_KEY = 200
Array = npt.NDArray[np.float32]
Needs = Literal["layers", "feature_maps", "gradients", "any_rows", "torch", "gapped_kmers"]


class Parts(NamedTuple):
    """What a method gives for n sequences and T targets.

    Attributes
    ----------
    contributions : float32 array, shape (T, n, L, 4)
    hypothetical : float32 array, shape (T, n, L, 4), or None
    positive, negative : float32 array, shape (T, n, L), or None
    convergence_delta : float32 array, shape (T, n), or None
    dependency_maps : float32 array, shape (T, n, W, W), or None
        Strengths of pairs of bases of a window.
    window_start : int64 array, shape (T, n), or None
        The window's first base.
    """

    contributions: Array
    hypothetical: Array | None = None
    positive: Array | None = None
    negative: Array | None = None
    convergence_delta: Array | None = None
    dependency_maps: Array | None = None
    window_start: npt.NDArray[np.int64] | None = None


class Method(NamedTuple):
    """A registered method.

    Attributes
    ----------
    name : str
    title : str
        What reports call it.
    function : callable
    description : str
        The first line of the function's docstring.
    source : str
        The paper it comes from.
    references : str or None
        The references it uses when none are asked for; None when it takes none at all.
    settings : dict
        Settings and their defaults.
    takes_seed : bool
        Whether it has a keyword-only `random_state`, which is given the seed of the call.
    chunk : int or None
        How many sequences it is given at a time; None for as many as fill a few batches.
    check : callable or None
        ``check(references, settings)`` raises InputError for combinations that make no sense.
    needs : tuple of {"layers", "feature_maps", "gradients", "any_rows", "torch", "gapped_kmers"}
        What it needs of a model beside outputs at rows that are mixtures of bases; see `lacking`.
    is_of_pairs : bool
        Whether it measures pairs of bases: it gives `dependency_maps`, and a sequence takes it long.
    moved : callable or None
        How settings that name places read on a copy of the sequence, see `averaged.Moved`.
    one_device : bool
        Whether it can't be called from several threads, one for each GPU.
    """

    name: str
    title: str
    function: Callable[..., Parts]
    description: str
    source: str
    references: str | None
    settings: dict[str, Any]
    takes_seed: bool
    chunk: int | None
    check: Callable[[References, Mapping[str, Any]], None] | None
    needs: tuple[Needs, ...] = ()
    is_of_pairs: bool = False
    moved: Moved | None = None
    one_device: bool = False


class Request(NamedTuple):
    """A method with its references, all its settings, and the copies of a sequence that it explains, checked."""

    method: Method
    references: References | None
    settings: dict[str, Any]
    copies: Copies = Copies()


_METHODS: dict[str, Method] = {}


def register_method(
    name: str,
    *,
    source: str,
    title: str | None = None,
    references: str | None = None,
    chunk: int | None = None,
    check: Callable[[References, Mapping[str, Any]], None] | None = None,
    needs: Needs | tuple[Needs, ...] = (),
    is_of_pairs: bool = False,
    moved: Moved | None = None,
    one_device: bool = False,
) -> Callable[[Callable[..., Parts]], Callable[..., Parts]]:
    """Make a function an attribution method, known to `attribute`, to configurations and to the command line.

    Parameters
    ----------
    name : str
        What it is called; lower-case letters, digits and ``_``.
    source : str
        The paper it comes from.
    title : str, optional
        What reports call it, written as within a sentence; by default the name, with spaces for ``_``.
    references : str, optional
        The default references; leave it out for a method that takes none.
    chunk : int, optional
        Sequences it is given at a time; by default as many as fill a few batches.
    check : callable, optional
        ``check(references, settings)`` raises InputError where they do not fit together.
    needs : str or tuple of str, optional
        "layers" where it reads the model's layers, "feature_maps" where it reads what one layer gives, "gradients"
        where it takes gradients, "any_rows" where it takes them at rows of the input that are no mixture of bases
        (below 0, or with a sum above 1), "torch" where it takes PyTorch modules alone, "gapped_kmers" where it is for
        gkm-SVMs: models that lack one of these do not take it.
    is_of_pairs : bool, default False
        Whether it gives `dependency_maps`: a run keeps these, and goes through its sequences one by one.
    moved : callable, optional
        ``moved(settings, length, copy)`` of a method with settings that name places: what they are for a copy of the
        sequence (`averaged.Copy`), or None where no such place is in it.
    one_device : bool, default False
        Whether it must not be called from several threads at once: where there are several GPUs, it keeps to the
        first.

    Returns
    -------
    decorator : callable
        For a function ``(network, one_hot, references, *, setting=default, ...) -> Parts`` with `network` a
        `Network`, `one_hot` float32 (n, L, 4) and `references` float32 (n, R, L, 4); a method that takes none has
        the first two only. Every setting needs an annotation that pydantic can check and a default. A keyword-only
        `random_state` is given the seed.

    Raises
    ------
    ValueError
        The name is taken or unsafe, or the function has another form.

    Examples
    --------
    >>> @register_method("observed", source="this example")
    ... def observed(network, one_hot, *, scale: float = 1.0):
    ...     "The sequence itself."
    ...     return Parts(np.stack([scale * one_hot for _ in network.targets]))
    >>> methods()["observed"].settings, methods()["observed"].title
    ({'scale': 1.0}, 'observed')
    >>> method_key("observed", None, {"scale": 2})
    'observed@none+scale=2'
    >>> _ = _METHODS.pop("observed")
    """
    if not name.isascii() or not name.isidentifier() or name != name.lower():
        raise ValueError(f"method name {name!r} must be lower-case letters, digits and _")

    def register(function: Callable[..., Parts]) -> Callable[..., Parts]:
        if name in _METHODS:
            raise ValueError(f"there is already an attribution method {name!r}")
        n_positional = 2 if references is None else 3
        settings = {key: p.default for key, p in _settings_of(name, function, n_positional).items()}
        for key in Copies._fields:
            if key in settings:
                raise ValueError(f"setting {key!r} of method {name!r} is one of every method; call it otherwise")
        lines = (inspect.getdoc(function) or "").splitlines()
        if not lines:
            raise ValueError(f"method {name!r} needs a docstring: its first line is shown to users")
        takes_seed = settings.pop(_SEED, None) is not None
        _METHODS[name] = Method(
            name=name,
            title=name.replace("_", " ") if title is None else title,
            function=function,
            description=lines[0].rstrip("."),
            source=source,
            references=references,
            settings=settings,
            takes_seed=takes_seed,
            chunk=chunk,
            check=check,
            needs=(needs,) if isinstance(needs, str) else needs,
            is_of_pairs=is_of_pairs,
            moved=moved,
            one_device=one_device,
        )
        return function

    return register


def _settings_of(name: str, function: Callable[..., Parts], n_positional: int) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    keyword_only = {key: p for key, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    if len(parameters) - len(keyword_only) != n_positional:
        taken = ", ".join(("network", "one_hot", "references")[:n_positional])
        raise ValueError(f"method {name!r} must take ({taken}, *, settings)")
    for key, parameter in keyword_only.items():
        if key != _SEED and inspect.Parameter.empty in (parameter.default, parameter.annotation):
            raise ValueError(f"setting {key!r} of method {name!r} needs a default and an annotation")
    return keyword_only


def methods() -> dict[str, Method]:
    """All attribution methods by name, those of other packages (entry points) among them.

    Examples
    --------
    >>> import simbench_tf.attribution
    >>> methods()["integrated_gradients"].references
    'zeros'
    """
    _load_entry_points()
    return dict(_METHODS)


@functools.cache
def _load_entry_points() -> None:
    for plugin in installed_plugins("method"):
        try:
            load_plugin(plugin)  # whose import runs @register_method
        except InputError as error:
            # a broken plug-in must not take the other methods with it
            warnings.warn(str(error), UserWarning, stacklevel=3)


def find_method(name: str) -> Method:
    """The method of a name; other packages are looked into only where it is none of this package's.

    Raises
    ------
    InputError
        There is none; of a plug-in that cannot be loaded, why.
    """
    if name not in _METHODS and (plugin := find_plugin("method", name)) is not None:
        load_plugin(plugin)
    known = _METHODS if name in _METHODS else methods()
    if name not in known:
        raise InputError("method", f"unknown attribution method {name!r}{nearest(name, known)}")
    return known[name]


def check_request(method: str, references: ReferencesLike | None, settings: Mapping[str, Any]) -> Request:
    """Check a request against what the method takes; fill in its defaults.

    Raises
    ------
    InputError
        The method or a setting is unknown, a setting has a wrong type or value, or the references do not fit.
    """
    entry = find_method(method)
    parsed: References | None = None
    if entry.references is not None:
        parsed = parse_references(entry.references if references is None else references)
    elif references is not None and not (isinstance(references, str) and references == "none"):
        raise InputError(f"{method}.references", f"{method} takes no references", "leave them out")
    given = {name: _check_setting(entry, name, value) for name, value in settings.items()}
    copies = Copies(**{name: given.pop(name) for name in Copies._fields if name in given})
    if copies.shifts and entry.is_of_pairs:
        raise InputError(f"{method}.shifts", "would move bases out of the window of pairs", "leave shifts out")
    checked = {**entry.settings, **given}
    if entry.check is not None and parsed is not None:
        entry.check(parsed, checked)
    return Request(entry, parsed, checked, copies)


def _check_setting(method: Method, name: str, value: Any) -> Any:
    where = f"{method.name}.{name}"
    if name not in (known := {**method.settings, **Copies._field_defaults}):
        raise InputError(method.name, f"unknown setting {name!r}{nearest(name, known)}")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(where, f"{value!r} is not a finite number")
    adapter = _adapter(method.function, name)
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        # 20.0, as other programs write it, is the integer 20
        if isinstance(value, float) and value.is_integer():
            return _check_setting(method, name, int(value))
        message = error.errors()[0]["msg"]
        raise InputError(where, f"cannot be {value!r}: {message[0].lower()}{message[1:]}") from error


@functools.cache
def _adapter(function: Callable[..., Parts], name: str) -> TypeAdapter[Any]:
    if name in Copies._fields:
        return TypeAdapter(get_type_hints(Copies, include_extras=True)[name])
    return TypeAdapter(inspect.signature(function, eval_str=True).parameters[name].annotation)


def method_key(method: str, references: ReferencesLike | None, settings: Mapping[str, Any]) -> str:
    """Name a request in a readable way that is safe as a file name, and never the same for two requests.

    Parameters
    ----------
    method : str
    references : str, array or None
        As `attribute` takes them; None stands for the method's default.
    settings : mapping
        The method's settings; those at their default are not written.

    Returns
    -------
    key : str
        ``METHOD@REFERENCES+setting=value...``, settings in alphabetical order. An array is named by a hash of its
        values; a key too long for a file name ends in a hash of the rest.

    Raises
    ------
    InputError
        The method does not take what is asked; so this also checks a request before anything is computed.

    Examples
    --------
    >>> method_key("integrated_gradients", "zeros", {"n_steps": 50})
    'integrated_gradients@zeros+n_steps=50'
    >>> method_key("ism", None, {})
    'ism@none'
    >>> method_key("ism", None, {"strands": "both", "shifts": 3})
    'ism@none+shifts=3+strands=both'
    """
    request = check_request(method, references, settings)
    named = "none" if request.references is None else request.references.key
    default = {**request.method.settings, **Copies._field_defaults}
    chosen = [
        f"+{name}={_as_text(value)}"
        for name, value in sorted({**request.settings, **request.copies._asdict()}.items())
        if _as_text(value) != _as_text(default[name])
    ]
    key = f"{method}@{named}{''.join(chosen)}"
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 40]}+hash={hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


def _as_text(value: Any) -> str:
    """Write a setting's value; unlike values never look alike, equal numbers always do."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # repr is the shortest text that reads back as the same number; + is kept for what joins settings
        if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        return repr(value).replace("e+", "e")
    if isinstance(value, str):
        text = quote(value, safe="", errors="surrogatepass")
        if text[:1].isalpha() and value not in _RESERVED:
            return text
        if not text:
            return "%"
        # what could be read as a number, a truth value or nothing has its first letter escaped
        return text if text.startswith("%") else f"%{ord(text[0]):02X}{text[1:]}"
    raise TypeError(f"settings must be numbers, truth values, strings or None, not {type(value).__name__}")
