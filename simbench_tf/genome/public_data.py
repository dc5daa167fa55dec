"""Public genomes and peaks: downloaded once, and compared with their recorded checksums at every later call."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pooch

from simbench_tf.errors import InputError, nearest
from simbench_tf.files import whole_file
from simbench_tf.genome.download import download, is_safe
from simbench_tf.genome.sources import DATA_FOLDER, PUBLISHED_MD5, SERVER, SETS
from simbench_tf.parallel import Track, silent


class Fetched(NamedTuple):
    """A whole file in the folder of public data.

    `state`: "fetched" now; "unchanged" since it was fetched earlier; or "found" there, put by someone else, and its
    checksum recorded from now on.
    """

    path: Path
    state: Literal["fetched", "unchanged", "found"]


def fetch_public(
    what: str, folder: Path = DATA_FOLDER, *, mirror: str | None = None, track: Track = silent
) -> Iterator[Fetched]:
    """Download the files of a set into a folder, one after the other.

    The SHA-256 of each is recorded at first in FILE.sha256 beside it (as `sha256sum` writes it), and checked at every
    later call; then the server is not contacted. A download that was cut off or stopped is resumed. A genome that was
    downloaded has to have the MD5 that UCSC publishes, whatever the server.

    Parameters
    ----------
    what : str
        A set of `simbench_tf.genome.sources.SETS`: hg38, hg19 or encode-five.
    folder : path
        Made where it is missing.
    mirror : str, optional
        A server with the same paths, over https (http for one of this machine), in place of
        `simbench_tf.genome.sources.SERVER`.
    track : callable
        ``track(description, total)`` is a context manager that yields ``advance(n)``; counts bytes.

    Yields
    ------
    Fetched
        As soon as each file is there.

    Raises
    ------
    InputError
        The set is unknown, the server cannot be reached or lacks the file, the folder cannot be written, or a file
        (here or on the server) is not the one whose checksum was recorded.

    Examples
    --------
    >>> import gzip, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "hg38.fa.gz").write_bytes(gzip.compress(b">chr1"))
    >>> [[fetched.state for fetched in fetch_public("hg38", folder)] for _ in range(2)]
    [['found'], ['unchanged']]
    """
    if what not in SETS:
        raise InputError(what, f"is no set of files to fetch{nearest(what, SETS)}")
    server = (mirror or SERVER).rstrip("/")
    if not is_safe(server):
        what = "is no https address" + (", and others could change what is sent" if server.startswith("http:") else "")
        raise InputError(f"--mirror {mirror}", what, f"write it as {SERVER}")
    # pooch would log each download and checksum in lines of its own
    logger, level = pooch.get_logger(), pooch.get_logger().level
    logger.setLevel(logging.WARNING)
    try:
        for file in SETS[what]:
            yield _fetch_one(f"{server}/{file}", folder / Path(file).name, PUBLISHED_MD5.get(file), track)
    finally:
        logger.setLevel(level)


def _fetch_one(url: str, path: Path, md5: str | None, track: Track) -> Fetched:
    record = path.with_name(f"{path.name}.sha256")
    recorded = _recorded(record)
    if not path.is_file():
        _retrieve(url, path, record, recorded, md5, track)
        return Fetched(path, "fetched")
    if recorded is None:
        _check_gzip(path, path)
        _write_record(record, path.name, pooch.file_hash(str(path)))
        return Fetched(path, "found")
    if pooch.file_hash(str(path)) != recorded:
        raise InputError(path, f"changed since {record.name} was recorded", "delete it to fetch it again")
    return Fetched(path, "unchanged")


def _retrieve(url: str, path: Path, record: Path, recorded: str | None, md5: str | None, track: Track) -> None:
    part = path.with_name(f"{path.name}.part")

    def downloader(address: str, output_file: str, caller: Any) -> None:
        download(address, output_file, caller, part=part, track=track)
        _check_gzip(Path(output_file), address)
        if recorded is None and md5 is not None and pooch.file_hash(output_file, alg="md5") != md5:
            what = f"is not the file that UCSC publishes, whose MD5 is {md5}"
            raise InputError(address, what, "take another server by --mirror, or put the file there yourself")
        if recorded is None:  # before pooch gives the file its name: no file is there without its record
            _write_record(record, path.name, pooch.file_hash(output_file))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, recorded, fname=path.name, path=path.parent, downloader=downloader)
    except InputError:
        raise
    except ValueError as error:  # what pooch raises for another checksum
        what = f"is not the file whose checksum is in {record}"
        raise InputError(url, what, "it changed on the server; delete the record to take what is there now") from error
    except OSError as error:
        reason = error.strerror or getattr(error.__cause__, "strerror", None) or str(error)
        mend = "choose another folder by --out or free some space"
        raise InputError(path, f"cannot be written: {reason}", mend) from error


def _recorded(record: Path) -> str | None:
    """The checksum in a record as `sha256sum` writes it, None where there is no record."""
    if not record.is_file():
        return None
    text = record.read_text(encoding="utf-8", errors="replace")
    found = re.match(r"[0-9a-f]{64}\b", text)
    if found is None:
        raise InputError(record, "holds no SHA-256", "delete it; the next fetch records the file as it is then")
    return found.group()


def _write_record(record: Path, name: str, sha256: str) -> None:
    with whole_file(record) as partial:
        partial.write_text(f"{sha256}  {name}\n", encoding="utf-8")


def _check_gzip(path: Path, where: Path | str) -> None:
    """Refuse what is no gzip file, as the log-in page that a network may answer everything with."""
    with path.open("rb") as handle:
        if handle.read(2) != b"\x1f\x8b":
            raise InputError(where, "is no gzip file", "delete it" if path == where else "look at it in a browser")
