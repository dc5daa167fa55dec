"""A run's folder, and the configuration stored in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from simbench_tf.config import Config, load_config, write_config
from simbench_tf.devices import is_chief
from simbench_tf.errors import InputError
from simbench_tf.files import TEMPORARY_PREFIX, remove_abandoned
from simbench_tf.run.lock import LOCK
from simbench_tf.run.manifest import CONFIG_STAGE, fingerprint, fresh_files, read_manifest, write_records
from simbench_tf.run.trust import SIGNATURES, NamedCode, configured_code, signatures

#: What file managers put into a folder that somebody only looked at, and what a call leaves that wrote nothing else.
_NOBODYS_FILES = (".DS_Store", "Thumbs.db", "desktop.ini", LOCK)


def begin(config: Config, folder: Path) -> None:
    """Check the methods, make the run directory and write the resolved configuration into it.

    Raises
    ------
    InputError
        A method or setting is unknown, two entries ask for the same, a model takes none, the folder cannot be written
        or holds anything but a run, or this is one of several hosts that only train together.
    """
    if not is_chief():
        mend = "begin the run on one, then call `simbench train RUN` on each"
        raise InputError("TF_CONFIG", "makes this one of several hosts, which only train", mend)
    check_requests(config)
    check_folder(folder)
    remove_abandoned(folder)
    write_config(config, folder / "config.yaml")
    record_config(config, folder, configured_code(config))


def record_config(config: Config, folder: Path, code: Iterable[NamedCode]) -> None:
    """Record a run's config.yaml, with the user's signature of some code, unless it is on record so."""
    key = fingerprint(CONFIG_STAGE, config.model_dump(mode="json"))
    signed = signatures(code, folder)
    recorded = read_manifest(folder).get("config.yaml", {})
    if not fresh_files(folder, key) or recorded.get(SIGNATURES, []) != signed:
        more = {SIGNATURES: signed} if signed else {}
        write_records(folder, [folder / "config.yaml"], CONFIG_STAGE, key, 0, "cpu", **more)


def check_requests(config: Config) -> None:
    """Raise InputError where a method or setting is unknown, two entries ask for the same, or a model takes none."""
    from simbench_tf.attribution import method_key
    from simbench_tf.attribution.lacking import listed, taken
    from simbench_tf.run.attributions import taken_methods
    from simbench_tf.run.models import lacking_of

    if (watched := config.dynamics) is not None:
        method_key(watched.method.method, watched.method.references, watched.method.settings)
    keys = [method_key(method.method, method.references, method.settings) for method in config.attribution.methods]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError("attribution.methods", f"asks for {key} twice", "leave one out")
    for model in config.models:
        if not taken_methods(config, model):
            works = listed(taken(lacking_of(model)))
            raise InputError("attribution.methods", f"has none that model {model.name} takes", f"add {works}")


def check_folder(folder: Path) -> None:
    """Raise InputError where a folder can be no run's: it is a file, or holds anything without being a run."""
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "cannot be written: it is a file", "choose another folder for the run")
    if is_run(folder) or not folder.exists():
        return
    here = [path.name for path in folder.iterdir() if path.name not in _NOBODYS_FILES]
    # a call that was killed while it wrote the very first file leaves that
    others = sorted(name for name in here if not name.startswith(TEMPORARY_PREFIX))
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise InputError(
            folder,
            f"is neither empty nor a run: it holds files that no run wrote ({shown})",
            "choose an empty or new folder for the run",
        )


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: its config.yaml names the versions of the packages, which `begin` writes."""
    try:
        stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return False
    return isinstance(stored, dict) and isinstance(stored.get("versions"), dict) and "simulation" in stored


def config_of(folder: Path) -> Config:
    """Read the configuration stored in a run.

    Raises
    ------
    InputError
        The folder is not a run's.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(folder, "is not a run: it has no config.yaml", "begin it with `simbench simulate`")
    return load_config(path)
