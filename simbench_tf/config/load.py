"""Read the configuration of a run: one YAML file or a built-in preset, checked whole before anything is computed.

Unknown keys are errors that name the nearest known one. Paths are relative to the configuration file; those of a preset
and its overrides are relative to the working directory, where `simbench fetch` makes a folder ``data``. Everything but
``simulation.kind`` (for peaks also `genome` and `peaks`, for text `positives` and `negatives`) has a default. A file's
`variants` name settings that differ from its own: FILE:NAME (or PRESET:NAME) is the file with these merged in. A model
or a method with a list as a value stands for one per value (`sweeps`); the resolved configuration lists them all.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simbench_tf.config.messages import Problem, apply_override, first_problem, large_integers, overrides_at
from simbench_tf.config.run import Config
from simbench_tf.config.yaml_text import Location, YamlContent, format_yaml, parse_yaml
from simbench_tf.errors import InputError, nearest
from simbench_tf.files import whole_file

#: Packages whose versions can change a result; written into RUN/config.yaml.
RECORDED_PACKAGES = (
    "simbench_tf", "tensorflow", "keras", "numpy", "pandas", "pyarrow", "numba", "scipy", "scikit-learn",
    "pyfaidx", "bioframe", "lightmotif", "biopython", "shap", "tf-keras-vis",
)  # fmt: skip


def presets() -> dict[str, Path]:
    """Built-in configurations: name -> file."""
    folder = resources.files("simbench_tf") / "presets"
    return {
        Path(str(file)).stem: Path(str(file))
        for file in sorted(folder.iterdir(), key=str)
        if str(file).endswith(".yaml")
    }


def variants_of(path: Path) -> dict[str, str]:
    """The variants of a configuration file: name -> its `about` text.

    Examples
    --------
    >>> list(variants_of(presets()["five_lines"]))
    ['small', 'full']
    """
    return {name: str(changes.get("about", "")) for name, changes in _variants_in(_read_yaml(path).data, path).items()}


def load_config(source: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a preset or a YAML file, or a variant of one, apply ``key=value`` overrides, and check the whole.

    Parameters
    ----------
    source : str or path
        Name of a preset, or path of a YAML file; with ``:VARIANT`` after it, that variant. A variant's mappings are
        merged into the file's; its other values, lists included, replace the file's.
    overrides : iterable of str
        Dotted key and YAML value, such as ``training.max_batches=100`` or ``models.0.width=.5``.

    Raises
    ------
    InputError
        Naming the file and the key.

    Examples
    --------
    >>> load_config("demo", ["seed=7"]).seed
    7
    >>> load_config("five_lines:full").training.max_batches
    30000
    """
    path, variant = _find_file(str(source))
    overrides = list(overrides)
    raw, spellings = _read_yaml(path)
    if variant is not None:
        raw = _merged(raw, _changes_of(_variants_in(raw, path), variant, str(source)))
        before = ("variants", variant)
        spellings |= {place[2:]: text for place, text in spellings.items() if place[:2] == before}
    raw.pop("variants", None)
    raw.pop("versions", None)  # RUN/config.yaml carries them; they are a record, not a setting
    without_overrides = copy.deepcopy(raw)
    for override in overrides:
        spellings |= apply_override(raw, override)
    raw.setdefault("name", path.stem)
    folder = Path.cwd() if path in presets().values() else path.parent
    checked = _checked(raw, folder, spellings)
    if isinstance(checked, Config):
        return checked
    at_fault = overrides_at(checked.location, overrides)
    if not at_fault and isinstance(_checked(without_overrides, folder, spellings), Config):
        at_fault = overrides
    where = " ".join(f"--set {override}" for override in at_fault) or path
    raise InputError(where, checked.text, checked.mend)


def _find_file(source: str) -> tuple[Path, str | None]:
    """The file and the variant that `source` names; a file whose own name has a colon takes precedence."""
    known = presets()
    base, _, variant = source.rpartition(":")
    for name, chosen in ((source, None), (base, variant)):
        path = known.get(name, Path(name))
        if path.is_file():
            return path, chosen
    what = f"is neither a file nor a preset{nearest(base or source, known)}"
    raise InputError(source, what, "`simbench presets` lists them")


def _read_yaml(path: Path) -> YamlContent:
    """The mapping that a YAML file holds, not checked further."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not YAML: {error}", "save it as UTF-8") from error
    if not isinstance(content.data, dict):
        raise InputError(path, "holds no configuration", "start from `simulation: {kind: grammar}`")
    return content


def _variants_in(raw: Mapping[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """The variants in a file's content: name -> settings that differ."""
    variants = raw.get("variants", {})
    if not isinstance(variants, dict) or not all(isinstance(changes, dict) for changes in variants.values()):
        mend = "write e.g. `variants: {full: {training: {max_batches: 30000}}}`"
        raise InputError(path, "variants: is no mapping of names to settings", mend)
    return {str(name): changes for name, changes in variants.items()}


def _changes_of(variants: Mapping[str, dict[str, Any]], name: str, source: str) -> dict[str, Any]:
    if name not in variants:
        rest = nearest(name, variants) if variants else ", it has none"
        raise InputError(source, f"{name!r} is no variant of it{rest}", "`simbench presets` lists those of the presets")
    return {key: value for key, value in variants[name].items() if key != "about"}


def _merged(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`raw` with `changes`: mappings key by key, to any depth; other values replaced."""
    return {
        **raw,
        **{
            key: _merged(raw[key], value) if isinstance(value, dict) and isinstance(raw.get(key), dict) else value
            for key, value in changes.items()
        },
    }


def check_config(raw: Mapping[str, Any], path: Path) -> Config:
    """Check a configuration for the file `path`; relative paths in it are taken from the file's folder.

    Raises
    ------
    InputError
        Naming the file and the first key at fault.
    """
    checked = _checked(raw, path.parent, {})
    if isinstance(checked, Config):
        return checked
    raise InputError(path, checked.text, checked.mend)


def _checked(raw: Mapping[str, Any], folder: Path, spellings: Mapping[Location, str]) -> Config | Problem:
    """The configuration, with paths relative to `folder` made absolute, or the first problem with it."""
    problem = next(large_integers(raw), None)
    if problem is not None:
        return problem
    try:
        return _resolve_paths(Config.model_validate(raw), folder)
    except ValidationError as error:
        return first_problem(error, Config, spellings)


def _resolve_paths(config: Config, folder: Path) -> Config:
    """Make every path absolute, also `motifs` where it names a file."""

    def absolute(path: Path, _key: str = "") -> Path:
        return (folder / path.expanduser()).resolve()

    simulation = config.simulation
    models = [
        model.model_copy(
            update={
                "keras": model.keras and absolute(model.keras),
                "python": _absolute_function(model.python, folder),
                "torch": _absolute_function(model.torch, folder),
                "weights": model.weights and absolute(model.weights),
                "onnx": model.onnx and absolute(model.onnx),
                "kipoi": _absolute_entry(model.kipoi, folder),
                "held": {name: absolute(at) if isinstance(at, Path) else at for name, at in model.held.items()},
            }
        )
        for model in config.models
    ]
    return config.model_copy(
        update={"simulation": simulation.model_copy(update=simulation.with_files(absolute)), "models": models}
    )


def _absolute_function(function: str | None, folder: Path) -> str | None:
    """FILE.py:NAME with an absolute path; MODULE:NAME unchanged."""
    source, _, name = (function or "").rpartition(":")
    return f"{(folder / Path(source).expanduser()).resolve()}:{name}" if source.endswith(".py") else function


def _absolute_entry(kipoi: str | None, folder: Path) -> str | None:
    """The absolute path of a Kipoi entry's folder; SOURCE/NAME unchanged."""
    if kipoi is None:
        return None
    path = (folder / Path(kipoi).expanduser()).resolve()
    # a model of a group has no folder of its own
    return str(path) if path.is_dir() or path.parent.joinpath("model-template.yaml").is_file() else kipoi


def config_dict(config: Config) -> dict[str, Any]:
    """The resolved configuration as plain YAML values, defaults written out."""
    return config.model_dump(mode="json", exclude_none=True)


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    return {package: metadata.version(package) for package in RECORDED_PACKAGES}


def write_config(config: Config, path: Path) -> None:
    """Write RUN/config.yaml: every setting with its default written out, the seed, and the package versions.

    The file can be run again unchanged: `load_config` ignores the versions.
    """
    with whole_file(path) as partial:
        partial.write_text(format_yaml({**config_dict(config), "versions": versions()}), encoding="utf-8")
