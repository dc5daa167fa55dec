"""Trust in code that a run names: functions of the user's own and Kipoi entries are executed, so a run of others asks.

A run that this user began carries a signature of each piece of code that it names, made with a key in the user's
configuration folder. One that was received carries none that fits, and is refused until `--trust-code` signs it. Code
that lies in the run itself is signed with its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from simbench_tf.config import Config
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.run.manifest import read_manifest

#: The key of the record of config.yaml that holds the signatures.
SIGNATURES = "code"
_KEY_BYTES = 32
#: Files beside a model that name code, and under which key.
_RECORDS = (
    ("python.json", "python"), ("torch.json", "torch"), ("kipoi.json", "source"), ("saved_model.json", "source")
)  # fmt: skip
#: How modules of this package begin, which build models from the grammar of the data.
_OURS = "simbench_tf."


class NamedCode(NamedTuple):
    """A model, and what is executed to build or load it: a function, a Kipoi entry or a SavedModel."""

    model: str
    code: str


def check_trusted(config: Config, folder: Path, *, is_given: bool = False) -> None:
    """Check that the code which a run would execute was named by this user.

    Parameters
    ----------
    config : Config
    folder : path
        The run.
    is_given : bool, default False
        Whether the user has just given the configuration, so that what it names is the user's word; else it is the one
        that lies in the run.

    Raises
    ------
    InputError
        The run names code that this user has not.
    """
    own = set(configured_code(config)) if is_given else set()
    others = sorted(code for code in named_code(config, folder) - own if not _is_signed(code, folder))
    if others:
        shown = ", ".join(f"{each.code} (model {each.model})" for each in others)
        what = f"would execute code that you have not named: {shown}"
        raise InputError(folder, what, "look through it, then add --trust-code, once for this run")


def signatures(code: Iterable[NamedCode], folder: Path) -> list[str]:
    """Sign code for a run, after the signatures that it has; those of code no longer named do no harm.

    None is added where no key can be kept.
    """
    mine = {_signature(each, folder) for each in code} - {None}
    return sorted({*_signed(folder), *(each for each in mine if each is not None)})


def named_code(config: Config, folder: Path) -> set[NamedCode]:
    """All that a run would execute: what its configuration names, and what the files beside its models name."""
    return {*configured_code(config), *_recorded_code(config, folder)}


def _signed(folder: Path) -> list[str]:
    recorded = read_manifest(folder).get("config.yaml", {}).get(SIGNATURES, [])
    return [str(each) for each in recorded] if isinstance(recorded, list) else []


def _is_signed(code: NamedCode, folder: Path) -> bool:
    mine = _signature(code, folder)
    return mine is not None and any(hmac.compare_digest(mine, each) for each in _signed(folder))


def _signature(code: NamedCode, folder: Path) -> str | None:
    key = _key()
    if key is None:
        return None
    text = json.dumps([*code, _content(code.code, folder)])
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def configured_code(config: Config) -> Iterator[NamedCode]:
    """What a configuration names to be executed."""
    for each in (each for each in config.replicates if not each.members):  # an ensemble runs its members' alone
        folder = str(each.model.keras) if each.model.is_saved_model else None
        code = each.model.python or each.model.torch or each.model.kipoi or folder
        if code is not None:
            yield NamedCode(each.name, code)


def _recorded_code(config: Config, folder: Path) -> Iterator[NamedCode]:
    for each in config.replicates:
        for name, key in _RECORDS:
            path = folder / "models" / each.name / name
            code = _read(path, key) if path.is_file() else None
            if code is not None and not (key == "python" and _is_ours(code)):
                yield NamedCode(each.name, code)


def _is_ours(function: str) -> bool:
    """Whether a function is in a module of this package; a file or a folder may be called so, too."""
    return function.startswith(_OURS) and not function.rpartition(":")[0].endswith(".py")


def _read(path: Path, key: str) -> str:
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
        return str(record[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        mend = "delete it, and make it again with `simbench run RUN/config.yaml --out RUN`"
        raise InputError(path, "is damaged", mend) from error


def _content(code: str, folder: Path) -> dict[str, str]:
    """Checksums of code that lies in the run's own folder, which whoever hands the run on can change."""
    source = Path(code.rpartition(":")[0] if code.rpartition(":")[0].endswith(".py") else code)
    if not source.exists() or not source.resolve().is_relative_to(folder.resolve()):
        return {}
    # a file may import what stands beside it
    place = source if source.is_dir() else source.parent
    return {path.relative_to(place).as_posix(): checksum(path) for path in sorted(place.rglob("*.py"))}


def _key() -> bytes | None:
    """Read the key of this user, made at its first use; None where the configuration folder cannot be written."""
    try:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "simbench_tf"
        path = folder / "key"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _write_key(path)
        key = path.read_bytes()
    except (OSError, RuntimeError):  # the latter where there is no home
        return None
    return key if len(key) == _KEY_BYTES else None


def _write_key(path: Path) -> None:
    """Write a new key whole and for this user's eyes alone, unless another process was first."""
    handle, name = tempfile.mkstemp(dir=path.parent)  # which others cannot read
    try:
        with os.fdopen(handle, "wb") as partial:
            partial.write(secrets.token_bytes(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
