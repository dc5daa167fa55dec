"""RUN/manifest.json: which file was made by which stage from what, so finished work is neither repeated nor mistaken.

Each record holds the file's checksum, its stage, the seconds and the device it took (what is not deterministic lives
here and nowhere else), and the *fingerprint* of everything it was made from. A step is fresh when files with its
fingerprint are recorded and all still have their recorded checksums.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from simbench_tf.errors import InputError
from simbench_tf.files import checksum, to_disk, whole_file
from simbench_tf.run.lock import amending

_log = logging.getLogger(__name__)
Record = dict[str, Any]

#: Whose record config.yaml is, which no stage writes.
CONFIG_STAGE = "config"
#: What every record has.
_FIELDS = ("checksum", "stage", "fingerprint")


def fingerprint(stage: str, made_from: Mapping[str, Any]) -> str:
    """Hash of a stage's name and everything its result depends on (plain JSON values).

    Examples
    --------
    >>> fingerprint("train", {"seed": 1}) == fingerprint("train", {"seed": 2})
    False
    """
    text = json.dumps([stage, made_from], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def read_manifest(run: Path) -> dict[str, Record]:
    """Records of a run by path relative to its folder; empty for a run without results.

    Raises
    ------
    InputError
        The file is not what `write_records` writes.
    """
    path = run / "manifest.json"
    if not path.exists():
        return {}
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(path, "is not JSON", "delete it, and every stage is run again") from error
    if not isinstance(records, dict):
        raise InputError(path, "holds no records", "delete it, and every stage is run again")
    for name, record in records.items():
        if not is_relative(name):
            mend = "take that record out; a run that others gave you should be looked through"
            raise InputError(path, f"names {name!r}, which is not a file of the run", mend)
        if not isinstance(record, dict) or not all(isinstance(record.get(field), str) for field in _FIELDS):
            raise InputError(path, f"has a damaged record of {name!r}", "take it out, and the file is made again")
    return records


def is_relative(name: str) -> bool:
    """Whether a path that a file names is one below the run's folder, as it is spelt."""
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or bool(PureWindowsPath(name).drive)
    return bool(path.parts) and not outside


def write_records(
    run: Path, files: Iterable[Path], stage: str, key: str, seconds: float, device: str, **more: Any
) -> None:
    """Add or replace the records of `files` (paths below `run`) in one step; `more` is further timings and so on."""
    files = list(files)
    to_disk(files)  # before it is on record that they are done
    common = {"stage": stage, "seconds": round(seconds, 3), "device": device, "fingerprint": key, **more}
    made = {file.relative_to(run).as_posix(): {"checksum": checksum(file), **common} for file in files}
    with amending(run):
        _write(run, {**read_manifest(run), **made})


def fresh_files(run: Path, key: str) -> list[Path]:
    """Files recorded under a fingerprint, or none if any of them is missing or was changed since."""
    records = {path: record for path, record in read_manifest(run).items() if record["fingerprint"] == key}
    if any(_damage(run / path, record) for path, record in records.items()):
        return []
    return [run / path for path in records]


def _damage(file: Path, record: Record) -> str | None:
    """What is wrong with a recorded file; None where it is as it was written."""
    if not file.is_file():
        return "is missing"
    return None if checksum(file) == record["checksum"] else "is not what was written, its checksum differs"


def damaged_files(run: Path, records: Mapping[str, Record]) -> dict[str, str]:
    """Of the files of some records, those that are missing or were changed since: path -> what is wrong."""
    found = ((path, _damage(run / path, record)) for path, record in records.items())
    return {path: wrong for path, wrong in found if wrong is not None}


def tell_of_damage(run: Path, key: str) -> list[str]:
    """Say which files of a fingerprint are damaged, whose step is about to make them again; return them."""
    mine = {path: record for path, record in read_manifest(run).items() if record["fingerprint"] == key}
    damaged = damaged_files(run, mine)
    for path, wrong in damaged.items():
        _log.warning("%s: %s; it is made again", run / path, wrong)
    return list(damaged)


def check_whole(run: Path, stages: Iterable[str]) -> None:
    """Check that what some stages wrote, and the configuration, is as they wrote it.

    Raises
    ------
    InputError
        A file is missing or was changed since.
    """
    wanted = {CONFIG_STAGE, *stages}
    records = {path: record for path, record in read_manifest(run).items() if record["stage"] in wanted}
    for path, wrong in damaged_files(run, records).items():
        again = f"`simbench run {run / 'config.yaml'} --out {run}`"
        mend = f"take it as it is now with {again}" if path == "config.yaml" else f"make it again with {again}"
        raise InputError(run / path, wrong, mend)


def forget_damaged(run: Path, stages: Iterable[str]) -> None:
    """Drop the records of files that are still damaged after their stages, with a line for each."""
    records, done = read_manifest(run), set(stages)
    damaged = damaged_files(run, {path: record for path, record in records.items() if record["stage"] in done})
    for path, wrong in damaged.items():
        _log.warning("%s: %s; this run does not make it, so it is left out", run / path, wrong)
    if damaged:
        _forget(run, damaged)


def stage_checksums(run: Path, stage: str) -> dict[str, str]:
    """Path -> checksum of all that a stage made, for the fingerprint of the stages that read it."""
    return {path: record["checksum"] for path, record in read_manifest(run).items() if record["stage"] == stage}


def discard_stale(run: Path, stage: str, key: str) -> None:
    """Delete what `stage` made from anything else than `key`: other settings would find and mix it."""
    stale = [p for p, r in read_manifest(run).items() if r["stage"] == stage and not r["fingerprint"].startswith(key)]
    discard(run, stale)


def discard(run: Path, names: Iterable[str]) -> None:
    """Delete recorded files, by their names in the manifest, and their records; other files stay where they are.

    Raises
    ------
    InputError
        One lies behind a link that leads out of the run; none is deleted then.
    """
    records = read_manifest(run)
    gone = [name for name in names if name in records]
    for name in gone:
        if not (run / name).parent.resolve().is_relative_to(run.resolve()):
            mend = "delete what it leads to yourself, or choose another folder for the run"
            raise InputError(run / name, "lies behind a link that leads out of the run, so it is not deleted", mend)
    for name in gone:
        (run / name).unlink(missing_ok=True)
    if gone:
        _forget(run, gone)
    above = {folder for name in gone for folder in (run / name).parents if folder.is_relative_to(run)} - {run}
    for folder in sorted(above, reverse=True):  # the deepest first
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _forget(run: Path, names: Iterable[str]) -> None:
    gone = set(names)
    with amending(run):
        _write(run, {name: record for name, record in read_manifest(run).items() if name not in gone})


def _write(run: Path, records: Mapping[str, Record]) -> None:
    with whole_file(run / "manifest.json") as partial:
        partial.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        to_disk([partial])


def check_named(path: Path, key: str) -> Path:
    """Return a file that a configuration's key names; an InputError where there is none."""
    if not path.is_file():
        raise InputError(
            path, f"is no file, but {key} names it", "mend the path; it is taken from the configuration's folder"
        )
    return path


def checksum_named(path: Path, key: str) -> str:
    """Checksum of a file that a configuration's key names; an InputError where there is none."""
    return checksum(check_named(path, key))
