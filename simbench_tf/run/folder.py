"""A run that is begun: its folder, with the resolved configuration in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from simbench_tf.config import Config, load_config, write_config
from simbench_tf.devices import is_chief
from simbench_tf.errors import InputError
from simbench_tf.files import TEMPORARY_PREFIX


def begin(config: Config, folder: Path) -> None:
    """Check the methods, make the run directory and write the resolved configuration into it.

    Raises
    ------
    InputError
        A method or setting is unknown, two entries ask for the same, the folder cannot be written or is not a run's, or
        this is one of several workers that only train together.
    """
    from simbench_tf.attribution import method_key

    if not is_chief():
        mend = "begin the run on one, then call `simbench train RUN` on each"
        raise InputError("TF_CONFIG", "makes this one of several workers, which only train", mend)
    if (watched := config.dynamics) is not None:
        method_key(watched.method.method, watched.method.references, watched.method.settings)
    keys = [method_key(method.method, method.references, method.settings) for method in config.attribution.methods]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError("attribution.methods", f"asks for {key} twice", "leave one out")
    path = folder / "config.yaml"
    if (
        path.exists()
        and not (folder / "manifest.json").exists()
        and "versions:" not in path.read_text(encoding="utf-8")
    ):
        raise InputError(folder, "holds a config.yaml that no run wrote", "choose another folder for the run")
    for leftover in folder.rglob(f"{TEMPORARY_PREFIX}*"):  # of a call that was killed
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    write_config(config, path)


def config_of(folder: Path) -> Config:
    """Read the configuration of a run that was begun.

    Raises
    ------
    InputError
        The folder is not a run's.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(folder, "is not a run: it has no config.yaml", "begin it with `simbench simulate`")
    return load_config(path)
